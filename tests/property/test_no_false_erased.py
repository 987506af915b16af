"""The worst case: no path may report ERASED while old data can be read.

Random fault schedules and faulty drives against every way of erasing. ``RASURA_FAULT_SCHEDULES`` says
how many schedules in all; a few hundred by default, 100000 for a long run.
"""

from __future__ import annotations

import os
from random import Random
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, example, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from rasura.certificate import Method, Outcome, ReadBackExtent
from rasura_agent.drive.port import Disposition
from rasura_agent.erase import engine
from rasura_agent.erase.engine import execute
from rasura_agent.erase.firmware.line import Line, TechniqueEnd
from rasura_agent.erase.limits import Limits
from rasura_agent.erase.plan import plan_drive
from rasura_agent.erase.policy import PatternKind, Policy
from rasura_agent.erase.result import EraseResult
from rasura_agent.erase.run import Ports
from rasura_agent.inventory.model import Transport
from rasura_agent.verify import samples
from rasura_agent.verify.readback import ReadBack
from rasura_agent.verify.spots import SpotCheck
from simulators import bench
from simulators.ata_options import ALL_SANITIZE, AtaOptions, Freeze
from simulators.bench import (
    SECTOR_BYTES,
    SECTORS,
    AtaRig,
    Bench,
    MemoryJournal,
    MmcRig,
    NvmeRig,
    Rig,
    ScsiRig,
)
from simulators.block import BlockFault, SimulatedBlock, simulated_drive
from simulators.mmc_types import MmcOptions
from simulators.nvme_types import NvmeOptions, Remnant
from simulators.ports_media import Lie
from simulators.sat import BridgeOptions
from simulators.scsi_options import ScsiOptions
from simulators.signing import overwrite_policy
from simulators.world import FaultKind, FaultSchedule

SCHEDULES = int(os.environ.get("RASURA_FAULT_SCHEDULES", "1000"))
CAPACITY = SECTORS * SECTOR_BYTES
BLOCK = 4096
CONTENT = Random("old data").randbytes(CAPACITY)
RUNS = 3
"""A drive is met again after a power cut or a failure, as a workshop would."""


def share(part: float) -> settings:
    """So many of all schedules for one test. Shrinking is kept for the few that fail."""
    return settings(
        max_examples=max(20, int(SCHEDULES * part)),
        deadline=None,
        database=None,
        phases=(Phase.explicit, Phase.generate, Phase.shrink),
        suppress_health_check=list(HealthCheck),
    )


# Overwriting, against faults of single transfers and bad ranges. Two passes and a read-back are 24 transfers.

SILENT = [BlockFault.WRITE_LOST, BlockFault.WRITE_CORRUPT, BlockFault.WRITE_ELSEWHERE]
bad_ranges = st.lists(
    st.tuples(st.integers(0, CAPACITY - 1), st.sampled_from([1, 512, 3000, CAPACITY])).map(
        lambda one: range(one[0], one[0] + one[1])
    ),
    max_size=2,
).map(tuple)
limits = st.builds(
    Limits,
    retries=st.integers(0, 2),
    errors=st.sampled_from([1, 7, 60, 1000]),
    zone_transfers=st.integers(1, 4),
)


