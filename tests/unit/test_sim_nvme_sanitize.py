"""Sanitize of the simulated NVM subsystem, against the state machine of the specification."""

from __future__ import annotations

import struct
from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulators.nvme import SimulatedNvmeSubsystem
from simulators.nvme_sanitize import Sans
from simulators.nvme_types import (
    BROADCAST,
    DNR,
    NvmeOptions,
    Op,
    Remnant,
    Status,
)
from simulators.world import ManualClock, Medium

INVALID_FIELD = Status.INVALID_FIELD | DNR
EXIT_FAILURE, BLOCK, OVERWRITE, CRYPTO, EXIT_VERIFICATION = 1, 2, 3, 4, 5
AUSE, INVERT, NDAS, EMVS = 1 << 3, 1 << 8, 1 << 9, 1 << 10
VERS, NDI = 1 << 3, 1 << 29
OLD = b"old data in the way of the eraser"


def drive(count: int = 1, options: NvmeOptions | None = None, unallocated: int = 0) -> SimulatedNvmeSubsystem:
    media = [Medium(512, 64) for _ in range(count)]
    for medium in media:
        medium.data[:] = (OLD * 1000)[: len(medium.data)]
    return SimulatedNvmeSubsystem(ManualClock(), media, options, unallocated=(OLD * 1000)[:unallocated])


@dataclass(frozen=True)
class Log:
    sprog: int
    sstat: int
    cdw10: int
    estimates: tuple[int, ...]
    ssi: int

    @property
    def sos(self) -> int:
        return self.sstat & 7


def log(one: SimulatedNvmeSubsystem) -> Log:
    status, _, page = one.admin(0, Op.GET_LOG_PAGE, BROADCAST, 127 << 16 | 0x81, data_len=512)
    assert status == 0
    sprog, sstat, cdw10 = struct.unpack_from("<HHI", page)
    return Log(sprog, sstat, cdw10, struct.unpack_from("<6I", page, 8), page[36])


def sanitize(one: SimulatedNvmeSubsystem, cdw10: int, cdw11: int = 0, controller: int = 0) -> int:
    return one.admin(controller, Op.SANITIZE, 0, cdw10, cdw11)[0]


def content(one: SimulatedNvmeSubsystem, nsid: int = 1) -> bytes:
    status, data = one.read(0, nsid, 0, one.media.namespaces[nsid].medium.sectors)
    assert status is Status.SUCCESS
    return data


# Sanitize: what it does


def test_a_block_erase_runs_in_the_background_and_reports_progress() -> None:
    one = drive(2, unallocated=4096)
    assert log(one) == Log(0xFFFF, 0, 0, (1600, 40, 2, *(0xFFFFFFFF,) * 3), 0)
    assert sanitize(one, BLOCK) == 0
    assert (log(one).sos, log(one).sprog) == (2, 0)
    one.clock.sleep(10)
    assert log(one).sprog == 0x4000
    assert log(one).sos == 2
    assert one.read(0, 1, 0, 1)[0] is Status.SANITIZE_IN_PROGRESS
    assert one.write(0, 2, 0, bytes(512)) is Status.SANITIZE_IN_PROGRESS
    assert one.flush(0, 1) is Status.SUCCESS
    one.clock.sleep(30)
    assert (log(one).sprog, log(one).sos, log(one).cdw10) == (0xFFFF, 1, BLOCK)
    assert log(one).sstat & 0x100
    assert content(one, 1) == content(one, 2) == bytes(64 * 512)
    assert not one.holds(OLD)
    assert one.write(0, 1, 0, bytes(512)) is Status.SUCCESS
    assert not log(one).sstat & 0x100


@pytest.mark.parametrize(("owpass", "passes"), [(1, 1), (2, 2), (15, 15), (0, 16)])
def test_an_overwrite_makes_its_passes_and_zero_is_sixteen(owpass: int, passes: int) -> None:
    one = drive(1, NvmeOptions(deallocates=False))
    assert sanitize(one, OVERWRITE | owpass << 4 | INVERT, 0x11223344) == 0
    one.clock.sleep(100.0 * passes - 1)
    assert log(one).sos == 2
    assert log(one).sstat >> 3 & 0x1F == passes - 1
    one.clock.sleep(1)
    assert log(one).sos == 1
    assert log(one).sstat >> 3 & 0x1F == passes
    assert content(one) == b"\x44\x33\x22\x11" * (64 * 128)


