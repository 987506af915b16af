"""A simulated NVM subsystem: what its controllers answer, byte for byte, and what becomes of the data.

It is shaped by the NVM Express Base Specification 2.0: it reads raw command dwords, refuses what the
specification refuses, and keeps the state that the specification keeps over resets and power cycles.
Sanitize runs in the background of the simulated clock; Format NVM completes when it is over.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from simulators.nvme_format import FormatMachine
from simulators.nvme_identify import Identify
from simulators.nvme_logs import LID_ERROR, LID_SANITIZE, LID_SMART, Health, LogPages
from simulators.nvme_management import NamespaceManagement
from simulators.nvme_sanitize import SanitizeMachine, Sans
from simulators.nvme_security import Security, Tcg
from simulators.nvme_types import (
    AdminCommand,
    CommandAbortError,
    DriveGoneError,
    Media,
    Namespace,
    NvmeFaults,
    NvmeOptions,
    Op,
    Reply,
    Status,
    status_field,
)
from simulators.world import ManualClock, Medium, MediumError, PowerCut

# Base 2.1 figure 142 with the log pages that its Get Log Page row names and that exist here.
_ALLOWED_LOGS_WHILE_SANITIZING = frozenset({LID_ERROR, LID_SMART, LID_SANITIZE})
_ALLOWED_WHILE_FORMATTING = frozenset({Op.IDENTIFY, Op.GET_LOG_PAGE})


@dataclass(slots=True)
class Submission:
    """How an admin command ends and when: ``status`` is the 15-bit field without the phase tag."""

    status: int
    result: int
    data: bytes
    ready_at: float


class SimulatedNvmeSubsystem:
    """One NVM subsystem with one or more controllers; every namespace starts attached to all of them."""

    def __init__(
        self,
        clock: ManualClock,
        namespaces: Sequence[Medium],
        options: NvmeOptions | None = None,
        *,
        tcg: Tcg | None = None,
        unallocated: bytes = b"",
    ) -> None:
        self.clock = clock
        self.options = options or NvmeOptions()
        self.faults = NvmeFaults()
        self.health = Health()
        self.tcg = tcg
        self.unplugged = False
        self._unplugged_at = 0.0
        self.media = Media(self.options, unallocated=bytearray(unallocated))
        for nsid, medium in enumerate(namespaces, 1):
            self.media.namespaces[nsid] = Namespace(
                nsid,
                medium,
                self._lbaf_of(medium),
                set(range(self.options.controllers)),
                nguid=b"\x5e" + bytes(11) + nsid.to_bytes(4, "big"),
                eui64=b"\x5e" + bytes(3) + nsid.to_bytes(4, "big"),
            )
        self.sanitize = SanitizeMachine(self.media, self.faults)
        self.format = FormatMachine(self.media, self.faults)
        self.identify = Identify(self.media, self.format)
        logs = LogPages(self.options, self.health, self.sanitize)
        security = Security(self.options, tcg)
        management = NamespaceManagement(self.media, self.faults)
        self._handlers: dict[int, Callable[[AdminCommand, float], Reply]] = {
            Op.IDENTIFY: self.identify.command,
            Op.GET_LOG_PAGE: logs.command,
            Op.FORMAT_NVM: self._format,
            Op.SANITIZE: self._sanitize,
            Op.SECURITY_RECEIVE: security.receive,
            Op.SECURITY_SEND: security.send,
            Op.NAMESPACE_MANAGEMENT: management.manage,
            Op.NAMESPACE_ATTACHMENT: management.attach,
        }

    def _lbaf_of(self, medium: Medium) -> int:
        sizes = [one.data_bytes for one in self.options.lba_formats]
        assert medium.sector_bytes in sizes, "no LBA format has this sector size"
        return sizes.index(medium.sector_bytes)

    # Admin commands

    def admin(
        self,
        controller: int,
        opcode: int,
        nsid: int = 0,
        cdw10: int = 0,
        cdw11: int = 0,
        cdw12: int = 0,
        cdw13: int = 0,
        cdw14: int = 0,
        cdw15: int = 0,
        data_out: bytes = b"",
        data_len: int = 0,
    ) -> tuple[int, int, bytes]:
        """Carry a command out and wait for its end; returns status field, completion dword 0, data.

        Raises ``DriveGoneError`` when unplugged and ``PowerCut`` where a fault says so.
        """
        command = AdminCommand(
            controller, opcode, nsid, cdw10, cdw11, cdw12, cdw13, cdw14, cdw15, data_out, data_len
        )
        submission = self.submit(command)
        self.wait_until(submission.ready_at)
        return submission.status, submission.result, submission.data

    def submit(self, command: AdminCommand) -> Submission:
        """Let the controller fetch a command; time stands still (Format NVM is then running)."""
        if self.unplugged:
            raise DriveGoneError
        assert 0 <= command.controller < self.options.controllers, "no such controller"
        assert 0 <= command.opcode <= 0xFF, "an opcode is one byte"
        now = self.settle()
        try:
            self._gate(command)
            reply = self._handlers.get(command.opcode, _unsupported)(command, now)
        except CommandAbortError as abort:
            return Submission(status_field(abort.status), 0, b"", now)
        return Submission(Status.SUCCESS, reply.result, reply.data, reply.ready_at)

    def wait_until(self, moment: float) -> None:
        """Let the simulated time pass up to ``moment``."""
        ahead = moment - self.clock.monotonic()
        if ahead > 0:
            self.clock.sleep(ahead)
            self.settle()

    def settle(self) -> float:
        """Do what the simulated time has brought about, before looking at a medium; returns the moment."""
        now = self.clock.monotonic()
        if not self.unplugged:
            self.sanitize.settle(now)
            self.format.settle(now)
        return now

    def _gate(self, command: AdminCommand) -> None:
        """Abort what the running or failed operation forbids (Base 2.0 clauses 5 and 8.21)."""
        opcode = command.opcode
        if self.sanitize.state is not Sans.IDLE:
            allowed = opcode == Op.IDENTIFY or (
                opcode == Op.GET_LOG_PAGE and command.cdw10 & 0xFF in _ALLOWED_LOGS_WHILE_SANITIZING
            )
            if opcode == Op.SANITIZE:
                allowed = self.sanitize.failed or self.sanitize.state is Sans.MEDIA_VERIFICATION
            if not allowed:
                raise CommandAbortError(self._sanitize_status())
        if self.format.running is not None and opcode not in _ALLOWED_WHILE_FORMATTING:
            raise CommandAbortError(Status.FORMAT_IN_PROGRESS)

    def _sanitize_status(self) -> Status:
        return Status.SANITIZE_FAILED if self.sanitize.failed else Status.SANITIZE_IN_PROGRESS

    @property
    def _erasure_denied(self) -> bool:
        return self.tcg is not None and self.tcg.denies_erasure

    def _sanitize(self, command: AdminCommand, now: float) -> Reply:
        return self.sanitize.command(command, now, denied=self._erasure_denied)

    def _format(self, command: AdminCommand, now: float) -> Reply:
        reply = self.format.command(command, now, denied=self._erasure_denied)
        cut, self.faults.power_cut_at = self.faults.power_cut_at, None
        if cut is not None:
            self.clock.sleep((reply.ready_at - now) * cut)
            raise PowerCut
        return reply

    # I/O commands

    def read(self, controller: int, nsid: int, slba: int, blocks: int) -> tuple[Status, bytes]:
        """Read logical blocks; the data is empty unless the status is success."""
        try:
            namespace = self._io_gate(controller, nsid, slba, blocks, write=False)
            return Status.SUCCESS, namespace.medium.read(slba, blocks)
        except CommandAbortError as abort:
            return abort.status, b""
        except MediumError:
            self.health.media_errors += 1
            return Status.UNRECOVERED_READ_ERROR, b""

    def write(self, controller: int, nsid: int, slba: int, data: bytes) -> Status:
        """Write whole logical blocks."""
        try:
            blocks = len(data) // self.media.active(controller, nsid).medium.sector_bytes
            namespace = self._io_gate(controller, nsid, slba, blocks, write=True)
            namespace.medium.write(slba, data)
        except CommandAbortError as abort:
            return abort.status
        except MediumError:
            self.health.media_errors += 1
            return Status.WRITE_FAULT
        self.media.written = True
        return Status.SUCCESS

    def flush(self, controller: int, nsid: int) -> Status:
        """Flush (Base 2.0 clause 7.1): allowed even while a sanitize operation runs."""
        if self.unplugged:
            raise DriveGoneError
        self.settle()
        try:
            self.media.active(controller, nsid)
        except CommandAbortError as abort:
            return abort.status
        return Status.SUCCESS

    def _io_gate(self, controller: int, nsid: int, slba: int, blocks: int, *, write: bool) -> Namespace:
        if self.unplugged:
            raise DriveGoneError
        self.settle()
        state = self.sanitize.state
        if state is not Sans.IDLE and (state is not Sans.MEDIA_VERIFICATION or write):
            raise CommandAbortError(self._sanitize_status())
        namespace = self.media.active(controller, nsid)
        running = self.format.running
        if running is not None and namespace in running.scope:
            raise CommandAbortError(Status.FORMAT_IN_PROGRESS)
        if write and namespace.write_protected:
            raise CommandAbortError(Status.NAMESPACE_WRITE_PROTECTED)
        if self.tcg is not None and self.tcg.locked:
            raise CommandAbortError(Status.ACCESS_DENIED)
        if not 0 <= slba <= slba + blocks <= namespace.medium.sectors or blocks == 0:
            raise CommandAbortError(Status.LBA_OUT_OF_RANGE)
        return namespace

    # The world around it

    def controller_reset(self) -> None:
        """A Controller Level Reset, as the host does after a time-out."""
        self.sanitize.reset(self.settle())

    def power_cycle(self, seconds_off: float = 0.0) -> None:
        """Take the power away and give it back; a sanitize operation goes on, a format does not."""
        self._power_loss(seconds_off, resume=False)
        self.health.power_cycles += 1
        self.health.unsafe_shutdowns += 1

    def suspend_resume(self, seconds_off: float = 5.0) -> None:
        """Suspend to RAM and resume: the drive loses its power, the host keeps its memory."""
        self._power_loss(seconds_off, resume=True)
        self.faults.format_invalid_opcode_until_resume = False

    def _power_loss(self, seconds_off: float, *, resume: bool) -> None:
        now = self.settle()
        self.format.interrupt(now)
        self.clock.sleep(seconds_off)
        self.sanitize.power_off(seconds_off)
        self.sanitize.reset(now + seconds_off)
        if self.tcg is not None:
            self.tcg.power_on(resume=resume)

    def hot_unplug(self) -> None:
        """Pull the drive out: it loses its power and answers nothing more, until ``replug``."""
        self._unplugged_at = self.settle()
        self.format.interrupt(self._unplugged_at)
        self.unplugged = True

    def replug(self) -> None:
        """Put the drive back: for it, that was a power cycle."""
        assert self.unplugged, "it was never pulled out"
        self.sanitize.power_off(self.clock.monotonic() - self._unplugged_at)
        self.unplugged = False
        self.power_cycle()

    def holds(self, pattern: bytes) -> bool:
        """Whether ``pattern`` is anywhere on the media, readable now or not."""
        self.settle()
        places = [namespace.medium.data for namespace in self.media.namespaces.values()]
        return any(place.find(pattern) >= 0 for place in [*places, self.media.unallocated])


def _unsupported(command: AdminCommand, now: float) -> Reply:
    raise CommandAbortError(Status.INVALID_OPCODE)
