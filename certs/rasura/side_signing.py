"""Signing side statements: a person's with their key, a revocation with a key made for it alone. Pure.

Revocations are not signed by the site's own key, which signs certificates and nothing else (RFC 5280 section
4.2.1.3): it certifies a key that signs one statement and is forgotten.
"""

from __future__ import annotations

import uuid
from datetime import UTC, datetime
from typing import TypedDict

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from rasura.bundle import Bundle
from rasura.certificate import ErasureCertificate
from rasura.envelope import sign
from rasura.errors import UsageError
from rasura.keys import common_name, issue_revoker, organization, site_of, title_of
from rasura.side_statement import (
    FORMAT_VERSION,
    Correction,
    Decision,
    DocumentKind,
    DocumentName,
    KeyRevocation,
    Ruling,
    SideStatement,
    Signer,
    Supersession,
    side_problems,
)

__all__ = ["Person", "document_name", "sign_revocation", "signed_time"]


class _Common(TypedDict):
    format_version: str
    id: str
    signer: Signer
    signed_at: str
    reason: str | None


def signed_time(moment: datetime) -> str:
    """RFC 3339 in UTC, to the second."""
    return moment.astimezone(UTC).replace(microsecond=0, tzinfo=None).isoformat() + "Z"


def document_name(bundle: Bundle) -> DocumentName:
    """How a side statement names a certificate or report; raises ``ClaimsError`` for anything else."""
    certificate = isinstance(bundle.claims, ErasureCertificate)
    kind = DocumentKind.ERASURE_CERTIFICATE if certificate else DocumentKind.MACHINE_REPORT
    return DocumentName(kind=kind, payload_sha256=bundle.payload_sha256)


class Person(msgspec.Struct, frozen=True):
    """Somebody of a site who may sign: their key, their signing certificate and the site's."""

    key: ec.EllipticCurvePrivateKey
    chain: tuple[x509.Certificate, ...]

    @property
    def signer(self) -> Signer:
        """As the signing certificate names them."""
        own = self.chain[0]
        return Signer(name=common_name(own), role=title_of(own), site=organization(own))

    def decide(
        self,
        document: Bundle,
        decision: Ruling,
        reason: str | None,
        now: datetime,
        *,
        location: str | None = None,
        contact: str | None = None,
    ) -> Bundle:
        """Accept or reject ``document``.

        Raises, as the others do, :class:`UsageError` for what must not be said.
        """
        return self._sign(
            Decision(
                **self._common(reason, now),
                document=document_name(document),
                decision=decision,
                location=location,
                contact=contact,
            )
        )

    def correct(
        self, document: Bundle, field: str, right: str | int | bool | None, reason: str, now: datetime
    ) -> Bundle:
        """Say what ``document`` should say at ``field``."""
        return self._sign(
            Correction(
                **self._common(reason, now), document=document_name(document), field=field, right=right
            )
        )

    def supersede(self, document: Bundle, replacement: Bundle, reason: str, now: datetime) -> Bundle:
        """Say that ``replacement`` takes the place of ``document``."""
        return self._sign(
            Supersession(
                **self._common(reason, now),
                document=document_name(document),
                replacement=document_name(replacement),
            )
        )

    def _common(self, reason: str | None, now: datetime) -> _Common:
        return _common(self.signer, reason, now)

    def _sign(self, said: SideStatement) -> Bundle:
        return _signed(said, self.key, self.chain)


def sign_revocation(
    issuer_key: ec.EllipticCurvePrivateKey,
    issuer: x509.Certificate,
    key: str,
    since: datetime,
    reason: str,
    now: datetime,
    *,
    replaced_by: str | None = None,
) -> Bundle:
    """Revoke ``key`` (hex SHA-256 of its SubjectPublicKeyInfo) in the name of a site or of the authority.

    Raises:
        UsageError: it is no key's hash, or there is no reason.
    """
    own = ec.generate_private_key(ec.SECP256R1())
    revoker = issue_revoker(issuer_key, issuer, own.public_key(), now)
    site = site_of(issuer)
    signer = Signer(name=common_name(issuer), role=None, site=site)
    said = KeyRevocation(
        **_common(signer, reason, now), key=key, since=signed_time(since), replaced_by=replaced_by
    )
    return _signed(said, own, (revoker,) if site is None else (revoker, issuer))


def _common(signer: Signer, reason: str | None, now: datetime) -> _Common:
    return {
        "format_version": FORMAT_VERSION,
        "id": str(uuid.uuid4()),
        "signer": signer,
        "signed_at": signed_time(now),
        "reason": reason,
    }


def _signed(
    said: SideStatement, key: ec.EllipticCurvePrivateKey, chain: tuple[x509.Certificate, ...]
) -> Bundle:
    problems = side_problems(said)
    if problems:
        raise UsageError(f"this cannot be said: {'; '.join(problems)}")
    return Bundle(sign(said.to_payload(), key), chain)
