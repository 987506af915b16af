"""Drives that are found with a password: ours, the empty one, or somebody's."""

from __future__ import annotations

import pytest

from rasura.certificate import Technique
from rasura_agent.drive.port import Disposition
from rasura_agent.erase.firmware.ata_locked import LockFound, Recovery, recover_locked
from rasura_agent.erase.firmware.ata_password import EMPTY_PASSWORD, PUBLISHED_PASSWORD, remove_password
from rasura_agent.erase.firmware.ata_security import run_security_erase
from rasura_agent.erase.firmware.line import Intent, Line, TechniqueEnd
from simulators.ata_host import USER, password_block
from simulators.ata_options import AtaOptions, Freeze
from simulators.ata_security import ATTEMPTS, SecurityState
from simulators.world import FaultKind, PowerCut
from unit.test_firmware_ata_bench import TERABYTE, Bench

DONE = Disposition.DONE
IDENTITY = "0123abcd"
OURS = PUBLISHED_PASSWORD.ljust(32, b"\0")
SET = 1


def run(bench: Bench, line: Line | None = None) -> TechniqueEnd:
    return run_security_erase(line or bench.line(), False, bench.journal, IDENTITY, TERABYTE)


def recover(bench: Bench, line: Line | None = None) -> Recovery:
    return recover_locked(line or bench.line(), bench.journal, IDENTITY)


@pytest.mark.parametrize(
    ("password", "found"),
    [(OURS, LockFound.PUBLISHED), (EMPTY_PASSWORD.ljust(32, b"\0"), LockFound.EMPTY)],
)
@pytest.mark.parametrize("unlocked", [True, False])
def test_ours_and_the_empty_one(password: bytes, found: LockFound, unlocked: bool) -> None:
    bench = Bench(AtaOptions(user_password=password))
    if unlocked:
        bench.drive.taskfile(0xF2, protocol=5, data_out=password_block(password))
    recovery = recover(bench)
    assert (recovery.found, recovery.free, recovery.state) == (found, True, "SEC1")
    assert not bench.drive.security.enabled
    assert bench.untouched


@pytest.mark.parametrize("maximum", [True, False])
def test_a_foreign_password_costs_two_attempts(maximum: bool) -> None:
    bench = Bench(AtaOptions(user_password=USER, maximum_level=maximum))
    recovery = recover(bench)
    assert (recovery.found, recovery.free, recovery.state) == (LockFound.FOREIGN, False, "SEC4")
    assert ("only erase" in recovery.reason) is maximum
    assert "FFFEh" in recovery.reason
    assert bench.drive.security.attempts_left == ATTEMPTS - 2


def test_attempts_count_only_on_a_locked_drive() -> None:
    bench = Bench(AtaOptions(user_password=USER))
    bench.drive.taskfile(0xF2, protocol=5, data_out=password_block(USER))
    bench.drive.security.attempts_left = 0
    assert (recover(bench).found, recover(bench).state) == (LockFound.FOREIGN, "SEC5")


def test_a_foreign_password_on_an_unlocked_drive() -> None:
    bench = Bench(AtaOptions(user_password=USER))
    bench.drive.taskfile(0xF2, protocol=5, data_out=password_block(USER))
    assert (recover(bench).found, recover(bench).state) == (LockFound.FOREIGN, "SEC5")


def test_no_attempt_left() -> None:
    bench = Bench(AtaOptions(user_password=OURS, attempts_expired=True))
    recovery = recover(bench)
    assert (recovery.found, recovery.free) == (LockFound.EXPIRED, False)
    assert "pull its power" in recovery.reason
    bench.bay.power_cycle()
    assert recover(bench).free


def test_attempts_run_out_on_the_way() -> None:
    bench = Bench(AtaOptions(user_password=USER))
    bench.drive.security.attempts_left = 1
    assert recover(bench).found is LockFound.EXPIRED


def test_frozen_with_a_password() -> None:
    bench = Bench(AtaOptions(user_password=OURS))
    bench.drive.taskfile(0xF2, protocol=5, data_out=password_block(OURS))
    bench.drive.taskfile(0xF5)
    assert (recover(bench).found, recover(bench).state) == (LockFound.FROZEN, "SEC6")


