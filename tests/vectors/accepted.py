"""Vectors that are genuine, judged by an auditor's rules in ``accept.toml``: whether they suffice."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

from msgspec.structs import replace

from rasura.checkpoint import Checkpoint
from rasura.note import Note, NoteSignature, VerifierKey, sign
from rasura.receipt import Receipt
from rasura.tree import inclusion_proof, leaf_hash
from vectors.claims import certificate, overwrite, report, sanitized
from vectors.side import by_person, decision, with_certificate
from vectors.world import LOGGED, Case, Made, fillers, log_key, made, note, receipt, station_place

__all__ = ["CASES"]

PLACE = station_place()
WITNESSES = ("witness-a.example", "witness-b.example", "witness-c.example")
CLASSES = """
[classes.internal]
methods = ["Clear", "Purge"]

[classes.confidential]
methods = ["Purge"]

[classes.secret]
methods = ["Purge"]
techniques = ["nvme-sanitize-crypto-erase"]
"""
SITES = 'version = 1\nsites = ["Atelier", "Workshop"]\n'


def _witness_key(name: str) -> str:
    return VerifierKey.of(name, log_key(name)).cosigner().encode()


def _quorum(number: int) -> str:
    keys = "".join(f'    "{_witness_key(name)}",\n' for name in WITNESSES)
    return f"version = 1\n\n[witnesses]\nquorum = {number}\nkeys = [\n{keys}]\n"


def _cosignature(name: str, text: str, by: str | None = None) -> NoteSignature:
    """Of the witness ``name``, made by the key of ``by``."""
    made_by = sign(text, name, log_key(by or name), int(LOGGED.timestamp()) + 7)
    key_id = VerifierKey.of(name, log_key(name)).cosigner().key_id
    return replace(made_by, key_id=key_id)


def _cosigned(*names: str, over: str | None = None, by: str | None = None) -> Callable[[bytes], str]:
    """The receipt of a leaf whose checkpoint they cosigned; ``over``: another text than the checkpoint's."""

    def logged(leaf: bytes) -> str:
        plain = receipt(leaf)
        signed = Note.parse(plain.checkpoint_note)
        more = tuple(_cosignature(name, over or signed.text, by) for name in names)
        cosigned = Note(signed.text, (*signed.signatures, *more)).encode()
        return replace(plain, checkpoint_note=cosigned).encode()

    return logged


def _fork(leaf: bytes) -> str:
    """The log shows this reader a tree of its own; the witnesses' words are those under the other one."""
    others = fillers(5)
    theirs = Note.parse(note(others, LOGGED)).text
    leaves = [*others[:3], leaf_hash(leaf), others[4]]
    ours = Note.parse(note(leaves, LOGGED))
    more = tuple(_cosignature(name, theirs) for name in WITNESSES)
    forked = Note(ours.text, (*ours.signatures, *more)).encode()
    assert Checkpoint.parse(theirs).size == Checkpoint.parse(ours.text).size
    return Receipt(3, inclusion_proof(leaves, 3), forked).encode()


def _case(name: str, why: str, accept: str, says: str, make: Callable[[], Made] = made) -> Case:
    def with_rules() -> Made:
        return dataclasses.replace(make(), accept=accept)

    return Case(f"accept-{name}", why, with_rules, 3 if name.endswith("_fail") else 0, (), says)


def _logged(how: Any) -> Callable[[], Made]:
    return lambda: made(start=False, logged=how)


def _machine() -> Made:
    """A report whose one drive was cleared, and its certificate."""
    one = made(certificate(station_place(0)))
    import base64
    import hashlib
    import json

    payload = base64.b64decode(json.loads(one.bundle)["envelope"]["payload"])
    digest = hashlib.sha256(payload).hexdigest()
    drive = overwrite("VECTOR-1", "00000000-0000-4000-8000-000000000001", digest)
    whole = made(report(station_place(1, digest), [drive]))
    return Made(whole.bundle, whole.trust, {"certificate.json": one.bundle})


