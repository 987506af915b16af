"""What a certificate or a report says to a person, as ordered text: the one source of screen and page.

``rasura show`` prints a :class:`Telling`, ``rasura pdf`` typesets it; neither has sentences of its own.
"""

from __future__ import annotations

from datetime import datetime

import msgspec

__all__ = ["BundleFacts", "Part", "Row", "Table", "Telling", "name_of"]


class BundleFacts(msgspec.Struct, frozen=True):
    """What is to be told of the bundle around the claims.

    ``logged`` is whether a receipt is attached, ``unread`` the members of the statement that this version
    does not know, ``timestamped`` the earliest time in a timestamp attached, as it claims, ``place`` its
    zero-based place in a log and that log's name, as the receipt claims.
    """

    payload_sha256: str
    logged: bool
    unread: tuple[str, ...]
    timestamped: datetime | None = None
    place: tuple[int, str] | None = None


class Row(msgspec.Struct, frozen=True):
    """A fact by its name. ``exact`` ones are compared letter by letter; ``details`` are left off a page."""

    name: str
    value: str
    exact: bool = False
    detail: bool = False


class Part(msgspec.Struct, frozen=True):
    """Facts that belong together."""

    title: str
    rows: tuple[Row, ...]


class Table(msgspec.Struct, frozen=True):
    """Things of one kind, a line each."""

    title: str
    heads: tuple[str, ...]
    lines: tuple[tuple[str, ...], ...]


class Telling(msgspec.Struct, frozen=True):
    """One document told in one language.

    ``word`` is the verdict in capitals and ``good`` whether it is the one that all hope for; ``done`` says
    what was done, ``open`` what was not done, could not be reached or is not known.
    """

    kind: str
    id: str | None
    payload_sha256: str | None
    good: bool
    word: str
    headline: str
    subject: str
    done: tuple[str, ...]
    open: tuple[str, ...]
    tables: tuple[Table, ...]
    parts: tuple[Part, ...]
    finished_at: str
    """RFC 3339."""
    since: tuple[str, ...] = ()
    """What was said of it after it was signed, what counts against it first."""
    undecided: bool = True
    """Whether a person's decision is still waited for."""
    statement: bool = False
    """Whether it speaks of another document, with which it must be checked."""


def name_of(*parts: str | None) -> str | None:
    """Manufacturer and model as one name; the maker is not said twice."""
    maker, *rest = parts
    model = " ".join(one for one in rest if one)
    if maker and model.lower().startswith(maker.lower()):
        return model
    return " ".join(one for one in (maker, model) if one) or None
