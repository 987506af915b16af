"""What the running system does with each drive.

The kernel is asked three ways, and a drive is free only if none of them objects: what stands on what in
sysfs, what is mounted or swapped to in procfs, and whether the drive can be opened exclusively. The last
catches all that claims its block devices without saying so elsewhere: a ZFS pool, a mount in another
namespace, another program of our kind.

Where a source cannot be read its sentence goes to ``Usage.unreadable`` of every drive it may concern. A
mount or swap area that cannot be traced concerns no drive that was opened exclusively, since it would have
claimed its own; a loop device straight on a drive claims nothing, so that one that cannot be traced
concerns them all.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec
from msgspec.structs import replace

from rasura_agent.inventory.drives import HARDWARE_PARTITION
from rasura_agent.inventory.local import LocalFiles, LocalProbe
from rasura_agent.inventory.model import Drive, Holder, HolderKind, Usage
from rasura_agent.inventory.ports import DeviceProbe, Opening, SystemFiles
from rasura_agent.inventory.same import same_drive
from rasura_agent.inventory.stack import Found, Issue, Stack, SystemState, file_vertex
from rasura_agent.inventory.system_state import read_system_state
from rasura_agent.inventory.topology import BlockNode

__all__ = ["gather_usage"]


def gather_usage(
    drives: Sequence[Drive], files: SystemFiles | None = None, probe: DeviceProbe | None = None
) -> Mapping[str, Usage]:
    """The usage of each of ``drives``, by ``Drive.path``.

    Give all drives of the machine at once: what uses one namespace, path or logical unit of a drive counts
    for the others too. Call it before any of them is opened exclusively: a drive that is will be busy, and
    one that is just being asked cannot be opened. Never raises.
    """
    files, probe = files or LocalFiles(), probe or LocalProbe()
    virtual = tuple(drive.path for drive in drives if drive.is_virtual)
    state, issues = read_system_state(files, probe, virtual)
    stack = Stack(state)
    gatherer = _Gatherer(state, stack, probe, (*issues, *stack.issues))
    return {
        drive.path: gatherer.of_file(drive) if drive.is_virtual else gatherer.of_drive(drive, drives)
        for drive in drives
    }


class _Gatherer(msgspec.Struct, frozen=True):
    state: SystemState
    stack: Stack
    probe: DeviceProbe
    issues: tuple[Issue, ...]

    def of_file(self, drive: Drive) -> Usage:
        """A file is not claimed by anybody; what uses it names it, so untraceable claims are no matter."""
        unreadable = [issue.sentence for issue in self.issues if not issue.claims]
        return _usage(
            [self.stack.found[file_vertex(drive.path)]],
            read_only=not self.probe.is_writable(drive.path),
            busy=False,
            unreadable=unreadable,
        )

    def of_drive(self, drive: Drive, drives: Sequence[Drive]) -> Usage:
        unreadable = [issue.sentence for issue in self.issues if not issue.claims]
        topology = self.state.topology
        own = None if drive.device_number is None else topology.at(drive.device_number)
        if own is None or _path(own) != drive.path or _replaced(drive, topology.nodes[own]):
            unreadable.append(
                f"{drive.path} is not the drive any more that was found there: list the drives again"
            )
            return _usage([], read_only=False, busy=False, unreadable=unreadable)
        disks = {own} | {
            name
            for other in drives
            if other is not drive and other.device_number is not None and same_drive(drive, other)
            if (name := topology.at(other.device_number))
        }
        disks |= {name for name, node in topology.nodes.items() if node.parent in disks and _is_area(name)}
        found = [self.stack.found[name] for name in sorted(disks, key=lambda name: (name != own, name))]
        read_only = topology.nodes[own].read_only
        if read_only is None:
            unreadable.append(f"whether {drive.path} is read-only cannot be read")
        busy, unknown = False, []
        for name in sorted(disks):
            node = topology.nodes[name]
            attempt = self.probe.try_exclusive(_path(name), node.number)
            busy |= attempt.opening is Opening.BUSY
            if attempt.opening is Opening.UNKNOWN:
                unknown.append(f"whether {_path(name)} is in use cannot be asked: {attempt.reason}")
        if unknown:
            unreadable.extend(unknown)
            unreadable.extend(issue.sentence for issue in self.issues if issue.claims)
        if busy:
            found.append(self._pools(disks))
        usage = _usage(found, read_only=bool(read_only), busy=busy, unreadable=unreadable)
        return replace(usage, is_our_stick=self._carries_our_label(disks))

    def _carries_our_label(self, disks: set[str]) -> bool:
        """Whether disks or their partitions carry a volume of ours: a stick is spared even when unused."""
        return any(
            self.probe.has_our_label(_path(name), node.number)
            for name, node in self.state.topology.nodes.items()
            if name in disks or node.parent in disks
        )

    def _pools(self, disks: set[str]) -> Found:
        """The ZFS pools on busy disks: block devices that are claimed and carry a ZFS label."""
        nodes = self.state.topology.nodes
        pools = Found()
        for name, node in nodes.items():
            if (name in disks or node.parent in disks) and self._is_pool(node):
                pools.holders[Holder(HolderKind.ZFS, name)] = None
        return pools

    def _is_pool(self, node: BlockNode) -> bool:
        path = _path(node.name)
        if any(other.parent == node.name for other in self.state.topology.nodes.values()):
            return False  # ZFS on a whole disk makes partitions; a label in front of others' is an old one
        busy = self.probe.try_exclusive(path, node.number).opening is Opening.BUSY
        return busy and self.probe.has_zfs_label(path, node.number)


def _usage(found: Sequence[Found], *, read_only: bool, busy: bool, unreadable: Sequence[str]) -> Usage:
    return Usage(
        mounts=tuple(dict.fromkeys(mount for one in found for mount in one.mounts)),
        swaps=tuple(dict.fromkeys(swap for one in found for swap in one.swaps)),
        holders=tuple(dict.fromkeys(holder for one in found for holder in one.holders)),
        backs_root=any(one.backs_root for one in found),
        backs_live_medium=any(one.backs_live_medium for one in found),
        read_only=read_only,
        busy=busy,
        unreadable=tuple(dict.fromkeys(unreadable)),
    )


def _path(name: str) -> str:
    return "/dev/" + name.replace("!", "/")


def _replaced(drive: Drive, node: BlockNode) -> bool:
    return drive.diskseq is not None and node.diskseq not in {None, str(drive.diskseq)}


def _is_area(name: str) -> bool:
    return HARDWARE_PARTITION.fullmatch(name) is not None
