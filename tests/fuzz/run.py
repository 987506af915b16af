"""The fuzzer: atheris over one target, from the seeds and the corpus kept here. ``./scripts/fuzz``.

It goes on from a folder that holds all it has found so far, and copies nothing into the repository: what is
worth keeping, above all each input that it crashed on, goes to ``corpus/TARGET/`` by hand.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["rasura"]):
    from fuzz.targets import TARGETS, fuzz_one

from fuzz.seeds import write_seeds


def main() -> None:
    """Fuzz until the time is up, or something is found."""
    parser = argparse.ArgumentParser(prog="fuzz", description=__doc__.partition("\n")[0])
    parser.add_argument("target", choices=[*TARGETS])
    parser.add_argument("--work", type=Path, required=True, help="the folder of everything found so far")
    parser.add_argument("--seconds", type=int, default=300)
    asked = parser.parse_args()
    work, seeds = asked.work / asked.target, asked.work / f"{asked.target}.seeds"
    for folder in (work, seeds):
        folder.mkdir(parents=True, exist_ok=True)
    write_seeds(asked.target, seeds)
    options = [f"-artifact_prefix={asked.work}/{asked.target}-found-", "-timeout=300", "-rss_limit_mb=2048"]
    words = [f"-max_total_time={asked.seconds}", "-max_len=16384", *options, str(work), str(seeds)]
    atheris.Setup([sys.argv[0], *words], lambda raw: fuzz_one(asked.target, raw))
    atheris.Fuzz()


if __name__ == "__main__":
    main()
