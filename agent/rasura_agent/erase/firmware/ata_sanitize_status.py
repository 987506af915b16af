"""How an ATA drive tells what its sanitize commands are doing (ACS-4, states SD0 to SD4).

COUNT bit 15 (completed without error) outlives power cycles: it proves nothing by itself.
"""

from __future__ import annotations

from enum import StrEnum

from rasura.errors import RasuraError
from rasura_agent.drive.ata.sanitize import (
    PROGRESS_DENOMINATOR,
    SanitizeState,
    SanitizeStatus,
    SanitizeSupport,
    decode_sanitize_status,
    sanitize_status,
)
from rasura_agent.drive.port import Completion
from rasura_agent.erase.firmware.ata_drive import Silence, is_reset_signature
from rasura_agent.erase.firmware.follow import Look, LookState, Pace
from rasura_agent.erase.firmware.line import Line
from rasura_agent.sentence import Sentence

__all__ = [
    "SanitizeKind",
    "decode_answer",
    "look_at_sanitize",
    "read_sanitize_status",
    "sanitize_pace",
    "sanitize_supports",
    "state_name",
]

_TRIES = 3
_PAUSE_S = 2.0

_SLACK_S = 4 * 3600.0
"""On top of every deadline: ATA drives give no estimate, and one that stalls is noticed by its progress."""
_SLOWEST_OVERWRITE = 30 * 2**20
_SLOWEST_BLOCK_ERASE = 200 * 2**20


class SanitizeKind(StrEnum):
    """The operation asked for."""

    CRYPTO = "crypto"
    BLOCK = "block"
    OVERWRITE = "overwrite"


def sanitize_supports(support: SanitizeSupport | None, kind: SanitizeKind) -> bool:
    """Whether IDENTIFY word 59 has ``kind``."""
    if support is None:
        return False
    return {
        SanitizeKind.CRYPTO: support.crypto_scramble,
        SanitizeKind.BLOCK: support.block_erase,
        SanitizeKind.OVERWRITE: support.overwrite,
    }[kind]


def read_sanitize_status(line: Line) -> SanitizeStatus | Silence:
    """SANITIZE STATUS EXT, asked up to three times; it changes nothing.

    A status whose ``state`` is ``None`` is returned only if the drive repeats it.
    """
    said: SanitizeStatus | Silence = Silence(Sentence("it was not asked"))
    for attempt in range(_TRIES):
        if attempt:
            line.clock.sleep(_PAUSE_S)
        said = decode_answer(line.execute(sanitize_status()))
        if not isinstance(said, Silence) and said.state is not None:
            return said
    return said


def decode_answer(completion: Completion) -> SanitizeStatus | Silence:
    """What any sanitize command ended with.

    The registers decide, not the disposition: SD3 aborts the very command that asks for it.
    """
    if completion.ata is None:
        return Silence(completion.detail)
    if is_reset_signature(completion):
        return Silence(Sentence("a reset answered in its place"))
    try:
        return decode_sanitize_status(completion.ata)
    except RasuraError as error:
        return Silence(str(error))


def state_name(status: SanitizeStatus | Silence) -> str | None:
    """SD0 to SD4, ``None`` where the drive tells none."""
    return None if isinstance(status, Silence) or status.state is None else status.state.name


def look_at_sanitize(line: Line) -> Look:
    """One look at an operation that was accepted."""
    status = decode_answer(line.execute(sanitize_status()))
    if isinstance(status, Silence):
        return Look(LookState.UNKNOWN, detail=status.detail)
    match status.state:
        case SanitizeState.SD2:
            fraction = None if status.progress is None else status.progress / PROGRESS_DENOMINATOR
            return Look(LookState.RUNNING, fraction)
        case SanitizeState.SD4:
            return Look(LookState.SUCCEEDED, detail=Sentence("the operation succeeded (SD4)"))
        case SanitizeState.SD3:
            return Look(LookState.FAILED, detail=Sentence("the operation failed (SD3)"))
        case _:
            # SD0 without the completed bit, SD1: no operation of ours leads there.
            neither = Sentence("its status fits neither a running nor an ended operation")
            return Look(LookState.UNKNOWN, detail=neither)


def sanitize_pace(kind: SanitizeKind, capacity_bytes: int, passes: int) -> Pace:
    """How long to follow ``kind``; ``passes`` are those of an overwrite."""
    work = {
        SanitizeKind.CRYPTO: 0.0,
        SanitizeKind.BLOCK: capacity_bytes / _SLOWEST_BLOCK_ERASE,
        SanitizeKind.OVERWRITE: passes * capacity_bytes / _SLOWEST_OVERWRITE,
    }[kind]
    return Pace(estimate_s=None, deadline_s=work + _SLACK_S)
