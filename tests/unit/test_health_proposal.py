"""What is proposed for a machine, and whether Windows 11 runs on it."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from rasura.errors import UsageError
from rasura.health import Grade
from rasura.machine_report import Answer, BatteryClass, Route
from rasura_agent.health.proposal import GradedDrive, battery_class, override, proposal_claims, propose
from rasura_agent.health.windows11 import processor_answer, windows_11
from rasura_agent.inventory.machine_model import (
    Battery,
    Display,
    Firmware,
    FirmwareKind,
    Machine,
    Memory,
    MemoryModule,
    Processor,
    Tpm,
)

GB = 1_000_000_000
NEW = Processor(model="Intel(R) Core(TM) i5-8250U CPU @ 1.60GHz")
GOOD = GradedDrive("SSD", 256 * GB, Grade.GOOD)


def machine(
    gib: float | None = 8,
    processor: Processor | None = NEW,
    tpm: Tpm = Tpm(True, "2.0", True),  # noqa: B008
    firmware: Firmware = Firmware(kind=FirmwareKind.UEFI),  # noqa: B008
    batteries: tuple[Battery, ...] = (),
    displays: tuple[Display, ...] = (),
) -> Machine:
    modules = (MemoryModule("A", None, int(gib * (1 << 30))),) if gib is not None else ()
    return Machine(
        processors=(processor,) if processor is not None else (),
        memory=Memory(modules=modules),
        tpm=tpm,
        firmware=firmware,
        batteries=batteries,
        displays=displays,
    )


@pytest.mark.parametrize(
    ("percent", "expected"),
    [
        (100, BatteryClass.SALE),
        (85, BatteryClass.SALE),
        (84.9, BatteryClass.DONATION),
        (65, BatteryClass.DONATION),
        (64.9, BatteryClass.REPLACE),
        (0, BatteryClass.REPLACE),
        (None, BatteryClass.UNKNOWN),
    ],
)
def test_battery_classes(percent: float | None, expected: BatteryClass) -> None:
    assert battery_class(percent) is expected


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("Intel(R) Core(TM) i7 CPU         920  @ 2.67GHz", Answer.NO),
        ("Intel(R) Core(TM) i5-2520M CPU @ 2.50GHz", Answer.NO),
        ("Intel(R) Core(TM) i5-6300U CPU @ 2.40GHz", Answer.NO),
        ("Intel(R) Core(TM) i7-7500U CPU @ 2.70GHz", Answer.NO),
        ("Intel(R) Core(TM) m3-7Y30 CPU @ 1.00GHz", Answer.NO),
        ("Intel(R) Core(TM)2 Duo CPU     T9300  @ 2.50GHz", Answer.NO),
        ("Intel(R) Xeon(R) CPU E5-2690 v3 @ 2.60GHz", Answer.NO),
        ("Intel(R) Core(TM) m3-8100Y CPU @ 1.10GHz", Answer.YES),
        ("Intel(R) Core(TM) i3-8130U CPU @ 2.20GHz", Answer.YES),
        ("Intel(R) Core(TM) i5-1035G1 CPU @ 1.00GHz", Answer.YES),
        ("11th Gen Intel(R) Core(TM) i7-1165G7 @ 2.80GHz", Answer.YES),
        ("12th Gen Intel(R) Core(TM) i5-12400", Answer.YES),
        ("Intel(R) Core(TM) Ultra 7 155H", Answer.YES),
        ("Intel(R) Core(TM) 5 120U", Answer.YES),
        ("Intel(R) N100", Answer.YES),
        ("Intel(R) Celeron(R) N4000 CPU @ 1.10GHz", Answer.UNKNOWN),
        ("Intel(R) Xeon(R) Silver 4210 CPU @ 2.20GHz", Answer.UNKNOWN),
        ("AMD Ryzen 5 1600 Six-Core Processor", Answer.NO),
        ("AMD Ryzen 5 2600 Six-Core Processor", Answer.YES),
        ("AMD Ryzen 7 PRO 5850U with Radeon Graphics", Answer.YES),
        ("AMD Ryzen Threadripper PRO 3995WX 64-Cores", Answer.YES),
        ("AMD Ryzen AI 9 HX 370 w/ Radeon 890M", Answer.YES),
        ("AMD FX(tm)-8120 Eight-Core Processor", Answer.NO),
        ("AMD A6-9225 RADEON R4, 5 COMPUTE CORES 2C+3G", Answer.NO),
        ("AMD EPYC 7742 64-Core Processor", Answer.UNKNOWN),
        ("QEMU Virtual CPU version 2.5+", Answer.UNKNOWN),
        (None, Answer.UNKNOWN),
    ],
)
def test_processors(name: str | None, expected: Answer) -> None:
    assert processor_answer(Processor(model=name)) is expected


def test_a_ryzen_2000_of_the_first_generation_is_not_known() -> None:
    raven_ridge = Processor(
        model="AMD Ryzen 5 2500U with Radeon Vega Mobile Gfx", family_number=0x17, model_number=0x11
    )
    assert processor_answer(raven_ridge) is Answer.UNKNOWN


def eleven(found: Machine, drive: int | None = 256 * GB) -> Answer:
    result = windows_11(found, () if drive is None else (drive,))
    assert bool(result.reasons) is (result.answer is not Answer.YES)
    return result.answer


def test_windows_11() -> None:
    assert eleven(machine()) is Answer.YES
    assert eleven(machine(gib=4)) is Answer.YES
    assert eleven(machine(gib=2)) is Answer.NO
    assert eleven(machine(gib=None)) is Answer.UNKNOWN
    assert eleven(replace(machine(), memory=Memory(3_900_000_000))) is Answer.YES
    assert eleven(machine(tpm=Tpm(True, "1.2"))) is Answer.NO
    assert eleven(machine(tpm=Tpm(False))) is Answer.UNKNOWN
    assert eleven(machine(tpm=Tpm())) is Answer.UNKNOWN
    assert eleven(machine(firmware=Firmware(kind=FirmwareKind.BIOS, uefi_capable=True))) is Answer.YES
    assert eleven(machine(firmware=Firmware(kind=FirmwareKind.BIOS))) is Answer.UNKNOWN
    assert eleven(machine(firmware=Firmware(kind=FirmwareKind.BIOS, uefi_capable=False))) is Answer.NO
    assert eleven(machine(), 64 * GB) is Answer.YES
    assert eleven(machine(), 63 * GB) is Answer.NO
    assert eleven(machine(), None) is Answer.UNKNOWN
    assert eleven(machine(processor=None)) is Answer.UNKNOWN


def test_a_no_outweighs_what_is_not_known() -> None:
    assert eleven(machine(gib=2, tpm=Tpm(), processor=None)) is Answer.NO


def test_reuse_with_what_has_to_be_done() -> None:
    found = propose(
        machine(
            batteries=(
                Battery("BAT0", wear_percent=40.0),
                Battery("BAT1", wear_percent=20.0),
                Battery("BAT2"),
            )
        ),
        [GOOD, GradedDrive("HDD", 500 * GB, Grade.REJECT), GradedDrive("OLD", 500 * GB, Grade.UNKNOWN)],
    )
    assert found.route is Route.REUSE
    assert list(map(str, found.reasons)) == [
        "the drive HDD must be replaced: its health is bad",
        "the health of the drive OLD is not known",
        "the battery BAT0 must be replaced",
        "the battery BAT1 is worn: for donation, or a new one",
        "the state of the battery BAT2 is not known",
    ]
    assert [one.health_percent for one in found.batteries] == [60, 80, None]


def test_parts_and_recycling() -> None:
    display = Display("eDP-1", internal=True)
    assert propose(machine(gib=2), [GOOD]).route is Route.PARTS
    assert propose(machine(gib=2, displays=(display,)), []).route is Route.PARTS
    assert propose(machine(gib=2, batteries=(Battery("BAT0", wear_percent=10.0),)), []).route is Route.PARTS
    assert propose(machine(gib=2), [GradedDrive("HDD", GB, Grade.UNKNOWN)]).route is Route.RECYCLE
    assert propose(machine(gib=2, batteries=(Battery("BAT0"),)), []).route is Route.RECYCLE


def test_memory_that_nobody_knows_is_said() -> None:
    found = propose(machine(gib=None), [GOOD])
    assert found.route is Route.REUSE
    assert "not known" in str(found.reasons[0])


def test_an_operator_may_decide_otherwise_and_says_why() -> None:
    decision = override("parts", "trainee-7", " the hinge is broken ")
    claims = proposal_claims(propose(machine(), [GOOD]), decision)
    assert claims.route is Route.REUSE
    assert claims.override is not None
    assert (claims.override.route, claims.override.by, claims.override.why) == (
        Route.PARTS,
        "trainee-7",
        "the hinge is broken",
    )


@pytest.mark.parametrize(
    ("route", "by", "why"),
    [("sell", "x", "y"), ("parts", None, "y"), ("parts", " ", "y"), ("parts", "x", "")],
)
def test_no_decision_without_a_name_and_a_reason(route: str, by: str | None, why: str) -> None:
    with pytest.raises(UsageError):
        override(route, by, why)
