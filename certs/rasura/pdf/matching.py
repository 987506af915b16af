"""Does the page say what the signed claims say? It is set again from them and compared.

By the same tools, the same claims give the same bytes, so that any change shows. Of a page that other
versions set only the words can be compared. That finds a false one, but cannot show a true one: words can lie
unseen under a picture of others.
"""

from __future__ import annotations

import itertools

from rasura.bundle import Bundle
from rasura.errors import RasuraError
from rasura.pdf.compose import compose
from rasura.pdf.reading import Contents, text_of
from rasura.pdf.settings import PageSettings, made_by
from rasura.pdf.terms import PageMatch

__all__ = ["match"]

_CONTEXT = 4
_MOST_QUOTED = 120


def match(raw: bytes, contents: Contents) -> PageMatch:
    """Set the page again from the claims attached, and compare; raises nothing on bad input."""
    try:
        return _match(raw, contents)
    except RasuraError as error:
        return PageMatch(None, f"the page could not be compared: {error}")


def _match(raw: bytes, contents: Contents) -> PageMatch:
    if contents.settings is None:
        return PageMatch(False, "the page is none of ours: it does not say how it was set")
    settings = PageSettings.parse(contents.settings)
    bundles = [Bundle.parse(attached) for _, attached in contents.bundles]
    ours = compose(bundles, settings)
    head = settings.letterhead
    letterhead = (
        "" if head is None else f"; the letterhead, {head.name}, is the workshop's own word and not signed"
    )
    if raw == ours:
        return PageMatch(True, f"the page is what the claims give, to the byte{letterhead}")
    (theirs, annotations), (expected, _none) = text_of(raw), text_of(ours)
    difference = _first_difference(theirs, expected)
    if difference is not None:
        return PageMatch(False, f"the page was changed: {difference}")
    if annotations:
        return PageMatch(False, "something was put over the page after it was made (an annotation)")
    if settings.made_by == made_by():
        return PageMatch(False, "the file was changed after it was made; its words are what they were")
    return PageMatch(
        None,
        f"the page's words are what the claims give, its look could not be compared: {settings.made_by[:80]} "
        f"made it, this is {made_by()}; 'rasura pdf' on the same file sets it afresh",
    )


def _first_difference(theirs: str, ours: str) -> str | None:
    found, expected = theirs.split(), ours.split()
    for place, (one, other) in enumerate(itertools.zip_longest(found, expected)):
        if one != other:
            said, wanted = (_around(words, place) for words in (found, expected))
            return f'it says "{said}" where the claims give "{wanted}"'
    return None


def _around(words: list[str], place: int) -> str:
    return " ".join(words[max(0, place - _CONTEXT) : place + _CONTEXT])[:_MOST_QUOTED]
