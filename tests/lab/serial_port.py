"""A serial port of a guest: all it says goes to a file and can be waited for; it can be typed to."""

from __future__ import annotations

import codecs
import contextlib
import re
import socket
import threading
import time
from pathlib import Path

_TAIL = 3000
"""Characters of output that an error shows."""


class ExpectError(AssertionError):
    """A guest did not say what was waited for."""


class SerialPort:
    """One end of a QEMU socket character device; ends when QEMU does."""

    def __init__(self, name: str, path: Path, log: Path) -> None:
        self.name, self.log = name, log
        self._news = threading.Condition()
        self._text = ""
        self._at = 0
        self._ended = False
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket.connect(str(path))
        self._reader = threading.Thread(target=self._read, name=name, daemon=True)
        self._reader.start()

    @property
    def text(self) -> str:
        """All that was said so far."""
        with self._news:
            return self._text

    def expect(self, pattern: str, timeout_s: float) -> re.Match[str]:
        """Wait for a match after the last one (regular expression, multi-line mode).

        Raises ``ExpectError`` with the end of what was said, when time is up or the machine has ended.
        """
        wanted = re.compile(pattern, re.MULTILINE)
        deadline = time.monotonic() + timeout_s
        with self._news:
            while True:
                found = wanted.search(self._text, self._at)
                if found is not None:
                    self._at = found.end()
                    return found
                left = deadline - time.monotonic()
                if left <= 0 or self._ended:
                    why = "the machine ended" if self._ended else f"nothing in {timeout_s:g} s"
                    tail = self._text[self._at :][-_TAIL:]
                    raise ExpectError(f"{self.name} did not say {pattern!r} ({why}). It said:\n{tail}")
                self._news.wait(min(left, 1.0))

    def send(self, text: str) -> None:
        """Type ``text``; a line ends with \\r as from a keyboard."""
        self._socket.sendall(text.encode())

    def close(self) -> None:
        """Let go; what was said stays in the file."""
        # Closing alone would not wake the reader.
        with contextlib.suppress(OSError):  # QEMU was first
            self._socket.shutdown(socket.SHUT_RDWR)
        self._reader.join(5)
        self._socket.close()

    def _read(self) -> None:
        # A character may come in two pieces.
        decoder = codecs.getincrementaldecoder("utf-8")("replace")
        with self.log.open("wb") as log:
            while True:
                try:
                    data = self._socket.recv(65536)
                except OSError:
                    data = b""
                with self._news:
                    self._text += decoder.decode(data).replace("\r\n", "\n")
                    self._ended = not data
                    self._news.notify_all()
                if not data:
                    return
                log.write(data)
                log.flush()
