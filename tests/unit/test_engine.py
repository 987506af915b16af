"""The engine and its ports: what goes wrong on the way ends in the right word, with the ranges said."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from rasura.certificate import Outcome, RangeKind, ReadBackExtent, VerificationStatus
from rasura.errors import RefusedError
from rasura_agent.drive.transport.block import open_block_device, open_virtual_drive
from rasura_agent.erase import engine
from rasura_agent.erase.awaited import Awaited
from rasura_agent.erase.buffers import aligned_buffer, read_for_sure, same
from rasura_agent.erase.engine import execute
from rasura_agent.erase.events import Event, Phase, Progress
from rasura_agent.erase.limits import Limits
from rasura_agent.erase.pattern import Constant, RandomStream
from rasura_agent.erase.plan import plan_drive
from rasura_agent.erase.policy import PatternKind, load_policy, parse_policy
from rasura_agent.erase.progress_record import JournalPace, Loaded, ProgressRecord
from rasura_agent.erase.result import EraseResult
from rasura_agent.erase.run import Ports
from rasura_agent.guard import Refusal, RefusalReason
from rasura_agent.inventory.virtual import describe_virtual, describe_virtual_open
from rasura_agent.verify.samples import read_samples
from rasura_agent.verify.sampling import plan_samples
from rasura_agent.verify.spots import MarkerError, Spots
from simulators.block import BlockFault, SimulatedBlock, simulated_drive
from simulators.world import ManualClock

BLOCK = 4096
CAPACITY = 64 * BLOCK


def erase(
    block: SimulatedBlock,
    policy: str = "clear-zero",
    events: list[Progress] | None = None,
    limits: Limits | None = None,
) -> EraseResult:
    plan = plan_drive(block.drive, replace(load_policy(policy), limits=limits or Limits()), ())

    def on_event(event: Progress) -> None:
        if events is not None:
            events.append(event)

    return execute(plan, Ports(block), ManualClock(), os.urandom, on_event, BLOCK)


def drive_with(**faults_at: BlockFault) -> SimulatedBlock:
    return SimulatedBlock(
        simulated_drive(CAPACITY), {int(at.removeprefix("t")): fault for at, fault in faults_at.items()}
    )


def test_a_write_error_is_a_range_and_the_rest_is_still_erased() -> None:
    block = SimulatedBlock(simulated_drive(CAPACITY), bad_writes=(range(3 * BLOCK, 5 * BLOCK),))
    result = erase(block)
    assert result.outcome is Outcome.FAILED
    assert result.reason == "part of the drive could not be written"
    (unwritten,) = [one for one in result.errors if one.kind is RangeKind.NOT_WRITTEN]
    assert (unwritten.offset, unwritten.length) == (3 * BLOCK, 2 * BLOCK)
    assert result.passes[0].bytes_written == CAPACITY - 2 * BLOCK
    assert bytes(block.medium[: 3 * BLOCK]) == bytes(3 * BLOCK)
    assert bytes(block.medium[5 * BLOCK :]) == bytes(CAPACITY - 5 * BLOCK)


@pytest.mark.parametrize("at", [3, 70])
def test_an_error_that_passes_is_no_error(at: int) -> None:
    fault = BlockFault.WRITE_ERROR if at < 64 else BlockFault.READ_ERROR
    result = erase(drive_with(**{f"t{at}": fault}))
    assert (result.outcome, result.errors) == (Outcome.ERASED, ())


def test_a_read_error_leaves_the_drive_unproven() -> None:
    result = erase(
        SimulatedBlock(simulated_drive(CAPACITY), bad_reads=(range(6 * BLOCK + 512, 6 * BLOCK + 700),))
    )
    assert result.outcome is Outcome.FAILED
    assert result.verification_status is VerificationStatus.INCOMPLETE
    assert [(one.kind, one.offset, one.length) for one in result.errors] == [
        (RangeKind.NOT_READ, 6 * BLOCK + 512, 512)
    ]


def test_a_lost_write_is_a_mismatch() -> None:
    result = erase(drive_with(t7=BlockFault.WRITE_LOST))
    assert result.verification_status is VerificationStatus.MISMATCH
    assert [(one.kind, one.offset) for one in result.errors] == [(RangeKind.MISMATCH, 7 * BLOCK)]


def test_a_dying_drive_is_given_up() -> None:
    block = SimulatedBlock(simulated_drive(CAPACITY), fails_from=10)
    result = erase(block, limits=Limits(errors=20))
    assert result.outcome is Outcome.FAILED
    assert "20 transfers failed" in (result.reason or "")
    (unwritten,) = result.errors
    assert (unwritten.offset, unwritten.length) == (10 * BLOCK, CAPACITY - 10 * BLOCK)
    assert block.transfers == 10 + 20


@pytest.mark.parametrize("at", [0, 5, 63, 64, 100, 127])
def test_a_drive_that_vanishes(at: int) -> None:
    result = erase(drive_with(**{f"t{at}": BlockFault.VANISH}))
    assert result.outcome is Outcome.FAILED
    assert "gone" in (result.reason or "")
    assert result.errors


def test_a_flush_that_fails_takes_every_write_back() -> None:
    result = erase(drive_with(t63=BlockFault.FLUSH_ERROR))
    assert result.outcome is Outcome.FAILED
    assert [(one.offset, one.length) for one in result.errors] == [(0, CAPACITY)]


def sampled(block: SimulatedBlock, events: list[Progress] | None = None) -> EraseResult:
    policy = replace(load_policy("clear-random"), read_back=ReadBackExtent.SAMPLED)
    plan = plan_drive(block.drive, policy, ())

    def on_event(event: Progress) -> None:
        if events is not None:
            events.append(event)

    return execute(plan, Ports(block), ManualClock(), os.urandom, on_event, BLOCK)


LARGE = 100 * 512 * 1000


def test_a_sampled_overwrite_reads_a_tenth() -> None:
    block = SimulatedBlock(simulated_drive(LARGE))
    events: list[Progress] = []
    result = sampled(block, events)
    assert (result.outcome, result.reason) == (Outcome.ERASED, None)
    assert result.sampled is not None
    assert result.read_back is None
    assert result.sampled.plan.sections == 1000
    assert LARGE // 10 <= result.bytes_read <= LARGE // 10 + 2 * 512
    assert result.verification_status is VerificationStatus.COMPLETE
    assert (events[-1].phase, events[-1].done, events[-1].total) == (
        Phase.VERIFY, result.bytes_read, result.bytes_read,
    )  # fmt: skip
    assert not block.old_data_left()


def test_a_sampled_overwrite_finds_what_it_looks_at() -> None:
    """A twentieth that was never written: none of a hundred sections on it can be missed."""
    block = SimulatedBlock(simulated_drive(LARGE), dict.fromkeys(range(500, 1200), BlockFault.WRITE_LOST))
    result = sampled(block)
    assert result.outcome is Outcome.FAILED
    assert result.verification_status is VerificationStatus.MISMATCH
    assert result.errors


def test_samples_that_cannot_be_read_prove_nothing() -> None:
    block = SimulatedBlock(simulated_drive(LARGE), bad_reads=(range(LARGE // 2, LARGE // 2 + LARGE // 400),))
    result = sampled(block)
    assert result.outcome is Outcome.FAILED
    assert result.verification_status is VerificationStatus.INCOMPLETE
    assert all(LARGE // 2 <= one.offset < LARGE // 2 + LARGE // 400 for one in result.errors)


def test_samples_where_the_policy_wants_all_are_not_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    """The judge asks the plan, not what happened to be read."""
    block = drive_with()
    read_back_of = engine._read_last_pass

    def lazily(run: Any, *words: Any) -> EraseResult:
        full = run.plan
        run.plan = replace(full, read_back=ReadBackExtent.SAMPLED)
        monkeypatch.setattr(engine, "read_samples", partial(restored, run, full))
        return read_back_of(run, *words)

    def restored(run: Any, full: Any, *words: Any, **more: Any) -> Any:
        run.plan = full
        return read_samples(*words, **more)

    monkeypatch.setattr(engine, "_read_last_pass", lazily)
    result = erase(block)
    assert result.outcome is Outcome.FAILED
    assert "only samples" in (result.reason or "")


def test_another_drive_under_the_same_name_is_not_touched() -> None:
    block = drive_with()
    block.drive = simulated_drive(CAPACITY, serial="SIM0002")
    plan = plan_drive(simulated_drive(CAPACITY), load_policy("clear-zero"), ())
    result = execute(plan, Ports(block), ManualClock(), os.urandom, lambda _event: None, BLOCK)
    assert result.outcome is Outcome.REFUSED
    assert not result.touched
    assert block.transfers == 0


@pytest.mark.parametrize("facts", [{"diskseq": 8}, {"capacity_bytes": CAPACITY - 512}])
def test_a_replaced_or_resized_drive_is_not_touched(facts: dict[str, int]) -> None:
    block = drive_with()
    plan = plan_drive(replace(block.drive, **facts), load_policy("clear-zero"), ())
    assert (
        execute(plan, Ports(block), ManualClock(), os.urandom, lambda _event: None, BLOCK).outcome
        is Outcome.REFUSED
    )
    assert block.transfers == 0


def test_a_refused_plan_is_not_carried_out() -> None:
    block = drive_with()
    plan = plan_drive(
        block.drive, load_policy("clear-zero"), (Refusal(RefusalReason.MOUNTED, "it is mounted"),)
    )
    assert (
        execute(plan, Ports(block), ManualClock(), os.urandom, lambda _event: None, BLOCK).outcome
        is Outcome.REFUSED
    )
    assert block.transfers == 0


def test_stopping_ends_with_what_was_done() -> None:
    block = drive_with()
    plan = plan_drive(block.drive, load_policy("clear-zero"), ())

    def stop_at_the_tenth(event: Progress) -> str | None:
        return "stopped by the operator" if event.done >= 10 * BLOCK else None

    result = execute(plan, Ports(block), ManualClock(), os.urandom, stop_at_the_tenth, BLOCK)
    assert (result.outcome, result.reason) == (Outcome.FAILED, "stopped by the operator")
    assert [(one.offset, one.length) for one in result.errors] == [(10 * BLOCK, CAPACITY - 10 * BLOCK)]


def test_progress_goes_through_every_phase() -> None:
    events: list[Progress] = []
    stick = simulated_drive(CAPACITY, transport="usb", rotational=None)
    erase(SimulatedBlock(stick), events=events)
    ends = [(one.phase, one.step, one.steps) for one in events if one.done == one.total]
    assert ends == [(Phase.WRITE, 1, 3), (Phase.WRITE, 2, 3), (Phase.VERIFY, 3, 3)]


def test_random_streams_have_a_key_of_their_own_and_can_be_made_again() -> None:
    first, second = RandomStream(os.urandom(32)), RandomStream(os.urandom(32))
    one, two, again = aligned_buffer(BLOCK), aligned_buffer(BLOCK), aligned_buffer(BLOCK)
    first.fill(BLOCK, one)
    second.fill(BLOCK, two)
    first.fill(BLOCK, again)
    assert same(one, again)
    assert not same(one, two)


def test_a_stream_and_its_complement() -> None:
    key = os.urandom(32)
    plain, inverted = aligned_buffer(BLOCK), aligned_buffer(BLOCK)
    RandomStream(key).fill(0, plain)
    RandomStream(key, inverted=True).fill(0, inverted)
    assert all(left ^ right == 0xFF for left, right in zip(plain, inverted, strict=True))


@pytest.mark.parametrize(("byte", "label"), [(0, "zero"), (0xFF, "one"), (0x55, "0x55")])
def test_constants(byte: int, label: str) -> None:
    buffer = aligned_buffer(BLOCK)
    Constant(bytes([byte])).fill(0, buffer)
    assert set(buffer) == {byte}
    assert Constant(bytes([byte])).label == label


def test_comparing_looks_at_every_byte() -> None:
    left, right = aligned_buffer(BLOCK), aligned_buffer(BLOCK)
    assert same(left, right)
    for position in (0, 1, BLOCK // 2, BLOCK - 1):
        right[position] = 1
        assert not same(left, right)
        right[position] = 0
    assert not same(left, right[:-1])


@pytest.mark.parametrize("size", [8 * BLOCK, 8 * BLOCK + 512])
def test_a_file_deleted_in_the_middle_is_a_failure(tmp_path: Path, size: int) -> None:
    path = tmp_path / "disk.img"
    path.write_bytes(b"x" * size)
    drive = describe_virtual(str(path))
    port = open_virtual_drive(drive.path, lambda descriptor: describe_virtual_open(descriptor, drive.path))
    assert port.direct is (size % 4096 == 0) or not port.direct

    def delete(event: Progress) -> None:
        if event.step == 1:
            path.unlink(missing_ok=True)

    plan = plan_drive(drive, load_policy("clear-zero"), ())
    result = execute(plan, Ports(port), ManualClock(), os.urandom, delete, BLOCK)
    port.close()
    assert result.outcome is Outcome.FAILED
    assert "gone" in (result.reason or "")


def test_a_file_that_shrinks_in_the_middle_is_a_failure(tmp_path: Path) -> None:
    path = tmp_path / "disk.img"
    path.write_bytes(b"x" * 8 * BLOCK)
    drive = describe_virtual(str(path))
    port = open_virtual_drive(drive.path, lambda descriptor: describe_virtual_open(descriptor, drive.path))

    def shrink(event: Progress) -> None:
        if event.phase is Phase.VERIFY:
            os.truncate(path, BLOCK)

    plan = plan_drive(drive, load_policy("clear-random"), ())
    result = execute(plan, Ports(port), ManualClock(), os.urandom, shrink, BLOCK)
    port.close()
    assert result.outcome is Outcome.FAILED


def test_opening_what_is_not_there() -> None:
    with pytest.raises(RefusedError, match="No such file") as caught:
        open_block_device("/dev/rasura-does-not-exist", lambda _descriptor: simulated_drive(512))
    assert "gone" in (caught.value.hint or "")


def test_every_pattern_has_a_policy() -> None:
    assert {load_policy(f"clear-{kind}").pattern for kind in PatternKind} == set(PatternKind)


class Mute(SimulatedBlock):
    """A bridge that takes writes to a zone and drops them, and answers reads of it without a byte."""

    ZONE = range(6 * BLOCK, 10 * BLOCK)

    def write(self, offset: int, data: memoryview) -> None:
        if offset not in self.ZONE:
            SimulatedBlock.write(self, offset, data)

    def read(self, offset: int, into: memoryview) -> None:
        if offset not in self.ZONE:
            SimulatedBlock.read(self, offset, into)


@pytest.mark.parametrize("pattern", ["clear-zero", "clear-random"])
@pytest.mark.parametrize(("lanes", "queued"), [(1, None), (4, None), (4, 1)])
def test_a_read_that_brings_nothing_proves_nothing(pattern: str, lanes: int, queued: int | None) -> None:
    """What was expected may lie in the buffer from the read before."""
    block = Mute(simulated_drive(CAPACITY), lanes=lanes, queued=queued)
    plan = plan_drive(block.drive, load_policy(pattern), ())
    result = execute(plan, Ports(block), ManualClock(), os.urandom, lambda _event: None, 2 * BLOCK)
    assert block.old_data_left()
    assert result.outcome is Outcome.FAILED


class Brief(SimulatedBlock):
    """Brings the first ``brings`` bytes of each read and says nothing of the rest."""

    brings = 0

    def read(self, offset: int, into: memoryview) -> None:
        into[: self.brings] = bytes(self.brings)


@pytest.mark.parametrize("brings", [0, 512, BLOCK - 512])
def test_a_sector_that_was_not_read_shows(brings: int) -> None:
    block, room = Brief(simulated_drive(CAPACITY)), aligned_buffer(BLOCK)
    block.brings = BLOCK
    read_for_sure(block, 0, room)
    block.brings = brings
    with pytest.raises(OSError, match="brought no data"):
        read_for_sure(block, 0, room)


class Kept:
    """A ``ProgressStore`` for one drive."""

    def __init__(self) -> None:
        self.record: ProgressRecord | None = None

    def save(self, record: ProgressRecord) -> None:
        self.record = record

    def load(self, drive_identity: str) -> Loaded:
        return Loaded(self.record)

    def forget(self, drive_identity: str) -> None:
        self.record = None


class Lossy(SimulatedBlock):
    """Takes writes to one block and drops them."""

    def write(self, offset: int, data: memoryview) -> None:
        if offset != 40 * BLOCK:
            SimulatedBlock.write(self, offset, data)


@pytest.mark.parametrize("cut", [8, 56])
def test_what_was_interrupted_is_read_back_in_full_even_if_begun_afresh(cut: int) -> None:
    """Samples may miss what the check before going on, or the read-back after it, has seen."""
    rules = b'name = "x"\n[erase]\nmethod = "Clear"\nverification = "sampled"\n'
    policy = replace(parse_policy(rules), journal_pace=JournalPace(interval_bytes=BLOCK, interval_s=1))
    block, store = Lossy(simulated_drive(CAPACITY)), Kept()
    plan = plan_drive(block.drive, policy, ())

    def pull_the_plug(event: Event) -> str | None:
        written = isinstance(event, Progress) and event.phase is Phase.WRITE and event.done >= cut * BLOCK
        return "the power goes" if written else None

    def run(on_event: Callable[[Event], str | None]) -> EraseResult:
        return execute(plan, Ports(block), ManualClock(), os.urandom, on_event, BLOCK, store=store)

    assert run(pull_the_plug).outcome is Outcome.FAILED
    result = run(lambda _event: None)
    assert block.old_data_left()
    assert result.outcome is Outcome.FAILED
    assert result.sampled is None


def test_a_drive_that_hangs_before_it_is_gone_on_with_is_abandoned() -> None:
    """The places looked at first have the drive's deadline too; after it nothing more is asked."""
    block, store = SimulatedBlock(simulated_drive(CAPACITY)), Kept()
    policy = replace(load_policy("clear-zero"), journal_pace=JournalPace(interval_bytes=BLOCK, interval_s=1))
    plan = plan_drive(block.drive, policy, ())

    def run(on_event: Callable[[Event], str | None]) -> EraseResult:
        return execute(plan, Ports(block), block.clock, os.urandom, on_event, BLOCK, store=store)

    def pull_the_plug(event: Event) -> str | None:
        return "the power goes" if isinstance(event, Progress) and event.done >= 20 * BLOCK else None

    assert run(pull_the_plug).outcome is Outcome.FAILED
    block.faults[block.transfers + 3] = BlockFault.HANG
    began = time.monotonic()
    try:
        result = run(lambda _event: None)
    finally:
        block.released.set()
    assert time.monotonic() - began < 30
    # It answers again, and was begun afresh.
    assert (result.outcome, result.resumed) == (Outcome.ERASED, None)
    assert not block.old_data_left()


@pytest.mark.parametrize("ago", [1, 100, 200, 10_000])
def test_a_drive_that_hangs_while_it_is_marked_is_abandoned(ago: int) -> None:
    """In a sample, in writing a mark, in reading it again: so many transfers before all is done."""
    capacity = 4096 * BLOCK
    samples = plan_samples(bytes(16), capacity, 512)

    def mark(faults: dict[int, BlockFault]) -> SimulatedBlock:
        block = SimulatedBlock(simulated_drive(capacity), faults)
        try:
            Spots(Awaited(block, Limits(), block.clock), capacity, bytes(16), samples)
        finally:
            block.released.set()
        return block

    transfers, began = mark({}).transfers, time.monotonic()
    with pytest.raises(MarkerError, match="has not answered for 300 s"):
        mark({max(0, transfers - ago): BlockFault.HANG})
    assert time.monotonic() - began < 30
