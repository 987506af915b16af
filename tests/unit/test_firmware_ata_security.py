"""Security erase as a technique, and drives that are found locked."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from rasura.certificate import Technique
from rasura_agent.drive.ata.security import SecurityOpcode, decode_password_block
from rasura_agent.drive.port import AtaCommand, AtaResult, Command, Completion, Disposition
from rasura_agent.erase.firmware.ata_locked import LockFound, Recovery, recover_locked
from rasura_agent.erase.firmware.ata_password import PUBLISHED_PASSWORD
from rasura_agent.erase.firmware.ata_security import run_security_erase
from rasura_agent.erase.firmware.line import Intent, Line, Running, TechniqueEnd
from simulators.ata_host import USER, password_block
from simulators.ata_options import AtaOptions, Freeze
from simulators.ata_security import SecurityState
from simulators.ports_media import Lie
from simulators.ports_media import Technique as Operation
from simulators.sat import BridgeOptions
from simulators.world import FaultKind, PowerCut
from unit.test_firmware_ata_bench import TERABYTE, Bench, Change

DONE, REFUSED, UNKNOWN = Disposition.DONE, Disposition.REFUSED, Disposition.UNKNOWN
IDENTITY = "0123abcd"
OURS = PUBLISHED_PASSWORD.ljust(32, b"\0")
SET, PREPARE, ERASE = 1, 3, 4
"""Which command of a run is which; 0, 2 and 5 are IDENTIFY DEVICE."""


def run(
    bench: Bench, enhanced: bool = False, line: Line | None = None, capacity: int = TERABYTE
) -> TechniqueEnd:
    return run_security_erase(line or bench.line(), enhanced, bench.journal, IDENTITY, capacity)


def recover(bench: Bench, line: Line | None = None) -> Recovery:
    return recover_locked(line or bench.line(), bench.journal, IDENTITY)


def on(opcode: SecurityOpcode, made: Completion) -> Change:
    """Answer ``opcode`` with ``made`` in the drive's place; the drive carries it out."""

    def change(command: Command, completion: Completion) -> Completion:
        return made if isinstance(command, AtaCommand) and command.command == opcode else completion

    return change


class TestPassword:
    def test_it_is_what_a_person_can_type(self) -> None:
        assert PUBLISHED_PASSWORD.decode("ascii").isprintable()
        assert 0 < len(PUBLISHED_PASSWORD) <= 32
        assert b" " not in PUBLISHED_PASSWORD

    def test_the_drive_gets_it_filled_up_with_nuls(self) -> None:
        bench, blocks = Bench(), []

        def watch(command: Command, completion: Completion) -> Completion:
            if isinstance(command, AtaCommand) and command.data_out:
                blocks.append(decode_password_block(command.data_out))
            return completion

        run(bench, line=bench.line(change=watch))
        assert [block.password for block in blocks] == [OURS, OURS]


class TestGoodPath:
    @pytest.mark.parametrize("enhanced", [True, False])
    @pytest.mark.parametrize("codecs", [True, False])
    def test_both_modes(self, enhanced: bool, codecs: bool) -> None:
        bench = Bench(codecs=codecs)
        end = run(bench, enhanced)
        assert (end.disposition, end.state) == (DONE, "SEC1")
        assert bench.old_sectors() == 0
        assert [record.name for record in end.records] == [
            "IDENTIFY DEVICE",
            "SECURITY SET PASSWORD",
            "IDENTIFY DEVICE",
            "SECURITY ERASE PREPARE",
            f"SECURITY ERASE UNIT ({'ENHANCED' if enhanced else 'NORMAL'})",
            "IDENTIFY DEVICE",
        ]
        assert not bench.journal.intents

    def test_the_intent_is_written_before_the_password_is_set(self) -> None:
        bench = Bench()
        with pytest.raises(PowerCut):
            run(bench, line=bench.line({SET: FaultKind.POWER_CUT_BEFORE}))
        assert bench.journal.intents == [Intent(IDENTITY, Technique.ATA_SECURITY_ERASE.value)]
        assert not bench.drive.security.enabled

    def test_an_unlocked_drive_gets_our_password(self) -> None:
        bench = Bench(AtaOptions(user_password=USER))
        bench.drive.taskfile(0xF2, protocol=5, data_out=password_block(USER))
        assert bench.drive.security.state is SecurityState.SEC5
        assert run(bench).disposition is DONE
        assert bench.old_sectors() == 0

    def test_the_estimate_is_told_before(self) -> None:
        heard: list[Running] = []

        def watch(running: Running) -> None:
            heard.append(running)

        bench = Bench()
        run(bench, line=bench.line(watch=watch))
        assert [(one.fraction, one.estimate_s) for one in heard] == [(None, 7200)]


