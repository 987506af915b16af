"""The inventory for other programs: JSON by its schema, GLPI by the published one, and spreadsheets."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import jsonschema
import pytest
from msgspec.structs import replace

from rasura_agent.export.document import Inventoried, inventory_document, inventory_schema
from rasura_agent.export.glpi import glpi_document
from rasura_agent.export.table import inventory_table
from rasura_agent.inventory.behind_raid import HiddenDrive
from rasura_agent.inventory.machine_model import Display, Machine, MemoryModule, PowerSupply, System
from simulators.block import simulated_drive
from simulators.hardware import battery, dmi, network, pci, server_of, usb
from unit.test_capture import SeenMachine, no_line, take_inventory

ROOT = Path(__file__).parents[2]
SCHEMA = ROOT / "agent/rasura_agent/export/inventory.schema.json"
GLPI = json.loads((ROOT / "tests/published/glpi/inventory.schema.json").read_text())


def full() -> Inventoried:
    machine = server_of(2)
    dmi(
        machine,
        bios_vendor="AMI",
        bios_version="1.0",
        bios_date="05/13/2020",
        product_uuid="4c4c4544-004a-3210-8039-b6c04f483633",
    )
    battery(machine, energy_full_design="57530000", energy_full="53405000", model_name="DELL JHXPY53")
    network(
        machine,
        "eno1",
        pci(machine, "0000:00:1f.6", "020000", driver="e1000e"),
        "8c:16:45:aa:bb:cc",
        carrier="1",
        speed="1000",
    )
    pci(machine, "0000:00:1f.3", "040300", ID_MODEL_FROM_DATABASE="HD Audio")
    pci(machine, "0000:00:02.0", "030000", driver="i915", ID_MODEL_FROM_DATABASE="UHD 620")
    usb(machine, "1-8", "5986:2113", "0e01", product="Integrated Camera")
    usb(machine, "1-7", "8087:0a2b", "e001")
    machine.disk("sr0", "/devices/pci0000:00/0000:00:1f.2/ata2/host1/target1:0:0/1:0:0:0/block/sr0")
    found = take_inventory(SeenMachine(machine.sources(), no_line))
    return replace(
        found,
        machine=replace(
            found.machine,
            displays=(
                Display(
                    "eDP-1",
                    internal=True,
                    model="B140HAN01.2",
                    diagonal_inches=13.9,
                    year=2019,
                    native_width=1920,
                    native_height=1080,
                ),
            ),
            power_supplies=(PowerSupply("PSU", "Bay 1", "DELL", "0X185V", "CN179", 550, plugged=True),),
        ),
        hidden=(HiddenDrive("/dev/bus/0", "megaraid,8"),),
    )


EMPTY = Inventoried(Machine(), ())


def rows(found: Inventoried) -> list[list[str]]:
    raw = inventory_table(found)
    assert raw.startswith(b"\xef\xbb\xbf")
    return list(csv.reader(io.StringIO(raw.decode("utf-8-sig"), newline=""), delimiter=";"))


def test_the_schema_in_the_repository_is_that_of_the_types():
    fresh = json.dumps(inventory_schema(), indent=2, ensure_ascii=False) + "\n"
    assert SCHEMA.read_text() == fresh, (
        f"the schema is stale: write {SCHEMA.name} anew from inventory_schema()"
    )


@pytest.mark.parametrize("found", [full(), EMPTY], ids=["full", "empty"])
def test_the_document_fits_its_schema(found):
    schema = json.loads(SCHEMA.read_text())
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.Draft202012Validator(schema).validate(json.loads(json.dumps(inventory_document(found))))


@pytest.mark.parametrize("change", [{"machine": None}, {"surprise": 1}, {"version": 2}, {"drives": [{}]}])
def test_the_schema_refuses_what_is_no_such_document(change):
    document = {**json.loads(json.dumps(inventory_document(full()))), **change}
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.Draft202012Validator(json.loads(SCHEMA.read_text())).validate(document)


@pytest.mark.parametrize("found", [full(), EMPTY], ids=["full", "empty"])
def test_glpi_takes_it(found):
    jsonschema.Draft7Validator(GLPI, format_checker=jsonschema.FormatChecker()).validate(glpi_document(found))


def test_sentences_that_are_more_than_text_are_text_in_the_document():
    class Sentence(str):
        __slots__ = ()

    found = replace(EMPTY, notes=(Sentence("one"),), machine=replace(Machine(), notes=(Sentence("two"),)))
    document = inventory_document(found)
    assert (document["notes"], document["machine"]["notes"]) == (["one"], ["two"])


def test_what_glpi_is_told():
    content = glpi_document(full())["content"]
    assert content["bios"] == {
        "bdate": "2020-05-13", "bmanufacturer": "AMI", "bversion": "1.0", "smanufacturer": "Acme",
        "smodel": "Rack", "ssn": "ACME-0042",
    }  # fmt: skip
    assert content["hardware"]["memory"] == 24 * 16384
    assert (content["cpus"][0]["core"], content["cpus"][0]["thread"]) == (10, 2)
    assert content["memories"][0]["capacity"] == 16384
    assert content["batteries"] == [{"name": "DELL JHXPY53", "capacity": 57530, "real_capacity": 53405}]
    assert [one["type"] for one in content["storages"]] == ["disk", "disk", "CD/DVD"]
    assert content["storages"][0]["disksize"] == 4000787
    assert content["networks"][0]["status"] == "up"
    # Its schema has additional properties everywhere: that we use none but its own is for us to see to.
    known = GLPI["properties"]["content"]["properties"]
    for part, entries in content.items():
        properties = known[part].get("items", known[part]).get("properties", {})
        for entry in entries if isinstance(entries, list) else [entries]:
            assert isinstance(entry, str) or set(entry) <= set(properties), part


def test_one_machine_is_one_machine_in_glpi():
    one, again = glpi_document(full())["deviceid"], glpi_document(full())["deviceid"]
    other = replace(EMPTY, drives=(simulated_drive(1 << 20),))
    assert one == again
    assert len({one, glpi_document(EMPTY)["deviceid"], glpi_document(other)["deviceid"]}) == 3


@pytest.mark.usefixtures("_french")
def test_a_table_for_french_spreadsheets():
    heading, machine, drive, *_rest = table = rows(full())
    assert heading[:2] == ["TYPE", "MACHINE"]
    assert machine[0] == "machine"
    assert drive[:2] == ["disque", "ACME-0042"]
    assert drive[4:8] == ["ST4000NM0025", "ZC100000", "4000,79", "Go"]
    assert {row[1] for row in table[1:]} == {"ACME-0042"}, "every row says of which machine it is"
    (worn,) = [row for row in table if row[0] == "batterie"]
    assert worn[6:] == ["53,41", "Wh", "7,2\N{NO-BREAK SPACE}% d\N{RIGHT SINGLE QUOTATION MARK}usure"]
    assert any(row[0] == "écran" and row[6:8] == ["13,9", "pouces"] for row in table)
    assert any(row[0] == "disque masqué" for row in table)


def test_a_row_for_every_part():
    kinds = [row[0] for row in rows(full())]
    assert kinds.count("memory") == 24
    assert kinds.count("drive") == 2
    for kind in (
        "processor",
        "graphics",
        "network",
        "storage controller",
        "webcam",
        "Bluetooth",
        "sound",
        "optical drive",
        "power supply",
    ):
        assert kind in kinds


@pytest.mark.parametrize("text", ["=HYPERLINK(1)", "+1", "-1+2", "@SUM(1)"])
def test_no_device_may_put_a_formula_into_a_spreadsheet(text):
    system = System(serial=text, model='quoted "; and\nbroken')
    table = rows(Inventoried(Machine(system=system), ()))
    assert table[1][1] == f"'{text}"
    assert table[1][4] == 'quoted "; and\nbroken'


def test_memory_is_not_rounded_away():
    module = MemoryModule("A", None, 512 << 20)
    table = rows(Inventoried(replace(Machine(), memory=replace(Machine().memory, modules=(module,))), ()))
    assert [row[6:8] for row in table if row[0] == "memory"] == [["0,5", "GiB"]]
