"""What becomes of a command by its NVMe status: only a listed denial is a refusal, nothing else succeeds."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rasura_agent.drive.nvme.status import Condition, disposition, meaning
from rasura_agent.drive.port import Disposition

REFUSED = [
    0x001, 0x002, 0x00B, 0x015, 0x020, 0x023, 0x083, 0x109, 0x10A, 0x10B, 0x110, 0x111, 0x123, 0x139, 0x286,
]  # fmt: skip
BUSY = {
    0x01C: Condition.SANITIZE_FAILED,
    0x01D: Condition.SANITIZING,
    0x084: Condition.FORMATTING,
    0x024: Condition.NOT_READY,
    0x082: Condition.NOT_READY,
}
LOST = [0x004, 0x005, 0x006, 0x007, 0x008, 0x022, 0x280, 0x281, 0x300, 0x302, 0x360, 0x370, 0x371]


@pytest.mark.parametrize("status", REFUSED)
def test_denials_are_refusals(status: int) -> None:
    assert disposition(status) is Disposition.REFUSED


@pytest.mark.parametrize("status", LOST)
def test_lost_and_stopped_commands_are_unknown(status: int) -> None:
    assert disposition(status) is Disposition.UNKNOWN


@pytest.mark.parametrize(("status", "condition"), BUSY.items())
def test_a_drive_that_is_busy_or_broken_is_not_a_reason_to_try_the_next(
    status: int, condition: Condition
) -> None:
    assert meaning(status).disposition is Disposition.UNKNOWN
    assert meaning(status).condition is condition


@given(st.integers(0, 0x7FFF))
def test_only_a_status_of_zero_is_success(status: int) -> None:
    code = status & 0x7FF
    known = meaning(status)
    assert (known.disposition is Disposition.DONE) == (code == 0)
    assert (known.disposition is Disposition.REFUSED) == (code in REFUSED)
    assert known.do_not_retry == bool(status & 0x4000)
    assert known.name


def test_the_retry_and_more_bits_change_nothing_else() -> None:
    assert meaning(0x4000 | 0x2000 | 0x1800 | 0x001).name == "Invalid Command Opcode"


def test_an_unlisted_status_says_its_numbers() -> None:
    assert meaning(0x7C3).name == "status code type 7h, status code C3h"
