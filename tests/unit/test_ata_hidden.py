"""Host Protected Area, Accessible Max Address and Device Configuration Overlay."""

import pytest

from rasura_agent.drive.ata.dco import (
    dco_freeze_lock,
    dco_identify,
    dco_restore,
    dco_set,
    decode_dco_identify,
    with_max_lba,
)
from rasura_agent.drive.ata.errors import AtaDecodeError, AtaEncodeError
from rasura_agent.drive.ata.hidden import (
    ama_freeze,
    ama_get_native_max_address,
    ama_set,
    decode_max_lba,
    hidden_sectors,
    read_native_max_address,
    read_native_max_address_ext,
    set_max_address,
    set_max_address_ext,
)
from rasura_agent.drive.port import AtaCommand, AtaProtocol, AtaResult


@pytest.mark.parametrize(
    ("command", "opcode", "feature", "count", "lba", "ext"),
    [
        (read_native_max_address(), 0xF8, 0, 0, 0, False),
        (read_native_max_address_ext(), 0x27, 0, 0, 0, True),
        (set_max_address(0x0FFFFFFF, permanent=True), 0xF9, 0, 1, 0x0FFFFFFF, False),
        (set_max_address(1, permanent=False), 0xF9, 0, 0, 1, False),
        (set_max_address_ext(0xFFFFFFFFFFFF, permanent=True), 0x37, 0, 1, 0xFFFFFFFFFFFF, True),
        (set_max_address_ext(1, permanent=False), 0x37, 0, 0, 1, True),
        (ama_get_native_max_address(), 0x78, 0, 0, 0, True),
        (ama_set(0x123456789A), 0x78, 1, 0, 0x123456789A, True),
        (ama_freeze(), 0x78, 2, 0, 0, True),
    ],
)
def test_commands(command: AtaCommand, opcode: int, feature: int, count: int, lba: int, ext: bool) -> None:
    assert (command.command, command.feature, command.count) == (opcode, feature, count)
    assert (command.lba, command.ext, command.protocol) == (lba, ext, AtaProtocol.NON_DATA)
    assert command.device & 0x40, "without the LBA bit the drive answers in cylinders"


def test_addresses_that_do_not_fit_are_refused() -> None:
    for lba in (-1, 1 << 28):
        with pytest.raises(AtaEncodeError):
            set_max_address(lba, permanent=False)
    for lba in (-1, 1 << 48):
        with pytest.raises(AtaEncodeError):
            set_max_address_ext(lba, permanent=False)
        with pytest.raises(AtaEncodeError):
            ama_set(lba)


def ended(lba: int, status: int = 0x50, error: int = 0) -> AtaResult:
    return AtaResult(status=status, error=error, count=0, lba=lba, device=0x40)


def test_native_max() -> None:
    assert decode_max_lba(read_native_max_address_ext(), ended(1953525167)) == 1953525167
    assert decode_max_lba(read_native_max_address(), ended(0x0ABCDEF)) == 0x0ABCDEF


@pytest.mark.parametrize("lba", [0x0FFFFFFE, 0x0FFFFFFF])
def test_a_full_28_bit_answer_is_no_answer(lba: int) -> None:
    with pytest.raises(AtaDecodeError):
        decode_max_lba(read_native_max_address(), ended(lba))
    assert decode_max_lba(read_native_max_address_ext(), ended(lba)) == lba


@pytest.mark.parametrize(("status", "error"), [(0x51, 0x04), (0x51, 0x10), (0xD0, 0), (0x70, 0), (0, 0)])
def test_registers_of_a_failed_command_are_not_an_address(status: int, error: int) -> None:
    with pytest.raises(AtaDecodeError):
        decode_max_lba(read_native_max_address_ext(), ended(1953525167, status, error))


def test_hidden_sectors() -> None:
    assert hidden_sectors(1953525167, 1953525168) == 0
    assert hidden_sectors(1953525167, 1953000000) == 525168
    with pytest.raises(AtaDecodeError):
        hidden_sectors(1953525167, 1953525169)


def dco(max_lba: int = 0x037E3E3F, *, revision: int = 2, features: int = 0x198F) -> bytes:
    """The page of a 30 GB drive as its manual prints it, sealed."""
    words = [revision, 0x0007, 0x003F, *((max_lba >> 16 * n) & 0xFFFF for n in range(4)), features]
    data = b"".join(word.to_bytes(2, "little") for word in words).ljust(510, b"\0") + b"\xa5"
    return data + bytes([-sum(data) % 256])


def test_dco_commands() -> None:
    for command, feature in ((dco_restore(), 0xC0), (dco_freeze_lock(), 0xC1)):
        assert (command.command, command.feature, command.protocol) == (0xB1, feature, AtaProtocol.NON_DATA)
    identify = dco_identify()
    assert (identify.feature, identify.protocol, identify.data_in_bytes) == (0xC2, AtaProtocol.PIO_IN, 512)
    setter = dco_set(dco())
    assert (setter.feature, setter.protocol, setter.data_out) == (0xC3, AtaProtocol.PIO_OUT, dco())


def test_dco_of_a_manual() -> None:
    decoded = decode_dco_identify(dco())
    assert decoded.sectors == 58605120
    assert decoded.revision == 2
    assert decoded.checksum_valid is True
    assert decoded.security
    assert decoded.hpa
    assert decoded.lba48
    assert decoded.smart


def test_dco_addresses_have_64_bits() -> None:
    assert decode_dco_identify(dco(0x0001_2345_6789_ABCD)).max_lba == 0x0001_2345_6789_ABCD


def test_dco_checksum() -> None:
    wrong = dco()[:511] + bytes([dco()[511] ^ 1])
    assert decode_dco_identify(wrong).checksum_valid is False
    assert decode_dco_identify(dco()[:510] + b"\0\0").checksum_valid is None
    for block in (wrong, dco()[:510] + b"\0\0", b"", bytes(512)):
        with pytest.raises(AtaEncodeError):
            dco_set(block)


@pytest.mark.parametrize("data", [b"", bytes(512), b"\xff" * 512, dco()[:-1]])
def test_what_is_no_dco_page_is_refused(data: bytes) -> None:
    with pytest.raises(AtaDecodeError):
        decode_dco_identify(data)


def test_an_overlay_only_lowers() -> None:
    factory = decode_dco_identify(dco())
    lowered = decode_dco_identify(with_max_lba(factory, 1000))
    assert (lowered.max_lba, lowered.checksum_valid) == (1000, True)
    assert lowered.raw[14:510] == factory.raw[14:510]
    for lba in (-1, factory.max_lba + 1):
        with pytest.raises(AtaEncodeError):
            with_max_lba(factory, lba)