def test_no_deallocate_keeps_what_the_erasure_left() -> None:
    one = drive()
    sanitize(one, BLOCK | NDAS)
    one.clock.sleep(40)
    assert content(one) == b"\xff" * (64 * 512)
    sanitize(one, CRYPTO | NDAS)
    one.clock.sleep(2)
    assert content(one) not in {b"\xff" * (64 * 512), bytes(64 * 512)}
    assert not one.holds(OLD)


def test_no_deallocate_inhibited_is_refused_or_ends_in_unexpected_deallocation() -> None:
    one = drive(1, NvmeOptions(sanicap=7 | NDI))
    assert sanitize(one, BLOCK | NDAS) == INVALID_FIELD
    assert sanitize(one, EXIT_FAILURE | NDAS) == 0  # ignored unless an operation starts
    one = drive(1, NvmeOptions(sanicap=7 | NDI, nodrm=True))
    assert sanitize(one, BLOCK | NDAS) == 0
    one.clock.sleep(40)
    assert log(one).sos == 4
    assert content(one) == bytes(64 * 512)


@pytest.mark.parametrize(("dlfeat", "byte"), [(0, b"\0"), (1, b"\0"), (2, b"\xff")])
def test_deallocated_blocks_read_as_dlfeat_says(dlfeat: int, byte: bytes) -> None:
    one = drive(1, NvmeOptions(dlfeat=dlfeat))
    sanitize(one, CRYPTO)
    one.clock.sleep(2)
    assert content(one) == byte * (64 * 512)


def test_estimates_are_reported_raw() -> None:
    told = (0xFFFFFFFF, 0, 1, 2, 3, 4)
    assert log(drive(1, NvmeOptions(estimates=told))).estimates == told


# Sanitize: what it refuses


@pytest.mark.parametrize(
    ("nsid", "cdw10", "cdw12"),
    [
        (0, 0, 0),  # SANACT 000b is reserved
        (0, 6, 0),
        (0, 7, 0),
        (0, EXIT_VERIFICATION, 0),
        (0, BLOCK | 1 << 11, 0),
        (0, BLOCK | 1 << 31, 0),
        (0, BLOCK, 1),
        (1, BLOCK, 0),
        (BROADCAST, BLOCK, 0),
        (0, BLOCK | EMVS, 0),  # VERS is clear
    ],
)
def test_sanitize_refuses_what_no_drive_takes(nsid: int, cdw10: int, cdw12: int) -> None:
    one = drive()
    assert one.admin(0, Op.SANITIZE, nsid, cdw10, 0, cdw12)[0] == INVALID_FIELD
    assert log(one).sos == 0
    assert content(one)[: len(OLD)] == OLD


@pytest.mark.parametrize("sanicap", range(8))
def test_sanitize_takes_only_the_actions_of_sanicap(sanicap: int) -> None:
    for action, bit in ((CRYPTO, 1), (BLOCK, 2), (OVERWRITE, 4)):
        one = drive(1, NvmeOptions(sanicap=sanicap))
        status = sanitize(one, action)
        if sanicap == 0:
            assert status == Status.INVALID_OPCODE | DNR
        else:
            assert status == (0 if sanicap & bit else INVALID_FIELD)


def test_sanitize_ignores_overwrite_fields_of_other_actions() -> None:
    assert sanitize(drive(), BLOCK | 5 << 4 | INVERT, 0x12345678) == 0
    assert sanitize(drive(), EXIT_FAILURE) == 0  # from Idle no error


def test_a_write_protected_namespace_refuses_sanitize_of_the_subsystem() -> None:
    one = drive(2)
    one.media.namespaces[2].write_protected = True
    assert sanitize(one, CRYPTO) == Status.NAMESPACE_WRITE_PROTECTED | DNR
    assert one.holds(OLD)


def test_while_it_runs_only_the_allowed_commands_pass_on_every_controller() -> None:
    one = drive(1, NvmeOptions(controllers=2))
    sanitize(one, BLOCK)
    for controller in (0, 1):
        for opcode, nsid, cdw10, length, allowed in (
            (Op.IDENTIFY, 0, 1, 4096, True),
            (Op.GET_LOG_PAGE, 0, 0x000F_0001, 64, True),
            (Op.GET_LOG_PAGE, 0, 0x007F_0002, 512, True),
            (Op.GET_LOG_PAGE, 0, 0x007F_0003, 512, False),
            (Op.SANITIZE, 0, BLOCK, 0, False),
            (Op.SANITIZE, 0, EXIT_FAILURE, 0, False),
            (Op.FORMAT_NVM, 1, 1 << 9, 0, False),
            (Op.SECURITY_RECEIVE, 0, 0, 512, False),
            (Op.NAMESPACE_MANAGEMENT, 1, 1, 0, False),
        ):
            status = one.admin(controller, opcode, nsid, cdw10, data_len=length)[0]
            assert status == (0 if allowed else Status.SANITIZE_IN_PROGRESS), opcode


