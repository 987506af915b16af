"""Hidden capacity: found in three states, lifted in order, never half understood."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from rasura.certificate import Presence
from rasura_agent.drive.port import AtaCommand, AtaResult, Command, Completion, Disposition
from rasura_agent.erase.firmware.hidden_areas import (
    HiddenAreasFound,
    Lifted,
    find,
    lift,
    residual_risks,
)
from simulators.ata_host import USER
from simulators.ata_options import AtaOptions
from simulators.sat import BridgeOptions
from simulators.world import FaultKind, PowerCut
from unit.test_firmware_ata_bench import Bench, Change

PRESENT, ABSENT, UNKNOWN = Presence.PRESENT, Presence.ABSENT, Presence.UNKNOWN
ALL = 64
AMA = AtaOptions(hpa=False, dco=False, ama=True)


def found(
    bench: Bench, faults: dict[int, FaultKind] | None = None, change: Change | None = None
) -> HiddenAreasFound:
    return find(bench.line(faults, change=change), bench.identify())


def presences(areas: HiddenAreasFound) -> tuple[Presence, Presence, Presence]:
    return areas.hpa.presence, areas.ama.presence, areas.dco.presence


def lifted(bench: Bench, faults: dict[int, FaultKind] | None = None) -> Lifted:
    return lift(bench.line(faults), found(bench))


def names(result: Lifted) -> list[str]:
    return [record.name for record in result.records]


class TestFind:
    @pytest.mark.parametrize(
        ("options", "expected", "accessible"),
        [
            (AtaOptions(), (ABSENT, ABSENT, ABSENT), ALL),
            (AtaOptions(hpa_sectors=40), (PRESENT, ABSENT, ABSENT), 40),
            (AtaOptions(dco_sectors=50), (ABSENT, ABSENT, PRESENT), 50),
            (AtaOptions(hpa_sectors=40, dco_sectors=50), (PRESENT, ABSENT, PRESENT), 40),
            (AtaOptions(hpa=False), (ABSENT, ABSENT, ABSENT), ALL),
            (AtaOptions(hpa=False, dco_sectors=50), (ABSENT, ABSENT, PRESENT), 50),
            (AMA, (ABSENT, ABSENT, ABSENT), ALL),
            (replace(AMA, ama_sectors=33), (ABSENT, PRESENT, ABSENT), 33),
        ],
    )
    def test_what_is_there(
        self, options: AtaOptions, expected: tuple[Presence, ...], accessible: int
    ) -> None:
        areas = found(Bench(options))
        assert presences(areas) == expected
        assert areas.accessible_sectors == accessible
        assert areas.native_sectors == ALL
        assert areas.native_bytes == ALL * 512
        assert len(residual_risks(areas)) == expected.count(PRESENT)

    def test_it_only_reads(self) -> None:
        bench = Bench(AtaOptions(hpa_sectors=40, dco_sectors=50))
        before = bench.drive.identify_page()
        line = bench.line()
        find(line, bench.identify())
        assert bench.drive.identify_page() == before
        assert [record.name for record in line.records] == [
            "READ NATIVE MAX ADDRESS EXT",
            "DEVICE CONFIGURATION IDENTIFY",
        ]

    @pytest.mark.parametrize(
        "kind",
        [FaultKind.ABORT, FaultKind.HANG, FaultKind.HANG_UNSEEN, FaultKind.UNPLUG, FaultKind.BUS_RESET],
    )
    @pytest.mark.parametrize("options", [AtaOptions(), AtaOptions(hpa_sectors=40, dco_sectors=50)])
    def test_a_missing_answer_is_unknown(self, kind: FaultKind, options: AtaOptions) -> None:
        first = found(Bench(options), {0: kind})
        assert first.hpa.presence is UNKNOWN
        assert first.dco.presence is not PRESENT or first.native_sectors == ALL
        assert found(Bench(options), {1: kind}).dco.presence is UNKNOWN
        assert found(Bench(replace(AMA, ama_sectors=33)), {0: kind}).ama.presence is UNKNOWN
        assert found(Bench(replace(AMA, ama_sectors=33)), {0: kind}).native_sectors is None

    def test_without_the_native_size_an_overlay_is_judged_only_if_nothing_can_be_hidden(self) -> None:
        swallowed = {0: FaultKind.SWALLOW_STATUS}
        plain = found(Bench(), swallowed)
        assert (plain.hpa.presence, plain.dco.presence) == (UNKNOWN, ABSENT)
        hidden = found(Bench(AtaOptions(hpa_sectors=40)), swallowed)
        assert (hidden.hpa.presence, hidden.dco.presence) == (UNKNOWN, UNKNOWN)

    def test_a_damaged_overlay_is_left_alone(self) -> None:
        def damage(command: Command, completion: Completion) -> Completion:
            if not command.name.startswith("DEVICE CONFIGURATION"):
                return completion
            return replace(completion, data=completion.data[:6] + b"\x07" + completion.data[7:])

        def unsigned(command: Command, completion: Completion) -> Completion:
            if not command.name.startswith("DEVICE CONFIGURATION"):
                return completion
            return replace(completion, data=completion.data[:510] + b"\0\0")

        for change in (damage, unsigned):
            bench = Bench(AtaOptions(dco_sectors=50))
            areas = found(bench, change=change)
            assert areas.dco.presence is UNKNOWN
            assert "left alone" in areas.dco.detail
            result = lift(bench.line(), areas)
            assert (names(result), result.after, result.needs_power_cycle) == ([], areas, False)
            assert "left alone" in result.risks[0]

    def test_garbage_and_contradictions(self) -> None:
        """Sizes below what is accessible, no revision, a short page, a reset's registers."""

        def native(lba: int, error: int = 0) -> Change:
            def change(command: Command, completion: Completion) -> Completion:
                if not command.name.startswith("READ NATIVE"):
                    return completion
                return replace(completion, ata=AtaResult(0x50, error, 0, lba, 0x40))

            return change

        for change in (native(10), native(63, 0x01)):
            areas = found(Bench(), change=change)
            assert areas.hpa.presence is UNKNOWN
        # More native sectors than the factory ever gave: one of the two numbers is wrong.
        assert found(Bench(), change=native(99)).dco.presence is UNKNOWN
        for data in (bytes(512), b"\2\0", b""):
            areas = found(
                Bench(),
                change=lambda command, completion, data=data: (
                    replace(completion, data=data) if completion.data else completion
                ),
            )
            assert areas.dco.presence is UNKNOWN

    def test_words_that_say_nothing(self) -> None:
        bench = Bench()
        identify = bench.identify()
        silent = replace(identify.features, hpa_supported=None, ama_supported=None, dco_supported=None)
        areas = find(line := bench.line(), replace(identify, features=silent))
        assert presences(areas) == (UNKNOWN, UNKNOWN, UNKNOWN)
        assert not line.records
        old = replace(identify.features, ama_supported=None)
        assert find(bench.line(), replace(identify, features=old)).ama.presence is ABSENT
        assert find(bench.line(), replace(identify, sectors=None)).hpa.presence is UNKNOWN

    def test_28_bit_drives_are_asked_in_28_bits(self) -> None:
        bench = Bench(AtaOptions(hpa_sectors=40))
        identify = bench.identify()
        old = replace(identify, features=replace(identify.features, lba48_supported=False))
        line = bench.line()
        areas = find(line, old)
        assert line.records[0].name == "READ NATIVE MAX ADDRESS"
        assert (areas.hpa.presence, areas.hpa.sectors) == (PRESENT, ALL)
        result = lift(bench.line(), areas)
        assert "SET MAX ADDRESS" in names(result)
        assert bench.identify().sectors == ALL

    def test_an_overlay_that_hides_only_the_security_feature_set(self) -> None:
        bench = Bench()
        page = bytearray(bench.drive.taskfile(0xB1, 0xC2, 1, protocol=4).data_in)
        page[14] &= ~0x08
        page[511] = 0
        page[511] = -sum(page) & 0xFF
        bench.drive.taskfile(0xB1, 0xC3, 1, protocol=5, data_out=bytes(page))
        areas = found(bench)
        assert areas.dco.presence is PRESENT
        assert "Security" in areas.dco.detail
        assert lifted(bench).needs_power_cycle
        assert found(bench).dco.presence is ABSENT


