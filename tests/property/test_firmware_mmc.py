"""eMMC techniques on any device, with any faults: never done with old data left, never refused once changed.

``RASURA_FAULT_SCHEDULES`` says how many schedules.
"""

from __future__ import annotations

import os
from enum import Enum
from itertools import product

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rasura.certificate import Technique
from rasura.errors import RasuraError
from rasura_agent.drive.port import Disposition, DrivePort
from rasura_agent.erase.firmware import mmc_erase
from rasura_agent.erase.firmware.line import Line
from rasura_agent.erase.firmware.mmc_capabilities import MmcArea, MmcCapabilities, read_capabilities
from rasura_agent.erase.firmware.mmc_offers import TECHNIQUES, offers, risks
from simulators.mmc import SimulatedEmmc
from simulators.mmc_ports import SimulatedMmcBlock, SimulatedMmcPort
from simulators.mmc_types import Area, MmcOptions, Reg
from simulators.world import FaultKind, FaultSchedule, ManualClock, Medium, PowerCut
from unit.test_firmware_mmc_bench import RUNS, SECRET, AtOnce

SCHEDULES = int(os.environ.get("RASURA_FAULT_SCHEDULES", "400"))

many = settings(
    max_examples=SCHEDULES,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)

# Secure erase 1, trim 16, sanitize 64. So small a device counts its addresses in bytes.
OPTIONS = tuple(
    MmcOptions(
        byte_addressed=True,
        sec_feature_support=features,
        ext_csd_rev=rev,
        erased_mem_cont=content,
        hc_erase_grp_size=group,
        sanitizes_boot=bool(content),
    )
    for features, rev, content, group in product(
        (81, 81, 81, 81, 80, 64, 65, 17, 0), (8, 8, 8, 7, 5), (0, 1), (1, 1, 1, 1, 0)
    )
)


class Trait(Enum):
    """What else is odd about the device, or happens to it."""

    NO_BOOT = "it has no boot partitions"
    POLLS = "the kernel polls the status by itself and so takes its errors"
    ONE_BY_ONE = "the path sends no sequences"
    PROTECTED = "a group of the user area is write protected"
    BOOT_PROTECTED = "the boot partitions are, until the next power-on"
    SWITCHED = "it was left with a boot partition selected"
    STICKS = "sanitize never ends"
    CUT = "the power goes during an operation"
    SANITIZE_LIES = "sanitize removes nothing"
    ERASE_LIES = "every erase leaves a sector"


LIES = frozenset({Trait.SANITIZE_LIES, Trait.ERASE_LIES})


