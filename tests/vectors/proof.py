"""Vectors whose signature, chain, log or time does not hold: checks 2 to 5 and 7 to 10; one not logged."""

from __future__ import annotations

import base64
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding
from msgspec.structs import replace

from rasura.note import Note, VerifierKey
from rasura.strict_json import dumps
from rasura.tree import leaf_hash, root_hash
from vectors.claims import certificate, edited, statement
from vectors.world import (
    ISSUED,
    LOGGED,
    SITE,
    STARTED,
    WEEK,
    YEAR,
    Case,
    Made,
    authority,
    b64,
    fillers,
    issue,
    key,
    log_key,
    made,
    note,
    receipt,
    revoked,
    site,
    station,
    station_place,
    trust,
)

__all__ = ["CASES"]

PLACE = station_place()
N = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551


def _case(name: str, why: str, failed: str, says: str, make: Callable[[], Made]) -> Case:
    return Case(f"{name}_fail", why, make, 1, tuple(failed.split(", ")), says)


def _high(signature: bytes) -> bytes:
    r, s = decode_dss_signature(signature)
    return encode_dss_signature(r, max(s, N - s))


def _flip(text: str, position: int = 40) -> str:
    raw = bytearray(base64.b64decode(text))
    raw[position] ^= 1
    return b64(bytes(raw))


def _outer(**changes: Any) -> Made:
    return made(bundle=lambda one: edited(one, **changes))


def _plain() -> bytes:
    return dumps(statement(certificate(PLACE)))


_SIGNATURE = (
    _case(
        "payload-changed",
        "The claims were changed after they were signed: another lot.",
        "2 signature, 8 inclusion",
        "does not fit",
        lambda: _outer(
            envelope__payload=lambda text: b64(base64.b64decode(text).replace(b"LOT-1", b"LOT-2"))
        ),
    ),
    _case(
        "signature-bit-flipped",
        "One bit of the signature.",
        "2 signature, 8 inclusion",
        "does not fit",
        lambda: _outer(envelope__signatures__0__sig=_flip),
    ),
    _case(
        "payload-type-of-another",
        "Signed as something that is no in-toto statement (as in cosign's GHSA-w6c6-c85g-mmv6).",
        "2 signature",
        "payload type",
        lambda: made(payload_type="application/json"),
    ),
    _case(
        "payload-type-changed",
        "The type was changed after it was signed.",
        "2 signature",
        "payload type",
        lambda: _outer(envelope__payloadType="text/plain"),
    ),
    _case(
        "signature-over-the-bare-payload",
        "Signed without DSSE's encoding, so without the type.",
        "2 signature",
        "does not fit",
        lambda: made(start=False, over=_plain()),
    ),
    _case(
        "signature-by-another-key",
        "A key that nobody certified.",
        "2 signature",
        "another key",
        lambda: made(by=key("stranger")),
    ),
    _case(
        "signature-by-the-site",
        "The site's own key: it certifies stations and signs no statements.",
        "2 signature",
        "another key",
        lambda: made(by=key(f"site {SITE}")),
    ),
    _case(
        "keyid-of-another",
        "The signature is right and its keyid names another key.",
        "2 signature",
        "another key",
        lambda: _outer(envelope__signatures__0__keyid="ab" * 32),
    ),
    _case(
        "signature-high-s",
        "(r, n - s): anybody can write it from (r, s), and it would be another entry of the log.",
        "2 signature",
        "one way",
        lambda: made(form=_high),
    ),
    _case(
        "signature-not-der",
        "r and s as 64 bytes, not DER.",
        "2 signature",
        "one way",
        lambda: made(form=_fixed_width),
    ),
    _case(
        "signature-sha384",
        "ECDSA over another hash than SHA-256.",
        "2 signature",
        "does not fit",
        lambda: made(algorithm=hashes.SHA384()),
    ),
    _case(
        "no-signature",
        "Signed by nobody.",
        "2 signature, 8 inclusion",
        "0 signatures",
        lambda: _outer(envelope__signatures=[]),
    ),
    _case(
        "two-signatures",
        "Signed twice: the log's entry names one signature.",
        "2 signature, 8 inclusion",
        "2 signatures",
        lambda: _outer(envelope__signatures=lambda one: one * 2),
    ),
)


def _fixed_width(signature: bytes) -> bytes:
    r, s = decode_dss_signature(signature)
    return r.to_bytes(32, "big") + s.to_bytes(32, "big")


def _below_a_station() -> Made:
    """A station certifies another one."""
    below = issue("station-below", SITE, key("below"), station(), key("station"))
    claims = certificate(station_place(name="station-below"))
    return made(claims, chain=(below, station()), by=key("below"))