@share(0.4)
@given(
    faults=st.dictionaries(st.integers(0, 40), st.sampled_from([*BlockFault, *SILENT * 4]), max_size=4),
    pattern=st.sampled_from(PatternKind),
    named=st.sampled_from([None, None, None, "flash-zero", "dod-5220-22-m", "dod-5220-22-m-ece"]),
    transport=st.sampled_from([Transport.SATA, Transport.USB]),
    fake=st.booleans(),
    extent=st.sampled_from(ReadBackExtent),
    bad=st.just(((), ())) | st.tuples(bad_ranges, bad_ranges),
    heals_after=st.none() | st.integers(0, 30),
    limits=limits,
    queued=st.none() | st.integers(0, 99),
    lanes=st.sampled_from([1, 4]),
    zeroes=st.sampled_from([Disposition.REFUSED, Disposition.DONE]),
    offload=st.booleans(),
    every_pass=st.booleans(),
)
@example(
    # A single lost write: what a planted fault in reading back must always be caught by.
    faults={3: BlockFault.WRITE_LOST},
    pattern=PatternKind.ZERO,
    named=None,
    transport=Transport.SATA,
    fake=False,
    bad=((), ()),
    heals_after=None,
    limits=Limits(),
    queued=None,
    lanes=1,
    zeroes=Disposition.REFUSED,
    offload=False,
    every_pass=False,
    extent=ReadBackExtent.FULL,
)
def test_overwriting(
    faults: dict[int, BlockFault],
    pattern: PatternKind,
    named: str | None,
    transport: Transport,
    fake: bool,
    bad: tuple[tuple[range, ...], tuple[range, ...]],
    heals_after: int | None,
    limits: Limits,
    queued: int | None,
    lanes: int,
    zeroes: Disposition,
    offload: bool,
    every_pass: bool,
    extent: ReadBackExtent,
) -> None:
    # The scheme reads all of a drive as small as this one, so that sampling hides nothing here.
    drive = simulated_drive(CAPACITY, transport=transport, rotational=None)
    block = SimulatedBlock(
        drive,
        dict(faults),
        real_bytes=CAPACITY // 2 if fake else None,
        bad_writes=bad[0],
        bad_reads=bad[1],
        heals_after=heals_after,
        zeroes=zeroes,
        lanes=lanes,
        queued=queued,
    )
    policy = replace(
        overwrite_policy(),
        pattern=pattern,
        scheme=named,
        limits=limits,
        offload=offload,
        every_pass=every_pass,
        read_back=extent,
    )
    plan = plan_drive(drive, policy, ())
    draw = Random(0)
    try:
        result = execute(plan, Ports(block), block.clock, draw.randbytes, lambda _event: None, BLOCK)
    finally:
        block.released.set()
    if result.outcome is Outcome.ERASED:
        assert not block.old_data_left()
        assert result.method is Method.CLEAR
        assert not result.errors
        assert all(one.bytes_written == CAPACITY for one in result.passes)
    else:
        assert result.method is None
        assert result.reason
        failed = [one for one in result.passes if one.stopped is None and one.bytes_written != CAPACITY]
        assert all(one.errors for one in failed)
    assert all(one.offset >= 0 and one.offset + one.length <= CAPACITY for one in result.errors)
    for one in result.passes:
        assert one.cipher is None or not one.bytes_offloaded


# The drives' own commands, against faulty drives on faulty paths, over power cuts.


def mostly(usual: Any, *others: Any) -> st.SearchStrategy[Any]:
    """``usual`` five times in six: a drive that is wrong in every way at once never gets far."""
    return st.sampled_from([usual] * 5 * len(others) + list(others))


fault_schedules = st.just({}) | st.dictionaries(st.integers(0, 30), st.sampled_from(FaultKind), max_size=2)
lies = st.none() | st.builds(
    Lie,
    leaves=st.sampled_from([((0, 1 << 62),), ((0, 1),), ((63, 64),), ((20, 29),), ()]),
    leaves_hidden=st.booleans(),
    instantly=st.booleans(),
)
fractions = mostly(None, 0.0, 0.4, 0.99)
techniques = st.sets(st.sampled_from(sorted(ALL_SANITIZE, key=lambda one: one.name))).map(frozenset)
policies = st.builds(
    lambda method, weaker, r1, hidden: replace(
        overwrite_policy(), method=method, allow_weaker=weaker, accept_r1_basis=r1, allow_hidden=hidden
    ),
    st.sampled_from([Method.PURGE, Method.PURGE, Method.CLEAR]),
    st.booleans(),
    st.booleans(),
    st.booleans(),
)

