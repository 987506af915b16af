"""Whether the running system is, byte for byte, the image that was built.

A stick with a bad cell or a download gone wrong must not erase drives: what it does then is anybody's
guess. The digest is of what the root filesystem really stands on, as it lies in memory.
"""

from __future__ import annotations

import hashlib
import threading
from enum import Enum
from pathlib import Path

from rasura_agent.live.boot_facts import PARTS, Build

__all__ = ["Integrity", "IntegrityCheck", "check_parts"]

_CHUNK_BYTES = 1 << 20


class Integrity(Enum):
    """What came of comparing the running system with its build."""

    CHECKING = "checking"
    INTACT = "intact"
    DAMAGED = "damaged"
    NOT_AN_IMAGE = "not an image"
    """This system was not booted from an image of ours: there is nothing to compare with."""


def check_parts(root: Path, build: Build | None) -> Integrity:
    """Compare ``/dev/loop0``, ``/dev/loop1``… below ``root`` with the parts that ``build`` names."""
    if build is None:
        return Integrity.NOT_AN_IMAGE
    sound = build.is_sound and all(
        _digest(root / f"dev/loop{number}") == build.parts.get(part) for number, part in enumerate(PARTS)
    )
    return Integrity.INTACT if sound else Integrity.DAMAGED


def _digest(path: Path) -> str:
    """The SHA-256 of all of it in hex; empty, which no part has, if it cannot be read."""
    digest = hashlib.sha256()
    try:
        with path.open("rb", buffering=0) as stream:
            while chunk := stream.read(_CHUNK_BYTES):
                digest.update(chunk)
    except OSError:
        return ""
    return digest.hexdigest()


class IntegrityCheck:
    """The comparison, running beside everything else."""

    def __init__(self, root: Path, build: Build | None) -> None:
        self._root, self._build = root, build
        self._found = Integrity.CHECKING
        self._thread = threading.Thread(target=self._run, name="integrity", daemon=True)
        self._thread.start()

    @property
    def found(self) -> Integrity:
        """What is known so far."""
        return self._found

    def wait(self) -> Integrity:
        """What came of it, once it did."""
        self._thread.join()
        return self._found

    def _run(self) -> None:
        found = Integrity.DAMAGED  # whatever else may happen in between
        try:
            found = check_parts(self._root, self._build)
        finally:
            self._found = found
