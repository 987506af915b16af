"""A registry known by its pin: nobody else is talked to, and no clock stops the station."""

from __future__ import annotations

import contextlib
import json
import ssl
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from rasura.bundle import Bundle
from rasura.client import (
    RegistryAnswerError,
    RegistryAwayError,
    RegistryClient,
    RegistryError,
)
from rasura.errors import UsageError
from rasura.keys import certificate_pem
from rasura.pinned import AUTHORITY_PATH, parse_pin
from rasura_registry.tls import OwnTls, server_context
from simulators.signing import NOW, TrustWorld
from simulators.web import Answer, refused_port, serving

TODAY = datetime.now(UTC)


@pytest.fixture(scope="module")
def world() -> TrustWorld:
    return TrustWorld()


class TlsRegistry:
    """A registry that serves TLS, and what it was sent."""

    def __init__(
        self,
        world: TrustWorld,
        folder: Path,
        *,
        names: tuple[str, ...] = ("127.0.0.1",),
        now: datetime = TODAY,
        authority: Callable[[bytes], Answer] = lambda pem: (200, pem),
    ) -> None:
        folder.mkdir(exist_ok=True)
        self._world = world
        self.tls = OwnTls(folder, names, "log.example")
        self.context = server_context(self.tls, now)
        self._authority = authority
        self.asked: list[tuple[str, str]] = []

    def answer(self, method: str, path: str, body: bytes) -> Answer:
        self.asked.append((method, path))
        if path == AUTHORITY_PATH:
            return self._authority(self.tls.authority_pem)
        if path == "/checkpoint":
            return 200, self._world.receipt(0, NOW).checkpoint_note.encode()
        receipt = self._world.logged(Bundle.parse(body)).receipt
        assert receipt is not None
        return 201, json.dumps({"receipt": receipt.encode()}).encode()

    @contextlib.contextmanager
    def client(self, pin: str | None = None, *, pinned: bool = True) -> Iterator[RegistryClient]:
        with serving(self.answer, self.context) as url:
            chosen = (pin or self.tls.pin) if pinned else None
            client = RegistryClient(url, self._world.trust.logs, ca_pin=chosen, timeout_s=5)
            with contextlib.closing(client):
                yield client


def test_a_pinned_registry_is_talked_to(world: TrustWorld, tmp_path: Path) -> None:
    registry = TlsRegistry(world, tmp_path)
    with registry.client() as client:
        assert client.put(world.bundle()).receipt is not None
        assert client.checkpoint().startswith(world.origin)
    assert [path for _, path in registry.asked].count(AUTHORITY_PATH) == 1


def test_a_pin_may_be_typed_in_capitals(world: TrustWorld, tmp_path: Path) -> None:
    registry = TlsRegistry(world, tmp_path)
    with registry.client(f"  {registry.tls.pin.upper()} ") as client:
        client.put(world.bundle())


@pytest.mark.parametrize("years", [-20, 20])
def test_a_clock_that_is_years_off_stops_nothing_when_pinned(
    world: TrustWorld, tmp_path: Path, years: int
) -> None:
    """Turning the server's dates is turning the station's clock."""
    registry = TlsRegistry(world, tmp_path, now=TODAY + timedelta(days=365 * years))
    with registry.client() as client:
        assert client.put(world.bundle()).receipt is not None


def test_without_a_pin_an_own_authority_is_not_believed(world: TrustWorld, tmp_path: Path) -> None:
    registry = TlsRegistry(world, tmp_path)
    with (
        registry.client(pinned=False) as client,
        pytest.raises(RegistryAnswerError, match="not proven to be the registry") as caught,
    ):
        client.put(world.bundle())
    assert caught.value.hint is not None
    assert "--registry-ca" in caught.value.hint
    assert registry.asked == []


def test_another_authority_than_the_pinned_one_is_sent_nothing(world: TrustWorld, tmp_path: Path) -> None:
    registry = TlsRegistry(world, tmp_path)
    with (
        registry.client("sha256:" + "0" * 64) as client,
        pytest.raises(RegistryAnswerError, match="is not the registry with the pin sha256:0000") as caught,
    ):
        client.put(world.bundle())
    assert caught.value.hint
    assert registry.asked == [("GET", AUTHORITY_PATH)]


def test_to_repeat_the_pinned_certificate_is_not_to_have_its_key(world: TrustWorld, tmp_path: Path) -> None:
    """The man in the middle gives the true authority's certificate, and speaks TLS with his own."""
    true = TlsRegistry(world, tmp_path / "true")
    false = TlsRegistry(world, tmp_path / "false", authority=lambda _: (200, true.tls.authority_pem))
    with (
        false.client(true.tls.pin) as client,
        pytest.raises(RegistryAnswerError, match="not proven to be the registry"),
    ):
        client.put(world.bundle())
    assert false.asked == [("GET", AUTHORITY_PATH)]


