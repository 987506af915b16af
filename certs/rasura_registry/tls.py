"""TLS without a public authority: the registry makes one of its own, and stations know it by its hash.

::

    tls/ca.key       the TLS authority's private key, mode 0600
    tls/ca.pem       its certificate: what GET /ca.pem gives, and what the pin is the hash of
    tls/server.pem   the server's key and certificate, mode 0600; made again when it must be

This authority vouches for the address of one server and for nothing else: it is not the one that
certifies sites (``ca.pem`` of the data folder). Why a pin: see :mod:`rasura.pinned` and the decision
record ``certs/decisions/tls-pin.md``.
"""

from __future__ import annotations

import ipaddress
import re
import ssl
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Protocol

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from rasura import durable
from rasura.errors import UsageError
from rasura.keys import (
    KeyFormatError,
    certificate_pem,
    load_certificates,
    load_private_key,
    p256_public_key,
    private_key_pem,
)
from rasura.pinned import pin_of
from rasura_registry.errors import FolderError

__all__ = [
    "AUTHORITY_LIFETIME",
    "SERVER_LIFETIME",
    "GivenTls",
    "OwnTls",
    "Tls",
    "load_chain",
    "parse_names",
    "server_context",
]

AUTHORITY_LIFETIME = timedelta(days=3650)
"""A new authority means a new pin at every station, so it lives long."""

SERVER_LIFETIME = timedelta(days=397)
"""With our backdating below 398 days (CA/Browser Forum Baseline Requirements 6.3.2)."""

_RENEWED_BEFORE_END = timedelta(days=30)
_BACKDATE = timedelta(minutes=5)
_LABEL = re.compile(r"(?!-)[a-z0-9-]{1,63}(?<!-)")


class Tls(Protocol):
    """Where the server's certificate and key come from."""

    @property
    def authority_pem(self) -> bytes:
        """What ``GET /ca.pem`` gives."""
        ...

    @property
    def pin(self) -> str | None:
        """The pin to tell stations; None where none is needed or it is not ours to choose."""
        ...

    def prepare(self, now: datetime) -> tuple[Path, Path]:
        """The files of the certificate and of the key, fit to be served at ``now``.

        Raises:
            UsageError: they cannot be read or made.
        """
        ...


def parse_names(text: str) -> tuple[str, ...]:
    """The host names and IP addresses in ``HOST[,HOST...]``, each once; raises :class:`UsageError`."""
    names = []
    for part in text.split(","):
        name = part.strip().strip("[]").lower().rstrip(".")
        if _address(name) is None and (
            len(name) > 253 or not all(_LABEL.fullmatch(label) for label in name.split("."))
        ):
            raise UsageError(
                f"{part.strip()[:80]!r} is not a host name or an IP address",
                hint="give what stations will have in the registry's URL, such as registry.lan,192.168.1.10",
            )
        names.append(name)
    return tuple(dict.fromkeys(names))


class OwnTls:
    """An authority in ``folder``, made at the first start, and a server certificate for ``names``."""

    def __init__(self, folder: Path, names: Sequence[str], owner: str) -> None:
        """``owner`` is who the authority says it is of, at most 64 characters: the log's name."""
        self._folder = folder
        self._names = tuple(names)
        self._owner = owner
        self._authority: x509.Certificate | None = None

    @property
    def authority_pem(self) -> bytes:
        """See :class:`Tls`."""
        return certificate_pem(self._made())

    @property
    def pin(self) -> str:
        """See :class:`Tls`."""
        return pin_of(self._made())

    def _made(self) -> x509.Certificate:
        if self._authority is None:
            raise FolderError("the TLS authority was not prepared")
        return self._authority

    def prepare(self, now: datetime) -> tuple[Path, Path]:
        """See :class:`Tls`."""
        path = self._folder / "server.pem"
        try:
            self._folder.mkdir(mode=0o700, exist_ok=True)
            key, self._authority = self._load_authority(now)
            if not self._fits(path, now):
                server_key, certificate = _issue_server(key, self._authority, self._names, now)
                durable.write_file(
                    path, private_key_pem(server_key) + certificate_pem(certificate), mode=0o600
                )
        except OSError as error:
            raise FolderError(f"{self._folder} cannot be used for TLS: {error.strerror}") from None
        except KeyFormatError as error:
            raise FolderError(f"{self._folder} cannot be used for TLS: {error}") from None
        return path, path

    def _load_authority(self, now: datetime) -> tuple[ec.EllipticCurvePrivateKey, x509.Certificate]:
        key_path, certificate_path = self._folder / "ca.key", self._folder / "ca.pem"
        if not certificate_path.exists():
            # The certificate is written last: as long as it is not there, nobody knows the pin.
            key, certificate = _new_authority(self._owner, now)
            durable.write_file(key_path, private_key_pem(key), mode=0o600)
            durable.write_file(certificate_path, certificate_pem(certificate))
            return key, certificate
        key = load_private_key(key_path.read_bytes())
        certificate = load_certificates(certificate_path.read_bytes())[0]
        if p256_public_key(certificate) != key.public_key():
            raise FolderError(f"ca.key and ca.pem in {self._folder} do not belong together")
        return key, certificate

    def _fits(self, path: Path, now: datetime) -> bool:
        """Whether the certificate there is this authority's, for these names, and not about to end."""
        try:
            pem = path.read_bytes()
            certificate, key = load_certificates(pem)[0], load_private_key(pem)
            certificate.verify_directly_issued_by(self._made())
            names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        except (OSError, KeyFormatError, x509.ExtensionNotFound, InvalidSignature, ValueError, TypeError):
            return False
        return (
            p256_public_key(certificate) == key.public_key()
            and list(names) == [_general_name(name) for name in self._names]
            and certificate.not_valid_before_utc <= now
            and now + _RENEWED_BEFORE_END <= certificate.not_valid_after_utc
        )


