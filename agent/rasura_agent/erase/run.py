"""One drive's run: its ports, what it must still be, and what has happened so far."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime

import msgspec

from rasura.certificate import Outcome
from rasura.errors import RasuraError
from rasura_agent.clock import Clock
from rasura_agent.drive.port import BlockPort, DrivePort
from rasura_agent.erase.continuing import Resumed, Surroundings
from rasura_agent.erase.events import Event, Noted, Phase
from rasura_agent.erase.firmware.family import Family, Prepared
from rasura_agent.erase.firmware.line import CommandRecord, Line, Running
from rasura_agent.erase.meter import Meter, command_left_s
from rasura_agent.erase.overwrite import PassResult
from rasura_agent.erase.plan import DrivePlan, Way
from rasura_agent.erase.progress_record import Loaded, ProgressStore
from rasura_agent.erase.result import EraseResult
from rasura_agent.inventory.model import Drive
from rasura_agent.sentence import Sentence
from rasura_agent.verify.readback import ReadBack, Reader
from rasura_agent.verify.samples import SampledReadBack
from rasura_agent.verify.spots import SpotCheck

__all__ = ["Ports", "Run", "identity_change"]


class Ports(msgspec.Struct, frozen=True):
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


def identity_change(expected: Drive, found: Drive) -> str | None:
    """How the drive behind the descriptor differs from the one expected, or ``None``."""
    if found.identity_sha256 != expected.identity_sha256:
        serial = found.serial or Sentence("no serial")
        return Sentence(
            "the drive at {path} is not the one that was planned: it now says {serial}",
            path=expected.path,
            serial=serial,
        )
    if found.capacity_bytes != expected.capacity_bytes:
        return Sentence(
            "the capacity went from {before} to {now} bytes",
            before=expected.capacity_bytes,
            now=found.capacity_bytes,
        )
    if found.diskseq != expected.diskseq:
        return Sentence("the drive at {path} was removed and another attached", path=expected.path)
    return None


@dataclass(slots=True)
class Run:
    """One drive's run; collects what happened so that any exit can tell it."""

    plan: DrivePlan
    ports: Ports
    clock: Clock
    new_key: Callable[[int], bytes]
    on_event: Callable[[Event], str | None]
    room_bytes: int
    store: ProgressStore | None
    drive: Drive = field(init=False)
    """The drive as it must answer now; preparing it may have changed its capacity."""
    started_at: datetime = field(init=False)
    start: float = field(init=False)
    touched: bool = False
    way: Way | None = None
    passes: list[PassResult] = field(default_factory=list)
    reads: dict[int, ReadBack] = field(default_factory=dict)
    """By the number of the pass, from 0."""
    sampled: SampledReadBack | None = None
    commands: list[CommandRecord] = field(default_factory=list)
    spots: SpotCheck | None = None
    seed: bytes | None = None
    prepared: Prepared | None = None
    resumed: Resumed | None = None
    read_all: bool = False
    """Something was left unfinished on this drive, or was not as it was written: samples do not do."""
    is_settled: bool = False
    notes: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.drive = self.plan.drive
        self.started_at, self.start = self.clock.wall(), self.clock.monotonic()

    @property
    def last_pass(self) -> int:
        """The number of the pass whose bytes stay."""
        return len(self.way.passes) - 1 if self.way is not None else -1

    def end(self, outcome: Outcome, reason: str | None) -> EraseResult:
        """Everything that happened, as a result."""
        return EraseResult(
            outcome=outcome,
            reason=reason,
            way=self.way,
            capacity_bytes=self.drive.capacity_bytes,
            passes=tuple(self.passes),
            read_back=self.reads.get(self.last_pass),
            earlier_reads=tuple(read for number, read in self.reads.items() if number != self.last_pass),
            second_reader=self.ports.reader is not None and bool(self.reads),
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
        """Have a person know it, now and on the result."""
        self.notes.append(sentence)
        self.on_event(Noted(self.drive.path, sentence))

    def surroundings(self) -> Surroundings:
        """What continuing an overwrite needs."""
        return Surroundings(
            self.store,
            self.plan.journal_pace,
            self.ports.block,
            self.clock,
            self.new_key,
            self.say,
            self.plan.limits,
        )

    def left_behind(self) -> Loaded:
        """What an earlier boot, or this one, left of an overwrite of the drive."""
        return self.store.load(self.drive.identity_sha256) if self.store is not None else Loaded(None)

    def changed(self) -> str | None:
        """What is wrong with the drive behind the descriptor now, or ``None``."""
        try:
            return identity_change(self.drive, self.ports.block.identify())
        except (OSError, RasuraError) as error:
            return Sentence("the drive is gone: {reason}", reason=error)

    def progress(
        self, phase: Phase, step: int, steps: int, total: int, start: int = 0
    ) -> Callable[[int], str | None]:
        """What a step calls as it goes on, with how many bytes are done; it answers with why to stop."""
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
