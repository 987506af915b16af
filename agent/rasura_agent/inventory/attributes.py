"""Reading what sysfs says about one block device."""

from __future__ import annotations

import posixpath
import re

from rasura_agent.inventory.ports import SystemFiles

__all__ = ["block_attributes", "kernel_node"]

_KEYS = (
    *("dev", "size", "ro", "removable", "hidden", "diskseq"),
    *("queue/logical_block_size", "queue/physical_block_size", "queue/rotational"),
    "serial",  # virtio
    *("wwid", "nsid", "nguid", "eui"),  # NVMe namespace
    *("device/model", "device/serial", "device/firmware_rev"),  # NVMe controller or subsystem; MMC serial
    *("device/name", "device/fwrev"),  # MMC
    *("device/vendor", "device/rev", "device/wwid", "device/sas_address", "device/raid_level"),  # SCSI
    *("device/inquiry", "device/vpd_pg80", "device/vpd_pg83", "device/vpd_pg89", "device/vpd_pgb1"),
    "loop/backing_file",
)
_SCSI_HOST = re.compile(r"host\d+")


def block_attributes(files: SystemFiles, place: str) -> dict[str, bytes]:
    """All attributes that ``describe`` knows of the block device whose folder is ``place``.

    Beside the device's own, ``usb/serial`` is that of the USB device it hangs on and ``host/proc_name`` the
    driver of its SCSI host. What cannot be read is absent.
    """
    found = {}
    paths = {key: f"{place}/{key}" for key in _KEYS}
    usb = _usb_device(files, place)
    if usb is not None:
        paths["usb/serial"] = f"{usb}/serial"
    host = next((part for part in place.split("/") if _SCSI_HOST.fullmatch(part)), None)
    if host is not None:
        paths["host/proc_name"] = f"{place[: place.index(f'/{host}/')]}/{host}/scsi_host/{host}/proc_name"
    for key, path in paths.items():
        try:
            found[key] = files.read_bytes(path)
        except OSError:
            continue
    return found


def _usb_device(files: SystemFiles, place: str) -> str | None:
    """The folder of the nearest USB device above ``place``: the nearest that has a vendor number."""
    folder = place
    while "/usb" in folder:
        folder = posixpath.dirname(folder)
        try:
            files.read_bytes(f"{folder}/idVendor")
        except OSError:
            continue
        return folder
    return None


def kernel_node(files: SystemFiles, place: str, name: str) -> str:
    """The device node the kernel made: ``DEVNAME`` of its uevent, or its name with ``!`` for ``/``."""
    try:
        lines = files.read_bytes(f"{place}/uevent").decode("utf-8", "replace").splitlines()
    except OSError:
        lines = []
    named = next((line.removeprefix("DEVNAME=") for line in lines if line.startswith("DEVNAME=")), "")
    return "/dev/" + (named or name.replace("!", "/"))
