"""The block devices of the running kernel and what stands on what."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Mapping

import msgspec
from msgspec.structs import replace

from rasura_agent.inventory.drives import HARDWARE_PARTITION
from rasura_agent.inventory.model import HolderKind
from rasura_agent.inventory.mounts import SourceError
from rasura_agent.inventory.ports import SystemFiles, optional_text

__all__ = ["BlockNode", "Topology", "holder_kind", "read_topology"]

_NUMBER = re.compile(r"(\d{1,9}):(\d{1,9})")
# What the owners of device-mapper devices put in front of their UUIDs; partN- is kpartx' partition of one.
_DM_OWNERS = {"LVM-": HolderKind.LVM, "CRYPT-": HolderKind.CRYPT, "mpath-": HolderKind.MULTIPATH}
_KPARTX = re.compile(r"part\d+-")


class BlockNode(msgspec.Struct, frozen=True):
    """One block device. ``name`` is the kernel's; names in other fields are too."""

    name: str
    number: tuple[int, int]
    parent: str | None = None
    """The disk it is a part of: a partition, or an area of an eMMC drive."""
    slaves: frozenset[str] = frozenset()
    """What it stands on, as the kernel links it (dm, md, bcache)."""
    dm_uuid: str = ""
    backing_file: str | None = None
    """Of an attached loop device: the path, as the kernel shows it to us."""
    is_bcache_member: bool = False
    read_only: bool | None = None
    diskseq: str | None = None


class Topology(msgspec.Struct, frozen=True):
    """All block devices, by name."""

    nodes: Mapping[str, BlockNode]

    def at(self, number: tuple[int, int]) -> str | None:
        """The name of the block device (major, minor)."""
        return next((node.name for node in self.nodes.values() if node.number == number), None)

    def named(self, path: str) -> str | None:
        """The name of the block device whose node the kernel would call ``path``."""
        name = path.removeprefix("/dev/").replace("/", "!")
        return name if path.startswith("/dev/") and name in self.nodes else None


def holder_kind(node: BlockNode) -> HolderKind:
    """What kind of holder a block device on top of others is."""
    if node.name.startswith("loop"):
        return HolderKind.LOOP
    if node.name.startswith("md"):
        return HolderKind.MD
    if node.name.startswith("bcache"):
        return HolderKind.BCACHE
    if node.name.startswith("dm-"):
        owner = _KPARTX.sub("", node.dm_uuid, count=1)
        return next((kind for prefix, kind in _DM_OWNERS.items() if owner.startswith(prefix)), HolderKind.DM)
    return HolderKind.UNKNOWN


def read_topology(files: SystemFiles) -> Topology:
    """Read ``/sys/class/block``. Block devices that vanish meanwhile are left out.

    Raises:
        SourceError: something of it cannot be read, so what stands on what is unknown.
    """
    try:
        nodes, holders = {}, {}
        for name in files.list_dir("/sys/class/block"):
            place = _place(files, name)
            node = None if place is None else _node(files, name, place)
            if place is not None and node is not None:
                nodes[name] = node
                holders[name] = _names(files, f"{place}/holders")
    except OSError as error:
        raise SourceError(
            f"what stands on the block devices cannot be read in sysfs: {error.strerror}"
        ) from None
    # The kernel links both ways. Either link alone is believed, should the other have been read too early.
    for below, above in holders.items():
        for name in above & nodes.keys():
            nodes[name] = replace(nodes[name], slaves=nodes[name].slaves | {below})
    return Topology(nodes)


def _place(files: SystemFiles, name: str) -> str | None:
    try:
        return files.real_path(f"/sys/class/block/{name}")
    except FileNotFoundError:
        return None


def _node(files: SystemFiles, name: str, place: str) -> BlockNode | None:
    number = _NUMBER.fullmatch(optional_text(files, f"{place}/dev") or "")
    if number is None:  # the hidden paths of a multipath NVMe namespace have none
        return None
    parent = None
    area = HARDWARE_PARTITION.fullmatch(name)
    if optional_text(files, f"{place}/partition") is not None:
        parent = posixpath.basename(posixpath.dirname(place))
    elif area:
        parent = area[1]
    return BlockNode(
        name,
        (int(number[1]), int(number[2])),
        parent,
        _names(files, f"{place}/slaves"),
        optional_text(files, f"{place}/dm/uuid") or "",
        optional_text(files, f"{place}/loop/backing_file"),
        not name.startswith("bcache") and _exists(files, f"{place}/bcache"),
        {"0": False, "1": True}.get(optional_text(files, f"{place}/ro") or ""),
        optional_text(files, f"{place}/diskseq"),
    )


def _names(files: SystemFiles, folder: str) -> frozenset[str]:
    try:
        return frozenset(files.list_dir(folder))
    except (FileNotFoundError, NotADirectoryError):
        return frozenset()


def _exists(files: SystemFiles, path: str) -> bool:
    try:
        files.real_path(path)
    except OSError:
        return False
    return True
