"""Whether Windows 11 runs on a machine: yes, no, or nobody knows. Pure.

Microsoft's minimum (learn.microsoft.com, "Windows 11 requirements"): a processor of its list, which begins
with Intel's 8th generation and AMD's Ryzen 2000; TPM 2.0; UEFI with Secure Boot; 4 GB of memory; 64 GB.
What the list says of a processor is told from its name here, and where that does not tell it is unknown.
"""

from __future__ import annotations

import re
from collections.abc import Collection

import msgspec

from rasura.machine_report import Answer
from rasura_agent.health.said import Said, say
from rasura_agent.inventory.machine_model import FirmwareKind, Machine, Processor

__all__ = ["Windows11", "processor_answer", "windows_11"]

_MEMORY_BYTES = 4_000_000_000
_USABLE_BYTES = 3_500_000_000
"""Of 4 GB, firmware and graphics keep some from the kernel."""
_STORAGE_BYTES = 64_000_000_000

_INTEL_CORE = re.compile(r"\bi[3579]-(\d{3,5})([A-Z]*\d?)\b", re.IGNORECASE)
_INTEL_M = re.compile(r"\bm[357]-(\d)")
_INTEL_NEW = re.compile(r"Core\(TM\) Ultra|Core\(TM\) [3579] \d{3}|\bN(?:50|95|97|100|200|305)\b")
_INTEL_OLD = re.compile(
    r"Core\(TM\)(?:2| i[357] CPU)|Pentium\(R\) (?:4|D|M|III)|Atom|Xeon\((?:R|TM)\) CPU|Celeron\(R\) (?:M|D)\b"
)
_RYZEN = re.compile(r"Ryzen (?:(?:AI|Threadripper|PRO|[3579]|Threadripper PRO) )*(\d)\d{2,3}(\w*)")
_RYZEN_NEW = re.compile(r"Ryzen (?:AI|Z1|Z2)")
_AMD_OLD = re.compile(
    r"\b(?:FX|Phenom|Sempron|Turion|Opteron|Athlon\(tm\)|A(?:4|6|8|9|10|12)-|E[12]-)", re.IGNORECASE
)
_RAVEN_RIDGE = (0x17, 0x11)
"""CPUID family and model of processors sold as Ryzen 2000 that are of the first generation."""


class Windows11(msgspec.Struct, frozen=True):
    """The answer, and a sentence for every requirement that is not plainly met."""

    answer: Answer
    reasons: tuple[Said, ...]


def _(message: str) -> str:
    """Marks a message for the catalogues; who shows it translates it."""
    return message


def windows_11(machine: Machine, drive_bytes: Collection[int | None]) -> Windows11:
    """Judge each requirement: one that fails is a no, one that nobody knows makes it unknown.

    ``drive_bytes`` are the capacities of the drives, ``None`` where nobody tells.
    """
    found = (
        _processors(machine.processors),
        _tpm(machine),
        _firmware(machine),
        _memory(machine),
        _storage(drive_bytes),
    )
    answers = {answer for answer, _reason in found}
    answer = next((one for one in (Answer.NO, Answer.UNKNOWN) if one in answers), Answer.YES)
    return Windows11(answer, tuple(reason for _answer, reason in found if reason is not None))


_Judged = tuple[Answer, Said | None]


def _processors(processors: tuple[Processor, ...]) -> _Judged:
    if not processors:
        return Answer.UNKNOWN, say(_("the processor is not known"))
    processor = processors[0]
    answer = processor_answer(processor)
    name = processor.model or "?"
    if answer is Answer.NO:
        return answer, say(_("the processor is too old: {name}"), name=name)
    if answer is Answer.UNKNOWN:
        return answer, say(_("whether Windows 11 takes the processor is not known: {name}"), name=name)
    return answer, None


def processor_answer(processor: Processor) -> Answer:
    """Whether the processor is of the 8th generation of Intel, a Ryzen 2000, or later."""
    name = processor.model or ""
    if "AMD" in name or "Ryzen" in name:
        return _amd(processor, name)
    if "Intel" in name:
        return _intel(name)
    return Answer.UNKNOWN


def _intel(name: str) -> Answer:
    core = _INTEL_CORE.search(name)
    if core is not None:
        return _from(_generation(core[1]), 8)
    small = _INTEL_M.search(name)
    if small is not None:
        return _from(int(small[1]), 8)
    if _INTEL_NEW.search(name):
        return Answer.YES
    return Answer.NO if _INTEL_OLD.search(name) else Answer.UNKNOWN


def _generation(number: str) -> int:
    """Of a Core i: i7-920 the first, i5-8250U the 8th, i5-1035G1 the 10th, i7-12700 the 12th."""
    if len(number) == 3:
        return 1
    return int(number[:2]) if len(number) == 5 or number[0] == "1" else int(number[0])


def _amd(processor: Processor, name: str) -> Answer:
    if (processor.family_number, processor.model_number) == _RAVEN_RIDGE:
        return Answer.UNKNOWN
    if _RYZEN_NEW.search(name):
        return Answer.YES
    ryzen = _RYZEN.search(name)
    if ryzen is not None:
        return _from(int(ryzen[1]), 2)
    if "Ryzen" in name or "EPYC" in name:
        return Answer.UNKNOWN
    return Answer.NO if _AMD_OLD.search(name) else Answer.UNKNOWN


def _from(generation: int, first: int) -> Answer:
    return Answer.YES if generation >= first else Answer.NO


def _tpm(machine: Machine) -> _Judged:
    version, present = machine.tpm.version, machine.tpm.present
    if version is not None and version.startswith("2"):
        return Answer.YES, None
    if version is not None:
        return Answer.NO, say(_("the TPM is of version {version}, and 2.0 is needed"), version=version)
    if present is False:
        # Firmware of this age has one, and often ships with it switched off.
        return Answer.UNKNOWN, say(_("no TPM is seen: it may be switched off in the firmware setup"))
    return Answer.UNKNOWN, say(_("the TPM's version is not known"))


def _firmware(machine: Machine) -> _Judged:
    firmware = machine.firmware
    if firmware.kind is FirmwareKind.UEFI or firmware.uefi_capable:
        return Answer.YES, None
    if firmware.uefi_capable is False:
        return Answer.NO, say(_("the firmware knows no UEFI, and so no Secure Boot"))
    return Answer.UNKNOWN, say(_("whether the firmware knows UEFI and Secure Boot is not known"))


def _memory(machine: Machine) -> _Judged:
    installed, usable = machine.memory.installed_bytes, machine.memory.usable_bytes
    if installed is None and usable is None:
        return Answer.UNKNOWN, say(_("the size of the memory is not known"))
    enough = installed >= _MEMORY_BYTES if installed is not None else (usable or 0) >= _USABLE_BYTES
    return (Answer.YES, None) if enough else (Answer.NO, say(_("there are less than 4 GB of memory")))


def _storage(drive_bytes: Collection[int | None]) -> _Judged:
    if not drive_bytes:
        return Answer.UNKNOWN, say(_("there is no drive in it"))
    if any(size is not None and size >= _STORAGE_BYTES for size in drive_bytes):
        return Answer.YES, None
    if None in drive_bytes:
        return Answer.UNKNOWN, say(_("the size of a drive is not known"))
    return Answer.NO, say(_("no drive has 64 GB"))
