"""What a live station knows when it draws its screen; pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import msgspec

from rasura.certificate import Outcome
from rasura_agent.console.language import _
from rasura_agent.erase.policy import Policy
from rasura_agent.inventory.machine_model import MachineIdentity
from rasura_agent.live.boot_facts import BootFacts
from rasura_agent.live.handover import Handover
from rasura_agent.live.host import NetworkPort
from rasura_agent.live.intact import Integrity
from rasura_agent.survey import Survey

__all__ = ["Obstacle", "Situation"]


class Obstacle(NamedTuple):
    """Why the station cannot sign yet, and what to do; whether a passphrase would help."""

    sentence: str
    is_sealed: bool = False


class Situation(msgspec.Struct, frozen=True):
    """Everything at one moment."""

    machine: MachineIdentity
    facts: BootFacts
    integrity: Integrity
    ports: tuple[NetworkPort, ...]
    stick: str | None
    """Where certificates are kept, in words; ``None`` without a stick."""
    stick_notes: tuple[str, ...]
    registry: str | None
    """The address of the registry, as far as one is known."""
    site: str | None
    """The site that this station signs for; ``None`` while it cannot sign."""
    site_obstacle: Obstacle | None
    """Why it cannot sign yet."""
    policy: Policy | None
    policy_problem: str | None
    survey: Survey
    handover: Handover = msgspec.field(default_factory=Handover)
    ended: Mapping[str, Outcome] = msgspec.field(default_factory=dict)
    """How the drives ended that something was done to in this session, by the digest of their identity."""
    waiting: int = 0
    """Certificates that are not logged yet."""

    @property
    def is_sealed(self) -> bool:
        """Whether the passphrase of the site's key is missing."""
        return self.site_obstacle is not None and self.site_obstacle.is_sealed

    @property
    def runnable(self) -> int:
        """How many drives would be erased."""
        return sum(plan.runnable for plan in self.survey.plans)

    @property
    def obstacles(self) -> tuple[str, ...]:
        """Why nothing can be erased now, in sentences; none while the image is still being checked."""
        found = []
        if self.integrity is Integrity.DAMAGED:
            found.append(
                _("this Rasura is damaged, do not erase with it: make the stick or the boot files anew")
            )
        if self.policy is None:
            found.append(self.policy_problem or _("there is no policy"))
        if self.site is None:
            obstacle = self.site_obstacle
            found.append(
                obstacle.sentence if obstacle is not None else _("this station cannot sign certificates")
            )
        return tuple(found)
