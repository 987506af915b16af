"""From what udev and sysfs say about a block device to a frozen ``Drive``; pure.

Attributes are keyed by their path below the block device's folder in sysfs (``device/model``,
``queue/rotational``), and by ``usb/serial`` for the serial number of the USB device it hangs on.

Where several sources tell the same thing the drive's own pages win over udev, and udev wins over the
texts of the SCSI layer, which cuts names after 16 characters. The identity pages come from sysfs alone,
so that they are the same whether udev runs or not.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping

import msgspec
from msgspec.structs import replace

from rasura_agent.inventory import pages
from rasura_agent.inventory.model import Drive, IdentityPage, Transport
from rasura_agent.inventory.text import identifier, text, udev_decoded, world_wide_name
from rasura_agent.inventory.transport import transport_of

__all__ = ["SECTOR_BYTES", "describe", "device_numbers", "facts_page"]

SECTOR_BYTES = 512
"""The unit of ``size`` in sysfs, whatever the drive's sectors are (kernel ABI, ``sysfs-block``)."""

_NO_MANUFACTURERS = frozenset({"ATA", "USB", "Generic"})
"""INQUIRY vendors that name a protocol or nobody instead of a company ("ATA": SAT-4 clause 8.2)."""

_DECIMAL = re.compile(r"[0-9]{1,19}")
_NUMBER_PAIR = re.compile(r"([0-9]{1,9}):([0-9]{1,9})")

_OWN_MOTION = frozenset({Transport.NVME, Transport.MMC})
_DIRECT = frozenset({Transport.ATA, Transport.SATA, Transport.SAS})
_THROUGH_SCSI = _DIRECT | {Transport.SCSI, Transport.FC, Transport.ISCSI, Transport.USB}


