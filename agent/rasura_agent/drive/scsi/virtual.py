"""Recognising what only looks like a drive: volumes of RAID controllers and arrays, disks of hypervisors.

By the vendor and product of standard INQUIRY data. A volume is never a drive: what a command on it
does to the drives behind it, nobody can tell. A drive that a controller passes on as it is ("HBA
mode", "JBOD") shows its maker's own names and is not meant here.
"""

from __future__ import annotations

import re
from enum import StrEnum

import msgspec

__all__ = ["VirtualDisk", "VirtualKind", "virtual_disk"]


class VirtualKind(StrEnum):
    """What stands between us and the drives."""

    RAID_CONTROLLER = "raid-controller"
    STORAGE_ARRAY = "storage-array"
    HYPERVISOR = "hypervisor"


class VirtualDisk(msgspec.Struct, frozen=True):
    """A disk that is made of others. ``maker`` is for people: whose controller, array or hypervisor."""

    kind: VirtualKind
    maker: str


_RAID, _ARRAY, _VM = VirtualKind.RAID_CONTROLLER, VirtualKind.STORAGE_ARRAY, VirtualKind.HYPERVISOR

# Vendor, product, both matched from their beginning and without regard to case; the first that fits.
# Vendors with an empty product make no drives: every disk by that name is one of their volumes.
# The forms are those of /proc/scsi/scsi and lsscsi listings, and of the kernel's drivers.
_KNOWN: tuple[tuple[str, str, VirtualKind, str], ...] = (
    ("LSI(LOGIC)?$", "", _RAID, "LSI"),
    ("AVAGO$|BROADCOM$", "", _RAID, "Broadcom MegaRAID"),
    ("MegaRAID", "", _RAID, "LSI MegaRAID"),
    ("DELL$", r"PERC|VIRTUAL DISK|BOSS|RAID|CERC", _RAID, "Dell PERC"),
    ("DELLBOSS$", "", _RAID, "Dell BOSS"),
    ("(HPE?|COMPAQ)$", "LOGICAL VOLUME", _RAID, "HP Smart Array"),
    ("Adaptec$|ASR|ICP$|MSCC$|PM8", "", _RAID, "Adaptec"),
    ("Areca$", "", _RAID, "Areca"),
    ("(AMCC|3ware)$", "", _RAID, "3ware"),
    ("IBM$", "SERVERAID", _RAID, "IBM ServeRAID"),
    ("Lenovo$", "RAID|ServeRAID", _RAID, "Lenovo RAID"),
    ("INTEL$", r"RMS|RS\d|RMT|SROM|RAID", _RAID, "Intel RAID"),
    ("CISCO$", "UCS", _RAID, "Cisco UCS RAID"),
    ("(FTS|FUJITSU)$", "P?RAID", _RAID, "Fujitsu PRAID"),
    ("(SMC|SUPERMICR?O?)$", r"SMC\d|AOC", _RAID, "Supermicro RAID"),
    ("Promise$", "", _RAID, "Promise"),
    ("HPT$", "", _RAID, "HighPoint"),
    ("MARVELL$", "RAID", _RAID, "Marvell RAID"),
    ("JMicron$", "(H/W )?RAID", _RAID, "JMicron RAID"),
    ("(DGC|EMC)$", "", _ARRAY, "EMC"),
    ("NETAPP$", "LUN|INF", _ARRAY, "NetApp"),
    ("IBM$", r"(2107|2145|1750|FlashSystem|1724|1814|1818|2810XIV)", _ARRAY, "IBM"),
    ("DELL$", r"MD3|MD4|ME4|ME5|Universal Xport", _ARRAY, "Dell PowerVault"),
    ("LENOVO$", "DE_Series|LIFELINE", _ARRAY, "Lenovo"),
    ("(HPE?)$", r"HSV|P2000|MSA|OPEN", _ARRAY, "HP"),
    ("HITACHI$", "OPEN-|DF", _ARRAY, "Hitachi"),
    ("(3PARdata|PURE|Nimble|COMPELNT|EQLOGIC|TEGILE|INFINIDAT)$", "", _ARRAY, "a storage array"),
    ("(LIO-ORG|IET|FreeNAS|TrueNAS|SYNOLOGY|QNAP|SCST_.*|OPNFILER)$", "", _ARRAY, "an iSCSI target"),
    ("(QEMU|VMware|Msft|VBOX|XENSRC|Google|NUTANIX)", "", _VM, "a hypervisor"),
)
_ANY_VENDOR = re.compile(
    r".*(LOGICAL VOLUME|LOGICAL DISK|VIRTUAL[ -]?DISK|VIRTUAL VOLUME|MEGARAID|\bRAID ?\d{1,2}\b|\bVRAID\b)",
    re.IGNORECASE,
)
_COMPILED = tuple(
    (re.compile(vendor, re.IGNORECASE), re.compile(product, re.IGNORECASE), VirtualDisk(kind, maker))
    for vendor, product, kind, maker in _KNOWN
)


def virtual_disk(vendor: str | None, product: str | None) -> VirtualDisk | None:
    """What disk by these INQUIRY names is no drive but made of others; ``None`` for a drive, as far as known.

    Total; names are without padding. It knows the common makers, not all: ``None`` is no proof.
    """
    by, name = (vendor or "").strip(), (product or "").strip()
    for vendors, products, disk in _COMPILED:
        if vendors.match(by) and products.match(name):
            return disk
    return VirtualDisk(_RAID, by or "an unknown maker") if _ANY_VENDOR.match(name) else None
