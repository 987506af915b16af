"""A captured machine: commands with the answers a real drive gave, recorded and played back.

The document is JSON::

    {"format": "rasura-replay", "version": 1, "recordings": [
        {"command": {"family": "nvme", "name": ..., "opcode": 6, ...},
         "completion": {"disposition": "done", "detail": ..., "data": "0a1b...", ...}}]}

``family`` is ``ata``, ``scsi``, ``nvme`` or ``mmc``; every other key is a field of the record in
``drive.port``, all of them and no others. Bytes are hex, enumerations their values, what is absent
``null``. A document that is anything else is an error: a capture is evidence, not a suggestion.
"""

from __future__ import annotations

import json
import math
import re
import types
import typing
from collections.abc import Iterable, Sequence
from enum import Enum

import msgspec
from msgspec.structs import fields

from rasura.errors import RasuraError
from rasura_agent.drive.mmc.erase import SequencePort
from rasura_agent.drive.port import (
    AtaCommand,
    Command,
    Completion,
    DrivePort,
    MmcCommand,
    NvmeCommand,
    ScsiCommand,
)

__all__ = [
    "Recording",
    "RecordingTransport",
    "ReplayError",
    "ReplayTransport",
    "dump_recordings",
    "load_recordings",
]

_FORMAT, _VERSION = "rasura-replay", 1
_HEX = re.compile("(?:[0-9a-f]{2})*")
_EXACT_FLOAT = 1 << 53
"""Up to here a whole number is the same as a float."""
_FAMILIES: dict[str, type[Command]] = {
    "ata": AtaCommand,
    "scsi": ScsiCommand,
    "nvme": NvmeCommand,
    "mmc": MmcCommand,
}
_FAMILY_OF = {command: family for family, command in _FAMILIES.items()}


class ReplayError(RasuraError):
    """A capture is not what it must be, or holds no answer to a command."""


class Recording(msgspec.Struct, frozen=True):
    """One command, all its fields, and what came back."""

    command: Command
    completion: Completion


class RecordingTransport:
    """A drive port that passes everything on to another and keeps what was said."""

    def __init__(self, inner: DrivePort) -> None:
        self._inner = inner
        self._recordings: list[Recording] = []

    @property
    def recordings(self) -> tuple[Recording, ...]:
        """What was said so far, in order."""
        return tuple(self._recordings)

    def execute(self, command: Command) -> Completion:
        """Pass one command on."""
        completion = self._inner.execute(command)
        self._recordings.append(Recording(command, completion))
        return completion

    def execute_sequence(self, commands: Sequence[MmcCommand]) -> tuple[Completion, ...]:
        """Pass a sequence on, to a port that knows sequences.

        Raises:
            ReplayError: it doesn't.
        """
        if not isinstance(self._inner, SequencePort):
            raise ReplayError(f"{type(self._inner).__name__} sends no sequences, there is nothing to record")
        completions = self._inner.execute_sequence(commands)
        self._recordings += map(Recording, commands, completions)
        return completions


class ReplayTransport:
    """A drive port that answers each command as it was answered when it was recorded.

    A command is the same only if every field is. One that was recorded several times gets its
    answers in their order; then the last one stays, as the drive stayed as it was last seen.
    """

    def __init__(self, recordings: Iterable[Recording]) -> None:
        self._answers: dict[Command, list[Completion]] = {}
        for recording in recordings:
            self._answers.setdefault(recording.command, []).append(recording.completion)

    def execute(self, command: Command) -> Completion:
        """Answer one command.

        Raises:
            ReplayError: it was never recorded; the sentence names it with all its fields.
        """
        answers = self._answers.get(command)
        if answers is None:
            raise ReplayError(
                f"no recording of {command}",
                hint="record it on the machine the capture is of, or ask what was recorded",
            )
        return answers.pop(0) if len(answers) > 1 else answers[0]

    def execute_sequence(self, commands: Sequence[MmcCommand]) -> tuple[Completion, ...]:
        """Answer the commands of a sequence one by one; raises as :meth:`execute`."""
        return tuple(self.execute(command) for command in commands)


