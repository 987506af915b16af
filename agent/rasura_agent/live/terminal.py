"""The console: lines out, lines and single keys in. Works on a screen, on a serial line, in a test's pty.

The kernel edits lines. A console that goes away (a serial cable pulled out) stops nothing: what is
written is lost, and nobody types.
"""

from __future__ import annotations

import contextlib
import os
import select
import shutil
import sys
import termios
from collections.abc import Callable, Iterator

from rasura_agent.clock import Clock

__all__ = ["Terminal"]

_TICK_S = 0.5
_LOCAL_FLAGS = 3
_CONTROL_CHARACTERS = 6
"""Their places in what tcgetattr returns."""


class Terminal:
    """Standard input and output of this process."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._in, self._out = sys.stdin.fileno(), sys.stdout.fileno()
        self._typed = b""

    @property
    def width(self) -> int:
        """Columns that text may take."""
        return max(40, shutil.get_terminal_size().columns - 1)

    @property
    def is_interactive(self) -> bool:
        """Whether lines can be redrawn."""
        return os.isatty(self._out)

    def write(self, text: str, /) -> None:
        """Put text out as it is."""
        data = text.encode("utf-8", "replace")
        with contextlib.suppress(OSError):
            while data:
                data = data[os.write(self._out, data) :]

    def flush(self) -> None:
        """Nothing is held back."""

    def show(self, text: str = "") -> None:
        """Put out a line, or several."""
        self.write(text + "\n")

    def clear(self) -> None:
        """Begin a new screen; a serial log keeps what was there before."""
        if self.is_interactive:
            self.write("\x1b[H\x1b[2J")

    def line(self, prompt: str, news: Callable[[], str | None]) -> str:
        """Ask for a line.

        What ``news`` returns meanwhile is shown, and what was half typed is gone. Where it returns an
        empty text the question is taken back, as if an empty line had been typed.
        """
        self._forget_typed()
        self.write(prompt)
        while True:
            if self._wait(_TICK_S):
                self._typed += self._read()
            text, newline, rest = self._typed.partition(b"\n")
            if newline:
                self._typed = rest
                return text.decode("utf-8", "replace").strip()
            told = news()
            if told == "":
                self.show()
                return ""
            if told is not None:
                self._forget_typed()
                self.write(f"\n{told}\n{prompt}")

    def secret(self, prompt: str) -> str:
        """Ask for a line that is not shown while it is typed."""
        with self._mode(termios.ECHO):
            answer = self.line(prompt, lambda: None)
        self.write("\n")
        return answer

    @contextlib.contextmanager
    def keys(self, *, forget: bool = True) -> Iterator[Callable[[float], bool]]:
        """Within, the call that is given waits up to so many seconds and tells whether a key was pressed.

        With ``forget`` only keys count that are pressed from here on.
        """
        with self._mode(termios.ICANON | termios.ECHO | termios.ISIG):
            if forget:
                self._forget_typed()
            yield self._pressed

    def _pressed(self, seconds: float) -> bool:
        return self._wait(seconds) and bool(self._read())

    def _wait(self, seconds: float) -> bool:
        with contextlib.suppress(OSError):
            return bool(select.select([self._in], [], [], max(0.0, seconds))[0])
        self._clock.sleep(seconds)
        return False

    def _read(self) -> bytes:
        """What was typed; nothing after a pause if the console is gone, which looks like readable."""
        with contextlib.suppress(OSError):
            if data := os.read(self._in, 4096):
                return data
        self._clock.sleep(_TICK_S)
        return b""

    def _forget_typed(self) -> None:
        """What was typed before the question was shown does not answer it."""
        self._typed = b""
        with contextlib.suppress(termios.error):
            termios.tcflush(self._in, termios.TCIFLUSH)

    @contextlib.contextmanager
    def _mode(self, without: int) -> Iterator[None]:
        try:
            before = termios.tcgetattr(self._in)
        except termios.error:  # not a terminal
            yield
            return
        changed = list(before)
        changed[_LOCAL_FLAGS] = before[_LOCAL_FLAGS] & ~without
        changed[_CONTROL_CHARACTERS] = list(before[_CONTROL_CHARACTERS])
        termios.tcsetattr(self._in, termios.TCSANOW, changed)
        try:
            yield
        finally:
            with contextlib.suppress(termios.error):
                termios.tcsetattr(self._in, termios.TCSANOW, before)
