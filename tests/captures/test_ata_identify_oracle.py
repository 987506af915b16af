"""IDENTIFY DEVICE data as we read it, against ``hdparm --Istdin`` reading the same words."""

import re
import shutil
import subprocess
from collections.abc import Sequence

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rasura_agent.drive.ata.identify import IdentifyDevice, decode_identify
from rasura_agent.drive.ata.security import EraseEstimate, SecurityLevel, SecurityState

_HDPARM = shutil.which("hdparm", path="/usr/sbin:/sbin:/usr/bin:/bin")

needs_hdparm = pytest.mark.skipif(_HDPARM is None, reason="hdparm, the oracle, is not installed")

# Pages that owners of these drives published, CrystalDiskInfo and sg_inq having read them. Serial
# number and WWN are blanked out below and the checksum of word 255 made to fit.
_SAMSUNG_870_QVO_4TB = {
    0: "0040 3FFF C837 0010 0000 0000 003F 0000 0000 0000",
    20: "0000 0000 0000 5356 5130 3242 3651 5361 6D73 756E",
    30: "6720 5353 4420 3837 3020 5156 4F20 3454 4220 2020",
    40: "2020 2020 2020 2020 2020 2020 2020 8001 4001 2F00",
    50: "4000 0200 0200 0007 3FFF 0010 003F FC10 00FB 0101",
    60: "FFFF 0FFF 0000 0007 0003 0078 0078 0078 0078 4F30",
    70: "0000 0000 0000 0000 0000 001F 850E 00C6 056C 0060",
    80: "09FC 005E 746B 7D01 4163 7469 BC01 4163 407F 0002",
    90: "0004 0000 FFFE 0000 0000 0000 0000 0000 0000 0000",
    100: "BEB0 D1C0 0001 0000 0000 0008 4000 0000",
    119: "401E 401C 0000 0000 0000 0000 0000 0000 0000 0029",
    168: "0003 0001 2020 2020 2020 2020",
    206: "003D 0000 0000 4000",
    217: "0001 0000 0000 0000 0000 11FF",
    235: "1400",
    243: "4000",
}
_HITACHI_HDE721010SLA330 = {
    0x00: "045a 3fff c837 0010 0000 0000 003f 0000",
    0x14: "0003 f152 0038 5354",
    0x18: "364f 4133 4141 4869 7461 6368 6920 4844",
    0x20: "4537 3231 3031 3053 4c41 3333 3020 2020",
    0x28: "2020 2020 2020 2020 2020 2020 2020 8010",
    0x30: "4000 2f00 4000 0200 0200 0007 3fff 0010",
    0x38: "003f fc10 00fb 0110 ffff 0fff 0000 0007",
    0x40: "0003 0078 0078 0078 0078 0000 0000 0000",
    0x48: "0000 0000 0000 001f 1706 0000 005e 0040",
    0x50: "01fc 0029 346b 7fe9 4773 3469 be01 4763",
    0x58: "407f 00a2 0000 0000 fffe 0000 80fe 0008",
    0x60: "00ca 00f9 2710 0000 6db0 7470 0000 0000",
    0x68: "00ca 0000 0000 5a87",
    0x70: "0000 0000 0000 0000 0000 0000 0000 4014",
    0x78: "4014",
    0x80: "0009 000b 0000 0000 2980 0db1 fe20 0001",
    0x88: "4000 0404 8531 0000 0000 0605 0503 0603",
    0xCE: "003d",
    0xD9: "1c20 0000 0000 0000 0000 101f 0021",
    0xEA: "0001 03e0",
}
_MAXTOR_6B200M0 = {
    0: "0040 3fff c837 0010 0000 0000 003f 0000",
    20: "0003 4000 0004 4241",
    24: "4e43 3139 3830 4d61 7874 6f72 2036 4232",
    32: "3030 4d30 2020 2020 2020 2020 2020 2020",
    40: "2020 2020 2020 2020 2020 2020 2020 8010",
    48: "0000 2f00 4000 0200 0000 0007 3fff 0010",
    56: "003f fc10 00fb 0100 ffff 0fff 0000 0007",
    64: "0003 0078 0078 0078 0078 0000 0000 0000",
    72: "0000 0000 0000 0000 0002 0000 0000 0000",
    80: "00fe 001e 7869 7d09 4043 7869 3c01 4043",
    88: "203f",
    100: "f1b0 1749",
    148: "0113",
}


