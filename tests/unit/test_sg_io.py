"""SG_IO: what is handed to the kernel, and what its answer comes to. The kernel's part is played by hand."""

from __future__ import annotations

import ctypes
import errno
import os
import shutil
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from rasura.errors import RefusedError
from rasura_agent.drive.ata.errors import AtaEncodeError
from rasura_agent.drive.ata.passthrough import ata_pass_through_12
from rasura_agent.drive.port import (
    AtaCommand,
    AtaProtocol,
    Completion,
    Disposition,
    MmcCommand,
    NvmeCommand,
    ScsiCommand,
)
from rasura_agent.drive.scsi.inquiry import inquiry
from rasura_agent.drive.scsi.poll import unit_ready_test
from rasura_agent.drive.scsi.sanitize import sanitize_overwrite
from rasura_agent.drive.transport.sg_io import SENSE_BYTES, SG_IO, SgIoHeader, SgIoTransport
from simulators.world import ManualClock

DONE, REFUSED, UNKNOWN = Disposition.DONE, Disposition.REFUSED, Disposition.UNKNOWN

ILLEGAL_OPCODE = bytes.fromhex("70 00 05 00 00 00 00 0a 00 00 00 00 20 00 00 00 00 00")
RECOVERED = bytes.fromhex("72 01 00 1d 00 00 00 0e")
OVERWRITE = sanitize_overwrite(bytes(4), count=1, invert=False, allow_unrestricted_exit=True)
IDENTIFY = AtaCommand("IDENTIFY DEVICE", 0xEC, AtaProtocol.PIO_IN, count=1, data_in_bytes=512)
SANITIZE_STATUS = AtaCommand("SANITIZE STATUS EXT", 0xB4, ext=True, device=0x40)
ERASE_UNIT = AtaCommand("SECURITY ERASE UNIT", 0xF4, AtaProtocol.PIO_OUT, count=1, data_out=bytes(512))


def registers(*, status: int, error: int = 0, count: int = 0, lba: int = 0) -> bytes:
    """Descriptor-format sense data with the ATA Status Return descriptor (SAT-4), upper bytes included."""
    low = [count >> 8 & 0xFF, count & 0xFF, lba >> 24 & 0xFF, lba & 0xFF, lba >> 32 & 0xFF, lba >> 8 & 0xFF]
    high = [lba >> 40 & 0xFF, lba >> 16 & 0xFF, 0x40, status]
    key = 0x0B if status & 0x01 else 0x01
    return bytes([0x72, key, *RECOVERED[2:], 0x09, 0x0C, 0x01, error, *low, *high])


@dataclass(slots=True)
class Kernel:
    """Answers SG_IO as ``scsi_complete_sghdr_rq`` of Linux fills the header, and keeps what it was handed.

    With CHECK CONDITION the driver status is 08h whether or not there is sense data; the data buffer
    is filled as far as the drive sent anything, and the rest keeps what was in it.
    """

    status: int = 0
    host_status: int = 0
    sense: bytes = b""
    data_in: bytes = b""
    not_taken: int = 0
    error: int | None = None
    clock: ManualClock = field(default_factory=ManualClock)
    took_s: float = 0.0
    spoil: dict[str, int] = field(default_factory=dict)
    seen: list[tuple[int, bytes, bytes, int]] = field(default_factory=list)
    """(data direction, CDB, data-out, time-out in ms) of every call."""

    def __call__(self, descriptor: int, header: SgIoHeader) -> None:
        assert header.interface_id == ord("S")
        assert header.mx_sb_len == SENSE_BYTES
        assert (header.iovec_count, header.flags) == (0, 0)
        cdb = ctypes.string_at(header.cmdp, header.cmd_len)
        out = ctypes.string_at(header.dxferp, header.dxfer_len) if header.dxfer_direction == -2 else b""
        self.seen.append((header.dxfer_direction, cdb, out, header.timeout))
        self.clock.sleep(self.took_s)
        if self.error is not None:
            raise OSError(self.error, os.strerror(self.error))
        header.status = self.status
        header.masked_status = self.status >> 1 & 0x1F
        header.host_status = self.host_status
        header.driver_status = 0x08 if self.status == 0x02 else 0
        header.resid = self.not_taken
        if header.dxfer_direction == -3:
            sent = self.data_in[: header.dxfer_len]
            ctypes.memmove(header.dxferp, sent, len(sent))
            header.resid = header.dxfer_len - len(sent)
        length = min(header.mx_sb_len, len(self.sense), 96)
        ctypes.memmove(header.sbp, self.sense, length)
        header.sb_len_wr = length
        header.info = 1 if self.status or self.host_status else 0
        for name, value in self.spoil.items():
            setattr(header, name, value)

    def execute(self, command: ScsiCommand | AtaCommand) -> Completion:
        return SgIoTransport(3, ioctl=self, monotonic=self.clock.monotonic).execute(command)