ata_options = st.builds(
    AtaOptions,
    rotation_rate=st.sampled_from([1, 7200]),
    sanitize=techniques,
    security=mostly(True, False),
    enhanced_erase=mostly(True, False),
    bios_freezes=mostly(Freeze.NEVER, Freeze.AT_BOOT, Freeze.AT_EVERY_POWER_ON),
    bios_freezes_sanitize=mostly(Freeze.NEVER, Freeze.AT_BOOT),
    user_password=mostly(None, b"theirs".ljust(32, b"\0")),
    erase_word=st.sampled_from([0, 1, 60, 0xFF]),
    erase_s=st.sampled_from([0.0, 300.0]),
    overwrite_s=st.just(60.0),
    erase_fails_at=fractions,
    erase_keeps_password=mostly(False, True),
    sanitize_fails_at=fractions,
    progress_stuck_at=mostly(None, 0.5),
    sanitize_completed_before=st.booleans(),
    hpa_sectors=st.sampled_from([None, 32]),
    dco_sectors=st.sampled_from([None, 40]),
    write_cache=st.booleans(),
    lie=lies,
)
bridges = mostly(
    None,
    BridgeOptions(swallows_descriptor=True),
    BridgeOptions(fixed_sense=True),
    BridgeOptions(pretends=True),
)
scsi_options = st.builds(
    ScsiOptions,
    rotation_rate=st.sampled_from([1, 10500]),
    sanitize=techniques,
    reports_opcodes=mostly(True, False),
    overwrite_s=st.just(60.0),
    format_s=st.just(120.0),
    sanitize_fails_at=fractions,
    progress_stuck_at=mostly(None, 0.5),
    reports_progress=st.booleans(),
    write_after_sanitize=mostly(False, True),
    format_fails_at=fractions,
    format_writes=st.booleans(),
    visible_blocks=st.sampled_from([None, 32]),
    descriptor_sense=st.booleans(),
    write_cache=st.booleans(),
    lie=lies,
)
nvme_options = st.builds(
    NvmeOptions,
    sanicap=st.sampled_from([0, 0x4000_0007, 0x4000_0001, 0x4000_0004]),
    fna=st.sampled_from([0x04, 0x00, 0x07]),
    oacs=mostly(0x000B, 0x0001),
    block_erase_value=st.sampled_from([0, 0xFF]),
    overwrite_pass_seconds=st.just(40.0),
)


def check(rig: Rig, journal: MemoryJournal, policy: Policy, faults: list[tuple[Any, Any]]) -> None:
    """Meet the drive again and again; whenever a run says ERASED, nothing old may be readable."""
    station = Bench(rig, 5, journal)
    before = rig.sectors()
    for device_faults, block_faults in faults:
        met = station.run(policy, FaultSchedule(dict(device_faults)), FaultSchedule(dict(block_faults)))
        if met is None:
            continue
        _, result = met
        if result.outcome is Outcome.ERASED:
            after = rig.sectors()[: bench.reach(result, SECTORS) * SECTOR_BYTES]
            assert not bench.old_sectors(before[: len(after)], after)
            if result.spots is not None:
                assert not bench.marker_sectors(result, after)
            assert not result.errors
            assert result.method is not None
            if result.method is Method.CLEAR:
                assert policy.method is Method.CLEAR or policy.allow_weaker
            return
        assert result.method is None
        assert result.reason


runs = st.lists(st.tuples(fault_schedules, fault_schedules), min_size=1, max_size=RUNS)

# An eMMC's sanitize is a Purge on the basis of Rev. 1 only.
PURGE = replace(overwrite_policy(), method=Method.PURGE, accept_r1_basis=True)
UNDISTURBED: list[tuple[Any, Any]] = [({}, {})]
# The first example of each is a drive that lies about all it has: it catches every planted fault.


@share(0.2)
@given(options=ata_options, bridge=bridges, policy=policies, faults=runs)
@example(options=AtaOptions(lie=Lie()), bridge=None, policy=PURGE, faults=UNDISTURBED)
def test_ata(options: AtaOptions, bridge: BridgeOptions | None, policy: Policy, faults: Any) -> None:
    journal = MemoryJournal()
    check(AtaRig(options, bridge, CONTENT, journal), journal, policy, faults)


@share(0.15)
@given(options=scsi_options, policy=policies, faults=runs)
@example(options=ScsiOptions(lie=Lie()), policy=PURGE, faults=UNDISTURBED)
def test_scsi(options: ScsiOptions, policy: Policy, faults: Any) -> None:
    check(ScsiRig(options, CONTENT), MemoryJournal(), policy, faults)


@share(0.15)
@given(
    options=nvme_options,
    namespaces=mostly(1, 2),
    leaves=st.sampled_from([(), (), (Remnant(1, range(5, 9)),), (Remnant(1, range(SECTORS)),)]),
    ignored=mostly(False, True),
    fails_at=fractions,
    sticks_at=mostly(None, 0.5),
    forgets=mostly(False, True),
    stale=st.booleans(),
    policy=policies,
    faults=runs,
)
@example(
    options=NvmeOptions(),
    namespaces=1,
    leaves=(Remnant(1, range(SECTORS)),),
    ignored=False,
    fails_at=None,
    sticks_at=None,
    forgets=False,
    stale=False,
    policy=PURGE,
    faults=UNDISTURBED,
)
def test_nvme(
    options: NvmeOptions,
    namespaces: int,
    leaves: tuple[Remnant, ...],
    ignored: bool,
    fails_at: float | None,
    sticks_at: float | None,
    forgets: bool,
    stale: bool,
    policy: Policy,
    faults: Any,
) -> None:
    rig = NvmeRig(options, CONTENT, namespaces)
    wrong = rig.subsystem.faults
    wrong.leaves, wrong.sanitize_ignored, wrong.sanitize_fails_at = leaves, ignored, fails_at
    wrong.sanitize_sticks_at, wrong.forgets_status_on_reset = sticks_at, forgets
    if stale:
        rig.subsystem.sanitize.pretend_earlier_success(0x2)
    check(rig, MemoryJournal(), policy, faults)


