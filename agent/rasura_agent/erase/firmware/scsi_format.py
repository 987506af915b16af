"""FORMAT UNIT on SCSI drives (SBC-4): as a technique of its own, and to get rid of odd block lengths.

A format that is cut short by a reset or a loss of power leaves the drive "medium format corrupted"
(31h/00h) and guarantees nothing; it is begun again.
"""

from __future__ import annotations

import msgspec
from msgspec.structs import replace

from rasura_agent.drive.port import Disposition
from rasura_agent.drive.scsi.capacity import Capacity
from rasura_agent.drive.scsi.format_unit import format_unit
from rasura_agent.erase.firmware.follow import LookState, follow
from rasura_agent.erase.firmware.line import Line, TechniqueEnd
from rasura_agent.erase.firmware.scsi_blocks import read_capacity, read_mode, select_all_blocks
from rasura_agent.erase.firmware.scsi_capabilities import REFORMATTED_BLOCK_BYTES, ScsiCapabilities
from rasura_agent.erase.firmware.scsi_pace import format_pace, too_fast
from rasura_agent.erase.firmware.scsi_state import (
    UNCLEAR,
    Observation,
    OperationLook,
    ScsiState,
    begin,
    settle,
)
from rasura_agent.sentence import Sentence

__all__ = ["PLAIN_BLOCK_BYTES", "adopt_format", "reformat_to_512", "run_format_unit"]

PLAIN_BLOCK_BYTES = 512
"""The logical block length that every system can use."""

_FORMATTABLE = frozenset({ScsiState.READY, ScsiState.FORMAT_FAILED, ScsiState.FORMAT_CORRUPT})


class _Protection(msgspec.Struct, frozen=True):
    """Protection information to format with (SBC-4): type 0 to 3, and the interval exponent."""

    type: int = 0
    interval_exponent: int = 0


class _Formatted(msgspec.Struct, frozen=True):
    """How formatting ended. ``took_s`` is seconds from FORMAT UNIT to READY, of the last attempt."""

    disposition: Disposition
    reason: str
    state: ScsiState
    seen_running: bool = False
    lost_sight: bool = False
    interrupted: bool = False
    took_s: float = 0.0

    def end(self, line: Line) -> TechniqueEnd:
        return line.end(self.disposition, self.reason, self.state.value)


def run_format_unit(line: Line, capabilities: ScsiCapabilities) -> TechniqueEnd:
    """Format the drive as it is formatted, after making it use all its blocks: hidden ones count too.

    Protection information stays of the type that it is; the grown defect list is kept. DONE says that
    the drive went through a whole format; whether it overwrote its blocks by that, only looking tells.
    """
    before = settle(line)
    if before.state not in _FORMATTABLE:
        return _left_alone(line, before)
    capacity, mode = read_capacity(line), read_mode(line)
    if capacity is not None:
        block_bytes = capacity.block_bytes
    elif mode is not None and mode.block_descriptor is not None:
        block_bytes = mode.block_descriptor.block_bytes
    else:
        reason = Sentence("the drive does not tell its block length, so it was not formatted")
        return line.end(Disposition.REFUSED, reason, before.state.value)
    protection = _Protection()
    if capacity is not None and capacity.protection_type in (1, 2, 3):
        exponent = capacity.protection_interval_exponent or 0
        protection = _Protection(capacity.protection_type, exponent if capacity.protection_type > 1 else 0)
    formatted = _format(line, capabilities, block_bytes, protection, capacity)
    if formatted.disposition is not Disposition.DONE:
        return formatted.end(line)
    doubt: str | None = None
    after = read_capacity(line)
    if formatted.lost_sight:
        doubt = Sentence("the drive was reset meanwhile, and was not seen at work after that")
    elif not formatted.seen_running:
        doubt = Sentence(
            "the format was over within {seconds} s without ever being seen at work",
            seconds=f"{formatted.took_s:.0f}",
        )
    elif capabilities.rotational and too_fast(capabilities, formatted.took_s):
        doubt = Sentence(
            "the format was over within {seconds} s, too few to write all blocks",
            seconds=f"{formatted.took_s:.0f}",
        )
    elif after is None or after.blocks is None or after.block_bytes != block_bytes:
        doubt = Sentence("after the format the drive does not tell the size that it must have")
    elif capacity is not None and capacity.blocks is not None and after.blocks < capacity.blocks:
        doubt = Sentence(
            "after the format the drive has {after} blocks, before it had {before}",
            after=after.blocks,
            before=capacity.blocks,
        )
    if doubt is not None:
        return line.end(Disposition.UNKNOWN, doubt, formatted.state.value)
    return formatted.end(line)


def reformat_to_512(line: Line, capabilities: ScsiCapabilities) -> TechniqueEnd:
    """Bring a drive of 520, 524 or 528-byte blocks to 512, without protection information.

    No erasure: DONE says that READ CAPACITY now has blocks of 512 bytes and that the drive is ready,
    and then it is still to be erased. REFUSED: it is as it was. The kernel keeps the old capacity until
    it is told to look again (``device/rescan`` in sysfs).
    """
    before = settle(line)
    if before.state not in _FORMATTABLE:
        return _left_alone(line, before)
    capacity = read_capacity(line)
    if before.state is ScsiState.READY and (
        capacity is None or capacity.block_bytes not in REFORMATTED_BLOCK_BYTES
    ):
        told = Sentence("not told") if capacity is None else str(capacity.block_bytes)
        reason = Sentence(
            "the drive is ready and the length of its blocks {told}: there is nothing to reformat", told=told
        )
        return line.end(Disposition.REFUSED, reason, before.state.value)
    formatted = _format(line, capabilities, PLAIN_BLOCK_BYTES, _Protection(), capacity)
    if formatted.disposition is not Disposition.DONE:
        return formatted.end(line)
    after = read_capacity(line)
    if after is None or after.block_bytes != PLAIN_BLOCK_BYTES:
        reason = Sentence("after the format READ CAPACITY does not tell blocks of 512 bytes")
        return line.end(Disposition.UNKNOWN, reason, formatted.state.value)
    reason = Sentence("the drive was formatted to blocks of 512 bytes; erasing it is a step of its own")
    return line.end(Disposition.DONE, reason, formatted.state.value)


