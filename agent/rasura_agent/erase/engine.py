"""The engine: carries out one drive's plan through its ports and says what came of it.

The way: identify again -> prepare -> for each way of the plan: overwrite and read back, pass by pass, or
mark, have the drive erase itself, look at the spots -> identify again -> outcome. Only a technique that
the drive *refused* hands over to the next one. An overwrite that the power cut off goes on from where it
was, if the drive holds what was written then.

ERASED is said in one place only. It needs the drive to be still the one it was, and either that every
pass wrote every byte and every byte of every pass that the plan reads back was as written, the last one's
always (a stated tenth of them, where the policy asks for that and nothing was interrupted); or that the
drive accepted its command in this run, was followed to its end, and none of the spots holds what it held.
"""

from __future__ import annotations

import functools
from collections.abc import Callable

from msgspec.structs import replace

from rasura.certificate import Outcome, RangeKind, ReadBackExtent, Technique
from rasura.errors import RasuraError
from rasura_agent.clock import Clock
from rasura_agent.drive.port import Disposition
from rasura_agent.erase.awaited import Awaited
from rasura_agent.erase.buffers import ROOM_BYTES
from rasura_agent.erase.continuing import Continuing, find
from rasura_agent.erase.covered import merged
from rasura_agent.erase.events import Continues, Event, Phase
from rasura_agent.erase.firmware.family import Family
from rasura_agent.erase.overwrite import write_pass
from rasura_agent.erase.pattern import Pattern
from rasura_agent.erase.pipeline import REPORT_BYTES
from rasura_agent.erase.plan import DrivePlan, Way
from rasura_agent.erase.progress_record import Place, ProgressStore, Refused
from rasura_agent.erase.ranges import spans_of
from rasura_agent.erase.result import EraseResult
from rasura_agent.erase.run import Ports, Run
from rasura_agent.erase.scheme import patterns
from rasura_agent.sentence import Sentence
from rasura_agent.verify.readback import ReadBack, read_back
from rasura_agent.verify.samples import SampledReadBack, read_samples
from rasura_agent.verify.sampling import plan_samples
from rasura_agent.verify.spots import SEED_BYTES, MarkerError, SpotCheck, Spots

__all__ = ["execute"]


def execute(
    plan: DrivePlan,
    ports: Ports,
    clock: Clock,
    new_key: Callable[[int], bytes],
    on_event: Callable[[Event], str | None],
    room_bytes: int = ROOM_BYTES,
    store: ProgressStore | None = None,
) -> EraseResult:
    """Carry out ``plan`` on the drive behind ``ports``; the only judge of the outcome.

    ``new_key`` gives that many fresh random bytes. ``on_event`` answers with why to stop, or ``None``
    to go on, and may block. ``store`` has what earlier boots were cut off from, and gets what this one
    may be; the caller lets go of the record once a result that ``is_settled`` is on a certificate that is
    kept. Never raises for what the drive does.
    """
    run = Run(plan, ports, clock, new_key, on_event, room_bytes, store)
    if not plan.runnable:
        return run.end(Outcome.REFUSED, Sentence("the plan does not allow it"))
    change = run.changed()
    if change is not None:
        # Nothing was written: whatever stands there now has not been touched.
        return run.end(Outcome.REFUSED, change)
    obstacle = _prepare(run)
    if obstacle is not None:
        return run.end(Outcome.FAILED, obstacle)
    return _go_on(run) or _begin(run)