def _posing() -> Made:
    """Another site's key signs a certificate that names this site."""
    other = site("Other")
    posing = issue("station-vector", SITE, key("station"), site(), key("site Other"))
    return made(chain=(posing, other))


def _other_curve() -> Made:
    big = ec.derive_private_key(12345, ec.SECP384R1())
    return made(
        chain=(issue("station-vector", SITE, big, site(), key(f"site {SITE}")), site()), by=big, form=bytes
    )


def _strangers_root() -> Made:
    stranger = authority("stranger")
    other = issue(
        SITE,
        SITE,
        key(f"site {SITE}"),
        stranger,
        key("stranger"),
        path_length=0,
        begin=ISSUED,
        end=ISSUED + 2 * YEAR,
    )
    return made(chain=(station(), other))


_CHAIN = (
    _case(
        "chain-to-another-root",
        "Site and station are certified by an authority that is not trusted.",
        "3 chain",
        "trusted registry authority",
        _strangers_root,
    ),
    _case(
        "chain-of-the-same-name",
        "An authority of the same name with another key.",
        "3 chain",
        "trusted registry authority",
        lambda: made(trusted=trust(authorities=(_namesake(),))),
    ),
    _case(
        "chain-empty",
        "No signing certificate.",
        "2 signature, 3 chain, 4 identity, 5 clock, 8 inclusion, 9 validity",
        "no signing certificate",
        lambda: _outer(chain=[]),
    ),
    _case(
        "chain-of-one",
        "The site's certificate is missing.",
        "3 chain, 9 validity",
        "1 signing",
        lambda: made(chain=(station(),)),
    ),
    _case(
        "chain-of-three",
        "The authority's certificate comes along; whom to trust is not the bundle's business.",
        "3 chain",
        "3 signing",
        lambda: made(chain=(station(), site(), authority())),
    ),
    _case(
        "chain-reversed",
        "The site's certificate comes first.",
        "2 signature, 3 chain, 4 identity",
        "another key",
        lambda: made(chain=(site(), station())),
    ),
    _case(
        "station-self-signed",
        "The station certified itself.",
        "3 chain",
        "not issued by the site",
        lambda: made(chain=(issue("station-vector", SITE, key("station"), None, key("station")), site())),
    ),
    _case(
        "station-below-a-station",
        "A station certified another station: it is no authority.",
        "3 chain",
        "basic constraints",
        _below_a_station,
    ),
    _case(
        "station-is-an-authority",
        "The station's certificate is one of an authority.",
        "3 chain",
        "basic constraints",
        lambda: made(chain=(station(ca=True), site())),
    ),
    _case(
        "site-is-no-authority",
        "The site's certificate does not allow it to certify.",
        "3 chain",
        "basic constraints",
        lambda: made(chain=(station(), site(ca=False, path_length=None))),
    ),
    _case(
        "site-with-a-longer-path",
        "A site may certify stations and no further authorities.",
        "3 chain",
        "basic constraints",
        lambda: made(chain=(station(), site(path_length=1))),
    ),
    _case(
        "station-of-another-site",
        "A site's key certified a station under another site's name.",
        "3 chain, 4 identity",
        "another site",
        lambda: made(chain=(station(org="Other"), site())),
    ),
    _case(
        "site-posing-as-another",
        "Another site's key, this site's name as the issuer.",
        "3 chain",
        "another site",
        _posing,
    ),
    _case(
        "station-critical-extension",
        "An extension that must be understood and is not.",
        "3 chain",
        "critical extension",
        lambda: made(chain=(station(critical=True), site())),
    ),
    _case(
        "station-certificate-high-s",
        "The issuer's signature as (r, n - s): the log would take it for another entry.",
        "3 chain",
        "one way",
        lambda: made(chain=(station(high_s=True), site())),
    ),
    _case(
        "station-certificate-changed",
        "One bit of the issuer's signature.",
        "3 chain, 8 inclusion",
        "not issued",
        lambda: _outer(chain__0=lambda text: _flip(text, -1)),
    ),
    _case(
        "station-signed-with-sha384",
        "The site signed the station's certificate over another hash than SHA-256.",
        "3 chain",
        "SHA-256",
        lambda: made(chain=(station(algorithm=hashes.SHA384()), site())),
    ),
    _case(
        "station-for-years",
        "A station's certificate lasts a week; this one would outlive the theft of the site's key.",
        "3 chain",
        "more than the 7 days",
        lambda: made(chain=(station(begin=ISSUED, end=ISSUED + timedelta(days=365)), site())),
    ),
    _case("station-key-p384", "A key on another curve.", "2 signature, 3 chain", "P-256", _other_curve),
    _case(
        "claims-of-another-site",
        "The claims name a site that did not sign.",
        "4 identity",
        "site 'Elsewhere'",
        lambda: made(certificate(station_place(site="Elsewhere"))),
    ),
    _case(
        "claims-of-another-station",
        "The claims name a station that did not sign.",
        "4 identity",
        "station 'station-0'",
        lambda: made(certificate(station_place(name="station-0"))),
    ),
    _case(
        "station-not-yet-valid",
        "By its own clock the work ended before the station was certified.",
        "5 clock",
        "not valid at the time claimed",
        lambda: made(certificate(PLACE, result__finishedAt="2026-03-02T07:54:59Z")),
    ),
    _case(
        "station-expired",
        "By its own clock the work ended after the station's certificate.",
        "5 clock",
        "not valid at the time claimed",
        lambda: made(certificate(PLACE, result__finishedAt="2026-03-09T07:55:01Z")),
    ),
    _case(
        "time-with-offset",
        "A time that is not in UTC.",
        "5 clock, 6 claims",
        "not RFC 3339 in UTC",
        lambda: made(certificate(PLACE, result__finishedAt="2026-03-02T11:00:00+01:00")),
    ),
    _case(
        "time-of-iso-8601",
        "A week date: ISO 8601, and not RFC 3339.",
        "5 clock, 6 claims",
        "not RFC 3339 in UTC",
        lambda: made(certificate(PLACE, result__finishedAt="2026-W10-1T10:00:00Z")),
    ),
)