def _sealed(words: Sequence[int]) -> bytes:
    data = b"".join(word.to_bytes(2, "little") for word in words[:255]) + b"\xa5"
    return data + bytes([-sum(data) % 256])


def _published(rows: dict[int, str]) -> bytes:
    words = [0] * 256
    for first, row in rows.items():
        for offset, word in enumerate(row.split()):
            words[first + offset] = int(word, 16)
    words[10:20] = [int.from_bytes(pair, "big") for pair in (b"SE", b"RI", b"AL", *[b"  "] * 7)]
    if words[84] & 0x100:
        words[108:112] = [0x5000, 0x0000, 0x0000, 0x0001]
    return _sealed(words)


PUBLISHED = {
    "Samsung SSD 870 QVO 4TB": _published(_SAMSUNG_870_QVO_4TB),
    "Hitachi HDE721010SLA330": _published(_HITACHI_HDE721010SLA330),
    "Maxtor 6B200M0": _published(_MAXTOR_6B200M0),
}


def _ask_hdparm(data: bytes) -> str:
    words = " ".join(f"{data[i] | data[i + 1] << 8:04x}" for i in range(0, 512, 2))
    assert _HDPARM is not None
    done = subprocess.run([_HDPARM, "--Istdin"], input=words.encode(), capture_output=True, check=True)
    return done.stdout.decode("latin-1")


def _line(output: str, pattern: str) -> str | None:
    found = re.search(pattern, output, re.MULTILINE)
    return found.group(1).strip() if found else None


def _word(data: bytes, number: int) -> int:
    return data[2 * number] | data[2 * number + 1] << 8


def _is_signed(data: bytes, number: int) -> bool:
    return _word(data, number) >> 14 == 0b01


def _number(output: str, pattern: str) -> int | None:
    found = _line(output, pattern)
    return None if found is None else int(found)


def _feature(output: str, name: str) -> tuple[bool, bool]:
    """(supported, enabled) as hdparm's list of features has it."""
    found = re.search(rf"^\t   ([* ])\t{re.escape(name)}", output, re.MULTILINE)
    return found is not None, found is not None and found.group(1) == "*"


def _erase_minutes(output: str, label: str) -> EraseEstimate | None:
    found = re.search(rf"(more than )?(\d+)min for {label}\.", output)
    return None if found is None else EraseEstimate(int(found.group(2)) * 60, found.group(1) is not None)


def _security_bits(output: str) -> dict[str, bool]:
    names = {
        "supported": "supported",
        "enabled": "enabled",
        "locked": "locked",
        "frozen": "frozen",
        "count_expired": "expired: security count",
        "enhanced_erase_supported": "supported: enhanced erase",
    }
    return {
        field: re.search(rf"^\t\t{name}$", output, re.MULTILINE) is not None for field, name in names.items()
    }


def _compare(data: bytes) -> IdentifyDevice:
    page = decode_identify(data)
    output = _ask_hdparm(data)

    assert page.model == _line(output, r"Model Number:(.*)$")
    assert page.serial == _line(output, r"Serial Number:(.*)$")
    assert page.firmware == _line(output, r"Firmware Revision:(.*)$")
    if _is_signed(data, 84) and _word(data, 84) & 0x100:  # hdparm does not ask whether 84 is valid, nor 87
        assert page.wwn == _line(output, r"WWN Device Identifier: (\w+)$")
    assert page.checksum_valid is ("Checksum: correct" in output)

    assert page.sectors_28 == _number(output, r"LBA    user addressable sectors:\s*(\d+)")
    assert page.sectors == (_number(output, r"LBA48  user addressable sectors:\s*(\d+)") or page.sectors_28)
    both = _number(output, r"Logical/Physical Sector size:\s*(\d+) bytes")
    assert page.logical_sector_bytes == (both or _number(output, r"Logical  Sector size:\s*(\d+) bytes"))
    assert page.physical_sector_bytes == _number(output, r"\tPhysical Sector size:\s*(\d+) bytes")
    offset = _number(output, r"Logical Sector-0 offset:\s*(\d+)")
    if offset is not None:
        assert page.logical_sector_bytes is not None
        assert page.alignment_offset_sectors == offset // page.logical_sector_bytes
    if _word(data, 217) not in {0x0401, 0xFFFF}:  # hdparm is off by one at both ends
        assert page.rotation_rpm == _number(output, r"Rotation Rate: (\d+)$")
    assert (page.rotational is False) is ("Solid State Device" in output)

    _compare_features(data, page, output)
    if _is_signed(data, 83):
        _compare_sanitize(page, output)
    # hdparm looks at word 128 only if the feature set is supported, and says nothing where the word is zero.
    if _word(data, 82) & 2 and _word(data, 128):
        _compare_security(page, output)
    return page


