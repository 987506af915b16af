"""The bundle: the envelope of a signed document, and all that an auditor needs to check it offline.

::

    {"mediaType": "application/vnd.rasura.bundle+json;version=1",
     "envelope":  {DSSE},
     "chain":     ["<DER of the signer's signing certificate, base64>", "<the site's>"],
     "receipt":   "<C2SP tlog-proof text>" | null,
     "timestamps": [{"receipt": "...", "token": "..."}]}

``timestamps`` is there once there is one, and then there is a receipt too, see :mod:`rasura.timestamp`.
"""

from __future__ import annotations

import base64
import hashlib
from functools import cached_property

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from rasura import strict_json
from rasura.certificate import ErasureCertificate
from rasura.chain import Chain, read_chain
from rasura.claims import ClaimsError, Statement
from rasura.entry import Entry, EntryKind
from rasura.envelope import Envelope
from rasura.errors import RasuraError
from rasura.machine_report import PREDICATE_TYPE as MACHINE_REPORT
from rasura.machine_report import MachineReport
from rasura.receipt import Receipt
from rasura.side_statement import (
    KINDS,
    Correction,
    Decision,
    KeyRevocation,
    SideStatement,
    Supersession,
)
from rasura.timestamp import MAX_TIMESTAMPS, Timestamp

__all__ = ["MEDIA_TYPE", "Bundle", "BundleError"]

MEDIA_TYPE = "application/vnd.rasura.bundle+json;version=1"


class BundleError(RasuraError):
    """The bytes are not a bundle."""


class _Bundled(msgspec.Struct, frozen=True, rename="camel", gc=False):
    """A bundle as :meth:`Bundle.encode` writes it; msgspec reads and writes ``bytes`` as base64."""

    media_type: str
    envelope: Envelope
    chain: tuple[str, ...]
    receipt: str | None


_PLAIN = msgspec.json.Decoder(_Bundled)

_KINDS: dict[type, EntryKind] = {
    ErasureCertificate: EntryKind.ERASURE_CERTIFICATE,
    MachineReport: EntryKind.MACHINE_REPORT,
    Decision: EntryKind.VALIDATION,
    Correction: EntryKind.CORRECTION,
    Supersession: EntryKind.SUPERSESSION,
    KeyRevocation: EntryKind.REVOCATION,
}


