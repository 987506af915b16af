"""Machines of the workbench: guests whose hardware is varied as that of collected machines is.

Each is the arguments of a :class:`lab.machine.Machine` around the built image. QEMU sets no chassis type and
knows no battery: a structure of the SMBIOS table and an ACPI table bring them.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

from lab.attached import CdRom, Nic, NvmeDrive, SataDisk, SdCard, UsbDisk, VirtioDisk, blank
from lab.machine import Firmware

__all__ = ["WORKBENCH"]

_BATTERY = Path(__file__).parent / "hardware/battery.aml"
_NOTEBOOK, _RACK = 10, 23
"""Chassis types (DSP0134 clause 7.4.1)."""
_AMI_UUID = "03000200-0400-0500-0006-000700080009"
"""What American Megatrends' firmware has until a maker sets another."""


def chassis(path: Path, kind: int, maker: str, serial: str, tag: str) -> Path:
    """A structure of type 3 for ``-smbios file=`` (DSP0134 clause 7.4, version 2.7); no text may be empty."""
    texts = (maker, "1.0", serial, tag)
    fixed = struct.pack("<BBHBBBBBBBBBIBBBBB", 3, 22, 0x0300, 1, kind, 2, 3, 4, 3, 3, 3, 3, 0, 0, 1, 0, 0, 0)
    path.write_bytes(fixed + b"".join(one.encode() + b"\0" for one in texts) + b"\0")
    return path


def _system(maker: str, product: str, version: str, serial: str, uuid: str) -> list[str]:
    words = f"type=1,manufacturer={maker},product={product},version={version},serial={serial},uuid={uuid}"
    return ["-smbios", words]


def laptop(folder: Path) -> dict[str, Any]:
    """A laptop: NVMe, an SD card, battery and mains, a screen with an EDID, sound, UEFI with Secure Boot."""
    case = chassis(folder / "chassis.bin", _NOTEBOOK, "Rasura Lab", "LAB-LAPTOP-C1", "ASSET-0042")
    uuid = "6d5a2f10-43c1-4c8e-9b7a-0d5e8f1c2b3a"
    return {
        "firmware": Firmware.SECURE_BOOT,
        "attached": {
            "nvme": NvmeDrive((blank(folder / "nvme.img", 64),), "LABNVME00017"),
            "card": SdCard(blank(folder / "card.img", 32)),
            "nic": Nic(model="e1000e", mac="52:54:00:aa:bb:01"),
        },
        "extra": [
            *_system("Rasura Lab", "Notebook 14", "G3", "LAB-LAPTOP-01", uuid),
            *("-smbios", "type=2,manufacturer=Rasura Lab,product=NB14-MB,version=A1,serial=LAB-MB-77"),
            *(
                "-smbios",
                f"file={case}",
                "-smbios",
                "type=17,manufacturer=LabMem,part=LM4-2666,serial=00C0FFEE",
            ),
            *(
                "-audiodev",
                "none,id=off",
                "-acpitable",
                f"file={_BATTERY}",
                "-device",
                "ich9-intel-hda",
                "-device",
                "hda-duplex,audiodev=off",
            ),
        ],
    }


def server(folder: Path) -> dict[str, Any]:
    """A server: two sockets, a MegaRAID controller and an older SAS HBA with drives, two network ports."""
    case = chassis(folder / "chassis.bin", _RACK, "Rasura Lab", "LAB-SERVER-C1", "ASSET-0007")
    made = ["-device", "megasas-gen2,id=raid", "-device", "mptsas1068,id=hba"]
    for bus, number in (("raid", 0), ("raid", 1), ("hba", 0), ("hba", 1)):
        name = f"{bus}{number}"
        file = blank(folder / f"{name}.img", 32)
        wwn = 0x5000C50012340000 + len(made)
        made += ["-drive", f"if=none,id={name}-file,file={file},format=raw,file.locking=off"]
        device = f"scsi-hd,drive={name}-file,bus={bus}.0,scsi-id={number},serial=LABSAS{name.upper()}"
        made += ["-device", f"{device},wwn={wwn},vendor=RASURA,product=SAS 15K LAB,rotation_rate=15000"]
    uuid = "1b4e28ba-2fa1-41d2-883f-0016d3cca427"
    return {
        "firmware": Firmware.UEFI,
        "cpus": 4,
        "attached": {"nic": Nic(mac="52:54:00:aa:bb:02")},
        "extra": [
            *("-smp", "4,sockets=2,cores=2,threads=1", *made),
            *_system("Rasura Lab", "Rack 2U", "1.0", "LAB-SERVER-01", uuid),
            *("-smbios", f"file={case}"),
            *("-smbios", "type=17,manufacturer=LabMem,part=LM4-REG,serial=0BADF00D,asset=Default string"),
            *("-netdev", "user,id=second", "-device", "e1000,netdev=second,mac=52:54:00:aa:bb:03"),
        ],
    }


def tower(folder: Path) -> dict[str, Any]:
    """A desktop whose maker filled in nothing: SATA, USB and virtio drives, an optical drive, BIOS."""
    filler = "To Be Filled By O.E.M."
    return {
        "attached": {
            "disk": SataDisk(blank(folder / "disk.img", 64), "LAB-SATA-HDD"),
            "ssd": SataDisk(blank(folder / "ssd.img", 32), "LAB-SATA-SSD", solid_state=True),
            "stick": UsbDisk(blank(folder / "stick.img", 16), "LABUSB0001"),
            "virtio": VirtioDisk(blank(folder / "virtio.img", 16), "LAB-VIRTIO"),
            "disc": CdRom(blank(folder / "disc.img", 1)),
            "nic": Nic(mac="52:54:00:aa:bb:04"),
        },
        "extra": [
            *_system(
                filler,
                filler,
                "System Version",
                "System Serial Number",
                "03000200-0400-0500-0006-000700080009",
            ),
            *("-smbios", "type=2,manufacturer=Rasura Lab,product=Z1-MB,serial=Default string"),
            *("-smbios", f"type=3,manufacturer={filler},serial={filler},asset=Default string"),
            *("-device", "qemu-xhci,id=usb", "-audiodev", "none,id=off"),
            *("-device", "usb-audio,bus=usb.0,audiodev=off"),
        ],
    }


WORKBENCH: dict[str, Callable[[Path], dict[str, Any]]] = {"laptop": laptop, "server": server, "tower": tower}
"""By name; each takes a folder for its files."""
