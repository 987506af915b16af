"""The SMBIOS table as dmidecode prints it: today's shape, old ones, garbled ones."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rasura_agent.inventory.dmi import number, parse_dmidecode, size_bytes
from rasura_agent.inventory.dmi_facts import DMI_TYPES, DmiFacts, chassis_kind, iso_date
from rasura_agent.inventory.firmware_text import Reading
from rasura_agent.inventory.machine_model import ChassisKind

TABLE = """\
# dmidecode 3.6
Getting SMBIOS data from sysfs.
SMBIOS 3.3.0 present.

Handle 0x0000, DMI type 0, 26 bytes
BIOS Information
	Vendor: Acme
	Version: 1.07
	Release Date: 08/10/2017
	Characteristics:
		PCI is supported
		UEFI is supported

Handle 0x0001, DMI type 1, 27 bytes
System Information
	Manufacturer: Acme
	Product Name: Anvil
	Serial Number: System Serial Number
	UUID: 4c4c4544-004a-3210-8039-b6c04f483633

Handle 0x0003, DMI type 3, 22 bytes
Chassis Information
	Type: Convertible
	Asset Tag: A-17

Handle 0x0004, DMI type 4, 48 bytes
Processor Information
	Socket Designation: U3E1
	Type: Central Processor
	Manufacturer: Intel(R) Corporation
	Signature: Type 0, Family 6, Model 142, Stepping 10
	Version: Intel(R) Core(TM) i5-8250U CPU @ 1.60GHz
	Max Speed: 3400 MHz
	Status: Populated, Enabled
	Core Count: 4
	Thread Count: 8

Handle 0x0005, DMI type 4, 48 bytes
Processor Information
	Socket Designation: U3E2
	Status: Unpopulated

Handle 0x0010, DMI type 16, 23 bytes
Physical Memory Array
	Use: System Memory
	Maximum Capacity: 32 GB

Handle 0x0011, DMI type 17, 40 bytes
Memory Device
	Array Handle: 0x0010
	Size: 8 GB
	Form Factor: SODIMM
	Locator: ChannelA-DIMM0
	Bank Locator: BANK 0
	Type: DDR4
	Speed: 2667 MT/s
	Manufacturer: Samsung
	Serial Number: 12AB34CD
	Part Number: M471A1K43DB1-CTD
	Configured Memory Speed: 2400 MT/s

Handle 0x0012, DMI type 17, 40 bytes
Memory Device
	Array Handle: 0x0010
	Size: No Module Installed
	Locator: ChannelB-DIMM0

Handle 0x0013, DMI type 17, 40 bytes
Memory Device
	Array Handle: 0x0014
	Size: 16 MB
	Type: Flash

Handle 0x0016, DMI type 22, 26 bytes
Portable Battery
	Location: Front
	Name: 45N1773
	Design Capacity: 23200 mWh
	Design Voltage: 11100 mV
	SBDS Serial Number: 04D2
	SBDS Chemistry: LION

"""

OLD = """\
# dmidecode 2.2
SMBIOS 2.3 present.
Handle 0x0001
	DMI type 1, 25 bytes.
	System Information
		Manufacturer: IBM
		Product Name: -[84803AX]-
		Serial Number: KBKGW40
