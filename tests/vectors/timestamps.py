"""Vectors with timestamps of a third party over checkpoints: check 11."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from rasura.receipt import Receipt
from rasura.timestamp import Timestamp, checkpoint_digest
from rasura.tree import inclusion_proof, leaf_hash
from vectors.tsa import authority_of_time, changed, signer_of_time, token
from vectors.world import (
    ISSUED,
    LOGGED,
    Case,
    Made,
    b64,
    entry,
    fillers,
    made,
    note,
    revoked,
    station,
    trust,
)

__all__ = ["CASES"]

SIGNED = LOGGED + timedelta(minutes=20)
"""The larger checkpoint, of nine entries, that the log had timestamped."""
SEEN = SIGNED + timedelta(minutes=5)
"""When the authority saw it."""
HOUR = timedelta(hours=1)

_Token = Callable[[str], bytes]


def _seen(text: str) -> bytes:
    return token(text, SEEN)


def _receipt(leaf: bytes, size: int, moment: datetime, index: int = 3, **by: str) -> Receipt:
    """The leaf (its bytes) in this log when it held ``size`` entries."""
    leaves = fillers(size)
    leaves[3] = leaf_hash(leaf)
    return Receipt(index, inclusion_proof(leaves, index), note(leaves, moment, **by))


def _stamped(
    *tokens: _Token,
    size: int = 9,
    signed: datetime = SIGNED,
    index: int = 3,
    by: dict[str, str] | None = None,
    stamped: Callable[[bytes], Receipt] | None = None,
    bundle: Callable[[dict[str, Any]], dict[str, Any]] = lambda one: one,
    **changes: Any,
) -> Made:
    """A logged certificate with a timestamp for each of ``tokens``, over the log's checkpoint of ``size``."""

    def with_timestamps(value: dict[str, Any]) -> dict[str, Any]:
        claims = json.loads(base64.b64decode(value["envelope"]["payload"]))["predicate"]
        leaf = entry("erasure-certificate", claims["id"], value["envelope"], station())
        later = stamped(leaf) if stamped else _receipt(leaf, size, signed, index, **(by or {}))
        rows = [Timestamp(later, make(later.checkpoint_note)).to_json() for make in tokens or (_seen,)]
        return bundle({**value, "timestamps": rows})

    changes.setdefault("trusted", trust(timestamp_authorities=(authority_of_time(),)))
    return made(bundle=with_timestamps, **changes)


def _member(**members: Any) -> Callable[[dict[str, Any]], dict[str, Any]]:
    return lambda one: {**one, "timestamps": [{**one["timestamps"][0], **members}]}


def _other_tree(leaf: bytes) -> Receipt:
    leaves = [leaf_hash(b"another history"), *fillers(5)[1:]]
    leaves[3] = leaf_hash(leaf)
    return Receipt(3, inclusion_proof(leaves, 3), note(leaves, SIGNED))


def _case(name: str, why: str, says: str, make: Callable[[], Made], failed: str = "11 timestamp") -> Case:
    return Case(f"{name}_fail", why, make, 1, (failed,), says)


