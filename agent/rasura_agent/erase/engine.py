"""The engine: carries out one drive's plan through its ports and says what came of it.

The way: identify again -> prepare -> for each way of the plan: overwrite and read back, pass by pass, or
mark, have the drive erase itself, look at the spots -> identify again -> outcome. Only a technique that
the drive *refused* hands over to the next one.

ERASED is said in one place only. It needs the drive to be still the one it was, and either that every
pass wrote every byte and every byte of every pass that the plan reads back was as written, the last one's
always; or that the drive accepted its command in
this run, was followed to its end, and none of the spots holds what it held.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial

from rasura.certificate import Method, Outcome, Range, Technique, VerificationStatus
from rasura.errors import RasuraError
from rasura_agent.clock import Clock
from rasura_agent.drive.port import BlockPort, Disposition, DrivePort
from rasura_agent.erase.buffers import BLOCK_BYTES
from rasura_agent.erase.events import Phase, Progress
from rasura_agent.erase.firmware.family import Family, Prepared
from rasura_agent.erase.firmware.line import CommandRecord, Line, Running
from rasura_agent.erase.overwrite import PassResult, write_pass
from rasura_agent.erase.pattern import Pattern
from rasura_agent.erase.plan import DrivePlan, Way
from rasura_agent.erase.scheme import patterns
from rasura_agent.inventory.model import Drive
from rasura_agent.verify.readback import ReadBack, Reader, read_back
from rasura_agent.verify.spots import SEED_BYTES, MarkerError, SpotCheck, Spots

__all__ = ["EraseResult", "Ports", "execute", "identity_change"]


@dataclass(frozen=True, slots=True)
class Ports:
    """The lines to one drive; ``device`` and ``family`` only where its own commands can be used.

    ``rescan`` has the block layer look at the capacity again; ``close_others`` lets go of what was opened
    beside ``block``. ``reader`` reads back in a process of its own, where the policy wants that.
    """

    block: BlockPort
    device: DrivePort | None = None
    family: Family | None = None
    rescan: Callable[[], None] = lambda: None
    close_others: Callable[[], None] = lambda: None
    reader: Reader | None = None

    def close(self) -> None:
        """Let go of the drive."""
        self.close_others()
        self.block.close()


@dataclass(frozen=True, slots=True)
class EraseResult:
    """What happened to one drive. ``touched`` is whether anything may have been written to it.

    ``way`` is the last one that was tried. An overwrite fills ``passes``, ``read_back`` (of its last pass)
    and ``earlier_reads`` (of others), a device command ``commands``, ``spots`` and ``seed``.
    """

    outcome: Outcome
    reason: str | None
    way: Way | None
    capacity_bytes: int
    passes: tuple[PassResult, ...]
    read_back: ReadBack | None
    commands: tuple[CommandRecord, ...]
    spots: SpotCheck | None
    seed: bytes | None
    prepared: Prepared | None
    started_at: datetime
    finished_at: datetime
    duration_s: float
    direct: bool
    touched: bool
    earlier_reads: tuple[ReadBack, ...] = ()
    second_reader: bool = False
    """Whether a process of its own read back."""

    @property
    def passes_read_back(self) -> int | None:
        """How many passes were read back in full and fit; ``None`` where nothing was overwritten."""
        if not self.passes:
            return None
        reads = (*self.earlier_reads, self.read_back)
        return sum(1 for one in reads if one is not None and one.complete)

    @property
    def method(self) -> Method | None:
        """The method achieved."""
        return self.way.method if self.outcome is Outcome.ERASED and self.way is not None else None

    @property
    def errors(self) -> tuple[Range, ...]:
        """Every range that some pass could not write, or that does not hold what it should."""
        found = {one for result in self.passes for one in result.errors}
        found.update(self.read_back.errors if self.read_back is not None else ())
        found.update(one for read in self.earlier_reads for one in read.errors)
        found.update((*self.spots.unreadable, *self.spots.left) if self.spots is not None else ())
        return tuple(sorted(found, key=lambda one: (one.offset, one.length, one.kind)))

    @property
    def bytes_read(self) -> int:
        """How much was read to verify."""
        parts = (self.read_back, self.spots)
        return sum(part.bytes_read for part in parts if part is not None)

    @property
    def verification_status(self) -> VerificationStatus:
        """What verification found."""
        if self.read_back is not None:
            mismatch, complete = self.read_back.mismatch, self.read_back.complete
        elif self.spots is not None:
            mismatch, complete = bool(self.spots.left), self.spots.complete
        else:
            return VerificationStatus.NOT_RUN
        if mismatch:
            return VerificationStatus.MISMATCH
        return VerificationStatus.COMPLETE if complete else VerificationStatus.INCOMPLETE


def identity_change(expected: Drive, found: Drive) -> str | None:
    """How the drive behind the descriptor differs from the one expected, or ``None``."""
    if found.identity_sha256 != expected.identity_sha256:
        serial = found.serial or "no serial"
        return f"the drive at {expected.path} is not the one that was planned: it now says {serial}"
    if found.capacity_bytes != expected.capacity_bytes:
        return f"the capacity went from {expected.capacity_bytes} to {found.capacity_bytes} bytes"
    if found.diskseq != expected.diskseq:
        return f"the drive at {expected.path} was removed and another attached"
    return None


@dataclass(slots=True)
class _Run:
    """One drive's run; collects what happened so that any exit can tell it."""

    plan: DrivePlan
    ports: Ports
    clock: Clock
    new_key: Callable[[int], bytes]
    on_event: Callable[[Progress], str | None]
    block_bytes: int
    drive: Drive = field(init=False)
    """The drive as it must answer now; preparing it may have changed its capacity."""
    started_at: datetime = field(init=False)
    start: float = field(init=False)
    touched: bool = False
    way: Way | None = None
    passes: list[PassResult] = field(default_factory=list)
    reads: dict[int, ReadBack] = field(default_factory=dict)
    """By the number of the pass, from 0."""
    commands: list[CommandRecord] = field(default_factory=list)
    spots: SpotCheck | None = None
    seed: bytes | None = None
    prepared: Prepared | None = None

    def __post_init__(self) -> None:
        self.drive = self.plan.drive
        self.started_at, self.start = self.clock.wall(), self.clock.monotonic()

    @property
    def last_pass(self) -> int:
        """The number of the pass whose bytes stay."""
        return len(self.way.passes) - 1 if self.way is not None else -1

    def end(self, outcome: Outcome, reason: str | None) -> EraseResult:
        return EraseResult(
            outcome=outcome,
            reason=reason,
            way=self.way,
            capacity_bytes=self.drive.capacity_bytes,
            passes=tuple(self.passes),
            read_back=self.reads.get(self.last_pass),
            earlier_reads=tuple(read for number, read in self.reads.items() if number != self.last_pass),
            second_reader=self.ports.reader is not None and bool(self.reads),
            commands=tuple(self.commands),
            spots=self.spots,
            seed=self.seed,
            prepared=self.prepared,
            started_at=self.started_at,
            finished_at=self.clock.wall(),
            duration_s=self.clock.monotonic() - self.start,
            direct=self.ports.block.direct,
            touched=self.touched,
        )

    def changed(self) -> str | None:
        """What is wrong with the drive behind the descriptor now, or ``None``."""
        try:
            return identity_change(self.drive, self.ports.block.identify())
        except (OSError, RasuraError) as error:
            return f"the drive is gone: {error}"

    def progress(self, phase: Phase, step: int, steps: int) -> Callable[[int], str | None]:
        began = self.clock.monotonic()

        def report(done: int) -> str | None:
            elapsed = self.clock.monotonic() - began
            total = self.drive.capacity_bytes
            return self.on_event(Progress(self.drive.path, phase, step, steps, done, total, elapsed))

        return report

    def line(self) -> Line | None:
        """A line for device commands, reporting progress in bytes of the drive as far as it is known."""
        if self.ports.device is None:
            return None
        report = self.progress(Phase.COMMAND, 1, 2)

        def watch(running: Running) -> str | None:
            return report(int((running.fraction or 0.0) * self.drive.capacity_bytes))

        return Line(self.ports.device, self.clock, watch)


