"""Our own captures: virtual machines of varied hardware, anonymised, played back."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from rasura.health import Grade
from rasura_agent.capturing import asking_opener, seen_machine
from rasura_agent.erase.policy import load_policy
from rasura_agent.export.document import Inventoried, inventory_document
from rasura_agent.export.glpi import glpi_document
from rasura_agent.export.table import inventory_table
from rasura_agent.guard import RefusalReason
from rasura_agent.health.checkup import Checkup
from rasura_agent.health.claims import health_claims
from rasura_agent.inventory.machine_model import ChassisKind, ControllerMode, FirmwareKind
from rasura_agent.inventory.model import Transport
from rasura_agent.machine_commands import take_inventory
from rasura_agent.survey import Survey, survey_drives
from simulators.world import ManualClock

ROOT = Path(__file__).parents[2]
MACHINES = ROOT / "tests/captures/machines"
NAMES = sorted(path.name for path in MACHINES.iterdir())

NOT_ASKED_THEN = ()
"""What a capture may lack as newer code asks more: name it here, or take the captures anew."""


def found(name: str) -> Inventoried:
    return take_inventory(seen_machine(MACHINES / name))


def survey(name: str, policy_name: str) -> Survey:
    seen, policy = seen_machine(MACHINES / name), load_policy(policy_name)
    return survey_drives((), (), policy, asking_opener(seen, ManualClock(), policy), seen.sources)


def test_there_are_machines() -> None:
    assert {"laptop", "server", "simulated", "tower"} <= set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_nothing_is_missing_in_it_and_every_export_takes_it(name: str) -> None:
    one = found(name)
    missed = [note for note in (*one.machine.notes, *one.notes) if "does not hold" in note]
    assert [note for note in missed if not any(part in note for part in NOT_ASKED_THEN)] == []
    document: dict[str, Any] = json.loads(json.dumps(inventory_document(one)))
    schema = json.loads((ROOT / "agent/rasura_agent/export/inventory.schema.json").read_text())
    jsonschema.Draft202012Validator(schema).validate(document)
    published = json.loads((ROOT / "tests/published/glpi/inventory.schema.json").read_text())
    jsonschema.Draft7Validator(published).validate(glpi_document(one))
    assert inventory_table(one).count(b"\r\n") > len(one.drives)


@pytest.mark.parametrize("name", NAMES)
def test_every_drive_was_asked_and_answers_the_same_to_every_policy(name: str) -> None:
    for policy in ("clear-zero", "clear-random", "purge"):
        for plan in survey(name, policy).plans:
            assert "does not hold" not in str(plan.no_commands)
            assert "no recording" not in str(plan.no_commands)
            assert not {one.reason for one in plan.refusals} & {RefusalReason.USAGE_UNKNOWN}


def test_the_laptop() -> None:
    machine = found("laptop").machine
    assert (machine.chassis.kind, machine.chassis.type) == (ChassisKind.LAPTOP, "Notebook")
    assert (machine.system.manufacturer, machine.system.model, machine.system.version) == (
        "Rasura Lab",
        "Notebook 14",
        "G3",
    )
    assert (machine.firmware.kind, machine.firmware.secure_boot) == (FirmwareKind.UEFI, True)
    (battery,) = machine.batteries
    assert (battery.model, battery.design_mwh, battery.full_mwh) == ("RAS-4C57", 57000, 48450)
    assert (battery.wear_percent, battery.cycles, battery.voltage_mv) == (15.0, 312, 11400)
    (display,) = machine.displays
    assert (display.model, display.native_width, display.diagonal_inches) == ("QEMU Monitor", 1280, 15.1)
    (port,) = machine.network
    assert (port.driver, port.link, port.product.manufacturer) == ("e1000e", True, "Intel Corporation")
    assert {one.mode for one in machine.controllers} == {
        ControllerMode.NVME,
        ControllerMode.SD,
        ControllerMode.AHCI,
    }
    assert [drive.transport for drive in found("laptop").drives] == [Transport.MMC, Transport.NVME]
    assert len(machine.audio) == 1


def test_the_server() -> None:
    one = found("server")
    machine = one.machine
    assert machine.chassis.kind is ChassisKind.SERVER
    assert len(machine.processors) == 2
    assert len(machine.network) == 2
    modes = {(each.driver, each.mode) for each in machine.controllers}
    assert {("megaraid_sas", ControllerMode.RAID), ("mptsas", ControllerMode.SCSI)} <= modes
    assert len(one.drives) == 4
    assert all(drive.wwn is not None and drive.rotational for drive in one.drives)
    assert one.hidden, "what a RAID controller keeps to itself is not silently absent"
    assert any("RAID controller (megaraid_sas)" in note for note in one.notes)


def test_the_tower_whose_maker_filled_in_nothing() -> None:
    one = found("tower")
    machine = one.machine
    assert (machine.system.manufacturer, machine.system.serial, machine.system.uuid) == (None, None, None)
    assert (machine.chassis.asset_tag, machine.board.serial) == (None, None)
    assert len([note for note in machine.notes if "placeholder" in note]) == 9
    assert (machine.firmware.kind, machine.firmware.secure_boot) == (FirmwareKind.BIOS, False)
    assert [drive.transport for drive in one.drives] == [
        *2 * [Transport.SATA],
        Transport.USB,
        Transport.VIRTIO,
    ]
    assert [disc.path for disc in machine.optical] == ["/dev/sr0"]
    assert len(machine.audio) == 1


def test_the_health_of_simulated_drives_is_played_back() -> None:
    """Made by record_workbench.py; by these very words smartctl was asked."""
    seen = seen_machine(MACHINES / "simulated")
    checkup = Checkup(seen.sources.commands, seen.sources.files)
    drives = found("simulated").drives
    told = {
        drive.path: health_claims(one) for drive, one in zip(drives, checkup.read_all(drives), strict=True)
    }
    assert {path: one.grade for path, one in told.items()} == {
        "/dev/mmcblk0": Grade.WATCH,
        "/dev/nvme0n1": Grade.REJECT,
        "/dev/sda": Grade.REJECT,
        "/dev/sdb": Grade.GOOD,
        "/dev/sdc": Grade.WATCH,
        "/dev/sdd": Grade.WATCH,
    }
    assert [note for note in seen.sources.missing() if "smartctl" in note] == []
    assert told["/dev/nvme0n1"].wear_percent == 104
