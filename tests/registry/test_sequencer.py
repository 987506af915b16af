"""Group commit: what arrives while a batch is being made durable is the next batch."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from rasura_registry.errors import StoreError
from rasura_registry.files import DurableFiles
from rasura_registry.index import SqliteIndex
from rasura_registry.log import Conflict, Log, Recorded
from rasura_registry.sequencer import MAX_BATCH, Sequencer
from registry.world import KEY, ORIGIN, Disk, Persisted, failing, submission


class SlowFiles(DurableFiles):
    """A disk whose next write takes until the test lets it end."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.writing = threading.Event()
        self.let_go = threading.Event()

    def replace(self, name: str, data: bytes) -> None:
        self.writing.set()
        assert self.let_go.wait(30)
        super().replace(name, data)


def test_what_arrives_meanwhile_is_one_batch_each_with_its_own_receipt(disk: Disk) -> None:
    files, index = SlowFiles(disk.root), SqliteIndex(disk.root / "index.sqlite3")
    disk.open_indexes.append(index)
    sequencer = Sequencer(Log(files, index, KEY, ORIGIN, disk.clock))
    sequencer.start()
    first = sequencer.submit(submission(0))
    assert files.writing.wait(30)
    others = [sequencer.submit(submission(number)) for number in range(1, 40)]
    withdrawn = sequencer.submit(submission(99))
    assert withdrawn.cancel()
    conflict = sequencer.submit(submission(7, payload=1))
    assert not first.done()
    files.let_go.set()
    answers = [one.result(30) for one in (first, *others)]
    assert [one.receipt.index for one in answers if isinstance(one, Recorded)] == list(range(40))
    assert isinstance(conflict.result(30), Conflict)
    sequencer.stop()
    assert [size for size, _ in index.checkpoints(-1, 9)] == [0, 1, 40]


def test_a_batch_has_an_end(disk: Disk) -> None:
    log, index = disk.boot()
    sequencer = Sequencer(log)
    futures = [sequencer.submit(submission(number)) for number in range(MAX_BATCH + 10)]
    sequencer.start()
    sequencer.stop()
    assert all(isinstance(one.result(0), Recorded) for one in futures)
    assert [size for size, _ in index.checkpoints(-1, 9)] == [0, MAX_BATCH, MAX_BATCH + 10]


def test_a_failure_is_told_to_everyone_in_the_batch_and_to_nobody_else(disk: Disk) -> None:
    log, index = disk.boot(failing(2, Persisted.NOTHING))
    sequencer = Sequencer(log)
    failed = [sequencer.submit(submission(number)) for number in range(3)]
    sequencer.start()
    for one in failed:
        with pytest.raises(StoreError):
            one.result(30)
    later = sequencer.submit(submission(3)).result(30)
    again = sequencer.submit(submission(0)).result(30)
    sequencer.stop()
    assert isinstance(later, Recorded)
    assert isinstance(again, Recorded)
    assert (later.new, again.new) == (True, False)
    assert index.sequenced() == 4


def test_a_sequencer_that_stops_takes_nothing_more(disk: Disk) -> None:
    sequencer = Sequencer(disk.boot()[0])
    sequencer.start()
    sequencer.stop()
    with pytest.raises(StoreError, match="stopping"):
        sequencer.submit(submission(1))


def test_a_bug_in_the_log_is_told_and_survived(disk: Disk, caplog: pytest.LogCaptureFixture) -> None:
    log, _ = disk.boot()
    sequencer = Sequencer(log)
    sequencer.start()
    nonsense = sequencer.submit(None)  # type: ignore[arg-type]  # the bug
    with pytest.raises(AttributeError):
        nonsense.result(30)
    assert isinstance(sequencer.submit(submission(1)).result(30), Recorded)
    sequencer.stop()
    assert "met a bug" in caplog.text
