"""A host for tests of the simulated SCSI drive: CDBs as sg3_utils would send them."""

from __future__ import annotations

import math

from simulators.scsi import SimulatedScsiDrive
from simulators.scsi_options import ScsiOptions
from simulators.scsi_sense import CHECK_CONDITION, GOOD, Answer
from simulators.world import ManualClock, Medium

OLD_DATA = 0xA5
"""Every byte of a medium that a test has not erased yet."""


class Host:
    """A drive full of old data, its unit attention already taken, and the commands to it."""

    def __init__(
        self,
        options: ScsiOptions | None = None,
        *,
        blocks: int = 64,
        block_bytes: int = 512,
        attended: bool = True,
    ) -> None:
        self.clock = ManualClock()
        self.medium = Medium(block_bytes, blocks)
        self.medium.data[:] = bytes((OLD_DATA,)) * len(self.medium.data)
        self.drive = SimulatedScsiDrive(self.clock, self.medium, options)
        if attended:
            self.send("00 00 00 00 00 00")

    def send(self, cdb: str | bytes, out: bytes = b"", into: int = 0, timeout_s: float = math.inf) -> Answer:
        raw = bytes.fromhex(cdb) if isinstance(cdb, str) else cdb
        return self.drive.execute(raw, out, into, timeout_s)

    def ready(self) -> Answer:
        return self.send("00 00 00 00 00 00")

    def request_sense(self, *, descriptor: bool = False) -> bytes:
        answer = self.send(bytes((0x03, descriptor, 0, 0, 252, 0)), b"", 252)
        assert answer.status == GOOD
        return answer.data

    def read(self, lba: int = 0, blocks: int = 1) -> Answer:
        cdb = b"\x28\0" + lba.to_bytes(4, "big") + b"\0" + blocks.to_bytes(2, "big") + b"\0"
        return self.send(cdb, b"", blocks * self.medium.sector_bytes)

    def write(self, lba: int, data: bytes) -> Answer:
        blocks = len(data) // self.medium.sector_bytes
        return self.send(b"\x2a\0" + lba.to_bytes(4, "big") + b"\0" + blocks.to_bytes(2, "big") + b"\0", data)

    def capacity(self) -> tuple[int, int]:
        """(blocks, bytes of a block) by READ CAPACITY(16)."""
        data = self.send("9e 10 00 00 00 00 00 00 00 00 00 00 00 20 00 00", b"", 32).data
        return int.from_bytes(data[:8], "big") + 1, int.from_bytes(data[8:12], "big")

    def overwrite(
        self,
        *,
        passes: int = 1,
        pattern: bytes = b"\0",
        invert: bool = False,
        immediate: bool = True,
        ause: bool = False,
    ) -> Answer:
        data = bytes((invert << 7 | passes, 0)) + len(pattern).to_bytes(2, "big") + pattern
        action = immediate << 7 | ause << 5 | 1
        return self.send(bytes((0x48, action, 0, 0, 0, 0, 0)) + len(data).to_bytes(2, "big") + b"\0", data)

    def sanitize(
        self, action: int, *, immediate: bool = True, ause: bool = False, timeout_s: float = math.inf
    ) -> Answer:
        cdb = bytes((0x48, immediate << 7 | ause << 5 | action, 0, 0, 0, 0, 0, 0, 0, 0))
        return self.send(cdb, timeout_s=timeout_s)

    def block_erase(
        self, *, immediate: bool = True, ause: bool = False, timeout_s: float = math.inf
    ) -> Answer:
        return self.sanitize(2, immediate=immediate, ause=ause, timeout_s=timeout_s)

    def crypto_erase(self, *, ause: bool = False) -> Answer:
        return self.sanitize(3, ause=ause)

    def exit_failure_mode(self) -> Answer:
        return self.sanitize(0x1F, immediate=False)

    def format(self, *, immediate: bool = True) -> Answer:
        """As ``sg_format --format`` does, with a parameter list of a short header only."""
        return self.send("04 10 00 00 00 00", bytes((0, immediate << 1, 0, 0)))

    def select_blocks(self, length: int, blocks: int = 0) -> Answer:
        """MODE SELECT(10) with a short LBA block descriptor, as ``sg_format --size --count``."""
        data = bytes(7) + b"\x08" + blocks.to_bytes(4, "big") + length.to_bytes(4, "big")
        return self.send("55 10 00 00 00 00 00 00 10 00", data)

    def power_cycle(self, seconds: float = 0.0) -> None:
        self.drive.power_off()
        self.clock.sleep(seconds)
        self.drive.power_on()
        self.ready()

    def sectors_with_old_data(self) -> list[int]:
        """By looking at the medium itself."""
        self.drive.settle()
        size, old = self.medium.sector_bytes, bytes((OLD_DATA,)) * self.medium.sector_bytes
        return [i for i in range(self.medium.sectors) if self.medium.data[i * size : (i + 1) * size] == old]


def sense(answer: Answer | bytes) -> tuple[int, int, int]:
    """(key, ASC, ASCQ) of fixed or descriptor format; (0, 0, 0) of GOOD status."""
    raw = answer if isinstance(answer, bytes) else answer.sense
    if isinstance(answer, Answer):
        assert (answer.status == CHECK_CONDITION) is bool(raw)
        if not raw:
            return 0, 0, 0
    if raw[0] & 0x7F == 0x70:
        return raw[2] & 0x0F, raw[12], raw[13]
    assert raw[0] & 0x7F == 0x72
    return raw[1], raw[2], raw[3]


OK = (0, 0, 0)
POWER_ON = (6, 0x29, 0x00)
INVALID_OPCODE = (5, 0x20, 0x00)
INVALID_FIELD = (5, 0x24, 0x00)
INVALID_PARAMETER = (5, 0x26, 0x00)
LIST_LENGTH = (5, 0x1A, 0x00)
OUT_OF_RANGE = (5, 0x21, 0x00)
SANITIZING = (2, 0x04, 0x1B)
SANITIZE_FAILED = (3, 0x31, 0x03)
FORMATTING = (2, 0x04, 0x04)
FORMAT_FAILED = (3, 0x31, 0x01)
CORRUPT = (3, 0x31, 0x00)
STOPPED = (2, 0x04, 0x02)
DATA_PHASE = (0xB, 0x4B, 0x00)
