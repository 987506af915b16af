"""Do two signed checkpoints tell one story? Pure.

A log only ever grows: one size has one tree, a larger tree begins with every smaller one, and time goes
forward with size. Where two notes that the log signed say otherwise, the two notes are the proof.
"""

from __future__ import annotations

from enum import Enum

import msgspec

from rasura.checkpoint import Checkpoint, OpenedCheckpoint
from rasura.errors import RasuraError
from rasura.tree import EMPTY_ROOT, HashReader, consistency_from, root_from, verify_consistency

__all__ = ["Contradiction", "Seen", "Story", "UnprovenError", "contradiction", "require_own_root"]


class UnprovenError(RasuraError):
    """What a registry gives proves neither the one nor the other."""


class Story(Enum):
    """In which way two checkpoints contradict each other."""

    FORK = "fork"
    ROLLBACK = "rollback"
    CHANGED = "changed"
    CLOCK = "clock"


class Seen(msgspec.Struct, frozen=True):
    """A signed checkpoint whose log is known, and in words where it was seen."""

    note: str
    opened: OpenedCheckpoint
    where: str

    @property
    def checkpoint(self) -> Checkpoint:
        """What the note says."""
        return self.opened.checkpoint


class Contradiction(msgspec.Struct, frozen=True):
    """Two notes that one log cannot have signed if it only ever grew, and the sentence that says so."""

    story: Story
    sentence: str
    earlier: Seen
    latest: Seen


def require_own_root(latest: Checkpoint, read: HashReader) -> None:
    """The tiles must make the root of the checkpoint that came with them.

    Raises:
        UnprovenError: they do not; then they show nothing of an earlier tree either.
        RasuraError: whatever ``read`` raises.
    """
    if root_from(read, latest.size) != latest.root_hash:
        raise UnprovenError(
            f"the tiles of {latest.origin} do not make the root of its checkpoint of {latest.size} entries",
            hint="they are damaged, or somebody in between answers; nothing is proven either way",
        )


def contradiction(earlier: Seen, latest: Seen, read: HashReader) -> Contradiction | None:
    """How ``earlier`` and the registry's ``latest`` checkpoint contradict each other, or ``None``.

    Both are of one log. ``read`` gives the latest tree's hashes, see :func:`require_own_root`; it is asked
    only where the notes alone do not tell.
    """
    old, new = earlier.checkpoint, latest.checkpoint

    def found(story: Story, sentence: str) -> Contradiction:
        return Contradiction(story, sentence, earlier, latest)

    if old.size == new.size and old.root_hash != new.root_hash:
        return found(
            Story.FORK,
            f"the log signed two different trees of {old.size} entries: that of {earlier.where}, and "
            f"that of {latest.where}",
        )
    if old.size > new.size:
        return found(
            Story.ROLLBACK,
            f"the log held {old.size} entries by {earlier.where}, and {new.size} by {latest.where}: "
            "it went back",
        )
    if old.size < new.size and not _extends(old, new, read):
        return found(
            Story.CHANGED,
            f"the {new.size} entries of {latest.where} do not begin with the {old.size} of {earlier.where}: "
            "what was logged has been changed",
        )
    before, after = earlier.opened.timestamp, latest.opened.timestamp
    if before is not None and after is not None and before > after and old.size < new.size:
        return found(
            Story.CLOCK,
            f"the log grew from {old.size} entries to {new.size} while its time went back by "
            f"{before - after} s, from {earlier.where} to {latest.where}",
        )
    return None


def _extends(old: Checkpoint, new: Checkpoint, read: HashReader) -> bool:
    if old.size == 0:
        return old.root_hash == EMPTY_ROOT
    proof = consistency_from(read, old.size, new.size)
    try:
        verify_consistency(old.size, new.size, proof, old.root_hash, new.root_hash)
    except RasuraError:
        return False
    return True
