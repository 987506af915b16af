"""Inventory and capture as a user calls them."""

from __future__ import annotations

import json
import signal
import subprocess
from pathlib import Path

import jsonschema
import pytest

from functional.conftest import BIN, Workshop
from rasura.bundle import Bundle
from rasura.certificate import Outcome
from rasura.machine_report import MachineReport
from rasura_agent.capturing import SeenMachine, capture_machine
from rasura_agent.inventory.capture import save_capture
from simulators.hardware import server_of
from simulators.world import ManualClock
from unit.test_capture import no_line

ROOT = Path(__file__).parents[2]


@pytest.fixture
def server(tmp_path: Path) -> Path:
    """A captured server with three drives."""
    folder = tmp_path / "server"
    seen = SeenMachine(server_of(3).sources(), no_line)
    save_capture(capture_machine(ManualClock(), anonymise=False, inner=seen), folder)
    return folder


def test_this_machine_is_looked_at(workshop: Workshop) -> None:
    done = workshop.run("rasura-agent", "inventory")
    assert done.code == 0
    assert "processor" in done.out
    schema = json.loads((ROOT / "agent/rasura_agent/export/inventory.schema.json").read_text())
    jsonschema.Draft202012Validator(schema).validate(workshop.run("rasura-agent", "inventory", "--json").json)


def test_a_captured_machine_is_looked_at_instead(workshop: Workshop, server: Path) -> None:
    shown = workshop.run("rasura-agent", "inventory", "--machine", server)
    assert shown.code == 0
    assert "Acme Rack" in shown.out
    assert "ZC100002" in shown.out
    document = workshop.run("rasura-agent", "inventory", "--json", "--machine", server).json
    assert [drive["slot"] for drive in document["drives"]] == ["0", "1", "2"]
    french = workshop.run("rasura-agent", "inventory", "--machine", server, RASURA_LANG="fr")
    assert "processeur" in french.out
    listed = workshop.run("rasura-agent", "drives", "--json", "--machine", server).json
    assert len(listed["drives"]) == 3
    planned = workshop.run("rasura-agent", "plan", "--policy", "clear-zero", "--machine", server)
    assert planned.code == 0
    assert "3 drives would be erased" in planned.out


def test_a_captured_machine_is_reported_as_one(workshop: Workshop, server: Path) -> None:
    done = workshop.run("rasura-agent", "report", "--machine", server, "--json")
    assert done.code == 0, done.err
    claims = Bundle.parse(Path(done.json["path"]).read_bytes()).claims
    assert isinstance(claims, MachineReport)
    assert claims.source.host_serial == "ACME-0042"
    assert [(drive.serial, drive.outcome) for drive in claims.drives] == [
        (f"ZC10000{number}", Outcome.SKIPPED) for number in range(3)
    ]
    assert "this is a captured machine" in claims.notes[0]
    assert claims.inventory is not None
    assert workshop.run("rasura", "verify", done.json["path"], "--trust", workshop.trust).code == 3


def test_drives_are_watched_until_ctrl_c(workshop: Workshop) -> None:
    words = [BIN / "rasura-agent", "inventory", "--watch", "--json"]
    listed = workshop.run("rasura-agent", "drives", "--json")
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as watch:
        assert watch.stdout is not None
        if listed.code == 0:  # else there is no drive here at all, and nothing to wait for
            assert json.loads(watch.stdout.readline())["event"] == "present"
            watch.send_signal(signal.SIGINT)
        else:
            watch.kill()
        _, said = watch.communicate(timeout=30)
    assert "Traceback" not in said
    assert watch.returncode == (0 if listed.code == 0 else -signal.SIGKILL)


def test_tables_are_bytes_on_standard_output_and_notes_on_the_other(workshop: Workshop, server: Path) -> None:
    done = workshop.run("rasura-agent", "inventory", "--csv", "--machine", server)
    assert done.out.startswith("\ufeffKIND;MACHINE;")
    assert "note: " in done.err
    glpi = workshop.run("rasura-agent", "inventory", "--glpi", "--machine", server).json
    assert glpi["content"]["bios"]["ssn"] == "ACME-0042"


def test_this_machine_is_captured_and_played_back(workshop: Workshop) -> None:
    assert workshop.run("rasura-agent", "capture", "here").code == 0
    facts = workshop.run("rasura-agent", "capture", "--anonymise", "--json", "hidden").json
    assert facts["anonymised"]
    there = workshop.run("rasura-agent", "inventory", "--json", "--machine", "here").json
    now = workshop.run("rasura-agent", "inventory", "--json").json
    for one in (there, now):
        one["machine"]["sensors"] = []
        # What uses the disks of this machine may change between the two.
        one["notes"] = []
    assert there["machine"]["processors"] == now["machine"]["processors"]
    assert there["drives"] == now["drives"]


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("inventory", "--machine", "nowhere"), "is no capture of a machine"),
        (("drives", "--machine", "nowhere"), "is no capture of a machine"),
        (("plan", "--machine", "nowhere"), "is no capture of a machine"),
        (("drives", "--machine", "server", "--virtual-drive", "x"), "do not go together"),
        (("drives", "--machine", "server", "--device", "/dev/sdz"), "is not a drive of this machine"),
        (("capture", "server"), "holds a capture already"),
        (("capture", "server/capture.json/x"), "cannot be written"),
        (("capture",), "Missing argument"),
        (("inventory", "--watch", "--machine", "server"), "nothing comes or goes"),
        (("inventory", "--watch", "--csv"), "do not go together"),
        (("erase", "--machine", "server", "--confirm-all", "3"), "a captured machine has none"),
        (("run", "--machine", "server", "--confirm-all", "3"), "a captured machine has none"),
        (("selftest", "short", "--machine", "server"), "a captured machine has none"),
        (("health", "--machine", "nowhere"), "is no capture of a machine"),
        (("report", "--machine", "nowhere"), "is no capture of a machine"),
        (("report", "--machine", "server", "--virtual-drive", "x"), "do not go together"),
        (("inventory", "--xml"), "No such option"),
    ],
)
def test_wrong_calls_are_one_sentence(workshop: Workshop, server: Path, words, sentence: str) -> None:
    done = workshop.run("rasura-agent", *words)
    assert done.code == 2
    assert sentence in done.err


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("files.json", "{"),
        ("files.json", "[" * 100_000),
        ("udev.json", "null"),
        ("commands.json", '[{"argv": ["dmidecode"], "status": "0"}]'),
        ("sensors.json", "\x00"),
        ("drives/sda.json", "\ufffd"),
        (
            "capture.json",
            '{"format": "rasura-capture", "version": 99, "anonymised": true, "agent": "", "kernel": ""}',
        ),
    ],
)
def test_damaged_captures_are_one_sentence(workshop: Workshop, server: Path, name: str, content: str) -> None:
    (server / name).write_text(content, encoding="utf-8")
    done = workshop.run("rasura-agent", "inventory", "--machine", server)
    assert done.code == (0 if name.startswith("drives/") else 2)
    assert done.code == 0 or done.err.startswith("error: ")
