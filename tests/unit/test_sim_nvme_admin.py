"""The simulated NVM subsystem against Base 2.0: Identify, logs, security, namespaces and I/O.

Field positions are read here with their own offsets, so that both sides would have to be wrong alike.
"""

from __future__ import annotations

import struct

import pytest

from simulators.nvme import SimulatedNvmeSubsystem
from simulators.nvme_security import Ssc, Tcg
from simulators.nvme_types import BROADCAST, DNR, DriveGoneError, LbaFormat, NvmeOptions, Op, Remnant, Status
from simulators.world import ManualClock, Medium

INVALID_FIELD = Status.INVALID_FIELD | DNR
INVALID_NAMESPACE = Status.INVALID_NAMESPACE_OR_FORMAT | DNR


def subsystem(
    count: int = 1, options: NvmeOptions | None = None, *, tcg: Tcg | None = None, unallocated: bytes = b""
) -> SimulatedNvmeSubsystem:
    media = [Medium(512, 64) for _ in range(count)]
    for nsid, medium in enumerate(media, 1):
        medium.data[:] = bytes([nsid]) * len(medium.data)
    return SimulatedNvmeSubsystem(ManualClock(), media, options, tcg=tcg, unallocated=unallocated)


def identify(drive: SimulatedNvmeSubsystem, cns: int, nsid: int = 0, controller: int = 0) -> bytes:
    status, _, data = drive.admin(controller, Op.IDENTIFY, nsid, cns, data_len=4096)
    assert status == 0
    assert len(data) == 4096
    return data


def get_log(
    drive: SimulatedNvmeSubsystem, lid: int, length: int = 512, nsid: int = BROADCAST, offset: int = 0
) -> tuple[int, bytes]:
    dwords = length // 4 - 1
    cdw10, cdw11 = (dwords & 0xFFFF) << 16 | lid, dwords >> 16
    status, _, data = drive.admin(
        0, Op.GET_LOG_PAGE, nsid, cdw10, cdw11, offset & 0xFFFFFFFF, offset >> 32, data_len=length
    )
    return status, data


def test_identify_controller_tells_the_options_at_the_offsets_of_the_specification() -> None:
    options = NvmeOptions(
        serial="S123", model="M456", firmware="F7", oacs=0x000B, sanicap=0xA000_0006, fna=0x06
    )
    drive = subsystem(2, options, unallocated=bytes(10240))
    page = identify(drive, 1)
    assert page[4:24] == b"S123".ljust(20)
    assert page[24:64] == b"M456".ljust(40)
    assert page[64:72] == b"F7".ljust(8)
    assert int.from_bytes(page[80:84], "little") == 0x20000
    assert int.from_bytes(page[256:258], "little") == 0x000B
    assert int.from_bytes(page[280:296], "little") == 2 * 64 * 512 + 10240
    assert int.from_bytes(page[296:312], "little") == 10240
    assert int.from_bytes(page[328:332], "little") == 0xA000_0006
    assert int.from_bytes(page[516:520], "little") == 16
    assert page[524] == 0x06


def test_identify_namespace_tells_size_formats_and_identifiers() -> None:
    drive = SimulatedNvmeSubsystem(ManualClock(), [Medium(4096, 32)])
    page = identify(drive, 0, nsid=1)
    assert struct.unpack_from("<QQQ", page) == (32, 32, 32)
    assert page[25] == 1
    assert page[26] & 0xF == 1
    assert struct.unpack_from("<HBB", page, 128) == (0, 9, 0)
    assert struct.unpack_from("<HBB", page, 132) == (0, 12, 0)
    assert page[104:120] != bytes(16)
    assert any(page[120:128])


def test_identify_lists() -> None:
    drive = subsystem(3, NvmeOptions(controllers=2))
    drive.media.namespaces[2].attached.discard(0)
    assert struct.unpack_from("<4I", identify(drive, 2)) == (1, 3, 0, 0)
    assert struct.unpack_from("<4I", identify(drive, 2, nsid=1)) == (3, 0, 0, 0)
    assert struct.unpack_from("<4I", identify(drive, 2, controller=1)) == (1, 2, 3, 0)
    assert struct.unpack_from("<4I", identify(drive, 0x10)) == (1, 2, 3, 0)
    assert identify(drive, 0, nsid=2) == bytes(4096)  # inactive here
    assert identify(drive, 0x11, nsid=2) != bytes(4096)  # but allocated
    assert struct.unpack_from("<3H", identify(drive, 0x13)) == (2, 0, 1)
    assert struct.unpack_from("<2H", identify(drive, 0x12, nsid=2)) == (1, 1)
    assert int.from_bytes(identify(drive, 1, controller=1)[78:80], "little") == 1


