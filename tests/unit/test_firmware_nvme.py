"""NVMe Sanitize and Format NVM as techniques, against a simulated subsystem."""

from __future__ import annotations

import struct
from dataclasses import replace

import pytest

from rasura.certificate import Method, Technique
from rasura.errors import UsageError
from rasura_agent.drive.nvme import status as nvme_status
from rasura_agent.drive.nvme.errors import NvmeDecodeError
from rasura_agent.drive.port import Command, Completion, Disposition, DrivePort, NvmeCommand
from rasura_agent.erase.firmware.line import Line, Running, TechniqueEnd
from rasura_agent.erase.firmware.nvme_capabilities import (
    NvmeCapabilities,
    NvmeUnreadableError,
    read_capabilities,
    read_sanitize_log,
)
from rasura_agent.erase.firmware.nvme_format import run_format
from rasura_agent.erase.firmware.nvme_offers import FORMAT_SETTINGS, SANITIZE_ACTIONS, offers, risks
from rasura_agent.erase.firmware.nvme_sanitize import adopt_sanitize, leave_failure_mode, run_sanitize
from rasura_agent.erase.firmware.nvme_words import refusal
from rasura_agent.erase.firmware.offer import Offer
from rasura_agent.inventory.model import Drive, Transport
from simulators.nvme import SimulatedNvmeSubsystem
from simulators.nvme_ports import SimulatedNamespace, SimulatedNvmePort
from simulators.nvme_security import Tcg
from simulators.nvme_types import NvmeOptions, Remnant
from simulators.world import FaultKind, FaultSchedule, ManualClock, Medium, PowerCut

DONE, REFUSED, UNKNOWN = Disposition.DONE, Disposition.REFUSED, Disposition.UNKNOWN
SECRET = b"somebody's data, to be gone"
BLOCK, CRYPTO, OVERWRITE = SANITIZE_ACTIONS
FORMAT_USER, FORMAT_CRYPTO = FORMAT_SETTINGS
TECHNIQUES = (*SANITIZE_ACTIONS, *FORMAT_SETTINGS)
TIMED = (BLOCK, OVERWRITE)
"""Those that cannot be instant."""
VERS = 1 << 3
AUSE = 1 << 3


def no_watch(_running: Running) -> None:
    return None


class Bench:
    """A subsystem with somebody's data in every namespace, and in capacity that no namespace has."""

    def __init__(
        self,
        options: NvmeOptions | None = None,
        *,
        namespaces: int = 1,
        unallocated: int = 0,
        tcg: Tcg | None = None,
    ) -> None:
        media = [Medium(512, 64) for _ in range(namespaces)]
        for medium in media:
            medium.write(5, SECRET.ljust(512, b"\0"))
        spare = (SECRET * unallocated)[:unallocated]
        self.subsystem = SimulatedNvmeSubsystem(ManualClock(), media, options, unallocated=spare, tcg=tcg)
        self.whole = namespaces > 1

    def line(self, faults: dict[int, FaultKind] | None = None) -> Line:
        port = SimulatedNvmePort(
            self.subsystem,
            schedule=FaultSchedule(dict(faults or {})),
            disposition=lambda _command, status: nvme_status.disposition(status),
        )
        return Line(port, self.subsystem.clock, no_watch)

    def drive(self) -> Drive:
        return SimulatedNamespace(self.subsystem).identify()

    def capabilities(self) -> NvmeCapabilities:
        return read_capabilities(self.line(), 1)

    def run(self, technique: Technique, faults: dict[int, FaultKind] | None = None) -> TechniqueEnd:
        return self.run_on(self.line(faults), technique)

    def run_on(self, line: Line, technique: Technique) -> TechniqueEnd:
        run = run_sanitize if technique in SANITIZE_ACTIONS else run_format
        return run(line, self.capabilities(), technique, erase_whole_subsystem=self.whole)

    def offer(self, technique: Technique, **settings: bool) -> Offer:
        found = {one.technique: one for one in offers(self.capabilities(), self.drive(), **settings)}
        return found[technique]

    def begin_elsewhere(self, cdw10: int) -> None:
        """Another host starts a sanitize."""
        status, _, _ = self.subsystem.admin(0, 0x84, cdw10=cdw10)
        assert status == 0

    def image(self) -> bytes:
        media = self.subsystem.media
        return b"".join(bytes(one.medium.data) for one in media.namespaces.values()) + bytes(
            media.unallocated
        )

    @property
    def holds_data(self) -> bool:
        return self.subsystem.holds(SECRET)


