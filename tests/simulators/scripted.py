"""A console whose person follows a script, and presses no key that the script does not have."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

from simulators.world import ManualClock


class ScriptEndedError(Exception):
    """A question was asked that the script has no answer to."""


class ScriptedTerminal:
    """Stands in for ``live.terminal.Terminal``; time passes only while it waits for keys."""

    is_interactive = False
    width = 79

    def __init__(self, clock: ManualClock, *answers: str, key_after: float | None = None) -> None:
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
        return self._answers.pop(0)

    def secret(self, prompt: str) -> str:
        return self.line(prompt, lambda: None)

    @contextlib.contextmanager
    def keys(self, *, forget: bool = True) -> Iterator[Callable[[float], bool]]:
        def pressed(seconds: float) -> bool:
            self._clock.sleep(seconds)
            return self._key_after is not None and self._clock.monotonic() >= self._key_after

        yield pressed
