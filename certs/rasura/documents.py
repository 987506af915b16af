"""What people hand over, as the bundles in it: files, folders, NDJSON exports, PDFs with bundles attached.

What PDFs need is imported when there is one.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from rasura.bundle import Bundle
from rasura.command import read_file
from rasura.errors import RasuraError, UsageError
from rasura.strict_json import MAX_BYTES

if TYPE_CHECKING:
    from rasura.pdf.terms import PageMatch

__all__ = ["Document", "documents_in", "one_bundle", "rewritable_bundle"]

_EXPORTS = {".ndjson", ".jsonl"}
_PDF = b"%PDF-"


class Document(msgspec.Struct, frozen=True):
    """The bytes of one bundle, where they come from, and what is to be said of the page around them.

    ``name`` tells it from others in the same file ``path``. ``unreadable`` says why there are no bytes.
    """

    name: str
    path: Path
    raw: bytes
    page: PageMatch | None = None
    unreadable: RasuraError | None = None

    def bundle(self) -> Bundle:
        """The bundle of something that we know, not verified; raises :class:`UsageError` if there is none."""
        try:
            if self.unreadable is not None:
                raise self.unreadable
            bundle = Bundle.parse(self.raw)
            bundle.document  # noqa: B018  what is signed is read too
        except RasuraError as error:
            raise UsageError(f"{self.name} is no bundle: {error}") from None
        return bundle


def documents_in(paths: Iterable[Path], *, pages: bool) -> Iterator[Document]:
    """Each bundle: of a file, of ``FOLDER/*.json`` in order, or of each line of ``export.ndjson``.

    ``pages``: the pages of PDFs count. Each is compared with its claims, and those of a folder are not
    passed over.

    Raises:
        UsageError: a file cannot be read, there is no bundle in a folder or an export, or PDFs need
            libraries that are not installed.
    """
    for path in paths:
        if path.is_dir():
            for one in _files(path, {".json", ".pdf"} if pages else {".json"}):
                yield from _in_file(one, pages)
        elif path.suffix in _EXPORTS:
            yield from _lines(path)
        else:
            yield from _in_file(path, pages)


def one_bundle(path: Path) -> Bundle:
    """The one bundle in a file, which may be a PDF; raises :class:`UsageError`."""
    found = _in_file(path, pages=False)
    if len(found) != 1:
        raise UsageError(f"{path} holds {len(found)} bundles", hint="name the file of the one that is meant")
    return found[0].bundle()


def rewritable_bundle(path: Path) -> Bundle:
    """The bundle that a file is, which will be written anew; raises :class:`UsageError`, also for a PDF."""
    raw = read_file(path)
    if raw.startswith(_PDF):
        raise UsageError(
            f"{path} is a PDF, and its bundle cannot be exchanged",
            hint="name the bundle itself: it is attached to the PDF",
        )
    return Document(str(path), path, raw).bundle()


def _files(folder: Path, suffixes: set[str]) -> list[Path]:
    try:
        found = sorted(one for one in folder.iterdir() if one.suffix.lower() in suffixes and not one.is_dir())
    except OSError as error:
        raise UsageError(f"cannot read {folder}: {error.strerror}") from None
    if not found:
        raise UsageError(f"there is no {' or '.join(sorted(suffixes))} file in the folder {folder}")
    return found


def _lines(path: Path) -> Iterator[Document]:
    found = False
    try:
        with path.open("rb", buffering=MAX_BYTES) as export:
            number = 0
            while line := export.readline(MAX_BYTES + 2):
                number += 1
                if line.strip():
                    found = True
                    yield Document(f"{path}:{number}", path, line.rstrip(b"\r\n"))
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}") from None
    if not found:
        raise UsageError(f"there is no bundle in {path}")


def _in_file(path: Path, pages: bool) -> tuple[Document, ...]:
    raw = read_file(path)
    # Readers look for the header in the first KiB (ISO 32000-1, Annex H, note 13). A JSON file is none.
    if path.suffix == ".json" or raw[:1] == b"{" or _PDF not in raw[:1024]:
        return (Document(str(path), path, raw),)
    try:
        from rasura.pdf.matching import match  # noqa: PLC0415  not for those who verify a bundle
        from rasura.pdf.reading import read  # noqa: PLC0415
    except ImportError:
        from rasura.pdf.terms import needs_extra  # noqa: PLC0415  likewise

        raise needs_extra(f"the PDF {path}") from None
    try:
        contents = read(raw)
    except RasuraError as error:
        return (Document(str(path), path, b"", unreadable=error),)
    page = match(raw, contents)._replace(paper=str(path)) if pages else None
    alone = len(contents.bundles) == 1
    return tuple(
        Document(str(path) if alone else f"{path}: {name}", path, attached, page)
        for name, attached in contents.bundles
    )