def dump_recordings(recordings: Iterable[Recording]) -> str:
    """The JSON document of a capture."""
    document = {
        "format": _FORMAT,
        "version": _VERSION,
        "recordings": [
            {
                "command": {"family": _FAMILY_OF[type(r.command)], **_encode_fields(r.command)},
                "completion": _encode_fields(r.completion),
            }
            for r in recordings
        ],
    }
    return json.dumps(document, indent=1, allow_nan=False)


def load_recordings(text: str) -> tuple[Recording, ...]:
    """Read the JSON document of a capture.

    Raises:
        ReplayError: it is not exactly what :func:`dump_recordings` writes.
    """
    try:
        document = json.loads(text, object_pairs_hook=_unique, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise ReplayError(f"the capture is not JSON: {error}") from None
    body = _object(document, "the capture", {"format", "version", "recordings"})
    if body["format"] != _FORMAT or body["version"] != _VERSION or body["version"] is True:
        raise ReplayError(f"the capture is not {_FORMAT} version {_VERSION}")
    if not isinstance(body["recordings"], list):
        raise ReplayError("the recordings of the capture are no list")
    return tuple(_recording(entry, f"recording {n}") for n, entry in enumerate(body["recordings"]))


def _recording(entry: object, where: str) -> Recording:
    body = _object(entry, where, {"command", "completion"})
    command = body["command"]
    family = command.pop("family", None) if isinstance(command, dict) else None
    if not isinstance(family, str) or family not in _FAMILIES:
        raise ReplayError(f"{where}: the command has no family we know")
    return Recording(
        _decode_fields(_FAMILIES[family], command, f"{where} command"),
        _decode_fields(Completion, body["completion"], f"{where} completion"),
    )


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ReplayError("an object of the capture has a key twice")
    return found


def _no_constant(name: str) -> object:
    raise ReplayError(f"{name} is not a number of JSON")


def _object(value: object, where: str, keys: set[str]) -> dict[str, object]:
    if not isinstance(value, dict) or set(value) != keys:
        raise ReplayError(f"{where} must have exactly {', '.join(sorted(keys))}")
    return value


def _encode_fields(value: Command | Completion) -> dict[str, object]:
    return {f.name: _encode(getattr(value, f.name)) for f in fields(value)}


def _encode(value: object) -> object:
    match value:
        case bytes():
            return value.hex()
        case Enum():
            return value.value
        case tuple():
            return [_encode(item) for item in value]
        case msgspec.Struct():
            return {f.name: _encode(getattr(value, f.name)) for f in fields(value)}
        case bool() | None | str() | float():
            return value
        case int():
            return int(value)
    raise ReplayError(f"a {type(value).__name__} cannot be recorded")


_Decoded = typing.TypeVar("_Decoded")


def _decode_fields(kind: type[_Decoded], value: object, where: str) -> _Decoded:
    hints = typing.get_type_hints(kind)
    body = _object(value, where, set(hints))
    return kind(**{name: _decode(hint, body[name], f"{where}: {name}") for name, hint in hints.items()})


def _decode(hint: object, value: object, where: str) -> object:
    if isinstance(hint, types.UnionType):
        # Only "something or None" occurs in the port.
        (inner,) = (part for part in typing.get_args(hint) if part is not types.NoneType)
        return None if value is None else _decode(inner, value, where)
    if isinstance(hint, type) and issubclass(hint, msgspec.Struct):
        return _decode_fields(hint, value, where)
    parts = typing.get_args(hint)
    if parts and isinstance(value, list) and len(value) == len(parts):
        return tuple(_decode(part, item, where) for part, item in zip(parts, value, strict=True))
    decoded = _scalar(hint, value) if isinstance(hint, type) else None
    if decoded is None:
        raise ReplayError(f"{where} cannot be {value!r}")
    return decoded


def _scalar(kind: type, value: object) -> object:
    """The value as ``kind``, or ``None`` (which no field without ``| None`` can hold)."""
    if kind is bytes:
        return bytes.fromhex(value) if isinstance(value, str) and _HEX.fullmatch(value) else None
    if kind is float:
        if isinstance(value, float):
            return value if math.isfinite(value) else None
        return float(value) if type(value) is int and abs(value) <= _EXACT_FLOAT else None
    if issubclass(kind, Enum):
        return next((m for m in kind if type(m.value) is type(value) and m.value == value), None)
    return value if type(value) is kind else None
