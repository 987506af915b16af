"""PDFs as somebody might hand them in: edited, cut short, under a password, with too much in them."""

from __future__ import annotations

import io
import zlib
from collections.abc import Callable
from typing import Any

import pikepdf

__all__ = ["FORGERIES", "attach", "edited", "saved"]


def edited(pdf: bytes, edit: Callable[[pikepdf.Pdf], Any], **options: Any) -> bytes:
    """``pdf`` after an edit by a general tool."""
    with pikepdf.open(io.BytesIO(pdf)) as document:
        edit(document)
        return saved(document, **options)


def saved(document: pikepdf.Pdf, **options: Any) -> bytes:
    stream = io.BytesIO()
    document.save(stream, **options)
    return stream.getvalue()


def attach(name: str, data: bytes) -> Callable[[pikepdf.Pdf], None]:
    """Add an attachment, or put one in the place of another."""

    def do(document: pikepdf.Pdf) -> None:
        document.attachments[name] = pikepdf.AttachedFileSpec(document, data, filename=name)

    return do


def _nothing(_document: pikepdf.Pdf) -> None:
    pass


def _without_attachments(document: pikepdf.Pdf) -> None:
    for name in list(document.attachments):
        del document.attachments[name]


def _without_settings(document: pikepdf.Pdf) -> None:
    del document.attachments["page.json"]


def _bundle_twice(document: pikepdf.Pdf) -> None:
    (name,) = (one for one in document.attachments if one != "page.json")
    attach("another.json", document.attachments[name].get_file().read_bytes())(document)


def _text_over(document: pikepdf.Pdf) -> None:
    """Words in white, by a font of the reader's own."""
    page = document.pages[0]
    font = pikepdf.Dictionary(
        Type=pikepdf.Name.Font, Subtype=pikepdf.Name.Type1, BaseFont=pikepdf.Name.Helvetica
    )
    page.Resources.Font["/Forged"] = document.make_indirect(font)
    page.contents_add(b"q BT /Forged 20 Tf 1 g 100 700 Td (ALL DRIVES ERASED) Tj ET Q")


def _covered(document: pikepdf.Pdf) -> None:
    """A white rectangle over everything: the words stay in the file."""
    document.pages[0].contents_add(b"q 1 g 0 0 600 850 re f Q")


def _annotated(document: pikepdf.Pdf) -> None:
    document.pages[0].Annots = document.make_indirect(
        pikepdf.Array(
            [
                pikepdf.Dictionary(
                    Type=pikepdf.Name.Annot,
                    Subtype=pikepdf.Name.FreeText,
                    Rect=[50, 700, 500, 760],
                    Contents="ERASED",
                    DA="/Helv 20 Tf",
                )
            ]
        )
    )


def _page_more(document: pikepdf.Pdf) -> None:
    document.add_blank_page(page_size=(595, 842))


def _bomb(document: pikepdf.Pdf) -> None:
    """An attachment of 64 MiB in 64 KiB."""
    attach("bomb.json", b"")(document)
    stream = document.attachments["bomb.json"].get_file().obj
    stream.write(zlib.compress(bytes(64 << 20)), filter=pikepdf.Name.FlateDecode)


def _many(document: pikepdf.Pdf) -> None:
    for number in range(1100):
        attach(f"{number}.json", b"{}")(document)


def _half(pdf: bytes) -> bytes:
    return pdf[: len(pdf) // 2]


def _encrypted(pdf: bytes) -> bytes:
    return edited(pdf, _nothing, encryption=pikepdf.Encryption(user="secret", owner="secret"))


FORGERIES: dict[str, tuple[Callable[[bytes], bytes], str]] = {
    "truncated": (_half, "damaged or cut short"),
    "header alone": (lambda _pdf: b"%PDF-1.7\n", "damaged or cut short"),
    "noise": (lambda pdf: b"%PDF-1.7\n" + zlib.compress(pdf), "damaged or cut short"),
    "encrypted": (_encrypted, "under a password"),
    "no attachment": (lambda pdf: edited(pdf, _without_attachments), "no signed file is attached"),
    "no settings": (lambda pdf: edited(pdf, _without_settings), "does not say how it was set"),
    "foreign attachment": (lambda pdf: edited(pdf, attach("invoice.xml", b"<xml/>")), "is no bundle"),
    "bundle twice": (lambda pdf: edited(pdf, _bundle_twice), "is there twice"),
    "bomb": (lambda pdf: edited(pdf, _bomb), "more than 1048576"),
    "many": (lambda pdf: edited(pdf, _many), "attachments; at most"),
    "false settings": (
        lambda pdf: edited(pdf, attach("page.json", b"[]")),
        "settings in the PDF cannot be read",
    ),
    "words added": (lambda pdf: edited(pdf, _text_over), "the page was changed: it says"),
    "covered": (lambda pdf: edited(pdf, _covered), "its words are what they were"),
    "annotated": (lambda pdf: edited(pdf, _annotated), "annotation"),
    "page added": (lambda pdf: edited(pdf, _page_more), "the file was changed"),
    "saved again": (lambda pdf: edited(pdf, _nothing), "its words are what they were"),
    "appended to": (lambda pdf: pdf + b"\n% more", "its words are what they were"),
}
"""By name: what is done to a PDF of ours, and what the verifier says of it."""
