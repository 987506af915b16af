"""The simulated SCSI drive: CDBs bit by bit, unit attention, inquiry, media access (SPC-5, SBC-4)."""

from __future__ import annotations

import shutil
import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulators import scsi_host as host_module
from simulators.ports_media import Technique
from simulators.scsi_commands import COMMANDS, SERVICE_ACTION_FIELD, Key
from simulators.scsi_host import (
    DATA_PHASE,
    INVALID_FIELD,
    INVALID_OPCODE,
    INVALID_PARAMETER,
    LIST_LENGTH,
    OK,
    OUT_OF_RANGE,
    POWER_ON,
    STOPPED,
    Host,
    sense,
)
from simulators.scsi_options import ScsiOptions
from simulators.scsi_sense import CHECK_CONDITION, GOOD, SenseKey, sense_data

EVERYTHING = ScsiOptions(unmaps=True)
SG_DECODE_SENSE = shutil.which("sg_decode_sense")


class TestUnitAttention:
    def test_once_for_each_nexus_after_power_on(self) -> None:
        drive = Host(attended=False).drive
        ready = bytes(6)
        for nexus in (0, 1, 7):
            assert sense(drive.execute(ready, nexus=nexus)) == POWER_ON
            assert sense(drive.execute(ready, nexus=nexus)) == OK
        drive.power_off()
        drive.power_on()
        assert sense(drive.execute(ready, nexus=1)) == POWER_ON

    def test_the_command_was_not_processed(self) -> None:
        host = Host(attended=False)
        assert sense(host.block_erase()) == POWER_ON
        assert sense(host.ready()) == OK

    @pytest.mark.parametrize("cdb", ["12 00 00 00 24 00", "a0 00 00 00 00 00 00 00 00 10 00 00"])
    def test_inquiry_and_report_luns_leave_it(self, cdb: str) -> None:
        host = Host(attended=False)
        assert sense(host.send(cdb, b"", 36)) == OK
        assert sense(host.ready()) == POWER_ON

    def test_request_sense_takes_it(self) -> None:
        host = Host(attended=False)
        assert sense(host.request_sense()) == POWER_ON
        assert sense(host.request_sense()) == OK
        assert sense(host.ready()) == OK

    def test_the_kernel_absorbs_it(self) -> None:
        host = Host(attended=False)
        host.drive.read(0, memoryview(bytearray(512)), 30)
        assert sense(host.ready()) == OK


@pytest.mark.parametrize("key", COMMANDS, ids=lambda key: COMMANDS[key].name)
def test_every_bit_outside_the_usage_map_is_refused(key: Key) -> None:
    usage = COMMANDS[key].usage
    service_bits = SERVICE_ACTION_FIELD.get(key[0], 0)
    base = bytearray(len(usage))
    base[0] = key[0]
    base[1] = key[1] or 0
    for byte in range(1, len(usage)):
        for bit in range(8):
            if usage[byte] >> bit & 1 or (byte == 1 and service_bits >> bit & 1):
                continue
            cdb = bytearray(base)
            cdb[byte] |= 1 << bit
            answer = Host(EVERYTHING).send(bytes(cdb))
            assert sense(answer) == INVALID_FIELD
            assert answer.sense[15:18] == bytes((0xC0, 0, byte)), "the field pointer names the byte"


@pytest.mark.parametrize("key", COMMANDS, ids=lambda key: COMMANDS[key].name)
def test_cdb_of_another_length(key: Key) -> None:
    cdb = bytes((key[0], key[1] or 0)).ljust(len(COMMANDS[key].usage), b"\0")
    assert sense(Host(EVERYTHING).send(cdb + b"\0")) == INVALID_FIELD
    assert sense(Host(EVERYTHING).send(cdb[:-1])) == INVALID_FIELD


def test_unknown_operation_codes_and_service_actions() -> None:
    host = Host()
    known = {key[0] for key in COMMANDS if key[0] != 0x42}
    for opcode in range(256):
        if opcode not in known:
            assert sense(host.send(bytes((opcode,)).ljust(16, b"\0"))) == INVALID_OPCODE
    for opcode, actions in ((0x48, {1, 2, 3, 0x1F}), (0x9E, {0x10}), (0xA3, {0x0C})):
        for action in set(range(32)) - actions:
            cdb = bytes((opcode, action)).ljust({0x48: 10, 0x9E: 16, 0xA3: 12}[opcode], b"\0")
            assert sense(host.send(cdb)) == INVALID_FIELD
    assert sense(host.send(b"")) == INVALID_OPCODE


