"""Drives behind RAID controllers, the machine's own identity, its sleep, and the journal of intents."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path

import pytest

from rasura_agent.drive.transport.suspend import Suspender, SuspendError
from rasura_agent.erase.firmware.line import Intent
from rasura_agent.inventory.behind_raid import HiddenDrive, find_hidden_drives, hidden_drives
from rasura_agent.inventory.identity import read_identity
from rasura_agent.inventory.ports import CommandError, Ran
from rasura_agent.journal import FileJournal, JournalError
from simulators.hardware import dmi
from simulators.machine import Machine

SCAN = json.dumps(
    {
        "devices": [
            {"name": "/dev/sda", "info_name": "/dev/sda", "type": "scsi", "protocol": "SCSI"},
            {"name": "/dev/bus/0", "info_name": "/dev/bus/0 [megaraid_disk_08]", "type": "megaraid,8"},
            {
                "name": "/dev/bus/0",
                "info_name": "/dev/bus/0 [megaraid_disk_09] [SAT]",
                "type": "sat+megaraid,9",
            },
            {"name": "/dev/nvme0", "type": "nvme"},
        ]
    }
)


class PciDrivers:
    """A sysfs in which some PCI drivers have a device."""

    def __init__(self, *drivers: str) -> None:
        self._drivers = drivers

    def list_dir(self, path: str) -> list[str]:
        name = path.rsplit("/", 1)[-1]
        if name not in self._drivers:
            raise FileNotFoundError(path)
        return ["bind", "module", "0000:03:00.0"]

    def read_bytes(self, path: str) -> bytes:
        raise FileNotFoundError(path)

    def real_path(self, path: str) -> str:
        raise FileNotFoundError(path)


class Smartctl:
    """A smartctl that prints one thing, or is not installed."""

    def __init__(self, scan: str | None) -> None:
        self._scan = scan
        self.asked: list[tuple[str, ...]] = []

    def run(self, argv: Sequence[str], timeout_s: float) -> Ran:
        self.asked.append(tuple(argv))
        if self._scan is None:
            raise CommandError("smartctl is not installed")
        # Its status is a bitmask: not 0 is no reason to throw the answer away.
        return Ran(4, self._scan.encode())


def test_drives_behind_a_controller_are_listed() -> None:
    smartctl = Smartctl(SCAN)
    found, notes = find_hidden_drives(PciDrivers("megaraid_sas"), smartctl)
    assert [(one.name, one.kind) for one in found] == [
        ("/dev/bus/0", "megaraid,8"),
        ("/dev/bus/0", "sat+megaraid,9"),
    ]
    assert "HBA or JBOD mode" in found[0].sentence
    assert notes == ()
    assert smartctl.asked == [("smartctl", "--scan-open", "--json")]


def test_no_controller_no_question() -> None:
    smartctl = Smartctl(SCAN)
    assert find_hidden_drives(PciDrivers(), smartctl) == ((), ())
    assert smartctl.asked == [], "smartctl must not be run where there is nothing to find"


@pytest.mark.parametrize(("answer", "word"), [(None, "did not answer"), ("{}", "sees no drive behind it")])
def test_a_controller_that_tells_nothing_is_said(answer: str | None, word: str) -> None:
    found, (note,) = find_hidden_drives(PciDrivers("hpsa"), Smartctl(answer))
    assert found == ()
    assert word in note


@pytest.mark.parametrize(
    "garbage", ["", "x", "[]", "5", '{"devices": 5}', '{"devices": [5, {}, {"name": 1}]}', "[" * 10**5]
)
def test_garbage_hides_nothing(garbage: str) -> None:
    assert hidden_drives(garbage) == ()


@pytest.mark.corpus
def test_published_scans() -> None:
    corpus = os.environ.get("RASURA_CORPUS")
    if corpus is None:
        pytest.skip("RASURA_CORPUS is unset: no published captures to read")
    scan = (Path(corpus) / "smartctl-json" / "smartctl_scan_simple.json").read_text()
    assert all(isinstance(one, HiddenDrive) for one in hidden_drives(scan))


def test_the_machine_of_a_certificate_and_what_makers_leave_blank() -> None:
    machine = Machine()
    dmi(
        machine,
        sys_vendor="LENOVO",
        product_name="20HRCTO1WW",
        product_serial="To Be Filled By O.E.M.",
        product_uuid="00000000-0000-0000-0000-000000000000",
        chassis_asset_tag="Télé-17",
    )
    found = read_identity(machine)
    assert (found.manufacturer, found.model, found.asset_tag) == ("LENOVO", "20HRCTO1WW", "Télé-17")
    assert found.serial is None
    assert found.uuid is None
    dmi(machine, sys_vendor=b"AC\xffME\n")
    assert read_identity(machine).manufacturer == "AC\\xffME"
    assert read_identity(Machine()).model is None


def sleeper(folder: Path, states: str = "freeze mem disk") -> Path:
    (folder / "class/rtc/rtc0").mkdir(parents=True)
    (folder / "power").mkdir()
    (folder / "class/rtc/rtc0/since_epoch").write_text("1700000000\n")
    (folder / "class/rtc/rtc0/wakealarm").write_text("")
    (folder / "power/state").write_text(states)
    return folder


def test_suspending_sets_the_alarm_first(tmp_path: Path) -> None:
    Suspender(sleeper(tmp_path)).suspend()
    assert (tmp_path / "power/state").read_text() == "mem"
    assert int((tmp_path / "class/rtc/rtc0/wakealarm").read_text()) > 1700000000


@pytest.mark.parametrize("missing", ["class/rtc/rtc0/since_epoch", "class/rtc/rtc0/wakealarm", "power/state"])
def test_a_machine_that_nobody_would_wake_is_not_suspended(tmp_path: Path, missing: str) -> None:
    (sleeper(tmp_path) / missing).unlink()
    with pytest.raises(SuspendError, match="must not be suspended"):
        Suspender(tmp_path).suspend()
    if missing != "power/state":
        assert (tmp_path / "power/state").read_text() == "freeze mem disk"


def test_a_machine_without_suspend_to_ram(tmp_path: Path) -> None:
    assert Suspender(sleeper(tmp_path, "freeze disk")).obstacle() == "it cannot suspend to RAM"


def test_intents_survive_and_are_settled(tmp_path: Path) -> None:
    intent = Intent("ab" * 32, "ata-security-erase")
    FileJournal(tmp_path / "journal").intend(intent)
    again = FileJournal(tmp_path / "journal")
    assert again.open_intents("ab" * 32) == (intent,)
    assert again.open_intents("cd" * 32) == ()
    (tmp_path / "journal" / f"{'ab' * 32}-damaged.json").write_bytes(b"{")
    assert again.open_intents("ab" * 32) == (intent,)
    again.settle(intent)
    again.settle(intent)
    assert again.open_intents("ab" * 32) == ()


def test_a_journal_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(JournalError, match="cannot write the journal"):
        FileJournal(tmp_path / "file" / "journal").intend(Intent("ab", "x"))
