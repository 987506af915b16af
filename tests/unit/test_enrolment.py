"""Enrolment as a station sees it: the code, the request, and what it believes of the answers."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from hypothesis import given
from hypothesis import strategies as st

from rasura.client import RegistryAnswerError, RegistryAwayError, RegistryClient
from rasura.enrolment import (
    CODE_ALPHABET,
    Enrolment,
    EnrolmentEndedError,
    EnrolmentError,
    EnrolmentRequest,
    commitment,
    enrolment_code,
    normalised_code,
    station_name,
)
from rasura.errors import RasuraError, UsageError
from rasura.keys import issue_station
from rasura.verifier import Verdict, verify
from rasura_agent import station as agent_station
from rasura_agent.station import SigningStation
from simulators.signing import NOW, TrustWorld
from simulators.web import Answer, serving

NONCE = bytes(range(32))
ID = "0123456789abcdef" * 2


@pytest.fixture(scope="module")
def world() -> TrustWorld:
    return TrustWorld()


@pytest.fixture(scope="module")
def key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


@pytest.fixture(scope="module")
def raw(key: ec.EllipticCurvePrivateKey) -> bytes:
    return EnrolmentRequest.encode(key, site="Lyon", build_hash="sha256:12", clock=NOW)


def test_the_agent_and_the_registry_give_a_station_the_same_name(key: ec.EllipticCurvePrivateKey) -> None:
    assert station_name(key.public_key()) == agent_station.station_name(key)


def test_a_code_is_eight_letters_that_nobody_confuses() -> None:
    assert len(set(CODE_ALPHABET)) == 32
    assert not set(CODE_ALPHABET) & set("01IO")
    # Pinned, since both ends must make it: the first 40 bits, five at a time, most significant first.
    digest = hashlib.sha256(b"rasura enrolment code v1\0" + NONCE + b"request").digest()
    bits = "".join(f"{byte:08b}" for byte in digest[:5])
    letters = "".join(CODE_ALPHABET[int(bits[at : at + 5], 2)] for at in range(0, 40, 5))
    assert enrolment_code(NONCE, b"request") == f"{letters[:4]}-{letters[4:]}"


@given(st.binary(max_size=64), st.binary(min_size=32, max_size=32))
def test_a_code_is_read_however_it_is_typed(request: bytes, nonce: bytes) -> None:
    code = enrolment_code(nonce, request)
    assert normalised_code(code) == code
    assert normalised_code(f" {code.lower().replace('-', ' ')}\n") == code
    assert enrolment_code(nonce, request + b"x") != code
    assert enrolment_code(nonce[:-1] + bytes([nonce[-1] ^ 1]), request) != code


@given(st.text(max_size=12))
def test_what_is_no_code_is_none(text: str) -> None:
    code = normalised_code(text)
    assert code is None or code.replace("-", "") == "".join(text.split()).replace("-", "").upper()


def test_a_request_round_trips(key: ec.EllipticCurvePrivateKey, raw: bytes) -> None:
    request = EnrolmentRequest.parse(raw)
    assert request.key == key.public_key()
    assert (request.site, request.build_hash, request.clock) == ("Lyon", "sha256:12", NOW)


def csr(
    key: ec.EllipticCurvePrivateKey, algorithm: hashes.SHA256 | hashes.SHA512 | None = None
) -> x509.CertificateSigningRequest:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "x")])
    return x509.CertificateSigningRequestBuilder().subject_name(name).sign(key, algorithm or hashes.SHA256())


def encoded(request: x509.CertificateSigningRequest) -> str:
    return base64.b64encode(request.public_bytes(serialization.Encoding.DER)).decode()


def anothers(key: ec.EllipticCurvePrivateKey) -> str:
    """A CSR that names ``key`` and is signed by somebody who has not got it."""
    der = csr(key).public_bytes(serialization.Encoding.DER)
    other = csr(ec.generate_private_key(ec.SECP256R1())).public_bytes(serialization.Encoding.DER)
    spki = serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    mine = key.public_key().public_bytes(*spki)
    theirs = x509.load_der_x509_csr(other).public_key().public_bytes(*spki)
    assert mine in der
    return base64.b64encode(other.replace(theirs, mine)).decode()


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda value, key: value.update(version=2), "not an enrolment request"),
        (lambda value, key: value.update(more=1), "not an enrolment request"),
        (lambda value, key: value.pop("csr"), "not an enrolment request"),
        (lambda value, key: value.update(site=5), "not an enrolment request"),
        (lambda value, key: value.update(site="x" * 129), "more than 128"),
        (lambda value, key: value.update(buildHash="x" * 129), "more than 128"),
        (lambda value, key: value.update(clock="yesterday"), "clock"),
        (lambda value, key: value.update(clock="1969-01-01T00:00:00Z"), "clock"),
        (lambda value, key: value.update(clock="9999-12-31T23:59:59Z"), "clock"),
        (lambda value, key: value.update(csr="*"), "not base64"),
        (lambda value, key: value.update(csr="AAAA"), "no CSR"),
        (lambda value, key: value.update(csr=anothers(key)), "not signed by the key"),
        (lambda value, key: value.update(csr=encoded(csr(key, hashes.SHA512()))), "not signed by the key"),
        (
            lambda value, key: value.update(csr=encoded(csr(ec.generate_private_key(ec.SECP384R1())))),
            "not ECDSA P-256",
        ),
        (lambda value, key: value.update(site="x" * 5000), "at most 4096 bytes"),
    ],
)
def test_requests_that_do_not_hold(
    key: ec.EllipticCurvePrivateKey,
    raw: bytes,
    change: Callable[[dict[str, Any], ec.EllipticCurvePrivateKey], None],
    sentence: str,
) -> None:
    value = json.loads(raw)
    change(value, key)
    with pytest.raises(EnrolmentError, match=sentence):
        EnrolmentRequest.parse(json.dumps(value).encode())


@given(st.binary(max_size=200))
def test_garbage_is_no_request(garbage: bytes) -> None:
    with pytest.raises(EnrolmentError):
        EnrolmentRequest.parse(garbage)


@given(st.integers(0, 4095), st.integers(1, 255))
def test_a_request_with_a_wrong_byte_raises_only_ours(at: int, by: int) -> None:
    damaged = bytearray(SAMPLE)
    damaged[at % len(damaged)] ^= by
    with contextlib.suppress(EnrolmentError):
        EnrolmentRequest.parse(bytes(damaged))


SAMPLE = EnrolmentRequest.encode(
    ec.generate_private_key(ec.SECP256R1()), site=None, build_hash=None, clock=NOW
)


class FakeRegistry:
    """A registry that certifies whom it is told to, and may lie."""

    def __init__(self, world: TrustWorld) -> None:
        self.world = world
        self.order: list[str] = []
        self.announced = ""
        self.raw = b""
        self.answers: dict[str, Answer] = {}

    def __call__(self, method: str, path: str, body: bytes) -> Answer:
        self.order.append(f"{method} {path}")
        if method in self.answers:
            return self.answers[method]
        if method == "POST":
            self.announced = json.loads(body)["commitment"]
            return 201, json.dumps({"id": ID, "nonce": NONCE.hex()}).encode()
        if method == "PUT":
            self.raw = body
            return 200, b'{"state": "pending"}'
        return 200, b'{"state": "pending"}'

    def approve(self, **changes: Any) -> None:
        request = EnrolmentRequest.parse(self.raw)
        certified = issue_station(
            changes.pop("site_key", self.world.site_key),
            self.world.site_certificate,
            changes.pop("key", request.key),
            changes.pop("name", station_name(request.key)),
            changes.pop("now", request.clock),
        )
        chain = [certified, self.world.site_certificate]
        value = {
            "state": "approved",
            "site": self.world.site,
            "chain": [
                base64.b64encode(one.public_bytes(serialization.Encoding.DER)).decode() for one in chain
            ],
            "trust": self.world.trust.to_toml(),
        }
        self.answers["GET"] = 200, json.dumps(value | changes).encode()


@contextlib.contextmanager
def connected(registry: FakeRegistry) -> Iterator[RegistryClient]:
    with serving(registry) as url, contextlib.closing(RegistryClient(url, (), timeout_s=5)) as client:
        yield client


def test_a_station_is_certified_and_what_it_signs_is_genuine(world: TrustWorld) -> None:
    registry = FakeRegistry(world)
    with connected(registry) as client:
        enrolment = Enrolment.request(client, clock=NOW, site="Lyon")
        assert registry.announced == commitment(registry.raw)
        assert enrolment.code == enrolment_code(NONCE, registry.raw)
        assert enrolment.poll(NOW) is None
        registry.approve()
        enrolled = enrolment.poll(NOW)
    assert enrolled is not None
    assert (enrolled.site, enrolled.trust) == (world.site, world.trust)
    world.station = SigningStation(enrolled.key, enrolled.chain, enrolled.site, "trainee-7")
    assert verify(world.logged(world.bundle()).encode(), enrolled.trust).verdict is Verdict.GENUINE


def test_the_request_is_shown_only_after_the_nonce_and_never_twice(world: TrustWorld) -> None:
    """Who could see it before choosing the nonce could choose the code."""
    registry = FakeRegistry(world)
    with connected(registry) as client:
        Enrolment.request(client, clock=NOW)
        first = registry.raw
        assert registry.order == ["POST /enrolments", f"PUT /enrolments/{ID}"]
        Enrolment.request(client, clock=NOW)
    assert EnrolmentRequest.parse(registry.raw).key != EnrolmentRequest.parse(first).key


@pytest.mark.parametrize(
    "answer", [(500, b""), (200, b"{}"), (201, b'{"id": "x", "nonce": "00"}'), (404, b"")]
)
def test_without_a_nonce_nothing_is_shown(world: TrustWorld, answer: Answer) -> None:
    registry = FakeRegistry(world)
    registry.answers["POST"] = answer
    with connected(registry) as client, pytest.raises((RegistryAnswerError, RegistryAwayError)):
        Enrolment.request(client, clock=NOW)
    assert registry.order == ["POST /enrolments"]


@pytest.mark.parametrize("enrolment_id", ["../certificates/x", "", "a/b", "a?b", "a b"])
def test_an_id_leads_nowhere_else(world: TrustWorld, enrolment_id: str) -> None:
    registry = FakeRegistry(world)
    registry.answers["POST"] = 201, json.dumps({"id": enrolment_id, "nonce": NONCE.hex()}).encode()
    with connected(registry) as client, pytest.raises(RegistryAnswerError):
        Enrolment.request(client, clock=NOW)
    assert registry.order == ["POST /enrolments"]


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"key": ec.generate_private_key(ec.SECP256R1()).public_key()}, "another key"),
        ({"name": "station-1"}, "another station"),
        ({"now": NOW - timedelta(days=8)}, "this machine's clock"),
        ({"now": NOW + timedelta(days=8)}, "this machine's clock"),
        ({"site_key": ec.generate_private_key(ec.SECP256R1())}, "not issued by the site"),
        ({"chain": []}, "0 signing certificates"),
        ({"chain": ["AAAA", "AAAA"]}, "not an X.509 certificate"),
        ({"chain": [5, 6]}, "base64|X.509"),
        ({"trust": "garbage"}, "trust file"),
        ({"trust": TrustWorld().trust.to_toml()}, "trusted registry authority"),
    ],
)
def test_a_certificate_that_is_no_good_is_not_taken(
    world: TrustWorld, changes: dict[str, Any], sentence: str
) -> None:
    registry = FakeRegistry(world)
    with connected(registry) as client:
        enrolment = Enrolment.request(client, clock=NOW)
        registry.approve(**changes)
        with pytest.raises(EnrolmentError, match=sentence):
            enrolment.poll(NOW)


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        ((200, b'{"state": "rejected"}'), EnrolmentEndedError),
        ((200, b'{"state": "expired"}'), EnrolmentEndedError),
        ((404, b""), EnrolmentEndedError),
        ((503, b""), RegistryAwayError),
        ((429, b""), RegistryAwayError),
        ((200, b'{"state": "approved"}'), RegistryAnswerError),
        ((200, b'{"state": "married"}'), RegistryAnswerError),
        ((200, b"<html>"), RegistryAnswerError),
        ((302, b""), RegistryAnswerError),
    ],
)
def test_answers_to_a_station_that_waits(world: TrustWorld, answer: Answer, error: type[RasuraError]) -> None:
    registry = FakeRegistry(world)
    with connected(registry) as client:
        enrolment = Enrolment.request(client, clock=NOW)
        registry.answers["GET"] = answer
        with pytest.raises(error):
            enrolment.poll(NOW)


def test_a_trust_file_that_the_station_has_counts_more_than_one_that_comes(world: TrustWorld) -> None:
    registry = FakeRegistry(world)
    with connected(registry) as client:
        enrolment = Enrolment.request(client, clock=NOW, trust=world.trust)
        registry.approve(trust="garbage")
        enrolled = enrolment.poll(NOW)
        assert enrolled is not None
        assert enrolled.trust == world.trust
        enrolment = Enrolment.request(client, clock=NOW, trust=TrustWorld().trust)
        registry.approve()
        with pytest.raises(EnrolmentError, match="trusted registry authority"):
            enrolment.poll(NOW)


@pytest.mark.parametrize(
    "url", ["http://registry.lan", "http://192.168.1.10:8440", "http://127.0.0.1.evil.example"]
)
def test_without_tls_nobodys_trust_is_asked_for(world: TrustWorld, url: str) -> None:
    client = RegistryClient(url, (), timeout_s=0.1)
    with pytest.raises(UsageError, match="no TLS") as caught:
        Enrolment.request(client, clock=NOW)
    assert caught.value.hint


@pytest.mark.parametrize("url", ["http://localhost:9", "http://[::1]:9", "https://127.0.0.2:9"])
def test_loopback_and_tls_may_be_asked(world: TrustWorld, url: str) -> None:
    with pytest.raises(RegistryAwayError):
        Enrolment.request(RegistryClient(url, (), timeout_s=1), clock=NOW)


def test_a_clock_that_is_decades_off_gets_a_certificate_that_fits_it(world: TrustWorld) -> None:
    clock = datetime(2009, 1, 1, tzinfo=UTC)
    registry = FakeRegistry(world)
    with connected(registry) as client:
        enrolment = Enrolment.request(client, clock=clock)
        registry.approve()
        assert enrolment.poll(clock + timedelta(minutes=3)) is not None
