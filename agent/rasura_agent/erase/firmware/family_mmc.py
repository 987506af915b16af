"""eMMC devices behind the family port. Memory cards are not met here: they have no such commands."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from rasura.certificate import Technique
from rasura.errors import RasuraError
from rasura_agent.drive.port import DrivePort
from rasura_agent.erase.firmware.family import Prepared
from rasura_agent.erase.firmware.line import Line, TechniqueEnd
from rasura_agent.erase.firmware.mmc_capabilities import MmcArea, MmcCapabilities, read_capabilities
from rasura_agent.erase.firmware.mmc_erase import run_sanitize, run_secure_erase, run_secure_trim
from rasura_agent.erase.firmware.mmc_offers import offers, risks
from rasura_agent.erase.firmware.offer import Offer
from rasura_agent.inventory.model import Drive

__all__ = ["MmcFamily"]

_RUN = {
    Technique.MMC_SANITIZE: run_sanitize,
    Technique.MMC_SECURE_ERASE: run_secure_erase,
    Technique.MMC_SECURE_TRIM: run_secure_trim,
}


class MmcFamily(msgspec.Struct):
    """One eMMC; ``areas`` are ports to its hardware partitions beside the user area."""

    drive: Drive
    cid: str
    capabilities: MmcCapabilities
    areas: Mapping[MmcArea, DrivePort]
    accept_r1_basis: bool

    @classmethod
    def meet(
        cls, line: Line, drive: Drive, cid: str, areas: Mapping[MmcArea, DrivePort], *, accept_r1_basis: bool
    ) -> MmcFamily | str:
        """Read its registers; a string says why they do not tell. ``cid`` is sysfs's 32 hex digits."""
        try:
            capabilities = read_capabilities(line, cid, drive.capacity_bytes)
        except RasuraError as error:
            return str(error)
        return cls(drive, cid, capabilities, areas, accept_r1_basis)

    def offers(self) -> tuple[Offer, ...]:
        """Every eMMC technique."""
        return offers(self.capabilities, self.drive, self.accept_r1_basis)

    @property
    def odd_sectors(self) -> str | None:
        """None: an eMMC has sectors of 512 bytes."""
        return None

    @property
    def is_frozen(self) -> bool:
        """No: an eMMC has no freeze lock."""
        return False

    def prepare(self, line: Line) -> Prepared:
        """Read the registers again; an interrupted erase leaves nothing that must be cleared away."""
        try:
            self.capabilities = read_capabilities(line, self.cid, self.drive.capacity_bytes)
        except RasuraError as error:
            return Prepared(obstacle=str(error))
        return Prepared(native_capacity_bytes=self.capabilities.user_bytes, risks=risks(self.capabilities))

    def run(self, technique: Technique, line: Line) -> TechniqueEnd:
        """Carry out one eMMC technique."""
        return _RUN[technique](line, self.capabilities, self.areas)
