"""What makers leave where a value belongs."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rasura_agent.inventory.firmware_text import Reading


@pytest.mark.parametrize(
    "words",
    [
        *("To Be Filled By O.E.M.", "To be filled by O.E.M.", "Default string", "System Serial Number"),
        *("System Product Name", "System manufacturer", "Chassis Serial Number", "Base Board Serial Number"),
        *("0123456789", "123456789", "1234567890", "01234567890123456789AB", "9876543210", "SerNum01"),
        *(
            "AssetTagNum0",
            "ModulePartNumber00",
            "Manufacturer00",
            "OEM Define 3",
            "Fill By OEM",
            "A1_SerNum2",
        ),
        *("00000000", "XXXXXXXXXX", "FFFFFFFF", "........", "-Virtual Battery 0-", "SN Unknown"[:2] + "XXXX"),
    ],
)
def test_placeholders_are_no_serial_numbers(words):
    reading = Reading()
    assert reading.serial("the serial number", words) is None
    assert words == "........" or any("placeholder" in note and words in note for note in reading.notes)


@pytest.mark.parametrize(
    "words",
    ["", "   ", "None", "N/A", "Not Specified", "Unknown", "--", "[Empty]", "NO DIMM", b"\0\0", b" \xa0"[:1]],
)
def test_words_for_nothing_are_nothing_and_not_worth_a_word(words):
    reading = Reading()
    assert reading.serial("the serial number", words) is None
    assert reading.notes == ()


@pytest.mark.parametrize(
    "words",
    [
        "PF0XYZ12",
        "CZJ02901TG",
        "54321",
        "R90ABCDE",
        "/D0JHP72/CN1296364600B8/",
        "VMware-56 4d 60 49",
        "Télé-17",
        "1S20AM",
    ],
)
def test_real_numbers_stay(words):
    reading = Reading()
    assert reading.serial("the serial number", words) == words
    assert reading.serial("the serial number", words.encode()) == words
    assert reading.notes == ()


@pytest.mark.parametrize(
    "uuid",
    [
        *("00000000-0000-0000-0000-000000000000", "FFFFFFFF-FFFF-FFFF-FFFF-FFFFFFFFFFFF"),
        *("03000200-0400-0500-0006-000700080009", "12345678-1234-5678-90AB-CDDEEFAABBCC"),
        *("fefefefe-fefe-fefe-fefe-fefefefefefe", "4c4c4544-0000-2010-8020-80c04f202020", "no uuid"),
    ],
)
def test_uuids_that_many_machines_have(uuid):
    reading = Reading()
    assert reading.uuid("the UUID", uuid) is None
    assert len(reading.notes) == 1


def test_a_uuid_in_lower_case():
    assert Reading().uuid("the UUID", b"4C4C4544-004A-3210-8039-B6C04F483633\n") == (
        "4c4c4544-004a-3210-8039-b6c04f483633"
    )


def test_bytes_that_are_no_text_stay_apart():
    reading = Reading()
    one, other = reading.serial("x", b"AB\xff12"), reading.serial("x", b"AB\xfe12")
    assert one == "AB\\xff12"
    assert one != other
    assert "no text" in reading.notes[0]


def test_what_could_steer_a_terminal_is_replaced_and_said():
    reading = Reading()
    assert reading.text("x", "LEN\x1b[2JOVO") == "LEN\N{REPLACEMENT CHARACTER}[2JOVO"
    assert "cannot be shown" in reading.notes[0]


@given(st.one_of(st.text(), st.binary()))
def test_anything_is_printable_or_nothing(value):
    reading = Reading()
    for shown in (reading.text("x", value), reading.serial("x", value), reading.uuid("x", value)):
        assert shown is None or shown.isprintable()
    assert all(note.isprintable() for note in reading.notes)
