"""Where drives are plugged in: bays of enclosures, SAS controllers' bay numbers, PCI hot-plug slots."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Mapping

from rasura_agent.inventory.attributes import kernel_node
from rasura_agent.inventory.buses import pci_address
from rasura_agent.inventory.machine_model import Bay
from rasura_agent.inventory.ports import SystemFiles
from rasura_agent.inventory.sysfs import children, number, place_of, word

__all__ = ["bays"]

_END_DEVICE = re.compile(r"end_device-[\d:]+")
_DRIVE_SLOTS = frozenset({"device", "array device"})
"""Types of enclosure components that hold drives (drivers/misc/enclosure.c)."""
_EMPTY = frozenset({"not installed"})
_PCI = "pci"


def bays(files: SystemFiles) -> tuple[Bay, ...]:
    """The bays that anybody knows of, those of one enclosure in the order of their numbers."""
    disks = [_disk(files, name) for name in children(files, "/sys/block") or ()]
    places = dict(disk for disk in disks if disk is not None)
    found = _enclosures(files, places)
    known = {bay.drive for bay in found.values() if bay.drive is not None}
    for place, node in places.items():
        if node not in known and (bay := _sas_bay(files, place, node)) is not None:
            found.setdefault((bay.enclosure, bay.slot), bay)
    found |= _pci_slots(files, places)
    return tuple(sorted(found.values(), key=lambda bay: (bay.enclosure, _natural(bay.slot))))


def _disk(files: SystemFiles, name: str) -> tuple[str, str] | None:
    """Folder and node of a disk that is a thing."""
    place = place_of(files, f"/sys/block/{name}")
    if place is None or "/devices/virtual/" in place:
        return None
    return place, kernel_node(files, place, name)


def _enclosures(files: SystemFiles, places: Mapping[str, str]) -> dict[tuple[str, str], Bay]:
    """SCSI Enclosure Services, through the kernel's ses driver."""
    found = {}
    for enclosure in children(files, "/sys/class/enclosure") or ():
        folder = f"/sys/class/enclosure/{enclosure}"
        device = place_of(files, f"{folder}/device")
        words = [word(files, f"{device}/{key}") for key in ("vendor", "model")] if device is not None else []
        title = " ".join([*filter(None, words), enclosure])
        for component in children(files, folder) or ():
            if word(files, f"{folder}/{component}/type") not in _DRIVE_SLOTS:
                continue
            slot = word(files, f"{folder}/{component}/slot") or component
            inside = place_of(files, f"{folder}/{component}/device")
            drive = next(
                (places[place] for place in places if inside and place.startswith(f"{inside}/")), None
            )
            status = (word(files, f"{folder}/{component}/status") or "").lower()
            occupied = True if drive is not None else False if status in _EMPTY else None
            found[title, slot] = Bay(title, slot, drive, occupied)
    return found


def _sas_bay(files: SystemFiles, place: str, node: str) -> Bay | None:
    """What a SAS controller says of its end devices (drivers/scsi/scsi_transport_sas.c)."""
    end = next((part for part in place.split("/") if _END_DEVICE.fullmatch(part)), None)
    if end is None:
        return None
    folder = f"/sys/class/sas_device/{end}"
    bay, enclosure = number(files, f"{folder}/bay_identifier"), word(files, f"{folder}/enclosure_identifier")
    if bay is None or enclosure is None or not enclosure.strip("0x"):
        return None
    return Bay(enclosure, str(bay), node, occupied=True)


def _pci_slots(files: SystemFiles, places: Mapping[str, str]) -> dict[tuple[str, str], Bay]:
    """Slots with an NVMe drive in them; empty ones may be for any card."""
    slots = {
        address: slot
        for slot in children(files, "/sys/bus/pci/slots") or ()
        if (address := word(files, f"/sys/bus/pci/slots/{slot}/address"))
    }
    found = {}
    for place, node in places.items():
        address = pci_address(place) if posixpath.basename(place).startswith("nvme") else None
        slot = slots.get(address.rpartition(".")[0]) if address is not None else None
        if slot is not None:
            found[_PCI, slot] = Bay(_PCI, slot, node, occupied=True)
    return found


def _natural(slot: str) -> str:
    return re.sub(r"\d+", lambda match: match[0].zfill(8), slot)