def test_identify_namespace_descriptors_are_eui64_nguid_and_command_set() -> None:
    drive = subsystem()
    page = identify(drive, 3, nsid=1)
    namespace = drive.media.namespaces[1]
    assert page[:4] == bytes([1, 8, 0, 0])
    assert page[4:12] == namespace.eui64
    assert page[12:16] == bytes([2, 16, 0, 0])
    assert page[16:32] == namespace.nguid
    assert page[32:38] == bytes([4, 1, 0, 0, 0, 0])


def test_identify_broadcast_tells_what_all_namespaces_share() -> None:
    page = identify(subsystem(), 0, nsid=BROADCAST)
    assert page[25] == 1
    assert page[:8] == bytes(8)


@pytest.mark.parametrize(
    ("nsid", "cdw10", "expected"),
    [
        (0, 0x00, INVALID_NAMESPACE),
        (17, 0x00, INVALID_NAMESPACE),
        (BROADCAST, 0x03, INVALID_NAMESPACE),
        (2, 0x03, INVALID_FIELD),  # valid, not active
        (1, 0x01, INVALID_FIELD),  # Identify Controller uses no namespace
        (BROADCAST - 1, 0x02, INVALID_NAMESPACE),
        (BROADCAST, 0x02, INVALID_NAMESPACE),
        (0, 0x04, INVALID_FIELD),  # NVM sets: not supported
        (0, 0x0101, INVALID_FIELD),  # reserved bits 15:08
    ],
)
def test_identify_refuses(nsid: int, cdw10: int, expected: int) -> None:
    status, _, data = subsystem().admin(0, Op.IDENTIFY, nsid, cdw10, data_len=4096)
    assert (status, data) == (expected, b"")


def test_identify_refuses_reserved_dwords_short_buffers_and_what_management_needs() -> None:
    drive = subsystem(1, NvmeOptions(oacs=0x0002))
    assert drive.admin(0, Op.IDENTIFY, 0, 1, 1, data_len=4096)[0] == INVALID_FIELD
    assert drive.admin(0, Op.IDENTIFY, 0, 1, cdw15=1, data_len=4096)[0] == INVALID_FIELD
    assert drive.admin(0, Op.IDENTIFY, 0, 1, data_len=512)[0] == Status.DATA_TRANSFER_ERROR | DNR
    assert drive.admin(0, Op.IDENTIFY, 0, 0x10, data_len=4096)[0] == INVALID_FIELD
    assert drive.admin(0, Op.IDENTIFY, BROADCAST, 0, data_len=4096)[0] == INVALID_NAMESPACE


@pytest.mark.parametrize("opcode", [0x00, 0x03, 0x0F, 0x14, 0x83, 0xC0, 0xFF])
def test_unknown_opcodes_are_invalid(opcode: int) -> None:
    assert subsystem().admin(0, opcode)[0] == Status.INVALID_OPCODE | DNR


def test_log_pages_come_in_windows_of_dwords() -> None:
    drive = subsystem()
    drive.health.percentage_used = 77
    status, page = get_log(drive, 0x02)
    assert status == 0
    assert page[5] == 77
    assert get_log(drive, 0x02, 4)[1] == page[:4]
    assert get_log(drive, 0x02, 8, offset=4)[1] == page[4:12]
    assert get_log(drive, 0x02, 4096)[1] == page.ljust(4096, b"\0")
    assert get_log(drive, 0x02, nsid=0)[0] == 0


