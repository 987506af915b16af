"""The language of the screens: English as it stands in the source, others from the catalogues.

Messages are marked with ``_`` and ``ngettext``; what varies in them goes through ``str.format`` with
names, so that a translator may change the order. Certificates and facts for machines stay English.
"""

from __future__ import annotations

import functools
import gettext
from importlib import resources

__all__ = ["counted_in", "ngettext", "said_in", "use"]

_DOMAIN = "rasura-agent"
_FOLDER = resources.files("rasura_agent") / "locale"


class _Current:
    translations: gettext.NullTranslations = gettext.NullTranslations()


def use(language: str) -> None:
    """Speak ``language`` (ISO 639-1) from here on; English where there is no catalogue for it."""
    _Current.translations = _catalogue(language)


def _(message: str) -> str:
    return _Current.translations.gettext(message)


def ngettext(singular: str, plural: str, number: int) -> str:
    """The message for ``number`` things."""
    return _Current.translations.ngettext(singular, plural, number)


def said_in(language: str, message: str) -> str:
    """The message in ``language``, whatever is spoken now."""
    return _catalogue(language).gettext(message)


def counted_in(language: str, singular: str, plural: str, number: int) -> str:
    """The message for ``number`` things in ``language``, whatever is spoken now."""
    return _catalogue(language).ngettext(singular, plural, number)


@functools.cache
def _catalogue(language: str) -> gettext.NullTranslations:
    return gettext.translation(_DOMAIN, str(_FOLDER), [language], fallback=True)
