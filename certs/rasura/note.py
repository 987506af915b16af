"""Signed notes (c2sp.org/signed-note): a text, and lines that say who signed it.

Two signature types only: ``0x01``, Ed25519 over the text, and ``0x04``, cosignature/v1 of
c2sp.org/tlog-cosignature, Ed25519 over a header with the POSIX time and the text.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterable
from enum import IntEnum

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from rasura.base64_text import canonical_base64
from rasura.errors import RasuraError

__all__ = [
    "MAX_NOTE_BYTES",
    "MAX_SIGNATURES",
    "MAX_TIMESTAMP",
    "KeyType",
    "KnownSignature",
    "Note",
    "NoteError",
    "NoteSignature",
    "VerifierKey",
    "sign",
]

MAX_SIGNATURES = 64
"""A note must be able to carry 16 (signed-note, "Format"); witnesses come in tens, not hundreds."""

MAX_NOTE_BYTES = 256 * 1024
"""Room for 16 post-quantum signatures of 5 kB and everything around them."""

MAX_TIMESTAMP = 253_402_300_799
"""The last second of the year 9999: no calendar of ours goes further (the format allows 2^63 - 1)."""

_SIGNATURE_PREFIX = "\u2014 "
_CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f]")
"""ASCII control characters other than the newline (signed-note, "Format")."""

_KEY_ID_BYTES = 4
_ED25519_KEY_BYTES = 32
_ED25519_SIGNATURE_BYTES = 64
_TIMESTAMP_BYTES = 8


class NoteError(RasuraError):
    """A note or a verifier key is malformed, or a signature that must hold does not."""


class KeyType(IntEnum):
    """Signature type identifier bytes (signed-note, "Signature types"), the two we use."""

    ED25519 = 0x01
    COSIGNATURE_V1 = 0x04


class VerifierKey(msgspec.Struct, frozen=True):
    """Who may sign: a key name, a signature type and the 32 bytes of an Ed25519 public key."""

    name: str
    type: KeyType
    public_key: bytes

    def __post_init__(self) -> None:
        _check_name(self.name)
        if len(self.public_key) != _ED25519_KEY_BYTES:
            raise NoteError(f"the key of {self.name!r} has {len(self.public_key)} bytes instead of 32")

    @classmethod
    def of(cls, name: str, key: Ed25519PrivateKey | Ed25519PublicKey) -> VerifierKey:
        """The ``0x01`` verifier key of ``key`` under ``name``; raises :class:`NoteError` on a bad name."""
        public = key.public_key() if isinstance(key, Ed25519PrivateKey) else key
        return cls(name, KeyType.ED25519, public.public_bytes_raw())

    @classmethod
    def parse(cls, text: str) -> VerifierKey:
        """Read ``name+hash+base64`` (signed-note, "Verifier keys").

        Raises:
            NoteError: not of that form, another signature type, or the hash is not the key's.
        """
        parts = text.split("+", 2)
        if len(parts) != 3:
            raise NoteError("a verifier key has the form name+hash+base64")
        name, key_id, material = parts
        raw = canonical_base64(material, "the key of a verifier key", NoteError)
        try:
            key = cls(name, KeyType(raw[0]), raw[1:])
        except (IndexError, ValueError):
            raise NoteError(f"the verifier key of {name!r} is of a type other than Ed25519") from None
        if key.key_id.hex() != key_id:
            raise NoteError(f"the hash in the verifier key of {name!r} does not fit the key")
        return key

    def encode(self) -> str:
        """The text that :meth:`parse` reads."""
        material = base64.b64encode(bytes([self.type]) + self.public_key).decode()
        return f"{self.name}+{self.key_id.hex()}+{material}"

    @property
    def key_id(self) -> bytes:
        """SHA-256(name || 0x0A || type || public key)[:4]."""
        data = self.name.encode() + b"\n" + bytes([self.type]) + self.public_key
        return hashlib.sha256(data).digest()[:_KEY_ID_BYTES]

    def cosigner(self) -> VerifierKey:
        """The same name and key, for cosignature/v1."""
        return msgspec.structs.replace(self, type=KeyType.COSIGNATURE_V1)


class NoteSignature(msgspec.Struct, frozen=True):
    """One signature line: the signer's name and key id (4 bytes), and what the key made."""

    name: str
    key_id: bytes
    signature: bytes

    @property
    def claimed_time(self) -> int | None:
        """POSIX seconds that it bears if it is a cosignature/v1, which only its key can show."""
        if len(self.signature) != _TIMESTAMP_BYTES + _ED25519_SIGNATURE_BYTES:
            return None
        return min(int.from_bytes(self.signature[:_TIMESTAMP_BYTES], "big"), MAX_TIMESTAMP)


class KnownSignature(msgspec.Struct, frozen=True):
    """A signature that holds; ``timestamp`` is POSIX seconds, for cosignature/v1 only."""

    key: VerifierKey
    timestamp: int | None


