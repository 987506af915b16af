"""Vectors that cannot be read, or can be read in two ways: check 1."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable
from typing import Any

from vectors.claims import certificate, edited
from vectors.world import STATION, Case, Made, b64, made, site, station, station_place

__all__ = ["CASES"]

PLACE = station_place()
BUNDLE = ("1 bundle",)


def _raw(change: Callable[[bytes], bytes]) -> Callable[[], Made]:
    return lambda: made(raw=change)


def _member(text: bytes) -> Callable[[], Made]:
    """One more member in front of the bundle's."""
    return _raw(lambda raw: b"{" + text + b"," + raw[1:])


def _payload(change: Callable[[bytes], bytes]) -> Callable[[], Made]:
    return lambda: made(payload=change)


def _inside(text: bytes) -> Callable[[], Made]:
    """One more member in front of the statement's, signed."""
    return _payload(lambda raw: b"{" + text + b"," + raw[1:])


def _statement(**changes: Any) -> Callable[[], Made]:
    return lambda: made(document=lambda one: edited(one, **changes))


def _bundle(change: Callable[[dict[str, Any]], dict[str, Any]]) -> Callable[[], Made]:
    return lambda: made(bundle=change)


def _outer(**changes: Any) -> Callable[[], Made]:
    return _bundle(lambda one: edited(one, **changes))


def _case(name: str, why: str, says: str, make: Callable[[], Made]) -> Case:
    return Case(f"{name}_fail", why, make, 1, BUNDLE, says)


def _with_bits(der: bytes) -> bytes:
    """The station's common name as a BIT STRING without unused bits, in the place of a UTF8String."""
    name = STATION.encode()
    text = bytes([0x0C, len(name)]) + name
    if der.count(text) != 1:
        raise AssertionError("the station's name is not written as it was")
    return der.replace(text, bytes([0x03, len(name), 0]) + name[1:])


def _loose(text: str) -> str:
    """Base64 of the same bytes with other bits in the padding."""
    last = text.rstrip("=")
    if len(last) == len(text):
        raise AssertionError("this text has no padding to hide bits in")
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    return last[:-1] + alphabet[alphabet.index(last[-1]) + 1] + text[len(last) :]


def _padded(one: dict[str, Any]) -> dict[str, Any]:
    """The first of the bundle's base64 texts that has padding, written loosely."""
    for path in ("envelope__payload", "envelope__signatures__0__sig", "chain__0", "chain__1"):
        place: Any = one
        for step in path.split("__"):
            place = place[int(step) if isinstance(place, list) else step]
        if place.endswith("="):
            return edited(one, **{path: _loose})
    raise AssertionError("nothing in this bundle is padded")


_FILE = (
    _case("empty", "An empty file.", "not JSON", _raw(lambda _: b"")),
    _case("not-json", "A PDF, or anything else.", "not JSON", _raw(lambda _: b"%PDF-1.7\n")),
    _case(
        "not-an-object", "The bundle inside a list.", "not a JSON object", _raw(lambda raw: b"[" + raw + b"]")
    ),
    _case("truncated", "The last byte is missing.", "not JSON", _raw(lambda raw: raw[:-1])),
    _case("trailing-garbage", "Something follows the bundle.", "not JSON", _raw(lambda raw: raw + b"{}")),
    _case(
        "byte-order-mark",
        "A byte order mark, which some readers drop.",
        "not JSON",
        _raw(lambda raw: b"\xef\xbb\xbf" + raw),
    ),
    _case(
        "invalid-utf8",
        "A byte that UTF-8 does not have, which some readers replace.",
        "not UTF-8",
        _member(b'"x":"\xff"'),
    ),
    _case(
        "lone-surrogate",
        "Half of a surrogate pair, which is no character.",
        "surrogate",
        _member(rb'"x":"\ud800"'),
    ),
    _case(
        "duplicate-key",
        "A key twice: some readers take the first value, some the last.",
        "twice",
        _member(b'"receipt":null'),
    ),
    _case("nan", "NaN is not JSON.", "NaN", _member(b'"x":NaN')),
    _case("infinity", "Infinity is not JSON.", "Infinity", _member(b'"x":-Infinity')),
    _case("float-overflow", "A number that becomes infinite.", "too large", _member(b'"x":1e999')),
    _case(
        "integer-too-large",
        "An integer beyond 2^53, which many readers round.",
        "beyond 2^53",
        _member(b'"x":9007199254740993'),
    ),
    _case(
        "integer-of-5000-digits",
        "An integer that takes long to read.",
        "beyond 2^53",
        _member(b'"x":' + b"9" * 5000),
    ),
    _case("deep", "500 lists inside each other.", "deep", _member(b'"x":' + b"[" * 500 + b"]" * 500)),
    _case(
        "very-deep",
        "20,000 lists inside each other, enough to exhaust a stack.",
        "deep",
        _member(b'"x":' + b"[" * 20000 + b"]" * 20000),
    ),
    _case("huge", "More than 1 MiB: spaces.", "more than 1048576", _raw(lambda raw: raw + b" " * (1 << 20))),
)

