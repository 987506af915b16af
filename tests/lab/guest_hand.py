"""The host's end of the hand inside a guest (``guest/hand.py``), and the tar that brings it there."""

from __future__ import annotations

import base64
import io
import json
import os
import socket
import tarfile
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lab.shelf import Shelf, ShelfDrive

HOST_SEEN_FROM_GUEST = "10.0.2.2"
"""The host's loopback, in QEMU's user-mode network."""
ANSWER_S = 600.0
"""For a guest that hangs, not for one that is slow: many drives at once keep an emulated processor busy."""
_SCRIPTS = Path(__file__).parent / "guest"


class GuestError(AssertionError):
    """A guest could not do what it was asked, or is gone."""


@dataclass(frozen=True)
class Ran:
    """How a program ended."""

    argv: tuple[str, ...]
    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """What it printed for machines."""
        return json.loads(self.out)

    def require(self, *codes: int) -> Ran:
        """Itself, if it ended with one of ``codes`` (0 if none is given)."""
        if self.code not in (codes or (0,)):
            raise GuestError(f"{' '.join(self.argv)} ended with {self.code}\n{self.out}\n{self.err}")
        return self


class Hand:
    """Asks the guest to do things. One guest at a time; after a reset, wait for it again."""

    def __init__(self) -> None:
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listening.getsockname()[1]
        self._line: socket.socket | None = None
        self._lock = threading.Lock()
        self._open: dict[int, Future[dict[str, Any]]] = {}
        self._next = 0

    def payload(self, path: Path, modules: Sequence[Path] = ()) -> Path:
        """Write the tar for fw_cfg's opt/rasura/test; kernel ``modules`` are loaded in that order."""
        with tarfile.open(path, "w") as tar:
            for name in ("run", "hand.py", "tcmu.py"):
                tar.add(_SCRIPTS / name, name)
            for number, module in enumerate(modules):
                tar.add(module, f"modules/{number:02d}-{module.name}")
            where = f"{HOST_SEEN_FROM_GUEST} {self.port}\n".encode()
            entry = tarfile.TarInfo("host")
            entry.size = len(where)
            tar.addfile(entry, io.BytesIO(where))
        return path

    def wait(self, timeout_s: float) -> None:
        """Wait until a freshly booted guest reports for work."""
        self.let_go()
        self._listening.settimeout(timeout_s)
        try:
            line, _ = self._listening.accept()
        except TimeoutError:
            raise GuestError(f"no guest reported in {timeout_s:g} s") from None
        line.settimeout(None)
        self._line = line
        threading.Thread(target=self._read, args=(line,), name="hand", daemon=True).start()

    def let_go(self) -> None:
        """Forget the guest: it was reset, or will be."""
        line, self._line = self._line, None
        if line is not None:
            line.close()
        self._fail("the guest was let go")

    def close(self) -> None:
        """Listen no more."""
        self.let_go()
        self._listening.close()

    # Requests

    def start(
        self, *argv: str, timeout_s: float = ANSWER_S, env: Mapping[str, str] | None = None
    ) -> Future[Ran]:
        """Run a program; the answer comes when it has ended."""
        answer = self._ask("run", argv=argv, timeout=timeout_s, env=dict(env or {}))
        ran: Future[Ran] = Future()

        def done(future: Future[dict[str, Any]]) -> None:
            error = future.exception()
            if error is not None:
                ran.set_exception(error)
                return
            told = future.result()
            ran.set_result(Ran(argv, told["code"], told["out"], told["err"]))

        answer.add_done_callback(done)
        return ran

    def run(self, *argv: str, timeout_s: float = ANSWER_S, env: Mapping[str, str] | None = None) -> Ran:
        """Run a program to its end; what it ended with is for the caller to judge."""
        return self.start(*argv, timeout_s=timeout_s, env=env).result(timeout_s + 30)

    def read(self, path: str) -> bytes:
        """A file of the guest."""
        return base64.b64decode(self._ask("read", path=path).result(60)["data"])

    def write(self, path: str, data: bytes) -> None:
        """Write a file in the guest, making its folders."""
        self._ask("write", path=path, data=base64.b64encode(data).decode()).result(60)

    def copy(self, folder: Path, path: str) -> None:
        """Copy a folder of the host into the guest."""
        for file in sorted(folder.rglob("*")):
            if file.is_file():
                self.write(os.path.join(path, file.relative_to(folder)), file.read_bytes())

    def attach(self, shelf: Shelf, *drives: ShelfDrive) -> list[str]:
        """Make drives of the shelf block devices of the guest; returns their paths."""
        asked = [
            self._ask("attach", name=drive.name, port=shelf.port, size=len(drive.medium.data))
            for drive in drives
        ]
        return [one.result(ANSWER_S)["path"] for one in asked]

    def unplug(self, drive: ShelfDrive) -> None:
        """Take a drive away from the guest's kernel."""
        self._ask("unplug", name=drive.name).result(ANSWER_S)

    def _ask(self, what: str, **values: Any) -> Future[dict[str, Any]]:
        future: Future[dict[str, Any]] = Future()
        with self._lock:
            if self._line is None:
                raise GuestError("there is no guest")
            self._next += 1
            self._open[self._next] = future
            self._line.sendall(json.dumps({"id": self._next, "do": what, **values}).encode() + b"\n")
        return future

    def _read(self, line: socket.socket) -> None:
        try:
            with line.makefile("rb") as stream:
                for answer in stream:
                    self._answered(json.loads(answer))
        except (OSError, ValueError):
            pass  # closed on our side
        if line is self._line:
            self._fail("the guest is gone")

    def _answered(self, answer: dict[str, Any]) -> None:
        with self._lock:
            future = self._open.pop(answer.pop("id"), None)
        if future is None:
            return
        if "error" in answer:
            future.set_exception(GuestError(answer["error"]))
        else:
            future.set_result(answer)

    def _fail(self, why: str) -> None:
        with self._lock:
            waiting, self._open = self._open, {}
        for future in waiting.values():
            future.set_exception(GuestError(why))
