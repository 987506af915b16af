"""The engine: carries out one drive's plan through its ports and says what came of it.

The way: identify again -> prepare -> for each way of the plan: overwrite and read back, or mark, have
the drive erase itself, look at the spots -> identify again -> outcome. Only a technique that the drive
*refused* hands over to the next one. An overwrite that the power cut off goes on from where it was, if
the drive holds what was written then.

ERASED is said in one place only. It needs the drive to be still the one it was, and either that every
pass wrote every byte and every byte was read back as written (a stated tenth of them, where the policy
asks for that and nothing was interrupted); or that the drive accepted its command in
this run, was followed to its end, and none of the spots holds what it held.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime

from rasura.certificate import Method, Outcome, Range, ReadBackExtent, Technique, VerificationStatus
from rasura.errors import RasuraError
from rasura_agent.clock import Clock
from rasura_agent.drive.port import BlockPort, Disposition, DrivePort
from rasura_agent.erase.buffers import BLOCK_BYTES
from rasura_agent.erase.continuing import Continuing, Resumed, Surroundings, find
from rasura_agent.erase.events import Continues, Event, Noted, Phase
from rasura_agent.erase.firmware.family import Family, Prepared
from rasura_agent.erase.firmware.line import CommandRecord, Line, Running
from rasura_agent.erase.meter import Meter, command_left_s
from rasura_agent.erase.overwrite import PassResult, write_pass
from rasura_agent.erase.pattern import KEY_BYTES, Constant, Pattern, RandomStream
from rasura_agent.erase.plan import DrivePlan, PassKind, Way
from rasura_agent.erase.progress_record import ProgressStore, Refused
from rasura_agent.inventory.model import Drive
from rasura_agent.verify.readback import ReadBack, read_back
from rasura_agent.verify.samples import SampledReadBack, read_samples
from rasura_agent.verify.sampling import plan_samples
from rasura_agent.verify.spots import SEED_BYTES, MarkerError, SpotCheck, Spots

__all__ = ["EraseResult", "Ports", "execute", "identity_change"]


@dataclass(frozen=True, slots=True)
class Ports:
    """The lines to one drive; ``device`` and ``family`` only where its own commands can be used.

    ``rescan`` has the block layer look at the capacity again; ``close_others`` lets go of what was opened
    beside ``block``.
    """

    block: BlockPort
    device: DrivePort | None = None
    family: Family | None = None
    rescan: Callable[[], None] = lambda: None
    close_others: Callable[[], None] = lambda: None

    def close(self) -> None:
        """Let go of the drive."""
        self.close_others()
        self.block.close()


@dataclass(frozen=True, slots=True)
class EraseResult:
    """What happened to one drive. ``touched`` is whether anything may have been written to it.

    ``way`` is the last one that was tried. An overwrite fills ``passes`` and ``read_back`` or
    ``sampled``, a device command ``commands``, ``spots`` and ``seed``.
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
    identity_sha256: str
    """Of the drive as it was prepared: lifting hidden areas may change what it says of itself."""
    sampled: SampledReadBack | None = None
    resumed: Resumed | None = None
    """What earlier boots did of this overwrite; their bytes are in ``passes`` too."""
    is_settled: bool = False
    """Whether an overwrite came to its end, so that nothing is left to continue."""
    notes: tuple[str, ...] = ()
    """What else a person should know, in sentences."""

    @property
    def method(self) -> Method | None:
        """The method achieved."""
        return self.way.method if self.outcome is Outcome.ERASED and self.way is not None else None

    @property
    def errors(self) -> tuple[Range, ...]:
        """Every range that some pass could not write, or that does not hold what it should."""
        found = {one for result in self.passes for one in result.errors}
        for read in (self.read_back, self.sampled):
            found.update(read.errors if read is not None else ())
        found.update((*self.spots.unreadable, *self.spots.left) if self.spots is not None else ())
        return tuple(sorted(found, key=lambda one: (one.offset, one.length, one.kind)))

    @property
    def bytes_read(self) -> int:
        """How much was read to verify."""
        parts = (self.read_back, self.sampled, self.spots)
        return sum(part.bytes_read for part in parts if part is not None)

    @property
    def verification_status(self) -> VerificationStatus:
        """What verification found."""
        read = self.read_back or self.sampled
        if read is not None:
            mismatch, complete = read.mismatch, read.complete
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
    on_event: Callable[[Event], str | None]
    block_bytes: int
    store: ProgressStore | None
    drive: Drive = field(init=False)
    """The drive as it must answer now; preparing it may have changed its capacity."""
    started_at: datetime = field(init=False)
    start: float = field(init=False)
    touched: bool = False
    way: Way | None = None
    passes: list[PassResult] = field(default_factory=list)
    read: ReadBack | None = None
    sampled: SampledReadBack | None = None
    commands: list[CommandRecord] = field(default_factory=list)
    spots: SpotCheck | None = None
    seed: bytes | None = None
    prepared: Prepared | None = None
    resumed: Resumed | None = None
    is_settled: bool = False
    notes: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.drive = self.plan.drive
        self.started_at, self.start = self.clock.wall(), self.clock.monotonic()

    def end(self, outcome: Outcome, reason: str | None) -> EraseResult:
        return EraseResult(
            outcome=outcome,
            reason=reason,
            way=self.way,
            capacity_bytes=self.drive.capacity_bytes,
            passes=tuple(self.passes),
            read_back=self.read,
            sampled=self.sampled,
            commands=tuple(self.commands),
            spots=self.spots,
            seed=self.seed,
            prepared=self.prepared,
            started_at=self.started_at,
            finished_at=self.clock.wall(),
            duration_s=self.clock.monotonic() - self.start,
            direct=self.ports.block.direct,
            touched=self.touched,
            identity_sha256=self.drive.identity_sha256,
            resumed=self.resumed,
            is_settled=self.is_settled,
            notes=tuple(self.notes),
        )

    def say(self, sentence: str) -> None:
        self.notes.append(sentence)
        self.on_event(Noted(self.drive.path, sentence))

    def surroundings(self) -> Surroundings:
        pace = self.plan.journal_pace
        return Surroundings(self.store, pace, self.ports.block, self.clock, self.new_key, self.say)

    def changed(self) -> str | None:
        """What is wrong with the drive behind the descriptor now, or ``None``."""
        try:
            return identity_change(self.drive, self.ports.block.identify())
        except (OSError, RasuraError) as error:
            return f"the drive is gone: {error}"

    def progress(
        self, phase: Phase, step: int, steps: int, total: int, start: int = 0
    ) -> Callable[[int], str | None]:
        began = self.clock.monotonic()
        meter = Meter(self.drive.path, phase, step, steps, total, start)
        return lambda done: self.on_event(meter.at(done, self.clock.monotonic() - began))

    def line(self) -> Line | None:
        """A line for device commands, reporting progress in bytes of the drive as far as it is known."""
        if self.ports.device is None:
            return None
        capacity = self.drive.capacity_bytes
        meter = Meter(self.drive.path, Phase.COMMAND, 2, 3, capacity)

        def watch(running: Running) -> str | None:
            done = int((running.fraction or 0.0) * capacity)
            return self.on_event(meter.at(done, running.elapsed_s, command_left_s(running)))

        return Line(self.ports.device, self.clock, watch)


