"""The language in which claims are told: English as it stands in the source, French from the catalogue.

Messages are marked with ``_`` (of a :class:`Tongue`), ``count`` and ``N_``; what varies in them goes through
``str.format`` with names. Claims themselves are English: what is quoted of them is quoted as it was signed.
"""

from __future__ import annotations

import functools
import gettext
from enum import StrEnum
from pathlib import Path

__all__ = ["N_", "Language", "Tongue"]

_DOMAIN = "rasura"
_FOLDER = Path(__file__).parent / "locale"
_NO_BREAK, _NARROW = "\N{NO-BREAK SPACE}", "\N{NARROW NO-BREAK SPACE}"
_UNITS = ("B", "kB", "MB", "GB", "TB", "PB", "EB")


class Language(StrEnum):
    """ISO 639-1."""

    ENGLISH = "en"
    FRENCH = "fr"


def N_(message: str) -> str:  # noqa: N802  gettext's own name for it
    """Mark a message of a table for the catalogue; it is translated where it is used."""
    return message


class Tongue:
    """How things are said in one language."""

    def __init__(self, language: Language = Language.ENGLISH) -> None:
        self.language = language
        self._catalogue = _catalogue(language)
        self._french = language is Language.FRENCH

    def say(self, message: str) -> str:
        """The message in this language; itself where there is no translation."""
        return self._catalogue.gettext(message)

    def count(self, singular: str, plural: str, number: int) -> str:
        """The message for ``number`` things, with ``{number}`` filled in."""
        return self._catalogue.ngettext(singular, plural, number).format(number=self.number(number))

    def number(self, value: int) -> str:
        """An integer in groups of three digits."""
        return f"{value:,}".replace(",", _NARROW) if self._french else f"{value:,}"

    def decimal(self, value: float, places: int) -> str:
        """A number with so many decimals."""
        text = f"{value:.{places}f}"
        return text.replace(".", ",") if self._french else text

    def bytes(self, value: int) -> str:
        """A size in bytes, exactly."""
        return self.count("{number} byte", "{number} bytes", value)

    def size(self, value: int) -> str:
        """A size in decimal units, rounded, as drives are sold."""
        power = min((len(str(abs(value))) - 1) // 3, len(_UNITS) - 1)
        unit = _UNITS[power].replace("B", "o") if self._french else _UNITS[power]
        places = 0 if power == 0 else 1
        return f"{self.decimal(value / 1000**power, places)}{_NO_BREAK}{unit}"

    def share(self, part: int, whole: int) -> str:
        """A part of a whole in percent; never 100 % for less than all, nor 0 % for more than nothing."""
        percent = 100 * part / whole if whole else 0.0
        sign = ""
        if 0 < part < whole and not 0.01 <= percent <= 99.99:
            sign = f"{'<' if percent < 1 else '>'}{_NO_BREAK}"
            percent = 0.01 if percent < 1 else 99.99
        places = 0 if percent in {0, 100} else 2
        return f"{sign}{self.decimal(percent, places)}{_NO_BREAK}%"

    def duration(self, milliseconds: int) -> str:
        """A duration in its two largest units."""
        seconds = milliseconds / 1000
        if seconds < 60:
            return f"{self.decimal(seconds, 1)}{_NO_BREAK}s"
        minutes, seconds = divmod(round(seconds), 60)
        if minutes < 60:
            return f"{minutes}{_NO_BREAK}min {seconds:02}{_NO_BREAK}s"
        hours, minutes = divmod(minutes, 60)
        return f"{self.number(hours)}{_NO_BREAK}h {minutes:02}{_NO_BREAK}min"

    def moment(self, text: str) -> str:
        """An RFC 3339 time in UTC, as dates are written where both languages read them the same way."""
        return text.replace("T", " ").removesuffix("Z") + " UTC" if text.endswith("Z") else text


@functools.cache
def _catalogue(language: Language) -> gettext.NullTranslations:
    if language is Language.ENGLISH:
        return gettext.NullTranslations()
    return gettext.translation(_DOMAIN, str(_FOLDER), [language.value])
