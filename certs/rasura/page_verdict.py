"""What the page around a bundle adds to the verdict on it. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, TypeAlias

from rasura.documents import Document
from rasura.errors import ExitCode, RasuraError
from rasura.revocations import standing, with_revocations
from rasura.trust import Trust
from rasura.verifier import Check, Report, State, Verdict, verify_all

if TYPE_CHECKING:
    from rasura.pdf.terms import PageMatch

__all__ = ["verify_documents", "with_page", "without_false_words"]

_NUMBER = 13
"""Of the check; 12 is the set of a machine report, whether there is one or not."""


def verify_documents(documents: Sequence[Document], trust: Trust) -> list[Report]:
    """Verify the bundle of each document; what could not be read at all fails the first check."""
    judged = iter(verify_all([one.raw for one in documents if one.unreadable is None], trust))
    return [next(judged) if one.unreadable is None else _unreadable(one.unreadable) for one in documents]


def _unreadable(problem: RasuraError) -> Report:
    check = Check(1, "bundle", State.FAILED, str(problem))
    return Report(Verdict.NOT_GENUINE, (check,), None, None, None)


Read: TypeAlias = "tuple[str, PageMatch | None, Report]"
"""The name of a document, the page around it and the report on it."""


def without_false_words(before: Sequence[Read], after: Sequence[Read]) -> list[Read]:
    """``after``, where no page of a PDF holds that tells of a statement in it which is not genuine.

    Such a page says what is attached, and that is false: it may tell of an acceptance that nobody signed.
    ``before`` is the same before revocations took effect; of those that are attached too the page tells.
    """
    false = {
        page.paper
        for (_name, page, one), (_, _page, judged) in zip(before, after, strict=True)
        if page is not None and one.statement is not None and judged.verdict is Verdict.NOT_GENUINE
        if one.verdict is Verdict.NOT_GENUINE or not _told_on(page.paper, one, before)
    }
    sentence = "it tells of a statement that is attached to it and not genuine"
    return [
        (name, page._replace(holds=False, sentence=sentence), one)
        if page is not None and page.paper in false and page.holds
        else (name, page, one)
        for name, page, one in after
    ]


def _told_on(paper: str, report: Report, before: Sequence[Read]) -> bool:
    """Whether a revocation that is attached to the same PDF takes the report's word away."""
    attached = [one for _, page, one in before if page is not None and page.paper == paper]
    return with_revocations(report, standing(attached)).verdict is Verdict.NOT_GENUINE


def with_page(
    page: PageMatch | None, checks: tuple[Check, ...], code: ExitCode, sentence: str
) -> tuple[tuple[Check, ...], ExitCode, str]:
    """A page that does not say what the claims say is never accepted, however genuine the claims are."""
    if page is None:
        return checks, code, sentence
    state = {True: State.PASSED, False: State.FAILED, None: State.NOT_DONE}[page.holds]
    checks = (*checks, Check(_NUMBER, "page", state, page.sentence))
    if page.holds is False:
        return checks, ExitCode.FAILED, f"THE PAGE IS FALSE: do not rely on it. The file in it: {sentence}"
    if page.holds is None and code is ExitCode.DONE:
        return (
            checks,
            ExitCode.REFUSED,
            f"NOT ACCEPTED: the page was not compared. The file in it: {sentence}",
        )
    return checks, code, sentence