def _namesake() -> Any:
    return issue(
        "Vector authority",
        None,
        key("namesake"),
        None,
        key("namesake"),
        path_length=1,
        begin=ISSUED,
        end=ISSUED + YEAR,
    )


def _rewritten(change: Callable[[str], str]) -> Callable[[bytes], str]:
    """A receipt whose checkpoint was changed as text."""
    return lambda leaf: (
        (found := receipt(leaf)) and replace(found, checkpoint_note=change(found.checkpoint_note)).encode()
    )


def _other_root(text: str) -> str:
    lines = text.split("\n")
    lines[2] = b64(root_hash(fillers(7)))
    return "\n".join(lines)


def _without_time(text: str) -> str:
    read = Note.parse(text)
    return replace(read, signatures=read.signatures[:1]).encode()


def _only_time(text: str) -> str:
    read = Note.parse(text)
    return replace(read, signatures=read.signatures[1:]).encode()


def _signed_by(name: str) -> Callable[[bytes], str]:
    def make(leaf: bytes) -> str:
        leaves = fillers(5)
        leaves[3] = leaf_hash(leaf)
        return replace(receipt(leaf), checkpoint_note=note(leaves, LOGGED, by=name)).encode()

    return make


def _another_log(leaf: bytes) -> str:
    """A trusted log's key signs under the name of another log."""
    leaves = fillers(5)
    leaves[3] = leaf_hash(leaf)
    return replace(receipt(leaf), checkpoint_note=note(leaves, LOGGED, origin="other.example")).encode()


def _changed_receipt(**changes: Any) -> Callable[[bytes], str]:
    return lambda leaf: replace(receipt(leaf), **changes).encode()


def _proof(change: Callable[[tuple[bytes, ...]], tuple[bytes, ...]]) -> Callable[[bytes], str]:
    return lambda leaf: (found := receipt(leaf)) and replace(found, proof=change(found.proof)).encode()


