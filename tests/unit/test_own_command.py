"""Check 6 knows each technique's command by the name that the agent records it under."""

from __future__ import annotations

from rasura.certificate import Technique
from rasura.own_command import SENT
from rasura_agent.drive.ata import sanitize as ata
from rasura_agent.drive.ata.security import security_erase_unit
from rasura_agent.drive.mmc.erase import EraseArgument, erase_sequence
from rasura_agent.drive.mmc.erase import sanitize as mmc_sanitize
from rasura_agent.drive.nvme import sanitize as nvme
from rasura_agent.drive.nvme.format import SecureEraseSettings, format_nvm
from rasura_agent.drive.scsi import sanitize as scsi
from rasura_agent.drive.scsi.format_unit import format_unit

PASSWORD = bytes(32)


def _format(ses: SecureEraseSettings) -> str:
    return format_nvm(1, ses=ses, lbaf=0, mset=False, pi=0, pil=False, timeout_s=1.0).name


def _erase(argument: EraseArgument) -> str:
    return erase_sequence(0, 1, argument, rca=1, timeout_s=1.0)[2].name


def test_every_technique_of_the_drives_own_is_known_by_the_command_that_it_sends() -> None:
    assert {
        Technique.ATA_SANITIZE_CRYPTO: ata.sanitize_crypto_scramble(failure_mode=True).name,
        Technique.ATA_SANITIZE_BLOCK: ata.sanitize_block_erase(failure_mode=True).name,
        Technique.ATA_SANITIZE_OVERWRITE: ata.sanitize_overwrite(
            pattern=0, passes=1, invert=False, definitive_ending_pattern=False, failure_mode=True
        ).name,
        Technique.ATA_SECURITY_ERASE_ENHANCED: security_erase_unit(
            PASSWORD, enhanced=True, timeout_s=1.0
        ).name,
        Technique.ATA_SECURITY_ERASE: security_erase_unit(PASSWORD, enhanced=False, timeout_s=1.0).name,
        Technique.NVME_SANITIZE_CRYPTO: nvme.sanitize_crypto_erase(ause=True).name,
        Technique.NVME_SANITIZE_BLOCK: nvme.sanitize_block_erase(ause=True).name,
        Technique.NVME_SANITIZE_OVERWRITE: nvme.sanitize_overwrite(
            passes=1, pattern=0, invert=False, ause=True
        ).name,
        Technique.NVME_FORMAT_CRYPTO: _format(SecureEraseSettings.CRYPTOGRAPHIC_ERASE),
        Technique.NVME_FORMAT_USER_DATA: _format(SecureEraseSettings.USER_DATA_ERASE),
        Technique.SCSI_SANITIZE_CRYPTO: scsi.sanitize_crypto_erase(allow_unrestricted_exit=True).name,
        Technique.SCSI_SANITIZE_BLOCK: scsi.sanitize_block_erase(allow_unrestricted_exit=True).name,
        Technique.SCSI_SANITIZE_OVERWRITE: scsi.sanitize_overwrite(
            b"\0", count=1, invert=False, allow_unrestricted_exit=True
        ).name,
        Technique.SCSI_FORMAT_UNIT: format_unit().name,
        Technique.MMC_SANITIZE: mmc_sanitize(timeout_s=1.0).name,
        Technique.MMC_SECURE_ERASE: _erase(EraseArgument.SECURE_ERASE),
        Technique.MMC_SECURE_TRIM: _erase(EraseArgument.SECURE_TRIM_STEP_2),
        Technique.TCG_PSID_REVERT: "PSID REVERT",  # one ioctl of the kernel's, named by the technique
    } == SENT
    assert SENT.keys() | {Technique.OVERWRITE} == set(Technique)
