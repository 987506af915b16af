"""Every message of the screens is translated, and every translation still has its message."""

from __future__ import annotations

import gettext
import io
from pathlib import Path

import pytest
from babel.messages.catalog import Catalog
from babel.messages.extract import extract_from_dir
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po

AGENT = Path(__file__).parents[2] / "agent/rasura_agent"
LOCALE = AGENT / "locale"
LANGUAGES = sorted(path.name for path in LOCALE.iterdir() if path.is_dir())
KEYWORDS = {"_": None, "Sentence": None, "ngettext": (1, 2), "said_in": (2,), "counted_in": (2, 3)}


def extracted() -> Catalog:
    catalogue = Catalog()
    found = extract_from_dir(str(AGENT), method_map=[("**.py", "python")], keywords=KEYWORDS)
    for _file, _line, message, _comments, _context in found:
        catalogue.add(message)
    return catalogue


def translated(language: str) -> Catalog:
    path = LOCALE / language / "LC_MESSAGES/rasura-agent.po"
    with path.open("rb") as stream:
        return read_po(stream, locale=language, abort_invalid=True)


def test_french_is_there() -> None:
    assert LANGUAGES == ["fr"]


@pytest.mark.parametrize("language", LANGUAGES)
def test_nothing_is_missing_nothing_is_left_over(language: str) -> None:
    source, target = extracted(), translated(language)
    wanted = {message.id for message in source if message.id}
    have = {message.id for message in target if message.id}
    assert wanted - have == set(), "without a translation"
    assert have - wanted == set(), "their message is gone"
    assert not target.obsolete
    for message in target:
        texts = message.string if isinstance(message.string, tuple) else (message.string,)
        assert all(texts), f"empty: {message.id}"
        assert not message.fuzzy or not message.id, f"fuzzy: {message.id}"


@pytest.mark.parametrize("language", LANGUAGES)
def test_what_varies_is_the_same_in_both(language: str) -> None:
    """Every placeholder of the message is in its translations, and no other."""
    from string import Formatter

    def fields(text: str) -> set[tuple[str | None, str | None]]:
        return {(name, spec) for _, name, spec, _ in Formatter().parse(text) if name is not None}

    for message in translated(language):
        if not message.id:
            continue
        ids = message.id if isinstance(message.id, tuple) else (message.id,)
        texts = message.string if isinstance(message.string, tuple) else (message.string,)
        for text in texts:
            assert fields(text) == fields(ids[-1]), message.id


def test_french_typography() -> None:
    no_break = "\N{NO-BREAK SPACE}"
    for message in translated("fr"):
        texts = message.string if isinstance(message.string, tuple) else (message.string,)
        for text in texts if message.id else ():
            for sign in ";?!»":
                assert f" {sign}" not in text, text
            assert " :" not in text, text
            assert "'" not in text, f"an apostrophe is ’: {text}"  # noqa: RUF001
            assert "« " not in text
            at = text.find("%")
            assert at < 0 or text[at - 1] == no_break, text


@pytest.mark.parametrize("language", LANGUAGES)
def test_what_gettext_reads_is_compiled_from_what_people_write(language: str) -> None:
    compiled = LOCALE / language / "LC_MESSAGES/rasura-agent.mo"
    if not compiled.exists():
        pytest.fail("the catalogues are not compiled: run ./scripts/setup.sh")
    fresh = io.BytesIO()
    write_mo(fresh, translated(language))
    fresh.seek(0)
    assert compiled.read_bytes() == fresh.getvalue(), "the catalogues are stale: run ./scripts/setup.sh"
    assert gettext.GNUTranslations(fresh).gettext("ERASED") != "ERASED"