def test_header_is_the_kernels_own(tmp_path: Path) -> None:
    compiler = shutil.which("gcc")
    if compiler is None or not Path("/usr/include/scsi/sg.h").exists():
        pytest.skip("needs gcc and scsi/sg.h")
    names = [name for name, _ in SgIoHeader._fields_]
    prints = "".join(f"SHOW({name}) " for name in names)
    source = tmp_path / "layout.c"
    source.write_text(
        "#include <stddef.h>\n#include <stdio.h>\n#include <scsi/sg.h>\nstatic struct sg_io_hdr h;\n"
        '#define SHOW(f) printf(#f " %zu %zu\\n", offsetof(struct sg_io_hdr, f), sizeof(h.f));\n'
        f'int main(void) {{ printf("%zu %d\\n", sizeof(struct sg_io_hdr), SG_IO); {prints} return 0; }}\n'
    )
    program = tmp_path / "layout"
    subprocess.run([compiler, "-o", str(program), str(source)], check=True)
    said = subprocess.run([str(program)], check=True, capture_output=True, text=True).stdout.splitlines()
    assert said[0] == f"{ctypes.sizeof(SgIoHeader)} {SG_IO}"
    ours = [f"{name} {getattr(SgIoHeader, name).offset} {getattr(SgIoHeader, name).size}" for name in names]
    assert said[1:] == ours


def test_a_command_that_reads() -> None:
    kernel = Kernel(data_in=b"\x00\x00\x07\x02" + bytes(32), took_s=0.25)
    completion = kernel.execute(inquiry())
    assert completion.disposition is DONE
    assert completion.data == kernel.data_in
    assert (completion.scsi_status, completion.sense, completion.detail) == (0, None, "GOOD")
    assert completion.elapsed_s == 0.25
    assert kernel.seen == [(-3, bytes.fromhex("12 00 00 00 24 00"), b"", 15_000)]


def test_a_command_that_writes() -> None:
    kernel = Kernel()
    assert kernel.execute(OVERWRITE).disposition is DONE
    assert kernel.seen == [(-2, OVERWRITE.cdb, OVERWRITE.data_out, 120_000)]


def test_a_command_without_data() -> None:
    kernel = Kernel()
    completion = kernel.execute(unit_ready_test())
    assert (completion.disposition, completion.data) == (DONE, b"")
    assert kernel.seen == [(-1, bytes(6), b"", 15_000)]


def test_short_data_is_short() -> None:
    assert Kernel(data_in=b"\x00\x01\x02").execute(inquiry()).data == b"\x00\x01\x02"
    assert Kernel(data_in=b"").execute(inquiry()).data == b""


def test_parameters_the_drive_did_not_take_whole() -> None:
    completion = Kernel(not_taken=4).execute(OVERWRITE)
    assert completion.disposition is UNKNOWN
    assert "4 of 8 bytes were not taken" in completion.detail


def test_refused_by_the_drive() -> None:
    completion = Kernel(status=0x02, sense=ILLEGAL_OPCODE).execute(OVERWRITE)
    assert completion.disposition is REFUSED
    assert completion.sense is not None
    assert completion.sense.raw == ILLEGAL_OPCODE
    assert "INVALID COMMAND OPERATION CODE (20h/00h)" in completion.detail


def test_check_condition_whose_sense_data_got_lost() -> None:
    completion = Kernel(status=0x02).execute(OVERWRITE)
    assert (completion.disposition, completion.sense) == (UNKNOWN, None)


