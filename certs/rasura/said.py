"""What side statements say of a certificate or a report that was handed over with them. Pure.

A decision counts whichever certified person made it, and each person's latest one: nobody else lifts a
rejection. What a certificate says is corrected, and which one takes its place is said, by its own site only;
a correction is told and changes no verdict. Later means: later in the log.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

import msgspec

from rasura.checkpoint import origin_of
from rasura.claims import ClaimsError
from rasura.errors import ExitCode
from rasura.side_statement import (
    Correction,
    Decision,
    DocumentKind,
    DocumentStatement,
    KeyRevocation,
    Ruling,
    SideStatement,
    Supersession,
    member_at,
)
from rasura.verifier import Report, Verdict

__all__ = ["Gathered", "gather", "in_force", "in_order", "judge_statement", "with_statements"]


class Gathered(msgspec.Struct, frozen=True):
    """Genuine certificates and reports, by their payload hashes, and what fits each, in its order."""

    documents: dict[str, Report]
    said: dict[str, tuple[Report, ...]]
    allow_unlogged: bool

    def why_not(self, statement: DocumentStatement) -> str | None:
        """Why a statement that is genuine says nothing of what is here, or ``None`` if it does."""
        document = self.documents.get(statement.document.payload_sha256)
        if document is None or document.claims is None:
            return f"what it speaks of is not among the files: {_named(statement.document.payload_sha256)}"
        kind = (
            DocumentKind.MACHINE_REPORT
            if document.machine_report is not None
            else DocumentKind.ERASURE_CERTIFICATE
        )
        if statement.document.kind is not kind:
            return f"it speaks of the {statement.document.kind} of that hash, which is an {kind}"
        if isinstance(statement, Decision):
            return None
        if statement.signer.site != document.claims.station.site:
            return "it speaks of another site's work"
        if isinstance(statement, Correction):
            try:
                member_at(document.claims, statement.field)
            except ClaimsError as error:
                return str(error)
        return None


def gather(reports: Sequence[Report], *, allow_unlogged: bool) -> Gathered:
    """Lay side statements beside what they speak of; those that are in no log only if they are allowed."""
    documents = {
        one.payload_sha256: one
        for one in reports
        if one.claims is not None
        and one.payload_sha256 is not None
        and one.verdict is not Verdict.NOT_GENUINE
    }
    found: defaultdict[str, list[Report]] = defaultdict(list)
    gathered = Gathered(documents, {}, allow_unlogged)
    for one in reports:
        statement = one.statement
        if not isinstance(statement, DocumentStatement) or not _counts(one, allow_unlogged):
            continue
        if gathered.why_not(statement) is None:
            found[statement.document.payload_sha256].append(one)
    gathered.said.update({name: in_order(them) for name, them in found.items()})
    return gathered


def judge_statement(report: Report, gathered: Gathered, *, any_outcome: bool) -> tuple[ExitCode, str]:
    """A side statement's own verdict. Alone it attests no erasure, so alone it never ends with 0."""
    statement = report.statement
    if report.verdict is Verdict.NOT_GENUINE or statement is None:
        return ExitCode.FAILED, "NOT GENUINE: do not rely on it"
    says = _says(report, statement)
    if not _counts(report, gathered.allow_unlogged):
        return ExitCode.REFUSED, f"NOT ACCEPTED: {report.verdict.value} ({says})"
    if any_outcome:
        return ExitCode.DONE, f"GENUINE: {says}"
    if isinstance(statement, DocumentStatement):
        why_not = gathered.why_not(statement)
    else:
        why_not = None if gathered.documents else "there is no certificate among the files"
    if why_not is not None:
        return ExitCode.REFUSED, f"GENUINE, and it says nothing of an erasure here: {why_not} ({says})"
    return ExitCode.DONE, f"GENUINE: {says}"


def with_statements(
    report: Report, gathered: Gathered, code: ExitCode, sentence: str
) -> tuple[ExitCode, str]:
    """The verdict on a certificate or a report, with what was said of it; rejected or replaced is never 0."""
    them = gathered.said.get(report.payload_sha256 or "", ())
    if not them or report.verdict is Verdict.NOT_GENUINE:
        return code, sentence
    against: list[str] = []
    beside: list[str] = []
    for one in in_force(them):
        statement = one.statement
        if statement is None:
            continue
        rejects = isinstance(statement, Decision) and statement.decision is Ruling.REJECTED
        (against if rejects or isinstance(statement, Supersession) else beside).append(_says(one, statement))
    said = "; ".join((sentence, *beside))
    if not against:
        return code, said
    return ExitCode.REFUSED if code is ExitCode.DONE else code, f"{'; '.join(against)}. {said}"


def in_force(them: Iterable[Report]) -> Iterable[Report]:
    """Each person's last decision, the last correction of each member, and every supersession.

    ``them`` are in their order (:func:`in_order`).
    """
    last: dict[object, Report] = {}
    for one in them:
        match one.statement:
            case Decision(signer=signer):
                last[("decision", signer.site, signer.name)] = one
            case Correction(field=field):
                last[("correction", field)] = one
            case Supersession(replacement=replacement):
                last[("supersession", replacement.payload_sha256)] = one
    return last.values()


def in_order(them: Iterable[Report]) -> tuple[Report, ...]:
    """The oldest first. In one log that is their places; what is in no log comes last.

    Of two that nothing tells apart the rejection is later. Across logs, each was logged by the earliest time
    that its receipt or one of a later entry gives: receipts that are fetched again bear later times.
    """
    never = datetime.max.replace(tzinfo=UTC)
    by: dict[tuple[str, int], datetime] = {}
    earliest: dict[str, datetime] = {}
    reports = list(them)
    for one in sorted(reports, key=lambda one: one.index or 0, reverse=True):
        log = _log_of(one)
        earliest[log] = min(earliest.get(log, never), one.logged_at or never)
        by[log, one.index or 0] = earliest[log]
    return tuple(
        sorted(reports, key=lambda one: (by[_log_of(one), one.index or 0], one.index or 0, _rejects(one)))
    )


def _log_of(report: Report) -> str:
    """The name of the log that holds it, for reports of documents that a log holds."""
    return "" if report.checkpoint_note is None else origin_of(report.checkpoint_note)


def _rejects(report: Report) -> bool:
    return isinstance(report.statement, Decision) and report.statement.decision is Ruling.REJECTED


def _counts(report: Report, allow_unlogged: bool) -> bool:
    return report.verdict is Verdict.GENUINE or (report.verdict is Verdict.NOT_LOGGED and allow_unlogged)


def _says(report: Report, statement: SideStatement) -> str:
    when = "" if report.logged_at is None else f", logged by {report.logged_at:%Y-%m-%d %H:%M} UTC"
    signer = statement.signer
    who = f"by {signer.name} ({signer.role}) of {signer.site}{when}"
    why = f": {statement.reason}" if statement.reason else ""
    match statement:
        case Decision(decision=decision):
            word = "REJECTED" if decision is Ruling.REJECTED else "accepted"
            return f"{word} {who}{why}"
        case Correction(field=field, right=right):
            return f"CORRECTED {who}: {field} is {right!r}{why}"
        case Supersession(replacement=replacement):
            return f"SUPERSEDED {who}, {_named(replacement.payload_sha256)} takes its place{why}"
        case KeyRevocation(key=key, since=since):
            by = f"site {signer.site}" if signer.site is not None else f"the registry {signer.name}"
            return f"the key {_named(key)} is revoked since {since} by {by}{when}{why}"
        case _:
            return statement.what


def _named(digest: str) -> str:
    return f"sha256:{digest[:16]}…"
