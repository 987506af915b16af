"""The two errors of the SCSI codecs."""

from __future__ import annotations

from rasura.errors import RasuraError, UsageError

__all__ = ["ScsiDecodeError", "ScsiEncodeError"]


class ScsiDecodeError(RasuraError):
    """Bytes from a drive are not what the standard says they should be.

    It carries no verdict on the drive: what could not be decoded is unknown.
    """


class ScsiEncodeError(UsageError):
    """A command was asked for that its fields cannot express; nothing was sent."""
