"""Running smartctl: in bounded time, killed with all its children, its exit status understood.

The only place that starts it for health. A drive that hangs in the kernel makes smartctl unkillable:
then it is left behind, and the caller goes on.
"""

from __future__ import annotations

import contextlib
import os
import selectors
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, IntFlag
from typing import IO, cast

__all__ = ["SEARCH_PATH", "ExitStatus", "Fate", "Ran", "Run", "SmartctlProgram"]

SEARCH_PATH = "/usr/sbin:/sbin:/usr/local/sbin:/usr/bin:/bin"
_MOST_BYTES = 8 << 20
"""No drive's document is that long; garbage can be."""
_DEATH_S = 1.0
"""How long a killed process may take to go."""


class ExitStatus(IntFlag):
    """The exit status of smartctl (smartctl(8), EXIT STATUS)."""

    COMMAND_LINE = 1
    DEVICE_OPEN = 2
    """It could not be opened, did not identify itself, or sleeps."""
    COMMAND_FAILED = 4
    """Some command failed, or a checksum is wrong; there is data all the same."""
    DISK_FAILING = 8
    PREFAIL_AT_THRESHOLD = 16
    PAST_THRESHOLD = 32
    ERROR_LOG = 64
    SELF_TEST_LOG = 128

    @property
    def is_without_data(self) -> bool:
        """Whether the drive was not even asked."""
        return bool(self & (ExitStatus.COMMAND_LINE | ExitStatus.DEVICE_OPEN))


class Fate(Enum):
    """What became of a run; each but ``ENDED`` is said in words."""

    ENDED = "ended"
    MISSING = "smartctl is not installed"
    NOT_STARTED = "smartctl could not be started"
    TIMED_OUT = "smartctl did not end in time and was killed: the drive may hang"
    TOO_MUCH = "smartctl printed without end and was killed"
    KILLED = "smartctl was ended by a signal"


@dataclass(frozen=True, slots=True)
class Ran:
    """One run: ``status`` is its exit status, ``None`` unless it ended by itself."""

    fate: Fate
    status: ExitStatus | None
    output: bytes


Run = Callable[[tuple[str, ...], float], Ran]
"""Runs smartctl with these arguments for at most so many seconds; never raises."""


class SmartctlProgram:
    """The smartctl of this machine: a :data:`Run`."""

    def __init__(self, path: str | None = None) -> None:
        self._path = path or shutil.which("smartctl", path=SEARCH_PATH)

    def __call__(self, arguments: tuple[str, ...], limit_s: float) -> Ran:
        """See :data:`Run`."""
        if self._path is None:
            return Ran(Fate.MISSING, None, b"")
        deadline = time.monotonic() + limit_s
        try:
            process = subprocess.Popen(
                [self._path, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
                env={**os.environ, "LC_ALL": "C", "LANG": "C"},
            )
        except OSError as error:
            return Ran(Fate.MISSING if isinstance(error, FileNotFoundError) else Fate.NOT_STARTED, None, b"")
        with process:
            fate, output = _read(cast(IO[bytes], process.stdout), deadline)
            status = _status(process, deadline) if fate is Fate.ENDED else None
            if fate is Fate.ENDED and status is None:
                fate = Fate.TIMED_OUT
            if fate is not Fate.ENDED:
                _kill(process)
                return Ran(fate, None, output)
        if status is None or status < 0:
            return Ran(Fate.KILLED, None, output)
        return Ran(Fate.ENDED, ExitStatus(status), output)


def _read(stream: IO[bytes], deadline: float) -> tuple[Fate, bytes]:
    """Read until the end, the deadline or too much."""
    parts: list[bytes] = []
    size = 0
    with selectors.DefaultSelector() as selector:
        selector.register(stream, selectors.EVENT_READ)
        while size <= _MOST_BYTES:
            left = deadline - time.monotonic()
            if left <= 0 or not selector.select(left):
                return Fate.TIMED_OUT, b"".join(parts)
            part = os.read(stream.fileno(), 65536)
            if not part:
                return Fate.ENDED, b"".join(parts)
            parts.append(part)
            size += len(part)
    return Fate.TOO_MUCH, b""


def _status(process: subprocess.Popen[bytes], deadline: float) -> int | None:
    with contextlib.suppress(subprocess.TimeoutExpired):
        return process.wait(max(0.0, deadline - time.monotonic()))
    return None


def _kill(process: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    try:
        process.wait(_DEATH_S)
    except subprocess.TimeoutExpired:
        # It sits in the kernel, waiting for the drive. Whoever reaps it, it is not us.
        process.returncode = -signal.SIGKILL
