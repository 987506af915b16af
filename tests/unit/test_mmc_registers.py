"""EXT_CSD and CID, as decoded and as refused."""

import struct

import pytest

from rasura_agent.drive.mmc.cid import Cid, decode_emmc_cid, decode_sd_cid, parse_cid
from rasura_agent.drive.mmc.errors import MmcDecodeError
from rasura_agent.drive.mmc.ext_csd import PreEol, SecureFeatures, SecureRemovalType, decode_ext_csd


def ext_csd(**registers: int | bytes) -> bytes:
    """A register of an ordinary 32 GB eMMC 5.1, with ``r<index>`` replaced."""
    data = bytearray(512)
    values: dict[str, int | bytes] = {
        "r16": 0x09,
        "r155": 1,
        "r168": 32,
        "r175": 1,
        "r192": 8,
        "r212": (61_071_360).to_bytes(4, "little"),
        "r221": 16,
        "r223": 1,
        "r224": 1,
        "r226": 32,
        "r229": 17,
        "r230": 27,
        "r231": 0x55,
        "r232": 2,
        "r249": (65_536).to_bytes(4, "little"),
        "r254": b"\x06\0\0\0\0\0\0\0",
        "r267": b"\x01\x02\x0b",
        **registers,
    }
    for name, value in values.items():
        raw = bytes([value]) if isinstance(value, int) else value
        data[int(name[1:]) : int(name[1:]) + len(raw)] = raw
    return bytes(data)


def test_an_ordinary_emmc() -> None:
    csd = decode_ext_csd(ext_csd())
    assert (csd.rev, csd.sec_count, csd.user_area_bytes) == (8, 61_071_360, 31_268_536_320)
    assert csd.block_addressed
    assert csd.secure_features == SecureFeatures(0x55)
    assert (csd.erase_group_def, csd.hc_erase_group_bytes) == (True, 512 * 1024)
    assert (csd.hc_erase_group_timeout_s, csd.trim_timeout_s) == (0.3, 0.6)
    assert (csd.sec_erase_mult, csd.sec_trim_mult, csd.discard_supported) == (27, 17, True)
    assert (csd.boot_partition_bytes, csd.rpmb_bytes) == (4 << 20, 4 << 20)
    assert csd.general_purpose_bytes == (0, 0, 0, 0)
    assert csd.partition_setting_completed
    assert csd.secure_removal_type is SecureRemovalType.ERASE
    assert csd.firmware_version == b"\x06\0\0\0\0\0\0\0"
    assert (csd.pre_eol, csd.life_time_a_percent, csd.life_time_b_percent) == (PreEol.NORMAL, 20, 110)
    assert csd.cache_bytes == 8 << 20
    assert csd.erased_memory_byte == 0


def test_general_purpose_partitions_are_targets_of_their_own() -> None:
    csd = decode_ext_csd(ext_csd(r143=b"\x02\0\0", r146=b"\0\1\0", r149=b"\0\0\1", r152=b"\1\1\1", r224=2))
    unit = 16 * 2 * 512 * 1024
    assert csd.general_purpose_bytes == (2 * unit, 256 * unit, 65536 * unit, 65793 * unit)


def test_old_revisions_do_not_tell_what_they_do_not_have() -> None:
    old = decode_ext_csd(ext_csd(r192=3))
    assert old.secure_features == SecureFeatures(0)
    assert not old.discard_supported
    assert (old.secure_removal_type, old.firmware_version, old.pre_eol) == (None, None, None)
    assert (old.life_time_a_percent, old.cache_bytes) == (None, 0)
    middle = decode_ext_csd(ext_csd(r192=6))
    assert SecureFeatures.SEC_SANITIZE in middle.secure_features
    assert middle.discard_supported
    assert middle.pre_eol is None


@pytest.mark.parametrize(
    ("raw", "percent"), [(0, None), (1, 10), (10, 100), (11, 110), (12, None), (255, None)]
)
def test_life_time(raw: int, percent: int | None) -> None:
    assert decode_ext_csd(ext_csd(r268=raw)).life_time_a_percent == percent


@pytest.mark.parametrize(("raw", "meaning"), [(0, None), (2, PreEol.WARNING), (3, PreEol.URGENT), (4, None)])
def test_pre_eol(raw: int, meaning: PreEol | None) -> None:
    assert decode_ext_csd(ext_csd(r267=raw)).pre_eol is meaning


@pytest.mark.parametrize("sectors", [0, 4_194_304, 4_194_305])
def test_small_devices_are_addressed_in_bytes(sectors: int) -> None:
    csd = decode_ext_csd(ext_csd(r212=struct.pack("<I", sectors)))
    assert csd.block_addressed == (sectors > 4_194_304)


@pytest.mark.parametrize("data", [b"", bytes(511), bytes(512), b"\xff" * 512, bytes(513), ext_csd(r192=16)])
def test_registers_that_no_device_filled_in(data: bytes) -> None:
    with pytest.raises(MmcDecodeError):
        decode_ext_csd(data)


EMMC = parse_cid("150100424a54443452043cb1a6d6d2a1")
SD = parse_cid("035344534c31364780d0c2a1b8013b5d\n")


def test_emmc_cid() -> None:
    assert decode_emmc_cid(EMMC, 8) == Cid(
        manufacturer_id=0x15,
        oem_id="00",
        product_name="BJTD4R",
        revision=(0, 4),
        serial=0x3CB1A6D6,
        month=None,  # the field holds 13
        year=2015,
    )


def test_sd_cid() -> None:
    cid = decode_sd_cid(SD)
    assert (cid.manufacturer_id, cid.oem_id, cid.product_name, cid.revision) == (3, "SD", "SL16G", (8, 0))
    assert (cid.serial_text, cid.year, cid.month) == ("0xd0c2a1b8", 2019, 11)


# The years of the four-bit field by EXT_CSD revision: JESD84-B51 clause 7.2.7 and its 2025 edition.
@pytest.mark.parametrize(
    ("rev", "years"),
    [
        (4, list(range(1997, 2013))),
        (5, [*range(2013, 2026), 2010, 2011, 2012]),
        (8, [*range(2013, 2026), 2010, 2011, 2012]),
        (9, [*range(2029, 2039), 2023, 2024, 2025, 2026, 2027, 2028]),
    ],
)
def test_emmc_year_by_revision(rev: int, years: list[int]) -> None:
    found = [decode_emmc_cid(EMMC[:14] + bytes([0x50 | y, 0]), rev) for y in range(16)]
    assert [cid.year for cid in found] == years
    assert {cid.month for cid in found} == {5}


def test_without_a_revision_there_is_no_year() -> None:
    assert decode_emmc_cid(EMMC, None).year is None


def test_odd_bytes_in_a_name_stay_distinguishable() -> None:
    assert decode_emmc_cid(EMMC[:3] + b"A\xe9B \0\0" + EMMC[9:], 8).product_name == "A\\xe9B"


@pytest.mark.parametrize("data", [b"", bytes(16), b"\xff" * 16, bytes(15), EMMC + b"\0"])
def test_cids_that_no_device_has(data: bytes) -> None:
    with pytest.raises(MmcDecodeError):
        decode_emmc_cid(data, 8)
    with pytest.raises(MmcDecodeError):
        decode_sd_cid(data)


@pytest.mark.parametrize("text", ["", "15", "zz" * 16, "15" * 17, "+5" + "15" * 15, "15 " * 16, "٣" * 32])
def test_texts_that_are_no_cid(text: str) -> None:
    with pytest.raises(MmcDecodeError):
        parse_cid(text)