@given(st.binary(max_size=17), st.binary(max_size=64), st.integers(0, 600))
def test_any_bytes_get_an_answer(cdb: bytes, out: bytes, into: int) -> None:
    answer = Host(EVERYTHING).send(cdb, out, into)
    assert (answer.status == CHECK_CONDITION) is bool(answer.sense)
    assert len(answer.data) <= into


class TestReportSupportedOperationCodes:
    """As ``sg_opcodes`` asks."""

    def ask(self, text: str, options: ScsiOptions | None = None) -> bytes:
        answer = Host(options).send(text, b"", 4096)
        assert answer.status == GOOD
        return answer.data

    def test_all(self) -> None:
        data = self.ask("a3 0c 00 00 00 00 00 00 10 00 00 00")
        assert int.from_bytes(data[:4], "big") == len(data) - 4
        listed = {
            (data[i], int.from_bytes(data[i + 2 : i + 4], "big") if data[i + 5] & 1 else None): data[i + 7]
            for i in range(4, len(data), 8)
        }
        assert listed == {key: len(command.usage) for key, command in COMMANDS.items() if key[0] != 0x42}
        with_timeouts = self.ask("a3 0c 80 00 00 00 00 00 10 00 00 00")
        assert len(with_timeouts) - 4 == len(listed) * 20

    @pytest.mark.parametrize(
        ("action", "technique"), [(1, Technique.OVERWRITE), (2, Technique.BLOCK), (3, Technique.CRYPTO)]
    )
    def test_sanitize_service_actions_one_by_one(self, action: int, technique: Technique) -> None:
        text = f"a3 0c 03 48 00 {action:02x} 00 00 02 00 00 00"
        data = self.ask(text)
        assert data.hex(" ") == f"00 03 00 0a 48 {0xE0 | action:02x} 00 00 00 00 00 ff ff 00"
        without = ScsiOptions(sanitize=ScsiOptions().sanitize - {technique})
        assert self.ask(text, without) == b"\x00\x01\x00\x00"
        refused = Host(without).send(bytes((0x48, 0x80 | action)).ljust(10, b"\0"))
        assert sense(refused) == INVALID_FIELD

    def test_no_sanitize_at_all(self) -> None:
        none = ScsiOptions(sanitize=frozenset())
        assert self.ask("a3 0c 03 48 00 02 00 00 02 00 00 00", none) == b"\x00\x01\x00\x00"
        assert sense(Host(none).block_erase()) == INVALID_OPCODE

    def test_reporting_options(self) -> None:
        host = Host()
        assert sense(host.send("a3 0c 01 48 00 02 00 00 02 00 00 00", b"", 512)) == INVALID_FIELD
        assert sense(host.send("a3 0c 02 12 00 00 00 00 02 00 00 00", b"", 512)) == INVALID_FIELD
        assert self.ask("a3 0c 01 12 00 00 00 00 02 00 00 00")[1] == 3
        assert self.ask("a3 0c 01 2f 00 00 00 00 02 00 00 00")[1] == 1
        assert self.ask("a3 0c 03 12 00 05 00 00 02 00 00 00")[1] == 1
        assert sense(host.send("a3 0c 07 12 00 00 00 00 02 00 00 00", b"", 512)) == INVALID_FIELD

    def test_not_supported(self) -> None:
        host = Host(ScsiOptions(reports_opcodes=False))
        assert sense(host.send("a3 0c 00 00 00 00 00 00 10 00 00 00", b"", 4096)) == INVALID_OPCODE


