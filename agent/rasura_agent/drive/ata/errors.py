"""The two errors of the ATA codecs."""

from __future__ import annotations

from rasura.errors import RasuraError, UsageError

__all__ = ["AtaDecodeError", "AtaEncodeError"]


class AtaDecodeError(RasuraError):
    """Bytes or registers from a drive are not what the standard says they are.

    It carries no verdict on the drive: what could not be decoded is unknown.
    """


class AtaEncodeError(UsageError):
    """A command was asked for that its fields cannot express."""
