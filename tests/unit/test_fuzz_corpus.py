"""What fuzzing found, and what it found worth keeping, without the fuzzer: only errors of ours come out."""

from __future__ import annotations

from pathlib import Path

import pytest

from fuzz.seeds import CORPUS, write_seeds
from fuzz.targets import TARGETS, fuzz_one

MOST_BYTES = 300_000


@pytest.mark.parametrize("name", TARGETS)
def test_seeds_and_corpus_raise_errors_of_ours_only(name: str, tmp_path: Path) -> None:
    write_seeds(name, tmp_path)
    seeds = sorted(tmp_path.iterdir())
    assert seeds
    for seed in seeds:
        fuzz_one(name, seed.read_bytes())


def test_the_corpus_is_small_and_of_known_targets() -> None:
    files = [path for path in CORPUS.rglob("*") if path.is_file()]
    assert files
    assert {path.parent.name for path in files} <= set(TARGETS)
    assert sum(path.stat().st_size for path in files) < MOST_BYTES


def test_a_target_lets_nothing_else_pass() -> None:
    """The net holds: what is no error of ours comes through it."""

    def broken(_: bytes) -> None:
        raise IndexError

    TARGETS["broken"] = broken
    try:
        with pytest.raises(IndexError):
            fuzz_one("broken", b"")
    finally:
        del TARGETS["broken"]
