"""The log: order, receipts, and what it will never sign."""

from __future__ import annotations

import logging
import shutil

import pytest

from rasura.checkpoint import Checkpoint, open_checkpoint, sign_checkpoint
from rasura_registry.errors import LogDamagedError, StoreError
from rasura_registry.index import SqliteIndex
from rasura_registry.log import CHECKPOINT_FILE, Conflict, Log, Recorded
from registry.world import KEY, LOG_KEY, ORIGIN, Disk, receipts, require_sound, submission


def test_a_new_log_publishes_the_empty_tree(disk: Disk) -> None:
    log, _ = disk.boot()
    log.recover()
    assert log.published == open_checkpoint(disk.published(), [LOG_KEY]).checkpoint
    assert log.published is not None
    assert log.published.size == 0


def test_a_batch_gets_places_in_order_and_one_checkpoint(disk: Disk) -> None:
    log, index = disk.boot()
    batch = [submission(number) for number in range(300)]
    acknowledged = receipts(batch, log.append(batch))
    assert [receipt.index for receipt in acknowledged.values()] == list(range(300))
    assert {receipt.checkpoint_note for receipt in acknowledged.values()} == {disk.published()}
    assert [size for size, _ in index.checkpoints(-1, 10)] == [0, 300]
    require_sound(disk, index, acknowledged)


def test_asking_again_changes_nothing_and_gives_the_same_receipt(disk: Disk) -> None:
    log, index = disk.boot()
    batch = [submission(number) for number in range(5)]
    first = receipts(batch, log.append(batch))
    log.append([submission(number) for number in range(5, 400)])
    before = disk.published()
    again = log.append(batch)
    assert receipts(batch, again) == first
    assert all(isinstance(one, Recorded) and not one.new for one in again)
    assert disk.published() == before
    row = index.find(batch[3].id)
    assert row is not None
    assert log.receipt(row) == first[batch[3].id]


def test_the_same_twice_in_one_batch_is_one_entry(disk: Disk) -> None:
    log, index = disk.boot()
    one, two = log.append([submission(1), submission(1)])
    assert isinstance(one, Recorded)
    assert isinstance(two, Recorded)
    assert (one.new, two.new) == (True, False)
    assert one.receipt == two.receipt
    assert index.sequenced() == 1


def test_an_id_stands_for_one_certificate(disk: Disk) -> None:
    log, index = disk.boot()
    _, conflict, other = log.append([submission(1), submission(1, payload=9), submission(2)])
    assert isinstance(conflict, Conflict)
    assert conflict.existing.position == 0
    assert isinstance(other, Recorded)
    assert isinstance(log.append([submission(2, payload=9)])[0], Conflict)
    assert index.sequenced() == 2


def test_a_full_tile_replaces_its_partial_ones(disk: Disk) -> None:
    log, _ = disk.boot()
    for number in range(3):
        log.append([submission(number)])
    assert sorted(path.name for path in (disk.root / "tile/0/000.p").iterdir()) == ["1", "2", "3"]
    log.append([submission(number) for number in range(3, 260)])
    assert not (disk.root / "tile/0/000.p").exists()
    assert not (disk.root / "tile/entries/000.p").exists()
    assert (disk.root / "tile/0/000").stat().st_size == 8192


def test_time_never_goes_back(disk: Disk, caplog: pytest.LogCaptureFixture) -> None:
    log, _ = disk.boot()
    log.append([submission(1)])
    disk.now -= 30
    log.append([submission(2)])
    assert not caplog.records
    disk.now -= 3600
    with caplog.at_level(logging.WARNING):
        log.append([submission(3)])
    assert "ALERT the clock is 3630 s behind" in caplog.text
    assert open_checkpoint(disk.published(), [LOG_KEY]).timestamp == 1_700_000_000
    disk.now = 1_700_000_100
    log.append([submission(4)])
    assert open_checkpoint(disk.published(), [LOG_KEY]).timestamp == 1_700_000_100


def test_a_restart_goes_on_where_it_was(disk: Disk) -> None:
    log, _ = disk.boot()
    first = receipts([submission(1)], log.append([submission(1)]))
    log, index = disk.boot()
    log.recover()
    second = receipts([submission(2)], log.append([submission(2)]))
    require_sound(disk, index, first | second)


