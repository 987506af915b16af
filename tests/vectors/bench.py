"""How fast bundles are verified, beside what the cryptography alone takes: ``./scripts/bench-verify``.

Every certificate is another one, made as the vectors are, in a log of 100,000 entries. A batch may look so::

    shared      the log took many certificates at a time: few checkpoints, each met often
    own         every certificate led to a checkpoint of its own, and began with another
    indented    as shared, and written with spaces: not our own form, so each part is looked at closely
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from datetime import timedelta
from pathlib import Path
from typing import TypeVar

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from rasura.checkpoint import Checkpoint, sign_checkpoint
from rasura.envelope import pae
from rasura.many import TOGETHER
from rasura.receipt import Receipt
from rasura.tree import HashReader, inclusion_from, leaf_hash, node_hash, root_from
from rasura.trust import Trust
from rasura.verifier import Verdict, verify_all
from vectors.claims import certificate
from vectors.world import (
    LOGGED,
    ORIGIN,
    STARTED,
    fillers,
    key,
    log_key,
    made,
    note,
    station_place,
    trust,
)

__all__ = ["WAYS", "main", "measure", "samples"]

WAYS = ("shared", "own", "indented")
_OTHERS = 100_000
_BATCH = 64
"""Certificates under one checkpoint, where they share it."""
_STARTS = 10
_T = TypeVar("_T")


def _reader(leaves: list[bytes]) -> HashReader:
    rows = [leaves]
    while len(rows[-1]) > 1:
        row = rows[-1]
        rows.append([node_hash(row[at], row[at + 1]) for at in range(0, len(row) - 1, 2)])
    return lambda level, index: rows[level][index]


def samples(count: int, way: str, others: int = _OTHERS) -> list[bytes]:
    """So many bundles, all of them genuine, behind the entries of ``others``."""
    each = 1 if way == "own" else _BATCH
    leaves: list[bytes] = fillers(others)
    unlogged = []
    for number in range(count):
        start = note(fillers(3), STARTED + timedelta(seconds=number // each))
        claims = certificate(
            station_place(number),
            serial=f"BENCH-{number}",
            id=f"00000000-0000-4000-8000-{number:012x}",
            notBefore={"checkpoint": start},
        )

        def keep(leaf: bytes) -> None:
            leaves.append(leaf_hash(leaf))

        unlogged.append(json.loads(made(claims, logged=keep).bundle))
    read = _reader(leaves)
    notes: dict[int, str] = {}
    written = []
    for number, bundle in enumerate(unlogged):
        size = min(others + (number // each + 1) * each, len(leaves))
        if size not in notes:
            moment = int((LOGGED + timedelta(seconds=number)).timestamp())
            notes[size] = sign_checkpoint(log_key(), Checkpoint(ORIGIN, size, root_from(read, size)), moment)
        proof = inclusion_from(read, others + number, size)
        bundle["receipt"] = Receipt(others + number, proof, notes[size]).encode()
        text = (
            json.dumps(bundle, indent=1)
            if way == "indented"
            else json.dumps(bundle, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        )
        written.append(text.encode())
    return written


def _rate(things: Sequence[_T], do: Callable[[_T], object]) -> float:
    began = time.perf_counter()
    for one in things:
        do(one)
    return len(things) / (time.perf_counter() - began)


def _signature_floor(things: list[bytes]) -> float:
    """Only OpenSSL's check of the one ECDSA signature that each certificate has, a second."""
    signer, how = key("station"), ec.ECDSA(hashes.SHA256())
    public, messages = signer.public_key(), [pae("", one) for one in things]
    signed = iter([(signer.sign(one, how), one) for one in messages])
    return _rate(messages, lambda _: public.verify(*next(signed), how))


def _start(arguments: Iterable[str]) -> float:
    """Milliseconds that a process takes, the best of several."""
    taken = []
    for _ in range(_STARTS):
        began = time.perf_counter()
        subprocess.run([*arguments], check=True, capture_output=True)
        taken.append((time.perf_counter() - began) * 1000)
    return min(taken)


def measure(count: int, ways: Iterable[str], others: int = _OTHERS) -> dict[str, float]:
    """Certificates a second on one core, by way; and the floor."""
    trusted = Trust.parse(trust())
    found: dict[str, float] = {}
    for way in ways:
        batch = samples(count, way, others)
        if any(one.verdict is not Verdict.GENUINE for one in verify_all(batch[:3], trusted)):
            raise AssertionError("a sample is not genuine: what is measured is no verification")
        parts = [batch[at : at + TOGETHER] for at in range(0, count, TOGETHER)]
        found[way] = count / len(parts) * _rate(parts, lambda part: verify_all(part, trusted))
        found.setdefault("signatures alone", _signature_floor(batch))
    return found


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(prog="bench-verify", description=__doc__.partition(":")[0])
    parser.add_argument("--count", type=int, default=2000, help="certificates a batch")
    parser.add_argument("--way", action="append", choices=WAYS, help="measure this one only; may be repeated")
    parser.add_argument("--no-start", action="store_true", help="measure no cold start")
    parser.add_argument("--rasura", default=str(Path(sys.executable).with_name("rasura")), help="the command")
    asked = parser.parse_args()
    for name, rate in measure(asked.count, asked.way or WAYS).items():
        sys.stdout.write(f"{name:<17} {rate:8.0f} certificates a second a core\n")
    if not asked.no_start:
        vector = Path(__file__).parents[2] / "certs/vectors/overwrite"
        one = [asked.rasura, "verify", str(vector / "bundle.json"), "--trust", str(vector / "trust.toml")]
        sys.stdout.write(f"a cold check      {_start(one):8.0f} ms\n")
        sys.stdout.write(f"  python alone    {_start([sys.executable, '-c', '']):8.0f} ms\n")


if __name__ == "__main__":
    main()
