"""How a station gets to sign: by a site folder, open or sealed, or by a code that an operator approves."""

from __future__ import annotations

import json
import shutil
import threading
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from msgspec.structs import replace

from rasura.site_kit import seal_site_key
from rasura_agent.live.boot_parameters import BootParameters
from rasura_agent.live.identity import Reception
from simulators.signing import NOW, TrustWorld
from simulators.web import serving
from simulators.world import ManualClock

PASSPHRASE = "correct horse"


class Bench:
    def __init__(self, folder: Path, parameters: BootParameters | None = None) -> None:
        self.world = TrustWorld()
        self.stick: Path | None = None
        self.folder = folder
        self.clock = ManualClock(NOW)
        self.said: list[str] = []
        self.use(parameters or BootParameters())

    def use(self, parameters: BootParameters) -> None:
        self.reception = Reception(parameters, None, self.clock, lambda: self.stick, self.said.append)

    @property
    def problem(self) -> str:
        obstacle = self.reception.obstacle
        return obstacle.sentence if obstacle is not None else ""

    @property
    def is_sealed(self) -> bool:
        obstacle = self.reception.obstacle
        return obstacle is not None and obstacle.is_sealed

    def plug(self, registry: str | None = "http://registry.example") -> Path:
        self.stick = self.folder / "stick"
        self.stick.mkdir(exist_ok=True)
        return self.world.write_kit(self.stick / "site", registry)


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def test_without_a_stick_and_a_registry(bench: Bench) -> None:
    bench.reception.attempt()
    assert bench.reception.site is None
    assert bench.reception.station() is None
    assert bench.reception.client() is None
    assert "plug in your stick" in bench.problem


def test_the_site_folder_of_a_stick_that_comes_later(bench: Bench) -> None:
    bench.reception.attempt()
    bench.plug()
    bench.reception.attempt()
    assert bench.reception.site == "Workshop"
    assert bench.reception.obstacle is None
    station = bench.reception.station()
    assert station is not None
    assert station is bench.reception.station()
    assert bench.reception.registry == "http://registry.example"
    assert bench.reception.client() is bench.reception.client()


def test_it_stays_when_the_stick_is_pulled_out(bench: Bench) -> None:
    bench.plug()
    bench.reception.attempt()
    bench.stick = None
    bench.reception.attempt()
    assert bench.reception.site == "Workshop"


def test_a_registry_named_at_boot_comes_first(bench: Bench) -> None:
    bench.use(BootParameters(registry="http://other.example"))
    bench.plug()
    bench.reception.attempt()
    assert bench.reception.registry == "http://other.example"


def test_a_stick_of_another_site(bench: Bench) -> None:
    bench.use(BootParameters(site="Elsewhere"))
    bench.plug()
    bench.reception.attempt()
    assert bench.reception.site is None
    assert "Elsewhere" in bench.problem


def test_a_folder_that_is_damaged(bench: Bench) -> None:
    kit = bench.plug()
    (kit / "site.pem").write_text("garbage")
    bench.reception.attempt()
    assert bench.reception.site is None
    assert bench.problem
    shutil.rmtree(kit)
    bench.plug()
    bench.reception.attempt()
    assert bench.reception.site == "Workshop"


def test_a_key_under_a_passphrase(bench: Bench) -> None:
    seal_site_key(bench.plug(), lambda: PASSPHRASE)
    bench.reception.attempt()
    assert bench.is_sealed
    assert bench.reception.client() is not None, "certificates of earlier boots need no key to be sent"
    bench.reception.open_site("wrong horse")
    assert bench.is_sealed
    assert bench.reception.site is None
    bench.reception.open_site(PASSPHRASE)
    assert bench.reception.obstacle is None
    assert bench.reception.site == "Workshop"


def test_while_it_tries_again_the_screen_still_asks_for_the_passphrase(bench: Bench) -> None:
    seal_site_key(bench.plug(), lambda: PASSPHRASE)
    begun, slow = threading.Event(), threading.Event()
    stick, waits = bench.stick, [False]

    def looked_at() -> Path | None:
        if waits[0]:
            begun.set()
            assert slow.wait(60)
        return stick

    bench.reception = Reception(BootParameters(), None, bench.clock, looked_at, bench.said.append)
    bench.reception.attempt()
    waits[0] = True
    again = threading.Thread(target=bench.reception.attempt)
    again.start()
    assert begun.wait(60)
    during = bench.reception.obstacle
    slow.set()
    again.join()
    assert during == bench.reception.obstacle
    assert during is not None
    assert during.is_sealed


@pytest.mark.parametrize("hours", [5, -24 * 365 * 20, 24 * 365 * 20])
def test_a_clock_that_was_set_gets_a_fresh_signing_certificate(bench: Bench, hours: int) -> None:
    bench.plug()
    bench.reception.attempt()
    first = bench.reception.station()
    bench.clock._start += timedelta(hours=hours)
    second = bench.reception.station()
    assert second is not None
    assert first is not second
    assert second is bench.reception.station()


class Registry:
    """A registry that begins enrolments, and says of them what the test tells it to."""

    def __init__(self) -> None:
        self.state = "pending"
        self.begun = 0

    def answer(self, method: str, path: str, body: bytes) -> tuple[int, bytes]:
        if method == "POST":
            self.begun += 1
            return 201, json.dumps({"id": f"e{self.begun}", "nonce": "ab" * 32}).encode()
        return 200, json.dumps({"state": self.state}).encode()


@pytest.fixture
def registry() -> Iterator[tuple[Registry, str]]:
    answers = Registry()
    with serving(answers.answer) as url:
        yield answers, url


def test_a_code_for_the_operator_of_the_registry(bench: Bench, registry: tuple[Registry, str]) -> None:
    answers, url = registry
    bench.use(BootParameters(registry=url))
    bench.reception.attempt()
    first = bench.problem
    assert "type the code" in first
    assert url in first
    bench.reception.attempt()
    assert bench.problem == first
    assert answers.begun == 1
    answers.state = "rejected"
    bench.reception.attempt()
    assert "rejected" in bench.problem
    assert bench.reception.site is None
    answers.state = "pending"
    bench.reception.attempt()
    assert answers.begun == 2
    assert bench.problem != first


def test_a_stick_that_comes_while_waiting_for_approval(bench: Bench, registry: tuple[Registry, str]) -> None:
    bench.use(replace(BootParameters(), registry=registry[1]))
    bench.reception.attempt()
    bench.plug()
    bench.reception.attempt()
    assert bench.reception.site == "Workshop"
