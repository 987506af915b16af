"""Which block devices are one and the same drive, and what else there is to say about several; pure.

World Wide Names are not to be trusted alone: whole batches of drives were made with the same one. Two
block devices are taken for one drive only if nothing that they say contradicts it.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from itertools import combinations

import msgspec

from rasura_agent.inventory.model import Drive, Transport

__all__ = ["Note", "NoteKind", "drive_notes", "same_drive"]

_BY_SERIAL = frozenset({Transport.SAS, Transport.SCSI, Transport.FC, Transport.NVME})
"""Where equal serial number and model are enough: drives with several ports, and namespaces of one drive.
USB card readers give one serial number to every slot, RAID controllers to every volume (but not one name)."""


class NoteKind(StrEnum):
    """What a note is about."""

    SAME_DRIVE = "same-drive"
    """Several paths to one drive: name, serial number and size are the same. Erase it once."""
    MAYBE_SAME = "maybe-same"
    """Not enough is known to say so: use counts for both, and each is to be erased."""
    NAMESPACES = "namespaces"
    """Several namespaces of one NVMe drive: device commands may reach them all, an overwrite only its own."""
    SHARED_WWN = "shared-wwn"
    RAID_CONTROLLER = "raid-controller"
    HARDWARE_PARTITIONS = "hardware-partitions"
    NOT_A_DRIVE = "not-a-drive"


class Note(msgspec.Struct, frozen=True):
    """Something a person should know about block devices (``paths``) of this machine."""

    kind: NoteKind
    paths: tuple[str, ...]
    sentence: str


def same_drive(one: Drive, other: Drive) -> bool:
    """Whether two block devices may be one drive, so that what uses or erases one concerns the other."""
    if None not in {one.serial, other.serial} and one.serial != other.serial:
        return False
    if None not in {one.model, other.model} and one.model != other.model:
        return False
    if one.wwn is not None and one.wwn == other.wwn and one.capacity_bytes == other.capacity_bytes:
        return True
    if one.transport is not other.transport or one.transport not in _BY_SERIAL:
        return False
    if one.transport is not Transport.NVME and one.wwn != other.wwn and None not in {one.wwn, other.wwn}:
        return False
    return None not in {one.serial, one.model} and (one.serial, one.model) == (other.serial, other.model)


def drive_notes(drives: Sequence[Drive]) -> tuple[Note, ...]:
    """What is to be said about pairs of ``drives``."""
    return tuple(note for one, other in combinations(drives, 2) if (note := _note(one, other)))


def _note(one: Drive, other: Drive) -> Note | None:
    paths, pair = (one.path, other.path), f"{one.path} and {other.path}"
    same_name = one.wwn is not None and one.wwn == other.wwn
    if same_drive(one, other) and one.transport is Transport.NVME and not same_name:
        sentence = (
            f"{pair} are namespaces of one drive: a device command on one may erase both, "
            "an overwrite erases only its own"
        )
        return Note(NoteKind.NAMESPACES, paths, sentence)
    if same_drive(one, other) and same_name and one.serial is not None and one.serial == other.serial:
        return Note(
            NoteKind.SAME_DRIVE, paths, f"{pair} are two paths to one drive: erase it once, by one of them"
        )
    if same_drive(one, other):
        return Note(
            NoteKind.MAYBE_SAME, paths, f"{pair} may be two paths to one drive: nothing tells them apart"
        )
    if same_name:
        return Note(
            NoteKind.SHARED_WWN, paths, f"{pair} give the same World Wide Name {one.wwn} but are two drives"
        )
    return None
