"""Where the built image lies, and why tests of it cannot run."""

from __future__ import annotations

import json
from pathlib import Path

from lab import machine

ROOT = Path(__file__).parents[2]
IMAGE = ROOT / "build/image"
ISO = IMAGE / "rasura.iso"
NETBOOT = IMAGE / "netboot"
STATED_MIB = 512
"""The memory that suffices, as the README says."""


def missing() -> str | None:
    """Why the image cannot be booted here, or ``None``."""
    if not ISO.is_file():
        return "there is no image: ./scripts/build-image makes it"
    return machine.missing()


def build_hash() -> str:
    """What names the build."""
    return str(json.loads((IMAGE / "build.json").read_text())["buildHash"])


def console_font() -> Path:
    """The font of the image's console, from what the image was made of."""
    found = (ROOT / "build/cache").glob("unpacked-*/payload/usr/share/consolefonts/Lat15-Terminus16.psf.gz")
    font = next(found, None)
    assert font is not None, "build/cache is not there any more: ./scripts/build-image makes it"
    return font
