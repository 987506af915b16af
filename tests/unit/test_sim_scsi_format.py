"""The simulated SCSI drive: FORMAT UNIT, and MODE SELECT of block length and capacity (SBC-4, SPC-5)."""

from __future__ import annotations

import pytest

from simulators.scsi_host import (
    CORRUPT,
    FORMAT_FAILED,
    FORMATTING,
    INVALID_FIELD,
    INVALID_PARAMETER,
    LIST_LENGTH,
    OK,
    OUT_OF_RANGE,
    Host,
    sense,
)
from simulators.scsi_options import ScsiOptions


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
