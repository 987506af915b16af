"""When this machine may be switched off: once every certificate is handed over. Pure.

A certificate is *handed over* when it is durable on a stick, or when the registry has proven that its log
holds it. Until then it exists in the memory of this machine alone, and neither the end that was asked for
at boot nor a person's key may lose it; only a person who types a word in full may.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum

import msgspec
from msgspec.structs import replace

__all__ = [
    "Asked",
    "Custody",
    "EndAsked",
    "Event",
    "GivenUp",
    "Handover",
    "Logged",
    "Phase",
    "Refused",
    "Signed",
    "Stored",
    "Withdrawn",
]


class Custody(msgspec.Struct, frozen=True):
    """Who has one certificate beside this machine's memory."""

    stored: bool = False
    logged: bool = False
    refused: str | None = None
    """Why the registry will never log it."""

    @property
    def is_handed_over(self) -> bool:
        """Whether it outlives this machine."""
        return self.stored or self.logged


class Phase(Enum):
    """How far the end of this boot is."""

    AT_WORK = "at work"
    ENDING = "ending"
    """The end was asked for at boot and comes by itself once everything is handed over."""
    WORD_ASKED = "word asked"
    """A person wants to switch off; what is not handed over would be lost, which takes a word."""
    ENDED = "ended"


class Asked(Enum):
    """Who asked for the end."""

    AT_BOOT = "at boot"
    BY_PERSON = "by person"


class Signed(msgspec.Struct, frozen=True):
    """A certificate exists."""

    certificate_id: str


class Stored(msgspec.Struct, frozen=True):
    """It is durable on a stick."""

    certificate_id: str


class Logged(msgspec.Struct, frozen=True):
    """The registry has proven that it holds it."""

    certificate_id: str


class Refused(msgspec.Struct, frozen=True):
    """The registry refuses it for good."""

    certificate_id: str
    reason: str


class EndAsked(msgspec.Struct, frozen=True):
    """The machine is to be switched off or restarted."""

    by: Asked


class Withdrawn(msgspec.Struct, frozen=True):
    """Not now, after all."""


class GivenUp(msgspec.Struct, frozen=True):
    """A person typed the word: what is not handed over may be lost."""


Event = Signed | Stored | Logged | Refused | EndAsked | Withdrawn | GivenUp


class Handover(msgspec.Struct, frozen=True):
    """All certificates of this boot and the end; fold it over events with :meth:`after`."""

    certificates: Mapping[str, Custody] = msgspec.field(default_factory=dict)
    phase: Phase = Phase.AT_WORK
    given_up: bool = False

    @property
    def in_memory_only(self) -> tuple[str, ...]:
        """Certificates that this machine alone has."""
        return tuple(name for name, custody in self.certificates.items() if not custody.is_handed_over)

    def after(self, event: Event) -> Handover:
        """The state after ``event``; total, never raises."""
        match event:
            case EndAsked(by):
                waiting = Phase.ENDING if by is Asked.AT_BOOT else Phase.WORD_ASKED
                return replace(self, phase=waiting if self.in_memory_only else Phase.ENDED)
            case Withdrawn():
                return replace(self, phase=Phase.AT_WORK)
            case GivenUp():
                agreed = self.phase is Phase.WORD_ASKED
                return replace(self, phase=Phase.ENDED, given_up=True) if agreed else self
            case _:
                return self._with(event)

    def _with(self, event: Signed | Stored | Logged | Refused) -> Handover:
        custody = self.certificates.get(event.certificate_id, Custody())
        match event:
            case Stored():
                custody = replace(custody, stored=True)
            case Logged():
                custody = replace(custody, logged=True)
            case Refused(_, reason):
                custody = replace(custody, refused=reason)
        state = replace(self, certificates={**self.certificates, event.certificate_id: custody})
        if state.in_memory_only and state.phase is Phase.ENDED:
            return replace(state, phase=Phase.ENDING, given_up=False)  # it came too late to be given up
        if not state.in_memory_only and state.phase in {Phase.ENDING, Phase.WORD_ASKED}:
            return replace(state, phase=Phase.ENDED)
        return state
