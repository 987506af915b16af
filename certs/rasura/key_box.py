"""A private key under a passphrase: Argon2id (RFC 9106) makes a key of it, AES-256-GCM seals.

PKCS#8's own encryption, as the library writes it, is PBKDF2 with 2,048 rounds: a short passphrase on
a found stick would be guessed in hours. So the file is ours, one JSON object::

    {"format": "rasura-site-key" or "rasura-person-key", "version": 1,
     "kdf": {"name": "argon2id", "memoryKiB": 65536, "passes": 3, "lanes": 4, "salt": BASE64},
     "cipher": {"name": "aes-256-gcm", "nonce": BASE64},
     "sealed": BASE64 of the key in PKCS#8 PEM, encrypted, and the tag}

Everything but ``sealed`` is the header; its canonical JSON is the associated data, so no part of the
file can be changed unnoticed. A passphrase is taken in Unicode's form NFC: the same letters typed on
another keyboard open the same box.
"""

from __future__ import annotations

import base64
import secrets
import unicodedata
from enum import Enum
from typing import Any

import msgspec
from cryptography.exceptions import InvalidTag, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

from rasura import strict_json
from rasura.base64_text import canonical_base64
from rasura.errors import RasuraError, UsageError
from rasura.keys import load_private_key, private_key_pem

__all__ = [
    "MAX_MEMORY_KIB",
    "MIN_PASSPHRASE_CHARACTERS",
    "Holder",
    "KeyBoxError",
    "PassphraseNeededError",
    "WrongPassphraseError",
    "is_sealed",
    "open_key",
    "seal",
]

MIN_PASSPHRASE_CHARACTERS = 8
"""NIST SP 800-63B section 5.1.1.2: the shortest secret that a person may choose."""

MAX_MEMORY_KIB = 256 * 1024
"""What a file may ask for. A hostile one must not take the machine's memory, and ours asks for 64 MiB."""

_MAX_PASSES = 16
_MAX_LANES = 16

_VERSION = 1
_KEY_BYTES = 32
_NONCE_BYTES = 12
"""NIST SP 800-38D section 5.2.1.1: the length of nonce that GCM is made for."""


class Holder(Enum):
    """Whose key a file holds; the value is its format."""

    SITE = "rasura-site-key"
    PERSON = "rasura-person-key"

    @property
    def words(self) -> str:
        """In sentences."""
        return f"the {self.name.lower()}'s key"


class KeyBoxError(UsageError):
    """The file is not a sealed key as we write them, or cannot be opened here."""


class WrongPassphraseError(UsageError):
    """The passphrase does not open the key."""


class PassphraseNeededError(UsageError):
    """The key is sealed and nobody gave a passphrase."""


class _Cost(msgspec.Struct, frozen=True):
    """What one guess costs. The default is RFC 9106 section 4, second recommended option."""

    memory_kib: int = 64 * 1024
    passes: int = 3
    lanes: int = 4


_COST = _Cost()
_SALT_BYTES = 16
"""128 bits of salt: RFC 9106 section 4."""


def is_sealed(data: bytes) -> bool:
    """Whether a key file asks for a passphrase: ours are JSON, an open key is PEM."""
    return data.lstrip()[:1] == b"{"


def seal(key: ec.EllipticCurvePrivateKey, passphrase: str, holder: Holder = Holder.SITE) -> bytes:
    """The key under ``passphrase``; takes 64 MiB of memory for a moment, as :func:`open_key` does.

    Raises:
        UsageError: the passphrase is too short.
        KeyBoxError: this machine has not the memory.
    """
    secret = _secret(passphrase)
    if len(passphrase) < MIN_PASSPHRASE_CHARACTERS:
        raise UsageError(
            f"the passphrase needs {MIN_PASSPHRASE_CHARACTERS} characters at least",
            hint="a few words that do not belong together are strong and can be remembered",
        )
    salt, nonce = secrets.token_bytes(_SALT_BYTES), secrets.token_bytes(_NONCE_BYTES)
    header = {
        "format": holder.value,
        "version": _VERSION,
        "kdf": {
            "name": "argon2id",
            "memoryKiB": _COST.memory_kib,
            "passes": _COST.passes,
            "lanes": _COST.lanes,
            "salt": base64.b64encode(salt).decode(),
        },
        "cipher": {"name": "aes-256-gcm", "nonce": base64.b64encode(nonce).decode()},
    }
    sealed = AESGCM(_derive(secret, salt, _COST)).encrypt(
        nonce, private_key_pem(key), strict_json.dumps(header)
    )
    return strict_json.dumps(header | {"sealed": base64.b64encode(sealed).decode()}) + b"\n"


