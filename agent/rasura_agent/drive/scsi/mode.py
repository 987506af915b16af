"""MODE SENSE and MODE SELECT, (6) and (10): the block descriptor (SPC-5 and SBC-4).

It carries the logical block length and the number of blocks. A new length takes effect with the
next FORMAT UNIT, and until then the drive is "format corrupt". A smaller number of blocks with the
same length takes effect at once and hides the rest of the medium, as a host protected area does
on ATA: compare with the number the drive has when told to use all of it (``blocks=None``).
"""

from __future__ import annotations

from enum import IntEnum

import msgspec

from rasura_agent.drive.port import ScsiCommand
from rasura_agent.drive.scsi.errors import ScsiDecodeError
from rasura_agent.drive.scsi.fields import be, bounded, field, require

__all__ = [
    "READ_WRITE_ERROR_RECOVERY_PAGE",
    "BlockDescriptor",
    "ModeParameters",
    "PageControl",
    "decode_mode_sense_6",
    "decode_mode_sense_10",
    "mode_select_6",
    "mode_select_10",
    "mode_sense_6",
    "mode_sense_10",
]

READ_WRITE_ERROR_RECOVERY_PAGE = 0x01
"""A mode page that every SBC drive has, so a harmless one to ask for along with the block descriptor."""

_MODE_SELECT_6 = 0x15
_MODE_SENSE_6 = 0x1A
_MODE_SELECT_10 = 0x55
_MODE_SENSE_10 = 0x5A
_PF = 0x10
_ALLOCATION = 252
_SHORT_DESCRIPTOR = 8
_LONG_DESCRIPTOR = 16
_SELECT_TIMEOUT_S = 60.0


class PageControl(IntEnum):
    """PC of MODE SENSE."""

    CURRENT = 0
    CHANGEABLE = 1
    DEFAULT = 2
    SAVED = 3


class BlockDescriptor(msgspec.Struct, frozen=True):
    """Mode parameter block descriptor of a direct-access device, in short or long LBA form.

    ``blocks`` as reported: 0 is "not reported", all ones in the short form "more than fits". It is
    what the last MODE SELECT asked for; what the drive is formatted to, READ CAPACITY says.
    """

    blocks: int
    block_bytes: int
    long_lba: bool = False


class ModeParameters(msgspec.Struct, frozen=True):
    """Mode parameter header and block descriptor; ``pages`` is what follows, undecoded."""

    write_protected: bool
    dpo_fua: bool
    block_descriptor: BlockDescriptor | None
    pages: bytes


def mode_sense_6(
    page: int = READ_WRITE_ERROR_RECOVERY_PAGE, *, control: PageControl = PageControl.CURRENT
) -> ScsiCommand:
    """MODE SENSE (6) 1Ah, with the block descriptor in short form."""
    cdb = bytes([_MODE_SENSE_6, 0, control << 6 | field(page, 6, "PAGE CODE"), 0, _ALLOCATION, 0])
    return ScsiCommand("MODE SENSE(6)", cdb, data_in_bytes=_ALLOCATION)


def mode_sense_10(
    page: int = READ_WRITE_ERROR_RECOVERY_PAGE,
    *,
    control: PageControl = PageControl.CURRENT,
    long_lba: bool = False,
) -> ScsiCommand:
    """MODE SENSE (10) 5Ah; ``long_lba`` sets LLBAA, which lets the drive answer in the long form."""
    cdb = bytearray(10)
    cdb[0] = _MODE_SENSE_10
    cdb[1] = long_lba << 4
    cdb[2] = control << 6 | field(page, 6, "PAGE CODE")
    cdb[7:9] = _ALLOCATION.to_bytes(2, "big")
    return ScsiCommand("MODE SENSE(10)", bytes(cdb), data_in_bytes=_ALLOCATION)