# Capabilities


def test_capabilities_tell_what_shares_the_subsystem() -> None:
    bench = Bench(namespaces=3, unallocated=4096)
    bench.subsystem.media.namespaces[3].attached.clear()
    found = bench.capabilities()
    assert (found.nsid, found.active, found.allocated) == (1, (1, 2), (1, 2, 3))
    assert (found.others, found.unattached) == ((2, 3), (3,))
    assert found.subsystem_bytes == 3 * 64 * 512 + 4096
    assert found.namespace_bytes == 64 * 512
    assert found.sanitize_log is not None


def test_capabilities_without_namespace_management_or_sanitize() -> None:
    found = Bench(NvmeOptions(oacs=0, sanicap=0)).capabilities()
    assert (found.allocated, found.sanitize_log, found.others) == (None, None, ())


def test_a_namespace_that_is_not_there() -> None:
    with pytest.raises(NvmeUnreadableError, match="namespace 2 is not attached"):
        read_capabilities(Bench().line(), 2)


@pytest.mark.parametrize("index", [0, 1, 2, 4])
def test_a_question_without_an_answer(index: int) -> None:
    with pytest.raises(NvmeUnreadableError, match="was not answered"):
        read_capabilities(Bench().line({index: FaultKind.SWALLOW_STATUS}), 1)


def test_a_log_without_an_answer_is_none() -> None:
    assert read_capabilities(Bench().line({3: FaultKind.HANG}), 1).sanitize_log is None


class Repeating:
    """A drive that always returns the same full namespace list."""

    def __init__(self, port: DrivePort) -> None:
        self._port = port

    def execute(self, command: Command) -> Completion:
        completion = self._port.execute(command)
        if command.name == "IDENTIFY ACTIVE NAMESPACE LIST":
            return replace(completion, data=struct.pack("<1024I", *range(1, 1025)))
        return completion


def test_an_endless_namespace_list_is_garbage() -> None:
    line = Bench().line()
    with pytest.raises(NvmeDecodeError, match="begins with 1"):
        read_capabilities(Line(Repeating(line.port), line.clock, no_watch), 1)


# Offers


def test_offers_of_a_capable_drive() -> None:
    bench = Bench()
    found = offers(bench.capabilities(), bench.drive())
    assert [one.technique for one in found] == list(TECHNIQUES)
    assert not any(one.obstacle for one in found)
    assert [one.estimate_s for one in found] == [40, 2, 100, None, None]
    purge, clear = found[:3], found[3:]
    assert {(one.method, one.basis) for one in purge} == {
        (Method.PURGE, "IEEE 2883 / NIST SP 800-88r2 Purge")
    }
    assert {(one.method, one.basis) for one in clear} == {(Method.CLEAR, "NIST SP 800-88r2 Clear")}


def test_format_is_a_purge_on_the_basis_of_revision_1_only() -> None:
    offer = Bench().offer(FORMAT_USER, accept_r1_basis=True)
    assert (offer.method, offer.basis) == (Method.PURGE, "NIST SP 800-88r1 A-8")


@pytest.mark.parametrize(
    ("options", "technique", "obstacle"),
    [
        (NvmeOptions(sanicap=0), BLOCK, "no Sanitize command"),
        (NvmeOptions(sanicap=1), BLOCK, "does not have this kind"),
        (NvmeOptions(sanicap=2), CRYPTO, "does not have this kind"),
        (NvmeOptions(sanicap=3), OVERWRITE, "does not have this kind"),
        (NvmeOptions(oacs=0), FORMAT_USER, "no Format NVM command"),
        (NvmeOptions(fna=0), FORMAT_CRYPTO, "no cryptographic erase"),
    ],
)
def test_what_a_drive_does_not_have(options: NvmeOptions, technique: Technique, obstacle: str) -> None:
    bench = Bench(options)
    assert obstacle in str(bench.offer(technique).obstacle)
    before = bench.image()
    end = bench.run(technique)
    assert end.disposition is REFUSED
    assert obstacle in end.reason
    assert not end.records
    assert bench.image() == before


def test_a_sanitize_hits_all_namespaces() -> None:
    bench = Bench(namespaces=3)
    assert "namespaces 2, 3 too" in str(bench.offer(CRYPTO).obstacle)
    assert bench.offer(CRYPTO, erase_whole_subsystem=True).obstacle is None
    end = run_sanitize(bench.line(), bench.capabilities(), CRYPTO)
    assert (end.disposition, end.records) == (REFUSED, ())


