r"""What a leaf of the log is: a few text lines that name a signed document by its hashes.

::

    rasura log entry v1
    erasure-certificate
    id sha256:<hex>
    payload sha256:<hex>
    signature sha256:<hex>
    signing-certificate sha256:<hex>

UTF-8, each line ended by ``\n``. It holds hashes only, so that a certificate's body may be deleted one
day while the tree stays valid, and anyone holding the certificate can rebuild it with a shell. The id is
hashed too (its 36 ASCII characters): who knows a certificate's id may read it at the registry, and entries
are published. The leaf's hash is ``tree.leaf_hash`` of these bytes.
"""

from __future__ import annotations

import hashlib
import re
from enum import Enum

import msgspec

from rasura.errors import RasuraError
from rasura.tree import leaf_hash

__all__ = ["Entry", "EntryError", "EntryKind"]

_HEADER = "rasura log entry v1"
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_HASHES = re.compile(r"[0-9a-f]{64}( [0-9a-f]{64}){3}")


class EntryError(RasuraError):
    """The bytes are not an entry of the log."""


class EntryKind(Enum):
    """What an entry speaks of."""

    ERASURE_CERTIFICATE = "erasure-certificate"
    MACHINE_REPORT = "machine-report"
    VALIDATION = "validation"
    CORRECTION = "correction"
    SUPERSESSION = "supersession"
    REVOCATION = "revocation"


class Entry(msgspec.Struct, frozen=True):
    """One entry: four SHA-256 digests in lower-case hexadecimal.

    They are of the UUID's text, of the DSSE payload's bytes, of the raw signature's bytes, and of the
    DER of the signing certificate.
    """

    kind: EntryKind
    id_sha256: str
    payload_sha256: str
    signature_sha256: str
    signing_certificate_sha256: str

    def __post_init__(self) -> None:
        hashes = (
            f"{self.id_sha256} {self.payload_sha256} "
            f"{self.signature_sha256} {self.signing_certificate_sha256}"
        )
        if not _HASHES.fullmatch(hashes):
            raise EntryError("a digest of an entry is not SHA-256 in lower-case hexadecimal")

    @staticmethod
    def digest_of(document_id: str) -> str:
        """What stands for a document's id in its entry; raises :class:`EntryError` unless it is a UUID."""
        if not _UUID.fullmatch(document_id):
            raise EntryError(f"{document_id[:80]!r} is not a UUID in lower case")
        return hashlib.sha256(document_id.encode()).hexdigest()

    def encode(self) -> bytes:
        """The leaf's bytes."""
        return (
            f"{_HEADER}\n"
            f"{self.kind.value}\n"
            f"id sha256:{self.id_sha256}\n"
            f"payload sha256:{self.payload_sha256}\n"
            f"signature sha256:{self.signature_sha256}\n"
            f"signing-certificate sha256:{self.signing_certificate_sha256}\n"
        ).encode()

    @classmethod
    def parse(cls, data: bytes) -> Entry:
        """Read a leaf's bytes; ``Entry.parse(d).encode() == d`` for whatever is accepted.

        Raises:
            EntryError: not of that form, or of a kind that this version does not know.
        """
        match data.decode("utf-8", errors="replace").split("\n"):
            case [header, kind, named, payload, signature, signing_certificate, ""] if header == _HEADER:
                return cls(
                    _kind(kind),
                    _digest(named, "id"),
                    _digest(payload, "payload"),
                    _digest(signature, "signature"),
                    _digest(signing_certificate, "signing-certificate"),
                )
            case _:
                raise EntryError(f"this is not an entry of the log: six lines, the first {_HEADER!r}")

    @property
    def leaf(self) -> bytes:
        """The leaf hash, 32 bytes."""
        return leaf_hash(self.encode())


def _kind(text: str) -> EntryKind:
    try:
        return EntryKind(text)
    except ValueError:
        raise EntryError(f"an entry of the kind {text[:40]!r} is not known to this version") from None


def _digest(line: str, name: str) -> str:
    prefix = f"{name} sha256:"
    if not line.startswith(prefix):
        raise EntryError(f"an entry lacks its line {prefix!r}")
    return line.removeprefix(prefix)
