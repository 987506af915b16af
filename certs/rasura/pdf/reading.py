"""What is in a PDF that somebody hands over: its attachments and its text. It may be hostile.

PDFium reads it, which browsers hand every PDF of the web to.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from contextlib import contextmanager

import msgspec
import pypdfium2
import pypdfium2.raw as pdfium

from rasura.bundle import Bundle
from rasura.errors import RasuraError
from rasura.pdf.lot import MOST_DOCUMENTS
from rasura.pdf.settings import SETTINGS_NAME
from rasura.pdf.terms import PdfError
from rasura.strict_json import MAX_BYTES

__all__ = ["Contents", "read", "text_of"]

_MOST_PAGES = 2 * MOST_DOCUMENTS
_MOST_TEXT = 32 << 20
_WHAT_TO_DO = "use the PDF that the workshop made, or verify the bundle (.json) itself"


class Contents(msgspec.Struct, frozen=True):
    """The bundles attached, as bytes by name, and the page's settings (``None`` if it has none)."""

    bundles: tuple[tuple[str, bytes], ...]
    settings: bytes | None


def read(raw: bytes) -> Contents:
    """Take the attachments out.

    Raises:
        PdfError: no PDF that can be read, encrypted, nothing attached, or something that is neither a
            bundle nor the page's settings.
    """
    with _opened(raw) as document:
        found = dict(_attachments(document))
    settings = found.pop(SETTINGS_NAME, None)
    if not found:
        raise PdfError("no signed file is attached to the PDF: there is nothing to verify", hint=_WHAT_TO_DO)
    for name, attached in found.items():
        _check(name, attached)
    return Contents(tuple(sorted(found.items())), settings)


def text_of(raw: bytes) -> tuple[str, int]:
    """The words on all pages, one space between them, and how many annotations lie over the pages.

    Raises:
        PdfError: it cannot be read.
    """
    words: list[str] = []
    length = annotations = 0
    with _opened(raw) as document:
        for number in range(len(document)):
            page = document[number]
            annotations += max(0, pdfium.FPDFPage_GetAnnotCount(page))
            text = page.get_textpage().get_text_bounded()
            length += len(text)
            if length > _MOST_TEXT:
                raise PdfError("the PDF holds more text than any certificate has")
            words += text.split()
    return " ".join(words), annotations


@contextmanager
def _opened(raw: bytes) -> Iterator[pypdfium2.PdfDocument]:
    try:
        document = pypdfium2.PdfDocument(raw)
        pages = len(document)
    except pypdfium2.PdfiumError as error:
        secret = getattr(error, "err_code", None) == pdfium.FPDF_ERR_PASSWORD
        what = "is under a password" if secret else "is damaged or cut short: it cannot be read"
        raise PdfError(f"the PDF {what}", hint=_WHAT_TO_DO) from None
    try:
        if not 0 < pages <= _MOST_PAGES:
            raise PdfError(f"the PDF has {pages} pages; certificates have 1 to {_MOST_PAGES}")
        yield document
    except pypdfium2.PdfiumError as error:
        raise PdfError(f"the PDF cannot be read: {error}", hint=_WHAT_TO_DO) from None
    finally:
        document.close()


def _attachments(document: pypdfium2.PdfDocument) -> Iterator[tuple[str, bytes]]:
    count = document.count_attachments()
    if count > MOST_DOCUMENTS + 1:
        raise PdfError(f"the PDF has {count} attachments; at most {MOST_DOCUMENTS + 1} are read")
    seen = set()
    for number in range(count):
        attachment = document.get_attachment(number)
        name = attachment.get_name()
        if name in seen:
            raise PdfError(f"two attachments of the PDF have the name {name!r}: which one counts?")
        seen.add(name)
        yield name, _data(attachment, name)


def _data(attachment: pypdfium2.PdfAttachment, name: str) -> bytes:
    size = ctypes.c_ulong()
    if not pdfium.FPDFAttachment_GetFile(attachment, None, 0, size):
        raise PdfError(f"the attachment {name!r} of the PDF cannot be read", hint=_WHAT_TO_DO)
    if size.value > MAX_BYTES:
        raise PdfError(f"the attachment {name!r} has {size.value} bytes, more than {MAX_BYTES}")
    return bytes(attachment.get_data())


def _check(name: str, attached: bytes) -> None:
    try:
        Bundle.parse(attached)
    except RasuraError as error:
        raise PdfError(
            f"the attachment {name!r} of the PDF is no bundle: {error}", hint=_WHAT_TO_DO
        ) from None
