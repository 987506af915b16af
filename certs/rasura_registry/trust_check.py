"""Does a trust file say what the log says of keys? Who was given one that does not believes stolen keys.

The log's revocations are judged by the code that an auditor runs, without what the file took from them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import msgspec
from cryptography import x509
from msgspec.structs import replace

from rasura.errors import RasuraError
from rasura.revocations import revocation_of, standing
from rasura.side_statement import KeyRevocation
from rasura.trust import Revocation, Trust
from rasura.verifier import Report
from rasura_registry.index import Sequenced
from rasura_registry.logged_revocations import LoggedRevocations

__all__ = ["TrustCheck", "check_copy", "check_trust"]


class TrustCheck(msgspec.Struct, frozen=True):
    """How many keys the log revokes, and each sentence about what a trust file says otherwise."""

    revoked: int
    problems: tuple[str, ...]


def check_trust(
    trust: Trust, rows: Iterable[Sequenced], logged: LoggedRevocations, what: str, remedy: str
) -> TrustCheck:
    """Hold the revocations in ``trust``, which people call ``what``, against those in the log, both ways.

    ``remedy`` is what mends a file that lags behind the log. A revocation that cannot be read or proved is a
    sentence too: nobody can say what the file lacks.
    """
    told: dict[Revocation, int] = {}
    readable: list[Sequenced] = []
    problems: list[str] = []
    for row in rows:
        try:
            found = logged.told(row)
        except RasuraError as error:
            problems.append(_unreadable(row, what, error))
            continue
        readable.append(row)
        if found is not None:
            told.setdefault(found, row.position)
    by_hand = replace(trust, revoked=tuple(one for one in trust.revoked if one not in told))
    reports: list[Report] = []
    for row in readable:
        try:
            report = logged.report(row, by_hand)
        except RasuraError as error:
            problems.append(_unreadable(row, what, error))
            continue
        if report is not None:
            reports.append(report)
    held = standing(reports)
    problems += [
        f"{_lacking(one, told[one], reports, what)}; {remedy}" for one in held if one not in trust.revoked
    ]
    problems += [_unlogged(one, what) for one in by_hand.revoked]
    problems += [
        f"{what} revokes {_key(one)} since {_since(one)} by entry {told[one]} of the log, which does not "
        f"count: whoever signed it was revoked before that; {remedy}"
        for one in trust.revoked
        if one in told and one not in held
    ]
    return TrustCheck(len(held), tuple(problems))


def check_copy(copy: Trust, own: Trust, what: str) -> Iterator[str]:
    """What else a copy of a registry's trust file says otherwise than the registry's own, ``own``."""
    for kind, there, here in (
        ("registry's authority", _names(copy.authorities), _names(own.authorities)),
        ("log", _logs(copy), _logs(own)),
        ("timestamp authority", _names(copy.timestamp_authorities), _names(own.timestamp_authorities)),
    ):
        for name, value in here:
            if value not in {found for _, found in there}:
                yield f"{what} does not name the {kind} {name}, which the registry's own trust file names"
        for name, value in there:
            if value not in {found for _, found in here}:
                yield f"{what} names the {kind} {name}, which the registry's own trust file does not know"


def _names(certificates: Sequence[x509.Certificate]) -> list[tuple[str, object]]:
    return [(one.subject.rfc4514_string(), one) for one in certificates]


def _logs(trust: Trust) -> list[tuple[str, object]]:
    return [(one.encode(), one) for one in trust.logs]


def _lacking(one: Revocation, position: int, reports: Iterable[Report], what: str) -> str:
    new = next(
        (
            f", rotated to the key sha256:{said.replaced_by}"
            for report in reports
            if isinstance(said := report.statement, KeyRevocation)
            and said.replaced_by is not None
            and revocation_of(said) == one
        ),
        "",
    )
    return (
        f"{what} does not say that {_key(one)} is revoked since {_since(one)}{new}, as entry {position} of "
        f"the log does: auditors who have it go on believing that key"
    )


def _unlogged(one: Revocation, what: str) -> str:
    return (
        f"{what} revokes {_key(one)} since {_since(one)}, and no entry of the log says the same: auditors "
        f"with an older trust file never learn of it; log it with 'rasura-registry revoke'"
    )


def _key(one: Revocation) -> str:
    key = f"the key sha256:{one.key}"
    return key if one.site is None else f"{key} (certified by the site {one.site})"


def _since(one: Revocation) -> str:
    return f"{one.since:%Y-%m-%d %H:%M:%S} UTC"


def _unreadable(row: Sequenced, what: str, error: RasuraError) -> str:
    return f"whether {what} has the revocation of entry {row.position} cannot be said: {error}"
