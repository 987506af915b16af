"""The inventory as GLPI takes it in: a document of glpi-project/inventory_format.

Tests validate it against the published schema. Unknown is left out, as that format has no ``null``.
"""

from __future__ import annotations

import hashlib
import uuid
from typing import Any

from rasura import __version__
from rasura_agent.export.document import Inventoried
from rasura_agent.inventory.machine_model import (
    Battery,
    Display,
    Machine,
    MemoryModule,
    NetworkPort,
    Processor,
    Product,
    StorageController,
)
from rasura_agent.inventory.model import Drive, Transport

__all__ = ["glpi_document"]

_MEBI = 1 << 20
_MEGA = 10**6
_INTERFACES = {
    Transport.ATA: "IDE",
    Transport.SATA: "SATA",
    Transport.SCSI: "SCSI",
    Transport.SAS: "SAS",
    Transport.FC: "FC",
    Transport.ISCSI: "iSCSI",
    Transport.NVME: "NVME",
    Transport.USB: "USB",
    Transport.MMC: "MMC",
    Transport.VIRTIO: "virtio",
}


def glpi_document(found: Inventoried) -> dict[str, Any]:
    """The document as JSON values."""
    machine = found.machine
    content: dict[str, Any] = {
        "versionclient": f"Rasura-Agent_v{__version__}",
        "hardware": _known(
            name=machine.system.serial or machine.system.uuid,
            uuid=machine.system.uuid,
            chassis_type=machine.chassis.type,
            memory=_units(machine.memory.installed_bytes or machine.memory.usable_bytes, _MEBI),
        ),
        "bios": _bios(machine),
        "cpus": [_cpu(one) for one in machine.processors],
        "memories": [_memory(place, one) for place, one in enumerate(machine.memory.modules, 1)],
        "storages": [_storage(one) for one in found.drives]
        + [_known(name=one.path, type="CD/DVD", manufacturer=one.manufacturer, model=one.model,
                  firmware=one.firmware, serial=one.serial) for one in machine.optical],
        "batteries": [_battery(one) for one in machine.batteries],
        "monitors": [_monitor(one) for one in machine.displays],
        "networks": [_network(one) for one in machine.network],
        "videos": [
            _known(name=_title(one.product), chipset=one.product.model, pcislot=_slot(one.address))
            for one in machine.gpus
        ],
        "sounds": [
            _known(name=one.name or _title(one.product), manufacturer=one.product.manufacturer)
            for one in machine.audio
        ],
        "controllers": [_controller(one) for one in machine.controllers],
        "cameras": [
            _known(designation=one.name, manufacturer=one.product.manufacturer, model=one.product.model)
            for one in machine.webcams
        ],
        "slots": [
            _known(
                name=one.name,
                description=one.type,
                status={True: "used", False: "free", None: None}[one.in_use],
            )
            for one in machine.slots
        ],
        "powersupplies": [
            _known(
                name=one.name, location=one.location, manufacturer=one.manufacturer, partnum=one.part_number,
                serialnumber=one.serial, power_max=one.watts, plugged=one.plugged,
            )
            for one in machine.power_supplies
        ],
    }  # fmt: skip
    return {
        "deviceid": _device_id(machine, found.drives),
        "itemtype": "Computer",
        "action": "inventory",
        "content": {key: value for key, value in content.items() if value},
    }


def _known(**values: Any) -> dict[str, Any]:
    return {key: value for key, value in values.items() if value is not None}


def _units(count: int | None, unit: int) -> int | None:
    return None if count is None else round(count / unit)


def _device_id(machine: Machine, drives: tuple[Drive, ...]) -> str:
    """The same for one machine at every inventory, and another for every other.

    Where the firmware gives neither UUID nor serial number, the addresses of its network ports and its
    drives tell it apart.
    """
    system = machine.system
    told = system.uuid or system.serial
    if told is None:
        parts = sorted(port.mac for port in machine.network if port.mac)
        parts = parts or sorted(drive.identity_sha256 for drive in drives)
        told = hashlib.sha256("\n".join(parts).encode()).hexdigest()
    return f"rasura-{uuid.uuid5(uuid.NAMESPACE_OID, told)}"


