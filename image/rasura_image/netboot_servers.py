"""dnsmasq and nginx as children: started, listened to, and ended with us."""

from __future__ import annotations

import os
import select
import selectors
import signal
import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from rasura_image.errors import HostError

__all__ = ["Server", "StopSignal", "running", "watch"]

_STARTED_S = 0.5
_END_S = 5.0
_LINE_BYTES = 65536


class Server:
    """A child process whose output is read line by line."""

    def __init__(self, name: str, command: Sequence[str]) -> None:
        self.name = name
        path = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
        reader, writer = os.pipe()
        os.set_blocking(reader, False)
        self.output = open(reader, "rb", buffering=0)  # noqa: SIM115  # closed in end()
        try:
            # A session of its own: Ctrl-C reaches us alone, and we end the children in order.
            self.process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=writer,
                stderr=writer,
                start_new_session=True,
                env={"PATH": path, "LC_ALL": "C.UTF-8", "TZ": "UTC"},
            )
        except OSError as error:
            self.output.close()
            raise HostError(f"cannot run {name}: {error.strerror}") from None
        finally:
            os.close(writer)
        self._rest = b""
        self.last_line = ""

    def lines(self) -> list[str]:
        """The whole lines that are there now."""
        try:
            data = os.read(self.output.fileno(), _LINE_BYTES)
        except BlockingIOError:
            return []
        *lines, self._rest = (self._rest + data).split(b"\n")
        texts = [line.decode(errors="replace") for line in lines if line]
        self.last_line = texts[-1] if texts else self.last_line
        return texts

    def require_alive(self) -> None:
        """Raise :class:`HostError` with what it said last if it has ended."""
        if self.process.poll() is not None:
            while self.lines():
                pass
            raise HostError(
                f"{self.name} has ended: {self.last_line or f'exit code {self.process.returncode}'}"
            )

    def end(self) -> None:
        """Terminate it and all that it started."""
        for number in (signal.SIGTERM, signal.SIGKILL):
            try:
                os.killpg(self.process.pid, number)
            except ProcessLookupError:
                break
            try:
                self.process.wait(_END_S)
            except subprocess.TimeoutExpired:
                continue
            break
        self.process.wait()
        self.output.close()


class StopSignal:
    """SIGINT, SIGTERM and SIGHUP ask to stop: from the moment this context is entered they only do that."""

    _NUMBERS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

    def __enter__(self) -> StopSignal:
        self._reader, self._writer = os.pipe()
        os.set_blocking(self._writer, False)
        # The handler has nothing to do: the number arrives by the pipe, where a selector can wait for it.
        self._handlers = [signal.signal(number, lambda *_: None) for number in self._NUMBERS]
        signal.set_wakeup_fd(self._writer)
        return self

    def __exit__(self, *_: object) -> None:
        signal.set_wakeup_fd(-1)
        for number, handler in zip(self._NUMBERS, self._handlers, strict=True):
            signal.signal(number, handler)
        os.close(self._reader)
        os.close(self._writer)

    def fileno(self) -> int:
        """Readable once we are asked to stop."""
        return self._reader

    def came(self, wait_s: float = 0) -> bool:
        """Whether we are asked to stop within ``wait_s`` seconds."""
        return bool(select.select([self._reader], [], [], wait_s)[0])


@contextmanager
def running(commands: Sequence[tuple[str, Sequence[str]]], stop: StopSignal) -> Iterator[list[Server]]:
    """Servers by name and command line; ended when the block is left, however it is left."""
    servers: list[Server] = []
    try:
        for name, command in commands:
            servers.append(Server(name, command))
        stop.came(_STARTED_S)
        for server in servers:
            server.require_alive()
        yield servers
    finally:
        for server in reversed(servers):
            server.end()


def watch(servers: Sequence[Server], stop: StopSignal, heard: Callable[[str, str], None]) -> None:
    """Give every line of every server to ``heard(name, line)`` until we are asked to stop.

    Raises:
        HostError: a server ended by itself.
    """
    with selectors.DefaultSelector() as selector:
        selector.register(stop, selectors.EVENT_READ)
        for server in servers:
            selector.register(server.output, selectors.EVENT_READ, server)
        while not stop.came():
            for key, _ in selector.select():
                if isinstance(key.data, Server):
                    for line in key.data.lines():
                        heard(key.data.name, line)
                    key.data.require_alive()
