"""A drive's own command set, as the engine and the plan see it: one port for ATA, SCSI, NVMe and eMMC."""

from __future__ import annotations

from typing import Protocol

import msgspec

from rasura.certificate import HiddenAreas, Technique
from rasura_agent.erase.firmware.line import Line, TechniqueEnd
from rasura_agent.erase.firmware.offer import Offer

__all__ = ["Family", "Prepared"]


class Prepared(msgspec.Struct, frozen=True):
    """The drive is ready to be erased, or ``obstacle`` says why not.

    ``barred``: an earlier sanitize failed, and until one succeeds the drive takes no blocks, so that it
    cannot be marked. ``still_hidden`` says what stays out of reach of the block layer, for certain.
    ``native_capacity_bytes`` counts hidden areas too. ``risks`` are residual risks in words.
    """

    obstacle: str | None = None
    barred: bool = False
    lifted: bool = False
    still_hidden: str | None = None
    hidden_areas: HiddenAreas | None = None
    native_capacity_bytes: int | None = None
    risks: tuple[str, ...] = ()


class Family(Protocol):
    """One drive that speaks one command set, as it was met before planning."""

    def offers(self) -> tuple[Offer, ...]:
        """Every technique of the set, strongest first, with its obstacle if it cannot be used."""
        ...

    @property
    def odd_sectors(self) -> str | None:
        """Why the kernel shows no capacity although the drive has one.

        ``None`` where there is no such reason; the empty string where preparing the drive mends it.
        """
        ...

    @property
    def is_frozen(self) -> bool:
        """Whether the firmware froze it at boot, which a suspend to RAM may undo."""
        ...

    def prepare(self, line: Line) -> Prepared:
        """Bring the drive into a state from which it can be erased.

        A sanitize that is still running is followed to its end, a failure mode left, a drive locked by
        an earlier run unlocked, hidden areas lifted.
        """
        ...

    def run(self, technique: Technique, line: Line) -> TechniqueEnd:
        """Carry out one of the offered techniques."""
        ...
