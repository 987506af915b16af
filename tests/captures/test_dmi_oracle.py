"""SMBIOS tables as others published them: every one is read, and says what is known of its machine.

The folder ``dmidecode`` is of a database whose file names tell kind, maker and model; ``dmidecode-glpi`` is
of GLPI's agent. What that agent's tests expect of each was compared with ours, and where they differ it is so
on purpose:

- placeholders are null: ``0000000000``, ``XXXXXXXXXX``, ``SerNum00``, ``TBD by ODM``, UUIDs of one digit;
- the product name stays what SMBIOS calls so: Lenovo's order number, the name being in ``version``;
- a type of ``Other`` or ``Unknown`` is null, of memory as of cases;
- memory is that of types 16 and 17: tables of before the year 2000, which have types 5 and 6, tell none;
- battery serial numbers stay hexadecimal text as they stand in the table (``021D``, not 541);
- manufacturers keep the maker's own spelling.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from rasura_agent.inventory.dmi import parse_dmidecode
from rasura_agent.inventory.dmi_facts import DMI_TYPES, DmiFacts
from rasura_agent.inventory.firmware_text import Reading
from rasura_agent.inventory.machine import read_machine
from rasura_agent.inventory.machine_model import ChassisKind
from rasura_agent.inventory.ports import Ran
from simulators.machine import Machine

pytestmark = pytest.mark.corpus

K = ChassisKind
KINDS = {
    "Notebook": K.LAPTOP,
    "Convertible": K.LAPTOP,
    "Desktop": K.DESKTOP,
    "Mini_Pc": K.DESKTOP,
    "All_In_One": K.ALL_IN_ONE,
    "Server": K.SERVER,
    "Tablet": K.TABLET,
}
OTHER_KINDS = {
    # The table itself says another kind, or none, than the people who sorted it.
    "GA-970A-UD3": None,
    "SYS-4028GR-TR2": None,
    "Others__FBA7B8EAC361": K.DESKTOP,
    "Precision_7920_Tower": K.DESKTOP,
    "ThinkStation_P920": K.DESKTOP,
    "Surface_Book_3": K.LAPTOP,
    "Surface_Pro_3": K.LAPTOP,
    "Surface_Pro_7": K.LAPTOP,
}
OTHER_MODELS = ("Others__", "NUC6i5SYB_H81131-504")
"""Nobody named them, or the name has the board's version in it."""

