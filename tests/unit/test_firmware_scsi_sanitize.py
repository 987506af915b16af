"""SANITIZE and FORMAT UNIT as techniques, drives that are odd, and what is found at work or failed."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from rasura_agent.drive.port import (
    Command,
    Completion,
    Disposition,
    DrivePort,
)
from rasura_agent.drive.scsi.capacity import Capacity
from rasura_agent.drive.scsi.errors import ScsiEncodeError
from rasura_agent.drive.scsi.sense import parse_sense
from rasura_agent.erase.firmware.line import Line, Running
from rasura_agent.erase.firmware.scsi_capabilities import SanitizeKind
from rasura_agent.erase.firmware.scsi_format import adopt_format, run_format_unit
from rasura_agent.erase.firmware.scsi_sanitize import adopt_sanitize, leave_failure_mode, run_sanitize
from rasura_agent.erase.firmware.scsi_state import ScsiState, settle
from simulators.ports_media import Lie
from simulators.ports_reply import judge_by_specification
from simulators.scsi_options import ScsiOptions
from simulators.scsi_sense import sense_data
from simulators.world import FaultKind, FaultSchedule
from unit.test_firmware_scsi_bench import (
    BLOCK_ERASE,
    BLOCK_ERASE_AUSE,
    BLOCKS,
    FORMAT,
    QUICK,
    TECHNIQUES,
    Answering,
    Rig,
    Technique,
    begin_elsewhere,
    commands_sent,
    completion,
    every_sanitize,
    every_technique,
    failed_drive,
)


@every_technique
@pytest.mark.parametrize(
    "options",
    [
        QUICK,
        ScsiOptions(),
        replace(QUICK, descriptor_sense=True),
        replace(QUICK, reports_progress=False),
        replace(QUICK, write_after_sanitize=True),
        replace(QUICK, reports_opcodes=False),
        replace(QUICK, rotation_rate=1, unmaps=True),
        replace(QUICK, write_cache=False),
    ],
    ids=["quick", "default", "descriptor", "silent", "11h/15h", "no RSOC", "flash", "no cache"],
)
def test_it_is_erased(technique: Technique, options: ScsiOptions) -> None:
    rig = Rig(options)
    end = technique(rig.line(), rig.capabilities())
    assert end.disposition is Disposition.DONE
    assert end.state == ScsiState.READY.value
    assert not rig.old_data_left
    assert end.records
    assert end.duration_s > 0


@every_technique
def test_it_is_erased_whatever_the_port_makes_of_not_ready(technique: Technique) -> None:
    rig = Rig()
    line = Line(rig.bay.open_port(judge=judge_by_specification), rig.clock, lambda running: None)
    assert technique(line, rig.capabilities()).disposition is Disposition.DONE
    assert not rig.old_data_left


@every_technique
def test_blocks_that_a_mode_select_hid_are_erased_too(technique: Technique) -> None:
    rig = Rig(replace(QUICK, visible_blocks=BLOCKS // 2))
    assert technique(rig.line(), rig.capabilities()).disposition is Disposition.DONE
    assert not rig.old_data_left


@pytest.mark.parametrize(("passes", "invert"), [(1, False), (3, True), (31, False)])
def test_overwrite_ends_with_the_pattern(passes: int, invert: bool) -> None:
    rig = Rig(replace(QUICK, overwrite_s=7.0))
    end = run_sanitize(
        rig.line(),
        SanitizeKind.OVERWRITE,
        rig.capabilities(),
        passes=passes,
        pattern=b"\xa5\x5a",
        invert=invert,
    )
    assert end.disposition is Disposition.DONE
    assert end.duration_s >= passes * 7.0
    assert rig.drive.medium.data == b"\xa5\x5a" * (BLOCKS * 256)


@pytest.mark.parametrize(("passes", "pattern"), [(0, b"\0"), (32, b"\0"), (1, b"")])
def test_what_cannot_be_encoded_is_not_sent(passes: int, pattern: bytes) -> None:
    rig = Rig()
    line, capabilities = rig.line(), rig.capabilities()
    with pytest.raises(ScsiEncodeError):
        run_sanitize(line, SanitizeKind.OVERWRITE, capabilities, passes=passes, pattern=pattern)
    assert not line.records


@every_technique
@pytest.mark.parametrize(
    "options",
    [
        replace(QUICK, sanitize_fails_at=0.0, format_fails_at=0.0),
        replace(QUICK, sanitize_fails_at=0.5, format_fails_at=0.5),
        replace(QUICK, sanitize_fails_at=1.0, format_fails_at=1.0),
        replace(QUICK, hangs=frozenset({0x48, 0x04})),
        replace(QUICK, hangs=frozenset({0x03})),
        replace(QUICK, hangs=frozenset({0x00})),
    ],
    ids=["fails at once", "fails midway", "fails late", "hangs", "REQUEST SENSE hangs", "TUR hangs"],
)
def test_a_drive_that_does_not_succeed_is_never_done(technique: Technique, options: ScsiOptions) -> None:
    rig = Rig(options)
    end = technique(rig.line(), rig.capabilities())
    assert end.disposition is not Disposition.DONE
    if end.disposition is Disposition.REFUSED:
        assert rig.untouched


@every_sanitize
@pytest.mark.parametrize("reports_progress", [True, False])
def test_a_sanitize_that_stands_still_is_given_up(kind: SanitizeKind, reports_progress: bool) -> None:
    rig = Rig(replace(QUICK, progress_stuck_at=0.4, reports_progress=reports_progress))
    end = run_sanitize(rig.line(), kind, rig.capabilities())
    assert end.disposition is Disposition.UNKNOWN
    assert ("not advanced" if reports_progress else "did not end within") in end.reason
    assert end.state == ScsiState.SANITIZING.value


@pytest.mark.parametrize("kind", [SanitizeKind.BLOCK, SanitizeKind.OVERWRITE])
def test_instant_success_is_not_believed(kind: SanitizeKind) -> None:
    rig = Rig(replace(QUICK, lie=Lie(instantly=True)))
    end = run_sanitize(rig.line(), kind, rig.capabilities())
    assert end.disposition is Disposition.UNKNOWN
    assert "without ever being seen at work" in end.reason


def test_an_instant_format_is_not_believed() -> None:
    rig = Rig(replace(QUICK, lie=Lie(instantly=True)))
    end = run_format_unit(rig.line(), rig.capabilities())
    assert end.disposition is Disposition.UNKNOWN
    assert "without ever being seen at work" in end.reason


def test_an_instant_cryptographic_erase_is_believed() -> None:
    rig = Rig(replace(QUICK, crypto_s=0.0))
    end = run_sanitize(rig.line(), SanitizeKind.CRYPTO, rig.capabilities())
    assert end.disposition is Disposition.DONE
    assert not rig.old_data_left


def test_only_a_lie_that_takes_its_time_gets_through() -> None:
    """And that is what the engine's markers are for."""
    rig = Rig(replace(QUICK, lie=Lie()))
    end = run_sanitize(rig.line(), SanitizeKind.BLOCK, rig.capabilities())
    assert end.disposition is Disposition.DONE
    assert rig.old_data_left


