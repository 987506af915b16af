"""A second, independent reader: a process of its own reads the drive back through a descriptor of its own.

What this process believes to have written, or a fault in its memory, is no witness there. Started as
``python -m rasura_agent.second_reader``. What to expect, the key of a random pass included, goes through a
pipe and never through the arguments, which every process can see. Both sides talk in lines of JSON::

    parent  {"path", "virtual", "capacity", "pattern", "room", "start", "sector", "limits"}
    child   {"identity", "capacity", "diskseq"}        which drive it has opened
    parent  {"stop": null}                             or why it must not go on
    child   {"done": bytes, "failed": [[offset, length]]}     each answered with {"stop"}, often
    child   {"read", "errors", "stopped"}              the end; {"refused": why} at any time
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import subprocess
import sys
from collections.abc import Callable
from typing import IO, Any

import msgspec
from msgspec.structs import asdict

from rasura.certificate import Range, RangeKind
from rasura.errors import RasuraError
from rasura_agent.clock import Clock
from rasura_agent.drive.port import BlockPort
from rasura_agent.drive.transport.block import open_to_read_back
from rasura_agent.erase.buffers import ROOM_BYTES
from rasura_agent.erase.covered import Span
from rasura_agent.erase.limits import Limits
from rasura_agent.erase.overwrite import SECTOR_BYTES
from rasura_agent.erase.pattern import Constant, Pattern, RandomStream
from rasura_agent.inventory.clock import SystemClock
from rasura_agent.inventory.model import Drive
from rasura_agent.inventory.opened import describe_open
from rasura_agent.inventory.virtual import describe_virtual_open
from rasura_agent.verify.readback import ReadBack, read_back

__all__ = ["SecondReader", "serve"]

_GRACE_S = 60.0
"""So much longer than the drive's deadline the process may be silent: it keeps that deadline itself."""
_END_S = 5.0


class SecondReaderError(RasuraError):
    """The other process did not do its part."""


class SecondReader(msgspec.Struct, frozen=True):
    """A :class:`~rasura_agent.verify.readback.Reader` of the drive at ``path``, which ``block`` has open.

    The other process must find the very drive that ``block`` identifies at that moment.
    """

    path: str
    virtual: bool
    block: BlockPort
    command: tuple[str, ...] = msgspec.field(default=(sys.executable, "-m", "rasura_agent.second_reader"))

    def __call__(
        self,
        capacity: int,
        pattern: Pattern,
        on_progress: Callable[[int], str | None],
        room_bytes: int = ROOM_BYTES,
        start: int = 0,
        *,
        clock: Clock,  # noqa: ARG002  the other process has its own
        limits: Limits | None = None,
        sector_bytes: int = SECTOR_BYTES,
        on_failed: Callable[[Span], None] = lambda _span: None,
    ) -> ReadBack:
        """Have the other process read back; its failure is a read-back that was stopped."""
        limits = limits or Limits()
        order = {
            "path": self.path,
            "virtual": self.virtual,
            "capacity": capacity,
            "pattern": _encode(pattern),
            "room": room_bytes,
            "start": start,
            "sector": sector_bytes,
            "limits": asdict(limits),
        }
        try:
            expected = self.block.identify()
            with _Process(self.command, limits.answer_s + _GRACE_S) as process:
                return _conduct(process, order, expected, on_progress, on_failed)
        except (OSError, RasuraError) as error:
            whole = Range(offset=start, length=capacity - start, kind=RangeKind.NOT_READ)
            return ReadBack(0, capacity, (whole,), f"the second reader failed: {error}")


def _conduct(
    process: _Process,
    order: dict[str, Any],
    expected: Drive,
    on_progress: Callable[[int], str | None],
    on_failed: Callable[[Span], None],
) -> ReadBack:
    process.say(order)
    while True:
        match process.hear():
            case {"identity": identity, "capacity": size, "diskseq": diskseq}:
                found = (identity, size, diskseq)
                same = found == (expected.identity_sha256, expected.capacity_bytes, expected.diskseq)
                process.say({"stop": None if same else "it opened another drive"})
            case {"done": int(done), "failed": list(failed)}:
                for offset, length in failed:
                    on_failed((int(offset), int(length)))
                process.say({"stop": on_progress(done)})
            case {"read": int(read), "errors": list(errors), "stopped": (str() | None) as stopped}:
                ranges = tuple(
                    Range(offset=int(offset), length=int(length), kind=RangeKind(kind))
                    for offset, length, kind in errors
                )
                return ReadBack(read, order["capacity"], ranges, stopped)
            case {"refused": str(why)}:
                raise SecondReaderError(why)
            case _:
                raise SecondReaderError("it said what nobody understands")


