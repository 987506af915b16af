"""A sentence that is signed in English and shown in the reader's language. Pure."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

__all__ = ["Said", "say"]


class Said(msgspec.Struct, frozen=True):
    """A message of the catalogues, and what varies in it by name."""

    message: str
    values: tuple[tuple[str, str | int], ...] = ()

    def __str__(self) -> str:
        return self.message.format(**dict(self.values))

    def in_words_of(self, translate: Callable[[str], str]) -> str:
        """The sentence in the language that ``translate`` speaks."""
        return translate(self.message).format(**dict(self.values))


def say(message: str, **values: str | int) -> Said:
    """Put a sentence together; ``message`` is marked for the catalogues where it is written."""
    return Said(message, tuple(values.items()))