# Sanitize: failures


def fail(one: SimulatedNvmeSubsystem, cdw10: int) -> None:
    one.faults.sanitize_fails_at = 0.5
    assert sanitize(one, cdw10) == 0
    one.clock.sleep(40)
    assert log(one).sos == 3
    one.faults.sanitize_fails_at = None


def test_a_restricted_failure_clears_only_through_a_restricted_sanitize() -> None:
    one = drive()
    fail(one, BLOCK)
    assert log(one).sprog == 0xFFFF
    assert one.holds(OLD)
    for refused in (EXIT_FAILURE, BLOCK | AUSE, CRYPTO | AUSE):
        assert sanitize(one, refused) == Status.SANITIZE_FAILED | DNR
    assert sanitize(one, EXIT_VERIFICATION) == INVALID_FIELD
    assert one.read(0, 1, 0, 1)[0] is Status.SANITIZE_FAILED
    assert one.admin(0, Op.FORMAT_NVM, 1, 1 << 9)[0] == Status.SANITIZE_FAILED | DNR
    one.power_cycle()
    assert sanitize(one, EXIT_FAILURE) == Status.SANITIZE_FAILED | DNR
    assert sanitize(one, BLOCK) == 0
    one.clock.sleep(40)
    assert log(one).sos == 1
    assert not one.holds(OLD)


