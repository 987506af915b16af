"""A captured machine: every answer that the sources of a machine gave, as files of a folder.

The format is documented in tests/captures/README.md. It is strict: a capture is evidence, so that a file
which does not read exactly is an error and not a guess. Nothing of what is stored on a drive is ever in it.
"""

from __future__ import annotations

import errno
import re
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from rasura.errors import UsageError
from rasura_agent.inventory.machine_model import Sensor
from rasura_agent.inventory.ports import Ran

__all__ = ["Capture", "CaptureError", "Failure", "LineFacts", "failure_of", "load_capture", "save_capture"]

FORMAT, VERSION = "rasura-capture", 1
_ABOUT, _FILES, _UDEV, _COMMANDS = "capture.json", "files.json", "udev.json", "commands.json"
_PROBE, _SENSORS, _LINES, _DRIVES = "probe.json", "sensors.json", "lines.json", "drives"
_HEX = re.compile("(?:[0-9a-f]{2})*")
_DRIVE_NAME = re.compile(r"[\w.-]+")


class CaptureError(UsageError):
    """A folder is no capture, or one of its files does not read as one."""


class Failure(msgspec.Struct, frozen=True):
    """A call that failed, by the name of its ``errno``, such as ``ENOENT``."""

    code: str

    def as_error(self, path: str) -> OSError:
        """As the kernel would raise it."""
        number = getattr(errno, self.code, errno.EIO)
        return OSError(number, self.code, path)


def failure_of(error: OSError) -> Failure:
    """What to keep of ``error``."""
    return Failure(errno.errorcode.get(error.errno or errno.EIO, "EIO"))


class LineFacts(msgspec.Struct, frozen=True):
    """How a drive's own commands were reached, or the sentence why they were not."""

    obstacle: str | None = None
    nsid: int | None = None
    cid: str | None = None
    areas: tuple[str, ...] = ()


class Capture(msgspec.Struct):
    """Everything, by what was asked."""

    anonymised: bool = False
    agent: str = ""
    kernel: str = ""
    reads: dict[str, bytes | Failure] = msgspec.field(default_factory=dict)
    folders: dict[str, tuple[str, ...] | Failure] = msgspec.field(default_factory=dict)
    links: dict[str, str | Failure] = msgspec.field(default_factory=dict)
    numbers: dict[str, dict[str, str]] = msgspec.field(default_factory=dict)
    """udev's properties by ``MAJOR:MINOR`` of a block device."""
    places: dict[str, dict[str, str]] = msgspec.field(default_factory=dict)
    """udev's properties by folder of sysfs."""
    commands: dict[tuple[str, ...], Ran | str] = msgspec.field(default_factory=dict)
    """By exact argv; a sentence where the program could not be run."""
    probe: dict[str, Any] = msgspec.field(default_factory=dict)
    """Answers to the questions of ``DeviceProbe``, by the question in words."""
    sensors: tuple[Sensor, ...] = ()
    lines: dict[str, LineFacts] = msgspec.field(default_factory=dict)
    """By the path of the drive."""
    drives: dict[str, str] = msgspec.field(default_factory=dict)
    """Recorded commands (``drive/transport/replay.py``) by the name of the block device."""


