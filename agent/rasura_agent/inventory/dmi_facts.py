"""From the structures of the SMBIOS table to what they say of the machine; pure.

Clauses are those of DSP0134 3.7. Placeholders are left out, and said in the :class:`Reading`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import date

from rasura_agent.inventory.dmi import Structure, number, size_bytes
from rasura_agent.inventory.firmware_text import Reading
from rasura_agent.inventory.machine_model import (
    Battery,
    Board,
    Chassis,
    ChassisKind,
    ExpansionSlot,
    Firmware,
    Memory,
    MemoryModule,
    PowerSupply,
    Processor,
    System,
)

__all__ = ["DMI_TYPES", "DmiFacts", "chassis_kind", "iso_date"]

_BIOS, _SYSTEM, _BOARD, _CHASSIS, _PROCESSOR = 0, 1, 2, 3, 4
_SLOT, _MEMORY_ARRAY, _MEMORY_DEVICE, _BATTERY, _POWER_SUPPLY, _TPM = 9, 16, 17, 22, 39, 43

DMI_TYPES = frozenset(
    {
        *(_BIOS, _SYSTEM, _BOARD, _CHASSIS, _PROCESSOR, _SLOT, _MEMORY_ARRAY, _MEMORY_DEVICE, _BATTERY),
        *(_POWER_SUPPLY, _TPM),
    }
)
"""The structure types that are read."""

_L, _T, _D, _S = ChassisKind.LAPTOP, ChassisKind.TABLET, ChassisKind.DESKTOP, ChassisKind.SERVER
_CHASSIS_TYPES: dict[str, tuple[int, ChassisKind | None]] = {
    "Other": (1, None),
    "Unknown": (2, None),
    "Desktop": (3, _D),
    "Low Profile Desktop": (4, _D),
    "Pizza Box": (5, _D),
    "Mini Tower": (6, _D),
    "Tower": (7, _D),
    "Portable": (8, _L),
    "Laptop": (9, _L),
    "Notebook": (10, _L),
    "Hand Held": (11, _T),
    "Docking Station": (12, None),
    "All In One": (13, ChassisKind.ALL_IN_ONE),
    "Sub Notebook": (14, _L),
    "Space-saving": (15, _D),
    "Lunch Box": (16, _D),
    "Main Server Chassis": (17, _S),
    "Expansion Chassis": (18, _S),
    "Sub Chassis": (19, None),
    "Bus Expansion Chassis": (20, None),
    "Peripheral Chassis": (21, None),
    "RAID Chassis": (22, _S),
    "Rack Mount Chassis": (23, _S),
    "Sealed-case PC": (24, _D),
    "Multi-system": (25, _S),
    "CompactPCI": (26, None),
    "AdvancedTCA": (27, _S),
    "Blade": (28, _S),
    "Blade Enclosing": (29, _S),
    "Tablet": (30, _T),
    "Convertible": (31, _L),
    "Detachable": (32, _T),
    "IoT Gateway": (33, ChassisKind.EMBEDDED),
    "Embedded PC": (34, ChassisKind.EMBEDDED),
    "Mini PC": (35, _D),
    "Stick PC": (36, _D),
}
"""dmidecode's words for the chassis types, their numbers, and what they make the machine (clause 7.4.1)."""
_CHASSIS_NUMBERS = {number: (word, kind) for word, (number, kind) in _CHASSIS_TYPES.items()}
_LOCKED = 0x80
"""Of the chassis type: a lock is present."""

_US_DATE = re.compile(r"(\d{1,2})/(\d{1,2})/(\d{2}|\d{4})")
_OLD_WATTS = re.compile(r"(\d{1,3})\.(\d{3}) W")
_SIGNATURE = re.compile(r"Family (\d+), Model (\d+), Stepping (\d+)")
_NOT_MEMORY = frozenset({"Flash", "ROM", "EEPROM", "FEPROM", "EPROM"})
"""Memory device types that hold firmware (clause 7.18.2)."""


def _watts(value: str | None) -> int | None:
    """``550 W``; dmidecode before 3.0 took watts for milliwatts and printed ``0.550 W``."""
    old = _OLD_WATTS.fullmatch(value or "")
    return (int(old[1]) * 1000 + int(old[2]) if old else number(value)) or None


