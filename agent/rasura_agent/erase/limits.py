"""How much trouble a drive may make before it is given up. Pure; a policy sets it."""

from __future__ import annotations

import msgspec

__all__ = ["Limits"]


class Limits(msgspec.Struct, frozen=True):
    """Bounds for one pass over one drive. Whatever they cut short, the outcome is no success."""

    retries: int = 2
    """How often a whole transfer that failed is tried again before it is set aside for narrowing."""
    errors: int = 1000
    """So many failed transfers, retries and narrowing included, end all further trying."""
    error_s: float = 1800.0
    """So many seconds in all spent waiting for transfers that failed, likewise."""
    answer_s: float = 300.0
    """A drive that has not answered a transfer or a flush after so many seconds is abandoned.

    Longer than the kernel's own patience with a disk: 30 s a command, five retries, and resets
    (``drivers/scsi/sd.h``, SD_TIMEOUT and SD_MAX_RETRIES).
    """
    zone_transfers: int = 4
    """So many whole transfers failing in a row are a bad zone: it is jumped, the other end goes first."""