class Bundle(msgspec.Struct, frozen=True, dict=True):
    """An envelope, the chain (signer, site) of signing certificates, and receipt and timestamps if any."""

    envelope: Envelope
    chain: tuple[x509.Certificate, ...]
    receipt: Receipt | None = None
    timestamps: tuple[Timestamp, ...] = ()

    @property
    def signers(self) -> Chain:
        """The chain, with what is asked of it worked out once for all bundles that were read with it."""
        return self.chain if type(self.chain) is Chain else Chain(self.chain)

    @property
    def document(self) -> ErasureCertificate | MachineReport | SideStatement:
        """What is signed, as read from the payload, **not** verified; raises ``ClaimsError``."""
        return self._contents[0]

    @property
    def claims(self) -> ErasureCertificate | MachineReport:
        """A station's claims, not verified; raises ``ClaimsError``, also for a side statement."""
        document = self.document
        if isinstance(document, SideStatement):
            raise ClaimsError(f"this is {document.what}, not a certificate or a machine report")
        return document

    @cached_property
    def _contents(self) -> tuple[ErasureCertificate | MachineReport | SideStatement, tuple[str, ...]]:
        """What is signed, and the members of it that this version does not know; raises ``ClaimsError``."""
        # Most payloads are the one encoding of a certificate's claims, and hold nothing else.
        plain = ErasureCertificate.as_written(self.envelope.payload)
        if plain is not None:
            return plain, ()
        statement = Statement.parse(self.envelope.payload)
        kind: type[ErasureCertificate | MachineReport | SideStatement] = ErasureCertificate
        if statement.predicate_type == MACHINE_REPORT:
            kind = MachineReport
        else:
            kind = KINDS.get(statement.predicate_type, kind)
        document = kind.from_statement(statement)
        return document, document.unread(statement)

    @property
    def unread(self) -> tuple[str, ...]:
        """Members of the statement that this version does not know; raises ``ClaimsError``."""
        return self._contents[1]

    @property
    def certificate(self) -> ErasureCertificate:
        """The claims about one drive, not verified; raises ``ClaimsError``, also for a machine report."""
        if isinstance(self.claims, ErasureCertificate):
            return self.claims
        raise ClaimsError("this is a machine report, not the certificate of a drive")

    @property
    def certificate_id(self) -> str:
        """The UUID of the document, whatever it is, not verified; raises ``ClaimsError``."""
        return self.document.id

    @cached_property
    def payload_sha256(self) -> str:
        """Hex digest of the signed payload: what the QR code and the next certificate name."""
        return hashlib.sha256(self.envelope.payload).hexdigest()

    def entry(self) -> Entry:
        """The leaf that this bundle is in a log; raises ``BundleError`` or ``ClaimsError``."""
        if len(self.envelope.signatures) != 1 or not self.chain:
            raise BundleError("a bundle has exactly one signature and the chain of its signing certificate")
        return Entry(
            kind=_KINDS[type(self.document)],
            id_sha256=Entry.digest_of(self.certificate_id),
            payload_sha256=self.payload_sha256,
            signature_sha256=hashlib.sha256(self.envelope.signatures[0].sig).hexdigest(),
            signing_certificate_sha256=self.signers.signer_sha256,
        )

    def with_receipt(self, receipt: Receipt | None) -> Bundle:
        """The same bundle with another receipt, or none, and so without timestamps."""
        return msgspec.structs.replace(self, receipt=receipt, timestamps=())

    def with_timestamps(self, timestamps: tuple[Timestamp, ...]) -> Bundle:
        """The same bundle with these timestamps."""
        return msgspec.structs.replace(self, timestamps=timestamps)

    def encode(self) -> bytes:
        """The bundle as JSON, one form for one value."""
        value: dict[str, object] = {
            "mediaType": MEDIA_TYPE,
            "envelope": self.envelope.to_json(),
            "chain": [base64.b64encode(one.public_bytes(Encoding.DER)).decode() for one in self.chain],
            "receipt": self.receipt.encode() if self.receipt is not None else None,
        }
        if self.timestamps:
            value["timestamps"] = [one.to_json() for one in self.timestamps]
        return strict_json.dumps(value)

    @classmethod
    def parse(cls, raw: bytes) -> Bundle:
        """Read a bundle; nothing in it is verified yet.

        Raises:
            BundleError: not strict JSON, another media type, a missing, unknown or malformed member.
        """
        try:
            return cls._read(raw)
        except BundleError:
            raise
        except RasuraError as error:
            raise BundleError(str(error)) from None

    @classmethod
    def _read(cls, raw: bytes) -> Bundle:
        plain = strict_json.as_written(raw, _PLAIN, bounded=True)
        if plain is not None and plain.media_type == MEDIA_TYPE:
            return cls(
                plain.envelope,
                read_chain(plain.chain),
                Receipt.parse(plain.receipt) if plain.receipt is not None else None,
            )
        value = strict_json.loads(raw, what="the bundle")
        match value:
            case {"mediaType": media_type, "envelope": envelope, "chain": list(chain), "receipt": receipt}:
                pass
            case _:
                raise BundleError("this is not a bundle: mediaType, envelope, chain or receipt is missing")
        if media_type != MEDIA_TYPE:
            raise BundleError("this is not a Rasura bundle of version 1")
        if len(value) > 4 + ("timestamps" in value):
            raise BundleError("the bundle has members that version 1 does not know")
        if not all(isinstance(one, str) for one in chain):
            raise BundleError("the bundle's chain is not a list of base64 strings")
        if not isinstance(receipt, str | None):
            raise BundleError("the bundle's receipt is neither text nor null")
        return cls(
            Envelope.from_json(envelope),
            read_chain(tuple(chain)),
            Receipt.parse(receipt) if receipt is not None else None,
            _timestamps(value["timestamps"], receipt) if "timestamps" in value else (),
        )


def _timestamps(value: object, receipt: str | None) -> tuple[Timestamp, ...]:
    if not isinstance(value, list) or not 1 <= len(value) <= MAX_TIMESTAMPS:
        raise BundleError(f"the bundle's timestamps are not a list of 1 to {MAX_TIMESTAMPS}")
    if receipt is None:
        raise BundleError("the bundle has timestamps and no receipt that they could belong to")
    return tuple(Timestamp.from_json(one) for one in value)
