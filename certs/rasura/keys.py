"""Keys and signing certificates: registry authority -> site -> station, all ECDSA P-256.

The X.509 profile (RFC 5280), the same three links always:

==========  =========================  =====================  ==================  ===============
link        subject                    basicConstraints       keyUsage            valid for
==========  =========================  =====================  ==================  ===============
authority   CN=registry name           CA, pathlen 1          keyCertSign         20 years
site        O=site, CN=site            CA, pathlen 0          keyCertSign         2 years
station     O=site, CN=station         not a CA               digitalSignature    a week
person      O=site, CN=name, T=role    not a CA               digitalSignature    months
revoker     O=site, CN=site            not a CA               digitalSignature    a month
==========  =========================  =====================  ==================  ===============

Three roles sign statements, and none can pass for another (:class:`Role`): a person's and a revoker's
certificate have a critical extended key usage with exactly the role's identifier, a station's has none.
A revoker is made for one signature, by a site or by the authority itself; the authority's has no O, and
no site's certificate in its chain.

The station's validity frames the times it claims by its own clock, which nobody trusts; the
site's must cover the moment the registry logged the certificate. See the decision record
``certs/decisions/station-validity.md``.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from enum import Enum
from functools import lru_cache

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from rasura.der import der_value
from rasura.ecdsa import is_one_form
from rasura.errors import RasuraError
from rasura.text import printable

__all__ = [
    "AUTHORITY_LIFETIME",
    "PERSON_LIFETIME",
    "REVOKER_LIFETIME",
    "SITE_LIFETIME",
    "STATION_LIFETIME",
    "KeyFormatError",
    "Role",
    "certificate_pem",
    "chain_problems",
    "common_name",
    "issue_person",
    "issue_revoker",
    "issue_site",
    "issue_station",
    "load_certificate_der",
    "load_certificates",
    "load_private_key",
    "new_authority",
    "organization",
    "p256_public_key",
    "person_name",
    "private_key_pem",
    "site_of",
    "title_of",
]

AUTHORITY_LIFETIME = timedelta(days=20 * 365)
SITE_LIFETIME = timedelta(days=2 * 365)
STATION_LIFETIME = timedelta(days=7)
PERSON_LIFETIME = timedelta(days=183)
REVOKER_LIFETIME = timedelta(days=30)
"""Its key is gone once it has signed; it lasts for a revocation that is sent days later."""

_ROLES = "2.25.172971269921635226025694172897700181700"
"""Our arc of identifiers, which a UUID gives to anybody (ITU-T X.667): that of ``urn:rasura:roles``, of
version 5 in the namespace of URLs."""


class Role(Enum):
    """What the holder of a signing certificate may sign; the value is the usage it is marked with."""

    STATION = None
    """Erasure certificates and machine reports."""
    PERSON = x509.ObjectIdentifier(f"{_ROLES}.1")
    """Validations, corrections and supersessions."""
    REVOKER = x509.ObjectIdentifier(f"{_ROLES}.2")
    """Revocations."""

    @property
    def certificate(self) -> str:
        """Its signing certificate, in sentences."""
        return f"the {self.name.lower()}'s signing certificate"


_UNREADABLE = (
    ValueError,
    TypeError,
    x509.InvalidVersion,
    x509.DuplicateExtension,
    x509.UnsupportedGeneralNameType,
    UnsupportedAlgorithm,
)
"""What the X.509 parser raises on bytes that are no certificate, or one with names that it does not read."""

_ECDSA_SHA256 = bytes.fromhex("300a06082a8648ce3d040302")
"""AlgorithmIdentifier of ecdsa-with-SHA256, without parameters (RFC 5758 clause 3.2)."""

_KEPT = 256
"""Signing certificates and chains whose checks are remembered: a station signs many certificates."""

_BACKDATE = timedelta(minutes=5)
"""Two honest clocks may differ by this much."""


class KeyFormatError(RasuraError):
    """A key or signing certificate cannot be read or is not of our profile."""


def _name(common: str, org: str | None = None, title: str | None = None) -> x509.Name:
    named = ((NameOID.ORGANIZATION_NAME, org), (NameOID.COMMON_NAME, common), (NameOID.TITLE, title))
    try:
        return x509.Name([x509.NameAttribute(oid, text) for oid, text in named if text is not None])
    except ValueError:
        raise KeyFormatError(
            f"{common!r} or {title!r} cannot be a name in a certificate: each needs 1 to 64 characters"
            if title is not None
            else f"{common!r} cannot be a name in a certificate: it needs 1 to 64 characters"
        ) from None


def _issue(
    subject: x509.Name,
    key: ec.EllipticCurvePublicKey,
    issuer: x509.Name,
    issuer_key: ec.EllipticCurvePrivateKey,
    now: datetime,
    lifetime: timedelta,
    path_length: int | None,
    role: Role = Role.STATION,
) -> x509.Certificate:
    is_ca = path_length is not None
    usage = x509.KeyUsage(
        digital_signature=not is_ca,
        key_cert_sign=is_ca,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        crl_sign=False,
        encipher_only=False,
        decipher_only=False,
    )
    now = now.astimezone(UTC).replace(microsecond=0)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _BACKDATE)
        .not_valid_after(now + lifetime)
        .add_extension(x509.BasicConstraints(ca=is_ca, path_length=path_length), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()), critical=False
        )
    )
    if role.value is not None:
        builder = builder.add_extension(x509.ExtendedKeyUsage([role.value]), critical=True)
    while True:
        certificate = builder.sign(issuer_key, hashes.SHA256())
        if is_one_form(certificate.signature):  # every second one, by chance
            return certificate


def new_authority(
    name: str, now: datetime, key: ec.EllipticCurvePrivateKey | None = None
) -> tuple[ec.EllipticCurvePrivateKey, x509.Certificate]:
    """A new registry authority: its key (a new one, if it has none) and its self-signed certificate."""
    key = key or ec.generate_private_key(ec.SECP256R1())
    subject = _name(name)
    return key, _issue(subject, key.public_key(), subject, key, now, AUTHORITY_LIFETIME, 1)


def issue_site(
    authority_key: ec.EllipticCurvePrivateKey,
    authority: x509.Certificate,
    site: str,
    now: datetime,
    key: ec.EllipticCurvePrivateKey | None = None,
) -> tuple[ec.EllipticCurvePrivateKey, x509.Certificate]:
    """A site's key (a new one, if it has none), certified by the registry authority."""
    key = key or ec.generate_private_key(ec.SECP256R1())
    certificate = _issue(
        _name(site, site), key.public_key(), authority.subject, authority_key, now, SITE_LIFETIME, 0
    )
    return key, certificate


