"""RFC 3161 timestamps over checkpoints: a third party's word on "not after". Pure.

In a bundle, one of them is::

    {"receipt": "<C2SP tlog-proof of this entry in the checkpoint that was timestamped>",
     "token":   "<DER of the RFC 3161 TimeStampToken, base64>"}

The token's imprint is the SHA-256 of that receipt's checkpoint: the signed note's bytes as they stand after
the first empty line, every signature line included. So a log that signed an entry, and an authority that saw
it, are held together, whichever of its later checkpoints the log had timestamped. See
``certs/decisions/timestamps.md``.
"""

from __future__ import annotations

import base64
import hashlib
import re
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import msgspec
from cryptography import x509

from rasura.base64_text import canonical_base64
from rasura.checkpoint import OpenedCheckpoint, open_checkpoint
from rasura.der import der_value
from rasura.errors import RasuraError
from rasura.note import VerifierKey
from rasura.receipt import Receipt
from rasura.tree import verify_inclusion

if TYPE_CHECKING:
    # It takes 35 ms to load, which only bundles with a timestamp need.
    from rfc3161_client import Accuracy, TimeStampResponse

__all__ = [
    "CLOCK_TOLERANCE",
    "MAX_TIMESTAMPS",
    "MAX_TOKEN_BYTES",
    "Timestamp",
    "TimestampError",
    "Timestamped",
    "checkpoint_digest",
    "claimed_time",
    "look_at_timestamps",
    "open_response",
    "verify_token",
]

MAX_TOKEN_BYTES = 64 * 1024
"""A token with its certificates has 1 to 7 kB."""

MAX_TIMESTAMPS = 8
"""Of one bundle: by two authorities, and again before an algorithm ages, is four."""

CLOCK_TOLERANCE = timedelta(minutes=5)
"""How far the clocks of an honest log and an honest authority may be apart."""

_SHA256 = x509.ObjectIdentifier("2.16.840.1.101.3.4.2.1")
_GRANTED = bytes.fromhex("3003020100")
"""PKIStatusInfo of a granted request (RFC 3161 section 2.4.2)."""

_REASON = re.compile(r'Verify error: ?([^"\\]+)')
_UNREADABLE = (ValueError, TypeError, OverflowError, x509.InvalidVersion, x509.DuplicateExtension)


class TimestampError(RasuraError):
    """A timestamp is malformed, or does not hold."""


class Timestamp(msgspec.Struct, frozen=True):
    """A token, and the receipt that leads from the entry to the checkpoint it was made over.

    Well-formed as far as base64 and the receipt go; whether it holds is for :func:`look_at_timestamps`.
    """

    receipt: Receipt
    token: bytes

    def __post_init__(self) -> None:
        if not 0 < len(self.token) <= MAX_TOKEN_BYTES:
            raise TimestampError(f"a timestamp's token has 1 to {MAX_TOKEN_BYTES} bytes")

    def to_json(self) -> dict[str, str]:
        """The value that :meth:`from_json` reads."""
        return {"receipt": self.receipt.encode(), "token": base64.b64encode(self.token).decode()}

    @classmethod
    def from_json(cls, value: Any) -> Timestamp:
        """Read one; raises :class:`TimestampError` or ``ReceiptError``."""
        match value:
            case {"receipt": str(receipt), "token": str(token), **more} if not more:
                return cls(
                    Receipt.parse(receipt), canonical_base64(token, "a timestamp's token", TimestampError)
                )
            case _:
                raise TimestampError("a timestamp has exactly a receipt and a token, both text")


class Timestamped(msgspec.Struct, frozen=True):
    """What a bundle's timestamps come to: why they do not hold, or by when the log held the entry."""

    problem: str | None
    by: datetime | None = None


def checkpoint_digest(note: str) -> bytes:
    """What an authority is asked to timestamp: SHA-256 of the signed note's bytes."""
    return hashlib.sha256(note.encode()).digest()


def verify_token(
    token: bytes, note: str, authorities: tuple[x509.Certificate, ...], *, nonce: int | None = None
) -> datetime:
    """When the token says that the checkpoint ``note`` was there, at the latest.

    It holds when one of the ``authorities`` (roots) certified its signer for timestamping, all valid at the
    token's own time; when its signature holds; and when it is over exactly that note, and bears ``nonce`` if
    that is given.

    Raises:
        TimestampError: it does not hold, or is not a token in DER.
    """
    found = _verified(token, note, authorities, nonce)
    if isinstance(found, str):
        raise TimestampError(found)
    return found


def claimed_time(token: bytes) -> datetime | None:
    """The time in a token, **not** verified, or ``None`` when it cannot be read."""
    try:
        return _latest(_open_token(token))
    except TimestampError:
        return None


def open_response(answer: bytes) -> tuple[int, tuple[str, ...], bytes | None]:
    """An authority's whole answer (RFC 3161 section 2.4.2): status, its words, and the token if there is one.

    Raises:
        TimestampError: it is not a TimeStampResp in DER.
    """
    response = _decode(answer)
    try:
        words = tuple(str(one) for one in response.status_string)
        token = response.time_stamp_token()
    except _UNREADABLE:
        raise TimestampError("this is no answer of a timestamp authority (RFC 3161)") from None
    return response.status, words, token or None


