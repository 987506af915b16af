"""Identify pages: what is decoded, and what is refused."""

import struct
import uuid

import pytest

from rasura_agent.drive.nvme.errors import NvmeDecodeError
from rasura_agent.drive.nvme.identify import (
    NoDeallocateModifiesMedia,
    OptionalAdminCommands,
    ReplayProtectedMemoryBlocks,
    decode_identify_controller,
)
from rasura_agent.drive.nvme.identify_namespace import (
    DeallocatedReads,
    LbaFormat,
    decode_controller_list,
    decode_identify_namespace,
    decode_namespace_descriptors,
    decode_namespace_list,
)


def _page(*parts: tuple[int, bytes]) -> bytes:
    page = bytearray(4096)
    for offset, data in parts:
        page[offset : offset + len(data)] = data
    return bytes(page)


def test_controller_text_is_trimmed_and_stays_distinguishable() -> None:
    page = _page((4, b"S4EVNX0R123456      "), (24, b"SAMSUNG MZVLB512".ljust(40)), (64, b"EXA7301Q"))
    controller = decode_identify_controller(page)
    assert (controller.serial, controller.model, controller.firmware) == (
        "S4EVNX0R123456",
        "SAMSUNG MZVLB512",
        "EXA7301Q",
    )
    odd = decode_identify_controller(_page((4, b"AB\xff\x01C" + b"\0" * 15), (77, b"\5")))
    assert odd.serial == "AB\\xff\\x01C"
    blank = decode_identify_controller(_page((0, b"\x86\x80"), (4, b" " * 60)))
    assert (blank.serial, blank.model, blank.firmware) == (None, None, None)


def test_controller_capabilities() -> None:
    controller = decode_identify_controller(
        _page(
            (0, b"\x4d\x14\x4d\x14"),
            (76, b"\2\7\5\0"),
            (80, struct.pack("<I", 0x0002_0100)),
            (256, struct.pack("<H", 0x040B)),
            (280, (10**13).to_bytes(16, "little")),
            (296, (2**64 + 5).to_bytes(16, "little")),
            (312, struct.pack("<I", 0x0102_0001)),
            (320, b"\x0a\0"),
            (328, struct.pack("<I", 0xA000_000D)),
            (516, struct.pack("<I", 32)),
            (520, b"\x5f\0"),
            (524, b"\x0d\x07"),
            (768, b"nqn.2014.08.org.nvmexpress:x" + b"\0" * 8 + b"left over"),
        )
    )
    assert (controller.vid, controller.ssvid, controller.cmic, controller.mdts) == (0x144D, 0x144D, 2, 7)
    assert (controller.cntlid, controller.version) == (5, (2, 1, 0))
    assert controller.oacs == (
        OptionalAdminCommands.SECURITY_SEND_RECEIVE
        | OptionalAdminCommands.FORMAT_NVM
        | OptionalAdminCommands.NAMESPACE_MANAGEMENT
        | OptionalAdminCommands.LOCKDOWN
    )
    assert (controller.tnvmcap, controller.unvmcap) == (10**13, 2**64 + 5)
    assert controller.rpmbs == ReplayProtectedMemoryBlocks(1, 3 * 128 * 1024)
    assert (controller.kas, controller.nn, controller.fna) == (10, 32, 0b1101)
    assert controller.volatile_write_cache
    assert controller.subnqn == "nqn.2014.08.org.nvmexpress:x"
    sanicap = controller.sanicap
    assert (sanicap.crypto_erase, sanicap.block_erase, sanicap.overwrite) == (True, False, True)
    assert sanicap.verification
    assert sanicap.no_deallocate_inhibited
    assert sanicap.no_deallocate_modifies_media is NoDeallocateModifiesMedia.MODIFIED


def test_no_way_to_sanitize_is_no_sanitize() -> None:
    # Bits that only modify a sanitize, without any that performs one.
    controller = decode_identify_controller(_page((0, b"\1"), (328, struct.pack("<I", 0xE000_0008))))
    assert not controller.sanicap.supported
    assert controller.version is None
    assert controller.rpmbs is None


@pytest.mark.parametrize("data", [b"", bytes(512), bytes(4095), bytes(4097), bytes(4096)])
def test_controller_pages_that_nobody_filled_in(data: bytes) -> None:
    with pytest.raises(NvmeDecodeError):
        decode_identify_controller(data)


def _namespace(*, nlbaf: int = 0, nulbaf: int = 0, flbas: int = 0, dps: int = 0, lbads: int = 9) -> bytes:
    return _page(
        (0, struct.pack("<QQQ", 1000, 900, 800)),
        (25, bytes([nlbaf, flbas, 3, 0x1F, dps, 1])),
        (33, b"\1"),
        (48, (512_000).to_bytes(16, "little")),
        (82, bytes([nulbaf])),
        (104, bytes(range(16))),
        (128, bytes([0, 0, lbads, 2]) * 64),
    )


