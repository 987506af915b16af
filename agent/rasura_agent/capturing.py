"""Capturing a machine, and standing in its place: what a captured machine is looked at through."""

from __future__ import annotations

import contextlib
import fnmatch
import os
import posixpath
from pathlib import Path

import msgspec

from rasura import __version__
from rasura.errors import RefusedError
from rasura_agent.clock import Clock
from rasura_agent.drive.transport.device import AskingLine, asking_line
from rasura_agent.drive.transport.line_capture import recording_line, replay_line
from rasura_agent.erase.firmware.line import Intent
from rasura_agent.erase.policy import BUILT_IN, Policy, load_policy
from rasura_agent.health.checkup import Checkup
from rasura_agent.inventory.anonymise import anonymised
from rasura_agent.inventory.behind_raid import SCAN
from rasura_agent.inventory.capture import Capture, load_capture
from rasura_agent.inventory.local import local_sources
from rasura_agent.inventory.machine import read_machine
from rasura_agent.inventory.ports import CommandError, Sources
from rasura_agent.inventory.recording import recording_sources
from rasura_agent.inventory.replay import replay_sources
from rasura_agent.opener import DriveOpener
from rasura_agent.survey import survey_drives

__all__ = ["SeenMachine", "asking_opener", "capture_machine", "seen_machine"]

_SCAN_S = 60.0

_EXCERPTS = (
    ("/sys/class/dmi/id", ("*",)),
    ("/sys/class/power_supply/*", ("*",)),
    ("/sys/class/hwmon/*", ("name", "temp*_*", "fan*_input", "fan*_label")),
    ("/sys/class/net/*", ("address", "carrier", "duplex", "mtu", "operstate", "speed", "type")),
    ("/sys/class/tpm/*", ("tpm_version_major",)),
    ("/sys/class/nvme/*", ("model", "serial", "firmware_rev", "state", "transport", "subsysnqn", "cntlid")),
    ("/sys/class/scsi_host/*", ("proc_name", "model_name", "board_name", "version_*", "unique_id", "state")),
    ("/sys/class/sas_device/*", ("bay_identifier", "enclosure_identifier", "sas_address", "device_type")),
    ("/sys/class/enclosure/*", ("components", "id")),
    ("/sys/bus/pci/devices/*", ("class", "vendor", "device", "subsystem_vendor", "subsystem_device")),
    ("/sys/bus/usb/devices/*", ("idVendor", "idProduct", "manufacturer", "product", "serial", "speed")),
    ("/sys/bus/scsi/devices/*", ("vendor", "model", "rev", "type", "state")),
    ("/sys/class/drm/*", ("status", "edid", "modes")),
    ("/sys/class/thermal/*", ("type", "temp")),
)
"""Taken beside what is asked for today, so that a capture serves what will be read in time to come: folders,
and patterns of the names in them. Only attributes whose reading changes nothing."""

_WITH_UDEV = ("/sys/bus/pci/devices", "/sys/bus/usb/devices", "/sys/class/net", "/sys/class/block")


class SeenMachine(msgspec.Struct, frozen=True):
    """Through what a machine is seen: this one, or one that was captured."""

    sources: Sources
    line: AskingLine
    captured: bool = False


class _NoJournal:
    """A machine that is only looked at: nothing is begun, and nothing is remembered of its drives."""

    def intend(self, intent: Intent) -> None:
        raise RefusedError(f"a machine is only looked at here, and not erased by {intent.technique}")

    def settle(self, intent: Intent) -> None:
        """Nothing was begun."""

    def open_intents(self, drive_identity: str) -> tuple[Intent, ...]:  # noqa: ARG002
        return ()


def seen_machine(folder: Path | None) -> SeenMachine:
    """The machine captured in ``folder``, this one if there is none named; raises ``CaptureError``."""
    if folder is None:
        return SeenMachine(local_sources(), asking_line)
    capture = load_capture(folder)
    return SeenMachine(replay_sources(capture), replay_line(capture), captured=True)


def asking_opener(seen: SeenMachine, clock: Clock, policy: Policy) -> DriveOpener:
    """An opener that asks the drives of ``seen`` what they can do, and begins nothing."""
    return DriveOpener(clock, _NoJournal(), policy, line=seen.line)


def capture_machine(clock: Clock, *, anonymise: bool, inner: SeenMachine | None = None) -> Capture:
    """Look at everything once, as every command would, and keep what was answered."""
    inner = inner or seen_machine(None)
    capture = Capture(agent=__version__, kernel=os.uname().release)
    sources = recording_sources(inner.sources, capture)
    machine = read_machine(sources)
    policy = load_policy(BUILT_IN[0])
    opener = asking_opener(SeenMachine(sources, recording_line(inner.line, capture)), clock, policy)
    survey = survey_drives((), (), policy, opener, sources)
    with contextlib.suppress(CommandError):
        sources.commands.run(SCAN, _SCAN_S)
    _take_excerpts(sources)
    drives = tuple(plan.drive for plan in survey.plans)
    checkup = Checkup(sources.commands, sources.files)
    checkup.read_all(drives)
    checkup.read_hidden(survey.hidden)
    return anonymised(capture, machine, drives) if anonymise else capture


def _take_excerpts(sources: Sources) -> None:
    files = sources.files
    for pattern, names in _EXCERPTS:
        folder, star = (posixpath.dirname(pattern), True) if pattern.endswith("/*") else (pattern, False)
        with contextlib.suppress(OSError):
            for child in files.list_dir(folder) if star else [""]:
                _take(sources, f"{folder}/{child}".rstrip("/"), names)
    for folder in _WITH_UDEV:
        with contextlib.suppress(OSError):
            for name in files.list_dir(folder):
                sources.udev.properties_at(files.real_path(f"{folder}/{name}"))


def _take(sources: Sources, folder: str, patterns: tuple[str, ...]) -> None:
    with contextlib.suppress(OSError):
        for name in sources.files.list_dir(folder):
            if any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns):
                with contextlib.suppress(OSError):
                    sources.files.read_bytes(f"{folder}/{name}")