def issue_station(
    site_key: ec.EllipticCurvePrivateKey,
    site: x509.Certificate,
    station_key: ec.EllipticCurvePublicKey,
    station: str,
    now: datetime,
) -> x509.Certificate:
    """Certify a station's key for one boot; ``now`` is the station's own clock."""
    subject = _name(station, organization(site))
    return _issue(subject, station_key, site.subject, site_key, now, STATION_LIFETIME, None)


def issue_person(
    site_key: ec.EllipticCurvePrivateKey,
    site: x509.Certificate,
    key: ec.EllipticCurvePublicKey,
    name: str,
    role: str,
    now: datetime,
    lifetime: timedelta = PERSON_LIFETIME,
) -> x509.Certificate:
    """Certify a person's key; ``name`` may be a pseudonym, ``role`` says what they are at the site."""
    subject = person_name(name, role, organization(site))
    return _issue(subject, key, site.subject, site_key, now, lifetime, None, Role.PERSON)


def person_name(name: str, role: str, site: str) -> x509.Name:
    """A person as a signing certificate names them.

    Raises:
        KeyFormatError: a name is empty or too long, or could pass for another: spaces around it, or
            characters that nobody sees.
    """
    if not name.strip() or not role.strip():
        raise KeyFormatError("a person needs a name, or a pseudonym, and a role")
    for one in (name, role):
        if not one.isprintable() or one != one.strip():
            raise KeyFormatError(
                f"{printable(one)[:80]!r} cannot be a name in a certificate: it has spaces around it, or "
                f"characters that nobody sees"
            )
    return _name(name, site, role)


def issue_revoker(
    issuer_key: ec.EllipticCurvePrivateKey,
    issuer: x509.Certificate,
    key: ec.EllipticCurvePublicKey,
    now: datetime,
) -> x509.Certificate:
    """Certify a key that signs one revocation, in the name of ``issuer``: a site, or the authority."""
    subject = _name(common_name(issuer), site_of(issuer))
    return _issue(subject, key, issuer.subject, issuer_key, now, REVOKER_LIFETIME, None, Role.REVOKER)


