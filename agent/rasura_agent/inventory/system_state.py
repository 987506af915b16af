"""Reading what the kernel says of mounts, swap areas and block devices, as far as it can be read."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from rasura_agent.inventory.mounts import (
    SourceError,
    SwapEntry,
    parse_mountinfo,
    parse_parameters,
    parse_swaps,
)
from rasura_agent.inventory.ports import DeviceProbe, LoopBacking, SystemFiles
from rasura_agent.inventory.stack import Issue, SystemState
from rasura_agent.inventory.text import printable, udev_decoded
from rasura_agent.inventory.topology import Topology, read_topology

__all__ = ["MEDIUM_PARAMETER", "read_system_state"]

MEDIUM_PARAMETER = "rasura.medium"
"""The kernel parameter by which the live image names the medium it was booted from."""

_LINK_FOLDERS = {
    "UUID": "by-uuid",
    "LABEL": "by-label",
    "PARTUUID": "by-partuuid",
    "PARTLABEL": "by-partlabel",
    "ID": "by-id",
}

_T = TypeVar("_T")


def read_system_state(
    files: SystemFiles, probe: DeviceProbe, virtual: tuple[str, ...]
) -> tuple[SystemState, list[Issue]]:
    """All that there is to read, and an issue for each source that could not be."""
    issues: list[Issue] = []

    def attempt(read: Callable[[], _T]) -> _T | None:
        try:
            return read()
        except SourceError as error:
            issues.append(Issue(printable(str(error)), claims=False))
            return None

    topology = attempt(lambda: read_topology(files)) or Topology({})
    mounts = attempt(lambda: parse_mountinfo(_content(files, "/proc/self/mountinfo"))) or ()
    swaps = attempt(lambda: _swaps(files)) or ()
    btrfs = attempt(lambda: _btrfs(files)) or ()
    medium = attempt(lambda: _medium(files, probe, topology)) or frozenset()
    backing_files = [node.backing_file for node in topology.nodes.values() if node.backing_file]
    paths = {path.removesuffix(" (deleted)") for path in backing_files} | {swap.path for swap in swaps}
    devices = {part for mount in mounts for part in mount.source.split(":") if part.startswith("/dev/")}
    state = SystemState(
        topology,
        mounts,
        swaps,
        btrfs,
        _loops(probe, topology),
        {path: number for path in paths | devices if (number := probe.node_number(path))},
        {path: file_id for path in paths | set(virtual) if (file_id := probe.file_id(path))},
        virtual,
        medium,
    )
    return state, issues


def _content(files: SystemFiles, path: str) -> bytes:
    try:
        return files.read_bytes(path)
    except OSError as error:
        raise SourceError(f"{path} cannot be read: {error.strerror}") from None


def _swaps(files: SystemFiles) -> tuple[SwapEntry, ...]:
    try:
        return parse_swaps(files.read_bytes("/proc/swaps"))
    except FileNotFoundError:  # a kernel without swap
        return ()
    except OSError as error:
        raise SourceError(f"/proc/swaps cannot be read: {error.strerror}") from None


def _btrfs(files: SystemFiles) -> tuple[frozenset[str], ...]:
    """The members of each mounted btrfs; nothing where the kernel has no btrfs."""
    groups = []
    try:
        for name in files.list_dir("/sys/fs/btrfs"):
            try:
                groups.append(frozenset(files.list_dir(f"/sys/fs/btrfs/{name}/devices")))
            except (FileNotFoundError, NotADirectoryError):  # "features", or unmounted meanwhile
                continue
    except FileNotFoundError:
        pass
    except OSError as error:
        raise SourceError(f"the members of btrfs filesystems cannot be read: {error.strerror}") from None
    return tuple(groups)


def _loops(probe: DeviceProbe, topology: Topology) -> dict[str, LoopBacking]:
    loops = {}
    for name, node in topology.nodes.items():
        if node.backing_file is not None:
            backing = probe.loop_backing(f"/dev/{name}", node.number)
            if backing is not None:
                loops[name] = backing
    return loops


def _medium(files: SystemFiles, probe: DeviceProbe, topology: Topology) -> frozenset[str]:
    """The block devices that the kernel command line names as the live medium.

    A name that no block device bears any more means that the medium was pulled out after booting into
    memory. That cannot be told from a missing udev, which alone keeps those names: that is an error.
    """
    wanted = parse_parameters(_content(files, "/proc/cmdline")).get(MEDIUM_PARAMETER, "")
    if not wanted:
        return frozenset()
    targets = [wanted] if wanted.startswith("/dev/") else _links(files, wanted)
    found = set()
    for target in targets:
        number = probe.node_number(target)
        name = topology.named(target) if number is None else topology.at(number)
        if name is None and not wanted.startswith("/dev/"):
            raise SourceError(
                f"the live medium {MEDIUM_PARAMETER}={wanted} leads to {target}, which is no block device"
            )
        if name is not None:
            found.add(name)
    return frozenset(found)


def _links(files: SystemFiles, wanted: str) -> list[str]:
    """The device nodes that udev links to the name ``wanted``: KIND=VALUE, or a bare value of any kind."""
    kind, _, value = wanted.partition("=")
    folders = [_LINK_FOLDERS[kind]] if kind in _LINK_FOLDERS and value else list(_LINK_FOLDERS.values())
    sought = (value if kind in _LINK_FOLDERS and value else wanted).casefold()
    try:
        present = set(files.list_dir("/dev/disk"))
        return [
            files.real_path(f"/dev/disk/{folder}/{link}")
            for folder in folders
            if folder in present
            for link in files.list_dir(f"/dev/disk/{folder}")
            if udev_decoded(link).decode("utf-8", "replace").casefold() == sought
        ]
    except OSError as error:
        raise SourceError(
            f"which drive is the live medium {MEDIUM_PARAMETER}={wanted} cannot be told: "
            f"udev's names in /dev/disk cannot be read ({error.strerror})"
        ) from None
