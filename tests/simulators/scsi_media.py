"""Media access of a simulated SCSI drive: READ, WRITE, WRITE SAME, UNMAP (SBC-4 clause 5)."""

from __future__ import annotations

import struct

from simulators.ports_media import AccessError, AccessFault, Store
from simulators.scsi_mode import ModeParameters
from simulators.scsi_options import ScsiOptions
from simulators.scsi_sense import (
    GOOD,
    NOTHING,
    Answer,
    CheckConditionError,
    Code,
    SenseKey,
    invalid_field,
    invalid_parameter,
    wrong_length,
)
from simulators.world import MediumError

_UNMAP_LIST = 24
"""Bytes of an UNMAP parameter list with one block descriptor."""


class ScsiMedia:
    """The blocks that the application client sees. Whether the drive is ready is somebody else's question."""

    __slots__ = ("_mode", "_options", "_unwritten", "store")

    def __init__(self, options: ScsiOptions, store: Store, mode: ModeParameters) -> None:
        self._options = options
        self._mode = mode
        self.store = store
        self._unwritten: set[int] = set()

    @property
    def block_bytes(self) -> int:
        """Logical block length."""
        return self.store.medium.sector_bytes

    def everything_is_readable(self) -> None:
        """After a format, or a sanitize that wrote all blocks."""
        self._unwritten.clear()

    def must_be_written_first(self) -> None:
        """After a sanitize that left nothing to read."""
        self._unwritten.update(range(self.store.medium.sectors))

    def check_range(self, lba: int, blocks: int) -> None:
        """Raise ``AccessError`` beyond the capacity."""
        if lba + blocks > self._mode.visible_blocks:
            raise AccessError(AccessFault.RANGE, lba)

    def read(self, lba: int, into: memoryview) -> None:
        """Fill ``into`` from ``lba``; raises ``AccessError``."""
        blocks = len(into) // self.block_bytes
        self.check_range(lba, blocks)
        if self._unwritten:
            missing = next((b for b in range(lba, lba + blocks) if b in self._unwritten), None)
            if missing is not None:
                raise AccessError(AccessFault.MEDIUM, missing)
        try:
            self.store.read(lba, into)
        except MediumError as error:
            raise AccessError(AccessFault.MEDIUM, error.lba) from None

    def write(self, lba: int, data: bytes | memoryview, *, through: bool = False) -> None:
        """Write ``data`` at ``lba``, ``through`` the cache if asked or if it is off; raises as ``read``."""
        blocks = len(data) // self.block_bytes
        self.check_range(lba, blocks)
        if self._unwritten:
            self._unwritten.difference_update(range(lba, lba + blocks))
        try:
            self.store.write(lba, data)
        except MediumError as error:
            raise AccessError(AccessFault.MEDIUM, error.lba) from None
        if through or not self._mode.write_cache:
            self.store.flush()

    def refusal(self, error: AccessError, *, writing: bool) -> CheckConditionError:
        """The sense data of a failed access."""
        if error.fault is AccessFault.RANGE:
            return CheckConditionError(SenseKey.ILLEGAL_REQUEST, Code.LOGICAL_BLOCK_ADDRESS_OUT_OF_RANGE)
        code = Code.WRITE_ERROR if writing else Code.UNRECOVERED_READ_ERROR
        if error.lba in self._unwritten:
            code = Code.WRITE_AFTER_SANITIZE_REQUIRED
        return CheckConditionError(SenseKey.MEDIUM_ERROR, code, information=error.lba)

    def read_write(self, cdb: bytes, data_out: bytes, data_in_bytes: int) -> Answer:
        """READ and WRITE, (10) and (16)."""
        lba, blocks = _address(cdb)
        writing = bool(cdb[0] & 0x02)
        self.check_range(lba, blocks)
        length = blocks * self.block_bytes
        _check_data(len(data_out) if writing else data_in_bytes, length)
        if writing:
            self.write(lba, data_out, through=bool(cdb[1] & 0x08))
            return NOTHING
        buffer = bytearray(length)
        self.read(lba, memoryview(buffer))
        return Answer(GOOD, b"", bytes(buffer))

    def write_same(self, cdb: bytes, data_out: bytes) -> Answer:
        """WRITE SAME (10) and (16); zero blocks reach to the end."""
        lba, blocks = _address(cdb)
        long = cdb[0] == 0x93
        no_data_out = long and cdb[1] & 0x01
        if cdb[1] & 0x08 and not self._options.unmaps:
            raise invalid_field(1)
        self.check_range(lba, blocks)
        blocks = blocks or self._mode.visible_blocks - lba
        if self._options.max_write_same and blocks > self._options.max_write_same:
            raise invalid_field(10 if long else 7)
        _check_data(len(data_out), 0 if no_data_out else self.block_bytes)
        return self._fill(lba, blocks, data_out or b"\0")

    def unmap(self, cdb: bytes, data_out: bytes) -> Answer:
        """UNMAP of one block descriptor, as the Block Limits page says; unmapped blocks read as zero."""
        length = cdb[7] << 8 | cdb[8]
        if length != len(data_out) or length not in {0, _UNMAP_LIST}:
            raise wrong_length()
        if not length:
            return NOTHING
        data_length, descriptors, reserved, lba, blocks, tail = struct.unpack(">HHIQII", data_out)
        if (data_length, descriptors, reserved, tail) != (22, 16, 0, 0):
            raise invalid_parameter()
        self.check_range(lba, blocks)
        return self._fill(lba, blocks, b"\0") if blocks else NOTHING

    def _fill(self, lba: int, blocks: int, pattern: bytes) -> Answer:
        self._unwritten.difference_update(range(lba, lba + blocks))
        if self.store.fill(lba + blocks, pattern, start=lba):
            return NOTHING
        bad = min(block for block in self.store.medium.bad if lba <= block < lba + blocks)
        raise AccessError(AccessFault.MEDIUM, bad)


def _address(cdb: bytes) -> tuple[int, int]:
    """(first block, number of blocks) of a 10 or 16 byte CDB."""
    if cdb[0] & 0x80:
        return int.from_bytes(cdb[2:10], "big"), int.from_bytes(cdb[10:14], "big")
    return int.from_bytes(cdb[2:6], "big"), cdb[7] << 8 | cdb[8]


def _check_data(transferred: int, length: int) -> None:
    if transferred != length:
        raise CheckConditionError(SenseKey.ABORTED_COMMAND, Code.DATA_PHASE_ERROR)
