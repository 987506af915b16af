"""The PSID revert as a technique: a drive locked by a forgotten password gives up its key with its data.

Revert of the Admin SP, authorised by the PSID on the label, brings a drive to its Original Factory State
(TCG Opal SSC 2.02 clause 5.1.2.2, PSID feature set 1.00). If the Locking SP is active, that changes the
media encryption keys: a cryptographic erase. **If it is not, the user data stays as it is**, which is
seen in the field (sedutil #267); so an inactive Locking SP is an obstacle here, not a success.

Linux carries the revert out itself (``IOC_OPAL_PSID_REVERT_TPR``), so it is no command of a
:class:`~rasura_agent.drive.port.DrivePort` but a port of its own. State names are the life cycle states
of the Locking SP: Manufactured-Inactive, and Manufactured once somebody activated it.
"""

from __future__ import annotations

from typing import Protocol

from rasura.certificate import Method, Technique
from rasura.errors import RasuraError
from rasura_agent.drive.port import AtaCommand, Completion, Disposition, NvmeCommand, ScsiCommand
from rasura_agent.drive.tcg.discovery import (
    DataRemovalMechanism,
    Discovery,
    FeatureCode,
    LockingFeature,
    decode_discovery,
)
from rasura_agent.drive.tcg.errors import TcgDecodeError
from rasura_agent.drive.tcg.psid import Psid
from rasura_agent.erase.firmware.follow import Followed, Look, LookState, Pace, follow
from rasura_agent.erase.firmware.line import CommandRecord, Line, TechniqueEnd
from rasura_agent.erase.firmware.offer import Offer
from rasura_agent.inventory.model import Drive, Transport
from rasura_agent.sentence import Sentence

__all__ = [
    "DiscoveryCommand",
    "PsidReverter",
    "TcgUnreadableError",
    "offers",
    "read_discovery",
    "run_psid_revert",
]

DiscoveryCommand = AtaCommand | NvmeCommand | ScsiCommand
"""Level 0 Discovery in the drive's own command set (``drive.tcg.discovery``)."""

_DONE, _REFUSED, _UNKNOWN = Disposition.DONE, Disposition.REFUSED, Disposition.UNKNOWN
_INACTIVE, _ACTIVE = "Manufactured-Inactive", "Manufactured"

_PURGE = "NIST SP 800-88r2 cryptographic erase, of a drive that says it encrypts all user data"
_CLEAR = "NIST SP 800-88r2 Clear: the drive does not say that it encrypts all user data"

_REACHABLE = {FeatureCode.OPAL_1, FeatureCode.OPAL_2}
"""The subsystem classes whose ComID Linux uses (block/sed-opal.c); it opens no session with any other."""
_CARRIERS = {Transport.NVME, Transport.ATA, Transport.SATA, Transport.SCSI, Transport.SAS}
_NO_TCG = Sentence("the drive has no TCG security")
_MARGIN_S = 3600.0


class TcgUnreadableError(RasuraError):
    """The drive does not answer Level 0 Discovery."""


class PsidReverter(Protocol):
    """The way to one drive's PSID revert. Like a ``DrivePort``, it never raises for what the drive does."""

    def revert(self, psid: Psid) -> Completion:
        """Revert and wait for the end; ``REFUSED`` only where the session was not authorised."""
        ...


def read_discovery(line: Line, command: DiscoveryCommand) -> Discovery | None:
    """Level 0 Discovery; ``None`` where the drive has no TCG security.

    Raises:
        TcgUnreadableError: no answer.
        TcgDecodeError: an answer that is none.
    """
    completion = line.execute(command)
    if completion.disposition is not _DONE:
        raise TcgUnreadableError(
            f"{command.name} was not answered: {completion.detail}",
            hint="a SATA drive can be asked only if Linux was booted with libata.allow_tpm=1",
        )
    return decode_discovery(completion.data)


def offers(
    discovery: Discovery | None,
    drive: Drive,
    *,
    psid: Psid | None,
    encrypts_all_user_data: bool | None = None,
) -> tuple[Offer, ...]:
    """The one technique of this family.

    Args:
        discovery: as just read; ``None`` for a drive without TCG security.
        drive: as the inventory describes it.
        psid: from the label, ``None`` while nobody has read it.
        encrypts_all_user_data: the word of another command set where it has one (IDENTIFY DEVICE word
            69 bit 4); ``False`` outweighs the Locking feature's media encryption bit.
    """
    if discovery is None:
        return (Offer(Technique.TCG_PSID_REVERT, Method.CLEAR, _CLEAR, None, _NO_TCG),)
    encrypts = discovery.locking is not None and LockingFeature.MEDIA_ENCRYPTION in discovery.locking
    purges = encrypts and encrypts_all_user_data is not False
    method, basis = (Method.PURGE, _PURGE) if purges else (Method.CLEAR, _CLEAR)
    unread = None if psid is not None else Sentence("its PSID was not read from the label")
    obstacle = _mismatch(drive) or _obstacle(discovery) or unread
    return (Offer(Technique.TCG_PSID_REVERT, method, basis, _estimate(discovery), obstacle),)


