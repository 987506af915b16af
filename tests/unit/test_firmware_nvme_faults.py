"""All NVMe techniques: the good path, what forbids them, and every fault at every command."""

from __future__ import annotations

import pytest

from rasura.certificate import Technique
from rasura.errors import UsageError
from rasura_agent.erase.firmware.line import TechniqueEnd
from rasura_agent.erase.firmware.nvme_format import run_format
from rasura_agent.erase.firmware.nvme_offers import SANITIZE_ACTIONS
from rasura_agent.erase.firmware.nvme_sanitize import (
    adopt_sanitize,
    leave_failure_mode,
    run_sanitize,
)
from simulators.nvme_security import Tcg
from simulators.nvme_types import Remnant
from simulators.world import FaultKind, PowerCut
from unit.test_firmware_nvme_bench import BLOCK, DONE, REFUSED, TECHNIQUES, Bench


@pytest.mark.parametrize("technique", TECHNIQUES)
def test_a_healthy_drive_is_erased(technique: Technique) -> None:
    bench = Bench(namespaces=2, unallocated=4096 if technique in SANITIZE_ACTIONS else 0)
    end = bench.run(technique)
    assert end.disposition is DONE, end.reason
    assert not bench.holds_data
    assert end.records[-1].disposition is DONE
    assert end.duration_s >= 2


def test_other_techniques_are_not_ours() -> None:
    bench = Bench()
    with pytest.raises(UsageError):
        run_sanitize(bench.line(), bench.capabilities(), Technique.OVERWRITE)
    with pytest.raises(UsageError):
        run_format(bench.line(), bench.capabilities(), BLOCK)


@pytest.mark.parametrize("technique", TECHNIQUES)
def test_a_lying_drive_is_believed_here_and_caught_by_the_markers(technique: Technique) -> None:
    bench = Bench()
    bench.subsystem.faults.leaves = (Remnant(),)
    assert bench.run(technique).disposition is DONE
    assert bench.holds_data


@pytest.mark.parametrize("technique", TECHNIQUES)
def test_invalid_opcode_despite_the_capability(technique: Technique) -> None:
    bench = Bench()
    before = bench.image()
    end = bench.run(technique, {1: FaultKind.ABORT})
    assert end.disposition is REFUSED
    assert "suspend the machine to RAM" in end.reason
    assert bench.image() == before


@pytest.mark.parametrize("technique", TECHNIQUES)
def test_block_sid_and_write_protection(technique: Technique) -> None:
    bench = Bench(tcg=Tcg(bios_blocks_sid=True, sid_blocked=True))
    end = bench.run(technique)
    assert end.disposition is REFUSED
    assert "Block SID" in end.reason
    bench.subsystem.suspend_resume()
    bench.subsystem.media.namespaces[1].write_protected = True
    end = bench.run(technique)
    assert end.disposition is REFUSED
    assert "write protected" in end.reason
    assert bench.holds_data


def erased_afresh(bench: Bench, technique: Technique) -> TechniqueEnd:
    """What a later run does: follow what is under way, leave a failure, run."""
    if bench.subsystem.unplugged:
        bench.subsystem.replug()
    if technique in SANITIZE_ACTIONS:
        assert adopt_sanitize(bench.line(), bench.capabilities()).disposition is REFUSED
        leave_failure_mode(bench.line())
    return bench.run(technique)


@pytest.mark.parametrize("kind", FaultKind)
@pytest.mark.parametrize("technique", TECHNIQUES)
def test_every_fault_at_every_command(technique: Technique, kind: FaultKind) -> None:
    commands = len(Bench(namespaces=2).run(technique).records)
    assert commands > 3
    for index in range(commands):
        bench = Bench(namespaces=2)
        before = bench.image()
        try:
            end = bench.run(technique, {index: kind})
        except PowerCut:
            bench.subsystem.power_cycle()
        else:
            assert end.disposition is not DONE or not bench.holds_data, (index, end.reason)
            assert end.disposition is not REFUSED or bench.image() == before, (index, end.reason)
            assert end.reason
        afresh = erased_afresh(bench, technique)
        assert afresh.disposition is DONE, (index, afresh.reason)
        assert not bench.holds_data
