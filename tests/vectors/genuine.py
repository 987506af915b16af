"""Vectors that must be accepted."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from rasura.checkpoint import Checkpoint, sign_checkpoint
from rasura.receipt import Receipt
from rasura.tree import leaf_hash, node_hash
from vectors.claims import CAPACITY, certificate, command, edited, sanitized
from vectors.world import (
    LOGGED,
    ORIGIN,
    STARTED,
    YEAR,
    Case,
    Made,
    fillers,
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


def _weaker() -> Made:
    return made(certificate(PLACE, request__method="Purge", request__weakerAllowed=True))


def _r1() -> Made:
    return made(
        sanitized(
            PLACE,
            result__technique="nvme-format-user-data-erase",
            result__basis="NIST SP 800-88r1 A-8",
            plan__technique="nvme-format-user-data-erase",
            plan__basis="NIST SP 800-88r1 A-8",
            commands=[command("FORMAT NVM (SES 1)")],
        )
    )


def resumed(**changes: object) -> dict[str, object]:
    """An overwrite that a power cut interrupted half-way."""
    return {
        "interruptions": [{"step": 1, "position": CAPACITY // 2, "bytesWritten": CAPACITY // 2}],
        "bytesBefore": CAPACITY // 2,
        "bytesNow": CAPACITY - CAPACITY // 2,
        "durationBeforeMs": 1000,
        "firstStartedAt": "2026-03-01T16:00:00Z",
        "checkedBytes": 1 << 20,
        "refusedBefore": [],
        **changes,
    }


def sampled(**changes: object) -> dict[str, object]:
    """Samples of an overwrite by the scheme of Rev. 1, and where the policy asked for them."""
    tenth = CAPACITY // 10 + 4096
    sampling = {
        "sections": 1000,
        "reads": 2002,
        "plannedBytes": tenth,
        "wholeScheme": True,
        **dict.fromkeys(("granuleBytes", "witnesses", "content", "entropyBefore", "entropyAfter")),
    }
    return {
        "request__readBack": "sampled",
        "verification__method": "sampled-read-back",
        "verification__evidence": "sampled-read-back",
        "verification__seed": "00" * 16,
        "verification__coverage": {"bytesRead": tenth, "bytesTotal": CAPACITY},
        "verification__sampling": sampling,
        **changes,
    }


def _deep_tree(leaf: bytes) -> str:
    """Entry 73,000,000 of 100,000,000: the root follows from the proof."""
    index, size = 73_000_000, 100_000_000
    fn, sn, computed, proof = index, size - 1, leaf_hash(leaf), []
    while sn:
        if fn & 1 or fn < sn:
            sibling = fillers(len(proof) + 1)[-1]
            proof.append(sibling)
            computed = node_hash(sibling, computed) if fn & 1 else node_hash(computed, sibling)
        fn >>= 1
        sn >>= 1
    signed_note = sign_checkpoint(log_key(), Checkpoint(ORIGIN, size, computed), int(LOGGED.timestamp()))
    return Receipt(index, tuple(proof), signed_note).encode()


def _witnessed(leaf: bytes) -> str:
    plain = receipt(leaf)
    text = plain.checkpoint_note.partition("\n\n")[0] + "\n"
    cosigned = sign_checkpoint(log_key("witness"), Checkpoint.parse(text), int(LOGGED.timestamp()))
    line = cosigned.splitlines()[-1].replace(ORIGIN, "witness.example", 1)
    return Receipt(plain.index, plain.proof, f"{plain.checkpoint_note}{line}\n").encode()


def _dead_clock() -> Made:
    began = datetime(2010, 1, 1, tzinfo=UTC)
    claims = certificate(
        PLACE, result__startedAt="2010-01-01T00:10:00Z", result__finishedAt="2010-01-01T02:10:00Z"
    )
    return made(claims, chain=(station(begin=began, end=began + timedelta(days=7)), site()))


def _accents() -> Made:
    name = "Atelier Échange à côté"
    claims = certificate(station_place(site=name, operator="opératrice-2"), serial="S/N 42 ✓")
    return made(claims, chain=(station(at=name), site(name)))


CASES = (
    Case("overwrite", "A hard disk overwritten with zeroes and read back in full; entry 3 of 5.", made),
    Case(
        "purge",
        "An NVMe drive purged by its own sanitize command, looked at by marks and samples.",
        lambda: made(sanitized(PLACE)),
    ),
    Case("purge-by-r1", "Format NVM is a Purge for the withdrawn Rev. 1, and the basis says so.", _r1),
    Case("weaker-allowed", "Purge was asked for, Clear achieved, and the policy allowed that.", _weaker),
    Case(
        "resumed",
        "A power cut interrupted the overwrite; a later boot went on and read everything back.",
        lambda: made(certificate(PLACE, result__resumed=resumed())),
    ),
    Case(
        "sampled",
        "The policy asked for samples by the scheme of SP 800-88 Rev. 1, and a tenth was read back.",
        lambda: made(certificate(PLACE, **sampled())),
    ),
    Case(
        "unknown-members",
        "A later minor version has members that this one does not know: they are kept, and named.",
        lambda: made(
            edited(certificate(PLACE), formatVersion="1.7"),
            document=lambda one: {
                **edited(one, predicate__drive=lambda drive: {**drive, "colour": "grey"}),
                "annotations": {"weather": "fair"},
            },
        ),
    ),
    Case(
        "first-entry",
        "The first entry of a log: the proof is empty. The job began without a log.",
        lambda: made(start=False, sequence=(0, 1)),
    ),
    Case(
        "deep-tree",
        "Entry 73,000,000 of a log of 100,000,000, with a proof of 27 hashes.",
        lambda: made(logged=_deep_tree),
    ),
    Case(
        "witnessed",
        "A witness cosigned the checkpoint; who does not know the witness passes over its line.",
        lambda: made(logged=_witnessed),
    ),
    Case(
        "certified-longer-ago",
        "The station's certificate had ended when the log included this, days later: only the site's counts.",
        lambda: made(logged=LOGGED + timedelta(days=60)),
    ),
    Case(
        "dead-clock",
        "The PC believes that it is 2010. Its times fit its certificate, made by the same clock.",
        _dead_clock,
    ),
    Case("accents", "Names of site and operator, and a serial number, are any text in UTF-8.", _accents),
    Case(
        "revoked-later",
        "The site's key was revoked after the log had included this: what was signed before stands.",
        lambda: made(trusted=trust(revoked=revoked("site Workshop", LOGGED + timedelta(days=1)))),
    ),
    Case(
        "start-of-an-unknown-log",
        "The checkpoint of its start is of a log that is not trusted here: it shows and harms nothing.",
        lambda: made(
            edited(
                certificate(PLACE),
                notBefore={
                    "checkpoint": note(fillers(900), STARTED + YEAR, origin="other.example", by="other")
                },
            )
        ),
    ),
)