def run_psid_revert(
    line: Line, command: DiscoveryCommand, reverter: PsidReverter, psid: Psid
) -> TechniqueEnd:
    """Revert the drive, with ``command`` to look at its Locking feature before and after."""
    before = _active(line, command)
    if isinstance(before, str):
        return line.end(_REFUSED, before)
    # Manufactured -> Manufactured-Inactive, with new keys.
    completion = _revert(line, reverter, psid)
    if completion.disposition is _REFUSED:
        reason = Sentence(
            "the drive did not accept the PSID; read it again from its label, "
            "0 and O, 1 and I apart ({detail})",
            detail=completion.detail,
        )
        return line.end(_REFUSED, reason, _ACTIVE)
    followed = _follow(line, command, before)
    if followed.state is LookState.SUCCEEDED:
        # Only a revert deactivates the Locking SP, so the lost status of one is settled by that.
        if completion.disposition is _DONE:
            how = Sentence("the revert reported success")
        else:
            how = Sentence("the revert did not report how it ended")
        reason = Sentence(
            "{how}, and the drive's lock is in its factory state, which it was not before", how=how
        )
        return line.end(_DONE, reason, _INACTIVE)
    if completion.disposition is _DONE:
        reason = Sentence("the drive reported success, but {detail}", detail=followed.detail)
    else:
        reason = Sentence("{reason}; {rest}", reason=completion.detail, rest=followed.detail)
    return line.end(_UNKNOWN, reason)


def _active(line: Line, command: DiscoveryCommand) -> Discovery | str:
    """The drive's lock, active and within reach, or why there is nothing to revert."""
    try:
        found = read_discovery(line, command)
    except (TcgUnreadableError, TcgDecodeError) as error:
        return Sentence("its lock cannot be looked at ({error}); nothing was begun", error=error)
    if found is None:
        return _NO_TCG
    return _obstacle(found) or found


def _revert(line: Line, reverter: PsidReverter, psid: Psid) -> Completion:
    """Revert, and keep the record, without the PSID: it is no secret of ours to publish."""
    at = line.elapsed_s
    completion = reverter.revert(psid)
    took = line.elapsed_s - at
    line.records.append(CommandRecord("PSID REVERT", at, took, completion.disposition, completion.detail))
    return completion


def _follow(line: Line, command: DiscoveryCommand, before: Discovery) -> Followed:
    """Look until the lock is in its factory state and no data removal is running."""

    def look() -> Look:
        try:
            now = read_discovery(line, command)
        except (TcgUnreadableError, TcgDecodeError) as error:
            return Look(LookState.UNKNOWN, detail=str(error))
        if now is None or now.locking is None:
            return Look(LookState.UNKNOWN, detail=Sentence("it no longer tells of a lock at all"))
        if now.data_removal is not None and now.data_removal.interrupted:
            return Look(LookState.FAILED, detail=Sentence("the removal of its data was interrupted"))
        if now.data_removal is not None and now.data_removal.processing:
            return Look(LookState.RUNNING)
        if now.locking & (LockingFeature.ENABLED | LockingFeature.LOCKED | LockingFeature.MBR_ENABLED):
            return Look(LookState.UNKNOWN, detail=Sentence("its lock is still active"))
        return Look(LookState.SUCCEEDED)

    estimate = _estimate(before)
    return follow(line, look, Pace(estimate, (estimate or 0) + _MARGIN_S))


def _obstacle(discovery: Discovery) -> str | None:
    if not any(one.code in _REACHABLE for one in discovery.classes):
        return Sentence("Linux sends a PSID revert to drives of the TCG Opal class only")
    if discovery.locking is None or LockingFeature.ENABLED not in discovery.locking:
        return Sentence("its lock is not active, and a revert then leaves the data as it is")
    if discovery.data_removal is not None and discovery.data_removal.processing:
        return Sentence("it is still removing data after an earlier revert")
    return None


def _mismatch(drive: Drive) -> str | None:
    if drive.transport not in _CARRIERS:
        return Sentence("TCG commands do not reach it the way it is attached")
    return None


def _estimate(discovery: Discovery) -> float | None:
    """The longest time the drive tells for a removal: which mechanism a revert uses is the drive's choice."""
    times: tuple[tuple[DataRemovalMechanism, int], ...] = ()
    if discovery.data_removal is not None:
        times = discovery.data_removal.estimates_s
    return max((float(seconds) for _, seconds in times), default=None)
