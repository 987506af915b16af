"""How this machine was booted, read below a root folder so that a test can make one up."""

from __future__ import annotations

import hashlib
from enum import StrEnum
from pathlib import Path

import msgspec

from rasura_agent.live.boot_parameters import BootFrom, BootParameters, Entry

__all__ = ["PARTS", "BootFacts", "Build", "Firmware", "boot_line", "parse_build", "read_boot_facts"]

BUILD_FILE = "usr/lib/rasura/build.json"
PARTS = ("base.squashfs", "agent.squashfs")
"""The parts of an image that the root stands on, in the order of their loop devices."""

_SECURE_BOOT = "sys/firmware/efi/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c"
"""UEFI 2.10 clause 3.3; efivarfs puts four bytes of attributes before the one byte of value."""


class Firmware(StrEnum):
    """What started the boot loader."""

    BIOS = "bios"
    UEFI = "uefi"


class Build(msgspec.Struct, frozen=True, rename="camel"):
    """What the image says it was built from; ``parts`` are SHA-256 in hex by file name."""

    version: str
    commit: str
    build_hash: str
    """``sha256:`` and the hex digest of the canonical JSON of ``parts``."""
    parts: dict[str, str]

    @property
    def is_sound(self) -> bool:
        """Whether the build hash follows from the parts."""
        canonical = msgspec.json.encode(dict(sorted(self.parts.items())))
        return self.build_hash == f"sha256:{hashlib.sha256(canonical).hexdigest()}"


class BootFacts(msgspec.Struct, frozen=True):
    """How this machine was booted; ``None`` where it does not say."""

    build: Build | None
    """``None``: this was not booted from an image of ours."""
    firmware: Firmware
    secure_boot: bool | None
    """``None`` on BIOS, or where the firmware does not tell."""
    lockdown: str | None
    """What the kernel calls its lockdown mode: ``none``, ``integrity`` or ``confidentiality``."""
    kernel: str | None
    memory_mib: int | None
    boot_from: BootFrom | None
    entry: Entry | None


def read_boot_facts(root: Path, parameters: BootParameters) -> BootFacts:
    """Read what the running system below ``root`` says; never raises."""
    return BootFacts(
        build=parse_build(_bytes(root / BUILD_FILE)),
        firmware=Firmware.UEFI if (root / "sys/firmware/efi").is_dir() else Firmware.BIOS,
        secure_boot=_secure_boot(_bytes(root / _SECURE_BOOT)),
        lockdown=_lockdown(_text(root / "sys/kernel/security/lockdown")),
        kernel=_text(root / "proc/sys/kernel/osrelease").strip() or None,
        memory_mib=_memory_mib(_text(root / "proc/meminfo")),
        boot_from=parameters.boot_from,
        entry=parameters.entry,
    )


def parse_build(raw: bytes) -> Build | None:
    """Read build.json; ``None`` if it is none of ours."""
    try:
        return msgspec.json.decode(raw, type=Build)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None


def boot_line(facts: BootFacts) -> str:
    """The facts for machines, in one line that is the same in every language; ``-`` where unknown."""
    secure = {True: "on", False: "off", None: None}[facts.secure_boot]
    words = {
        "build": facts.build.build_hash if facts.build is not None else None,
        "firmware": facts.firmware,
        "secureboot": secure,
        "lockdown": facts.lockdown,
        "boot": facts.boot_from,
        "entry": facts.entry,
        "kernel": facts.kernel,
        "ram_mib": facts.memory_mib,
    }
    return " ".join(["rasura-boot:", *(f"{name}={_word(value)}" for name, value in words.items())])


def _word(value: object) -> str:
    word = "" if value is None else str(value)
    return word if word.isprintable() and word and " " not in word else "-"


def _secure_boot(variable: bytes) -> bool | None:
    return variable[4] == 1 if len(variable) == 5 else None


def _lockdown(text: str) -> str | None:
    """``none [integrity] confidentiality``: the mode in brackets."""
    _before, opened, rest = text.partition("[")
    mode, closed, _after = rest.partition("]")
    return mode if opened and closed and mode else None


def _memory_mib(text: str) -> int | None:
    for line in text.splitlines():
        match line.split():
            case ["MemTotal:", amount, "kB"] if amount.isdecimal() and amount.isascii():
                return int(amount) // 1024
    return None


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""


def _text(path: Path) -> str:
    return _bytes(path).decode("utf-8", "replace")