def test_a_format_that_writes_nothing_is_for_the_markers_to_find() -> None:
    """No standard makes FORMAT UNIT write: the drive says the truth, and the old data is there."""
    rig = Rig(replace(QUICK, format_writes=False))
    assert run_format_unit(rig.line(), rig.capabilities()).disposition is Disposition.DONE
    assert rig.old_data_left


@pytest.mark.parametrize("technique", ["overwrite", "format"])
def test_a_large_drive_that_is_done_too_soon_is_not_believed(technique: str) -> None:
    rig = Rig()
    large = replace(rig.capabilities(), capacity=Capacity(4 * 10**12 // 512, 512))
    end = TECHNIQUES[technique](rig.line(), large)
    assert end.disposition is Disposition.UNKNOWN
    assert "too few to write all blocks" in end.reason


@pytest.mark.parametrize("technique", ["block", "overwrite"])
def test_bad_sectors_make_a_sanitize_fail(technique: str) -> None:
    rig = Rig()
    rig.drive.medium.bad = {7}
    end = TECHNIQUES[technique](rig.line(), rig.capabilities())
    assert end.disposition is Disposition.UNKNOWN
    assert end.state == ScsiState.SANITIZE_FAILED.value


@every_sanitize
def test_a_sanitize_that_is_not_supported_is_refused(kind: SanitizeKind) -> None:
    rig = Rig(replace(QUICK, sanitize=frozenset()))
    end = run_sanitize(rig.line(), kind, rig.capabilities())
    assert end.disposition is Disposition.REFUSED
    assert rig.untouched


@every_technique
def test_whoever_watches_can_end_it(technique: Technique) -> None:
    rig = Rig()
    end = technique(rig.line(watch=lambda running: "the operator left"), rig.capabilities())
    assert end.disposition is Disposition.UNKNOWN
    assert end.reason == "the operator left"


@every_technique
def test_progress_is_told(technique: Technique) -> None:
    rig, told = Rig(), []

    def watch(running: Running) -> None:
        told.append(running.fraction)

    technique(rig.line(watch=watch), rig.capabilities())
    fractions = [fraction for fraction in told if fraction is not None]
    assert fractions
    assert fractions == sorted(fractions)


@every_technique
@pytest.mark.parametrize("asc", [0x5D, 0x0B])
def test_a_worn_drive_that_warns_at_every_request_sense_is_erased(technique: Technique, asc: int) -> None:
    """MRIE 6 of the Informational Exceptions mode page: a prediction is reported on request, every time."""
    rig = Rig()

    def quiet_but_worn(port: DrivePort) -> DrivePort:
        inner = port.execute

        class Worn:
            def execute(self, command: Command) -> Completion:
                done = inner(command)
                sense = parse_sense(done.data) if done.data[:1] == b"\x70" else None
                if command.name == "REQUEST SENSE" and sense is not None and (sense.key, sense.asc) == (0, 0):
                    return replace(done, data=sense_data(0, (asc, 0)))
                return done

        return Worn()

    assert technique(rig.line(wrap=quiet_but_worn), rig.capabilities()).disposition is Disposition.DONE
    assert not rig.old_data_left


@every_technique
def test_a_stopped_drive_is_started(technique: Technique) -> None:
    rig = Rig()
    rig.drive.stopped = True
    assert technique(rig.line(), rig.capabilities()).disposition is Disposition.DONE
    assert not rig.old_data_left


def test_a_sanitize_at_work_is_adopted_but_is_no_success_of_ours() -> None:
    rig = Rig()
    begin_elsewhere(rig, BLOCK_ERASE)
    assert rig.capabilities().state is ScsiState.SANITIZING
    end = adopt_sanitize(rig.line(), rig.capabilities())
    assert end.disposition is Disposition.REFUSED
    assert end.state == ScsiState.READY.value
    assert "may be erased afresh" in end.reason


def test_an_adopted_sanitize_that_fails_is_unknown() -> None:
    rig = Rig(replace(QUICK, sanitize_fails_at=0.5))
    begin_elsewhere(rig, BLOCK_ERASE)
    end = adopt_sanitize(rig.line(), rig.capabilities())
    assert end.disposition is Disposition.UNKNOWN
    assert end.state == ScsiState.SANITIZE_FAILED.value
    assert end.reason.startswith("the drive reports that it failed")


def test_an_adopted_sanitize_that_stands_still_is_unknown() -> None:
    rig = Rig(replace(QUICK, progress_stuck_at=0.5))
    begin_elsewhere(rig, BLOCK_ERASE)
    assert adopt_sanitize(rig.line(), rig.capabilities()).disposition is Disposition.UNKNOWN


@pytest.mark.parametrize("adopt", [adopt_sanitize, adopt_format])
def test_there_is_nothing_to_adopt(adopt: Technique) -> None:
    rig = Rig()
    end = adopt(rig.line(), rig.capabilities())
    assert end.disposition is Disposition.REFUSED
    assert rig.untouched


@every_technique
@pytest.mark.parametrize("cdb", [BLOCK_ERASE, FORMAT])
def test_nothing_is_begun_on_top_of_what_is_at_work(technique: Technique, cdb: str) -> None:
    rig = Rig()
    begin_elsewhere(rig, cdb)
    line = rig.line()
    assert technique(line, rig.capabilities()).disposition is Disposition.REFUSED
    assert commands_sent(line, "SANITIZE") + commands_sent(line, "FORMAT UNIT") == 0


def test_leaving_the_failure_mode_is_never_a_success() -> None:
    rig = failed_drive(BLOCK_ERASE_AUSE)
    end = leave_failure_mode(rig.line())
    # From here on the drive looks exactly like one whose sanitize succeeded.
    assert settle(rig.line()).state is ScsiState.READY
    assert rig.old_data_left
    assert end.disposition is Disposition.REFUSED
    assert "NOTHING WAS ERASED" in end.reason
    for adopt in (adopt_sanitize, adopt_format):
        assert adopt(rig.line(), rig.capabilities()).disposition is Disposition.REFUSED


def test_a_lost_answer_to_exit_failure_mode_is_looked_up() -> None:
    rig = failed_drive(BLOCK_ERASE_AUSE)
    line = rig.line()
    leave_failure_mode(line)
    number = [record.name.startswith("SANITIZE") for record in line.records].index(True)
    rig = failed_drive(BLOCK_ERASE_AUSE)
    end = leave_failure_mode(rig.line(FaultSchedule({number: FaultKind.SWALLOW_STATUS})))
    assert end.disposition is Disposition.REFUSED


def test_a_failure_mode_that_persists_is_reported_whatever_the_answer_was() -> None:
    rig = failed_drive(BLOCK_ERASE_AUSE)
    line = rig.line(wrap=lambda port: Answering(port, 0x48, lambda: completion(0x00)))
    end = leave_failure_mode(line)
    assert end.disposition is Disposition.UNKNOWN
    assert end.state == ScsiState.SANITIZE_FAILED.value


def test_a_restricted_failure_is_not_left() -> None:
    rig = failed_drive(BLOCK_ERASE)
    end = leave_failure_mode(rig.line())
    assert end.disposition is Disposition.UNKNOWN
    assert end.state == ScsiState.SANITIZE_FAILED.value


def test_there_is_no_failure_to_leave() -> None:
    rig = Rig()
    line = rig.line()
    assert leave_failure_mode(line).disposition is Disposition.REFUSED
    assert commands_sent(line, "SANITIZE") == 0


@every_sanitize
@pytest.mark.parametrize("cdb", [BLOCK_ERASE, BLOCK_ERASE_AUSE])
@pytest.mark.parametrize("free", [True, False])
def test_a_new_sanitize_leads_out_of_either_failure(kind: SanitizeKind, cdb: str, free: bool) -> None:
    rig = failed_drive(cdb)
    end = run_sanitize(rig.line(), kind, rig.capabilities(), allow_unrestricted_exit=free)
    assert end.disposition is Disposition.DONE
    assert not rig.old_data_left


@pytest.mark.parametrize("free", [True, False])
def test_exit_is_allowed_only_when_asked_for(free: bool) -> None:
    rig = Rig(replace(QUICK, sanitize_fails_at=0.5))
    run_sanitize(rig.line(), SanitizeKind.BLOCK, rig.capabilities(), allow_unrestricted_exit=free)
    expected = Disposition.REFUSED if free else Disposition.UNKNOWN
    assert leave_failure_mode(rig.line()).disposition is expected


@pytest.mark.parametrize("adopt", [adopt_sanitize, adopt_format, lambda line, _: leave_failure_mode(line)])
def test_a_drive_whose_state_cannot_be_told_is_not_said_to_be_free(adopt: Technique) -> None:
    rig = Rig()
    capabilities, line = rig.capabilities(), rig.line()
    rig.bay.hot_unplug()
    end = adopt(line, capabilities)
    assert end.disposition is Disposition.UNKNOWN
    assert end.state == ScsiState.UNKNOWN.value