def execute(
    plan: DrivePlan,
    ports: Ports,
    clock: Clock,
    new_key: Callable[[int], bytes],
    on_event: Callable[[Event], str | None],
    block_bytes: int = BLOCK_BYTES,
    store: ProgressStore | None = None,
) -> EraseResult:
    """Carry out ``plan`` on the drive behind ``ports``; the only judge of the outcome.

    ``new_key`` gives that many fresh random bytes. ``on_event`` answers with why to stop, or ``None``
    to go on, and may block. ``store`` has what earlier boots were cut off from, and gets what this one
    may be; the caller lets go of the record once a result that ``is_settled`` is on a certificate that is
    kept. Never raises for what the drive does.
    """
    run = _Run(plan, ports, clock, new_key, on_event, block_bytes, store)
    if not plan.runnable:
        return run.end(Outcome.REFUSED, "the plan does not allow it")
    change = run.changed()
    if change is not None:
        # Nothing was written: whatever stands there now has not been touched.
        return run.end(Outcome.REFUSED, change)
    obstacle = _prepare(run)
    if obstacle is not None:
        return run.end(Outcome.FAILED, obstacle)
    return _go_on(run) or _begin(run)


def _go_on(run: _Run) -> EraseResult | None:
    """Continue the overwrite that an earlier boot was cut off from; ``None`` if there is nothing to continue.

    Stronger ways of the plan are not asked again: the drive has refused each of them.
    """
    way, wanted = run.plan.overwriting, run.plan.overwrite_of(run.drive)
    if way is None or wanted is None:
        return None
    found = find(run.surroundings(), wanted, functools.partial(_patterns, way.passes))
    if found is None:
        return None
    run.way = way
    result = _overwrite(run, way, Continuing.going_on(run.surroundings(), found))
    over = run.is_settled and run.changed() is None
    if not over or result.verification_status is not VerificationStatus.MISMATCH:
        return result
    # Either the drive lies or the record did: what is begun afresh is judged by itself.
    run.say("what earlier boots wrote is not what the drive holds: the erasure is begun afresh")
    run.passes.clear()
    run.read = run.resumed = run.way = None
    run.is_settled = False
    return None


