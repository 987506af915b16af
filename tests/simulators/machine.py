"""A running Linux machine made of dictionaries: sysfs, procfs, udev's database and device nodes.

It stands behind the inventory's ports (``SystemFiles``, ``Udev``, ``DeviceProbe``). Its kernel claims block
devices as Linux does: for mounts, swap, dm, md, bcache and pools, but not for a loop device on top of one.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import posixpath
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rasura_agent.inventory.machine_model import Sensor
from rasura_agent.inventory.ports import (
    Attempt,
    CommandError,
    FileId,
    LoopBacking,
    Opening,
    Ran,
    Sources,
)


@dataclass
class Device:
    name: str
    number: tuple[int, int]
    place: str
    parent: str | None = None
    on: tuple[str, ...] = ()
    backing: LoopBacking | None = None
    claimed: bool = False
    zfs: bool = False
    ours: bool = False

    @property
    def path(self) -> str:
        return "/dev/" + self.name.replace("!", "/")


@dataclass
class Machine:
    """Build it with ``disk``, ``partition``, ``stack``, ``loop``, ``mount``, ``swap``; then use it."""

    devices: dict[str, Device] = field(default_factory=dict)
    claims: bool = True
    """Whether exclusive opens tell the truth; otherwise they always succeed, as if nothing were in use."""
    root: bool = True
    """Whether we may open device nodes at all."""
    has_nodes: bool = True
    """Whether there are device nodes at all (a container may have none)."""
    errors: dict[str, OSError] = field(default_factory=dict)
    """Paths that cannot be read."""
    udev: dict[tuple[int, int], dict[str, str]] = field(default_factory=dict)
    nodes: dict[str, tuple[int, int]] = field(default_factory=dict)
    """Further names of device nodes, as udev links them."""
    places: dict[str, dict[str, str]] = field(default_factory=dict)
    """What udev knows of other devices, by their folder in sysfs."""
    outputs: dict[tuple[str, ...], Ran] = field(default_factory=dict)
    """What programs print; others are not installed."""
    sensors: tuple[Sensor, ...] = ()
    ids: dict[str, FileId] = field(default_factory=dict)
    read_only_files: set[str] = field(default_factory=set)
    _files: dict[str, bytes] = field(default_factory=dict)
    _links: dict[str, str] = field(default_factory=dict)
    _children: dict[str, set[str]] = field(default_factory=dict)
    _mounts: list[str] = field(default_factory=list)
    _swaps: list[str] = field(default_factory=list)
    _minor: int = 0

    def __post_init__(self) -> None:
        self.write("/proc/cmdline", "quiet\n")
        for folder in ("/sys/block", "/sys/class/block", "/sys/dev/block"):
            self.folder(folder)
        self._proc()

    # What the machine has

    def disk(
        self,
        name: str,
        place: str,
        *,
        sectors: int = 2048,
        attributes: Mapping[str, bytes | str] | None = None,
        properties: Mapping[str, str] | None = None,
        number: tuple[int, int] | None = None,
    ) -> str:
        """A disk at ``place`` (below ``/sys``); ``attributes`` as the kernel has them below its folder."""
        device = self._add(name, f"/sys{place}", number)
        folder = device.place
        up = ".." if posixpath.basename(posixpath.dirname(folder)) != "block" else "../.."
        if not place.startswith("/devices/virtual/block/"):
            self.link(f"{folder}/device", up)
        defaults = {"size": str(sectors), "ro": "0", "removable": "0", "hidden": "0"}
        for key, value in (defaults | dict(attributes or {})).items():
            self.write(f"{folder}/{key}", value)
        for kind in ("slaves", "holders"):
            self.folder(f"{folder}/{kind}")
        self.link(f"/sys/block/{name}", "../" + folder.removeprefix("/sys/"))
        self.write(f"{folder}/uevent", f"DEVNAME={name.replace('!', '/')}\nDEVTYPE=disk\n")
        if properties is not None:
            self.udev[device.number] = {"DEVPATH": place, **properties}
        return name

    def partition(self, disk: str, index: int = 1, *, number: tuple[int, int] | None = None) -> str:
        parent = self.devices[disk]
        name = f"{disk}{'p' if disk[-1].isdigit() else ''}{index}"
        device = self._add(name, f"{parent.place}/{name}", number)
        device.parent = disk
        self.write(f"{device.place}/partition", f"{index}\n")
        self.write(f"{device.place}/ro", "0\n")
        self.folder(f"{device.place}/holders")
        return name

    def stack(
        self, name: str, *on: str, dm_uuid: str | None = None, number: tuple[int, int] | None = None
    ) -> str:
        """A dm, md or bcache device on others, which it claims."""
        self.disk(name, f"/devices/virtual/block/{name}", number=number)
        device = self.devices[name]
        device.on = on
        for below in on:
            self.devices[below].claimed = True
            self.link(f"{device.place}/slaves/{below}", self.devices[below].place)
            self.link(f"{self.devices[below].place}/holders/{name}", device.place)
        if dm_uuid is not None:
            self.write(f"{device.place}/dm/uuid", dm_uuid + "\n")
        return name

    def loop(
        self, name: str, backing_file: str, *, device: str | None = None, file_id: FileId | None = None
    ) -> str:
        """An attached loop device on the file ``backing_file``, or on the block device ``device``."""
        self.disk(name, f"/devices/virtual/block/{name}", number=(7, int(name[4:])))
        self.write(f"{self.devices[name].place}/loop/backing_file", backing_file + "\n")
        if device is not None:
            self.devices[name].backing = LoopBacking(((0, 6), 77), self.devices[device].number)
        elif file_id is not None:
            self.devices[name].backing = LoopBacking(file_id, None)
        return name

    def area(self, disk: str, suffix: str) -> str:
        """A hardware partition of an eMMC drive."""
        name, parent = disk + suffix, self.devices[disk]
        return self.disk(name, f"{parent.place.removeprefix('/sys')}/{name}")

    # What the machine does

    def mount(
        self,
        mountpoint: str,
        source: str = "none",
        *,
        device: str | None = None,
        number: tuple[int, int] | None = None,
        fstype: str = "ext4",
        options: str = "rw",
    ) -> tuple[int, int]:
        """Mount block device ``device`` (or something without one); returns the filesystem's number."""
        if device is not None:
            self.devices[device].claimed = True
            number, source = number or self.devices[device].number, self.devices[device].path
        number = number or (0, 100 + len(self._mounts))
        fields = (mountpoint, fstype, source, options)
        point, kind, what, how = (re.sub(r"[ \t\n\\]", lambda m: f"\\{ord(m[0]):03o}", one) for one in fields)
        self._mounts.append(
            f"{len(self._mounts) + 20} 1 {number[0]}:{number[1]} / {point} rw - {kind} {what} {how}"
        )
        self._proc()
        return number

    def swap(self, path: str, *, device: str | None = None) -> None:
        if device is not None:
            self.devices[device].claimed = True
        kind = "partition" if device is not None else "file"
        self._swaps.append(f"{path.replace(' ', chr(92) + '040')}\t{kind}\t1024\t0\t-2")
        self._proc()

    def btrfs(self, uuid: str, *members: str) -> None:
        """The members of a mounted btrfs."""
        for member in members:
            self.devices[member].claimed = True
            self.link(f"/sys/fs/btrfs/{uuid}/devices/{member}", self.devices[member].place)
        self.folder("/sys/fs/btrfs/features")

    def command_line(self, text: str) -> None:
        self.write("/proc/cmdline", text + "\n")

    def udev_link(self, link: str, device: str) -> None:
        """A name that udev gave: ``by-uuid/…``."""
        self.link(f"/dev/disk/{link}", self.devices[device].path)
        self.write(self.devices[device].path, b"")
        self.nodes[f"/dev/disk/{link}"] = self.devices[device].number

    def _add(self, name: str, place: str, number: tuple[int, int] | None) -> Device:
        self._minor += 1
        device = Device(name, number or (259, self._minor), place)
        assert not any(other.number == device.number for other in self.devices.values()), "numbers are unique"
        self.devices[name] = device
        major, minor = device.number
        self.write(f"{place}/dev", f"{major}:{minor}\n")
        self.link(f"/sys/class/block/{name}", place)
        self.link(f"/sys/dev/block/{major}:{minor}", place)
        return device

    def _proc(self) -> None:
        self.write("/proc/self/mountinfo", "".join(f"{line}\n" for line in self._mounts))
        heading = "Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority"
        self.write("/proc/swaps", "".join(f"{line}\n" for line in (heading, *self._swaps)))

    # Files

    def folder(self, path: str) -> None:
        if path not in self._children:
            self._children[path] = set()
            if path != "/":
                self._enter(path)

    def _enter(self, path: str) -> None:
        """Make ``path`` appear in its folder."""
        parent, name = posixpath.split(path)
        self.folder(parent)
        self._children[parent].add(name)

    def write(self, path: str, data: bytes | str) -> None:
        parent, name = posixpath.split(path)
        with contextlib.suppress(FileNotFoundError):
            path = posixpath.join(self.real_path(parent), name)
        self._enter(path)
        self._files[path] = data.encode() if isinstance(data, str) else data

    def link(self, path: str, target: str) -> None:
        self._enter(path)
        self._links[path] = target

    def real_path(self, path: str) -> str:
        done, rest = "/", [part for part in path.split("/") if part]
        for _ in range(200):
            if not rest:
                return done
            part = rest.pop(0)
            here = posixpath.dirname(done) if part == ".." else posixpath.join(done, part)
            if here in self._links:
                target = self._links[here]
                done = "/" if target.startswith("/") else done
                rest = [one for one in target.split("/") if one] + rest
            elif here == "/" or here in self._files or here in self._children:
                done = here
            else:
                break
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path)

    def read_bytes(self, path: str) -> bytes:
        self._may_read(path)
        real = self.real_path(path)
        if real not in self._files:
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), path)
        return self._files[real]

    def list_dir(self, path: str) -> list[str]:
        self._may_read(path)
        real = self.real_path(path)
        if real not in self._children:
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), path)
        return sorted(self._children[real])

    def _may_read(self, path: str) -> None:
        if path in self.errors:
            raise self.errors[path]

    # Udev

    def properties(self, number: tuple[int, int]) -> Mapping[str, str]:
        return self.udev.get(number, {})

    def properties_at(self, place: str) -> Mapping[str, str]:
        return self.places.get(place, {})

    # Programs and sensors

    def run(self, argv: Sequence[str], timeout_s: float) -> Ran:
        if tuple(argv) not in self.outputs:
            raise CommandError(f"{argv[0]} is not installed")
        return self.outputs[tuple(argv)]

    def read(self) -> tuple[Sensor, ...]:
        return self.sensors

    def sources(self) -> Sources:
        """Everything that the inventory reads."""
        return Sources(self, self, self, self, self)

    # Device nodes

    def _at(self, path: str) -> Device | None:
        number = self.nodes.get(path)
        if not self.has_nodes:
            return None
        return next((d for d in self.devices.values() if d.path == path or d.number == number), None)

    def try_exclusive(self, path: str, number: tuple[int, int]) -> Attempt:
        device = self._at(path)
        if not self.root:
            return Attempt(Opening.UNKNOWN, os.strerror(errno.EACCES))
        if device is None or device.number != number:
            return Attempt(Opening.UNKNOWN, os.strerror(errno.ENODEV))
        whole = [
            device,
            *(d for d in self.devices.values() if d.parent == device.name and not self._is_area(d)),
        ]
        whole += [self.devices[device.parent]] if device.parent and not self._is_area(device) else []
        return Attempt(Opening.BUSY if self.claims and any(d.claimed for d in whole) else Opening.FREE)

    def _is_area(self, device: Device) -> bool:
        return device.name.startswith("mmcblk") and f"{device.place}/partition" not in self._files

    def node_number(self, path: str) -> tuple[int, int] | None:
        device = self._at(path)
        return None if device is None else device.number

    def file_id(self, path: str) -> FileId | None:
        return self.ids.get(path)

    def loop_backing(self, path: str, number: tuple[int, int]) -> LoopBacking | None:
        device = self._at(path)
        return device.backing if self.root and device is not None and device.number == number else None

    def has_zfs_label(self, path: str, number: tuple[int, int]) -> bool:
        device = self._at(path)
        return self.root and device is not None and device.zfs

    def has_our_label(self, path: str, number: tuple[int, int]) -> bool:
        device = self._at(path)
        return self.root and device is not None and device.number == number and device.ours

    def is_writable(self, path: str) -> bool:
        return path not in self.read_only_files