def chassis_kind(value: str | None) -> tuple[str | None, ChassisKind | None]:
    """The chassis type in words, and our group of it; from dmidecode's word or the number in sysfs."""
    if value is None:
        return None, None
    if value.isascii() and value.isdecimal():
        word, kind = _CHASSIS_NUMBERS.get(int(value[:4]) & ~_LOCKED, (None, None))
    else:
        word, kind = value, _CHASSIS_TYPES.get(value, (0, None))[1]
    return (None, None) if word in {"Other", "Unknown", "<OUT OF SPEC>"} else (word, kind)


def iso_date(value: str | None) -> str | None:
    """``MM/DD/YYYY`` (or the old two-digit year) of the firmware as ISO 8601; ``None`` for no such date."""
    match = _US_DATE.fullmatch((value or "").strip())
    if match is None:
        return None
    year = int(match[3])
    year += 0 if year >= 100 else 1900 if year >= 80 else 2000
    try:
        return date(year, int(match[1]), int(match[2])).isoformat()
    except ValueError:
        return None


class DmiFacts:
    """What the structures say."""

    def __init__(self, structures: Sequence[Structure], reading: Reading) -> None:
        self._structures, self._reading = structures, reading

    def _of(self, kind: int) -> list[Structure]:
        return [one for one in self._structures if one.type == kind]

    def _first(self, kind: int) -> Structure:
        return next(iter(self._of(kind)), Structure("", kind, {}, {}))

    def _text(self, what: str, structure: Structure, *names: str) -> str | None:
        found = (self._reading.text(what, structure.get(name)) for name in names)
        return next((value for value in found if value is not None), None)

    def _serial(self, what: str, structure: Structure, *names: str) -> str | None:
        found = (self._reading.serial(what, structure.get(name)) for name in names)
        return next((value for value in found if value is not None), None)

    def firmware(self) -> Firmware:
        """Type 0."""
        bios = self._first(_BIOS)
        characteristics = bios.lists.get("characteristics", ())
        return Firmware(
            vendor=self._text("the firmware's vendor", bios, "vendor"),
            version=self._text("the firmware's version", bios, "version"),
            date=iso_date(bios.get("release_date")),
            uefi_capable="UEFI is supported" in characteristics if characteristics else None,
        )

    def system(self) -> System:
        """Type 1."""
        one = self._first(_SYSTEM)
        return System(
            manufacturer=self._text("the system's manufacturer", one, "manufacturer", "vendor"),
            model=self._text("the system's product name", one, "product_name", "product"),
            version=self._text("the system's version", one, "version"),
            family=self._text("the system's family", one, "family"),
            sku=self._text("the system's SKU number", one, "sku_number"),
            serial=self._serial("the system's serial number", one, "serial_number"),
            uuid=self._reading.uuid("the system's UUID", one.get("uuid")),
        )

    def board(self) -> Board:
        """Type 2; of several the first that is called a motherboard or hosts the others."""
        boards = self._of(_BOARD)
        hosting = [
            one
            for one in boards
            if one.get("type") == "Motherboard" or "Board is a hosting board" in one.lists.get("features", ())
        ]
        one = next(iter(hosting or boards), Structure("", _BOARD, {}, {}))
        return Board(
            manufacturer=self._text("the board's manufacturer", one, "manufacturer", "vendor"),
            model=self._text("the board's product name", one, "product_name", "product"),
            version=self._text("the board's version", one, "version"),
            serial=self._serial("the board's serial number", one, "serial_number"),
            asset_tag=self._serial("the board's asset tag", one, "asset_tag"),
        )

    def chassis(self) -> Chassis:
        """Type 3; the first, which is the one that holds the board."""
        one = self._first(_CHASSIS)
        word, kind = chassis_kind(one.get("type") or one.get("chassis_type"))
        return Chassis(
            kind=kind,
            type=word,
            manufacturer=self._text("the chassis' manufacturer", one, "manufacturer", "vendor"),
            version=self._text("the chassis' version", one, "version"),
            serial=self._serial("the chassis' serial number", one, "serial_number"),
            asset_tag=self._serial("the asset tag", one, "asset_tag"),
        )

    def processors(self) -> tuple[Processor, ...]:
        """Type 4; sockets without a processor are left out."""
        return tuple(
            self._processor(one)
            for one in self._of(_PROCESSOR)
            if not (one.get("status") or "Populated").startswith("Unpopulated")
            and one.get("type") in {None, "Central Processor", "Other", "Unknown"}
        )

    def _processor(self, one: Structure) -> Processor:
        signature = _SIGNATURE.search(one.get("signature") or "")
        numbers = [int(part) for part in signature.groups()] if signature else [None, None, None]
        return Processor(
            socket=self._text("a processor's socket", one, "socket_designation"),
            manufacturer=self._text(
                "a processor's manufacturer", one, "manufacturer", "processor_manufacturer"
            ),
            model=self._text("a processor's name", one, "version", "processor_version"),
            family_number=numbers[0],
            model_number=numbers[1],
            stepping=numbers[2],
            cores=number(one.get("core_count")) or None,
            threads=number(one.get("thread_count")) or None,
            max_mhz=number(one.get("max_speed")) or None,
        )

    def memory(self) -> Memory:
        """Types 16 and 17. Arrays that are no system memory (firmware flash, video) are left out."""
        devices = [one for one in self._of(_MEMORY_DEVICE) if one.get("type") not in _NOT_MEMORY]
        arrays = [one for one in self._of(_MEMORY_ARRAY) if one.get("use") in {None, "System Memory"}]
        others = {one.handle for one in self._of(_MEMORY_ARRAY)} - {one.handle for one in arrays}
        devices = [one for one in devices if one.get("array_handle") not in others]
        limits = [size for one in arrays if (size := size_bytes(one.get("maximum_capacity")))]
        modules = [module for one in devices if (module := self._module(one)) is not None]
        return Memory(None, len(devices) or None, sum(limits) or None, tuple(modules))

    def _module(self, one: Structure) -> MemoryModule | None:
        size = size_bytes(one.get("size"))
        if not size:
            return None
        slot = self._text("a memory slot's name", one, "locator")
        where = f"of the memory module in {slot}" if slot else "of a memory module"
        return MemoryModule(
            slot=slot,
            bank=self._text("a memory bank's name", one, "bank_locator"),
            size_bytes=size,
            type=self._text("a memory type", one, "type"),
            form_factor=self._text("a memory form factor", one, "form_factor"),
            speed_mts=number(one.get("speed")) or None,
            configured_mts=number(one.get("configured_memory_speed") or one.get("configured_clock_speed"))
            or None,
            manufacturer=self._text(f"the manufacturer {where}", one, "manufacturer"),
            part_number=self._text(f"the part number {where}", one, "part_number"),
            serial=self._serial(f"the serial number {where}", one, "serial_number"),
        )

    def batteries(self) -> tuple[Battery, ...]:
        """Type 22: what the firmware knew at boot; capacities of today are not in it."""
        found = []
        for place, one in enumerate(self._of(_BATTERY)):
            location = self._text("a battery's location", one, "location")
            model = self._text("a battery's name", one, "name")
            design = number(one.get("design_capacity")) or None
            if model is None and design is None:
                continue
            found.append(
                Battery(
                    name=location or f"battery {place}",
                    manufacturer=self._text("a battery's manufacturer", one, "manufacturer"),
                    model=model,
                    serial=self._serial(
                        "a battery's serial number", one, "serial_number", "sbds_serial_number"
                    ),
                    chemistry=self._text("a battery's chemistry", one, "chemistry", "sbds_chemistry"),
                    design_mwh=design,
                    voltage_mv=number(one.get("design_voltage")) or None,
                )
            )
        return tuple(found)

    def slots(self) -> tuple[ExpansionSlot, ...]:
        """Type 9."""
        used = {"In Use": True, "Available": False}
        return tuple(
            ExpansionSlot(
                name,
                self._reading.text("a slot's type", one.get("type")),
                used.get(one.get("current_usage") or ""),
            )
            for one in self._of(_SLOT)
            if (name := self._reading.text("a slot's name", one.get("designation")))
        )

    def power_supplies(self) -> tuple[PowerSupply, ...]:
        """Type 39; those that are not there, or of which nothing but placeholders is told, are left out."""
        found = []
        for one in self._of(_POWER_SUPPLY):
            supply = PowerSupply(
                name=self._text("a power supply's name", one, "name"),
                location=self._text("a power supply's location", one, "location"),
                manufacturer=self._text("a power supply's manufacturer", one, "manufacturer"),
                part_number=self._text("a power supply's part number", one, "model_part_number"),
                serial=self._serial("a power supply's serial number", one, "serial_number"),
                watts=_watts(one.get("max_power_capacity")),
                plugged={"Yes": True, "No": False}.get(one.get("plugged") or ""),
            )
            absent = (one.get("status") or "").startswith("Not Present")
            if not absent and any((supply.name, supply.part_number, supply.serial)):
                found.append(supply)
        return tuple(found)

    def tpm_version(self) -> str | None:
        """Type 43."""
        version = (self._first(_TPM).get("specification_version") or "").strip()
        return version if version in {"1.2", "2.0"} else None
