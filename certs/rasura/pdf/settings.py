"""How a page is set: its language, the workshop's letterhead, and the tools that set it.

These travel in the PDF beside the bundles (``page.json``), so that a verifier can set the same page again.
Nobody signs them: a letterhead is the workshop's own word.
"""

from __future__ import annotations

import base64
import importlib.metadata
import struct
from pathlib import Path
from typing import Any

import msgspec

from rasura import __version__, strict_json
from rasura.errors import RasuraError, UsageError
from rasura.language import Language
from rasura.pdf.terms import PdfError
from rasura.toml_text import toml_table

__all__ = ["MEDIA_TYPE", "SETTINGS_NAME", "Letterhead", "PageSettings", "letterhead_files", "made_by"]

MEDIA_TYPE = "application/vnd.rasura.page+json;version=1"
SETTINGS_NAME = "page.json"
"""The attachment of that name; all others are bundles."""
_MOST_LINE, _MOST_LINES = 70, 5
_MOST_URL = 120
_MOST_LOGO = 256 * 1024
_MOST_SIDE = 2000
"""Pixels of a logo; decoding one must not take all memory."""
_PNG = b"\x89PNG\r\n\x1a\n"


class Letterhead(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=False):
    """The workshop as it shows itself; ``logo`` is a PNG in base64."""

    name: str
    address: tuple[str, ...] = ()
    logo: str | None = None
    registry: str | None = None
    """Where the QR code leads, without a slash at its end."""

    def logo_png(self) -> bytes | None:
        """The logo's bytes; raises :class:`PdfError` if they are no PNG of a sensible size."""
        if self.logo is None:
            return None
        try:
            png = base64.b64decode(self.logo, validate=True)
        except ValueError:
            raise PdfError("the logo of the letterhead is not base64") from None
        problem = _logo_problem(png)
        if problem is not None:
            raise PdfError(problem)
        return png

    def problem(self) -> str | None:
        """Why this is no letterhead, in a sentence."""
        lines = (self.name, *self.address)
        if len(self.address) > _MOST_LINES or any(not 0 < len(line) <= _MOST_LINE for line in lines):
            return (
                f"a letterhead has a name and up to {_MOST_LINES} lines of address, "
                f"each of 1 to {_MOST_LINE} characters"
            )
        if self.registry is not None and not _is_url(self.registry):
            return f"the registry of a letterhead is an https address of up to {_MOST_URL} characters"
        return None

    @classmethod
    def load(cls, path: Path) -> Letterhead:
        """Read a letterhead's TOML; its logo is a PNG file named there. Raises :class:`UsageError`."""
        try:
            document = _table(path.read_bytes().decode("utf-8"), path)
            logo = document.pop("logo", None)
            if logo is not None and not isinstance(logo, str):
                raise UsageError(f"{path}: logo is the name of a PNG file")
            letterhead = msgspec.convert(document, cls)
            png = (path.parent / logo).read_bytes() if logo is not None else None
        except OSError as error:
            raise UsageError(f"cannot read {error.filename}: {error.strerror}") from None
        except UnicodeDecodeError:
            raise UsageError(f"{path} is no letterhead: it is not UTF-8") from None
        except (ValueError, msgspec.ValidationError) as error:
            raise UsageError(
                f"{path} is no letterhead: {error}",
                hint='it has name = "…" and may have address = ["…"], logo = "logo.png", registry = "https://…"',
            ) from None
        problem = letterhead.problem() or (_logo_problem(png) if png is not None else None)
        if problem is not None:
            raise UsageError(f"{path}: {problem}")
        encoded = base64.b64encode(png).decode() if png is not None else None
        registry = letterhead.registry.rstrip("/") if letterhead.registry is not None else None
        return msgspec.structs.replace(letterhead, logo=encoded, registry=registry)


def letterhead_files(path: Path) -> tuple[Path, ...]:
    """The files of a letterhead that :meth:`Letterhead.load` takes: its TOML, and its logo if it has one."""
    logo = _table(path.read_text(encoding="utf-8"), path).get("logo")
    return (path, path.parent / logo) if logo is not None else (path,)


class PageSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """Everything beside the claims that a page depends on."""

    media_type: str
    made_by: str
    language: Language
    letterhead: Letterhead | None

    def encode(self) -> bytes:
        """As JSON; the same settings always give the same bytes."""
        return strict_json.dumps(msgspec.to_builtins(self))

    @classmethod
    def parse(cls, raw: bytes) -> PageSettings:
        """Read what a PDF brought along; raises :class:`PdfError`."""
        try:
            settings = msgspec.convert(strict_json.loads(raw, what="page.json"), cls)
        except (RasuraError, msgspec.ValidationError) as error:
            raise PdfError(f"the page's settings in the PDF cannot be read: {error}") from None
        if settings.media_type != MEDIA_TYPE:
            raise PdfError("the page's settings in the PDF are of another version")
        letterhead = settings.letterhead
        if letterhead is not None:
            problem = letterhead.problem()
            if problem is not None:
                raise PdfError(problem)
            letterhead.logo_png()
        return settings


def made_by() -> str:
    """The tools that set a page here: pages of the same tools are the same to the byte."""
    typst, segno = (importlib.metadata.version(name) for name in ("typst", "segno"))
    return f"rasura {__version__}, typst {typst}, segno {segno}"


def _table(text: str, path: Path) -> dict[str, Any]:
    return toml_table(text, f"{path} is no letterhead: it", UsageError)


def _is_url(text: str) -> bool:
    plain = text.isascii() and text.isprintable() and " " not in text
    return plain and text.startswith("https://") and len("https://") < len(text) <= _MOST_URL


def _logo_problem(png: bytes) -> str | None:
    if len(png) > _MOST_LOGO:
        return f"the logo has {len(png)} bytes, more than {_MOST_LOGO}"
    # PNG, clauses 5.2 and 11.2.2: the signature, then the IHDR chunk with width and height.
    if not png.startswith(_PNG) or png[12:16] != b"IHDR" or len(png) < 33:
        return "the logo is not a PNG file"
    width, height = struct.unpack(">II", png[16:24])
    if not (0 < width <= _MOST_SIDE and 0 < height <= _MOST_SIDE):
        return f"the logo has {width} x {height} pixels; at most {_MOST_SIDE} each way"
    return None
