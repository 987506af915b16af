"""Which command set a drive speaks: by how it is attached, and by what it answers."""

from __future__ import annotations

from rasura_agent.erase.firmware.family import Family
from rasura_agent.erase.firmware.family_ata import AtaFamily
from rasura_agent.erase.firmware.family_nvme import NvmeFamily
from rasura_agent.erase.firmware.family_scsi import ScsiFamily
from rasura_agent.erase.firmware.line import Journal, Line
from rasura_agent.inventory.model import Drive, Transport

__all__ = ["meet"]

_ATA = frozenset({Transport.ATA, Transport.SATA, Transport.USB})


def meet(
    line: Line,
    drive: Drive,
    nsid: int | None,
    journal: Journal,
    *,
    accept_r1_basis: bool,
    reformat_sectors: bool,
) -> Family | str:
    """Ask the drive what it can do; a string says why it does not tell. Changes nothing on it."""
    if drive.transport is Transport.NVME:
        return NvmeFamily.meet(line, drive, nsid or 0, accept_r1_basis=accept_r1_basis)
    if drive.transport in _ATA:
        return AtaFamily.meet(line, drive, journal, accept_r1_basis=accept_r1_basis)
    met = ScsiFamily.meet(line, drive, reformat_sectors=reformat_sectors)
    if isinstance(met, ScsiFamily) and met.capabilities.translated_ata:
        # A SATA drive on a SAS controller: SCSI is only the way there.
        return AtaFamily.meet(line, drive, journal, accept_r1_basis=accept_r1_basis)
    return met
