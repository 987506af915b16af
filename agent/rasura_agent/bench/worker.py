"""One measured run of ours: a pass over some drives at once, in a process whose figures are its own.

``python -m rasura_agent.bench.worker PASS DEVICE...`` prints one JSON object. Everything on the devices is
lost.
"""

from __future__ import annotations

import contextlib
import json
import os
import resource
import sys
import threading
import time
from collections.abc import Callable

from rasura.errors import RasuraError
from rasura_agent.drive.keystream import KEY_BYTES
from rasura_agent.drive.transport.block import BlockDevice, open_block_device
from rasura_agent.erase.overwrite import write_pass
from rasura_agent.erase.pacing import transfer_room
from rasura_agent.erase.pattern import Constant, Pattern, RandomStream
from rasura_agent.inventory.clock import SystemClock
from rasura_agent.inventory.opened import describe_open
from rasura_agent.verify.readback import read_back

__all__ = ["measure"]


class _Drive:
    """One drive under measurement."""

    def __init__(self, path: str, room_bytes: int, *, random: bool) -> None:
        self._port: BlockDevice = open_block_device(path, describe_open)
        self._capacity = self._port.identify().capacity_bytes
        self._room_bytes = room_bytes
        self._pattern: Pattern = RandomStream(os.urandom(KEY_BYTES)) if random else Constant(b"\0")

    def write(self) -> None:
        result = write_pass(
            self._port, self._capacity, self._pattern, SystemClock(), lambda _mark: None, self._room_bytes
        )
        if result.bytes_written != self._capacity:
            raise RasuraError(f"the pass failed: {result.stopped or result.errors}")

    def close(self) -> None:
        self._port.close()

    def verify(self) -> None:
        found = read_back(
            self._port,
            self._capacity,
            self._pattern,
            lambda _mark: None,
            self._room_bytes,
            clock=SystemClock(),
        )
        if not found.complete:
            raise RasuraError(f"the read-back failed: {found.stopped or found.errors}")


def measure(name: str, paths: list[str]) -> dict[str, float]:
    """Run the pass ``name`` over all ``paths`` at once: ``seconds``, ``cpu_s``, ``peak_rss_mb`` (10^6 bytes).

    Raises:
        RasuraError: a drive cannot be opened, or the pass did not succeed.
    """
    with contextlib.ExitStack() as opened:
        room = transfer_room(len(paths))
        drives = [_Drive(path, room, random="random" in name) for path in paths]
        for drive in drives:
            opened.callback(drive.close)
        if name.startswith("verify"):
            _all(drives, _Drive.write)
        before, cpu = time.monotonic(), time.process_time()
        if not name.startswith("verify"):
            _all(drives, _Drive.write)
        if "verify" in name:
            _all(drives, _Drive.verify)
        return {
            "seconds": time.monotonic() - before,
            "cpu_s": time.process_time() - cpu,
            "peak_rss_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6,
        }


def _all(drives: list[_Drive], act: Callable[[_Drive], None]) -> None:
    failures: list[Exception] = []

    def run(drive: _Drive) -> None:
        try:
            act(drive)
        except (OSError, RasuraError) as error:
            failures.append(error)

    threads = [threading.Thread(target=run, args=(drive,)) for drive in drives]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise RasuraError(str(failures[0]))


if __name__ == "__main__":
    sys.stdout.write(json.dumps(measure(sys.argv[1], sys.argv[2:])) + "\n")
