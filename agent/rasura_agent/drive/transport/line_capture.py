"""Lines to drives that are recorded for a capture of their machine, and such that play one back."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator
from contextlib import contextmanager

from rasura_agent.drive.port import DrivePort
from rasura_agent.drive.transport.device import AskingLine, DeviceLine
from rasura_agent.drive.transport.replay import (
    Recording,
    RecordingTransport,
    ReplayTransport,
    dump_recordings,
    load_recordings,
)
from rasura_agent.inventory.capture import Capture, LineFacts
from rasura_agent.inventory.model import Drive
from rasura_agent.sentence import text_alone

__all__ = ["recording_line", "replay_line"]


def recording_line(inner: AskingLine, capture: Capture) -> AskingLine:
    """``inner``, with every command and its answer kept in ``capture``."""

    @contextmanager
    def line(drive: Drive) -> Iterator[DeviceLine | str]:
        with inner(drive) as device:
            if isinstance(device, str):
                capture.lines[drive.path] = LineFacts(obstacle=text_alone(device))
                yield device
                return
            capture.lines[drive.path] = LineFacts(None, device.nsid, device.cid, tuple(device.areas))
            ports = {drive.path: RecordingTransport(device.port)}
            areas = {suffix: RecordingTransport(port) for suffix, port in device.areas.items()}
            ports |= {f"{drive.path}{suffix}": port for suffix, port in areas.items()}
            try:
                yield DeviceLine(ports[drive.path], device.nsid, device.cid, areas)
            finally:
                for path, port in ports.items():
                    capture.drives[_name(path)] = dump_recordings(port.recordings)

    return line


def replay_line(capture: Capture) -> AskingLine:
    """Lines to the drives of a captured machine; a command that was not recorded raises ``ReplayError``."""

    @contextmanager
    def line(drive: Drive) -> Iterator[DeviceLine | str]:
        facts = capture.lines.get(drive.path)
        if facts is None:
            yield f"the capture does not hold what {drive.path} answered"
        elif facts.obstacle is not None:
            yield facts.obstacle
        else:
            areas = {suffix: _port(capture, f"{drive.path}{suffix}") for suffix in facts.areas}
            yield DeviceLine(_port(capture, drive.path), facts.nsid, facts.cid, areas)

    return line


def _port(capture: Capture, path: str) -> DrivePort:
    text = capture.drives.get(_name(path))
    recordings: tuple[Recording, ...] = () if text is None else load_recordings(text)
    return ReplayTransport(recordings)


def _name(path: str) -> str:
    return posixpath.basename(path)