def test_data_of_a_command_that_failed_is_no_data() -> None:
    kernel = Kernel(status=0x02, sense=ILLEGAL_OPCODE, data_in=bytes(36))
    assert kernel.execute(inquiry()).data == b""


@pytest.mark.parametrize("host_status", [0x01, 0x03, 0x05, 0x07, 0x08, 0x0B, 0x0E, 0x11])
def test_trouble_on_the_way(host_status: int) -> None:
    for command in (OVERWRITE, unit_ready_test(), inquiry(), SANITIZE_STATUS, IDENTIFY):
        kernel = Kernel(host_status=host_status, data_in=bytes(512))
        completion = kernel.execute(command)
        assert (completion.disposition, completion.data) == (UNKNOWN, b"")
        assert "transport: DID" in completion.detail


def test_time_out_after_which_the_kernel_says_good() -> None:
    # DID_TIME_OUT leaves the status byte at 0, which must not be read as GOOD.
    completion = Kernel(status=0, host_status=0x03, took_s=120).execute(OVERWRITE)
    assert (completion.disposition, completion.elapsed_s) == (UNKNOWN, 120.0)
    assert "DID TIME OUT" in completion.detail


@pytest.mark.parametrize(
    "spoil",
    [{"masked_status": 0x01}, {"driver_status": 0x06}, {"resid": -4}, {"resid": 4096}, {"status": 0x02}],
)
def test_a_header_that_contradicts_itself(spoil: dict[str, int]) -> None:
    for command in (inquiry(), OVERWRITE, IDENTIFY):
        completion = Kernel(data_in=bytes(512), spoil=spoil).execute(command)
        assert (completion.disposition, completion.data) == (UNKNOWN, b"")


@pytest.mark.parametrize(
    ("number", "expected"),
    [
        (errno.EPERM, REFUSED),
        (errno.EACCES, REFUSED),
        (errno.ENOTTY, REFUSED),
        (errno.EINVAL, REFUSED),
        (errno.EIO, UNKNOWN),
        (errno.ENODEV, UNKNOWN),
        (errno.ENXIO, UNKNOWN),
        (errno.ETIMEDOUT, UNKNOWN),
        (errno.EFAULT, UNKNOWN),
        (errno.ENOMEM, UNKNOWN),
        (errno.EINTR, UNKNOWN),
        (errno.EBUSY, UNKNOWN),
    ],
)
def test_errors_of_the_ioctl(number: int, expected: Disposition) -> None:
    for command in (OVERWRITE, SANITIZE_STATUS, ERASE_UNIT):
        completion = Kernel(error=number, took_s=1.5).execute(command)
        assert (completion.disposition, completion.elapsed_s) == (expected, 1.5)
        assert errno.errorcode[number] in completion.detail
        assert completion.scsi_status is None


@pytest.mark.parametrize(
    ("timeout_s", "milliseconds"),
    [
        (15.0, 15_000),
        (0.0001, 1),
        (0.0, 1),
        (-3.0, 1),
        (2_147_483.0, 2_147_483_000),
        (1e9, 2**31 - 1),
        (float("inf"), 2**31 - 1),
        (float("nan"), 2**31 - 1),
    ],
)
def test_time_outs_never_become_the_kernels_default(timeout_s: float, milliseconds: int) -> None:
    kernel = Kernel()
    kernel.execute(ScsiCommand("TEST UNIT READY", bytes(6), timeout_s=timeout_s))
    assert kernel.seen[0][3] == milliseconds


@pytest.mark.parametrize(
    "command",
    [
        NvmeCommand("Sanitize", 0x84),
        MmcCommand("SWITCH", 6),
        ScsiCommand("no CDB", b""),
        ScsiCommand("32-byte CDB", bytes(32)),
        ScsiCommand("both ways", bytes(10), data_out=b"x", data_in_bytes=1),
    ],
)
def test_what_this_path_does_not_carry_is_not_sent(
    command: NvmeCommand | MmcCommand | ScsiCommand,
) -> None:
    kernel = Kernel()
    completion = SgIoTransport(3, ioctl=kernel).execute(command)
    assert completion.disposition is REFUSED
    assert "not sent" in completion.detail
    assert kernel.seen == []


