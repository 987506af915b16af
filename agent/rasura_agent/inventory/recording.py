"""Sources that pass every question on to the running machine and keep the answer for a capture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rasura_agent.inventory.capture import Capture, failure_of
from rasura_agent.inventory.machine_model import Sensor
from rasura_agent.inventory.ports import (
    Attempt,
    CommandError,
    Commands,
    DeviceProbe,
    FileId,
    LoopBacking,
    Ran,
    Sensors,
    Sources,
    SystemFiles,
    Udev,
)
from rasura_agent.inventory.probe_answers import encode_answer, question

__all__ = ["recording_sources"]

_OF_THE_MEDIUM = ("ID_FS_", "ID_PART_", "UDISKS_")
"""Properties that udev read from what is stored on a drive: labels are people's names for their data."""
_LINKS_OF_THE_MEDIUM = ("by-label", "by-partlabel", "by-uuid", "by-partuuid")


def recording_sources(inner: Sources, capture: Capture) -> Sources:
    """``inner``, with all that it answers kept in ``capture``."""
    return Sources(
        _Files(inner.files, capture),
        _Udev(inner.udev, capture),
        _Commands(inner.commands, capture),
        _Probe(inner.probe, capture),
        _Sensors(inner.sensors, capture),
        inner.missing,
    )


class _Files:
    def __init__(self, inner: SystemFiles, capture: Capture) -> None:
        self._inner, self._capture = inner, capture

    def read_bytes(self, path: str) -> bytes:
        """See :class:`SystemFiles`."""
        try:
            self._capture.reads[path] = data = self._inner.read_bytes(path)
        except OSError as error:
            self._capture.reads[path] = failure_of(error)
            raise
        return data

    def list_dir(self, path: str) -> list[str]:
        """See :class:`SystemFiles`."""
        try:
            names = self._inner.list_dir(path)
        except OSError as error:
            self._capture.folders[path] = failure_of(error)
            raise
        self._capture.folders[path] = tuple(names)
        return names

    def real_path(self, path: str) -> str:
        """See :class:`SystemFiles`."""
        try:
            self._capture.links[path] = real = self._inner.real_path(path)
        except OSError as error:
            self._capture.links[path] = failure_of(error)
            raise
        return real


class _Udev:
    def __init__(self, inner: Udev, capture: Capture) -> None:
        self._inner, self._capture = inner, capture

    def properties(self, number: tuple[int, int]) -> Mapping[str, str]:
        """See :class:`Udev`."""
        found = _without_medium(self._inner.properties(number))
        self._capture.numbers[f"{number[0]}:{number[1]}"] = found
        return found

    def properties_at(self, place: str) -> Mapping[str, str]:
        """See :class:`Udev`."""
        self._capture.places[place] = found = _without_medium(self._inner.properties_at(place))
        return found


def _without_medium(properties: Mapping[str, str]) -> dict[str, str]:
    kept = {key: value for key, value in properties.items() if not key.startswith(_OF_THE_MEDIUM)}
    if "DEVLINKS" in kept:
        links = [
            one for one in kept["DEVLINKS"].split() if not any(f"/{k}/" in one for k in _LINKS_OF_THE_MEDIUM)
        ]
        kept["DEVLINKS"] = " ".join(links)
    return kept


class _Commands:
    def __init__(self, inner: Commands, capture: Capture) -> None:
        self._inner, self._capture = inner, capture

    def run(self, argv: Sequence[str], timeout_s: float) -> Ran:
        """See :class:`Commands`."""
        try:
            ran = self._inner.run(argv, timeout_s)
        except CommandError as error:
            self._capture.commands[tuple(argv)] = str(error)
            raise
        self._capture.commands[tuple(argv)] = ran
        return ran


class _Probe:
    def __init__(self, inner: DeviceProbe, capture: Capture) -> None:
        self._inner, self._capture = inner, capture

    def _keep(self, asked: str, answer: object) -> None:
        self._capture.probe[asked] = encode_answer(answer)

    def try_exclusive(self, path: str, number: tuple[int, int]) -> Attempt:
        """See :class:`DeviceProbe`."""
        answer = self._inner.try_exclusive(path, number)
        self._keep(question("try_exclusive", path, number), answer)
        return answer

    def node_number(self, path: str) -> tuple[int, int] | None:
        """See :class:`DeviceProbe`."""
        answer = self._inner.node_number(path)
        self._keep(question("node_number", path), answer)
        return answer

    def file_id(self, path: str) -> FileId | None:
        """See :class:`DeviceProbe`."""
        answer = self._inner.file_id(path)
        self._keep(question("file_id", path), answer)
        return answer

    def loop_backing(self, path: str, number: tuple[int, int]) -> LoopBacking | None:
        """See :class:`DeviceProbe`."""
        answer = self._inner.loop_backing(path, number)
        self._keep(question("loop_backing", path, number), answer)
        return answer

    def has_zfs_label(self, path: str, number: tuple[int, int]) -> bool:
        """See :class:`DeviceProbe`."""
        answer = self._inner.has_zfs_label(path, number)
        self._keep(question("has_zfs_label", path, number), answer)
        return answer

    def has_our_label(self, path: str, number: tuple[int, int]) -> bool:
        """See :class:`DeviceProbe`."""
        answer = self._inner.has_our_label(path, number)
        self._keep(question("has_our_label", path, number), answer)
        return answer

    def is_writable(self, path: str) -> bool:
        """See :class:`DeviceProbe`."""
        answer = self._inner.is_writable(path)
        self._keep(question("is_writable", path), answer)
        return answer


class _Sensors:
    def __init__(self, inner: Sensors, capture: Capture) -> None:
        self._inner, self._capture = inner, capture

    def read(self) -> tuple[Sensor, ...]:
        """See :class:`Sensors`."""
        self._capture.sensors = found = self._inner.read()
        return found
