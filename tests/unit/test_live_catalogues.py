"""Every message of the screens and pages is translated, and every translation still has its message."""

from __future__ import annotations

import gettext
import io
from pathlib import Path

import pytest
from babel.messages.catalog import Catalog
from babel.messages.extract import extract_from_dir
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po

ROOT = Path(__file__).parents[2]
KEYWORDS: dict[str, dict[str, tuple[int, ...] | None]] = {
    "agent/rasura_agent": {
        "_": None,
        "Sentence": None,
        "ngettext": (1, 2),
        "said_in": (2,),
        "counted_in": (2, 3),
    },
    "certs/rasura": {"_": None, "N_": None, "say": None, "count": (1, 2)},
}
"""Of each package that speaks: how its messages are marked."""
ROOMS = sorted(KEYWORDS)


def extracted(room: str) -> Catalog:
    catalogue = Catalog()
    found = extract_from_dir(str(ROOT / room), method_map=[("**.py", "python")], keywords=KEYWORDS[room])
    for _file, _line, message, _comments, _context in found:
        catalogue.add(message)
    return catalogue


def source_of(room: str) -> Path:
    (path,) = (ROOT / room / "locale").glob("*/LC_MESSAGES/*.po")
    return path


def translated(room: str) -> Catalog:
    path = source_of(room)
    with path.open("rb") as stream:
        return read_po(stream, locale=path.parts[-3], abort_invalid=True)


def test_french_is_there() -> None:
    assert {source_of(room).parts[-3] for room in ROOMS} == {"fr"}


@pytest.mark.parametrize("room", ROOMS)
def test_nothing_is_missing_nothing_is_left_over(room: str) -> None:
    source, target = extracted(room), translated(room)
    wanted = {message.id for message in source if message.id}
    have = {message.id for message in target if message.id}
    assert wanted - have == set(), "without a translation"
    assert have - wanted == set(), "their message is gone"
    assert not target.obsolete
    for message in target:
        texts = message.string if isinstance(message.string, tuple) else (message.string,)
        assert all(texts), f"empty: {message.id}"
        assert not message.fuzzy or not message.id, f"fuzzy: {message.id}"


@pytest.mark.parametrize("room", ROOMS)
def test_what_varies_is_the_same_in_both(room: str) -> None:
    """Every placeholder of the message is in its translations, and no other."""
    from string import Formatter

    def fields(text: str) -> set[tuple[str | None, str | None]]:
        return {(name, spec) for _, name, spec, _ in Formatter().parse(text) if name is not None}

    for message in translated(room):
        if not message.id:
            continue
        ids = message.id if isinstance(message.id, tuple) else (message.id,)
        texts = message.string if isinstance(message.string, tuple) else (message.string,)
        for text in texts:
            assert fields(text) == fields(ids[-1]), message.id


@pytest.mark.parametrize("room", ROOMS)
def test_french_typography(room: str) -> None:
    no_break = "\N{NO-BREAK SPACE}"
    for message in translated(room):
        texts = message.string if isinstance(message.string, tuple) else (message.string,)
        for text in texts if message.id else ():
            for sign in ";?!»":
                assert f" {sign}" not in text, text
            assert " :" not in text, text
            assert "'" not in text, f"an apostrophe is ’: {text}"  # noqa: RUF001
            assert "« " not in text
            at = text.find("%")
            assert at < 0 or text[at - 1] == no_break, text


@pytest.mark.parametrize("room", ROOMS)
def test_what_gettext_reads_is_compiled_from_what_people_write(room: str) -> None:
    compiled = source_of(room).with_suffix(".mo")
    if not compiled.exists():
        pytest.fail("the catalogues are not compiled: run ./scripts/setup.sh")
    fresh = io.BytesIO()
    write_mo(fresh, translated(room))
    fresh.seek(0)
    assert compiled.read_bytes() == fresh.getvalue(), "the catalogues are stale: run ./scripts/setup.sh"
    assert gettext.GNUTranslations(fresh).gettext("ERASED") != "ERASED"