class GivenTls:
    """A certificate and key from elsewhere, such as a public authority's; read again when renewed."""

    def __init__(self, certificate: Path, key: Path) -> None:
        self._certificate = certificate
        self._key = key
        self.authority_pem = b""
        self.pin = None

    def prepare(self, now: datetime) -> tuple[Path, Path]:  # noqa: ARG002  whoever renews it minds its dates
        """See :class:`Tls`."""
        try:
            self.authority_pem = certificate_pem(*load_certificates(self._certificate.read_bytes()))
        except OSError as error:
            raise UsageError(f"cannot read {self._certificate}: {error.strerror}") from None
        except KeyFormatError as error:
            raise UsageError(f"{self._certificate} cannot be served: {error}") from None
        return self._certificate, self._key


def server_context(tls: Tls, now: datetime) -> ssl.SSLContext:
    """A server's side of TLS 1.2 or later; :func:`load_chain` may renew it while it serves.

    Raises:
        UsageError: certificate or key cannot be read, made or used together.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    load_chain(context, tls, now)
    return context


def load_chain(context: ssl.SSLContext, tls: Tls, now: datetime) -> None:
    """Have new connections served with the certificate as it is now; raises :class:`UsageError`."""
    certificate, key = tls.prepare(now)
    try:
        # A key under a passphrase must end in a sentence, not in a prompt of the library's.
        context.load_cert_chain(certificate, key, password=lambda: b"")
    except (OSError, ValueError) as error:
        reason = getattr(error, "reason", None) or getattr(error, "strerror", None) or "not a key in PEM"
        raise UsageError(f"{certificate} and {key} cannot be served with TLS: {reason}") from None


def _address(name: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(name)
    except ValueError:
        return None


def _general_name(name: str) -> x509.GeneralName:
    address = _address(name)
    return x509.DNSName(name) if address is None else x509.IPAddress(address)


def _new_authority(owner: str, now: datetime) -> tuple[ec.EllipticCurvePrivateKey, x509.Certificate]:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, owner),
            x509.NameAttribute(NameOID.COMMON_NAME, "Rasura TLS authority"),
        ]
    )
    builder = _builder(subject, key.public_key(), subject, key.public_key(), now, AUTHORITY_LIFETIME)
    return key, (
        builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(key_cert_sign=True), critical=True)
        .sign(key, hashes.SHA256())
    )


def _issue_server(
    authority_key: ec.EllipticCurvePrivateKey,
    authority: x509.Certificate,
    names: Sequence[str],
    now: datetime,
) -> tuple[ec.EllipticCurvePrivateKey, x509.Certificate]:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Rasura registry")])
    builder = _builder(
        subject, key.public_key(), authority.subject, authority_key.public_key(), now, SERVER_LIFETIME
    )
    return key, (
        builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(digital_signature=True), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectAlternativeName([_general_name(name) for name in names]), critical=False)
        .sign(authority_key, hashes.SHA256())
    )


def _builder(
    subject: x509.Name,
    key: ec.EllipticCurvePublicKey,
    issuer: x509.Name,
    issuer_key: ec.EllipticCurvePublicKey,
    now: datetime,
    lifetime: timedelta,
) -> x509.CertificateBuilder:
    now = now.astimezone(UTC).replace(microsecond=0)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _BACKDATE)
        .not_valid_after(now + lifetime)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key), critical=False)
    )


def _usage(*, digital_signature: bool = False, key_cert_sign: bool = False) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=digital_signature,
        key_cert_sign=key_cert_sign,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        crl_sign=False,
        encipher_only=False,
        decipher_only=False,
    )
