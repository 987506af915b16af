"""What the parts of the simulated NVM subsystem share: codes, options, faults, namespaces.

Numbers are those of the NVM Express Base Specification 2.0 (clause 4.2.3, figures 94 to 98, for status) and,
where 2.0 is silent, of 2.1. Nothing here comes from the code under test.
"""

from __future__ import annotations

from enum import IntEnum

import msgspec

from simulators.world import Medium

BROADCAST = 0xFFFFFFFF
PAGE = 4096
"""Bytes of every Identify data structure (Base 2.0 clause 5.17)."""
NO_ESTIMATE = 0xFFFFFFFF
"""No time period is reported (Sanitize Status log page)."""


class Op(IntEnum):
    """Admin opcodes (Base 2.0 figure 138)."""

    GET_LOG_PAGE = 0x02
    IDENTIFY = 0x06
    NAMESPACE_MANAGEMENT = 0x0D
    NAMESPACE_ATTACHMENT = 0x15
    FORMAT_NVM = 0x80
    SECURITY_SEND = 0x81
    SECURITY_RECEIVE = 0x82
    SANITIZE = 0x84


class Status(IntEnum):
    """Status code type << 8 | status code (Base 2.0 figures 94 to 98)."""

    SUCCESS = 0x000
    INVALID_OPCODE = 0x001
    INVALID_FIELD = 0x002
    DATA_TRANSFER_ERROR = 0x004
    INVALID_NAMESPACE_OR_FORMAT = 0x00B
    OPERATION_DENIED = 0x015
    SANITIZE_FAILED = 0x01C
    SANITIZE_IN_PROGRESS = 0x01D
    NAMESPACE_WRITE_PROTECTED = 0x020
    LBA_OUT_OF_RANGE = 0x080
    FORMAT_IN_PROGRESS = 0x084
    INVALID_LOG_PAGE = 0x109
    INVALID_FORMAT = 0x10A
    NAMESPACE_INSUFFICIENT_CAPACITY = 0x115
    NAMESPACE_IDENTIFIER_UNAVAILABLE = 0x116
    NAMESPACE_ALREADY_ATTACHED = 0x118
    NAMESPACE_NOT_ATTACHED = 0x11A
    THIN_PROVISIONING_NOT_SUPPORTED = 0x11B
    CONTROLLER_LIST_INVALID = 0x11C
    WRITE_FAULT = 0x280
    UNRECOVERED_READ_ERROR = 0x281
    ACCESS_DENIED = 0x286


DNR = 0x4000
"""Do Not Retry, bit 14 of the status field without the phase tag."""
_RETRYABLE = (Status.SUCCESS, Status.SANITIZE_IN_PROGRESS, Status.FORMAT_IN_PROGRESS)


def status_field(status: Status) -> int:
    """The 15-bit status field a completion carries, Do Not Retry set where waiting would not help."""
    return int(status) if status in _RETRYABLE else int(status) | DNR


class CommandAbortError(Exception):
    """The controller aborts the command with ``status``."""

    def __init__(self, status: Status) -> None:
        super().__init__(status.name)
        self.status = status


class DriveGoneError(Exception):
    """Nothing answers: the drive was pulled out."""


class AdminCommand(msgspec.Struct):
    """One submission queue entry as the controller sees it, with the host's buffers.

    Not frozen only because property tests make millions of them; nobody changes one.
    """

    controller: int
    opcode: int
    nsid: int
    cdw10: int
    cdw11: int
    cdw12: int
    cdw13: int
    cdw14: int
    cdw15: int
    data_out: bytes
    data_len: int

    def require_reserved_clear(self, first: int) -> None:
        """Refuse if any command dword from ``first`` (10 to 15) on is not zero."""
        dwords = (self.cdw10, self.cdw11, self.cdw12, self.cdw13, self.cdw14, self.cdw15)
        if any(dwords[first - 10 :]):
            raise CommandAbortError(Status.INVALID_FIELD)

    def deliver(self, data: bytes) -> bytes:
        """Give ``data`` to the host, whose buffer must take all of it."""
        if self.data_len < len(data):
            raise CommandAbortError(Status.DATA_TRANSFER_ERROR)
        return data


class Reply(msgspec.Struct):
    """How a command ends: completion dword 0, data, and when (seconds of the simulated clock)."""

    result: int = 0
    data: bytes = b""
    ready_at: float = 0.0


class LbaFormat(msgspec.Struct, frozen=True):
    """One entry of the LBA format table (NVM Command Set 1.0 figure 98)."""

    data_bytes: int
    metadata_bytes: int = 0
    relative_performance: int = 0


