"""Revocations that came as bundles: which of them hold, and what they take from what else was verified. Pure.

A revocation is believed if it verifies with a receipt. It may itself have been signed with a key that was
stolen, so there is an order in which nobody can revoke whoever revokes them: the trust file; then what a
registry's authority revoked; then what sites revoked, of the signers that they certified.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from rasura.consistency import parse_time
from rasura.side_statement import KeyRevocation
from rasura.trust import Revocation
from rasura.verifier import VALIDITY, Report, State, Verdict, revoked_keys

__all__ = ["revocation_of", "standing", "with_revocations"]


def revocation_of(said: KeyRevocation) -> Revocation | None:
    """What a trust file says of it, to the second; ``None`` for a time that cannot be read."""
    since = parse_time(said.since)
    return None if since is None else Revocation(said.key, since.replace(microsecond=0), said.signer.site)


def standing(reports: Iterable[Report]) -> tuple[Revocation, ...]:
    """The revocations that hold among ``reports``, each verified with the trust file's.

    What is in no trusted log is none: anybody could have dated it.
    """
    told = [
        (one, found)
        for one in reports
        if one.verdict is Verdict.GENUINE and isinstance(one.statement, KeyRevocation)
        if (found := revocation_of(one.statement)) is not None
    ]
    highest = tuple(found for _, found in told if found.site is None)
    lower = tuple(
        found
        for one, found in told
        if found.site is not None and with_revocations(one, highest).verdict is Verdict.GENUINE
    )
    return tuple(dict.fromkeys((*highest, *lower)))


def with_revocations(report: Report, revoked: tuple[Revocation, ...]) -> Report:
    """The same report, not genuine if a key of its chain was revoked before the log included it."""
    said = report.statement
    if report.verdict is Verdict.NOT_GENUINE:
        return report
    if isinstance(said, KeyRevocation) and said.signer.site is None:
        return report  # an authority's revocation is judged by the trust file alone
    of_revocation = isinstance(said, KeyRevocation)
    moment = report.logged_at
    problems = [
        f"a key of its chain was revoked on {one.since:%Y-%m-%d %H:%M} UTC, before that"
        if moment is not None
        else "a key of its chain is revoked, and no log says it signed this before"
        for one in revoked_keys(report.signing_keys, revoked, believed_first=of_revocation)
        if moment is None or one.since <= moment
    ]
    if not problems:
        return report
    checks = tuple(
        one._replace(state=State.FAILED, sentence="; ".join(problems)) if one.number == VALIDITY else one
        for one in report.checks
    )
    return msgspec.structs.replace(report, checks=checks, verdict=Verdict.NOT_GENUINE)
