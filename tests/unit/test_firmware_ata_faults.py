"""Every fault at every command of every ATA technique: never DONE over old data, never stuck afterwards."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from rasura.certificate import Technique
from rasura_agent.drive.port import Disposition
from rasura_agent.erase.firmware.ata_locked import recover_locked
from rasura_agent.erase.firmware.ata_offers import SANITIZE_KINDS
from rasura_agent.erase.firmware.ata_sanitize import run_sanitize
from rasura_agent.erase.firmware.ata_sanitize_left import adopt_sanitize, leave_failure_mode
from rasura_agent.erase.firmware.ata_security import run_security_erase
from rasura_agent.erase.firmware.line import Line, TechniqueEnd
from simulators.ata_options import AtaOptions
from simulators.ata_security import SecurityState
from simulators.sat import BridgeOptions
from simulators.world import FaultKind, PowerCut
from unit.test_firmware_ata_bench import Bench

TECHNIQUES = (*SANITIZE_KINDS, Technique.ATA_SECURITY_ERASE_ENHANCED, Technique.ATA_SECURITY_ERASE)
CAPACITY = 10**11
OPTIONS = AtaOptions(overwrite_s=120.0, sanitize_completed_before=True)
"""Two minutes are plausible for the 100 GB that the techniques are told of."""
CUTS = (FaultKind.POWER_CUT_BEFORE, FaultKind.POWER_CUT_AFTER)


def attempt(bench: Bench, technique: Technique, line: Line) -> TechniqueEnd:
    if technique in SANITIZE_KINDS:
        return run_sanitize(line, SANITIZE_KINDS[technique], capacity_bytes=CAPACITY)
    enhanced = technique is Technique.ATA_SECURITY_ERASE_ENHANCED
    return run_security_erase(line, enhanced, bench.journal, "drive", CAPACITY)


def recover(bench: Bench) -> None:
    """What the next boot does first: each of these is harmless where there is nothing to do."""
    assert adopt_sanitize(bench.line(), capacity_bytes=CAPACITY).disposition is not Disposition.DONE
    assert leave_failure_mode(bench.line()).disposition is not Disposition.DONE
    assert recover_locked(bench.line(), bench.journal, "drive").free


def check(bench: Bench, end: TechniqueEnd, what: str) -> None:
    if end.disposition is Disposition.DONE:
        assert bench.old_sectors() == 0, what
    if end.disposition is Disposition.REFUSED:
        assert bench.untouched, what
        assert bench.drive.security.state in {SecurityState.SEC1, SecurityState.SEC2}, what
    if not bench.journal.intents:
        assert not bench.drive.security.enabled, f"{what}: a password that nobody wrote down"


@pytest.mark.parametrize("technique", TECHNIQUES)
@pytest.mark.parametrize("codecs", [True, False])
def test_every_fault_at_every_command(technique: Technique, codecs: bool) -> None:
    good = attempt(bench := Bench(OPTIONS, codecs=codecs), technique, bench.line())
    assert good.disposition is Disposition.DONE
    for kind in FaultKind:
        for index in range(len(good.records)):
            bench = Bench(OPTIONS, codecs=codecs)
            what = f"{kind.name} at {index} ({good.records[index].name})"
            try:
                end = attempt(bench, technique, bench.line({index: kind}))
                check(bench, end, what)
                assert kind not in CUTS, what
            except PowerCut:
                assert kind in CUTS, what
            # What any fault leaves behind, a fresh run in a machine switched off and on gets out of.
            bench.bay.power_cycle()
            recover(bench)
            assert attempt(bench, technique, bench.line()).disposition is Disposition.DONE, what
            assert bench.old_sectors() == 0, what


@pytest.mark.parametrize("technique", TECHNIQUES)
@pytest.mark.parametrize(
    "options",
    [
        replace(OPTIONS, sanitize_fails_at=0.7, erase_fails_at=0.7),
        replace(OPTIONS, progress_stuck_at=0.3, erase_keeps_password=True),
        replace(OPTIONS, hpa_sectors=30, dco_sectors=50, sanitize_fails_at=0.99, erase_fails_at=0.99),
    ],
)
def test_drives_that_fail_never_end_done_under_faults(technique: Technique, options: AtaOptions) -> None:
    for kind in FaultKind:
        for index in range(7):
            bench = Bench(options)
            try:
                end = attempt(bench, technique, bench.line({index: kind}))
            except PowerCut:
                continue
            assert end.disposition is not Disposition.DONE or bench.old_sectors() == 0
            assert end.disposition is not Disposition.DONE, f"{kind.name} at {index}"


@pytest.mark.parametrize("technique", TECHNIQUES)
@pytest.mark.parametrize(
    "bridge",
    [
        BridgeOptions(swallows_descriptor=True),
        BridgeOptions(swallows_descriptor=True, fixed_sense=True),
        BridgeOptions(fixed_sense=True),
        BridgeOptions(rejects_16=True),
        BridgeOptions(pretends=True),
    ],
)
def test_bridges(technique: Technique, bridge: BridgeOptions) -> None:
    bench = Bench(OPTIONS, bridge)
    end = attempt(bench, technique, bench.line())
    if end.disposition is Disposition.DONE:
        assert bench.old_sectors() == 0
    if end.disposition is Disposition.REFUSED:
        assert bench.untouched
        assert not bench.drive.security.enabled