def test_the_authority_vouches_for_the_host_that_was_asked(world: TrustWorld, tmp_path: Path) -> None:
    """Another server of the same authority is not this registry."""
    registry = TlsRegistry(world, tmp_path, names=("127.0.0.2", "localhost"))
    with (
        registry.client() as client,
        pytest.raises(RegistryAnswerError, match=r"IP address mismatch.*127\.0\.0\.1"),
    ):
        client.put(world.bundle())
    assert registry.asked == [("GET", AUTHORITY_PATH)]


def test_a_name_is_checked_as_well_as_an_address(world: TrustWorld, tmp_path: Path) -> None:
    registry = TlsRegistry(world, tmp_path, names=("localhost",))
    with serving(registry.answer, registry.context) as url:
        named = url.replace("127.0.0.1", "localhost")
        with contextlib.closing(RegistryClient(named, world.trust.logs, ca_pin=registry.tls.pin)) as client:
            client.put(world.bundle())


def test_the_pinned_one_is_taken_among_several(world: TrustWorld, tmp_path: Path) -> None:
    other = certificate_pem(world.authority)
    registry = TlsRegistry(world, tmp_path, authority=lambda pem: (200, other + pem + other))
    with registry.client() as client:
        client.put(world.bundle())


def test_a_pin_that_is_no_authority_of_the_server_proves_nothing(world: TrustWorld, tmp_path: Path) -> None:
    from rasura.pinned import pin_of

    other = certificate_pem(world.authority)
    registry = TlsRegistry(world, tmp_path, authority=lambda pem: (200, pem + other))
    with (
        registry.client(pin_of(world.authority)) as client,
        pytest.raises(RegistryAnswerError, match="not proven to be the registry"),
    ):
        client.put(world.bundle())


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        ((200, b""), RegistryAnswerError),
        ((200, b"<html>welcome to the hotel</html>"), RegistryAnswerError),
        ((200, b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"), RegistryAnswerError),
        ((200, b"x" * 100_000), RegistryAnswerError),
        ((404, b"not here"), RegistryAnswerError),
        ((302, b"elsewhere"), RegistryAnswerError),
        ((503, b"later"), RegistryAwayError),
    ],
)
def test_a_server_without_the_authority(
    world: TrustWorld, tmp_path: Path, answer: Answer, error: type[RegistryError]
) -> None:
    registry = TlsRegistry(world, tmp_path, authority=lambda _: answer)
    with registry.client() as client, pytest.raises(error):
        client.put(world.bundle())
    assert registry.asked == [("GET", AUTHORITY_PATH)]


def test_a_registry_that_was_away_is_found_when_it_is_back(world: TrustWorld, tmp_path: Path) -> None:
    answers = iter([(503, b"later")])
    registry = TlsRegistry(world, tmp_path, authority=lambda pem: next(answers, (200, pem)))
    with registry.client() as client:
        with pytest.raises(RegistryAwayError):
            client.put(world.bundle())
        assert client.put(world.bundle()).receipt is not None


def test_nobody_listens_or_nobody_speaks_tls(world: TrustWorld) -> None:
    pin = "sha256:" + "0" * 64
    away = RegistryClient(refused_port().replace("http", "https"), (), ca_pin=pin, timeout_s=2)
    with pytest.raises(RegistryAwayError, match="refused") as caught:
        away.put(world.bundle())
    assert caught.value.hint
    with serving(lambda *_: (200, b"")) as url:
        plain = RegistryClient(url.replace("http", "https"), (), ca_pin=pin, timeout_s=2)
        with pytest.raises(RegistryAwayError):
            plain.put(world.bundle())


def test_tls_older_than_1_2_is_not_spoken(world: TrustWorld, tmp_path: Path) -> None:
    registry = TlsRegistry(world, tmp_path)
    assert registry.context.minimum_version >= ssl.TLSVersion.TLSv1_2


@pytest.mark.parametrize(
    "pin", ["", "sha256:", "sha1:" + "0" * 40, "sha256:" + "0" * 63, "sha256:" + "g" * 64, "0" * 64]
)
def test_pins_that_are_none(pin: str) -> None:
    with pytest.raises(UsageError, match="not the pin"):
        parse_pin(pin)
    with pytest.raises(UsageError, match="not the pin"):
        RegistryClient("https://registry.example", (), ca_pin=pin)


def test_a_pin_without_tls_is_refused() -> None:
    with pytest.raises(UsageError, match="no TLS") as caught:
        RegistryClient("http://registry.example", (), ca_pin="sha256:" + "0" * 64)
    assert caught.value.hint