def _go_on(run: Run) -> EraseResult | None:
    """Continue the overwrite that an earlier boot was cut off from; ``None`` if there is nothing to continue.

    Stronger ways of the plan are not asked again: the drive has refused each of them.
    """
    way, wanted = run.plan.overwriting, run.plan.overwrite_of(run.drive)
    if way is None or wanted is None:
        return None
    # Whether or not it is continued: samples may miss what an earlier boot, or this one, found wrong.
    left = run.left_behind()
    run.read_all = left.is_unfinished
    found = find(run.surroundings(), left, wanted, functools.partial(patterns, way.passes))
    if found is None:
        return None
    if _is_past_reading(way, found.record.place):
        run.say(
            Sentence(
                "an interrupted erasure of this drive is begun afresh: its passes are read back one by one"
            )
        )
        return None
    run.way = way
    result = _overwrite(run, way, Continuing.going_on(run.surroundings(), found))
    over = run.is_settled and run.changed() is None
    if not over or not _is_contradicted(run):
        return result
    # Either the drive lies or the record did: what is begun afresh is judged by itself.
    run.say(Sentence("what earlier boots wrote is not what the drive holds: the erasure is begun afresh"))
    run.passes.clear()
    run.reads.clear()
    run.resumed = run.way = None
    run.is_settled = False
    return None


def _is_contradicted(run: Run) -> bool:
    """Whether a pass that was read back is not there where it is not known to be unwritten."""
    for number, read in run.reads.items():
        unwritten = merged(spans_of(run.passes[number].errors))
        wrong = spans_of(one for one in read.errors if one.kind is RangeKind.MISMATCH)
        if sum(length for _, length in unwritten.within(wrong)) < sum(length for _, length in wrong):
            return True
    return False


def _is_past_reading(way: Way, place: Place) -> bool:
    """Whether a pass that is to be read back was followed by another before that could be finished."""
    return any(way.is_read_back(number) for number in range(min(place.step, len(way.passes)) - 1))


def _begin(run: Run) -> EraseResult:
    """Try the ways of the plan, each from its beginning."""
    refused: list[Refused] = []
    reasons: list[str] = []
    wanted = run.plan.overwrite_of(run.drive)
    for way in run.plan.chosen:
        run.way = way
        if way.technique is Technique.OVERWRITE and wanted is not None:
            make = functools.partial(patterns, way.passes)
            return _overwrite(run, way, Continuing.afresh(run.surroundings(), wanted, make, tuple(refused)))
        result = _by_command(run, way.technique)
        if isinstance(result, EraseResult):
            return result
        refused.append(Refused(technique=way.technique, reason=str(result)))
        reasons.append(Sentence("{technique}: {reason}", technique=way.technique, reason=result))
    reason = Sentence(
        "the drive refused every technique that the plan allows ({reasons})",
        reasons=Sentence.of(reasons),
    )
    return run.end(Outcome.FAILED, reason)


def _prepare(run: Run) -> str | None:
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
        return Sentence(
            "part of the drive stays hidden ({what}), which the policy does not allow",
            what=run.prepared.still_hidden,
        )
    return _grown(run) if run.prepared.lifted else run.changed()


def _grown(run: Run) -> str | None:
    """Take over the capacity after hidden areas were lifted; what is wrong with the drive, or ``None``."""
    try:
        run.ports.rescan()
        now = run.ports.block.identify()
    except (OSError, RasuraError) as error:
        return Sentence("the drive is gone: {reason}", reason=error)
    before = run.drive
    same = (before.serial, before.model, before.wwn, before.diskseq)
    if same != (now.serial, now.model, now.wwn, now.diskseq) or now.capacity_bytes < before.capacity_bytes:
        return Sentence("the drive at {path} is not the one that was planned any more", path=before.path)
    run.drive = replace(before, capacity_bytes=now.capacity_bytes, identity_pages=now.identity_pages)
    return None


