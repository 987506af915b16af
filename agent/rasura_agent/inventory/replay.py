"""Sources that answer as a capture says the machine answered.

What the capture does not hold is never made up: files are not there, programs cannot be run, questions are
unknown, and each such thing is named once by :attr:`Sources.missing`. A file is known to be absent, and no
word is lost about it, where the capture holds the listing of its folder or of one above it without it.
"""

from __future__ import annotations

import errno
import os
import posixpath
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from rasura_agent.inventory.capture import Capture, Failure
from rasura_agent.inventory.machine_model import Sensor
from rasura_agent.inventory.ports import Attempt, CommandError, FileId, LoopBacking, Opening, Ran, Sources
from rasura_agent.inventory.probe_answers import decode_answer, question

__all__ = ["replay_sources"]


def replay_sources(capture: Capture) -> Sources:
    """The machine of ``capture``."""
    missing = _Missing()
    return Sources(
        _Files(capture, missing),
        _Udev(capture, missing),
        _Commands(capture, missing),
        _Probe(capture, missing),
        _Sensors(capture.sensors),
        missing.sentences,
    )


class _Missing:
    """What was asked for and is not in the capture."""

    def __init__(self) -> None:
        self._asked: dict[str, None] = {}

    def add(self, what: str) -> None:
        self._asked[f"the capture does not hold {what}: it is not known"] = None

    def sentences(self) -> tuple[str, ...]:
        return tuple(self._asked)


class _Files:
    def __init__(self, capture: Capture, missing: _Missing) -> None:
        self._capture, self._missing = capture, missing

    def read_bytes(self, path: str) -> bytes:
        """See :class:`SystemFiles`."""
        data: bytes = self._answer(self._capture.reads, path)
        return data

    def list_dir(self, path: str) -> list[str]:
        """See :class:`SystemFiles`."""
        return list(self._answer(self._capture.folders, path))

    def real_path(self, path: str) -> str:
        """See :class:`SystemFiles`."""
        real: str = self._answer(self._capture.links, path)
        return real

    def _answer(self, kept: Mapping[str, Any], path: str) -> Any:
        found = kept.get(path)
        if isinstance(found, Failure):
            raise found.as_error(path)
        if found is None:
            if not self._is_absent(path):
                self._missing.add(path)
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path)
        return found

    def _is_absent(self, path: str) -> bool:
        """Whether the capture says that there is nothing by that name."""
        folder, name = posixpath.split(path)
        while name:
            listing = self._capture.folders.get(folder)
            if isinstance(listing, Failure):
                return True
            if listing is not None:
                return name not in listing
            folder, name = posixpath.split(folder)
        return False


class _Udev:
    def __init__(self, capture: Capture, missing: _Missing) -> None:
        self._capture, self._missing = capture, missing

    def properties(self, number: tuple[int, int]) -> Mapping[str, str]:
        """See :class:`Udev`."""
        key = f"{number[0]}:{number[1]}"
        return self._answer(self._capture.numbers, key, f"block device {key}")

    def properties_at(self, place: str) -> Mapping[str, str]:
        """See :class:`Udev`."""
        return self._answer(self._capture.places, place, place)

    def _answer(self, kept: Mapping[str, Mapping[str, str]], key: str, what: str) -> Mapping[str, str]:
        if key not in kept:
            self._missing.add(f"what udev knows of {what}")
        return kept.get(key, {})


class _Commands:
    def __init__(self, capture: Capture, missing: _Missing) -> None:
        self._capture, self._missing = capture, missing

    def run(self, argv: Sequence[str], timeout_s: float) -> Ran:  # noqa: ARG002  it has all been run
        """See :class:`Commands`."""
        found = self._capture.commands.get(tuple(argv))
        if found is None:
            self._missing.add(f"the output of '{' '.join(argv)}'")
            raise CommandError(f"the capture does not hold the output of '{' '.join(argv)}'")
        if isinstance(found, str):
            raise CommandError(found)
        return found


class _Probe:
    def __init__(self, capture: Capture, missing: _Missing) -> None:
        self._capture, self._missing = capture, missing

    def _answer(self, kind: Any, asked: str, unknown: Any) -> Any:
        if asked not in self._capture.probe:
            self._missing.add(f"the answer to '{asked}'")
            return unknown
        try:
            return decode_answer(kind, self._capture.probe[asked])
        except msgspec.ValidationError:
            self._missing.add(f"an answer to '{asked}' that can be read")
            return unknown

    def try_exclusive(self, path: str, number: tuple[int, int]) -> Attempt:
        """See :class:`DeviceProbe`."""
        unknown = Attempt(Opening.UNKNOWN, "the capture does not say")
        found: Attempt = self._answer(Attempt, question("try_exclusive", path, number), unknown)
        return found

    def node_number(self, path: str) -> tuple[int, int] | None:
        """See :class:`DeviceProbe`."""
        found: tuple[int, int] | None = self._answer(
            tuple[int, int] | None, question("node_number", path), None
        )
        return found

    def file_id(self, path: str) -> FileId | None:
        """See :class:`DeviceProbe`."""
        found: FileId | None = self._answer(FileId | None, question("file_id", path), None)
        return found

    def loop_backing(self, path: str, number: tuple[int, int]) -> LoopBacking | None:
        """See :class:`DeviceProbe`."""
        asked = question("loop_backing", path, number)
        found: LoopBacking | None = self._answer(LoopBacking | None, asked, None)
        return found

    def has_zfs_label(self, path: str, number: tuple[int, int]) -> bool:
        """See :class:`DeviceProbe`."""
        return bool(self._answer(bool, question("has_zfs_label", path, number), unknown=False))

    def has_our_label(self, path: str, number: tuple[int, int]) -> bool:
        """See :class:`DeviceProbe`."""
        return bool(self._answer(bool, question("has_our_label", path, number), unknown=False))

    def is_writable(self, path: str) -> bool:
        """See :class:`DeviceProbe`."""
        return bool(self._answer(bool, question("is_writable", path), unknown=False))


class _Sensors:
    def __init__(self, sensors: tuple[Sensor, ...]) -> None:
        self._sensors = sensors

    def read(self) -> tuple[Sensor, ...]:
        """See :class:`Sensors`."""
        return self._sensors
