"""The simulated ATA drive hides and shows sectors as HPA, DCO (ATA8-ACS) and AMA (ACS-4) say."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulators.ata_capacity import OverlayState
from simulators.ata_host import USER, Host, ok
from simulators.ata_options import AtaOptions, Opcode, Outputs

RESTORE, FREEZE, IDENTIFY, SET = 0xC0, 0xC1, 0xC2, 0xC3
GET_NATIVE, SET_ACCESSIBLE, FREEZE_ACCESSIBLE = 0, 1, 2


def sectors(host: Host) -> int:
    """Words 100 to 103, which must agree with words 60 and 61 on a small drive."""
    page = host.pio_in(Opcode.IDENTIFY_DEVICE).data_in
    long = int(struct.unpack_from("<Q", page, 200)[0])
    assert struct.unpack_from("<I", page, 120)[0] == min(long, 0x0FFFFFFF)
    return long


def native(host: Host) -> int:
    outputs = host.read_native_max()
    assert ok(outputs)
    return outputs.lba + 1


class TestHostProtectedArea:
    def test_found_set(self) -> None:
        host = Host(AtaOptions(hpa_sectors=48))
        assert (sectors(host), native(host)) == (48, 64)
        assert ok(host.read(47))
        outputs = host.read(48)
        assert (outputs.status & 1, outputs.error, outputs.lba) == (1, 0x10, 48)
        assert host.identify_word(85) >> 10 & 1

    def test_removed_for_good(self) -> None:
        host = Host(AtaOptions(hpa_sectors=48))
        assert host.set_max(64).lba == 63
        assert sectors(host) == 64
        host.power_cycle()
        assert sectors(host) == 64
        assert ok(host.read(63))

    def test_volatile_ends_with_power(self) -> None:
        host = Host(AtaOptions(hpa_sectors=48))
        assert ok(host.set_max(64, permanent=False))
        assert sectors(host) == 64
        host.power_cycle()
        assert sectors(host) == 48

    def test_read_native_max_immediately_before(self) -> None:
        host = Host(AtaOptions(hpa_sectors=48))
        assert not ok(host.non_data(0x37, 0, 1, 63, ext=True))
        native(host)
        host.identify_word(0)
        assert not ok(host.non_data(0x37, 0, 1, 63, ext=True))
        host.non_data(0xF8)
        assert not ok(host.non_data(0x37, 0, 1, 63, ext=True))
        native(host)
        assert ok(host.non_data(0x37, 0, 1, 63, ext=True))

    def test_second_permanent_size_in_a_power_cycle_is_id_not_found(self) -> None:
        host = Host()
        assert ok(host.set_max(40))
        assert host.set_max(64).error == 0x10
        assert sectors(host) == 40
        assert ok(host.set_max(50, permanent=False))
        host.power_cycle()
        assert ok(host.set_max(64))

    @pytest.mark.parametrize("count", [2, 3, 0x80, 0x101])
    def test_reserved_count_bits(self, count: int) -> None:
        host = Host()
        native(host)
        assert not ok(host.non_data(0x37, 0, count, 63, ext=True))

    def test_beyond_native_and_without_lba_bit(self) -> None:
        host = Host()
        assert not ok(host.set_max(65))
        native(host)
        assert not ok(host.non_data(0x37, 0, 1, 63, ext=True, device=0))
        assert not ok(host.non_data(0x27, ext=True, device=0))

    def test_28_bit_commands(self) -> None:
        host = Host(AtaOptions(hpa_sectors=48))
        outputs = host.non_data(0xF8)
        assert (outputs.lba, outputs.device & 0x0F) == (63, 0)
        assert ok(host.non_data(0xF9, 0, 1, 63))
        assert sectors(host) == 64
        assert not ok(host.set_max(50, permanent=False)), "the two commands do not mix in one power cycle"

    def test_28_bit_address_in_device_bits(self) -> None:
        host = Host(sectors=(1 << 24) + 8, sector_bytes=1)
        outputs = host.non_data(0xF8)
        assert (outputs.lba, outputs.device) == (7, 0x41)
        assert ok(host.non_data(0xF9, 0, 0, 6, device=0x41))
        assert sectors(host) == (1 << 24) + 7

    def test_set_max_security_extension_is_not_supported(self) -> None:
        host = Host()
        for feature in (1, 2, 3, 4):
            host.non_data(0xF8)
            assert not ok(host.non_data(0xF9, feature, 0, 63))
        assert not host.identify_word(83) >> 8 & 1

    def test_not_supported(self) -> None:
        host = Host(AtaOptions(hpa=False))
        assert not ok(host.read_native_max())
        assert not host.identify_word(82) >> 10 & 1


class TestAccessibleMax:
    def command(self, host: Host, feature: int, lba: int = 0, count: int = 0) -> Outputs:
        return host.non_data(0x78, feature, count, lba, ext=True)

    def test_get_and_set(self) -> None:
        host = Host(AtaOptions(ama=True, ama_sectors=48, hpa=False))
        assert host.identify_word(119) >> 8 & 1
        assert sectors(host) == 48
        assert self.command(host, GET_NATIVE).lba == 63
        assert ok(self.command(host, SET_ACCESSIBLE, 63))
        assert sectors(host) == 64
        host.power_cycle()
        assert sectors(host) == 64

    def test_once_in_a_power_cycle(self) -> None:
        host = Host(AtaOptions(ama=True))
        assert ok(self.command(host, SET_ACCESSIBLE, 31))
        assert not ok(self.command(host, SET_ACCESSIBLE, 63))
        host.power_cycle()
        assert ok(self.command(host, SET_ACCESSIBLE, 63))

    def test_freeze(self) -> None:
        host = Host(AtaOptions(ama=True))
        assert ok(self.command(host, FREEZE_ACCESSIBLE))
        assert not ok(self.command(host, SET_ACCESSIBLE, 31))
        assert ok(self.command(host, GET_NATIVE))
        host.power_cycle()
        assert ok(self.command(host, SET_ACCESSIBLE, 31))

    @pytest.mark.parametrize(
        ("feature", "lba", "count"), [(3, 0, 0), (1, 64, 0), (0, 1, 0), (2, 1, 0), (0, 0, 1), (1, 31, 1)]
    )
    def test_malformed(self, feature: int, lba: int, count: int) -> None:
        assert not ok(self.command(Host(AtaOptions(ama=True)), feature, lba, count))

    def test_locked_or_unsupported(self) -> None:
        assert not ok(self.command(Host(AtaOptions(ama=True, user_password=USER)), GET_NATIVE))
        assert not ok(self.command(Host(), GET_NATIVE))


def overlay(max_lba: int, word_7: int = 0x018F, **changes: int) -> bytes:
    """DEVICE CONFIGURATION SET data."""
    page = bytearray(512)
    struct.pack_into("<HHHQH", page, 0, 2, 7, 0x7F, max_lba, word_7)
    page[510] = 0xA5
    page[511] = -sum(page) & 0xFF
    for at, value in changes.items():
        page[int(at[1:])] = value
    return bytes(page)


class TestOverlay:
    def test_identify_tells_the_truth(self) -> None:
        host = Host(AtaOptions(dco_sectors=40))
        assert (sectors(host), native(host)) == (40, 40)
        page = host.pio_in(0xB1, IDENTIFY).data_in
        assert int.from_bytes(page[6:14], "little") == 63
        assert sum(page) & 0xFF == 0
        assert page[510] == 0xA5

    def test_restore(self) -> None:
        host = Host(AtaOptions(dco_sectors=40))
        assert ok(host.dco(RESTORE))
        assert (sectors(host), native(host)) == (64, 64)
        assert not ok(host.dco(RESTORE)), "nothing to restore"

    def test_restore_aborts_while_an_hpa_is_set(self) -> None:
        host = Host(AtaOptions(dco_sectors=40, hpa_sectors=30))
        assert not ok(host.dco(RESTORE))
        assert ok(host.set_max(40))
        assert ok(host.dco(RESTORE))
        # The size set by SET MAX stays; the overlay's does not.
        assert (sectors(host), native(host)) == (40, 64)
        host.power_cycle()
        assert ok(host.set_max(64))
        assert sectors(host) == 64

    def test_freeze_lock_refuses_all_until_power_goes(self) -> None:
        host = Host(AtaOptions(dco_sectors=40))
        assert ok(host.dco(FREEZE))
        assert host.drive.capacity.overlay_state is OverlayState.DCO1
        assert not ok(host.dco(FREEZE))
        assert not ok(host.dco(RESTORE))
        assert not ok(host.pio_in(0xB1, IDENTIFY))
        host.power_cycle()
        assert ok(host.dco(RESTORE))

    def test_set_and_security_taken_away(self) -> None:
        host = Host()
        assert ok(host.pio_out(0xB1, overlay(39, 0x0187), SET))
        assert sectors(host) == 40
        assert host.identify_word(128) == 0
        assert not ok(host.set_password())
        host.power_cycle()
        assert not ok(host.set_password())
        assert ok(host.dco(RESTORE))
        assert ok(host.set_password())

    @pytest.mark.parametrize(
        "data",
        [
            overlay(64),
            overlay(39, 0xFFFF),
            overlay(39, b511=0),
            overlay(39, b510=0),
            overlay(39)[:511],
            b"",
        ],
    )
    def test_malformed_set(self, data: bytes) -> None:
        host = Host()
        assert not ok(host.pio_out(0xB1, data, SET))
        assert sectors(host) == 64

    def test_set_twice_or_with_an_hpa(self) -> None:
        host = Host()
        assert ok(host.pio_out(0xB1, overlay(39), SET))
        assert not ok(host.pio_out(0xB1, overlay(38), SET))
        assert not ok(Host(AtaOptions(hpa_sectors=50)).pio_out(0xB1, overlay(39), SET))

    @pytest.mark.parametrize("feature", [0x00, 0xBF, 0xC4, 0xFF])
    def test_reserved_features(self, feature: int) -> None:
        assert not ok(Host().dco(feature))

    def test_wrong_protocol(self) -> None:
        host = Host(AtaOptions(dco_sectors=40))
        assert not ok(host.pio_in(0xB1, RESTORE))
        assert not ok(host.dco(IDENTIFY))
        assert not ok(host.dco(SET))
        assert sectors(host) == 40

    def test_locked_drive(self) -> None:
        host = Host(AtaOptions(dco_sectors=40, user_password=USER))
        assert not ok(host.dco(RESTORE))
        assert ok(host.pio_in(0xB1, IDENTIFY))

    def test_not_supported(self) -> None:
        host = Host(AtaOptions(dco=False))
        assert not ok(host.pio_in(0xB1, IDENTIFY))
        assert not host.identify_word(83) >> 11 & 1


@given(
    steps=st.lists(
        st.one_of(
            st.tuples(st.just("set"), st.integers(1, 70), st.booleans()),
            st.just(("restore", 0, False)),
            st.just(("cut", 0, False)),
        ),
        max_size=12,
    ),
    hpa=st.none() | st.integers(1, 64),
    dco=st.none() | st.integers(1, 63),
)
def test_capacity_is_always_consistent(
    steps: list[tuple[str, int, bool]], hpa: int | None, dco: int | None
) -> None:
    host = Host(AtaOptions(hpa_sectors=hpa, dco_sectors=dco))
    for kind, size, permanent in steps:
        match kind:
            case "set":
                if ok(host.set_max(size, permanent=permanent)):
                    assert sectors(host) == size
            case "restore":
                if ok(host.dco(RESTORE)):
                    assert native(host) == 64
            case _:
                host.power_cycle()
        assert 1 <= sectors(host) <= native(host) <= 64
        assert ok(host.read(sectors(host) - 1))
        if sectors(host) < 64:
            assert host.read(sectors(host)).error == 0x10
