"""Every write fails once, having happened or not; the process dies or lives; nothing acknowledged is lost."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rasura.receipt import Receipt
from rasura_registry.errors import StoreError
from registry.world import Disk, Fault, Persisted, PowerCut, failing, receipts, require_sound, submission

FIRST = [submission(number) for number in range(250)]
# To 253, 256 (a tile exactly full) and 260: wider tiles, new ones, ones that replace partial ones.
BATCHES = [[submission(number) for number in range(*ends)] for ends in ((250, 253), (253, 256), (256, 260))]


@pytest.fixture(scope="module")
def scratch(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder in memory where there is one: here the faults are ours, and thousands of fsyncs are slow."""
    memory = Path("/dev/shm")
    where = memory if os.access(memory, os.W_OK) else tmp_path_factory.mktemp("scratch")
    with tempfile.TemporaryDirectory(prefix="rasura-crash-", dir=where) as name:
        yield Path(name)


@pytest.fixture(scope="module")
def template(scratch: Path) -> Path:
    """A log that holds FIRST."""
    disk = Disk.new(scratch / "template")
    disk.boot()[0].append(FIRST)
    disk.power_off()
    return disk.root


def run(disk: Disk, fault: Fault, acknowledged: dict[str, Receipt]) -> None:
    log, _ = disk.boot(fault)
    log.recover()
    for batch in BATCHES:
        acknowledged |= receipts(batch, log.append(batch))


def copied(source: Path, target: Path) -> Disk:
    """A copy of a disk, without the bodies, which a log only ever writes."""
    return Disk(Path(shutil.copytree(source, target, ignore=shutil.ignore_patterns("bodies"))))


def every_fault(template: Path, scratch: Path) -> Iterator[tuple[Disk, int, Persisted]]:
    """A fresh copy of the disk for each write of the run, and for each way in which it fails."""
    disk, fault = copied(template, scratch / "count"), Fault()
    run(disk, fault, {})
    disk.power_off()
    assert fault.writes > 12
    for at in range(fault.writes):
        for persisted in Persisted:
            if persisted is Persisted.HALF and at not in fault.halved:
                continue
            disk = copied(template, scratch / f"{at}-{persisted.name}")
            yield disk, at, persisted
            disk.power_off()


def test_a_power_cut_at_any_write_loses_nothing(template: Path, scratch: Path) -> None:
    for disk, at, persisted in every_fault(template, scratch / "cut"):
        acknowledged: dict[str, Receipt] = {}
        with pytest.raises(PowerCut):
            run(disk, Fault(at, persisted), acknowledged)
        log, index = disk.boot()
        log.recover()
        require_sound(disk, index, acknowledged)
        for batch in BATCHES:
            for certificate_id, receipt in receipts(batch, log.append(batch)).items():
                assert acknowledged.setdefault(certificate_id, receipt) == receipt
        require_sound(disk, index, acknowledged)
        assert index.sequenced() == 260


def test_a_failing_disk_at_any_write_loses_nothing_and_the_process_goes_on(
    template: Path, scratch: Path
) -> None:
    for disk, at, persisted in every_fault(template, scratch / "fail"):
        log, index = disk.boot(failing(at, persisted))
        acknowledged: dict[str, Receipt] = {}
        refused = 0
        for batch in BATCHES:
            try:
                answers = log.append(batch)
            except StoreError:
                refused += 1
                assert log.published is None
                answers = log.append(batch)
            acknowledged |= receipts(batch, answers)
        assert refused == 1
        assert log.published is not None
        require_sound(disk, index, acknowledged)
        assert index.sequenced() == 260


def test_what_a_crash_left_is_published_before_anything_new(tmp_path: Path) -> None:
    disk = Disk.new(tmp_path)
    log, _ = disk.boot(Fault(1, Persisted.ALL))
    with pytest.raises(PowerCut):
        log.append(FIRST[:3])
    log, index = disk.boot()
    assert index.sequenced() == 3
    (answer,) = log.append([submission(1000)])
    receipts([submission(1000)], [answer])
    # Each had its own checkpoint: the one of the crashed batch, then the new one.
    assert [size for size, _ in index.checkpoints(-1, 9)] == [0, 3, 4]


@settings(max_examples=15, deadline=None)
@given(data=st.data())
def test_any_history_of_batches_and_failures_is_one_log(scratch: Path, data: st.DataObject) -> None:
    disk = Disk.new(Path(tempfile.mkdtemp(dir=scratch)))
    acknowledged: dict[str, Receipt] = {}
    for _ in range(data.draw(st.integers(1, 5))):
        error = data.draw(st.sampled_from([PowerCut, StoreError]))
        fault = Fault(data.draw(st.integers(-1, 12)), data.draw(st.sampled_from(Persisted)), error)
        log, _ = disk.boot(fault)
        try:
            log.recover()
            for _ in range(data.draw(st.integers(0, 4))):
                first = data.draw(st.integers(0, 20))
                batch = [submission(first + number) for number in range(data.draw(st.integers(1, 5)))]
                for certificate_id, receipt in receipts(batch, log.append(batch)).items():
                    assert acknowledged.setdefault(certificate_id, receipt) == receipt
        except (PowerCut, StoreError):
            continue
    log, index = disk.boot()
    log.recover()
    require_sound(disk, index, acknowledged)
    disk.power_off()
