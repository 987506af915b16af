"""Why a device command did not erase a drive is said in the language of the screen, whatever the family."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from msgspec.structs import replace

from rasura.certificate import Technique
from rasura_agent.console.words import fact
from rasura_agent.drive.nvme.sanitize_log import SanitizeState
from rasura_agent.drive.transport.device import device_line
from rasura_agent.erase.firmware.ata_locked import Recovery, recover_locked
from rasura_agent.erase.firmware.ata_sanitize import run_sanitize
from rasura_agent.erase.firmware.ata_sanitize_status import SanitizeKind
from rasura_agent.erase.firmware.ata_security import run_security_erase
from rasura_agent.erase.firmware.family_ata import AtaFamily
from rasura_agent.erase.firmware.family_scsi import ScsiFamily
from rasura_agent.erase.firmware.line import TechniqueEnd
from rasura_agent.erase.firmware.nvme_words import in_words
from rasura_agent.inventory.model import Drive, Transport
from rasura_agent.sentence import Sentence
from simulators.ata_host import USER
from simulators.ata_options import AtaOptions
from simulators.block import simulated_drive
from simulators.mmc_types import Area
from simulators.world import FaultKind
from unit import test_firmware_ata_bench as ata
from unit import test_firmware_mmc_bench as mmc
from unit import test_firmware_nvme_bench as nvme
from unit import test_firmware_scsi_bench as scsi
from unit import test_firmware_tcg as tcg


def drive(transport: Transport | None = None) -> Drive:
    return replace(simulated_drive(1 << 20), transport=transport, device_number=None)


def ata_sanitize_that_is_stopped() -> TechniqueEnd:
    bench = ata.Bench(AtaOptions(overwrite_s=1200.0))
    line = bench.line(watch=lambda _running: Sentence("stopped by the operator"))
    return run_sanitize(line, SanitizeKind.OVERWRITE, capacity_bytes=ata.TERABYTE)


def ata_security_erase_of_a_silent_drive() -> TechniqueEnd:
    bench = ata.Bench()
    bench.bay.hot_unplug()
    return run_security_erase(bench.line(), False, ata.MemoryJournal(), "drive", ata.TERABYTE)


def ata_drive_locked_by_somebody() -> Recovery:
    return recover_locked(ata.Bench(AtaOptions(user_password=USER)).line(), ata.MemoryJournal(), "drive")


def nvme_format_denied() -> TechniqueEnd:
    return nvme.Bench().run(nvme.FORMAT_USER, {2: FaultKind.ABORT})


def scsi_overwrite_on_bad_sectors() -> TechniqueEnd:
    rig = scsi.Rig()
    rig.drive.medium.bad = {7}
    return scsi.TECHNIQUES["overwrite"](rig.line(), rig.capabilities())


def mmc_sanitize_of_a_protected_group() -> TechniqueEnd:
    bench = mmc.Bench()
    bench.device.areas[Area.USER].protected_groups.add(0)
    return bench.run(Technique.MMC_SANITIZE)


def revert_by_a_wrong_psid() -> TechniqueEnd:
    return tcg.Bench().run(psid=tcg.WRONG)


@pytest.mark.usefixtures("_french")
@pytest.mark.parametrize(
    "fail",
    [
        ata_sanitize_that_is_stopped,
        ata_security_erase_of_a_silent_drive,
        ata_drive_locked_by_somebody,
        nvme_format_denied,
        scsi_overwrite_on_bad_sectors,
        mmc_sanitize_of_a_protected_group,
        revert_by_a_wrong_psid,
    ],
)
def test_every_family_fails_in_french(fail: Callable[[], TechniqueEnd | Recovery]) -> None:
    reason = fail().reason
    assert isinstance(reason, Sentence)
    assert fact(reason) not in ("", str(reason))


def silent_ata() -> object:
    bench = ata.Bench()
    bench.bay.hot_unplug()
    return AtaFamily.meet(bench.line(), drive(), bench.journal, accept_r1_basis=False)


def silent_scsi() -> object:
    rig = scsi.Rig()
    rig.bay.hot_unplug()
    return ScsiFamily.meet(rig.line(), drive(), reformat_sectors=False)


def attached_by_something_else() -> object:
    return device_line(drive(Transport.VIRTIO), -1)


def mmc_of_no_kernel() -> object:
    return device_line(drive(Transport.MMC), -1)


@pytest.mark.usefixtures("_french")
@pytest.mark.parametrize(
    "ask",
    [silent_ata, silent_scsi, attached_by_something_else, mmc_of_no_kernel],
    ids=lambda one: one.__name__,
)
def test_a_drive_that_does_not_tell_what_it_can_is_spoken_of_in_french(ask: Callable[[], object]) -> None:
    reason = ask()
    assert isinstance(reason, Sentence)
    assert fact(reason) not in ("", str(reason))


@pytest.mark.parametrize("state", SanitizeState)
def test_the_sanitize_log_has_the_same_words(state: SanitizeState) -> None:
    assert in_words(state) == state.value
