"""What an NVMe drive says it can do, what it offers, and why it refuses."""

from __future__ import annotations

import struct

import pytest
from msgspec.structs import replace

from rasura.certificate import Method, Technique
from rasura_agent.drive.nvme.errors import NvmeDecodeError
from rasura_agent.drive.nvme.identify import decode_identify_controller
from rasura_agent.drive.port import Completion, NvmeCommand
from rasura_agent.erase.firmware.nvme_capabilities import (
    NvmeUnreadableError,
    read_capabilities,
)
from rasura_agent.erase.firmware.nvme_offers import offers, risks
from rasura_agent.erase.firmware.nvme_sanitize import (
    run_sanitize,
)
from rasura_agent.erase.firmware.nvme_words import refusal
from rasura_agent.inventory.model import Transport
from simulators.nvme_types import NvmeOptions
from simulators.world import FaultKind
from unit.test_firmware_nvme_bench import (
    BLOCK,
    CRYPTO,
    DONE,
    FORMAT_CRYPTO,
    FORMAT_USER,
    OVERWRITE,
    REFUSED,
    TECHNIQUES,
    UNKNOWN,
    Bench,
    altered,
)


def test_capabilities_tell_what_shares_the_subsystem() -> None:
    bench = Bench(namespaces=3, unallocated=4096)
    bench.subsystem.media.namespaces[3].attached.clear()
    found = bench.capabilities()
    assert (found.nsid, found.active, found.allocated) == (1, (1, 2), (1, 2, 3))
    assert (found.others, found.unattached) == ((2, 3), (3,))
    assert found.subsystem_bytes == 3 * 64 * 512 + 4096
    assert found.namespace_bytes == 64 * 512
    assert found.sanitize_log is not None


def test_capabilities_without_namespace_management_or_sanitize() -> None:
    found = Bench(NvmeOptions(oacs=0, sanicap=0)).capabilities()
    assert (found.allocated, found.sanitize_log, found.others) == (None, None, ())


def test_a_namespace_that_is_not_there() -> None:
    with pytest.raises(NvmeUnreadableError, match="namespace 2 is not attached"):
        read_capabilities(Bench().line(), 2)


@pytest.mark.parametrize("index", [0, 1, 2, 4])
def test_a_question_without_an_answer(index: int) -> None:
    with pytest.raises(NvmeUnreadableError, match="was not answered"):
        read_capabilities(Bench().line({index: FaultKind.SWALLOW_STATUS}), 1)


def test_a_log_without_an_answer_is_none() -> None:
    assert read_capabilities(Bench().line({3: FaultKind.HANG}), 1).sanitize_log is None


def test_an_endless_namespace_list_is_garbage() -> None:
    full = struct.pack("<1024I", *range(1, 1025))
    line = altered(Bench().line(), "IDENTIFY ACTIVE NAMESPACE LIST", lambda _data: full)
    with pytest.raises(NvmeDecodeError, match="begins with 1"):
        read_capabilities(line, 1)


def test_a_namespace_that_is_not_on_the_list() -> None:
    line = altered(Bench().line(), "IDENTIFY ACTIVE NAMESPACE LIST", lambda data: bytes(len(data)))
    with pytest.raises(NvmeUnreadableError, match="namespace 1 is not attached"):
        read_capabilities(line, 1)


def test_offers_of_a_capable_drive() -> None:
    bench = Bench()
    found = offers(bench.capabilities(), bench.drive())
    assert [one.technique for one in found] == list(TECHNIQUES)
    assert not any(one.obstacle for one in found)
    assert [one.estimate_s for one in found] == [40, 2, 100, None, None]
    purge, clear = found[:3], found[3:]
    assert {(one.method, one.basis) for one in purge} == {
        (Method.PURGE, "IEEE 2883 / NIST SP 800-88r2 Purge")
    }
    assert {(one.method, one.basis) for one in clear} == {(Method.CLEAR, "NIST SP 800-88r2 Clear")}


def test_format_is_a_purge_on_the_basis_of_revision_1_only() -> None:
    offer = Bench().offer(FORMAT_USER, accept_r1_basis=True)
    assert (offer.method, offer.basis) == (Method.PURGE, "NIST SP 800-88r1 A-8")


@pytest.mark.parametrize(
    ("options", "technique", "obstacle"),
    [
        (NvmeOptions(sanicap=0), BLOCK, "no Sanitize command"),
        (NvmeOptions(sanicap=1), BLOCK, "does not have this kind"),
        (NvmeOptions(sanicap=2), CRYPTO, "does not have this kind"),
        (NvmeOptions(sanicap=3), OVERWRITE, "does not have this kind"),
        (NvmeOptions(oacs=0), FORMAT_USER, "no Format NVM command"),
        (NvmeOptions(fna=0), FORMAT_CRYPTO, "no cryptographic erase"),
    ],
)
def test_what_a_drive_does_not_have(options: NvmeOptions, technique: Technique, obstacle: str) -> None:
    bench = Bench(options)
    assert obstacle in str(bench.offer(technique).obstacle)
    before = bench.image()
    end = bench.run(technique)
    assert end.disposition is REFUSED
    assert obstacle in end.reason
    assert not end.records
    assert bench.image() == before