class _Bytes(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """Bytes that are no plain text, or a failure: exactly one of the two."""

    hex: str | None = None
    error: str | None = None


class _About(msgspec.Struct, forbid_unknown_fields=True):
    format: str
    version: int
    anonymised: bool
    agent: str
    kernel: str


class _Files(msgspec.Struct, forbid_unknown_fields=True):
    reads: dict[str, str | _Bytes]
    folders: dict[str, list[str] | _Bytes]
    links: dict[str, str | _Bytes]


class _Udev(msgspec.Struct, forbid_unknown_fields=True):
    numbers: dict[str, dict[str, str]]
    places: dict[str, dict[str, str]]


class _Command(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """``stdout`` is a list of lines, so that a capture can be read and compared; bytes in hex otherwise."""

    argv: list[str]
    status: int | None = None
    stdout: list[str] | _Bytes = []
    stderr: list[str] | _Bytes = []
    failed: str | None = None


class _Line(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    obstacle: str | None = None
    nsid: int | None = None
    cid: str | None = None
    areas: list[str] = []


_T = TypeVar("_T")


def save_capture(capture: Capture, folder: Path) -> None:
    """Write ``capture`` into ``folder``, which must not hold one already.

    Raises:
        CaptureError: there is one, or the folder cannot be written.
    """
    if (folder / _ABOUT).exists():
        raise CaptureError(f"{folder} holds a capture already", hint="name a new folder")
    documents: dict[str, object] = {
        _FILES: _Files(
            {path: _packed(value) for path, value in sorted(capture.reads.items())},
            {
                path: _Bytes(error=value.code) if isinstance(value, Failure) else list(value)
                for path, value in sorted(capture.folders.items())
            },
            {
                path: _Bytes(error=value.code) if isinstance(value, Failure) else value
                for path, value in sorted(capture.links.items())
            },
        ),
        _UDEV: _Udev(_sorted(capture.numbers), _sorted(capture.places)),
        _COMMANDS: [_command(argv, ran) for argv, ran in sorted(capture.commands.items())],
        _PROBE: dict(sorted(capture.probe.items())),
        _SENSORS: capture.sensors,
        _LINES: {
            path: _Line(one.obstacle, one.nsid, one.cid, list(one.areas))
            for path, one in sorted(capture.lines.items())
        },
        # Last: a folder with this file is a whole capture.
        _ABOUT: _About(FORMAT, VERSION, capture.anonymised, capture.agent, capture.kernel),
    }
    try:
        (folder / _DRIVES).mkdir(parents=True, exist_ok=True)
        for name, text in capture.drives.items():
            (folder / _DRIVES / f"{name}.json").write_text(text + "\n", encoding="utf-8")
        for name, document in documents.items():
            encoded = msgspec.json.format(msgspec.json.encode(document), indent=1)
            (folder / name).write_bytes(encoded + b"\n")
    except OSError as error:
        raise CaptureError(f"the capture cannot be written to {folder}: {error.strerror}") from None


def load_capture(folder: Path) -> Capture:
    """Read the capture in ``folder``; raises :class:`CaptureError`."""
    about = _document(folder, _ABOUT, _About)
    if about.format != FORMAT or about.version != VERSION:
        raise CaptureError(f"{folder} is no {FORMAT} of version {VERSION}")
    files, udev = _document(folder, _FILES, _Files), _document(folder, _UDEV, _Udev)
    where = folder / _FILES
    return Capture(
        anonymised=about.anonymised,
        agent=about.agent,
        kernel=about.kernel,
        reads={path: _unpacked(value, where) for path, value in files.reads.items()},
        folders={
            path: _failure(value, where) if isinstance(value, _Bytes) else tuple(value)
            for path, value in files.folders.items()
        },
        links={
            path: _failure(value, where) if isinstance(value, _Bytes) else value
            for path, value in files.links.items()
        },
        numbers=udev.numbers,
        places=udev.places,
        commands=dict(_ran(one, folder / _COMMANDS) for one in _document(folder, _COMMANDS, list[_Command])),
        probe=_document(folder, _PROBE, dict[str, Any]),
        sensors=_document(folder, _SENSORS, tuple[Sensor, ...]),
        lines={
            path: LineFacts(one.obstacle, one.nsid, one.cid, tuple(one.areas))
            for path, one in _document(folder, _LINES, dict[str, _Line]).items()
        },
        drives=_recordings(folder / _DRIVES),
    )


def _document(folder: Path, name: str, kind: type[_T]) -> _T:
    try:
        return msgspec.json.decode((folder / name).read_bytes(), type=kind)
    except FileNotFoundError:
        raise CaptureError(
            f"{folder} is no capture of a machine: it has no {name}", hint="'rasura-agent capture' makes one"
        ) from None
    except OSError as error:
        raise CaptureError(f"{folder / name} cannot be read: {error.strerror}") from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise CaptureError(f"{folder / name} does not read as a part of a capture: {error}") from None


def _recordings(folder: Path) -> dict[str, str]:
    try:
        return {
            path.stem: path.read_text("utf-8")
            for path in sorted(folder.glob("*.json"))
            if _DRIVE_NAME.fullmatch(path.stem)
        }
    except (OSError, UnicodeDecodeError) as error:
        raise CaptureError(f"the recordings in {folder} cannot be read: {error}") from None


def _sorted(database: dict[str, dict[str, str]]) -> dict[str, dict[str, str]]:
    return {key: dict(sorted(properties.items())) for key, properties in sorted(database.items())}


def _plain(data: bytes) -> str | None:
    """Text that JSON shows as it is."""
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        return None
    return text if all(c.isprintable() or c in "\n\t" for c in text) else None


def _packed(value: bytes | Failure) -> str | _Bytes:
    if isinstance(value, Failure):
        return _Bytes(error=value.code)
    text = _plain(value)
    return _Bytes(hex=value.hex()) if text is None else text


def _unpacked(value: str | _Bytes, where: Path) -> bytes | Failure:
    if isinstance(value, str):
        return value.encode("utf-8", "surrogatepass")
    if value.hex is not None and value.error is None and _HEX.fullmatch(value.hex):
        return bytes.fromhex(value.hex)
    return _failure(value, where)


def _failure(value: _Bytes, where: Path) -> Failure:
    if value.error is None or value.hex is not None or value.error not in errno.errorcode.values():
        raise CaptureError(f"{where} holds an entry that is neither text nor bytes nor a known error")
    return Failure(value.error)


def _command(argv: tuple[str, ...], ran: Ran | str) -> _Command:
    if isinstance(ran, str):
        return _Command(list(argv), failed=ran)
    return _Command(list(argv), ran.status, _lines(ran.stdout), _lines(ran.stderr))


def _lines(data: bytes) -> list[str] | _Bytes:
    text = _plain(data)
    if text is None:
        return _Bytes(hex=data.hex())
    return text.split("\n") if text else []


def _ran(command: _Command, where: Path) -> tuple[tuple[str, ...], Ran | str]:
    argv = tuple(command.argv)
    if command.failed is not None:
        return argv, command.failed
    if command.status is None:
        raise CaptureError(f"{where}: {' '.join(argv)} has no exit status")
    return argv, Ran(command.status, _output(command.stdout, where), _output(command.stderr, where))


def _output(value: list[str] | _Bytes, where: Path) -> bytes:
    if isinstance(value, list):
        return "\n".join(value).encode("utf-8", "surrogatepass")
    data = _unpacked(value, where)
    if isinstance(data, Failure):
        raise CaptureError(f"{where} holds an output that is an error")
    return data
