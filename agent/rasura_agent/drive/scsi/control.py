"""START STOP UNIT 1Bh and SYNCHRONIZE CACHE (10) 35h, (16) 91h (SBC-4)."""

from __future__ import annotations

from rasura_agent.drive.port import ScsiCommand

__all__ = ["start_unit", "synchronize_cache_10", "synchronize_cache_16"]

_START_STOP_UNIT = 0x1B
_SYNCHRONIZE_CACHE_10 = 0x35
_SYNCHRONIZE_CACHE_16 = 0x91
_START = 0x01

_SPIN_UP_TIMEOUT_S = 90.0
_FLUSH_TIMEOUT_S = 120.0


def start_unit() -> ScsiCommand:
    """Spin a drive up and wait for it: the answer to 04h/02h, initializing command required."""
    cdb = bytes([_START_STOP_UNIT, 0, 0, 0, _START, 0])
    return ScsiCommand("START STOP UNIT", cdb, timeout_s=_SPIN_UP_TIMEOUT_S)


def synchronize_cache_10() -> ScsiCommand:
    """Write everything in the drive's cache to the medium, all addresses, and wait for it."""
    cdb = bytes([_SYNCHRONIZE_CACHE_10]) + bytes(9)
    return ScsiCommand("SYNCHRONIZE CACHE(10)", cdb, timeout_s=_FLUSH_TIMEOUT_S)


def synchronize_cache_16() -> ScsiCommand:
    """As :func:`synchronize_cache_10`, for drives that want the 16-byte form."""
    cdb = bytes([_SYNCHRONIZE_CACHE_16]) + bytes(15)
    return ScsiCommand("SYNCHRONIZE CACHE(16)", cdb, timeout_s=_FLUSH_TIMEOUT_S)
