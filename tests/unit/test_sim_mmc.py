"""The simulated eMMC device against JESD84-B51: registers, responses, partitions, write protection."""

from __future__ import annotations

import pytest

from simulators.mmc import SimulatedEmmc
from simulators.mmc_types import Area, DeviceGoneError, MmcBusError, MmcOptions
from simulators.world import ManualClock, Medium

R1, R1B, ADTC = 0x15, 0x1D, 0x15 | 1 << 5
TRIM = 0x1
OUT_OF_RANGE, ILLEGAL, ERROR = 1 << 31, 1 << 22, 1 << 19
WP_SKIP, SWITCH_ERROR = 1 << 15, 1 << 7
READY_TRAN = 4 << 9 | 1 << 8
OLD = b"old data in the way of the eraser"
BOOT = 128 * 1024


def device(options: MmcOptions | None = None, *, sectors: int = 64, boot: bool = False) -> SimulatedEmmc:
    user = filled(Medium(512, sectors))
    boots = (filled(Medium(512, BOOT // 512)), filled(Medium(512, BOOT // 512))) if boot else None
    rpmb = filled(Medium(512, BOOT // 512)) if boot else None
    return SimulatedEmmc(ManualClock(), user, boot=boots, rpmb=rpmb, options=options)


def filled(medium: Medium) -> Medium:
    medium.data[:] = (OLD * (len(medium.data) // len(OLD) + 1))[: len(medium.data)]
    return medium


def send(one: SimulatedEmmc, opcode: int, arg: int = 0, flags: int = R1) -> int:
    """The status word of a response."""
    return one.command(opcode, arg, flags)[0][0]


def switch(one: SimulatedEmmc, index: int, value: int, access: int = 3) -> int:
    """Errors that the status after a SWITCH tells."""
    assert send(one, 6, access << 24 | index << 16 | value << 8, R1B) & ~0x1FFF == 0
    return send(one, 13, 1 << 16) & ~READY_TRAN


def ext_csd(one: SimulatedEmmc) -> bytes:
    response, data = one.command(8, 0, ADTC, data_len=512)
    assert response[0] & READY_TRAN == READY_TRAN
    return data


def erase(one: SimulatedEmmc, first: int, last: int, arg: int) -> int:
    """All error bits of an erase sequence and the status after it."""
    bits = send(one, 35, first) | send(one, 36, last) | send(one, 38, arg, R1B)
    return (bits | send(one, 13, 1 << 16)) & ~READY_TRAN


def user(one: SimulatedEmmc) -> bytes:
    return one.read(Area.USER, 0, one.areas[Area.USER].medium.sectors)


# Registers and SWITCH


def test_ext_csd_tells_the_device_at_the_offsets_of_the_standard() -> None:
    page = ext_csd(device(MmcOptions(life_time_a=5, pre_eol_info=2), sectors=100, boot=True))
    assert len(page) == 512
    assert int.from_bytes(page[212:216], "little") == 100
    assert page[226] == 1
    assert page[168] == 1
    assert page[231] == 0b0101_0101
    assert page[267:270] == bytes([2, 5, 1])
    assert page[192] == 8
    assert page[224] == 1


def test_switch_writes_sets_and_clears_bits() -> None:
    one = device(boot=True)
    assert switch(one, 179, 0b0100_1001) == 0
    assert switch(one, 179, 0b0000_0010, access=1) == 0
    assert ext_csd(one)[179] == 0b0100_1011
    assert switch(one, 179, 0b0100_0001, access=2) == 0
    assert ext_csd(one)[179] == 0b0000_1010


@pytest.mark.parametrize(
    ("index", "value", "access"),
    [
        (192, 8, 3),  # read only
        (231, 0, 3),
        (179, 4, 3),  # no general purpose partition here
        (179, 0x80, 3),
        (175, 2, 3),
        (171, 0x80, 3),
        (173, 0x02, 3),
        (179, 1, 0),  # command set access
    ],
)
def test_switch_refuses_and_the_next_status_tells(index: int, value: int, access: int) -> None:
    one = device(boot=True)
    before = ext_csd(one)
    assert switch(one, index, value, access) == SWITCH_ERROR
    assert send(one, 13, 1 << 16) == READY_TRAN  # told once
    assert ext_csd(one) == before


def test_switch_refuses_bits_that_are_zero_and_partitions_that_are_not_there() -> None:
    one = device()
    for arg in (1 << 26 | 3 << 24 | 179 << 16, 3 << 24 | 179 << 16 | 1 << 3, 3 << 24 | 179 << 16 | 1 << 7):
        send(one, 6, arg, R1B)
        assert send(one, 13, 1 << 16) & SWITCH_ERROR
    assert switch(one, 179, 1) == SWITCH_ERROR
    assert switch(one, 173, 1) == SWITCH_ERROR


def test_power_on_takes_back_partition_access_erase_groups_and_power_on_protection() -> None:
    one = device(boot=True)
    for index, value in ((179, 0x09), (175, 1), (173, 1), (183, 2)):
        assert switch(one, index, value) == 0
    assert ext_csd(one)[174] == 0b0101
    one.power_cycle()
    page = ext_csd(one)
    assert [page[i] for i in (179, 175, 173, 174, 183)] == [0x08, 0, 0, 0, 0]


# What gets no response


def test_illegal_commands_get_no_response_and_the_next_status_tells() -> None:
    one = device()
    for opcode, arg in ((2, 0), (55, 0), (60, 0), (13, 2 << 16)):
        with pytest.raises(MmcBusError) as caught:
            one.command(opcode, arg)
        assert caught.value.timed_out
    assert send(one, 13, 1 << 16) == READY_TRAN | ILLEGAL
    assert send(one, 13, 1 << 16) == READY_TRAN


def test_a_host_that_expects_another_response_or_transfer_gets_a_bus_error() -> None:
    one = device()
    with pytest.raises(MmcBusError):
        one.command(13, 1 << 16, 0x07)  # R2
    with pytest.raises(MmcBusError):
        one.command(13, 1 << 16, R1B)
    with pytest.raises(MmcBusError):
        one.command(8, 0, R1, data_len=512)  # not marked as a data command
    with pytest.raises(MmcBusError):
        one.command(8, 0, ADTC, data_len=4)
    with pytest.raises(MmcBusError):
        one.command(13, 1 << 16, R1, data_out=b"x")


def test_an_unplugged_device_is_gone() -> None:
    one = device()
    one.hot_unplug()
    with pytest.raises(DeviceGoneError):
        send(one, 13, 1 << 16)
    with pytest.raises(DeviceGoneError):
        user(one)
    one.replug()
    assert send(one, 13, 1 << 16) == READY_TRAN


# Partitions and write protection


def test_boot_partitions_are_erased_through_partition_config_only() -> None:
    one = device(boot=True)
    erase(one, 0, 63, TRIM)
    assert OLD in one.read(Area.BOOT_1, 0, 256)
    switch(one, 179, 1)
    assert erase(one, 0, 255, TRIM) == 0
    assert one.read(Area.BOOT_1, 0, 256) == bytes(BOOT)
    assert OLD in one.read(Area.BOOT_2, 0, 256)
    assert send(one, 35, 256) & OUT_OF_RANGE


@pytest.mark.parametrize(("covers", "left"), [(True, False), (False, True)])
def test_sanitize_may_or_may_not_cover_boot_partitions(covers: bool, left: bool) -> None:
    one = device(MmcOptions(sanitizes_boot=covers), boot=True)
    one.areas[Area.RPMB].medium.data[:] = bytes(BOOT)
    for area in (0, 1, 2):
        switch(one, 179, area)
        erase(one, 0, 63 if area == 0 else 255, TRIM)
    switch(one, 165, 1)
    assert one.holds(OLD) == left


def test_the_rpmb_takes_no_erase() -> None:
    one = device(boot=True)
    switch(one, 179, 3)
    for opcode in (28, 35, 36, 38):
        with pytest.raises(MmcBusError):
            send(one, opcode, 0, R1B if opcode in {28, 38} else R1)
    assert send(one, 13, 1 << 16) & ILLEGAL
    assert OLD in one.areas[Area.RPMB].medium.data


def test_protected_groups_are_skipped_and_told() -> None:
    one = device()
    assert send(one, 28, 16, R1B) == READY_TRAN  # sectors 16 to 31
    response, bits = one.command(30, 0, ADTC, data_len=4)
    assert (response[0], bits) == (READY_TRAN, b"\0\0\0\x02")
    assert erase(one, 0, 63, TRIM) == WP_SKIP
    assert user(one)[16 * 512 : 32 * 512] == (OLD * 1000)[16 * 512 : 32 * 512]
    assert user(one)[: 16 * 512] == bytes(16 * 512)
    with pytest.raises(MmcBusError, match="WP_VIOLATION"):
        one.write(Area.USER, 31, bytes(512))
    one.write(Area.USER, 32, bytes(512))
    assert send(one, 29, 16, R1B) == READY_TRAN
    assert erase(one, 0, 63, TRIM) == 0
    assert send(one, 28, 64, R1B) & OUT_OF_RANGE


def test_groups_protected_until_power_on_cannot_be_cleared() -> None:
    one = device()
    assert switch(one, 171, 1) == 0
    send(one, 28, 0, R1B)
    send(one, 29, 0, R1B)
    assert send(one, 13, 1 << 16) & ERROR
    assert erase(one, 0, 63, TRIM) == WP_SKIP
    one.power_cycle()
    assert erase(one, 0, 63, TRIM) == 0


def test_boot_write_protection_until_power_on_and_for_good() -> None:
    one = device(boot=True)
    assert switch(one, 173, 1) == 0
    switch(one, 179, 2)
    assert erase(one, 0, 255, TRIM) == WP_SKIP
    assert OLD in one.read(Area.BOOT_2, 0, 256)
    one.power_cycle()
    assert switch(one, 173, 4) == 0
    assert ext_csd(one)[174] == 0b1010
    one.power_cycle()
    assert ext_csd(one)[174] == 0b1010
    with pytest.raises(MmcBusError, match="WP_VIOLATION"):
        one.write(Area.BOOT_1, 0, bytes(512))
    disabled = device(boot=True)
    assert switch(disabled, 173, 0x40) == 0
    assert switch(disabled, 173, 1) == SWITCH_ERROR
