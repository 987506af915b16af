"""Asking drives for their health: whatever smartctl does is a stated result. The smartctl here is a real
process, a shell script in a folder of its own."""

from __future__ import annotations

import hashlib
import json
import os
import time
from pathlib import Path

import pytest

from rasura_agent.health.model import HealthReading, Protocol
from rasura_agent.health.smart import Target, controller_of, read_all, read_health, target_of
from rasura_agent.inventory.local_commands import SYSTEM_PATH, LocalCommands
from rasura_agent.inventory.model import Drive, Transport

DOCUMENT = {
    "smartctl": {"version": [7, 4], "exit_status": 0},
    "device": {"name": "/dev/sda", "type": "sat", "protocol": "ATA"},
    "model_name": "Sample Disk",
    "serial_number": "S-1",
    "smart_status": {"passed": True},
    "ata_smart_attributes": {
        "table": [
            {"id": 5, "name": "Reallocated_Sector_Ct", "value": 100, "worst": 100, "thresh": 36,
             "when_failed": "", "flags": {"prefailure": True}, "raw": {"value": 0, "string": "0"}},
            {"id": 197, "name": "Current_Pending_Sector", "value": 100, "worst": 100, "thresh": 0,
             "when_failed": "", "flags": {"prefailure": False}, "raw": {"value": 0, "string": "0"}},
        ]
    },
    "temperature": {"current": 30},
    "power_on_time": {"hours": 100},
}  # fmt: skip
TEXT = """\
smartctl 7.4 2023-08-01 r5530 [x86_64-linux] (local build)
Copyright (C) 2002-23, Bruce Allen, Christian Franke, www.smartmontools.org

=== START OF INFORMATION SECTION ===
Device Model:     Sample Disk
Serial Number:    S-1
SMART support is: Available - device has SMART capability.
SMART support is: Enabled

=== START OF READ SMART DATA SECTION ===
SMART overall-health self-assessment test result: PASSED

Vendor Specific SMART Attributes with Thresholds:
ID# ATTRIBUTE_NAME          FLAG     VALUE WORST THRESH TYPE      UPDATED  WHEN_FAILED RAW_VALUE
  5 Reallocated_Sector_Ct   0x0033   100   100   036    Pre-fail  Always       -       0
197 Current_Pending_Sector  0x0012   100   100   000    Old_age   Always       -       0

"""


