"""The simulated ATA drive keeps to the Security feature set (ACS-4 clause 4.18)."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulators.ata_host import OLD_DATA, USER, WRONG, Host, ok, password_block
from simulators.ata_options import AtaOptions, Freeze, Opcode, Outputs
from simulators.ata_security import SecurityState as S
from simulators.ports_media import HostTimeoutError, Lie, PowerEvent, Technique

MASTER = AtaOptions().master_password
LOCKED = AtaOptions(user_password=USER)


def in_state(state: S, options: AtaOptions | None = None) -> Host:
    """A host whose drive has been led to ``state`` by commands alone."""
    host = Host(options)
    if state in {S.SEC4, S.SEC5, S.SEC6}:
        assert ok(host.set_password())
    if state is S.SEC4:
        host.power_cycle()
    if state in {S.SEC2, S.SEC6}:
        assert ok(host.freeze())
    assert host.drive.security.state is state
    return host


def _set_max(host: Host) -> Outputs:
    return host.set_max(32)


COMMANDS: dict[str, Callable[[Host], Outputs]] = {
    "SET PASSWORD user": lambda h: h.set_password(WRONG),
    "SET PASSWORD master": lambda h: h.set_password(WRONG, master=True, identifier=7),
    "UNLOCK right": lambda h: h.unlock(),
    "UNLOCK wrong": lambda h: h.unlock(WRONG),
    "UNLOCK master": lambda h: h.unlock(MASTER, master=True),
    "ERASE PREPARE": Host.prepare,
    "ERASE UNIT right": lambda h: h.erase(),
    "ERASE UNIT wrong": lambda h: h.erase(WRONG),
    "ERASE UNIT master": lambda h: h.erase(MASTER, master=True),
    "ERASE UNIT enhanced": lambda h: h.erase(enhanced=True),
    "FREEZE LOCK": Host.freeze,
    "DISABLE PASSWORD right": lambda h: h.disable(),
    "DISABLE PASSWORD wrong": lambda h: h.disable(WRONG),
    "IDENTIFY DEVICE": lambda h: h.pio_in(Opcode.IDENTIFY_DEVICE),
    "SMART RETURN STATUS": lambda h: h.non_data(Opcode.SMART, 0xDA, lba=0xC24F00),
    "READ SECTORS EXT": lambda h: h.read(),
    "WRITE SECTORS EXT": lambda h: h.write(0, bytes(512)),
    "FLUSH CACHE EXT": Host.flush,
    "READ NATIVE MAX": Host.read_native_max,
    "SET MAX EXT": _set_max,
    "DCO IDENTIFY": lambda h: h.pio_in(Opcode.DEVICE_CONFIGURATION, 0xC2),
    "SANITIZE STATUS": Host.sanitize_status,
    "SANITIZE BLOCK ERASE": Host.block_erase,
    "SANITIZE FREEZE LOCK": Host.sanitize_freeze,
    "SANITIZE ANTIFREEZE": Host.antifreeze,
}

# For each command the state it leads to from SEC1, SEC2, SEC4, SEC5, SEC6; a dash: aborted, no change.
TABLE = """
SET PASSWORD user       SEC5 -    -    SEC5 -
SET PASSWORD master     SEC1 -    -    SEC5 -
UNLOCK right            -    -    SEC5 SEC5 -
UNLOCK wrong            -    -    -    -    -
UNLOCK master           SEC1 -    SEC5 SEC5 -
ERASE PREPARE           SEC1 -    SEC4 SEC5 -
ERASE UNIT right        -    -    SEC1 SEC1 -
ERASE UNIT wrong        -    -    -    -    -
ERASE UNIT master       SEC1 -    SEC1 SEC1 -
ERASE UNIT enhanced     -    -    SEC1 SEC1 -
FREEZE LOCK             SEC2 SEC2 -    SEC6 SEC6
DISABLE PASSWORD right  -    -    -    SEC1 -
DISABLE PASSWORD wrong  -    -    -    -    -
IDENTIFY DEVICE         SEC1 SEC2 SEC4 SEC5 SEC6
SMART RETURN STATUS     SEC1 SEC2 SEC4 SEC5 SEC6
READ SECTORS EXT        SEC1 SEC2 -    SEC5 SEC6
WRITE SECTORS EXT       SEC1 SEC2 -    SEC5 SEC6
FLUSH CACHE EXT         SEC1 SEC2 -    SEC5 SEC6
READ NATIVE MAX         SEC1 SEC2 SEC4 SEC5 SEC6
SET MAX EXT             SEC1 SEC2 -    SEC5 SEC6
DCO IDENTIFY            SEC1 SEC2 SEC4 SEC5 SEC6
SANITIZE STATUS         SEC1 SEC2 SEC4 SEC5 SEC6
SANITIZE BLOCK ERASE    SEC1 SEC2 -    SEC5 SEC6
SANITIZE FREEZE LOCK    SEC1 SEC2 -    SEC5 SEC6
SANITIZE ANTIFREEZE     SEC1 SEC2 -    SEC5 SEC6
"""
CASES = [
    pytest.param(
        line[:24].strip(), state, line[24:].split()[column], id=f"{line[:24].strip()} in {state.name}"
    )
    for line in TABLE.strip().splitlines()
    for column, state in enumerate((S.SEC1, S.SEC2, S.SEC4, S.SEC5, S.SEC6))
]


@pytest.mark.parametrize(("command", "state", "expected"), CASES)
def test_state_table(command: str, state: S, expected: str) -> None:
    host = in_state(state)
    outputs = COMMANDS[command](host)
    assert ok(outputs) is (expected != "-")
    assert host.drive.security.state is (state if expected == "-" else S[expected])


def test_table_is_complete() -> None:
    assert {case.values[0] for case in CASES} == set(COMMANDS)


@pytest.mark.parametrize("state", list(S))
def test_word_128_says_the_state(state: S) -> None:
    host = in_state(state)
    word = host.identify_word(128)
    assert word & 0x0021 == 0x0021
    assert bool(word & 2) is (state in {S.SEC4, S.SEC5, S.SEC6})
    assert bool(word & 4) is (state is S.SEC4)
    assert bool(word & 8) is (state in {S.SEC2, S.SEC6})
    assert bool(host.identify_word(85) & 2) is bool(word & 2)


@pytest.mark.parametrize("enhanced", [False, True])
def test_erase_takes_its_time_and_ends_in_sec1(enhanced: bool) -> None:
    host = in_state(S.SEC5)
    assert ok(host.erase(enhanced=enhanced))
    assert host.clock.monotonic() == pytest.approx(120.0 if enhanced else 7200.0, abs=0.01)
    assert host.sectors_with_old_data() == []
    assert host.identify_word(128) & 0x0006 == 0


def test_erase_unit_without_prepare_immediately_before_is_aborted() -> None:
    host = in_state(S.SEC5)
    data = password_block(USER)
    assert not ok(host.pio_out(Opcode.SECURITY_ERASE_UNIT, data))
    assert ok(host.prepare())
    host.identify_word(0)
    assert not ok(host.pio_out(Opcode.SECURITY_ERASE_UNIT, data))
    assert len(host.sectors_with_old_data()) == 64


def test_media_access_of_the_kernel_comes_between_too() -> None:
    host = in_state(S.SEC5)
    assert ok(host.prepare())
    host.drive.read(0, memoryview(bytearray(512)))
    assert not ok(host.pio_out(Opcode.SECURITY_ERASE_UNIT, password_block(USER)))


def test_refused_command_comes_between_too() -> None:
    host = in_state(S.SEC5)
    assert ok(host.prepare())
    assert not ok(host.non_data(0x99))
    assert not ok(host.pio_out(Opcode.SECURITY_ERASE_UNIT, password_block(USER)))


def test_five_wrong_passwords_expire_until_power_cycle() -> None:
    host = Host(LOCKED)
    for _ in range(4):
        assert not ok(host.unlock(WRONG))
        assert not host.identify_word(128) & 0x10
    assert not ok(host.unlock(WRONG))
    assert host.identify_word(128) & 0x10
    assert not ok(host.unlock())
    assert not ok(host.erase())
    host.power_cycle()
    assert not host.identify_word(128) & 0x10
    assert ok(host.unlock())


def test_wrong_password_costs_nothing_when_not_locked() -> None:
    host = in_state(S.SEC5)
    for _ in range(9):
        assert not ok(host.unlock(WRONG))
        assert not ok(host.disable(WRONG))
        assert not ok(host.erase(WRONG))
    assert not host.identify_word(128) & 0x10
    assert ok(host.disable())


def test_attempts_expired_option() -> None:
    host = Host(AtaOptions(user_password=USER, attempts_expired=True))
    assert host.identify_word(128) & 0x16 == 0x16
    assert not ok(host.unlock())


def test_maximum_level_leaves_the_master_password_nothing_but_erase() -> None:
    host = Host()
    assert ok(host.set_password(maximum=True))
    assert host.identify_word(128) & 0x100
    assert not ok(host.disable(MASTER, master=True))
    host.power_cycle()
    assert not ok(host.unlock(MASTER, master=True))
    assert host.drive.security.attempts_left == 5
    assert ok(host.erase(MASTER, master=True))
    assert host.identify_word(128) & 0x106 == 0


def test_new_master_password_and_its_identifier() -> None:
    host = Host()
    assert host.identify_word(92) == 0xFFFE
    assert ok(host.set_password(WRONG, master=True, identifier=0x1234))
    assert host.identify_word(92) == 0x1234
    assert ok(host.set_password(WRONG, master=True, identifier=0))
    assert host.identify_word(92) == 0x1234
    assert ok(host.set_password())
    host.power_cycle()
    assert not ok(host.unlock(MASTER, master=True))
    assert ok(host.unlock(WRONG, master=True))


def test_password_outlives_power_and_erase_keeps_master() -> None:
    host = Host(LOCKED)
    for _ in range(3):
        assert host.drive.security.state is S.SEC4
        host.power_cycle()
    assert ok(host.erase())
    assert ok(host.set_password())
    host.power_cycle()
    assert ok(host.unlock(MASTER, master=True))


MALFORMED = {
    "too short": password_block(USER)[:511],
    "two blocks": password_block(USER) * 2,
    "reserved control bit": bytes((0x04,)) + password_block(USER)[1:],
    "reserved byte at the end": password_block(USER)[:511] + b"\x01",
    "reserved byte 36": password_block(USER)[:36] + b"\x01" + password_block(USER)[37:],
}


@pytest.mark.parametrize("name", MALFORMED)
@pytest.mark.parametrize("command", [0xF1, 0xF2, 0xF4, 0xF6])
def test_malformed_data_is_aborted(name: str, command: int) -> None:
    host = in_state(S.SEC5)
    host.prepare()
    assert not ok(host.pio_out(command, MALFORMED[name]))
    assert host.drive.security.state is S.SEC5


@pytest.mark.parametrize(
    ("command", "byte", "bit"), [(0xF2, 0, 2), (0xF6, 0, 2), (0xF2, 1, 1), (0xF4, 1, 1), (0xF1, 0, 2)]
)
def test_bits_that_another_command_defines_are_reserved(command: int, byte: int, bit: int) -> None:
    host = in_state(S.SEC5)
    data = bytearray(password_block(USER))
    data[byte] |= bit
    host.prepare()
    assert not ok(host.pio_out(command, bytes(data)))


@pytest.mark.parametrize("command", [0xF1, 0xF2, 0xF4, 0xF6])
@pytest.mark.parametrize("protocol", [3, 4])
def test_wrong_protocol_is_aborted(command: int, protocol: int) -> None:
    host = in_state(S.SEC5)
    host.prepare()
    assert not ok(host.drive.taskfile(command, count=1, protocol=protocol))
    assert host.drive.security.state is S.SEC5


def test_no_enhanced_erase() -> None:
    host = in_state(S.SEC5, AtaOptions(enhanced_erase=False))
    assert not host.identify_word(128) & 0x20
    assert host.identify_word(90) == 0
    assert not ok(host.erase(enhanced=True))
    assert ok(host.erase())


def test_no_security_at_all() -> None:
    host = Host(AtaOptions(security=False))
    assert host.identify_word(128) == 0
    assert not host.identify_word(82) & 2
    for command in (Host.set_password, Host.unlock, Host.prepare, Host.freeze, Host.disable):
        assert not ok(command(host))


@pytest.mark.parametrize("word", [0, 1, 0x00FF, 0x8000 | 90, 0xFFFF])
def test_erase_time_estimates_are_what_the_option_says(word: int) -> None:
    host = Host(AtaOptions(erase_word=word, enhanced_word=word))
    assert host.identify_word(89) == word
    assert host.identify_word(90) == word


class TestTimeOut:
    def test_drive_goes_on_after_the_host_gave_up(self) -> None:
        host = in_state(S.SEC5)
        with pytest.raises(HostTimeoutError):
            host.erase(timeout_s=100.0)
        assert host.clock.monotonic() == pytest.approx(100.0)
        assert len(host.sectors_with_old_data()) == 64
        with pytest.raises(HostTimeoutError):
            host.drive.taskfile(Opcode.IDENTIFY_DEVICE, count=1, protocol=4, timeout_s=30.0)
        host.clock.sleep(7200.0)
        assert host.identify_word(128) & 6 == 0
        assert host.sectors_with_old_data() == []

    def test_next_command_waits_for_the_drive(self) -> None:
        host = in_state(S.SEC5)
        with pytest.raises(HostTimeoutError):
            host.erase(timeout_s=7000.0)
        assert host.identify_word(128) & 6 == 0
        assert host.clock.monotonic() == pytest.approx(7200.0, abs=0.01)

    def test_hanging_command(self) -> None:
        host = Host(AtaOptions(hangs=frozenset({0xF5})))
        with pytest.raises(HostTimeoutError):
            host.non_data(0xF5, timeout_s=15.0)
        assert host.clock.monotonic() == pytest.approx(15.0)
        assert host.drive.security.state is S.SEC1

    def test_power_cut_in_the_middle_leaves_a_locked_half_erased_drive(self) -> None:
        host = in_state(S.SEC5)
        with pytest.raises(HostTimeoutError):
            host.erase(timeout_s=3600.0)
        host.power_cycle()
        assert host.drive.security.state is S.SEC4
        assert host.sectors_with_old_data() == list(range(32, 64))
        assert ok(host.erase())
        assert host.sectors_with_old_data() == []


class TestFrozenByBios:
    @pytest.mark.parametrize(
        ("policy", "thaws"),
        [
            (Freeze.AT_BOOT, {PowerEvent.RESUME, PowerEvent.REPLUG}),
            (Freeze.AT_EVERY_POWER_ON, {PowerEvent.REPLUG}),
        ],
    )
    def test_what_thaws_it(self, policy: Freeze, thaws: set[PowerEvent]) -> None:
        for event in PowerEvent:
            host = Host(AtaOptions(bios_freezes=policy))
            assert host.drive.security.state is S.SEC2
            assert not ok(host.set_password())
            host.drive.power_off()
            host.drive.power_on(event)
            assert host.drive.security.state is (S.SEC1 if event in thaws else S.SEC2)

    def test_a_locked_drive_refuses_the_freeze(self) -> None:
        host = Host(AtaOptions(user_password=USER, bios_freezes=Freeze.AT_EVERY_POWER_ON))
        assert host.drive.security.state is S.SEC4
        assert ok(host.unlock())


class TestLies:
    def test_success_without_erasing(self) -> None:
        host = in_state(S.SEC5, AtaOptions(lie=Lie()))
        assert ok(host.erase())
        assert host.identify_word(128) & 6 == 0
        assert len(host.sectors_with_old_data()) == 64
        assert host.clock.monotonic() > 7000

    def test_instantly(self) -> None:
        host = in_state(S.SEC5, AtaOptions(lie=Lie(instantly=True)))
        assert ok(host.erase())
        assert host.clock.monotonic() < 1

    def test_a_part(self) -> None:
        host = in_state(S.SEC5, AtaOptions(lie=Lie(leaves=((5, 7), (60, 99)))))
        assert ok(host.erase())
        assert host.sectors_with_old_data() == [5, 6, 60, 61, 62, 63]

    def test_enhanced_only(self) -> None:
        lie = Lie(techniques=frozenset({Technique.ENHANCED_ERASE}))
        host = in_state(S.SEC5, AtaOptions(lie=lie))
        assert ok(host.erase(enhanced=True))
        assert len(host.sectors_with_old_data()) == 64
        assert ok(host.set_password())
        assert ok(host.erase())
        assert host.sectors_with_old_data() == []

    def test_password_left_behind(self) -> None:
        host = in_state(S.SEC5, AtaOptions(erase_keeps_password=True))
        assert ok(host.erase())
        assert host.identify_word(128) & 2


class TestScope:
    def test_normal_erase_covers_a_host_protected_area_but_no_overlay(self) -> None:
        host = in_state(S.SEC5, AtaOptions(hpa_sectors=40, dco_sectors=50))
        assert ok(host.erase())
        assert host.sectors_with_old_data() == list(range(50, 64))

    def test_enhanced_erase_covers_all(self) -> None:
        host = in_state(S.SEC5, AtaOptions(hpa_sectors=40, dco_sectors=50, enhanced_pattern=b"\xff"))
        assert ok(host.erase(enhanced=True))
        assert set(host.medium.data) == {0xFF}

    def test_bad_sectors_fail_it_and_keep_the_password(self) -> None:
        host = in_state(S.SEC5)
        host.medium.bad.add(9)
        assert not ok(host.erase())
        assert host.drive.security.state is S.SEC5
        assert host.sectors_with_old_data() == [9]

    def test_bad_sectors_reassigned(self) -> None:
        host = in_state(S.SEC5, AtaOptions(bad_sectors_fail_erase=False))
        host.medium.bad.add(9)
        assert ok(host.erase())
        assert host.sectors_with_old_data() == []
        assert ok(host.read(9))

    def test_failure_midway(self) -> None:
        host = in_state(S.SEC5, AtaOptions(erase_fails_at=0.25))
        assert not ok(host.erase())
        assert host.clock.monotonic() == pytest.approx(1800.0, abs=0.01)
        assert host.drive.security.state is S.SEC5
        assert host.sectors_with_old_data() == list(range(16, 64))


@given(
    before=st.lists(st.sampled_from(sorted(COMMANDS)), max_size=8),
    cut=st.floats(0, 8000),
    command=st.sampled_from(sorted(COMMANDS)),
    event=st.sampled_from(list(PowerEvent)),
)
def test_power_cut_at_any_command_leaves_a_legal_state(
    before: list[str], cut: float, command: str, event: PowerEvent
) -> None:
    host = Host()
    for name in before:
        COMMANDS[name](host)
        security = host.drive.security
        assert not (security.locked and (security.frozen or not security.enabled))
    enabled = host.drive.security.enabled
    erasing = False
    try:
        if command.startswith("ERASE UNIT"):
            erasing = ok(host.erase(timeout_s=cut))
        else:
            COMMANDS[command](host)
            enabled = host.drive.security.enabled
    except HostTimeoutError:
        pass
    host.drive.power_off()
    host.drive.power_on(event)
    security = host.drive.security
    assert security.enabled is (enabled and not erasing)
    assert security.state is (S.SEC4 if security.enabled else S.SEC1)
    if security.locked:
        assert not ok(host.read())


def test_old_data_is_not_what_erasing_writes() -> None:
    assert OLD_DATA not in (*AtaOptions().enhanced_pattern, *AtaOptions().block_pattern, 0)
