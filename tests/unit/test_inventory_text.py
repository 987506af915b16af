"""What drives say of themselves, cleaned."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rasura_agent.inventory.text import identifier, printable, text, udev_decoded, world_wide_name


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (b"  WDC WD10EZEX-08WN4A0   ", "WDC WD10EZEX-08WN4A0"),
        (b"KXG80ZN84T09\0\0\0", "KXG80ZN84T09"),
        ("Ultra USB 3.0", "Ultra USB 3.0"),
        (b"", None),
        (b" \0 ", None),
        ("None", None),
        ("n/a", None),
        (None, None),
        (b"\xff\xff", None),
        (b"Ab\xffc", "Ab\N{REPLACEMENT CHARACTER}c"),
        (b"red\x1b[31m", "red\N{REPLACEMENT CHARACTER}[31m"),
        ("abc\N{RIGHT-TO-LEFT OVERRIDE}def", "abc\N{REPLACEMENT CHARACTER}def"),
        ("caf\udce9", "caf\N{REPLACEMENT CHARACTER}"),
    ],
)
def test_names_lose_padding_and_cannot_steer_a_terminal(raw, expected):
    assert text(raw) == expected


@pytest.mark.parametrize(
    "raw", ["0", "000000000000", "0x00000000", "00:00:00", "0000-0000", "FFFFFFFF", "---"]
)
def test_identifiers_of_one_digit_say_nothing(raw):
    assert identifier(raw) is None


@pytest.mark.parametrize("raw", ["0001", "QM00001", "F", "0x4a2b", "00000000f"])
def test_other_identifiers_are_kept_as_they_are(raw):
    assert identifier(raw) == raw


def test_udev_escapes_are_bytes():
    assert udev_decoded(r"Corsair\x20Force\x20GS") == b"Corsair Force GS"
    assert udev_decoded(r"\xc3\xa9\xff") == b"\xc3\xa9\xff"
    assert udev_decoded(r"a\xzz\x4") == rb"a\xzz\x4"


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ("0x5000039febf22ff6", "naa.5000039febf22ff6"),
        (b"naa.5000039FEBF22FF6\n", "naa.5000039febf22ff6"),
        ("0x600508b1001c4d7ee2f3e1d2c3b4a596", "naa.600508b1001c4d7ee2f3e1d2c3b4a596"),
        ("eui.0025385201404936", "eui.0025385201404936"),
        ("eui.00000000000000008ce38e0500e3957d", "eui.00000000000000008ce38e0500e3957d"),
        ("uuid.344343304d3000150025384500000004", "uuid.344343304d3000150025384500000004"),
        ("0x0000000000000000", None),
        ("naa.ffffffffffffffff", None),
        ("eui.0000000000000000", None),
        ("nvme.8086-43564d44-494e54-00000001", None),
        ("t10.ATA     Samsung SSD", None),
        ("0x5000", None),
        ("", None),
        (None, None),
    ],
)
def test_world_wide_names_have_the_kernel_prefix(raw, expected):
    assert world_wide_name(raw) == expected


@settings(deadline=None)
@given(st.one_of(st.binary(), st.text(alphabet=st.characters())))
def test_anything_becomes_text_that_can_be_encoded_and_is_stable(raw):
    shown = printable(raw)
    json.dumps(shown, ensure_ascii=False).encode()
    assert shown.isprintable()
    for clean in (text, identifier, world_wide_name):
        once = clean(raw)
        assert clean(once) == once
