"""The simulated eMMC device against JESD84-B51: erase sequences, sanitize, what stays in the chips."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulators.mmc import SimulatedEmmc
from simulators.mmc_types import Area, MmcBusError, MmcOptions
from simulators.world import ManualClock, Medium, PowerCut

R1, R1B, ADTC = 0x15, 0x1D, 0x15 | 1 << 5
ERASE, TRIM, DISCARD = 0x0, 0x1, 0x3
SECURE_ERASE, SECURE_TRIM_1, SECURE_TRIM_2 = 0x80000000, 0x80000001, 0x80008000
OUT_OF_RANGE, MISALIGN, SEQ_ERROR, PARAM, ILLEGAL, ERROR = (
    1 << 31,
    1 << 30,
    1 << 28,
    1 << 27,
    1 << 22,
    1 << 19,
)
RESET, SWITCH_ERROR = 1 << 13, 1 << 7
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


# Erase sequences


def test_trim_erases_exactly_its_sectors() -> None:
    one = device()
    assert erase(one, 3, 5, TRIM) == 0
    data = user(one)
    assert data[3 * 512 : 6 * 512] == bytes(3 * 512)
    assert data[: 3 * 512] == (OLD * 100)[: 3 * 512]
    assert one.clock.monotonic() == pytest.approx(0.3)


def test_erase_takes_the_whole_erase_groups() -> None:
    one = device()
    assert erase(one, 9, 9, ERASE) == 0
    assert user(one)[8 * 512 : 16 * 512] == bytes(8 * 512)
    assert OLD in user(one)[: 8 * 512]
    assert OLD in user(one)[16 * 512 :]
    assert switch(one, 175, 1) == 0  # 512 KiB groups: all of this small device
    assert erase(one, 63, 63, ERASE) == 0
    assert user(one) == bytes(64 * 512)


def test_erased_memory_reads_as_erased_mem_cont_says() -> None:
    one = device(MmcOptions(erased_mem_cont=1))
    assert erase(one, 0, 63, TRIM) == 0
    assert user(one) == b"\xff" * (64 * 512)
    assert ext_csd(one)[181] == 1


@pytest.mark.parametrize(("unmaps", "readable"), [(0.0, 64), (0.5, 32), (1.0, 0)])
def test_discard_may_leave_data_readable(unmaps: float, readable: int) -> None:
    one = device(MmcOptions(discard_unmaps=unmaps))
    assert erase(one, 0, 63, DISCARD) == 0
    assert switch(one, 165, 1) == 0
    assert user(one) == bytes((64 - readable) * 512) + (OLD * 1000)[(64 - readable) * 512 : 64 * 512]


@pytest.mark.parametrize(
    ("commands", "expected"),
    [
        ([(38, TRIM)], SEQ_ERROR),
        ([(36, 5)], SEQ_ERROR),
        ([(35, 1), (38, TRIM)], SEQ_ERROR),
        ([(35, 1), (36, 2), (36, 3)], SEQ_ERROR),
        ([(36, 5), (35, 1), (38, TRIM)], SEQ_ERROR),
        ([(35, 1), (36, 2), (38, TRIM), (38, TRIM)], SEQ_ERROR),
        ([(35, 64)], OUT_OF_RANGE),
        ([(35, 1), (36, 64)], OUT_OF_RANGE),
        ([(35, 1), (36, 64), (38, TRIM)], OUT_OF_RANGE | SEQ_ERROR),
        ([(35, 5), (36, 2), (38, TRIM)], PARAM),
        ([(35, 1), (36, 2), (38, 0x2)], ERROR),
        ([(35, 1), (36, 2), (38, 0x8000)], ERROR),
        ([(35, 1), (36, 2), (38, 0x80008001)], ERROR),
    ],
)
def test_erase_sequences_are_checked(commands: list[tuple[int, int]], expected: int) -> None:
    one = device()
    bits = 0
    for opcode, arg in commands:
        bits |= send(one, opcode, arg, R1B if opcode == 38 else R1)
    bits |= send(one, 13, 1 << 16)
    assert bits & ~0x1FFF == expected
    if expected != SEQ_ERROR or len(commands) < 4:
        assert OLD in user(one)[: 4 * 512]


def test_another_command_resets_the_sequence_but_a_status_does_not() -> None:
    one = device()
    send(one, 35, 1)
    assert send(one, 13, 1 << 16) == READY_TRAN
    send(one, 36, 2)
    assert one.command(8, 0, ADTC, data_len=512)[0][0] & RESET
    assert send(one, 38, TRIM, R1B) & SEQ_ERROR


def test_a_small_device_is_addressed_in_bytes() -> None:
    one = device(MmcOptions(byte_addressed=True))
    assert erase(one, 3 * 512, 5 * 512, TRIM) == 0
    assert user(one)[3 * 512 : 6 * 512] == bytes(3 * 512)
    assert send(one, 35, 100) & MISALIGN
    assert send(one, 35, 64 * 512) & OUT_OF_RANGE


@pytest.mark.parametrize(
    ("support", "revision", "allowed"),
    [
        (0x00, 8, {ERASE, DISCARD}),
        (0x01, 8, {ERASE, DISCARD, SECURE_ERASE}),
        (0x10, 8, {ERASE, DISCARD, TRIM}),
        (0x11, 8, {ERASE, DISCARD, TRIM, SECURE_ERASE, SECURE_TRIM_1, SECURE_TRIM_2}),
        (0x11, 5, {ERASE, TRIM, SECURE_ERASE, SECURE_TRIM_1, SECURE_TRIM_2}),
    ],
)
def test_only_supported_kinds_are_taken(support: int, revision: int, allowed: set[int]) -> None:
    for kind in (ERASE, TRIM, DISCARD, SECURE_ERASE, SECURE_TRIM_1, SECURE_TRIM_2):
        one = device(MmcOptions(sec_feature_support=support, ext_csd_rev=revision))
        assert erase(one, 0, 63, kind) == (0 if kind in allowed else ERROR)


@pytest.mark.parametrize(("support", "revision"), [(0x15, 8), (0x55, 5)])
def test_sanitize_is_refused_without_support(support: int, revision: int) -> None:
    one = device(MmcOptions(sec_feature_support=support, ext_csd_rev=revision))
    assert switch(one, 165, 1) == SWITCH_ERROR


def test_secure_trim_marks_then_erases_all_marks_but_not_what_was_written_since() -> None:
    one = device()
    assert erase(one, 0, 9, SECURE_TRIM_1) == 0
    assert erase(one, 20, 29, SECURE_TRIM_1) == 0
    assert OLD in user(one)[: 512 * 10]
    one.write(Area.USER, 4, b"n" * 512)
    assert erase(one, 0, 0, SECURE_TRIM_2) == 0
    data = user(one)
    assert data[: 4 * 512] + data[5 * 512 : 10 * 512] == bytes(9 * 512)
    assert data[4 * 512 : 5 * 512] == b"n" * 512
    assert data[20 * 512 : 30 * 512] == bytes(10 * 512)
    assert OLD in data[30 * 512 :]


def test_secure_trim_marks_do_not_outlast_power_or_a_partition_switch() -> None:
    one = device(boot=True)
    erase(one, 0, 63, SECURE_TRIM_1)
    one.power_cycle()
    erase(one, 0, 63, SECURE_TRIM_2)
    assert OLD in user(one)
    erase(one, 0, 63, SECURE_TRIM_1)
    switch(one, 179, 1)
    switch(one, 179, 0)
    erase(one, 0, 63, SECURE_TRIM_2)
    assert OLD in user(one)


# What stays in the chips


def test_trim_keeps_the_data_in_the_chips_until_sanitize() -> None:
    one = device()
    erase(one, 0, 63, TRIM)
    assert OLD not in user(one)
    assert one.holds(OLD)
    assert switch(one, 165, 1) == 0
    assert one.clock.monotonic() == pytest.approx(30.3)
    assert not one.holds(OLD)


def test_an_overwrite_keeps_the_old_data_in_the_chips_until_sanitize() -> None:
    one = device()
    one.write(Area.USER, 0, bytes(64 * 512))
    assert one.holds(OLD)
    switch(one, 165, 1)
    assert not one.holds(OLD)


def test_sanitize_leaves_what_is_still_mapped() -> None:
    one = device()
    assert switch(one, 165, 1) == 0
    assert OLD in user(one)


@pytest.mark.parametrize("kind", [SECURE_ERASE, SECURE_TRIM_1])
def test_secure_kinds_leave_nothing_in_the_chips(kind: int) -> None:
    one = device()
    one.write(Area.USER, 0, b"newer" * 512 + bytes(512 * 3))
    erase(one, 0, 63, kind)
    if kind == SECURE_TRIM_1:
        erase(one, 0, 63, SECURE_TRIM_2)
    assert not one.holds(OLD)
    assert not one.holds(b"newer")


def test_secure_erase_of_a_part_keeps_former_copies_of_the_rest() -> None:
    one = device()
    one.write(Area.USER, 0, bytes(16 * 512))
    erase(one, 0, 7, SECURE_ERASE)
    assert [(at, len(old)) for at, old in one.areas[Area.USER].unmapped] == [(8 * 512, 8 * 512)]


def test_a_lying_sanitize_takes_its_time_and_leaves_everything() -> None:
    one = device()
    one.faults.sanitize_lies = True
    erase(one, 0, 63, TRIM)
    assert switch(one, 165, 1) == 0
    assert one.clock.monotonic() > 30
    assert one.holds(OLD)
    assert OLD not in user(one)
    one.faults.reverts_on_power_cycle = True
    one.power_cycle()
    assert OLD in user(one)


def test_a_lying_erase_leaves_sectors_readable() -> None:
    one = device()
    one.faults.erase_leaves = range(10, 12)
    for kind in (TRIM, SECURE_ERASE):
        assert erase(one, 0, 63, kind) == 0
        assert user(one) == bytes(10 * 512) + (OLD * 1000)[10 * 512 : 12 * 512] + bytes(52 * 512)


# Busy, power


def test_while_busy_only_the_status_answers() -> None:
    one = device()
    one.command(6, 3 << 24 | 165 << 16 | 1 << 8, R1)  # a host that does not wait
    assert send(one, 13, 1 << 16) == 7 << 9
    with pytest.raises(MmcBusError):
        send(one, 35, 0)
    with pytest.raises(MmcBusError, match="busy"):
        user(one)
    one.clock.sleep(30)
    assert send(one, 13, 1 << 16) == READY_TRAN | ILLEGAL
    assert OLD in user(one)


def test_a_sanitize_that_never_ends() -> None:
    one = device()
    one.faults.sanitize_sticks = True
    erase(one, 0, 63, TRIM)
    with pytest.raises(MmcBusError, match="for ever"):
        send(one, 6, 3 << 24 | 165 << 16 | 1 << 8, R1B)
    one.clock.sleep(1e6)
    assert send(one, 13, 1 << 16) == 7 << 9
    one.power_cycle()
    assert send(one, 13, 1 << 16) == READY_TRAN
    assert one.holds(OLD)


def test_a_power_cut_midway_through_an_erase_leaves_the_rest() -> None:
    one = device()
    one.faults.power_cut_at = 0.5
    with pytest.raises(PowerCut):
        erase(one, 0, 63, TRIM)
    one.power_cycle()
    assert user(one) == bytes(32 * 512) + (OLD * 1000)[32 * 512 : 64 * 512]
    assert send(one, 13, 1 << 16) == READY_TRAN


def test_a_power_cut_midway_through_a_sanitize_must_be_followed_by_another() -> None:
    one = device()
    for first in range(0, 64, 8):
        erase(one, first, first + 7, TRIM)
    one.faults.power_cut_at = 0.55
    with pytest.raises(PowerCut):
        switch(one, 165, 1)
    one.power_cycle()
    assert one.holds(OLD)
    assert len(one.areas[Area.USER].unmapped) == 4
    assert switch(one, 165, 1) == 0
    assert not one.holds(OLD)


@given(
    steps=st.lists(
        st.tuples(
            st.sampled_from([ERASE, TRIM, DISCARD, SECURE_ERASE, SECURE_TRIM_1, SECURE_TRIM_2, 165]),
            st.integers(0, 63),
            st.integers(0, 63),
            st.sampled_from([None, 0.0, 0.3, 0.9]),
        ),
        max_size=6,
    )
)
@settings(max_examples=100, deadline=None)
def test_whatever_the_power_does_the_device_comes_back_and_can_be_erased(
    steps: list[tuple[int, int, int, float | None]],
) -> None:
    one = device()
    for kind, first, last, cut in steps:
        one.faults.power_cut_at = cut
        try:
            if kind == 165:
                switch(one, 165, 1)
            else:
                erase(one, min(first, last), max(first, last), kind)
        except PowerCut:
            one.power_cycle()
        one.faults.power_cut_at = None
        assert send(one, 13, 1 << 16) == READY_TRAN
        assert len(user(one)) == 64 * 512
    assert erase(one, 0, 63, TRIM) == 0
    assert switch(one, 165, 1) == 0
    assert not one.holds(OLD)
    assert user(one) == bytes(64 * 512)