def facts_page(name: str, drive: Drive) -> IdentityPage:
    """Page ``name``: what identifies ``drive``, as canonical JSON (sorted keys, no spaces, UTF-8).

    It holds nothing that changes with the slot, the kernel's name or the boot.
    """
    facts = {
        "manufacturer": drive.manufacturer,
        "model": drive.model,
        "serial": drive.serial,
        "wwn": drive.wwn,
        "firmware": drive.firmware,
        "capacity_bytes": drive.capacity_bytes,
        "logical_sector_bytes": drive.logical_sector_bytes,
    }
    data = json.dumps(facts, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return IdentityPage(name, data.encode())


def describe(
    name: str,
    properties: Mapping[str, str],
    attributes: Mapping[str, bytes | str],
    *,
    devpath: str | None = None,
    path: str | None = None,
) -> Drive:
    """Describe block device ``name`` (the kernel's, with ``!`` for ``/``).

    Args:
        name: such as ``sda``.
        properties: udev's, empty where it does not run.
        attributes: see the module.
        devpath: its place below ``/sys``; udev's ``DEVPATH`` if not given.
        path: its device node; from ``name`` if not given.

    Nothing here raises: what is absent, empty or a placeholder is ``None``. Sector sizes that the kernel
    does not tell are taken for 512 bytes, its own default; a size it does not tell is a capacity of 0,
    which the guard refuses.
    """
    place = properties.get("DEVPATH", "") if devpath is None else devpath
    node = path or "/dev/" + name.replace("!", "/")
    drive = _Sources(name, place, properties, attributes).drive(node)
    if drive.transport in _THROUGH_SCSI:
        own = _own_pages(attributes)
        if own.identify_alone:
            return replace(drive, identity_pages=own.pages)
    else:
        own = _OwnPages((), identify_alone=False)
    bare = _Sources(name, place, {}, attributes).drive(node)
    return replace(drive, identity_pages=(*own.pages, facts_page("sysfs-identity", bare)))


def device_numbers(attributes: Mapping[str, bytes | str]) -> tuple[tuple[int, int] | None, int | None]:
    """Major and minor number of a block device, and its sequence number, as far as sysfs tells them."""
    own = _Sources("", "", {}, attributes)
    return own.device_number(), own.number("diskseq")


class _OwnPages(msgspec.Struct, frozen=True):
    pages: tuple[IdentityPage, ...]
    identify_alone: bool
    """They name this one drive; INQUIRY data alone only names its model."""


def _own_pages(attributes: Mapping[str, bytes | str]) -> _OwnPages:
    inquiry = _raw(attributes, "device/inquiry")
    serial_page = _raw(attributes, "device/vpd_pg80")
    names_page = pages.without_ports(_raw(attributes, "device/vpd_pg83"))
    found = {
        "inquiry": None if inquiry is None else pages.inquiry_without_port(inquiry),
        "vpd_pg80": serial_page,
        "vpd_pg83": names_page,
    }
    return _OwnPages(
        tuple(IdentityPage(name, data) for name, data in found.items() if data),
        any((pages.unit_serial(serial_page), pages.lun_name(names_page), pages.sat_serial(names_page)[1])),
    )


def _raw(attributes: Mapping[str, bytes | str], key: str) -> bytes | None:
    value = attributes.get(key)
    return value.encode("utf-8", "surrogatepass") if isinstance(value, str) else value


class _Names(msgspec.Struct, frozen=True):
    manufacturer: str | None = None
    model: str | None = None
    serial: str | None = None
    wwn: str | None = None
    firmware: str | None = None


class _Sources(msgspec.Struct, frozen=True):
    """All that is known of one block device, and the order in which it is believed."""

    name: str
    devpath: str
    properties: Mapping[str, str]
    attributes: Mapping[str, bytes | str]

    def drive(self, path: str) -> Drive:
        """The drive, without identity pages."""
        identify = pages.ata_identify(_raw(self.attributes, "device/vpd_pg89"))
        transport = transport_of(self.name, self.devpath, self.attributes, self.properties, identify)
        names = self._scsi(transport, identify) if transport in _THROUGH_SCSI else self._other(transport)
        sectors = self.number("size") or 0
        return Drive(
            path=path,
            transport=transport,
            manufacturer=None if names.manufacturer in _NO_MANUFACTURERS else names.manufacturer,
            model=names.model,
            serial=names.serial,
            wwn=names.wwn,
            firmware=names.firmware,
            capacity_bytes=sectors * SECTOR_BYTES,
            logical_sector_bytes=self.number("queue/logical_block_size") or SECTOR_BYTES,
            physical_sector_bytes=self.number("queue/physical_block_size") or None,
            rotational=self._rotational(transport, identify),
            removable=self._flag("removable"),
            device_number=self.device_number(),
            diskseq=self.number("diskseq"),
            identity_pages=(),
        )

    def _scsi(self, transport: Transport | None, identify: pages.AtaIdentify | None) -> _Names:
        names_page = _raw(self.attributes, "device/vpd_pg83")
        sat_model, sat_serial = pages.sat_serial(names_page)
        told = identify or pages.AtaIdentify()
        bus, short = self.properties.get("ID_BUS"), identifier(self.properties.get("ID_SERIAL_SHORT"))
        # On a SCSI bus udev's ID_SERIAL_SHORT is a World Wide Name; the serial number has its own property.
        serial = (
            told.serial
            or sat_serial
            or (short if bus == "ata" else None)
            or pages.unit_serial(_raw(self.attributes, "device/vpd_pg80"))
            or identifier(self.properties.get("ID_SCSI_SERIAL"))
            or identifier(self.properties.get("SCSI_IDENT_SERIAL"))
            or (short if bus == "usb" else None)
            or (identifier(self.attributes.get("usb/serial")) if transport is Transport.USB else None)
        )
        model = (
            told.model
            or sat_model
            or self._encoded("ID_MODEL")
            or text(self.attributes.get("device/model"))
            or text(self.properties.get("ID_MODEL"))
        )
        wwn = (
            told.wwn
            or pages.lun_name(names_page)
            or world_wide_name(self.attributes.get("device/wwid"))
            or world_wide_name(self.properties.get("ID_WWN_WITH_EXTENSION"))
            or world_wide_name(self.properties.get("ID_WWN"))
        )
        firmware = (
            told.firmware
            or text(self.properties.get("ID_REVISION"))
            or text(self.attributes.get("device/rev"))
        )
        manufacturer = (
            self._encoded("ID_VENDOR")
            or text(self.attributes.get("device/vendor"))
            or text(self.properties.get("ID_VENDOR"))
        )
        return _Names(manufacturer, model, serial, wwn, firmware)

    def _other(self, transport: Transport | None) -> _Names:
        """Drives that are not behind the SCSI layer.

        ``device/vendor`` is not read here: for virtio and PCI it is the number of a bus vendor.
        """
        attribute, udev = self.attributes.get, self.properties.get
        if transport is Transport.LOOP:
            return _Names()
        if transport is Transport.VIRTIO:
            return _Names(serial=identifier(attribute("serial")) or identifier(udev("ID_SERIAL")))
        if transport is Transport.MMC:
            model = text(attribute("device/name")) or text(udev("ID_NAME"))
            serial = identifier(attribute("device/serial")) or identifier(udev("ID_SERIAL"))
            return _Names(model=model, serial=serial, firmware=identifier(attribute("device/fwrev")))
        return _Names(
            model=text(attribute("device/model")) or self._encoded("ID_MODEL") or text(udev("ID_MODEL")),
            serial=identifier(attribute("device/serial")) or identifier(udev("ID_SERIAL_SHORT")),
            wwn=self._namespace_name() or world_wide_name(udev("ID_WWN")),
            firmware=text(attribute("device/firmware_rev")) or text(udev("ID_REVISION")),
        )

    def _namespace_name(self) -> str | None:
        """The name of an NVMe namespace: NGUID before EUI-64, where an old kernel has no ``wwid``."""
        nguid = (text(self.attributes.get("nguid")) or "").replace("-", "")
        eui = (text(self.attributes.get("eui")) or "").replace(" ", "")
        return (
            world_wide_name(self.attributes.get("wwid"))
            or world_wide_name(f"eui.{nguid}")
            or world_wide_name(f"eui.{eui}")
        )

    def _rotational(self, transport: Transport | None, identify: pages.AtaIdentify | None) -> bool | None:
        """Whether anything turns, where the kernel really knows.

        NVMe and MMC drivers know. Behind the SCSI layer "0" was told by the drive, but "1" is also what
        the kernel assumes before it hears anything: it counts if the drive reported a rotation rate, and,
        where no page tells, for drives on ATA and SAS ports. USB bridges, RAID volumes and network drives
        that only have the default are unknown, and so are virtio and loop devices.
        """
        turning = self._flag("queue/rotational")
        if transport in _OWN_MOTION:
            return turning
        if transport not in _THROUGH_SCSI or turning is None:
            return None
        if not turning:
            return False
        rate = pages.rotation_rate(_raw(self.attributes, "device/vpd_pgb1"))
        if rate is None and identify is not None:
            rate = identify.rotation_rate
        if rate is not None:
            return True if rate > 1 else None
        return True if transport in _DIRECT else None

    def _encoded(self, key: str) -> str | None:
        value = self.properties.get(f"{key}_ENC")
        return None if value is None else text(udev_decoded(value))

    def number(self, key: str) -> int | None:
        """A decimal attribute."""
        match = _DECIMAL.fullmatch(text(self.attributes.get(key)) or "")
        return int(match[0]) if match else None

    def _flag(self, key: str) -> bool | None:
        return {0: False, 1: True, None: None}.get(self.number(key))

    def device_number(self) -> tuple[int, int] | None:
        """Major and minor number."""
        udev = f"{self.properties.get('MAJOR')}:{self.properties.get('MINOR')}"
        match = _NUMBER_PAIR.fullmatch(text(self.attributes.get("dev")) or udev)
        return (int(match[1]), int(match[2])) if match else None
