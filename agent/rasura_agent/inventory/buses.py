"""What is on the PCI and USB buses, by class codes: a device is met even where no driver has it.

Class codes are those of the PCI Code and ID Assignment Specification 1.15 and of the USB class list.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator, Mapping

import msgspec

from rasura_agent.inventory.firmware_text import Reading
from rasura_agent.inventory.machine_model import (
    Audio,
    Bluetooth,
    ControllerMode,
    Gpu,
    Product,
    StorageController,
    Webcam,
)
from rasura_agent.inventory.ports import Sources
from rasura_agent.inventory.sysfs import children, driver_of, place_of, word

__all__ = [
    "PciDevice",
    "UsbDevice",
    "audio",
    "bluetooth",
    "controllers",
    "gpus",
    "pci_address",
    "pci_devices",
    "usb_devices",
    "webcams",
]

_HEX_ID = re.compile(r"(?:0x)?([0-9a-fA-F]{4})")

_STORAGE, _DISPLAY, _MULTIMEDIA = 0x01, 0x03, 0x04
_SD_HOST = 0x0805
_AUDIO_DEVICES = frozenset({0x0401, 0x0403})
_MODES = {
    0x0100: ControllerMode.SCSI,
    0x0101: ControllerMode.IDE,
    0x0104: ControllerMode.RAID,
    0x0105: ControllerMode.IDE,
    0x0106: ControllerMode.AHCI,
    0x0107: ControllerMode.SAS,
    0x0108: ControllerMode.NVME,
    _SD_HOST: ControllerMode.SD,
}
"""By class and subclass."""
_INTEL = "8086"
_VMD_DEVICES = frozenset({"201d", "28c0", "467f", "4c3d", "7d0b", "9a0b", "a77f", "ad0b", "b06f", "b60b"})
"""Intel's Volume Management Devices (drivers/pci/controller/vmd.c); their class is that of RAID."""

_USB_AUDIO, _USB_VIDEO = (0x01, 0x01), (0x0E, 0x01)
"""Class and subclass of control interfaces: a device has one, and streams besides."""
_USB_BLUETOOTH = (0xE0, 0x01)


class PciDevice(msgspec.Struct, frozen=True):
    """A function of a PCI device."""

    address: str
    place: str
    class_code: int
    """Class and subclass, 16 bits."""
    product: Product
    driver: str | None


class UsbDevice(msgspec.Struct, frozen=True):
    """A USB device, and the classes of its interfaces with their drivers."""

    name: str
    product: Product
    serial: str | None
    interfaces: Mapping[tuple[int, int], str | None]


def pci_devices(sources: Sources) -> tuple[PciDevice, ...] | None:
    """All functions on all PCI buses; ``None`` where the kernel does not list them."""
    names = children(sources.files, "/sys/bus/pci/devices")
    return None if names is None else tuple(one for name in names if (one := _pci(sources, name)) is not None)


def _pci(sources: Sources, name: str) -> PciDevice | None:
    files = sources.files
    place = place_of(files, f"/sys/bus/pci/devices/{name}")
    code = word(files, f"{place}/class") if place is not None else None
    if place is None or code is None or not re.fullmatch(r"0x[0-9a-fA-F]{6}", code):
        return None
    known = sources.udev.properties_at(place)
    product = Product(
        known.get("ID_VENDOR_FROM_DATABASE") or None,
        known.get("ID_MODEL_FROM_DATABASE") or None,
        _id(word(files, f"{place}/vendor")),
        _id(word(files, f"{place}/device")),
    )
    return PciDevice(name, place, int(code, 16) >> 8, product, driver_of(files, place))


def usb_devices(sources: Sources, reading: Reading) -> tuple[UsbDevice, ...] | None:
    """All devices on all USB buses but hubs; ``None`` where the kernel does not list them."""
    names = children(sources.files, "/sys/bus/usb/devices")
    if names is None:
        return None
    return tuple(
        _usb(sources, reading, name) for name in names if ":" not in name and not name.startswith("usb")
    )