def restored_index(disk: Disk) -> Log:
    """The disk after somebody put an older index back."""
    log, _ = disk.boot()
    log.append([submission(1)])
    disk.power_off()
    shutil.copy(disk.root / "index.sqlite3", disk.root / "backup")
    log, _ = disk.boot()
    log.append([submission(2)])
    disk.power_off()
    shutil.copy(disk.root / "backup", disk.root / "index.sqlite3")
    return disk.boot()[0]


def test_an_index_older_than_the_published_checkpoint_is_refused(disk: Disk) -> None:
    log = restored_index(disk)
    before = disk.published()
    for attempt in (log.recover, lambda: log.append([submission(3)])):
        with pytest.raises(
            LogDamagedError, match="published checkpoint of 2 entries is not in the index"
        ) as refusal:
            attempt()
        assert refusal.value.exit_code == 3
    assert disk.published() == before


def test_a_published_checkpoint_that_is_gone_or_changed_is_refused(disk: Disk) -> None:
    log, _ = disk.boot()
    log.append([submission(1)])
    note = disk.published()
    path = disk.root / CHECKPOINT_FILE
    for text in (None, "", note.replace("1\n", "2\n", 1), note[:-10], "\x00\xff"):
        path.unlink(missing_ok=True)
        if text is not None:
            path.write_text(text)
        with pytest.raises(LogDamagedError):
            disk.boot()[0].recover()
    path.write_text(note)
    disk.boot()[0].recover()


def test_a_checkpoint_of_the_same_key_that_the_index_does_not_know_is_refused(disk: Disk) -> None:
    log, _ = disk.boot()
    log.append([submission(1)])
    fork = sign_checkpoint(KEY, Checkpoint(ORIGIN, 1, b"f" * 32), 1_700_000_000)
    (disk.root / CHECKPOINT_FILE).write_text(fork)
    with pytest.raises(LogDamagedError, match="not in the index"):
        disk.boot()[0].recover()


def test_tiles_that_do_not_lead_to_the_signed_root_are_refused(disk: Disk) -> None:
    log, index = disk.boot()
    log.append([submission(number) for number in range(300)])
    tile = disk.root / "tile/0/000"
    good = tile.read_bytes()
    tile.write_bytes(bytes(32) + good[32:])
    # The root is made from the level above, so a new entry is not affected; a proof through the tile is.
    log, index = disk.boot()
    log.recover()
    row = index.find(submission(5).id)
    assert row is not None
    with pytest.raises(LogDamagedError, match="no proof"):
        log.receipt(row)
    tile.write_bytes(good[:100])
    with pytest.raises(LogDamagedError, match="too short"):
        disk.boot()[0].receipt(row)
    (disk.root / "tile/1/000.p/1").write_bytes(bytes(32))
    with pytest.raises(LogDamagedError, match="do not lead to the root"):
        disk.boot()[0].recover()


def test_a_tree_that_does_not_extend_the_last_checkpoint_is_not_signed(disk: Disk) -> None:
    log, index = disk.boot()
    log.append([submission(number) for number in range(5)])
    before = disk.published()
    tile = disk.root / "tile/0/000.p/5"
    tile.write_bytes(bytes(32) + tile.read_bytes()[32:])
    with pytest.raises(LogDamagedError, match="does not extend the last checkpoint"):
        log.append([submission(5)])
    with pytest.raises(LogDamagedError, match="do not lead to the root"):
        log.append([submission(5)])
    assert disk.published() == before == index.last_checkpoint()


def test_entries_missing_under_a_checkpoint_are_refused(disk: Disk) -> None:
    log, index = disk.boot()
    log.append([submission(1), submission(2)])
    index._writer.write("DELETE FROM entries WHERE position = ?", [(1,)])
    with pytest.raises(LogDamagedError, match="lacks entries"):
        disk.boot()[0].recover()


def test_a_gap_is_never_signed(disk: Disk) -> None:
    log, index = disk.boot()
    log.append([submission(1)])
    index._writer.write("UPDATE entries SET position = ? WHERE position = 0", [(5,)])
    with pytest.raises(LogDamagedError, match="gap"):
        disk.boot()[0].recover()


def test_an_index_of_another_version_is_refused(disk: Disk) -> None:
    _, index = disk.boot()
    index._writer.all("PRAGMA user_version = 2")
    with pytest.raises(StoreError, match="version 1"):
        disk.boot()
    with pytest.raises(StoreError, match="no index"):
        SqliteIndex(disk.root / "nowhere")
    (disk.root / "junk").write_bytes(b"junk" * 1000)
    with pytest.raises(StoreError):
        SqliteIndex(disk.root / "junk")
