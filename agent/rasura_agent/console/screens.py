"""What an operator sees: drives, plans, progress, results."""

from __future__ import annotations

import sys
from typing import TextIO

from rasura.certificate import Outcome
from rasura_agent.confirm import DriveOutcome
from rasura_agent.console.words import aligned, duration, fact, how, size, table, title
from rasura_agent.erase.events import Progress
from rasura_agent.erase.plan import DrivePlan
from rasura_agent.inventory.model import Drive

__all__ = ["PlainProgress", "TerminalProgress", "drives_table", "plan_table", "result_lines"]

_PLAIN_EVERY_S = 10.0
_TERMINAL_EVERY_S = 0.2


def drives_table(drives: tuple[Drive, ...]) -> str:
    """One line a drive."""
    header = ("DRIVE", "MODEL", "SERIAL", "FIRMWARE", "SIZE", "SECTOR", "KIND", "WWN")
    rows = [
        (
            fact(drive.path),
            fact(" ".join(part for part in (drive.manufacturer, drive.model) if part) or None),
            fact(drive.serial),
            fact(drive.firmware),
            size(drive.capacity_bytes),
            f"{drive.logical_sector_bytes}/{fact(drive.physical_sector_bytes)}",
            _kind(drive),
            fact(drive.wwn),
        )
        for drive in drives
    ]
    return table(header, rows)


def _kind(drive: Drive) -> str:
    words = [fact(drive.transport)]
    if drive.rotational is not None:
        words.append("rotating" if drive.rotational else "solid state")
    if drive.removable:
        words.append("removable")
    return ", ".join(words)


def plan_table(plans: tuple[DrivePlan, ...]) -> str:
    """What would be done to each drive and why, and how many would be erased."""
    blocks = []
    for plan in plans:
        lines = [f"{fact(plan.drive.path)}  {title(plan.drive)}"]
        lines += [f"  REFUSED  {fact(refusal.sentence)}" for refusal in plan.refusals]
        if not plan.refusals and plan.unreachable is not None:
            lines.append(f"  REFUSED  {fact(plan.unreachable)}")
        if not plan.refusals:
            lines += _ways(plan)
        blocks.append("\n".join(lines))
    runnable = sum(plan.runnable for plan in plans)
    noun = "drive" if runnable == 1 else "drives"
    blocks.append(f"{runnable} {noun} would be erased, {len(plans) - runnable} left alone.")
    return "\n\n".join(blocks)


def _ways(plan: DrivePlan) -> list[str]:
    """Each way of a drive: those in, in the order in which they are tried, then those out with the reason."""
    rows = [
        (f"  {number}.", how(way), _estimate(way.estimate_s), way.basis)
        for number, way in enumerate(plan.chosen, 1)
    ]
    rows += [("  out", how(way), "", fact(way.out)) for way in plan.ways if way.out is not None]
    if plan.no_commands is not None:
        rows.append(("  out", "Purge by device commands", "", fact(plan.no_commands)))
    return aligned(rows).splitlines()


def _estimate(seconds: float | None) -> str:
    if seconds is None:
        return "time not estimated"
    return f"about {duration(seconds)}" if seconds >= 1 else "under a second"


def result_lines(outcome: DriveOutcome) -> str:
    """The outcome of one drive: one line, then where its certificate lies and what went wrong."""
    drive = outcome.plan.drive
    words = [outcome.outcome.value]
    if outcome.outcome is Outcome.ERASED:
        words += [how(outcome.result.way)] if outcome.result is not None and outcome.result.way else []
    elif outcome.reason:
        words.append(fact(outcome.reason))
    lines = [f"{words[0]:<8} {fact(drive.path)}  {'; '.join(words[1:])}"]
    if outcome.certificate is not None:
        state = "logged" if outcome.logged else "NOT LOGGED YET"
        lines.append(f"         certificate {outcome.certificate.certificate_id} ({state})")
        lines.append(f"         {outcome.path if outcome.path is not None else 'NOT WRITTEN TO DISK'}")
    lines += [f"         note: {fact(problem)}" for problem in outcome.problems]
    return "\n".join(lines)


def _progress_words(event: Progress) -> str:
    percent = 100 * event.done // event.total if event.total else 100
    rate = f"{size(event.rate)}/s" if event.rate else "-"
    return (
        f"{event.drive}  {event.phase} {event.step}/{event.steps}  {percent:3} %  "
        f"{size(event.done)} of {size(event.total)}  {rate}  {duration(event.eta_s)} left"
    )


class PlainProgress:
    """A line now and then, for serial consoles, logs and screen readers."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream if stream is not None else sys.stderr
        self._last: dict[str, tuple[int, float]] = {}

    def progress(self, event: Progress) -> None:
        """Print when a phase begins or ends, and every ten seconds."""
        step, elapsed = self._last.get(event.drive, (0, 0.0))
        over = event.done == event.total
        if event.step == step and not over and event.elapsed_s - elapsed < _PLAIN_EVERY_S:
            return
        self._last[event.drive] = (event.step, event.elapsed_s)
        print(_progress_words(event), file=self._stream, flush=True)

    def ended(self, outcome: DriveOutcome) -> None:
        """Nothing: results are printed at the end."""


class TerminalProgress:
    """One line a drive, redrawn in place."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream if stream is not None else sys.stderr
        self._lines: dict[str, str] = {}
        self._drawn = 0
        self._at: dict[str, float] = {}

    def progress(self, event: Progress) -> None:
        """Redraw, at most five times a second for each drive."""
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
            self._lines[path] = f"{path}  {outcome.outcome}"
            self._draw()

    def _draw(self) -> None:
        up = f"\x1b[{self._drawn}A" if self._drawn else ""
        # Erase to the end of each line: the new text may be shorter.
        body = "".join(f"\r{line}\x1b[K\n" for line in self._lines.values())
        self._stream.write(up + body)
        self._stream.flush()
        self._drawn = len(self._lines)
