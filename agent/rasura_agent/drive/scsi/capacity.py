"""READ CAPACITY (10) and (16): how many logical blocks, and of what length (SBC-4)."""

from __future__ import annotations

import msgspec

from rasura_agent.drive.port import ScsiCommand
from rasura_agent.drive.scsi.errors import ScsiDecodeError
from rasura_agent.drive.scsi.fields import be, require

__all__ = [
    "Capacity",
    "decode_read_capacity_10",
    "decode_read_capacity_16",
    "read_capacity_10",
    "read_capacity_16",
]

_READ_CAPACITY_10 = 0x25
_SERVICE_ACTION_IN_16 = 0x9E
_READ_CAPACITY_16 = 0x10
_DATA_10 = 8
_DATA_16 = 32
_USABLE_BLOCK_BYTES = frozenset({512, 1024, 2048, 4096})


class Capacity(msgspec.Struct, frozen=True):
    """Size and layout of a logical unit. Fields after ``block_bytes`` are ``None`` from the 10-byte form.

    ``blocks`` is ``None`` when READ CAPACITY (10) could not express it: ask with the 16-byte form.
    """

    blocks: int | None
    block_bytes: int
    """LOGICAL BLOCK LENGTH, bytes of user data; protection information is not counted."""
    blocks_per_physical_exponent: int | None = None
    """LBPPBE: a physical block holds 2 to the power of this many logical blocks."""
    lowest_aligned_lba: int | None = None
    protection_type: int | None = None
    """0 without protection information, else 1 to 3; higher is reserved."""
    protection_interval_exponent: int | None = None
    provisioning_managed: bool | None = None
    """LBPME: thin or resource provisioned."""
    reads_zero_when_unmapped: bool | None = None
    """LBPRZ."""

    @property
    def total_bytes(self) -> int | None:
        """User data bytes, where the block count is known."""
        return None if self.blocks is None else self.blocks * self.block_bytes

    @property
    def physical_block_bytes(self) -> int | None:
        """Bytes of a physical block, where reported."""
        exponent = self.blocks_per_physical_exponent
        return None if exponent is None else self.block_bytes << exponent

    @property
    def usable_by_linux(self) -> bool:
        """Whether the kernel's ``sd`` driver makes a block device with a size from it.

        It does not for 520, 524 or 528-byte blocks: such a drive must be reformatted first.
        """
        return self.block_bytes in _USABLE_BLOCK_BYTES


def read_capacity_10() -> ScsiCommand:
    """READ CAPACITY (10) 25h."""
    return ScsiCommand("READ CAPACITY(10)", bytes([_READ_CAPACITY_10]) + bytes(9), data_in_bytes=_DATA_10)


def read_capacity_16() -> ScsiCommand:
    """READ CAPACITY (16) 9Eh/10h."""
    cdb = (
        bytes([_SERVICE_ACTION_IN_16, _READ_CAPACITY_16]) + bytes(8) + _DATA_16.to_bytes(4, "big") + bytes(2)
    )
    return ScsiCommand("READ CAPACITY(16)", cdb, data_in_bytes=_DATA_16)


def decode_read_capacity_10(data: bytes) -> Capacity:
    """Decode READ CAPACITY (10) data; raises ``ScsiDecodeError``."""
    require(data, _DATA_10, "READ CAPACITY(10) data")
    last = be(data, 0, 4)
    return Capacity(None if last == 0xFFFF_FFFF else last + 1, _block_bytes(be(data, 4, 4)))


def decode_read_capacity_16(data: bytes) -> Capacity:
    """Decode READ CAPACITY (16) data; raises ``ScsiDecodeError``.

    The 12 bytes every version of the command returns suffice; what is cut off after them is ``None``.
    """
    require(data, 12, "READ CAPACITY(16) data")
    last = be(data, 0, 8)
    if last == (1 << 64) - 1:
        raise ScsiDecodeError("READ CAPACITY(16) returned no last block address")
    blocks, block_bytes = last + 1, _block_bytes(be(data, 8, 4))
    if len(data) < 16:
        return Capacity(blocks, block_bytes)
    provisioning = be(data, 14, 2)
    return Capacity(
        blocks=blocks,
        block_bytes=block_bytes,
        blocks_per_physical_exponent=data[13] & 0x0F,
        lowest_aligned_lba=provisioning & 0x3FFF,
        protection_type=(data[12] >> 1 & 0x07) + 1 if data[12] & 0x01 else 0,
        protection_interval_exponent=data[13] >> 4,
        provisioning_managed=bool(provisioning & 0x8000),
        reads_zero_when_unmapped=bool(provisioning & 0x4000),
    )


def _block_bytes(value: int) -> int:
    if value == 0:
        raise ScsiDecodeError("READ CAPACITY returned a block length of 0")
    return value
