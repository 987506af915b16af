"""Programs of this machine, each stopped with all it started when its time is up."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
from collections.abc import Sequence

from rasura_agent.inventory.ports import CommandError, Ran

__all__ = ["LocalCommands"]

_PATH = "/usr/sbin:/sbin:/usr/bin:/bin"
"""Where the system keeps its programs; what else a caller's PATH names is none of ours."""

_AFTER_KILL_S = 2.0
"""A process that sleeps uninterruptibly in the kernel, as on a dead drive, does not even end when killed."""


class LocalCommands:
    """The :class:`~rasura_agent.inventory.ports.Commands` of this machine."""

    def run(self, argv: Sequence[str], timeout_s: float) -> Ran:
        """See :class:`Commands`; the program speaks English, and reads nothing."""
        path = shutil.which(argv[0], path=_PATH)
        if path is None:
            raise CommandError(f"{argv[0]} is not installed")
        try:
            process = subprocess.Popen(
                [path, *argv[1:]],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env={"PATH": _PATH, "LC_ALL": "C.UTF-8"},
                start_new_session=True,
            )
        except (OSError, ValueError) as error:  # ValueError: a NUL in an argument
            raise CommandError(f"{argv[0]} cannot be started: {error}") from None
        try:
            stdout, stderr = process.communicate(timeout=timeout_s)
        except subprocess.TimeoutExpired:
            _kill_group(process)
            raise CommandError(
                f"{' '.join(argv)} did not end within {timeout_s:g} s and was stopped"
            ) from None
        except BaseException:
            _kill_group(process)
            raise
        return Ran(process.returncode, stdout, stderr)


def _kill_group(process: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    try:
        process.communicate(timeout=_AFTER_KILL_S)
    except subprocess.TimeoutExpired:
        for stream in (process.stdout, process.stderr):
            if stream is not None:
                stream.close()
