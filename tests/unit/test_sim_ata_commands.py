"""The simulated ATA drive: IDENTIFY DEVICE, SMART, media access, its write cache, and what it refuses."""

from __future__ import annotations

import shutil
import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulators.ata_host import USER, Host, ok
from simulators.ata_options import AtaOptions, Opcode, Protocol

HDPARM = shutil.which("hdparm", path="/usr/sbin:/sbin:/usr/bin:/bin")

PROTOCOLS = {
    Opcode.READ_SECTORS: Protocol.PIO_IN,
    Opcode.READ_SECTORS_EXT: Protocol.PIO_IN,
    Opcode.WRITE_SECTORS: Protocol.PIO_OUT,
    Opcode.WRITE_SECTORS_EXT: Protocol.PIO_OUT,
    Opcode.IDENTIFY_DEVICE: Protocol.PIO_IN,
    Opcode.SECURITY_SET_PASSWORD: Protocol.PIO_OUT,
    Opcode.SECURITY_UNLOCK: Protocol.PIO_OUT,
    Opcode.SECURITY_ERASE_UNIT: Protocol.PIO_OUT,
    Opcode.SECURITY_DISABLE_PASSWORD: Protocol.PIO_OUT,
}
BY_FEATURE = {Opcode.SMART, Opcode.DEVICE_CONFIGURATION}
"""Their protocol depends on the feature; tested where those are."""
EXT = {
    Opcode.READ_SECTORS_EXT,
    Opcode.WRITE_SECTORS_EXT,
    Opcode.READ_NATIVE_MAX_ADDRESS_EXT,
    Opcode.SET_MAX_ADDRESS_EXT,
    Opcode.ACCESSIBLE_MAX_ADDRESS_CONFIGURATION,
    Opcode.SANITIZE_DEVICE,
    Opcode.FLUSH_CACHE_EXT,
}


def test_identify_device() -> None:
    host = Host(
        AtaOptions(model="ODD LENGTH MODEL 1", serial="S/N 12345", firmware="FW-9", encrypts_all=True)
    )
    page = host.pio_in(Opcode.IDENTIFY_DEVICE).data_in
    assert len(page) == 512
    assert sum(page) & 0xFF == 0
    assert page[54:64] == b"DO DELGNHT"
    assert page[20:28] == b"/S N2143"
    assert host.identify_word(69) >> 4 & 1
    assert host.identify_word(86) >> 15 & 1, "words 119 and 120 are valid"
    assert host.identify_word(217) == 7200


def test_identify_of_4096_byte_sectors() -> None:
    host = Host(sector_bytes=4096, sectors=16)
    assert host.identify_word(106) == 0x5000
    assert host.identify_word(117) | host.identify_word(118) << 16 == 2048
    assert len(host.read(0, 2).data_in) == 8192


@pytest.mark.skipif(HDPARM is None, reason="hdparm is the oracle of this test")
def test_hdparm_reads_the_page_as_meant() -> None:
    host = Host(AtaOptions(hpa_sectors=50, user_password=USER, maximum_level=True))
    page = host.pio_in(Opcode.IDENTIFY_DEVICE).data_in
    words = " ".join(f"{int.from_bytes(page[i : i + 2], 'little'):04x}" for i in range(0, 512, 2))
    assert HDPARM is not None
    said = subprocess.run(
        [HDPARM, "--Istdin"], input=words, text=True, capture_output=True, check=True
    ).stdout
    for line in (
        "Model Number:       SIMULATED ATA DRIVE",
        "Serial Number:      SIM-ATA-0001",
        "LBA48  user addressable sectors:          50",
        "SANITIZE_ANTIFREEZE_LOCK_EXT command",
        "BLOCK_ERASE_EXT command",
        "Security level maximum",
        "120min for SECURITY ERASE UNIT. 2min for ENHANCED SECURITY ERASE UNIT.",
        "Logical Unit WWN Device Identifier: 5000c500a1b2c3d4",
        "Checksum: correct",
    ):
        assert line in said
    assert said.count("\tenabled\n\t\tlocked\n\tnot\tfrozen\n") == 1


def test_smart() -> None:
    host = Host()
    assert host.non_data(Opcode.SMART, 0xDA, lba=0xC24F00).lba == 0xC24F00
    assert not ok(host.non_data(Opcode.SMART, 0xDA)), "the key is missing"
    data = host.pio_in(Opcode.SMART, 0xD0, lba=0xC24F00).data_in
    assert len(data) == 512
    assert sum(data) & 0xFF == 0
    assert not ok(host.non_data(Opcode.SMART, 0xD0, lba=0xC24F00)), "data in without a data protocol"
    assert Host(AtaOptions(smart_failing=True)).non_data(Opcode.SMART, 0xDA, lba=0xC24F00).lba == 0x2CF400


@pytest.mark.parametrize("command", [code for code in range(256) if code not in set(Opcode)])
def test_unknown_commands_are_aborted(command: int) -> None:
    assert Host().non_data(command)[:2] == (0x51, 0x04)


