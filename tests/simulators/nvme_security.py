"""TCG as far as an eraser meets it: level 0 discovery, Block SID, and a lock that refuses erasures.

Security Receive is Base 2.0 clause 5.25; level 0 discovery is the TCG Storage Architecture Core
Specification 2.01 clause 3.3.6, with the feature descriptors of the Opal 2, Enterprise and Block SID texts.
Numbers of the TCG texts are big-endian.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import IntEnum

from simulators.nvme_types import AdminCommand, CommandAbortError, NvmeOptions, Reply, Status

_OACS_SECURITY = 1 << 0
_PROTOCOL_INFORMATION, _TCG = 0x00, 0x01
_LEVEL_0 = 0x0001


class Ssc(IntEnum):
    """Security Subsystem Class, by the feature code of its descriptor."""

    ENTERPRISE = 0x0100
    OPAL_1 = 0x0200
    OPAL_2 = 0x0203


@dataclass(slots=True)
class Tcg:
    """The drive's TCG state. ``denies_erasure`` makes Format and Sanitize end in Operation Denied."""

    ssc: Ssc | None = Ssc.OPAL_2
    locking_supported: bool = True
    locking_enabled: bool = False
    locked: bool = False
    media_encryption: bool = True
    mbr_enabled: bool = False
    mbr_done: bool = False
    block_sid_supported: bool = True
    sid_changed: bool = False
    sid_blocked: bool = False
    bios_blocks_sid: bool = False
    """The firmware of the machine sends Block SID at each boot, but not when it resumes."""

    @property
    def denies_erasure(self) -> bool:
        """Whether Format NVM and Sanitize are refused (TCG Storage Interface Interactions Specification)."""
        return self.sid_blocked or self.locking_enabled

    def power_on(self, *, resume: bool) -> None:
        """Power came back: Block SID is forgotten, ranges lock, and the firmware may block SID again."""
        self.sid_blocked = self.bios_blocks_sid and not resume
        self.locked = self.locking_enabled
        self.mbr_done = False

    def level_0(self) -> bytes:
        """The level 0 discovery data."""
        flags = (
            self.locking_supported
            | self.locking_enabled << 1
            | self.locked << 2
            | self.media_encryption << 3
            | self.mbr_enabled << 4
            | self.mbr_done << 5
        )
        features = _feature(0x0001, 1, bytes([0x11]).ljust(12, b"\0"))  # TPer: synchronous, streaming
        features += _feature(0x0002, 1, bytes([flags]).ljust(12, b"\0"))
        if self.ssc is not None:
            # Base ComID, number of ComIDs; range crossing, administrators, users, PIN indications
            body = struct.pack(">HHBHHBB", 0x07FE, 1, 0, 4, 8, 0, 0).ljust(16, b"\0")
            features += _feature(self.ssc, 1, body)
        if self.block_sid_supported:
            states = self.sid_changed | self.sid_blocked << 1
            features += _feature(0x0402, 1, bytes([states]).ljust(12, b"\0"))
        return struct.pack(">II8x32x", 44 + len(features), 1) + features


def _feature(code: int, version: int, body: bytes) -> bytes:
    return struct.pack(">HBB", code, version << 4, len(body)) + body


class Security:
    """Answers Security Receive and Security Send."""

    def __init__(self, options: NvmeOptions, tcg: Tcg | None) -> None:
        self._options = options
        self._tcg = tcg

    def receive(self, command: AdminCommand, now: float) -> Reply:
        """Security Receive: SECP is CDW10 bits 31:24, SPSP 23:8, the allocation length CDW11."""
        if not self._options.oacs & _OACS_SECURITY:
            raise CommandAbortError(Status.INVALID_OPCODE)
        command.require_reserved_clear(12)
        if command.cdw10 & 0xFF or command.data_out:  # NSSF belongs to protocol EAh
            raise CommandAbortError(Status.INVALID_FIELD)
        protocol, specific = command.cdw10 >> 24, command.cdw10 >> 8 & 0xFFFF
        if (protocol, specific) == (_PROTOCOL_INFORMATION, 0):
            protocols = bytes([_PROTOCOL_INFORMATION] if self._tcg is None else [_PROTOCOL_INFORMATION, _TCG])
            data = struct.pack(">6xH", len(protocols)) + protocols
        elif (protocol, specific) == (_TCG, _LEVEL_0) and self._tcg is not None:
            data = self._tcg.level_0()
        else:
            raise CommandAbortError(Status.INVALID_FIELD)
        if command.data_len < command.cdw11:
            raise CommandAbortError(Status.DATA_TRANSFER_ERROR)
        return Reply(data=data[: command.cdw11].ljust(command.cdw11, b"\0"), ready_at=now)

    def send(self, command: AdminCommand, now: float) -> Reply:
        """Security Send: no session protocol is simulated, so every one is refused."""
        if not self._options.oacs & _OACS_SECURITY:
            raise CommandAbortError(Status.INVALID_OPCODE)
        raise CommandAbortError(Status.INVALID_FIELD)
