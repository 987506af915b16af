"""A live station whose power goes in the middle of erasing: the next boot goes on by what is on the stick."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from functional.conftest import MARK, Workshop
from functional.test_live import ARMED, Bench

SIZE = 64 << 20
POLICY = """
name = "slow"
[erase]
method = "Clear"
[pace]
drive_mb_s = 20
[journal]
interval_mb = 1
"""


@pytest.fixture
def bench(workshop: Workshop) -> Iterator[Bench]:
    with ExitStack() as undo:
        yield Bench(workshop, undo)


def cut_off(bench: Bench) -> None:
    """Plug a stick in, begin, and have the power go half-way: memory is lost, the stick is not."""
    bench.plug()
    (bench.data / "policies").mkdir()
    (bench.data / "policies/slow.toml").write_text(POLICY)
    drive = bench.workshop.drive("a.img", SIZE)
    bench.drives.append(drive)
    live = bench.start("rasura.policy=slow")
    live.answer("> ", "1")
    deadline = time.monotonic() + 60
    while drive.read_bytes()[SIZE // 2 : SIZE // 2 + 16] == MARK:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    os.kill(live.pid, 9)
    assert list((bench.data / "journal").glob("*.progress-*"))
    for path in bench.data.parent.iterdir():
        if path == bench.data:
            continue
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()
    assert MARK in drive.read_bytes()


def test_a_person_sees_it_and_it_goes_on(bench: Bench) -> None:
    cut_off(bench)
    live = bench.start("rasura.policy=slow")
    live.expect("1: interrupted before: it goes on in pass 1 of 1 at")
    live.answer("> ", "1")
    live.expect("ERASED")
    live.answer("[Enter] go on", "")
    live.answer("> ", "p")
    assert live.ended() == 0
    (kept,) = bench.certificates("pending")
    (statement,) = bench.workshop.run("rasura", "show", "--json", kept).json
    resumed = statement["predicate"]["result"]["resumed"]
    assert len(resumed["interruptions"]) == 1
    assert resumed["bytesBefore"] >= SIZE // 2 - (8 << 20)
    assert not list((bench.data / "journal").iterdir())
    assert MARK not in bench.drives[0].read_bytes()


def test_armed_it_goes_on_by_itself(bench: Bench) -> None:
    cut_off(bench)
    live = bench.start(f"{ARMED} rasura.end=poweroff rasura.policy=slow")
    live.expect("interrupted before: it goes on in pass 1 of 1 at")
    assert live.ended() == 0
    assert bench.ended_by == ["poweroff"]
    (kept,) = bench.certificates("pending")
    assert "interrupted" in bench.workshop.run("rasura", "show", kept).out
