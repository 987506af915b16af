"""Mode parameters of a simulated SCSI drive (SPC-5 clause 7.5, SBC-4 clause 6.5)."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from simulators.scsi_options import ScsiOptions
from simulators.scsi_sense import invalid_field, invalid_parameter, wrong_length
from simulators.world import Medium

_RECOVERY, _CACHING, _CONTROL, _ALL = 0x01, 0x08, 0x0A, 0x3F
_WCE = 0x04
_D_SENSE = 0x04
_DPOFUA = 0x10
_PAGE_LENGTHS = {_RECOVERY: 0x0A, _CACHING: 0x12, _CONTROL: 0x0A}
_CHANGEABLE = {_RECOVERY: 0, _CACHING: _WCE, _CONTROL: _D_SENSE}
"""The changeable bits, all in byte 2 of their page."""


@dataclass(frozen=True, slots=True)
class Pending:
    """A block length and how many blocks of it (``None``: all that fit) that wait for FORMAT UNIT."""

    block_bytes: int
    blocks: int | None


class ModeParameters:
    """Current values. The block length of the medium itself changes only by FORMAT UNIT."""

    def __init__(self, options: ScsiOptions, medium: Medium) -> None:
        self._options = options
        self._medium = medium
        self.visible_blocks = medium.sectors if options.visible_blocks is None else options.visible_blocks
        self.power_on()

    def power_on(self) -> None:
        """Values that are not saved go back; the capacity stays."""
        self.descriptor_sense = self._options.descriptor_sense
        self.write_cache = self._options.write_cache
        self.pending: Pending | None = None

    # MODE SENSE

    def sense(self, cdb: bytes) -> bytes:
        """Mode parameter data for MODE SENSE(6) or (10); raises ``CheckConditionError``."""
        long = cdb[0] == 0x5A
        control, code = cdb[2] >> 6, cdb[2] & 0x3F
        if cdb[3]:
            raise invalid_field(3)
        # Page code 00h is vendor specific; here it is no page at all.
        codes = tuple(_PAGE_LENGTHS) if code == _ALL else (code,) if code else ()
        if any(code not in _PAGE_LENGTHS for code in codes):
            raise invalid_field(2)
        long_lba = long and bool(cdb[1] & 0x10)
        descriptor = b"" if cdb[1] & 0x08 else self._descriptor(long_lba=long_lba)
        body = descriptor + b"".join(self._page(code, control) for code in codes)
        if long:
            return struct.pack(">HBBBxH", len(body) + 6, 0, _DPOFUA, long_lba, len(descriptor)) + body
        return struct.pack(">BBBB", len(body) + 3, 0, _DPOFUA, len(descriptor)) + body

    def _descriptor(self, *, long_lba: bool) -> bytes:
        blocks, length = self.visible_blocks, self._medium.sector_bytes
        if self.pending is not None:
            length = self.pending.block_bytes
            blocks = self._most(length) if self.pending.blocks is None else self.pending.blocks
        if long_lba:
            return struct.pack(">Q4xI", blocks, length)
        return struct.pack(">II", min(blocks, 0xFFFFFFFF), length)

    def _page(self, code: int, control: int) -> bytes:
        page = bytearray(_PAGE_LENGTHS[code] + 2)
        page[0], page[1] = code, _PAGE_LENGTHS[code]
        if control == 1:
            page[2] = _CHANGEABLE[code]
            return bytes(page)
        current = {_CACHING: self.write_cache, _CONTROL: self.descriptor_sense, _RECOVERY: False}
        default = {_CACHING: self._options.write_cache, _CONTROL: self._options.descriptor_sense}
        if (current if control == 0 else default).get(code, False):
            page[2] = _CHANGEABLE[code]
        return bytes(page)

    # MODE SELECT

    def select(self, data: bytes, *, long: bool) -> None:
        """Take over a parameter list, all of it or nothing; raises ``CheckConditionError``."""
        header = 8 if long else 4
        if len(data) < header:
            raise wrong_length()
        if long:
            reserved, flags, descriptor_bytes = (
                data[0] | data[1] | data[2] | data[5],
                data[4],
                data[6] << 8 | data[7],
            )
        else:
            reserved, flags, descriptor_bytes = data[0] | data[1], 0, data[3]
        if reserved or flags & ~0x01 or descriptor_bytes not in {0, 16 if flags else 8}:
            raise invalid_parameter()
        if len(data) < header + descriptor_bytes:
            raise wrong_length()
        descriptor = data[header : header + descriptor_bytes]
        wanted = self._parse_descriptor(descriptor, long_lba=bool(flags)) if descriptor else None
        pages = self._parse_pages(data[header + descriptor_bytes :])
        if wanted is not None:
            self._take(*wanted)
        if _CACHING in pages:
            self.write_cache = bool(pages[_CACHING])
        if _CONTROL in pages:
            self.descriptor_sense = bool(pages[_CONTROL])

    def _most(self, block_bytes: int) -> int:
        return len(self._medium.data) // block_bytes

    def _parse_descriptor(self, data: bytes, *, long_lba: bool) -> tuple[int, int]:
        """(number of logical blocks, logical block length), as sent; -1 for "all"."""
        if long_lba:
            blocks, reserved, length = struct.unpack(">QII", data)
            everything = blocks == (1 << 64) - 1
        else:
            blocks, length = struct.unpack(">II", data)
            reserved, length = length >> 24, length & 0xFFFFFF
            everything = blocks == (1 << 32) - 1
        length = length or self._medium.sector_bytes
        if reserved or (length != self._medium.sector_bytes and length not in self._options.block_lengths):
            raise invalid_parameter()
        if everything:
            return -1, length
        if blocks > self._most(length):
            raise invalid_parameter()
        return blocks, length

    def _take(self, blocks: int, length: int) -> None:
        """Another length waits for FORMAT UNIT; another number of blocks of the same length holds at once."""
        if length != self._medium.sector_bytes:
            self.pending = Pending(length, blocks if blocks > 0 else None)
            return
        self.pending = None
        if blocks:
            self.visible_blocks = self._most(length) if blocks < 0 else blocks

    @staticmethod
    def _parse_pages(data: bytes) -> dict[int, int]:
        pages = {}
        while data:
            if len(data) < 2:
                raise wrong_length()
            code, length = data[0], data[1]
            if _PAGE_LENGTHS.get(code) != length:
                raise invalid_parameter()
            if len(data) < length + 2:
                raise wrong_length()
            if data[2] & ~_CHANGEABLE[code] or any(data[3 : length + 2]):
                raise invalid_parameter()
            pages[code] = data[2]
            data = data[length + 2 :]
        return pages

    def formatted(self) -> None:
        """FORMAT UNIT succeeded: what waited for it holds."""
        if self.pending is None:
            return
        medium, pending = self._medium, self.pending
        old = medium.sector_bytes
        # Sectors lie elsewhere now; a defect of the medium stays where it is.
        medium.bad = {sector * old // pending.block_bytes for sector in medium.bad}
        medium.sector_bytes = pending.block_bytes
        medium.sectors = self._most(pending.block_bytes)
        self.visible_blocks = medium.sectors if pending.blocks is None else pending.blocks
        self.pending = None