@share(0.1)
@given(
    features=st.sampled_from([0x55, 0x55, 0x40, 0x11, 0x10, 0x00]),
    leaves=st.sampled_from([None, range(5, 9), range(SECTORS)]),
    lies_about_sanitize=mostly(False, True),
    policy=policies,
    faults=runs,
)
@example(features=0x55, leaves=range(SECTORS), lies_about_sanitize=True, policy=PURGE, faults=UNDISTURBED)
def test_mmc(
    features: int, leaves: range | None, lies_about_sanitize: bool, policy: Policy, faults: Any
) -> None:
    rig = MmcRig(MmcOptions(sec_feature_support=features), CONTENT)
    rig.device.faults.erase_leaves = leaves
    rig.device.faults.sanitize_lies = lies_about_sanitize
    check(rig, MemoryJournal(), policy, faults)


# Healthy drives are erased: the property above is not kept by refusing everything.

HEALTHY = {
    "ata hard disk": lambda: AtaRig(AtaOptions(), None, CONTENT, MemoryJournal()),
    "ata ssd": lambda: AtaRig(AtaOptions(rotation_rate=1), None, CONTENT, MemoryJournal()),
    "ata with a protected area": lambda: AtaRig(AtaOptions(hpa_sectors=32), None, CONTENT, MemoryJournal()),
    "ata with an overlay": lambda: AtaRig(AtaOptions(dco_sectors=32), None, CONTENT, MemoryJournal()),
    "sas hard disk": lambda: ScsiRig(ScsiOptions(), CONTENT),
    "sas ssd": lambda: ScsiRig(ScsiOptions(rotation_rate=1), CONTENT),
    "nvme": lambda: NvmeRig(NvmeOptions(), CONTENT),
    "emmc": lambda: MmcRig(MmcOptions(), CONTENT),
}


@pytest.mark.parametrize("name", HEALTHY)
@pytest.mark.parametrize("policy", [PURGE, overwrite_policy()], ids=["purge", "clear"])
def test_healthy_drives_are_erased(name: str, policy: Policy) -> None:
    rig = HEALTHY[name]()
    met = Bench(rig).run(policy)
    assert met is not None
    assert (met[1].outcome, met[1].method) == (Outcome.ERASED, policy.method), met[1].reason
    assert not bench.old_sectors(CONTENT, rig.sectors())


# Planted faults: each test above can fail.

KINDS = pytest.mark.parametrize(
    "kind", [test_ata, test_scsi, test_nvme, test_mmc], ids=["ata", "scsi", "nvme", "mmc"]
)


def believe(
    _port: object, end: int, _pattern: object, _told: object, _block: int, start: int = 0, **_others: object
) -> ReadBack:
    """Reading back that believes the drive."""
    return ReadBack(end - start, end, (), None)


def test_a_planted_fault_in_reading_back_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (engine, samples):
        monkeypatch.setattr(module, "read_back", believe)
    with pytest.raises(AssertionError):
        test_overwriting()


@KINDS
def test_a_planted_fault_in_looking_at_marks_is_found(kind: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def see_nothing(_spots: object, _on_progress: object) -> SpotCheck:
        return SpotCheck(BLOCK, 0, 0, (), ())

    monkeypatch.setattr(engine.Spots, "look", see_nothing)
    with pytest.raises(AssertionError):
        kind()


@KINDS
def test_a_planted_fault_in_the_verdict_is_found(kind: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """An engine that takes whatever a technique ends in for a success, as a peer of ours once did."""

    def optimist(run: Any, technique: Any) -> EraseResult:
        line: Line | None = run.line()
        ended: TechniqueEnd | None = run.ports.family.run(technique, line) if line is not None else None
        assert ended is None or ended.disposition in Disposition
        run.spots = SpotCheck(BLOCK, 0, 0, (), ())
        return run.end(Outcome.ERASED, None)

    monkeypatch.setattr(engine, "_by_command", optimist)
    with pytest.raises(AssertionError):
        kind()
