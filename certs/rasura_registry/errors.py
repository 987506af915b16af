"""What can go wrong in the registry.

::

    RasuraError
    ├── StoreError              the disk or the index said no; nothing was acknowledged  (exit 1)
    ├── UsageError
    │   └── FolderError         this is not a registry's data folder                     (exit 2)
    └── RefusedError
        ├── FolderInUseError    the folder is already a registry, or one is running      (exit 3)
        └── LogDamagedError     the folder contradicts itself; nothing will be signed    (exit 3)
"""

from __future__ import annotations

from rasura.errors import RasuraError, RefusedError, UsageError

__all__ = ["FolderError", "FolderInUseError", "LogDamagedError", "StoreError"]


class StoreError(RasuraError):
    """Something could not be stored or read; ``full`` when there was no room for it."""

    def __init__(self, message: str, *, full: bool = False) -> None:
        super().__init__(message)
        self.full = full


class FolderError(UsageError):
    """The folder named is not what the command needs."""


class FolderInUseError(RefusedError):
    """Somebody else's registry is there already."""


class LogDamagedError(RefusedError):
    """Files, index and signed checkpoints disagree: signing on would fork the log."""

    def __init__(self, message: str) -> None:
        super().__init__(
            message,
            hint="run 'rasura-registry check' on the folder; restore it whole, never a part of it",
        )