def adopt_format(line: Line, capabilities: ScsiCapabilities) -> TechniqueEnd:
    """Follow a format that this run did not begin to its end. Never DONE, as ``adopt_sanitize``."""
    before = settle(line)
    if before.state is not ScsiState.FORMATTING:
        known = before.state not in UNCLEAR
        reason = Sentence("there is no format to follow: {detail}", detail=before.detail)
        return line.end(Disposition.REFUSED if known else Disposition.UNKNOWN, reason, before.state.value)
    look = OperationLook(line, ScsiState.FORMATTING)
    followed = follow(line, look, format_pace(capabilities))
    if followed.state is not LookState.SUCCEEDED:
        return line.end(Disposition.UNKNOWN, followed.detail, look.last.state.value)
    reason = Sentence(
        "a format that this run did not begin has ended: the drive is idle and may be erased afresh"
    )
    return line.end(Disposition.REFUSED, reason, look.last.state.value)


def _left_alone(line: Line, before: Observation) -> TechniqueEnd:
    reason = Sentence(
        "nothing was sent, for the drive takes no FORMAT UNIT in its state: {detail}", detail=before.detail
    )
    return line.end(Disposition.REFUSED, reason, before.state.value)


def _format(
    line: Line,
    capabilities: ScsiCapabilities,
    block_bytes: int,
    protection: _Protection,
    before: Capacity | None,
) -> _Formatted:
    """MODE SELECT, FORMAT UNIT, follow; once more if the format was interrupted (31h/00h)."""
    ended = _format_once(line, capabilities, block_bytes, protection, before)
    if not ended.interrupted:
        return ended
    # With the format, a reset made the drive forget the MODE SELECT too: both again.
    again = _format_once(line, capabilities, block_bytes, protection, before)
    if again.disposition is Disposition.REFUSED:
        reason = Sentence(
            "a format was interrupted, and could not be repeated: {reason}", reason=again.reason
        )
        return replace(again, disposition=Disposition.UNKNOWN, reason=reason)
    return again


def _format_once(
    line: Line,
    capabilities: ScsiCapabilities,
    block_bytes: int,
    protection: _Protection,
    before: Capacity | None,
) -> _Formatted:
    selected = select_all_blocks(line, block_bytes)
    # Another length than it is formatted to leaves the drive "medium format corrupted".
    ready = settle(line)
    if selected.disposition is not Disposition.DONE:
        reason = Sentence(
            "all blocks of {count} bytes could not be selected: {detail}",
            count=block_bytes,
            detail=selected.detail,
        )
        return _Formatted(selected.disposition, reason, ready.state)
    if ready.state not in _FORMATTABLE:
        reason = Sentence("after MODE SELECT: {detail}", detail=ready.detail)
        return _Formatted(Disposition.UNKNOWN, reason, ready.state)
    command = format_unit(
        protection_type=protection.type, protection_interval_exponent=protection.interval_exponent
    )
    sent_at = line.elapsed_s
    begun = begin(line, command, ScsiState.FORMATTING, ready.state)
    if begun.disposition is Disposition.REFUSED:
        reason = Sentence("the drive refused FORMAT UNIT: {detail}", detail=begun.detail)
        return _undone(line, before, block_bytes, reason)
    if begun.disposition is Disposition.UNKNOWN:
        reason = Sentence("whether the format was begun is not known: {detail}", detail=begun.detail)
        return _Formatted(Disposition.UNKNOWN, reason, begun.state or ScsiState.UNKNOWN)
    # "Format in progress" (04h/04h), then "format command failed" (31h/01h), corrupted (31h/00h) or READY.
    look = OperationLook(line, ScsiState.FORMATTING)
    followed = follow(line, look, format_pace(capabilities))
    took_s = line.elapsed_s - sent_at
    succeeded = followed.state is LookState.SUCCEEDED
    failed = followed.state is LookState.FAILED
    accepted = Sentence("accepted, and followed to its end for {seconds} s", seconds=f"{took_s:.0f}")
    return _Formatted(
        Disposition.DONE if succeeded else Disposition.UNKNOWN,
        accepted if succeeded else followed.detail,
        look.last.state,
        seen_running=followed.seen_running or begun.state is ScsiState.FORMATTING,
        lost_sight=look.lost_sight,
        interrupted=failed and look.last.state is ScsiState.FORMAT_CORRUPT,
        took_s=took_s,
    )


def _undone(line: Line, before: Capacity | None, block_bytes: int, reason: str) -> _Formatted:
    """After a refused FORMAT UNIT: take back a new block length, or the drive stays closed."""
    if before is None or before.block_bytes == block_bytes:
        return _Formatted(Disposition.REFUSED, reason, settle(line).state)
    select_all_blocks(line, before.block_bytes)
    now = settle(line)
    if now.state is ScsiState.READY:
        return _Formatted(Disposition.REFUSED, reason, now.state)
    reason = Sentence(
        "{reason}; its block length could not be set back, and it was left: {detail}",
        reason=reason,
        detail=now.detail,
    )
    return _Formatted(Disposition.UNKNOWN, reason, now.state)