def execute(
    plan: DrivePlan,
    ports: Ports,
    clock: Clock,
    new_key: Callable[[int], bytes],
    on_event: Callable[[Progress], str | None],
    block_bytes: int = BLOCK_BYTES,
) -> EraseResult:
    """Carry out ``plan`` on the drive behind ``ports``; the only judge of the outcome.

    ``new_key`` gives that many fresh random bytes. ``on_event`` answers with why to stop, or ``None``
    to go on. Never raises for what the drive does.
    """
    run = _Run(plan, ports, clock, new_key, on_event, block_bytes)
    if not plan.runnable:
        return run.end(Outcome.REFUSED, "the plan does not allow it")
    change = run.changed()
    if change is not None:
        # Nothing was written: whatever stands there now has not been touched.
        return run.end(Outcome.REFUSED, change)
    obstacle = _prepare(run)
    if obstacle is not None:
        return run.end(Outcome.FAILED, obstacle)
    refused = []
    for way in plan.chosen:
        run.way = way
        if way.technique is Technique.OVERWRITE:
            return _overwrite(run, way)
        result = _by_command(run, way.technique)
        if isinstance(result, EraseResult):
            return result
        refused.append(f"{way.technique}: {result}")
    reason = f"the drive refused every technique that the plan allows ({'; '.join(refused)})"
    return run.end(Outcome.FAILED, reason)


def _prepare(run: _Run) -> str | None:
    """Have the drive ready for its own commands; why it is not, or ``None``."""
    family, line = run.ports.family, run.line()
    if family is None or line is None:
        return None
    # Leaving a failure mode or lifting a hidden area changes the drive.
    run.touched = True
    run.prepared = family.prepare(line)
    run.commands.extend(line.records)
    if run.prepared.obstacle is not None:
        return run.prepared.obstacle
    if run.prepared.still_hidden is not None and not run.plan.hidden_allowed:
        return (
            f"part of the drive stays hidden ({run.prepared.still_hidden}), which the policy does not allow"
        )
    return _grown(run) if run.prepared.lifted else run.changed()