Known = tuple[str | None, str | None, str | None, str | None, str | None, int | None, list[int]]
"""Maker, model, serial number, board, case, memory slots, memory modules in MiB."""
VM = "440BX Desktop Reference Platform"
KNOWN: dict[str, Known] = {
    "S3000AHLX": (None, None, None, "S3000AHLX", "Desktop", 4, [1024, 2048, 1024]),
    "dell-fx160": ("Dell Inc.", "OptiPlex FX160", "C83T54J", "0F259F", "Desktop", 2, [1024]),
    "dell-r640-1": (
        "Dell Inc.",
        "PowerEdge R640",
        "6J29H63",
        "0H28RR",
        "Rack Mount Chassis",
        24,
        12 * [8192],
    ),
    "dell-r720": ("Dell Inc.", "PowerEdge R720xd", "7PPDY12", "0X3D66", "Rack Mount Chassis", 24, 8 * [8192]),
    "freebsd-6.2": (None, None, None, "CN700-8237R", "Desktop", 1, [512]),
    "hp-dl180": ("HP", "ProLiant DL180 G6", "CZJ02901TG", None, "Rack Mount Chassis", 12, [2048, 2048]),
    "hp-dl360-gen7_2": ("HP", "ProLiant DL360 G7", "CZJ1280RMQ", None, "Rack Mount Chassis", 18, 8 * [16384]),
    "hp-proLiant-DL120-G6": (
        *("HP", "ProLiant DL120 G6", None, "ProLiant DL120 G6", "Rack Mount Chassis"),
        *(6, [2048]),
    ),
    "lenovo-thinkpad": ("LENOVO", "1298A8G", "LR9NKZ7", "1298A8G", "Notebook", 4, [4096, 4096]),
    "linux-1": (None, None, None, "P5Q", "Desktop", 4, 4 * [1024]),
    "linux-2.6": ("Dell Inc.", "Latitude D610", "D8XD62J", "0XD762", "Portable", 2, [1024, 1024]),
    "openbsd-3.7": ("VIA Technologies, Inc.", "VT82C691", None, "P6PROA5", None, None, []),
    "openbsd-4.5": (
        *("Dell Computer Corporation", "PowerEdge 1600SC", "4V2VW0J", "0Y1861", "Mini Tower"),
        *(4, [512]),
    ),
    "oracle-server-x5-2": (
        *("Oracle Corporation", "ORACLE SERVER X5-2", "1634NM1107", "ASM,MOTHERBOARD,1U"),
        *("Main Server Chassis", 24, 16 * [32768]),
    ),
    "rhel-2.1": ("IBM", "-[84803AX]-", "KBKGW40", "-[M51G]-", "Mini Tower", 2, []),
    "rhel-3.4": ("IBM", "IBM eServer x226-[8488PCR]-", "KDXPC16", "MSI-9151 Boards", "Tower", 3, 3 * [512]),
    "rhel-6.3-esx-1vcpu": (
        *(
            "VMware, Inc.",
            "VMware Virtual Platform",
            "VMware-56 4d 60 49 9d 7d 6e 8b-4a 41 7b 2d b1 47 ab a7",
        ),
        *(VM, None, 64, [512]),
    ),
    "sun-x2200-m2": (
        *("Sun Microsystems", "Sun Fire X2200 M2", "0732QBT057", "S39", "Rack Mount Chassis"),
        *(16, 16 * [2048]),
    ),
    "surface-go-2": (
        "Microsoft Corporation",
        "Surface Go 2",
        "48368130c2f8",
        "Surface Go 2",
        "Laptop",
        None,
        [],
    ),
    "vmware": (
        *(
            "VMware, Inc.",
            "VMware Virtual Platform",
            "VMware-50 0c 23 94 04 63 a1 3c-0d d4 f5 37 a6 bb f0 a6",
        ),
        *(VM, None, 4, [2048]),
    ),
    "vmware-esx": (
        *(
            "VMware, Inc.",
            "VMware Virtual Platform",
            "VMware-42 30 bf 6a ce 71 e1 68-6c 2d 17 6e 66 d0 4a 0d",
        ),
        *(VM, None, 15, [2048]),
    ),
    "windows": ("TOSHIBA", "Satellite 2410", "X2735244G", "Portable PC", "Notebook", 2, [256, 512]),
    "windows-2003R2-Hotfix": ("Red Hat", "KVM", None, None, None, 1, [4096]),
    "windows-7": (None, None, None, "P8P67", "Desktop", 4, [2048, 2048]),
    "windows-7.2": (None, None, None, "M3A78-CM", "Desktop", 4, [2048, 2048, 1024, 1024]),
    "windows-hyperV-2019": (
        *("Microsoft Corporation", "Virtual Machine", "3135-4298-3414-7021-8716-7514-85", "Virtual Machine"),
        *("Desktop", 2, [3968, 128]),
    ),
}
SUPPLIES = {
    "Dell_DSS_1500": [("PWR SPLY,550W,RDNT,DELTA", 550)] * 2,
    "Dell_PowerEdge_R330": [("PWR SPLY,350W,RDNT,LTON", 350)] * 2,
    "HP_Proliant_Microserver_Gen_8": [("Power Supply 1", None)],
    "Dedibox_SC_SATA_2016": [],
    "nucIntel": [],
    "MSI_MS-7817": [],
}
"""Where the board's maker left the fields as they were, there is no power supply to tell of."""


def corpus() -> Path | None:
    folder = os.environ.get("RASURA_CORPUS")
    return Path(folder) if folder else None