@pytest.mark.parametrize(
    ("nsid", "cdw10", "cdw11", "cdw12", "cdw14", "expected"),
    [
        (0, 0x007F_0055, 0, 0, 0, Status.INVALID_LOG_PAGE | DNR),
        (1, 0x007F_0002, 0, 0, 0, INVALID_FIELD),  # SMART per namespace: LPA bit 0 is clear
        (0, 0x007F_0102, 0, 0, 0, INVALID_FIELD),  # LSP
        (0, 0x007F_0002, 1 << 16, 0, 0, INVALID_FIELD),  # LSI
        (0, 0x007F_0002, 0, 2, 0, INVALID_FIELD),  # offset not dword aligned
        (0, 0x007F_0002, 0, 516, 0, INVALID_FIELD),  # offset beyond the page
        (0, 0x007F_0002, 0, 0, 1 << 23, INVALID_FIELD),  # index offset
        (0, 0x0080_0002, 0, 0, 0, Status.DATA_TRANSFER_ERROR | DNR),  # 516 bytes into 512
        (0, 0x007F_0002, 1, 0, 0, Status.DATA_TRANSFER_ERROR | DNR),  # NUMDU counts
    ],
)
def test_get_log_page_refuses(
    nsid: int, cdw10: int, cdw11: int, cdw12: int, cdw14: int, expected: int
) -> None:
    drive = subsystem()
    status, _, data = drive.admin(0, Op.GET_LOG_PAGE, nsid, cdw10, cdw11, cdw12, 0, cdw14, data_len=512)
    assert (status, data) == (expected, b"")


def test_a_drive_without_extended_data_takes_no_offset() -> None:
    drive = subsystem(1, NvmeOptions(lpa=0))
    assert get_log(drive, 0x02)[0] == 0
    assert get_log(drive, 0x02, 8, offset=4)[0] == INVALID_FIELD


def test_a_drive_without_sanitize_has_no_sanitize_log() -> None:
    assert get_log(subsystem(1, NvmeOptions(sanicap=0)), 0x81)[0] == Status.INVALID_LOG_PAGE | DNR


# Security Receive and TCG


def level_0(drive: SimulatedNvmeSubsystem, length: int = 512) -> tuple[int, bytes]:
    status, _, data = drive.admin(0, Op.SECURITY_RECEIVE, 0, 0x01_0001_00, length, data_len=length)
    return status, data


def features(data: bytes) -> dict[int, bytes]:
    (length,) = struct.unpack_from(">I", data)
    found, at = {}, 48
    while at < length + 4:
        code, _, size = struct.unpack_from(">HBB", data, at)
        found[code] = data[at + 4 : at + 4 + size]
        at += 4 + size
    return found


def test_level_0_discovery_tells_locking_and_block_sid() -> None:
    tcg = Tcg(locking_enabled=True, locked=True, mbr_enabled=True, sid_blocked=True)
    status, data = level_0(subsystem(tcg=tcg))
    assert status == 0
    found = features(data)
    assert found[0x0002][0] == 0b01_1111
    assert found[0x0402][0] == 0b10
    assert 0x0203 in found
    assert len(data) == 512


@pytest.mark.parametrize("ssc", Ssc)
def test_level_0_discovery_tells_the_subsystem_class(ssc: Ssc) -> None:
    found = features(level_0(subsystem(tcg=Tcg(ssc, block_sid_supported=False)))[1])
    assert set(found) == {0x0001, 0x0002, ssc}


def test_security_receive_lists_protocols_and_refuses_the_rest() -> None:
    with_tcg, without = subsystem(tcg=Tcg()), subsystem()
    assert with_tcg.admin(0, Op.SECURITY_RECEIVE, 0, 0, 10, data_len=10)[2] == bytes(6) + b"\0\x02\0\x01"
    assert without.admin(0, Op.SECURITY_RECEIVE, 0, 0, 9, data_len=9)[2] == bytes(6) + b"\0\x01\0"
    assert level_0(without)[0] == INVALID_FIELD
    assert with_tcg.admin(0, Op.SECURITY_RECEIVE, 0, 0x01_0002_00, 512, data_len=512)[0] == INVALID_FIELD
    assert with_tcg.admin(0, Op.SECURITY_RECEIVE, 0, 0xEA_0000_00, 512, data_len=512)[0] == INVALID_FIELD
    assert with_tcg.admin(0, Op.SECURITY_RECEIVE, 0, 0x01_0001_01, 512, data_len=512)[0] == INVALID_FIELD
    assert with_tcg.admin(0, Op.SECURITY_SEND, 0, 0x01_0001_00, 512, data_out=bytes(512))[0] == INVALID_FIELD
    short = with_tcg.admin(0, Op.SECURITY_RECEIVE, 0, 0x01_0001_00, 512, data_len=100)
    assert short[0] == Status.DATA_TRANSFER_ERROR | DNR
    no_security = subsystem(1, NvmeOptions(oacs=0x0002), tcg=Tcg())
    assert level_0(no_security)[0] == Status.INVALID_OPCODE | DNR