def test_ata_registers_come_back() -> None:
    kernel = Kernel(status=0x02, sense=registers(status=0x50, count=0x8000, lba=0xFFFF))
    completion = kernel.execute(SANITIZE_STATUS)
    assert completion.disposition is DONE
    assert completion.ata is not None
    assert (completion.ata.status, completion.ata.count, completion.ata.lba) == (0x50, 0x8000, 0xFFFF)
    direction, cdb, _, _ = kernel.seen[0]
    assert direction == -1
    assert (cdb[0], cdb[1], cdb[2], cdb[14]) == (0x85, 0x07, 0x20, 0xB4)


@pytest.mark.parametrize(
    ("status", "sense"),
    [
        (0x00, b""),  # a bridge that ignores CK_COND
        (0x02, b""),
        (0x02, RECOVERED[:7] + b"\x00"),
        (0x02, registers(status=0x50)[:-1]),
        (0x02, registers(status=0xD0)),
    ],
)
def test_ata_without_registers_is_never_done(status: int, sense: bytes) -> None:
    for command in (SANITIZE_STATUS, ERASE_UNIT):
        assert Kernel(status=status, sense=sense).execute(command).disposition is UNKNOWN


def test_good_registers_after_trouble_on_the_way_do_not_count() -> None:
    kernel = Kernel(status=0x02, host_status=0x08, sense=registers(status=0x50))
    completion = kernel.execute(ERASE_UNIT)
    assert (completion.disposition, completion.ata) == (UNKNOWN, None)


def test_aborted_ata_commands() -> None:
    aborted = registers(status=0x51, error=0x04)
    assert Kernel(status=0x02, sense=aborted).execute(SANITIZE_STATUS).disposition is REFUSED
    assert Kernel(status=0x02, sense=aborted).execute(ERASE_UNIT).disposition is UNKNOWN


def test_a_path_that_does_not_know_the_pass_through() -> None:
    kernel = Kernel(status=0x02, sense=ILLEGAL_OPCODE)
    assert kernel.execute(IDENTIFY).disposition is REFUSED
    assert kernel.execute(SANITIZE_STATUS).disposition is REFUSED
    # Some translators say the same of an erase that broke off half way.
    assert kernel.execute(ERASE_UNIT).disposition is UNKNOWN


def test_ata_data() -> None:
    completion = Kernel(data_in=bytes(range(256)) * 2).execute(IDENTIFY)
    assert completion.disposition is DONE
    assert completion.data == bytes(range(256)) * 2


def test_an_ata_command_whose_data_was_said_to_be_left_over_is_judged_by_its_registers() -> None:
    # USB bridges report such a residue with CHECK CONDITION, which CK_COND asks for on every command.
    kernel = Kernel(status=0x02, sense=registers(status=0x50), not_taken=512)
    assert kernel.execute(ERASE_UNIT).disposition is DONE


def test_bridges_that_take_the_12_byte_form_only() -> None:
    kernel = Kernel(data_in=bytes(512))
    SgIoTransport(3, ioctl=kernel, wrap_ata=ata_pass_through_12).execute(IDENTIFY)
    assert (kernel.seen[0][1][0], len(kernel.seen[0][1])) == (0xA1, 12)


def test_an_ata_command_that_can_not_be_encoded_is_a_mistake_of_the_caller() -> None:
    with pytest.raises(AtaEncodeError):
        Kernel().execute(AtaCommand("too wide", 0xB4, count=0x100))


def test_the_real_ioctl_on_what_is_no_drive(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(bytes(512))
    with SgIoTransport.open(str(path)) as transport:
        completion = transport.execute(unit_ready_test())
    assert completion.disposition is REFUSED
    assert "ENOTTY" in completion.detail
    transport.close()
    with SgIoTransport.open("/dev/null") as transport:
        assert transport.execute(IDENTIFY).disposition is REFUSED


def test_a_borrowed_descriptor_stays_open(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"")
    descriptor = os.open(path, os.O_RDWR)
    try:
        with SgIoTransport(descriptor):
            pass
        assert os.fstat(descriptor)
    finally:
        os.close(descriptor)


def test_a_drive_that_can_not_be_opened(tmp_path: Path) -> None:
    with pytest.raises(RefusedError) as error:
        SgIoTransport.open(str(tmp_path / "gone"))
    assert error.value.hint is not None
