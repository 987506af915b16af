"""Files that people hand over, as the bundles in them: a bundle itself, or a PDF with bundles attached.

What PDFs need is imported when there is one.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from rasura.bundle import Bundle
from rasura.errors import RasuraError, UsageError
from rasura.pdf.terms import PageMatch, needs_extra

__all__ = ["Document", "documents_in", "read_file"]

_MOST_BYTES = 256 << 20
_PDF = b"%PDF-"


@dataclass(frozen=True, slots=True)
class Document:
    """The bytes of one bundle, where they come from, and what is to be said of the page around them.

    ``unreadable`` says why there are none.
    """

    name: str
    raw: bytes
    page: PageMatch | None = None
    unreadable: RasuraError | None = None

    def bundle(self) -> Bundle:
        """The bundle, not verified; raises if there is none."""
        if self.unreadable is not None:
            raise self.unreadable
        return Bundle.parse(self.raw)


def read_file(path: Path) -> bytes:
    """A file's bytes; raises :class:`UsageError`."""
    try:
        with path.open("rb") as stream:
            raw = stream.read(_MOST_BYTES + 1)
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}") from None
    if len(raw) > _MOST_BYTES:
        raise UsageError(f"{path} has more than {_MOST_BYTES >> 20} MiB: that is no certificate")
    return raw


def documents_in(path: Path, *, compare: bool) -> tuple[Document, ...]:
    """The bundles in a file; the page of a PDF is compared with them if asked.

    Raises:
        UsageError: the file cannot be read, or PDFs need libraries that are not installed.
    """
    raw = read_file(path)
    # Readers look for the header in the first KiB (ISO 32000-1, Annex H, note 13).
    if raw[:1] == b"{" or _PDF not in raw[:1024]:
        return (Document(str(path), raw),)
    try:
        from rasura.pdf.matching import match  # noqa: PLC0415  not for those who verify a bundle
        from rasura.pdf.reading import read  # noqa: PLC0415
    except ImportError:
        raise needs_extra(f"the PDF {path}") from None
    try:
        contents = read(raw)
    except RasuraError as error:
        return (Document(str(path), b"", unreadable=error),)
    page = match(raw, contents) if compare else None
    alone = len(contents.bundles) == 1
    return tuple(
        Document(str(path) if alone else f"{path}: {name}", attached, page)
        for name, attached in contents.bundles
    )