def test_block_sid_refuses_erasure_until_a_resume() -> None:
    drive = subsystem(tcg=Tcg(bios_blocks_sid=True))
    drive.power_cycle()
    assert drive.admin(0, Op.SANITIZE, 0, 2)[0] == Status.OPERATION_DENIED | DNR
    assert drive.admin(0, Op.FORMAT_NVM, 1, 1 << 9)[0] == Status.OPERATION_DENIED | DNR
    assert drive.read(0, 1, 0, 1) == (Status.SUCCESS, b"\1" * 512)
    drive.suspend_resume()
    assert drive.admin(0, Op.SANITIZE, 0, 2)[0] == 0


def test_a_locked_drive_denies_access_to_its_data() -> None:
    drive = subsystem(tcg=Tcg(locking_enabled=True))
    assert drive.read(0, 1, 0, 1)[0] is Status.SUCCESS
    drive.power_cycle()
    assert drive.read(0, 1, 0, 1)[0] is Status.ACCESS_DENIED
    assert drive.write(0, 1, 0, bytes(512)) is Status.ACCESS_DENIED


# Namespaces


def create_data(blocks: int, lbaf: int = 0, capacity: int | None = None) -> bytes:
    page = bytearray(4096)
    struct.pack_into("<QQ", page, 0, blocks, blocks if capacity is None else capacity)
    page[26] = lbaf
    return bytes(page)


def controller_list(*controllers: int) -> bytes:
    return struct.pack(f"<H{len(controllers)}H", len(controllers), *controllers).ljust(4096, b"\0")


def test_namespaces_are_created_attached_and_deleted() -> None:
    drive = subsystem(unallocated=b"old data" * 1024)
    status, nsid, _ = drive.admin(0, Op.NAMESPACE_MANAGEMENT, data_out=create_data(16))
    assert (status, nsid) == (0, 2)
    assert drive.read(0, 2, 0, 1)[0] is Status.INVALID_FIELD  # not attached yet
    assert drive.admin(0, Op.NAMESPACE_ATTACHMENT, 2, 0, data_out=controller_list(0))[0] == 0
    assert drive.read(0, 2, 0, 16) == (Status.SUCCESS, bytes(16 * 512))
    assert identify(drive, 1)[296:312] == bytes(16)
    assert drive.admin(0, Op.NAMESPACE_MANAGEMENT, 2, 1)[0] == 0
    assert int.from_bytes(identify(drive, 1)[296:312], "little") == 16 * 512
    assert drive.read(0, 2, 0, 1)[0] is Status.INVALID_FIELD


def test_a_lying_drive_shows_old_data_in_a_new_namespace() -> None:
    drive = subsystem(unallocated=b"secret!!" * 64)
    drive.faults.exposes_old_data = True
    drive.admin(0, Op.NAMESPACE_MANAGEMENT, data_out=create_data(1))
    drive.admin(0, Op.NAMESPACE_ATTACHMENT, 2, 0, data_out=controller_list(0))
    assert drive.read(0, 2, 0, 1) == (Status.SUCCESS, b"secret!!" * 64)


def test_data_that_a_sanitize_left_in_unallocated_capacity_becomes_readable_later() -> None:
    drive = subsystem(unallocated=b"secret!!" * 64)
    drive.faults.leaves = (Remnant(nsid=0),)
    drive.faults.exposes_old_data = True
    assert drive.admin(0, Op.SANITIZE, 0, 2)[0] == 0
    drive.clock.sleep(40)
    assert drive.read(0, 1, 0, 64) == (Status.SUCCESS, bytes(64 * 512))
    drive.admin(0, Op.NAMESPACE_MANAGEMENT, data_out=create_data(1))
    drive.admin(0, Op.NAMESPACE_ATTACHMENT, 2, 0, data_out=controller_list(0))
    assert drive.read(0, 2, 0, 1) == (Status.SUCCESS, b"secret!!" * 64)


