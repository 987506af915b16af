"""The ports to one drive: commands by pass-through, and blocks.

Everything above this module is pure; everything below it (``transport/``) is I/O. Tests put
simulated drives behind the same two protocols.

A device command has exactly three dispositions. ``DONE``: the drive accepted it and reported
good status. ``REFUSED``: the drive (or the path to it) rejected it without acting, so trying the
next technique is safe. ``UNKNOWN``: anything else, a missing status descriptor, a time-out, a
reset, a bridge that answers nonsense. Unknown never becomes success.
"""

from __future__ import annotations

from enum import Enum, IntEnum
from typing import Protocol

import msgspec

from rasura_agent.inventory.model import Drive

__all__ = [
    "AtaCommand",
    "AtaProtocol",
    "AtaResult",
    "BlockPort",
    "Command",
    "Completion",
    "Disposition",
    "DrivePort",
    "MmcCommand",
    "NvmeCommand",
    "ScsiCommand",
    "SenseData",
    "TransferQueue",
    "Transfers",
]


class Disposition(Enum):
    """What became of a command."""

    DONE = "done"
    REFUSED = "refused"
    UNKNOWN = "unknown"


class AtaProtocol(IntEnum):
    """PROTOCOL field of ATA PASS-THROUGH (SAT-4 table 155), the three we use."""

    NON_DATA = 3
    PIO_IN = 4
    PIO_OUT = 5


class AtaCommand(msgspec.Struct, frozen=True):
    """An ATA command: its taskfile and its data (ACS-4 clause 7).

    ``ext`` marks a 48-bit command; then ``feature`` and ``count`` have 16 bits and ``lba`` 48,
    otherwise 8, 8 and 28. ``timeout_s`` is seconds.
    """

    name: str
    command: int
    protocol: AtaProtocol = AtaProtocol.NON_DATA
    feature: int = 0
    count: int = 0
    lba: int = 0
    device: int = 0
    ext: bool = False
    data_out: bytes = b""
    data_in_bytes: int = 0
    timeout_s: float = 15.0


class ScsiCommand(msgspec.Struct, frozen=True):
    """A SCSI command: its CDB and its data."""

    name: str
    cdb: bytes
    data_out: bytes = b""
    data_in_bytes: int = 0
    timeout_s: float = 15.0


class NvmeCommand(msgspec.Struct, frozen=True):
    """An NVMe admin command: opcode, namespace and CDW10 to CDW15 (NVMe Base 2.0 figure 88)."""

    name: str
    opcode: int
    nsid: int = 0
    cdw10: int = 0
    cdw11: int = 0
    cdw12: int = 0
    cdw13: int = 0
    cdw14: int = 0
    cdw15: int = 0
    data_out: bytes = b""
    data_in_bytes: int = 0
    timeout_s: float = 15.0


class MmcCommand(msgspec.Struct, frozen=True):
    """An MMC command for MMC_IOC_CMD: opcode, argument, response flags as in ``linux/mmc/core.h``."""

    name: str
    opcode: int
    arg: int = 0
    flags: int = 0
    write: bool = False
    is_application: bool = False
    data_out: bytes = b""
    data_in_bytes: int = 0
    block_bytes: int = 512
    timeout_s: float = 15.0


Command = AtaCommand | ScsiCommand | NvmeCommand | MmcCommand


class SenseData(msgspec.Struct, frozen=True):
    """SCSI sense data, fixed (70h/71h) or descriptor (72h/73h) format (SPC-5 clause 4.4)."""

    response_code: int
    key: int
    asc: int
    ascq: int
    deferred: bool
    progress: int | None
    """Progress indication, of 65536; ``None`` where the sense data carries none."""
    information: int | None
    raw: bytes


class AtaResult(msgspec.Struct, frozen=True):
    """The taskfile an ATA command ended with (ATA Status Return descriptor, SAT-4 clause 12.2.2.6)."""

    status: int
    error: int
    count: int
    lba: int
    device: int


class Completion(msgspec.Struct, frozen=True):
    """What came back. Only the part of the command's own family is filled in.

    ``detail`` says in words what led to ``disposition``; it is kept as evidence.
    ``nvme_status`` is the 15-bit status field without the phase tag (SCT << 8 | SC in its low 11 bits).
    """

    disposition: Disposition
    detail: str
    data: bytes = b""
    elapsed_s: float = 0.0
    scsi_status: int | None = None
    sense: SenseData | None = None
    ata: AtaResult | None = None
    nvme_status: int | None = None
    nvme_result: int | None = None
    mmc_response: tuple[int, int, int, int] | None = None


class DrivePort(Protocol):
    """One drive, spoken to in its own commands. A ``Drive`` is its description; this is the line to it.

    ``execute`` never raises for anything the drive or the path did: that is a ``Completion``.
    """

    def execute(self, command: Command) -> Completion:
        """Send one command and wait for its end or its time-out."""
        ...


class TransferQueue(Protocol):
    """Several transfers of one drive under way at once, for one thread that computes meanwhile."""

    def start(self, tag: int, offset: int, buffer: memoryview, *, write: bool) -> None:
        """Begin to write ``buffer`` at ``offset``, or to fill it from there; it is in use until it ended.

        ``tag`` is a small number that no other transfer under way has. Raises ``OSError`` if it cannot begin.
        """
        ...

    def ended(self) -> list[tuple[int, OSError | None]]:
        """Wait for at least one transfer, and tell which ended and whether they failed."""
        ...


class Transfers(Protocol):
    """Reading and writing a drive, one transfer at a time.

    Offsets and lengths are bytes and multiples of the logical sector. Errors are ``OSError``
    with the kernel's ``errno``; a short transfer is continued by the implementation or raised as ``EIO``.
    """

    def write(self, offset: int, data: memoryview) -> None:
        """Write all of ``data`` at ``offset``."""
        ...

    def read(self, offset: int, into: memoryview) -> None:
        """Fill ``into`` from ``offset``, from the drive and not from a cache."""
        ...

    def flush(self) -> None:
        """Return once everything written is on stable storage (the drive's own cache flushed)."""
        ...


class BlockPort(Transfers, Protocol):
    """One drive, as addressable bytes, opened exclusively and past the page cache."""

    @property
    def lanes(self) -> int:
        """How many transfers may be under way at once, from as many threads."""
        ...

    @property
    def direct(self) -> bool:
        """Whether transfers bypass the page cache (O_DIRECT)."""
        ...

    def identify(self) -> Drive:
        """Describe the drive behind this very open descriptor, afresh."""
        ...

    def queue(self) -> TransferQueue | None:
        """Up to ``lanes`` transfers for one thread at a time; ``None`` where there is no such thing."""
        ...

    def write_zeroes(self, offset: int, length: int) -> Disposition:
        """Have the drive zero a range by itself; ``REFUSED`` where it or its driver has no such command."""
        ...

    def close(self) -> None:
        """Let go of the drive; of one that still holds a transfer, only take no more."""
        ...