def test_a_format_may_hit_all_namespaces() -> None:
    bench = Bench(NvmeOptions(fna=0b110), namespaces=2)
    assert "namespace 2 too" in str(bench.offer(FORMAT_USER).obstacle)
    assert bench.offer(FORMAT_USER, erase_whole_subsystem=True).obstacle is None
    assert Bench(namespaces=2).offer(FORMAT_USER).obstacle is None


def test_a_format_leaves_capacity_without_a_namespace() -> None:
    bench = Bench(unallocated=4096)
    assert "4096 bytes belong to no namespace" in str(bench.offer(FORMAT_CRYPTO).obstacle)
    assert bench.offer(CRYPTO).obstacle is None
    assert bench.run(FORMAT_CRYPTO).disposition is REFUSED
    assert bench.run(CRYPTO).disposition is DONE
    assert not bench.holds_data


def test_a_format_leaves_namespaces_that_are_not_attached() -> None:
    bench = Bench(namespaces=2)
    bench.subsystem.media.namespaces[2].attached.clear()
    assert bench.offer(FORMAT_USER).obstacle is None
    obstacle = bench.offer(FORMAT_USER, erase_whole_subsystem=True).obstacle
    assert "namespace 2, which this controller does not see" in str(obstacle)


def test_offers_are_of_the_drive_that_was_planned() -> None:
    bench = Bench()
    other = replace(bench.drive(), capacity_bytes=1 << 30)
    assert all("the block device 1073741824" in str(o.obstacle) for o in offers(bench.capabilities(), other))
    behind = replace(bench.drive(), transport=Transport.USB)
    assert all("not attached as an NVMe" in str(o.obstacle) for o in offers(bench.capabilities(), behind))


def test_offers_by_the_state_of_the_drive() -> None:
    bench = Bench(NvmeOptions(sanicap=0xF))
    bench.subsystem.media.namespaces[1].write_protected = True
    assert "write protected" in str(bench.offer(BLOCK).obstacle)
    bench.subsystem.media.namespaces[1].write_protected = False
    bench.subsystem.faults.sanitize_fails_at = 0.5
    bench.begin_elsewhere(0b0010)
    assert "under way" in str(bench.offer(BLOCK).obstacle)
    assert "under way" in str(bench.offer(FORMAT_USER).obstacle)
    bench.subsystem.wait_until(100.0)
    assert bench.offer(BLOCK).obstacle is None
    assert "only a sanitize that succeeds" in str(bench.offer(FORMAT_USER).obstacle)
    hidden = replace(bench.capabilities(), sanitize_log=None)
    assert "does not show its sanitize log" in str(offers(hidden, bench.drive())[0].obstacle)


def test_risks_name_the_rpmb() -> None:
    bench = Bench()
    assert risks(bench.capabilities()) == ()
    page = bytearray(bench.subsystem.identify.controller_page(0))
    page[312:316] = (2 | 3 << 16).to_bytes(4, "little")
    found = bench.capabilities()
    from rasura_agent.drive.nvme.identify import decode_identify_controller

    with_rpmb = replace(found, controller=decode_identify_controller(bytes(page)))
    assert risks(with_rpmb) == ("rpmb: 1024 KiB of replay-protected memory are reached by no erase command",)


# The good path


@pytest.mark.parametrize("technique", TECHNIQUES)
def test_a_healthy_drive_is_erased(technique: Technique) -> None:
    bench = Bench(namespaces=2, unallocated=4096 if technique in SANITIZE_ACTIONS else 0)
    end = bench.run(technique)
    assert end.disposition is DONE, end.reason
    assert not bench.holds_data
    assert end.records[-1].disposition is DONE
    assert end.duration_s >= 2


@pytest.mark.parametrize("technique", SANITIZE_ACTIONS)
@pytest.mark.parametrize("vers", [0, VERS])
def test_a_sanitize_ends_in_idle(technique: Technique, vers: int) -> None:
    bench = Bench(NvmeOptions(sanicap=7 | vers))
    assert (bench.run(technique).state, bench.run(technique).state) == ("Idle", "Idle")


def test_a_format_of_one_namespace_leaves_the_others() -> None:
    bench = Bench(namespaces=2)
    bench.whole = False
    assert bench.run(FORMAT_USER).disposition is DONE
    assert SECRET not in bench.subsystem.media.namespaces[1].medium.data
    assert SECRET in bench.subsystem.media.namespaces[2].medium.data


