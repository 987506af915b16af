"""Why a drive must not be touched; pure.

The guard decides on what the running system does with a drive now (``Usage``) and on what the
policy protects. What is *on* the drive is no reason: collected machines come with LVM, RAID and ZFS
signatures, and those are to be erased. Not knowing is a reason: where a source could not be read the drive
is refused, whatever the other sources say. Which unread source may concern which drive is decided where
they are read (``inventory/usage.py``); what cannot concern a drive never gets here.

A drive without a serial number matches no protected serial number, and is judged by the rest.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from rasura_agent.inventory.model import Drive, HolderKind, Transport, Usage
from rasura_agent.inventory.text import world_wide_name

__all__ = ["Protection", "Refusal", "RefusalReason", "examine"]


class RefusalReason(StrEnum):
    """Why a drive is refused, the most serious first."""

    HOLDS_ROOT = "holds-root"
    LIVE_MEDIUM = "live-medium"
    PROTECTED_BY_POLICY = "protected-by-policy"
    MOUNTED = "mounted"
    SWAP = "swap"
    HELD_BY_LVM = "held-by-lvm"
    HELD_BY_CRYPT = "held-by-crypt"
    HELD_BY_MULTIPATH = "held-by-multipath"
    HELD_BY_MD = "held-by-md"
    HELD_BY_BCACHE = "held-by-bcache"
    HELD_BY_ZFS = "held-by-zfs"
    HELD_BY_DM = "held-by-dm"
    HELD_BY_LOOP = "held-by-loop"
    HELD_BY_UNKNOWN = "held-by-unknown"
    BUSY = "busy"
    USAGE_UNKNOWN = "usage-unknown"
    READ_ONLY = "read-only"
    NOT_A_DRIVE = "not-a-drive"
    ODD_SECTORS = "odd-sectors"
    ZERO_SIZE = "zero-size"


@dataclass(frozen=True, slots=True)
class Refusal:
    """One reason why a drive is refused, and a sentence that says what was seen and what to do next."""

    reason: RefusalReason
    sentence: str


@dataclass(frozen=True, slots=True)
class Protection:
    """What the policy protects."""

    serials: frozenset[str] = frozenset()
    """Serial numbers or World Wide Names that are never erased; case and spaces around do not matter."""
    refuse_removable: bool = False
    """Refuse drives on USB and all that are removable, or of which that is unknown; not virtual drives."""


_HELD: dict[HolderKind, tuple[RefusalReason, str, str]] = {
    HolderKind.LVM: (
        RefusalReason.HELD_BY_LVM,
        "LVM volumes",
        "deactivate the volume group with 'vgchange -an'",
    ),
    HolderKind.CRYPT: (
        RefusalReason.HELD_BY_CRYPT,
        "opened encrypted volumes",
        "close them with 'cryptsetup close'",
    ),
    HolderKind.MULTIPATH: (
        RefusalReason.HELD_BY_MULTIPATH,
        "a multipath device",
        "remove it with 'multipath -f', then erase one of its paths",
    ),
    HolderKind.MD: (RefusalReason.HELD_BY_MD, "a RAID array", "stop it with 'mdadm --stop'"),
    HolderKind.BCACHE: (RefusalReason.HELD_BY_BCACHE, "bcache", "stop it through /sys/fs/bcache"),
    HolderKind.ZFS: (RefusalReason.HELD_BY_ZFS, "a ZFS pool", "export it with 'zpool export'"),
    HolderKind.DM: (
        RefusalReason.HELD_BY_DM,
        "device-mapper devices",
        "remove them with 'dmsetup remove'",
    ),
    HolderKind.LOOP: (RefusalReason.HELD_BY_LOOP, "loop devices", "detach them with 'losetup -d'"),
    HolderKind.UNKNOWN: (RefusalReason.HELD_BY_UNKNOWN, "other block devices", "stop what made them"),
}
_LISTED = 4
"""How many names a sentence lists before it only counts the rest."""


def examine(drive: Drive, usage: Usage, protect: Protection) -> tuple[Refusal, ...]:
    """All reasons why ``drive`` must not be touched, the most serious first; empty if it may be erased."""
    found = [
        *_by_system(drive, usage),
        *_by_holders(drive, usage),
        *_by_policy(drive, protect),
        *_by_drive(drive, usage),
    ]
    order = list(RefusalReason)
    return tuple(sorted(found, key=lambda refusal: order.index(refusal.reason)))


def _by_system(drive: Drive, usage: Usage) -> Iterable[Refusal]:
    through = {mount.mountpoint: mount.device for mount in reversed(usage.mounts)}
    places = _listed(f"{mountpoint} (through {device})" for mountpoint, device in reversed(through.items()))
    if usage.backs_root:
        yield Refusal(
            RefusalReason.HOLDS_ROOT,
            f"{drive.path} holds the running system itself: boot Rasura from the network or from another "
            "medium to erase it",
        )
    if usage.backs_live_medium:
        yield Refusal(
            RefusalReason.LIVE_MEDIUM,
            f"{drive.path} is the medium this live system was booted from: it is never erased from within; "
            "boot from another one to erase it",
        )
    elif usage.is_our_stick:
        yield Refusal(
            RefusalReason.LIVE_MEDIUM,
            f"{drive.path} is a Rasura stick: it is never erased, whether or not this system was booted from "
            "it; write something else to it on another computer first",
        )
    if usage.mounts:
        yield Refusal(RefusalReason.MOUNTED, f"{drive.path} is mounted at {places}: unmount it with 'umount'")
    if usage.swaps:
        yield Refusal(
            RefusalReason.SWAP,
            f"{drive.path} holds the swap area {_listed(usage.swaps)}: release it with 'swapoff'",
        )


def _by_holders(drive: Drive, usage: Usage) -> Iterable[Refusal]:
    for kind in dict.fromkeys(holder.kind for holder in usage.holders):
        reason, what, remedy = _HELD[kind]
        names = _listed(dict.fromkeys(holder.name for holder in usage.holders if holder.kind is kind))
        yield Refusal(reason, f"{drive.path} is held by {what} ({names}): {remedy}")
    # A loop device does not claim what it stands on: it cannot be why the kernel says busy.
    claimed = usage.mounts or usage.swaps or any(h.kind is not HolderKind.LOOP for h in usage.holders)
    if usage.busy and not claimed:
        yield Refusal(
            RefusalReason.BUSY,
            f"{drive.path} is in use, but the kernel does not say by what: stop what uses it "
            "(a storage pool, a virtual machine, another program), or boot Rasura afresh",
        )
    if usage.unreadable:
        yield Refusal(
            RefusalReason.USAGE_UNKNOWN,
            f"it is not known that {drive.path} is free ({'; '.join(usage.unreadable)}): "
            "list the drives again, as root",
        )


def _by_policy(drive: Drive, protect: Protection) -> Iterable[Refusal]:
    protected = {serial.strip().casefold() for serial in protect.serials}
    protected |= {name for serial in protect.serials if (name := world_wide_name(serial))}
    for name in (drive.serial, drive.wwn):
        if name is not None and name.casefold() in protected:
            yield Refusal(
                RefusalReason.PROTECTED_BY_POLICY,
                f"the policy protects {drive.path}, which is {name}: change the policy to erase it",
            )
    pluggable = drive.transport is Transport.USB or drive.removable is not False
    if protect.refuse_removable and pluggable and not drive.is_virtual:
        yield Refusal(
            RefusalReason.PROTECTED_BY_POLICY,
            f"the policy refuses removable drives, and {drive.path} is one or may be one: "
            "change the policy to erase it",
        )


def _by_drive(drive: Drive, usage: Usage) -> Iterable[Refusal]:
    if usage.read_only:
        yield Refusal(
            RefusalReason.READ_ONLY,
            f"{drive.path} is read-only: release its write-protect switch, or make the file writable",
        )
    if drive.capacity_bytes <= 0:
        yield Refusal(
            RefusalReason.ZERO_SIZE,
            f"{drive.path} reports no capacity: put a card in, or check its cable; a drive that stays so is "
            "broken and can only be destroyed",
        )


def _listed(names: Iterable[str]) -> str:
    every = list(names)
    rest = len(every) - _LISTED
    return ", ".join(every[:_LISTED]) + (f" and {rest} more" if rest > 0 else "")