def _bios(machine: Machine) -> dict[str, Any]:
    firmware, system, board = machine.firmware, machine.system, machine.board
    return _known(
        assettag=machine.chassis.asset_tag,
        bdate=firmware.date,
        bmanufacturer=firmware.vendor,
        bversion=firmware.version,
        mmanufacturer=board.manufacturer,
        mmodel=board.model,
        msn=board.serial,
        skunumber=system.sku,
        smanufacturer=system.manufacturer,
        smodel=system.model,
        ssn=system.serial,
        enclosureserial=machine.chassis.serial,
        secure_boot={True: "enabled", False: "disabled", None: None}[firmware.secure_boot],
    )


def _cpu(one: Processor) -> dict[str, Any]:
    per_core = one.threads // one.cores if one.threads and one.cores else None
    return _known(
        name=one.model,
        manufacturer=one.manufacturer,
        core=one.cores,
        thread=per_core,
        speed=one.max_mhz,
        familynumber=None if one.family_number is None else str(one.family_number),
        model=None if one.model_number is None else str(one.model_number),
        stepping=one.stepping,
        arch="x86_64",
    )


def _memory(place: int, one: MemoryModule) -> dict[str, Any]:
    return _known(
        capacity=_units(one.size_bytes, _MEBI),
        caption=one.slot,
        description=one.form_factor,
        manufacturer=one.manufacturer,
        model=one.part_number,
        numslots=place,
        serialnumber=one.serial,
        speed=None if one.speed_mts is None else str(one.speed_mts),
        type=one.type,
    )


def _storage(one: Drive) -> dict[str, Any]:
    return _known(
        name=one.path.rpartition("/")[2],
        description=None if one.transport is None else _INTERFACES.get(one.transport),
        disksize=_units(one.capacity_bytes, _MEGA),
        firmware=one.firmware,
        interface=None if one.transport is None else _INTERFACES.get(one.transport),
        manufacturer=one.manufacturer,
        model=one.model,
        serial=one.serial,
        type="disk",
        wwn=one.wwn,
    )


def _battery(one: Battery) -> dict[str, Any]:
    return _known(
        name=one.model or one.name,
        manufacturer=one.manufacturer,
        serial=one.serial,
        chemistry=one.chemistry,
        capacity=one.design_mwh,
        real_capacity=one.full_mwh,
        voltage=one.voltage_mv,
    )


def _monitor(one: Display) -> dict[str, Any]:
    return _known(
        caption=one.model,
        description=None if one.year is None else str(one.year),
        manufacturer=one.manufacturer or one.manufacturer_id,
        serial=one.serial,
        port=one.connector,
        name=one.model,
    )


def _network(one: NetworkPort) -> dict[str, Any]:
    return _known(
        description=one.name,
        mac=one.mac,
        type="wifi" if one.wireless else "ethernet",
        status={True: "up", False: "down", None: None}[one.link],
        speed=None if one.speed_mbps is None else str(one.speed_mbps),
        manufacturer=one.product.manufacturer,
        model=one.product.model,
        driver=one.driver,
        virtualdev=False,
    )


def _controller(one: StorageController) -> dict[str, Any]:
    return _known(
        caption=one.product.model,
        driver=one.driver,
        manufacturer=one.product.manufacturer,
        name=_title(one.product),
        pcislot=_slot(one.address),
        productid=one.product.product_id,
        vendorid=one.product.vendor_id,
        type=str(one.mode),
    )


def _title(product: Product) -> str | None:
    return product.model or product.manufacturer


def _slot(address: str) -> str:
    """As lspci shows it: without the domain where that is the first."""
    return address.removeprefix("0000:")
