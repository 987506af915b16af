"""Signed bundles and settings -> the bytes of a PDF; the same for the same, and on every run.

The PDF is PDF/A-3a and PDF/UA-1 at once, and holds the bundles and the settings as attachments.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import typst

from rasura.beside import lay_beside
from rasura.bundle import Bundle
from rasura.consistency import contradictions, parse_time
from rasura.errors import RasuraError
from rasura.keys import p256_public_key
from rasura.language import Language, Tongue
from rasura.pdf.lot import in_order, tell_lot
from rasura.pdf.page_text import cut, few, legible
from rasura.pdf.qr import qr_svg, qr_text
from rasura.pdf.settings import SETTINGS_NAME, PageSettings
from rasura.pdf.terms import PdfError
from rasura.show import open_title, tell_all
from rasura.side_statement import SideStatement, side_problems
from rasura.telling import Part, Row, Table, Telling

__all__ = ["compose"]

_FOLDER = Path(__file__).parent
_STANDARDS: list[typst.PDFStandard] = ["a-3a", "ua-1"]
_MOST_SENTENCES, _SENTENCE = 9, 330
_MOST_ROWS, _VALUE = 14, 130
_REASON = 520
"""Of a statement, whose reason is what it is read for, a text may be as long as it can be."""
_CELL, _NOTE = 90, 200
_WIDTHS = {6: (3, 3, 0, 4, 0, 4), 5: (3, 3, 0, 2, 5)}
"""Of a table's columns, by their number: shares of what is left; 0 is as wide as need be."""


def compose(bundles: Sequence[Bundle], settings: PageSettings) -> bytes:
    """One page a document, each with what the statements here say of it; and one in front of several.

    Raises:
        PdfError: the claims contradict themselves or their signature does not hold, so that no page may
            say what they say; there are too many; or typst cannot set them.
    """
    ordered = in_order(bundles)
    for one in ordered:
        _refuse_untrue(one)
    tongue = Tongue(settings.language)
    beside = lay_beside(ordered)
    documents = [one for one in ordered if not isinstance(one.document, SideStatement)]
    told = tell_all(ordered, tongue, beside)
    front = tell_lot(documents, beside, tongue) if documents else None
    tellings = [front, *told] if front is not None else told
    return _typeset(_data(ordered, tellings, settings, tongue, alone=not documents))


def _refuse_untrue(bundle: Bundle) -> None:
    """No page for what is not even signed by the key it came with, or contradicts its own evidence."""
    name = bundle.certificate_id
    try:
        if not bundle.chain:
            raise PdfError("there is no signing certificate")
        bundle.envelope.verify(p256_public_key(bundle.chain[0]))
    except RasuraError as error:
        raise PdfError(f"no page is made of {name}: {error}") from None
    document = bundle.document
    problems = side_problems(document) if isinstance(document, SideStatement) else contradictions(document)
    if problems:
        raise PdfError(f"no page is made of {name}: {problems[0]}")


def _typeset(data: dict[str, Any]) -> bytes:
    source = (_FOLDER / "page.typ").read_bytes()
    inputs = {"page": json.dumps(data, ensure_ascii=False, sort_keys=True)}
    try:
        compiler = typst.Compiler(
            source, font_paths=_fonts(), ignore_system_fonts=True, sys_inputs=inputs, root=_FOLDER
        )
        # The time is that of the claims: set document(date) in page.typ.
        made = compiler.compile(format="pdf", pdf_standards=_STANDARDS, timestamp=0)
    except typst.TypstError as error:
        raise PdfError(f"typst cannot set the page: {error.message}") from None
    except BaseException as error:  # a panic of typst's derives from BaseException and has no importable name
        if type(error).__name__ != "PanicException":
            raise
        raise PdfError("typst cannot set the page: it broke off; please report the certificate") from None
    if not isinstance(made, bytes):
        raise PdfError("typst gave no PDF")
    return made


@functools.cache
def _fonts() -> typst.Fonts:
    """Those built into typst and no others: pages look the same everywhere."""
    return typst.Fonts(include_system_fonts=False)


def _data(
    bundles: Sequence[Bundle],
    tellings: Sequence[Telling],
    settings: PageSettings,
    tongue: Tongue,
    *,
    alone: bool,
) -> dict[str, Any]:
    """All that the pages say; ``alone``: of statements without what they speak of."""
    _ = tongue.say
    first = tellings[0]
    latest = max(parsed for one in tellings if (parsed := parse_time(one.finished_at)) is not None)
    head = settings.letterhead
    logo = head.logo_png() if head is not None else None
    name = head.name if head is not None else _site(bundles[0])
    registry = head.registry if head is not None else None
    return {
        "title": legible(f"{first.kind}: {first.subject}"),
        "author": legible(name),
        "description": legible(f"{first.word}: {first.headline}"),
        "keywords": [cut(one.id, 60) for one in tellings if one.id is not None][:50],
        "lang": settings.language.value,
        "region": "FR" if settings.language is Language.FRENCH else "GB",
        "date": {
            "year": latest.year,
            "month": latest.month,
            "day": latest.day,
            "hour": latest.hour,
            "minute": latest.minute,
            "second": latest.second,
        },
        "footer": _("A rendering of signed claims; the evidence is the file attached. {tools}").format(
            tools=settings.made_by
        ),
        "letterhead": {
            "name": cut(name, 70),
            "address": [legible(line) for line in head.address] if head is not None else [],
            "logo": list(logo) if logo is not None else None,
            "logo_alt": _("Logo of {name}").format(name=cut(name, 70)),
        },
        "attachments": [*_attached(bundles, tongue), _settings_attached(settings, tongue)],
        "pages": [_page(one, registry, tongue, alone=alone) for one in tellings],
    }


