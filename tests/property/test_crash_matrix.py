"""The crash matrix: the power goes at every single command of every technique, then a fresh run follows.

Whatever was left, a drive that is healthy ends erased, and no run says so too early.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random

import pytest
from msgspec.structs import replace

from rasura.certificate import Method, Outcome, Technique
from rasura_agent.erase.firmware.family import Family
from rasura_agent.erase.firmware.line import Line
from rasura_agent.erase.policy import Policy
from rasura_agent.inventory.model import Drive
from simulators import bench
from simulators.ata_options import AtaOptions
from simulators.bench import (
    SECTOR_BYTES,
    SECTORS,
    AtaRig,
    Bench,
    MemoryJournal,
    MmcRig,
    NvmeRig,
    Rig,
    ScsiRig,
)
from simulators.mmc_types import SEC_BD_BLK_EN, SEC_GB_CL_EN, SEC_SANITIZE, SECURE_ER_EN, MmcOptions
from simulators.nvme_types import NvmeOptions
from simulators.scsi_options import ScsiOptions
from simulators.signing import overwrite_policy
from simulators.world import FaultKind, FaultSchedule

CONTENT = Random("old data").randbytes(SECTORS * SECTOR_BYTES)
CUTS = [FaultKind.POWER_CUT_BEFORE, FaultKind.POWER_CUT_AFTER]
FRESH_RUNS = 3

Make = Callable[[MemoryJournal], Rig]


def ata(**options: object) -> Make:
    # Short enough that the matrix stays small, long enough to be plausible for 64 sectors.
    quick = AtaOptions(
        **{"overwrite_s": 20.0, "erase_s": 20.0, "enhanced_s": 20.0, "erase_word": 1, **options}
    )
    return lambda journal: AtaRig(quick, None, CONTENT, journal)


def scsi(**options: object) -> Make:
    quick = ScsiOptions(**{"overwrite_s": 20.0, "format_s": 20.0, **options})
    return lambda _journal: ScsiRig(quick, CONTENT)


def nvme(_journal: MemoryJournal) -> Rig:
    return NvmeRig(NvmeOptions(overwrite_pass_seconds=20.0), CONTENT)


def mmc(_journal: MemoryJournal) -> Rig:
    every = SECURE_ER_EN | SEC_BD_BLK_EN | SEC_GB_CL_EN | SEC_SANITIZE
    return MmcRig(MmcOptions(sec_feature_support=every), CONTENT)


DRIVES: dict[Technique, Make] = {
    Technique.ATA_SANITIZE_CRYPTO: ata(),
    Technique.ATA_SANITIZE_BLOCK: ata(rotation_rate=1),
    Technique.ATA_SANITIZE_OVERWRITE: ata(),
    Technique.ATA_SECURITY_ERASE_ENHANCED: ata(),
    Technique.ATA_SECURITY_ERASE: ata(),
    Technique.SCSI_SANITIZE_CRYPTO: scsi(),
    Technique.SCSI_SANITIZE_BLOCK: scsi(rotation_rate=1),
    Technique.SCSI_SANITIZE_OVERWRITE: scsi(),
    Technique.SCSI_FORMAT_UNIT: scsi(),
    Technique.NVME_SANITIZE_CRYPTO: nvme,
    Technique.NVME_SANITIZE_BLOCK: nvme,
    Technique.NVME_SANITIZE_OVERWRITE: nvme,
    Technique.NVME_FORMAT_CRYPTO: nvme,
    Technique.NVME_FORMAT_USER_DATA: nvme,
    Technique.MMC_SANITIZE: mmc,
    Technique.MMC_SECURE_ERASE: mmc,
    Technique.MMC_SECURE_TRIM: mmc,
    Technique.OVERWRITE: ata(hpa_sectors=32),
}


def only(technique: Technique) -> Policy:
    return replace(overwrite_policy(), method=Method.CLEAR, technique=technique)


@pytest.mark.parametrize("technique", DRIVES)
@pytest.mark.parametrize("cut", CUTS, ids=["before", "after"])
@pytest.mark.parametrize("line", ["device", "block"])
def test_power_cut_at_every_command(technique: Technique, cut: FaultKind, line: str) -> None:
    resumed = 0
    for number in range(2000):
        journal = MemoryJournal()
        rig = DRIVES[technique](journal)
        station = Bench(rig, 3, journal)
        schedule = FaultSchedule({number: cut})
        device, block = (schedule, None) if line == "device" else (None, schedule)
        first = station.run(only(technique), device, block)
        if schedule.faults:
            # The run is shorter than that: every command had its turn.
            assert number > 5
            assert bool(resumed) == (technique is Technique.OVERWRITE and line == "block")
            return
        assert first is None, f"the power went at {number} and the run ended with {first}"
        for _ in range(FRESH_RUNS):
            again = station.run(only(technique))
            assert again is not None
            _, result = again
            if result.outcome is Outcome.ERASED:
                break
            assert result.reason
        assert result.outcome is Outcome.ERASED, f"cut at {number}: {result.reason}"
        assert not bench.old_sectors(CONTENT, rig.sectors())
        assert not bench.marker_sectors(result, rig.sectors())
        resumed += result.resumed is not None
        assert not journal.intents, f"cut at {number}: an intent stays open"
    pytest.fail("the run never ends")


def test_what_the_drive_refused_before_the_cut_is_not_asked_again() -> None:
    """Its marks would go over what was written; the certificate says what was refused."""
    policy = replace(overwrite_policy(), method=Method.PURGE, allow_weaker=True)
    aborts = dict.fromkeys(range(6, 2000), FaultKind.ABORT)
    # Five techniques are marked for before the overwrite begins.
    for moment in range(50, 800):
        rig = ata()(MemoryJournal())
        station = Bench(rig, 1)
        cut = FaultSchedule({moment: FaultKind.POWER_CUT_AFTER})
        assert station.run(policy, FaultSchedule(dict(aborts)), cut) is None
        if not (station.progress.saved and station.progress.saved[-1].has_begun):
            continue
        again = station.run(policy)
        assert again is not None
        _, result = again
        assert (result.outcome, result.method) == (Outcome.ERASED, Method.CLEAR), result.reason
        assert result.resumed is not None
        assert {one.technique for one in result.resumed.refused} >= {Technique.ATA_SECURITY_ERASE}
        assert not bench.old_sectors(CONTENT, rig.sectors())
        return
    pytest.fail("no overwrite was ever begun")


class OnceDeaf(AtaRig):
    """A drive that does not answer when it is met for the first time, as behind a bad cable."""

    met = False

    def meet(self, line: Line, drive: Drive, policy: Policy) -> Family | str:
        if not self.met:
            self.met = True
            return "it does not answer"
        return super().meet(line, drive, policy)


def test_a_stronger_technique_that_can_be_tried_now_is() -> None:
    policy = replace(overwrite_policy(), method=Method.PURGE, allow_weaker=True)
    rig = OnceDeaf(AtaOptions(overwrite_s=20.0), None, CONTENT, MemoryJournal())
    station = Bench(rig, 1)
    assert station.run(policy, None, FaultSchedule({6: FaultKind.POWER_CUT_AFTER})) is None
    assert station.progress.saved[-1].has_begun
    again = station.run(policy)
    assert again is not None
    _, result = again
    assert (result.outcome, result.method, result.resumed) == (Outcome.ERASED, Method.PURGE, None)
    assert "a stronger technique can be tried now" in result.notes[0]
    assert not bench.old_sectors(CONTENT, rig.sectors())


@pytest.mark.parametrize("block_bytes", [520, 524, 528])
def test_drives_of_odd_sectors_are_reformatted_and_then_erased(block_bytes: int) -> None:
    options = ScsiOptions(format_s=120.0, overwrite_s=20.0, format_writes=False)
    rig = ScsiRig(options, CONTENT, block_bytes)
    station = Bench(rig)
    strict = replace(overwrite_policy(), method=Method.PURGE)
    refused = station.run(strict)
    assert refused is not None
    assert refused[1].outcome is Outcome.FAILED
    assert "reformat_sectors" in (refused[1].reason or "")
    assert rig.sectors()[: len(CONTENT)] == CONTENT
    met = station.run(replace(strict, reformat_sectors=True))
    assert met is not None
    _, result = met
    assert (result.outcome, result.method) == (Outcome.ERASED, Method.PURGE), result.reason
    assert result.capacity_bytes > 0
    names = [one.name for one in result.commands]
    assert names.index("FORMAT UNIT") < next(
        at for at, name in enumerate(names) if name.startswith("SANITIZE")
    )
    # What is too little for a sector at the end of the simulated medium belongs to no address.
    left = rig.sectors()[: result.capacity_bytes]
    pieces = [CONTENT[at : at + 64] for at in range(0, len(CONTENT), 64)]
    assert not [piece for piece in pieces if piece in left]
