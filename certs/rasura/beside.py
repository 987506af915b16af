"""What bundles on one page say of each other: statements beside certificates, and revocations of keys. Pure.

By the rules of ``rasura verify`` (``said``, ``revocations``), applied to bundles as they are written: whether
each is genuine is for a trust file to say, which a page that must come out the same for everybody has not.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from datetime import UTC, datetime

import msgspec

from rasura.bundle import Bundle
from rasura.checkpoint import claimed_time, origin_of
from rasura.revocations import revocation_of, standing, with_revocations
from rasura.said import Gathered, gather, in_force, in_order
from rasura.side_statement import (
    Decision,
    DocumentStatement,
    KeyRevocation,
    Ruling,
    SideStatement,
    Supersession,
)
from rasura.trust import Revocation
from rasura.verifier import Report, Verdict, revoked_keys

__all__ = ["Beside", "StatementBeside", "belonging", "lay_beside"]


class StatementBeside(msgspec.Struct, frozen=True):
    """A side statement and where it stands: its place in a log (``None``: in none) and that log's name."""

    statement: SideStatement
    index: int | None
    log: str | None


class Beside(msgspec.Struct, frozen=True):
    """What is there beside one document."""

    counts: tuple[StatementBeside, ...] = ()
    """What people said of it that is in force, the oldest first."""
    idle: tuple[StatementBeside, ...] = ()
    """What does not count: in no log, or replaced by a later one of the same person."""
    disowned: tuple[StatementBeside, ...] = ()
    """What does not count because the key of whoever signed it was revoked."""
    keys: tuple[tuple[StatementBeside, bool], ...] = ()
    """Revocations of its keys, and whether each takes effect: no log held it before."""
    replacements: tuple[str | None, ...] = ()
    """For each supersession that counts, in order, the id of what takes its place, if that is here."""
    speaks_of: str | None = None
    """Of a statement: the id of the document here that it speaks of."""
    elsewhere: bool = False
    """Of a statement: whether there are documents here, and it may speak of none of them."""

    @property
    def revoked(self) -> bool:
        """Whether a key of it was revoked before a log held it."""
        return any(effective for _, effective in self.keys)

    @property
    def against(self) -> tuple[StatementBeside, ...]:
        """The rejections and replacements that are in force."""
        return tuple(one for one in self.counts if _against(one.statement))

    @property
    def stands(self) -> bool:
        """Nobody rejected or replaced it, and its keys are believed."""
        return not self.revoked and not self.against

    @property
    def decided(self) -> bool:
        """A person's decision is there, so none is waited for."""
        return any(isinstance(one.statement, Decision) for one in self.counts)


def lay_beside(bundles: Sequence[Bundle]) -> dict[str, Beside]:
    """What is beside each bundle, by its payload's hash; raises ``ClaimsError`` for one that says nothing."""
    written = [_as_written(one) for one in bundles]
    held = standing(written)
    reports = [with_revocations(one, held) for one in written]
    # What was said of a document whose key is revoked is told all the same.
    gathered = gather(
        [one if one.statement is None else judged for one, judged in zip(written, reports, strict=True)],
        allow_unlogged=False,
    )
    ids = {one.payload_sha256: one.certificate_id for one in bundles}
    revocations = [one for one in reports if isinstance(one.statement, KeyRevocation)]
    about: defaultdict[str | None, list[Report]] = defaultdict(list)
    for one in reports:
        if isinstance(one.statement, DocumentStatement):
            about[one.statement.document.payload_sha256].append(one)
    return {
        bundle.payload_sha256: _of(report, revocations, about[report.payload_sha256], gathered, ids)
        for bundle, report in zip(bundles, reports, strict=True)
    }


def belonging(bundle: Bundle, bundles: Sequence[Bundle]) -> tuple[Bundle, ...]:
    """``bundle``, and those of ``bundles`` that say something of it or of a key that it rests on."""
    others = [one for one in bundles if one is not bundle]
    about = [
        bundle,
        *(
            one
            for one in others
            if isinstance(said := one.document, DocumentStatement)
            and said.document.payload_sha256 == bundle.payload_sha256
        ),
    ]
    revocations = [one for one in others if isinstance(one.document, KeyRevocation)]
    beside = lay_beside([*about, *revocations])
    # All of them, because one revocation may take the word of another's signer away.
    touched = any(beside[one.payload_sha256].keys for one in about)
    return (*about, *revocations) if touched else tuple(about)


def _of(
    report: Report,
    revocations: Sequence[Report],
    about: Sequence[Report],
    gathered: Gathered,
    ids: dict[str, str],
) -> Beside:
    """What is beside one document: ``about`` are the statements that name it."""
    keys = tuple(
        (_beside(one), report.logged_at is None or found.since <= report.logged_at)
        for one in revocations
        if (found := _revoking(one, report)) is not None
    )
    statement = report.statement
    if statement is not None:
        if not isinstance(statement, DocumentStatement):
            return Beside(keys=keys)
        if gathered.why_not(statement) is not None:
            return Beside(keys=keys, elsewhere=bool(gathered.documents))
        return Beside(keys=keys, speaks_of=ids[statement.document.payload_sha256])
    fitting = [
        one
        for one in about
        if isinstance(one.statement, DocumentStatement) and gathered.why_not(one.statement) is None
    ]
    disowned = [one for one in fitting if one.verdict is Verdict.NOT_GENUINE]
    counts = tuple(in_force(gathered.said.get(report.payload_sha256 or "", ())))
    return Beside(
        counts=tuple(map(_beside, counts)),
        idle=tuple(_beside(one) for one in in_order(fitting) if one not in counts and one not in disowned),
        disowned=tuple(map(_beside, in_order(disowned))),
        keys=keys,
        replacements=tuple(
            ids.get(one.statement.replacement.payload_sha256)
            for one in counts
            if isinstance(one.statement, Supersession)
        ),
    )


def _against(statement: SideStatement) -> bool:
    rejects = isinstance(statement, Decision) and statement.decision is Ruling.REJECTED
    return rejects or isinstance(statement, Supersession)


def _revoking(one: Report, other: Report) -> Revocation | None:
    """What a revocation that counts says of a key that signed the other, or certified who did."""
    said, about = one.statement, other.statement
    if not isinstance(said, KeyRevocation) or one.verdict is not Verdict.GENUINE:
        return None
    if isinstance(about, KeyRevocation) and about.signer.site is None:
        return None  # an authority's revocation is judged by the trust file alone
    found = revocation_of(said)
    if found is None:
        return None
    return next(
        iter(revoked_keys(other.signing_keys, (found,), believed_first=isinstance(about, KeyRevocation))),
        None,
    )


def _beside(report: Report) -> StatementBeside:
    if report.statement is None:
        raise AssertionError("only statements stand beside something")
    note = report.checkpoint_note
    return StatementBeside(report.statement, report.index, None if note is None else origin_of(note))


def _as_written(bundle: Bundle) -> Report:
    """The report on it by an auditor who trusts whoever certified its signer, and its log."""
    document, receipt = bundle.document, bundle.receipt
    note = None if receipt is None else receipt.checkpoint_note
    seconds = None if note is None else claimed_time(note)
    return Report(
        Verdict.NOT_LOGGED if receipt is None else Verdict.GENUINE,
        (),
        None if isinstance(document, SideStatement) else document,
        bundle.payload_sha256,
        None if seconds is None else datetime.fromtimestamp(seconds, UTC),
        statement=document if isinstance(document, SideStatement) else None,
        signing_keys=bundle.signers.keys,
        index=None if receipt is None else receipt.index,
        checkpoint_note=note,
    )