class Note(msgspec.Struct, frozen=True):
    """A text, its final newline included, and its signatures. Trust nothing before :meth:`verify`."""

    text: str
    signatures: tuple[NoteSignature, ...]

    @classmethod
    def parse(cls, text: str) -> Note:
        """Read a signed note; ``Note.parse(t).encode() == t`` for whatever is accepted.

        Raises:
            NoteError: too large, not of the form, control characters, base64 that is not canonical,
                no signature or more than :data:`MAX_SIGNATURES`.
        """
        _check_text(text)
        body, separator, lines = text.rpartition("\n\n")
        if not separator or not lines.endswith("\n"):
            raise NoteError("this is not a signed note: a text, an empty line, signature lines")
        signatures = lines[:-1].split("\n")
        if len(signatures) > MAX_SIGNATURES:
            raise NoteError(f"a note with {len(signatures)} signatures is refused: {MAX_SIGNATURES} at most")
        return cls(body + "\n", tuple(_parse_signature(line) for line in signatures))

    def encode(self) -> str:
        """The note as text."""
        lines = "".join(
            f"{_SIGNATURE_PREFIX}{one.name} {base64.b64encode(one.key_id + one.signature).decode()}\n"
            for one in self.signatures
        )
        return f"{self.text}\n{lines}"

    def verify(self, keys: Iterable[VerifierKey]) -> tuple[KnownSignature, ...]:
        """Check the signatures of the known ``keys``, at least one; all others are ignored.

        Raises:
            NoteError: no known key signed, or a known key's signature fails or is there twice.
        """
        known = {(key.name, key.key_id): key for key in keys}
        held: dict[VerifierKey, KnownSignature] = {}
        for one in self.signatures:
            key = known.get((one.name, one.key_id))
            if key is None:
                continue
            if key in held:
                raise NoteError(f"the note carries two signatures by the same key of {key.name!r}")
            held[key] = KnownSignature(key, _verify_one(key, one.signature, self.text))
        if not held:
            raise NoteError("the note carries no signature by a key that we know")
        return tuple(held.values())


def sign(text: str, name: str, key: Ed25519PrivateKey, timestamp: int | None = None) -> NoteSignature:
    """Sign a note's text: type ``0x01``, or cosignature/v1 when ``timestamp`` (POSIX seconds) is given.

    Raises:
        NoteError: the text is not a note's, or name or time are out of bounds.
    """
    _check_text(text)
    verifier = VerifierKey.of(name, key)
    if timestamp is None:
        return NoteSignature(name, verifier.key_id, key.sign(text.encode()))
    stamp = _check_timestamp(timestamp).to_bytes(_TIMESTAMP_BYTES, "big")
    return NoteSignature(
        name, verifier.cosigner().key_id, stamp + key.sign(_cosigned_message(timestamp, text))
    )


def _verify_one(key: VerifierKey, signature: bytes, text: str) -> int | None:
    failed = NoteError(f"the signature of {key.name!r} does not fit the note")
    timestamp: int | None = None
    message = text.encode()
    if key.type is KeyType.COSIGNATURE_V1:
        timestamp = int.from_bytes(signature[:_TIMESTAMP_BYTES], "big")
        signature = signature[_TIMESTAMP_BYTES:]
        message = _cosigned_message(_check_timestamp(timestamp), text)
    if len(signature) != _ED25519_SIGNATURE_BYTES:
        raise failed
    try:
        Ed25519PublicKey.from_public_bytes(key.public_key).verify(signature, message)
    except (InvalidSignature, ValueError):
        raise failed from None
    return timestamp


def _cosigned_message(timestamp: int, text: str) -> bytes:
    return f"cosignature/v1\ntime {timestamp}\n{text}".encode()


def _parse_signature(line: str) -> NoteSignature:
    name, _, encoded = line.removeprefix(_SIGNATURE_PREFIX).partition(" ")
    if not line.startswith(_SIGNATURE_PREFIX) or not encoded:
        raise NoteError("a signature line of the note does not have the form '\u2014 name base64'")
    _check_name(name)
    raw = canonical_base64(encoded, "a signature of the note", NoteError)
    if len(raw) <= _KEY_ID_BYTES:
        raise NoteError("a signature of the note is too short")
    return NoteSignature(name, raw[:_KEY_ID_BYTES], raw[_KEY_ID_BYTES:])


def _check_timestamp(timestamp: int) -> int:
    if not 0 <= timestamp <= MAX_TIMESTAMP:
        raise NoteError("a cosignature's time is out of bounds")
    return timestamp


def _check_name(name: str) -> None:
    if not name or "+" in name or any(one.isspace() or one < " " for one in name) or not _is_utf8(name):
        raise NoteError(
            f"{name[:80]!r} cannot be a key name: it is empty or has a space, a plus or a control"
        )


def _check_text(text: str) -> None:
    if len(text) > MAX_NOTE_BYTES or not _is_utf8(text):
        raise NoteError(f"a note is UTF-8 text of at most {MAX_NOTE_BYTES} bytes")
    if not text.endswith("\n") or _CONTROL.search(text):
        raise NoteError("a note ends in a newline and has no control characters")


def _is_utf8(text: str) -> bool:
    try:
        return len(text.encode()) <= MAX_NOTE_BYTES
    except UnicodeEncodeError:
        return False
