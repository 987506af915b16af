"""Our MMC commands, through our transport, to a simulated eMMC that knows nothing of them."""

import ctypes
import errno
import os
import struct

import pytest

from rasura_agent.drive.mmc.commands import EMMC_RCA, send_ext_csd, send_status
from rasura_agent.drive.mmc.erase import (
    EraseArgument,
    erase_sequence,
    erase_timeout_s,
    sanitize,
    sequence_outcome,
)
from rasura_agent.drive.mmc.ext_csd import ExtCsd, decode_ext_csd
from rasura_agent.drive.mmc.status import completed
from rasura_agent.drive.port import Completion, Disposition
from rasura_agent.drive.transport.mmc_ioctl import MmcIoctlTransport
from simulators.mmc import SimulatedEmmc
from simulators.mmc_ports import bring_up
from simulators.mmc_types import Area, DeviceGoneError, MmcBusError, MmcOptions
from simulators.world import ManualClock, Medium

LAYOUT = struct.Struct("<iiII4IIIIIIIIIQ")
SECTORS = 4096
SECRET = b"somebody's data, to be gone"


class Drive:
    """A simulated eMMC behind the structures of the kernel's MMC block driver."""

    def __init__(self) -> None:
        medium = Medium(512, SECTORS)
        medium.write(700, SECRET.ljust(512, b"\0"))
        # So small a device counts its addresses in bytes.
        self.device = SimulatedEmmc(ManualClock(), medium, options=MmcOptions(byte_addressed=True))
        self.port = MmcIoctlTransport(3, self._ioctl, self.device.clock.monotonic)

    def _ioctl(self, fd: int, request: int, argument: bytearray | int, /) -> int:
        assert isinstance(argument, bytearray)
        header = {0xC048B300: 0, 0xC008B301: 8}[request]
        try:
            bring_up(self.device, Area.USER)
            for offset in range(header, len(argument), LAYOUT.size):
                self._carry_out(argument, offset)
        except MmcBusError as error:
            number = errno.ETIMEDOUT if error.timed_out else errno.EILSEQ
            raise OSError(number, os.strerror(number)) from None
        except DeviceGoneError:
            raise OSError(errno.ENOMEDIUM, os.strerror(errno.ENOMEDIUM)) from None
        return 0

    def _carry_out(self, argument: bytearray, offset: int) -> None:
        words = LAYOUT.unpack_from(argument, offset)
        write, opcode, arg, flags, length, pointer = (
            *words[:1],
            *words[2:4],
            words[8],
            words[9] * words[10],
            words[16],
        )
        if opcode == 6 and arg >> 16 & 0xFF == 165:
            # mmc_sanitize(): the kernel makes the command itself, looks at the status, returns no response.
            self.device.command(6, 3 << 24 | 165 << 16 | 1 << 8, flags)
            (status, *_), _ = self.device.command(13, 1 << 16)
            if status & 1 << 7:
                raise OSError(errno.EBADMSG, os.strerror(errno.EBADMSG))
            return
        response, data = self.device.command(opcode, arg, flags, write=bool(write), data_len=length)
        ctypes.memmove(pointer, data, len(data))
        struct.pack_into("<4I", argument, offset + 16, *response)

    def register(self) -> ExtCsd:
        completion = self.port.execute(send_ext_csd())
        assert completion.disposition is Disposition.DONE, completion.detail
        return decode_ext_csd(completion.data)

    def erase(
        self, argument: EraseArgument, start: int = 0, end: int = SECTORS - 1
    ) -> tuple[Completion, ...]:
        timeout_s = erase_timeout_s(self.register(), argument, (end - start + 1) * 512)
        assert not self.register().block_addressed
        return self.port.execute_sequence(
            erase_sequence(start * 512, end * 512, argument, rca=EMMC_RCA, timeout_s=timeout_s)
        )

    @property
    def readable(self) -> bool:
        return SECRET in self.device.areas[Area.USER].medium.data


def test_the_register() -> None:
    register = Drive().register()
    assert register.user_area_bytes in {0, SECTORS * 512}
    assert register.hc_erase_group_bytes % (512 * 1024) == 0


def test_an_erase_unmaps_and_a_sanitize_removes() -> None:
    drive = Drive()
    assert sequence_outcome(drive.erase(EraseArgument.ERASE))[0] is Disposition.DONE
    assert not drive.readable
    assert drive.device.holds(SECRET)
    assert drive.port.execute(sanitize(timeout_s=600)).disposition is Disposition.DONE
    assert not drive.device.holds(SECRET)


@pytest.mark.parametrize("argument", [EraseArgument.TRIM, EraseArgument.SECURE_ERASE])
def test_other_erases(argument: EraseArgument) -> None:
    drive = Drive()
    assert sequence_outcome(drive.erase(argument))[0] is Disposition.DONE
    assert not drive.readable
    assert drive.device.holds(SECRET) == (argument is EraseArgument.TRIM)


def test_secure_trim_takes_both_steps() -> None:
    drive = Drive()
    assert sequence_outcome(drive.erase(EraseArgument.SECURE_TRIM_STEP_1))[0] is Disposition.DONE
    assert drive.device.holds(SECRET)
    assert sequence_outcome(drive.erase(EraseArgument.SECURE_TRIM_STEP_2))[0] is Disposition.DONE
    assert not drive.device.holds(SECRET)


def test_a_range_beyond_the_end_is_no_success() -> None:
    drive = Drive()
    outcome, words = sequence_outcome(drive.erase(EraseArgument.TRIM, end=SECTORS * 2))
    assert outcome is not Disposition.DONE, words
    assert drive.readable


def test_commands_one_by_one_are_a_sequence_only_if_nothing_comes_between() -> None:
    drive = Drive()
    start, end, erase, _ = erase_sequence(0, (SECTORS - 1) * 512, EraseArgument.ERASE, rca=1, timeout_s=60)
    drive.port.execute(start)
    drive.port.execute(send_ext_csd())
    drive.port.execute(end)
    taken = drive.port.execute(erase).disposition
    status = drive.port.execute(send_status(EMMC_RCA)).mmc_response
    assert status is not None
    assert taken is not Disposition.DONE or completed(status[0])[0] is not Disposition.DONE
    assert drive.readable


def test_a_write_protected_group_is_skipped_and_that_is_no_success() -> None:
    drive = Drive()
    drive.device.areas[Area.USER].protected_groups.add(700 // drive.device.options.wp_group_sectors)
    outcome, _ = sequence_outcome(drive.erase(EraseArgument.ERASE))
    assert outcome is Disposition.UNKNOWN
    assert drive.readable


def test_a_sanitize_that_never_ends_is_unknown() -> None:
    drive = Drive()
    drive.device.faults.sanitize_sticks = True
    assert drive.port.execute(sanitize(timeout_s=60)).disposition is Disposition.UNKNOWN


def test_a_device_that_is_gone() -> None:
    drive = Drive()
    drive.device.hot_unplug()
    assert drive.port.execute(send_status(EMMC_RCA)).disposition is Disposition.UNKNOWN