class TestRefused:
    @pytest.mark.parametrize(
        ("options", "enhanced", "words"),
        [
            (AtaOptions(security=False), False, "no Security feature set"),
            (AtaOptions(enhanced_erase=False), True, "no enhanced"),
            (AtaOptions(bios_freezes=Freeze.AT_BOOT), False, "suspend the machine to RAM"),
            (AtaOptions(user_password=USER), False, "locked by a password"),
            (AtaOptions(user_password=USER, maximum_level=True), False, "can only erase it"),
            (AtaOptions(user_password=USER, attempts_expired=True), False, "until its power goes"),
        ],
    )
    def test_with_a_reason_and_without_a_command(
        self, options: AtaOptions, enhanced: bool, words: str
    ) -> None:
        bench = Bench(options)
        end = run(bench, enhanced)
        assert end.disposition is REFUSED
        assert words in end.reason
        assert {record.name for record in end.records} == {"IDENTIFY DEVICE"}
        assert bench.untouched
        assert not bench.journal.intents

    def test_frozen_then_suspended(self) -> None:
        bench = Bench(AtaOptions(bios_freezes=Freeze.AT_BOOT))
        assert run(bench).state == "SEC2"
        bench.bay.suspend_resume()
        assert run(bench).disposition is DONE

    def test_unlocked_and_frozen(self) -> None:
        bench = Bench(AtaOptions(user_password=USER))
        bench.drive.taskfile(0xF2, protocol=5, data_out=password_block(USER))
        bench.drive.taskfile(0xF5)
        assert (run(bench).disposition, run(bench).state) == (REFUSED, "SEC6")

    def test_what_cannot_be_written_down_does_not_begin(self) -> None:
        bench = Bench()
        bench.journal.broken = True
        end = run(bench)
        assert (end.disposition, len(end.records)) == (REFUSED, 1)

    def test_called_off_in_time(self) -> None:
        bench = Bench()
        end = run(bench, line=bench.line(watch=lambda _running: "the operator said no"))
        assert (end.disposition, end.reason) == (REFUSED, "the operator said no")
        assert not bench.journal.intents

    def test_a_drive_that_does_not_answer(self) -> None:
        bench = Bench()
        bench.bay.hot_unplug()
        assert run(bench).disposition is REFUSED


class TestIdentify:
    """Pages on which nothing may rest; the drive repeats them."""

    @pytest.mark.parametrize(
        ("at", "value", "words"),
        [
            (0, 0x04, "not spun up"),
            (256, 0x02, "checksum"),
            (1, 0x80, "packet"),
            (None, 0, "nobody answered"),
        ],
    )
    def test_a_page_that_cannot_be_believed(self, at: int | None, value: int, words: str) -> None:
        def damage(_command: Command, completion: Completion) -> Completion:
            page = bytearray(completion.data if at is not None else bytes(512))
            if at is not None:
                page[at] |= value
            if at == 0:
                page[511] = 0
                page[511] = -sum(page) & 0xFF
            return replace(completion, data=bytes(page))

        bench = Bench()
        end = run(bench, line=bench.line(change=damage))
        assert (end.disposition, len(end.records)) == (REFUSED, 3)
        assert words in end.reason

    def test_a_page_that_is_right_the_third_time(self) -> None:
        bench = Bench()
        line = bench.line({0: FaultKind.BUS_RESET, 1: FaultKind.HANG_UNSEEN})
        assert run(bench, line=line).disposition is DONE

    def test_word_128_that_is_not_given(self) -> None:
        def without(_command: Command, completion: Completion) -> Completion:
            page = bytearray(completion.data)
            page[256:258] = b"\xff\xff"
            page[511] = 0
            page[511] = -sum(page) & 0xFF
            return replace(completion, data=bytes(page)) if completion.data else completion

        bench = Bench()
        assert "no Security feature set" in run(bench, line=bench.line(change=without)).reason
        assert recover(bench, bench.line(change=without)).found is LockFound.SILENT


