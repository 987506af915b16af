"""The way of a live station where no file can stand for a drive: frozen ones, ones that cannot be listed."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from rasura.bundle import Bundle
from rasura.errors import RasuraError
from rasura.machine_report import MachineReport, Override, Route
from rasura_agent.drive.transport.suspend import Suspender
from rasura_agent.erase.plan import plan_drive
from rasura_agent.erase.policy import Policy
from rasura_agent.guard import Refusal, RefusalReason
from rasura_agent.inventory.drives import enumerate_drives
from rasura_agent.inventory.hotplug import DriveWatch
from rasura_agent.inventory.machine import read_machine
from rasura_agent.inventory.watch import Change
from rasura_agent.live.boot_facts import read_boot_facts
from rasura_agent.live.boot_parameters import BootParameters, End, parse_boot_parameters
from rasura_agent.live.intact import IntegrityCheck
from rasura_agent.live.medium import FolderMedium
from rasura_agent.live.session import Session, Station
from rasura_agent.reporting import SeenAround
from rasura_agent.survey import Survey
from simulators.block import simulated_drive
from simulators.hotplug import Announcements, pull, watch_of
from simulators.machine import Machine
from simulators.scripted import ScriptedTerminal, ScriptEndedError
from simulators.signing import NO_MACHINE, TrustWorld
from simulators.world import ManualClock
from unit.test_inventory_drives import SATA, sata

IN_USE = Refusal(RefusalReason.MOUNTED, "/dev/sda is mounted: unmount it")


class Bench:
    """A machine with one frozen drive that is in use, so that nothing is erased here."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.clock = ManualClock()
        self.ends: list[End] = []
        self.thaws = True
        TrustWorld().write_kit(folder / "data/site")
        rtc = folder / "sys/class/rtc/rtc0"
        rtc.mkdir(parents=True)
        (rtc / "wakealarm").write_text("")
        (rtc / "since_epoch").write_text("1000")
        self.state = folder / "sys/power/state"
        self.state.parent.mkdir()
        self.state.write_text("freeze mem disk")

    @property
    def slept(self) -> bool:
        return self.state.read_text() == "mem"

    def survey(self, policy: Policy, _opener: object) -> Survey:
        plan = plan_drive(simulated_drive(1 << 30, path="/dev/sda"), policy, (IN_USE,))
        frozen = () if self.slept and self.thaws else ("/dev/sda",)
        return Survey((plan,), (), (), frozen)

    def run(
        self,
        line: str,
        *answers: str | Callable[[], object],
        key_after: float | None = None,
        survey: Callable[..., Survey] | None = None,
        watch: DriveWatch | None = None,
        network: Callable[[], tuple[()]] = lambda: (),
    ) -> str:
        terminal = ScriptedTerminal(self.clock, *answers, key_after=key_after)
        parameters = parse_boot_parameters(line)
        facts = read_boot_facts(self.folder, BootParameters())
        station = Station(
            terminal=terminal,
            clock=self.clock,
            run=self.folder / "run",
            medium=FolderMedium(self.folder / "data"),
            machine=NO_MACHINE,
            facts=facts,
            integrity=IntegrityCheck(self.folder, None),
            parameters=parameters,
            survey=survey or self.survey,
            network=network,
            suspender=Suspender(self.folder / "sys"),
            end=self.ends.append,
            around=lambda _survey: SeenAround(machine=read_machine(Machine().sources())),
            watch=watch,
            second_s=1.0,
        )
        (self.folder / "run").mkdir(exist_ok=True)
        with contextlib.suppress(ScriptEndedError):
            Session(station).run()
        return terminal.text


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


ARMED = "rasura.arm=erase-all-drives rasura.end=poweroff"


def test_a_person_lets_the_machine_sleep(bench: Bench) -> None:
    text = bench.run("", "z", "l")
    assert "The firmware has frozen /dev/sda" in text.split("\f")[1]
    assert "the machine slept" in text
    assert "frozen" not in text.split("\f")[-1]
    assert bench.slept


def test_a_machine_that_must_not_sleep_says_so(bench: Bench) -> None:
    bench.state.write_text("disk")
    assert "it cannot suspend to RAM" in bench.run("", "z")


def test_armed_it_sleeps_before_the_countdown(bench: Bench) -> None:
    text = bench.run(ARMED)
    assert bench.slept
    assert text.index("sleeps for a few seconds") < text.index("Starts in 60 s")
    assert bench.ends == [End.POWEROFF]
    assert bench.clock.monotonic() >= 60


def test_armed_it_sleeps_once(bench: Bench) -> None:
    bench.thaws = False
    text = bench.run(ARMED)
    assert text.count("sleeps for a few seconds") == 1
    assert bench.ends == [End.POWEROFF]


def test_a_key_stops_it_and_a_person_goes_on(bench: Bench) -> None:
    text = bench.run(ARMED, "r", key_after=30)
    assert "stopped by a key" in text
    assert bench.ends == [End.REBOOT]


