"""Which command set a drive speaks: by how it is attached, and by what it answers."""

from __future__ import annotations

from rasura_agent.drive.transport.device import DeviceLine
from rasura_agent.erase.firmware.family import Family
from rasura_agent.erase.firmware.family_ata import AtaFamily
from rasura_agent.erase.firmware.family_mmc import MmcFamily
from rasura_agent.erase.firmware.family_nvme import NvmeFamily
from rasura_agent.erase.firmware.family_scsi import ScsiFamily
from rasura_agent.erase.firmware.line import Journal, Line
from rasura_agent.erase.firmware.mmc_capabilities import MmcArea
from rasura_agent.erase.policy import Policy
from rasura_agent.inventory.model import Drive, Transport

__all__ = ["meet"]

_ATA = frozenset({Transport.ATA, Transport.SATA, Transport.USB})


def meet(line: Line, device: DeviceLine, drive: Drive, journal: Journal, policy: Policy) -> Family | str:
    """Ask the drive what it can do; a string says why it does not tell. Changes nothing on it.

    ``line`` is over ``device.port``.
    """
    r1 = policy.accept_r1_basis
    if drive.transport is Transport.NVME:
        return NvmeFamily.meet(line, drive, device.nsid or 0, accept_r1_basis=r1)
    if drive.transport is Transport.MMC:
        areas = {area: port for area in MmcArea if (port := device.areas.get(area.kernel_suffix))}
        return MmcFamily.meet(line, drive, device.cid or "", areas, accept_r1_basis=r1)
    if drive.transport in _ATA:
        return AtaFamily.meet(line, drive, journal, accept_r1_basis=r1)
    met = ScsiFamily.meet(line, drive, reformat_sectors=policy.reformat_sectors)
    if isinstance(met, ScsiFamily) and met.capabilities.translated_ata:
        # A SATA drive on a SAS controller: SCSI is only the way there.
        return AtaFamily.meet(line, drive, journal, accept_r1_basis=r1)
    return met