class TestInquiry:
    def test_standard(self) -> None:
        data = Host().send("12 00 00 00 24 00", b"", 36).data
        assert len(data) == 36
        assert data[8:36] == b"SIMULATESAS DRIVE       0001"

    def test_pages(self) -> None:
        host = Host(ScsiOptions(rotation_rate=1, unmaps=True, max_write_same=128))
        pages = host.send("12 01 00 00 fc 00", b"", 252).data[4:]
        assert pages.hex(" ") == "00 80 83 b0 b1 b2"
        for code in pages:
            data = host.send(bytes((0x12, 1, code, 0, 0xFC, 0)), b"", 252).data
            assert data[1] == code
            assert len(data) == 4 + (data[2] << 8 | data[3])
        limits = host.send("12 01 b0 00 fc 00", b"", 252).data
        assert int.from_bytes(limits[36:44], "big") == 128
        assert int.from_bytes(limits[20:24], "big") == 0xFFFFFFFF
        assert host.send("12 01 b1 00 fc 00", b"", 252).data[4:6] == b"\x00\x01"
        assert host.send("12 01 b2 00 fc 00", b"", 252).data[5] & 0xE0 == 0xE0
        assert b"\x50\x00\xc5\x00\xf0\xe1\xd2\xc0" in host.send("12 01 83 00 fc 00", b"", 252).data

    def test_refused(self) -> None:
        assert sense(Host().send("12 00 80 00 fc 00", b"", 252)) == INVALID_FIELD
        assert sense(Host().send("12 01 b5 00 fc 00", b"", 252)) == INVALID_FIELD

    def test_allocation_length(self) -> None:
        assert len(Host().send("12 00 00 00 05 00", b"", 252).data) == 5
        assert len(Host().send("12 00 00 00 60 00", b"", 10).data) == 10


class TestMedia:
    def test_capacity(self) -> None:
        host = Host(ScsiOptions(unmaps=True))
        assert host.send("25 00 00 00 00 00 00 00 00 00", b"", 8).data.hex() == "0000003f00000200"
        assert host.capacity() == (64, 512)
        assert host.send("9e 10 00 00 00 00 00 00 00 00 00 00 00 20 00 00", b"", 32).data[14] == 0xC0

    def test_read_and_write(self) -> None:
        host = Host()
        data = bytes(range(256)) * 4
        assert sense(host.write(3, data)) == OK
        assert host.read(3, 2).data == data
        long = "88 00 00 00 00 00 00 00 00 03 00 00 00 02 00 00"
        assert host.send(long, b"", 1024).data == data
        assert sense(host.send("8a 00 00 00 00 00 00 00 00 00 00 00 00 02 00 00", data)) == OK
        assert host.medium.data[:1024] == data

    def test_range_and_data_length(self) -> None:
        host = Host()
        assert sense(host.read(63, 2)) == OUT_OF_RANGE
        assert sense(host.write(64, bytes(512))) == OUT_OF_RANGE
        assert sense(host.send("28 00 00 00 00 00 00 00 02 00", b"", 512)) == DATA_PHASE
        assert sense(host.send("2a 00 00 00 00 00 00 00 02 00", bytes(512))) == DATA_PHASE
        assert len(host.sectors_with_old_data()) == 64

    def test_medium_error_names_the_block(self) -> None:
        host = Host()
        host.medium.bad.add(5)
        answer = host.read(4, 3)
        assert sense(answer) == (3, 0x11, 0x00)
        assert answer.sense[0] == 0xF0
        assert int.from_bytes(answer.sense[3:7], "big") == 5
        answer = host.write(4, bytes(1536))
        assert sense(answer) == (3, 0x0C, 0x00)
        assert host.sectors_with_old_data() == [0, 1, 2, 3, *range(5, 64)]

    def test_cache(self) -> None:
        host = Host()
        assert sense(host.write(0, bytes(512))) == OK
        assert sense(host.send("35 00 00 00 00 00 00 00 00 00")) == OK
        assert sense(host.write(1, bytes(512))) == OK
        assert sense(host.send("2a 08 00 00 00 02 00 00 01 00", bytes(512))) == OK
        assert sense(host.write(3, bytes(512))) == OK
        host.power_cycle()
        assert host.sectors_with_old_data() == list(range(3, 64)), "FUA wrote through, and what came before"

    def test_stop_and_start(self) -> None:
        host = Host()
        assert sense(host.send("1b 00 00 00 00 00")) == OK
        for answer in (host.ready(), host.read(), host.block_erase(), host.format()):
            assert sense(answer) == STOPPED
        assert sense(host.request_sense()) == STOPPED
        assert sense(host.send("1b 00 00 00 01 00")) == OK
        assert sense(host.ready()) == OK


