"""The PSID revert as a technique, against a simulated drive with a TCG lock."""

from __future__ import annotations

import random
import struct
from dataclasses import dataclass

import pytest
from msgspec.structs import replace

from rasura.certificate import Method, Technique
from rasura_agent.drive.nvme import status as nvme_status
from rasura_agent.drive.port import Command, Completion, Disposition
from rasura_agent.drive.tcg.discovery import nvme_discovery
from rasura_agent.drive.tcg.psid import Psid, parse_psid
from rasura_agent.erase.firmware.line import Line, TechniqueEnd
from rasura_agent.erase.firmware.offer import Offer
from rasura_agent.erase.firmware.tcg_psid import TcgUnreadableError, offers, read_discovery, run_psid_revert
from rasura_agent.inventory.model import Transport
from simulators.nvme import SimulatedNvmeSubsystem
from simulators.nvme_ports import SimulatedNamespace, SimulatedNvmePort
from simulators.nvme_security import Ssc, Tcg
from simulators.world import FaultKind, FaultSchedule, ManualClock, Medium, PowerCut

DONE, REFUSED, UNKNOWN = Disposition.DONE, Disposition.REFUSED, Disposition.UNKNOWN
SECRET = b"somebody's data, to be gone"
PRINTED = "VUJ8K2TTQ0L5D7XW1N4CH9RZ6M3BPAGE"
PSID = parse_psid(PRINTED)
WRONG = parse_psid(PRINTED.replace("0", "O"))


@dataclass(slots=True)
class RemovingTcg(Tcg):
    """A drive with the Supported Data Removal Mechanism feature (TCG Opal SSC 2.30 clause 3.1.1.6)."""

    clock: ManualClock | None = None
    removes_until: float = 0.0
    interrupted: bool = False

    def level_0(self) -> bytes:
        data = Tcg.level_0(self)
        assert self.clock is not None
        state = (self.clock.monotonic() < self.removes_until) | self.interrupted << 1
        # Block erase, 20 s: a time in units of two seconds
        body = struct.pack(">4B6H12x", 0, state, 0b10, 0, 0, 10, 0, 0, 0, 0)
        feature = struct.pack(">HBB", 0x0404, 0x10, len(body)) + body
        return (int.from_bytes(data[:4], "big") + len(feature)).to_bytes(4, "big") + data[4:] + feature


class Bench:
    """A drive that somebody locked and forgot, with its data, and the label with its PSID."""

    def __init__(self, tcg: Tcg | None = None, *, lies: bool = False) -> None:
        self.clock = ManualClock()
        self.tcg = Tcg(locking_enabled=True, locked=True, mbr_enabled=True) if tcg is None else tcg
        if isinstance(self.tcg, RemovingTcg):
            self.tcg.clock = self.clock
        medium = Medium(512, 64)
        medium.write(5, SECRET.ljust(512, b"\0"))
        self.subsystem = SimulatedNvmeSubsystem(self.clock, [medium], tcg=self.tcg)
        self.lies = lies

    def line(self, schedule: FaultSchedule | None = None) -> Line:
        port = SimulatedNvmePort(
            self.subsystem,
            schedule=schedule,
            disposition=lambda _command, status: nvme_status.disposition(status),
        )
        return Line(port, self.clock, lambda _running: None)

    def run(self, faults: dict[int, FaultKind] | None = None, psid: Psid = PSID) -> TechniqueEnd:
        schedule = FaultSchedule(dict(faults or {}))
        return run_psid_revert(self.line(schedule), nvme_discovery(), SimulatedReverter(self, schedule), psid)

    def offer(self, psid: Psid | None = PSID, *, encrypts_all_user_data: bool | None = None) -> Offer:
        found = read_discovery(self.line(), nvme_discovery())
        drive = SimulatedNamespace(self.subsystem).identify()
        (one,) = offers(found, drive, psid=psid, encrypts_all_user_data=encrypts_all_user_data)
        return one

    @property
    def holds_data(self) -> bool:
        return self.subsystem.holds(SECRET)


