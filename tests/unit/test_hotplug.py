"""Drives that vanish while something is done to them, and who is told."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from msgspec.structs import replace

from rasura.bundle import Bundle
from rasura.certificate import Outcome
from rasura.errors import RasuraError
from rasura_agent.confirm import Confirmation
from rasura_agent.console.changes import change_json, change_line, present_line
from rasura_agent.erase.events import Noted
from rasura_agent.erase.plan import DrivePlan, plan_drive
from rasura_agent.erase.run import Ports
from rasura_agent.health.checkup import Checkup
from rasura_agent.inventory.hotplug import DriveWatch, is_gone
from rasura_agent.inventory.watch import Appeared, Change, Vanished
from rasura_agent.job import Job
from rasura_agent.report import Circumstances
from rasura_agent.spool import Spool
from simulators.block import BlockFault, SimulatedBlock, simulated_drive
from simulators.hardware import NoThermometer
from simulators.hotplug import Announcements, pull, watch_of
from simulators.machine import Machine
from simulators.signing import NO_MACHINE, NOW, TrustWorld, overwrite_policy
from simulators.world import ManualClock
from unit.test_inventory_drives import SATA, only, sata
from unit.test_many_drives import Watcher

SOON_S = 30.0


def wait_until(happened: Callable[[], object]) -> None:
    deadline = time.monotonic() + SOON_S
    while not happened():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_listeners_are_told_within_two_seconds_and_no_longer_than_they_listen() -> None:
    machine, events = Machine(), Announcements()
    watch = watch_of(machine, events)
    seen: list[Change] = []
    with watch.listening(seen.append):
        started = time.monotonic()
        sata(machine)
        events.tell("sda")
        wait_until(lambda: seen)
        assert time.monotonic() - started < 2
        (appeared,) = seen
        assert isinstance(appeared, Appeared)
        assert (appeared.drive.path, appeared.drive.serial) == ("/dev/sda", "9XG8HR8X")
    others: list[Change] = []
    with watch.listening(others.append):
        pull(machine, "sda")
        events.tell("sda")
        wait_until(lambda: others)
    assert isinstance(others[0], Vanished)
    assert seen == [appeared]


def test_a_watch_that_cannot_be_is_said_and_stops_nothing() -> None:
    def start() -> object:
        raise RasuraError("there is no socket to be had")

    watch = DriveWatch(start, Machine())  # type: ignore[arg-type]
    with watch.listening(lambda _change: None):
        assert watch.problem == "there is no socket to be had"


def test_lines() -> None:
    machine = Machine()
    sata(machine)
    drive = only(machine)
    title = "/dev/sda  SAMSUNG MZ7LN256, serial 9XG8HR8X, 256 GB  (ata, solid state)"
    assert change_line(Appeared(drive)) == f"APPEARED  {title}"
    assert change_line(Vanished(drive)) == f"VANISHED  {title}"
    assert present_line(drive) == f"THERE     {title}"
    assert change_json(Vanished(drive)).startswith('{"event":"vanished","drive":{"path":"/dev/sda",')


def test_what_is_gone() -> None:
    machine = Machine()
    sata(machine)
    drive = only(machine)
    assert not is_gone(drive, machine)
    # A drive that formats itself may show no capacity, as a reader does whose card was pulled out.
    machine.write(f"/sys{SATA}/size", "0")
    assert not is_gone(drive, machine)
    assert is_gone(replace(drive, removable=True), machine)
    machine.write(f"/sys{SATA}/diskseq", "4")
    assert is_gone(drive, machine), "another drive has its name"
    assert not is_gone(replace(drive, diskseq=None), machine)
    pull(machine, "sda")
    assert is_gone(drive, machine)
    assert not is_gone(replace(drive, device_number=None), machine), "files are not watched"


class Bench:
    """A drive of a machine, which a job erases."""

    def __init__(self, folder: Path, *faults: tuple[int, BlockFault]) -> None:
        self.machine, self.events = Machine(), Announcements()
        sata(self.machine)
        drive = simulated_drive(8 << 20, path="/dev/sda", diskseq=3, rotational=False)
        self.block = SimulatedBlock(drive, dict(faults))
        self.watcher = Watcher()
        around = Circumstances(NO_MACHINE, overwrite_policy(), None, None, "simulated", None, {})
        self.plan: DrivePlan = plan_drive(drive, overwrite_policy(), ())
        opened = Ports(self.block)
        self.job = Job(
            lambda _plan: opened,
            ManualClock(NOW),
            TrustWorld().station,
            around,
            Spool(folder / "spool"),
            None,
            Checkup(self.machine, self.machine),
            NoThermometer(),
            watch=watch_of(self.machine, self.events),
        )

    def at_write(self, number: int, happens: Callable[[], object]) -> None:
        writes = 0

        def hold() -> None:
            nonlocal writes
            writes += 1
            if writes == number:
                happens()

        self.block.hold = hold

    def unplug(self) -> None:
        pull(self.machine, "sda")
        self.events.tell("sda")

    def is_told(self) -> bool:
        return any(isinstance(one, Noted) and "vanished" in one.sentence for one in self.watcher.events)

    def erase(self) -> Bundle:
        self.job.run(Confirmation((self.plan,), ()), self.watcher)
        certificate = self.watcher.outcomes["/dev/sda"].certificate
        assert certificate is not None
        return certificate


VANISHED = "the drive vanished during the job: it was pulled out, or its power or its cable failed"


def test_a_drive_that_vanishes_fails_clearly(tmp_path: Path) -> None:
    """The watch knows before the drive's own line notices anything."""
    bench = Bench(tmp_path)

    def unplug() -> None:
        bench.unplug()
        wait_until(bench.is_told)

    bench.at_write(2, unplug)
    result = bench.erase().certificate.result
    assert (result.outcome, result.reason) == (Outcome.FAILED, VANISHED)