def test_namespace() -> None:
    namespace = decode_identify_namespace(_namespace(nlbaf=1, flbas=0b1_0001, dps=0b1001, lbads=12))
    assert namespace is not None
    assert (namespace.nsze, namespace.ncap, namespace.nuse, namespace.nvmcap) == (1000, 900, 800, 512_000)
    assert namespace.lba_formats == (LbaFormat(0, 12, 2), LbaFormat(0, 12, 2))
    assert (namespace.format_index, namespace.sector_bytes, namespace.size_bytes) == (1, 4096, 4_096_000)
    assert namespace.metadata_extended
    assert (namespace.protection_type, namespace.protection_first) == (1, True)
    assert namespace.deallocated_reads is DeallocatedReads.ZEROS
    assert (namespace.nguid, namespace.eui64) == (bytes(range(16)).hex(), None)
    assert not namespace.write_protected


def test_an_inactive_namespace_is_none() -> None:
    assert decode_identify_namespace(bytes(4096)) is None


@pytest.mark.parametrize(
    ("nlbaf", "nulbaf", "flbas", "index"),
    [
        (0, 0, 0b110_0000, 0),  # sixteen or fewer: the upper bits are to be ignored
        (15, 0, 0b110_1111, 15),
        (16, 0, 0b010_0000, 16),
        (3, 40, 0b100_0000, 32),
        (63, 0, 0b110_1111, 63),
    ],
)
def test_the_format_in_use(nlbaf: int, nulbaf: int, flbas: int, index: int) -> None:
    namespace = decode_identify_namespace(_namespace(nlbaf=nlbaf, nulbaf=nulbaf, flbas=flbas))
    assert namespace is not None
    assert namespace.format_index == index


@pytest.mark.parametrize(
    "data",
    [
        b"",
        bytes(4095),
        _namespace(nlbaf=64),
        _namespace(nlbaf=60, nulbaf=4),
        _namespace(nlbaf=1, flbas=2),
        _namespace(lbads=0),
        _namespace(lbads=8),
        _namespace(lbads=17),
        _namespace(lbads=255),
        _namespace(dps=0b100),
    ],
)
def test_namespaces_that_cannot_be(data: bytes) -> None:
    with pytest.raises(NvmeDecodeError):
        decode_identify_namespace(data)


def test_namespace_list() -> None:
    assert decode_namespace_list(_page((0, struct.pack("<3I", 1, 2, 9)))) == (1, 2, 9)
    assert decode_namespace_list(bytes(4096)) == ()
    full = tuple(range(1, 1025))
    assert decode_namespace_list(struct.pack("<1024I", *full)) == full


@pytest.mark.parametrize(
    "data",
    [
        bytes(4),
        _page((0, struct.pack("<2I", 2, 1))),
        _page((0, struct.pack("<2I", 2, 2))),
        _page((0, struct.pack("<3I", 1, 0, 2))),
        b"\xff" * 4096,
    ],
)
def test_namespace_lists_that_cannot_be(data: bytes) -> None:
    with pytest.raises(NvmeDecodeError):
        decode_namespace_list(data)


def test_controller_list() -> None:
    assert decode_controller_list(_page((0, struct.pack("<3H", 2, 0, 65)))) == (0, 65)
    for bad in (bytes(2), _page((0, struct.pack("<3H", 2, 5, 5))), b"\xff" * 4096):
        with pytest.raises(NvmeDecodeError):
            decode_controller_list(bad)


def test_namespace_descriptors() -> None:
    name = uuid.UUID("12345678-1234-5678-9abc-123456789abc")
    names = decode_namespace_descriptors(
        _page(
            (0, b"\1\x08\0\0" + b"\xee" * 8 + b"\4\1\0\0\0" + b"\x77\2\0\0ab" + b"\3\x10\0\0" + name.bytes),
        )
    )
    assert (names.eui64, names.nguid, names.uuid) == ("ee" * 8, None, str(name))
    empty = decode_namespace_descriptors(bytes(4096))
    assert (empty.eui64, empty.nguid, empty.uuid) == (None, None, None)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        _page((0, b"\1\x07\0\0" + b"\xee" * 7)),
        _page((0, (b"\1\x08\0\0" + b"\xee" * 8) * 2)),
        b"\xaa" * 4096,
    ],
)
def test_namespace_descriptors_that_cannot_be(data: bytes) -> None:
    with pytest.raises(NvmeDecodeError):
        decode_namespace_descriptors(data)
