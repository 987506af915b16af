"""SCSI (SAS) drives behind the family port."""

from __future__ import annotations

import msgspec
from msgspec.structs import replace

from rasura.certificate import Technique
from rasura_agent.drive.port import Disposition
from rasura_agent.erase.firmware.family import Prepared
from rasura_agent.erase.firmware.line import Line, TechniqueEnd
from rasura_agent.erase.firmware.offer import Offer
from rasura_agent.erase.firmware.scsi_blocks import use_all_blocks
from rasura_agent.erase.firmware.scsi_capabilities import SanitizeKind, ScsiCapabilities, read_capabilities
from rasura_agent.erase.firmware.scsi_format import adopt_format, reformat_to_512, run_format_unit
from rasura_agent.erase.firmware.scsi_identity import Identity, same_identity
from rasura_agent.erase.firmware.scsi_offers import offers
from rasura_agent.erase.firmware.scsi_sanitize import adopt_sanitize, leave_failure_mode, run_sanitize
from rasura_agent.erase.firmware.scsi_state import ScsiState, settle
from rasura_agent.inventory.model import Drive
from rasura_agent.sentence import Sentence

__all__ = ["ScsiFamily"]

_AT_WORK = frozenset({ScsiState.SANITIZING, ScsiState.FORMATTING})

_NEEDS_REFORMAT = Sentence(
    "its sectors have 520 bytes or the like, which Linux cannot use: "
    "a policy with reformat_sectors = true brings it to 512 first"
)

_FORMAT_LOST = frozenset({ScsiState.FORMAT_CORRUPT, ScsiState.FORMAT_FAILED})
"""No block can be read or written until a format or a sanitize has gone through."""

_CLOSED = _AT_WORK | _FORMAT_LOST | {ScsiState.SANITIZE_FAILED}
"""READ CAPACITY is not among what such a drive answers (SBC-4, SANITIZE): a kernel that meets it has none."""


class ScsiFamily(msgspec.Struct):
    """One SCSI drive; ``capabilities`` are as last read."""

    drive: Drive
    capabilities: ScsiCapabilities
    reformat_sectors: bool

    @classmethod
    def meet(cls, line: Line, drive: Drive, *, reformat_sectors: bool) -> ScsiFamily | str:
        """Ask the drive what it can; a string says why it does not tell."""
        capabilities = read_capabilities(line)
        if capabilities.inquiry is None:
            reason = Sentence.of(capabilities.unread) if capabilities.unread else Sentence("no INQUIRY data")
            return Sentence("it does not answer SCSI commands: {reason}", reason=reason)
        return cls(drive, capabilities, reformat_sectors)

    def offers(self) -> tuple[Offer, ...]:
        """Every SCSI technique, as it will stand once a sanitize or format at work has been followed."""
        now = self.capabilities
        return offers(replace(now, state=ScsiState.READY) if now.state in _AT_WORK else now, self.drive)

    @property
    def odd_sectors(self) -> str | None:
        """Why the kernel shows no capacity although the drive has one; ``None`` where it has none to show.

        The empty string for a drive of 520, 524 or 528-byte sectors where the policy lets it be
        reformatted, and for one that was at work, or was cut short at it, when the kernel met it.
        """
        if self.capabilities.needs_reformat:
            return "" if self.reformat_sectors else _NEEDS_REFORMAT
        return "" if self.capabilities.state in _CLOSED or self.capabilities.total_bytes else None

    @property
    def is_frozen(self) -> bool:
        """No: SCSI has no freeze lock."""
        return False

    def prepare(self, line: Line) -> Prepared:
        """Follow or leave an earlier sanitize, and have the drive use all its blocks."""
        now = self.capabilities = read_capabilities(line)
        identity = same_identity(now.serial, now.wwn, self.drive)
        if identity.identity is not Identity.SAME:
            return Prepared(risks=(f"hidden-areas: they were not examined: {identity.sentence}",))
        state = now.state
        if state in _AT_WORK:
            adopt = adopt_format if state is ScsiState.FORMATTING else adopt_sanitize
            adopted = adopt(line, now)
            state = settle(line).state
            if adopted.disposition is not Disposition.REFUSED and state is not ScsiState.SANITIZE_FAILED:
                return Prepared(obstacle=adopted.reason)
        barred = state in _FORMAT_LOST
        if state is ScsiState.SANITIZE_FAILED:
            barred = leave_failure_mode(line).disposition is not Disposition.REFUSED
        if state in _AT_WORK:
            return Prepared(obstacle=Sentence("it is still at work: {state}", state=state.value))
        if now.needs_reformat or (state in _FORMAT_LOST and not self.drive.capacity_bytes):
            obstacle = self._format_first(line, now)
            if obstacle is not None:
                return Prepared(obstacle=obstacle)
            barred = False
        used = use_all_blocks(line)
        self.capabilities = read_capabilities(line)
        unsure = used.end.disposition is Disposition.UNKNOWN
        return Prepared(
            barred=barred,
            lifted=now.needs_reformat or bool(used.hidden_blocks) or not self.drive.capacity_bytes,
            native_capacity_bytes=self.capabilities.total_bytes,
            risks=(f"hidden-areas: {used.end.reason}",) if unsure else (),
        )

    def _format_first(self, line: Line, now: ScsiCapabilities) -> str | None:
        """A step of its own: the drive is then usable, and still to be erased; why it is not, or ``None``.

        Without a format that has gone through, or with odd sectors, the kernel knows no block to mark.
        """
        if not now.needs_reformat:
            ended, what = run_format_unit(line, now), Sentence("its lost format could not be made good")
        elif self.reformat_sectors:
            ended, what = (
                reformat_to_512(line, now),
                Sentence("it could not be reformatted to sectors of 512 bytes"),
            )
        else:
            return _NEEDS_REFORMAT
        if ended.disposition is Disposition.DONE:
            return None
        return Sentence("{what}: {reason}", what=what, reason=ended.reason)

    def run(self, technique: Technique, line: Line) -> TechniqueEnd:
        """Carry out one SCSI technique."""
        if technique is Technique.SCSI_FORMAT_UNIT:
            return run_format_unit(line, self.capabilities)
        return run_sanitize(line, SanitizeKind(technique), self.capabilities)
