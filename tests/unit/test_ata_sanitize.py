"""SANITIZE DEVICE: keys, counts, and what its registers say afterwards."""

import pytest

from rasura_agent.drive.ata.errors import AtaDecodeError, AtaEncodeError
from rasura_agent.drive.ata.sanitize import (
    SanitizeErrorReason,
    SanitizeState,
    decode_sanitize_status,
    sanitize_antifreeze_lock,
    sanitize_block_erase,
    sanitize_crypto_scramble,
    sanitize_freeze_lock,
    sanitize_overwrite,
    sanitize_status,
)
from rasura_agent.drive.port import AtaCommand, AtaProtocol, AtaResult


def overwrite(passes: int = 1, pattern: int = 0, **flags: bool) -> AtaCommand:
    return sanitize_overwrite(
        pattern=pattern,
        passes=passes,
        invert=flags.get("invert", False),
        definitive_ending_pattern=flags.get("definitive_ending_pattern", False),
        failure_mode=flags.get("failure_mode", False),
        zoned_no_reset=flags.get("zoned_no_reset", False),
    )


@pytest.mark.parametrize(
    ("command", "feature", "lba", "count"),
    [
        (sanitize_status(), 0x0000, 0, 0),
        (sanitize_status(clear_operation_failed=True), 0x0000, 0, 1),
        (sanitize_crypto_scramble(failure_mode=False), 0x0011, 0x43727970, 0),
        (sanitize_crypto_scramble(failure_mode=True), 0x0011, 0x43727970, 0x10),
        (sanitize_block_erase(failure_mode=True, zoned_no_reset=True), 0x0012, 0x426B4572, 0x8010),
        (overwrite(pattern=0xDEADBEEF), 0x0014, 0x4F57DEADBEEF, 0x0001),
        (sanitize_freeze_lock(), 0x0020, 0x46724C6B, 0),
        (sanitize_antifreeze_lock(), 0x0040, 0x416E7469, 0),
    ],
)
def test_commands(command: AtaCommand, feature: int, lba: int, count: int) -> None:
    assert (command.command, command.protocol, command.ext) == (0xB4, AtaProtocol.NON_DATA, True)
    assert (command.feature, command.lba, command.count) == (feature, lba, count)


def test_keys_spell_their_command() -> None:
    assert (0x43727970).to_bytes(4, "big") == b"Cryp"
    assert (0x426B4572).to_bytes(4, "big") == b"BkEr"
    assert (0x4F57).to_bytes(2, "big") == b"OW"
    assert (0x46724C6B).to_bytes(4, "big") == b"FrLk"
    assert (0x416E7469).to_bytes(4, "big") == b"Anti"


@pytest.mark.parametrize(("passes", "count"), [(1, 1), (3, 3), (15, 15), (16, 0)])
def test_sixteen_passes_are_written_as_zero(passes: int, count: int) -> None:
    assert overwrite(passes).count == count


@pytest.mark.parametrize("passes", [0, -1, 17, 32])
def test_no_passes_are_never_sent(passes: int) -> None:
    with pytest.raises(AtaEncodeError):
        overwrite(passes)


@pytest.mark.parametrize("pattern", [-1, 1 << 32])
def test_a_pattern_cannot_reach_into_the_key(pattern: int) -> None:
    with pytest.raises(AtaEncodeError):
        overwrite(pattern=pattern)


def test_overwrite_flags() -> None:
    assert overwrite(2, invert=True).count == 0x82
    assert overwrite(2, definitive_ending_pattern=True).count == 0x42
    assert overwrite(2, failure_mode=True).count == 0x12
    assert overwrite(2, zoned_no_reset=True).count == 0x8002


def good(count: int, lba: int = 0xFFFF) -> AtaResult:
    return AtaResult(status=0x50, error=0, count=count, lba=lba, device=0x40)


@pytest.mark.parametrize(
    ("count", "state"),
    [
        (0x0000, SanitizeState.SD0),
        (0x8000, SanitizeState.SD4),
        (0x4000, SanitizeState.SD2),
        (0x2000, SanitizeState.SD1),
        (0xA000, SanitizeState.SD1),
        (0x1000, SanitizeState.SD0),
        (0x9000, SanitizeState.SD4),
        (0xC000, None),
        (0x6000, None),
        (0xE000, None),
    ],
)
def test_state_from_a_normal_answer(count: int, state: SanitizeState | None) -> None:
    assert decode_sanitize_status(good(count)).state is state


def test_progress_only_while_running() -> None:
    running = decode_sanitize_status(good(0x4000, lba=0xABCD_8000))
    assert running.progress == 0x8000
    assert running.in_progress
    assert not running.completed_without_error
    assert decode_sanitize_status(good(0x8000)).progress is None
    assert decode_sanitize_status(good(0x9000)).antifreeze_locked


@pytest.mark.parametrize(
    ("lba", "reason", "state"),
    [
        (0x00, SanitizeErrorReason.NOT_REPORTED, None),
        (0x01, SanitizeErrorReason.UNSUCCESSFUL, SanitizeState.SD3),
        (0x02, SanitizeErrorReason.UNSUPPORTED, None),
        (0x03, SanitizeErrorReason.FROZEN, SanitizeState.SD1),
        (0x04, SanitizeErrorReason.ANTIFREEZE_LOCKED, None),
        (0x05, None, None),
        (0x43727970, None, None),
    ],
)
def test_reason_of_an_aborted_command(
    lba: int, reason: SanitizeErrorReason | None, state: SanitizeState | None
) -> None:
    # The completed bit of COUNT must not be believed here: COUNT is reserved on error.
    decoded = decode_sanitize_status(AtaResult(status=0x51, error=0x04, count=0x8000, lba=lba, device=0x40))
    assert decoded.error_reason is reason
    assert decoded.state is state
    assert not decoded.completed_without_error
    assert not decoded.in_progress
    assert decoded.frozen is (reason is SanitizeErrorReason.FROZEN)


@pytest.mark.parametrize(
    ("status", "error"),
    [(0xD0, 0), (0x70, 0), (0x58, 0), (0x00, 0), (0xFF, 0xFF), (0x51, 0x10), (0x51, 0x84)],
)
def test_any_other_end_says_nothing(status: int, error: int) -> None:
    with pytest.raises(AtaDecodeError):
        decode_sanitize_status(AtaResult(status=status, error=error, count=0x8000, lba=0, device=0))