def _overwrite(run: Run, way: Way, way_on: Continuing) -> EraseResult:
    capacity, numbers = run.drive.capacity_bytes, range(len(way.passes))
    step, steps = 0, len(numbers) + sum(map(way.is_read_back, numbers))
    if way_on.resumed is not None:
        cuts = way_on.resumed.interruptions
        last, parts = cuts[-1], len(numbers) + 1
        run.on_event(Continues(run.drive.path, last.step, parts, last.written, capacity, len(cuts)))
    run.resumed = way_on.resumed
    run.touched = True
    for number, pattern in enumerate(way_on.patterns):
        step += 1
        before = way_on.before(number + 1)
        if before is not None:
            run.passes.append(before)
        else:
            done, again = way_on.done(number + 1)
            report = run.progress(Phase.WRITE, step, steps, capacity, done.size)
            result = write_pass(
                run.ports.block,
                capacity,
                pattern,
                run.clock,
                way_on.following(number + 1, report),
                run.room_bytes,
                done,
                again,
                limits=run.plan.limits,
                sector_bytes=run.drive.logical_sector_bytes,
                offload=way.offload and way.passes[number].is_zero,
                on_failed=way_on.failed,
                on_offloaded=way_on.offloaded,
                report_bytes=min(REPORT_BYTES, run.plan.journal_pace.interval_bytes),
            )
            run.passes.append(way_on.ended(number + 1, result))
            if result.stopped is not None:
                return run.end(Outcome.FAILED, result.stopped)
        if number == run.last_pass:
            return _read_last_pass(run, pattern, step + 1, steps)
        if way.is_read_back(number):
            step += 1
            read = run.reads[number] = _read_back(run, pattern, step, steps)
            if read.stopped is not None:
                return run.end(Outcome.FAILED, read.stopped)
    raise AssertionError("an overwrite has a last pass")


def _read_last_pass(run: Run, pattern: Pattern, step: int, steps: int) -> EraseResult:
    """Compare the drive with what was written: all of it, or samples where the policy wants no more.

    What was interrupted is always read in full, continued or begun afresh: the journal of an earlier boot is
    no evidence, and samples may miss what was found wrong.
    """
    if run.plan.read_back is ReadBackExtent.FULL or run.read_all:
        read = run.reads[run.last_pass] = _read_back(run, pattern, step, steps)
        run.is_settled = read.stopped is None
        return _judge(run)
    run.seed = run.new_key(SEED_BYTES)
    plan = plan_samples(run.seed, run.drive.capacity_bytes, run.drive.logical_sector_bytes)
    run.sampled = read_samples(
        run.ports.block,
        plan,
        pattern,
        run.progress(Phase.VERIFY, step, steps, plan.bytes),
        run.room_bytes,
        clock=run.clock,
        limits=run.plan.limits,
        sector_bytes=run.drive.logical_sector_bytes,
    )
    run.is_settled = run.sampled.stopped is None
    return _judge(run)


def _read_back(run: Run, pattern: Pattern, step: int, steps: int) -> ReadBack:
    reader = run.ports.reader or functools.partial(read_back, run.ports.block)
    capacity = run.drive.capacity_bytes
    return reader(
        capacity,
        pattern,
        run.progress(Phase.VERIFY, step, steps, capacity),
        run.room_bytes,
        clock=run.clock,
        limits=run.plan.limits,
        sector_bytes=run.drive.logical_sector_bytes,
    )


def _by_command(run: Run, technique: Technique) -> EraseResult | str:
    """One device command; a string says why the drive refused it, so that the next way may be tried."""
    family, line = run.ports.family, run.line()
    if family is None or line is None:
        return Sentence("there is no line for the drive's own commands")
    run.touched = True
    if run.store is not None:
        # The marks go over what an interrupted overwrite had written.
        run.store.forget(run.drive.identity_sha256)
    run.seed = run.new_key(SEED_BYTES)
    try:
        spots = _marked(run, family, technique, run.seed)
    except MarkerError as error:
        return run.end(
            Outcome.FAILED,
            Sentence("{reason}; without marks its own word could not be checked", reason=error),
        )
    ended = family.run(technique, line)
    run.commands.extend(ended.records)
    if ended.disposition is Disposition.REFUSED:
        return ended.reason
    if ended.disposition is Disposition.UNKNOWN:
        return run.end(Outcome.UNKNOWN, ended.reason)
    run.spots = spots.look(run.progress(Phase.VERIFY, 3, 3, spots.plan.bytes))
    return _judge(run)


