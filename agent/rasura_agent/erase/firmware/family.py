"""A drive's own command set, as the engine and the plan see it: one port for ATA, SCSI, NVMe and eMMC."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from rasura.certificate import HiddenAreas, Technique
from rasura_agent.erase.firmware.line import Line, TechniqueEnd
from rasura_agent.erase.firmware.offer import Offer

__all__ = ["Family", "Prepared"]


@dataclass(frozen=True, slots=True)
class Prepared:
    """The drive is ready for a technique, or ``obstacle`` says why not.

    ``native_capacity_bytes`` counts hidden areas too. ``risks`` are residual risks in words.
    """

    obstacle: str | None = None
    hidden_areas: HiddenAreas | None = None
    native_capacity_bytes: int | None = None
    risks: tuple[str, ...] = ()


class Family(Protocol):
    """One drive that speaks one command set."""

    def offers(self) -> tuple[Offer, ...]:
        """Every technique of the set, strongest first, with its obstacle if it cannot be used."""
        ...

    def prepare(self, line: Line) -> Prepared:
        """Bring the drive into a state from which a technique can begin.

        A sanitize that is still running is followed to its end, a failure mode left, a drive locked by
        an earlier run unlocked, hidden areas lifted.
        """
        ...

    def run(self, technique: Technique, line: Line) -> TechniqueEnd:
        """Carry out one of the offered techniques."""
        ...
