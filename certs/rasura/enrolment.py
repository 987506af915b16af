"""Enrolment: a station with a key in its memory is certified by its site, after a person has compared a code.

A machine that boots from the network carries no secret. It makes a key, the registry's operator reads
eight characters from its screen and types them, and the registry certifies that key for a week::

    station                                       registry
    POST /enrolments      {"commitment": HEX}  →
                                               ←  201 {"id": HEX, "nonce": HEX}
    PUT  /enrolments/ID   the request, as it is →
                                               ←  200 {"state": "pending"}
    GET  /enrolments/ID                        →
                                               ←  200 {"state": "pending" | "rejected" | "expired"}, or
                                                  {"state": "approved", "site", "chain": [BASE64 DER, two],
                                                   "trust": the text of trust.toml}

The request is one JSON object: ``version`` 1, ``csr`` (base64 DER, PKCS #10: its signature proves that the
station has the key), ``site`` (what the station would like; the approver chooses), ``buildHash`` (what it
says it runs) and ``clock`` (its own time, RFC 3339). The commitment is the SHA-256 of the request's bytes,
and the code is made of the nonce and those bytes, so everything in the request is under the code.

**Why the code cannot be matched by somebody in between.** The attacker wants his own key approved by the
code that an honest screen shows. Were the code a hash of the key alone, 40 bits would be nothing: he sees
the key, and tries his own until one has the same code, about 2^40 hashes, which one graphics card does in
minutes (or once, in advance, for everybody). Here neither side can try:

- towards the registry he is bound by the commitment *before* the nonce is drawn, so his code is random;
- towards the station he must choose a nonce *before* the request is opened. Until then he has only its
  SHA-256, and the request holds a fresh 256-bit key; so the code on that screen is random to him too.

What is left is luck: 2^-40 for each enrolment he begins and each screen that shows a code. The registry
holds at most 256 begun ones for two minutes each, so in the twelve hours that a code lives he begins about
9 * 10^4; with 256 screens lit all that time he succeeds once in 5 * 10^4 such half-days of flooding, which
the registry's log shows. A key is used for one request only: who opens the same request under two nonces
gives the second one away. Codes are not listed by the registry: they must come from the screen.

**Whom the station believes.** The code protects the registry from a false station. A false registry is kept
out by TLS (a pin or a public authority), or by a trust file the station has already. With neither, what
comes back as ``trust`` could be anybody's, so :meth:`Enrolment.request` refuses.
"""

from __future__ import annotations

import base64
import hashlib
import ipaddress
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from rasura import strict_json
from rasura.base64_text import canonical_base64
from rasura.client import RegistryAnswerError, RegistryAwayError, RegistryClient, problem_detail
from rasura.consistency import parse_time
from rasura.csr import proven_key
from rasura.envelope import key_id
from rasura.errors import RasuraError, RefusedError, UsageError
from rasura.keys import chain_problems, common_name, load_certificate_der, organization, p256_public_key
from rasura.trust import Trust

__all__ = [
    "CODE_ALPHABET",
    "CODE_CHARACTERS",
    "MAX_REQUEST_BYTES",
    "NONCE_BYTES",
    "Enrolled",
    "Enrolment",
    "EnrolmentEndedError",
    "EnrolmentError",
    "EnrolmentRequest",
    "commitment",
    "enrolment_code",
    "normalised_code",
    "station_name",
]

CODE_ALPHABET = "23456789ABCDEFGHJKLMNPQRSTUVWXYZ"
"""32 characters, 5 bits each, without 0, 1, I and O, which screens and people confuse."""

CODE_CHARACTERS = 8

NONCE_BYTES = 32

MAX_REQUEST_BYTES = 4096
"""A request is about 600 bytes."""

_MAX_TEXT = 128
_VERSION = 1
_CODE_LABEL = b"rasura enrolment code v1\0"
_EARLIEST_YEAR, _LATEST_YEAR = 1970, 2200
"""What a clock may say. Certificates need a year from 1950 to 9999, and a day more than this one's."""


class EnrolmentError(RasuraError):
    """A request, or what the registry answers to it, does not hold."""


class EnrolmentEndedError(RefusedError):
    """The registry's operator rejected the station, or nobody approved it in time."""


def station_name(key: ec.EllipticCurvePublicKey) -> str:
    """A station's name for this boot: it follows from its key, so nobody can ask for another's."""
    return f"station-{key_id(key)[:12]}"


def commitment(request: bytes) -> str:
    """What a station says before it shows its request: the hex SHA-256 of its bytes."""
    return hashlib.sha256(request).hexdigest()


