"""TLS to a registry that is known by the hash of its authority, its pin.

A workshop's registry has no public name, so no public authority vouches for it. It makes a TLS
authority of its own, and its stations are told the SHA-256 of that certificate (``sha256:HEX``, from
the boot menu or the site folder). A station asks ``URL/ca.pem`` of whoever answers there, over a
connection that proves nothing, and keeps the one certificate with that hash: nobody can make another.
From then on it talks only over TLS that leads to that authority, and to the host it asked for.

**Dates are not looked at** when there is a pin. The clock of a collected PC may be years off (its
battery is dead), and every certificate then looks expired or not yet valid. The station cannot be told
the time safely before TLS stands, and a pin says more than a date: exactly this authority, named by the
person who started the station. What is given up: the server's certificate does not die of age for such a
station. Whoever steals the server's key is shut out by a new authority and a new pin, not by waiting.
"""

from __future__ import annotations

import hashlib
import http.client
import re
import ssl

from cryptography import x509
from cryptography.hazmat.primitives import serialization

from rasura import __version__
from rasura.errors import RasuraError, UsageError
from rasura.keys import KeyFormatError, certificate_pem, load_certificates

__all__ = [
    "AUTHORITY_PATH",
    "AuthorityAwayError",
    "PinError",
    "authority_context",
    "parse_pin",
    "pin_of",
    "pinned_context",
]

AUTHORITY_PATH = "/ca.pem"
"""Where a registry gives its TLS authority's certificate, below its URL."""

_NO_CHECK_TIME = ssl.VerifyFlags(0x200000)
"""``X509_V_FLAG_NO_CHECK_TIME`` (openssl/x509_vfy.h since 1.1.0), which the ssl module does not name."""

_PARTIAL_CHAIN = ssl.VerifyFlags(0x80000)
"""``X509_V_FLAG_PARTIAL_CHAIN``: the pinned certificate ends the chain, be it self-signed or not."""

_MAX_BYTES = 64 * 1024
_PIN = re.compile(r"sha256:[0-9a-f]{64}")


class PinError(RasuraError):
    """Whoever answers at the address does not have the pinned authority."""


class AuthorityAwayError(PinError):
    """Nobody answers at the address, or without TLS: try again later."""


def parse_pin(text: str) -> str:
    """The pin in its one form, ``sha256:`` and 64 lower-case digits; raises :class:`UsageError`."""
    pin = text.strip().lower()
    if not _PIN.fullmatch(pin):
        raise UsageError(
            f"{text[:80]!r} is not the pin of a registry's authority",
            hint="it is sha256: and 64 hexadecimal digits; 'rasura-registry serve --tls' prints it",
        )
    return pin


def pin_of(certificate: x509.Certificate) -> str:
    """The pin: the SHA-256 of the certificate's DER."""
    return f"sha256:{hashlib.sha256(certificate.public_bytes(serialization.Encoding.DER)).hexdigest()}"


def pinned_context(url: str, pin: str, *, timeout_s: float) -> ssl.SSLContext:
    """Fetch the authority with that ``pin`` from the registry at ``url``, and trust it alone.

    Raises:
        AuthorityAwayError: nobody answers, or not with TLS.
        PinError: somebody answers, and does not have it.
    """
    pem = _fetch(url, timeout_s)
    try:
        offered = load_certificates(pem)
    except KeyFormatError:
        raise PinError(
            f"{url} gives no certificate at {AUTHORITY_PATH}, where the pinned one should be"
        ) from None
    for certificate in offered:
        if pin_of(certificate) == pin:
            return authority_context(certificate)
    raise PinError(
        f"{url} is not the registry with the pin {pin}: its authority is {pin_of(offered[0])}",
        hint="compare the pin with what the registry printed; if it is right, somebody else answers there",
    )


def authority_context(authority: x509.Certificate) -> ssl.SSLContext:
    """TLS 1.2 or later that trusts ``authority`` alone, checks the host, and looks at no dates."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.hostname_checks_common_name = False
    context.load_verify_locations(cadata=certificate_pem(authority).decode())
    context.verify_flags |= _NO_CHECK_TIME | _PARTIAL_CHAIN
    return context


def _fetch(url: str, timeout_s: float) -> bytes:
    """What ``url`` gives as its authority, from whoever answers: only the hash makes it worth anything."""
    import urllib3  # noqa: PLC0415  a pin is also read where there is no network

    parsed = urllib3.util.parse_url(url)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    # http.client, since urllib3 warns of every unverified connection and this one is meant to be.
    connection = http.client.HTTPSConnection(
        (parsed.host or "").strip("[]"), parsed.port, timeout=timeout_s, context=context
    )
    try:
        connection.request(
            "GET", (parsed.path or "") + AUTHORITY_PATH, headers={"User-Agent": f"rasura/{__version__}"}
        )
        answer = connection.getresponse()
        body = answer.read(_MAX_BYTES + 1)
    except (OSError, http.client.HTTPException, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        raise AuthorityAwayError(f"the registry at {url} cannot be reached ({reason})") from None
    finally:
        connection.close()
    if answer.status >= http.HTTPStatus.INTERNAL_SERVER_ERROR:
        raise AuthorityAwayError(f"the registry at {url} is not well (HTTP status {answer.status})")
    if answer.status != http.HTTPStatus.OK or len(body) > _MAX_BYTES:
        raise PinError(f"{url} does not give its authority at {AUTHORITY_PATH} (HTTP status {answer.status})")
    return body
