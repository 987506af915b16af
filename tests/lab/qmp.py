"""QEMU's control socket (QMP): one JSON object a line, answers and events mixed."""

from __future__ import annotations

import json
import socket
import time
from pathlib import Path
from typing import Any


class QmpError(AssertionError):
    """QEMU refused a command, or does not answer any more."""


class Qmp:
    """A connection to a running QEMU. Not for use from several threads."""

    def __init__(self, path: Path, timeout_s: float = 20.0) -> None:
        """Connect as soon as the socket is there; raises ``QmpError`` after ``timeout_s``."""
        self._events: list[dict[str, Any]] = []
        self._rest = b""
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        deadline = time.monotonic() + timeout_s
        while True:
            try:
                self._socket.connect(str(path))
                break
            except (FileNotFoundError, ConnectionRefusedError):
                if time.monotonic() > deadline:
                    self._socket.close()
                    raise QmpError(f"QEMU opened no control socket at {path}") from None
                time.sleep(0.05)
        self._message(deadline)  # its greeting
        self.execute("qmp_capabilities")

    def execute(self, command: str, timeout_s: float = 30.0, **arguments: Any) -> Any:
        """Run a command and return its answer; underscores in names of arguments become dashes."""
        named = {name.replace("_", "-"): value for name, value in arguments.items()}
        request = {"execute": command, "arguments": named}
        try:
            self._socket.sendall(json.dumps(request).encode() + b"\n")
        except OSError as error:
            raise QmpError(f"{command}: QEMU is gone ({error.strerror})") from None
        deadline = time.monotonic() + timeout_s
        while True:
            message = self._message(deadline)
            if "return" in message:
                return message["return"]
            if "error" in message:
                raise QmpError(f"{command}: {message['error']['desc']}")
            self._events.append(message)

    def event(self, name: str, timeout_s: float = 30.0) -> dict[str, Any]:
        """Wait for the next event ``name``; earlier ones of that name that nobody took count too."""
        deadline = time.monotonic() + timeout_s
        while True:
            for index, message in enumerate(self._events):
                if message.get("event") == name:
                    return self._events.pop(index)
            self._events.append(self._message(deadline))

    def close(self) -> None:
        """Let go of the socket."""
        self._socket.close()

    def _message(self, deadline: float) -> dict[str, Any]:
        while b"\n" not in self._rest:
            left = deadline - time.monotonic()
            if left <= 0:
                raise QmpError("QEMU did not answer in time")
            self._socket.settimeout(left)
            try:
                data = self._socket.recv(65536)
            except TimeoutError:
                continue
            except OSError as error:
                raise QmpError(f"QEMU is gone ({error.strerror})") from None
            if not data:
                raise QmpError("QEMU closed its control socket")
            self._rest += data
        line, _, self._rest = self._rest.partition(b"\n")
        message: dict[str, Any] = json.loads(line)
        return message