class _Process:
    """The other process and the two pipes to it."""

    def __init__(self, command: tuple[str, ...], patience_s: float) -> None:
        self._patience_s = patience_s
        self._heard = b""
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, bufsize=0
        )

    def __enter__(self) -> _Process:
        return self

    def __exit__(self, *_: object) -> None:
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()
        # It ends by itself; one that waits for a dead drive in the kernel cannot even be killed.
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(_END_S)
            return
        self._process.kill()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(_END_S)

    def say(self, message: dict[str, Any]) -> None:
        """Send one line; raises ``OSError`` when the process is gone."""
        pipe = self._process.stdin
        if pipe is not None:
            pipe.write(json.dumps(message).encode() + b"\n")

    def hear(self) -> Any:
        """The next line; raises :class:`SecondReaderError` when there is none for too long, or no more."""
        pipe = self._process.stdout
        if pipe is None:
            raise SecondReaderError("it has no way to answer")
        while b"\n" not in self._heard:
            ready, _, _ = select.select([pipe], [], [], self._patience_s)
            if not ready:
                raise SecondReaderError("its process does not answer")
            more = os.read(pipe.fileno(), 1 << 16)
            if not more:
                raise SecondReaderError("its process ended before it was done")
            self._heard += more
        line, _, self._heard = self._heard.partition(b"\n")
        try:
            return json.loads(line)
        except ValueError:
            raise SecondReaderError("it said what nobody understands") from None


def _encode(pattern: Pattern) -> dict[str, Any]:
    if isinstance(pattern, RandomStream):
        return {"key": pattern.key.hex(), "inverted": pattern.inverted}
    if isinstance(pattern, Constant):
        return {"unit": pattern.unit.hex()}
    raise SecondReaderError(f"it cannot be told what {pattern.label} is")


def _decode(told: dict[str, Any]) -> Pattern:
    if "unit" in told:
        return Constant(bytes.fromhex(told["unit"]))
    return RandomStream(bytes.fromhex(told["key"]), inverted=told["inverted"])


def serve(orders: IO[str], answers: IO[str]) -> None:
    """The other process: carry out the order that comes in and say what was found."""

    def ask(question: dict[str, Any]) -> str | None:
        answers.write(json.dumps(question) + "\n")
        answers.flush()
        line = orders.readline()
        # Without a parent there is nobody to read for.
        return json.loads(line)["stop"] if line else "nobody waits for it any more"

    failed: list[Span] = []

    def on_progress(done: int) -> str | None:
        told, failed[:] = list(failed), []
        return ask({"done": done, "failed": told})

    try:
        order = json.loads(orders.readline())
        path = order["path"]
        identify = (lambda fd: describe_virtual_open(fd, path)) if order["virtual"] else describe_open
        port = open_to_read_back(path, identify)
        drive = port.identify()
        wrong = ask(
            {
                "identity": drive.identity_sha256,
                "capacity": drive.capacity_bytes,
                "diskseq": drive.diskseq,
            }
        )
        if wrong is not None:
            raise SecondReaderError(wrong)
        found = read_back(
            port,
            order["capacity"],
            _decode(order["pattern"]),
            on_progress,
            order["room"],
            order["start"],
            clock=SystemClock(),
            limits=Limits(**order["limits"]),
            sector_bytes=order["sector"],
            on_failed=failed.append,
        )
        end = {
            "read": found.bytes_read,
            "errors": [(one.offset, one.length, one.kind) for one in found.errors],
            "stopped": found.stopped,
        }
    except (OSError, RasuraError) as error:
        end = {"refused": str(error)}
    answers.write(json.dumps(end) + "\n")
    answers.flush()


if __name__ == "__main__":
    serve(sys.stdin, sys.stdout)
    # Past what Python would wait for: a thread may hang in the kernel with a dead drive.
    os._exit(0)