def _compare_features(data: bytes, page: IdentifyDevice, output: str) -> None:
    features = page.features
    compared = [
        ("SMART feature set", features.smart_supported, features.smart_enabled),
        ("Security Mode feature set", features.security_supported, features.security_enabled),
        ("Write cache", features.write_cache_supported, features.write_cache_enabled),
        ("Host Protected Area feature set", features.hpa_supported, features.hpa_enabled),
        ("SET_MAX security extension", features.hpa_security_supported, features.hpa_security_enabled),
        ("Device Configuration Overlay feature set", features.dco_supported, None),
        ("48-bit Address feature set", features.lba48_supported, None),
        ("Device encrypts all user data", features.encrypts_all_user_data, None),
        ("Data Set Management TRIM supported", features.trim_supported, None),
    ]
    if _is_signed(data, 83):  # else hdparm lists no features at all
        compared.append(("Native Command Queueing (NCQ)", features.ncq_supported, None))
        if _is_signed(data, 87):
            compared.append(("SMART self-test", features.smart_self_test_supported, None))
            compared.append(
                ("General Purpose Logging feature set", features.general_purpose_logging_supported, None)
            )
            if _is_signed(data, 120):
                compared.append(("unknown 119[8]", features.ama_supported, None))
    for name, supported, enabled in compared:
        said_supported, said_enabled = _feature(output, name)
        assert bool(supported) is said_supported, name
        if enabled is not None and supported:
            assert enabled is said_enabled, name
    if features.trim_supported and features.trim_deterministic:
        assert features.trim_zeroes is _feature(output, "Deterministic read ZEROs after TRIM")[0]


def _compare_sanitize(page: IdentifyDevice, output: str) -> None:
    sanitize = page.sanitize
    assert sanitize is not None
    assert sanitize.supported is _feature(output, "SANITIZE feature set")[0]
    if sanitize.supported:
        assert sanitize.crypto_scramble is _feature(output, "CRYPTO_SCRAMBLE_EXT command")[0]
        assert sanitize.overwrite is _feature(output, "OVERWRITE_EXT command")[0]
        assert sanitize.block_erase is _feature(output, "BLOCK_ERASE_EXT command")[0]
        assert sanitize.antifreeze_lock is _feature(output, "SANITIZE_ANTIFREEZE_LOCK_EXT command")[0]


def _compare_security(page: IdentifyDevice, output: str) -> None:
    security = page.security
    assert security is not None
    for field, value in _security_bits(output).items():
        assert getattr(security, field) is value, field
    assert security.master_password_identifier == _number(output, r"revision code = (\d+)")
    if security.enabled:
        assert security.level.name.lower() == _line(output, r"Security level (\w+)")
    assert security.normal_erase == _erase_minutes(output, "SECURITY ERASE UNIT")
    assert security.enhanced_erase == _erase_minutes(output, "ENHANCED SECURITY ERASE UNIT")


@needs_hdparm
@pytest.mark.parametrize("name", PUBLISHED)
def test_a_published_page_reads_as_hdparm_reads_it(name: str) -> None:
    assert _compare(PUBLISHED[name]).model == name