def _grown(run: _Run) -> str | None:
    """Take over the capacity after hidden areas were lifted; what is wrong with the drive, or ``None``."""
    try:
        run.ports.rescan()
        now = run.ports.block.identify()
    except (OSError, RasuraError) as error:
        return f"the drive is gone: {error}"
    before = run.drive
    same = (before.serial, before.model, before.wwn, before.diskseq)
    if same != (now.serial, now.model, now.wwn, now.diskseq) or now.capacity_bytes < before.capacity_bytes:
        return f"the drive at {before.path} is not the one that was planned any more"
    run.drive = replace(before, capacity_bytes=now.capacity_bytes, identity_pages=now.identity_pages)
    return None


def _overwrite(run: _Run, way: Way) -> EraseResult:
    numbers = range(len(way.passes))
    step, steps = 0, len(numbers) + sum(map(way.is_read_back, numbers))
    run.touched = True
    for number, pattern in enumerate(patterns(way.passes, run.new_key)):
        step += 1
        result = write_pass(
            run.ports.block,
            run.drive.capacity_bytes,
            pattern,
            run.clock,
            run.progress(Phase.WRITE, step, steps),
            run.block_bytes,
            limits=run.plan.limits,
            sector_bytes=run.drive.logical_sector_bytes,
            offload=way.offload and way.passes[number].is_zero,
        )
        run.passes.append(result)
        if result.stopped is not None:
            return run.end(Outcome.FAILED, result.stopped)
        if way.is_read_back(number):
            step += 1
            read = run.reads[number] = _read_back(run, pattern, run.progress(Phase.VERIFY, step, steps))
            if read.stopped is not None:
                return run.end(Outcome.FAILED, read.stopped)
    return _judge(run)


def _read_back(run: _Run, pattern: Pattern, progress: Callable[[int], str | None]) -> ReadBack:
    reader = run.ports.reader or partial(read_back, run.ports.block)
    return reader(
        run.drive.capacity_bytes,
        pattern,
        progress,
        run.block_bytes,
        clock=run.clock,
        limits=run.plan.limits,
        sector_bytes=run.drive.logical_sector_bytes,
    )


def _by_command(run: _Run, technique: Technique) -> EraseResult | str:
    """One device command; a string says why the drive refused it, so that the next way may be tried."""
    family, line = run.ports.family, run.line()
    if family is None or line is None:
        return "there is no line for the drive's own commands"
    run.touched = True
    run.seed = run.new_key(SEED_BYTES)
    try:
        spots = _marked(run, family, technique, run.seed)
    except MarkerError as error:
        return run.end(Outcome.FAILED, f"{error}; without marks its own word could not be checked")
    ended = family.run(technique, line)
    run.commands.extend(ended.records)
    if ended.disposition is Disposition.REFUSED:
        return ended.reason
    if ended.disposition is Disposition.UNKNOWN:
        return run.end(Outcome.UNKNOWN, ended.reason)
    run.spots = spots.look()
    return _judge(run)


def _marked(run: _Run, family: Family, technique: Technique, seed: bytes) -> Spots:
    """Mark the drive; one that a failed sanitize bars is first opened by one that is not believed."""
    capacity = run.drive.capacity_bytes
    try:
        return Spots(run.ports.block, capacity, seed)
    except MarkerError:
        line = run.line()
        if run.prepared is None or not run.prepared.barred or line is None:
            raise
        opened = family.run(technique, line)
        run.commands.extend(opened.records)
        if opened.disposition is not Disposition.DONE:
            raise
        return Spots(run.ports.block, capacity, seed)


def _judge(run: _Run) -> EraseResult:
    """The one place that says ERASED."""
    problem = run.changed() or (_overwrite_problem(run) if run.passes else _spot_problem(run.spots))
    if problem is not None:
        return run.end(Outcome.FAILED, problem)
    return run.end(Outcome.ERASED, None)


def _overwrite_problem(run: _Run) -> str | None:
    way, capacity = run.way, run.drive.capacity_bytes
    if way is None or len(run.passes) != len(way.passes):
        return "not every pass was written"
    if any(one.errors or one.bytes_written != capacity for one in run.passes):
        return "part of the drive could not be written"
    wanted = [number for number in range(len(way.passes)) if way.is_read_back(number)]
    if sorted(run.reads) != wanted or run.last_pass not in run.reads:
        return "nothing was read back"
    return next((problem for one in run.reads.values() if (problem := _read_problem(one, capacity))), None)


def _read_problem(read: ReadBack, capacity: int) -> str | None:
    if read.stopped is not None:
        return read.stopped
    if read.mismatch:
        return "the drive does not hold what was written to it"
    if not read.complete or read.bytes_total != capacity:
        return "part of the drive could not be read back"
    return None


def _spot_problem(spots: SpotCheck | None) -> str | None:
    if spots is None:
        return "nothing was looked at"
    if spots.left:
        count = spots.surviving_markers + spots.unchanged_samples
        return f"the drive reports success, but old data is still there in {count} of the places looked at"
    if not spots.complete:
        return f"{len(spots.unreadable)} of the places to look at could not be read"
    return None