_BUNDLE = (
    _case(
        "bundle-version-2",
        "A bundle of another version.",
        "version 1",
        _outer(mediaType="application/vnd.rasura.bundle+json;version=2"),
    ),
    _case(
        "bundle-unknown-member",
        "Nothing signs the bundle itself, so it has no members that a reader passes over.",
        "does not know",
        _bundle(lambda one: {**one, "note": "verified by the ministry"}),
    ),
    _case(
        "no-receipt-member", "The receipt is null or text, never left out.", "missing", _outer(receipt=...)
    ),
    _case("receipt-number", "The receipt is null or text.", "neither text nor null", _outer(receipt=1)),
    _case(
        "envelope-unknown-member",
        "DSSE has three members.",
        "does not know",
        _outer(envelope=lambda one: {**one, "payloads": []}),
    ),
    _case(
        "signature-without-keyid",
        "A signature names its key.",
        "keyid",
        _outer(envelope__signatures__0__keyid=...),
    ),
    _case(
        "base64-url",
        "The alphabet for URLs: another text for the same bytes.",
        "base64",
        _outer(chain__0=lambda text: "-" + text[1:]),
    ),
    _case(
        "base64-newline",
        "A line end in base64.",
        "base64",
        _outer(envelope__payload=lambda text: text + "\n"),
    ),
    _case(
        "base64-loose-bits",
        "Bits in the padding that mean nothing: another text for the same bytes.",
        "canonical",
        _bundle(_padded),
    ),
    _case(
        "chain-not-der",
        "A signing certificate that is none.",
        "X.509",
        _outer(chain__0=base64.b64encode(b"certificate").decode()),
    ),
    _case(
        "chain-name-of-bits",
        "A name in a signing certificate is a string of bits, and no text.",
        "malformed",
        _outer(chain__0=lambda text: b64(_with_bits(base64.b64decode(text)))),
    ),
    _case(
        "chain-name-not-read",
        "A signing certificate has an alternative name of a kind that is not read: an X.400 address.",
        "malformed",
        lambda: made(chain=(station(names=bytes.fromhex("3002a300")), site())),
    ),
    _case(
        "receipt-of-another-version",
        "A receipt of a version that nobody has defined.",
        "not a receipt",
        _outer(receipt=lambda text: text.replace("@v1", "@v2", 1)),
    ),
    _case(
        "receipt-extra-line",
        "A line in the receipt that nothing authenticates.",
        "not a receipt",
        _outer(receipt=lambda text: text.replace("\nindex", "\nextra aGVsbG8=\nindex", 1)),
    ),
    _case(
        "receipt-index-with-zeros",
        "An index with leading zeros: another text for the same number.",
        "not a receipt",
        _outer(receipt=lambda text: text.replace("index 3", "index 03", 1)),
    ),
    _case(
        "proof-hash-short",
        "A hash of 31 bytes.",
        "not a list of hashes",
        _outer(
            receipt=lambda text: "\n".join(
                base64.b64encode(base64.b64decode(line)[:31]).decode() if number == 2 else line
                for number, line in enumerate(text.split("\n"))
            )
        ),
    ),
    _case(
        "checkpoint-root-short",
        "A root of 31 bytes.",
        "root hash",
        _outer(
            receipt=lambda text: "\n\n".join(
                part.rpartition("\n")[0] + "\n" + base64.b64encode(bytes(31)).decode()
                if number == 1
                else part
                for number, part in enumerate(text.split("\n\n"))
            )
        ),
    ),
)

