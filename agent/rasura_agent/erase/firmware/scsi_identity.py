"""Whether pass-through and the block layer speak of one and the same drive; pure."""

from __future__ import annotations

from enum import Enum

import msgspec

from rasura_agent.inventory.model import Drive
from rasura_agent.inventory.text import identifier, world_wide_name
from rasura_agent.sentence import Sentence

__all__ = ["Identity", "IdentityVerdict", "same_identity"]


class Identity(Enum):
    """What the comparison came to."""

    SAME = "same"
    DIFFERENT = "different"
    UNKNOWN = "unknown"
    """There is nothing to compare: it must not be taken for the same."""


class IdentityVerdict(msgspec.Struct, frozen=True):
    """The verdict, and a sentence that says on what it stands."""

    identity: Identity
    sentence: str


def same_identity(serial: str | None, wwn: str | None, drive: Drive) -> IdentityVerdict:
    """Compare what a drive said through pass-through with what the block layer says of ``drive``.

    ``serial`` is the unit serial number, ``wwn`` the World Wide Name of the logical unit (``naa.…``,
    ``eui.…`` or ``0x…``). One of them must agree, and none may differ: whole batches of drives were made
    with one World Wide Name, so that the serial number has a say even where the names are equal.
    """
    pairs = (
        (Sentence("serial number"), identifier(serial), identifier(drive.serial)),
        (Sentence("World Wide Name"), world_wide_name(wwn), world_wide_name(drive.wwn)),
    )
    for what, there, here in pairs:
        if there is not None and here is not None and there != here:
            sentence = Sentence(
                "pass-through reaches a drive with {what} {there}, {path} has {here}",
                what=what,
                there=there,
                path=drive.path,
                here=here,
            )
            return IdentityVerdict(Identity.DIFFERENT, sentence)
    agreed = [f"{what} {there}" for what, there, here in pairs if there is not None and there == here]
    if agreed:
        return IdentityVerdict(
            Identity.SAME, f"pass-through and {drive.path} agree on {' and '.join(agreed)}"
        )
    return IdentityVerdict(
        Identity.UNKNOWN,
        Sentence(
            "whether pass-through reaches the drive at {path} cannot be told: "
            "they have no serial number or World Wide Name in common",
            path=drive.path,
        ),
    )