def tables() -> list[str]:
    root = corpus()
    if root is None:
        return ["unset"]
    folders = ("dmidecode", "dmidecode-glpi", "batteries")
    return sorted(
        str(path.relative_to(root))
        for folder in folders
        for path in (root / folder).rglob("*")
        if path.is_file()
    )


@pytest.fixture(scope="module")
def root() -> Path:
    found = corpus()
    if found is None:
        pytest.skip("RASURA_CORPUS is unset: it names the folder of published captures of real machines")
    return found


def facts(path: Path) -> DmiFacts:
    return DmiFacts(parse_dmidecode(path.read_bytes(), DMI_TYPES), Reading())


def plain(text: str | None) -> str:
    return re.sub(r"[^a-z0-9]", "", (text or "").lower())


@pytest.mark.parametrize("name", tables())
def test_every_table_is_read_and_nothing_in_it_can_hurt(root, name):
    machine = Machine()
    machine.outputs["dmidecode",] = Ran(0, (root / name).read_bytes())
    found = read_machine(machine.sources())
    for part in (found.system, found.board, found.chassis, found.firmware):
        assert all(
            value is None or not isinstance(value, str) or value.isprintable() for value in _values(part)
        )
    for module in found.memory.modules:
        assert module.size_bytes > 0
    for serial in (found.system.serial, found.board.serial, *(one.serial for one in found.memory.modules)):
        assert serial is None or len(set(plain(serial))) > 1


def _values(part: object) -> list[object]:
    return [getattr(part, name) for name in part.__struct_fields__]  # type: ignore[attr-defined]


@pytest.mark.parametrize("name", [one for one in tables() if one.startswith("dmidecode/")] or ["unset"])
def test_kind_maker_and_model_are_those_of_the_database(root, name):
    path = root / name
    kind, maker, _family, model, _number = path.name.split("__")
    found = facts(path)
    system, board = found.system(), found.board()
    expected = next((kind for part, kind in OTHER_KINDS.items() if part in path.name), KINDS[kind])
    assert found.chassis().kind is expected
    if not any(part in path.name for part in OTHER_MODELS):
        told = plain(" ".join(filter(None, (*_values(system), *_values(board)))))  # type: ignore[arg-type]
        for word in model.split("_"):
            assert plain(word) in told
        assert plain(maker.split("_")[0])[:5] in told or maker in {"Hewlett-Packard", "MSI"}
    assert found.processors()
    assert found.memory().slots
    assert found.firmware().date is not None


@pytest.mark.parametrize("name", KNOWN)
def test_what_is_known_of_a_machine(root, name):
    found = facts(root / "dmidecode-glpi" / name)
    system, memory = found.system(), found.memory()
    modules = [module.size_bytes >> 20 for module in memory.modules]
    assert KNOWN[name] == (
        *(system.manufacturer, system.model, system.serial, found.board().model, found.chassis().type),
        *(memory.slots, modules),
    )


@pytest.mark.parametrize("name", SUPPLIES)
def test_power_supplies(root, name):
    found = facts(root / "dmidecode-glpi/psu" / name).power_supplies()
    assert [(one.name, one.watts) for one in found] == SUPPLIES[name]


def test_an_old_dmidecode_prints_watts_for_milliwatts(root):
    (supply,) = facts(root / "dmidecode-glpi/hp-dl180").power_supplies()
    assert (supply.watts, supply.serial, supply.part_number) == (460, "5ANLE0BLLZ225W", "511777-001")


def test_batteries_of_tables(root):
    folder = root / "dmidecode-glpi"
    one, other = facts(folder / "batteries/windows-10-notebook").batteries()
    assert (one.model, one.serial, one.design_mwh, one.voltage_mv) == ("00HW023", "021D", 23540, 11400)
    assert (other.model, other.serial, other.design_mwh, other.voltage_mv) == (
        "01AV406",
        "0CF7",
        26060,
        11460,
    )
    assert facts(folder / "macos-battery").batteries() == ()
