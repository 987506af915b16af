"""A person's request for a signing certificate: made where their key is, certified where the site's key is.

A CSR in PEM (RFC 2986, RFC 7468), so that it can be read with any tool. Its signature, by the person's key,
covers whom it names (O the site, CN the name or pseudonym, T the role) and what it asks for: one critical
extended key usage, a person's. It says nothing of who sent it: whoever certifies compares the key with what
the person reads out to them.
"""

from __future__ import annotations

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from rasura.csr import proven_csr
from rasura.envelope import key_id
from rasura.errors import RasuraError, UsageError
from rasura.keys import KeyFormatError, Role, person_name

__all__ = ["PersonRequest", "PersonRequestError"]

_MAX_BYTES = 4096
"""One is about 500 bytes."""
_NAMES = (NameOID.ORGANIZATION_NAME, NameOID.COMMON_NAME, NameOID.TITLE)


class PersonRequestError(UsageError):
    """It is not a request of a person's, or does not hold."""


class PersonRequest(msgspec.Struct, frozen=True):
    """Who asks to be certified for what, with a key that they have. Nothing else of it is sure."""

    site: str
    name: str
    role: str
    key: ec.EllipticCurvePublicKey

    @property
    def key_hash(self) -> str:
        """What the person reads out to whoever certifies: ``sha256:HEX`` of the key."""
        return f"sha256:{key_id(self.key)}"

    @staticmethod
    def encode(key: ec.EllipticCurvePrivateKey, *, site: str, name: str, role: str) -> bytes:
        """The request in PEM; :meth:`parse` reads it.

        Raises:
            PersonRequestError: a name cannot be used.
        """
        try:
            subject = person_name(name, role, site)
        except KeyFormatError as error:
            raise PersonRequestError(str(error)) from None
        builder = x509.CertificateSigningRequestBuilder().subject_name(subject)
        asked = builder.add_extension(_usage(), critical=True)
        return asked.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)

    @classmethod
    def parse(cls, raw: bytes) -> PersonRequest:
        """Read a request and check its proof of possession; raises :class:`PersonRequestError`."""
        if len(raw) > _MAX_BYTES:
            raise PersonRequestError(f"a person's request has at most {_MAX_BYTES} bytes")
        try:
            der = x509.load_pem_x509_csr(raw).public_bytes(serialization.Encoding.DER)
        except (ValueError, TypeError):
            raise PersonRequestError("this is no CSR in PEM: not a person's request") from None
        csr, key = proven_csr(der, "the person's request", PersonRequestError)
        _check_usage(csr)
        site, name, role = _named(csr)
        try:
            person_name(name, role, site)
        except RasuraError as error:
            raise PersonRequestError(f"the person's request: {error}") from None
        return cls(site, name, role, key)


def _usage() -> x509.ExtendedKeyUsage:
    if Role.PERSON.value is None:
        raise AssertionError("a person's signing certificate is marked")
    return x509.ExtendedKeyUsage([Role.PERSON.value])


def _check_usage(csr: x509.CertificateSigningRequest) -> None:
    try:
        asked = list(csr.extensions)
    except (ValueError, TypeError, x509.DuplicateExtension, x509.UnsupportedGeneralNameType):
        raise PersonRequestError("what the CSR asks for cannot be read") from None
    if len(asked) != 1 or not asked[0].critical or asked[0].value != _usage():
        raise PersonRequestError(
            "the CSR asks for something else than a person's signing certificate",
            hint="make the request with 'rasura statement request'",
        )


def _named(csr: x509.CertificateSigningRequest) -> tuple[str, str, str]:
    try:
        named = [(one.oid, one.value) for one in csr.subject]
    except ValueError:
        raise PersonRequestError("whom the CSR names cannot be read") from None
    values = [value for oid in _NAMES for found, value in named if found == oid and isinstance(value, str)]
    if len(values) != len(_NAMES) or len(named) != len(_NAMES):
        raise PersonRequestError("the CSR does not name exactly one site (O), person (CN) and role (T)")
    site, name, role = values
    return site, name, role