def from_probert(path: Path) -> Machine:
    """The machine of a published capture (probert's JSON of udev properties, attributes and mounts).

    What a capture does not hold is filled in as those systems do it: loop devices stand on files of the live
    medium (``/cdrom``) or, for snaps, of the root filesystem; NVMe controllers without attributes have none.
    """
    document = json.loads(path.read_text())
    storage: dict[str, Any] = document.get("storage", document)
    machine = Machine()
    blocks: dict[str, dict[str, Any]] = storage["blockdev"]
    for block in sorted(blocks.values(), key=lambda block: block["DEVTYPE"] == "partition"):
        _add_captured(machine, block, storage)
    for name, below in _captured_stacks(storage):
        machine.devices[name].on = below
        for one in below:
            machine.devices[one].claimed = True
            machine.link(f"{machine.devices[name].place}/slaves/{one}", machine.devices[one].place)
            machine.link(f"{machine.devices[one].place}/holders/{name}", machine.devices[name].place)
    for mount in _captured_mounts(storage.get("mount", [])):
        source = re.sub(r"\[.*\]$", "", mount["source"])
        if re.fullmatch(r"/dev/loop\d+", source) and source[5:] not in machine.devices:
            live = not mount["target"].startswith("/snap/")
            folder = "/cdrom/casper" if live else "/var/lib/snapd/snaps"
            machine.loop(source[5:], f"{folder}/{source[5:]}.squashfs")
        number = machine.node_number(source)
        device = next((d.name for d in machine.devices.values() if d.number == number), None)
        machine.mount(
            mount["target"], source, device=device, fstype=mount["fstype"], options=mount["options"]
        )
    for pool in storage.get("zfs", {}).get("zpools", {}).values():
        for name in re.findall(r"'path': '/dev/(\w+)'", repr(pool.get("zdb"))):
            machine.devices[name].claimed = machine.devices[name].zfs = True
    return machine


