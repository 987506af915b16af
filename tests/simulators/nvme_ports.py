"""The simulated NVM subsystem behind our ports, as Linux would show it.

``SimulatedNvmePort`` gives only what ``NVME_IOCTL_ADMIN_CMD`` gives: a status field, completion dword 0,
data, or an errno. ``SimulatedNamespace`` is a block device such as ``/dev/nvme0n1`` opened with O_DIRECT.
A fault schedule is consulted at each admin command, another one at each block transfer or flush.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable

from rasura_agent.drive.port import Command, Completion, Disposition, NvmeCommand
from rasura_agent.inventory.model import Drive, IdentityPage, Transport
from simulators.nvme import SimulatedNvmeSubsystem
from simulators.nvme_types import AdminCommand, DriveGoneError, Status
from simulators.world import FaultKind, FaultSchedule, PowerCut

NvmeDisposition = Callable[[NvmeCommand, int], Disposition]
"""What a status field (15 bits, no phase tag) makes of the command it ends."""

_REFUSALS = frozenset(
    {
        Status.INVALID_OPCODE,
        Status.INVALID_FIELD,
        Status.INVALID_NAMESPACE_OR_FORMAT,
        Status.OPERATION_DENIED,
        Status.SANITIZE_FAILED,
        Status.SANITIZE_IN_PROGRESS,
        Status.NAMESPACE_WRITE_PROTECTED,
        Status.FORMAT_IN_PROGRESS,
        Status.INVALID_LOG_PAGE,
        Status.INVALID_FORMAT,
    }
)


def disposition_by_status(command: NvmeCommand, status: int) -> Disposition:
    """The simple reading of Base 2.0: success is done, a check before any action is a refusal."""
    code = status & 0x7FF
    if code == Status.SUCCESS:
        return Disposition.DONE
    return Disposition.REFUSED if code in _REFUSALS else Disposition.UNKNOWN


class SimulatedNvmePort:
    """``DrivePort`` to one controller of a simulated subsystem."""

    def __init__(
        self,
        subsystem: SimulatedNvmeSubsystem,
        controller: int = 0,
        *,
        schedule: FaultSchedule | None = None,
        disposition: NvmeDisposition = disposition_by_status,
        abort_status: int = 0x4001,
    ) -> None:
        """``abort_status`` is what ``FaultKind.ABORT`` ends a command with (Invalid Command Opcode, DNR)."""
        self.subsystem = subsystem
        self.schedule = schedule or FaultSchedule()
        self._controller = controller
        self._disposition = disposition
        self._abort_status = abort_status

    def execute(self, command: Command) -> Completion:
        """Send one admin command through the fault schedule; raises ``PowerCut`` where that says so."""
        if not isinstance(command, NvmeCommand):
            return Completion(Disposition.REFUSED, "ENOTTY: the path takes NVMe admin commands only")
        fault = self.schedule.next()
        if fault is FaultKind.POWER_CUT_BEFORE:
            raise PowerCut
        if fault is FaultKind.UNPLUG:
            self.subsystem.hot_unplug()
        started = self.subsystem.clock.monotonic()
        if fault is FaultKind.HANG_UNSEEN and not self.subsystem.unplugged:
            return self._timed_out(command, started)
        if fault is FaultKind.ABORT and not self.subsystem.unplugged:
            return self._ended(command, started, self._abort_status, 0, b"")
        try:
            return self._carry_out(command, started, fault)
        except DriveGoneError:
            return Completion(Disposition.UNKNOWN, "ENODEV: the drive is gone")

    def _carry_out(self, command: NvmeCommand, started: float, fault: FaultKind | None) -> Completion:
        submission = self.subsystem.submit(
            AdminCommand(
                self._controller,
                command.opcode,
                command.nsid,
                command.cdw10,
                command.cdw11,
                command.cdw12,
                command.cdw13,
                command.cdw14,
                command.cdw15,
                command.data_out,
                command.data_in_bytes,
            )
        )
        if fault is FaultKind.HANG or submission.ready_at - started > command.timeout_s:
            return self._timed_out(command, started)
        self.subsystem.wait_until(submission.ready_at)
        if fault is FaultKind.POWER_CUT_AFTER:
            raise PowerCut
        if fault is FaultKind.BUS_RESET:
            self.subsystem.controller_reset()
            return self._failed(started, errno.EINTR, "the controller was reset, the command cancelled")
        if fault is FaultKind.SWALLOW_STATUS:
            return self._failed(started, errno.EIO, "the path lost the completion")
        return self._ended(command, started, submission.status, submission.result, submission.data)

    def _timed_out(self, command: NvmeCommand, started: float) -> Completion:
        """Linux resets the controller and cancels the command."""
        self.subsystem.wait_until(started + command.timeout_s)
        self.subsystem.controller_reset()
        return self._failed(started, errno.EINTR, f"no answer in {command.timeout_s:g} s")

    def _failed(self, started: float, number: int, why: str) -> Completion:
        return Completion(
            Disposition.UNKNOWN,
            f"{errno.errorcode[number]}: {why}",
            elapsed_s=self.subsystem.clock.monotonic() - started,
        )

    def _ended(
        self, command: NvmeCommand, started: float, status: int, result: int, data: bytes
    ) -> Completion:
        return Completion(
            self._disposition(command, status),
            f"NVMe status {status:04X}h",
            data=data,
            elapsed_s=self.subsystem.clock.monotonic() - started,
            nvme_status=status,
            nvme_result=result,
        )

    # The world around it

    def power_cycle(self, seconds_off: float = 0.0) -> None:
        """See ``SimulatedNvmeSubsystem.power_cycle``."""
        self.subsystem.power_cycle(seconds_off)

    def suspend_resume(self) -> None:
        """See ``SimulatedNvmeSubsystem.suspend_resume``."""
        self.subsystem.suspend_resume()

    def hot_unplug(self) -> None:
        """See ``SimulatedNvmeSubsystem.hot_unplug``."""
        self.subsystem.hot_unplug()


class SimulatedNamespace:
    """``BlockPort`` on one namespace through one controller.

    Every failure of the drive is EIO, except a drive that is gone (ENODEV) and ``medium_errno`` for bad
    sectors. A reset (``FaultKind.BUS_RESET``) is retried by the kernel and not seen here.
    """

    def __init__(
        self,
        subsystem: SimulatedNvmeSubsystem,
        nsid: int = 1,
        controller: int = 0,
        *,
        schedule: FaultSchedule | None = None,
        path: str | None = None,
        medium_errno: int = errno.EIO,
        hang_seconds: float = 60.0,
    ) -> None:
        self.subsystem = subsystem
        self.schedule = schedule or FaultSchedule()
        self._nsid = nsid
        self._controller = controller
        self._path = path or f"/dev/nvme{controller}n{nsid}"
        self._medium_errno = medium_errno
        self._hang_seconds = hang_seconds
        self._closed = False

    lanes = 1
    """So that a schedule counts the transfers in their order."""

    @property
    def direct(self) -> bool:
        """Always: the simulation has no page cache."""
        return True

    def identify(self) -> Drive:
        """What the kernel tells of this block device now; ENODEV when the drive or namespace is gone."""
        self._require_open()
        namespace = self.subsystem.media.namespaces.get(self._nsid)
        if self.subsystem.unplugged or namespace is None or self._controller not in namespace.attached:
            raise _os_error(errno.ENODEV)
        options = self.subsystem.options
        medium = namespace.medium
        now = self.subsystem.clock.monotonic()
        return Drive(
            path=self._path,
            transport=Transport.NVME,
            manufacturer=None,
            model=options.model,
            serial=options.serial,
            wwn=f"eui.{namespace.nguid.hex()}",
            firmware=options.firmware,
            capacity_bytes=medium.sectors * medium.sector_bytes,
            logical_sector_bytes=medium.sector_bytes,
            physical_sector_bytes=medium.sector_bytes,
            rotational=False,
            removable=False,
            device_number=(259, self._nsid),
            diskseq=self._nsid,
            identity_pages=(
                IdentityPage(
                    "nvme-identify-controller", self.subsystem.identify.controller_page(self._controller)
                ),
                IdentityPage(
                    "nvme-identify-namespace", self.subsystem.identify.namespace_page(namespace, now)
                ),
            ),
        )

    def write(self, offset: int, data: memoryview) -> None:
        """Write whole logical blocks; ENOSPC beyond the end."""
        slba = self._lba(offset, len(data), errno.ENOSPC)
        fault = self._before()
        self._after(self.subsystem.write(self._controller, self._nsid, slba, bytes(data)), fault)

    def read(self, offset: int, into: memoryview) -> None:
        """Read whole logical blocks; EIO beyond the end (a short read)."""
        slba = self._lba(offset, len(into), errno.EIO)
        fault = self._before()
        blocks = len(into) // self._block_bytes
        status, data = self.subsystem.read(self._controller, self._nsid, slba, blocks)
        self._after(status, fault)
        into[:] = data

    def queue(self) -> None:
        """There is none."""

    def write_zeroes(self, offset: int, length: int) -> Disposition:
        """No Write Zeroes, as most drives."""
        return Disposition.REFUSED

    def flush(self) -> None:
        """Flush the drive's cache."""
        self._require_present()
        fault = self._before()
        self._after(self.subsystem.flush(self._controller, self._nsid), fault)

    def close(self) -> None:
        """Let go of the block device."""
        self._closed = True

    @property
    def _block_bytes(self) -> int:
        return self.subsystem.media.namespaces[self._nsid].medium.sector_bytes

    def _lba(self, offset: int, length: int, beyond_end: int) -> int:
        self._require_present()
        size = self._block_bytes
        if offset < 0 or offset % size or length % size:
            raise _os_error(errno.EINVAL)
        if offset + length > self.subsystem.media.namespaces[self._nsid].medium.sectors * size:
            raise _os_error(beyond_end)
        return offset // size

    def _require_open(self) -> None:
        if self._closed:
            raise _os_error(errno.EBADF)

    def _require_present(self) -> None:
        self._require_open()
        if self.subsystem.unplugged or self._nsid not in self.subsystem.media.namespaces:
            raise _os_error(errno.ENODEV)

    def _before(self) -> FaultKind | None:
        """Consult the schedule; raises for what happens before the drive sees the transfer."""
        fault = self.schedule.next()
        if fault is FaultKind.POWER_CUT_BEFORE:
            raise PowerCut
        if fault is FaultKind.UNPLUG:
            self.subsystem.hot_unplug()
            raise _os_error(errno.ENODEV)
        if fault is FaultKind.HANG_UNSEEN:
            self.subsystem.clock.sleep(self._hang_seconds)
        if fault in {FaultKind.HANG_UNSEEN, FaultKind.ABORT}:
            raise _os_error(errno.EIO)
        return fault

    def _after(self, status: Status, fault: FaultKind | None) -> None:
        """What the host learns of a transfer that the drive ended with ``status``."""
        if fault is FaultKind.POWER_CUT_AFTER:
            raise PowerCut
        if fault is FaultKind.HANG:
            self.subsystem.clock.sleep(self._hang_seconds)
        if fault is FaultKind.BUS_RESET:
            self.subsystem.controller_reset()
        if fault in {FaultKind.HANG, FaultKind.SWALLOW_STATUS}:
            raise _os_error(errno.EIO)
        if status in {Status.UNRECOVERED_READ_ERROR, Status.WRITE_FAULT}:
            raise _os_error(self._medium_errno)
        if status is not Status.SUCCESS:
            raise _os_error(errno.EIO)


def _os_error(number: int) -> OSError:
    return OSError(number, os.strerror(number))