def test_an_unrestricted_failure_can_be_left_and_still_tells_that_it_failed() -> None:
    one = drive()
    fail(one, BLOCK | AUSE)
    assert one.read(0, 1, 0, 1)[0] is Status.SANITIZE_FAILED
    assert sanitize(one, EXIT_FAILURE) == 0
    assert log(one).sos == 3
    data = content(one)
    assert data[: len(data) // 2] == b"\xff" * (len(data) // 2)
    assert data[len(data) // 2 :] == (OLD * 1000)[len(data) // 2 : len(data)]


def test_the_state_field_is_told_only_by_drives_that_support_verification() -> None:
    silent, telling = drive(), drive(1, NvmeOptions(sanicap=7 | VERS))
    for one, expected in ((silent, [0, 0, 0, 0]), (telling, [1, 0x12, 3, 0x34])):
        seen = []
        for cdw10 in (BLOCK, BLOCK | AUSE):
            one.faults.sanitize_fails_at = 0.5
            sanitize(one, cdw10)
            seen.append(log(one).ssi)
            one.clock.sleep(40)
            seen.append(log(one).ssi)
            one.faults.sanitize_fails_at = None
            sanitize(one, BLOCK)
            one.clock.sleep(40)
        assert seen == expected


def test_media_verification_shows_the_erased_media_and_ends_in_deallocation() -> None:
    one = drive(1, NvmeOptions(sanicap=7 | VERS))
    assert sanitize(one, OVERWRITE | EMVS) == INVALID_FIELD
    assert sanitize(one, BLOCK | EMVS | NDAS) == INVALID_FIELD
    assert sanitize(one, BLOCK | EMVS) == 0
    one.clock.sleep(40)
    assert (log(one).sos, log(one).ssi, log(one).sprog) == (2, 5, 0xFFFF)
    assert content(one) == b"\xff" * (64 * 512)
    assert one.write(0, 1, 0, bytes(512)) is Status.SANITIZE_IN_PROGRESS
    assert sanitize(one, BLOCK) == INVALID_FIELD
    assert sanitize(one, EXIT_VERIFICATION) == 0
    assert (log(one).sos, log(one).ssi) == (2, 6)
    assert sanitize(one, EXIT_VERIFICATION) == Status.SANITIZE_IN_PROGRESS
    one.clock.sleep(5)
    assert (log(one).sos, log(one).ssi) == (1, 0)
    assert content(one) == bytes(64 * 512)


def test_a_reset_cancels_media_verification() -> None:
    one = drive(1, NvmeOptions(sanicap=7 | VERS))
    sanitize(one, BLOCK | EMVS)
    one.controller_reset()
    one.clock.sleep(40)
    assert log(one).sos == 1
    assert log(one).sstat & 0x200


# Sanitize: power, lies and other faults


def test_sanitize_goes_on_after_power_cycles_and_resets_but_not_without_power() -> None:
    one = drive()
    sanitize(one, BLOCK)
    one.clock.sleep(10)
    one.power_cycle(seconds_off=1000)
    assert (log(one).sos, log(one).sprog) == (2, 0x4000)
    one.controller_reset()
    one.suspend_resume()
    one.hot_unplug()
    one.clock.sleep(1000)
    one.replug()
    assert (log(one).sos, log(one).sprog) == (2, 0x4000)
    one.clock.sleep(30)
    assert log(one).sos == 1


@given(
    cuts=st.lists(st.tuples(st.floats(0, 30), st.floats(0, 5)), max_size=5),
    cdw10=st.sampled_from([BLOCK, CRYPTO, OVERWRITE | 1 << 4, BLOCK | AUSE, CRYPTO | NDAS]),
    fails_at=st.sampled_from([None, 0.0, 0.3]),
)
@settings(max_examples=60, deadline=None)
def test_whatever_the_power_does_the_state_is_legal_and_success_means_erased(
    cuts: list[tuple[float, float]], cdw10: int, fails_at: float | None
) -> None:
    one = drive(1, NvmeOptions(sanicap=7 | VERS))
    one.faults.sanitize_fails_at = fails_at
    assert sanitize(one, cdw10) == 0
    for seconds, off in cuts:
        one.clock.sleep(seconds)
        one.power_cycle(off)
        told = log(one)
        state = Sans(told.ssi & 0xF)
        assert told.cdw10 == cdw10
        assert told.sos == {0: 1, 1: 2, 2: 3, 3: 2, 4: 3}[state]
        assert (told.sprog == 0xFFFF) == (told.sos != 2)
    one.clock.sleep(1000)
    assert log(one).sos == (1 if fails_at is None else 3)
    assert one.holds(OLD) == (fails_at is not None)


def test_a_success_of_the_past_survives_and_looks_like_one_of_today() -> None:
    one = drive()
    one.sanitize.pretend_earlier_success(CRYPTO)
    one.power_cycle()
    assert (log(one).sos, log(one).cdw10, log(one).sprog) == (1, CRYPTO, 0xFFFF)
    one.faults.sanitize_ignored = True
    assert sanitize(one, BLOCK) == 0
    assert (log(one).sos, log(one).cdw10) == (1, CRYPTO)
    assert content(one)[: len(OLD)] == OLD


def test_instant_success() -> None:
    one = drive(1, NvmeOptions(crypto_erase_seconds=0))
    assert sanitize(one, CRYPTO) == 0
    assert log(one).sos == 1


def test_stuck_for_ever() -> None:
    one = drive()
    one.faults.sanitize_sticks_at = 0.25
    sanitize(one, BLOCK)
    for _ in range(3):
        one.clock.sleep(1e6)
        one.power_cycle()
        assert (log(one).sos, log(one).sprog) == (2, 0x4000)
    assert one.holds(OLD)


def test_a_reset_that_makes_the_drive_forget() -> None:
    one = drive()
    one.faults.forgets_status_on_reset = True
    sanitize(one, BLOCK)
    one.controller_reset()
    assert log(one).sos == 0
    assert one.holds(OLD)


@pytest.mark.parametrize(
    ("remnant", "left"),
    [
        (Remnant(), {0, 1, 2}),
        (Remnant(nsid=2), {2}),
        (Remnant(nsid=1, lbas=range(3, 5)), {1}),
        (Remnant(nsid=0), {0}),
    ],
)
def test_a_lying_sanitize_leaves_data_where_it_was_told_to(remnant: Remnant, left: set[int]) -> None:
    one = drive(2, unallocated=4096)
    one.faults.leaves = (remnant,)
    before = content(one, 1)
    sanitize(one, BLOCK)
    one.clock.sleep(40)
    assert log(one).sos == 1
    places = {0: bytes(one.media.unallocated), 1: content(one, 1), 2: content(one, 2)}
    assert {nsid for nsid, data in places.items() if OLD in data} == left
    if remnant.lbas is not None:
        assert places[1] == bytes(3 * 512) + before[3 * 512 : 5 * 512] + bytes(59 * 512)
