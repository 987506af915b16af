"""A file that one process at a time holds; the kernel lets go of it when that process ends."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

__all__ = ["take_lock"]


def take_lock(path: Path) -> int:
    """A descriptor of the file at ``path``, made if missing, that holds it until it is closed.

    Raises:
        BlockingIOError: another process holds it.
        OSError: it cannot be held.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor
