"""Posting: a registry is believed only as far as its receipt proves; nothing is lost on the way."""

from __future__ import annotations

import json
import resource
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from rasura.bundle import Bundle
from rasura.client import (
    RegistryAnswerError,
    RegistryAwayError,
    RegistryClient,
    RegistryRefusedError,
)
from rasura.errors import UsageError
from rasura_agent.spool import Spool, SpoolError
from simulators.signing import NOW, TrustWorld
from simulators.web import Answer, refused_port, serving

Respond = Callable[[str, str, bytes], Answer]


@pytest.fixture
def world() -> TrustWorld:
    return TrustWorld()


def honest(world: TrustWorld) -> Respond:
    def answer(method: str, path: str, body: bytes) -> Answer:
        if method == "GET":
            return 200, world.receipt(0, NOW).checkpoint_note.encode()
        receipt = world.logged(Bundle.parse(body)).receipt
        assert receipt is not None
        return 201, json.dumps({"receipt": receipt.encode()}).encode()

    return answer


def put(world: TrustWorld, bundle: Bundle, answer: Respond) -> Bundle:
    with serving(answer) as url:
        client = RegistryClient(url, world.trust.logs, timeout_s=5)
        try:
            return client.put(bundle)
        finally:
            client.close()


def test_an_honest_registry(world: TrustWorld) -> None:
    bundle = world.bundle()
    logged = put(world, bundle, honest(world))
    assert logged.receipt is not None
    assert logged.with_receipt(None) == bundle


def test_the_checkpoint_must_be_the_trusted_logs(world: TrustWorld) -> None:
    world.logged(world.bundle())
    with serving(honest(world)) as url:
        client = RegistryClient(url, world.trust.logs)
        assert client.checkpoint().startswith(world.origin)
        client.close()
        stranger = RegistryClient(url, TrustWorld().trust.logs)
        with pytest.raises(RegistryAnswerError):
            stranger.checkpoint()
        stranger.close()


@pytest.mark.parametrize(
    "answer",
    [
        (200, b""),
        (200, b"<html>welcome to the hotel</html>"),
        (201, b"\xff\xfe"),
        (201, b"{}"),
        (201, b'{"receipt": 5}'),
        (201, b'{"receipt": "c2sp.org/tlog-proof@v1\\nindex 0\\n\\nno checkpoint\\n"}'),
        (201, b'{"receipt": "' + b"x" * 300_000 + b'"}'),
        (302, b"elsewhere"),
        (401, b"who are you?"),
        (404, b"no such page"),
        (422, b"not a problem document"),
    ],
)
def test_garbage_proves_nothing(world: TrustWorld, answer: Answer) -> None:
    with pytest.raises(RegistryAnswerError):
        put(world, world.bundle(), lambda *_request: answer)


def test_a_receipt_for_something_else_proves_nothing(world: TrustWorld) -> None:
    other = world.logged(world.bundle()).receipt
    assert other is not None
    body = json.dumps({"receipt": other.encode()}).encode()
    with pytest.raises(RegistryAnswerError, match="proves nothing"):
        put(world, world.bundle(), lambda *_request: (200, body))


def test_a_receipt_of_an_untrusted_log_proves_nothing(world: TrustWorld) -> None:
    with pytest.raises(RegistryAnswerError, match="proves nothing"):
        put(world, world.bundle(), honest(TrustWorld()))


@pytest.mark.parametrize("status", [500, 503, 429])
def test_an_unwell_registry_is_away(world: TrustWorld, status: int) -> None:
    with pytest.raises(RegistryAwayError):
        put(world, world.bundle(), lambda *_request: (status, b""))


@pytest.mark.parametrize("status", [400, 409, 413, 422])
def test_a_refusal_with_its_reason(world: TrustWorld, status: int) -> None:
    body = json.dumps({"status": status, "detail": "another certificate has this id"}).encode()
    with pytest.raises(RegistryRefusedError, match="another certificate"):
        put(world, world.bundle(), lambda *_request: (status, body))


def test_nobody_listens(world: TrustWorld) -> None:
    client = RegistryClient(refused_port(), world.trust.logs, timeout_s=2)
    with pytest.raises(RegistryAwayError, match="refused") as caught:
        client.put(world.bundle())
    assert caught.value.hint


@pytest.mark.parametrize("url", ["", "registry.example", "ftp://registry.example", "http://", "http://[::"])
def test_addresses_that_are_none(world: TrustWorld, url: str) -> None:
    with pytest.raises(UsageError, match="not the address"):
        RegistryClient(url, world.trust.logs)


def test_the_spool_lets_go_only_of_what_is_logged(world: TrustWorld, tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool")
    paths = [spool.add(world.bundle()) for _ in range(3)]
    assert set(spool.pending()) == set(paths)
    calls = iter(["garbage", "honest", "honest"])
    good = honest(world)

    def flaky(method: str, path: str, body: bytes) -> Answer:
        return good(method, path, body) if next(calls) == "honest" else (200, b"garbage")

    with serving(flaky) as url:
        client = RegistryClient(url, world.trust.logs)
        sent = spool.send(client)
        client.close()
    assert [one.error is None for one in sent] == [False, True, True]
    assert spool.pending() == (sent[0].path,)
    for one in sent[1:]:
        assert Bundle.parse(one.path.read_bytes()).receipt is not None


def test_what_is_refused_for_good_is_set_aside(world: TrustWorld, tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    spool.add(world.bundle())
    body = json.dumps({"detail": "unknown site"}).encode()
    with serving(lambda *_request: (422, body)) as url:
        client = RegistryClient(url, world.trust.logs)
        (one,) = spool.send(client)
        client.close()
    assert isinstance(one.error, RegistryRefusedError)
    assert one.path.parent.name == "refused"
    assert one.path.exists()
    assert not spool.pending()


def test_a_damaged_file_stays_and_stops_nothing(world: TrustWorld, tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    good = spool.add(world.bundle())
    (tmp_path / "pending" / "0.json").write_bytes(b"{")
    with serving(honest(world)) as url:
        client = RegistryClient(url, world.trust.logs)
        sent = spool.send(client)
        client.close()
    assert [type(one.error) for one in sent] == [SpoolError, type(None)]
    assert not good.exists()
    assert (tmp_path / "pending" / "0.json").exists()


@pytest.fixture
def full_disk() -> Iterator[None]:
    """No file of this process may grow: what a full disk does to a writer, without root."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (64, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)
    signal.signal(signal.SIGXFSZ, handler)


def test_a_full_disk_leaves_nothing_half_written(world: TrustWorld, tmp_path: Path, full_disk: None) -> None:
    spool = Spool(tmp_path)
    with pytest.raises(SpoolError, match="cannot write"):
        spool.add(world.bundle())
    assert not list((tmp_path / "pending").iterdir())
