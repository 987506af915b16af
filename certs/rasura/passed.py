"""What is said of checks that passed, where it depends on who signed or on what. Pure."""

from __future__ import annotations

from typing import NamedTuple

from rasura.certificate import ErasureCertificate
from rasura.keys import Role
from rasura.machine_report import MachineReport

__all__ = ["GOOD", "Good", "good_claims"]


class Good(NamedTuple):
    """The sentences of one role; ``validity`` ends in the time."""

    signature: str
    chain: str
    identity: str
    clock: str
    validity: str


def _good(role: Role) -> Good:
    name = role.name.lower()
    return Good(
        f"the {name}'s key signed exactly this statement",
        f"a trusted registry authority certified the site, and the site this {name}",
        f"the claims name the site and {name} that signed",
        f"the times claimed fit {role.certificate}",
        f"the {'site' if role is Role.STATION else 'signer'}'s signing certificate was valid "
        "when the log included it, by ",
    )


GOOD = {role: _good(role) for role in Role}

_CLAIMS: dict[type, str] = {
    ErasureCertificate: "the verdict follows from the evidence in the certificate",
    MachineReport: "every drive has one outcome, and a certificate where it was erased",
}


def good_claims(document: object) -> str:
    """Of check 6."""
    return _CLAIMS.get(type(document), "it is said in full")