class Run:
    """One device and what befalls it."""

    def __init__(self, options: MmcOptions, traits: frozenset[Trait]) -> None:
        self.traits = traits
        boot = None if Trait.NO_BOOT in traits else (Medium(512, 256), Medium(512, 256))
        self.device = device = SimulatedEmmc(ManualClock(), Medium(512, 64), boot=boot, options=options)
        self.areas = [Area.USER, *([] if boot is None else [Area.BOOT_1, Area.BOOT_2])]
        for area in self.areas:
            for sector in (3, 4, 3):
                device.write(area, sector, SECRET.ljust(512, b"\0"))
        if Trait.PROTECTED in traits:
            device.areas[Area.USER].protected_groups.add(0)
        if Trait.BOOT_PROTECTED in traits and boot is not None:
            device.command(6, 3 << 24 | Reg.BOOT_WP << 16 | 1 << 8, 0x1D)
        if Trait.SWITCHED in traits and boot is not None:
            device.registers.raw[Reg.PARTITION_CONFIG] = 0x49
        device.faults.sanitize_sticks = Trait.STICKS in traits
        device.faults.power_cut_at = 0.5 if Trait.CUT in traits else None
        device.faults.sanitize_lies = Trait.SANITIZE_LIES in traits
        device.faults.erase_leaves = range(3, 4) if Trait.ERASE_LIES in traits else None

    def port(self, area: Area, schedule: FaultSchedule) -> DrivePort:
        port = SimulatedMmcPort(self.device, area, schedule=schedule, polls_status=Trait.POLLS in self.traits)
        return port if Trait.ONE_BY_ONE in self.traits else AtOnce(port)

    def line(self, schedule: FaultSchedule) -> Line:
        return Line(self.port(Area.USER, schedule), self.device.clock, lambda _running: None)

    def capabilities(self, line: Line) -> MmcCapabilities:
        cid = SimulatedMmcBlock(self.device).identify().identity_pages[0].data.hex()
        return read_capabilities(line, cid, 64 * 512)

    def image(self) -> list[bytes]:
        self.device.settle()
        return [bytes(self.device.areas[area].medium.data) for area in self.areas]

    def old_data_left(self, found: MmcCapabilities) -> bool:
        """Whether old data is left where the technique does not itself say that it may be."""
        if any(one.startswith("boot-copies") for one in risks(found)):
            user = self.device.areas[Area.USER]
            return any(SECRET in one for one in (*self.image(), *(old for _, old in user.unmapped)))
        return self.device.holds(SECRET)

    def attempt(self, technique: Technique, faults: dict[int, FaultKind]) -> None:
        schedule = FaultSchedule(dict(faults))
        line = self.line(schedule)
        try:
            found = self.capabilities(line)
        except RasuraError:
            return
        before = self.image()
        ports = {MmcArea(area): self.port(area, schedule) for area in self.areas if area}
        end = RUNS[technique](line, found, ports)
        assert end.reason
        if end.disposition is Disposition.DONE and not self.traits & LIES:
            assert not self.old_data_left(found), (end.reason, end.records)
        if end.disposition is Disposition.DONE:
            assert self.device.registers.selected is Area.USER
        if end.disposition is Disposition.REFUSED:
            assert self.image() == before, (end.reason, end.records)


def check(
    options: MmcOptions, traits: frozenset[Trait], technique: Technique, schedules: list[dict[int, FaultKind]]
) -> None:
    """One run after the other on the same device; the power comes back, and the device into its slot."""
    run = Run(options, traits)
    for faults in schedules:
        if run.device.unplugged:
            run.device.replug()
        try:
            run.attempt(technique, faults)
        except PowerCut:
            run.device.power_cycle()


devices = {"options": st.sampled_from(OPTIONS), "traits": st.frozensets(st.sampled_from(Trait), max_size=3)}
# The longest way, a secure trim of three partitions, has 28 commands.
schedule_lists = st.lists(
    st.dictionaries(st.integers(0, 28), st.sampled_from(FaultKind), max_size=2), min_size=1, max_size=2
)


@many
@given(**devices, technique=st.sampled_from(TECHNIQUES), schedules=schedule_lists)
def test_done_means_that_no_old_data_is_left(
    options: MmcOptions, traits: frozenset[Trait], technique: Technique, schedules: list[dict[int, FaultKind]]
) -> None:
    check(options, traits, technique, schedules)


@given(**devices, r1=st.booleans())
@settings(many, max_examples=100)
def test_every_technique_is_offered_in_or_out(
    options: MmcOptions, traits: frozenset[Trait], r1: bool
) -> None:
    run = Run(options, traits)
    found = run.capabilities(run.line(FaultSchedule()))
    listed = offers(found, SimulatedMmcBlock(run.device).identify(), r1)
    assert tuple(one.technique for one in listed) == TECHNIQUES
    assert all(one.obstacle != "" for one in listed)
    strengths = [("Clear", "Purge").index(one.method) for one in listed]
    assert strengths == sorted(strengths, reverse=True)


def test_a_planted_fault_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """Groups that nobody asks for, where the kernel takes the errors, would be caught by the property."""
    traits = frozenset({Trait.PROTECTED, Trait.POLLS})
    check(OPTIONS[0], traits, Technique.MMC_SECURE_ERASE, [{}])
    monkeypatch.setattr(mmc_erase, "group_protection", lambda *_anything: None)
    with pytest.raises(AssertionError):
        check(OPTIONS[0], traits, Technique.MMC_SECURE_ERASE, [{}])