def test_what_the_published_pages_say() -> None:
    samsung = decode_identify(PUBLISHED["Samsung SSD 870 QVO 4TB"])
    assert samsung.firmware == "SVQ02B6Q"
    assert samsung.capacity_bytes == 7814037168 * 512
    assert samsung.rotational is False
    assert samsung.features.encrypts_all_user_data is True
    assert samsung.features.trim_deterministic is True
    assert samsung.features.trim_zeroes is True
    assert samsung.features.trusted_computing_supported is True
    assert samsung.sata_generation == 3
    assert samsung.security is not None
    assert samsung.security.state is SecurityState.SEC2
    assert samsung.security.normal_erase == EraseEstimate(240, saturated=False)
    assert samsung.security.enhanced_erase == EraseEstimate(480, saturated=False)
    assert samsung.sanitize is not None
    assert not samsung.sanitize.supported

    hitachi = decode_identify(PUBLISHED["Hitachi HDE721010SLA330"])
    assert hitachi.rotation_rpm == 7200
    assert hitachi.physical_sector_bytes is None
    assert hitachi.features.dco_supported is True
    assert hitachi.features.hpa_security_supported is True
    assert hitachi.features.hpa_security_enabled is False
    assert hitachi.features.ama_supported is False
    assert hitachi.security is not None
    assert hitachi.security.normal_erase == EraseEstimate(324 * 60, saturated=False)
    assert hitachi.security.enhanced_erase is None
    assert hitachi.security.level is SecurityLevel.HIGH

    maxtor = decode_identify(PUBLISHED["Maxtor 6B200M0"])
    assert maxtor.sectors == 390721968
    assert maxtor.rotational is None
    assert maxtor.transport is None
    assert maxtor.features.ama_supported is None
    assert maxtor.security is not None
    assert maxtor.security.supported is False
    assert maxtor.security.state is None


_PRINTABLE = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=1, max_size=8)
_WORD = st.integers(0, 0xFFFF)


def _signed(draw: st.DrawFn) -> int:
    return draw(st.integers(0, 0x3FFF)) | draw(
        st.sampled_from([0x4000, 0x4000, 0x4000, 0x0000, 0xC000, 0x8000])
    )


@st.composite
def _pages(draw: st.DrawFn) -> bytes:
    """A page with every word that we read drawn, in a frame of ACS-4 in which hdparm looks at them all."""
    words = [0] * 256
    words[0], words[53], words[80] = 0x0040, 0x0007, 0x0FF0
    for first, count in ((10, 10), (23, 4), (27, 20)):
        text = draw(_PRINTABLE).rjust(draw(st.integers(1, 8))).ljust(2 * count).encode()
        words[first : first + count] = [
            int.from_bytes(text[i : i + 2], "big") for i in range(0, 2 * count, 2)
        ]
    words[49] = 0x0200
    words[60], words[61] = draw(_WORD), draw(st.integers(1, 0x0FFF))
    for n in (48, 83, 84, 87, 106, 119, 120, 209):
        words[n] = _signed(draw)
    for n in (82, 85, 86, 89, 90, 92, 217):
        words[n] = draw(st.one_of(_WORD, st.sampled_from([0, 1, 0xFF, 0x7FFF, 0x8000, 0xFFFE, 0xFFFF])))
    words[83] &= ~0x0004  # not a CompactFlash card, which hdparm describes otherwise
    words[59], words[128] = draw(st.integers(0, 0xFFFE)), draw(st.integers(0, 0x1FF))
    words[69] = draw(st.integers(0, 0xFFFE)) & ~0x0008  # hdparm does not know the extended count of sectors
    words[76] = draw(st.integers(0, 0x7FFF)) & ~1
    words[100:103] = [draw(st.integers(1, 0xFFFF)) for _ in range(3)]
    words[106] &= 0xF00F
    words[209] &= 0xDFFF  # hdparm takes 13 bits of the 14
    words[108:112] = [0x5000 | draw(st.integers(0, 0xFFF)), draw(_WORD), draw(_WORD), draw(_WORD)]
    words[117] = draw(st.sampled_from([256, 260, 264, 2048]))
    words[169], words[222] = draw(st.integers(0, 1)), 0x10FF
    data = bytearray(_sealed(words))
    data[511] ^= draw(st.sampled_from([0, 0, 0, 1]))
    return bytes(data)


@needs_hdparm
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(_pages())
def test_a_synthetic_page_reads_as_hdparm_reads_it(data: bytes) -> None:
    _compare(data)
