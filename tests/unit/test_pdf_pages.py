"""Pages: what they are made of, that they are the same twice, that they hold, and what no page is made of."""

from __future__ import annotations

import base64
import io
import json
import struct
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pikepdf
import pytest

from rasura.bundle import Bundle
from rasura.certificate import Outcome
from rasura.errors import UsageError
from rasura.language import Language
from rasura.pdf.compose import compose
from rasura.pdf.page_text import RANGES, legible
from rasura.pdf.qr import qr_text
from rasura.pdf.reading import read, text_of
from rasura.pdf.settings import MEDIA_TYPE, Letterhead, PageSettings, made_by
from rasura.pdf.terms import PdfError
from rasura.side_statement import Ruling
from simulators import paper
from simulators.people import person
from simulators.signing import NOW, TrustWorld

LETTERHEAD = Letterhead(
    name="Atelier du Réemploi",
    address=("12, rue des Ateliers", "38000 Grenoble"),
    registry="https://registry.example",
)


def png(width: int = 4, height: int = 2) -> bytes:
    """A black picture."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    rows = (b"\0" + bytes(width)) * height
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(rows))
        + chunk(b"IEND", b"")
    )


def settings(
    language: Language = Language.ENGLISH, letterhead: Letterhead | None = LETTERHEAD
) -> PageSettings:
    return PageSettings(MEDIA_TYPE, made_by(), language, letterhead)


def opened(pdf: bytes) -> pikepdf.Pdf:
    return pikepdf.open(io.BytesIO(pdf))


@pytest.fixture(scope="module")
def world() -> TrustWorld:
    return TrustWorld()


@pytest.fixture(scope="module")
def six(world: TrustWorld) -> Sequence[Bundle]:
    return paper.six_drives(world)


@pytest.mark.parametrize("language", Language)
def test_the_same_claims_give_the_same_bytes(six: Sequence[Bundle], language: Language) -> None:
    first = compose(six, settings(language))
    assert compose(tuple(reversed(six)), settings(language)) == first


@pytest.mark.parametrize("language", Language)
@pytest.mark.parametrize("kind", [paper.hdd, paper.schemed, paper.ssd, paper.partial])
def test_one_page_a_drive_with_its_bundle(world: TrustWorld, kind: Any, language: Language) -> None:
    bundle = kind(world)
    pdf = compose([bundle], settings(language))
    contents = read(pdf)
    assert contents.bundles == ((f"{bundle.certificate_id}.json", bundle.encode()),)
    assert contents.settings == settings(language).encode()
    with opened(pdf) as document:
        assert len(document.pages) == 1
    words, _annotations = text_of(pdf)
    claims = bundle.certificate
    for said in (
        claims.id,
        bundle.payload_sha256,
        claims.drive.serial or "",
        "Atelier du Réemploi",
        "rasura verify",
    ):
        assert said in words, said


def test_a_page_says_the_scheme_and_who_read_back(world: TrustWorld) -> None:
    words, _annotations = text_of(compose([paper.schemed(world)], settings()))
    for said in (
        "house-scheme",
        "overwritten 4 times",
        "Write Zeroes",
        "A second process read it back",
        "4 of 4",
    ):
        assert said in words, said


def test_a_machine_has_its_page_and_each_drive_too(six: Sequence[Bundle]) -> None:
    pdf = compose(six, settings())
    with opened(pdf) as document:
        assert len(document.pages) == 5
    words, _annotations = text_of(pdf)
    assert words.index("NOT EVERY DRIVE WAS ERASED") < words.index("Clear by overwriting")
    assert "5 drives: 3 ERASED, 1 FAILED, 1 UNHANDLED" in words


def test_a_lot_has_a_page_in_front(world: TrustWorld) -> None:
    both = [paper.hdd(world), paper.ssd(world)]
    words, _annotations = text_of(compose(both, settings()))
    assert words.count("ALL DRIVES ERASED") == 1
    assert "lot LOT-2026-11-A, Workshop, 756.2 GB erased" in words
    assert "Nobody signed this page" in words
    words, _annotations = text_of(compose([*both, paper.partial(world)], settings()))
    assert "NOT EVERY DRIVE WAS ERASED" in words
    assert "ALL DRIVES ERASED" not in words


def test_a_certificate_that_is_missing_is_no_good_lot(world: TrustWorld) -> None:
    one, other = paper.hdd(world), paper.hdd(world, "OTHER")
    reports = [paper.machine(world, paper.reported(one), paper.reported(other)), paper.machine(world)]
    words, _annotations = text_of(compose([*reports, one], settings()))
    assert "1 certificate that a report names is not among them." in words
    assert words.startswith("Atelier")
    assert "ALL DRIVES ERASED" not in words.split("HOW TO CHECK", 1)[0]


def test_what_was_not_reached_is_said(world: TrustWorld) -> None:
    for language, said in (
        (Language.ENGLISH, "NOT PROVEN: 5 ranges, together 327,680 bytes, could not be written"),
        (Language.FRENCH, "NON PROUVÉ : 5 plages, soit 327 680 octets, n"),
    ):
        words, _annotations = text_of(compose([paper.partial(world)], settings(language)))
        assert said in words
        assert "ERASED" not in words.replace("NOT ERASED", "")


@pytest.mark.parametrize("what", ["certificate", "machine", "rejected", "statement"])
def test_it_is_tagged_and_says_what_it_is(world: TrustWorld, six: Sequence[Bundle], what: str) -> None:
    """PDF/UA-1 clauses 7.1 and 7.2, PDF/A-3 clauses 6.6.4, 6.7 and 6.8: what no general tool would add."""
    rejected = world.logged(person(world).decide(six[0], Ruling.REJECTED, "no label", NOW))
    bundles = {
        "certificate": six[:1],
        "machine": six,
        "rejected": [six[0], rejected],
        "statement": [rejected],
    }
    with opened(compose(bundles[what], settings(Language.FRENCH))) as document:
        root = document.Root
        assert bool(root.MarkInfo.Marked)
        assert str(root.Lang).startswith("fr")
        assert bool(root.ViewerPreferences.DisplayDocTitle)
        assert root.StructTreeRoot.K is not None
        with document.open_metadata() as metadata:
            assert metadata["pdfaid:part"] == "3"
            assert metadata["pdfaid:conformance"] == "A"
            assert metadata["pdfuaid:part"] == "1"
            assert metadata["dc:title"]
        kinds = [str(one.AFRelationship) for one in root.AF]
        assert sorted(set(kinds)) == ["/Source", "/Supplement"]
        tags = _tags(root.StructTreeRoot.K)
        assert {"/H1", "/H2", "/L", "/Figure"} <= set(tags)
        assert all("/Alt" in one for one in tags["/Figure"])
        for page in document.pages:
            assert all("/FontDescriptor" in _descendant(font) for font in page.Resources.Font.values())


def _tags(node: Any) -> dict[str, list[Any]]:
    found: dict[str, list[Any]] = {}
    waiting = [node]
    while waiting:
        one = waiting.pop()
        if isinstance(one, pikepdf.Array):
            waiting += list(one)
        elif isinstance(one, pikepdf.Dictionary) and "/S" in one:
            found.setdefault(str(one.S), []).append(one)
            if "/K" in one:
                waiting.append(one.K)
    return found


def _descendant(font: Any) -> Any:
    return font.DescendantFonts[0] if "/DescendantFonts" in font else font


def test_every_character_that_is_let_through_can_be_shown(world: TrustWorld) -> None:
    """Alone and beside all others, in both fonts; typst refuses a missing glyph in PDF/A."""
    letters = "".join(chr(code) for first, last in RANGES for code in range(first, last + 1))
    assert legible(letters) == letters
    for start in range(0, len(letters), 60):
        part = letters[start : start + 60]
        compose([paper.hdd(world, part, drive__model=part)], settings())


@pytest.mark.parametrize(
    "text", ["硬盘", "قرص", "\u202egnp.exe", "a\u0301", "\x1b[2J", "\U0001f5b4", "\ufb01"]
)
def test_other_characters_are_escaped_and_break_nothing(world: TrustWorld, text: str) -> None:
    shown = legible(text)
    assert shown.isascii() or shown == "á"
    compose([paper.hdd(world, text, source__lot=text)], settings(Language.FRENCH))


LONG = "What went wrong is a long story that nobody will ever read to its end. " * 40


@pytest.mark.parametrize("text", [LONG, "W" * 5000, "i\N{NO-BREAK SPACE}" * 2500])
@pytest.mark.parametrize("language", Language)
def test_long_texts_fit_on_one_page(world: TrustWorld, text: str, language: Language) -> None:
    ranges = [{"offset": 4096 * number, "length": 512, "kind": "not-read"} for number in range(500)]
    names = ("manufacturer", "model", "serial", "wwn", "firmware", "propertyNumber", "transport")
    origin = dict.fromkeys(paper.SOURCE, text)
    bundle = paper.partial(
        world,
        residualRisks=[text] * 40,
        result__reason=text,
        result__errorRanges=ranges,
        source=origin,
        healthBefore=paper.health("reject", *[text] * 20),
        destination=text,
        **{f"drive__{name}": text for name in names},
    )
    head = Letterhead(name="W" * 70, address=("W" * 70,) * 5, logo=base64.b64encode(png(2000, 20)).decode())
    with opened(compose([bundle], settings(language, head))) as document:
        assert len(document.pages) == 1
        assert len(text_of(compose([bundle], settings(language, head)))[0]) > 2000


def test_a_table_of_many_drives_goes_on_overleaf(world: TrustWorld) -> None:
    drives = [paper.uncertified(f"S{number}", Outcome.SKIPPED, "not confirmed") for number in range(80)]
    pdf = compose([paper.machine(world, *drives)], settings())
    with opened(pdf) as document:
        assert len(document.pages) > 1
    words, _annotations = text_of(pdf)
    assert all(f"S{number} " in words for number in range(80))


def refused(bundles: Sequence[Bundle], sentence: str) -> None:
    with pytest.raises(PdfError, match=sentence):
        compose(bundles, settings())


def test_no_page_of_what_contradicts_itself(world: TrustWorld) -> None:
    refused([paper.hdd(world, result__bytesWritten=1)], "the bytes written are not the sum of the passes")


def test_no_page_of_what_is_not_signed(world: TrustWorld) -> None:
    bundle = json.loads(paper.hdd(world).encode())
    other = json.loads(paper.hdd(world).encode())
    bundle["envelope"]["signatures"] = other["envelope"]["signatures"]
    refused([Bundle.parse(json.dumps(bundle).encode())], "signature")


def test_no_page_of_nothing_or_of_one_twice(world: TrustWorld) -> None:
    refused([], "not 0")
    one = paper.hdd(world)
    refused([one, world.logged(one)], "there twice")


def test_the_qr_code_holds_address_and_hash() -> None:
    assert qr_text("1-2", "ab", "https://r.example") == "https://r.example/certificates/1-2#sha256=ab"
    assert qr_text("1-2", "ab", None) == "urn:uuid:1-2#sha256=ab"


def test_a_letterhead_is_read(tmp_path: Path, world: TrustWorld) -> None:
    (tmp_path / "logo.png").write_bytes(png())
    (tmp_path / "letterhead.toml").write_text(
        'name = "Atelier"\naddress = ["1, rue A"]\nlogo = "logo.png"\nregistry = "https://r.example/"\n'
    )
    head = Letterhead.load(tmp_path / "letterhead.toml")
    assert head.registry == "https://r.example"
    assert head.logo_png() == png()
    pdf = compose([paper.hdd(world)], settings(letterhead=head))
    assert PageSettings.parse(read(pdf).settings or b"").letterhead == head


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "missing required field `name`"),
        ("name = 1", "Expected `str`"),
        ('name = ""', "a name and up to 5 lines"),
        (f'name = "{"x" * 71}"', "a name and up to 5 lines"),
        ('name = "x"\naddress = ["1", "2", "3", "4", "5", "6"]', "a name and up to 5 lines"),
        ('name = "x"\nlogo = "missing.png"', "cannot read"),
        ('name = "x"\nlogo = "notes.txt"', "not a PNG"),
        ('name = "x"\nlogo = "wide.png"', "9000 x 1 pixels"),
        ('name = "x"\nlogo = 1', "logo is the name"),
        ('name = "x"\nregistry = "http://r.example"', "https address"),
        ('name = "x"\nregistry = "https://r.example/a b"', "https address"),
        ('name = "x"\nlogos = "y"', "unknown field `logos`"),
        ("name =", "is no letterhead"),
    ],
)
def test_what_is_no_letterhead(tmp_path: Path, text: str, sentence: str) -> None:
    (tmp_path / "notes.txt").write_text("notes")
    (tmp_path / "wide.png").write_bytes(png(9000, 1))
    (tmp_path / "letterhead.toml").write_text(text)
    with pytest.raises(UsageError, match=sentence):
        Letterhead.load(tmp_path / "letterhead.toml")


HEAD = '{"mediaType":"application/vnd.rasura.page+json;version=1","madeBy":"y","language":'


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{}",
        '{"mediaType":"x","madeBy":"y","language":"en","letterhead":null}',
        HEAD + '"de","letterhead":null}',
        HEAD + '"en","letterhead":{"name":"x","logo":"####"}}',
        HEAD + '"en","letterhead":{"name":"x","logo":"aGVsbG8="}}',
        HEAD + '"en","letterhead":{"name":"x","address":["1","2","3","4","5","6"]}}',
        HEAD + '"en","letterhead":null,"more":1}',
    ],
)
def test_settings_of_a_hostile_pdf(text: str) -> None:
    with pytest.raises(PdfError):
        PageSettings.parse(text.encode())
