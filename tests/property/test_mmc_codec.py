"""MMC codecs: what is encoded decodes to itself, and no bytes at all break a decoder."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rasura_agent.drive.mmc.cid import decode_emmc_cid, decode_sd_cid, parse_cid
from rasura_agent.drive.mmc.commands import switch_byte
from rasura_agent.drive.mmc.erase import EraseArgument, erase_supported, erase_timeout_s
from rasura_agent.drive.mmc.errors import MmcDecodeError
from rasura_agent.drive.mmc.ext_csd import decode_ext_csd
from rasura_agent.drive.mmc.status import accepted, completed


@given(
    st.one_of(st.binary(max_size=20), st.binary(min_size=16, max_size=16)),
    st.one_of(st.none(), st.integers(0, 15)),
)
def test_any_cid_decodes_or_is_refused(data: bytes, rev: int | None) -> None:
    try:
        emmc, sd = decode_emmc_cid(data, rev), decode_sd_cid(data)
    except MmcDecodeError:
        assert len(data) != 16 or len(set(data)) == 1
        return
    assert emmc.serial_text == f"0x{data[10:14].hex()}"
    assert sd.serial_text == f"0x{data[9:13].hex()}"
    assert (emmc.year is None) == (rev is None)


@given(st.text(max_size=40))
def test_any_text_is_a_cid_or_is_refused(text: str) -> None:
    try:
        data = parse_cid(text)
    except MmcDecodeError:
        return
    assert data.hex() == text.strip().lower()


@given(
    name=st.text("ABCDEFGHIJ0123456789", min_size=1, max_size=6),
    serial=st.integers(0, 0xFFFFFFFF),
    month=st.integers(1, 12),
    year=st.integers(2013, 2025),
    revision=st.tuples(st.integers(0, 15), st.integers(0, 15)),
)
def test_emmc_cid_round_trip(
    name: str, serial: int, month: int, year: int, revision: tuple[int, int]
) -> None:
    raw = struct.pack(
        ">BBB6sBIBB",
        0x15,
        1,
        0x4E,
        name.encode(),
        revision[0] << 4 | revision[1],
        serial,
        month << 4 | (year - 1997) % 16,
        1,
    )
    cid = decode_emmc_cid(raw, 8)
    assert (cid.product_name, cid.serial, cid.month, cid.year, cid.revision) == (
        name,
        serial,
        month,
        year,
        revision,
    )


@given(st.integers(0, 191), st.integers(0, 255))
def test_switch_fields_do_not_touch_each_other(index: int, value: int) -> None:
    arg = switch_byte("X", index, value, timeout_s=1).arg
    assert (arg >> 24, arg >> 16 & 0xFF, arg >> 8 & 0xFF, arg & 0xFF) == (3, index, value, 1)


REGISTERS = st.lists(st.tuples(st.integers(0, 511), st.integers(0, 255)), max_size=40)


@given(REGISTERS, st.sampled_from(EraseArgument), st.integers(0, 1 << 42))
def test_any_register_decodes_or_is_refused(
    registers: list[tuple[int, int]], argument: EraseArgument, length: int
) -> None:
    data = bytearray(512)
    for index, value in registers:
        data[index] = value
    try:
        device = decode_ext_csd(bytes(data))
    except MmcDecodeError:
        assert not any(data) or data[192] > 15
        return
    assert device.user_area_bytes == int.from_bytes(data[212:216], "little") * 512
    assert 0 < erase_timeout_s(device, argument, length) <= 86400
    assert erase_supported(device, EraseArgument.ERASE)


@given(st.binary(max_size=600))
def test_registers_of_any_length(data: bytes) -> None:
    if len(data) != 512:
        with pytest.raises(MmcDecodeError):
            decode_ext_csd(data)


@given(st.integers(0, 0xFFFFFFFF))
def test_every_status_has_words(r1: int) -> None:
    assert accepted(r1)[1]
    assert completed(r1)[1]
