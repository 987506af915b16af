"""Erasing an eMMC: the CMD38 sequences over every hardware partition, and sanitize (JESD84-B51 clause 6.6).

An eMMC tells neither progress nor an estimate, and nothing in it remembers that an erase succeeded; its
time-outs are upper bounds, and a device that held little data is done at once. So there is no least
time to hold it to, and the status of each step is all there is before the engine looks for its markers.
A step whose status was lost ends the run as unknown.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import msgspec

from rasura.certificate import Technique
from rasura_agent.drive.mmc.commands import EMMC_RCA, send_status
from rasura_agent.drive.mmc.erase import (
    SequencePort,
    erase_sequence,
    erase_timeout_s,
    sanitize,
    sanitize_timeout_s,
    sequence_outcome,
)
from rasura_agent.drive.mmc.ext_csd import SECTOR_BYTES, ExtCsd
from rasura_agent.drive.mmc.status import CardState, card_state, completed
from rasura_agent.drive.port import Completion, Disposition, DrivePort, MmcCommand
from rasura_agent.erase.firmware.follow import Look, LookState, Pace, follow
from rasura_agent.erase.firmware.line import CommandRecord, Line, Running, TechniqueEnd
from rasura_agent.erase.firmware.mmc_capabilities import MmcArea, MmcCapabilities, read_register
from rasura_agent.erase.firmware.mmc_offers import erases, unsupported
from rasura_agent.erase.firmware.mmc_protection import boot_protection, group_protection
from rasura_agent.sentence import Sentence

__all__ = ["run_sanitize", "run_secure_erase", "run_secure_trim"]

_DONE, _REFUSED, _UNKNOWN = Disposition.DONE, Disposition.REFUSED, Disposition.UNKNOWN
_Ended = tuple[Disposition, str]
Ports = Mapping[MmcArea, DrivePort]
"""A port for each partition of ``MmcCapabilities.areas`` except the user area, which is the line's own."""


def run_sanitize(line: Line, capabilities: MmcCapabilities, ports: Ports) -> TechniqueEnd:
    """Unmap the user area, erase the other partitions, then have all that is unmapped removed."""
    return _run(line, capabilities, ports, Technique.MMC_SANITIZE)


def run_secure_erase(line: Line, capabilities: MmcCapabilities, ports: Ports) -> TechniqueEnd:
    """Secure erase of every partition, with the former copies of what is in it."""
    return _run(line, capabilities, ports, Technique.MMC_SECURE_ERASE)


def run_secure_trim(line: Line, capabilities: MmcCapabilities, ports: Ports) -> TechniqueEnd:
    """Secure trim of every partition: mark it (step 1), then remove what is marked (step 2)."""
    return _run(line, capabilities, ports, Technique.MMC_SECURE_TRIM)


class _Step(msgspec.Struct, frozen=True):
    """One thing that the device is told to do and that takes time."""

    words: str
    carry_out: Callable[[], _Ended]


def _run(line: Line, capabilities: MmcCapabilities, ports: Ports, technique: Technique) -> TechniqueEnd:
    obstacle = unsupported(capabilities, technique)
    missing = [area.words for area, _ in capabilities.areas if area and area not in ports]
    if missing:
        obstacle = obstacle or Sentence("there is no line to {areas}", areas=Sentence.of(missing, ", "))
    if obstacle is not None:
        return line.end(_REFUSED, obstacle)
    before = read_register(line)
    if isinstance(before, str):
        return line.end(
            _REFUSED,
            Sentence("its EXT_CSD register cannot be read ({detail}); nothing was begun", detail=before),
        )
    lines = {area: _line_to(line, ports.get(area, line.port)) for area, _ in capabilities.areas}
    obstacle = boot_protection(before) or _groups(lines, capabilities)
    if obstacle is not None:
        return line.end(_REFUSED, Sentence("{obstacle}; nothing was begun", obstacle=obstacle))
    disposition, reason = _carry_out(line, _steps(lines, capabilities, technique))
    # Through the user area's own descriptor, so that the kernel selects that partition again (which it
    # does whatever came of the steps), and to see that it has.
    changed = _not_restored(before, read_register(line))
    if changed is not None:
        disposition = _UNKNOWN if disposition is _DONE else disposition
        reason = Sentence("{reason}; {rest}", reason=reason, rest=changed)
    return line.end(disposition, reason)


def _line_to(line: Line, port: DrivePort) -> Line:
    """A line to another partition of the same device, with the same record and the same beginning."""
    other = Line(port, line.clock, line.watch, line.records)
    other.began = line.began
    return other


def _groups(lines: Mapping[MmcArea, Line], capabilities: MmcCapabilities) -> str | None:
    for area, size in capabilities.areas:
        # Boot partitions take no command of class 6; BOOT_WP_STATUS speaks for them.
        if area not in {MmcArea.BOOT_1, MmcArea.BOOT_2}:
            problem = group_protection(lines[area], capabilities, area, size)
            if problem is not None:
                return problem
    return None


