"""A SAS drive that the kernel met at work, or cut short at it: without capacity, and yet not broken."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from msgspec.structs import replace

from rasura.certificate import Outcome
from rasura_agent.erase.firmware.family import Family
from rasura_agent.erase.firmware.family_scsi import ScsiFamily
from rasura_agent.erase.firmware.line import Line
from rasura_agent.erase.firmware.scsi_state import ScsiState
from rasura_agent.erase.policy import load_policy
from simulators.bench import SECTORS, Bench, ScsiRig, old_sectors
from simulators.ports_media import Technique as Means
from simulators.scsi_options import ScsiOptions
from simulators.world import FaultSchedule

CONTENT = b"\xa5" * (SECTORS * 512)
BLOCK_ERASE = bytes((0x48, 0x82, 0, 0, 0, 0, 0, 0, 0, 0))
FORMAT_UNIT = bytes((0x04, 0x10, 0, 0, 0, 0))
IMMEDIATELY = bytes((0, 0x02, 0, 0))
POLICY = replace(load_policy("purge"), allow_weaker=True)


def sanitizing(rig: ScsiRig) -> None:
    rig.drive.execute(BLOCK_ERASE)
    rig.power_cycle()


def formatting(rig: ScsiRig) -> None:
    rig.drive.execute(FORMAT_UNIT, IMMEDIATELY)
    rig.rescan()


def format_cut_short(rig: ScsiRig) -> None:
    rig.drive.execute(FORMAT_UNIT, IMMEDIATELY)
    rig.power_cycle()


def sanitized_since_the_kernel_looked(rig: ScsiRig) -> None:
    sanitizing(rig)
    rig.clock.sleep(1000.0)


def rig_after(event: Callable[[ScsiRig], None], **options: object) -> ScsiRig:
    quick = ScsiOptions(format_s=20.0, sanitize=frozenset({Means.BLOCK}), **options)  # type: ignore[arg-type]
    rig = ScsiRig(quick, CONTENT)
    rig.drive.execute(bytes(6))  # takes the unit attention
    event(rig)
    return rig


def met(rig: ScsiRig) -> Family:
    block, device = rig.connect(FaultSchedule(), FaultSchedule())
    drive = block.identify()
    assert drive.capacity_bytes == 0, "the kernel knows more than it can"
    family = rig.meet(Line(device, rig.clock, lambda _running: None), drive, POLICY)
    assert not isinstance(family, str)
    return family


@pytest.mark.parametrize(
    "event", [sanitizing, formatting, format_cut_short, sanitized_since_the_kernel_looked]
)
def test_it_is_known_why_there_is_no_capacity_and_that_preparing_mends_it(
    event: Callable[[ScsiRig], None],
) -> None:
    assert met(rig_after(event)).odd_sectors == ""


@pytest.mark.parametrize(
    "event", [sanitizing, formatting, format_cut_short, sanitized_since_the_kernel_looked]
)
def test_it_is_erased_all_the_same(event: Callable[[ScsiRig], None]) -> None:
    rig = rig_after(event, rotation_rate=1)
    ran = Bench(rig).run(POLICY)
    assert ran is not None
    assert ran[1].outcome is Outcome.ERASED, ran[1].reason
    assert ran[1].capacity_bytes == len(CONTENT)
    assert not old_sectors(CONTENT, rig.sectors())


def test_a_failed_sanitize_is_left_first() -> None:
    rig = ScsiRig(ScsiOptions(sanitize_fails_at=0.5, rotation_rate=1), CONTENT)
    rig.drive.execute(bytes(6))
    rig.drive.execute(bytes((0x48, 0xA2, 0, 0, 0, 0, 0, 0, 0, 0)))
    rig.clock.sleep(1000.0)
    rig.rescan()
    assert met(rig).odd_sectors == ""


def test_a_drive_that_tells_nothing_stays_without_capacity() -> None:
    """It may be broken: what it has none of cannot be mended by preparing it."""
    family = met(rig_after(sanitizing))
    assert isinstance(family, ScsiFamily)
    family.capabilities = replace(family.capabilities, state=ScsiState.UNKNOWN)
    assert family.capabilities.total_bytes is None
    assert family.odd_sectors is None
