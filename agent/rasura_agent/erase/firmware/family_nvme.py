"""NVMe namespaces behind the family port."""

from __future__ import annotations

import msgspec
from msgspec.structs import replace

from rasura.certificate import Technique
from rasura.errors import RasuraError
from rasura_agent.drive.nvme.sanitize_log import SanitizeState
from rasura_agent.drive.port import Disposition
from rasura_agent.erase.firmware.family import Prepared
from rasura_agent.erase.firmware.line import Line, TechniqueEnd
from rasura_agent.erase.firmware.nvme_capabilities import NvmeCapabilities, read_capabilities
from rasura_agent.erase.firmware.nvme_format import run_format
from rasura_agent.erase.firmware.nvme_offers import FORMAT_SETTINGS, offers, risks
from rasura_agent.erase.firmware.nvme_sanitize import (
    RESTRICTED_FAILURE,
    adopt_sanitize,
    leave_failure_mode,
    run_sanitize,
)
from rasura_agent.erase.firmware.offer import Offer
from rasura_agent.inventory.model import Drive
from rasura_agent.sentence import Sentence

__all__ = ["NvmeFamily"]

_PASSING = frozenset(
    {
        SanitizeState.IN_PROGRESS,
        SanitizeState.MEDIA_VERIFICATION,
        SanitizeState.POST_VERIFICATION_DEALLOCATION,
        SanitizeState.FAILED_RESTRICTED,
    }
)
"""What :meth:`NvmeFamily.prepare` deals with."""


class NvmeFamily(msgspec.Struct):
    """One NVMe namespace; ``capabilities`` are as last read."""

    drive: Drive
    nsid: int
    capabilities: NvmeCapabilities
    accept_r1_basis: bool

    @classmethod
    def meet(cls, line: Line, drive: Drive, nsid: int, *, accept_r1_basis: bool) -> NvmeFamily | str:
        """Ask controller and namespace; a string says why they do not tell."""
        try:
            return cls(drive, nsid, read_capabilities(line, nsid), accept_r1_basis)
        except RasuraError as error:
            return str(error)

    def offers(self) -> tuple[Offer, ...]:
        """Every NVMe technique, as it will stand once a sanitize at work or failed has been dealt with."""
        log = self.capabilities.sanitize_log
        if log is not None and log.state in _PASSING:
            log = replace(log, state=SanitizeState.SUCCEEDED)
        rested = replace(self.capabilities, sanitize_log=log)
        return offers(rested, self.drive, self.accept_r1_basis)

    @property
    def odd_sectors(self) -> str | None:
        """None: only SCSI drives come with sectors that Linux cannot use."""
        return None

    @property
    def is_frozen(self) -> bool:
        """No: NVMe has no freeze lock that a resume would undo."""
        return False

    def prepare(self, line: Line) -> Prepared:
        """Follow or leave an earlier sanitize."""
        try:
            now = read_capabilities(line, self.nsid)
        except RasuraError as error:
            return Prepared(obstacle=str(error))
        before, after = self.capabilities.controller, now.controller
        if (before.serial, before.model) != (after.serial, after.model):
            return Prepared(obstacle=Sentence("another controller answers than the one that was met"))
        self.capabilities = now
        adopted = adopt_sanitize(line, now)
        if adopted.disposition is Disposition.UNKNOWN and now.controller.sanicap.supported:
            return Prepared(obstacle=adopted.reason)
        left = leave_failure_mode(line) if now.controller.sanicap.supported else None
        if left is not None and left.disposition is not Disposition.REFUSED:
            return Prepared(obstacle=left.reason)
        barred = left is not None and left.state == RESTRICTED_FAILURE
        return Prepared(barred=barred, native_capacity_bytes=now.namespace_bytes or None, risks=risks(now))

    def run(self, technique: Technique, line: Line) -> TechniqueEnd:
        """Carry out one NVMe technique."""
        if technique in FORMAT_SETTINGS:
            return run_format(line, self.capabilities, technique)
        return run_sanitize(line, self.capabilities, technique)