CASES = (
    Case(
        "timestamp",
        "An authority timestamped the log's checkpoint of nine entries, 20 minutes after it included this.",
        _stamped,
    ),
    Case(
        "timestamp-same-checkpoint",
        "The checkpoint of the receipt itself was timestamped.",
        lambda: _stamped(size=5, signed=LOGGED),
    ),
    Case(
        "timestamp-clocks-apart",
        "The log's clock is four minutes ahead of the authority's: two honest clocks may be.",
        lambda: _stamped(lambda text: token(text, SIGNED - timedelta(minutes=4))),
    ),
    Case(
        "timestamp-of-no-trust-file",
        "The trust file names no authority, being older: the timestamp shows and harms nothing.",
        lambda: _stamped(trusted=trust()),
    ),
    Case(
        "timestamp-by-two",
        "Two authorities; only the second is trusted here, and its timestamp holds.",
        lambda: _stamped(lambda text: token(text, SEEN, signer=signer_of_time("other time root")), _seen),
    ),
    Case(
        "timestamp-signer-expired-later",
        "The authority's signer is certified for a day: at its time that was so, and only that counts.",
        lambda: _stamped(
            lambda text: token(text, SEEN, signer=signer_of_time(end=LOGGED + timedelta(days=1)))
        ),
    ),
    Case(
        "timestamp-after-the-revocation",
        "The site's key was revoked between inclusion and timestamp: that it is older is the log's word.",
        lambda: _stamped(
            trusted=trust(
                timestamp_authorities=(authority_of_time(),),
                revoked=revoked("site Workshop", LOGGED + timedelta(minutes=10)),
            )
        ),
    ),
    _case(
        "timestamp-of-another-digest",
        "A token over something else altogether.",
        "another text",
        lambda: _stamped(lambda text: token(text, SEEN, digest=checkpoint_digest("something else\n"))),
    ),
    _case(
        "timestamp-of-another-checkpoint",
        "A token over an earlier checkpoint of the same log.",
        "another text",
        lambda: _stamped(lambda _: token(note(fillers(3), LOGGED - HOUR), SEEN)),
    ),
    _case(
        "timestamp-by-an-unknown-authority",
        "An authority that nobody here trusts, and no other.",
        "no trusted timestamp authority",
        lambda: _stamped(lambda text: token(text, SEEN, signer=signer_of_time("other time root"))),
    ),
    _case(
        "timestamp-by-the-registry",
        "The registry's own authority certified the signer: it may certify sites, and no timestamps.",
        "no trusted timestamp authority",
        lambda: _stamped(lambda text: token(text, SEEN, signer=signer_of_time("authority"))),
    ),
    _case(
        "timestamp-changed",
        "The time in the token was moved after it was signed.",
        "does not hold",
        lambda: _stamped(lambda text: changed(token(text, SEEN - 2 * HOUR))),
    ),
    _case(
        "timestamp-signer-without-usage",
        "The authority certified a key, and not for timestamping (RFC 3161 section 2.3).",
        "does not hold",
        lambda: _stamped(lambda text: token(text, SEEN, signer=signer_of_time(eku=False))),
    ),
    _case(
        "timestamp-signer-expired",
        "The signer's certificate had ended when it signed.",
        "expired",
        lambda: _stamped(
            lambda text: token(text, SEEN, signer=signer_of_time(end=ISSUED + timedelta(days=9)))
        ),
    ),
    _case(
        "timestamp-before-the-log",
        "The log dates its checkpoint two hours after the authority had seen it: it gives a wrong time.",
        "wrong time",
        lambda: _stamped(lambda text: token(text, SIGNED - 2 * HOUR)),
    ),
    _case(
        "timestamp-of-an-older-date",
        "The log dates the larger checkpoint, which was timestamped, before the one of the receipt.",
        "dates it earlier",
        lambda: _stamped(signed=LOGGED - HOUR),
    ),
    _case(
        "timestamp-of-another-leaf",
        "The proof leads from another entry to the checkpoint that was timestamped.",
        "does not lead to the root",
        lambda: _stamped(index=4),
    ),
    _case(
        "timestamp-of-another-tree",
        "The checkpoint that was timestamped is of another history with as many entries.",
        "two different trees",
        lambda: _stamped(stamped=_other_tree),
    ),
    _case(
        "timestamp-of-another-log",
        "The checkpoint that was timestamped is one that no trusted log signed.",
        "no signature by a key that we know",
        lambda: _stamped(by={"by": "stranger"}),
    ),
    _case(
        "timestamp-not-der",
        "The token is no DER.",
        "no timestamp in DER",
        lambda: _stamped(lambda _: b"not a token"),
    ),
    _case(
        "timestamp-with-garbage",
        "Bytes follow the token.",
        "no timestamp in DER",
        lambda: _stamped(lambda text: token(text, SEEN) + b"\0"),
    ),
    _case(
        "timestamps-empty",
        "A list of no timestamps: none is said by leaving the member out, and in no other way.",
        "1 to 8",
        lambda: _stamped(bundle=lambda one: {**one, "timestamps": []}),
        "1 bundle",
    ),
    _case(
        "timestamps-too-many",
        "Nine timestamps: it takes time to look at them, and nobody needs so many.",
        "1 to 8",
        lambda: _stamped(bundle=lambda one: {**one, "timestamps": one["timestamps"] * 9}),
        "1 bundle",
    ),
    _case(
        "timestamp-without-a-receipt",
        "A timestamp over a checkpoint, and no receipt of the entry.",
        "no receipt",
        lambda: _stamped(bundle=lambda one: {**one, "receipt": None}),
        "1 bundle",
    ),
    _case(
        "timestamp-unknown-member",
        "A member of a timestamp that version 1 does not know.",
        "exactly a receipt and a token",
        lambda: _stamped(bundle=_member(colour="grey")),
        "1 bundle",
    ),
    _case(
        "timestamp-huge",
        "A token of more than 64 KiB.",
        "65536 bytes",
        lambda: _stamped(bundle=_member(token=b64(b"\0" * 65537))),
        "1 bundle",
    ),
)
