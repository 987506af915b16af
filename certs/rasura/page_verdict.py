"""What the page around a bundle adds to the verdict on it. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rasura.documents import Document
from rasura.errors import ExitCode
from rasura.trust import Trust
from rasura.verifier import Check, Report, State, Verdict, verify

if TYPE_CHECKING:
    from rasura.pdf.terms import PageMatch

__all__ = ["verify_document", "with_page"]

_NUMBER = 13
"""Of the check; 12 is the set of a machine report, whether there is one or not."""


def verify_document(document: Document, trust: Trust) -> Report:
    """Verify the bundle of a document; what could not be read at all fails the first check."""
    if document.unreadable is None:
        return verify(document.raw, trust)
    check = Check(1, "bundle", State.FAILED, str(document.unreadable))
    return Report(Verdict.NOT_GENUINE, (check,), None, None, None)


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
