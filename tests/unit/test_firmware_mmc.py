"""eMMC sanitize, secure erase and secure trim as techniques, against a simulated device."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from rasura.certificate import Method, Technique
from rasura_agent.drive.mmc.ext_csd import decode_ext_csd
from rasura_agent.drive.port import Command, Completion, MmcCommand
from rasura_agent.erase.firmware.line import Line, Running
from rasura_agent.erase.firmware.mmc_capabilities import (
    MmcArea,
    MmcUnreadableError,
    read_capabilities,
)
from rasura_agent.erase.firmware.mmc_erase import run_sanitize, run_secure_erase
from rasura_agent.erase.firmware.mmc_offers import TECHNIQUES, offers, risks
from rasura_agent.erase.firmware.mmc_protection import boot_protection, group_protection
from rasura_agent.inventory.model import Transport
from simulators.mmc_ports import SimulatedMmcBlock, SimulatedMmcPort
from simulators.mmc_types import Area, MmcOptions, Reg
from simulators.world import FaultKind, FaultSchedule, PowerCut
from unit.test_firmware_mmc_bench import (
    DONE,
    REFUSED,
    SEC_GB_CL_EN,
    SEC_SANITIZE,
    SECTORS,
    SECURE_ER_EN,
    UNKNOWN,
    USUAL,
    Bench,
)


def features(bits: int) -> MmcOptions:
    return replace(USUAL, sec_feature_support=bits)


# Capabilities and offers


def test_capabilities() -> None:
    found = Bench().capabilities()
    assert found.areas == (
        (MmcArea.USER, SECTORS * 512),
        (MmcArea.BOOT_1, 128 * 1024),
        (MmcArea.BOOT_2, 128 * 1024),
    )
    assert found.cid.serial_text == "0x12345678"
    assert found.write_protect_group_bytes == 512 * 1024
    assert Bench(boot=False).capabilities().areas == ((MmcArea.USER, SECTORS * 512),)


def test_general_purpose_partitions_are_areas() -> None:
    found = Bench(boot=False).capabilities()
    grown = replace(found, ext_csd=replace(found.ext_csd, general_purpose_bytes=(0, 1 << 20, 0, 0)))
    assert grown.areas[1] == (MmcArea.GP_2, 1 << 20)


def test_kernel_names() -> None:
    assert [area.kernel_suffix for area in MmcArea] == [
        "",
        "boot0",
        "boot1",
        "rpmb",
        "gp0",
        "gp1",
        "gp2",
        "gp3",
    ]


def test_capabilities_that_do_not_come() -> None:
    line = Bench().line(FaultSchedule({0: FaultKind.HANG}))
    with pytest.raises(MmcUnreadableError, match="was not answered"):
        read_capabilities(line, "15" * 15 + "00", SECTORS * 512)


def test_a_register_of_another_size() -> None:
    bench = Bench()
    bench.device.registers.raw[Reg.SEC_COUNT : Reg.SEC_COUNT + 4] = (8 << 20).to_bytes(4, "little")
    with pytest.raises(MmcUnreadableError, match="by its register"):
        bench.capabilities()


def test_offers_of_a_capable_device() -> None:
    found = Bench().offers()
    assert tuple(found) == TECHNIQUES
    assert {(one.method, one.basis, one.obstacle) for one in found.values()} == {
        (Method.CLEAR, "NIST SP 800-88r2 Clear", None)
    }


def test_sanitize_is_a_purge_on_the_basis_of_revision_1_only() -> None:
    found = Bench().offers(accept_r1_basis=True)
    assert found[Technique.MMC_SANITIZE].method is Method.PURGE
    assert "800-88r1 A-3" in found[Technique.MMC_SANITIZE].basis
    assert found[Technique.MMC_SECURE_ERASE].method is Method.CLEAR
    # Sanitize alone does not promise the former copies of boot partitions.
    without = Bench(features(SEC_SANITIZE | SEC_GB_CL_EN)).offers(accept_r1_basis=True)
    assert without[Technique.MMC_SANITIZE].method is Method.CLEAR
    alone = Bench(features(SEC_SANITIZE), boot=False).offers(accept_r1_basis=True)
    assert alone[Technique.MMC_SANITIZE].method is Method.PURGE


@pytest.mark.parametrize(
    ("bits", "technique", "obstacle"),
    [
        (SECURE_ER_EN | SEC_GB_CL_EN, Technique.MMC_SANITIZE, "no sanitize"),
        (SEC_SANITIZE | SEC_GB_CL_EN, Technique.MMC_SECURE_ERASE, "no secure erase"),
        (SEC_SANITIZE | SECURE_ER_EN, Technique.MMC_SECURE_TRIM, "no secure trim"),
    ],
)
def test_what_a_device_does_not_have(bits: int, technique: Technique, obstacle: str) -> None:
    bench = Bench(features(bits))
    assert obstacle in str(bench.offers()[technique].obstacle)
    before = bench.image()
    end = bench.run(technique)
    assert (end.disposition, end.records) == (REFUSED, ())
    assert obstacle in end.reason
    assert bench.image() == before


def test_sanitize_exists_from_emmc_4_5_on() -> None:
    found = Bench(replace(USUAL, ext_csd_rev=5)).offers()
    assert "no sanitize" in str(found[Technique.MMC_SANITIZE].obstacle)
    assert found[Technique.MMC_SECURE_ERASE].obstacle is None


@pytest.mark.parametrize(
    ("protection", "words"),
    [(1 << 0, "until the next power-on"), (1 << 2, "for good"), (1 << 4 | 1 << 6, None)],
)
def test_boot_partitions_that_are_write_protected(protection: int, words: str | None) -> None:
    bench = Bench()
    bench.device.command(6, 3 << 24 | Reg.BOOT_WP << 16 | protection << 8, 0x1D)
    obstacles = {one.obstacle for one in bench.offers().values()}
    if words is None:
        assert obstacles == {None}
        return
    assert obstacles == {f"a boot partition is write protected {words}"}
    for technique in TECHNIQUES:
        end = bench.run(technique)
        assert end.disposition is REFUSED
        assert words in end.reason
    assert bench.readable


def test_boot_protection_in_a_reserved_state() -> None:
    data = bytearray(Bench().device.registers.raw)
    data[Reg.BOOT_WP_STATUS] = 0b1100
    assert "does not explain" in str(boot_protection(decode_ext_csd(bytes(data))))


def test_offers_of_a_device_that_is_attached_otherwise() -> None:
    bench = Bench()
    behind = replace(SimulatedMmcBlock(bench.device).identify(), transport=Transport.USB)
    assert all("not attached to an MMC host" in str(o.obstacle) for o in offers(bench.capabilities(), behind))


def test_risks() -> None:
    assert risks(Bench().capabilities()) == (
        "rpmb: 128 KiB of replay-protected memory are reached by no erase command",
    )
    assert [one.partition(":")[0] for one in risks(Bench(features(SEC_SANITIZE)).capabilities())] == [
        "rpmb",
        "boot-copies",
    ]


# The good path


@pytest.mark.parametrize("at_once", [True, False])
@pytest.mark.parametrize("technique", TECHNIQUES)
def test_a_healthy_device_is_erased_in_every_partition(technique: Technique, at_once: bool) -> None:
    bench = Bench()
    bench.at_once = at_once
    config = bench.device.registers.raw[Reg.PARTITION_CONFIG] = 0x48  # boots from boot0
    end = bench.run(technique)
    assert end.disposition is DONE, end.reason
    assert not bench.readable
    assert not bench.in_the_chips
    assert bench.device.registers.raw[Reg.PARTITION_CONFIG] == config
    erased = [one.name for one in end.records if one.name.startswith("ERASE (")]
    assert len(erased) == (6 if technique is Technique.MMC_SECURE_TRIM else 3)
    assert [one.at_s for one in end.records] == sorted(one.at_s for one in end.records)


@pytest.mark.parametrize("bits", [SEC_SANITIZE, SEC_SANITIZE | SEC_GB_CL_EN, SEC_SANITIZE | SECURE_ER_EN])
def test_sanitize_with_whatever_erase_there_is(bits: int) -> None:
    bench = Bench(features(bits))
    end = bench.run(Technique.MMC_SANITIZE)
    assert end.disposition is DONE
    assert not bench.readable


def test_boot_copies_are_removed_by_secure_erase_where_sanitize_leaves_them() -> None:
    options = replace(USUAL, sanitizes_boot=False)
    bench = Bench(options)
    assert bench.run(Technique.MMC_SANITIZE).disposition is DONE
    assert not bench.in_the_chips
    poor = Bench(replace(options, sec_feature_support=SEC_SANITIZE))
    assert poor.run(Technique.MMC_SANITIZE).disposition is DONE
    assert not poor.readable
    assert "boot-copies" in risks(poor.capabilities())[1]


def test_addresses_count_sectors_on_a_large_device() -> None:
    bench = Bench(MmcOptions(byte_addressed=False))
    found = bench.capabilities()
    large = replace(found, ext_csd=replace(found.ext_csd, sec_count=(4 << 30) // 512))
    assert large.ext_csd.block_addressed
    end = run_secure_erase(bench.line(), large, bench.boots(FaultSchedule()))
    assert end.disposition is DONE
    assert not bench.in_the_chips


def test_a_partition_without_a_line() -> None:
    bench = Bench()
    before = bench.image()
    ports = bench.boots(FaultSchedule())
    del ports[MmcArea.BOOT_2]
    end = run_sanitize(bench.line(), bench.capabilities(), ports)
    assert end.disposition is REFUSED
    assert "no line to boot1" in end.reason
    assert bench.image() == before


@pytest.mark.parametrize("after", [0, 1])
def test_a_stop_is_heard_between_steps(after: int) -> None:
    bench = Bench()
    heard: list[Running] = []

    def watch(running: Running) -> str | None:
        heard.append(running)
        return "the operator gave up" if len(heard) > after else None

    before = bench.image()
    line = Line(bench.line().port, bench.device.clock, watch)
    end = run_sanitize(line, bench.capabilities(), bench.boots(FaultSchedule()))
    assert "the operator gave up" in end.reason
    assert end.disposition is (UNKNOWN if after else REFUSED)
    assert (bench.image() == before) == (not after)


# Write protection


@pytest.mark.parametrize("polls", [False, True])
@pytest.mark.parametrize("technique", TECHNIQUES)
def test_a_protected_group_is_found_before_anything_is_erased(technique: Technique, polls: bool) -> None:
    bench = Bench(polls=polls)
    bench.device.areas[Area.USER].protected_groups.add(0)
    before = bench.image()
    end = bench.run(technique)
    assert end.disposition is REFUSED
    assert "a part of the user area is write protected" in end.reason
    assert bench.image() == before


def test_many_groups_are_asked_for_in_one_record() -> None:
    bench = Bench()
    line, found = bench.line(), bench.capabilities()
    small = replace(found, write_protect_group_bytes=512)
    assert group_protection(line, small, MmcArea.USER, found.user_bytes) is None
    assert [one.name for one in line.records] == ["SEND_WRITE_PROT x 2"]


@pytest.mark.parametrize("kind", [FaultKind.HANG, FaultKind.ABORT, FaultKind.SWALLOW_STATUS])
def test_protection_that_cannot_be_told_is_no_permission(kind: FaultKind) -> None:
    bench = Bench()
    end = bench.run(Technique.MMC_SECURE_ERASE, {1: kind})
    assert end.disposition is REFUSED
    assert "cannot be told" in end.reason
    unknown = replace(bench.capabilities(), write_protect_group_bytes=0)
    end = run_sanitize(bench.line(), unknown, bench.boots(FaultSchedule()))
    assert "is not known" in end.reason


def test_an_erase_that_skips_is_no_success() -> None:
    """A group that becomes protected after it was asked for."""
    bench = Bench()
    found = bench.capabilities()

    def protect(_running: Running) -> None:
        bench.device.areas[Area.USER].protected_groups.add(0)

    line = Line(bench.line().port, bench.device.clock, protect)
    end = run_secure_erase(line, found, bench.boots(FaultSchedule()))
    assert end.disposition is UNKNOWN
    assert "WP_ERASE_SKIP" in end.reason


# Lying, stuck


@pytest.mark.parametrize("technique", TECHNIQUES)
def test_a_lying_device_is_believed_here_and_caught_by_the_markers(technique: Technique) -> None:
    bench = Bench()
    bench.device.faults.erase_leaves = range(3, 4)
    assert bench.run(technique).disposition is DONE
    assert bench.readable


def test_a_sanitize_that_lies() -> None:
    bench = Bench()
    bench.device.faults.sanitize_lies = True
    assert bench.run(Technique.MMC_SANITIZE).disposition is DONE
    assert bench.in_the_chips


def test_a_sanitize_that_never_ends() -> None:
    bench = Bench()
    bench.device.faults.sanitize_sticks = True
    end = bench.run(Technique.MMC_SANITIZE)
    assert end.disposition is UNKNOWN
    assert "it did not end within" in end.reason


def test_an_erase_whose_status_is_refused_is_no_refusal() -> None:
    bench = Bench()

    class NoStatus(SimulatedMmcPort):
        """A path that takes an erase and then no more questions."""

        def execute(self, command: Command) -> Completion:
            if isinstance(command, MmcCommand) and command.opcode == 13:
                return Completion(REFUSED, "not sent")
            return super().execute(command)

    line = Line(NoStatus(bench.device), bench.device.clock, lambda _running: None)
    end = run_secure_erase(line, bench.capabilities(), bench.boots(FaultSchedule()))
    assert end.disposition is UNKNOWN


def test_a_sanitize_that_the_device_does_not_take() -> None:
    bench = Bench(features(SECURE_ER_EN))
    bench.device.registers.raw[Reg.SEC_FEATURE_SUPPORT] |= SEC_SANITIZE
    end = bench.run(Technique.MMC_SANITIZE)
    assert end.disposition is UNKNOWN
    assert "SWITCH_ERROR" in end.reason


def test_a_device_whose_selected_partition_is_not_restored() -> None:
    bench = Bench()
    found = bench.capabilities()

    class Stuck(SimulatedMmcPort):
        """A path on which nobody selects the user area again."""

        def execute(self, command: Command) -> Completion:
            completion = super().execute(command)
            if isinstance(command, MmcCommand) and command.opcode == 8:
                data = bytearray(completion.data)
                data[Reg.PARTITION_CONFIG] |= 1
                return replace(completion, data=bytes(data))
            return completion

    line = Line(Stuck(bench.device), bench.device.clock, lambda _running: None)
    end = run_secure_erase(line, found, bench.boots(FaultSchedule()))
    assert end.disposition is UNKNOWN
    assert "PARTITION_CONFIG was left as 01h" in end.reason


# Every fault at every command


@pytest.mark.parametrize("at_once", [True, False])
@pytest.mark.parametrize("kind", FaultKind)
@pytest.mark.parametrize("technique", TECHNIQUES)
def test_every_fault_at_every_command(technique: Technique, kind: FaultKind, at_once: bool) -> None:
    clean = Bench()
    commands = len(clean.run(technique).records)
    for index in range(commands):
        bench = Bench()
        bench.at_once = at_once
        before = bench.image()
        try:
            end = bench.run(technique, {index: kind})
        except PowerCut:
            bench.device.power_cycle()
        else:
            assert end.disposition is not DONE or not bench.in_the_chips, (index, end.reason)
            assert end.disposition is not REFUSED or bench.image() == before, (index, end.reason)
        if bench.device.unplugged:
            bench.device.replug()
        again = bench.run(technique)
        assert again.disposition is DONE, (index, again.reason)
        assert not bench.in_the_chips
        assert bench.device.registers.selected is Area.USER


@pytest.mark.parametrize("kind", [FaultKind.HANG, FaultKind.SWALLOW_STATUS])
def test_a_lost_status_is_settled_by_nothing(kind: FaultKind) -> None:
    bench = Bench()
    end = bench.run(Technique.MMC_SECURE_ERASE, {4: kind})
    assert end.disposition is UNKNOWN
    assert "may be erased afresh" in end.reason


@pytest.mark.parametrize("at", [0.0, 0.5, 0.99])
def test_power_that_goes_during_a_sanitize(at: float) -> None:
    bench = Bench()
    bench.device.faults.power_cut_at = at
    with pytest.raises(PowerCut):
        bench.run(Technique.MMC_SANITIZE)
    bench.device.power_cycle()
    assert bench.run(Technique.MMC_SANITIZE).disposition is DONE
    assert not bench.in_the_chips
