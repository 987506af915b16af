"""A drive behind a forgotten TCG lock, whose PSID somebody has read from the label.

The revert comes first and is no erasure of ours: it gives the drive back in its factory state, its old
data without their key. Then the drive is erased and proven like any other.
"""

from __future__ import annotations

import msgspec
from msgspec.structs import replace

from rasura.certificate import Technique
from rasura_agent.drive.port import Disposition
from rasura_agent.drive.tcg.discovery import ata_discovery, nvme_discovery, scsi_discovery
from rasura_agent.drive.tcg.psid import Psid
from rasura_agent.erase.firmware.family import Family, Prepared
from rasura_agent.erase.firmware.line import Line, TechniqueEnd
from rasura_agent.erase.firmware.offer import Offer
from rasura_agent.erase.firmware.tcg_psid import DiscoveryCommand, PsidReverter, run_psid_revert
from rasura_agent.inventory.model import Drive, Transport
from rasura_agent.sentence import Sentence

__all__ = ["PsidFirst", "discovery_command"]


def discovery_command(drive: Drive) -> DiscoveryCommand:
    """Level 0 Discovery in the drive's own command set."""
    if drive.transport is Transport.NVME:
        return nvme_discovery()
    return scsi_discovery() if drive.transport in {Transport.SAS, Transport.SCSI} else ata_discovery()


class PsidFirst(msgspec.Struct):
    """``family``, reverted by its PSID before anything else is done to it."""

    family: Family
    command: DiscoveryCommand
    reverter: PsidReverter
    psid: Psid

    @property
    def odd_sectors(self) -> str | None:
        """As the drive itself says."""
        return self.family.odd_sectors

    @property
    def is_frozen(self) -> bool:
        """As the drive itself says."""
        return self.family.is_frozen

    def offers(self) -> tuple[Offer, ...]:
        """What the drive offers; the revert is a step before them."""
        return self.family.offers()

    def prepare(self, line: Line) -> Prepared:
        """Revert, then prepare as ever. A PSID that the drive does not accept ends the matter."""
        ended = run_psid_revert(line, self.command, self.reverter, self.psid)
        if ended.disposition is not Disposition.DONE:
            return Prepared(obstacle=Sentence("the revert by PSID: {reason}", reason=ended.reason))
        prepared = self.family.prepare(line)
        noted = "psid-revert: the drive was locked and was reverted by its PSID before it was marked"
        return replace(prepared, risks=(noted, *prepared.risks))

    def run(self, technique: Technique, line: Line) -> TechniqueEnd:
        """Carry out a technique of the drive."""
        return self.family.run(technique, line)
