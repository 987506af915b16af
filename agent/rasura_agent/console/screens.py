"""What an operator sees: drives, plans, progress, results."""

from __future__ import annotations

import shutil
import sys
from typing import Protocol

from rasura.certificate import Outcome
from rasura_agent.confirm import DriveOutcome
from rasura_agent.console.language import _, ngettext
from rasura_agent.console.words import (
    aligned,
    duration,
    fact,
    how,
    kind,
    outcome_word,
    phase_word,
    shortened,
    size,
    table,
    title,
)
from rasura_agent.erase.events import Continues, Event, Noted, Paused, Progress
from rasura_agent.erase.plan import DrivePlan, Interrupted
from rasura_agent.inventory.model import Drive

__all__ = [
    "PlainProgress",
    "TerminalProgress",
    "TextStream",
    "drives_table",
    "interrupted_words",
    "plan_count",
    "plan_table",
    "result_lines",
    "way_estimate",
]

_PLAIN_EVERY_S = 10.0
_TERMINAL_EVERY_S = 0.2
_DRIVE_COLUMNS = 20
"""Of a line of progress: the path of a virtual drive can be long, and its end tells it apart."""


class TextStream(Protocol):
    """Where text goes."""

    def write(self, text: str, /) -> object:
        """Put ``text`` out."""
        ...

    def flush(self) -> object:
        """See to it that it is out."""
        ...


def drives_table(drives: tuple[Drive, ...]) -> str:
    """One line a drive."""
    header = (
        *(_("DRIVE"), _("MODEL"), _("SERIAL"), _("FIRMWARE"), _("SIZE"), _("SECTOR"), _("KIND")),
        "WWN",
    )
    rows = [
        (
            fact(drive.path),
            fact(" ".join(part for part in (drive.manufacturer, drive.model) if part) or None),
            fact(drive.serial),
            fact(drive.firmware),
            size(drive.capacity_bytes),
            f"{drive.logical_sector_bytes}/{fact(drive.physical_sector_bytes)}",
            kind(drive),
            fact(drive.wwn),
        )
        for drive in drives
    ]
    return table(header, rows)


def plan_table(plans: tuple[DrivePlan, ...]) -> str:
    """What would be done to each drive and why, and how many would be erased."""
    blocks = []
    for plan in plans:
        lines = [f"{fact(plan.drive.path)}  {title(plan.drive)}"]
        refused = outcome_word(Outcome.REFUSED)
        lines += [f"  {refused}  {fact(refusal.sentence)}" for refusal in plan.refusals]
        if not plan.refusals and plan.unreachable is not None:
            lines.append(f"  {refused}  {fact(plan.unreachable)}")
        if not plan.refusals:
            lines += _ways(plan)
        if plan.interrupted is not None:
            lines.append("  " + interrupted_words(plan, plan.interrupted))
        blocks.append("\n".join(lines))
    return "\n\n".join([*blocks, plan_count(plans)])


def interrupted_words(plan: DrivePlan, cut: Interrupted) -> str:
    """That an interrupted erasure goes on and from where, or why it does not."""
    way = plan.overwriting
    if cut.misfit is not None or way is None:
        words = _("an interrupted erasure of this drive is begun afresh: {reason}")
        return words.format(reason=fact(cut.misfit))
    where = _goes_on(cut.cut.step, len(way.passes) + 1, cut.cut.written, plan.drive.capacity_bytes)
    return _("interrupted before: {goes_on}").format(goes_on=where)


def _goes_on(step: int, steps: int, done: int, total: int) -> str:
    if step == steps:
        return _("all was written, verification begins again")
    words = _("it goes on in pass {step} of {passes} at {done} of {total}")
    return words.format(step=step, passes=steps - 1, done=size(done), total=size(total))


def plan_count(plans: tuple[DrivePlan, ...]) -> str:
    """How many drives would be erased."""
    runnable = sum(plan.runnable for plan in plans)
    sentence = ngettext(
        "{number} drive would be erased, {others} left alone.",
        "{number} drives would be erased, {others} left alone.",
        runnable,
    )
    return sentence.format(number=runnable, others=len(plans) - runnable)


def _ways(plan: DrivePlan) -> list[str]:
    """Each way of a drive: those in, in the order in which they are tried, then those out with the reason."""
    rows = [
        (f"  {number}.", how(way), way_estimate(way.estimate_s), way.basis)
        for number, way in enumerate(plan.chosen, 1)
    ]
    out = "  " + _("out")
    rows += [(out, how(way), "", fact(way.out)) for way in plan.ways if way.out is not None]
    if plan.no_commands is not None:
        rows.append((out, _("Purge by device commands"), "", fact(plan.no_commands)))
    return aligned(rows).splitlines()


def way_estimate(seconds: float | None) -> str:
    """How long a way takes, in words."""
    if seconds is None:
        return _("time not estimated")
    if seconds < 1:
        return _("under a second")
    return _("about {duration}").format(duration=duration(seconds))