class TestWriteSame:
    BLOCK = bytes(range(256)) * 2

    def test_range_of_blocks(self) -> None:
        host = Host()
        assert sense(host.send("41 00 00 00 00 02 00 00 03 00", self.BLOCK)) == OK
        assert host.medium.data[1024:2560] == self.BLOCK * 3
        assert host.sectors_with_old_data() == [0, 1, *range(5, 64)]

    def test_to_the_end_and_without_data_out(self) -> None:
        host = Host(ScsiOptions(visible_blocks=60))
        assert sense(host.send("93 01 00 00 00 00 00 00 00 02 00 00 00 00 00 00")) == OK
        assert host.sectors_with_old_data() == [0, 1, 60, 61, 62, 63]
        assert not any(host.medium.data[1024 : 60 * 512])

    def test_refused(self) -> None:
        host = Host(ScsiOptions(max_write_same=8))
        assert (
            sense(host.send("93 08 00 00 00 00 00 00 00 00 00 00 00 01 00 00", self.BLOCK)) == INVALID_FIELD
        )
        assert sense(host.send("41 00 00 00 00 00 00 00 09 00", self.BLOCK)) == INVALID_FIELD
        assert sense(host.send("41 00 00 00 00 00 00 00 00 00", self.BLOCK)) == INVALID_FIELD
        assert sense(host.send("41 00 00 00 00 3f 00 00 02 00", self.BLOCK)) == OUT_OF_RANGE
        assert sense(host.send("41 00 00 00 00 00 00 00 01 00", self.BLOCK[:511])) == DATA_PHASE
        assert sense(host.send("93 01 00 00 00 00 00 00 00 00 00 00 00 01 00 00", self.BLOCK)) == DATA_PHASE
        assert len(host.sectors_with_old_data()) == 64

    def test_bad_block(self) -> None:
        host = Host()
        host.medium.bad.add(9)
        answer = host.send("93 01 00 00 00 00 00 00 00 00 00 00 00 00 00 00")
        assert sense(answer) == (3, 0x0C, 0x00)
        assert int.from_bytes(answer.sense[3:7], "big") == 9

    def test_unmap(self) -> None:
        host = Host(ScsiOptions(unmaps=True))
        data = bytes.fromhex("0016 0010 00000000 0000000000000004 00000002 00000000")
        assert sense(host.send("42 00 00 00 00 00 00 00 18 00", data)) == OK
        assert host.sectors_with_old_data() == [0, 1, 2, 3, *range(6, 64)]
        assert sense(host.send("42 00 00 00 00 00 00 00 18 00", data[:23])) == LIST_LENGTH
        assert sense(host.send("42 00 00 00 00 00 00 00 18 00", b"\x00\x17" + data[2:])) == INVALID_PARAMETER


class TestSenseFormats:
    @given(
        key=st.sampled_from(list(SenseKey)),
        code=st.tuples(st.integers(0, 255), st.integers(0, 255)),
        progress=st.none() | st.integers(0, 65535),
        information=st.none() | st.integers(0, (1 << 32) - 1),
    )
    def test_both_say_the_same(
        self, key: SenseKey, code: tuple[int, int], progress: int | None, information: int | None
    ) -> None:
        fixed = sense_data(key, code, progress=progress, information=information)
        described = sense_data(key, code, descriptor=True, progress=progress, information=information)
        assert len(fixed) == 18 == fixed[7] + 8
        assert len(described) == described[7] + 8
        assert host_module.sense(fixed) == host_module.sense(described) == (key, *code)
        if progress is not None:
            assert fixed[15:18] == bytes((0x80,)) + progress.to_bytes(2, "big")
            assert fixed[15:18] in described[8:]
        if information is not None:
            assert fixed[0] == 0xF0
            assert described[12:20] == information.to_bytes(8, "big")

    def test_request_sense_follows_the_desc_bit_and_commands_follow_d_sense(self) -> None:
        host = Host()
        host.block_erase()
        assert host.request_sense()[0] == 0x70
        assert host.request_sense(descriptor=True)[0] == 0x72
        assert host.read().sense[0] == 0x70
        described = Host(ScsiOptions(descriptor_sense=True))
        described.block_erase()
        assert described.request_sense()[0] == 0x70
        assert described.read().sense[0] == 0x72

    @pytest.mark.skipif(SG_DECODE_SENSE is None, reason="sg_decode_sense is the oracle of this test")
    @pytest.mark.parametrize("descriptor", [False, True])
    def test_sg_decode_sense_agrees(self, descriptor: bool) -> None:
        host = Host()
        host.block_erase()
        host.clock.sleep(15)
        raw = host.request_sense(descriptor=descriptor)
        assert SG_DECODE_SENSE is not None
        command = [SG_DECODE_SENSE, *raw.hex(" ").split()]
        said = subprocess.run(command, text=True, capture_output=True, check=True).stdout
        assert "sanitize in progress" in said
        assert "Not Ready" in said
        assert "50.0" in said or "50%" in said
