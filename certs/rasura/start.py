"""The checkpoint that a job began with: "not before". Pure.

A certificate may name the log's latest checkpoint at the start of its job, so nothing in it happened before
that was signed. Held against the receipt it also shows a log that told two stories: the entry must come after
all that the log held then, the log's time must not go back, and one size has one tree.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from rasura.checkpoint import Checkpoint, OpenedCheckpoint, open_checkpoint
from rasura.errors import RasuraError
from rasura.note import Note, VerifierKey
from rasura.receipt import Receipt

__all__ = ["Start", "is_of_another_log", "look_at_start"]


class Start(msgspec.Struct, frozen=True):
    """What is wrong with it, if anything; and what it shows, if it could be checked."""

    problem: str | None
    opened: OpenedCheckpoint | None


def look_at_start(
    note: str, logs: Iterable[VerifierKey], receipt: Receipt | None, held: OpenedCheckpoint | None
) -> Start:
    """Check the note of a start against the receipt, whose checkpoint is ``held`` once it holds.

    One of a log that is not among ``logs`` shows nothing, and nothing is wrong with it.
    """
    logs = tuple(logs)
    try:
        if is_of_another_log(note, logs):
            Checkpoint.parse(Note.parse(note).text)
            return Start(None, None)
        opened = open_checkpoint(note, logs)
    except RasuraError as error:
        return Start(f"the checkpoint it began with does not hold: {error}", None)
    return Start(_two_stories(opened, receipt, held), opened)


def is_of_another_log(note: str, logs: tuple[VerifierKey, ...]) -> bool:
    """Whether a note's first line, the origin, is the name of none of ``logs``."""
    origin = note.partition("\n")[0]
    return bool(origin) and not any(key.name == origin for key in logs)


def _two_stories(
    began: OpenedCheckpoint, receipt: Receipt | None, held: OpenedCheckpoint | None
) -> str | None:
    if receipt is None or held is None or held.checkpoint.origin != began.checkpoint.origin:
        return None
    before, after = began.checkpoint, held.checkpoint
    if before.size == after.size and before.root_hash != after.root_hash:
        return f"the log signed two different trees of {before.size} entries: it shows each reader another"
    if before.size > receipt.index:
        return f"the log held {before.size} entries when it began, and yet it is entry {receipt.index}"
    if began.timestamp is not None and held.timestamp is not None and began.timestamp > held.timestamp:
        return "the log included it before the checkpoint it began with was signed"
    return None
