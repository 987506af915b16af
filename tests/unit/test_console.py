"""What operators read, and how drives are chosen."""

from __future__ import annotations

import io

import pytest
from msgspec.structs import replace

from rasura.certificate import Outcome
from rasura.errors import RefusedError
from rasura.text import printable
from rasura_agent.confirm import confirm_all, confirm_serials
from rasura_agent.console.screens import PlainProgress, TerminalProgress, drives_table, plan_table
from rasura_agent.console.words import duration, fact, size, title
from rasura_agent.erase.events import Phase, Progress
from rasura_agent.erase.plan import DrivePlan, plan_drive
from rasura_agent.erase.policy import load_policy
from rasura_agent.guard import Refusal, RefusalReason
from simulators.block import simulated_drive

POLICY = load_policy("clear-zero")
MOUNTED = Refusal(RefusalReason.MOUNTED, "/dev/sdb is mounted at /home: unmount it")


def plans(*serials: str | None) -> tuple[DrivePlan, ...]:
    return tuple(
        plan_drive(simulated_drive(1 << 30, path=f"/dev/sd{letter}", serial=serial), POLICY, ())
        for letter, serial in zip("abcdef", serials, strict=False)
    )


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 B"),
        (512, "512 B"),
        (999, "999 B"),
        (1000, "1 kB"),
        (64 << 20, "67.1 MB"),
        (512_110_190_592, "512 GB"),
    ],
)
def test_sizes(count: int, text: str) -> None:
    assert size(count) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(None, "?"), (0.2, "< 1 s"), (59, "59 s"), (61, "1 min 01 s"), (1800, "30 min"), (7500, "2 h 05")],
)
def test_durations(seconds: float | None, text: str) -> None:
    assert duration(seconds) == text


def test_what_could_upset_a_terminal_is_escaped() -> None:
    assert fact("WD\x1b[2J\n\u202e") == "WD\\x1b[2J\\x0a\\u202e"
    assert printable("Modèle é") == "Modèle é"
    assert fact(None) == "-"


def test_tables_show_every_drive_and_every_reason() -> None:
    first, second = plans("A", None)
    refused = replace(second, refusals=(MOUNTED,))
    text = plan_table((first, refused))
    assert "Clear by overwrite (zero)" in text
    assert "REFUSED  /dev/sdb is mounted at /home" in text
    assert text.endswith("1 drive would be erased, 1 left alone.")
    listed = drives_table((first.drive, second.drive))
    assert len(listed.splitlines()) == 3
    assert title(second.drive) == "Simulant Block 1, serial -, 1.1 GB"


def test_confirming_by_serial_and_by_path() -> None:
    all_plans = plans("A", "B", None)
    chosen = confirm_serials(all_plans, ("B", "/dev/sdc"))
    assert [plan.drive.path for plan in chosen.chosen] == ["/dev/sdb", "/dev/sdc"]
    assert [(one.outcome, one.reason) for one in chosen.left] == [(Outcome.SKIPPED, "not confirmed")]


def test_a_serial_that_two_drives_share_chooses_neither() -> None:
    with pytest.raises(RefusedError, match="several drives") as caught:
        confirm_serials(plans("A", "A"), ("A",))
    assert "/dev/sda, /dev/sdb" in (caught.value.hint or "")


@pytest.mark.parametrize("serials", [("C",), ("a",), ("",), ("A", "C")])
def test_a_serial_that_fits_nothing_erases_nothing(serials: tuple[str, ...]) -> None:
    with pytest.raises(RefusedError, match="nothing was erased"):
        confirm_serials(plans("A", None), serials)


@pytest.mark.parametrize("number", [0, 1, 3, -1])
def test_only_the_exact_number_confirms_all(number: int) -> None:
    with pytest.raises(RefusedError, match="nothing was erased"):
        confirm_all(plans("A", "B"), number)


def test_refused_drives_do_not_count_and_keep_their_reason() -> None:
    first, second = plans("A", "B")
    chosen = confirm_all((first, replace(second, refusals=(MOUNTED,))), 1)
    assert chosen.chosen == (first,)
    assert [(one.outcome, one.reason) for one in chosen.left] == [(Outcome.REFUSED, MOUNTED.sentence)]


def test_confirming_a_refused_drive_does_not_erase_it() -> None:
    (only,) = plans("A")
    chosen = confirm_serials((replace(only, refusals=(MOUNTED,)),), ("A",))
    assert not chosen.chosen
    assert [one.outcome for one in chosen.left] == [Outcome.REFUSED]


def progress(done: int, elapsed: float, step: int = 1) -> Progress:
    return Progress("/dev/sda", Phase.WRITE, step, 2, done, 1000, elapsed)


def test_plain_lines_now_and_then() -> None:
    stream = io.StringIO()
    screen = PlainProgress(stream)
    for tenth in range(1, 11):
        screen.told(progress(tenth * 100, tenth * 4.0))
    lines = stream.getvalue().splitlines()
    assert len(lines) == 4
    assert lines[0] == "/dev/sda  write 1/2   10 %  100 B of 1 kB  25 B/s  1 min 16 s left"
    assert "100 %" in lines[-1]
    assert "\x1b" not in stream.getvalue()


def test_the_terminal_redraws_one_line_a_drive() -> None:
    stream = io.StringIO()
    screen = TerminalProgress(stream)
    screen.told(progress(100, 1.0))
    screen.told(progress(110, 1.1))
    screen.told(progress(1000, 2.0))
    assert stream.getvalue().count("\n") == 2
    assert stream.getvalue().count("\x1b[1A") == 1


def test_rate_and_time_left_before_there_is_anything_to_measure() -> None:
    assert progress(0, 0.0).rate is None
    assert progress(0, 0.0).eta_s is None
    assert progress(500, 5.0).eta_s == pytest.approx(5.0)
