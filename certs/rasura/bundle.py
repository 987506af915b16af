"""The bundle: the envelope of a certificate or report, and all that an auditor needs to check it offline.

::

    {"mediaType": "application/vnd.rasura.bundle+json;version=1",
     "envelope":  {DSSE},
     "chain":     ["<DER of the station's signing certificate, base64>", "<the site's>"],
     "receipt":   "<C2SP tlog-proof text>" | null}
"""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass, replace
from functools import cached_property

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from rasura import strict_json
from rasura.certificate import ErasureCertificate
from rasura.chain import Chain, read_chain
from rasura.claims import ClaimsError, Statement
from rasura.entry import Entry, EntryKind
from rasura.envelope import Envelope, Signature
from rasura.errors import RasuraError
from rasura.machine_report import PREDICATE_TYPE as MACHINE_REPORT
from rasura.machine_report import MachineReport
from rasura.receipt import Receipt

__all__ = ["MEDIA_TYPE", "Bundle", "BundleError"]

MEDIA_TYPE = "application/vnd.rasura.bundle+json;version=1"


class BundleError(RasuraError):
    """The bytes are not a bundle."""


class _Signed(msgspec.Struct, frozen=True, gc=False):
    keyid: str
    sig: bytes


class _Enveloped(msgspec.Struct, frozen=True, rename="camel", gc=False):
    payload: bytes
    payload_type: str
    signatures: tuple[_Signed, ...]


class _Bundled(msgspec.Struct, frozen=True, rename="camel", gc=False):
    """A bundle as :meth:`Bundle.encode` writes it; msgspec reads and writes ``bytes`` as base64."""

    media_type: str
    envelope: _Enveloped
    chain: tuple[str, ...]
    receipt: str | None


_PLAIN = msgspec.json.Decoder(_Bundled)

_KINDS: dict[type, EntryKind] = {
    ErasureCertificate: EntryKind.ERASURE_CERTIFICATE,
    MachineReport: EntryKind.MACHINE_REPORT,
}


@dataclass(frozen=True)
class Bundle:
    """An envelope, the chain (station, site) of signing certificates, and the receipt once there is one."""

    envelope: Envelope
    chain: tuple[x509.Certificate, ...]
    receipt: Receipt | None = None

    @cached_property
    def signers(self) -> Chain:
        """The chain, with what is asked of it worked out once."""
        return self.chain if isinstance(self.chain, Chain) else Chain(self.chain)

    @cached_property
    def claims(self) -> ErasureCertificate | MachineReport:
        """The claims as read from the payload, **not** verified; raises ``ClaimsError``."""
        if self._plain is not None:
            return self._plain
        statement = self._statement
        if statement.predicate_type == MACHINE_REPORT:
            return MachineReport.from_statement(statement)
        return ErasureCertificate.from_statement(statement)

    @cached_property
    def _plain(self) -> ErasureCertificate | None:
        """The claims, if the payload is their one encoding and holds nothing else: most do."""
        return ErasureCertificate.as_written(self.envelope.payload)

    @cached_property
    def _statement(self) -> Statement:
        return Statement.parse(self.envelope.payload)

    @property
    def unread(self) -> tuple[str, ...]:
        """Members of the statement that this version does not know; raises ``ClaimsError``."""
        return () if self._plain is not None else self.claims.unread(self._statement)

    @property
    def certificate(self) -> ErasureCertificate:
        """The claims about one drive, not verified; raises ``ClaimsError``, also for a machine report."""
        if isinstance(self.claims, ErasureCertificate):
            return self.claims
        raise ClaimsError("this is a machine report, not the certificate of a drive")

    @property
    def certificate_id(self) -> str:
        """The UUID of the certificate or report, not verified; raises ``ClaimsError``."""
        return self.claims.id

    @cached_property
    def payload_sha256(self) -> str:
        """Hex digest of the signed payload: what the QR code and the next certificate name."""
        return hashlib.sha256(self.envelope.payload).hexdigest()

    def entry(self) -> Entry:
        """The leaf that this bundle is in a log; raises ``BundleError`` or ``ClaimsError``."""
        if len(self.envelope.signatures) != 1 or not self.chain:
            raise BundleError("a bundle has exactly one signature and the chain of its signing certificate")
        return Entry(
            kind=_KINDS[type(self.claims)],
            id=self.certificate_id,
            payload_sha256=self.payload_sha256,
            signature_sha256=hashlib.sha256(self.envelope.signatures[0].sig).hexdigest(),
            signing_certificate_sha256=self.signers.station_sha256,
        )

    def with_receipt(self, receipt: Receipt | None) -> Bundle:
        """The same bundle with another receipt, or none."""
        return replace(self, receipt=receipt)

    def encode(self) -> bytes:
        """The bundle as JSON, one form for one value."""
        return strict_json.dumps(
            {
                "mediaType": MEDIA_TYPE,
                "envelope": self.envelope.to_json(),
                "chain": [base64.b64encode(one.public_bytes(Encoding.DER)).decode() for one in self.chain],
                "receipt": self.receipt.encode() if self.receipt is not None else None,
            }
        )

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
        plain = strict_json.as_written(raw, _PLAIN, integers=False)
        if plain is not None and plain.media_type == MEDIA_TYPE:
            signed = plain.envelope
            return cls(
                Envelope(
                    signed.payload,
                    signed.payload_type,
                    tuple(Signature(one.keyid, one.sig) for one in signed.signatures),
                ),
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
        if len(value) > 4:
            raise BundleError("the bundle has members that version 1 does not know")
        if not all(isinstance(one, str) for one in chain):
            raise BundleError("the bundle's chain is not a list of base64 strings")
        if not isinstance(receipt, str | None):
            raise BundleError("the bundle's receipt is neither text nor null")
        return cls(
            Envelope.from_json(envelope),
            read_chain(tuple(chain)),
            Receipt.parse(receipt) if receipt is not None else None,
        )