def _attribute(certificate: x509.Certificate, oid: x509.ObjectIdentifier, what: str) -> str:
    values = [one.value for one in certificate.subject.get_attributes_for_oid(oid)]
    if len(values) != 1 or not isinstance(values[0], str):
        raise KeyFormatError(f"a signing certificate does not have exactly one {what}")
    return values[0]


def common_name(certificate: x509.Certificate) -> str:
    """The subject's one common name; raises :class:`KeyFormatError`."""
    return _attribute(certificate, NameOID.COMMON_NAME, "common name")


def organization(certificate: x509.Certificate) -> str:
    """The subject's one organization, for us the site; raises :class:`KeyFormatError`."""
    return _attribute(certificate, NameOID.ORGANIZATION_NAME, "organization")


def site_of(certificate: x509.Certificate) -> str | None:
    """The subject's organization, ``None`` if it has none; raises :class:`KeyFormatError` for several."""
    return _optional(certificate, NameOID.ORGANIZATION_NAME, "organization")


def title_of(certificate: x509.Certificate) -> str | None:
    """The subject's title, for us a person's role; raises :class:`KeyFormatError` for several."""
    return _optional(certificate, NameOID.TITLE, "title")


def _optional(certificate: x509.Certificate, oid: x509.ObjectIdentifier, what: str) -> str | None:
    there = certificate.subject.get_attributes_for_oid(oid)
    return _attribute(certificate, oid, what) if there else None


@lru_cache(maxsize=_KEPT)
def p256_public_key(certificate: x509.Certificate) -> ec.EllipticCurvePublicKey:
    """The certified key; raises :class:`KeyFormatError` unless it is on P-256."""
    try:
        key = certificate.public_key()
    except _UNREADABLE:
        raise KeyFormatError("a signing certificate holds a key that cannot be read") from None
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP256R1):
        raise KeyFormatError("a signing certificate's key is not ECDSA P-256")
    return key


