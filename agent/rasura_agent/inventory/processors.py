"""Processor packages and memory as the kernel has them, joined with what the SMBIOS table says of them."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec.structs import replace

from rasura_agent.inventory.firmware_text import Reading
from rasura_agent.inventory.machine_model import Processor
from rasura_agent.inventory.ports import SystemFiles
from rasura_agent.inventory.sysfs import raw

__all__ = ["join_processors", "kernel_processors", "usable_memory"]

_KIB = 1024
_MAKERS = {
    "GenuineIntel": "Intel",
    "AuthenticAMD": "AMD",
    "HygonGenuine": "Hygon",
    "CentaurHauls": "VIA",
    "  Shanghai  ": "Zhaoxin",
}


def kernel_processors(files: SystemFiles, reading: Reading) -> tuple[Processor, ...] | None:
    """The packages in /proc/cpuinfo; ``None`` where it cannot be read or is of another architecture."""
    data = raw(files, "/proc/cpuinfo")
    if data is None:
        reading.note("the kernel's list of processors (/proc/cpuinfo) cannot be read")
        return None
    packages: dict[str, list[dict[str, str]]] = {}
    for block in data.decode("utf-8", "replace").split("\n\n"):
        facts = {key.strip(): value.strip(" ") for key, _, value in _partitioned(block) if value}
        if "processor" in facts and "model name" in facts:
            packages.setdefault(facts.get("physical id", "0"), []).append(facts)
    if not packages:
        reading.note("the kernel's list of processors (/proc/cpuinfo) tells no model")
        return None
    return tuple(_package(threads, reading) for threads in packages.values())


def _partitioned(block: str) -> list[tuple[str, str, str]]:
    return [line.partition(":") for line in block.split("\n")]


def _package(threads: list[dict[str, str]], reading: Reading) -> Processor:
    facts = threads[0]
    cores = {one["core id"] for one in threads if "core id" in one}
    maker = facts.get("vendor_id", "")
    return Processor(
        manufacturer=_MAKERS.get(maker) or reading.text("a processor's maker", maker),
        model=reading.text("a processor's name", facts["model name"]),
        family_number=_number(facts.get("cpu family")),
        model_number=_number(facts.get("model")),
        stepping=_number(facts.get("stepping")),
        cores=_number(facts.get("cpu cores")) or len(cores) or None,
        threads=len(threads),
    )


def join_processors(
    kernel: tuple[Processor, ...] | None, firmware: Sequence[Processor]
) -> tuple[Processor, ...]:
    """One list: the kernel's word on what runs, the firmware's on sockets and rated speed.

    They are joined in their order, where both have as many.
    """
    if kernel is None:
        return tuple(firmware)
    if len(kernel) != len(firmware):
        return kernel
    return tuple(
        replace(one, socket=other.socket, max_mhz=other.max_mhz, model=one.model or other.model)
        for one, other in zip(kernel, firmware, strict=True)
    )


def usable_memory(files: SystemFiles, reading: Reading) -> int | None:
    """MemTotal of /proc/meminfo, in bytes."""
    for line in (raw(files, "/proc/meminfo") or b"").decode("ascii", "replace").splitlines():
        match line.split():
            case ["MemTotal:", amount, "kB"] if amount.isdecimal():
                return int(amount) * _KIB
    reading.note("how much memory the kernel has (/proc/meminfo) cannot be read")
    return None


def _number(text: str | None) -> int | None:
    return int(text) if text is not None and text.isascii() and text.isdecimal() else None