def open_key(data: bytes, passphrase: str, holder: Holder = Holder.SITE) -> ec.EllipticCurvePrivateKey:
    """The key that :func:`seal` sealed.

    Raises:
        WrongPassphraseError: it does not open the key (or the file was changed: nobody can tell which).
        KeyBoxError: this is no sealed key, asks for too much, or this machine has not the memory.
    """
    box = _Box.parse(data, holder)
    try:
        pem = AESGCM(_derive(_secret(passphrase), box.salt, box.cost)).decrypt(
            box.nonce, box.sealed, strict_json.dumps(box.header)
        )
    except InvalidTag:
        raise WrongPassphraseError(
            f"the passphrase does not open {holder.words}",
            hint="check the keyboard's layout and capital letters",
        ) from None
    return load_private_key(pem)


class _Box(msgspec.Struct, frozen=True):
    """A sealed key, taken apart."""

    header: dict[str, Any]
    cost: _Cost
    salt: bytes
    nonce: bytes
    sealed: bytes

    @classmethod
    def parse(cls, data: bytes, holder: Holder) -> _Box:
        try:
            document = strict_json.loads(data, what="the sealed key")
        except RasuraError as error:
            raise KeyBoxError(str(error)) from None
        match document:
            case {
                "format": str(form),
                "version": int(version),
                "kdf": {
                    "name": "argon2id",
                    "memoryKiB": int(memory),
                    "passes": int(passes),
                    "lanes": int(lanes),
                    "salt": str(salt),
                    **more_kdf,
                },
                "cipher": {"name": "aes-256-gcm", "nonce": str(nonce), **more_cipher},
                "sealed": str(sealed),
                **more,
            }:
                if form != holder.value:
                    raise KeyBoxError(f"this is not {holder.words}, sealed by us")
                if version != _VERSION or more or more_kdf or more_cipher:
                    raise KeyBoxError("the sealed key was written by a newer version of Rasura")
            case _:
                raise KeyBoxError("this is not a sealed key of ours")
        header = {name: value for name, value in document.items() if name != "sealed"}
        box = cls(
            header,
            _Cost(memory, passes, lanes),
            canonical_base64(salt, "the salt of the sealed key", KeyBoxError),
            canonical_base64(nonce, "the nonce of the sealed key", KeyBoxError),
            canonical_base64(sealed, "the sealed key", KeyBoxError),
        )
        box._require_sane()
        return box

    def _require_sane(self) -> None:
        cost = self.cost
        if not (1 <= cost.lanes <= _MAX_LANES and 1 <= cost.passes <= _MAX_PASSES):
            raise KeyBoxError("the sealed key asks for more work than we do for any")
        # RFC 9106 section 3.1: at least 8 blocks a lane.
        if not 8 * cost.lanes <= cost.memory_kib <= MAX_MEMORY_KIB:
            raise KeyBoxError(
                f"the sealed key asks for {cost.memory_kib} KiB of memory, which we do not give"
            )
        if not 8 <= len(self.salt) <= 64 or len(self.nonce) != _NONCE_BYTES:
            raise KeyBoxError("the sealed key has a salt or nonce that is not as long as it must be")


def _secret(passphrase: str) -> bytes:
    try:
        return unicodedata.normalize("NFC", passphrase).encode()
    except UnicodeEncodeError:
        raise UsageError("the passphrase holds bytes that are no text") from None


def _derive(secret: bytes, salt: bytes, cost: _Cost) -> bytes:
    try:
        return Argon2id(
            salt=salt,
            length=_KEY_BYTES,
            iterations=cost.passes,
            lanes=cost.lanes,
            memory_cost=cost.memory_kib,
        ).derive(secret)
    except MemoryError:
        raise KeyBoxError(
            f"this machine has not the {cost.memory_kib // 1024} MiB of free memory that the passphrase takes"
        ) from None
    except UnsupportedAlgorithm:
        raise KeyBoxError("the cryptography library here was built without Argon2id") from None
