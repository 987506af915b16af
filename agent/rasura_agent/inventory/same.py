"""Which block devices are one and the same drive, and what else there is to say about several; pure.

World Wide Names are not to be trusted alone: whole batches of drives were made with the same one. Two
block devices are one drive only if nothing that they say contradicts it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import combinations

from rasura_agent.inventory.model import Drive, Transport

__all__ = ["Note", "NoteKind", "drive_notes", "same_drive"]

_SHARED_MEDIUM = frozenset({Transport.SAS, Transport.SCSI, Transport.FC, Transport.NVME})
"""Where block devices of equal serial number and model are parts of one drive: its namespaces, its logical
units (one for each actuator). USB card readers give one serial number to every slot."""


class NoteKind(StrEnum):
    """What a note is about."""

    SAME_DRIVE = "same-drive"
    """Several paths to one drive, or several namespaces or logical units of it."""
    SHARED_WWN = "shared-wwn"
    RAID_CONTROLLER = "raid-controller"
    HARDWARE_PARTITIONS = "hardware-partitions"
    NOT_A_DRIVE = "not-a-drive"


@dataclass(frozen=True, slots=True)
class Note:
    """Something a person should know about block devices (``paths``) of this machine."""

    kind: NoteKind
    paths: tuple[str, ...]
    sentence: str


def same_drive(one: Drive, other: Drive) -> bool:
    """Whether two block devices are one drive, so that what uses or erases one concerns the other."""
    if None not in {one.serial, other.serial} and one.serial != other.serial:
        return False
    if None not in {one.model, other.model} and one.model != other.model:
        return False
    if one.wwn is not None and one.wwn == other.wwn:
        return one.capacity_bytes == other.capacity_bytes
    together = one.transport in _SHARED_MEDIUM and one.transport is other.transport
    return together and one.serial is not None and one.model is not None and one.serial == other.serial


def drive_notes(drives: Sequence[Drive]) -> tuple[Note, ...]:
    """What is to be said about pairs of ``drives``."""
    notes = []
    for one, other in combinations(drives, 2):
        paths = (one.path, other.path)
        if same_drive(one, other):
            what = "two paths to" if one.wwn is not None and one.wwn == other.wwn else "two parts of"
            sentence = f"{one.path} and {other.path} are {what} one drive: choose one of them, erase it once"
            notes.append(Note(NoteKind.SAME_DRIVE, paths, sentence))
        elif one.wwn is not None and one.wwn == other.wwn:
            sentence = (
                f"{one.path} and {other.path} say the same World Wide Name {one.wwn} but are two drives"
            )
            notes.append(Note(NoteKind.SHARED_WWN, paths, sentence))
    return tuple(notes)
