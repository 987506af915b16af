"""IDENTIFY DEVICE: what each word means, and when it means nothing."""

import pytest

from rasura_agent.drive.ata.errors import AtaDecodeError
from rasura_agent.drive.ata.identify import (
    AtaTransport,
    FormFactor,
    ZonedCapability,
    decode_identify,
    identify_device,
)
from rasura_agent.drive.ata.sanitize import SanitizeSupport
from rasura_agent.drive.ata.security import EraseEstimate, SecurityLevel, SecurityState
from rasura_agent.drive.port import AtaProtocol

VALID = 0x4000


def page(words: dict[int, int] | None = None, *, checksum: int | None = 0) -> bytes:
    """A page with these words; ``checksum`` is added to the right one, ``None`` leaves word 255 zero."""
    base = {0: 0x0040, 49: 0x0200, 53: 0x0002, 83: VALID, 84: VALID, 87: VALID} | (words or {})
    data = b"".join(base.get(n, 0).to_bytes(2, "little") for n in range(255))
    if checksum is None:
        return data + b"\0\0"
    data += b"\xa5"
    return data + bytes([(-sum(data) + checksum) % 256])


def text(first: int, value: bytes) -> dict[int, int]:
    return {first + i // 2: value[i] << 8 | value[i + 1] for i in range(0, len(value), 2)}


def test_the_command() -> None:
    command = identify_device()
    assert (command.command, command.protocol, command.ext) == (0xEC, AtaProtocol.PIO_IN, False)
    assert (command.data_in_bytes, command.timeout_s) == (512, 30.0)


@pytest.mark.parametrize(
    "data",
    [b"", bytes(511), bytes(513), bytes(512), b"\xff" * 512, page({0: 0x8580}), page({0: 0xFFFF})],
    ids=["empty", "short", "long", "zeros", "ones", "atapi", "reserved type"],
)
def test_what_is_no_identify_data_is_refused(data: bytes) -> None:
    with pytest.raises(AtaDecodeError):
        decode_identify(data)


def test_a_compact_flash_card_is_no_packet_device() -> None:
    assert decode_identify(page({0: 0x848A})).removable is True


def test_strings_are_swapped_stripped_and_survive_garbage() -> None:
    words = (
        text(27, b"  ACME Disk 1\0\0\0" + b" " * 24)
        | text(10, b"AB\xe9\x07CD" + b"\0" * 14)
        | text(23, b" " * 8)
    )
    decoded = decode_identify(page(words))
    assert decoded.model == "ACME Disk 1"
    assert decoded.serial == "AB??CD"
    assert decoded.firmware is None


def test_wwn_needs_its_bit_in_a_valid_word() -> None:
    name = {108: 0x5000, 109: 0xC500, 110: 0xABCD, 111: 0x0001}
    assert decode_identify(page(name | {84: VALID | 0x100})).wwn == "5000c500abcd0001"
    assert decode_identify(page(name | {87: VALID | 0x100})).wwn == "5000c500abcd0001"
    assert decode_identify(page(name)).wwn is None
    assert decode_identify(page(name | {84: 0x0100, 87: 0x8100})).wwn is None
    assert decode_identify(page({84: VALID | 0x100})).wwn is None


def test_capacity_comes_from_the_widest_count() -> None:
    small = {60: 0xFFFF, 61: 0x0FFF}
    large = small | {83: VALID | 0x400, 100: 0x6DB0, 101: 0x7470}
    huge = large | {69: 0x0008, 231: 0x0000, 232: 0x0002}
    assert decode_identify(page(small)).sectors == 0x0FFFFFFF
    assert decode_identify(page(large)).sectors == 1953525168
    assert decode_identify(page(large)).capacity_bytes == 1953525168 * 512
    assert decode_identify(page(large)).sectors_28 == 0x0FFFFFFF
    assert decode_identify(page(huge)).sectors == 2 << 32
    # Word 53 bit 1 zero: word 69 is not valid, so neither are words 230 to 233.
    assert decode_identify(page(huge | {53: 0})).sectors == 1953525168
    # More than 48 bits can hold is no count of sectors.
    assert decode_identify(page(large | {103: 0x8000})).sectors == 0x0FFFFFFF


def test_a_drive_without_lba_has_no_sector_count() -> None:
    assert decode_identify(page({49: 0, 60: 5})).sectors is None
    assert decode_identify(page({49: 0, 60: 5})).capacity_bytes is None


@pytest.mark.parametrize(
    ("words", "logical", "physical"),
    [
        ({}, 512, None),
        ({106: VALID}, 512, 512),
        ({106: VALID | 0x2003}, 512, 4096),
        ({106: VALID | 0x1000, 117: 2048}, 4096, 4096),
        ({106: VALID | 0x3001, 117: 260}, 520, 1040),
        ({106: VALID | 0x1000, 117: 100}, None, None),
        ({106: 0xC000 | 0x2003}, 512, None),
    ],
)
def test_sector_sizes(words: dict[int, int], logical: int | None, physical: int | None) -> None:
    decoded = decode_identify(page(words))
    assert (decoded.logical_sector_bytes, decoded.physical_sector_bytes) == (logical, physical)


def test_alignment() -> None:
    assert decode_identify(page({209: VALID | 7})).alignment_offset_sectors == 7
    assert decode_identify(page({209: 7})).alignment_offset_sectors is None


@pytest.mark.parametrize(
    ("word", "rpm", "rotational"),
    [
        (0, None, None),
        (1, None, False),
        (2, None, None),
        (0x0400, None, None),
        (0x0401, 0x0401, True),
        (7200, 7200, True),
        (0xFFFE, 0xFFFE, True),
        (0xFFFF, None, None),
    ],
)
def test_rotation(word: int, rpm: int | None, rotational: bool | None) -> None:
    decoded = decode_identify(page({217: word}))
    assert (decoded.rotation_rpm, decoded.rotational) == (rpm, rotational)


def test_checksum() -> None:
    assert decode_identify(page()).checksum_valid is True
    assert decode_identify(page(checksum=1)).checksum_valid is False
    assert decode_identify(page(checksum=None)).checksum_valid is None


def test_an_invalid_word_says_nothing() -> None:
    features = decode_identify(
        page(
            dict.fromkeys((48, 82, 83, 84, 85, 86, 87, 119, 120), 16383)
            | {53: 0, 69: 0x3FFF, 76: 0, 169: 0xFFFF}
        )
    ).features
    assert all(getattr(features, name) is None for name in features.__struct_fields__)


def test_every_feature_has_its_own_bit() -> None:
    where = {
        "smart_supported": (82, 0),
        "smart_enabled": (85, 0),
        "smart_self_test_supported": (84, 1),
        "security_supported": (82, 1),
        "security_enabled": (85, 1),
        "write_cache_supported": (82, 5),
        "write_cache_enabled": (85, 5),
        "hpa_supported": (82, 10),
        "hpa_enabled": (85, 10),
        "hpa_security_supported": (83, 8),
        "hpa_security_enabled": (86, 8),
        "dco_supported": (83, 11),
        "ama_supported": (119, 8),
        "lba48_supported": (83, 10),
        "general_purpose_logging_supported": (84, 5),
        "trusted_computing_supported": (48, 0),
        "encrypts_all_user_data": (69, 4),
        "trim_supported": (169, 0),
        "trim_deterministic": (69, 14),
        "trim_zeroes": (69, 5),
        "ncq_supported": (76, 8),
    }
    quiet = {48: VALID, 76: 0x0002, 86: 0x8000, 83: VALID, 84: VALID, 87: VALID, 119: VALID, 169: 0}
    assert set(where) == set(decode_identify(page()).features.__struct_fields__)
    for name, (word, number) in where.items():
        features = decode_identify(page(quiet | {word: quiet.get(word, 0) | 1 << number})).features
        said = {other for other in where if getattr(features, other)}
        assert said == {name}
        assert all(getattr(features, other) is False for other in where if other != name)


def test_word_119_counts_only_if_word_86_says_so() -> None:
    ama = {119: VALID | 0x100, 120: VALID}
    assert decode_identify(page(ama | {86: 0x8000})).features.ama_supported is True
    assert decode_identify(page(ama)).features.ama_supported is None
    assert decode_identify(page(ama | {86: 0x8000, 87: 0})).features.ama_supported is None


def test_security_words() -> None:
    decoded = decode_identify(page({128: 0x0127, 89: 0x8000 | 200, 90: 0xFFFF, 92: 0xFFFE}))
    security = decoded.security
    assert security is not None
    assert security.supported
    assert security.enabled
    assert security.locked
    assert not security.frozen
    assert not security.count_expired
    assert security.enhanced_erase_supported
    assert security.level is SecurityLevel.MAXIMUM
    assert security.state is SecurityState.SEC4
    assert security.normal_erase == EraseEstimate(400 * 60, saturated=False)
    assert security.enhanced_erase == EraseEstimate(65532 * 60, saturated=True)
    assert security.master_password_identifier == 0xFFFE


def test_security_not_reported() -> None:
    assert decode_identify(page({128: 0xFFFF})).security is None
    security = decode_identify(page({128: 0})).security
    assert security is not None
    assert security.state is None
    assert security.master_password_identifier is None


def test_sanitize_word() -> None:
    assert decode_identify(page({59: 0xFFFF})).sanitize is None
    assert decode_identify(page({59: 0x9400})).sanitize == SanitizeSupport(
        supported=True,
        crypto_scramble=False,
        block_erase=True,
        overwrite=False,
        antifreeze_lock=True,
        acs3_commands=False,
    )
    # Without the feature set the other bits are left over from something else.
    unsupported = decode_identify(page({59: 0xEC00})).sanitize
    assert unsupported is not None
    assert not any(getattr(unsupported, name) for name in unsupported.__struct_fields__)


def test_the_rest() -> None:
    decoded = decode_identify(page({0: 0x00C4, 69: 0x0001, 76: 0x070E, 168: 0x0007, 222: 0x11FF}))
    assert decoded.removable
    assert decoded.response_incomplete
    assert decoded.zoned is ZonedCapability.HOST_AWARE
    assert decoded.sata_generation == 3
    assert decoded.form_factor is FormFactor.M_2
    assert decoded.transport is AtaTransport.SERIAL
    assert decode_identify(page({76: 0xFFFF})).sata_generation is None
    assert decode_identify(page({69: 0x0003})).zoned is None
    assert decode_identify(page({168: 0x000F})).form_factor is None
    assert decode_identify(page({222: 0x0021})).transport is AtaTransport.PARALLEL
    assert decode_identify(page({222: 0xFFFF})).transport is None
