"""EDID base blocks: what is decoded, and what is refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rasura_agent.inventory.displays import describe_display
from rasura_agent.inventory.edid import EdidError, decode_edid
from rasura_agent.inventory.firmware_text import Reading


def block(
    *,
    maker: str = "DEL",
    number: int = 0,
    descriptors: tuple[bytes, ...] = (),
    size_cm: tuple[int, int] = (31, 17),
    features: int = 2,
    digital: int = 0x80,
    week: int = 10,
    year: int = 30,
) -> bytes:
    a, b, c = (ord(letter) - 64 for letter in maker)
    head = bytes.fromhex("00ffffffffffff00") + (a << 10 | b << 5 | c).to_bytes(2, "big")
    head += (0xA0B9).to_bytes(2, "little") + number.to_bytes(4, "little") + bytes([week, year, 1, 4])
    head += bytes([digital, *size_cm, 120, features]) + bytes(29)
    body = head + b"".join(descriptors)
    body = body.ljust(127, b"\0")
    return body + bytes([-sum(body) % 256])


def text(tag: int, words: bytes) -> bytes:
    return bytes([0, 0, 0, tag, 0]) + (words + b"\n").ljust(13, b" ")[:13]


def timing(width: int, height: int, mm: tuple[int, int], *, interlaced: bool = False) -> bytes:
    made = bytearray(18)
    made[0:2] = b"\x01\x1d"
    made[2], made[4] = width & 255, width >> 8 << 4
    made[5], made[7] = height & 255, height >> 8 << 4
    made[12], made[13], made[14] = mm[0] & 255, mm[1] & 255, mm[0] >> 8 << 4 | mm[1] >> 8
    made[17] = 0x80 if interlaced else 0
    return bytes(made)


def test_a_panel_and_its_texts():
    words = (timing(1920, 1080, (309, 173)), text(0xFC, b"DELL U2415"), text(0xFF, b"7MT019AI34EU"))
    edid = decode_edid(block(number=7, descriptors=words))
    assert (edid.manufacturer_id, edid.product_code, edid.serial_number) == ("DEL", "a0b9", 7)
    assert (edid.name, edid.serial_text, edid.year) == (b"DELL U2415", b"7MT019AI34EU", 2020)
    assert (edid.native, edid.size_mm, edid.diagonal_inches) == ((1920, 1080), (309, 173), 13.9)


def test_a_laptop_panel_is_named_by_its_part_number():
    words = (timing(1366, 768, (310, 170)), text(0xFE, b"AUO"), text(0xFE, b"B140XTN02.0"))
    assert decode_edid(block(descriptors=words)).name == b"B140XTN02.0"


def test_the_number_that_makers_leave_is_none():
    assert decode_edid(block(number=0x01010101)).serial_number is None


def test_a_tube_has_no_native_timing():
    tube = block(descriptors=(timing(1024, 768, (310, 230)),), features=0, digital=0)
    assert decode_edid(tube).native is None


def test_interlaced_timings_count_lines_of_a_field():
    tv = block(descriptors=(timing(1920, 540, (0, 0), interlaced=True),))
    assert decode_edid(tv).native == (1920, 1080)


@pytest.mark.parametrize(
    ("mm", "size"), [((160, 90), (310, 170)), ((0, 0), (310, 170)), ((314, 171), (314, 171))]
)
def test_an_aspect_ratio_is_no_size(mm, size):
    assert decode_edid(block(descriptors=(timing(1920, 1080, mm),))).size_mm == size


def test_a_projector_has_no_size():
    edid = decode_edid(block(size_cm=(0, 0), descriptors=(timing(1920, 1080, (16, 9)),)))
    assert (edid.size_mm, edid.diagonal_inches) == (None, None)


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "0 bytes"),
        (block()[:127], "127 bytes"),
        (b"\0" * 128, "does not begin"),
        (block()[:-1] + bytes([block()[-1] ^ 1]), "checksum"),
    ],
)
def test_what_is_no_edid_is_refused(data, why):
    with pytest.raises(EdidError, match=why):
        decode_edid(data)


def test_a_bad_checksum_tells_nothing_and_is_said():
    reading = Reading()
    shown = describe_display("HDMI-A-1", block()[:-1] + b"\0", reading)
    assert (shown.manufacturer_id, shown.model, shown.native_width) == (None, None, None)
    assert any("checksum" in note and "HDMI-A-1" in note for note in reading.notes)


@given(st.binary(max_size=300))
def test_any_bytes_are_decoded_or_refused(data):
    describe_display("DP-1", data, Reading())


@given(st.binary(min_size=120, max_size=120))
def test_any_content_with_a_good_checksum_is_decoded(data):
    body = bytes.fromhex("00ffffffffffff00") + data[:119]
    shown = describe_display("eDP-1", body + bytes([-sum(body) % 256]), Reading())
    for one in (shown.model, shown.serial):
        assert one is None or one.isprintable()
