"""What those who never see a PDF need to know of them: errors, and what a comparison says."""

from __future__ import annotations

from typing import NamedTuple

from rasura.errors import RasuraError, UsageError

__all__ = ["PageMatch", "PdfError", "needs_extra"]


class PdfError(RasuraError):
    """A PDF cannot be made or read."""


class PageMatch(NamedTuple):
    """Whether a page says what the claims in it say (``None``: it could not be compared), in a sentence.

    ``paper`` names the PDF, whose bundles share a page.
    """

    holds: bool | None
    sentence: str
    paper: str = ""


def needs_extra(what: str) -> UsageError:
    """The libraries of the extra are not installed."""
    return UsageError(f"{what} needs libraries that are not installed", hint="pip install 'rasura[pdf]'")