def _site(bundle: Bundle) -> str:
    """Whose word it is."""
    document = bundle.document
    if isinstance(document, SideStatement):
        return document.signer.site if document.signer.site is not None else document.signer.name
    return document.station.site


def _attached(bundles: Sequence[Bundle], tongue: Tongue) -> list[dict[str, str]]:
    return [
        {
            "name": f"{one.certificate_id}.json",
            "text": one.encode().decode(),
            "relationship": "source",
            "type": "application/json",
            "description": tongue.say("The signed claims, for rasura verify"),
        }
        for one in bundles
    ]


def _settings_attached(settings: PageSettings, tongue: Tongue) -> dict[str, str]:
    return {
        "name": SETTINGS_NAME,
        "text": settings.encode().decode(),
        "relationship": "supplement",
        "type": "application/json",
        "description": tongue.say("How the page was set; not signed"),
    }


def _page(telling: Telling, registry: str | None, tongue: Tongue, *, alone: bool) -> dict[str, Any]:
    _ = tongue.say
    qr = None
    if telling.id is not None and telling.payload_sha256 is not None:
        qr = qr_text(telling.id, telling.payload_sha256, registry)
    longest = _REASON if telling.statement else _VALUE
    parts = [_part(one, longest, tongue) for one in telling.parts]
    half = min(range(len(parts) + 1), key=lambda cut_at: (_unevenness(parts, cut_at), -cut_at))
    return {
        "kind": telling.kind,
        "id": cut(telling.id, 60) if telling.id is not None else None,
        "date": tongue.moment(telling.finished_at),
        "good": telling.good,
        "word": telling.word,
        "headline": cut(telling.headline, _NOTE),
        "subject": cut(telling.subject, _NOTE),
        "since_title": _("What was said of it since it was signed"),
        "since": few(telling.since, _MOST_SENTENCES, _SENTENCE, tongue),
        "done_title": _("What was done"),
        "done": few(telling.done, _MOST_SENTENCES, _SENTENCE, tongue),
        "open_title": open_title(telling, tongue),
        "open": few(telling.open, _MOST_SENTENCES, _SENTENCE, tongue),
        "tables": [_table(one) for one in telling.tables],
        "left": parts[:half],
        "right": parts[half:],
        "check_title": _("How to check this"),
        "check": [
            _("Keep this PDF as it is: the signed file is inside it. Paper alone proves nothing."),
            _(
                "Install Rasura ({command}) and get trust.toml of the registry from a source you believe."
            ).format(command="pip install 'rasura[pdf]'"),
            _how(telling, tongue),
        ],
        "command": f"rasura verify FILE.pdf {'CERTIFICATE.json ' if alone else ''}--trust trust.toml",
        "hash_title": _("SHA-256 of the signed claims"),
        "hash": telling.payload_sha256,
        "qr": qr_svg(qr) if qr is not None else None,
        "qr_alt": _("QR code: {text}").format(text=qr),
        "by_hand": _by_hand(tongue) if telling.undecided else None,
        "may_flow": bool(telling.tables),
    }


def _how(telling: Telling, tongue: Tongue) -> str:
    """What the command must say."""
    _ = tongue.say
    if telling.statement:
        return _("Offline, the command below must say GENUINE of this and of what it speaks of.")
    if telling.since:
        return _(
            "Offline, the command below says what counts; the serial it names must be that on the drive."
        )
    return _("Offline, the command below must say GENUINE; the serial it names must be that on the drive.")


def _by_hand(tongue: Tongue) -> dict[str, Any]:
    _ = tongue.say
    return {
        "title": _("Decision by a person (validation), by hand, no part of the signed claims:"),
        "choices": [_("accepted"), _("rejected")],
        "lines": [_("name"), _("date"), _("signature")],
    }


def _unevenness(parts: list[dict[str, Any]], cut_at: int) -> int:
    left, right = (sum(2 + len(one["rows"]) for one in some) for some in (parts[:cut_at], parts[cut_at:]))
    return abs(left - right)


def _part(part: Part, longest: int, tongue: Tongue) -> dict[str, Any]:
    rows = [one for one in part.rows if not one.detail]
    shown = [_row(one, longest) for one in rows[:_MOST_ROWS]]
    if len(rows) > _MOST_ROWS:
        more = tongue.count("{number} more", "{number} more", len(rows) - _MOST_ROWS)
        shown.append({"name": "…", "value": more, "exact": False})
    return {"title": part.title, "rows": shown}


def _row(row: Row, longest: int) -> dict[str, Any]:
    return {"name": legible(row.name), "value": cut(row.value, longest), "exact": row.exact}


def _table(table: Table) -> dict[str, Any]:
    last = len(table.heads) - 1
    return {
        "title": table.title,
        "heads": list(table.heads),
        "widths": list(_WIDTHS[len(table.heads)]),
        "lines": [
            [{"text": cut(one, _CELL), "exact": number in {1, last}} for number, one in enumerate(line)]
            for line in table.lines
        ],
    }
