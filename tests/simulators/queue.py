"""A queue over any block port: transfers wait, and end in another order than they began."""

from __future__ import annotations

from random import Random
from typing import Protocol


class _Blocks(Protocol):
    def write(self, offset: int, data: memoryview) -> None: ...
    def read(self, offset: int, into: memoryview) -> None: ...


class SimulatedQueue:
    """A ``TransferQueue``: what is under way reaches the drive when somebody waits for it."""

    def __init__(self, port: _Blocks, draw: Random) -> None:
        self._port, self._draw = port, draw
        self._waiting: dict[int, tuple[int, memoryview, bool]] = {}

    def start(self, tag: int, offset: int, buffer: memoryview, *, write: bool) -> None:
        assert tag not in self._waiting
        self._waiting[tag] = offset, buffer, write

    def ended(self) -> list[tuple[int, OSError | None]]:
        tags = sorted(self._waiting)
        assert tags, "nobody would ever answer"
        done = self._draw.sample(tags, self._draw.randint(1, len(tags)))
        return [(tag, self._answer(*self._waiting.pop(tag))) for tag in done]

    def _answer(self, offset: int, buffer: memoryview, write: bool) -> OSError | None:
        try:
            if write:
                self._port.write(offset, buffer)
            else:
                self._port.read(offset, buffer)
        except OSError as error:
            return error
        return None
