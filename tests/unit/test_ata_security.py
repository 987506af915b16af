"""The Security feature set: data blocks, states, and how long to wait."""

import pytest

from rasura_agent.drive.ata.errors import AtaDecodeError, AtaEncodeError
from rasura_agent.drive.ata.security import (
    EraseEstimate,
    PasswordIdentifier,
    SecurityLevel,
    SecurityState,
    SecurityStatus,
    decode_erase_estimate,
    decode_password_block,
    erase_timeout_s,
    security_disable_password,
    security_erase_prepare,
    security_erase_unit,
    security_freeze_lock,
    security_set_password,
    security_unlock,
)
from rasura_agent.drive.port import AtaProtocol

PASSWORD = b"published"


def status(*, enabled: bool, locked: bool, frozen: bool, supported: bool = True) -> SecurityStatus:
    return SecurityStatus(
        supported, enabled, locked, frozen, False, False, SecurityLevel.HIGH, None, None, None
    )


@pytest.mark.parametrize(
    ("enabled", "locked", "frozen", "state"),
    [
        (False, False, False, SecurityState.SEC1),
        (False, False, True, SecurityState.SEC2),
        (True, True, False, SecurityState.SEC4),
        (True, False, False, SecurityState.SEC5),
        (True, False, True, SecurityState.SEC6),
        (False, True, False, None),
        (False, True, True, None),
        (True, True, True, None),
    ],
)
def test_states(enabled: bool, locked: bool, frozen: bool, state: SecurityState | None) -> None:
    assert status(enabled=enabled, locked=locked, frozen=frozen).state is state
    assert status(enabled=enabled, locked=locked, frozen=frozen, supported=False).state is None


@pytest.mark.parametrize(
    ("word", "estimate"),
    [
        (0x0000, None),
        (0x8000, None),
        (0x7F00, None),
        (0x0001, EraseEstimate(120, saturated=False)),
        (0x00FE, EraseEstimate(508 * 60, saturated=False)),
        (0x00FF, EraseEstimate(508 * 60, saturated=True)),
        (0x7FFF, EraseEstimate(508 * 60, saturated=True)),
        (0x80FF, EraseEstimate(510 * 60, saturated=False)),
        (0xFFFE, EraseEstimate(65532 * 60, saturated=False)),
        (0xFFFF, EraseEstimate(65532 * 60, saturated=True)),
    ],
)
def test_estimates(word: int, estimate: EraseEstimate | None) -> None:
    assert decode_erase_estimate(word) == estimate


def test_timeout_is_the_larger_of_estimate_and_capacity() -> None:
    terabyte = 10**12
    by_capacity = terabyte / (30 * 1024 * 1024) + 1800
    assert erase_timeout_s(None, False, terabyte) == by_capacity
    assert erase_timeout_s(120, False, terabyte) == by_capacity
    assert erase_timeout_s(36000, False, terabyte) == 36000 + 3600
    assert erase_timeout_s(508 * 60, True, 0) == 508 * 60 + 5400


def test_commands_without_data() -> None:
    for command, opcode in ((security_erase_prepare(), 0xF3), (security_freeze_lock(), 0xF5)):
        assert (command.command, command.protocol, command.data_out) == (opcode, AtaProtocol.NON_DATA, b"")


def test_set_user_password() -> None:
    command = security_set_password(PASSWORD, level=SecurityLevel.MAXIMUM)
    assert (command.command, command.protocol, command.ext) == (0xF1, AtaProtocol.PIO_OUT, False)
    assert command.data_out == b"\x00\x01" + PASSWORD.ljust(32, b"\0") + bytes(478)


def test_set_master_password() -> None:
    command = security_set_password(PASSWORD, PasswordIdentifier.MASTER, master_password_identifier=0xFFFE)
    assert command.data_out == b"\x01\x00" + PASSWORD.ljust(32, b"\0") + b"\xfe\xff" + bytes(476)


@pytest.mark.parametrize("enhanced", [False, True])
def test_erase_unit(enhanced: bool) -> None:
    command = security_erase_unit(PASSWORD, enhanced=enhanced, timeout_s=12345.0)
    assert command.command == 0xF4
    assert command.timeout_s == 12345.0
    assert command.data_out == bytes([2 if enhanced else 0, 0]) + PASSWORD.ljust(32, b"\0") + bytes(478)
    assert ("ENHANCED" in command.name) is enhanced


def test_unlock_and_disable() -> None:
    for command, opcode in (
        (security_unlock(b"", PasswordIdentifier.MASTER), 0xF2),
        (security_disable_password(b"", PasswordIdentifier.MASTER), 0xF6),
    ):
        assert command.command == opcode
        assert command.data_out == b"\x01" + bytes(511)


def test_a_password_of_32_bytes_is_the_longest() -> None:
    assert security_unlock(b"x" * 32).data_out[2:34] == b"x" * 32
    with pytest.raises(AtaEncodeError):
        security_unlock(b"x" * 33)


def test_combinations_that_mean_nothing_are_refused() -> None:
    with pytest.raises(AtaEncodeError):
        security_set_password(PASSWORD, PasswordIdentifier.MASTER, level=SecurityLevel.MAXIMUM)
    with pytest.raises(AtaEncodeError):
        security_set_password(PASSWORD, master_password_identifier=1)
    with pytest.raises(AtaEncodeError):
        security_set_password(PASSWORD, PasswordIdentifier.MASTER, master_password_identifier=0x10000)


@pytest.mark.parametrize(
    "data", [b"", bytes(511), b"\x04" + bytes(511), b"\0\x02" + bytes(510), bytes(511) + b"\x01"]
)
def test_a_block_with_reserved_bits_is_refused(data: bytes) -> None:
    with pytest.raises(AtaDecodeError):
        decode_password_block(data)
