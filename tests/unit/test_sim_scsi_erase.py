"""The simulated SCSI drive: SANITIZE, FORMAT UNIT and MODE SELECT keep to SBC-4's states."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulators.ports_media import HostTimeoutError, Lie, Technique
from simulators.scsi_erase import SanitizePhase
from simulators.scsi_host import (
    CORRUPT,
    FORMAT_FAILED,
    FORMATTING,
    INVALID_FIELD,
    INVALID_PARAMETER,
    LIST_LENGTH,
    OK,
    OUT_OF_RANGE,
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
        host = Host(ScsiOptions(write_after_sanitize=True))
        host.crypto_erase()
        host.clock.sleep(3)
        assert sense(host.ready()) == OK
        assert sense(host.read(5)) == (3, 0x11, 0x15)
        assert sense(host.write(5, bytes(512))) == OK
        assert sense(host.read(5)) == OK
        assert sense(host.read(5, 2)) == (3, 0x11, 0x15)
        assert sense(host.send("93 01 00 00 00 00 00 00 00 00 00 00 00 00 00 00")) == OK
        assert sense(host.read(0, 64)) == OK


class TestFormat:
    def test_immediate(self) -> None:
        host = Host()
        assert sense(host.format()) == OK
        host.clock.sleep(1800)
        raw = host.request_sense()
        assert (sense(raw), raw[16] << 8 | raw[17]) == (FORMATTING, 32768)
        assert sense(host.read()) == FORMATTING
        host.clock.sleep(1801)
        assert sense(host.ready()) == OK
        assert host.sectors_with_old_data() == []

    def test_without_a_parameter_list_it_blocks(self) -> None:
        host = Host()
        assert sense(host.send("04 00 00 00 00 00")) == OK
        assert host.clock.monotonic() == pytest.approx(3600, abs=0.01)

    def test_nothing_says_that_it_erases(self) -> None:
        host = Host(ScsiOptions(format_writes=False))
        assert sense(host.format(immediate=False)) == OK
        assert len(host.sectors_with_old_data()) == 64

    def test_initialization_pattern(self) -> None:
        host = Host()
        data = bytes.fromhex("00 88 00 00 00 01 00 02 be ef")
        assert sense(host.send("04 10 00 00 00 00", data)) == OK
        assert host.medium.data == b"\xbe\xef" * (32 * 512)

    def test_cut_short_it_leaves_the_medium_corrupt(self) -> None:
        host = Host()
        host.format()
        host.clock.sleep(1800)
        host.power_cycle()
        capacity = host.send("25 00 00 00 00 00 00 00 00 00", b"", 8)
        for answer in (host.ready(), host.read(), host.write(0, bytes(512)), capacity):
            assert sense(answer) == CORRUPT
        host.power_cycle()
        assert sense(host.ready()) == CORRUPT
        assert sense(host.format(immediate=False)) == OK
        assert sense(host.ready()) == OK

    def test_sanitize_repairs_a_corrupt_format(self) -> None:
        host = Host()
        host.format()
        host.power_cycle()
        assert sense(host.block_erase(immediate=False)) == OK
        assert sense(host.read()) == OK

    def test_failure(self) -> None:
        host = Host(ScsiOptions(format_fails_at=0.5))
        assert sense(host.format(immediate=False)) == FORMAT_FAILED
        assert sense(host.request_sense()) == FORMAT_FAILED
        assert sense(host.read()) == CORRUPT

    @pytest.mark.parametrize(
        ("cdb", "data", "expected"),
        [
            ("04 50 00 00 00 00", "00 00 00 00", INVALID_FIELD),
            ("04 11 00 00 00 00", "00 00 00 00", INVALID_FIELD),
            ("04 20 00 00 00 00", "", INVALID_FIELD),
            ("04 00 00 00 00 00", "00 00 00 00", LIST_LENGTH),
            ("04 10 00 00 00 00", "00 00 00", LIST_LENGTH),
            ("04 30 00 00 00 00", "00 00 00 00", LIST_LENGTH),
            ("04 10 00 00 00 00", "01 00 00 00", INVALID_PARAMETER),
            ("04 10 00 00 00 00", "00 20 00 00", INVALID_PARAMETER),
            ("04 10 00 00 00 00", "00 01 00 00", INVALID_PARAMETER),
            ("04 10 00 00 00 00", "00 00 00 04", INVALID_PARAMETER),
            ("04 10 00 00 00 00", "00 88 00 00", LIST_LENGTH),
            ("04 10 00 00 00 00", "00 88 00 00 00 01 00 02 be", LIST_LENGTH),
            ("04 10 00 00 00 00", "00 88 00 00 00 02 00 01 00", INVALID_PARAMETER),
            ("04 10 00 00 00 00", "00 88 00 00 20 00 00 00", INVALID_PARAMETER),
            ("04 10 00 00 00 00", "00 00 00 00 00", LIST_LENGTH),
        ],
    )
    def test_malformed(self, cdb: str, data: str, expected: tuple[int, int, int]) -> None:
        host = Host()
        assert sense(host.send(cdb, bytes.fromhex(data))) == expected
        assert sense(host.ready()) == OK
        assert len(host.sectors_with_old_data()) == 64


class TestBlockLength:
    def test_520_to_512_takes_mode_select_and_then_format(self) -> None:
        host = Host(block_bytes=520)
        assert host.capacity() == (64, 520)
        assert sense(host.select_blocks(512)) == OK
        assert host.capacity() == (64, 520), "READ CAPACITY tells the current format"
        assert sense(host.read()) == CORRUPT
        descriptor = host.send("5a 00 01 00 00 00 00 00 ff 00", b"", 255).data[8:16]
        assert descriptor == (65).to_bytes(4, "big") + (512).to_bytes(4, "big")
        assert sense(host.format(immediate=False)) == OK
        assert host.capacity() == (65, 512)
        assert (host.medium.sector_bytes, host.medium.sectors) == (512, 65)
        assert len(host.read(64).data) == 512
        assert host.sectors_with_old_data() == []

    def test_old_data_shows_through_at_other_offsets(self) -> None:
        host = Host(ScsiOptions(format_writes=False), block_bytes=520)
        assert sense(host.select_blocks(512)) == OK
        assert sense(host.format(immediate=False)) == OK
        assert len(host.sectors_with_old_data()) == 65

    def test_power_cut_forgets_a_selection_that_was_not_formatted(self) -> None:
        host = Host(block_bytes=520)
        host.select_blocks(512)
        host.power_cycle()
        assert sense(host.read()) == OK
        assert host.capacity() == (64, 520)

    def test_defects_stay_where_they_are(self) -> None:
        host = Host(
            ScsiOptions(bad_sectors_fail_erase=False, format_writes=False), block_bytes=520, blocks=640
        )
        host.medium.bad.add(320)
        host.select_blocks(512)
        host.format(immediate=False)
        assert host.medium.bad == {325}

    @pytest.mark.parametrize("length", [511, 513, 528 * 2, 4096])
    def test_unsupported_length(self, length: int) -> None:
        assert sense(Host().select_blocks(length)) == INVALID_PARAMETER

    def test_clip_and_restore(self) -> None:
        host = Host()
        assert sense(host.select_blocks(512, 48)) == OK
        assert host.capacity() == (48, 512)
        assert sense(host.read(48)) == OUT_OF_RANGE
        host.power_cycle()
        assert host.capacity() == (48, 512)
        assert sense(host.format(immediate=False)) == OK
        assert host.sectors_with_old_data() == list(range(48, 64)), "clipped blocks are not formatted"
        assert sense(host.select_blocks(512, 0)) == OK
        assert host.capacity() == (48, 512), "zero retains"
        assert sense(host.select_blocks(512, 0xFFFFFFFF)) == OK
        assert host.capacity() == (64, 512)
        assert sense(host.select_blocks(512, 65)) == INVALID_PARAMETER

    def test_mode_select_6_and_long_descriptor(self) -> None:
        host = Host()
        assert (
            sense(host.send("15 10 00 00 0c 00", bytes.fromhex("00 00 00 08 00 00 00 30 00 00 02 00"))) == OK
        )
        assert host.capacity() == (48, 512)
        long = bytes.fromhex("00 00 00 00 01 00 00 10") + bytes(7) + b"\x20" + bytes(6) + b"\x02\x00"
        assert sense(host.send("55 10 00 00 00 00 00 00 18 00", long)) == OK
        assert host.capacity() == (32, 512)
        data = host.send("5a 10 01 00 00 00 00 00 ff 00", b"", 255).data
        assert data[4] == 1
        assert data[8:24] == bytes(7) + b"\x20" + bytes(6) + b"\x02\x00"

    @pytest.mark.parametrize(
        ("cdb", "data", "expected"),
        [
            ("55 00 00 00 00 00 00 00 10 00", bytes(16), INVALID_FIELD),
            ("55 10 00 00 00 00 00 00 10 00", bytes(15), LIST_LENGTH),
            ("55 10 00 00 00 00 00 00 07 00", bytes(7), LIST_LENGTH),
            ("55 10 00 00 00 00 00 00 08 00", bytes(7) + b"\x08", LIST_LENGTH),
            ("55 10 00 00 00 00 00 00 08 00", b"\x00\x10" + bytes(6), INVALID_PARAMETER),
            ("55 10 00 00 00 00 00 00 0c 00", bytes(7) + b"\x04" + bytes(4), INVALID_PARAMETER),
            (
                "55 10 00 00 00 00 00 00 10 00",
                bytes(7) + b"\x08" + bytes.fromhex("00000000 01000200"),
                INVALID_PARAMETER,
            ),
            ("15 10 00 00 08 00", bytes.fromhex("00 00 00 00 1c 0a 00 00"), INVALID_PARAMETER),
            ("15 10 00 00 05 00", bytes.fromhex("00 00 00 00 08"), LIST_LENGTH),
            ("15 10 00 00 08 00", bytes.fromhex("00 00 00 00 08 12 04 00"), LIST_LENGTH),
            ("15 10 00 00 18 00", bytes.fromhex("00 00 00 00 08 12 84") + bytes(17), INVALID_PARAMETER),
        ],
    )
    def test_malformed_mode_select(self, cdb: str, data: bytes, expected: tuple[int, int, int]) -> None:
        host = Host()
        assert sense(host.send(cdb, data)) == expected
        assert host.capacity() == (64, 512)

    def test_caching_and_control_pages(self) -> None:
        host = Host()
        assert host.send("1a 08 08 00 ff 00", b"", 255).data[6] == 0x04, "WCE"
        assert host.send("1a 08 48 00 ff 00", b"", 255).data[6] == 0x04, "WCE is changeable"
        off = bytes(4) + bytes.fromhex("08 12") + bytes(18)
        assert sense(host.send("15 11 00 00 18 00", off)) == OK
        assert host.send("1a 08 08 00 ff 00", b"", 255).data[6] == 0
        assert host.send("1a 08 88 00 ff 00", b"", 255).data[6] == 0x04, "by default"
        host.write(0, bytes(512))
        host.power_cycle()
        assert 0 not in host.sectors_with_old_data()
        d_sense = bytes(4) + bytes.fromhex("0a 0a 04") + bytes(9)
        assert sense(host.send("15 11 00 00 10 00", d_sense)) == OK
        assert host.read(64).sense[0] == 0x72
        everything = host.send("1a 00 3f 00 ff 00", b"", 255).data
        assert everything[0] == len(everything) - 1
        assert sense(host.send("1a 00 1c 00 ff 00", b"", 255)) == INVALID_FIELD
        assert sense(host.send("1a 00 01 01 ff 00", b"", 255)) == INVALID_FIELD


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
