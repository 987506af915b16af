"""Many drives in one job: each comes to its own certificate, whatever the others do."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from random import Random

import pytest

from rasura.certificate import Outcome
from rasura.errors import RefusedError
from rasura_agent.confirm import Confirmation, DriveOutcome
from rasura_agent.erase.events import Event, Progress
from rasura_agent.erase.plan import DrivePlan, plan_drive
from rasura_agent.erase.run import Ports
from rasura_agent.health.checkup import Checkup
from rasura_agent.inventory.clock import SystemClock
from rasura_agent.job import Job
from rasura_agent.report import Circumstances
from rasura_agent.spool import Spool
from simulators.block import BlockFault, SimulatedBlock, simulated_drive
from simulators.hardware import NoThermometer
from simulators.machine import Machine
from simulators.signing import NO_MACHINE, TrustWorld, overwrite_policy
from simulators.volatile import TornStore

DRIVES = 64
CAPACITY = 1 << 20
SOON_S = 60


@dataclass
class Watcher:
    """Collects what a job tells, and lets a test wait for it."""

    ended_paths: list[str] = field(default_factory=list)
    outcomes: dict[str, DriveOutcome] = field(default_factory=dict)
    events: list[Event] = field(default_factory=list)
    news: threading.Condition = field(default_factory=threading.Condition)

    def told(self, event: Event) -> None:
        self.events.append(event)

    def ended(self, outcome: DriveOutcome) -> None:
        with self.news:
            self.ended_paths.append(outcome.plan.drive.path)
            self.outcomes[outcome.plan.drive.path] = outcome
            self.news.notify_all()

    def wait_for(self, count: int) -> None:
        with self.news:
            assert self.news.wait_for(lambda: len(self.ended_paths) >= count, SOON_S)


@dataclass
class Bench:
    """Simulated drives by path, and the job that erases them."""

    folder: Path
    blocks: dict[str, SimulatedBlock] = field(default_factory=dict)
    store: TornStore | None = None

    def add(self, number: int, capacity: int = CAPACITY, **faults: BlockFault) -> str:
        path = f"/dev/sim{number}"
        drive = simulated_drive(capacity, path=path, serial=f"SIM{number:04}", rotational=False)
        self.blocks[path] = SimulatedBlock(drive, {int(at[1:]): fault for at, fault in faults.items()})
        return path

    def start(self, refused: str | None = None) -> tuple[Job, Watcher, threading.Thread]:
        world = TrustWorld()
        around = Circumstances(NO_MACHINE, overwrite_policy(), None, None, "system", None, {})

        def open_ports(plan: DrivePlan) -> Ports:
            if plan.drive.path == refused:
                raise RefusedError("something holds it")
            return Ports(self.blocks[plan.drive.path])

        job = Job(
            open_ports,
            SystemClock(),
            world.station,
            around,
            Spool(self.folder / "spool"),
            None,
            Checkup(Machine(), Machine()),
            NoThermometer(),
            self.store,
        )
        plans = tuple(plan_drive(block.drive, overwrite_policy(), ()) for block in self.blocks.values())
        watcher = Watcher()
        thread = threading.Thread(target=job.run, args=(Confirmation(plans, ()), watcher), daemon=True)
        thread.start()
        return job, watcher, thread


def test_hung_slow_and_dying_drives_delay_no_other(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    hung = bench.add(0)
    slow = bench.add(1)
    dying = bench.add(2)
    bench.blocks[dying].fails_from = 1
    gone = bench.add(3, t1=BlockFault.VANISH)
    healthy = [bench.add(number) for number in range(4, DRIVES)]
    wakes, goes_on = threading.Event(), threading.Event()
    bench.blocks[hung].hold = wakes.wait
    bench.blocks[slow].hold = lambda: goes_on.wait(SOON_S)
    job, watcher, thread = bench.start()
    watcher.wait_for(DRIVES - 2)
    assert set(watcher.ended_paths) == {dying, gone, *healthy}
    assert {watcher.outcomes[path].outcome for path in healthy} == {Outcome.ERASED}
    assert watcher.outcomes[dying].outcome is Outcome.FAILED
    assert watcher.outcomes[gone].outcome is Outcome.FAILED
    kept = list((tmp_path / "spool/pending").glob("*.json"))
    assert len(kept) == DRIVES - 2, "each certificate is on disk before the last drive is done"
    goes_on.set()
    watcher.wait_for(DRIVES - 1)
    assert watcher.outcomes[slow].outcome is Outcome.ERASED
    job.stop()
    wakes.set()
    thread.join(SOON_S)
    assert not thread.is_alive()
    assert watcher.outcomes[hung].reason == "stopped by the operator"


def test_every_drive_gets_its_share_of_news(tmp_path: Path) -> None:
    """What is told is bounded by time, not by how fast the drives are."""
    bench = Bench(tmp_path)
    paths = [bench.add(number) for number in range(8)]
    _, watcher, thread = bench.start()
    thread.join(SOON_S)
    for path in paths:
        mine = [one for one in watcher.events if isinstance(one, Progress) and one.drive == path]
        assert [one.done for one in mine if one.step == 2][-1] == CAPACITY
        assert all(first.step <= second.step for first, second in pairwise(mine))


def test_drives_are_served_alike(tmp_path: Path) -> None:
    """All are written to at the same time: each write here waits for one of every other drive."""
    bench = Bench(tmp_path)
    together = threading.Barrier(16)
    for number in range(16):
        path = bench.add(number, 6 << 20)
        bench.blocks[path].hold = lambda: together.wait(SOON_S)
    _, watcher, thread = bench.start()
    watcher.wait_for(16)
    thread.join(SOON_S)
    assert {one.outcome for one in watcher.outcomes.values()} == {Outcome.ERASED}


@pytest.mark.parametrize("refused", [True, False])
def test_a_record_goes_only_when_the_certificate_is_kept(tmp_path: Path, refused: bool) -> None:
    store = TornStore(Random(0))
    bench = Bench(tmp_path, store=store)
    path = bench.add(0)
    if refused:
        (tmp_path / "spool").write_text("a file where a folder should be")
    _, watcher, thread = bench.start()
    thread.join(SOON_S)
    outcome = watcher.outcomes[path]
    assert outcome.outcome is Outcome.ERASED
    assert (outcome.path is None) == refused
    assert bool(store.slots) == refused


def test_a_job_stopped_before_a_drives_turn_leaves_it_alone(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    for number in range(3):
        path = bench.add(number)
        block = bench.blocks[path]
        block.drive = simulated_drive(CAPACITY, path=path, serial=f"SIM{number:04}", rotational=True)
        block.hold = lambda: time.sleep(0.05)
    job, watcher, thread = bench.start()
    time.sleep(0.3)
    job.stop()
    thread.join(SOON_S)
    assert [one.outcome for one in watcher.outcomes.values()].count(Outcome.SKIPPED) == 2
    assert sum(block.old_data_left() and block.transfers == 0 for block in bench.blocks.values()) == 2