def test_namespace_management_refuses() -> None:
    drive = subsystem(unallocated=bytes(4096))
    manage, attach = Op.NAMESPACE_MANAGEMENT, Op.NAMESPACE_ATTACHMENT
    for nsid, cdw10, data, expected in (
        (0, 0, create_data(9), Status.NAMESPACE_INSUFFICIENT_CAPACITY),
        (0, 0, create_data(1, lbaf=2), Status.INVALID_FORMAT),
        (0, 0, create_data(1, capacity=2), Status.THIN_PROVISIONING_NOT_SUPPORTED),
        (1, 0, create_data(1), Status.INVALID_FIELD),
        (0, 0, bytes(512), Status.DATA_TRANSFER_ERROR),
        (1, 2, b"", Status.INVALID_FIELD),
        (9, 1, b"", Status.INVALID_NAMESPACE_OR_FORMAT),
    ):
        assert drive.admin(0, manage, nsid, cdw10, data_out=data)[0] == expected | DNR
    for nsid, cdw10, data, expected in (
        (1, 0, controller_list(0), Status.NAMESPACE_ALREADY_ATTACHED),
        (1, 0, controller_list(7), Status.CONTROLLER_LIST_INVALID),
        (1, 0, controller_list(), Status.CONTROLLER_LIST_INVALID),
        (1, 2, controller_list(0), Status.INVALID_FIELD),
        (9, 1, controller_list(0), Status.INVALID_NAMESPACE_OR_FORMAT),
        (1, 0, b"", Status.DATA_TRANSFER_ERROR),
    ):
        assert drive.admin(0, attach, nsid, cdw10, data_out=data)[0] == expected | DNR
    assert drive.admin(0, attach, 1, 1, data_out=controller_list(0))[0] == 0
    again = drive.admin(0, attach, 1, 1, data_out=controller_list(0))
    assert again[0] == Status.NAMESPACE_NOT_ATTACHED | DNR
    drive.media.namespaces[1].write_protected = True
    assert drive.admin(0, manage, BROADCAST, 1)[0] == Status.NAMESPACE_WRITE_PROTECTED | DNR
    assert 1 in drive.media.namespaces
    bare = subsystem(1, NvmeOptions(oacs=0x0002))
    assert bare.admin(0, manage, 1, 1)[0] == Status.INVALID_OPCODE | DNR


# I/O


def test_io_checks_namespace_range_protection_and_medium() -> None:
    drive = subsystem()
    assert drive.read(0, 1, 63, 2)[0] is Status.LBA_OUT_OF_RANGE
    assert drive.write(0, 1, 64, bytes(512)) is Status.LBA_OUT_OF_RANGE
    assert drive.read(0, 0, 0, 1)[0] is Status.INVALID_NAMESPACE_OR_FORMAT
    assert drive.read(0, 2, 0, 1)[0] is Status.INVALID_FIELD
    drive.media.namespaces[1].medium.bad.add(5)
    assert drive.read(0, 1, 4, 2)[0] is Status.UNRECOVERED_READ_ERROR
    assert drive.write(0, 1, 5, bytes(512)) is Status.WRITE_FAULT
    assert get_log(drive, 0x02)[1][160] == 2
    drive.media.namespaces[1].write_protected = True
    assert drive.write(0, 1, 0, bytes(512)) is Status.NAMESPACE_WRITE_PROTECTED
    assert drive.read(0, 1, 0, 1) == (Status.SUCCESS, b"\1" * 512)


def test_an_unplugged_drive_answers_nothing_until_it_is_back() -> None:
    drive = subsystem()
    drive.hot_unplug()
    with pytest.raises(DriveGoneError):
        drive.admin(0, Op.IDENTIFY, 0, 1, data_len=4096)
    with pytest.raises(DriveGoneError):
        drive.read(0, 1, 0, 1)
    drive.replug()
    assert drive.read(0, 1, 0, 1)[0] is Status.SUCCESS


def test_formats_of_other_sizes_are_reported() -> None:
    options = NvmeOptions(lba_formats=(LbaFormat(512), LbaFormat(512, 8, 1), LbaFormat(4096)))
    page = identify(subsystem(1, options), 0, nsid=1)
    assert page[25] == 2
    assert struct.unpack_from("<HBB", page, 132) == (8, 9, 1)