def private_key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    """PKCS#8 PEM, not encrypted: whoever writes it sets the file's mode to 0600."""
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def load_private_key(pem: bytes) -> ec.EllipticCurvePrivateKey:
    """Read a P-256 private key; raises :class:`KeyFormatError`."""
    try:
        key = serialization.load_pem_private_key(pem, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise KeyFormatError("this is not a private key in PEM, or it is encrypted") from None
    if not isinstance(key, ec.EllipticCurvePrivateKey) or not isinstance(key.curve, ec.SECP256R1):
        raise KeyFormatError("this private key is not ECDSA P-256")
    return key


def certificate_pem(*certificates: x509.Certificate) -> bytes:
    """The certificates as PEM, in the order given."""
    return b"".join(one.public_bytes(serialization.Encoding.PEM) for one in certificates)


def load_certificates(pem: bytes) -> tuple[x509.Certificate, ...]:
    """Every certificate in a PEM text, at least one; raises :class:`KeyFormatError`."""
    try:
        certificates = tuple(x509.load_pem_x509_certificates(pem))
    except _UNREADABLE:
        raise KeyFormatError("this holds no X.509 certificate in PEM") from None
    return tuple(_readable(one) for one in certificates)


@lru_cache(maxsize=_KEPT)
def load_certificate_der(der: bytes) -> x509.Certificate:
    """One certificate from DER; raises :class:`KeyFormatError`."""
    try:
        return _readable(x509.load_der_x509_certificate(der))
    except _UNREADABLE:
        raise KeyFormatError("this is not an X.509 certificate in DER") from None


def _readable(certificate: x509.Certificate) -> x509.Certificate:
    """The same, once everything we will ever ask of it could be read: parsing is lazy below us."""
    try:
        parts = (
            certificate.version,
            certificate.subject,
            certificate.issuer,
            certificate.extensions,
            certificate.not_valid_before_utc,
            certificate.not_valid_after_utc,
            certificate.signature_hash_algorithm,
        )
    except _UNREADABLE as error:
        raise KeyFormatError(f"an X.509 certificate is malformed: {error}") from None
    if parts[0] is not x509.Version.v3:
        raise KeyFormatError("an X.509 certificate is not of version 3")
    return certificate


@lru_cache(maxsize=_KEPT)
def chain_problems(
    chain: tuple[x509.Certificate, ...],
    authorities: tuple[x509.Certificate, ...],
    role: Role = Role.STATION,
) -> tuple[str, ...]:
    """Why ``chain`` (the signer's, the site's) does not lead to one of ``authorities``; empty when it does.

    The signer's must be of ``role``. Dates are not looked at here: which moment counts is the verifier's
    question.
    """
    if role is Role.REVOKER and len(chain) == 1:
        return _authority_problems(chain[0], authorities)
    if len(chain) != 2:
        return (f"the chain has {len(chain)} signing certificates; ours have two: {role.name.lower()}, site",)
    signer, site = chain
    try:
        problems = [
            *_profile_problems(signer, role.certificate, None, role),
            *_form_problems(signer, role.certificate),
            *_profile_problems(site, "the site's signing certificate", 0),
        ]
        if role is Role.STATION and _lasts(signer) > _BACKDATE + STATION_LIFETIME:
            problems.append(
                f"{role.certificate} is valid for more than the {STATION_LIFETIME.days} days of one"
            )
        if organization(signer) != organization(site):
            problems.append(f"{role.certificate} names another site than the one that issued it")
        if not _issued_by(signer, site):
            problems.append(f"{role.certificate} was not issued by the site's")
        if not any(_issued_by(site, authority) for authority in authorities):
            problems.append("the site's signing certificate was not issued by a trusted registry authority")
    except KeyFormatError as error:
        return (str(error),)
    return tuple(problems)


def _authority_problems(
    revoker: x509.Certificate, authorities: tuple[x509.Certificate, ...]
) -> tuple[str, ...]:
    """Of a revoker that an authority certified itself."""
    what = Role.REVOKER.certificate
    try:
        problems = [*_profile_problems(revoker, what, None, Role.REVOKER), *_form_problems(revoker, what)]
        if site_of(revoker) is not None:
            problems.append(f"{what} names a site, and the site's is not there")
        if not any(_issued_by(revoker, authority) for authority in authorities):
            problems.append(f"{what} was not issued by a trusted registry authority")
    except KeyFormatError as error:
        return (str(error),)
    return tuple(problems)


def _issued_by(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(issuer)
    except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm):
        return False
    return True


def _profile_problems(
    certificate: x509.Certificate, what: str, path_length: int | None, role: Role = Role.STATION
) -> list[str]:
    p256_public_key(certificate)
    is_ca = path_length is not None
    try:
        constraints = certificate.extensions.get_extension_for_class(x509.BasicConstraints).value
        usage = certificate.extensions.get_extension_for_class(x509.KeyUsage).value
        known = {x509.BasicConstraints.oid, x509.KeyUsage.oid, x509.ExtendedKeyUsage.oid}
        strange = [
            one.oid.dotted_string for one in certificate.extensions if one.critical and one.oid not in known
        ]
    except (x509.ExtensionNotFound, x509.DuplicateExtension, ValueError):
        return [f"{what} lacks its basic constraints or key usage"]
    problems = []
    if not isinstance(certificate.signature_hash_algorithm, hashes.SHA256):
        problems.append(f"{what} is not signed by ECDSA with SHA-256")
    if constraints.ca != is_ca or constraints.path_length != path_length:
        problems.append(f"{what} has the wrong basic constraints")
    if usage.key_cert_sign != is_ca or usage.digital_signature == is_ca:
        problems.append(f"{what} has the wrong key usage")
    if not _is_marked(certificate, role):
        marked = f"not marked as a {role.name.lower()}'s" if role.value else "marked for another role"
        problems.append(f"{what} is {marked}")
    if strange:
        problems.append(f"{what} has a critical extension we do not know ({', '.join(strange)})")
    return problems


def _lasts(certificate: x509.Certificate) -> timedelta:
    return certificate.not_valid_after_utc - certificate.not_valid_before_utc


def _is_marked(certificate: x509.Certificate, role: Role) -> bool:
    """Whether its extended key usage is the role's, critical and alone; others than signers have none."""
    found = [one for one in certificate.extensions if one.oid == x509.ExtendedKeyUsage.oid]
    if role.value is None:
        return not found
    return len(found) == 1 and found[0].critical and found[0].value == x509.ExtendedKeyUsage([role.value])


def _form_problems(signer: x509.Certificate, what: str) -> list[str]:
    """The log names this certificate by the hash of its DER, so what is not signed in it has one form."""
    signature = signer.signature
    bits = der_value(0x03, b"\0" + signature)
    one = der_value(0x30, signer.tbs_certificate_bytes + _ECDSA_SHA256 + bits)
    if signer.public_bytes(serialization.Encoding.DER) == one and is_one_form(signature):
        return []
    return [f"{what} is not written in the one way that is ours (DER, low s)"]
