"""The inventory as a table for spreadsheets: one row for the machine, one for each drive and each part.

As French spreadsheets take it without being asked: UTF-8 with a byte order mark, ``;`` between columns, a
decimal comma. Every row bears the machine's serial number, so that the tables of many machines can be laid
under each other.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator

import msgspec

from rasura_agent.console.language import _
from rasura_agent.export.document import Inventoried
from rasura_agent.inventory.machine_model import Machine, MemoryModule
from rasura_agent.inventory.model import Drive

__all__ = ["inventory_table"]

_FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""What a spreadsheet would take for the beginning of a formula; texts come from devices, so anybody's."""
_GIB, _GB = 1 << 30, 10**9


class _Row(msgspec.Struct, frozen=True):
    kind: str
    place: str | None = None
    manufacturer: str | None = None
    model: str | None = None
    serial: str | None = None
    amount: float | None = None
    unit: str = ""
    details: tuple[str | None, ...] = ()


def inventory_table(found: Inventoried) -> bytes:
    """The whole table, headings first, in the language of the screens."""
    machine = found.machine
    name = machine.system.serial or machine.system.uuid or ""
    text = io.StringIO()
    writer = csv.writer(text, delimiter=";", lineterminator="\r\n")
    headings = (
        *(_("KIND"), _("MACHINE"), _("PLACE"), _("MANUFACTURER"), _("MODEL"), _("SERIAL NUMBER")),
        *(_("AMOUNT"), _("UNIT"), _("DETAILS")),
    )
    writer.writerow(headings)
    for row in (*_machine(machine), *_drives(found), *_parts(machine)):
        writer.writerow(
            [
                row.kind,
                *(_cell(one) for one in (name, row.place, row.manufacturer, row.model, row.serial)),
                _number(row.amount),
                row.unit if row.amount is not None else "",
                _cell(", ".join(part for part in row.details if part)),
            ]
        )
    return b"\xef\xbb\xbf" + text.getvalue().encode("utf-8", "replace")


def _cell(value: str | None) -> str:
    shown = value or ""
    return f"'{shown}" if shown.startswith(_FORMULA) else shown


def _number(value: float | None) -> str:
    """At most two decimals, after a comma."""
    if value is None:
        return ""
    return f"{value:.2f}".rstrip("0").rstrip(".").replace(".", ",")


def _machine(machine: Machine) -> Iterator[_Row]:
    system, firmware, memory = machine.system, machine.firmware, machine.memory
    installed = memory.installed_bytes or memory.usable_bytes
    details = (
        system.version if system.version != system.model else None,
        machine.chassis.type,
        f"{firmware.kind.upper()} {firmware.version or ''}".strip() if firmware.kind else firmware.version,
        f"TPM {machine.tpm.version or ''}".strip() if machine.tpm.present else None,
    )
    yield _Row(
        _("machine"),
        machine.chassis.asset_tag,
        system.manufacturer,
        system.model,
        system.serial,
        installed / _GIB if installed is not None else None,
        _("GiB"),
        details,
    )


def _drives(found: Inventoried) -> Iterator[_Row]:
    for drive in found.drives:
        bay = found.machine.bay_of(drive.path)
        place = drive.path if bay is None else f"{drive.path} ({bay.enclosure} {bay.slot})"
        yield _Row(
            _("drive"),
            place,
            drive.manufacturer,
            drive.model,
            drive.serial,
            drive.capacity_bytes / _GB,
            _("GB"),
            (drive.transport, _motion(drive), drive.firmware, drive.wwn),
        )
    for hidden in found.hidden:
        yield _Row(_("hidden drive"), hidden.name, details=(hidden.kind,))
    for disc in found.machine.optical:
        yield _Row(_("optical drive"), disc.path, disc.manufacturer, disc.model, disc.serial)


def _motion(drive: Drive) -> str | None:
    return {True: "HDD", False: "SSD", None: None}[drive.rotational]


def _parts(machine: Machine) -> Iterator[_Row]:
    for cpu in machine.processors:
        counts = (f"{cpu.cores} C" if cpu.cores else None, f"{cpu.threads} T" if cpu.threads else None)
        yield _Row(_("processor"), cpu.socket, cpu.manufacturer, cpu.model, None, cpu.max_mhz, "MHz", counts)
    for module in machine.memory.modules:
        yield _memory(module)
    board = machine.board
    if any((board.manufacturer, board.model, board.serial)):
        yield _Row(_("board"), None, board.manufacturer, board.model, board.serial)
    for gpu in machine.gpus:
        yield _Row(_("graphics"), gpu.address, gpu.product.manufacturer, gpu.product.model)
    for display in machine.displays:
        pixels = (
            f"{display.native_width} x {display.native_height}" if display.native_width is not None else None
        )
        yield _Row(
            _("display"),
            display.connector,
            display.manufacturer or display.manufacturer_id,
            display.model,
            display.serial,
            display.diagonal_inches,
            _("inches"),
            (pixels, str(display.year) if display.year else None),
        )
    for battery in machine.batteries:
        worn = battery.wear_percent
        wear = None if worn is None else _("{number} % worn").format(number=_number(worn))
        yield _Row(
            _("battery"),
            battery.name,
            battery.manufacturer,
            battery.model,
            battery.serial,
            (battery.full_mwh or battery.design_mwh or 0) / 1000 or None,
            "Wh",
            (wear, f"{battery.cycles} x" if battery.cycles else None, battery.chemistry),
        )
    for port in machine.network:
        yield _Row(
            _("Wi-Fi") if port.wireless else "network",
            port.name,
            port.product.manufacturer,
            port.product.model,
            port.mac,
            port.speed_mbps,
            _("Mbit/s"),
        )
    for controller in machine.controllers:
        yield _Row(
            _("storage controller"),
            controller.address,
            controller.product.manufacturer,
            controller.product.model,
            details=(controller.mode, controller.driver),
        )
    for kind, parts in (
        (_("Bluetooth"), machine.bluetooth),
        (_("webcam"), machine.webcams),
        (_("sound"), machine.audio),
    ):
        for part in parts:
            yield _Row(kind, None, part.product.manufacturer, part.product.model)
    for supply in machine.power_supplies:
        yield _Row(
            _("power supply"),
            supply.location,
            supply.manufacturer,
            supply.part_number or supply.name,
            supply.serial,
            supply.watts,
            "W",
        )


def _memory(module: MemoryModule) -> _Row:
    return _Row(
        _("memory"),
        module.slot,
        module.manufacturer,
        module.part_number,
        module.serial,
        module.size_bytes / _GIB,
        _("GiB"),
        (module.type, module.form_factor, f"{module.speed_mts} MT/s" if module.speed_mts else None),
    )
