"""How a block device is attached, read off its place in the kernel's device tree; pure."""

from __future__ import annotations

import re
from collections.abc import Mapping

from rasura_agent.inventory.model import Transport
from rasura_agent.inventory.pages import AtaIdentify

__all__ = ["transport_of"]

_USB_BUS = re.compile(r"usb\d+")
_ATA_PORT = re.compile(r"ata\d+|ide\d+")
_ISCSI_SESSION = re.compile(r"session\d+")
_FC_REMOTE_PORT = re.compile(r"rport-[\d:-]+")
_SAS_END_DEVICE = re.compile(r"end_device-[\d:]+")
_SCSI_HOST = re.compile(r"host\d+")
_VIRTIO_DEVICE = re.compile(r"virtio\d+")


def transport_of(
    name: str,
    devpath: str,
    attributes: Mapping[str, bytes | str],
    properties: Mapping[str, str],
    identify: AtaIdentify | None,
) -> Transport | None:
    """The transport of block device ``name`` at ``devpath`` (below ``/sys``); ``None`` if it is none we name.

    USB anywhere on the way wins over the SCSI or ATA that is spoken through it. A SATA drive on a SAS
    controller is attached by SAS. An ATA port is SATA only where the drive or udev says so: old kernels
    and old hosts run parallel drives by the same driver.
    """
    parts = devpath.split("/")

    def passes(pattern: re.Pattern[str]) -> bool:
        return any(pattern.fullmatch(part) for part in parts)

    serial_ata = (identify is not None and identify.serial_ata) or properties.get("ID_ATA_SATA") == "1"
    ladder = (
        (name.startswith("loop"), Transport.LOOP),
        (name.startswith("nvme"), Transport.NVME),
        (name.startswith("mmcblk"), Transport.MMC),
        (passes(_USB_BUS), Transport.USB),
        (len(parts) >= 3 and bool(_VIRTIO_DEVICE.fullmatch(parts[-3])), Transport.VIRTIO),
        (passes(_ATA_PORT), Transport.SATA if serial_ata else Transport.ATA),
        (passes(_ISCSI_SESSION), Transport.ISCSI),
        (passes(_FC_REMOTE_PORT), Transport.FC),
        (passes(_SAS_END_DEVICE) or "device/sas_address" in attributes, Transport.SAS),
        (passes(_SCSI_HOST), Transport.SCSI),
    )
    return next((transport for applies, transport in ladder if applies), None)
