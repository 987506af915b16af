"""The PSID as people and scanners give it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rasura.errors import UsageError
from rasura_agent.drive.tcg.psid import OPAL_KEY_BYTES, Psid, ScanNoise, encode_opal_key, parse_psid

PRINTED = "VUJ8K2TTQ0L5D7XW1N4CH9RZ6M3BPAGE"


@pytest.mark.parametrize(
    ("text", "noise"),
    [
        (PRINTED, set()),
        (f"  {PRINTED}\r\n", set()),
        (PRINTED.lower(), {ScanNoise.LOWER_CASE}),
        (f"{PRINTED[:16]} {PRINTED[16:]}", {ScanNoise.SEPARATORS}),
        ("-".join(PRINTED[i : i + 4] for i in range(0, 32, 4)), {ScanNoise.SEPARATORS}),
        (f"PSID{PRINTED}", {ScanNoise.PREFIX}),
        (f"psid: {PRINTED}", {ScanNoise.PREFIX, ScanNoise.SEPARATORS}),
        (f"PSID:{PRINTED.lower()}", {ScanNoise.PREFIX, ScanNoise.LOWER_CASE}),
    ],
)
def test_noise_is_taken_away_and_told(text: str, noise: set[ScanNoise]) -> None:
    assert parse_psid(text) == Psid(PRINTED, frozenset(noise))


def test_a_psid_may_begin_with_the_letters_psid() -> None:
    value = "PSID" + PRINTED[4:]
    assert parse_psid(value).value == value
    assert parse_psid(f"{value[:4]} {value[4:]}").value == value
    assert parse_psid("PSID:" + value).value == value


@pytest.mark.parametrize(
    "text",
    [
        "",
        PRINTED[:-1],
        PRINTED + "A",
        PRINTED[:-1] + "!",
        PRINTED[:-1] + "É",
        PRINTED[:-1] + "٣",
        PRINTED[:-2] + "ß",  # two letters when it is made upper case
        "PSID" + PRINTED[:-1],
        "PSIDPSID" + PRINTED,
        PRINTED.replace("8", "_"),
        PRINTED + "\0",
    ],
)
def test_what_is_no_psid(text: str) -> None:
    with pytest.raises(UsageError, match="32 letters and digits"):
        parse_psid(text)


@given(st.text(max_size=48))
def test_any_text_is_a_psid_or_a_usage_error(text: str) -> None:
    try:
        psid = parse_psid(text)
    except UsageError:
        return
    assert len(psid.value) == 32
    assert parse_psid(psid.value) == Psid(psid.value, frozenset())


def test_opal_key() -> None:
    raw = encode_opal_key(parse_psid(PRINTED))
    assert len(raw) == OPAL_KEY_BYTES == 264
    assert raw[:8] == b"\0\x20" + bytes(6)
    assert raw[8:40] == PRINTED.encode()
    assert not any(raw[40:])
