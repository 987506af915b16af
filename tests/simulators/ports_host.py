"""What the tests of the ports share: commands, a bay whose drive is full of old data, what is left of it."""

from __future__ import annotations

from collections.abc import Callable

from rasura_agent.drive.port import AtaCommand, AtaProtocol, DrivePort
from simulators.ata import SimulatedAtaDrive
from simulators.ata_host import OLD_DATA, USER, password_block
from simulators.ata_options import AtaOptions
from simulators.ports import Bay, ata_bay
from simulators.sat import BridgeOptions
from simulators.world import ManualClock

IDENTIFY = AtaCommand("IDENTIFY DEVICE", 0xEC, AtaProtocol.PIO_IN, count=1, data_in_bytes=512)
FREEZE = AtaCommand("SECURITY FREEZE LOCK", 0xF5)
SANITIZE_STATUS = AtaCommand("SANITIZE STATUS EXT", 0xB4, ext=True)
BLOCK_ERASE = AtaCommand("BLOCK ERASE EXT", 0xB4, feature=0x12, lba=0x426B4572, ext=True)
PREPARE = AtaCommand("SECURITY ERASE PREPARE", 0xF3)


def security(command: int, timeout_s: float = 15.0) -> AtaCommand:
    """A security command with the user password."""
    return AtaCommand("", command, AtaProtocol.PIO_OUT, data_out=password_block(USER), timeout_s=timeout_s)


ERASE_RUN = (IDENTIFY, security(0xF1), PREPARE, security(0xF4, 10000.0), IDENTIFY)
"""All of a SECURITY ERASE UNIT."""


def full_bay(
    options: AtaOptions | None = None, bridge: BridgeOptions | None = None
) -> tuple[Bay, SimulatedAtaDrive]:
    """A bay, and its drive full of old data."""
    made, drive = ata_bay(ManualClock(), 64, options, bridge)
    drive.medium.data[:] = bytes((OLD_DATA,)) * len(drive.medium.data)
    return made, drive


def error_of(call: Callable[[], object]) -> int | None:
    """The errno that a block transfer fails with."""
    try:
        call()
    except OSError as error:
        return error.errno
    return None


def sector() -> memoryview:
    """A buffer of one sector."""
    return memoryview(bytearray(512))


def run(port: DrivePort, commands: tuple[AtaCommand, ...]) -> None:
    """Send one after the other."""
    for command in commands:
        port.execute(command)


def old(drive: SimulatedAtaDrive) -> int:
    """Bytes of old data on the medium."""
    drive.settle()
    return drive.medium.data.count(OLD_DATA)
