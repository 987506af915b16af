"""Reading small values of sysfs for the inventory of a machine: what cannot be read is ``None``."""

from __future__ import annotations

import posixpath

from rasura_agent.inventory.ports import SystemFiles

__all__ = ["children", "driver_of", "number", "place_of", "raw", "word"]


def raw(files: SystemFiles, path: str) -> bytes | None:
    """The bytes of a file."""
    try:
        return files.read_bytes(path)
    except OSError:
        return None


def word(files: SystemFiles, path: str) -> str | None:
    """A short text without spaces around it; ``None`` too where it is empty."""
    data = raw(files, path)
    return None if data is None else data.decode("utf-8", "replace").strip(" \t\r\n\0") or None


def number(files: SystemFiles, path: str) -> int | None:
    """A decimal number."""
    text = word(files, path)
    try:
        return int(text) if text is not None and text.isascii() else None
    except ValueError:
        return None


def children(files: SystemFiles, folder: str) -> list[str] | None:
    """The names in a folder, sorted; ``None`` where there is no such folder."""
    try:
        return files.list_dir(folder)
    except OSError:
        return None


def place_of(files: SystemFiles, path: str) -> str | None:
    """Where a link leads in the end."""
    try:
        return files.real_path(path)
    except OSError:
        return None


def driver_of(files: SystemFiles, place: str) -> str | None:
    """The name of the driver bound to the device whose folder is ``place``."""
    driver = place_of(files, f"{place}/driver")
    return posixpath.basename(driver) if driver is not None else None
