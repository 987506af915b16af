"""The engine: carries out one drive's plan through a block port and says what came of it.

The way: identify again -> write every pass -> read the last one back -> identify again -> outcome.
ERASED is said in one place only, when every pass wrote every byte, every byte was read back as
written, and the drive is still the one it was.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from rasura.certificate import Method, Outcome, Range, VerificationStatus
from rasura.errors import RasuraError
from rasura_agent.clock import Clock
from rasura_agent.drive.port import BlockPort
from rasura_agent.erase.buffers import BLOCK_BYTES
from rasura_agent.erase.events import Phase, Progress
from rasura_agent.erase.overwrite import PassResult, write_pass
from rasura_agent.erase.pattern import KEY_BYTES, Constant, Pattern, RandomStream
from rasura_agent.erase.plan import DrivePlan, PassKind
from rasura_agent.inventory.model import Drive
from rasura_agent.verify.readback import ReadBack, read_back

__all__ = ["EraseResult", "execute", "identity_change"]


@dataclass(frozen=True, slots=True)
class EraseResult:
    """What happened to one drive. ``touched`` is whether anything may have been written to it."""

    outcome: Outcome
    reason: str | None
    method: Method | None
    passes: tuple[PassResult, ...]
    read_back: ReadBack | None
    started_at: datetime
    finished_at: datetime
    duration_s: float
    direct: bool
    touched: bool

    @property
    def errors(self) -> tuple[Range, ...]:
        """Every range that some pass could not write or that was not read back as written."""
        found = {one for result in self.passes for one in result.errors}
        found.update(self.read_back.errors if self.read_back is not None else ())
        return tuple(sorted(found, key=lambda one: (one.offset, one.length, one.kind)))

    @property
    def verification_status(self) -> VerificationStatus:
        """What the read-back found."""
        if self.read_back is None:
            return VerificationStatus.NOT_RUN
        if self.read_back.mismatch:
            return VerificationStatus.MISMATCH
        return VerificationStatus.COMPLETE if self.read_back.complete else VerificationStatus.INCOMPLETE


def identity_change(expected: Drive, found: Drive) -> str | None:
    """How the drive behind the descriptor differs from the one that was planned, or ``None``."""
    if found.identity_sha256 != expected.identity_sha256:
        serial = found.serial or "no serial"
        return f"the drive at {expected.path} is not the one that was planned: it now says {serial}"
    if found.capacity_bytes != expected.capacity_bytes:
        return f"the capacity went from {expected.capacity_bytes} to {found.capacity_bytes} bytes"
    if found.diskseq != expected.diskseq:
        return f"the drive at {expected.path} was removed and another attached"
    return None


class _Run:
    """One drive's run; collects what happened so that any exit can tell it."""

    def __init__(
        self, plan: DrivePlan, port: BlockPort, clock: Clock, on_event: Callable[[Progress], str | None]
    ) -> None:
        self.plan, self.port, self.clock, self.on_event = plan, port, clock, on_event
        self.passes: list[PassResult] = []
        self.read: ReadBack | None = None
        self.touched = False
        self.started_at, self.start = clock.wall(), clock.monotonic()

    def end(self, outcome: Outcome, reason: str | None) -> EraseResult:
        return EraseResult(
            outcome=outcome,
            reason=reason,
            method=self.plan.method if outcome is Outcome.ERASED else None,
            passes=tuple(self.passes),
            read_back=self.read,
            started_at=self.started_at,
            finished_at=self.clock.wall(),
            duration_s=self.clock.monotonic() - self.start,
            direct=self.port.direct,
            touched=self.touched,
        )

    def changed(self) -> str | None:
        """What is wrong with the drive behind the descriptor now, or ``None``."""
        try:
            return identity_change(self.plan.drive, self.port.identify())
        except (OSError, RasuraError) as error:
            return f"the drive is gone: {error}"

    def progress(self, phase: Phase, step: int) -> Callable[[int], str | None]:
        began, drive = self.clock.monotonic(), self.plan.drive
        steps = len(self.plan.passes) + 1

        def report(done: int) -> str | None:
            elapsed = self.clock.monotonic() - began
            return self.on_event(
                Progress(drive.path, phase, step, steps, done, drive.capacity_bytes, elapsed)
            )

        return report


def execute(
    plan: DrivePlan,
    port: BlockPort,
    clock: Clock,
    new_key: Callable[[int], bytes],
    on_event: Callable[[Progress], str | None],
    block_bytes: int = BLOCK_BYTES,
) -> EraseResult:
    """Carry out ``plan`` on the drive behind ``port``; the only judge of the outcome.

    ``new_key`` gives that many fresh random bytes. ``on_event`` answers with why to stop, or
    ``None`` to go on. Never raises for what the drive does.
    """
    run = _Run(plan, port, clock, on_event)
    if not plan.runnable:
        return run.end(Outcome.REFUSED, "the plan does not allow it")
    change = run.changed()
    if change is not None:
        # Nothing was written: whatever stands there now has not been touched.
        return run.end(Outcome.REFUSED, change)
    capacity = plan.drive.capacity_bytes
    patterns = _patterns(plan.passes, new_key)
    run.touched = True
    for number, pattern in enumerate(patterns, 1):
        result = write_pass(port, capacity, pattern, clock, run.progress(Phase.WRITE, number), block_bytes)
        run.passes.append(result)
        if result.stopped is not None:
            return run.end(Outcome.FAILED, result.stopped)
    verify_progress = run.progress(Phase.VERIFY, len(patterns) + 1)
    run.read = read_back(port, capacity, patterns[-1], verify_progress, block_bytes)
    return _judge(run)


def _judge(run: _Run) -> EraseResult:
    """The one place that says ERASED."""
    capacity, read = run.plan.drive.capacity_bytes, run.read
    change = run.changed()
    if change is not None:
        return run.end(Outcome.FAILED, change)
    if any(one.errors or one.bytes_written != capacity for one in run.passes):
        return run.end(Outcome.FAILED, "part of the drive could not be written")
    if read is None or read.stopped is not None:
        return run.end(Outcome.FAILED, "the drive could not be read back" if read is None else read.stopped)
    if read.mismatch:
        return run.end(Outcome.FAILED, "the drive does not hold what was written to it")
    if not read.complete:
        return run.end(Outcome.FAILED, "part of the drive could not be read back")
    return run.end(Outcome.ERASED, None)


def _patterns(passes: tuple[PassKind, ...], new_key: Callable[[int], bytes]) -> list[Pattern]:
    # A random pass and its complement share one key: that is what makes them complements.
    key = new_key(KEY_BYTES)
    make: dict[PassKind, Callable[[], Pattern]] = {
        PassKind.ZERO: lambda: Constant(0x00),
        PassKind.ONE: lambda: Constant(0xFF),
        PassKind.RANDOM: lambda: RandomStream(key),
        PassKind.RANDOM_INVERTED: lambda: RandomStream(key, inverted=True),
    }
    return [make[kind]() for kind in passes]