"""


def facts(text: str | bytes) -> DmiFacts:
    raw = text.encode() if isinstance(text, str) else text
    return DmiFacts(parse_dmidecode(raw, DMI_TYPES), Reading())


def test_what_a_table_says():
    found = facts(TABLE)
    firmware, system, chassis = found.firmware(), found.system(), found.chassis()
    assert (firmware.vendor, firmware.version, firmware.date) == ("Acme", "1.07", "2017-08-10")
    assert firmware.uefi_capable
    assert (system.manufacturer, system.model, system.serial) == ("Acme", "Anvil", None)
    assert (chassis.kind, chassis.type, chassis.asset_tag) == (ChassisKind.LAPTOP, "Convertible", "A-17")
    (cpu,) = found.processors()
    assert (cpu.family_number, cpu.model_number, cpu.stepping) == (6, 142, 10)
    assert (cpu.cores, cpu.threads, cpu.max_mhz, cpu.socket) == (4, 8, 3400, "U3E1")
    memory = found.memory()
    assert (memory.slots, memory.maximum_bytes, memory.installed_bytes) == (2, 32 << 30, 8 << 30)
    (module,) = memory.modules
    assert (module.type, module.speed_mts, module.configured_mts) == ("DDR4", 2667, 2400)
    assert (module.slot, module.serial, module.part_number) == (
        "ChannelA-DIMM0",
        "12AB34CD",
        "M471A1K43DB1-CTD",
    )
    (battery,) = found.batteries()
    assert (battery.name, battery.model, battery.design_mwh, battery.voltage_mv) == (
        "Front",
        "45N1773",
        23200,
        11100,
    )


@pytest.mark.parametrize(
    "text",
    [
        *(OLD, OLD.replace("\t", "        "), TABLE.replace("\t", "    "), TABLE.replace("\n", "\r\n")),
        TABLE.replace("Handle 0x0000, DMI type 0, 26 bytes\n", "Handle 0x0000, DMI type 0\nHandle 0x00\n"),
    ],
    ids=["old", "old-spaces", "spaces", "windows", "garbled-first"],
)
def test_other_shapes(text):
    assert facts(text).system().manufacturer in {"IBM", "Acme"}


def test_a_garbled_structure_takes_no_other_along():
    garbled = TABLE.replace("BIOS Information\n", "\x0b\x85::\n\t\t\tx\n")
    assert facts(garbled).system().model == "Anvil"


@pytest.mark.parametrize(
    "text", ["", "\n", "x", "Handle 0x0000", "Handle 0x0000, DMI type 1, 27 bytes", "\0" * 99]
)
def test_nothing_to_read(text):
    assert facts(text).system().manufacturer is None
    assert facts(text).memory().modules == ()


@pytest.mark.parametrize(
    ("value", "size"),
    [
        ("8192 MB", 8 << 30),
        ("8 GB", 8 << 30),
        ("512 kB", 512 << 10),
        ("Unknown", None),
        ("", None),
        (None, None),
    ],
)
def test_sizes(value, size):
    assert size_bytes(value) == size


def test_numbers():
    assert [number(one) for one in ("2400 MT/s", "Unknown", None, "99999999999999999999")] == [
        2400,
        None,
        None,
        None,
    ]


@pytest.mark.parametrize(
    ("told", "date"),
    [
        *(("08/10/2017", "2017-08-10"), ("06/30/03", "2003-06-30"), ("01/01/98", "1998-01-01")),
        *(("13/40/2017", None), ("", None), (None, None), ("2017-08-10", None)),
    ],
)
def test_dates(told, date):
    assert iso_date(told) == date


def test_every_chassis_number_is_a_word_and_a_lock_is_no_matter():
    assert chassis_kind("10") == chassis_kind("138") == ("Notebook", ChassisKind.LAPTOP)
    assert chassis_kind("17") == ("Main Server Chassis", ChassisKind.SERVER)
    assert chassis_kind("1") == chassis_kind("2") == chassis_kind("99") == chassis_kind(None) == (None, None)
    assert all(chassis_kind(str(one))[0] for one in range(3, 37))


@given(
    st.text(alphabet=st.sampled_from(TABLE), max_size=400),
    st.integers(0, len(TABLE)),
    st.integers(0, len(TABLE)),
)
def test_truncated_and_garbled_tables_are_read_as_far_as_they_go(garbage, begin, end):
    everything(facts(TABLE[:begin] + garbage + TABLE[end:]))


@given(st.binary(max_size=600))
def test_any_bytes_are_a_table(data):
    everything(facts(b"Handle 0x0001, DMI type 1, 27 bytes\n" + data))
    everything(facts(data))


def everything(found: DmiFacts) -> None:
    for part in (found.firmware, found.system, found.board, found.chassis, found.processors, found.memory):
        part()
    for part in (found.batteries, found.slots, found.power_supplies, found.tpm_version):
        part()
