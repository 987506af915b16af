"""Frozen descriptions of what a machine has; pure, no I/O.

A fact nobody told us is ``None``, never a guess.
"""

from __future__ import annotations

from enum import StrEnum

import msgspec

from rasura.identity import identity_digest

__all__ = ["Drive", "Holder", "HolderKind", "IdentityPage", "Mount", "Transport", "Usage"]


class Transport(StrEnum):
    """How the drive is attached, as far as the kernel knows."""

    ATA = "ata"
    SATA = "sata"
    SCSI = "scsi"
    SAS = "sas"
    FC = "fc"
    ISCSI = "iscsi"
    NVME = "nvme"
    USB = "usb"
    MMC = "mmc"
    VIRTIO = "virtio"
    LOOP = "loop"
    FILE = "file"
    """A regular file treated as a drive (``--virtual-drive``)."""


class IdentityPage(msgspec.Struct, frozen=True):
    """One raw page by which a drive identified itself: ``name`` says which, ``data`` is what it said."""

    name: str
    data: bytes


class Drive(msgspec.Struct, frozen=True):
    """The thing with a serial number, as it presented itself at one moment.

    Sizes are bytes. ``path`` is the kernel's block device (it may name another drive
    tomorrow) or the file of a virtual drive.
    """

    path: str
    transport: Transport | None
    manufacturer: str | None
    model: str | None
    serial: str | None
    wwn: str | None
    """World Wide Name, EUI-64 or NGUID in lower-case hex with the prefix the kernel gives."""
    firmware: str | None
    capacity_bytes: int
    logical_sector_bytes: int
    physical_sector_bytes: int | None
    rotational: bool | None
    removable: bool | None
    device_number: tuple[int, int] | None
    """(major, minor); ``None`` for a virtual drive."""
    diskseq: int | None
    """The kernel's sequence number of this disk: it never returns within one boot (Linux 5.15)."""
    identity_pages: tuple[IdentityPage, ...]

    @property
    def is_virtual(self) -> bool:
        """Whether this is a file posing as a drive."""
        return self.transport is Transport.FILE

    @property
    def identity_sha256(self) -> str:
        """The subject digest of the drive's certificate, as the verifier makes it again.

        So the pages may hold nothing that changes with the slot or the boot.
        """
        return identity_digest((page.name, page.data) for page in self.identity_pages)


class HolderKind(StrEnum):
    """Who in the kernel holds a block device."""

    LVM = "lvm"
    CRYPT = "crypt"
    MULTIPATH = "multipath"
    DM = "dm"
    MD = "md"
    BCACHE = "bcache"
    ZFS = "zfs"
    LOOP = "loop"
    UNKNOWN = "unknown"


class Holder(msgspec.Struct, frozen=True):
    """A kernel device (``name``, such as ``dm-0``) on top of a drive or of one of its partitions."""

    kind: HolderKind
    name: str


class Mount(msgspec.Struct, frozen=True):
    """A mounted filesystem that lives on the drive; ``device`` is the kernel name nearest to the mount."""

    device: str
    mountpoint: str


class Usage(msgspec.Struct, frozen=True):
    """What the running system does with a drive; the guard decides on this alone."""

    mounts: tuple[Mount, ...] = ()
    swaps: tuple[str, ...] = ()
    holders: tuple[Holder, ...] = ()
    backs_root: bool = False
    """It holds ``/``, directly or through any stack of dm, md, loop or overlay."""
    backs_live_medium: bool = False
    """It holds the live image that was booted."""
    is_our_stick: bool = False
    """It carries the volume of a live image or of a stick's data, whether or not it is in use now."""
    read_only: bool = False
    busy: bool = False
    """The kernel refuses an exclusive open: somebody holds it, even if nothing above says who."""
    unreadable: tuple[str, ...] = ()
    """Sources that could not be read, so that what they would say is unknown (sentences)."""
