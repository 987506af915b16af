"""Programs of this machine, each stopped with all it started when its time is up."""

from __future__ import annotations

import contextlib
import os
import selectors
import shutil
import signal
import subprocess
import time
from collections.abc import Sequence

from rasura_agent.inventory.ports import CommandError, Ran

__all__ = ["SYSTEM_PATH", "LocalCommands"]

SYSTEM_PATH = "/usr/sbin:/sbin:/usr/bin:/bin"
"""Where the system keeps its programs; what else a caller's PATH names is none of ours."""

_AFTER_KILL_S = 0.5
"""A process that sleeps uninterruptibly in the kernel, as on a dead drive, does not even end when killed."""

_MOST_BYTES = 16 << 20
"""No program asked here has that much to say; a broken one may print without end."""


class LocalCommands:
    """The :class:`~rasura_agent.inventory.ports.Commands` of this machine."""

    def __init__(self, path: str = SYSTEM_PATH) -> None:
        """``path`` is where programs are looked for, as in ``PATH``."""
        self._path = path

    def run(self, argv: Sequence[str], timeout_s: float) -> Ran:
        """See :class:`Commands`; the program speaks English, and reads nothing."""
        path = shutil.which(argv[0], path=self._path)
        if path is None:
            raise CommandError(f"{argv[0]} is not installed")
        deadline = time.monotonic() + timeout_s
        try:
            process = subprocess.Popen(
                [path, *argv[1:]],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env={"PATH": self._path, "LC_ALL": "C.UTF-8"},
                start_new_session=True,
            )
        except (OSError, ValueError) as error:  # ValueError: a NUL in an argument
            raise CommandError(f"{argv[0]} cannot be started: {error}") from None
        try:
            stdout, stderr = _read(process, deadline)
            status = process.wait(max(0.0, deadline - time.monotonic()))
        except (TimeoutError, subprocess.TimeoutExpired):
            raise CommandError(
                f"{' '.join(argv)} did not end within {timeout_s:g} s and was stopped"
            ) from None
        except OverflowError:
            raise CommandError(f"{' '.join(argv)} printed without end and was stopped") from None
        finally:
            _put_away(process)
        return Ran(status, stdout, stderr)


def _read(process: subprocess.Popen[bytes], deadline: float) -> tuple[bytes, bytes]:
    """All that it prints; raises ``TimeoutError`` at the deadline, ``OverflowError`` if it is too much."""
    printed: dict[object, bytearray] = {process.stdout: bytearray(), process.stderr: bytearray()}
    with selectors.DefaultSelector() as selector:
        for stream in (process.stdout, process.stderr):
            if stream is not None:
                selector.register(stream, selectors.EVENT_READ)
        while selector.get_map():
            left = deadline - time.monotonic()
            ready = selector.select(left) if left > 0 else []
            if not ready:
                raise TimeoutError
            for key, _ in ready:
                part = os.read(key.fd, 1 << 16)
                if not part:
                    selector.unregister(key.fileobj)
                printed[key.fileobj] += part
                if len(printed[key.fileobj]) > _MOST_BYTES:
                    raise OverflowError
    return bytes(printed[process.stdout]), bytes(printed[process.stderr])


def _put_away(process: subprocess.Popen[bytes]) -> None:
    """Leave nothing behind but what the kernel does not let go of."""
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(_AFTER_KILL_S)
    for stream in (process.stdout, process.stderr):
        if stream is not None:
            stream.close()
