"""NVMe techniques on any drive, with any faults: never done with old data left, never refused once changed.

``RASURA_FAULT_SCHEDULES`` says how many schedules.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from enum import Enum
from itertools import product

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rasura.certificate import Technique
from rasura.errors import RasuraError
from rasura_agent.drive.nvme import status as nvme_status
from rasura_agent.drive.nvme.sanitize_log import SanitizeLog
from rasura_agent.drive.port import Disposition
from rasura_agent.erase.firmware.line import Line
from rasura_agent.erase.firmware.nvme_capabilities import NvmeCapabilities, read_capabilities
from rasura_agent.erase.firmware.nvme_format import run_format
from rasura_agent.erase.firmware.nvme_offers import FORMAT_SETTINGS, SANITIZE_ACTIONS, offers
from rasura_agent.erase.firmware.nvme_sanitize import adopt_sanitize, leave_failure_mode, run_sanitize
from simulators.nvme import SimulatedNvmeSubsystem
from simulators.nvme_ports import SimulatedNamespace, SimulatedNvmePort
from simulators.nvme_security import Tcg
from simulators.nvme_types import NvmeOptions, Remnant
from simulators.world import FaultKind, FaultSchedule, ManualClock, Medium, PowerCut

SCHEDULES = int(os.environ.get("RASURA_FAULT_SCHEDULES", "400"))
SECRET = b"somebody's data, to be gone"
TECHNIQUES = (*SANITIZE_ACTIONS, *FORMAT_SETTINGS)
NEVER_TOLD = (0xFFFFFFFF,) * 6
NO_SANITIZE = 0

many = settings(
    max_examples=SCHEDULES,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)

OPTIONS = tuple(
    NvmeOptions(
        fna=fna,
        sanicap=sanicap,
        block_erase_seconds=40.0 * slow,
        overwrite_pass_seconds=100.0 * slow,
        crypto_erase_seconds=2.0 * slow,
        format_seconds=10.0 * slow,
        estimates=estimates,
        deallocates=bool(sanicap & 1),
    )
    for fna, sanicap, slow, estimates in product(
        (0b100, 0b110, 0b000),
        (0x4000_0007, 0x4000_000F, 0x2000_000E, NO_SANITIZE),
        (1, 0, 30),
        (None, NEVER_TOLD),
    )
)


class Trait(Enum):
    """What else is odd about the drive, or happens to it."""

    SECOND_NAMESPACE = "somebody's data is in another namespace as well"
    UNATTACHED = "the last namespace is attached nowhere"
    SPARE = "somebody's data is in capacity without a namespace"
    WRITE_PROTECTED = "the last namespace is write protected"
    STALE_SUCCESS = "the log tells of an earlier success with the same command"
    STALE_SUCCESS_RESTRICTED = "the same, with AUSE cleared"
    BEGUN_ELSEWHERE = "a sanitize is under way"
    MEDIA_VERIFICATION = "one that will stop in the Media Verification state is"
    IGNORES = "sanitize is accepted and never starts"
    FAILS = "a sanitize fails midway"
    STICKS = "a sanitize is stuck midway"
    FORGETS = "a reset ends a sanitize, and the log forgets it"
    INVALID_OPCODE = "Format is refused until the drive lost power once"
    LOCKED = "Block SID is set"
    CUT = "the power goes during a format"
    LIES = "success is reported and the data left"


Begin = Callable[[SimulatedNvmeSubsystem], object]
_BEGIN: dict[Trait, Begin] = {
    Trait.STALE_SUCCESS: lambda drive: drive.sanitize.pretend_earlier_success(0b1010),
    Trait.STALE_SUCCESS_RESTRICTED: lambda drive: drive.sanitize.pretend_earlier_success(0b0100),
    Trait.BEGUN_ELSEWHERE: lambda drive: drive.admin(0, 0x84, cdw10=0b1010),
    Trait.MEDIA_VERIFICATION: lambda drive: drive.admin(0, 0x84, cdw10=0b0010 | 1 << 10),
}


class Run:
    """One drive and what befalls it."""

    def __init__(self, options: NvmeOptions, traits: frozenset[Trait]) -> None:
        self.lies = Trait.LIES in traits
        media = [Medium(512, 16) for _ in range(2 if Trait.SECOND_NAMESPACE in traits else 1)]
        for medium in media:
            medium.write(5, SECRET.ljust(512, b"\0"))
        self.subsystem = SimulatedNvmeSubsystem(
            ManualClock(),
            media,
            options,
            unallocated=SECRET.ljust(1024, b"\0") if Trait.SPARE in traits else b"",
            tcg=Tcg(sid_blocked=True) if Trait.LOCKED in traits else None,
        )
        last = self.subsystem.media.namespaces[len(media)]
        last.write_protected = Trait.WRITE_PROTECTED in traits
        if Trait.UNATTACHED in traits and len(media) > 1:
            last.attached.clear()
        for trait in sorted(traits & _BEGIN.keys(), key=lambda one: one.name):
            _BEGIN[trait](self.subsystem)
        faults = self.subsystem.faults
        faults.sanitize_ignored = Trait.IGNORES in traits
        faults.sanitize_fails_at = 0.5 if Trait.FAILS in traits else None
        faults.sanitize_sticks_at = 0.5 if Trait.STICKS in traits else None
        faults.forgets_status_on_reset = Trait.FORGETS in traits
        faults.format_invalid_opcode_until_resume = Trait.INVALID_OPCODE in traits
        faults.power_cut_at = 0.5 if Trait.CUT in traits else None
        faults.leaves = (Remnant(),) if self.lies else ()

    def line(self, schedule: dict[int, FaultKind]) -> Line:
        port = SimulatedNvmePort(
            self.subsystem,
            schedule=FaultSchedule(dict(schedule)),
            disposition=lambda _command, status: nvme_status.disposition(status),
        )
        return Line(port, self.subsystem.clock, lambda _running: None)

    def image(self) -> bytes:
        self.subsystem.settle()
        media = self.subsystem.media
        return b"".join(bytes(one.medium.data) for one in media.namespaces.values()) + bytes(
            media.unallocated
        )

    def old_data_in(self, found: NvmeCapabilities, whole: bool) -> bool:
        """Whether old data is left in what the run was to erase."""
        if whole:
            return self.subsystem.holds(SECRET)
        self.subsystem.settle()
        return SECRET in self.subsystem.media.namespaces[found.nsid].medium.data

    def attempt(self, technique: Technique, schedule: dict[int, FaultKind], whole: bool) -> None:
        """Prepare as the engine does, run, and hold the end against the medium."""
        line = self.line(schedule)
        try:
            found = read_capabilities(line, 1)
        except RasuraError:
            return
        if found.controller.sanicap.supported:
            adopted, left = adopt_sanitize(line, found), leave_failure_mode(line)
            assert Disposition.DONE not in {adopted.disposition, left.disposition}
        before, already = self.image(), self.subsystem.sanitize.in_progress
        run = run_sanitize if technique in SANITIZE_ACTIONS else run_format
        end = run(line, found, technique, erase_whole_subsystem=whole)
        assert end.reason
        if end.disposition is Disposition.DONE and not self.lies:
            assert not self.old_data_in(found, whole), (end.reason, end.records)
        if end.disposition is Disposition.REFUSED and not already:
            assert self.image() == before, (end.reason, end.records)


def check(
    options: NvmeOptions,
    traits: frozenset[Trait],
    technique: Technique,
    whole: bool,
    schedules: list[dict[int, FaultKind]],
) -> None:
    """One run after the other on the same drive; the power comes back, and the drive into its slot."""
    run = Run(options, traits)
    for schedule in schedules:
        if run.subsystem.unplugged:
            run.subsystem.replug()
        try:
            run.attempt(technique, schedule, whole)
        except PowerCut:
            run.subsystem.power_cycle()


drives = {
    "options": st.sampled_from(OPTIONS),
    "traits": st.frozensets(st.sampled_from(Trait), max_size=3),
    "whole": st.booleans(),
}
# The longest way has some twenty commands before it is only looking.
schedule_lists = st.lists(
    st.dictionaries(st.integers(0, 20), st.sampled_from(FaultKind), max_size=2), min_size=1, max_size=2
)


@many
@given(**drives, technique=st.sampled_from(TECHNIQUES), schedules=schedule_lists)
def test_done_means_that_no_old_data_is_left(
    options: NvmeOptions,
    traits: frozenset[Trait],
    technique: Technique,
    whole: bool,
    schedules: list[dict[int, FaultKind]],
) -> None:
    check(options, traits, technique, whole, schedules)


@given(**drives, r1=st.booleans())
@settings(many, max_examples=100)
def test_every_technique_is_offered_in_or_out(
    options: NvmeOptions, traits: frozenset[Trait], whole: bool, r1: bool
) -> None:
    run = Run(options, traits)
    found = read_capabilities(run.line({}), 1)
    listed = offers(found, SimulatedNamespace(run.subsystem).identify(), r1, erase_whole_subsystem=whole)
    assert [one.technique for one in listed] == list(TECHNIQUES)
    assert all(one.obstacle != "" for one in listed)
    strengths = [("Clear", "Purge").index(one.method) for one in listed]
    assert strengths == sorted(strengths, reverse=True)


def test_a_planted_fault_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """A technique that took any success in the log for its own would be caught by the property above."""
    traits = frozenset({Trait.IGNORES, Trait.STALE_SUCCESS})
    check(OPTIONS[0], traits, Technique.NVME_SANITIZE_CRYPTO, True, [{}])
    monkeypatch.setattr(SanitizeLog, "is_of", lambda _log, _command: True)
    with pytest.raises(AssertionError):
        check(OPTIONS[0], traits, Technique.NVME_SANITIZE_CRYPTO, True, [{}])
