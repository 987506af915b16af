"""Which drive may become a stick: a whole one, on USB or removable, that nothing uses."""

from __future__ import annotations

from pathlib import Path

from rasura.errors import RefusedError, UsageError
from rasura_agent.console.words import title
from rasura_agent.guard import Protection, RefusalReason, examine
from rasura_agent.inventory.drives import enumerate_drives
from rasura_agent.inventory.model import Transport
from rasura_agent.inventory.usage import gather_usage
from rasura_agent.live.gpt import SECTOR_BYTES

__all__ = ["describe_stick"]

_OURS = frozenset({RefusalReason.LIVE_MEDIUM})
"""A stick of ours is what may be written anew; one that this system runs from is mounted, or in use."""


def describe_stick(path: Path, *, any_drive: bool) -> str:
    """The drive at ``path`` in a few words, if it may be written over; ``any_drive``: also an internal one.

    Raises:
        UsageError: it is not a drive of this machine, such as a partition.
        RefusedError: it must not be touched, is no stick, or none that a computer would start from.
    """
    resolved = str(path.resolve())
    drive = next((one for one in enumerate_drives(include_loop=True).drives if one.path == resolved), None)
    if drive is None:
        raise UsageError(
            f"{path} is not a drive of this machine", hint="'lsblk' lists them; a partition is not a drive"
        )
    usage = gather_usage((drive,))[drive.path]
    refusals = [one for one in examine(drive, usage, Protection()) if one.reason not in _OURS]
    if refusals:
        raise RefusedError(refusals[0].sentence)
    if drive.logical_sector_bytes != SECTOR_BYTES:
        # Its tables count in sectors: firmware and kernel would look for all of them elsewhere.
        raise RefusedError(
            f"{path} has sectors of {drive.logical_sector_bytes} bytes, and the live image is made for"
            f" {SECTOR_BYTES}: no computer would start from it",
            hint="take another stick",
        )
    if not any_drive and drive.transport is not Transport.USB and not drive.removable:
        raise RefusedError(
            f"{path} is no stick: {title(drive)} is built in",
            hint="--any-drive writes to it all the same",
        )
    return title(drive)