@pytest.mark.parametrize("options", [AtaOptions(), AtaOptions(bios_freezes=Freeze.AT_BOOT)])
def test_no_password(options: AtaOptions) -> None:
    bench = Bench(options)
    recovery = recover(bench)
    assert (recovery.found, recovery.free, len(recovery.records)) == (LockFound.NONE, True, 1)


def test_no_feature_set() -> None:
    assert recover(Bench(AtaOptions(security=False))).free


def test_silence() -> None:
    bench = Bench()
    bench.bay.hot_unplug()
    assert (recover(bench).found, recover(bench).free) == (LockFound.SILENT, False)


def test_silence_on_the_way() -> None:
    bench = Bench(AtaOptions(user_password=OURS))
    recovery = recover(bench, bench.line({2: FaultKind.UNPLUG}))
    assert (recovery.found, recovery.free) == (LockFound.SILENT, False)


@pytest.mark.parametrize("cut", [FaultKind.POWER_CUT_BEFORE, FaultKind.POWER_CUT_AFTER])
@pytest.mark.parametrize("at", range(6))
def test_after_a_power_cut(cut: FaultKind, at: int) -> None:
    bench = Bench()
    with pytest.raises(PowerCut):
        run(bench, line=bench.line({at: cut}))
    intents = tuple(bench.journal.intents)
    assert bool(intents) is (at >= SET)
    bench.bay.power_cycle()
    recovery = recover(bench)
    assert recovery.free
    assert recovery.interrupted == intents
    assert ("interrupted" in recovery.reason) is bool(intents)
    assert not bench.journal.intents
    assert run(bench).disposition is DONE
    assert bench.old_sectors() == 0


def test_in_the_middle_of_the_erase() -> None:
    bench = Bench()
    bench.bay.power_cut_at = 3600.0
    with pytest.raises(PowerCut):
        run(bench)
    bench.bay.power_cycle()
    assert bench.drive.security.state is SecurityState.SEC4
    assert recover(bench).found is LockFound.PUBLISHED
    assert bench.old_sectors()


def test_intents_of_other_drives_and_techniques_stay() -> None:
    bench = Bench()
    kept = [Intent("another", Technique.ATA_SECURITY_ERASE.value), Intent(IDENTITY, "tcg-psid-revert")]
    bench.journal.intents = [*kept, Intent(IDENTITY, Technique.ATA_SECURITY_ERASE_ENHANCED.value)]
    assert recover(bench).interrupted == (Intent(IDENTITY, "ata-security-erase-enhanced"),)
    assert bench.journal.intents == kept


def test_a_drive_that_stays_locked_keeps_its_intent() -> None:
    bench = Bench(AtaOptions(user_password=USER))
    bench.journal.intents = [Intent(IDENTITY, Technique.ATA_SECURITY_ERASE.value)]
    assert not recover(bench).free
    assert bench.journal.intents


def test_a_broken_journal_does_not_keep_a_drive_locked() -> None:
    bench = Bench(AtaOptions(user_password=OURS))
    bench.journal.broken = True
    recovery = recover(bench)
    assert recovery.free
    assert "the journal is full" in recovery.reason


@pytest.mark.parametrize("kind", [FaultKind.HANG, FaultKind.SWALLOW_STATUS, FaultKind.BUS_RESET])
@pytest.mark.parametrize("at", range(5))
def test_lost_answers_on_the_way(kind: FaultKind, at: int) -> None:
    bench = Bench(AtaOptions(user_password=OURS))
    assert recover(bench, bench.line({at: kind})).free


def test_a_password_that_cannot_be_removed() -> None:
    """The drive takes it to unlock, and aborts both attempts to disable it."""
    bench = Bench(AtaOptions(user_password=OURS))
    recovery = recover(bench, bench.line({4: FaultKind.ABORT, 6: FaultKind.ABORT}))
    assert (recovery.found, recovery.free, recovery.state) == (LockFound.PUBLISHED, False, "SEC5")
    assert "would not let it be removed" in recovery.reason
    assert recover(bench).free


def test_one_refused_removal_is_tried_again() -> None:
    bench = Bench(AtaOptions(user_password=OURS))
    assert recover(bench, bench.line({4: FaultKind.ABORT})).free


def test_no_password_is_wasted_on_a_drive_without_attempts() -> None:
    line = Bench(AtaOptions(user_password=OURS, attempts_expired=True)).line()
    assert not remove_password(line, PUBLISHED_PASSWORD).free
    assert [record.name for record in line.records] == ["IDENTIFY DEVICE"]
