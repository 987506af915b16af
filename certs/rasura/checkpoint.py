"""Checkpoints (c2sp.org/tlog-checkpoint): a log's signed word on its tree at one size.

Our log signs each checkpoint twice with the one key: as a note (``0x01``) and as a cosignature/v1
(``0x04``), which carries the POSIX time. The second is the log's own word on *when*: an entry's
inclusion time is the time of the checkpoint that its receipt was made against.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable
from datetime import UTC, datetime
from functools import cached_property, lru_cache

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from rasura.base64_text import canonical_base64
from rasura.errors import RasuraError
from rasura.note import KeyType, KnownSignature, Note, VerifierKey, sign
from rasura.tree import EMPTY_ROOT, HASH_BYTES

__all__ = [
    "MAX_SIZE",
    "Checkpoint",
    "CheckpointError",
    "OpenedCheckpoint",
    "claimed_time",
    "open_checkpoint",
    "origin_of",
    "parse_decimal",
    "sign_checkpoint",
]

MAX_SIZE = 2**63 - 1
"""Sizes and indexes fit a signed 64-bit integer."""

_DECIMAL = re.compile(r"0|[1-9][0-9]{0,18}")


class CheckpointError(RasuraError):
    """A checkpoint is malformed, or not signed as it must be."""


class Checkpoint(msgspec.Struct, frozen=True):
    """The log's name, its number of leaves, and the root of its tree at that size.

    ``extensions`` are further lines that other logs may add; ours never does.
    """

    origin: str
    size: int
    root_hash: bytes
    extensions: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not all(self._lines()) or any("\n" in line for line in self._lines()):
            raise CheckpointError("a checkpoint's lines are not empty")
        if not 0 <= self.size <= MAX_SIZE or len(self.root_hash) != HASH_BYTES:
            raise CheckpointError("a checkpoint's size or root hash is out of bounds")
        if self.size == 0 and self.root_hash != EMPTY_ROOT:
            raise CheckpointError("a checkpoint gives the empty tree a root that it does not have")

    def _lines(self) -> tuple[str, ...]:
        return (self.origin, *self.extensions)

    def encode(self) -> str:
        """The note text, its final newline included."""
        root = base64.b64encode(self.root_hash).decode()
        return "".join(f"{line}\n" for line in (self.origin, str(self.size), root, *self.extensions))

    @classmethod
    def parse(cls, text: str) -> Checkpoint:
        """Read the text of a checkpoint's note; ``Checkpoint.parse(t).encode() == t``.

        Raises:
            CheckpointError: not of that form.
        """
        lines = text.split("\n")
        if len(lines) < 4 or lines.pop():
            raise CheckpointError("a checkpoint has at least three lines, each ended by a newline")
        origin, size, root, *extensions = lines
        number = parse_decimal(size)
        if number is None:
            raise CheckpointError("a checkpoint's size is not a decimal number without leading zeros")
        root_hash = canonical_base64(root, "a checkpoint's root hash", CheckpointError)
        return cls(origin, number, root_hash, tuple(extensions))


class OpenedCheckpoint(msgspec.Struct, frozen=True, dict=True):
    """A checkpoint that its log signed, and every signature by a key that we know."""

    checkpoint: Checkpoint
    signatures: tuple[KnownSignature, ...]

    @cached_property
    def timestamp(self) -> int | None:
        """When the log says that it signed, POSIX seconds; the latest if two keys say, None if none does."""
        own = [one for one in self.signatures if one.key.name == self.checkpoint.origin]
        log_keys = {one.key.public_key for one in own if one.key.type is KeyType.ED25519}
        times = [one.timestamp for one in own if one.key.public_key in log_keys]
        return max((time for time in times if time is not None), default=None)

    @cached_property
    def moment(self) -> datetime | None:
        """The same, in UTC."""
        return datetime.fromtimestamp(self.timestamp, UTC) if self.timestamp is not None else None

    @property
    def signed_by(self) -> tuple[VerifierKey, ...]:
        """The known keys that signed, in the order of their lines."""
        return tuple(one.key for one in self.signatures)

    @property
    def timestamps(self) -> tuple[tuple[VerifierKey, int], ...]:
        """Each known cosigner with its POSIX time, the log itself included."""
        return tuple((one.key, one.timestamp) for one in self.signatures if one.timestamp is not None)


def sign_checkpoint(key: Ed25519PrivateKey, checkpoint: Checkpoint, timestamp: int) -> str:
    """The signed note of ``checkpoint`` at POSIX time ``timestamp``; the key's name is the origin.

    Raises:
        NoteError: the origin cannot be a key name, or the time is out of bounds.
    """
    text, name = checkpoint.encode(), checkpoint.origin
    return Note(text, (sign(text, name, key), sign(text, name, key, timestamp))).encode()


def open_checkpoint(note_text: str, keys: Iterable[VerifierKey]) -> OpenedCheckpoint:
    """Verify a signed checkpoint with the keys of logs (``0x01``) and witnesses (``0x04``).

    A log's key is also known as its own cosigner, so ``keys`` need not name it twice.

    Raises:
        NoteError: malformed, or a known key's signature fails.
        CheckpointError: not a checkpoint, or no known log key signed that bears the origin's name:
            a witness's signature alone, or another log's, is not the log's.
    """
    return _open(note_text, tuple(keys))


@lru_cache(maxsize=256)
def _open(note_text: str, keys: tuple[VerifierKey, ...]) -> OpenedCheckpoint:
    """The same, remembered: many receipts lead to one checkpoint, and many jobs begin with one."""
    known = set(keys)
    known |= {key.cosigner() for key in known if key.type is KeyType.ED25519}
    note = Note.parse(note_text)
    signatures = note.verify(known)
    checkpoint = Checkpoint.parse(note.text)
    if not any(one.key.type is KeyType.ED25519 and one.key.name == checkpoint.origin for one in signatures):
        raise CheckpointError(f"the checkpoint of {checkpoint.origin!r} is not signed by that log's key")
    return OpenedCheckpoint(checkpoint, signatures)


def origin_of(note_text: str) -> str:
    """Which log a signed checkpoint says it is of, nothing verified; raises as :meth:`Checkpoint.parse`."""
    return Checkpoint.parse(Note.parse(note_text).text).origin


def claimed_time(note_text: str) -> int | None:
    """When a signed checkpoint says that its log signed, POSIX seconds, nothing verified.

    The latest time in the log's name: whoever adds a line can make it later, and nobody earlier.
    """
    origin = origin_of(note_text)
    times = [one.claimed_time for one in Note.parse(note_text).signatures if one.name == origin]
    return max((time for time in times if time is not None), default=None)


def parse_decimal(text: str) -> int | None:
    """An ASCII decimal without leading zeros, at most :data:`MAX_SIZE`; None for anything else."""
    if not _DECIMAL.fullmatch(text):
        return None
    number = int(text)
    return number if number <= MAX_SIZE else None