def _begin(run: _Run) -> EraseResult:
    """Try the ways of the plan, each from its beginning."""
    refused: list[Refused] = []
    wanted = run.plan.overwrite_of(run.drive)
    for way in run.plan.chosen:
        run.way = way
        if way.technique is Technique.OVERWRITE and wanted is not None:
            patterns = functools.partial(_patterns, way.passes)
            return _overwrite(
                run, way, Continuing.afresh(run.surroundings(), wanted, patterns, tuple(refused))
            )
        result = _by_command(run, way.technique)
        if isinstance(result, EraseResult):
            return result
        refused.append(Refused(technique=way.technique, reason=result))
    reasons = "; ".join(f"{one.technique}: {one.reason}" for one in refused)
    reason = f"the drive refused every technique that the plan allows ({reasons})"
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


def _overwrite(run: _Run, way: Way, way_on: Continuing) -> EraseResult:
    capacity, steps = run.drive.capacity_bytes, len(way.passes) + 1
    if way_on.resumed is not None:
        cuts = way_on.resumed.interruptions
        place = cuts[-1]
        run.on_event(Continues(run.drive.path, place.step, steps, place.position, capacity, len(cuts)))
    run.resumed = way_on.resumed
    run.touched = True
    for number, pattern in enumerate(way_on.patterns, 1):
        before = way_on.before(number)
        if before is not None:
            run.passes.append(before)
            continue
        start = way_on.start(number)
        report = run.progress(Phase.WRITE, number, steps, capacity, start)
        progress = way_on.following(number, report)
        result = write_pass(
            run.ports.block, capacity, pattern, run.clock, progress, run.block_bytes, start, way_on.failed
        )
        run.passes.append(way_on.ended(number, result))
        if result.stopped is not None:
            return run.end(Outcome.FAILED, result.stopped)
    return _read_back(run, way_on.patterns[-1], steps)