class SimulatedReverter:
    """What Linux does for IOC_OPAL_PSID_REVERT_TPR, and what the drive does then.

    Opal SSC clause 5.1.2.2: with an active Locking SP new keys are made; with an inactive one the
    data stays.
    """

    def __init__(self, bench: Bench, schedule: FaultSchedule) -> None:
        self._bench = bench
        self._schedule = schedule

    def revert(self, psid: Psid) -> Completion:
        subsystem, tcg = self._bench.subsystem, self._bench.tcg
        fault = self._schedule.next()
        if fault is FaultKind.POWER_CUT_BEFORE:
            raise PowerCut
        if fault is FaultKind.UNPLUG:
            subsystem.hot_unplug()
        if subsystem.unplugged or fault is FaultKind.HANG_UNSEEN:
            return Completion(UNKNOWN, "no answer")
        if fault is FaultKind.ABORT or psid.value != PRINTED:
            return Completion(REFUSED, "NOT_AUTHORIZED")
        if tcg.locking_enabled and not self._bench.lies:
            for namespace in subsystem.media.namespaces.values():
                namespace.medium.data[:] = random.Random(1).randbytes(len(namespace.medium.data))
        tcg.locking_enabled = tcg.locked = tcg.mbr_enabled = tcg.sid_changed = False
        if isinstance(tcg, RemovingTcg):
            tcg.removes_until = self._bench.clock.monotonic() + 20
        if fault is FaultKind.POWER_CUT_AFTER:
            raise PowerCut
        return Completion(DONE, "SUCCESS") if fault is None else Completion(UNKNOWN, "no answer")


# Offers


def test_a_locked_drive_with_its_label() -> None:
    offer = Bench().offer()
    assert (offer.technique, offer.method, offer.obstacle) == (Technique.TCG_PSID_REVERT, Method.PURGE, None)
    assert "encrypts all user data" in offer.basis
    assert Bench().offer(encrypts_all_user_data=True).method is Method.PURGE


@pytest.mark.parametrize(("media_encryption", "all_user_data"), [(False, None), (True, False), (False, True)])
def test_a_drive_that_does_not_say_it_encrypts_everything(
    media_encryption: bool, all_user_data: bool | None
) -> None:
    tcg = Tcg(locking_enabled=True, media_encryption=media_encryption)
    offer = Bench(tcg).offer(encrypts_all_user_data=all_user_data)
    assert (offer.method, offer.obstacle) == (Method.CLEAR, None)
    assert "does not say that it encrypts" in offer.basis


@pytest.mark.parametrize(
    ("tcg", "words"),
    [
        (Tcg(), "lock is not active"),
        (Tcg(locking_enabled=True, ssc=None), "Opal class only"),
        (Tcg(locking_enabled=True, ssc=Ssc.ENTERPRISE), "Opal class only"),
        (RemovingTcg(locking_enabled=True, removes_until=100.0), "still removing data"),
    ],
)
def test_obstacles(tcg: Tcg, words: str) -> None:
    bench = Bench(tcg)
    assert words in str(bench.offer().obstacle)
    end = bench.run()
    assert end.disposition is REFUSED
    assert words in end.reason
    assert len(end.records) == 1
    assert bench.holds_data


def test_a_label_that_nobody_read_and_a_drive_without_tcg() -> None:
    assert "PSID was not read" in str(Bench().offer(psid=None).obstacle)
    drive = SimulatedNamespace(Bench().subsystem).identify()
    (offer,) = offers(None, drive, psid=PSID)
    assert offer.obstacle == "the drive has no TCG security"
    behind = replace(drive, transport=Transport.USB)
    found = read_discovery(Bench().line(), nvme_discovery())
    assert "do not reach it" in str(offers(found, behind, psid=PSID)[0].obstacle)


def test_the_drive_s_own_estimate() -> None:
    assert Bench().offer().estimate_s is None
    assert Bench(RemovingTcg(locking_enabled=True)).offer().estimate_s == 20


def test_a_drive_that_does_not_answer() -> None:
    with pytest.raises(TcgUnreadableError, match="was not answered") as caught:
        read_discovery(Bench().line(FaultSchedule({0: FaultKind.HANG})), nvme_discovery())
    assert "allow_tpm" in str(caught.value.hint)


# The revert


def test_a_locked_drive_is_reverted() -> None:
    bench = Bench()
    end = bench.run()
    assert (end.disposition, end.state) == (DONE, "Manufactured-Inactive")
    assert not bench.holds_data
    assert [one.name for one in end.records][1] == "PSID REVERT"
    assert PRINTED not in repr(end)


