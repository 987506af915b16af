"""The simulated ATA drive keeps to the Sanitize Device feature set (ACS-4 clause 4.17)."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from simulators.ata_host import OLD_DATA, USER, Host, ok
from simulators.ata_options import AtaOptions, Freeze, Opcode, Outputs
from simulators.ata_sanitize import SanitizeState as State
from simulators.ports_media import Lie, PowerEvent, Technique

COMPLETED, RUNNING, FROZEN, ANTIFREEZE = 0x8000, 0x4000, 0x2000, 0x1000
FAILURE_MODE = 0x10
IDLE = 0xFFFF
MAYBE = AtaOptions(sanitize_fails_at=0.5)
"""A drive on which operations fail; see ``heal``."""


def heal(host: Host) -> None:
    """From now on operations on this drive succeed."""
    host.drive.sanitize._options = replace(host.drive.options, sanitize_fails_at=None)


def in_state(state: str) -> Host:
    """SD3 comes in two kinds: ``SD3`` after an operation without FAILURE MODE, ``SD3F`` with."""
    host = Host(MAYBE if state.startswith("SD3") else AtaOptions())
    if state == "SD1":
        assert ok(host.sanitize_freeze())
    if state in {"SD2", "SD4", "SD3", "SD3F"}:
        assert ok(host.block_erase(FAILURE_MODE if state == "SD3F" else 0))
    if state in {"SD4", "SD3", "SD3F"}:
        host.clock.sleep(60)
        host.drive.settle()
    heal(host)
    assert host.drive.sanitize.state is State[state[:3]]
    return host


COMMANDS: dict[str, Callable[[Host], Outputs]] = {
    "STATUS": Host.sanitize_status,
    "STATUS clear": lambda h: h.sanitize_status(clear=True),
    "CRYPTO SCRAMBLE": Host.crypto_scramble,
    "BLOCK ERASE": Host.block_erase,
    "OVERWRITE": Host.overwrite,
    "BLOCK ERASE failure mode": lambda h: h.block_erase(FAILURE_MODE),
    "FREEZE LOCK": Host.sanitize_freeze,
    "ANTIFREEZE LOCK": Host.antifreeze,
    "IDENTIFY DEVICE": lambda h: h.pio_in(Opcode.IDENTIFY_DEVICE),
    "SMART RETURN STATUS": lambda h: h.non_data(Opcode.SMART, 0xDA, lba=0xC24F00),
    "SMART READ DATA": lambda h: h.pio_in(Opcode.SMART, 0xD0, lba=0xC24F00),
    "READ SECTORS EXT": Host.read,
    "WRITE SECTORS EXT": lambda h: h.write(0, bytes(512)),
    "FLUSH CACHE EXT": Host.flush,
    "READ NATIVE MAX": Host.read_native_max,
    "SET PASSWORD": Host.set_password,
    "SECURITY FREEZE LOCK": Host.freeze,
    "DCO RESTORE": lambda h: h.dco(0xC0),
}
# What follows from SD0, SD1, SD2, SD3 (FAILURE MODE zero), SD3 (FAILURE MODE one), SD4; a dash is "aborted".
TABLE = """
STATUS                    SD0 SD1 SD2 -   -   SD4
STATUS clear              SD0 SD1 SD2 -   SD0 SD4
CRYPTO SCRAMBLE           SD2 -   -   SD2 SD2 SD2
BLOCK ERASE               SD2 -   -   SD2 SD2 SD2
OVERWRITE                 SD2 -   -   SD2 SD2 SD2
BLOCK ERASE failure mode  SD2 -   -   -   SD2 SD2
FREEZE LOCK               SD1 SD1 -   -   -   SD1
ANTIFREEZE LOCK           SD0 -   SD2 SD3 SD3 SD4
IDENTIFY DEVICE           SD0 SD1 SD2 SD3 SD3 SD4
SMART RETURN STATUS       SD0 SD1 SD2 SD3 SD3 SD4
SMART READ DATA           SD0 SD1 -   -   -   SD4
READ SECTORS EXT          SD0 SD1 -   -   -   SD4
WRITE SECTORS EXT         SD0 SD1 -   -   -   SD4
FLUSH CACHE EXT           SD0 SD1 -   -   -   SD4
READ NATIVE MAX           SD0 SD1 -   -   -   SD4
SET PASSWORD              SD0 SD1 -   -   -   SD4
SECURITY FREEZE LOCK      SD0 SD1 -   -   -   SD4
DCO RESTORE               -   -   -   -   -   -
"""
STATES = ("SD0", "SD1", "SD2", "SD3", "SD3F", "SD4")
CASES = [
    pytest.param(line[:26].strip(), state, line[26:].split()[column], id=f"{line[:26].strip()} in {state}")
    for line in TABLE.strip().splitlines()
    for column, state in enumerate(STATES)
]


@pytest.mark.parametrize(("command", "state", "expected"), CASES)
def test_state_table(command: str, state: str, expected: str) -> None:
    host = in_state(state)
    assert ok(COMMANDS[command](host)) is (expected != "-")
    assert host.drive.sanitize.state is State[state[:3] if expected == "-" else expected]


def test_table_is_complete() -> None:
    assert {case.values[0] for case in CASES} == set(COMMANDS)


def test_status_follows_an_operation() -> None:
    host = Host()
    assert host.sanitize_status()[2:4] == (0, IDLE)
    assert host.block_erase()[2:4] == (RUNNING, 0)
    host.clock.sleep(15)
    count, progress = host.sanitize_status()[2:4]
    assert (count, progress) == (RUNNING, 32768)
    assert len(host.sectors_with_old_data()) == 64
    host.clock.sleep(14.9)
    assert host.sanitize_status().count == RUNNING
    host.clock.sleep(0.2)
    assert host.sanitize_status()[2:4] == (COMPLETED, IDLE)
    assert host.sectors_with_old_data() == []


@pytest.mark.parametrize(
    ("state", "command", "reason"),
    [
        ("SD0", lambda h: h.sanitize(0x0013), 2),
        ("SD0", lambda h: h.sanitize(0x0012, 0, 0x426B4573), 0),
        ("SD1", Host.crypto_scramble, 3),
        ("SD1", Host.antifreeze, 3),
        ("SD2", Host.crypto_scramble, 0),
        ("SD3", Host.sanitize_status, 1),
        ("SD3F", Host.sanitize_status, 1),
        ("SD3", lambda h: h.sanitize_status(clear=True), 1),
    ],
)
def test_reasons(state: str, command: Callable[[Host], Outputs], reason: int) -> None:
    outputs = command(in_state(state))
    assert not ok(outputs)
    assert outputs.lba & 0xFF == reason


@pytest.mark.parametrize("technique", list(Technique)[2:5])
def test_unsupported_operation(technique: Technique) -> None:
    supported = AtaOptions().sanitize - {technique}
    host = Host(AtaOptions(sanitize=supported))
    command = {Technique.CRYPTO: Host.crypto_scramble, Technique.BLOCK: Host.block_erase}.get(
        technique, Host.overwrite
    )
    outputs = command(host)
    assert not ok(outputs)
    assert outputs.lba & 0xFF == 2
    bit = {Technique.CRYPTO: 13, Technique.OVERWRITE: 14, Technique.BLOCK: 15}[technique]
    assert not host.identify_word(59) >> bit & 1
    assert host.identify_word(59) >> 12 & 1


def test_no_sanitize_at_all() -> None:
    host = Host(AtaOptions(sanitize=frozenset()))
    assert host.identify_word(59) == 0
    assert not ok(host.sanitize_status())


KEYS = {0x0011: 0x43727970, 0x0012: 0x426B4572, 0x0014: 0x4F57 << 32, 0x0020: 0x46724C6B, 0x0040: 0x416E7469}


@pytest.mark.parametrize("feature", KEYS)
@given(wrong=st.integers(1, (1 << 48) - 1))
def test_only_the_exact_key_starts_anything(feature: int, wrong: int) -> None:
    if feature == 0x0014:
        wrong &= 0xFFFF << 32  # The rest is the pattern.
    host = Host()
    accepted = ok(host.sanitize(feature, 1 if feature == 0x0014 else 0, KEYS[feature] ^ wrong))
    assert accepted is (wrong == 0)
    assert (host.drive.sanitize.state is State.SD0) is (not accepted)


@pytest.mark.parametrize("feature", KEYS)
@pytest.mark.parametrize("bit", range(16))
def test_reserved_count_bits(feature: int, bit: int) -> None:
    allowed = {0x0011: 0x8010, 0x0012: 0x8010, 0x0014: 0x80DF}.get(feature, 0)
    assert ok(Host().sanitize(feature, 1 << bit, KEYS[feature])) is bool(allowed >> bit & 1)


def test_28_bit_and_data_forms_are_aborted() -> None:
    host = Host()
    assert not ok(host.non_data(Opcode.SANITIZE_DEVICE, 0x12, 0, 0x426B4572))
    assert not ok(host.pio_in(Opcode.SANITIZE_DEVICE, 0x12, 0, 0x426B4572, ext=True))
    assert host.drive.sanitize.state is State.SD0


@pytest.mark.parametrize(
    ("count", "seconds", "final"),
    [
        (0x01, 1, b"\x11\x22\x33\x44"),
        (0x03, 3, b"\x11\x22\x33\x44"),
        (0x00, 16, b"\x11\x22\x33\x44"),
        (0x82, 2, b"\xee\xdd\xcc\xbb"),
        (0x83, 3, b"\x11\x22\x33\x44"),
        (0xC2, 2, b"\x11\x22\x33\x44"),
        (0x80, 16, b"\xee\xdd\xcc\xbb"),
    ],
)
def test_overwrite_passes_and_pattern(count: int, seconds: int, final: bytes) -> None:
    host = Host(AtaOptions(overwrite_s=1))
    assert ok(host.overwrite(count, 0x44332211))
    host.clock.sleep(seconds - 0.01)
    assert host.sanitize_status().count == RUNNING
    host.clock.sleep(0.02)
    assert host.sanitize_status().count == COMPLETED
    assert host.medium.data == final * (len(host.medium.data) // 4)


def test_crypto_scramble_leaves_noise() -> None:
    host = Host()
    assert ok(host.crypto_scramble())
    host.clock.sleep(3)
    assert host.sectors_with_old_data() == []
    assert len(set(host.medium.data)) > 200


class TestPower:
    def test_operation_goes_on_after_a_power_cycle(self) -> None:
        host = in_state("SD2")
        host.clock.sleep(10)
        host.drive.power_off()
        host.clock.sleep(1000)
        host.drive.power_on()
        assert host.sanitize_status().count == RUNNING
        assert not ok(host.read())
        host.clock.sleep(20.1)
        assert host.sanitize_status().count == COMPLETED

    def test_completed_bit_outlives_power_but_state_does_not(self) -> None:
        host = in_state("SD4")
        host.power_cycle()
        assert host.drive.sanitize.state is State.SD0
        assert host.sanitize_status().count == COMPLETED

    def test_stale_completed_bit_of_a_former_run(self) -> None:
        host = Host(AtaOptions(sanitize_completed_before=True))
        assert host.sanitize_status()[2:4] == (COMPLETED, IDLE)
        assert len(host.sectors_with_old_data()) == 64
        assert host.block_erase().count == RUNNING

    @pytest.mark.parametrize("state", ["SD3", "SD3F"])
    def test_failure_outlives_power(self, state: str) -> None:
        host = in_state(state)
        host.power_cycle()
        assert not ok(host.sanitize_status())
        assert not ok(host.read())
        assert ok(host.sanitize_status(clear=True)) is (state == "SD3F")

    def test_freeze_ends_with_power(self) -> None:
        host = in_state("SD1")
        assert host.sanitize_status().count == FROZEN
        host.power_cycle()
        assert ok(host.block_erase())

    def test_antifreeze_keeps_the_bios_out_until_power_goes(self) -> None:
        host = Host()
        assert host.antifreeze().count == ANTIFREEZE
        outputs = host.sanitize_freeze()
        assert not ok(outputs)
        assert outputs.lba == 4
        host.power_cycle()
        assert ok(host.sanitize_freeze())

    @pytest.mark.parametrize("event", list(PowerEvent))
    def test_frozen_by_bios(self, event: PowerEvent) -> None:
        host = Host(AtaOptions(bios_freezes_sanitize=Freeze.AT_BOOT))
        assert host.drive.sanitize.state is State.SD1
        host.drive.power_off()
        host.drive.power_on(event)
        assert (host.drive.sanitize.state is State.SD1) is (event is PowerEvent.BOOT)

    def test_locked_drive_still_sanitizes_what_was_begun_and_unlocks_meanwhile(self) -> None:
        host = Host()
        assert ok(host.set_password())
        assert ok(host.block_erase())
        host.power_cycle()
        assert not ok(host.crypto_scramble())
        assert host.sanitize_status().count == RUNNING
        assert ok(host.unlock())
        host.clock.sleep(60)
        assert host.sanitize_status().count == COMPLETED
        assert host.identify_word(128) & 2


class TestFaults:
    def test_failure_leaves_the_rest(self) -> None:
        host = in_state("SD3")
        assert host.sectors_with_old_data() == list(range(32, 64))

    def test_a_new_operation_leads_out_of_failure(self) -> None:
        host = in_state("SD3")
        assert ok(host.crypto_scramble())
        host.clock.sleep(3)
        assert host.sanitize_status().count == COMPLETED
        assert ok(host.read())

    def test_bad_sector_fails_it(self) -> None:
        host = Host()
        host.medium.bad.add(63)
        assert ok(host.block_erase())
        host.clock.sleep(31)
        assert host.sanitize_status()[1:4] == (4, 0, 1)
        assert host.sectors_with_old_data() == [63]

    def test_stuck_for_ever(self) -> None:
        host = Host(AtaOptions(progress_stuck_at=0.25))
        assert ok(host.block_erase())
        for _ in range(5):
            host.clock.sleep(1e6)
            assert host.sanitize_status()[2:4] == (RUNNING, 16384)
        host.power_cycle()
        assert host.sanitize_status().count == RUNNING

    @pytest.mark.parametrize("instantly", [False, True])
    def test_lie(self, instantly: bool) -> None:
        host = Host(AtaOptions(lie=Lie(instantly=instantly)))
        assert ok(host.block_erase())
        assert host.sanitize_status().count == (COMPLETED if instantly else RUNNING)
        host.clock.sleep(31)
        assert host.sanitize_status().count == COMPLETED
        assert len(host.sectors_with_old_data()) == 64

    def test_lie_about_the_hidden_area(self) -> None:
        host = Host(AtaOptions(hpa_sectors=48, lie=Lie(leaves=(), leaves_hidden=True)))
        assert ok(host.set_max(64))
        assert ok(host.block_erase())
        host.clock.sleep(31)
        assert host.sanitize_status().count == COMPLETED
        assert host.sectors_with_old_data() == list(range(48, 64))
        assert host.read(50).data_in == bytes((OLD_DATA,)) * 512

    def test_scope_is_everything(self) -> None:
        host = Host(AtaOptions(hpa_sectors=10, dco_sectors=20))
        assert ok(host.block_erase())
        host.clock.sleep(31)
        assert host.sectors_with_old_data() == []


@given(
    steps=st.lists(
        st.one_of(st.sampled_from(sorted(COMMANDS)), st.floats(0, 40), st.sampled_from(list(PowerEvent))),
        max_size=15,
    ),
    fails=st.booleans(),
)
def test_any_sequence_with_power_cuts_keeps_a_legal_state(
    steps: list[str | float | PowerEvent], fails: bool
) -> None:
    host = Host(AtaOptions(sanitize_fails_at=0.5 if fails else None, overwrite_s=20))
    for step in steps:
        if isinstance(step, str):
            COMMANDS[step](host)
        elif isinstance(step, PowerEvent):
            host.drive.power_off()
            host.drive.power_on(step)
            assert host.drive.sanitize.state in {State.SD0, State.SD2, State.SD3}
        else:
            host.clock.sleep(step)
        status = host.sanitize_status()
        state = host.drive.sanitize.state
        if state is State.SD3:
            assert not ok(status)
            assert fails
        else:
            assert bool(status.count & RUNNING) is (state is State.SD2) is (status.lba != IDLE)
            assert bool(status.count & FROZEN) is (state is State.SD1)
            assert not (status.count & COMPLETED and status.count & RUNNING)
            if status.count & COMPLETED:
                assert host.sectors_with_old_data() == []
        if state in {State.SD2, State.SD3}:
            assert not ok(host.read())


def test_the_last_moment_of_a_sanitize_still_says_that_it_runs() -> None:
    host = Host(AtaOptions())
    COMMANDS["CRYPTO SCRAMBLE"](host)
    host.clock.sleep(1.99999)
    status = host.sanitize_status()
    assert status.count & RUNNING
    assert status.lba != IDLE


def test_password_is_not_needed_for_any_of_this() -> None:
    host = Host(AtaOptions(user_password=USER))
    assert not ok(host.block_erase())
    assert ok(host.unlock())
    assert ok(host.block_erase())
