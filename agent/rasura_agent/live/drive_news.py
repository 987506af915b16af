"""Drives that come and go while a live station is at work, kept until a screen shows them."""

from __future__ import annotations

import contextlib
import logging
import queue

from rasura_agent.console.changes import change_sentence
from rasura_agent.console.words import wrapped
from rasura_agent.inventory.watch import Change

__all__ = ["DriveNews"]

_LOG = logging.getLogger("rasura.session")


class DriveNews:
    """Put in by the watch's thread, taken out by that of the screens."""

    def __init__(self) -> None:
        self._changes: queue.SimpleQueue[Change] = queue.SimpleQueue()
        self._sentences: list[str] = []

    def put(self, change: Change) -> None:
        """A drive has come or gone."""
        self._changes.put(change)

    @property
    def is_waiting(self) -> bool:
        """Whether drives have come or gone since the last :meth:`take_note`."""
        return not self._changes.empty()

    def take_note(self) -> None:
        """Before the drives are looked at anew: what became of them is said with the next screen."""
        with contextlib.suppress(queue.Empty):
            while True:
                sentence = change_sentence(self._changes.get_nowait())
                _LOG.info("%s", sentence)
                self._sentences.append(sentence)

    def keep(self, *sentences: str) -> None:
        """Have this said with the next screen too."""
        self._sentences += sentences

    def said(self, width: int, *more: str) -> str:
        """``more`` and all that was kept, for below a screen; forgets it."""
        sentences = [*more, *self._sentences]
        self._sentences.clear()
        return "\n".join(wrapped(f"*** {one}", width) for one in sentences if one)
