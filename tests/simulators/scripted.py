"""A console whose person follows a script, and presses no key that the script does not have.

What stands in the script in place of an answer is called while the question stands unanswered: the world
changes, and the console waits until it is told of it.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator

from simulators.world import ManualClock

_SOON_S = 10.0


class ScriptEndedError(Exception):
    """A question was asked that the script has no answer to."""


class ScriptedTerminal:
    """Stands in for ``live.terminal.Terminal``; time passes only while it waits for keys."""

    is_interactive = False
    width = 79

    def __init__(
        self, clock: ManualClock, *answers: str | Callable[[], object], key_after: float | None = None
    ) -> None:
        self.text = ""
        self._clock, self._answers, self._key_after = clock, list(answers), key_after

    def write(self, text: str, /) -> None:
        self.text += text

    def flush(self) -> None:
        """Nothing."""

    def show(self, text: str = "") -> None:
        self.write(text + "\n")

    def clear(self) -> None:
        self.write("\f")

    def line(self, prompt: str, news: Callable[[], str | None]) -> str:
        self.write(prompt)
        if not self._answers:
            raise ScriptEndedError
        answer = self._answers.pop(0)
        if isinstance(answer, str):
            return answer
        answer()
        deadline = time.monotonic() + _SOON_S
        while (told := news()) is None:
            assert time.monotonic() < deadline, "the console was told nothing"
            time.sleep(0.01)
        self.write(told)
        return "" if told == "" else self.line(prompt, news)

    def secret(self, prompt: str) -> str:
        return self.line(prompt, lambda: None)

    @contextlib.contextmanager
    def keys(self, *, forget: bool = True) -> Iterator[Callable[[float], bool]]:
        def pressed(seconds: float) -> bool:
            self._clock.sleep(seconds)
            return self._key_after is not None and self._clock.monotonic() >= self._key_after

        yield pressed