def _marked(run: Run, family: Family, technique: Technique, seed: bytes) -> Spots:
    """Mark the drive; one that a failed sanitize bars is first opened by one that is not believed."""
    capacity, visible = run.drive.capacity_bytes, run.plan.drive.capacity_bytes
    samples = plan_samples(seed, capacity, run.drive.logical_sector_bytes, run.plan.sample_limit_bytes)
    hidden_from = visible if visible < capacity else None
    progress = run.progress(Phase.MARK, 1, 3, samples.bytes)
    port = Awaited(run.ports.block, run.plan.limits, run.clock)
    try:
        return Spots(port, capacity, seed, samples, hidden_from, progress)
    except MarkerError:
        line = run.line()
        if run.prepared is None or not run.prepared.barred or line is None:
            raise
        opened = family.run(technique, line)
        run.commands.extend(opened.records)
        if opened.disposition is not Disposition.DONE:
            raise
        return Spots(port, capacity, seed, samples, hidden_from, progress)


def _judge(run: Run) -> EraseResult:
    """The one place that says ERASED."""
    by_overwriting = run.way is not None and run.way.technique is Technique.OVERWRITE
    problem = run.changed() or (_overwrite_problem(run) if by_overwriting else _spot_problem(run.spots))
    if problem is not None:
        return run.end(Outcome.FAILED, problem)
    return run.end(Outcome.ERASED, None)


def _overwrite_problem(run: Run) -> str | None:
    way, capacity = run.way, run.drive.capacity_bytes
    if way is None or len(run.passes) != len(way.passes):
        return Sentence("not every pass was written")
    if any(one.errors or one.bytes_written != capacity for one in run.passes):
        return Sentence("part of the drive could not be written")
    wanted = {number for number in range(len(way.passes)) if way.is_read_back(number)}
    if run.sampled is not None:
        wanted.remove(run.last_pass)
    elif run.last_pass not in run.reads:
        return Sentence("nothing was read back")
    if run.reads.keys() != wanted:
        return Sentence("not every pass was read back")
    if any(one.bytes_total != capacity for one in run.reads.values()):
        return Sentence("part of the drive could not be read back")
    reads: list[ReadBack | SampledReadBack] = list(run.reads.values())
    if run.sampled is not None:
        reads.append(run.sampled)
    problems = (problem for one in reads if (problem := _read_problem(one)) is not None)
    return next(problems, None) or _sampling_problem(run)


def _read_problem(read: ReadBack | SampledReadBack) -> str | None:
    if read.stopped is not None:
        return read.stopped
    if read.mismatch:
        return Sentence("the drive does not hold what was written to it")
    return None if read.complete else Sentence("part of the drive could not be read back")


def _sampling_problem(run: Run) -> str | None:
    if run.sampled is None:
        return None
    samples = run.sampled.plan
    if run.plan.read_back is not ReadBackExtent.SAMPLED or run.read_all:
        return Sentence("only samples were read back where all of the drive must be")
    if not samples.is_whole_scheme or samples.capacity_bytes != run.drive.capacity_bytes:
        return Sentence("fewer samples were read back than NIST SP 800-88 Rev. 1 asks for")
    return None


def _spot_problem(spots: SpotCheck | None) -> str | None:
    if spots is None:
        return Sentence("nothing was looked at")
    if spots.left:
        count = spots.surviving_markers + spots.unchanged_samples
        return Sentence(
            "the drive reports success, but old data is still there in {count} of the places looked at",
            count=count,
        )
    if spots.stopped is not None:
        return spots.stopped
    if not spots.complete:
        return Sentence("{count} of the places to look at could not be read", count=len(spots.unreadable))
    return None