class Namespace(msgspec.Struct):
    """An allocated namespace; ``attached`` holds the controllers that see it."""

    nsid: int
    medium: Medium
    lbaf: int
    attached: set[int]
    write_protected: bool = False
    nguid: bytes = bytes(16)
    eui64: bytes = bytes(8)


class Remnant(msgspec.Struct, frozen=True):
    """Where an erasure that lies leaves its data.

    ``nsid`` 0 is the capacity that no namespace has; ``None`` is everything there is.
    ``lbas`` limits it to some logical blocks of the namespace (512-byte ones of unallocated capacity).
    """

    nsid: int | None = None
    lbas: range | None = None


class NvmeFaults(msgspec.Struct):
    """What the drive does wrong; a test may change it at any moment."""

    format_invalid_opcode_until_resume: bool = False
    """Format NVM ends in Invalid Command Opcode despite OACS, until a suspend to RAM and resume."""
    sanitize_ignored: bool = False
    """Sanitize is accepted and never starts: the log goes on telling the earlier run."""
    sanitize_fails_at: float | None = None
    """The next sanitize operations fail at this fraction; the rest of the data stays."""
    sanitize_sticks_at: float | None = None
    """The next sanitize operations stay at this fraction for ever."""
    leaves: tuple[Remnant, ...] = ()
    """Data that a successful sanitize or format nevertheless leaves."""
    forgets_status_on_reset: bool = False
    """A reset ends a running sanitize and the log claims that there never was one."""
    exposes_old_data: bool = False
    """A created namespace shows what the capacity held before."""
    power_cut_at: float | None = None
    """The power goes at this fraction of the next Format NVM."""


class NvmeOptions(msgspec.Struct, frozen=True):
    """What the drive is. Times are simulated seconds; bit fields are the raw ones it reports."""

    model: str = "RASURA SIMULATED NVME"
    serial: str = "SIM0001"
    firmware: str = "1.0"
    controllers: int = 1
    max_namespaces: int = 16
    oacs: int = 0x000B
    """Security, Format, Namespace Management."""
    fna: int = 0x04
    """Cryptographic erase; format and erase of one namespace; FFFFFFFFh accepted."""
    sanicap: int = 0x4000_0007
    """Crypto, block, overwrite; no-deallocate not inhibited; media not modified after (NODMMAS 01b)."""
    lpa: int = 0x04
    """Extended data for Get Log Page: NUMDU and the offset."""
    nodrm: bool = False
    """No-Deallocate Response Mode of the Sanitize Config feature: warn instead of refusing."""
    dlfeat: int = 1
    """What deallocated blocks read as: 1 zeros, 2 ones."""
    lba_formats: tuple[LbaFormat, ...] = (LbaFormat(512), LbaFormat(4096))
    deallocates: bool = True
    """Whether it deallocates after an erasure that allows it ("should", not "shall")."""
    block_erase_value: int = 0xFF
    """What a block erase leaves in blocks that stay allocated."""
    block_erase_seconds: float = 40.0
    crypto_erase_seconds: float = 2.0
    overwrite_pass_seconds: float = 100.0
    deallocation_seconds: float = 5.0
    """The Post-Verification Deallocation state."""
    format_seconds: float = 10.0
    estimates: tuple[int, int, int, int, int, int] | None = None
    """Bytes 31:08 of the Sanitize Status log; ``None`` tells the times above."""


class Media(msgspec.Struct):
    """All that can hold user data: the namespaces, and the capacity none of them has."""

    options: NvmeOptions
    namespaces: dict[int, Namespace] = msgspec.field(default_factory=dict)
    unallocated: bytearray = msgspec.field(default_factory=bytearray)
    written: bool = True
    """Whether user data was written since manufacture or the last successful sanitize (clears GDE)."""

    def active(self, controller: int, nsid: int) -> Namespace:
        """The attached namespace ``nsid``, or the abort that Base 2.0 clause 3.2.1 gives for it."""
        if not 1 <= nsid <= self.options.max_namespaces:
            raise CommandAbortError(Status.INVALID_NAMESPACE_OR_FORMAT)
        namespace = self.namespaces.get(nsid)
        if namespace is None or controller not in namespace.attached:
            raise CommandAbortError(Status.INVALID_FIELD)
        return namespace

    def allocated(self, nsid: int) -> Namespace:
        """The namespace ``nsid``, attached or not."""
        namespace = self.namespaces.get(nsid)
        if namespace is None:
            raise CommandAbortError(Status.INVALID_NAMESPACE_OR_FORMAT)
        return namespace
