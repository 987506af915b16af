"""SCSI device commands against any schedule of faults and any odd drive: no success over old data.

Only a drive that itself lies may get a DONE over old data; the engine's markers are for those.
``RASURA_FAULT_SCHEDULES`` says how many schedules.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from rasura_agent.drive.port import (
    Command,
    Completion,
    Disposition,
    ScsiCommand,
    SenseData,
)
from rasura_agent.drive.scsi.disposition import HostStatus, judge
from rasura_agent.drive.scsi.sense import parse_sense
from rasura_agent.drive.scsi.virtual import virtual_disk
from rasura_agent.erase.firmware.line import Line, TechniqueEnd
from rasura_agent.erase.firmware.scsi_blocks import use_all_blocks
from rasura_agent.erase.firmware.scsi_capabilities import SanitizeKind, ScsiCapabilities, read_capabilities
from rasura_agent.erase.firmware.scsi_format import adopt_format, reformat_to_512, run_format_unit
from rasura_agent.erase.firmware.scsi_identity import Identity, same_identity
from rasura_agent.erase.firmware.scsi_offers import offers
from rasura_agent.erase.firmware.scsi_sanitize import adopt_sanitize, leave_failure_mode, run_sanitize
from simulators.ports import Bay, scsi_bay
from simulators.ports_media import Lie
from simulators.ports_reply import Judge, judge_by_specification
from simulators.scsi import SimulatedScsiDrive
from simulators.scsi_options import SOLID_STATE, ScsiOptions
from simulators.scsi_sense import sense_data
from simulators.world import FaultKind, FaultSchedule, ManualClock, PowerCut
from unit.test_firmware_scsi_bench import judge_as_sg_io

SCHEDULES = int(os.environ.get("RASURA_FAULT_SCHEDULES", "400"))
BLOCKS = 16
OLD = b"OLD DATA"

many = settings(
    max_examples=SCHEDULES,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)

Run = Callable[[Line, ScsiCapabilities], TechniqueEnd]

ERASING: list[Run] = [
    lambda line, said: run_sanitize(line, SanitizeKind.CRYPTO, said),
    lambda line, said: run_sanitize(line, SanitizeKind.BLOCK, said),
    lambda line, said: run_sanitize(line, SanitizeKind.OVERWRITE, said),
    lambda line, said: run_sanitize(line, SanitizeKind.BLOCK, said, allow_unrestricted_exit=True),
    run_format_unit,
]
NEVER_DONE: list[Run] = [adopt_sanitize, adopt_format, lambda line, _: leave_failure_mode(line)]
OTHER: list[Run] = [reformat_to_512, lambda line, _: use_all_blocks(line).end]
EVERY = [*ERASING, *NEVER_DONE, *OTHER]

fractions = st.none() | st.sampled_from([0.0, 0.3, 0.9, 1.0])
drives = st.builds(
    ScsiOptions,
    crypto_s=st.sampled_from([0.0, 2.0, 30.0]),
    block_s=st.sampled_from([0.0, 20.0]),
    overwrite_s=st.just(30.0),
    format_s=st.sampled_from([0.0, 30.0]),
    rotation_rate=st.sampled_from([7200, SOLID_STATE]),
    visible_blocks=st.none() | st.integers(1, BLOCKS),
    sanitize_fails_at=fractions,
    format_fails_at=fractions,
    progress_stuck_at=st.sampled_from([None, None, None, 0.5]),
    reports_progress=st.sampled_from([True, True, True, False]),
    reports_opcodes=st.booleans(),
    descriptor_sense=st.booleans(),
    write_after_sanitize=st.booleans(),
    bad_sectors_fail_erase=st.booleans(),
    format_writes=st.just(True) | st.booleans(),
    lie=st.none() | st.builds(Lie, instantly=st.booleans(), leaves_hidden=st.booleans()),
)
schedules = st.dictionaries(st.integers(0, 30), st.sampled_from(FaultKind), max_size=3)


@dataclass
class World:
    """A drive with old data on it, and how it was found."""

    options: ScsiOptions
    judge: Judge
    block_bytes: int
    bad: frozenset[int]
    clock: ManualClock = field(default_factory=ManualClock)
    bay: Bay = field(init=False)
    drive: SimulatedScsiDrive = field(init=False)
    said: ScsiCapabilities = field(init=False)

    def __post_init__(self) -> None:
        self.bay, self.drive = scsi_bay(self.clock, BLOCKS, self.options, block_bytes=self.block_bytes)
        self.drive.medium.bad = set(self.bad)
        data = self.drive.medium.data
        data[:] = OLD * (len(data) // len(OLD))
        self.said = read_capabilities(self.line({}))

    def line(self, faults: dict[int, FaultKind]) -> Line:
        port = self.bay.open_port(FaultSchedule(dict(faults)), self.judge)
        return Line(port, self.clock, lambda _: None)

    def back_on(self) -> None:
        if not self.bay.powered:
            self.bay.power_cycle()
        elif not self.bay.connected:
            self.bay.replug()

    @property
    def is_at_work(self) -> bool:
        self.drive.settle()
        return self.drive.sanitize.operation is not None or self.drive._format is not None

    @property
    def old_data_left(self) -> bool:
        self.drive.settle()
        medium, size = self.drive.medium, self.drive.medium.sector_bytes
        return any(
            OLD in medium.data[sector * size : (sector + 1) * size]
            for sector in range(medium.sectors)
            if sector not in medium.bad
        )

    def lies(self, run: Run) -> bool:
        return self.options.lie is not None or (run is run_format_unit and not self.options.format_writes)

    def check(self, run: Run, faults: dict[int, FaultKind]) -> None:
        """One run, and what must be true of its end."""
        self.back_on()
        self.drive.settle()
        busy, before = self.is_at_work, bytes(self.drive.medium.data)
        try:
            line = self.line(faults)
            end = run(line, self.said)
        except PowerCut:
            return
        assert end.reason
        assert end.records == tuple(line.records)
        if end.disposition is Disposition.DONE:
            assert run not in NEVER_DONE
            if run in ERASING:
                assert not self.old_data_left or self.lies(run), end
            if run is reformat_to_512:
                assert self.drive.block_bytes == 512
        if end.disposition is Disposition.REFUSED and not busy:
            assert not self.is_at_work
            assert bytes(self.drive.medium.data) == before


worlds = st.builds(
    World,
    options=drives,
    judge=st.sampled_from([judge_as_sg_io, judge_by_specification]),
    block_bytes=st.sampled_from([512, 520]),
    bad=st.just(frozenset[int]()) | st.frozensets(st.integers(0, BLOCKS - 1), max_size=2),
)


@many
@given(world=worlds, runs=st.lists(st.tuples(st.sampled_from(EVERY), schedules), min_size=1, max_size=3))
def test_done_means_that_no_old_data_is_left(
    world: World, runs: list[tuple[Run, dict[int, FaultKind]]]
) -> None:
    for run, faults in runs:
        world.check(run, faults)


@settings(many, max_examples=SCHEDULES // 2)
@given(
    run=st.sampled_from(ERASING),
    faults=schedules,
    block_bytes=st.sampled_from([512, 520]),
    visible=st.none() | st.integers(1, BLOCKS),
)
def test_a_healthy_drive_is_erased_by_the_run_after_any_faults(
    run: Run, faults: dict[int, FaultKind], block_bytes: int, visible: int | None
) -> None:
    options = ScsiOptions(block_s=20.0, overwrite_s=30.0, format_s=30.0, visible_blocks=visible)
    world = World(options, judge_as_sg_io, block_bytes, frozenset())
    world.check(run, faults)
    world.back_on()
    for adopt in (adopt_sanitize, adopt_format):
        adopt(world.line({}), world.said)
    end = run(world.line({}), world.said)
    assert end.disposition is Disposition.DONE, end.reason
    assert not world.old_data_left


# A port that answers anything


SENSES = [
    b"",
    *(
        sense_data(key, code, descriptor=descriptor, progress=progress)
        for key, code, progress in (
            (0x0, (0x00, 0x00), None),
            (0x0, (0x04, 0x1B), 100),
            (0x2, (0x04, 0x1B), 30000),
            (0x2, (0x04, 0x1B), None),
            (0x2, (0x04, 0x04), 20000),
            (0x2, (0x04, 0x01), None),
            (0x2, (0x04, 0x02), None),
            (0x3, (0x31, 0x00), None),
            (0x3, (0x31, 0x01), None),
            (0x3, (0x31, 0x03), None),
            (0x5, (0x20, 0x00), None),
            (0x5, (0x24, 0x00), None),
            (0x6, (0x29, 0x00), None),
            (0x6, (0x2A, 0x09), None),
            (0x1, (0x5D, 0x00), None),
            (0x7, (0x27, 0x00), None),
            (0xB, (0x00, 0x00), None),
        )
        for descriptor in (False, True)
    ),
]


@dataclass
class Anything:
    """Answers every command with some status, sense data and data; what it was sent is kept."""

    random: Random
    sent: list[tuple[ScsiCommand, Completion]] = field(default_factory=list)

    def execute(self, command: Command) -> Completion:
        assert isinstance(command, ScsiCommand)
        choose = self.random
        host = HostStatus.DID_OK if choose.random() < 0.95 else HostStatus.DID_TIME_OUT
        status = choose.choices([0x00, 0x02, 0x08, 0x18, 0x28], [12, 6, 1, 1, 1])[0]
        raw = choose.choice(SENSES) if status == 0x02 else b""
        sense = parse_sense(raw)
        judgement = judge(status, sense, host_status=host)
        data = choose.choice(SENSES) if choose.random() < 0.7 else choose.randbytes(choose.randrange(64))
        done = judgement.disposition is Disposition.DONE
        completion = Completion(
            judgement.disposition,
            judgement.detail,
            data=data[: command.data_in_bytes] if done else b"",
            scsi_status=status,
            sense=sense,
        )
        self.sent.append((command, completion))
        return completion


@many
@given(seed=st.integers(0, 2**32), run=st.sampled_from(EVERY))
def test_any_answers_end_in_an_end(seed: int, run: Run) -> None:
    """Nothing is raised, and a DONE has its reasons in what was said."""
    port, clock = Anything(Random(seed)), ManualClock()
    said = read_capabilities(Line(port, clock, lambda _: None))
    port.sent.clear()
    end = run(Line(port, clock, lambda _: None), said)
    assert end.reason
    if run not in ERASING or end.disposition is not Disposition.DONE:
        return
    begun = [
        number
        for number, (command, _) in enumerate(port.sent)
        if command.name.startswith(("SANITIZE", "FORMAT"))
    ]
    assert begun
    after = port.sent[begun[-1] :]
    asked, answer = zip(*after, strict=True)
    accepted = answer[0].disposition is Disposition.DONE
    at_work = any(b"\x04\x1b" in c.data or b"\x04\x04" in c.data or _at_work(c.sense) for c in answer)
    assert accepted or at_work
    assert at_work or run is ERASING[0]
    ready = [c for command, c in after if command.name == "TEST UNIT READY"]
    assert ready[-1].disposition is Disposition.DONE
    assert asked[0].cdb[1] & 0x20 == 0 or run is not ERASING[1]


def _at_work(sense: SenseData | None) -> bool:
    return sense is not None and (sense.asc, sense.ascq) in {(0x04, 0x1B), (0x04, 0x04)}


# Pure functions take anything


DRIVE = scsi_bay(ManualClock())[0].identify()
SAID = read_capabilities(Line(scsi_bay(ManualClock())[0].open_port(), ManualClock(), lambda _: None))
texts = st.none() | st.text(max_size=24)


@given(vendor=texts, product=texts)
def test_any_names_are_judged(vendor: str | None, product: str | None) -> None:
    virtual_disk(vendor, product)


@given(serial=texts, wwn=texts, other=texts, name=texts)
def test_identity_is_symmetric_and_needs_agreement(
    serial: str | None, wwn: str | None, other: str | None, name: str | None
) -> None:
    there = same_identity(serial, wwn, replace(DRIVE, serial=other, wwn=name)).identity
    assert there is same_identity(other, name, replace(DRIVE, serial=serial, wwn=wwn)).identity
    if not (serial and other) and not (wwn and name):
        assert there is not Identity.SAME
    offered = offers(replace(SAID, serial=serial, wwn=wwn), replace(DRIVE, serial=other, wwn=name))
    assert all((offer.obstacle is None) is (there is Identity.SAME) for offer in offered)
