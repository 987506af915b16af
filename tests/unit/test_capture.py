"""Captures of machines: what was answered is what is played back; what was not is said."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from rasura.errors import ExitCode
from rasura.health import Grade
from rasura_agent.capturing import SeenMachine, asking_opener, capture_machine, seen_machine
from rasura_agent.drive.port import AtaCommand
from rasura_agent.drive.transport.device import DeviceLine
from rasura_agent.drive.transport.line_capture import recording_line, replay_line
from rasura_agent.erase.policy import load_policy
from rasura_agent.export.document import inventory_document
from rasura_agent.health.checkup import Checkup
from rasura_agent.health.claims import health_claims
from rasura_agent.inventory.anonymise import anonymised
from rasura_agent.inventory.capture import Capture, CaptureError, Failure, load_capture, save_capture
from rasura_agent.inventory.drives import enumerate_drives
from rasura_agent.inventory.machine import read_machine
from rasura_agent.inventory.model import Drive
from rasura_agent.inventory.ports import Ran
from rasura_agent.inventory.recording import recording_sources
from rasura_agent.inventory.replay import replay_sources
from rasura_agent.machine_commands import take_inventory
from rasura_agent.survey import survey_drives
from simulators.hardware import battery, dmi, network, pci, server_of
from simulators.machine import Machine
from simulators.world import ManualClock
from unit.test_inventory_drives import MMC


@contextmanager
def no_line(drive: Drive) -> Iterator[DeviceLine | str]:
    yield "drives that are attached like this are only overwritten"


def server() -> Machine:
    machine = server_of(3)
    battery(machine, energy_full_design="50000000", energy_full="40000000", serial_number="BT90017\n")
    network(machine, "enp1s0", pci(machine, "0000:01:00.0", "020000", driver="igb"), "3c:ec:ef:12:34:56")
    dmi(machine, product_uuid="4c4c4544-004a-3210-8039-b6c04f483633", board_serial="/ACME-0042/CN7792/")
    return machine


def captured(machine: Machine, *, anonymise: bool = False) -> Capture:
    return capture_machine(ManualClock(), anonymise=anonymise, inner=SeenMachine(machine.sources(), no_line))


def document(seen: SeenMachine) -> dict[str, object]:
    return json.loads(json.dumps(inventory_document(take_inventory(seen))))


def test_what_is_played_back_is_what_was_said(tmp_path):
    machine = server()
    save_capture(captured(machine), tmp_path / "capture")
    assert document(seen_machine(tmp_path / "capture")) == document(SeenMachine(machine.sources(), no_line))


def test_plans_and_refusals_too(tmp_path):
    machine = server()
    machine.mount("/data", device="sdb")
    save_capture(captured(machine), tmp_path / "capture")
    policy, seen = load_policy("clear-zero"), seen_machine(tmp_path / "capture")
    there = SeenMachine(machine.sources(), no_line)

    def survey(one: SeenMachine) -> object:
        return survey_drives((), (), policy, asking_opener(one, ManualClock(), policy), one.sources).plans

    assert survey(seen) == survey(there)
    assert [len(plan.refusals) for plan in survey(seen)] == [0, 1, 0]


def with_smart() -> Machine:
    """A server whose drives answer smartctl, one behind a RAID controller too, and that has an eMMC drive."""
    machine = server()
    pci(machine, "0000:05:00.0", "010400", driver="megaraid_sas")
    scan = {"devices": [{"name": "/dev/bus/0", "type": "megaraid,4", "protocol": "SCSI"}]}
    machine.outputs["smartctl", "--scan-open", "--json"] = Ran(0, json.dumps(scan).encode())
    asked = {("-x", f"/dev/sd{letter}"): f"ZC10000{number}" for number, letter in enumerate("abc")}
    asked["-d", "megaraid,4", "-x", "/dev/bus/0"] = "ZC1HIDDEN"
    for words, serial in asked.items():
        told = {
            "device": {"type": "scsi", "protocol": "SCSI"},
            "model_name": "ST4000NM0025",
            "serial_number": serial,
            "smart_status": {"passed": True},
            "scsi_grown_defect_list": 0,
            "wwn": {"naa": 5, "oui": 3152, "id": 0x012340004},
        }
        machine.outputs["smartctl", "--json=c", *words] = Ran(
            4, json.dumps(told, separators=(",", ":")).encode()
        )
        machine.outputs["smartctl", "-d", "scsi", "--all", words[-1]] = Ran(0, f"serial {serial}\n".encode())
    emmc = {"type": "MMC", "name": "DF4032", "life_time": "0x0b 0x01", "pre_eol_info": "0x01"}
    machine.disk("mmcblk0", MMC, attributes={f"device/{name}": text for name, text in emmc.items()})
    return machine


@pytest.mark.parametrize("anonymise", [False, True])
def test_health_is_played_back_too(tmp_path, anonymise):
    machine = with_smart()
    kept = captured(machine, anonymise=anonymise)
    save_capture(kept, tmp_path / "capture")
    seen = seen_machine(tmp_path / "capture")
    survey = survey_drives((), (), load_policy("clear-zero"), None, seen.sources)
    checkup = Checkup(seen.sources.commands, seen.sources.files)
    drives = tuple(plan.drive for plan in survey.plans)
    readings = (*checkup.read_all(drives), *checkup.read_hidden(survey.hidden))
    assert [health_claims(one).grade for one in readings] == [
        Grade.REJECT,
        *(Grade.GOOD,) * 4,
    ]
    serials = [one.health.serial for one in readings if one.health is not None and one.health.serial]
    assert serials[:3] == [drive.serial for drive in drives[1:]]
    assert ("ZC1HIDDEN" in serials) is not anonymise
    assert ("ZC100001" in serials) is not anonymise
    # Whatever was asked is there, by the very words, and nothing else is missed.
    assert ("smartctl", "--json=c", "-d", "megaraid,4", "-x", "/dev/bus/0") in kept.commands
    assert ("smartctl", "-d", "scsi", "--all", "/dev/sdc") in kept.commands
    assert [note for note in seen.sources.missing() if "smartctl" in note] == []
    everything = b"".join(ran.stdout for ran in kept.commands.values() if isinstance(ran, Ran))
    assert (b"ZC1" in everything) is not anonymise
    assert (f'"id":{0x012340004}'.encode() in everything) is not anonymise


def test_a_capture_survives_being_written(tmp_path):
    capture = captured(server())
    capture.reads["/sys/odd"] = b"\xff\0\x1b"
    capture.reads["/sys/none"] = Failure("EINVAL")
    capture.commands["x", "-v"] = Ran(3, b"\xfe", b"two\nlines")
    capture.commands[("y",)] = "y is not installed"
    save_capture(capture, tmp_path)
    assert load_capture(tmp_path) == capture
    with pytest.raises(CaptureError, match="holds a capture already"):
        save_capture(capture, tmp_path)


def test_what_the_capture_does_not_hold_is_said_and_never_made_up():
    capture = captured(server())
    capture.commands.clear()
    capture.reads.pop("/proc/cpuinfo")
    capture.probe.clear()
    seen = SeenMachine(replay_sources(capture), replay_line(capture))
    found = take_inventory(seen)
    notes = (*found.machine.notes, *found.notes)
    for words in ("the output of 'dmidecode'", "/proc/cpuinfo", "try_exclusive /dev/sda"):
        assert any("does not hold" in note and words in note for note in notes), words
    plans = survey_drives((), (), load_policy("clear-zero"), None, seen.sources).plans
    assert all(plan.refusals for plan in plans), "whether they are free is not known"


def test_what_is_known_to_be_absent_is_not_missed():
    machine = server()
    found = take_inventory(SeenMachine(replay_sources(captured(machine)), no_line))
    assert not any("does not hold" in note for note in (*found.machine.notes, *found.notes))


def test_labels_of_peoples_data_are_never_taken():
    machine = server()
    number = machine.devices["sda"].number
    machine.udev[number] |= {
        "ID_FS_LABEL": "HOLIDAYS",
        "ID_PART_ENTRY_NAME": "Secret",
        "DEVLINKS": "/dev/disk/by-label/HOLIDAYS /dev/disk/by-id/wwn-0x5000c50012340000",
    }
    capture = captured(machine)
    assert "HOLIDAYS" not in repr(capture)
    assert "Secret" not in repr(capture)
    assert capture.numbers[f"{number[0]}:{number[1]}"]["DEVLINKS"] == "/dev/disk/by-id/wwn-0x5000c50012340000"


def test_anonymised_captures_are_the_same_machine_under_other_numbers(tmp_path):
    machine = server()
    save_capture(captured(machine, anonymise=True), tmp_path)
    whole = "".join(path.read_text() for path in tmp_path.rglob("*.json"))
    for secret in (
        *(
            "ACME-0042",
            "CN7792",
            "BT90017",
            "ZC100001",
            "3A1B0007",
            "12:34:56",
            "004a-3210-8039",
            "5000c50012340004",
        ),
        *(b"ZC100001".hex(), "12340004"),
    ):
        assert secret not in whole, secret
    found, plain = (
        take_inventory(seen_machine(tmp_path)),
        take_inventory(SeenMachine(machine.sources(), no_line)),
    )
    assert [one.model for one in found.drives] == [one.model for one in plain.drives]
    assert len({one.serial for one in found.drives}) == 3
    assert all(
        len(one.serial or "") == 8 and one.serial != other.serial
        for one, other in zip(found.drives, plain.drives, strict=True)
    )
    assert [bay.drive for bay in found.machine.bays] == [bay.drive for bay in plain.machine.bays]
    assert found.machine.network[0].mac.startswith("3c:ec:ef:")
    # The tag of the board holds the serial number of the system: it must still do so.
    assert found.machine.system.serial in found.machine.board.serial
    assert all(one.wwn.startswith("naa.5000c50") for one in found.drives)
    # The World Wide Name in the drive's own page is the one that the kernel tells.
    assert all(one.wwn.removeprefix("naa.") in one.identity_pages[2].data.hex() for one in found.drives)


def test_ata_pages_are_anonymised_swapped_and_with_a_checksum_that_fits():
    page = bytearray(512)
    serial = b"S2XVNX0J123456".ljust(20)
    page[20:40] = b"".join(serial[i : i + 2][::-1] for i in range(0, 20, 2))
    page[510] = 0xA5
    page[511] = -sum(page) % 256
    capture = Capture(reads={"/sys/x/device/vpd_pg89": bytes(60) + bytes(page), "/sys/x/serial": serial})
    clean = anonymised(capture, read_machine(Machine().sources()), (), "salt")
    data = clean.reads["/sys/x/device/vpd_pg89"]
    assert isinstance(data, bytes)
    words = data[60:]
    assert sum(words) % 256 == 0
    shown = b"".join(words[i : i + 2][::-1] for i in range(20, 40, 2))
    assert shown == clean.reads["/sys/x/serial"]
    assert shown != serial
    assert len(data) == 572


def test_no_salt_no_way_back():
    machine = server()
    one, other = (
        captured(machine, anonymise=True).reads["/sys/class/dmi/id/product_serial"] for _ in range(2)
    )
    assert one != other


def test_drives_answer_as_they_answered(tmp_path):
    """Commands are recorded through the line, and an unknown one is a sentence and not a guess."""
    from rasura_agent.drive.port import Completion, Disposition

    class Port:
        def execute(self, command: object) -> Completion:
            return Completion(Disposition.DONE, "", bytes(512))

    @contextmanager
    def line(drive: Drive) -> Iterator[DeviceLine | str]:
        yield DeviceLine(Port(), nsid=3)

    machine, capture = server_of(1), Capture()
    (drive,) = enumerate_drives(machine, machine).drives
    with recording_line(line, capture)(drive) as device:
        answered = device.port.execute(AtaCommand("IDENTIFY DEVICE", 0xEC))
    save_capture(capture, tmp_path)
    again = load_capture(tmp_path)
    with replay_line(again)(drive) as device:
        assert device.nsid == 3
        assert device.port.execute(AtaCommand("IDENTIFY DEVICE", 0xEC)) == answered
    policy = load_policy("clear-zero")
    opener = asking_opener(SeenMachine(replay_sources(again), replay_line(again)), ManualClock(), policy)
    assert "no recording of" in str(opener.ask(drive))
    with replay_line(Capture())(drive) as nothing:
        assert nothing == "the capture does not hold what /dev/sda answered"


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("capture.json", None, "is no capture of a machine"),
        ("capture.json", "{", "does not read"),
        (
            "capture.json",
            '{"format": "other", "version": 1, "anonymised": false, "agent": "", "kernel": ""}',
            "is no rasura",
        ),
        (
            "files.json",
            '{"reads": {"/x": {"hex": "0"}}, "folders": {}, "links": {}}',
            "neither text nor bytes",
        ),
        (
            "files.json",
            '{"reads": {"/x": {"error": "EWHAT"}}, "folders": {}, "links": {}}',
            "neither text nor bytes",
        ),
        ("files.json", '{"reads": {"/x": 5}, "folders": {}, "links": {}}', "does not read"),
        ("commands.json", '[{"argv": ["x"], "stdout": []}]', "no exit status"),
        ("commands.json", "[[[[", "does not read"),
        ("sensors.json", '[{"kind": "smell"}]', "does not read"),
        ("udev.json", "\xff", "does not read"),
    ],
)
def test_what_is_no_capture_is_refused_with_a_sentence(tmp_path, name, content, words):
    save_capture(captured(server_of(1)), tmp_path)
    if content is None:
        (tmp_path / name).unlink()
    else:
        (tmp_path / name).write_text(content, encoding="latin-1")
    with pytest.raises(CaptureError, match=words) as caught:
        seen_machine(tmp_path)
    assert caught.value.exit_code is ExitCode.USAGE


def test_recordings_that_are_garbage_are_refused(tmp_path):
    from rasura_agent.drive.transport.replay import ReplayError
    from rasura_agent.inventory.capture import LineFacts

    machine, capture = server_of(1), Capture()
    (drive,) = enumerate_drives(machine, machine).drives
    capture.lines[drive.path], capture.drives["sda"] = LineFacts(), "{}"
    with pytest.raises(ReplayError), replay_line(capture)(drive):
        pass


def test_questions_are_passed_on_unchanged():
    machine, capture = server(), Capture()
    sources = recording_sources(machine.sources(), capture)
    with pytest.raises(FileNotFoundError):
        sources.files.read_bytes("/nothing")
    assert capture.reads["/nothing"] == Failure("ENOENT")
    assert sources.files.list_dir("/sys/block") == machine.list_dir("/sys/block")
    with pytest.raises(FileNotFoundError):
        replay_sources(capture).files.read_bytes("/nothing")


def test_a_server_of_24_drives_is_inventoried_in_less_than_a_second_of_our_processor(tmp_path):
    save_capture(captured(server_of(24)), tmp_path)
    started = time.process_time()
    found = take_inventory(seen_machine(tmp_path))
    took = time.process_time() - started
    assert len(found.drives) == 24
    assert took < 1
