"""Sentences for people that the core makes without knowing their language; pure.

A :class:`Sentence` *is* its English text, which is what certificates, logs and facts for machines keep. It
remembers its template and what was put in, so that a screen can say it again in another language
(``console.words.fact``). Put together by ``+``, ``join`` or an f-string it becomes plain English text: use
:meth:`Sentence.of` instead.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Self

__all__ = ["Sentence", "text_alone"]


class Sentence(str):
    """A sentence that can be said in another language.

    ``template`` is a message of the catalogues with fields by name, as for ``str.format``. What is put in may
    be sentences too.
    """

    __slots__ = ("_template", "_values")

    _template: str
    _values: Mapping[str, object]

    def __new__(cls, template: str, /, **values: object) -> Self:
        """Fill ``values`` into the template."""
        sentence = super().__new__(cls, template.format(**values))
        sentence._template, sentence._values = template, values
        return sentence

    @classmethod
    def of(cls, parts: Iterable[str], separator: str = "; ") -> Self:
        """Sentences, or plain text, one after another."""
        values = {f"part{number}": part for number, part in enumerate(parts)}
        return cls(separator.join(f"{{{name}}}" for name in values), **values)

    def said(self, translate: Callable[[str], str]) -> str:
        """The sentence with every template in it as ``translate`` (gettext's way) has it."""
        values = {
            name: value.said(translate) if isinstance(value, Sentence) else value
            for name, value in self._values.items()
        }
        return translate(self._template).format(**values)


def text_alone(sentence: str | None) -> str | None:
    """The text without what it remembers, as documents keep it: no encoder knows our kind of string."""
    return str(sentence) if sentence is not None else None
