"""The sanitize operation state machine of a simulated NVM subsystem.

Base 2.0 clauses 5.24 (command) and 8.21 (operations), with the states of figure 648 of Base 2.1, which
drew them; the machine belongs to the subsystem, so every controller sees the same one.
"""

from __future__ import annotations

import struct
from enum import IntEnum

from simulators import nvme_media
from simulators.nvme_types import (
    NO_ESTIMATE,
    AdminCommand,
    CommandAbortError,
    Media,
    NvmeFaults,
    Reply,
    Status,
)


class SanAct(IntEnum):
    """Sanitize Action (CDW10 bits 2:0, Base 2.1 figure 372)."""

    EXIT_FAILURE_MODE = 1
    BLOCK_ERASE = 2
    OVERWRITE = 3
    CRYPTO_ERASE = 4
    EXIT_MEDIA_VERIFICATION = 5


class Sans(IntEnum):
    """Sanitize State (Base 2.1 figure 291)."""

    IDLE = 0
    RESTRICTED_PROCESSING = 1
    RESTRICTED_FAILURE = 2
    UNRESTRICTED_PROCESSING = 3
    UNRESTRICTED_FAILURE = 4
    MEDIA_VERIFICATION = 5
    POST_VERIFICATION_DEALLOCATION = 6


class Sos(IntEnum):
    """Sanitize Operation Status (SSTAT bits 2:0)."""

    NEVER = 0
    SANITIZED = 1
    SANITIZING = 2
    FAILED = 3
    UNEXPECTED_DEALLOCATE = 4


_AUSE, _OIPBP, _NDAS, _EMVS = 1 << 3, 1 << 8, 1 << 9, 1 << 10
_CDW10_RESERVED = 0xFFFF_F800
_SANICAP_BIT = {SanAct.CRYPTO_ERASE: 1, SanAct.BLOCK_ERASE: 2, SanAct.OVERWRITE: 4}
_VERS, _NDI = 1 << 3, 1 << 29
# Tuples, because comparing identities costs a fraction of hashing an enum member.
_PROCESSING = (Sans.RESTRICTED_PROCESSING, Sans.UNRESTRICTED_PROCESSING)
_IN_PROGRESS = (*_PROCESSING, Sans.MEDIA_VERIFICATION, Sans.POST_VERIFICATION_DEALLOCATION)
_FAILURE = (Sans.RESTRICTED_FAILURE, Sans.UNRESTRICTED_FAILURE)