def _add_captured(machine: Machine, block: dict[str, Any], storage: dict[str, Any]) -> None:
    name = posixpath.basename(block["DEVPATH"])
    number = (int(block["MAJOR"]), int(block["MINOR"]))
    properties = {key: value for key, value in block.items() if isinstance(value, str)}
    if block["DEVTYPE"] == "partition":
        disk = posixpath.basename(posixpath.dirname(block["DEVPATH"]))
        machine.partition(disk, int(re.findall(r"\d+$", name)[0]), number=number)
        machine.udev[number] = properties
    else:
        # Probert gives sizes in bytes, the kernel in sectors of 512.
        attributes = {key: value for key, value in block["attrs"].items() if isinstance(value, str)}
        attributes["size"] = str(int(attributes["size"]) // 512)
        controller = posixpath.basename(posixpath.dirname(block["DEVPATH"]))
        for key, value in storage.get("nvme", {}).get(controller, {}).get("attrs", {}).items():
            if isinstance(value, str):
                attributes[f"device/{key}"] = value
        if "DM_UUID" in block:
            attributes["dm/uuid"] = block["DM_UUID"]
        machine.disk(name, block["DEVPATH"], attributes=attributes, properties=properties, number=number)
    for link in block.get("DEVLINKS", "").split():
        machine.nodes[link] = number


def _captured_stacks(storage: dict[str, Any]) -> Iterator[tuple[str, tuple[str, ...]]]:
    """What stands on what: slaves where captured, else RAID members, multipath paths and bcache members."""
    bcache = storage.get("bcache", {"backing": {}, "caching": {}})
    uuids = {entry["superblock"]["dev.uuid"]: entry for entry in bcache["backing"].values()}
    caches: dict[str, list[str]] = {}
    for entry in bcache["caching"].values():
        caches.setdefault(entry["superblock"]["cset.uuid"], []).append(entry["blockdev"])
    paths = storage.get("multipath", {}).get("paths", [])
    for block in storage["blockdev"].values():
        name, below = posixpath.basename(block["DEVPATH"]), set()
        below |= {key.removeprefix("slaves/") for key in block["attrs"] if key.startswith("slaves/")}
        below |= {
            v.removeprefix("/dev/")
            for k, v in block.items()
            if re.fullmatch(r"(UDISKS_)?MD_DEVICE_.*_DEV", k)
        }
        if block.get("DM_UUID", "").startswith("mpath-"):
            below |= {path["device"] for path in paths if path["multipath"] == block["DM_NAME"]}
        if block.get("DM_UUID", "").startswith("part1-mpath-"):
            below |= {"dm-0"}
        if name.startswith("bcache"):
            links = block["DEVLINKS"].split()
            entry = next(uuids[uuid] for uuid in uuids if f"/dev/bcache/by-uuid/{uuid}" in links)
            members = [entry["blockdev"], *caches.get(entry["superblock"]["cset.uuid"], [])]
            below |= {member.removeprefix("/dev/") for member in members}
        if below:
            yield name, tuple(sorted(below))


def _captured_mounts(mounts: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    for mount in mounts:
        yield mount
        yield from _captured_mounts(mount.get("children", []))
