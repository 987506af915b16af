"""The filesystems that udev has found on sticks, and which of them is ours. The choice is pure."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import pyudev

from rasura_agent.console.language import _
from rasura_agent.inventory.labels import DATA_LABEL, IMAGE_LABEL

__all__ = ["Choice", "Volume", "choose", "image_disks", "local_volumes"]


class Volume(msgspec.Struct, frozen=True):
    """A filesystem on a block device; ``diskseq`` never returns within one boot."""

    path: str
    disk: str
    """The block device of the whole stick."""
    label: str
    fstype: str
    diskseq: str | None
    is_disc: bool = False
    """Whether it is a CD or DVD, which nothing can be kept on."""


class Choice(msgspec.Struct, frozen=True):
    """The volume to keep things on, and what is to be said of others."""

    volume: Volume | None
    note: str | None = None


def image_disks(volumes: Sequence[Volume]) -> tuple[Volume, ...]:
    """The live images, one a stick."""
    found: dict[str, Volume] = {}
    for volume in volumes:
        if volume.label == IMAGE_LABEL and volume.fstype == "iso9660":
            found.setdefault(volume.disk, volume)
    return tuple(found.values())


def choose(volumes: Sequence[Volume]) -> Choice:
    """The data partition to use: the only one, or else the one beside the only live image."""
    data = [volume for volume in volumes if volume.label == DATA_LABEL and volume.fstype == "vfat"]
    if len(data) == 1:
        return Choice(data[0])
    disks = {volume.disk for volume in image_disks(volumes)}
    beside = [volume for volume in data if volume.disk in disks]
    if len(beside) == 1:
        return Choice(beside[0])
    if not data:
        return Choice(None)
    paths = ", ".join(volume.path for volume in data)
    sentence = _(
        "several sticks have a RASURADATA partition ({paths}), and none is used: leave one plugged in"
    )
    return Choice(None, sentence.format(paths=paths))


def local_volumes() -> tuple[Volume, ...]:
    """What udev knows of this machine's volumes; nothing where it does not run."""
    found = []
    try:
        for device in pyudev.Context().list_devices(subsystem="block"):
            properties = device.properties
            path = properties.get("DEVNAME")
            if path is None or "ID_FS_TYPE" not in properties:
                continue
            disk = (device.find_parent("block", "disk") or device).properties
            found.append(
                Volume(
                    path=path,
                    disk=disk.get("DEVNAME", path),
                    label=properties.get("ID_FS_LABEL", ""),
                    fstype=properties["ID_FS_TYPE"],
                    diskseq=disk.get("DISKSEQ"),
                    is_disc="ID_CDROM" in disk,
                )
            )
    except (ImportError, OSError, UnicodeDecodeError, KeyError):
        return ()
    return tuple(found)