def test_a_format_that_reaches_all_is_sent_once() -> None:
    bench = Bench(NvmeOptions(fna=0b110), namespaces=3)
    end = bench.run(FORMAT_USER)
    assert end.disposition is DONE
    assert sum(one.name.startswith("FORMAT") for one in end.records) == 1
    assert not bench.holds_data


def test_a_format_keeps_the_block_size() -> None:
    bench = Bench()
    bench.subsystem.media.namespaces[1].lbaf = 1
    bench.subsystem.media.namespaces[1].medium.sector_bytes = 4096
    bench.subsystem.media.namespaces[1].medium.sectors = 8
    assert bench.run(FORMAT_USER).disposition is DONE
    assert bench.subsystem.media.namespaces[1].lbaf == 1


def test_progress_is_told_and_a_stop_is_no_success() -> None:
    bench = Bench()
    heard: list[Running] = []

    def watch(running: Running) -> str | None:
        heard.append(running)
        return "the operator gave up" if running.elapsed_s > 10 else None

    line = Line(bench.line().port, bench.subsystem.clock, watch)
    end = bench.run_on(line, BLOCK)
    assert end.disposition is UNKNOWN
    assert "the operator gave up" in end.reason
    assert end.state == "Unrestricted Processing"
    assert heard[0].estimate_s == 40
    fractions = [one.fraction for one in heard if one.fraction is not None]
    assert fractions == sorted(fractions)
    assert 0.2 < fractions[-1] < 1


def test_other_techniques_are_not_ours() -> None:
    bench = Bench()
    with pytest.raises(UsageError):
        run_sanitize(bench.line(), bench.capabilities(), Technique.OVERWRITE)
    with pytest.raises(UsageError):
        run_format(bench.line(), bench.capabilities(), BLOCK)


# Stale, lying, failing, stuck


@pytest.mark.parametrize("cdw10", [0b0010, 0b1010])
def test_a_success_of_the_past_is_not_taken_for_this_one(cdw10: int) -> None:
    bench = Bench()
    bench.subsystem.sanitize.pretend_earlier_success(cdw10)
    bench.subsystem.faults.sanitize_ignored = True
    end = bench.run(BLOCK)
    assert end.disposition is UNKNOWN
    assert "its log tells of another" in end.reason
    assert bench.holds_data


def test_two_runs_in_a_row_are_told_apart() -> None:
    bench = Bench(NvmeOptions(crypto_erase_seconds=0))
    words = []
    for _ in range(3):
        assert bench.run(CRYPTO).disposition is DONE
        log = read_sanitize_log(bench.line())
        assert not isinstance(log, str)
        words.append(log.scdw10)
    assert words == [0b1100, 0b0100, 0b1100]


def test_an_instant_cryptographic_erase_is_believed() -> None:
    bench = Bench(NvmeOptions(crypto_erase_seconds=0, estimates=(1600, 40, 3600, 0, 0, 0)))
    assert bench.run(CRYPTO).disposition is DONE
    assert not bench.holds_data


@pytest.mark.parametrize("technique", TIMED)
def test_an_instant_success_is_not_believed_where_the_drive_estimates_more(technique: Technique) -> None:
    bench = Bench(
        NvmeOptions(
            block_erase_seconds=0, overwrite_pass_seconds=0, estimates=(16 * 200, 200, 2, *[0xFFFFFFFF] * 3)
        )
    )
    end = bench.run(technique)
    assert end.disposition is UNKNOWN
    assert "estimates 200 s" in end.reason


@pytest.mark.parametrize("technique", TIMED)
def test_an_instant_success_is_not_believed_by_capacity(technique: Technique) -> None:
    bench = Bench(NvmeOptions(block_erase_seconds=0, overwrite_pass_seconds=0))
    found = bench.capabilities()
    real = replace(found, controller=replace(found.controller, tnvmcap=2 * 10**12))
    end = run_sanitize(bench.line(), real, technique)
    assert end.disposition is UNKNOWN
    assert "which no medium can do" in end.reason


def test_an_instant_format_is_believed_of_a_drive_that_encrypts() -> None:
    for fna, wanted in ((0b100, DONE), (0, UNKNOWN)):
        bench = Bench(NvmeOptions(fna=fna, format_seconds=0))
        bench.subsystem.clock.sleep(1)
        found = bench.capabilities()
        real = replace(found, namespace=replace(found.namespace, nvmcap=2 * 10**12))
        assert real.namespace_bytes == 2 * 10**12
        assert run_format(bench.line(), real, FORMAT_USER).disposition is wanted