class TestDoubt:
    """Nothing here may be DONE; our password is off the drive where it lets us."""

    @pytest.mark.parametrize("enhanced", [True, False])
    def test_failing_midway(self, enhanced: bool) -> None:
        bench = Bench(AtaOptions(erase_fails_at=0.5))
        end = run(bench, enhanced)
        assert (end.disposition, end.state) == (UNKNOWN, "SEC1")
        assert bench.old_sectors()
        assert not bench.drive.security.enabled
        assert not bench.journal.intents

    def test_bad_sectors(self) -> None:
        bench = Bench()
        bench.drive.medium.bad.add(7)
        assert run(bench).disposition is UNKNOWN
        assert not bench.drive.security.enabled

    def test_a_drive_that_keeps_the_password(self) -> None:
        bench = Bench(AtaOptions(erase_keeps_password=True))
        end = run(bench)
        assert (end.disposition, "keeps its password" in end.reason) == (UNKNOWN, True)
        assert not bench.drive.security.enabled

    @pytest.mark.parametrize(
        ("options", "enhanced", "disposition"),
        [
            (AtaOptions(), False, UNKNOWN),
            # A hard disk that gives the shortest estimate changes a key.
            (AtaOptions(), True, DONE),
            (AtaOptions(enhanced_word=60), True, UNKNOWN),
            (AtaOptions(enhanced_word=0), True, UNKNOWN),
            (AtaOptions(erase_word=1), False, UNKNOWN),
            (AtaOptions(erase_word=1, encrypts_all=True), False, DONE),
            (AtaOptions(erase_word=60, encrypts_all=True), False, UNKNOWN),
            (AtaOptions(rotation_rate=1, erase_word=1), False, DONE),
            (AtaOptions(rotation_rate=1, erase_word=0), False, DONE),
            (AtaOptions(rotation_rate=1, erase_word=60), False, UNKNOWN),
            (AtaOptions(rotation_rate=1, erase_word=0xFF), False, UNKNOWN),
        ],
    )
    def test_instant_success(self, options: AtaOptions, enhanced: bool, disposition: Disposition) -> None:
        bench = Bench(replace(options, lie=Lie(leaves=(), instantly=True)))
        end = run(bench, enhanced)
        assert end.disposition is disposition
        assert ("plausible" in end.reason) is (disposition is UNKNOWN)
        small = Bench(replace(options, lie=Lie(leaves=(), instantly=True)))
        assert run(small, enhanced, capacity=2**29).disposition is DONE

    @pytest.mark.parametrize(
        "kind",
        [
            FaultKind.HANG,
            FaultKind.HANG_UNSEEN,
            FaultKind.SWALLOW_STATUS,
            FaultKind.ABORT,
            FaultKind.BUS_RESET,
        ],
    )
    @pytest.mark.parametrize("codecs", [True, False])
    def test_without_the_status_of_the_erase_itself(self, kind: FaultKind, codecs: bool) -> None:
        bench = Bench(codecs=codecs)
        end = run(bench, line=bench.line({ERASE: kind}))
        assert (end.disposition, end.state) == (UNKNOWN, "SEC1")
        assert not bench.journal.intents

    def test_the_signature_of_a_reset_is_no_success(self) -> None:
        """Status 50h with error 01h: a reset in the middle hides how the erase ended."""
        bench = Bench(AtaOptions(erase_fails_at=0.5))
        reset = Completion(DONE, "good", ata=AtaResult(0x50, 0x01, 1, 1, 0))
        end = run(bench, line=bench.line(change=on(SecurityOpcode.ERASE_UNIT, reset)))
        assert (end.disposition, "reset" in end.reason) == (UNKNOWN, True)

    def test_good_status_over_a_failure(self) -> None:
        bench = Bench(AtaOptions(erase_fails_at=0.5))
        good = Completion(DONE, "good", ata=AtaResult(0x50, 0, 0, 0, 0x40))
        end = run(bench, line=bench.line(change=on(SecurityOpcode.ERASE_UNIT, good)))
        assert (end.disposition, "keeps its password" in end.reason) == (UNKNOWN, True)

    def test_a_path_that_takes_the_password_and_shows_none(self) -> None:
        """Good status for everything, and the drive never saw a password: SEC1 all along."""

        def never(command: Command, completion: Completion) -> Completion:
            return replace(completion, data=plain) if completion.data else completion

        bench = Bench()
        plain = bench.drive.identify_page()
        end = run(bench, line=bench.line(change=never))
        assert end.disposition is REFUSED
        assert "does not show one" in end.reason
        assert bench.untouched

    def test_another_drive_in_its_place(self) -> None:
        bench = Bench()
        other = Bench(AtaOptions(serial="ANOTHER")).drive.identify_page()
        line = bench.line(
            change=lambda _command, completion: (
                replace(completion, data=other) if completion.data and len(line.records) == 5 else completion
            )
        )
        end = run(bench, line=line)
        assert (end.disposition, "another drive" in end.reason) == (UNKNOWN, True)
        assert len(end.records) == 6, "nothing is sent to the other one"

    @pytest.mark.parametrize(
        "bridge", [BridgeOptions(swallows_descriptor=True), BridgeOptions(pretends=True)]
    )
    def test_bridges(self, bridge: BridgeOptions) -> None:
        bench = Bench(bridge=bridge)
        assert run(bench).disposition is not DONE
        assert bench.old_sectors()

    def test_left_locked_is_said(self) -> None:
        bench = Bench()
        end = run(bench, line=bench.line({ERASE: FaultKind.UNPLUG}))
        assert (end.disposition, "published password" in end.reason) == (UNKNOWN, True)
        assert bench.journal.intents
        bench.bay.replug()
        assert recover(bench).found is LockFound.PUBLISHED

    def test_lying_about_the_normal_erase_is_found_by_markers_not_here(self) -> None:
        bench = Bench(AtaOptions(lie=Lie(techniques=frozenset({Operation.NORMAL_ERASE}))))
        assert run(bench).disposition is DONE
        assert bench.old_sectors()