def enrolment_code(nonce: bytes, request: bytes) -> str:
    """The code on the screen, ``XXXX-XXXX``: the first 40 bits of a SHA-256 over nonce and request."""
    digest = hashlib.sha256(_CODE_LABEL + nonce + request).digest()
    bits = int.from_bytes(digest[:5], "big")
    text = "".join(CODE_ALPHABET[bits >> 5 * place & 31] for place in reversed(range(CODE_CHARACTERS)))
    return f"{text[:4]}-{text[4:]}"


def normalised_code(text: str) -> str | None:
    """A code as :func:`enrolment_code` writes it, however it was typed; ``None`` if it is none."""
    letters = "".join(text.split()).replace("-", "").upper()
    if len(letters) != CODE_CHARACTERS or set(letters) - set(CODE_ALPHABET):
        return None
    return f"{letters[:4]}-{letters[4:]}"


class EnrolmentRequest(msgspec.Struct, frozen=True):
    """What a station asks for. Nothing in it is trusted but that it has the key."""

    key: ec.EllipticCurvePublicKey
    site: str | None
    build_hash: str | None
    clock: datetime
    """The station's own clock, UTC: its certificate must frame the times that it will claim by that clock."""

    @staticmethod
    def encode(
        key: ec.EllipticCurvePrivateKey, *, site: str | None, build_hash: str | None, clock: datetime
    ) -> bytes:
        """The bytes of a request for ``key``; :meth:`parse` reads them."""
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, station_name(key.public_key()))])
        csr = x509.CertificateSigningRequestBuilder().subject_name(subject).sign(key, hashes.SHA256())
        return strict_json.dumps(
            {
                "version": _VERSION,
                "csr": base64.b64encode(csr.public_bytes(serialization.Encoding.DER)).decode(),
                "site": site,
                "buildHash": build_hash,
                "clock": clock.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            }
        )

    @classmethod
    def parse(cls, raw: bytes) -> EnrolmentRequest:
        """Read a request and check its proof of possession; raises :class:`EnrolmentError`."""
        if len(raw) > MAX_REQUEST_BYTES:
            raise EnrolmentError(f"an enrolment request has at most {MAX_REQUEST_BYTES} bytes")
        match _object(raw, "the enrolment request"):
            case {
                "version": 1,
                "csr": str(csr),
                "site": None | str() as site,
                "buildHash": None | str() as build_hash,
                "clock": str(clock),
                **more,
            } if not more:
                pass
            case _:
                raise EnrolmentError("this is not an enrolment request as we know it")
        if any(len(text) > _MAX_TEXT for text in (site, build_hash) if text is not None):
            raise EnrolmentError(f"a text of the enrolment request has more than {_MAX_TEXT} characters")
        time = parse_time(clock)
        if time is None or not _EARLIEST_YEAR <= time.year <= _LATEST_YEAR:
            raise EnrolmentError("the enrolment request does not give the station's clock")
        der = canonical_base64(csr, "the CSR", EnrolmentError)
        return cls(proven_key(der, "the enrolment request", EnrolmentError), site, build_hash, time)


class Enrolled(msgspec.Struct, frozen=True):
    """A certified station: its key, its chain (station, site), its site, and whom to trust."""

    key: ec.EllipticCurvePrivateKey
    chain: tuple[x509.Certificate, ...]
    site: str
    trust: Trust


