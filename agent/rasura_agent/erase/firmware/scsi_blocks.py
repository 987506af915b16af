"""How many logical blocks a SCSI drive has, of what length; and making it use all of them."""

from __future__ import annotations

import msgspec

from rasura_agent.drive.port import Disposition
from rasura_agent.drive.scsi.capacity import (
    Capacity,
    decode_read_capacity_10,
    decode_read_capacity_16,
    read_capacity_10,
    read_capacity_16,
)
from rasura_agent.drive.scsi.errors import ScsiDecodeError
from rasura_agent.drive.scsi.mode import (
    ModeParameters,
    decode_mode_sense_6,
    decode_mode_sense_10,
    mode_select_6,
    mode_select_10,
    mode_sense_6,
    mode_sense_10,
)
from rasura_agent.erase.firmware.line import Line, TechniqueEnd
from rasura_agent.erase.firmware.scsi_state import ScsiState, ask, settle
from rasura_agent.sentence import Sentence

__all__ = ["AllBlocks", "Selected", "read_capacity", "read_mode", "select_all_blocks", "use_all_blocks"]

_SELECT_TRIES = 3
_LONGEST_BLOCK = (1 << 24) - 1
"""LOGICAL BLOCK LENGTH has 24 bits in the short block descriptor (SBC-4)."""


def read_capacity(line: Line) -> Capacity | None:
    """READ CAPACITY (16), or (10) where the drive refuses that; ``None`` if neither tells."""
    for command, decode in (
        (read_capacity_16(), decode_read_capacity_16),
        (read_capacity_10(), decode_read_capacity_10),
    ):
        completion = ask(line, command)
        if completion.disposition is Disposition.DONE:
            try:
                return decode(completion.data)
            except ScsiDecodeError:
                return None
        if completion.disposition is Disposition.UNKNOWN:
            return None
    return None


def read_mode(line: Line) -> ModeParameters | None:
    """MODE SENSE (10) with LLBAA, then without, then (6); ``None`` if none tells."""
    for command, decode in (
        (mode_sense_10(long_lba=True), decode_mode_sense_10),
        (mode_sense_10(), decode_mode_sense_10),
        (mode_sense_6(), decode_mode_sense_6),
    ):
        completion = ask(line, command)
        if completion.disposition is Disposition.DONE:
            try:
                return decode(completion.data)
            except ScsiDecodeError:
                return None
        if completion.disposition is Disposition.UNKNOWN:
            return None
    return None


class Selected(msgspec.Struct, frozen=True):
    """What became of a MODE SELECT. REFUSED: the drive's block descriptor is what it was."""

    disposition: Disposition
    detail: str


def select_all_blocks(line: Line, block_bytes: int) -> Selected:
    """MODE SELECT of as many blocks of ``block_bytes`` as the medium holds (SBC-4, NUMBER OF LOGICAL BLOCKS).

    With the length that the drive is formatted to this changes no data and holds at once; another
    length waits for FORMAT UNIT. It is asked for in the long form, then in the short ones that older
    drives want, and DONE only if MODE SENSE then has the length.
    """
    if not 1 <= block_bytes <= _LONGEST_BLOCK:
        return Selected(
            Disposition.REFUSED,
            Sentence("{number} is no length of a block; it was not sent", number=block_bytes),
        )
    detail = ""
    for command in (
        mode_select_10(block_bytes, long_lba=True),
        mode_select_10(block_bytes),
        mode_select_6(block_bytes),
    ):
        for _ in range(_SELECT_TRIES):
            completion = ask(line, command)
            # The same again is harmless, and the only way to an answer when one was lost.
            if completion.disposition is not Disposition.UNKNOWN:
                break
        detail = completion.detail
        if completion.disposition is Disposition.UNKNOWN:
            return Selected(Disposition.UNKNOWN, detail)
        if completion.disposition is Disposition.DONE:
            mode = read_mode(line)
            if mode is None or mode.block_descriptor is None:
                silent = Sentence("MODE SENSE did not tell the block length afterwards")
                return Selected(Disposition.UNKNOWN, silent)
            taken = mode.block_descriptor.block_bytes
            if taken != block_bytes:
                other = Sentence(
                    "the drive took {taken} bytes a block instead of {wanted}",
                    taken=taken,
                    wanted=block_bytes,
                )
                return Selected(Disposition.UNKNOWN, other)
            return Selected(Disposition.DONE, detail)
    return Selected(Disposition.REFUSED, detail)


class AllBlocks(msgspec.Struct, frozen=True):
    """A drive that was told to use all its blocks. DONE in ``end`` is no erasure: no data was changed."""

    end: TechniqueEnd
    blocks_before: int | None = None
    blocks_after: int | None = None
    block_bytes: int | None = None

    @property
    def hidden_blocks(self) -> int | None:
        """How many blocks an earlier MODE SELECT had hidden; ``None`` if that is not known."""
        if self.blocks_before is None or self.blocks_after is None:
            return None
        return self.blocks_after - self.blocks_before


def use_all_blocks(line: Line) -> AllBlocks:
    """Find and lift the hidden area of a drive that MODE SELECT gave fewer blocks than it has.

    There is no way to ask for the drive's own number of blocks but to make it use them and compare.
    The kernel keeps the old capacity until it is told to look again (``device/rescan`` in sysfs).
    """

    seen = settle(line)
    if seen.state is not ScsiState.READY:
        reason = Sentence(
            "the drive is not ready ({detail}), so its number of blocks was left alone", detail=seen.detail
        )
        return AllBlocks(line.end(Disposition.REFUSED, reason, seen.state.value))
    before = read_capacity(line)
    if before is None or before.blocks is None:
        reason = Sentence("READ CAPACITY tells no number of blocks, so it was left alone")
        return AllBlocks(line.end(Disposition.REFUSED, reason, seen.state.value))
    selected = select_all_blocks(line, before.block_bytes)
    if selected.disposition is Disposition.REFUSED:
        reason = Sentence(
            "the drive does not let its number of blocks be set: {detail}", detail=selected.detail
        )
        end = line.end(Disposition.REFUSED, reason, seen.state.value)
        return AllBlocks(end, before.blocks, block_bytes=before.block_bytes)
    after, now = read_capacity(line), settle(line).state
    disposition, compared = _compared(selected, before, after, now)
    blocks_after = None if after is None else after.blocks
    return AllBlocks(
        line.end(disposition, compared, now.value), before.blocks, blocks_after, before.block_bytes
    )


def _compared(
    selected: Selected, before: Capacity, after: Capacity | None, now: ScsiState
) -> tuple[Disposition, str]:
    if selected.disposition is not Disposition.DONE:
        return Disposition.UNKNOWN, Sentence(
            "it is not known whether all blocks are in use: {detail}", detail=selected.detail
        )
    if now is not ScsiState.READY:
        return Disposition.UNKNOWN, Sentence("after MODE SELECT the drive was: {state}", state=now.value)
    if after is None or after.blocks is None or before.blocks is None:
        return Disposition.UNKNOWN, Sentence("after MODE SELECT the drive did not tell its number of blocks")
    if after.block_bytes != before.block_bytes or after.blocks < before.blocks:
        return Disposition.UNKNOWN, Sentence(
            "MODE SELECT of all blocks left the drive with fewer or other blocks"
        )
    hidden = after.blocks - before.blocks
    if hidden:
        return Disposition.DONE, Sentence("{count} hidden blocks were found and lifted", count=hidden)
    return Disposition.DONE, Sentence("no blocks were hidden")