class Smartctl:
    """A program named smartctl, written by a test."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.commands = LocalCommands(f"{folder}:{SYSTEM_PATH}")
        (folder / "document.json").write_text(json.dumps(DOCUMENT))
        (folder / "text").write_text(TEXT)

    def does(self, script: str) -> None:
        program = self.folder / "smartctl"
        program.write_text(f"#!/bin/sh\ncd {self.folder}\n{script}\n")
        program.chmod(0o755)

    def read(self, path: str = "/dev/sda", limit_s: float = 5.0, **target: str) -> HealthReading:
        return read_health(Target(path, **target), self.commands, limit_s)


ANSWERS = 'case "$*" in *--json*) cat document.json;; *) cat text;; esac'


@pytest.fixture
def smartctl(tmp_path: Path) -> Smartctl:
    return Smartctl(tmp_path)


def test_a_drive_that_answers(smartctl: Smartctl) -> None:
    smartctl.does('echo "$*" >>calls; ' + ANSWERS)
    reading = smartctl.read()
    assert reading.unknown is None
    assert reading.notes == ()
    assert reading.health is not None
    assert reading.health.protocol is Protocol.ATA
    assert reading.health.passed is True
    assert (reading.health.power_on_hours, reading.health.temperature_c) == (100, 30)
    assert [one.id for one in reading.health.attributes] == [5, 197]
    document = (smartctl.folder / "document.json").read_bytes()
    assert reading.evidence is not None
    assert reading.evidence.document == document
    assert reading.evidence.sha256 == hashlib.sha256(document).hexdigest()
    assert reading.evidence.command == ("smartctl", "--json=c", "-x", "/dev/sda")
    assert reading.evidence.tool == "smartctl 7.4"
    # The type that smartctl found out is used again, so that both runs ask the same way.
    calls = (smartctl.folder / "calls").read_text().splitlines()
    assert calls == ["--json=c -x /dev/sda", "-d sat --all /dev/sda"]


@pytest.mark.parametrize("status", [4, 8, 64, 128, 216])
def test_a_status_that_is_not_zero_comes_with_data(smartctl: Smartctl, status: int) -> None:
    smartctl.does(f"{ANSWERS}; exit {status}")
    reading = smartctl.read()
    assert reading.health is not None
    assert reading.evidence is not None
    assert reading.evidence.exit_status == status
    assert any("commands failed" in note for note in reading.notes) is bool(status & 4)


def test_it_hangs(smartctl: Smartctl) -> None:
    smartctl.does("sleep 60 & echo $! >child; sleep 60")
    began = time.monotonic()
    reading = smartctl.read(limit_s=0.5)
    assert time.monotonic() - began < 1.5
    assert reading.health is None
    assert "did not end within 0.5 s" in (reading.unknown or "")
    child = int((smartctl.folder / "child").read_text())
    assert not _runs(child), "its children must go with it"


def test_only_the_text_hangs(smartctl: Smartctl) -> None:
    smartctl.does('case "$*" in *--json*) cat document.json;; *) sleep 60;; esac')
    reading = smartctl.read(limit_s=0.5)
    assert reading.health is not None
    assert any("only the JSON document was read" in note for note in reading.notes)


def test_it_ends_and_leaves_somebody_holding_its_output(smartctl: Smartctl) -> None:
    smartctl.does("cat document.json; sleep 60 &")
    began = time.monotonic()
    assert smartctl.read(limit_s=0.5).health is None
    assert time.monotonic() - began < 1.5


def test_it_is_missing(tmp_path: Path) -> None:
    reading = read_health(Target("/dev/sda"), LocalCommands(str(tmp_path)))
    assert reading.unknown == "smartctl is not installed"


@pytest.mark.parametrize(
    ("script", "word"),
    [
        ("echo garbage", "no JSON"),
        ("head -c 4096 /dev/zero", "no JSON"),
        ("true", "nothing"),
        ("exit 1", "nothing"),
        ("echo '[1, 2]'", "no document"),
        ("echo '{}'", "told nothing"),
        ("head -c 100 document.json", "no JSON"),
        ("kill -9 $$", "signal 9"),
        ("yes", "without end"),
    ],
)
def test_it_prints_garbage(smartctl: Smartctl, script: str, word: str) -> None:
    smartctl.does(script)
    reading = smartctl.read(limit_s=20)
    assert reading.health is None
    assert word in (reading.unknown or "")


def test_the_text_is_garbage(smartctl: Smartctl) -> None:
    smartctl.does('case "$*" in *--json*) cat document.json;; *) head -c 2000 /dev/urandom;; esac')
    reading = smartctl.read()
    assert reading.health is not None
    assert reading.health.passed is True


def test_bytes_that_are_no_text(smartctl: Smartctl) -> None:
    strange = json.dumps(DOCUMENT).encode().replace(b"Sample Disk", b"Samp\xe9e D\xff")
    (smartctl.folder / "document.json").write_bytes(strange)
    (smartctl.folder / "text").write_bytes(TEXT.encode().replace(b"Sample Disk", b"Samp\xe9e D\xff"))
    smartctl.does(ANSWERS)
    reading = smartctl.read()
    assert reading.health is not None
    assert reading.health.model == "Samp\N{REPLACEMENT CHARACTER}e D\N{REPLACEMENT CHARACTER}"
    assert reading.evidence is not None
    assert reading.evidence.document == strange


def test_a_disagreement_is_a_note(smartctl: Smartctl) -> None:
    (smartctl.folder / "text").write_text(TEXT.replace("-       0", "-       7", 1))
    smartctl.does(ANSWERS)
    reading = smartctl.read()
    assert reading.notes == ("attribute 5: pySMART reads 7, smartctl's JSON says 0",)
    assert reading.health is not None
    assert reading.health.attribute_count(5) == 7


def test_another_drive_answers(smartctl: Smartctl) -> None:
    smartctl.does(ANSWERS)
    reading = smartctl.read(serial="OTHER")
    assert reading.health is None
    assert "S-1" in (reading.unknown or "")
    assert smartctl.read(serial=" s-1 ").health is not None


def test_a_usb_bridge_may_have_a_serial_of_its_own(smartctl: Smartctl) -> None:
    smartctl.does(ANSWERS)
    reading = read_health(Target("/dev/sda", serial="BRIDGE", is_bridged=True), smartctl.commands)
    assert reading.health is not None
    assert any("BRIDGE" in note for note in reading.notes)


def test_an_unknown_usb_bridge_is_asked_as_most_understand(smartctl: Smartctl) -> None:
    unknown = json.dumps({"smartctl": {"messages": [{"string": "/dev/sda: Unknown USB bridge [0x1:0x2]"}]}})
    smartctl.does(f"case \"$*\" in '--json=c -x /dev/sda') echo '{unknown}'; exit 1;; esac; {ANSWERS}")
    reading = smartctl.read()
    assert reading.health is not None
    assert reading.evidence is not None
    assert reading.evidence.command == ("smartctl", "--json=c", "-d", "sat", "-x", "/dev/sda")


def test_a_drive_that_cannot_be_opened(smartctl: Smartctl) -> None:
    document = {"smartctl": {"exit_status": 2, "messages": [{"string": "Smartctl open device failed"}]}}
    smartctl.does(f"echo '{json.dumps(document)}'; exit 2")
    reading = smartctl.read()
    assert reading.unknown == "smartctl cannot ask this drive"
    assert reading.notes == ("smartctl: Smartctl open device failed",)


def test_24_drives_take_as_long_as_the_slowest(smartctl: Smartctl) -> None:
    """Each takes between 1 and 2 s in all; the last one hangs and is stopped."""
    smartctl.does(
        'eval path=\\${$#}; case "$path" in */hung) sleep 60;; */slow) sleep 1;; *) sleep 0.5;; esac; '
        + ANSWERS
    )
    targets = [Target(f"/dev/{number}") for number in range(22)]
    targets += [Target("/dev/slow"), Target("/dev/hung")]
    began = time.monotonic()
    readings = read_all(targets, smartctl.commands, limit_s=2.0)
    took = time.monotonic() - began
    assert took < 2.0 + 1.0
    assert [one.path for one in readings] == [one.path for one in targets]
    assert [one.health is not None for one in readings] == [True] * 23 + [False]


@pytest.mark.parametrize(
    ("path", "asked"),
    [
        ("/dev/nvme0n1", "/dev/nvme0"),
        ("/dev/nvme12n3", "/dev/nvme12"),
        ("/dev/nvme0c1n1", "/dev/nvme0"),
        ("/dev/sda", "/dev/sda"),
        ("/dev/nvme0", "/dev/nvme0"),
    ],
)
def test_nvme_is_asked_through_its_controller(path: str, asked: str) -> None:
    assert controller_of(path) == asked


@pytest.mark.parametrize("transport", [Transport.FILE, Transport.LOOP, Transport.VIRTIO, Transport.MMC])
def test_what_has_no_smart_is_not_asked(transport: Transport, smartctl: Smartctl) -> None:
    smartctl.does("echo asked >>calls")
    drive = Drive(
        "/dev/x", transport, None, None, "S-1", None, None, 512, 512, None, None, None, None, None, ()
    )
    reading = read_health(target_of(drive), smartctl.commands)
    assert reading.health is None
    assert reading.unknown
    assert not (smartctl.folder / "calls").exists()


def _runs(pid: int) -> bool:
    for _ in range(20):
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return False
        if "\nState:\tZ" in Path(f"/proc/{pid}/status").read_text():
            return False
        time.sleep(0.05)
    return True