@pytest.mark.parametrize("technique", TECHNIQUES)
def test_a_lying_drive_is_believed_here_and_caught_by_the_markers(technique: Technique) -> None:
    bench = Bench()
    bench.subsystem.faults.leaves = (Remnant(),)
    assert bench.run(technique).disposition is DONE
    assert bench.holds_data


@pytest.mark.parametrize("vers", [0, VERS])
@pytest.mark.parametrize("technique", SANITIZE_ACTIONS)
def test_a_sanitize_that_fails_midway(technique: Technique, vers: int) -> None:
    bench = Bench(NvmeOptions(sanicap=7 | vers))
    bench.subsystem.faults.sanitize_fails_at = 0.05
    end = bench.run(technique)
    assert (end.disposition, end.state) == (UNKNOWN, "Unrestricted Failure")
    assert "failed" in end.reason
    assert bench.run(FORMAT_USER).disposition is UNKNOWN
    left = leave_failure_mode(bench.line())
    assert (left.disposition, left.state) == (REFUSED, "Idle")
    assert "not erased" in left.reason
    bench.subsystem.faults.sanitize_fails_at = None
    assert bench.run(FORMAT_USER).disposition is DONE
    assert bench.run(technique).disposition is DONE


@pytest.mark.parametrize("vers", [0, VERS])
def test_a_restricted_failure_is_left_by_a_sanitize_only(vers: int) -> None:
    bench = Bench(NvmeOptions(sanicap=7 | vers))
    bench.subsystem.faults.sanitize_fails_at = 0.05
    bench.begin_elsewhere(0b0010)
    bench.subsystem.wait_until(100.0)
    bench.subsystem.faults.sanitize_fails_at = None
    left = leave_failure_mode(bench.line())
    assert (left.disposition, left.state) == (REFUSED, "Restricted Failure")
    assert bench.holds_data
    end = bench.run(BLOCK)
    assert end.disposition is DONE
    assert not bench.holds_data


def test_leaving_a_failure_mode_that_is_none() -> None:
    bench = Bench()
    assert "no sanitize has failed" in leave_failure_mode(bench.line()).reason
    assert leave_failure_mode(bench.line({0: FaultKind.HANG})).disposition is UNKNOWN


@pytest.mark.parametrize("kind", [FaultKind.HANG, FaultKind.ABORT, FaultKind.SWALLOW_STATUS])
def test_leaving_a_failure_mode_without_an_answer(kind: FaultKind) -> None:
    bench = Bench()
    bench.subsystem.faults.sanitize_fails_at = 0.05
    bench.run(BLOCK)
    assert leave_failure_mode(bench.line({1: kind})).disposition is UNKNOWN


def test_a_sanitize_that_is_stuck() -> None:
    bench = Bench()
    bench.subsystem.faults.sanitize_sticks_at = 0.3
    end = bench.run(BLOCK)
    assert end.disposition is UNKNOWN
    assert "has not advanced" in end.reason
    assert bench.subsystem.clock.monotonic() < 2 * 3600


def test_a_drive_that_forgets() -> None:
    bench = Bench()
    bench.subsystem.faults.forgets_status_on_reset = True
    end = bench.run(BLOCK, {3: FaultKind.BUS_RESET})
    assert end.disposition is UNKNOWN
    assert bench.holds_data


# A sanitize of somebody else


@pytest.mark.parametrize("cdw10", [0b0010, 0b1100, 0b0011 | 2 << 4, 0b1010 | 1 << 9, 0b0010 | 1 << 10])
def test_a_running_sanitize_is_adopted_and_is_no_success(cdw10: int) -> None:
    bench = Bench(NvmeOptions(sanicap=0x8000_000F))
    bench.begin_elsewhere(cdw10)
    assert bench.run(BLOCK).disposition is UNKNOWN
    end = adopt_sanitize(bench.line(), bench.capabilities())
    assert (end.disposition, end.state) == (REFUSED, "Idle")
    assert "did not begin has succeeded" in end.reason
    assert bench.run(BLOCK).disposition is DONE


def test_a_running_sanitize_that_fails_is_adopted() -> None:
    bench = Bench()
    bench.subsystem.faults.sanitize_fails_at = 0.5
    bench.begin_elsewhere(0b1010)
    end = adopt_sanitize(bench.line(), bench.capabilities())
    assert (end.disposition, end.state) == (REFUSED, "Unrestricted Failure")