class TestSetPassword:
    def test_an_abort_changes_nothing(self) -> None:
        bench = Bench()
        end = run(bench, line=bench.line({SET: FaultKind.ABORT}))
        assert (end.disposition, bench.untouched, bench.journal.intents) == (REFUSED, True, [])

    @pytest.mark.parametrize(
        "kind", [FaultKind.HANG, FaultKind.HANG_UNSEEN, FaultKind.SWALLOW_STATUS, FaultKind.BUS_RESET]
    )
    def test_a_lost_answer_is_asked_for_once_more(self, kind: FaultKind) -> None:
        bench = Bench()
        assert run(bench, line=bench.line({SET: kind})).disposition is DONE
        twice = Bench()
        end = run(twice, line=twice.line({SET: kind, SET + 1: kind}))
        assert (end.disposition, twice.untouched, twice.drive.security.enabled) == (REFUSED, True, False)

    def test_an_unlocked_drive_that_takes_none_is_as_before(self) -> None:
        bench = Bench(AtaOptions(user_password=USER))
        bench.drive.taskfile(0xF2, protocol=5, data_out=password_block(USER))
        end = run(bench, line=bench.line({SET: FaultKind.ABORT}))
        assert (end.disposition, end.state, bench.journal.intents) == (REFUSED, "SEC5", [])

    def test_what_cannot_be_settled_is_said(self) -> None:
        bench = Bench()
        bench.journal.settles = False
        end = run(bench)
        assert (end.disposition, "could not be settled" in end.reason) == (DONE, True)
        recovery = recover(bench)
        assert (recovery.free, "could not be settled" in recovery.reason) == (True, True)

    def test_an_unprepared_drive_is_not_erased(self) -> None:
        for kind in (FaultKind.ABORT, FaultKind.HANG, FaultKind.SWALLOW_STATUS):
            bench = Bench()
            end = run(bench, line=bench.line({PREPARE: kind}))
            assert (end.disposition, bench.untouched, bench.drive.security.enabled) == (REFUSED, True, False)