def test_a_wrong_psid_changes_nothing() -> None:
    bench = Bench()
    end = bench.run(psid=WRONG)
    assert (end.disposition, end.state) == (REFUSED, "Manufactured")
    assert "read it again from its label" in end.reason
    assert bench.tcg.locking_enabled
    assert bench.holds_data


def test_a_revert_leaves_the_data_of_an_inactive_lock_and_is_not_even_tried() -> None:
    bench = Bench(Tcg(sid_changed=True))
    assert bench.run().disposition is REFUSED
    assert SimulatedReverter(bench, FaultSchedule()).revert(PSID).disposition is DONE
    assert bench.holds_data


def test_a_removal_of_data_is_waited_for() -> None:
    bench = Bench(RemovingTcg(locking_enabled=True))
    end = bench.run()
    assert end.disposition is DONE
    assert end.duration_s >= 20


def test_a_removal_that_was_interrupted() -> None:
    end = Bench(RemovingTcg(locking_enabled=True, interrupted=True)).run()
    assert end.disposition is UNKNOWN
    assert "interrupted" in end.reason


class NoLongerTcg:
    """A drive that answers the first discovery and then has no TCG security any more."""

    def __init__(self, bench: Bench) -> None:
        self._port = bench.line().port
        self._asked = 0

    def execute(self, command: Command) -> Completion:
        completion, self._asked = self._port.execute(command), self._asked + 1
        return completion if self._asked == 1 else replace(completion, data=bytes(2048))


def test_a_lock_that_vanishes_settles_nothing() -> None:
    bench = Bench()
    line = Line(NoLongerTcg(bench), bench.clock, lambda _running: None)
    end = run_psid_revert(line, nvme_discovery(), SimulatedReverter(bench, FaultSchedule()), PSID)
    assert end.disposition is UNKNOWN
    assert "no longer tells of a lock" in end.reason


def test_no_tcg_at_all() -> None:
    bench = Bench()
    port = NoLongerTcg(bench)
    port.execute(nvme_discovery())
    line = Line(port, bench.clock, lambda _running: None)
    end = run_psid_revert(line, nvme_discovery(), SimulatedReverter(bench, FaultSchedule()), PSID)
    assert (end.disposition, end.reason) == (REFUSED, "the drive has no TCG security")


def test_a_lying_drive_is_believed_here_and_caught_by_the_markers() -> None:
    bench = Bench(lies=True)
    assert bench.run().disposition is DONE
    assert bench.holds_data


@pytest.mark.parametrize("kind", [FaultKind.HANG, FaultKind.SWALLOW_STATUS, FaultKind.BUS_RESET])
def test_a_lost_status_is_settled_by_the_lock(kind: FaultKind) -> None:
    bench = Bench()
    end = bench.run({1: kind})
    assert end.disposition is DONE
    assert "did not report how it ended" in end.reason
    assert not bench.holds_data


def test_a_lost_revert_is_settled_by_nothing() -> None:
    bench = Bench()
    end = bench.run({1: FaultKind.HANG_UNSEEN})
    assert end.disposition is UNKNOWN
    assert "its lock is still active" in end.reason


@pytest.mark.parametrize("removing", [False, True])
@pytest.mark.parametrize("second", [None, *FaultKind])
@pytest.mark.parametrize("first", FaultKind)
def test_every_fault_at_every_command(first: FaultKind, second: FaultKind | None, removing: bool) -> None:
    for index in range(5):
        tcg = RemovingTcg(locking_enabled=True, locked=True) if removing else None
        bench = Bench(tcg)
        faults = {index: first} | ({index + 1: second} if second else {})
        try:
            end = bench.run(faults)
        except PowerCut:
            bench.subsystem.power_cycle()
        else:
            assert end.disposition is not DONE or not bench.holds_data, (index, end.reason)
            assert end.disposition is not REFUSED or bench.holds_data, (index, end.reason)
        if bench.subsystem.unplugged:
            bench.subsystem.replug()
        # Where the first run got through unseen, the lock is gone, and nothing can be proven by it any more.
        wanted = DONE if bench.tcg.locking_enabled else REFUSED
        assert bench.run().disposition is wanted
        assert not bench.holds_data
