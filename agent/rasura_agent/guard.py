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
from enum import StrEnum

import msgspec

from rasura_agent.inventory.model import Drive, HolderKind, Transport, Usage
from rasura_agent.inventory.text import world_wide_name
from rasura_agent.sentence import Sentence

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


class Refusal(msgspec.Struct, frozen=True):
    """One reason why a drive is refused, and a sentence that says what was seen and what to do next."""

    reason: RefusalReason
    sentence: Sentence


class Protection(msgspec.Struct, frozen=True):
    """What the policy protects."""

    serials: frozenset[str] = frozenset()
    """Serial numbers or World Wide Names that are never erased; case and spaces around do not matter."""
    refuse_removable: bool = False
    """Refuse drives on USB and all that are removable, or of which that is unknown; not virtual drives."""


_HELD: dict[HolderKind, tuple[RefusalReason, Sentence]] = {
    HolderKind.LVM: (
        RefusalReason.HELD_BY_LVM,
        Sentence("LVM volumes: deactivate the volume group with 'vgchange -an'"),
    ),
    HolderKind.CRYPT: (
        RefusalReason.HELD_BY_CRYPT,
        Sentence("opened encrypted volumes: close them with 'cryptsetup close'"),
    ),
    HolderKind.MULTIPATH: (
        RefusalReason.HELD_BY_MULTIPATH,
        Sentence("a multipath device: remove it with 'multipath -f', then erase one of its paths"),
    ),
    HolderKind.MD: (RefusalReason.HELD_BY_MD, Sentence("a RAID array: stop it with 'mdadm --stop'")),
    HolderKind.BCACHE: (RefusalReason.HELD_BY_BCACHE, Sentence("bcache: stop it through /sys/fs/bcache")),
    HolderKind.ZFS: (RefusalReason.HELD_BY_ZFS, Sentence("a ZFS pool: export it with 'zpool export'")),
    HolderKind.DM: (
        RefusalReason.HELD_BY_DM,
        Sentence("device-mapper devices: remove them with 'dmsetup remove'"),
    ),
    HolderKind.LOOP: (
        RefusalReason.HELD_BY_LOOP,
        Sentence("loop devices: detach them with 'losetup -d'"),
    ),
    HolderKind.UNKNOWN: (
        RefusalReason.HELD_BY_UNKNOWN,
        Sentence("other block devices: stop what made them"),
    ),
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
    places = _listed(
        Sentence("{place} (through {device})", place=mountpoint, device=device)
        for mountpoint, device in reversed(through.items())
    )
    if usage.backs_root:
        sentence = Sentence(
            "{path} holds the running system itself: boot Rasura from the network or from another "
            "medium to erase it",
            path=drive.path,
        )
        yield Refusal(RefusalReason.HOLDS_ROOT, sentence)
    if usage.backs_live_medium:
        sentence = Sentence(
            "{path} is the medium this live system was booted from: it is never erased from within; "
            "boot from another one to erase it",
            path=drive.path,
        )
        yield Refusal(RefusalReason.LIVE_MEDIUM, sentence)
    elif usage.is_our_stick:
        sentence = Sentence(
            "{path} is a Rasura stick: it is never erased, whether or not this system was booted from "
            "it; write something else to it on another computer first",
            path=drive.path,
        )
        yield Refusal(RefusalReason.LIVE_MEDIUM, sentence)
    if usage.mounts:
        sentence = Sentence(
            "{path} is mounted at {places}: unmount it with 'umount'", path=drive.path, places=places
        )
        yield Refusal(RefusalReason.MOUNTED, sentence)
    if usage.swaps:
        sentence = Sentence(
            "{path} holds the swap area {names}: release it with 'swapoff'",
            path=drive.path,
            names=_listed(usage.swaps),
        )
        yield Refusal(RefusalReason.SWAP, sentence)


def _by_holders(drive: Drive, usage: Usage) -> Iterable[Refusal]:
    for kind in dict.fromkeys(holder.kind for holder in usage.holders):
        reason, remedy = _HELD[kind]
        names = _listed(dict.fromkeys(holder.name for holder in usage.holders if holder.kind is kind))
        sentence = Sentence(
            "{path} is held by {names}, {remedy}", path=drive.path, names=names, remedy=remedy
        )
        yield Refusal(reason, sentence)
    # A loop device does not claim what it stands on: it cannot be why the kernel says busy.
    claimed = usage.mounts or usage.swaps or any(h.kind is not HolderKind.LOOP for h in usage.holders)
    if usage.busy and not claimed:
        sentence = Sentence(
            "{path} is in use, but the kernel does not say by what: stop what uses it "
            "(a storage pool, a virtual machine, another program), or boot Rasura afresh",
            path=drive.path,
        )
        yield Refusal(RefusalReason.BUSY, sentence)
    if usage.unreadable:
        sentence = Sentence(
            "it is not known that {path} is free ({reasons}): list the drives again, as root",
            path=drive.path,
            reasons=Sentence.of(usage.unreadable),
        )
        yield Refusal(RefusalReason.USAGE_UNKNOWN, sentence)


def _by_policy(drive: Drive, protect: Protection) -> Iterable[Refusal]:
    protected = {serial.strip().casefold() for serial in protect.serials}
    protected |= {name for serial in protect.serials if (name := world_wide_name(serial))}
    for name in (drive.serial, drive.wwn):
        if name is not None and name.casefold() in protected:
            sentence = Sentence(
                "the policy protects {path}, which is {name}: change the policy to erase it",
                path=drive.path,
                name=name,
            )
            yield Refusal(RefusalReason.PROTECTED_BY_POLICY, sentence)
    pluggable = drive.transport is Transport.USB or drive.removable is not False
    if protect.refuse_removable and pluggable and not drive.is_virtual:
        sentence = Sentence(
            "the policy refuses removable drives, and {path} is one or may be one: "
            "change the policy to erase it",
            path=drive.path,
        )
        yield Refusal(RefusalReason.PROTECTED_BY_POLICY, sentence)


def _by_drive(drive: Drive, usage: Usage) -> Iterable[Refusal]:
    if usage.read_only:
        sentence = Sentence(
            "{path} is read-only: release its write-protect switch, or make the file writable",
            path=drive.path,
        )
        yield Refusal(RefusalReason.READ_ONLY, sentence)
    if drive.capacity_bytes <= 0:
        sentence = Sentence(
            "{path} reports no capacity: put a card in, or check its cable; a drive that stays so is "
            "broken and can only be destroyed",
            path=drive.path,
        )
        yield Refusal(RefusalReason.ZERO_SIZE, sentence)


def _listed(names: Iterable[str]) -> Sentence:
    every = list(names)
    rest = len(every) - _LISTED
    listed = Sentence.of(every[:_LISTED], ", ")
    return Sentence("{names} and {rest} more", names=listed, rest=rest) if rest > 0 else listed
