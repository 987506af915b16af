"""Format NVM as a technique."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from rasura_agent.erase.firmware.nvme_format import run_format
from simulators.nvme_types import NvmeOptions
from simulators.world import FaultKind, PowerCut
from unit.test_firmware_nvme_bench import (
    DONE,
    FORMAT_CRYPTO,
    FORMAT_USER,
    REFUSED,
    SECRET,
    UNKNOWN,
    Bench,
    altered,
)


def test_a_format_of_one_namespace_leaves_the_others() -> None:
    bench = Bench(namespaces=2)
    bench.whole = False
    assert bench.run(FORMAT_USER).disposition is DONE
    assert SECRET not in bench.subsystem.media.namespaces[1].medium.data
    assert SECRET in bench.subsystem.media.namespaces[2].medium.data


def test_a_format_that_reaches_all_is_sent_once() -> None:
    bench = Bench(NvmeOptions(fna=0b110), namespaces=3)
    end = bench.run(FORMAT_USER)
    assert end.disposition is DONE
    assert sum(one.name.startswith("FORMAT") for one in end.records) == 1
    assert not bench.holds_data


def test_a_format_keeps_the_block_size() -> None:
    bench = Bench()
    bench.subsystem.media.namespaces[1].lbaf = 1
    bench.subsystem.media.namespaces[1].medium.sector_bytes = 4096
    bench.subsystem.media.namespaces[1].medium.sectors = 8
    assert bench.run(FORMAT_USER).disposition is DONE
    assert bench.subsystem.media.namespaces[1].lbaf == 1


def test_a_namespace_that_comes_back_otherwise_is_no_success() -> None:
    bench = Bench()

    def smaller(data: bytes) -> bytes:
        return (63).to_bytes(8, "little") + data[8:]

    end = bench.run_on(altered(bench.line(), "IDENTIFY NAMESPACE", smaller, first=1), FORMAT_USER)
    assert end.disposition is UNKNOWN
    assert "did not come back as it was" in end.reason


@pytest.mark.parametrize("page", [bytes(4096), b"\xff" * 4096, b""])
def test_a_namespace_that_does_not_come_back_is_no_success(page: bytes) -> None:
    bench = Bench()
    line = altered(bench.line(), "IDENTIFY NAMESPACE", lambda _data: page, first=1)
    end = bench.run_on(line, FORMAT_USER)
    assert end.disposition is UNKNOWN
    assert "reported the end of the format, but" in end.reason


def test_an_instant_format_is_believed_of_a_drive_that_encrypts() -> None:
    for fna, wanted in ((0b100, DONE), (0, UNKNOWN)):
        bench = Bench(NvmeOptions(fna=fna, format_seconds=0))
        bench.subsystem.clock.sleep(1)
        found = bench.capabilities()
        real = replace(found, namespace=replace(found.namespace, nvmcap=2 * 10**12))
        assert real.namespace_bytes == 2 * 10**12
        assert run_format(bench.line(), real, FORMAT_USER).disposition is wanted


def test_format_that_ends_in_invalid_opcode_suggests_to_suspend() -> None:
    bench = Bench()
    bench.subsystem.faults.format_invalid_opcode_until_resume = True
    end = bench.run(FORMAT_USER)
    assert end.disposition is REFUSED
    assert "suspend the machine to RAM, wake it and try again" in end.reason
    bench.subsystem.suspend_resume()
    assert bench.run(FORMAT_USER).disposition is DONE


def test_one_of_many_namespaces_refuses_a_format() -> None:
    bench = Bench(namespaces=3)
    bench.subsystem.media.namespaces[2].write_protected = True
    end = bench.run(FORMAT_USER)
    assert end.disposition is UNKNOWN
    assert end.reason.startswith("namespace 2: ")


@pytest.mark.parametrize("kind", [FaultKind.HANG, FaultKind.SWALLOW_STATUS, FaultKind.BUS_RESET])
def test_a_lost_status_of_format_is_settled_by_nothing(kind: FaultKind) -> None:
    end = Bench().run(FORMAT_USER, {1: kind})
    assert end.disposition is UNKNOWN
    assert "may be erased afresh" in end.reason


def test_a_format_under_way_is_not_ours() -> None:
    bench = Bench(NvmeOptions(format_seconds=10**6))
    found = bench.capabilities()
    end = run_format(bench.line(), found, FORMAT_CRYPTO)
    assert end.disposition is UNKNOWN
    again = run_format(bench.line(), found, FORMAT_CRYPTO)
    assert again.disposition is UNKNOWN
    assert "a format that this run did not begin" in again.reason


@pytest.mark.parametrize("at", [0.0, 0.4, 0.99])
def test_power_that_goes_during_a_format(at: float) -> None:
    bench = Bench()
    bench.subsystem.faults.power_cut_at = at
    with pytest.raises(PowerCut):
        bench.run(FORMAT_USER)
    bench.subsystem.power_cycle()
    assert bench.run(FORMAT_USER).disposition is DONE
    assert not bench.holds_data
