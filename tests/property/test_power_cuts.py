"""Power cuts in the middle of overwriting, thousands of them: never a wrong certificate, never much lost.

``RASURA_POWER_CUTS`` says how many erasures, each cut off several times; a thousand by default.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from random import Random

import msgspec
import pytest
from msgspec.structs import replace

from rasura.certificate import ErasureCertificate, Outcome, RangeKind
from rasura.consistency import contradictions
from rasura_agent.drive.port import Disposition
from rasura_agent.erase import continuing, ranges
from rasura_agent.erase.engine import execute
from rasura_agent.erase.events import Event, Phase, Progress
from rasura_agent.erase.limits import Limits
from rasura_agent.erase.overwrite import PassResult
from rasura_agent.erase.pattern import Constant
from rasura_agent.erase.plan import plan_drive
from rasura_agent.erase.policy import PatternKind, Policy
from rasura_agent.erase.progress_record import JournalPace, Place, ProgressRecord
from rasura_agent.erase.result import EraseResult
from rasura_agent.erase.run import Ports
from rasura_agent.inventory.model import Transport
from rasura_agent.report import Circumstances, erasure_claims
from simulators.block import simulated_drive
from simulators.signing import NO_MACHINE, TrustWorld, overwrite_policy
from simulators.volatile import Power, TornStore, VolatileBlock, VolatileDrive
from simulators.world import ManualClock, PowerCut

ERASURES = int(os.environ.get("RASURA_POWER_CUTS", "1000"))
BLOCK = 4096
BLOCKS = 24
CAPACITY = BLOCKS * BLOCK
LARGE = 4 * CAPACITY
"""Room for bad zones and what lies between them, and for several requests of Write Zeroes."""
INTERVAL = 4 * BLOCK
MOST_BOOTS = 40
WORLD = TrustWorld()


def policy(pattern: PatternKind, *, offload: bool = False) -> Policy:
    pace = JournalPace(interval_bytes=INTERVAL, interval_s=1e9)
    return replace(overwrite_policy(), pattern=pattern, journal_pace=pace, offload=offload)


@dataclass
class Machine:
    """A drive and a journal, and boots of the agent one after the other."""

    seed: int
    pattern: PatternKind = PatternKind.RANDOM
    transport: Transport = Transport.SATA
    content: Callable[[Random], bytes] | None = None
    """What the drive holds at the beginning; random bytes by default."""
    capacity: int = CAPACITY
    offload: bool = False
    """Whether the drive may zero itself, and does."""
    drive: VolatileDrive = field(init=False)
    store: TornStore = field(init=False)
    boots: int = 0
    lanes: int = 1
    queued: bool = False
    rooms: tuple[int, ...] = (BLOCK,)
    """What a boot may have of memory, and so how large its transfers are."""
    policy: Policy = field(init=False)

    def __post_init__(self) -> None:
        self.draw = Random(self.seed)
        described = simulated_drive(self.capacity, transport=self.transport, rotational=None)
        content = self.content(self.draw) if self.content else self.draw.randbytes(self.capacity)
        self.drive = VolatileDrive(described, self.draw, content)
        if self.offload:
            self.drive.zeroes = Disposition.DONE
        self.policy = policy(self.pattern, offload=self.offload)
        self.store = TornStore(self.draw)

    def boot(
        self, cut_at: int | None = None, on_event: Callable[[Event], str | None] = lambda _event: None
    ) -> tuple[EraseResult, ErasureCertificate] | None:
        """One boot of the agent; ``None`` when the power went."""
        self.boots += 1
        power = Power(cut_at)
        self.store.power = power
        plan = plan_drive(self.drive.drive, self.policy, ())
        clock = ManualClock()
        try:
            result = execute(
                plan,
                Ports(VolatileBlock(self.drive, power, lanes=self.lanes, queued=self.queued)),
                clock,
                self.draw.randbytes,
                on_event,
                self.draw.choice(self.rooms),
                self.store,
            )
        except PowerCut:
            self.drive.lose_power()
            self.store.power = Power()
            return None
        if result.is_settled and result.outcome is not Outcome.ERASED:
            self.store.forget(result.identity_sha256)  # as the job does
        around = Circumstances(NO_MACHINE, self.policy, None, None, clock.source, None, {})
        bundle = WORLD.station.sign(
            lambda place: erasure_claims(str(uuid.uuid4()), plan, result, around, place)
        )
        return result, bundle.certificate

    def until_it_ends(self, cuts: Iterator[int | None]) -> tuple[EraseResult, ErasureCertificate]:
        for cut_at in cuts:
            ended = self.boot(cut_at)
            if ended is not None:
                return ended
        pytest.fail("the erasure never ends")

    @property
    def passes(self) -> int:
        way = plan_drive(self.drive.drive, self.policy, ()).overwriting
        assert way is not None
        return len(way.passes)


def at_random(draw: Random, times: int = 1) -> Iterator[int | None]:
    """Cuts anywhere, some of them at once, some of them never; the last boots are left alone.

    ``times`` as late on a drive so much larger.
    """
    for _ in range(MOST_BOOTS):
        yield draw.choice([draw.randrange(12), draw.randrange(60 * times), draw.randrange(250 * times), None])
    yield None


def check(machine: Machine, ended: tuple[EraseResult, ErasureCertificate]) -> None:
    result, certificate = ended
    assert contradictions(certificate) == ()
    if result.outcome is not Outcome.ERASED:
        assert result.reason
        return
    assert not machine.drive.old_sectors()
    assert machine.drive.least_contents >= machine.passes
    assert [one.bytes_written for one in result.passes] == [machine.capacity] * machine.passes
    last = machine.store.saved[-1]
    assert last.place == Place(step=machine.passes + 1, position=0)
    if certificate.result.resumed is not None:
        assert len(certificate.result.resumed.interruptions) <= machine.boots - 1


@pytest.mark.parametrize("transport", [Transport.SATA, Transport.USB], ids=["one pass", "two passes"])
@pytest.mark.parametrize("pattern", PatternKind)
def test_cuts_at_random_moments(pattern: PatternKind, transport: Transport) -> None:
    resumed = 0
    for seed in range(ERASURES // 4):
        machine = Machine(seed, pattern, transport)
        ended = machine.until_it_ends(at_random(machine.draw))
        assert ended[0].outcome is Outcome.ERASED, f"seed {seed}: {ended[0].reason}"
        check(machine, ended)
        # A boot loses what it wrote since the last record, and a block that was under way.
        lost = (machine.boots - 1) * (INTERVAL + BLOCK)
        assert machine.drive.written <= machine.passes * CAPACITY + lost, f"seed {seed}"
        resumed += ended[0].resumed is not None
    assert resumed > ERASURES // 10


def test_cuts_with_many_transfers_under_way() -> None:
    """Blocks arrive in any order: a place is below all that is missing, however far the others are."""
    resumed = 0
    for seed in range(ERASURES // 4):
        machine = Machine(seed, PatternKind.RANDOM, Random(seed).choice([Transport.SATA, Transport.USB]))
        machine.lanes, machine.queued = 4, seed % 2 == 1
        ended = machine.until_it_ends(at_random(machine.draw))
        assert ended[0].outcome is Outcome.ERASED, f"seed {seed}: {ended[0].reason}"
        check(machine, ended)
        # The lanes are ahead of the place that is written down by twice the interval at most.
        lost = (machine.boots - 1) * (3 * INTERVAL + 2 * BLOCK)
        assert machine.drive.written <= machine.passes * CAPACITY + lost, f"seed {seed}"
        resumed += ended[0].resumed is not None
    assert resumed > ERASURES // 20


def past_bad_zones(seed: int) -> tuple[Machine, tuple[EraseResult, ErasureCertificate]]:
    """A drive that is passed over in one place or two, where writing succeeds after some tries."""
    transport = Random(seed).choice([Transport.SATA, Transport.USB])
    pattern = Random(seed + 1).choice([PatternKind.RANDOM, PatternKind.ZERO])
    machine = Machine(seed, pattern, transport, capacity=LARGE)
    machine.lanes, machine.queued = (1, False) if seed % 3 == 0 else (4, seed % 2 == 1)
    machine.rooms = (BLOCK, 3 * BLOCK, 8 * BLOCK)
    for _ in range(machine.draw.randint(1, 2)):
        zone = machine.draw.randrange(LARGE // BLOCK - 8)
        for block in range(zone, zone + machine.draw.randint(4, 7)):
            machine.drive.weak[block * BLOCK // 512 + machine.draw.randrange(8)] = 3
    return machine, machine.until_it_ends(at_random(machine.draw, LARGE // CAPACITY))


def test_cuts_past_a_bad_zone_lose_no_more_than_others() -> None:
    """What was written beyond it, from either end, is written down as well."""
    beyond = 0
    for seed in range(ERASURES // 4):
        machine, ended = past_bad_zones(seed)
        result, certificate = ended
        check(machine, ended)
        # A block of the largest transfers is under way, or two of the lanes' rooms.
        lost = (machine.boots - 1) * (3 * INTERVAL + 4 * max(machine.rooms))
        assert machine.drive.written <= machine.passes * LARGE + lost, f"seed {seed}"
        resumed = certificate.result.resumed
        if resumed is not None and result.outcome is Outcome.ERASED:
            last = resumed.interruptions[-1]
            beyond += last.bytes_written > last.position
    assert beyond > ERASURES // 100


@pytest.mark.parametrize("transport", [Transport.SATA, Transport.USB], ids=["one pass", "two passes"])
def test_a_sector_that_stays_bad_is_no_reason_to_begin_again(transport: Transport) -> None:
    """The read-back finds old data there, as everybody knew: nothing else speaks against the record."""
    resumed = 0
    for seed in range(ERASURES // 8):
        machine = Machine(seed, PatternKind.RANDOM, transport)
        machine.drive.bad = {machine.draw.randrange(CAPACITY // 512)}
        result, _ = ended = machine.until_it_ends(at_random(machine.draw))
        check(machine, ended)
        assert (result.outcome, str(result.reason)) == (
            Outcome.FAILED,
            "part of the drive could not be written",
        )
        assert machine.drive.written <= machine.passes * CAPACITY + (machine.boots - 1) * (INTERVAL + BLOCK)
        resumed += result.resumed is not None
    assert resumed > ERASURES // 20


@pytest.mark.parametrize("pattern", [PatternKind.ZERO, PatternKind.RANDOM])
def test_cuts_while_the_drive_zeroes_itself(pattern: PatternKind) -> None:
    """It is gone on with like another pass, and the certificate says of all of it that nothing was sent."""
    resumed = 0
    for seed in range(ERASURES // 8):
        machine = Machine(seed, pattern, capacity=LARGE, offload=True)
        result, certificate = ended = machine.until_it_ends(at_random(machine.draw))
        assert result.outcome is Outcome.ERASED, f"seed {seed}: {result.reason}"
        check(machine, ended)
        resumed += result.resumed is not None
        told = [one.bytes_offloaded for one in certificate.result.passes]
        assert told == [LARGE if pattern is PatternKind.ZERO else 0]
        # One request is larger than the interval here.
        assert machine.drive.written <= LARGE + (machine.boots - 1) * (LARGE // 2 + INTERVAL)
    assert resumed > ERASURES // 50


@pytest.mark.parametrize("transport", [Transport.SATA, Transport.USB], ids=["one pass", "two passes"])
def test_a_cut_at_every_single_thing_that_happens(transport: Transport) -> None:
    """The crash matrix of overwriting: one cut, then a boot in peace, for every moment there is."""
    for moment in range(2000):
        machine = Machine(moment, PatternKind.RANDOM, transport)
        first = machine.boot(moment)
        if first is not None:
            assert moment > 100
            return
        ended = machine.until_it_ends(iter([None]))
        assert ended[0].outcome is Outcome.ERASED, f"cut at {moment}: {ended[0].reason}"
        check(machine, ended)
    pytest.fail("the run never ends")


def test_a_drive_whose_flush_does_nothing_is_never_called_erased_too_early() -> None:
    for seed in range(ERASURES // 4):
        machine = Machine(seed, Random(seed).choice(list(PatternKind)))
        machine.drive.forgets_flushes = True
        for _ in range(4):
            ended = machine.until_it_ends(at_random(machine.draw))
            check(machine, ended)


def test_what_could_not_be_written_stays_said_over_a_cut() -> None:
    said = 0
    for seed in range(ERASURES // 8):
        machine = Machine(seed, Random(seed).choice(list(PatternKind)), Transport.USB)
        bad = machine.draw.randrange(CAPACITY // 512)
        machine.drive.bad = {bad}
        first = machine.boot(machine.draw.randrange(30, 150))
        if first is not None:
            continue
        machine.drive.bad = set()  # as after a cable was put right: only the record knows
        result, certificate = machine.until_it_ends(iter([None]))
        check(machine, (result, certificate))
        if result.outcome is Outcome.FAILED:
            said += 1
            assert any(
                one.kind is RangeKind.NOT_WRITTEN and one.offset <= bad * 512 < one.offset + one.length
                for one in certificate.result.error_ranges
            )
    assert said > 10


def forge(record: ProgressRecord, draw: Random) -> ProgressRecord:
    """A record that claims more than was done, or other keys."""
    steps = len(record.passes)
    step = draw.randint(1, steps + 1)
    position = 0 if step > steps else draw.randrange(0, CAPACITY + 1, 512)
    begun = min(step, steps)
    beyond = ()
    if step <= steps and position < CAPACITY - 1024 and draw.random() < 0.5:
        offset = draw.randrange(position + 512, CAPACITY, 512)
        beyond = ((offset, draw.randrange(512, CAPACITY - offset + 1, 512)),)
    return msgspec.structs.replace(
        record,
        place=Place(step=step, position=position),
        beyond=beyond,
        failed=((),) * begun,
        offloaded=(0,) * begun,
        spent_ms=(0,) * begun,
        interruptions=(),
        keys=record.keys if draw.random() < 0.7 else tuple(draw.randbytes(32) for _ in record.keys),
    )


@pytest.mark.parametrize("blank", [False, True])
def test_a_forged_record_never_has_old_data_called_erased(blank: bool) -> None:
    for seed in range(ERASURES // 4):
        draw = Random(seed)
        transport = draw.choice([Transport.SATA, Transport.USB])
        pattern = draw.choice(list(PatternKind))

        def mostly_blank(draw: Random) -> bytes:
            """Zeroes, with one sector of data in a place that no check need look at."""
            content = bytearray(CAPACITY)
            at = draw.randrange(0, CAPACITY, 512)
            content[at : at + 512] = draw.randbytes(512)
            return bytes(content)

        machine = Machine(seed, pattern, transport)
        if blank:
            machine = Machine(seed, pattern, transport, mostly_blank)
        machine.boot(draw.randrange(120))
        if not machine.store.saved:
            continue
        machine.store.power = Power()
        machine.store.save(forge(machine.store.saved[-1], draw))
        result, certificate = machine.until_it_ends(iter([None]))
        assert contradictions(certificate) == ()
        if result.outcome is Outcome.ERASED:
            data = [
                at
                for at in machine.drive.old_sectors()
                if any(machine.drive.content[at * 512 : at * 512 + 512])
            ]
            assert not data, f"seed {seed}"


def test_a_drive_used_again_since_is_begun_afresh() -> None:
    """The record of long ago must not make a drive full of new data look continued."""
    for seed in range(ERASURES // 20):
        machine = Machine(seed, Random(seed).choice(list(PatternKind)))
        machine.until_it_ends(iter([None]))
        machine.drive.content = machine.draw.randbytes(CAPACITY)
        machine.drive.view[:] = machine.drive.content
        result, _ = machine.until_it_ends(iter([None]))
        assert result.outcome is Outcome.ERASED
        assert result.resumed is None
        assert any("begun afresh" in note for note in result.notes)
        assert not machine.drive.old_sectors()


def test_a_little_used_drive_is_begun_afresh_by_the_read_back() -> None:
    """A sector that no check looked at: the full read-back finds it, and all is done again in this boot."""
    afresh = 0
    for seed in range(ERASURES // 20):
        machine = Machine(seed, PatternKind.RANDOM)
        machine.until_it_ends(iter([None]))
        at = machine.draw.randrange(0, CAPACITY, 512)
        machine.drive.content = machine.drive.content[:at] + b"NEW " * 128 + machine.drive.content[at + 512 :]
        machine.drive.view[at : at + 512] = b"NEW " * 128
        result, _ = machine.until_it_ends(iter([None]))
        assert result.outcome is Outcome.ERASED
        assert b"NEW " not in machine.drive.view
        afresh += result.resumed is None
    assert afresh == ERASURES // 20


@pytest.mark.parametrize("transport", [Transport.SATA, Transport.USB], ids=["one pass", "two passes"])
def test_a_person_who_stops_it_loses_nothing(transport: Transport) -> None:
    """Stopped in order, the place is written down at once; the certificate of the next start says so."""
    for seed in range(ERASURES // 20):
        machine = Machine(seed, PatternKind.RANDOM, transport)
        left = iter(range(machine.draw.randrange(24 * 3)))

        def stop_at(event: Event, left: Iterator[int] = left) -> str | None:
            over = isinstance(event, Progress) and next(left, None) is None
            return "stopped by the operator" if over else None

        stopped = machine.boot(None, stop_at)
        assert stopped is not None
        check(machine, stopped)
        if stopped[0].outcome is Outcome.ERASED:
            continue
        assert not stopped[0].is_settled
        result, certificate = machine.until_it_ends(iter([None]))
        check(machine, (result, certificate))
        assert result.outcome is Outcome.ERASED
        assert certificate.result.resumed is not None
        assert machine.drive.written == machine.passes * CAPACITY


def test_another_drive_in_its_place_is_not_begun_afresh() -> None:
    """What does not hold what was written may be another drive: then nothing more is written to it."""
    machine = Machine(3, PatternKind.ZERO)
    machine.boot(60)
    at = machine.drive.old_sectors()[0] * 512
    described = machine.drive.drive

    def swap(event: Event) -> str | None:
        if isinstance(event, Progress) and event.phase is Phase.VERIFY:
            machine.drive.view[at - 512 : at] = b"NEW " * 128
            machine.drive.drive = replace(described, diskseq=99)
        return None

    ended = machine.boot(None, swap)
    assert ended is not None
    assert ended[0].outcome is Outcome.FAILED
    assert machine.drive.written <= CAPACITY + INTERVAL + BLOCK


def test_more_bad_sectors_than_are_told_apart_leave_a_sound_record_and_a_certificate(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Ranges are told coarsely then; neither what was offloaded nor a flush that fails upsets the sums."""
    monkeypatch.setattr(ranges, "RANGES_MAX", 6)
    failed = 0
    for seed in range(ERASURES // 8):
        machine = Machine(seed, PatternKind.ZERO, capacity=LARGE, offload=seed % 2 == 0)
        machine.rooms = (BLOCK, 4 * BLOCK)
        machine.policy = replace(machine.policy, limits=Limits(errors=10_000, retries=0, zone_transfers=50))
        machine.drive.bad = {machine.draw.randrange(LARGE // 512) for _ in range(machine.draw.randint(5, 12))}
        machine.drive.failing_flush = machine.draw.choice([None, machine.draw.randrange(3, 12)])
        _, certificate = ended = machine.until_it_ends(at_random(machine.draw, 4))
        check(machine, ended)
        assert all(one.is_sound for one in machine.store.saved), f"seed {seed}"
        failed += certificate.result.outcome is Outcome.FAILED
    assert failed == ERASURES // 8


def test_a_flush_that_fails_takes_nothing_back_from_earlier_boots(monkeypatch: pytest.MonkeyPatch) -> None:
    """This boot finds so many bad sectors that all of them are told coarsely, and loses what it wrote."""
    monkeypatch.setattr(ranges, "RANGES_MAX", 1)
    resumed = 0
    for seed in range(ERASURES // 20):
        machine = Machine(seed, PatternKind.ZERO, capacity=LARGE)
        machine.policy = replace(machine.policy, limits=Limits(errors=10_000, retries=0, zone_transfers=50))
        machine.drive.bad = {8 * 2}
        if machine.boot(machine.draw.randrange(100, 160)) is not None:
            continue
        machine.drive.bad |= {8 * machine.draw.randrange(40, LARGE // BLOCK) for _ in range(12)}
        machine.drive.failing_flush = machine.draw.randint(3, 9)
        ended = machine.boot()
        assert ended is not None
        check(machine, ended)
        told = ended[1].result.resumed
        resumed += told is not None and told.bytes_now >= 0
    assert resumed > ERASURES // 40


# Each test above can fail.


def test_a_planted_fault_in_the_order_of_flush_and_record_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """An agent that writes a place down before the drive has it loses more than the interval, or fails."""
    honest = VolatileDrive.flush
    monkeypatch.setattr(
        VolatileBlock, "flush", lambda block: None if block.power.seen % 3 else honest(block.medium)
    )
    with pytest.raises(AssertionError):
        test_cuts_at_random_moments(PatternKind.RANDOM, Transport.SATA)


def test_a_planted_fault_that_forgets_what_is_past_a_bad_zone_is_found(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(continuing, "MOST_BEYOND", 0)
    with pytest.raises(AssertionError):
        test_cuts_past_a_bad_zone_lose_no_more_than_others()


def test_a_planted_fault_that_believes_the_record_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the full read-back a forged record has old data called erased."""
    from rasura_agent.erase import engine
    from rasura_agent.verify.readback import ReadBack

    def believe(_port: object, capacity: int, *_more: object, **_others: object) -> ReadBack:
        return ReadBack(capacity, capacity, (), None)

    monkeypatch.setattr(engine, "read_back", believe)
    monkeypatch.setattr(continuing._Check, "agrees", lambda _check: True)
    with pytest.raises(AssertionError):
        test_a_forged_record_never_has_old_data_called_erased(False)


def test_bytes_of_the_interrupted_pass_are_counted_once() -> None:
    """An interruption at a known place: what the certificate says of before and now."""
    machine = Machine(1, PatternKind.ZERO)
    assert machine.boot(30) is None
    (place,) = {one.place for one in machine.store.saved[-1:]}
    result, certificate = machine.until_it_ends(iter([None]))
    resumed = certificate.result.resumed
    assert resumed is not None
    assert result.outcome is Outcome.ERASED
    cut = resumed.interruptions[-1]
    assert (cut.step, cut.position, cut.bytes_written) == (1, place.position, place.position)
    assert resumed.bytes_before == place.position > 0
    assert resumed.bytes_now == CAPACITY - place.position
    assert any(risk.startswith("resumed: ") for risk in certificate.residual_risks)
    assert isinstance(result.passes[0], PassResult)
    assert result.passes[0].pattern == Constant(b"\0").label
