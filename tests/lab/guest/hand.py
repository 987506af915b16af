"""The test's hand inside a guest: does what the host asks over one TCP connection.

The file ``host`` beside this one says where the host listens. JSON lines, several requests at a time::

    {"id": 1, "do": "run", "argv": [...], "env": {...}, "timeout": S} {"id": 1, "code": 0, "out": O, "err": E}
    {"id": 2, "do": "read", "path": P}                                {"id": 2, "data": BASE64}
    {"id": 3, "do": "write", "path": P, "data": BASE64}               {"id": 3}
    {"id": 4, "do": "attach", "name": N, "port": P, "size": BYTES}    {"id": 4, "path": "/dev/sdX"}
    {"id": 5, "do": "unplug", "name": N}                              {"id": 5}

What fails answers ``{"id": N, "error": "..."}``. Standard library only.
"""

from __future__ import annotations

import base64
import json
import os
import socket
import subprocess
import sys
import threading
import time
import traceback
from pathlib import Path
from typing import Any

from tcmu import Relay


class Hand:
    """All that is attached, and what can be asked for."""

    def __init__(self, host: str) -> None:
        self._host = host
        self._relays: dict[str, Relay] = {}
        self._number = 0
        self._lock = threading.Lock()

    def run(self, argv: list[str], timeout: float, env: dict[str, str]) -> dict[str, Any]:
        """Run a program to its end."""
        process = subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**os.environ, **env},
        )
        try:
            out, err = process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            process.kill()
            out, err = process.communicate()
            err += f"\nkilled after {timeout} s".encode()
        words = {"out": out.decode("utf-8", "replace"), "err": err.decode("utf-8", "replace")}
        return {"code": process.returncode, **words}

    def read(self, path: str) -> dict[str, Any]:
        """A file's content."""
        return {"data": base64.b64encode(Path(path).read_bytes()).decode()}

    def write(self, path: str, data: str) -> dict[str, Any]:
        """Write a file, making its folders."""
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        Path(path).write_bytes(base64.b64decode(data))
        return {}

    def attach(self, name: str, port: int, size: int) -> dict[str, Any]:
        """Make a drive of the host's shelf a block device here."""
        with self._lock:
            self._number += 1
            number = self._number
        # Several at once: the kernel takes its time to get to know each.
        self._relays[name] = relay = Relay(name, (self._host, port), size, number)
        return {"path": relay.path}

    def unplug(self, name: str) -> dict[str, Any]:
        """Take a drive away from the kernel."""
        self._relays.pop(name).unplug()
        return {}

    def do(self, request: dict[str, Any]) -> dict[str, Any]:
        """Carry out one request."""
        number, what = request.pop("id"), request.pop("do")
        try:
            actions = {
                one.__name__: one for one in (self.run, self.read, self.write, self.attach, self.unplug)
            }
            return {"id": number, **actions[what](**request)}
        except Exception:  # noqa: BLE001  the host shall hear of whatever went wrong
            return {"id": number, "error": traceback.format_exc()}


def main() -> None:
    """Serve until the host closes the connection or the machine ends."""
    host, port = Path("host").read_text().split()
    line = _connect(host, int(port))
    hand, sending = Hand(host), threading.Lock()

    def work(request: dict[str, Any]) -> None:
        answer = json.dumps(hand.do(request)).encode() + b"\n"
        with sending:
            line.sendall(answer)

    _say("LAB-READY")
    for request in line.makefile("rb"):
        threading.Thread(target=work, args=(json.loads(request),), daemon=True).start()
    _say("LAB-END")


def _say(word: str) -> None:
    sys.stdout.write(f"{word}\n")
    sys.stdout.flush()


def _connect(host: str, port: int) -> socket.socket:
    deadline = time.monotonic() + 400
    while True:
        try:
            line = socket.create_connection((host, port), 5)
        except OSError as error:
            # The network comes up beside us.
            if time.monotonic() > deadline:
                sys.exit(f"no way to the host: {error}")
            time.sleep(0.2)
        else:
            line.settimeout(None)
            return line


if __name__ == "__main__":
    main()
