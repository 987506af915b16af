"""What is fuzzed: everything that reads bytes which anybody may hand to an auditor.

A target takes any bytes. It may refuse them with an error of ours and nothing else, and what it accepts must
hold: one text for one value, and one answer whether a bundle is read in one go or closely.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import cache

from rasura.acceptance import read_acceptance
from rasura.add_checkpoint import AddCheckpoint, signature_of
from rasura.bundle import Bundle
from rasura.certificate import ErasureCertificate
from rasura.checkpoint import Checkpoint, open_checkpoint
from rasura.entry import Entry
from rasura.errors import RasuraError
from rasura.note import Note, VerifierKey
from rasura.pdf.matching import match
from rasura.pdf.reading import read
from rasura.receipt import Receipt
from rasura.strict_json import dumps, loads
from rasura.trust import Trust
from rasura.verifier import verify
from vectors.world import b64, log_key, signed, site, station, trust

__all__ = ["TARGETS", "fuzz_one"]


_NOTE = "log.example\n1\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n"
_WITNESS = VerifierKey.of("witness-a.example", log_key("witness-a.example")).cosigner()


@cache
def _trust() -> Trust:
    return Trust.parse(trust())


@cache
def _chain() -> list[str]:
    from cryptography.hazmat.primitives.serialization import Encoding

    return [b64(one.public_bytes(Encoding.DER)) for one in (station(), site())]


def _verify(raw: bytes) -> None:
    report = verify(raw, _trust())
    try:
        loosely = json.dumps(json.loads(raw), indent=1).encode()
    except (ValueError, RecursionError):
        return
    if report.checks[0].state.value == "passed" and verify(loosely, _trust()) != report:
        raise AssertionError("the same bundle with spaces is judged otherwise")


def _statement(payload: bytes) -> None:
    """A payload in an envelope that holds: what a dishonest station could sign."""
    value = {
        "mediaType": "application/vnd.rasura.bundle+json;version=1",
        "envelope": signed(payload),
        "chain": _chain(),
        "receipt": None,
    }
    verify(dumps(value), _trust())
    plain = ErasureCertificate.as_written(payload)
    if plain is not None and ErasureCertificate.from_payload(payload) != plain:
        raise AssertionError("the same payload gives other claims when looked at closely")


def _bundle(raw: bytes) -> None:
    bundle = Bundle.parse(raw)
    if Bundle.parse(bundle.encode()) != bundle:
        raise AssertionError("a bundle is not what its own encoding gives")


def _trust_file(raw: bytes) -> None:
    read_once = Trust.parse(raw.decode("utf-8", "replace"))
    if Trust.parse(read_once.to_toml()) != read_once:
        raise AssertionError("a trust file is not what its own text gives")


def _one_text(parse: Callable[[str], object], encode: Callable[[object], str]) -> Callable[[bytes], None]:
    def target(raw: bytes) -> None:
        text = raw.decode("utf-8", "surrogateescape")
        if encode(parse(text)) != text:
            raise AssertionError("two texts for one value")

    return target


def _checkpoint(raw: bytes) -> None:
    text = raw.decode("utf-8", "surrogateescape")
    note = Note.parse(text)
    if Checkpoint.parse(note.text).encode() != note.text:
        raise AssertionError("two texts for one checkpoint")
    open_checkpoint(text, _trust().logs)


def _entry(raw: bytes) -> None:
    if Entry.parse(raw).encode() != raw:
        raise AssertionError("two texts for one entry")


def _json(raw: bytes) -> None:
    value = loads(raw)
    if loads(json.dumps(value, indent=1).encode()) != value:
        raise AssertionError("the same document with spaces has another value")


def _request(raw: bytes) -> None:
    request = AddCheckpoint.parse(raw)
    if request.encode() != raw:
        raise AssertionError("two texts for one request")


def _answer(raw: bytes) -> None:
    """What a witness answers, read by a log."""
    signature_of(raw.decode("utf-8", "replace"), _NOTE, _WITNESS)


def _accept(raw: bytes) -> None:
    read_acceptance(raw).require_fit(_trust(), None)


def _pdf(raw: bytes) -> None:
    match(raw, read(raw))


TARGETS: dict[str, Callable[[bytes], None]] = {
    "verify": _verify,
    "statement": _statement,
    "bundle": _bundle,
    "trust": _trust_file,
    "receipt": _one_text(Receipt.parse, lambda one: one.encode()),  # type: ignore[attr-defined]
    "note": _one_text(Note.parse, lambda one: one.encode()),  # type: ignore[attr-defined]
    "key": _one_text(VerifierKey.parse, lambda one: one.encode()),  # type: ignore[attr-defined]
    "checkpoint": _checkpoint,
    "entry": _entry,
    "json": _json,
    "accept": _accept,
    "request": _request,
    "answer": _answer,
    "pdf": _pdf,
}


def fuzz_one(name: str, raw: bytes) -> None:
    """Run a target; whatever it raises is a finding."""
    try:
        TARGETS[name](raw)
    except RasuraError as error:
        if not str(error):
            raise AssertionError("an error without a sentence") from error