def _steps(
    lines: Mapping[MmcArea, Line], capabilities: MmcCapabilities, technique: Technique
) -> tuple[_Step, ...]:
    """The user area first: if that cannot be erased, no boot loader was lost for nothing."""
    steps = []
    for area, size in capabilities.areas:
        for argument in erases(capabilities, technique, area):
            sector = SECTOR_BYTES if not capabilities.ext_csd.block_addressed else 1
            last = (size // SECTOR_BYTES - 1) * sector
            timeout = erase_timeout_s(capabilities.ext_csd, argument, size)
            commands = erase_sequence(0, last, argument, rca=EMMC_RCA, timeout_s=timeout)
            words = Sentence("{argument} of {area}", argument=argument.name, area=area.words)
            steps.append(_Step(words, _eraser(lines[area], commands)))
    if technique is Technique.MMC_SANITIZE:
        device_bytes = sum(size for _, size in capabilities.areas)
        user = lines[MmcArea.USER]
        steps.append(_Step(Sentence("sanitize"), lambda: _sanitize(user, sanitize_timeout_s(device_bytes))))
    return tuple(steps)


def _carry_out(line: Line, steps: tuple[_Step, ...]) -> _Ended:
    for number, step in enumerate(steps):
        stop = line.watch(Running(number / len(steps), line.elapsed_s, None))
        disposition, reason = (_REFUSED, stop) if stop is not None else step.carry_out()
        if disposition is not _DONE:
            # Refused is only a run in which no step was taken at all.
            disposition = _UNKNOWN if number else disposition
            return disposition, Sentence("{what}: {reason}", what=step.words, reason=reason)
    words = Sentence.of((one.words for one in steps), ", ")
    return _DONE, Sentence("the device ended every step without an error ({steps})", steps=words)


def _eraser(line: Line, commands: tuple[MmcCommand, ...]) -> Callable[[], _Ended]:
    def erase() -> _Ended:
        completions = _send(line, commands)
        disposition, detail = sequence_outcome(completions)
        if len(completions) == len(commands) and completions[-1].disposition is _REFUSED:
            # CMD38 was taken; only the question how it went was not.
            disposition = _UNKNOWN
        if disposition is _UNKNOWN:
            rest = _at_rest(line, commands[2].timeout_s)
            return _UNKNOWN, Sentence("{reason}; {rest}", reason=detail, rest=rest)
        return disposition, detail

    return erase


def _send(line: Line, commands: tuple[MmcCommand, ...]) -> tuple[Completion, ...]:
    """Send a sequence as one, where the port can; or one by one, and the device tells if it was torn."""
    if not isinstance(line.port, SequencePort):
        completions: tuple[Completion, ...] = ()
        for command in commands:
            completions += (line.execute(command),)
            if completions[-1].disposition is not _DONE:
                break
        return completions
    at = line.elapsed_s
    completions = line.port.execute_sequence(commands)
    took = line.elapsed_s - at
    for command, completion in zip(commands, completions, strict=False):
        line.records.append(CommandRecord(command.name, at, took, completion.disposition, completion.detail))
    return completions


def _sanitize(line: Line, timeout_s: float) -> _Ended:
    completion = line.execute(sanitize(timeout_s=timeout_s))
    if completion.disposition is _REFUSED:
        return _REFUSED, completion.detail
    if completion.disposition is _DONE:
        completion = line.execute(send_status(EMMC_RCA))
        if completion.mmc_response is not None:
            return completed(completion.mmc_response[0])
    # When its time-out passes, Linux interrupts a sanitize (HPI): it is not done then.
    rest = _at_rest(line, timeout_s)
    return _UNKNOWN, Sentence("{reason}; {rest}", reason=completion.detail, rest=rest)


def _at_rest(line: Line, timeout_s: float) -> str:
    """After a lost status, wait until the device is no longer busy; in words how it was left."""

    def look() -> Look:
        completion = line.execute(send_status(EMMC_RCA))
        if completion.mmc_response is None:
            return Look(LookState.UNKNOWN, detail=completion.detail)
        state = card_state(completion.mmc_response[0])
        if state is CardState.PROGRAM:
            return Look(LookState.RUNNING)
        at_rest = state is CardState.TRANSFER
        return Look(LookState.SUCCEEDED if at_rest else LookState.UNKNOWN, detail=completion.detail)

    followed = follow(line, look, Pace(estimate_s=None, deadline_s=timeout_s))
    if followed.state is LookState.SUCCEEDED:
        return Sentence("the device is at rest now and may be erased afresh")
    return followed.detail


def _not_restored(before: ExtCsd, after: ExtCsd | str) -> str | None:
    """Whether anything but the user area is left selected, or the boot configuration was changed."""
    if isinstance(after, str):
        return Sentence("the state of the device afterwards cannot be read ({detail})", detail=after)
    # Bits 2:0 are PARTITION_ACCESS; above them the configuration of booting, which outlasts power.
    if after.partition_config & 0b111 or after.partition_config >> 3 != before.partition_config >> 3:
        return Sentence("PARTITION_CONFIG was left as {number}h", number=f"{after.partition_config:02X}")
    return None