_STATEMENT = (
    _case("payload-not-json", "What was signed is no JSON.", "not JSON", _payload(lambda _: b"hello")),
    _case(
        "payload-duplicate-key", "A key twice, inside what was signed.", "twice", _inside(b'"predicate":{}')
    ),
    _case("payload-nan", "NaN inside what was signed.", "NaN", _inside(b'"x":NaN')),
    _case(
        "payload-invalid-utf8", "A wrong byte inside what was signed.", "UTF-8", _inside(b'"x":"\xc3\x28"')
    ),
    _case(
        "statement-v0",
        "An in-toto Statement of version 0.1.",
        "Statement v1",
        _statement(_type="https://in-toto.io/Statement/v0.1"),
    ),
    _case(
        "predicate-type-v2",
        "A major version that is not known.",
        "v1",
        _statement(predicateType="urn:rasura:erasure-certificate:v2"),
    ),
    _case(
        "predicate-type-of-another",
        "A statement about something else, honestly signed: a build's provenance.",
        "v1",
        _statement(predicateType="https://slsa.dev/provenance/v1"),
    ),
    _case(
        "predicate-type-of-a-report",
        "The claims of a certificate under the name of a machine report.",
        "malformed",
        _statement(predicateType="urn:rasura:machine-report:v1"),
    ),
    _case(
        "format-2",
        "A major version that is not known.",
        "version '2.0'",
        _statement(predicate__formatVersion="2.0"),
    ),
    _case("format-loose", "Not a version: 1.0.1.", "version", _statement(predicate__formatVersion="1.0.1")),
    _case("format-missing", "No version.", "version None", _statement(predicate__formatVersion=...)),
    _case("no-subject", "About nobody.", "subject", _statement(subject=[])),
    _case("two-subjects", "About two drives.", "subject", _statement(subject=lambda one: one * 2)),
    _case(
        "subject-digest-of-another",
        "The subject is another drive than the one that the claims describe.",
        "subject",
        _statement(subject__0__digest={"sha256": "ab" * 32}),
    ),
    _case(
        "subject-sha512",
        "A digest by another hash algorithm only.",
        "subject",
        _statement(subject__0__digest={"sha512": hashlib.sha512(b"").hexdigest()}),
    ),
    _case(
        "subject-name-of-another",
        "The digest is right, the name is another drive's: whoever reads the name is misled.",
        "subject",
        _statement(subject__0__name="drive:ANOTHER"),
    ),
    _case(
        "serial-in-the-page-of-another",
        "The identity pages were exchanged; the subject does not follow from them.",
        "subject",
        _statement(predicate__drive__identityPages__0__data=base64.b64encode(b"another").decode()),
    ),
    _case(
        "member-missing",
        "No member may be missing; what is not known is null.",
        "result",
        _statement(predicate__result=...),
    ),
    _case(
        "integer-as-text",
        "A size as text.",
        "malformed",
        _statement(predicate__drive__capacityBytes="500107862016"),
    ),
    _case("negative-size", "A negative count.", "malformed", _statement(predicate__station__sequence=-1)),
    _case(
        "integer-with-fraction",
        "A size written with a fraction.",
        "malformed",
        _payload(lambda raw: raw.replace(b'"sequence":0', b'"sequence":0.0')),
    ),
    _case(
        "null-where-something-is-needed",
        "A size that is null.",
        "malformed",
        _statement(predicate__drive__capacityBytes=None),
    ),
    _case(
        "unknown-technique",
        "A technique that this version does not know cannot be judged, so it is not accepted.",
        "malformed",
        lambda: made(certificate(PLACE, result__technique="magnet")),
    ),
    _case(
        "unknown-outcome-word",
        "An outcome that is none: Erased.",
        "malformed",
        lambda: made(certificate(PLACE, result__outcome="Erased")),
    ),
)

CASES = (*_FILE, *_BUNDLE, *_STATEMENT)