def look_at_timestamps(
    timestamps: tuple[Timestamp, ...],
    leaf: bytes,
    receipt: Receipt,
    held: OpenedCheckpoint,
    logs: tuple[VerifierKey, ...],
    authorities: tuple[x509.Certificate, ...],
) -> Timestamped:
    """Judge the timestamps of an entry (``leaf`` hash) whose receipt leads to the checkpoint ``held``.

    A token that no trusted authority signed is passed over where another holds. One that holds must agree
    with the log in everything.
    """
    by: datetime | None = None
    unproven: list[str] = []
    for one in timestamps:
        note = one.receipt.checkpoint_note
        try:
            moment = verify_token(one.token, note, authorities)
        except TimestampError as error:
            unproven.append(str(error))
            continue
        problem = _disagreement(one.receipt, leaf, receipt, held, logs, moment)
        if problem is not None:
            return Timestamped(problem)
        by = moment if by is None else min(by, moment)
    return Timestamped(None if by is not None else "; ".join(unproven), by)


def _disagreement(
    stamped: Receipt,
    leaf: bytes,
    receipt: Receipt,
    held: OpenedCheckpoint,
    logs: tuple[VerifierKey, ...],
    moment: datetime,
) -> str | None:
    try:
        opened = open_checkpoint(stamped.checkpoint_note, logs)
        size, root = opened.checkpoint.size, opened.checkpoint.root_hash
        verify_inclusion(leaf, stamped.index, size, stamped.proof, root)
    except RasuraError as error:
        return f"the checkpoint that was timestamped does not hold this certificate: {error}"
    if opened.checkpoint.origin != held.checkpoint.origin or stamped.index != receipt.index:
        return "the checkpoint that was timestamped has it at another place than the receipt"
    if size == held.checkpoint.size and root != held.checkpoint.root_hash:
        return f"the log signed two different trees of {size} entries: it shows each reader another"
    return _false_time(held, opened, moment)


def _false_time(held: OpenedCheckpoint, opened: OpenedCheckpoint, moment: datetime) -> str | None:
    if opened.timestamp is None:
        return "the log did not say when it signed the checkpoint that was timestamped"
    later = held.checkpoint.size <= opened.checkpoint.size
    if later and held.timestamp is not None and held.timestamp > opened.timestamp:
        return "the checkpoint that was timestamped is the larger one, and yet the log dates it earlier"
    said = datetime.fromtimestamp(opened.timestamp, UTC)
    if said > moment + CLOCK_TOLERANCE:
        return (
            f"the log dates its checkpoint {said:%Y-%m-%d %H:%M} UTC, and a timestamp authority "
            f"had seen it by {moment:%Y-%m-%d %H:%M} UTC: the log gives a wrong time"
        )
    return None


@lru_cache(maxsize=256)
def _verified(
    token: bytes, note: str, authorities: tuple[x509.Certificate, ...], nonce: int | None
) -> datetime | str:
    """The time or the problem, remembered: every bundle of an hour bears the same token."""
    from rfc3161_client import VerificationError, VerifierBuilder  # noqa: PLC0415  see above

    if not authorities:
        return "there is no timestamp authority to trust"
    try:
        response = _open_token(token)
        imprint = response.tst_info.message_imprint
        if imprint.hash_algorithm != _SHA256 or imprint.message != checkpoint_digest(note):
            return "the token is over another text than this checkpoint"
        VerifierBuilder(roots=list(authorities), nonce=nonce).build().verify(response, imprint.message)
        return _latest(response)
    except TimestampError as error:
        return str(error)
    except VerificationError as error:
        return f"the token does not hold: {_words(str(error))}"
    except _UNREADABLE:
        return "the token cannot be read"


def _open_token(token: bytes) -> TimeStampResponse:
    response = _decode(der_value(0x30, _GRANTED + token))
    if response.time_stamp_token() != token:
        raise TimestampError("the token is not written in the one way that is DER")
    return response


def _decode(answer: bytes) -> TimeStampResponse:
    from rfc3161_client import decode_timestamp_response  # noqa: PLC0415  see above

    try:
        return decode_timestamp_response(answer)
    except _UNREADABLE:
        raise TimestampError("this is no timestamp in DER (RFC 3161)") from None


def _latest(response: TimeStampResponse) -> datetime:
    """genTime and its accuracy (RFC 3161 section 2.4.2): the true time was not after that."""
    try:
        info = response.tst_info
        return info.gen_time.astimezone(UTC) + _spread(info.accuracy)
    except _UNREADABLE:
        raise TimestampError("the token gives no time that can be read") from None


def _spread(accuracy: Accuracy | None) -> timedelta:
    if accuracy is None:
        return timedelta()
    parts = {"seconds": accuracy.seconds, "milliseconds": accuracy.millis, "microseconds": accuracy.micros}
    return timedelta(**{name: value or 0 for name, value in parts.items()})


def _words(error: str) -> str:
    """OpenSSL's stack of errors, as far as a person can use it."""
    if (reason := _REASON.search(error)) is not None:
        return f"no trusted timestamp authority stands behind its signer ({reason[1]})"
    if "verifying certificates" in error:
        return "its signature does not fit, or its signer is not certified for timestamping"
    return error.removesuffix(".")
