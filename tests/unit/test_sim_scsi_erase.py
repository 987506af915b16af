"""The simulated SCSI drive: SANITIZE keeps to the states of SBC-4 clause 4.11."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from simulators.ports_media import HostTimeoutError, Lie, Technique
from simulators.scsi_erase import SanitizePhase
from simulators.scsi_host import (
    CORRUPT,
    FORMATTING,
    INVALID_FIELD,
    INVALID_PARAMETER,
    LIST_LENGTH,
    OK,
    SANITIZE_FAILED,
    SANITIZING,
    Host,
    sense,
)
from simulators.scsi_options import ScsiOptions
from simulators.scsi_sense import Answer

FAILING = ScsiOptions(sanitize_fails_at=0.5)


def failed(*, ause: bool) -> Host:
    """A drive after a failed sanitize operation, on which the next one would succeed."""
    host = Host(FAILING)
    assert sense(host.block_erase(ause=ause)) == OK
    host.clock.sleep(31)
    host.drive.settle()
    assert host.drive.sanitize.phase is SanitizePhase.FAILED
    host.drive.sanitize._options = replace(FAILING, sanitize_fails_at=None)
    return host


class TestSanitizeOperation:
    def test_immediate_with_progress(self) -> None:
        host = Host()
        assert sense(host.block_erase()) == OK
        for seconds, progress in ((0, 0), (15, 32768), (7.5, 49152)):
            host.clock.sleep(seconds)
            raw = host.request_sense()
            assert sense(raw) == SANITIZING
            assert raw[15] & 0x80
            assert raw[16] << 8 | raw[17] == progress
            answer = host.ready()
            assert sense(answer) == SANITIZING
            assert answer.sense[15:18] == raw[15:18]
        assert len(host.sectors_with_old_data()) == 64
        host.clock.sleep(7.6)
        assert sense(host.request_sense()) == OK
        assert sense(host.ready()) == OK
        assert host.sectors_with_old_data() == []

    def test_not_immediate_blocks(self) -> None:
        host = Host()
        assert sense(host.block_erase(immediate=False)) == OK
        assert host.clock.monotonic() == pytest.approx(30, abs=0.01)
        assert host.sectors_with_old_data() == []

    def test_not_immediate_outlasts_the_host(self) -> None:
        host = Host()
        with pytest.raises(HostTimeoutError):
            host.block_erase(immediate=False, timeout_s=10)
        assert sense(host.ready()) == SANITIZING
        host.clock.sleep(21)
        assert sense(host.ready()) == OK
        assert host.sectors_with_old_data() == []

    def test_what_is_processed_meanwhile(self) -> None:
        host = Host()
        host.block_erase()
        allowed = {
            "12 00 00 00 24 00": 36,
            "a0 00 00 00 00 00 00 00 00 10 00 00": 16,
            "03 00 00 00 12 00": 18,
            "a3 0c 03 48 00 02 00 00 02 00 00 00": 512,
        }
        for cdb, into in allowed.items():
            assert sense(host.send(cdb, b"", into)) == OK
        blocked: list[Answer] = [
            host.ready(),
            host.read(),
            host.write(0, bytes(512)),
            host.send("25 00 00 00 00 00 00 00 00 00", b"", 8),
            host.send("1a 00 01 00 ff 00", b"", 255),
            host.select_blocks(512),
            host.format(),
            host.block_erase(),
            host.exit_failure_mode(),
            host.send("93 01 00 00 00 00 00 00 00 00 00 00 00 00 00 00"),
            host.send("35 00 00 00 00 00 00 00 00 00"),
        ]
        assert {sense(answer) for answer in blocked} == {SANITIZING}

    @pytest.mark.parametrize(
        ("passes", "invert", "seconds"), [(1, False, 1), (31, False, 31), (2, True, 2), (3, True, 3)]
    )
    def test_overwrite(self, passes: int, invert: bool, seconds: int) -> None:
        host = Host(ScsiOptions(overwrite_s=1))
        assert (
            sense(host.overwrite(passes=passes, invert=invert, pattern=b"\x01\x02\x03", immediate=False))
            == OK
        )
        assert host.clock.monotonic() == pytest.approx(seconds, abs=0.01)
        assert host.medium.data[:512] == (b"\x01\x02\x03" * 171)[:512]
        assert host.medium.data[512:1024] == host.medium.data[:512], "the pattern starts anew in each block"

    def test_crypto_leaves_noise(self) -> None:
        host = Host()
        host.crypto_erase()
        host.clock.sleep(3)
        assert sense(host.ready()) == OK
        assert host.sectors_with_old_data() == []
        assert len(set(host.medium.data)) > 200

    def test_scope_is_everything(self) -> None:
        host = Host(ScsiOptions(visible_blocks=10))
        host.block_erase(immediate=False)
        assert host.sectors_with_old_data() == []

    def test_sg_sanitize_bytes(self) -> None:
        # sg_sanitize --overwrite --zero --count=2 --invert --ause --znr
        data = bytes.fromhex("82 00 02 00") + bytes(512)
        assert sense(Host().send("48 e1 00 00 00 00 00 02 04 00", data)) == OK
        assert sense(Host().send("48 82 00 00 00 00 00 00 00 00")) == OK
        assert sense(Host().send("48 83 00 00 00 00 00 00 00 00")) == OK
        assert sense(Host().send("48 9f 00 00 00 00 00 00 00 00")) == OK


MALFORMED: dict[str, tuple[str, bytes, tuple[int, int, int]]] = {
    "block erase with a list": (
        "48 82 00 00 00 00 00 00 05 00",
        bytes.fromhex("01 00 00 01 00"),
        INVALID_FIELD,
    ),
    "crypto erase with a list": (
        "48 83 00 00 00 00 00 00 05 00",
        bytes.fromhex("01 00 00 01 00"),
        INVALID_FIELD,
    ),
    "exit with a list": ("48 1f 00 00 00 00 00 00 05 00", bytes.fromhex("01 00 00 01 00"), INVALID_FIELD),
    "overwrite without a list": ("48 81 00 00 00 00 00 00 00 00", b"", INVALID_FIELD),
    "overwrite without a pattern": (
        "48 81 00 00 00 00 00 00 04 00",
        bytes.fromhex("01 00 00 00"),
        INVALID_FIELD,
    ),
    "list longer than a block": (
        "48 81 00 00 00 00 00 02 05 00",
        b"\x01\0\x02\x01" + bytes(513),
        INVALID_FIELD,
    ),
    "count of zero": ("48 81 00 00 00 00 00 00 05 00", bytes.fromhex("00 00 00 01 00"), INVALID_PARAMETER),
    "test field": ("48 81 00 00 00 00 00 00 05 00", bytes.fromhex("21 00 00 01 00"), INVALID_PARAMETER),
    "reserved byte": ("48 81 00 00 00 00 00 00 05 00", bytes.fromhex("01 01 00 01 00"), INVALID_PARAMETER),
    "pattern length": ("48 81 00 00 00 00 00 00 05 00", bytes.fromhex("01 00 00 02 00"), INVALID_PARAMETER),
    "less data than said": ("48 81 00 00 00 00 00 00 06 00", bytes.fromhex("01 00 00 01 00"), LIST_LENGTH),
}


@pytest.mark.parametrize("name", MALFORMED)
def test_malformed_sanitize(name: str) -> None:
    cdb, data, expected = MALFORMED[name]
    host = Host()
    assert sense(host.send(cdb, data)) == expected
    assert host.drive.sanitize.phase is SanitizePhase.IDLE
    assert sense(host.ready()) == OK


class TestSanitizeFailure:
    def test_media_stay_closed(self) -> None:
        host = failed(ause=False)
        assert sense(host.request_sense()) == SANITIZE_FAILED
        for answer in (host.ready(), host.read(), host.format(), host.select_blocks(512)):
            assert sense(answer) == SANITIZE_FAILED
        assert host.sectors_with_old_data() == list(range(32, 64))
        host.power_cycle()
        assert sense(host.ready()) == SANITIZE_FAILED

    # SBC-4 clauses 4.11.3 and 5.24.1: what leads out of a failure, by AUSE of the failed command.
    @pytest.mark.parametrize(
        ("ause", "command", "expected"),
        [
            (False, Host.exit_failure_mode, INVALID_FIELD),
            (False, lambda h: h.block_erase(ause=True), INVALID_FIELD),
            (False, lambda h: h.crypto_erase(ause=True), INVALID_FIELD),
            (False, lambda h: h.block_erase(), OK),
            (True, Host.exit_failure_mode, OK),
            (True, lambda h: h.block_erase(ause=True), OK),
            (True, lambda h: h.block_erase(), OK),
        ],
    )
    def test_ways_out(
        self, ause: bool, command: Callable[[Host], Answer], expected: tuple[int, int, int]
    ) -> None:
        host = failed(ause=ause)
        assert sense(command(host)) == expected
        host.clock.sleep(31)
        assert sense(host.ready()) == (OK if expected == OK else SANITIZE_FAILED)

    def test_exit_without_a_failure_does_nothing(self) -> None:
        host = Host()
        assert sense(host.exit_failure_mode()) == OK
        assert sense(host.ready()) == OK

    def test_not_immediate(self) -> None:
        host = Host(FAILING)
        assert sense(host.block_erase(immediate=False)) == SANITIZE_FAILED
        assert host.clock.monotonic() == pytest.approx(15, abs=0.01)

    def test_bad_block(self) -> None:
        host = Host()
        host.medium.bad.add(7)
        assert sense(host.block_erase(immediate=False)) == SANITIZE_FAILED
        assert host.sectors_with_old_data() == [7]
        good = Host(ScsiOptions(bad_sectors_fail_erase=False))
        good.medium.bad.add(7)
        assert sense(good.block_erase(immediate=False)) == OK
        assert good.sectors_with_old_data() == []


class TestSanitizeFaults:
    def test_stuck_for_ever(self) -> None:
        host = Host(ScsiOptions(progress_stuck_at=0.25))
        host.block_erase()
        for _ in range(3):
            host.clock.sleep(1e6)
            raw = host.request_sense()
            assert (sense(raw), raw[16] << 8 | raw[17]) == (SANITIZING, 16384)
        with pytest.raises(HostTimeoutError):
            Host(ScsiOptions(progress_stuck_at=0.25)).block_erase(immediate=False, timeout_s=1e9)

    def test_no_progress_indication(self) -> None:
        host = Host(ScsiOptions(reports_progress=False))
        host.block_erase()
        assert host.request_sense()[15:18] == bytes(3)

    def test_goes_on_after_a_power_cycle(self) -> None:
        host = Host()
        host.block_erase()
        host.clock.sleep(20)
        host.power_cycle(seconds=1000)
        assert sense(host.ready()) == SANITIZING
        host.clock.sleep(10.1)
        assert sense(host.ready()) == OK
        assert host.sectors_with_old_data() == []

    @pytest.mark.parametrize("instantly", [False, True])
    def test_lie(self, instantly: bool) -> None:
        host = Host(ScsiOptions(lie=Lie(instantly=instantly)))
        host.block_erase()
        assert sense(host.ready()) == (OK if instantly else SANITIZING)
        host.clock.sleep(31)
        assert sense(host.ready()) == OK
        assert len(host.sectors_with_old_data()) == 64

    def test_lie_about_clipped_blocks(self) -> None:
        host = Host(ScsiOptions(visible_blocks=50, lie=Lie(leaves=(), leaves_hidden=True)))
        host.block_erase(immediate=False)
        assert host.sectors_with_old_data() == list(range(50, 64))

    def test_hang(self) -> None:
        host = Host(ScsiOptions(hangs=frozenset({0x48})))
        with pytest.raises(HostTimeoutError):
            host.block_erase(timeout_s=60)
        assert host.clock.monotonic() == 60
        assert sense(host.ready()) == OK

    def test_write_after_sanitize(self) -> None:
        assert Host().send("12 01 b1 00 40 00", b"", 64).data[7] >> 4 == 0b0101
        host = Host(ScsiOptions(write_after_sanitize=True))
        assert host.send("12 01 b1 00 40 00", b"", 64).data[7] >> 4 == 0b1111
        host.crypto_erase()
        host.clock.sleep(3)
        assert sense(host.ready()) == OK
        assert sense(host.read(5)) == (3, 0x11, 0x15)
        assert sense(host.write(5, bytes(512))) == OK
        assert sense(host.read(5)) == OK
        assert sense(host.read(5, 2)) == (3, 0x11, 0x15)
        assert sense(host.send("93 01 00 00 00 00 00 00 00 00 00 00 00 00 00 00")) == OK
        assert sense(host.read(0, 64)) == OK


STEPS: dict[str, Callable[[Host], Answer]] = {
    "overwrite": Host.overwrite,
    "block": Host.block_erase,
    "block, unrestricted": lambda h: h.block_erase(ause=True),
    "crypto": Host.crypto_erase,
    "exit": Host.exit_failure_mode,
    "format": Host.format,
    "select 512": lambda h: h.select_blocks(512),
    "select 520": lambda h: h.select_blocks(520),
    "clip": lambda h: h.select_blocks(h.medium.sector_bytes, 20),
    "read": Host.read,
    "write": lambda h: h.write(0, bytes(h.medium.sector_bytes)),
    "stop": lambda h: h.send("1b 00 00 00 00 00"),
    "start": lambda h: h.send("1b 00 00 00 01 00"),
}


@given(
    steps=st.lists(st.one_of(st.sampled_from(sorted(STEPS)), st.floats(0, 60), st.just("cut")), max_size=15),
    fails=st.booleans(),
)
def test_any_sequence_with_power_cuts_keeps_a_legal_state(steps: list[str | float], fails: bool) -> None:
    options = ScsiOptions(sanitize_fails_at=0.5 if fails else None, overwrite_s=40, format_s=40)
    host = Host(options)
    for step in steps:
        if step == "cut":
            before = sense(host.request_sense())
            host.power_cycle()
            after = sense(host.request_sense())
            if before == SANITIZING:
                assert after in {SANITIZING, SANITIZE_FAILED}
            elif before == FORMATTING:
                assert sense(host.ready()) == CORRUPT
        elif isinstance(step, str):
            STEPS[step](host)
        else:
            host.clock.sleep(step)
        state = sense(host.request_sense())
        readable = sense(host.read()) == OK
        if state != OK:
            assert not readable
        assert len(host.medium.data) == 64 * 512
        assert host.drive.blocks <= host.medium.sectors


def test_technique_names_are_shared_with_the_lies() -> None:
    host = Host(ScsiOptions(lie=Lie(techniques=frozenset({Technique.FORMAT}))))
    assert sense(host.format(immediate=False)) == OK
    assert len(host.sectors_with_old_data()) == 64
    assert sense(host.block_erase(immediate=False)) == OK
    assert host.sectors_with_old_data() == []