A, B, C = WITNESSES
CASES = (
    _case(
        "witnessed",
        "Two of three witnesses cosigned, and two are asked for.",
        _quorum(2),
        "GENUINE",
        _logged(_cosigned(A, C)),
    ),
    _case(
        "witnessed-with-a-broken-line",
        "Two witnesses cosigned. A third one's line does not hold, which anybody could have added.",
        _quorum(2),
        "GENUINE",
        _logged(lambda leaf: _with_broken(leaf)),  # noqa: PLW0108  it is written out below
    ),
    _case(
        "too-few-witnesses_fail",
        "One of three witnesses cosigned, and two are asked for.",
        _quorum(2),
        "1 did (witness-b.example)",
        _logged(_cosigned(B)),
    ),
    _case("no-witness_fail", "Nobody cosigned.", _quorum(1), "0 did", made),
    _case(
        "witness-twice_fail",
        "One witness cosigned, and its line stands there twice: it counts once at most.",
        _quorum(2),
        "0 did",
        _logged(_cosigned(A, A)),
    ),
    _case(
        "witness-forged_fail",
        "The lines bear the names of witnesses; the log's own key made them.",
        _quorum(2),
        "0 did",
        _logged(_cosigned(A, B, C, by="log")),
    ),
    _case(
        "witnessed-another-tree_fail",
        "Two trees of one size, which no certificate names together. This reader is shown the one, with the "
        "witnesses' words under the other: they saw that, and cosigned one of them only.",
        _quorum(2),
        "0 did",
        _logged(_fork),
    ),
    _case("site", "The site is one of those whose work is accepted.", SITES, "GENUINE"),
    _case(
        "another-site_fail",
        "Certified and logged, and not among the sites whose work is accepted.",
        'version = 1\nsites = ["Atelier"]\n',
        "the site must be one of Atelier, and it is Workshop",
    ),
    _case(
        "clear-for-internal",
        "Clear suffices for internal data.",
        f'version = 1\nclass = "internal"\n{CLASSES}',
        "GENUINE",
    ),
    _case(
        "clear-for-confidential_fail",
        "Clear does not suffice for confidential data.",
        f'version = 1\nclass = "confidential"\n{CLASSES}',
        "for confidential data Purge is needed",
    ),
    _case(
        "purge-for-confidential",
        "Purge does.",
        f'version = 1\nclass = "confidential"\n{CLASSES}',
        "GENUINE",
        lambda: made(sanitized(PLACE)),
    ),
    _case(
        "another-technique_fail",
        "Purge, and not by the technique that is asked for.",
        f'version = 1\nclass = "secret"\n{CLASSES}',
        "nvme-sanitize-crypto-erase is needed",
        lambda: made(sanitized(PLACE)),
    ),
    _case(
        "class-of-the-certificate_fail",
        "The certificate says that the drive held confidential data, and Clear does not suffice for that.",
        f'version = 1\nclass = "internal"\n{CLASSES}',
        "for confidential data Purge is needed",
        lambda: made(certificate(PLACE, preErasureCategorization="confidential")),
    ),
    _case(
        "class-without-a-rule_fail",
        "The certificate names a class of which the rules say nothing.",
        f"version = 1\n{CLASSES}",
        "no rule for data of the class medical",
        lambda: made(certificate(PLACE, preErasureCategorization="medical")),
    ),
    _case(
        "class-unknown_fail",
        "Nobody says which class of data the drive held.",
        f"version = 1\n{CLASSES}",
        "nobody says",
    ),
    _case(
        "unlogged",
        "The rules ask for no log.",
        "version = 1\nlogged = false\n",
        "GENUINE",
        lambda: made(logged=None),
    ),
    _case(
        "unlogged_fail",
        "In no log yet, and the rules ask for one.",
        SITES,
        "it must be in a trusted log",
        lambda: made(logged=None),
    ),
    _case(
        "every-rule_fail",
        "Three rules that are not met: each is said.",
        f"{_quorum(2)}{CLASSES}".replace(
            "version = 1", 'version = 1\nclass = "confidential"\nsites = ["Atelier"]'
        ),
        "for confidential data Purge is needed",
    ),
    _case(
        "machine-below-the-class_fail",
        "A drive of the machine was cleared, and its data were confidential.",
        f'version = 1\nclass = "confidential"\n{CLASSES}',
        "drive VECTOR-1 was erased by Clear",
        _machine,
    ),
    _case(
        "statement",
        "A person accepted a certificate. Rules for the work on a drive are none for their word.",
        'version = 1\nsites = ["Atelier"]\nclass = "secret"\n' + CLASSES,
        "GENUINE: accepted by operator 7",
        lambda: with_certificate(by_person(decision())),
    ),
    _case(
        "statement-no-witness_fail",
        "A person accepted a certificate, and nobody cosigned the log that holds their word.",
        _quorum(1),
        "0 did",
        lambda: with_certificate(by_person(decision())),
    ),
)


def _with_broken(leaf: bytes) -> str:
    text = _cosigned(A, B)(leaf)
    broken = _cosignature(C, "another text\n")
    line = Note("x\n", (broken,)).encode().removeprefix("x\n\n")
    return text + line