def result_lines(outcome: DriveOutcome) -> str:
    """The outcome of one drive: one line, then where its certificate lies and what went wrong."""
    drive = outcome.plan.drive
    words = []
    if outcome.outcome is Outcome.ERASED:
        words += [how(outcome.result.way)] if outcome.result is not None and outcome.result.way else []
    elif outcome.reason:
        words.append(fact(outcome.reason))
    lines = [f"{outcome_word(outcome.outcome):<8} {fact(drive.path)}  {'; '.join(words)}"]
    if outcome.certificate is not None:
        state = _("logged") if outcome.logged else _("NOT LOGGED YET")
        named = _("certificate {id} ({state})").format(id=outcome.certificate.certificate_id, state=state)
        lines.append(f"         {named}")
        lines.append(f"         {outcome.path if outcome.path is not None else _('NOT WRITTEN TO DISK')}")
    lines += ["         " + _("note: {note}").format(note=fact(problem)) for problem in outcome.problems]
    return "\n".join(lines)


def _progress_words(event: Progress) -> str:
    percent = 100 * event.done // event.total if event.total else 100
    speed = event.recent_rate or event.rate
    rate = f"{size(speed)}/s" if speed else "-"
    words = _("{drive}  {phase} {step}/{steps}  {percent:3} %  {done} of {total}  {rate}  {duration} left")
    return words.format(
        drive=shortened(event.drive, _DRIVE_COLUMNS, keep_end=True),
        phase=phase_word(event.phase),
        step=event.step,
        steps=event.steps,
        percent=percent,
        done=size(event.done),
        total=size(event.total),
        rate=rate,
        duration=duration(event.left_s),
    )


def _event_words(event: Continues | Noted | Paused) -> str:
    drive = shortened(event.drive, _DRIVE_COLUMNS, keep_end=True)
    match event:
        case Continues():
            words = _goes_on(event.step, event.steps, event.done, event.total)
        case Paused(over=True):
            words = _("{degrees} °C: it goes on").format(degrees=round(event.celsius))
        case Paused():
            sentence = _("{degrees} °C: it rests until it is below {limit} °C")
            words = sentence.format(degrees=round(event.celsius), limit=round(event.until_celsius))
        case Noted():
            words = _("note: {note}").format(note=fact(event.sentence))
    return f"{drive}  {words}"


class PlainProgress:
    """A line now and then, for serial consoles, logs and screen readers."""

    def __init__(self, stream: TextStream | None = None) -> None:
        self._stream: TextStream = stream if stream is not None else sys.stderr
        self._last: dict[str, tuple[int, float]] = {}

    def told(self, event: Event) -> None:
        """Print when a phase begins or ends, every ten seconds, and what else happens."""
        if not isinstance(event, Progress):
            self._write(_event_words(event))
            return
        step, elapsed = self._last.get(event.drive, (0, 0.0))
        over = event.done == event.total
        if event.step == step and not over and event.elapsed_s - elapsed < _PLAIN_EVERY_S:
            return
        self._last[event.drive] = (event.step, event.elapsed_s)
        self._write(_progress_words(event))

    def ended(self, outcome: DriveOutcome) -> None:
        """Nothing: results are printed at the end."""

    def _write(self, line: str) -> None:
        self._stream.write(line + "\n")
        self._stream.flush()


class TerminalProgress:
    """One line a drive, redrawn in place."""

    def __init__(self, stream: TextStream | None = None) -> None:
        self._stream: TextStream = stream if stream is not None else sys.stderr
        self._lines: dict[str, str] = {}
        self._drawn = 0
        self._at: dict[str, float] = {}

    def told(self, event: Event) -> None:
        """Redraw, at most five times a second for each drive."""
        if not isinstance(event, Progress):
            self._lines[event.drive] = _event_words(event)
            self._draw()
            return
        over = event.done == event.total
        key = f"{event.drive} {event.step}"
        if not over and event.elapsed_s - self._at.get(key, -1.0) < _TERMINAL_EVERY_S:
            return
        self._at[key] = event.elapsed_s
        self._lines[event.drive] = _progress_words(event)
        self._draw()

    def ended(self, outcome: DriveOutcome) -> None:
        """Show the word of a drive that was being erased."""
        path = outcome.plan.drive.path
        if path in self._lines:
            self._lines[path] = f"{path}  {outcome_word(outcome.outcome)}"
            self._draw()

    def _draw(self) -> None:
        up = f"\x1b[{self._drawn}A" if self._drawn else ""
        # Erase to the end of each line: the new text may be shorter. A line that runs over would be two.
        width = shutil.get_terminal_size().columns - 1
        body = "".join(f"\r{shortened(line, width)}\x1b[K\n" for line in self._lines.values())
        self._stream.write(up + body)
        self._stream.flush()
        self._drawn = len(self._lines)
