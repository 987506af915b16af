"""WRITE SAME (10) 41h and (16) 93h (SBC-4): one block of data to many addresses.

UNMAP is never set: these commands are here to write. Count 0 would mean "to the end of the medium"
on some drives and an error on others, so it can't be encoded.
"""

from __future__ import annotations

from rasura_agent.drive.port import ScsiCommand
from rasura_agent.drive.scsi.errors import ScsiEncodeError
from rasura_agent.drive.scsi.fields import bounded, field

__all__ = ["write_same_10", "write_same_16"]

_WRITE_SAME_10 = 0x41
_WRITE_SAME_16 = 0x93
_NDOB = 0x01


def write_same_10(lba: int, blocks: int, block: bytes, *, timeout_s: float) -> ScsiCommand:
    """Write ``block`` (exactly one logical block) to ``blocks`` addresses from ``lba``, 32-bit.

    Keep ``blocks`` within ``BlockLimits.maximum_write_same``. Raises ``ScsiEncodeError``.
    """
    cdb = bytearray(10)
    cdb[0] = _WRITE_SAME_10
    cdb[2:6] = field(lba, 32, "LOGICAL BLOCK ADDRESS").to_bytes(4, "big")
    cdb[7:9] = bounded(blocks, 1, 0xFFFF, "NUMBER OF LOGICAL BLOCKS").to_bytes(2, "big")
    return ScsiCommand("WRITE SAME(10)", bytes(cdb), data_out=_one_block(block), timeout_s=timeout_s)


def write_same_16(lba: int, blocks: int, block: bytes | None, *, timeout_s: float) -> ScsiCommand:
    """Write ``block`` to ``blocks`` addresses from ``lba``, 64-bit; see :func:`write_same_10`.

    ``None`` sets NDOB, no data-out buffer (SBC-4): the drive writes zeros.
    """
    cdb = bytearray(16)
    cdb[0] = _WRITE_SAME_16
    cdb[1] = _NDOB if block is None else 0
    cdb[2:10] = field(lba, 64, "LOGICAL BLOCK ADDRESS").to_bytes(8, "big")
    cdb[10:14] = bounded(blocks, 1, 0xFFFF_FFFF, "NUMBER OF LOGICAL BLOCKS").to_bytes(4, "big")
    data = b"" if block is None else _one_block(block)
    return ScsiCommand("WRITE SAME(16)", bytes(cdb), data_out=data, timeout_s=timeout_s)


def _one_block(block: bytes) -> bytes:
    if not block:
        raise ScsiEncodeError("WRITE SAME needs one logical block of data")
    return block
