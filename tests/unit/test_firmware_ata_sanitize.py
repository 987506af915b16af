"""Sanitize as a technique: begun, followed, adopted, and taken out of its failure mode."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from rasura_agent.drive.ata.errors import AtaEncodeError
from rasura_agent.drive.port import AtaCommand, AtaResult, Command, Completion, Disposition
from rasura_agent.erase.firmware.ata_sanitize import run_sanitize
from rasura_agent.erase.firmware.ata_sanitize_left import adopt_sanitize, leave_failure_mode
from rasura_agent.erase.firmware.ata_sanitize_status import SanitizeKind
from rasura_agent.erase.firmware.line import Line, Running, TechniqueEnd
from simulators.ata_host import USER
from simulators.ata_options import AtaOptions, Freeze
from simulators.ata_sanitize import SanitizeState
from simulators.ports_media import Lie
from simulators.ports_media import Technique as Operation
from simulators.sat import BridgeOptions
from simulators.world import FaultKind
from unit.test_firmware_ata_bench import TERABYTE, Bench

DONE, REFUSED, UNKNOWN = Disposition.DONE, Disposition.REFUSED, Disposition.UNKNOWN
CRYPTO, BLOCK, OVERWRITE = SanitizeKind
OPTIONS = AtaOptions(overwrite_s=1200.0)


def run(bench: Bench, kind: SanitizeKind = BLOCK, line: Line | None = None) -> TechniqueEnd:
    return run_sanitize(line or bench.line(), kind, capacity_bytes=TERABYTE)


def begin(bench: Bench, count: int = 0) -> None:
    """BLOCK ERASE EXT by somebody else; FAILURE MODE is COUNT bit 4."""
    bench.drive.taskfile(0xB4, feature=0x12, count=count, lba=0x426B4572, device=0x40, ext=True)


class TestGoodPath:
    @pytest.mark.parametrize("kind", SanitizeKind)
    @pytest.mark.parametrize("codecs", [True, False])
    @pytest.mark.parametrize("stale", [True, False])
    def test_every_kind(self, kind: SanitizeKind, codecs: bool, stale: bool) -> None:
        bench = Bench(replace(OPTIONS, sanitize_completed_before=stale), codecs=codecs)
        end = run(bench, kind)
        assert (end.disposition, end.state) == (DONE, "SD4")
        assert bench.old_sectors() == 0
        assert [one.name for one in end.records][:2] == ["IDENTIFY DEVICE", "SANITIZE STATUS EXT"]

    def test_hidden_sectors_too(self) -> None:
        bench = Bench(replace(OPTIONS, hpa_sectors=20, dco_sectors=30))
        assert run(bench).disposition is DONE
        assert bench.old_sectors() == 0

    def test_passes_and_pattern_reach_the_drive(self) -> None:
        bench = Bench(OPTIONS)
        line = bench.line()
        end = run_sanitize(line, OVERWRITE, capacity_bytes=TERABYTE, pattern=0x11223344, passes=3)
        assert end.disposition is DONE
        assert end.duration_s > 3 * 1200
        assert bytes(bench.drive.medium.data[:4]) in {b"\x11\x22\x33\x44", b"\x44\x33\x22\x11"}

    @pytest.mark.parametrize(("passes", "pattern"), [(0, 0), (17, 0), (1, -1), (1, 1 << 32)])
    def test_nothing_is_sent_for_what_cannot_be_asked(self, passes: int, pattern: int) -> None:
        line = Bench().line()
        with pytest.raises(AtaEncodeError):
            run_sanitize(line, OVERWRITE, capacity_bytes=TERABYTE, pattern=pattern, passes=passes)
        assert not line.records

    @pytest.mark.parametrize("encrypts", [True, False])
    def test_a_drive_that_does_not_say_that_it_encrypts_is_reported(self, encrypts: bool) -> None:
        end = run(Bench(replace(OPTIONS, encrypts_all=encrypts)), CRYPTO)
        assert end.disposition is DONE
        assert ("word 69" in end.reason) is not encrypts

    def test_progress_is_told(self) -> None:
        bench, heard = Bench(OPTIONS), []

        def watch(running: Running) -> None:
            heard.append(running.fraction)

        run(bench, OVERWRITE, bench.line(watch=watch))
        assert heard == sorted(heard)
        assert heard[-1] > 0.9

    def test_stopping_to_watch_is_not_success(self) -> None:
        bench = Bench(OPTIONS)
        end = run(bench, OVERWRITE, bench.line(watch=lambda _running: "the operator left"))
        assert (end.disposition, "the operator left" in end.reason) == (UNKNOWN, True)


class TestRefused:
    @pytest.mark.parametrize(
        ("options", "words"),
        [
            (AtaOptions(sanitize=frozenset()), "does not offer"),
            (AtaOptions(sanitize=frozenset({Operation.CRYPTO})), "does not offer"),
            (AtaOptions(bios_freezes_sanitize=Freeze.AT_BOOT), "suspend"),
            (AtaOptions(user_password=USER), "aborted"),
        ],
    )
    def test_with_a_reason(self, options: AtaOptions, words: str) -> None:
        bench = Bench(options)
        end = run(bench)
        assert end.disposition is REFUSED
        assert words in end.reason
        assert bench.untouched

    def test_frozen_then_suspended(self) -> None:
        bench = Bench(AtaOptions(bios_freezes_sanitize=Freeze.AT_BOOT))
        assert run(bench).state == "SD1"
        bench.bay.suspend_resume()
        assert run(bench).disposition is DONE

    def test_one_that_runs_already(self) -> None:
        bench = Bench(OPTIONS)
        begin(bench)
        end = run(bench)
        assert (end.disposition, end.state) == (REFUSED, "SD2")

    def test_a_drive_that_does_not_answer(self) -> None:
        bench = Bench()
        bench.bay.hot_unplug()
        assert run(bench).disposition is REFUSED


class TestDoubt:
    """Nothing here may be DONE, whatever the drive claims."""

    @pytest.mark.parametrize("kind", SanitizeKind)
    def test_failing_midway(self, kind: SanitizeKind) -> None:
        bench = Bench(replace(OPTIONS, sanitize_fails_at=0.5))
        end = run(bench, kind)
        assert (end.disposition, end.state) == (UNKNOWN, "SD3")
        assert bench.old_sectors()

    def test_bad_sectors(self) -> None:
        bench = Bench(OPTIONS)
        bench.drive.medium.bad.add(3)
        assert (run(bench).disposition, run(bench).state) == (UNKNOWN, "SD3")

    def test_stuck(self) -> None:
        end = run(Bench(replace(OPTIONS, progress_stuck_at=0.4)), OVERWRITE)
        assert end.disposition is UNKNOWN
        assert "not advanced" in end.reason

    @pytest.mark.parametrize(
        ("kind", "disposition"), [(CRYPTO, DONE), (BLOCK, UNKNOWN), (OVERWRITE, UNKNOWN)]
    )
    def test_instant_success_is_believed_of_a_change_of_keys_only(
        self, kind: SanitizeKind, disposition: Disposition
    ) -> None:
        bench = Bench(replace(OPTIONS, lie=Lie(instantly=True)))
        end = run(bench, kind)
        assert end.disposition is disposition
        assert ("plausible" in end.reason) is (disposition is UNKNOWN)

    def test_too_quick_for_so_many_passes(self) -> None:
        bench = Bench(replace(OPTIONS, overwrite_s=100.0))
        assert "not plausible" in run(bench, OVERWRITE).reason
        small = run_sanitize(Bench(OPTIONS).line(), OVERWRITE, capacity_bytes=2**29)
        assert small.disposition is DONE

    @pytest.mark.parametrize("kind", SanitizeKind)
    def test_a_stale_success_is_recognised(self, kind: SanitizeKind) -> None:
        """A bridge says "accepted" of the command and lets the questions through."""

        def swallow(command: Command, completion: Completion) -> Completion:
            if isinstance(command, AtaCommand) and command.feature in {0x11, 0x12, 0x14}:
                return Completion(DONE, "fine", ata=AtaResult(0x50, 0, 0x8000, 0xFFFF, 0x40))
            return completion

        bench = Bench(replace(OPTIONS, sanitize_completed_before=True, crypto_s=0, block_s=0, overwrite_s=0))
        end = run(bench, kind, bench.line(change=swallow))
        assert (end.disposition, "earlier run" in end.reason) == (UNKNOWN, True)

    def test_a_bridge_that_pretends(self) -> None:
        bench = Bench(OPTIONS, BridgeOptions(pretends=True))
        assert run(bench).disposition is UNKNOWN
        assert bench.untouched

    @pytest.mark.parametrize("fixed", [True, False])
    def test_a_bridge_that_swallows_descriptors(self, fixed: bool) -> None:
        bench = Bench(OPTIONS, BridgeOptions(swallows_descriptor=True, fixed_sense=fixed))
        assert run(bench).disposition is REFUSED, "the status could not be read, so nothing was sent"
        assert bench.untouched

    def test_the_signature_of_a_reset_is_no_status(self) -> None:
        """Good status with ERROR 01h: what a reset leaves in the registers (COUNT 1, LBA 1)."""

        def reset(command: Command, completion: Completion) -> Completion:
            if isinstance(command, AtaCommand) and command.command == 0xB4:
                return replace(completion, disposition=DONE, ata=AtaResult(0x50, 0x01, 1, 1, 0))
            return completion

        bench = Bench(OPTIONS)
        end = run(bench, BLOCK, bench.line(change=reset))
        assert (end.disposition, "reset" in end.reason) == (REFUSED, True)
        assert bench.untouched

    def test_aborted_and_yet_at_work(self) -> None:
        def abort(command: Command, completion: Completion) -> Completion:
            if isinstance(command, AtaCommand) and command.feature == 0x12:
                return Completion(REFUSED, "aborted", ata=AtaResult(0x51, 0x04, 0, 0, 0x40))
            return completion

        bench = Bench(OPTIONS)
        assert run(bench, BLOCK, bench.line(change=abort)).disposition is UNKNOWN

    @pytest.mark.parametrize("stale", [True, False])
    def test_a_lost_answer_is_settled_by_the_status(self, stale: bool) -> None:
        options = replace(OPTIONS, sanitize_completed_before=stale)
        for kind, settled in (
            (FaultKind.HANG, DONE),
            (FaultKind.SWALLOW_STATUS, DONE),
            (FaultKind.BUS_RESET, DONE),
            # With a success of old standing there, "nothing began" cannot be told from "it was instant".
            (FaultKind.HANG_UNSEEN, UNKNOWN if stale else REFUSED),
            (FaultKind.ABORT, REFUSED),
        ):
            bench = Bench(options)
            end = run(bench, OVERWRITE, bench.line({2: kind}))
            assert end.disposition is settled, kind
            assert ("does not tell whether" in end.reason) is (settled is UNKNOWN)
            assert bench.untouched is (settled is not DONE)

    def test_a_reset_in_place_of_the_answer_is_a_lost_answer(self) -> None:
        def reset(command: Command, completion: Completion) -> Completion:
            if isinstance(command, AtaCommand) and command.feature == 0x12:
                return Completion(DONE, "fine", ata=AtaResult(0x50, 0x01, 1, 1, 0))
            return completion

        bench = Bench(OPTIONS)
        assert run(bench, line=bench.line(change=reset)).disposition is DONE
        bench = Bench(OPTIONS)
        end = run(bench, line=bench.line({2: FaultKind.ABORT}, change=reset))
        assert (end.disposition, bench.untouched) == (REFUSED, True)

    def test_a_success_of_old_that_is_gone_was_not_nothing(self) -> None:
        """Stale success before, a lost answer, and then an idle drive that knows of no success."""
        bench = Bench(replace(OPTIONS, sanitize_completed_before=True))
        line = bench.line(
            {2: FaultKind.HANG_UNSEEN},
            change=lambda command, completion: (
                replace(completion, ata=AtaResult(0x50, 0, 0, 0xFFFF, 0x40))
                if command.name == "SANITIZE STATUS EXT" and len(line.records) > 2
                else completion
            ),
        )
        assert run(bench, line=line).disposition is UNKNOWN

    def test_an_instant_success_with_a_lost_answer_in_view_of_a_stale_one(self) -> None:
        bench = Bench(replace(OPTIONS, crypto_s=0.0, sanitize_completed_before=True))
        end = run(bench, CRYPTO, bench.line({2: FaultKind.SWALLOW_STATUS}))
        assert end.disposition is UNKNOWN


class TestFailureMode:
    def test_left_by_clearing(self) -> None:
        bench = Bench(replace(OPTIONS, sanitize_fails_at=0.5))
        assert run(bench).state == "SD3"
        bench.bay.power_cycle()
        assert bench.drive.sanitize.state is SanitizeState.SD3
        end = leave_failure_mode(bench.line())
        assert (end.disposition, end.state) == (REFUSED, "SD0")
        assert bench.drive.sanitize.state is SanitizeState.SD0

    def test_restricted_it_stays(self) -> None:
        bench = Bench(replace(OPTIONS, sanitize_fails_at=0.5))
        begin(bench, count=0)
        bench.clock.sleep(60)
        end = leave_failure_mode(bench.line())
        assert (end.disposition, end.state) == (UNKNOWN, "SD3")

    @pytest.mark.parametrize("restricted", [True, False])
    def test_a_new_sanitize_leads_out(self, restricted: bool) -> None:
        bench = Bench(OPTIONS)
        bench.drive.medium.bad.add(3)
        begin(bench, count=0 if restricted else 0x10)
        bench.clock.sleep(60)
        bench.drive.settle()
        assert bench.drive.sanitize.state is SanitizeState.SD3
        bench.drive.medium.bad.clear()
        end = run(bench)
        assert (end.disposition, end.state) == (DONE, "SD4")
        assert bench.old_sectors() == 0

    def test_a_second_failure_is_not_called_harmless(self) -> None:
        bench = Bench(replace(OPTIONS, sanitize_fails_at=0.5))
        begin(bench)
        bench.clock.sleep(60)
        for kind in (FaultKind.HANG, FaultKind.SWALLOW_STATUS, FaultKind.BUS_RESET):
            assert run(bench, BLOCK, bench.line({2: kind})).disposition is UNKNOWN

    def test_a_refusal_after_a_lost_answer_is_not_called_harmless(self) -> None:
        bench = Bench(replace(OPTIONS, sanitize_fails_at=0.5))
        begin(bench)
        bench.clock.sleep(60)
        end = run(bench, BLOCK, bench.line({2: FaultKind.HANG, 4: FaultKind.ABORT}))
        assert [record.name for record in end.records].count("BLOCK ERASE EXT") == 2
        assert (end.disposition, end.state) == (UNKNOWN, "SD3")

    def test_not_in_it(self) -> None:
        assert leave_failure_mode(Bench().line()).state == "SD0"

    def test_a_drive_that_gives_no_reason_is_tried(self) -> None:
        def reasonless(command: Command, completion: Completion) -> Completion:
            if completion.ata is None or not completion.ata.error:
                return completion
            return replace(completion, ata=replace(completion.ata, lba=0))

        bench = Bench(replace(OPTIONS, sanitize_fails_at=0.5))
        begin(bench, count=0x10)
        bench.clock.sleep(60)
        assert run(bench, BLOCK, bench.line(change=reasonless)).disposition is REFUSED
        assert leave_failure_mode(bench.line(change=reasonless)).state == "SD0"

    def test_silence_and_no_feature_set(self) -> None:
        unsupported = leave_failure_mode(Bench(AtaOptions(sanitize=frozenset())).line())
        assert unsupported.disposition is REFUSED
        swallowed = Bench(OPTIONS, BridgeOptions(swallows_descriptor=True))
        assert leave_failure_mode(swallowed.line()).disposition is UNKNOWN
        bench = Bench()
        bench.bay.hot_unplug()
        assert leave_failure_mode(bench.line()).disposition is UNKNOWN


class TestAdopt:
    def test_followed_over_a_power_cycle_and_never_done(self) -> None:
        bench = Bench(OPTIONS)
        begin(bench)
        bench.bay.power_cycle()
        end = adopt_sanitize(bench.line(), capacity_bytes=TERABYTE)
        assert (end.disposition, end.state) == (REFUSED, "SD4")
        assert "afresh" in end.reason
        assert run(bench).disposition is DONE

    @pytest.mark.parametrize(
        ("options", "state"),
        [
            (replace(OPTIONS, sanitize_fails_at=0.5), "SD3"),
            (replace(OPTIONS, progress_stuck_at=0.5), None),
        ],
    )
    def test_one_that_does_not_end_well(self, options: AtaOptions, state: str | None) -> None:
        bench = Bench(options)
        begin(bench)
        end = adopt_sanitize(bench.line(), capacity_bytes=TERABYTE)
        assert (end.disposition, end.state) == (UNKNOWN, state)

    def test_nothing_to_adopt(self) -> None:
        assert adopt_sanitize(Bench().line(), capacity_bytes=TERABYTE).disposition is REFUSED
        bench = Bench(replace(OPTIONS, sanitize_fails_at=0.5))
        begin(bench)
        bench.clock.sleep(60)
        assert adopt_sanitize(bench.line(), capacity_bytes=TERABYTE).state == "SD3"
        without = Bench(AtaOptions(sanitize=frozenset()))
        assert adopt_sanitize(without.line(), capacity_bytes=TERABYTE).disposition is REFUSED
        bench.bay.hot_unplug()
        assert adopt_sanitize(bench.line(), capacity_bytes=TERABYTE).disposition is UNKNOWN
