"""The Sanitize Status page state by state, and the SMART page."""

import struct

import pytest

from rasura_agent.drive.nvme.errors import NvmeDecodeError
from rasura_agent.drive.nvme.logs import CriticalWarning, decode_smart_log
from rasura_agent.drive.nvme.sanitize import SanitizeAction, sanitize_block_erase, sanitize_overwrite
from rasura_agent.drive.nvme.sanitize_log import SanitizeLog, SanitizeState, decode_sanitize_log

S = SanitizeState
AUSE = 1 << 3


def _log(sos: int, sans: int = 0, *, scdw10: int = 2, sprog: int = 0xFFFF, sstat: int = 0) -> SanitizeLog:
    head = struct.pack("<HHI7IB", sprog, sos | sstat, scdw10, *(0xFFFFFFFF,) * 7, sans)
    return decode_sanitize_log(head.ljust(512, b"\0"))


@pytest.mark.parametrize(
    ("sos", "sans", "scdw10", "state"),
    [
        (0, 0, 0, S.NEVER),
        (1, 0, 2, S.SUCCEEDED),
        (4, 0, 2, S.SUCCEEDED_DEALLOCATED),
        (2, 0, 2, S.IN_PROGRESS),
        (2, 1, 2, S.IN_PROGRESS),
        (2, 3, 2 | AUSE, S.IN_PROGRESS),
        (2, 5, 2, S.MEDIA_VERIFICATION),
        (2, 6, 2, S.POST_VERIFICATION_DEALLOCATION),
        (3, 2, 2, S.FAILED_RESTRICTED),
        (3, 4, 2 | AUSE, S.FAILED_UNRESTRICTED),
        (3, 0, 2, S.FAILED_RESTRICTED),
        (3, 0, 2 | AUSE, S.FAILED_UNRESTRICTED),
    ],
)
def test_states(sos: int, sans: int, scdw10: int, state: SanitizeState) -> None:
    assert _log(sos, sans, scdw10=scdw10).state is state


def test_every_other_combination_is_unknown_and_no_success() -> None:
    meant = {(0, 0), (1, 0), (2, 0), (2, 1), (2, 3), (2, 5), (2, 6), (3, 0), (3, 2), (3, 4), (4, 0)}
    for sos in range(8):
        for sans in range(16):
            log = _log(sos, sans)
            assert (log.state is S.UNKNOWN) == ((sos, sans) not in meant)
            assert log.succeeded == ((sos, sans) in {(1, 0), (4, 0)})
            assert log.running == ((sos, sans) in {(2, 0), (2, 1), (2, 3), (2, 6)})


def test_progress_only_while_something_progresses() -> None:
    assert _log(2, sprog=0x4000).progress == 0x4000
    assert _log(2, 5).progress is None
    assert _log(1).progress is None
    assert _log(2, 6, sprog=1).progress == 1


def test_flags_and_passes() -> None:
    log = _log(2, sstat=1 << 8 | 1 << 9 | 16 << 3, sprog=0)
    assert (log.global_data_erased, log.media_verification_cancelled, log.passes_completed) == (
        True,
        True,
        16,
    )
    assert log.state is S.IN_PROGRESS


def test_the_log_is_of_our_command_or_not() -> None:
    command = sanitize_overwrite(passes=16, pattern=0, invert=False, ause=True)
    assert _log(1, scdw10=0x0B).is_of(command)
    assert not _log(1, scdw10=0x0B).is_of(sanitize_block_erase(ause=True))


def test_estimates() -> None:
    head = struct.pack("<HHI7IB", 0xFFFF, 0, 0, 1601, 20, 0, 3200, 0xFFFFFFFF, 7, 8, 0)
    log = decode_sanitize_log(head.ljust(512, b"\0"))
    assert log.estimate_s(SanitizeAction.BLOCK_ERASE) == 20
    assert log.estimate_s(SanitizeAction.CRYPTO_ERASE) == 0
    assert log.estimate_s(SanitizeAction.OVERWRITE, passes=16) == 1601
    assert log.estimate_s(SanitizeAction.OVERWRITE, passes=1) == 101
    assert log.estimate_s(SanitizeAction.OVERWRITE, passes=2, modifies_media_after=True) == 400
    assert log.estimate_s(SanitizeAction.BLOCK_ERASE, modifies_media_after=True) is None
    assert log.estimate_s(SanitizeAction.CRYPTO_ERASE, modifies_media_after=True) == 7
    assert log.estimate_s(SanitizeAction.EXIT_FAILURE_MODE) is None
    assert log.estimate_post_verification_deallocation_s == 8
    assert _log(0).estimate_s(SanitizeAction.OVERWRITE) is None


@pytest.mark.parametrize("data", [b"", bytes(511), bytes(513)])
def test_pages_of_the_wrong_length(data: bytes) -> None:
    with pytest.raises(NvmeDecodeError):
        decode_sanitize_log(data)
    with pytest.raises(NvmeDecodeError):
        decode_smart_log(data)


def test_smart() -> None:
    counters = [2**127 + n for n in range(10)]
    page = bytes([0b0000_1001, 0x2F, 0x01, 100, 10, 255]).ljust(32, b"\0")
    page += b"".join(c.to_bytes(16, "little") for c in counters) + struct.pack("<II", 3, 4)
    smart = decode_smart_log(page.ljust(512, b"\0"))
    assert smart.critical_warning == CriticalWarning.SPARE_BELOW_THRESHOLD | CriticalWarning.READ_ONLY
    assert smart.composite_temperature_k == 303
    assert (smart.available_spare, smart.available_spare_threshold, smart.percentage_used) == (100, 10, 255)
    assert [
        smart.data_units_read,
        smart.data_units_written,
        smart.host_read_commands,
        smart.host_write_commands,
        smart.controller_busy_minutes,
        smart.power_cycles,
        smart.power_on_hours,
        smart.unsafe_shutdowns,
        smart.media_errors,
        smart.error_log_entries,
    ] == counters
    assert (smart.warning_temperature_minutes, smart.critical_temperature_minutes) == (3, 4)
    assert smart.bytes_written == counters[1] * 512_000
    assert smart.bytes_read == counters[0] * 512_000
