"""The password that a security erase needs, and how a drive gets rid of one (ACS-4, SEC1 to SEC6).

SECURITY ERASE UNIT works only on a drive with a user password, and a loss of power in its middle leaves
that password set and the drive locked. So there is one password, the same in every copy of this software
and no secret: whoever finds a drive locked by an interrupted erase opens it again with::

    hdparm --user-master u --security-unlock RASURA-ERASING /dev/sdX
    hdparm --user-master u --security-disable RASURA-ERASING /dev/sdX
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from rasura.errors import RasuraError
from rasura_agent.drive.ata.security import (
    SecurityLevel,
    SecurityState,
    SecurityStatus,
    security_disable_password,
    security_unlock,
)
from rasura_agent.drive.port import Disposition
from rasura_agent.erase.firmware.ata_drive import Silence, security_of
from rasura_agent.erase.firmware.line import Intent, Journal, Line
from rasura_agent.sentence import Sentence

__all__ = [
    "EMPTY_PASSWORD",
    "PUBLISHED_PASSWORD",
    "Removal",
    "master_password_note",
    "remove_password",
    "settled",
]

PUBLISHED_PASSWORD = b"RASURA-ERASING"
"""User password of every security erase; like hdparm, filled up with NULs to 32 bytes."""

EMPTY_PASSWORD = b""
"""32 NULs: what some tools set, and hdparm calls NULL."""

_TIMES = 2
"""How often UNLOCK is sent when no answer comes; a wrong password costs one of the drive's five attempts."""


class Removal(msgspec.Struct, frozen=True):
    """How the drive was left. ``fits``: it took the password; ``security`` is the last state read."""

    fits: bool
    security: SecurityStatus | Silence

    @property
    def state(self) -> SecurityState | None:
        """The last state read, ``None`` where the drive told none."""
        return None if isinstance(self.security, Silence) else self.security.state

    @property
    def free(self) -> bool:
        """Whether no password is set on the drive (SEC1, SEC2)."""
        return self.state in {SecurityState.SEC1, SecurityState.SEC2}


def remove_password(line: Line, password: bytes) -> Removal:
    """Unlock the drive with the user ``password`` and disable it, looking at its state before each step.

    Ends as soon as the drive is free, refuses the password, is frozen, silent, or out of attempts.
    """
    unlocks = disables = _TIMES
    fits = False
    while True:
        security = security_of(line)
        state = None if isinstance(security, Silence) else security.state
        if isinstance(security, Silence):
            return Removal(fits, security)
        if state is SecurityState.SEC4 and unlocks and not security.count_expired:
            unlocks -= 1
            answer = line.execute(security_unlock(password))  # SEC4 to SEC5
        elif state is SecurityState.SEC5 and disables:
            # Here a wrong password costs no attempt.
            disables -= 1
            answer = line.execute(security_disable_password(password))  # SEC5 to SEC1
        else:
            return Removal(fits, security)
        if answer.disposition is Disposition.REFUSED and not fits:
            return Removal(False, security_of(line))
        fits = fits or answer.disposition is Disposition.DONE


def master_password_note(security: SecurityStatus) -> str:
    """What the master password of a drive with a foreign user password is good for, as a sentence."""
    if security.level is SecurityLevel.MAXIMUM:
        can = Sentence("at security level maximum its master password can only erase it, not unlock it")
    else:
        can = Sentence("at security level high its master password unlocks it too")
    if security.master_password_identifier == 0xFFFE:
        return Sentence(
            "{can}, and the master password is still the manufacturer's (identifier FFFEh)", can=can
        )
    return can


def settled(journal: Journal, intents: Iterable[Intent], reason: str) -> str:
    """Forget intents whose password is gone; the reason, and that this failed if it did.

    The drive is free all the same: a later run finds it so and settles then.
    """
    try:
        for intent in intents:
            journal.settle(intent)
    except RasuraError as error:
        return Sentence("{reason} (the journal could not be settled: {error})", reason=reason, error=error)
    return reason
