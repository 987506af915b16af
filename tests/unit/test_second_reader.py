"""The second reader: a process of its own that finds what is really on the drive, or says why it cannot."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from msgspec.structs import replace

from rasura.certificate import Outcome, RangeKind
from rasura_agent.drive.transport.block import BlockDevice, open_virtual_drive
from rasura_agent.erase.engine import execute
from rasura_agent.erase.events import Phase, Progress
from rasura_agent.erase.pattern import Constant, Pattern, RandomStream
from rasura_agent.erase.plan import plan_drive
from rasura_agent.erase.policy import load_policy
from rasura_agent.erase.result import EraseResult
from rasura_agent.erase.run import Ports
from rasura_agent.inventory.clock import SystemClock
from rasura_agent.inventory.virtual import describe_virtual, describe_virtual_open
from rasura_agent.second_reader import SecondReader
from rasura_agent.verify.readback import ReadBack

SIZE = 1 << 20
KEY = bytes(range(32))


class Place:
    """A file as a drive, and a second reader of it."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "disk.img"
        self.path.write_bytes(b"OLD DATA" * (SIZE // 8))
        self.drive = describe_virtual(str(self.path))
        self.block: BlockDevice = open_virtual_drive(
            self.drive.path, lambda fd: describe_virtual_open(fd, self.drive.path)
        )
        if not self.block.direct:
            pytest.skip("this file system allows no direct I/O")

    def reader(self, *command: str) -> SecondReader:
        if command:
            return SecondReader(self.drive.path, True, self.block, command)
        return SecondReader(self.drive.path, True, self.block)

    def fill(self, pattern: Pattern) -> bytearray:
        wanted = bytearray(SIZE)
        pattern.fill(0, memoryview(wanted))
        self.path.write_bytes(wanted)
        return wanted

    def read(self, pattern: Pattern, reader: SecondReader | None = None) -> ReadBack:
        return (reader or self.reader())(SIZE, pattern, lambda _mark: None, clock=SystemClock())


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


@pytest.mark.parametrize(
    "pattern", [Constant(b"\x92\x49\x24"), RandomStream(KEY), RandomStream(KEY, inverted=True)]
)
def test_it_reads_what_was_written(place: Place, pattern: Pattern) -> None:
    place.fill(pattern)
    assert place.read(pattern).complete


def test_it_finds_what_is_wrong(place: Place) -> None:
    wanted = place.fill(RandomStream(KEY))
    wanted[70_000] ^= 1
    place.path.write_bytes(wanted)
    found = place.read(RandomStream(KEY))
    assert [(one.kind, one.offset, one.length) for one in found.errors] == [
        (RangeKind.MISMATCH, 70_000 // 512 * 512, 512)
    ]
    assert found.bytes_read == SIZE


def test_the_caller_can_stop_it(place: Place) -> None:
    place.fill(Constant(b"\0"))
    found = place.reader()(
        SIZE, Constant(b"\0"), lambda _mark: "stopped by the operator", clock=SystemClock()
    )
    assert found.stopped == "stopped by the operator"


def test_another_drive_under_the_name_is_not_read(place: Place) -> None:
    place.fill(Constant(b"\0"))
    other = place.path.with_suffix(".new")
    other.write_bytes(bytes(SIZE))
    other.replace(place.path)
    found = place.read(Constant(b"\0"))
    assert found.stopped
    assert not found.complete


@pytest.mark.parametrize(
    ("program", "why"),
    [
        ("", "ended before"),
        ("print('{}')", "nobody understands"),
        ("print('no JSON')", "nobody understands"),
        ('import sys; sys.stdin.readline(); print(\'{"refused": "no such drive"}\')', "no such drive"),
    ],
)
def test_a_process_that_does_not_do_its_part_proves_nothing(place: Place, program: str, why: str) -> None:
    place.fill(Constant(b"\0"))
    found = place.read(Constant(b"\0"), place.reader(sys.executable, "-c", program))
    assert why in (found.stopped or "")
    assert not found.complete
    assert [(one.offset, one.length) for one in found.errors] == [(0, SIZE)]


def test_a_process_that_cannot_be_started_proves_nothing(place: Place) -> None:
    assert "second reader failed" in (place.read(Constant(b"\0"), place.reader("/no/such")).stopped or "")


def erase(place: Place, *, spoil: bool = False) -> EraseResult:
    policy = replace(load_policy("clear-random"), second_reader=True)

    def on_event(event: Progress) -> None:
        if spoil and event.phase is Phase.WRITE and event.done == event.total:
            with place.path.open("r+b") as file:
                file.seek(4096)
                file.write(b"OLD DATA")

    ports = Ports(place.block, reader=place.reader())
    return execute(
        plan_drive(place.drive, policy, ()), ports, SystemClock(), lambda size: KEY[:size], on_event
    )


def test_the_engine_erases_with_it(place: Place) -> None:
    result = erase(place)
    assert (result.outcome, result.second_reader) == (Outcome.ERASED, True), result.reason


def test_the_engine_believes_it(place: Place) -> None:
    result = erase(place, spoil=True)
    assert (result.outcome, result.reason) == (
        Outcome.FAILED,
        "the drive does not hold what was written to it",
    )
