"""Drives that QEMU emulates, as arguments for its command line. Each is backed by a raw file of the host.

Sizes are those of the files; make them with :func:`blank`. What each emulated drive can and cannot do:
no Sanitize anywhere; NVMe has Format NVM, SATA has neither SECURITY nor SANITIZE, SCSI has UNMAP and
WRITE SAME only.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

_MIB = 1 << 20


def blank(path: Path, mib: int) -> Path:
    """Make a sparse file of zeros."""
    with path.open("wb") as file:
        file.truncate(mib * _MIB)
    return path


class Attached(Protocol):
    """Something plugged into a machine."""

    def arguments(self, name: str) -> list[str]:
        """Command line arguments; ``name`` is unique in the machine and becomes the QMP device id."""
        ...


def _device(properties: dict[str, Any]) -> list[str]:
    """A device for the command line; QMP's device_add takes ``properties`` as they are."""
    words = {True: "on", False: "off"}
    parts = (
        f"{key}={words[value] if isinstance(value, bool) else value}" for key, value in properties.items()
    )
    return ["-device", ",".join(parts)]


def _backing(name: str, file: Path, *, read_only: bool = False, writes: int = 0) -> list[str]:
    options = f"if=none,id={name}-file,file={file},format=raw,file.locking=off,discard=unmap"
    options += ",readonly=on" if read_only else ""
    return ["-drive", options + (f",throttling.bps-write={writes}" if writes else "")]


@dataclass(frozen=True)
class SataDisk:
    """ide-hd on an AHCI controller of its own."""

    file: Path
    serial: str
    solid_state: bool = False

    def arguments(self, name: str) -> list[str]:
        rate = ",rotation_rate=1" if self.solid_state else ",rotation_rate=7200"
        device = f"ide-hd,id={name},drive={name}-file,bus={name}-ahci.0,serial={self.serial}{rate}"
        return ["-device", f"ich9-ahci,id={name}-ahci", *_backing(name, self.file), "-device", device]


@dataclass(frozen=True)
class IdeDisk:
    """A drive on the machine's own controller: IDE, or AHCI where the chipset has that. One in a machine."""

    file: Path
    serial: str

    def arguments(self, name: str) -> list[str]:
        device = f"ide-hd,id={name},drive={name}-file,bus=ide.0,serial={self.serial}"
        return [*_backing(name, self.file), "-device", device]


@dataclass(frozen=True)
class NvmeDrive:
    """One NVMe subsystem with one controller and a namespace for each file."""

    files: tuple[Path, ...]
    serial: str

    def arguments(self, name: str) -> list[str]:
        made = ["-device", f"nvme-subsys,id={name}-subsystem,nqn=subsystem-{name}"]
        made += ["-device", f"nvme,id={name},serial={self.serial},subsys={name}-subsystem"]
        for nsid, file in enumerate(self.files, 1):
            part = f"{name}-{nsid}"
            made += _backing(part, file)
            made += ["-device", f"nvme-ns,drive={part}-file,bus={name},nsid={nsid},shared=on"]
        return made


@dataclass(frozen=True)
class ScsiDisk:
    """scsi-hd on a controller of its own: virtio-scsi-pci, megasas-gen2 or mptsas1068.

    ``writes`` is how many bytes it takes in a second, 0 for as many as there are. Behind virtio-scsi-pci
    it can be unplugged, and be ``absent`` at first: ``Machine.plug_in`` plugs it in.
    """

    file: Path
    serial: str
    writes: int = 0
    absent: bool = False
    controller: str = "virtio-scsi-pci"
    wwn: int = 0x5000C50015EA71AD

    def arguments(self, name: str) -> list[str]:
        made = [
            "-device",
            f"{self.controller},id={name}-host",
            *_backing(name, self.file, writes=self.writes),
        ]
        return made if self.absent else [*made, *_device(self.device(name))]

    def device(self, name: str) -> dict[str, Any]:
        """The device itself; the first property is its driver."""
        return {
            "driver": "scsi-hd",
            "id": name,
            "drive": f"{name}-file",
            "bus": f"{name}-host.0",
            "serial": self.serial,
            "wwn": self.wwn,
        }


@dataclass(frozen=True)
class UsbDisk:
    """usb-storage (or usb-uas behind it) on an xHCI controller of its own."""

    file: Path
    serial: str
    bootindex: int | None = None

    def arguments(self, name: str) -> list[str]:
        device = self.device(name)
        if self.bootindex is not None:
            device["bootindex"] = self.bootindex
        return ["-device", f"qemu-xhci,id={name}-xhci", *_backing(name, self.file), *_device(device)]

    def device(self, name: str) -> dict[str, Any]:
        """The device itself; the first property is its driver."""
        return {
            "driver": "usb-storage",
            "id": name,
            "drive": f"{name}-file",
            "bus": f"{name}-xhci.0",
            "serial": self.serial,
            "removable": True,
        }


@dataclass(frozen=True)
class SdCard:
    """A memory card in an SDHCI reader; its size must be a power of two. One in a machine."""

    file: Path

    def arguments(self, name: str) -> list[str]:
        card = f"sd-card,id={name},drive={name}-file"
        return ["-device", f"sdhci-pci,id={name}-reader", *_backing(name, self.file), "-device", card]


@dataclass(frozen=True)
class VirtioDisk:
    """virtio-blk: /dev/vda and so on. Its serial is at most 20 characters."""

    file: Path
    serial: str

    def arguments(self, name: str) -> list[str]:
        device = f"virtio-blk-pci,id={name},drive={name}-file,serial={self.serial}"
        return [*_backing(name, self.file), "-device", device]


@dataclass(frozen=True)
class CdRom:
    """A disc in a drive on the machine's own controller, AHCI or IDE."""

    file: Path
    bootindex: int | None = None
    bus: str = "ide.2"

    def arguments(self, name: str) -> list[str]:
        device = f"ide-cd,id={name},drive={name}-file,bus={self.bus}"
        device += f",bootindex={self.bootindex}" if self.bootindex is not None else ""
        return [*_backing(name, self.file, read_only=True), "-device", device]


@dataclass(frozen=True)
class Nic:
    """A wired port. ``backend`` is a -netdev without its id, such as "user" or "tap,ifname=t0,script=no"."""

    backend: str = "user,restrict=off"
    mac: str = "52:54:00:12:34:56"
    model: str = "virtio-net-pci"
    bootindex: int | None = None

    def arguments(self, name: str) -> list[str]:
        device = f"{self.model},id={name},netdev={name}-net,mac={self.mac}"
        device += f",bootindex={self.bootindex}" if self.bootindex is not None else ""
        backend, _, options = self.backend.partition(",")
        return ["-netdev", f"{backend},id={name}-net" + (f",{options}" if options else ""), "-device", device]