def test_media_verification_is_left() -> None:
    bench = Bench(NvmeOptions(sanicap=0xF))
    bench.begin_elsewhere(0b1010 | 1 << 10)
    bench.subsystem.wait_until(100.0)
    assert bench.run(BLOCK).state == "Media Verification"
    assert "under way" in str(bench.offer(BLOCK).obstacle)
    end = adopt_sanitize(bench.line(), bench.capabilities())
    assert (end.disposition, end.state) == (REFUSED, "Idle")


def test_nothing_to_adopt() -> None:
    bench = Bench()
    end = adopt_sanitize(bench.line(), bench.capabilities())
    assert (end.disposition, end.reason) == (REFUSED, "no sanitize is under way")
    end = adopt_sanitize(bench.line({0: FaultKind.HANG}), bench.capabilities())
    assert end.disposition is UNKNOWN


def test_an_adopted_sanitize_that_is_stuck() -> None:
    bench = Bench()
    bench.subsystem.faults.sanitize_sticks_at = 0.3
    bench.begin_elsewhere(0b1010)
    end = adopt_sanitize(bench.line(), bench.capabilities())
    assert end.disposition is UNKNOWN


# What the drive forbids


def test_format_that_ends_in_invalid_opcode_suggests_to_suspend() -> None:
    bench = Bench()
    bench.subsystem.faults.format_invalid_opcode_until_resume = True
    end = bench.run(FORMAT_USER)
    assert end.disposition is REFUSED
    assert "suspend the machine to RAM, wake it and try again" in end.reason
    bench.subsystem.suspend_resume()
    assert bench.run(FORMAT_USER).disposition is DONE


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


def test_one_of_many_namespaces_refuses_a_format() -> None:
    bench = Bench(namespaces=3)
    bench.subsystem.media.namespaces[2].write_protected = True
    end = bench.run(FORMAT_USER)
    assert end.disposition is UNKNOWN
    assert end.reason.startswith("namespace 2: ")


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (0x001, "Invalid Command Opcode: the drive lists this command"),
        (0x4015, "Operation Denied: a TCG lock"),
        (0x4020, "Namespace is Write Protected: a namespace"),
        (0x4023, "Lockdown: the command is locked down"),
        (0x110, "NVM Subsystem Reset: new firmware waits for a reset"),
        (0x123, "Persistent Memory Region is Enabled: its"),
        (0x006, "SANITIZE ended in Internal Error"),
        (0x1C0, "SANITIZE ended in status code type 1h"),
    ],
)
def test_sentences(status: int, words: str) -> None:
    completion = Completion(REFUSED, "raw", nvme_status=status)
    assert words in refusal(NvmeCommand("SANITIZE", 0x84), completion)


def test_a_sentence_without_a_status() -> None:
    assert refusal(NvmeCommand("X", 1), Completion(UNKNOWN, "gone")) == "X was not carried out: gone"


# Every fault at every command


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


@pytest.mark.parametrize("kind", [FaultKind.HANG, FaultKind.SWALLOW_STATUS, FaultKind.BUS_RESET])
def test_a_lost_status_of_sanitize_is_settled_by_the_log(kind: FaultKind) -> None:
    bench = Bench()
    end = bench.run(BLOCK, {1: kind})
    assert end.disposition is DONE
    assert not bench.holds_data


@pytest.mark.parametrize("kind", [FaultKind.HANG, FaultKind.SWALLOW_STATUS, FaultKind.BUS_RESET])
def test_a_lost_status_of_format_is_settled_by_nothing(kind: FaultKind) -> None:
    end = Bench().run(FORMAT_USER, {1: kind})
    assert end.disposition is UNKNOWN
    assert "may be erased afresh" in end.reason


def test_a_format_under_way_is_not_ours() -> None:
    bench = Bench(NvmeOptions(format_seconds=10**6))
    found = bench.capabilities()
    end = run_format(bench.line(), found, FORMAT_CRYPTO)
    assert end.disposition is UNKNOWN
    again = run_format(bench.line(), found, FORMAT_CRYPTO)
    assert again.disposition is UNKNOWN
    assert "a format that this run did not begin" in again.reason


@pytest.mark.parametrize("at", [0.0, 0.4, 0.99])
def test_power_that_goes_during_a_format(at: float) -> None:
    bench = Bench()
    bench.subsystem.faults.power_cut_at = at
    with pytest.raises(PowerCut):
        bench.run(FORMAT_USER)
    bench.subsystem.power_cycle()
    assert bench.run(FORMAT_USER).disposition is DONE
    assert not bench.holds_data
