"""What fuzzing begins with: the parts of the test vectors, and the corpus of earlier runs."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

from rasura.bundle import Bundle
from rasura.errors import RasuraError

__all__ = ["CORPUS", "write_seeds"]

CORPUS = Path(__file__).with_name("corpus")
_VECTORS = Path(__file__).parents[2] / "certs/vectors"
_MOST_BYTES = 64 << 10
"""Vectors that are larger show that they are refused for that; the fuzzer would only be slow."""


def _bundles() -> Iterator[bytes]:
    for path in sorted(_VECTORS.glob("*/bundle.json")):
        if path.stat().st_size <= _MOST_BYTES:
            yield path.read_bytes()


def _read() -> Iterator[Bundle]:
    for raw in _bundles():
        try:
            yield Bundle.parse(raw)
        except RasuraError:
            continue


def _of(target: str) -> Iterator[bytes]:
    match target:
        case "verify" | "bundle":
            yield from _bundles()
        case "statement" | "json":
            yield from (one.envelope.payload for one in _read())
        case "trust":
            yield from (path.read_bytes() for path in sorted(_VECTORS.glob("*/trust.toml")))
        case "receipt":
            yield from (one.receipt.encode().encode() for one in _read() if one.receipt)
        case "note" | "checkpoint":
            yield from (one.receipt.checkpoint_note.encode() for one in _read() if one.receipt)
        case "key":
            for path in sorted(_VECTORS.glob("*/trust.toml")):
                for line in path.read_text().splitlines():
                    if line.startswith('key = "') and "+" in line:
                        yield line.split('"')[1].encode()
        case "entry":
            for one in _read():
                try:
                    yield one.entry().encode()
                except RasuraError:
                    continue
        case "pdf":
            yield b"%PDF-1.7\n%%EOF\n"
        case _:
            yield b""


def write_seeds(target: str, folder: Path) -> None:
    """Write the seeds of a target, each under its own hash."""
    kept = sorted((CORPUS / target).glob("*")) if (CORPUS / target).is_dir() else []
    for seed in (*_of(target), *(path.read_bytes() for path in kept)):
        (folder / hashlib.sha256(seed).hexdigest()[:16]).write_bytes(seed)
