"""What a simulated SCSI drive can be like."""

from __future__ import annotations

import msgspec

from simulators.ports_media import Lie, Technique

ALL_SANITIZE = frozenset({Technique.CRYPTO, Technique.BLOCK, Technique.OVERWRITE})
SOLID_STATE = 1
"""MEDIUM ROTATION RATE of a non-rotating medium (SBC-4 table 233)."""


class ScsiOptions(msgspec.Struct, frozen=True):
    """One model of drive, its past, and what is wrong with it. Times are seconds."""

    vendor: str = "SIMULATE"
    product: str = "SAS DRIVE"
    revision: str = "0001"
    serial: str = "SIM-SAS-0001"
    wwn: int = 0x5000C500F0E1D2C0
    rotation_rate: int = 10500
    write_cache: bool = True
    descriptor_sense: bool = False
    """D_SENSE of the Control mode page at power on."""
    reports_opcodes: bool = True
    """Whether REPORT SUPPORTED OPERATION CODES is itself supported."""

    # Capacity
    visible_blocks: int | None = None
    """A MODE SELECT before we met the drive clipped it to that many."""
    block_lengths: frozenset[int] = frozenset({512, 520, 524, 528})
    """Logical block lengths it can be formatted with."""
    unmaps: bool = False
    max_write_same: int = 0
    """Blocks in one WRITE SAME; 0 is no limit reported."""

    # Sanitize
    sanitize: frozenset[Technique] = ALL_SANITIZE
    crypto_s: float = 2.0
    block_s: float = 30.0
    block_pattern: bytes = b"\0"
    overwrite_s: float = 7200.0
    """For each pass."""
    sanitize_fails_at: float | None = None
    progress_stuck_at: float | None = None
    reports_progress: bool = True
    """Whether sense data carries a progress indication at all."""
    write_after_sanitize: bool = False
    """After cryptographic and block erase, a block must be written before it can be read (11h/15h)."""

    # Format
    format_s: float = 3600.0
    format_fails_at: float | None = None
    format_writes: bool = True
    """Whether FORMAT UNIT writes the initialization pattern. No standard makes it."""

    # Faults
    lie: Lie | None = None
    bad_sectors_fail_erase: bool = True
    """Otherwise they are reassigned while erasing, and read well afterwards."""
    hangs: frozenset[int] = frozenset()
    """Operation codes that are never answered."""