class SanitizeMachine:
    """One subsystem's sanitize operation: what runs, how far it is, and what the log tells of it."""

    def __init__(self, media: Media, faults: NvmeFaults) -> None:
        self._media = media
        self._options = media.options
        self._faults = faults
        self.state = Sans.IDLE
        self.sos = Sos.NEVER
        self.cdw10 = 0
        self.canceled = False
        self._cdw11 = 0
        self._failed_in = Sans.IDLE
        self._passes_done = 0
        self._started = 0.0
        self._duration = 0.0
        self._fails_at: float | None = None
        self._sticks_at: float | None = None
        self._runs = 0

    @property
    def supported(self) -> bool:
        """Whether SANICAP names any sanitize operation."""
        return bool(self._options.sanicap & 7)

    @property
    def in_progress(self) -> bool:
        """Whether other commands are aborted with Sanitize In Progress."""
        return self.state in _IN_PROGRESS

    @property
    def failed(self) -> bool:
        """Whether other commands are aborted with Sanitize Failed."""
        return self.state in _FAILURE

    def pretend_earlier_success(self, cdw10: int) -> None:
        """Have the log tell a success of the drive's past, as one that was returned to stock does."""
        self.sos, self.cdw10 = Sos.SANITIZED, cdw10

    # The Sanitize command

    def command(self, command: AdminCommand, now: float, *, denied: bool) -> Reply:
        """Carry a Sanitize command out; ``denied`` when a TCG lock forbids it."""
        if not self.supported:
            raise CommandAbortError(Status.INVALID_OPCODE)
        action = self._checked_action(command)
        if any(namespace.write_protected for namespace in self._media.namespaces.values()):
            raise CommandAbortError(Status.NAMESPACE_WRITE_PROTECTED)
        if denied:
            raise CommandAbortError(Status.OPERATION_DENIED)
        if action is SanAct.EXIT_MEDIA_VERIFICATION:
            self._enter(Sans.POST_VERIFICATION_DEALLOCATION, now, self._options.deallocation_seconds)
        elif action is SanAct.EXIT_FAILURE_MODE:
            if self.state is Sans.RESTRICTED_FAILURE:
                raise CommandAbortError(Status.SANITIZE_FAILED)
            self.state = Sans.IDLE  # from Idle this is no error; from Unrestricted Failure, transition E
        else:
            self._start(action, command, now)
        return Reply(ready_at=now)

    def _checked_action(self, command: AdminCommand) -> SanAct:
        """The action, if every field is one this drive takes in this state."""
        command.require_reserved_clear(12)
        if command.nsid or command.cdw10 & _CDW10_RESERVED or command.data_len or command.data_out:
            raise CommandAbortError(Status.INVALID_FIELD)
        value = command.cdw10 & 7
        if self.state is Sans.MEDIA_VERIFICATION and value != SanAct.EXIT_MEDIA_VERIFICATION:
            raise CommandAbortError(Status.INVALID_FIELD)
        if value not in SanAct.__members__.values():
            raise CommandAbortError(Status.INVALID_FIELD)
        action = SanAct(value)
        if action is SanAct.EXIT_MEDIA_VERIFICATION:
            if self.state is not Sans.MEDIA_VERIFICATION:
                raise CommandAbortError(Status.INVALID_FIELD)
        elif action is not SanAct.EXIT_FAILURE_MODE:
            self._check_start(action, command.cdw10)
        return action

    def _check_start(self, action: SanAct, cdw10: int) -> None:
        sanicap = self._options.sanicap
        if not sanicap & _SANICAP_BIT[action]:
            raise CommandAbortError(Status.INVALID_FIELD)
        if cdw10 & _NDAS and sanicap & _NDI and not self._options.nodrm:
            raise CommandAbortError(Status.INVALID_FIELD)
        verifiable = sanicap & _VERS and action is not SanAct.OVERWRITE and not cdw10 & _NDAS
        if cdw10 & _EMVS and not verifiable:
            raise CommandAbortError(Status.INVALID_FIELD)

    def _start(self, action: SanAct, command: AdminCommand, now: float) -> None:
        unrestricted = bool(command.cdw10 & _AUSE)
        if self.state is Sans.RESTRICTED_FAILURE and unrestricted:
            raise CommandAbortError(Status.SANITIZE_FAILED)
        if self._faults.sanitize_ignored:
            return
        self._runs += 1
        self.cdw10, self._cdw11 = command.cdw10, command.cdw11
        self.sos, self.canceled, self._passes_done = Sos.SANITIZING, False, 0
        self._fails_at, self._sticks_at = self._faults.sanitize_fails_at, self._faults.sanitize_sticks_at
        seconds = {
            SanAct.BLOCK_ERASE: self._options.block_erase_seconds,
            SanAct.CRYPTO_ERASE: self._options.crypto_erase_seconds,
            SanAct.OVERWRITE: self._options.overwrite_pass_seconds * self._passes,
        }[action]
        self._enter(
            Sans.UNRESTRICTED_PROCESSING if unrestricted else Sans.RESTRICTED_PROCESSING, now, seconds
        )
        self.settle(now)

    @property
    def _passes(self) -> int:
        return (self.cdw10 >> 4 & 0xF) or 16  # OWPASS 0h specifies 16 passes

    def _enter(self, state: Sans, now: float, seconds: float) -> None:
        self.state, self._started, self._duration = state, now, seconds

    # Time, resets and power

    def settle(self, now: float) -> None:
        """Do what the time up to ``now`` has brought about."""
        if self.state is Sans.IDLE:
            return
        if self.state in _PROCESSING:
            fraction = self._fraction(now)
            if self.cdw10 & 7 == SanAct.OVERWRITE:
                self._passes_done = int(fraction * self._passes)
            if self._fails_at is not None and fraction >= self._fails_at:
                self._fail(self._fails_at)
            elif fraction >= 1.0:
                self._succeed(now)
        elif self.state is Sans.POST_VERIFICATION_DEALLOCATION and self._fraction(now) >= 1.0:
            self._finish()

    def _fraction(self, now: float) -> float:
        done = 1.0 if self._duration <= 0 else min(1.0, (now - self._started) / self._duration)
        if self.state in _PROCESSING and self._sticks_at is not None:
            return min(done, self._sticks_at, 0.9999)
        return done

    def power_off(self, seconds: float) -> None:
        """Without power nothing progresses; the operation goes on afterwards (Base 2.0 clause 8.21)."""
        self._started += seconds

    def reset(self, now: float) -> None:
        """A Controller Level Reset: the operation goes on, media verification does not (MVCNCLD)."""
        if self._faults.forgets_status_on_reset and self.in_progress:
            self.state, self.sos, self.cdw10 = Sans.IDLE, Sos.NEVER, 0
        elif self.cdw10 & _EMVS and self.state in (*_PROCESSING, Sans.MEDIA_VERIFICATION):
            self.canceled = True
            if self.state is Sans.MEDIA_VERIFICATION:  # transition G
                self._enter(Sans.POST_VERIFICATION_DEALLOCATION, now, self._options.deallocation_seconds)

    def _fail(self, fraction: float) -> None:
        self._erase(self._fill(), fraction)
        self._failed_in = self.state
        restricted = self.state is Sans.RESTRICTED_PROCESSING
        self.state = Sans.RESTRICTED_FAILURE if restricted else Sans.UNRESTRICTED_FAILURE
        self.sos = Sos.FAILED

    def _succeed(self, now: float) -> None:
        self._erase(self._fill())
        self._media.written = False
        if self.cdw10 & _EMVS and not self.canceled:
            self._enter(Sans.MEDIA_VERIFICATION, now, 0.0)
        else:
            self._finish()

    def _finish(self) -> None:
        kept = self.cdw10 & _NDAS and not self._options.sanicap & _NDI
        if not kept and (self._options.deallocates or self.cdw10 & _EMVS):
            self._erase(nvme_media.deallocated(self._options.dlfeat))
        unexpected = self.cdw10 & _NDAS and self._options.sanicap & _NDI
        self.state = Sans.IDLE
        self.sos = Sos.UNEXPECTED_DEALLOCATE if unexpected else Sos.SANITIZED

    def _fill(self) -> nvme_media.Fill:
        action = self.cdw10 & 7
        if action == SanAct.OVERWRITE:
            # Inverting starts so that the last pass writes the pattern itself (Base 2.1 figure 647).
            return nvme_media.repeated(self._cdw11.to_bytes(4, "little"))
        if action == SanAct.BLOCK_ERASE:
            return nvme_media.constant(self._options.block_erase_value)
        return nvme_media.scrambled(self._runs)

    def _erase(self, fill: nvme_media.Fill, fraction: float = 1.0) -> None:
        nvme_media.erase(
            self._media,
            fill,
            namespaces=self._media.namespaces.values(),
            unallocated=True,
            fraction=fraction,
            leaves=self._faults.leaves,
        )

    # The Sanitize Status log page

    def log_page(self, now: float) -> bytes:
        """Log page 81h, 512 bytes (Base 2.1 figure 291)."""
        moving = self.in_progress and self.state is not Sans.MEDIA_VERIFICATION
        sprog = min(0xFFFF, int(self._fraction(now) * 0x10000)) if moving else 0xFFFF
        sstat = self.sos | self._passes_done << 3 | (not self._media.written) << 8 | self.canceled << 9
        estimates = self._options.estimates or (
            int(self._options.overwrite_pass_seconds * 16),
            int(self._options.block_erase_seconds),
            int(self._options.crypto_erase_seconds),
            NO_ESTIMATE,
            NO_ESTIMATE,
            NO_ESTIMATE,
        )
        ssi = post = 0
        if self._options.sanicap & _VERS:  # otherwise the field is cleared to 0h
            ssi = self.state | (self._failed_in if self.sos is Sos.FAILED else 0) << 4
            post = int(self._options.deallocation_seconds)
        page = struct.pack("<HHI6IIB", sprog, sstat, self.cdw10, *estimates, post, ssi)
        return page.ljust(512, b"\0")