def decode_mode_sense_6(data: bytes) -> ModeParameters:
    """Decode MODE SENSE (6) data; raises ``ScsiDecodeError``."""
    require(data, 4, "MODE SENSE(6) data")
    end = min(len(data), data[0] + 1)
    return _decode(data[:end], 4, device_specific=data[2], descriptors_bytes=data[3], long_lba=False)


def decode_mode_sense_10(data: bytes) -> ModeParameters:
    """Decode MODE SENSE (10) data; raises ``ScsiDecodeError``."""
    require(data, 8, "MODE SENSE(10) data")
    end = min(len(data), be(data, 0, 2) + 2)
    return _decode(
        data[:end],
        8,
        device_specific=data[3],
        descriptors_bytes=be(data, 6, 2),
        long_lba=bool(data[4] & 0x01),
    )


def mode_select_6(block_bytes: int, *, blocks: int | None = None, save: bool = False) -> ScsiCommand:
    """MODE SELECT (6) 15h that sets the logical block length; raises ``ScsiEncodeError``.

    ``blocks`` is the number of logical blocks, ``None`` for as many as the medium holds, 0 to keep
    the number where the length stays the same. ``save`` sets SP, which drives without savable
    parameters refuse.
    """
    descriptor = _encode_descriptor(block_bytes, blocks, long_lba=False)
    parameters = bytes([0, 0, 0, len(descriptor)]) + descriptor
    cdb = bytes([_MODE_SELECT_6, _PF | save, 0, 0, len(parameters), 0])
    return ScsiCommand("MODE SELECT(6)", cdb, data_out=parameters, timeout_s=_SELECT_TIMEOUT_S)


def mode_select_10(
    block_bytes: int, *, blocks: int | None = None, long_lba: bool = False, save: bool = False
) -> ScsiCommand:
    """MODE SELECT (10) 55h that sets the logical block length, see :func:`mode_select_6`."""
    descriptor = _encode_descriptor(block_bytes, blocks, long_lba=long_lba)
    parameters = bytes([0, 0, 0, 0, long_lba, 0]) + len(descriptor).to_bytes(2, "big") + descriptor
    cdb = bytes([_MODE_SELECT_10, _PF | save, 0, 0, 0, 0, 0]) + len(parameters).to_bytes(2, "big") + b"\0"
    return ScsiCommand("MODE SELECT(10)", cdb, data_out=parameters, timeout_s=_SELECT_TIMEOUT_S)


def _encode_descriptor(block_bytes: int, blocks: int | None, *, long_lba: bool) -> bytes:
    bits = 64 if long_lba else 32
    count = (1 << bits) - 1 if blocks is None else field(blocks, bits, "NUMBER OF LOGICAL BLOCKS")
    length_bits = 32 if long_lba else 24
    length = bounded(block_bytes, 1, (1 << length_bits) - 1, "LOGICAL BLOCK LENGTH")
    if long_lba:
        return count.to_bytes(8, "big") + bytes(4) + length.to_bytes(4, "big")
    return count.to_bytes(4, "big") + b"\0" + length.to_bytes(3, "big")


def _decode(
    data: bytes, header: int, *, device_specific: int, descriptors_bytes: int, long_lba: bool
) -> ModeParameters:
    size = _LONG_DESCRIPTOR if long_lba else _SHORT_DESCRIPTOR
    if descriptors_bytes % size:
        raise ScsiDecodeError(f"BLOCK DESCRIPTOR LENGTH {descriptors_bytes} is no multiple of {size}")
    pages = header + descriptors_bytes
    require(data, pages, "mode parameter block descriptors")
    descriptor: BlockDescriptor | None = None
    if descriptors_bytes and long_lba:
        descriptor = BlockDescriptor(be(data, header, 8), be(data, header + 12, 4), long_lba=True)
    elif descriptors_bytes:
        descriptor = BlockDescriptor(be(data, header, 4), be(data, header + 5, 3))
    return ModeParameters(
        write_protected=bool(device_specific & 0x80),
        dpo_fua=bool(device_specific & 0x10),
        block_descriptor=descriptor,
        pages=bytes(data[pages:]),
    )
