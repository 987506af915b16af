"""Which block devices lie under a mount, a swap area or a holder, through any stack of them; pure.

The vertices are block devices by kernel name, and virtual drives by ``file:`` and their path. What cannot
be traced is an :class:`Issue`: it is never taken for nothing.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterable, Mapping, Sequence

import msgspec

from rasura_agent.inventory.model import Holder, HolderKind, Mount
from rasura_agent.inventory.mounts import MountEntry, SwapEntry, layer_paths, mounts_at
from rasura_agent.inventory.ports import FileId, LoopBacking
from rasura_agent.inventory.text import printable
from rasura_agent.inventory.topology import BlockNode, Topology, holder_kind

__all__ = ["LIVE_MOUNTPOINTS", "Found", "Issue", "Stack", "SystemState", "file_vertex"]

LIVE_MOUNTPOINTS = frozenset(
    {
        *("/run/rasura/medium", "/run/live/medium", "/lib/live/mount/medium", "/run/live/findiso"),
        *("/cdrom", "/isodevice", "/run/initramfs/live", "/run/initramfs/isoscan", "/run/archiso/bootmnt"),
    }
)
"""Where live images mount the medium they came from: live-boot, casper, dracut, archiso, and our own."""

_IMAGE_TYPES = frozenset({"squashfs", "erofs", "cramfs", "iso9660"})
_ON_DRIVES = frozenset({"btrfs", "bcachefs", "zfs", "fuseblk"})
"""Filesystems on drives that have no device number of their own in mountinfo."""


def file_vertex(path: str) -> str:
    """The vertex of the virtual drive in file ``path``."""
    return f"file:{path}"


class Issue(msgspec.Struct, frozen=True):
    """Something that could not be found out. ``sentence`` says what.

    ``claims``: whatever it hides has claimed its block devices, as mounted filesystems and swap areas do.
    Then the kernel refuses an exclusive open, and a drive that was opened so is not concerned.
    """

    sentence: str
    claims: bool


class SystemState(msgspec.Struct, frozen=True):
    """What was read of the running system."""

    topology: Topology
    mounts: tuple[MountEntry, ...] = ()
    swaps: tuple[SwapEntry, ...] = ()
    btrfs: tuple[frozenset[str], ...] = ()
    """The member block devices of each mounted btrfs."""
    loops: Mapping[str, LoopBacking] = msgspec.field(default_factory=dict)
    """By loop device; those that could be asked."""
    numbers: Mapping[str, tuple[int, int]] = msgspec.field(default_factory=dict)
    """Of the device nodes that mounts, swap areas and loop devices name."""
    file_ids: Mapping[str, FileId] = msgspec.field(default_factory=dict)
    """Of the files that swap areas and loop devices name, and of the virtual drives."""
    virtual: tuple[str, ...] = ()
    """Paths of the virtual drives."""
    medium: frozenset[str] = frozenset()
    """Block devices that the kernel command line names as the live medium."""


class Found(msgspec.Struct):
    """What was found on one vertex and on everything above it, in the order found, without repetition."""

    mounts: dict[Mount, None] = msgspec.field(default_factory=dict)
    swaps: dict[str, None] = msgspec.field(default_factory=dict)
    holders: dict[Holder, None] = msgspec.field(default_factory=dict)
    backs_root: bool = False
    backs_live_medium: bool = False


class Stack:
    """Traces a :class:`SystemState` once; then :attr:`found` has every vertex and :attr:`issues` the rest."""

    def __init__(self, state: SystemState) -> None:
        self._state = state
        self._nodes = state.topology.nodes
        self.issues: dict[Issue, None] = {}
        self.found = {name: Found() for name in self._nodes} | {
            file_vertex(path): Found() for path in state.virtual
        }
        self._below = {name: self._directly_below(node) for name, node in self._nodes.items()}
        self._trace_mounts()
        self._trace_swaps()
        self._trace_holders()
        for vertex in self._closure(state.medium):
            self.found[vertex].backs_live_medium = True

    def _issue(self, sentence: str, *, claims: bool = True) -> None:
        self.issues[Issue(printable(sentence), claims)] = None

    def _closure(self, vertices: Iterable[str]) -> set[str]:
        """``vertices`` and everything below them."""
        reached: set[str] = set()
        pending = list(vertices)
        while pending:
            vertex = pending.pop()
            if vertex not in reached:
                reached.add(vertex)
                pending.extend(self._below.get(vertex, ()))
        return reached & self.found.keys()

    def _directly_below(self, node: BlockNode) -> frozenset[str]:
        below = set(node.slaves)
        if node.parent is not None:
            below.add(node.parent)
        if node.backing_file is not None:
            below |= self._under_loop(node.name, node.backing_file)
        for name in sorted(below - self.found.keys()):
            self._issue(f"{node.name} stands on {name}, which the kernel does not list")
        return frozenset(below)

    def _under_loop(self, name: str, backing_file: str) -> set[str]:
        state, path = self._state, backing_file.removesuffix(" (deleted)")
        backing = state.loops.get(name)
        file_id = backing.file if backing else state.file_ids.get(path)
        virtual = {
            file_vertex(one)
            for one in state.virtual
            if one == path or (file_id is not None and state.file_ids.get(one) == file_id)
        }
        device = (backing.device if backing else None) or state.numbers.get(path)
        if device is not None:
            return virtual | self._named(device, f"{name}, which stands on")
        if backing is None and state.topology.named(path):
            return virtual | {path.removeprefix("/dev/").replace("/", "!")}
        if backing is None and path.startswith("/dev/"):
            # A loop device does not claim a block device that it stands on.
            self._issue(f"{name} stands on {path}, which cannot be traced to a drive", claims=False)
            return virtual
        if backing is not None and backing.file[0][0]:
            return virtual | self._named(backing.file[0], f"{name}, whose file is on")
        on = [m for m in state.mounts if backing is not None and m.number == backing.file[0]]
        on = on or mounts_at(state.mounts, path)
        if not on:
            self._issue(f"the file under {name} ({path}) cannot be traced to a drive")
        return virtual.union(*(self._under_mount(mount, {id(mount)}) for mount in on))

    def _named(self, number: tuple[int, int], what: str) -> set[str]:
        name = self._state.topology.at(number)
        if name is None:
            self._issue(f"{what} block device {number[0]}:{number[1]} cannot be traced to a drive")
        return set() if name is None else {name}

    def _under_mount(self, mount: MountEntry, seen: set[int]) -> set[str]:
        """The vertices nearest below a mount; ``seen`` are the mounts that led here."""
        state = self._state
        if mount.source in state.virtual:
            return {file_vertex(mount.source)}
        if mount.number[0]:
            return self._named(mount.number, f"the mount {mount.mountpoint} of")
        if mount.fstype == "overlay":
            return set().union(*(self._under_layer(mount, path, seen) for path in layer_paths(mount)))
        sources = {number for part in mount.source.split(":") if (number := state.numbers.get(part))}
        names = set().union(*(self._named(number, f"the mount {mount.mountpoint} of") for number in sources))
        if mount.fstype == "btrfs":
            members = [group for group in state.btrfs if group & names] if names else list(state.btrfs)
            names = names.union(*members)
        if not names and mount.fstype in _ON_DRIVES:
            self._issue(f"the {mount.fstype} mount {mount.mountpoint} cannot be traced to its drives")
        return names

    def _under_layer(self, overlay: MountEntry, path: str, seen: set[int]) -> set[str]:
        """The vertices under one layer of an overlay, which may itself be an overlay."""
        # A layer that seems to lie on the overlay itself was hidden when the root was switched to it.
        mounts = [mount for mount in mounts_at(self._state.mounts, path) if id(mount) not in seen]
        if mounts and overlay.mountpoint not in {mount.mountpoint for mount in mounts}:
            return set().union(*(self._under_mount(mount, seen | {id(mount)}) for mount in mounts))
        self._issue(f"the layer {path} of the overlay on {overlay.mountpoint} cannot be traced to a drive")
        if overlay.mountpoint != "/":
            return set()
        images = {
            vertex
            for mount in self._state.mounts
            if mount.fstype in _IMAGE_TYPES and mount.number[0]
            for vertex in self._named(mount.number, f"the mount {mount.mountpoint} of")
        }
        return images | {
            name
            for name, node in self._nodes.items()
            if node.backing_file and posixpath.basename(node.backing_file) == posixpath.basename(path)
        }

    def _trace_mounts(self) -> None:
        images = {
            mount.number for mount in self._state.mounts if mount.fstype in _IMAGE_TYPES and mount.number[0]
        }
        if not any(mount.mountpoint == "/" for mount in self._state.mounts):
            self._issue("which drive holds / cannot be told: it is not among the mounts")
        for mount in self._state.mounts:
            is_root, is_live = mount.mountpoint == "/", mount.mountpoint in LIVE_MOUNTPOINTS
            for nearest in sorted(self._under_mount(mount, {id(mount)})):
                node = self._nodes.get(nearest)
                is_image = node is not None and (node.number in images or node.backing_file is not None)
                for vertex in self._closure({nearest}):
                    found = self.found[vertex]
                    found.mounts[
                        Mount(printable(nearest.removeprefix("file:")), printable(mount.mountpoint))
                    ] = None
                    found.backs_root |= is_root
                    found.backs_live_medium |= is_live or (is_root and is_image)

    def _trace_swaps(self) -> None:
        state = self._state
        for swap in state.swaps:
            number, file_id = state.numbers.get(swap.path), state.file_ids.get(swap.path)
            named = state.topology.named(swap.path)
            vertices = {
                file_vertex(path)
                for path in state.virtual
                if path == swap.path or (file_id is not None and state.file_ids.get(path) == file_id)
            }
            if number is not None:
                vertices |= self._named(number, f"the swap area {swap.path} on")
            elif named is not None:
                vertices.add(named)
            elif swap.is_file:
                for mount in mounts_at(state.mounts, swap.path):
                    vertices |= self._under_mount(mount, {id(mount)})
            if not vertices:
                self._issue(f"the swap area {swap.path} cannot be traced to a drive")
            for vertex in self._closure(vertices):
                self.found[vertex].swaps[printable(swap.path)] = None

    def _trace_holders(self) -> None:
        for name in _by_height(self._below):
            node = self._nodes[name]
            if node.is_bcache_member:
                for vertex in self._closure({name}):
                    self.found[vertex].holders[Holder(HolderKind.BCACHE, name)] = None
            if node.parent is None:
                for vertex in self._closure({name}) - {name}:
                    self.found[vertex].holders[Holder(holder_kind(node), name)] = None


def _by_height(below: Mapping[str, frozenset[str]]) -> Sequence[str]:
    """Names so that what stands on something comes after it, otherwise alphabetically."""
    heights: dict[str, int] = {}

    def height(name: str, path: frozenset[str]) -> int:
        if name not in heights:
            under = [height(one, path | {name}) for one in below.get(name, ()) if one not in path]
            heights[name] = 1 + max(under, default=-1)
        return heights[name]

    return sorted(below, key=lambda name: (height(name, frozenset({name})), name))