class TestLift:
    def test_nothing_to_lift(self) -> None:
        result = lifted(Bench())
        assert (names(result), result.risks, result.needs_power_cycle) == ([], (), False)
        assert result.after is result.before

    @pytest.mark.parametrize("codecs", [True, False])
    def test_hpa(self, codecs: bool) -> None:
        bench = Bench(AtaOptions(hpa_sectors=40), codecs=codecs)
        result = lifted(bench)
        assert names(result)[:2] == ["READ NATIVE MAX ADDRESS EXT", "SET MAX ADDRESS EXT"]
        assert (result.risks, result.needs_power_cycle) == ((), False)
        assert result.after is not None
        assert (result.before.accessible_sectors, result.after.accessible_sectors) == (40, ALL)
        bench.bay.power_cycle()
        assert bench.identify().sectors == ALL, "it was lifted for good"

    def test_ama(self) -> None:
        bench = Bench(replace(AMA, ama_sectors=33))
        result = lifted(bench)
        assert names(result)[:2] == ["GET NATIVE MAX ADDRESS EXT", "SET ACCESSIBLE MAX ADDRESS EXT"]
        assert (result.risks, result.needs_power_cycle, bench.identify().sectors) == ((), False, ALL)

    def test_dco(self) -> None:
        bench = Bench(AtaOptions(dco_sectors=50))
        result = lifted(bench)
        assert names(result)[0] == "DEVICE CONFIGURATION RESTORE"
        assert result.needs_power_cycle
        bench.bay.power_cycle()
        assert (found(bench).native_sectors, bench.identify().sectors) == (ALL, ALL)

    def test_all_of_them_by_turns(self) -> None:
        """HPA, power, DCO, power, and the HPA that the old overlay's size has become."""
        bench = Bench(AtaOptions(hpa_sectors=40, dco_sectors=50))
        accessible, cycles = [], 0
        while (result := lifted(bench)).needs_power_cycle:
            accessible.append(bench.identify().sectors)
            bench.bay.power_cycle()
            cycles += 1
            assert cycles < 5
        assert accessible == [50, 50]
        assert (result.risks, bench.identify().sectors) == ((), ALL)

    def test_no_overlay_is_touched_while_a_limit_is_set_or_unknown(self) -> None:
        bench = Bench(AtaOptions(hpa_sectors=40, dco_sectors=50))
        first = lifted(bench)
        assert "DEVICE CONFIGURATION RESTORE" not in names(first)
        assert "power was off" in first.risks[0]
        unknown = replace(
            found(Bench(AtaOptions(dco_sectors=50))), hpa=found(Bench(), {0: FaultKind.ABORT}).hpa
        )
        result = lift(Bench(AtaOptions(dco_sectors=50)).line(), unknown)
        assert "DEVICE CONFIGURATION RESTORE" not in names(result)

    def test_one_change_a_power_cycle(self) -> None:
        """IDNF, and the drive says so by nothing else."""
        bench = Bench(AtaOptions(hpa_sectors=40))
        lifted(bench)
        # Hidden again behind our back, in the same power cycle.
        bench.drive.capacity._hpa_sectors = 30
        result = lifted(bench)
        assert result.needs_power_cycle
        assert "until its power goes" in result.risks[0]
        bench.bay.power_cycle()
        assert lifted(bench).risks == ()

    @pytest.mark.parametrize(
        ("options", "at"),
        [(AtaOptions(hpa_sectors=40), 1), (replace(AMA, ama_sectors=33), 1), (AtaOptions(dco_sectors=50), 0)],
    )
    def test_a_refusal_is_a_stated_risk(self, options: AtaOptions, at: int) -> None:
        bench = Bench(options)
        before = bench.identify().sectors
        result = lifted(bench, {at: FaultKind.ABORT})
        assert len(result.risks) == 1
        assert "refuses to lift it" in result.risks[0]
        assert bench.identify().sectors == before

    def test_a_locked_drive_refuses(self) -> None:
        bench = Bench(AtaOptions(hpa_sectors=40, user_password=USER))
        assert "refuses to lift it" in lifted(bench).risks[0]

    def test_frozen(self) -> None:
        ama = Bench(replace(AMA, ama_sectors=33))
        ama.drive.taskfile(0x78, 0x0002, ext=True, device=0x40)
        assert "frozen" in lifted(ama).risks[0]
        dco = Bench(AtaOptions(dco_sectors=50))
        areas = found(dco)
        dco.drive.taskfile(0xB1, 0xC1)
        result = lift(dco.line(), areas)
        assert "unknown" in result.risks[0], "its overlay can no longer be read"

    def test_a_native_size_that_changed_is_not_set(self) -> None:
        bench = Bench(AtaOptions(hpa_sectors=40))
        areas = found(bench)
        stale = replace(areas, hpa=replace(areas.hpa, sectors=60))
        result = lift(bench.line(), stale)
        assert "SET MAX ADDRESS EXT" not in names(result)
        assert bench.identify().sectors == 40

    @pytest.mark.parametrize("kind", FaultKind)
    @pytest.mark.parametrize(
        "options",
        [AtaOptions(hpa_sectors=40), AtaOptions(dco_sectors=50), replace(AMA, ama_sectors=33)],
    )
    def test_every_fault_at_every_command(self, kind: FaultKind, options: AtaOptions) -> None:
        """What is reported as lifted is lifted; what may be hidden is said; and a later run gets there."""
        for index in range(8):
            bench = Bench(options)
            try:
                result = lifted(bench, {index: kind})
                native = max(bench.drive.capacity.native_sectors, bench.identify().sectors or 0)
                if not result.risks and result.after is not None and not result.needs_power_cycle:
                    assert bench.identify().sectors == native == ALL
                if result.after is None:
                    assert result.risks
            except PowerCut:
                pass
            for _ in range(3):
                bench.bay.power_cycle()
                last = lifted(bench)
            assert (last.risks, bench.identify().sectors) == ((), ALL)

    @pytest.mark.parametrize(
        "bridge", [BridgeOptions(swallows_descriptor=True), BridgeOptions(pretends=True)]
    )
    def test_bridges(self, bridge: BridgeOptions) -> None:
        bench = Bench(AtaOptions(hpa_sectors=40), bridge)
        result = lifted(bench)
        assert result.before.hpa.presence is UNKNOWN
        assert result.risks

    def test_good_status_without_effect_is_found_on_reading_again(self) -> None:
        def pretend(command: Command, completion: Completion) -> Completion:
            if isinstance(command, AtaCommand) and command.name.startswith("SET MAX"):
                return Completion(Disposition.DONE, "fine", ata=AtaResult(0x50, 0, 0, 0, 0x40))
            return completion

        bench = Bench(AtaOptions(hpa_sectors=40))
        areas = found(bench)
        # The drive aborts it, and something between makes a success of that.
        result = lift(bench.line({1: FaultKind.ABORT}, change=pretend), areas)
        assert "the HPA is there" in result.risks[0]