def _read_back(run: _Run, pattern: Pattern, steps: int) -> EraseResult:
    """Compare the drive with what was written: all of it, or samples where the policy wants no more.

    What was interrupted is always read in full: the journal of an earlier boot is no evidence.
    """
    block, capacity = run.ports.block, run.drive.capacity_bytes
    if run.plan.read_back is ReadBackExtent.FULL or run.resumed is not None:
        progress = run.progress(Phase.VERIFY, steps, steps, capacity)
        run.read = read_back(block, capacity, pattern, progress, run.block_bytes)
        run.is_settled = run.read.stopped is None
        return _judge(run)
    run.seed = run.new_key(SEED_BYTES)
    plan = plan_samples(run.seed, capacity, run.drive.logical_sector_bytes)
    progress = run.progress(Phase.VERIFY, steps, steps, plan.bytes)
    run.sampled = read_samples(block, plan, pattern, progress, run.block_bytes)
    run.is_settled = run.sampled.stopped is None
    return _judge(run)


def _by_command(run: _Run, technique: Technique) -> EraseResult | str:
    """One device command; a string says why the drive refused it, so that the next way may be tried."""
    family, line = run.ports.family, run.line()
    if family is None or line is None:
        return "there is no line for the drive's own commands"
    run.touched = True
    if run.store is not None:
        # The marks go over what an interrupted overwrite had written.
        run.store.forget(run.drive.identity_sha256)
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
    run.spots = spots.look(run.progress(Phase.VERIFY, 3, 3, spots.plan.bytes))
    return _judge(run)


def _marked(run: _Run, family: Family, technique: Technique, seed: bytes) -> Spots:
    """Mark the drive; one that a failed sanitize bars is first opened by one that is not believed."""
    capacity, visible = run.drive.capacity_bytes, run.plan.drive.capacity_bytes
    samples = plan_samples(seed, capacity, run.drive.logical_sector_bytes, run.plan.sample_limit_bytes)
    hidden_from = visible if visible < capacity else None
    progress = run.progress(Phase.MARK, 1, 3, samples.bytes)
    try:
        return Spots(run.ports.block, capacity, seed, samples, hidden_from, progress)
    except MarkerError:
        line = run.line()
        if run.prepared is None or not run.prepared.barred or line is None:
            raise
        opened = family.run(technique, line)
        run.commands.extend(opened.records)
        if opened.disposition is not Disposition.DONE:
            raise
        return Spots(run.ports.block, capacity, seed, samples, hidden_from, progress)


def _judge(run: _Run) -> EraseResult:
    """The one place that says ERASED."""
    by_overwriting = run.way is not None and run.way.technique is Technique.OVERWRITE
    problem = run.changed() or (_overwrite_problem(run) if by_overwriting else _spot_problem(run.spots))
    if problem is not None:
        return run.end(Outcome.FAILED, problem)
    return run.end(Outcome.ERASED, None)


def _overwrite_problem(run: _Run) -> str | None:
    if any(one.errors or one.bytes_written != run.drive.capacity_bytes for one in run.passes):
        return "part of the drive could not be written"
    read = run.read or run.sampled
    if read is None or not run.passes:
        return "nothing was read back"
    if read.stopped is not None:
        return read.stopped
    if read.mismatch:
        return "the drive does not hold what was written to it"
    if not read.complete or (run.read is not None and run.read.bytes_total != run.drive.capacity_bytes):
        return "part of the drive could not be read back"
    return _sampling_problem(run)


def _sampling_problem(run: _Run) -> str | None:
    if run.sampled is None:
        return None
    samples = run.sampled.plan
    if run.plan.read_back is not ReadBackExtent.SAMPLED or run.resumed is not None:
        return "only samples were read back where all of the drive must be"
    if not samples.is_whole_scheme or samples.capacity_bytes != run.drive.capacity_bytes:
        return "fewer samples were read back than NIST SP 800-88 Rev. 1 asks for"
    return None


def _spot_problem(spots: SpotCheck | None) -> str | None:
    if spots is None:
        return "nothing was looked at"
    if spots.left:
        count = spots.surviving_markers + spots.unchanged_samples
        return f"the drive reports success, but old data is still there in {count} of the places looked at"
    if spots.stopped is not None:
        return spots.stopped
    if not spots.complete:
        return f"{len(spots.unreadable)} of the places to look at could not be read"
    return None


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
