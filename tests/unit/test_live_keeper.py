"""Certificates on a live station: in memory, on a stick that comes and goes, in a log that is away."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from rasura.bundle import Bundle
from rasura.client import RegistryAwayError, RegistryRefusedError
from rasura_agent.live.courier import Courier, pause_s
from rasura_agent.live.handover import Asked, EndAsked, Phase
from rasura_agent.live.keeper import Keeper
from rasura_agent.spool import SpoolError
from simulators.signing import TrustWorld


class Bench:
    """A station with a folder in memory, a place for a stick, and a registry."""

    def __init__(self, folder: Path) -> None:
        self.memory, self.stick = folder / "memory", folder / "stick"
        self.plugged = False
        self.world = TrustWorld()
        self.answer: Exception | None = RegistryAwayError("the registry cannot be reached")
        self.keeper = self.restarted()

    def restarted(self) -> Keeper:
        return Keeper(self.memory, lambda: self.stick if self.plugged else None)

    def put(self, bundle: Bundle) -> Bundle:
        if self.answer is not None:
            raise self.answer
        return self.world.logged(bundle)

    def plug(self) -> None:
        self.stick.mkdir(exist_ok=True)
        self.plugged = True

    def files(self, place: Path) -> list[str]:
        return sorted(str(path.relative_to(place)) for path in place.rglob("*.json"))


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def test_on_the_stick_at_once(bench: Bench) -> None:
    bench.plug()
    bundle = bench.world.bundle()
    path = bench.keeper.add(bundle)
    assert path == bench.stick / "pending" / f"{bundle.certificate_id}.json"
    assert bench.files(bench.memory) == []
    assert bench.keeper.state.in_memory_only == ()
    logged = bench.keeper.mark_sent(bench.world.logged(bundle))
    assert bench.files(bench.stick) == [f"sent/{bundle.certificate_id}.json"]
    assert logged.parent.name == "sent"


def test_without_a_stick_it_is_in_memory_until_one_comes(bench: Bench) -> None:
    bundle = bench.world.bundle()
    with pytest.raises(SpoolError, match="in memory only"):
        bench.keeper.add(bundle)
    assert bench.keeper.state.in_memory_only == (bundle.certificate_id,)
    bench.keeper.retry(bench)
    assert bench.keeper.state.in_memory_only == (bundle.certificate_id,)
    bench.plug()
    bench.keeper.retry(None)
    assert bench.keeper.state.in_memory_only == ()
    assert bench.files(bench.stick) == [f"pending/{bundle.certificate_id}.json"]
    assert bench.files(bench.memory) == []


def test_without_a_stick_the_log_is_enough(bench: Bench) -> None:
    bundle = bench.world.bundle()
    with pytest.raises(SpoolError):
        bench.keeper.add(bundle)
    bench.answer = None
    (sent,) = bench.keeper.retry(bench)
    assert sent.error is None
    assert bench.keeper.state.in_memory_only == ()
    assert bench.keeper.waiting() == 0
    bench.plug()
    bench.keeper.retry(None)
    kept = Bundle.parse((bench.stick / "sent" / f"{bundle.certificate_id}.json").read_bytes())
    assert kept.receipt is not None


def test_a_crash_of_the_agent_loses_nothing(bench: Bench) -> None:
    first, second = bench.world.bundle(), bench.world.bundle()
    for bundle in (first, second):
        with pytest.raises(SpoolError):
            bench.keeper.add(bundle)
    with pytest.raises(SpoolError):
        bench.keeper.mark_sent(bench.world.logged(second))
    again = bench.restarted()
    assert again.state.in_memory_only == (first.certificate_id,)
    assert set(again.state.certificates) == {first.certificate_id, second.certificate_id}
    bench.plug()
    again.retry(None)
    assert again.state.in_memory_only == ()


def test_a_stick_that_is_pulled_out(bench: Bench) -> None:
    """Its folder is gone, as after an I/O error: not written, and tried again when it is back."""
    bench.plug()
    shutil.rmtree(bench.stick)
    bench.stick.write_text("no folder")
    bundle = bench.world.bundle()
    with pytest.raises(SpoolError, match="cannot write"):
        bench.keeper.add(bundle)
    assert bench.keeper.state.in_memory_only == (bundle.certificate_id,)
    bench.keeper.retry(None)
    assert bench.keeper.state.in_memory_only == (bundle.certificate_id,)
    bench.stick.unlink()
    bench.plug()
    bench.keeper.retry(None)
    assert bench.keeper.state.in_memory_only == ()


def test_memory_that_is_full(bench: Bench) -> None:
    bench.memory.write_text("no folder")
    bundle = bench.world.bundle()
    with pytest.raises(SpoolError):
        bench.keeper.add(bundle)
    assert bench.keeper.waiting() == 1
    bench.memory.unlink()
    bench.keeper.retry(None)
    assert bench.files(bench.memory) == [f"pending/{bundle.certificate_id}.json"]


def test_what_the_registry_refuses_for_good_is_still_only_here(bench: Bench) -> None:
    bundle = bench.world.bundle()
    with pytest.raises(SpoolError):
        bench.keeper.add(bundle)
    bench.answer = RegistryRefusedError("its site is revoked")
    bench.keeper.retry(bench)
    state = bench.keeper.state
    assert state.in_memory_only == (bundle.certificate_id,)
    assert state.certificates[bundle.certificate_id].refused == "its site is revoked"
    bench.plug()
    bench.keeper.retry(None)
    assert bench.keeper.state.in_memory_only == ()
    assert bench.files(bench.stick) == [f"refused/{bundle.certificate_id}.json"]


def test_certificates_of_earlier_boots_are_sent_too(bench: Bench) -> None:
    bench.plug()
    bench.keeper.add(bench.world.bundle())
    later = Keeper(bench.memory.with_name("other"), lambda: bench.stick)
    assert later.waiting() == 1
    bench.answer = None
    later.retry(bench)
    assert later.waiting() == 0


def test_the_courier_finds_the_stick_and_tells(bench: Bench) -> None:
    said: list[str] = []
    courier = Courier(bench.keeper, bench.plug, lambda: None, said.append)
    with pytest.raises(SpoolError):
        bench.keeper.add(bench.world.bundle())
    assert bench.keeper.note(EndAsked(Asked.AT_BOOT)).phase is Phase.ENDING
    courier.round()
    assert said == ["every certificate is handed over now"]
    assert bench.keeper.state.phase is Phase.ENDED


def test_the_courier_says_a_problem_once(bench: Bench) -> None:
    said: list[str] = []
    courier = Courier(bench.keeper, lambda: None, lambda: bench, said.append)
    with pytest.raises(SpoolError):
        bench.keeper.add(bench.world.bundle())
    courier.round()
    courier.round()
    assert said == ["the registry cannot be reached"]
    bench.answer = None
    courier.round()
    assert said[1:] == ["the registry has logged 1 certificate", "every certificate is handed over now"]


def test_pauses_grow_up_to_a_minute() -> None:
    assert [pause_s(failures) for failures in range(6)] == [5, 10, 20, 40, 60, 60]
    assert pause_s(10**6) == 60