@pytest.mark.parametrize("command", sorted(set(Opcode) - BY_FEATURE))
@pytest.mark.parametrize("protocol", list(Protocol))
@pytest.mark.parametrize("ext", [False, True])
def test_protocol_and_extension_are_the_commands_own(command: Opcode, protocol: Protocol, ext: bool) -> None:
    host = Host()
    data = bytes(512) if protocol is Protocol.PIO_OUT else b""
    right = protocol is PROTOCOLS.get(command, Protocol.NON_DATA) and ext is (command in EXT)
    before = host.drive.security.state, host.drive.capacity.sectors, bytes(host.medium.data)
    outputs = host.drive.taskfile(command, 0, 1, 0, 0x40, protocol, ext, data)
    if not right:
        assert not ok(outputs)
        assert before == (host.drive.security.state, host.drive.capacity.sectors, bytes(host.medium.data))


def test_data_without_a_data_protocol() -> None:
    host = Host()
    assert not ok(host.drive.taskfile(Opcode.SECURITY_FREEZE_LOCK, data_out=bytes(512)))
    assert not ok(host.drive.taskfile(Opcode.SECURITY_SET_PASSWORD, protocol=Protocol.PIO_OUT))


class TestMedia:
    def test_write_and_read(self) -> None:
        host = Host()
        data = bytes(range(256)) * 4
        assert ok(host.write(7, data))
        assert host.read(7, 2).data_in == data
        assert host.medium.data[7 * 512 : 9 * 512] == data

    def test_28_bit(self) -> None:
        host = Host(sectors=300)
        data = bytes((7,)) * 512
        assert ok(host.pio_out(Opcode.WRITE_SECTORS, data, lba=5))
        assert host.pio_in(Opcode.READ_SECTORS, lba=5).data_in == data
        assert len(host.pio_in(Opcode.READ_SECTORS, count=0).data_in) == 256 * 512

    def test_length_must_be_the_count(self) -> None:
        host = Host()
        assert not ok(host.pio_out(Opcode.WRITE_SECTORS_EXT, bytes(512), lba=0, count=2, ext=True))
        assert len(host.sectors_with_old_data()) == 64

    def test_bad_sector(self) -> None:
        host = Host()
        host.medium.bad.add(3)
        outputs = host.read(2, 3)
        assert (outputs.error, outputs.lba, outputs.data_in) == (0x40, 3, b"")
        assert host.write(2, bytes(1536)).lba == 3
        assert host.sectors_with_old_data() == [0, 1, *range(3, 64)], "what came before it was written"

    def test_range(self) -> None:
        host = Host()
        assert host.read(63, 2).error == 0x10
        assert host.write(64, bytes(512)).error == 0x10
        assert not ok(host.drive.taskfile(0x24, count=1, device=0, protocol=4, ext=True)), "LBA bit"


class TestWriteCache:
    def test_unflushed_writes_are_lost_newest_first(self) -> None:
        host = Host()
        assert ok(host.write(0, bytes((1,)) * 1024))
        assert ok(host.flush())
        assert ok(host.write(0, bytes((2,)) * 512))
        assert ok(host.write(0, bytes((3,)) * 1024))
        assert host.read().data_in == bytes((3,)) * 512
        host.power_cycle()
        assert host.medium.data[:1024] == bytes((1,)) * 1024

    def test_without_a_cache_nothing_is_lost(self) -> None:
        host = Host(AtaOptions(write_cache=False))
        assert ok(host.write(0, bytes(512)))
        host.power_cycle()
        assert host.medium.data[:512] == bytes(512)

    def test_the_cache_is_of_finite_size(self) -> None:
        host = Host()
        host.drive.store.cache_bytes = 1024
        for sector in range(4):
            assert ok(host.write(sector, bytes(512)))
        host.power_cycle()
        assert host.sectors_with_old_data() == list(range(2, 64))

    def test_erasing_leaves_nothing_to_undo(self) -> None:
        host = Host()
        assert ok(host.write(0, bytes((9,)) * 512))
        assert ok(host.block_erase())
        host.clock.sleep(31)
        host.drive.settle()
        host.power_cycle()
        assert not any(host.medium.data)

    @given(
        st.lists(
            st.one_of(st.tuples(st.integers(0, 60), st.integers(1, 4)), st.just("flush"), st.just("cut")),
            max_size=20,
        )
    )
    def test_against_a_plain_model(self, steps: list[tuple[int, int] | str]) -> None:
        host = Host()
        stable = bytearray(host.medium.data)
        cached = bytearray(stable)
        for number, step in enumerate(steps):
            if step == "flush":
                host.flush()
                stable[:] = cached
            elif step == "cut":
                host.power_cycle()
                cached[:] = stable
            elif not isinstance(step, str):
                data = bytes((number,)) * (512 * step[1])
                host.write(step[0], data)
                cached[step[0] * 512 : step[0] * 512 + len(data)] = data
            assert host.medium.data == cached
