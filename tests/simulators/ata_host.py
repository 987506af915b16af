"""A host for tests of the simulated ATA drive: taskfiles as hdparm would send them."""

from __future__ import annotations

import math

from simulators.ata import SimulatedAtaDrive
from simulators.ata_options import AtaOptions, Opcode, Outputs, Protocol
from simulators.world import ManualClock, Medium

USER = b"user password".ljust(32, b"\0")
WRONG = b"wrong".ljust(32, b"\0")
OLD_DATA = 0xA5
"""Every byte of a medium that a test has not erased yet."""


def password_block(
    password: bytes,
    *,
    master: bool = False,
    enhanced: bool = False,
    maximum: bool = False,
    identifier: int = 0,
) -> bytes:
    """The 512 bytes of a security command (ACS-4 tables 128 to 136)."""
    head = bytes((master | enhanced << 1, maximum))
    return (head + password + identifier.to_bytes(2, "little")).ljust(512, b"\0")


class Host:
    """A drive full of old data and the commands to it. ``ok`` says whether outputs are without error."""

    def __init__(
        self, options: AtaOptions | None = None, *, sectors: int = 64, sector_bytes: int = 512
    ) -> None:
        self.clock = ManualClock()
        self.medium = Medium(sector_bytes, sectors)
        self.medium.data[:] = bytes((OLD_DATA,)) * len(self.medium.data)
        self.drive = SimulatedAtaDrive(self.clock, self.medium, options)

    def non_data(
        self,
        command: int,
        feature: int = 0,
        count: int = 0,
        lba: int = 0,
        *,
        ext: bool = False,
        device: int = 0x40,
        timeout_s: float = math.inf,
    ) -> Outputs:
        return self.drive.taskfile(
            command, feature, count, lba, device, Protocol.NON_DATA, ext, timeout_s=timeout_s
        )

    def pio_in(
        self, command: int, feature: int = 0, count: int = 1, lba: int = 0, *, ext: bool = False
    ) -> Outputs:
        return self.drive.taskfile(command, feature, count, lba, 0x40, Protocol.PIO_IN, ext)

    def pio_out(
        self,
        command: int,
        data: bytes,
        feature: int = 0,
        lba: int = 0,
        *,
        count: int = 1,
        ext: bool = False,
        timeout_s: float = math.inf,
    ) -> Outputs:
        return self.drive.taskfile(
            command, feature, count, lba, 0x40, Protocol.PIO_OUT, ext, data, timeout_s=timeout_s
        )

    def identify_word(self, word: int) -> int:
        page = self.pio_in(Opcode.IDENTIFY_DEVICE).data_in
        return int.from_bytes(page[2 * word : 2 * word + 2], "little")

    def set_password(self, password: bytes = USER, **fields: bool | int) -> Outputs:
        return self.pio_out(Opcode.SECURITY_SET_PASSWORD, _block(password, fields))

    def unlock(self, password: bytes = USER, **fields: bool | int) -> Outputs:
        return self.pio_out(Opcode.SECURITY_UNLOCK, _block(password, fields))

    def disable(self, password: bytes = USER, **fields: bool | int) -> Outputs:
        return self.pio_out(Opcode.SECURITY_DISABLE_PASSWORD, _block(password, fields))

    def prepare(self) -> Outputs:
        return self.non_data(Opcode.SECURITY_ERASE_PREPARE)

    def erase(self, password: bytes = USER, timeout_s: float = math.inf, **fields: bool | int) -> Outputs:
        """SECURITY ERASE UNIT, right after SECURITY ERASE PREPARE."""
        self.prepare()
        data = _block(password, fields)
        return self.pio_out(Opcode.SECURITY_ERASE_UNIT, data, timeout_s=timeout_s)

    def freeze(self) -> Outputs:
        return self.non_data(Opcode.SECURITY_FREEZE_LOCK)

    def sanitize(self, feature: int, count: int = 0, lba: int = 0) -> Outputs:
        return self.non_data(Opcode.SANITIZE_DEVICE, feature, count, lba, ext=True)

    def crypto_scramble(self, count: int = 0) -> Outputs:
        return self.sanitize(0x0011, count, 0x43727970)

    def block_erase(self, count: int = 0) -> Outputs:
        return self.sanitize(0x0012, count, 0x426B4572)

    def overwrite(self, count: int = 1, pattern: int = 0) -> Outputs:
        return self.sanitize(0x0014, count, 0x4F57 << 32 | pattern)

    def sanitize_freeze(self) -> Outputs:
        return self.sanitize(0x0020, 0, 0x46724C6B)

    def antifreeze(self) -> Outputs:
        return self.sanitize(0x0040, 0, 0x416E7469)

    def sanitize_status(self, *, clear: bool = False) -> Outputs:
        return self.sanitize(0x0000, int(clear))

    def read_native_max(self) -> Outputs:
        return self.non_data(Opcode.READ_NATIVE_MAX_ADDRESS_EXT, ext=True)

    def set_max(self, sectors: int, *, permanent: bool = True) -> Outputs:
        """SET MAX ADDRESS EXT, right after READ NATIVE MAX ADDRESS EXT."""
        self.read_native_max()
        return self.non_data(Opcode.SET_MAX_ADDRESS_EXT, 0, int(permanent), sectors - 1, ext=True)

    def dco(self, feature: int) -> Outputs:
        return self.non_data(Opcode.DEVICE_CONFIGURATION, feature)

    def read(self, lba: int = 0, sectors: int = 1) -> Outputs:
        return self.pio_in(Opcode.READ_SECTORS_EXT, 0, sectors, lba, ext=True)

    def write(self, lba: int, data: bytes) -> Outputs:
        count = len(data) // self.medium.sector_bytes
        return self.pio_out(Opcode.WRITE_SECTORS_EXT, data, 0, lba, count=count, ext=True)

    def flush(self) -> Outputs:
        return self.non_data(Opcode.FLUSH_CACHE_EXT, ext=True)

    def power_cycle(self) -> None:
        self.drive.power_off()
        self.drive.power_on()

    def sectors_with_old_data(self) -> list[int]:
        """By looking at the medium itself."""
        self.drive.settle()
        size, old = self.medium.sector_bytes, bytes((OLD_DATA,)) * self.medium.sector_bytes
        return [i for i in range(self.medium.sectors) if self.medium.data[i * size : (i + 1) * size] == old]


def _block(password: bytes, fields: dict[str, bool | int]) -> bytes:
    return password_block(
        password,
        master=bool(fields.get("master", False)),
        enhanced=bool(fields.get("enhanced", False)),
        maximum=bool(fields.get("maximum", False)),
        identifier=int(fields.get("identifier", 0)),
    )


def ok(outputs: Outputs) -> bool:
    """Whether a command completed without error; with one, it must say ABRT, IDNF or UNC."""
    status, error = outputs.status, outputs.error
    assert bool(status & 0x01) is bool(error), outputs
    return not error
