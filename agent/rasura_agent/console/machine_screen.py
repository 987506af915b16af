"""A machine as an operator reads it: one line a thing."""

from __future__ import annotations

from collections.abc import Iterator

from rasura_agent.console.language import _, ngettext
from rasura_agent.console.words import aligned, fact
from rasura_agent.inventory.machine_model import (
    Battery,
    ChassisKind,
    Display,
    Machine,
    NetworkPort,
    Processor,
    Product,
    Tpm,
)

__all__ = ["machine_lines"]

_GIB = 1 << 30


def machine_lines(machine: Machine) -> str:
    """Everything that a person decides by; numbers and details beyond that are in the exports."""
    rows = [(label, fact(words)) for label, words in _rows(machine)]
    notes = [_("note: {note}").format(note=fact(note)) for note in machine.notes]
    return "\n".join([aligned(rows), *notes]) if rows else "\n".join(notes)


def _rows(machine: Machine) -> Iterator[tuple[str, str]]:
    system, firmware = machine.system, machine.firmware
    # Some makers put an order number where the name belongs, and the name into the version.
    names = dict.fromkeys(one for one in (system.manufacturer, system.model, system.version) if one)
    yield _("machine"), " ".join(names) or "-"
    yield _("kind"), _kind(machine)
    yield _("serial number"), _joined(system.serial, machine.chassis.asset_tag) or "-"
    yield _("board"), _joined(machine.board.manufacturer, machine.board.model) or "-"
    secure = {
        True: _("Secure Boot on"),
        False: _("Secure Boot off"),
        None: _("Secure Boot not known"),
    }[firmware.secure_boot]
    started = firmware.kind.upper() if firmware.kind is not None else None
    yield _("firmware"), _joined(started, firmware.version, firmware.date, secure)
    yield "TPM", _tpm(machine.tpm)
    for cpu in machine.processors:
        yield _("processor"), _processor(cpu)
    yield _("memory"), _memory(machine)
    for gpu in machine.gpus:
        yield _("graphics"), _product(gpu.product)
    for display in machine.displays:
        yield _("display"), _display(display)
    for battery in machine.batteries:
        yield _("battery"), _battery(battery)
    for port in machine.network:
        yield (_("Wi-Fi") if port.wireless else _("network")), _network(port)
    for label, products in (
        (_("Bluetooth"), [one.product for one in machine.bluetooth]),
        (_("webcam"), [one.product for one in machine.webcams]),
        (_("sound"), [one.product for one in machine.audio]),
    ):
        for product in products:
            yield label, _product(product)
    for disc in machine.optical:
        yield _("optical drive"), _joined(disc.path, disc.manufacturer, disc.model)
    for controller in machine.controllers:
        mode = str(controller.mode).upper()
        driver = controller.driver or _("no driver")
        yield _("storage controller"), _joined(mode, _product(controller.product), driver)
    for supply in machine.power_supplies:
        watts = f"{supply.watts} W" if supply.watts is not None else None
        yield _("power supply"), _joined(supply.name, supply.location, watts)


def _joined(*parts: str | None) -> str:
    return ", ".join(part for part in parts if part)


def _product(product: Product) -> str:
    numbers = f"{product.vendor_id}:{product.product_id}" if product.vendor_id else None
    return " ".join(one for one in (product.manufacturer, product.model) if one) or numbers or "-"


def _kind(machine: Machine) -> str:
    word = {
        ChassisKind.LAPTOP: _("laptop"),
        ChassisKind.TABLET: _("tablet"),
        ChassisKind.DESKTOP: _("desktop"),
        ChassisKind.ALL_IN_ONE: _("all-in-one"),
        ChassisKind.SERVER: _("server"),
        ChassisKind.EMBEDDED: _("embedded"),
        None: _("not known"),
    }[machine.chassis.kind]
    return f"{word} ({machine.chassis.type})" if machine.chassis.type else word


def _tpm(tpm: Tpm) -> str:
    if tpm.present is None:
        return _("not known")
    if not tpm.present:
        return _("none")
    return _joined(tpm.version or _("version not known"), _("switched off") if tpm.enabled is False else None)


def _processor(cpu: Processor) -> str:
    cores = ngettext("{number} core", "{number} cores", cpu.cores or 0).format(number=cpu.cores)
    threads = ngettext("{number} thread", "{number} threads", cpu.threads or 0).format(number=cpu.threads)
    return _joined(cpu.model or "-", cores if cpu.cores else None, threads if cpu.threads else None)


def _memory(machine: Machine) -> str:
    memory = machine.memory
    modules = [
        f"{one.slot or '?'}: {_gib(one.size_bytes)} {one.type or ''} {one.part_number or ''}".strip()
        for one in memory.modules
    ]
    installed = memory.installed_bytes or memory.usable_bytes
    slots = (
        _("{used} of {slots} slots").format(used=len(memory.modules), slots=memory.slots)
        if memory.slots is not None
        else None
    )
    return _joined(_gib(installed) if installed is not None else "-", slots, *modules)


def _gib(count: int) -> str:
    # Translators: memory is counted in powers of two.
    text = f"{count / _GIB:.1f}".removesuffix(".0").replace(".", _("."))
    return _("{number} GiB").format(number=text)


def _display(display: Display) -> str:
    pixels = f"{display.native_width} x {display.native_height}" if display.native_width is not None else None
    inches = (
        _("{number} inches").format(number=str(display.diagonal_inches).replace(".", _(".")))
        if display.diagonal_inches is not None
        else None
    )
    maker = display.manufacturer or display.manufacturer_id
    return _joined(
        " ".join(one for one in (maker, display.model) if one) or display.connector, inches, pixels
    )


def _battery(battery: Battery) -> str:
    wear = (
        _("{number} % worn").format(number=round(battery.wear_percent))
        if battery.wear_percent is not None
        else _("wear not known")
    )
    cycles = (
        ngettext("{number} cycle", "{number} cycles", battery.cycles).format(number=battery.cycles)
        if battery.cycles is not None
        else None
    )
    full = battery.full_mwh or battery.design_mwh
    capacity = f"{round(full / 1000)} Wh" if full is not None else None
    return _joined(" ".join(one for one in (battery.manufacturer, battery.model) if one) or battery.name,
                   capacity, wear, cycles)  # fmt: skip


def _network(port: NetworkPort) -> str:
    link = {True: _("linked"), False: _("no link"), None: None}[port.link]
    speed = f"{port.speed_mbps} Mbit/s" if port.speed_mbps is not None else None
    return _joined(port.name, _product(port.product), port.mac, link, speed)
