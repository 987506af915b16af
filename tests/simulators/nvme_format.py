"""Format NVM of a simulated subsystem (Base 2.0 clause 5.14; scope as figure 188 of Base 2.1)."""

from __future__ import annotations

from dataclasses import dataclass

from simulators import nvme_media
from simulators.nvme_types import (
    BROADCAST,
    AdminCommand,
    CommandAbortError,
    Media,
    Namespace,
    NvmeFaults,
    Reply,
    Status,
)

_OACS_FORMAT = 1 << 1
_FNS, _SENS, _CRYES, _FNVMBS = 1, 2, 4, 8


@dataclass(frozen=True, slots=True)
class FormatOperation:
    """A Format NVM being carried out, from ``started`` to ``ends``."""

    scope: tuple[Namespace, ...]
    ses: int
    lbaf: int
    started: float
    ends: float


class FormatMachine:
    """At most one Format NVM at a time."""

    def __init__(self, media: Media, faults: NvmeFaults) -> None:
        self._media = media
        self._options = media.options
        self._faults = faults
        self.running: FormatOperation | None = None
        self._runs = 0

    def command(self, command: AdminCommand, now: float, *, denied: bool) -> Reply:
        """Begin a Format NVM; its completion comes when it is over. ``denied`` when a TCG lock forbids it."""
        if not self._options.oacs & _OACS_FORMAT or self._faults.format_invalid_opcode_until_resume:
            raise CommandAbortError(Status.INVALID_OPCODE)
        lbaf, ses = self._checked_fields(command)
        scope = self._scope(command, ses)
        if any(namespace.write_protected for namespace in scope):
            raise CommandAbortError(Status.NAMESPACE_WRITE_PROTECTED)
        if denied:
            raise CommandAbortError(Status.OPERATION_DENIED)
        ends = now + self._options.format_seconds
        self.running = FormatOperation(scope, ses, lbaf, now, ends)
        return Reply(ready_at=ends)

    def _checked_fields(self, command: AdminCommand) -> tuple[int, int]:
        """LBA format index and Secure Erase Settings, if the fields are legal."""
        command.require_reserved_clear(11)
        cdw10 = command.cdw10
        if cdw10 >> 14 or command.data_len or command.data_out:
            raise CommandAbortError(Status.INVALID_FIELD)
        # LBAFU (13:12) is ignored: the host has not enabled LBAFEE.
        lbaf, pi, ses = cdw10 & 0xF, cdw10 >> 5 & 7, cdw10 >> 9 & 7
        if ses > 2 or (ses == 2 and not self._options.fna & _CRYES) or pi > 3:
            raise CommandAbortError(Status.INVALID_FIELD)
        if lbaf >= len(self._options.lba_formats):
            raise CommandAbortError(Status.INVALID_FORMAT)
        if pi and self._options.lba_formats[lbaf].metadata_bytes < 8:
            raise CommandAbortError(Status.INVALID_FORMAT)
        return lbaf, ses

    def _scope(self, command: AdminCommand, ses: int) -> tuple[Namespace, ...]:
        """The namespaces affected: with secure erase SENS decides, without it FNS."""
        fna = self._options.fna
        everything = bool(fna & (_SENS if ses else _FNS)) and not fna & _FNVMBS
        if command.nsid == BROADCAST:
            if fna & _FNVMBS:
                raise CommandAbortError(Status.INVALID_FIELD)
        else:
            namespace = self._media.allocated(command.nsid)
            if not everything:
                return (namespace,)
        return tuple(
            namespace
            for namespace in self._media.namespaces.values()
            if everything or command.controller in namespace.attached
        )

    def settle(self, now: float) -> None:
        """Finish the running format if its time is over."""
        if self.running is not None and now >= self.running.ends:
            self._apply(1.0)

    def interrupt(self, now: float) -> None:
        """Power is lost: what the format got through is done, nothing more, and it does not resume."""
        if self.running is not None:
            total = self.running.ends - self.running.started
            self._apply((now - self.running.started) / total if total > 0 else 1.0)

    def remaining_percent(self, namespace: Namespace, now: float) -> int:
        """Format Progress Indicator (Identify Namespace byte 32, bits 6:0)."""
        if self.running is None or namespace not in self.running.scope:
            return 0
        total = self.running.ends - self.running.started
        return max(0, min(100, int(100 * (self.running.ends - now) / total))) if total > 0 else 0

    def _apply(self, fraction: float) -> None:
        operation, self.running = self.running, None
        assert operation is not None
        if operation.ses:
            self._runs += 1
            if self._options.deallocates:
                fill = nvme_media.deallocated(self._options.dlfeat)
            elif operation.ses == 1:
                fill = nvme_media.constant(self._options.block_erase_value)
            else:
                fill = nvme_media.scrambled(self._runs)
            nvme_media.erase(
                self._media,
                fill,
                namespaces=operation.scope,
                unallocated=False,
                fraction=fraction,
                leaves=self._faults.leaves,
            )
        if fraction >= 1.0:
            for namespace in operation.scope:
                nvme_media.reformat(namespace, operation.lbaf, self._options.lba_formats[operation.lbaf])