def test_the_line_notices_first(tmp_path: Path) -> None:
    bench = Bench(tmp_path, (1, BlockFault.VANISH))
    bench.at_write(2, lambda: pull(bench.machine, "sda"))  # and no event comes
    result = bench.erase().certificate.result
    assert result.outcome is Outcome.FAILED
    assert result.reason is not None
    assert result.reason.startswith(f"{VANISHED}; the drive is gone")


def test_a_person_is_told_while_the_drives_line_hangs(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    comes_back = threading.Event()

    def hang() -> None:
        bench.unplug()
        assert comes_back.wait(SOON_S)

    bench.at_write(2, hang)
    thread = threading.Thread(target=bench.erase, daemon=True)
    thread.start()
    wait_until(bench.is_told)
    assert not bench.watcher.outcomes
    comes_back.set()
    thread.join(SOON_S)
    assert bench.watcher.outcomes["/dev/sda"].outcome is Outcome.FAILED


@pytest.mark.parametrize("seen", ["500118190", "0"])
def test_a_drive_that_only_changes_its_size_goes_on(tmp_path: Path, seen: str) -> None:
    """Lifting a hidden area makes a drive larger; one that formats itself shows nothing for a while."""
    bench = Bench(tmp_path)
    told: list[Change] = []

    def resize() -> None:
        bench.machine.write(f"/sys{SATA}/size", seen)
        bench.events.tell("sda")
        wait_until(lambda: len(told) == 2)

    bench.at_write(2, resize)
    watch = bench.job._watch
    assert watch is not None
    with watch.listening(told.append):
        assert bench.erase().certificate.result.outcome is Outcome.ERASED
    assert [type(one) for one in told] == [Vanished, Appeared]


def test_pulled_out_after_its_end_it_stays_erased(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    assert bench.erase().certificate.result.outcome is Outcome.ERASED
    bench.unplug()
    assert bench.watcher.outcomes["/dev/sda"].outcome is Outcome.ERASED