def test_waiting_is_an_end_too(bench: Bench) -> None:
    bench.run("rasura.arm=erase-all-drives rasura.end=wait", "")
    assert bench.ends == []


def test_drives_that_cannot_be_listed(bench: Bench) -> None:
    def broken(_policy: Policy, _opener: object) -> Survey:
        raise RasuraError("sysfs cannot be read", hint="mount it")

    text = bench.run("", "1", survey=broken)
    assert "sysfs cannot be read (mount it)" in text
    assert "No drive was found" in text


def test_a_policy_that_is_away_erases_nothing(bench: Bench) -> None:
    text = bench.run("rasura.policy=unheard-of", "1", "o", "2", "l")
    assert "NOTHING CAN BE ERASED NOW" in text
    assert "unheard-of" in text
    assert "clear-zero (Clear)" in text.split("\f")[-1]


def wait_until(happened: Callable[[], object]) -> None:
    deadline = time.monotonic() + 10
    while not happened():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_person_decides_what_becomes_of_the_machine(bench: Bench) -> None:
    text = bench.run("", "m", "2", "trainee-7", "the hinge is broken", "", "m", "")
    assert "1  REUSE" in text
    (path,) = (bench.folder / "data/certificates/pending").glob("*.json")
    claims = Bundle.parse(path.read_bytes()).claims
    assert isinstance(claims, MachineReport)
    assert claims.proposal is not None
    assert claims.proposal.override == Override(route=Route.PARTS, by="trainee-7", why="the hinge is broken")
    assert "Decided: PARTS, by trainee-7: the hinge is broken" in text
    assert "nothing was decided" in text.split("\f")[-1]


@pytest.mark.parametrize(
    "answers", [("2", "", "why", "l"), ("2", "x", "", "l"), ("9", "l"), ("reuse", "l"), ("", "l")]
)
def test_a_decision_needs_a_name_and_a_reason(bench: Bench, answers: tuple[str, ...]) -> None:
    text = bench.run("", "m", *answers)
    assert "who decides" in text or "nothing was decided" in text
    assert not list(bench.folder.glob("data/certificates/*/*.json"))


class Dock:
    """A machine into which drives are plugged while the station is at work."""

    def __init__(self) -> None:
        self.machine, self.events = Machine(), Announcements()
        self.watch = watch_of(self.machine, self.events)
        self.seen: list[Change] = []

    def note(self, change: Change) -> None:
        self.seen.append(change)

    def plug(self) -> None:
        sata(self.machine)
        self.events.tell("sda")

    def pull(self) -> None:
        pull(self.machine, "sda")
        self.events.tell("sda")

    def survey(self, policy: Policy, _opener: object) -> Survey:
        drives = enumerate_drives(self.machine, self.machine).drives
        return Survey(tuple(plan_drive(drive, policy, ()) for drive in drives), (), (), ())


def test_a_drive_that_comes_and_goes_is_on_the_screen_without_a_restart(bench: Bench) -> None:
    dock = Dock()
    text = bench.run("", dock.plug, dock.pull, survey=dock.survey, watch=dock.watch)
    first, second, third = text.split("\f")[1:4]
    assert "No drive was found" in first
    assert "9XG8HR8X" in second
    assert "*** /dev/sda has appeared: SAMSUNG MZ7LN256, serial 9XG8HR8X, 256 GB" in second
    assert "No drive was found" in third
    assert "*** /dev/sda has vanished" in third
    assert "has appeared" not in third


def test_a_number_typed_for_another_list_of_drives_erases_nothing(bench: Bench) -> None:
    """The drive came between the look at the list and the Enter key."""
    dock = Dock()
    sata(dock.machine, "sdb", SATA.replace("0:0:0:0", "1:0:0:0"), b"FIRST-1")

    def survey(policy: Policy, opener: object) -> Survey:
        found = dock.survey(policy, opener)
        if "sda" not in dock.machine.devices:
            dock.plug()
            # The watch's thread takes its time.
            wait_until(lambda: dock.seen)
        return found

    with dock.watch.listening(dock.note):
        text = bench.run("", "1", survey=survey, watch=dock.watch)
    assert "nothing was erased: the drives have changed" in text
    assert "2 drives would be erased" in text.split("\f")[-1]


def test_a_drive_that_comes_while_it_counts_begins_the_count_afresh(bench: Bench) -> None:
    dock = Dock()
    plugged: list[float] = []

    def ports() -> tuple[()]:
        """Asked for once a look; the drive comes after the first."""
        if not plugged:
            plugged.append(bench.clock.monotonic())
            dock.plug()
            wait_until(lambda: dock.seen)
        return ()

    with dock.watch.listening(dock.note):
        text = bench.run(ARMED, survey=dock.survey, watch=dock.watch, key_after=30.0, network=ports)
    assert text.count("Starts in 60 s") == 2
    assert "*** /dev/sda has appeared" in text.split("\f")[2]