_LOG = (
    _case(
        "log-not-trusted",
        "A log that the trust file does not name.",
        "7 checkpoint",
        "signature by a key that we know",
        lambda: made(trusted=trust(logs=(VerifierKey.of("other.example", log_key("other")),)), start=False),
    ),
    _case(
        "log-of-no-trust-file",
        "The trust file names no log at all.",
        "7 checkpoint",
        "key that we know",
        lambda: made(trusted=trust(logs=()), start=False),
    ),
    _case(
        "log-with-another-key",
        "Another key signs under the name of the log.",
        "7 checkpoint",
        "key that we know",
        lambda: made(logged=_signed_by("impostor")),
    ),
    _case(
        "log-under-another-name",
        "The log's own key signs the checkpoint of another log.",
        "7 checkpoint",
        "key that we know",
        lambda: made(logged=_another_log),
    ),
    _case(
        "checkpoint-changed",
        "Another root under the log's signatures.",
        "7 checkpoint",
        "does not fit",
        lambda: made(logged=_rewritten(_other_root)),
    ),
    _case(
        "checkpoint-by-the-clock-only",
        "The log's time-stamped signature without its own.",
        "7 checkpoint",
        "not signed by that log",
        lambda: made(logged=_rewritten(_only_time)),
    ),
    _case(
        "checkpoint-without-time",
        "The log does not say when it signed, so nobody knows whether the site's certificate was valid.",
        "9 validity",
        "did not say when",
        lambda: made(logged=_rewritten(_without_time)),
    ),
    _case(
        "proof-for-another-leaf",
        "The receipt of another certificate.",
        "8 inclusion",
        "does not lead",
        lambda: made(logged=lambda _leaf: receipt(b"another leaf").encode()),
    ),
    _case(
        "proof-of-another-place",
        "The right proof at another index.",
        "8 inclusion",
        "does not lead",
        lambda: made(start=False, logged=_changed_receipt(index=2)),
    ),
    _case(
        "index-beyond-the-log",
        "An index that the tree does not have.",
        "8 inclusion",
        "no leaf 5",
        lambda: made(logged=_changed_receipt(index=5)),
    ),
    _case(
        "proof-too-short",
        "A hash of the proof is missing.",
        "8 inclusion",
        "too short",
        lambda: made(logged=_proof(lambda proof: proof[:-1])),
    ),
    _case(
        "proof-too-long",
        "A hash too many.",
        "8 inclusion",
        "too long",
        lambda: made(logged=_proof(lambda proof: (*proof, proof[0]))),
    ),
    _case(
        "proof-hash-changed",
        "One bit of one hash.",
        "8 inclusion",
        "does not lead",
        lambda: made(logged=_proof(lambda proof: (bytes([proof[0][0] ^ 1]) + proof[0][1:], *proof[1:]))),
    ),
    _case(
        "log-includes-the-payload-only",
        "The leaf is of the payload and not of the entry: a node that was never a leaf must not count.",
        "8 inclusion",
        "does not lead",
        lambda: made(logged=lambda _leaf: receipt(_plain()).encode()),
    ),
    _case(
        "log-includes-another-chain",
        "The entry names another signing certificate for the same key.",
        "8 inclusion",
        "does not lead",
        lambda: made(
            bundle=lambda one: {
                **one,
                "chain": [b64(station(end=STARTED + WEEK / 2).public_bytes(Encoding.DER)), one["chain"][1]],
            }
        ),
    ),
    _case(
        "site-expired",
        "The site's certificate had ended when the log included this.",
        "9 validity",
        "was not valid on",
        lambda: made(logged=ISSUED + 3 * YEAR),
    ),
    _case(
        "site-not-yet-valid",
        "The log included this before the site was certified.",
        "9 validity, 10 start",
        "was not valid on",
        lambda: made(logged=ISSUED - timedelta(days=1)),
    ),
    _case(
        "site-revoked",
        "The site's key was revoked before the log included this.",
        "9 validity",
        "revoked",
        lambda: made(trusted=trust(revoked=revoked(f"site {SITE}", LOGGED))),
    ),
    _case(
        "station-revoked",
        "The station's key was revoked before the log included this.",
        "9 validity",
        "revoked",
        lambda: made(trusted=trust(revoked=revoked("station", LOGGED - timedelta(hours=1)))),
    ),
    _case(
        "revoked-and-not-logged",
        "A revoked key, and no log says that it signed before.",
        "9 validity",
        "revoked",
        lambda: made(logged=None, trusted=trust(revoked=revoked("station", LOGGED + YEAR))),
    ),
)


def _began(text: str, **more: Any) -> Made:
    return made(edited(certificate(PLACE), notBefore={"checkpoint": text}), **more)


_START = (
    _case(
        "start-forged",
        "The checkpoint of its start was changed: another root under the log's signature.",
        "10 start",
        "does not fit",
        lambda: _began(_other_root(note(fillers(3), STARTED))),
    ),
    _case(
        "start-not-a-note",
        "The checkpoint of its start is no signed note.",
        "10 start",
        "does not hold",
        lambda: _began("yes"),
    ),
    _case(
        "log-rolled-back",
        "The log held 900 entries when it began, and yet this is entry 3: the log was set back.",
        "10 start",
        "held 900 entries",
        lambda: _began(note(fillers(900), STARTED)),
    ),
    _case(
        "split-view",
        "Two different trees of five entries, both signed by the log: it shows each reader another.",
        "10 start",
        "two different trees",
        lambda: _began(note(fillers(5), STARTED)),
    ),
    _case(
        "log-time-goes-back",
        "The log included it before the checkpoint that it began with was signed.",
        "10 start",
        "before the checkpoint",
        lambda: _began(note(fillers(3), LOGGED + timedelta(hours=1))),
    ),
)

_POLICY = (
    Case(
        "not-logged_fail",
        "Genuine as far as it goes, and in no log: it may have been made yesterday with a key stolen then.",
        lambda: made(logged=None),
        3,
        (),
        "NOT ACCEPTED",
    ),
)

CASES = (*_SIGNATURE, *_CHAIN, *_LOG, *_START, *_POLICY)