def _usb(sources: Sources, reading: Reading, name: str) -> UsbDevice:
    files = sources.files
    place = place_of(files, f"/sys/bus/usb/devices/{name}") or f"/sys/bus/usb/devices/{name}"
    known = sources.udev.properties_at(place)

    def told(attribute: str, database: str) -> str | None:
        own = reading.text(f"the {attribute} of USB device {name}", word(files, f"{place}/{attribute}"))
        return own or known.get(database)

    product = Product(
        told("manufacturer", "ID_VENDOR_FROM_DATABASE"),
        told("product", "ID_MODEL_FROM_DATABASE"),
        _id(word(files, f"{place}/idVendor")),
        _id(word(files, f"{place}/idProduct")),
    )
    interfaces = {}
    for child in children(files, place) or []:
        if child.startswith(f"{name}:"):
            kind = _byte(word(files, f"{place}/{child}/bInterfaceClass"))
            subclass = _byte(word(files, f"{place}/{child}/bInterfaceSubClass"))
            if kind is not None and subclass is not None:
                interfaces[kind, subclass] = driver_of(files, f"{place}/{child}")
    return UsbDevice(name, product, word(files, f"{place}/serial"), interfaces)


def _id(text: str | None) -> str | None:
    match = _HEX_ID.fullmatch(text or "")
    return match[1].lower() if match else None


def _byte(text: str | None) -> int | None:
    return int(text, 16) if re.fullmatch(r"[0-9a-fA-F]{2}", text or "") and text else None


def gpus(pci: tuple[PciDevice, ...]) -> tuple[Gpu, ...]:
    """Display controllers."""
    return tuple(Gpu(one.product, one.address, one.driver) for one in pci if one.class_code >> 8 == _DISPLAY)


def controllers(pci: tuple[PciDevice, ...], reading: Reading) -> tuple[StorageController, ...]:
    """Storage controllers; of those without a driver it is said that their drives are not seen."""
    found = tuple(_controllers(pci))
    for one in found:
        name = " ".join(filter(None, (one.product.manufacturer, one.product.model))) or "a storage controller"
        if one.driver is None and one.mode is ControllerMode.VMD:
            reading.note(
                f"{name} at {one.address} (Intel VMD) has no driver here: drives behind it are not seen; "
                "switch VMD off in the firmware setup"
            )
        elif one.driver is None and one.mode is not ControllerMode.SD:
            reading.note(f"{name} at {one.address} has no driver here: drives on it are not seen")
    return found


def _controllers(pci: tuple[PciDevice, ...]) -> Iterator[StorageController]:
    for one in pci:
        if one.class_code >> 8 == _STORAGE or one.class_code == _SD_HOST:
            yield StorageController(one.product, one.address, _mode(one), one.driver)


def _mode(one: PciDevice) -> ControllerMode:
    if one.driver == "vmd" or (one.product.vendor_id == _INTEL and one.product.product_id in _VMD_DEVICES):
        return ControllerMode.VMD
    return _MODES.get(one.class_code, ControllerMode.OTHER)


def bluetooth(usb: tuple[UsbDevice, ...]) -> tuple[Bluetooth, ...]:
    """Bluetooth controllers on USB, where nearly all are, those inside laptops included."""
    return tuple(
        Bluetooth(one.name, one.product, one.interfaces[_USB_BLUETOOTH])
        for one in usb
        if _USB_BLUETOOTH in one.interfaces
    )


def webcams(usb: tuple[UsbDevice, ...]) -> tuple[Webcam, ...]:
    """Cameras on USB."""
    return tuple(Webcam(one.product.model, one.product) for one in usb if _USB_VIDEO in one.interfaces)


def audio(pci: tuple[PciDevice, ...], usb: tuple[UsbDevice, ...]) -> tuple[Audio, ...]:
    """Sound cards."""
    on_board = [
        Audio(one.product.model, one.product, one.driver) for one in pci if one.class_code in _AUDIO_DEVICES
    ]
    plugged = [
        Audio(one.product.model, one.product, one.interfaces[_USB_AUDIO])
        for one in usb
        if _USB_AUDIO in one.interfaces
    ]
    return (*on_board, *plugged)


def pci_address(place: str) -> str | None:
    """The PCI function nearest above a folder of sysfs."""
    folder = place
    while folder not in {"", "/"}:
        name = posixpath.basename(folder)
        if re.fullmatch(r"[0-9a-f]{4,}:[0-9a-f]{2}:[0-9a-f]{2}\.[0-7]", name):
            return name
        folder = posixpath.dirname(folder)
    return None
