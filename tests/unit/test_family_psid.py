"""A drive behind a forgotten lock: reverted by its PSID, then erased and proven like any other."""

from __future__ import annotations

from random import Random

from msgspec.structs import replace

from rasura.certificate import Method, Outcome
from rasura_agent.drive.nvme import status as nvme_status
from rasura_agent.drive.tcg.psid import Psid
from rasura_agent.erase.engine import execute
from rasura_agent.erase.firmware.family_nvme import NvmeFamily
from rasura_agent.erase.firmware.family_psid import PsidFirst, discovery_command
from rasura_agent.erase.firmware.line import Line
from rasura_agent.erase.plan import plan_drive
from rasura_agent.erase.result import EraseResult
from rasura_agent.erase.run import Ports
from simulators.bench import StableNamespace
from simulators.nvme_ports import SimulatedNvmePort
from simulators.nvme_security import Tcg
from simulators.signing import overwrite_policy
from simulators.world import FaultSchedule
from unit.test_firmware_tcg import PSID, WRONG, Bench, SimulatedReverter

PURGE = replace(overwrite_policy(), method=Method.PURGE)


def erase(bench: Bench, psid: Psid | None) -> EraseResult:
    block = StableNamespace(bench.subsystem)
    port = SimulatedNvmePort(
        bench.subsystem, disposition=lambda _command, status: nvme_status.disposition(status)
    )
    drive = block.identify()
    family = NvmeFamily.meet(Line(port, bench.clock, lambda _running: None), drive, 1, accept_r1_basis=False)
    assert isinstance(family, NvmeFamily)
    plan = plan_drive(drive, PURGE, (), family.offers())
    first = (
        family
        if psid is None
        else PsidFirst(family, discovery_command(drive), SimulatedReverter(bench, FaultSchedule()), psid)
    )
    return execute(
        plan, Ports(block, port, first), bench.clock, Random(1).randbytes, lambda _event: None, 4096
    )


def test_with_its_psid_a_locked_drive_is_opened_and_erased() -> None:
    bench = Bench()
    result = erase(bench, PSID)
    assert (result.outcome, result.method) == (Outcome.ERASED, Method.PURGE), result.reason
    assert not bench.holds_data
    assert result.commands[1].name == "PSID REVERT"
    assert PSID.value not in str(result.commands)


def test_a_wrong_psid_changes_nothing() -> None:
    bench = Bench()
    result = erase(bench, WRONG)
    assert result.outcome is Outcome.FAILED
    assert "did not accept the PSID" in (result.reason or "")
    assert bench.holds_data


def test_without_a_psid_a_locked_drive_is_not_called_erased() -> None:
    bench = Bench()
    assert erase(bench, None).outcome is not Outcome.ERASED


def test_a_drive_that_is_not_locked_needs_no_psid() -> None:
    bench = Bench(Tcg())
    result = erase(bench, PSID)
    assert result.outcome is Outcome.FAILED
    assert "the revert by PSID" in (result.reason or "")
