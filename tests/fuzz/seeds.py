"""What fuzzing begins with: the parts of the test vectors, and the corpus of earlier runs."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pikepdf

from rasura.add_checkpoint import AddCheckpoint
from rasura.bundle import Bundle
from rasura.errors import RasuraError
from rasura.pdf.settings import SETTINGS_NAME
from simulators.forged_pdfs import attach, saved

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


def _entry(bundle: Bundle) -> bytes | None:
    try:
        return bundle.entry().encode()
    except RasuraError:
        return None


def _note(bundle: Bundle) -> str | None:
    return bundle.receipt.checkpoint_note if bundle.receipt is not None else None


_PARTS: dict[str, Callable[[Bundle], bytes | None]] = {
    "statement": lambda one: one.envelope.payload,
    "json": lambda one: one.envelope.payload,
    "receipt": lambda one: one.receipt.encode().encode() if one.receipt else None,
    "note": lambda one: (_note(one) or "").encode() or None,
    "checkpoint": lambda one: (_note(one) or "").encode() or None,
    "answer": lambda one: (_note(one) or "").partition("\n\n")[2].encode() or None,
    "request": lambda one: (
        AddCheckpoint(3, one.receipt.proof, one.receipt.checkpoint_note).encode() if one.receipt else None
    ),
    "entry": _entry,
}


def _pdfs() -> Iterator[bytes]:
    """Small ones, their streams open to be changed: without attachments, with a bundle, with settings too."""
    bundle = (_VECTORS / "overwrite/bundle.json").read_bytes()
    edits = ({}, {"a.json": bundle}, {"a.json": bundle, SETTINGS_NAME: b"{}"}, {"a.json": b"{}"})
    for attached in edits:
        document = pikepdf.new()
        document.add_blank_page(page_size=(100, 100))
        for name, data in attached.items():
            attach(name, data)(document)
        yield saved(document, compress_streams=False, deterministic_id=True)


def _of(target: str) -> Iterator[bytes]:
    if target in _PARTS:
        for bundle in _read():
            part = _PARTS[target](bundle)
            if part is not None:
                yield part
    elif target in {"trust", "accept"}:
        yield from (path.read_bytes() for path in sorted(_VECTORS.glob(f"*/{target}.toml")))
    elif target == "key":
        for path in sorted(_VECTORS.glob("*/*.toml")):
            yield from (text.encode() for text in path.read_text().split('"') if text.count("+") > 1)
    elif target == "pdf":
        yield from _pdfs()
    else:
        yield from _bundles()


def write_seeds(target: str, folder: Path) -> None:
    """Write the seeds of a target, each under its own hash."""
    kept = sorted((CORPUS / target).glob("*")) if (CORPUS / target).is_dir() else []
    for seed in (*_of(target), *(path.read_bytes() for path in kept)):
        (folder / hashlib.sha256(seed).hexdigest()[:16]).write_bytes(seed)