class Enrolment:
    """One station waiting for approval. Show :attr:`code`, and :meth:`poll` every few seconds."""

    def __init__(
        self,
        client: RegistryClient,
        enrolment_id: str,
        key: ec.EllipticCurvePrivateKey,
        code: str,
        trust: Trust | None,
    ) -> None:
        """Made by :meth:`request`."""
        self.code = code
        self._client, self._id, self._key, self._trust = client, enrolment_id, key, trust

    @classmethod
    def request(
        cls,
        client: RegistryClient,
        *,
        clock: datetime,
        site: str | None = None,
        build_hash: str | None = None,
        trust: Trust | None = None,
    ) -> Enrolment:
        """Make a key and ask the registry behind ``client`` to have it certified.

        Every call makes a new key: when one fails half-way, call again. ``clock`` is this machine's own
        time. With ``trust`` the certificate must lead to one of its authorities; without, the registry's
        own trust file is taken, which only TLS makes believable (a loopback address will do).

        Raises:
            UsageError: there is neither TLS nor ``trust``.
            RegistryAwayError: there is no answer, or no room for one more: try again later.
            RegistryAnswerError: the answer is not that of a registry that enrols stations.
        """
        if trust is None and not client.over_tls and not _is_loopback(client.host):
            raise UsageError(
                f"{client.url} has no TLS, so nobody can tell whose trust it would hand out",
                hint="use https:// with the registry's pin, or a site folder that holds its trust file",
            )
        key = ec.generate_private_key(ec.SECP256R1())
        raw = EnrolmentRequest.encode(key, site=site, build_hash=build_hash, clock=clock)
        begun = _ask(client, "POST", "/enrolments", strict_json.dumps({"commitment": commitment(raw)}))
        match begun:
            case {"id": str(enrolment_id), "nonce": str(nonce)} if enrolment_id.isalnum():
                drawn = _nonce(nonce)
            case _:
                raise RegistryAnswerError(f"{client.url} does not begin an enrolment as a registry does")
        # Only now may anybody see the request: the nonce is drawn.
        _ask(client, "PUT", f"/enrolments/{enrolment_id}", raw)
        return cls(client, enrolment_id, key, enrolment_code(drawn, raw), trust)

    def poll(self, now: datetime) -> Enrolled | None:
        """What became of it: ``None`` as long as nobody decided. ``now`` is this machine's own clock.

        Raises:
            EnrolmentEndedError: rejected, or not approved in time; make a new request.
            EnrolmentError: approved, but with a certificate that does not hold.
            RegistryAwayError, RegistryAnswerError: as for :meth:`request`.
        """
        answer = _ask(self._client, "GET", f"/enrolments/{self._id}", None, gone_is="expired")
        match answer:
            case {"state": "pending"}:
                return None
            case {"state": "rejected"}:
                raise EnrolmentEndedError("the registry's operator rejected this station")
            case {"state": "expired"}:
                raise EnrolmentEndedError("nobody approved this station in time")
            case {"state": "approved", "chain": list(chain), "trust": str(trust)}:
                return self._checked(chain, trust, now)
            case _:
                raise RegistryAnswerError(
                    f"{self._client.url} does not answer an enrolment as a registry does"
                )

    def _checked(self, chain: list[Any], trust_toml: str, now: datetime) -> Enrolled:
        try:
            trust = self._trust or Trust.parse(trust_toml)
            certificates = tuple(
                load_certificate_der(canonical_base64(str(one), "the chain", EnrolmentError)) for one in chain
            )
            problems = list(chain_problems(certificates, trust.authorities))
            if not problems:
                problems += self._problems(certificates[0], now)
        except RasuraError as error:
            problems = [str(error)]
        if problems:
            raise EnrolmentError(f"the signing certificate that came back is no good: {'; '.join(problems)}")
        return Enrolled(self._key, certificates, organization(certificates[0]), trust)

    def _problems(self, own: x509.Certificate, now: datetime) -> list[str]:
        key = self._key.public_key()
        problems = []
        if p256_public_key(own) != key:
            problems.append("it is for another key")
        if common_name(own) != station_name(key):
            problems.append("it is for another station")
        if not own.not_valid_before_utc <= now <= own.not_valid_after_utc:
            problems.append("it is not valid by this machine's clock")
        return problems


def _ask(
    client: RegistryClient, method: str, path: str, body: bytes | None, *, gone_is: str | None = None
) -> dict[str, Any]:
    status, answer = client.ask(method, path, body)
    if status == HTTPStatus.NOT_FOUND and gone_is is not None:
        return {"state": gone_is}
    if status in {HTTPStatus.OK, HTTPStatus.CREATED}:
        try:
            return strict_json.loads(answer, what="the registry's answer")
        except strict_json.JsonError as error:
            raise RegistryAnswerError(f"the answer of {client.url} cannot be read: {error}") from None
    reason = problem_detail(answer) or f"HTTP status {status}"
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR or status in {
        HTTPStatus.REQUEST_TIMEOUT,
        HTTPStatus.TOO_MANY_REQUESTS,
    }:
        raise RegistryAwayError(f"the registry at {client.url} cannot enrol a station now: {reason}")
    raise RegistryAnswerError(f"{client.url} does not enrol this station: {reason}")


def _nonce(text: str) -> bytes:
    try:
        nonce = bytes.fromhex(text)
    except ValueError:
        nonce = b""
    if len(nonce) != NONCE_BYTES:
        raise RegistryAnswerError("the registry's nonce is not one")
    return nonce


def _object(raw: bytes, what: str) -> dict[str, Any]:
    try:
        return strict_json.loads(raw, what=what)
    except strict_json.JsonError as error:
        raise EnrolmentError(str(error)) from None


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"