def test_a_sanitize_hits_all_namespaces() -> None:
    bench = Bench(namespaces=3)
    assert "namespaces 2, 3 too" in str(bench.offer(CRYPTO).obstacle)
    assert bench.offer(CRYPTO, erase_whole_subsystem=True).obstacle is None
    end = run_sanitize(bench.line(), bench.capabilities(), CRYPTO)
    assert (end.disposition, end.records) == (REFUSED, ())


def test_a_format_may_hit_all_namespaces() -> None:
    bench = Bench(NvmeOptions(fna=0b110), namespaces=2)
    assert "namespace 2 too" in str(bench.offer(FORMAT_USER).obstacle)
    assert bench.offer(FORMAT_USER, erase_whole_subsystem=True).obstacle is None
    assert Bench(namespaces=2).offer(FORMAT_USER).obstacle is None


def test_a_format_leaves_capacity_without_a_namespace() -> None:
    bench = Bench(unallocated=4096)
    assert "4096 bytes belong to no namespace" in str(bench.offer(FORMAT_CRYPTO).obstacle)
    assert bench.offer(CRYPTO).obstacle is None
    assert bench.run(FORMAT_CRYPTO).disposition is REFUSED
    assert bench.run(CRYPTO).disposition is DONE
    assert not bench.holds_data


def test_a_format_leaves_namespaces_that_are_not_attached() -> None:
    bench = Bench(namespaces=2)
    bench.subsystem.media.namespaces[2].attached.clear()
    assert bench.offer(FORMAT_USER).obstacle is None
    obstacle = bench.offer(FORMAT_USER, erase_whole_subsystem=True).obstacle
    assert "namespace 2, which this controller does not see" in str(obstacle)


def test_offers_are_of_the_drive_that_was_planned() -> None:
    bench = Bench()
    other = replace(bench.drive(), capacity_bytes=1 << 30)
    assert all("the block device 1073741824" in str(o.obstacle) for o in offers(bench.capabilities(), other))
    behind = replace(bench.drive(), transport=Transport.USB)
    assert all("not attached as an NVMe" in str(o.obstacle) for o in offers(bench.capabilities(), behind))


def test_offers_by_the_state_of_the_drive() -> None:
    bench = Bench(NvmeOptions(sanicap=0xF))
    bench.subsystem.media.namespaces[1].write_protected = True
    assert "write protected" in str(bench.offer(BLOCK).obstacle)
    bench.subsystem.media.namespaces[1].write_protected = False
    bench.subsystem.faults.sanitize_fails_at = 0.5
    bench.begin_elsewhere(0b0010)
    assert "under way" in str(bench.offer(BLOCK).obstacle)
    assert "under way" in str(bench.offer(FORMAT_USER).obstacle)
    bench.subsystem.wait_until(100.0)
    assert bench.offer(BLOCK).obstacle is None
    assert "only a sanitize that succeeds" in str(bench.offer(FORMAT_USER).obstacle)
    hidden = replace(bench.capabilities(), sanitize_log=None)
    assert "does not show its sanitize log" in str(offers(hidden, bench.drive())[0].obstacle)


def test_risks_name_the_rpmb() -> None:
    bench = Bench()
    assert risks(bench.capabilities()) == ()
    page = bytearray(bench.subsystem.identify.controller_page(0))
    page[312:316] = (2 | 3 << 16).to_bytes(4, "little")
    found = bench.capabilities()
    with_rpmb = replace(found, controller=decode_identify_controller(bytes(page)))
    assert risks(with_rpmb) == ("rpmb: 1024 KiB of replay-protected memory are reached by no erase command",)


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (0x001, "Invalid Command Opcode: the drive lists this command"),
        (0x4015, "Operation Denied: a TCG lock"),
        (0x4020, "Namespace is Write Protected: a namespace"),
        (0x4023, "Lockdown: the command is locked down"),
        (0x110, "NVM Subsystem Reset: new firmware waits for a reset"),
        (0x123, "Persistent Memory Region is Enabled: its"),
        (0x006, "SANITIZE ended in Internal Error"),
        (0x1C0, "SANITIZE ended in status code type 1h"),
    ],
)
def test_sentences(status: int, words: str) -> None:
    completion = Completion(REFUSED, "raw", nvme_status=status)
    assert words in refusal(NvmeCommand("SANITIZE", 0x84), completion)


def test_a_sentence_without_a_status() -> None:
    assert refusal(NvmeCommand("X", 1), Completion(UNKNOWN, "gone")) == "X was not carried out: gone"
