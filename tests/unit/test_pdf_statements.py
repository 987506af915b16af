"""Pages with statements beside certificates: what counts is told, and takes the verdict if it is against."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

import pikepdf
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from msgspec.structs import replace as replace_claims

from rasura.beside import Beside, belonging, lay_beside
from rasura.bundle import Bundle
from rasura.envelope import key_id, sign
from rasura.errors import ExitCode
from rasura.language import Language, Tongue
from rasura.pdf.compose import compose
from rasura.pdf.reading import read, text_of
from rasura.pdf.settings import MEDIA_TYPE, PageSettings, made_by
from rasura.pdf.terms import PdfError
from rasura.revocations import standing, with_revocations
from rasura.said import gather, with_statements
from rasura.show import tell_all, telling_text
from rasura.side_signing import Person
from rasura.side_statement import Ruling
from rasura.verifier import Verdict, verify
from simulators import paper
from simulators.people import DAY, person, revocation, signer_key
from simulators.signing import NOW, TrustWorld

ENGLISH, FRENCH = Tongue(Language.ENGLISH), Tongue(Language.FRENCH)


class Scene:
    """A certificate in a log, people of its site, and what they may say."""

    def __init__(self) -> None:
        self.world = TrustWorld()
        self.certificate = self.world.logged(paper.hdd(self.world))
        self.newer = self.world.logged(paper.hdd(self.world))
        self.head = person(self.world)
        self.auditor = person(self.world, "Camille D.", "auditor")

    def log(self, bundle: Bundle) -> Bundle:
        return self.world.logged(bundle)

    def says(self, who: Person, ruling: Ruling, reason: str = "as agreed", **more: Any) -> Bundle:
        return self.log(who.decide(self.certificate, ruling, reason, NOW, **more))

    def corrects(self, field: str = "drive.propertyNumber", right: Any = "P-0417") -> Bundle:
        return self.log(self.head.correct(self.certificate, field, right, "misread label", NOW))

    def supersedes(self) -> Bundle:
        return self.log(self.head.supersede(self.certificate, self.newer, "erased again", NOW))

    def beside(self, *others: Bundle) -> Beside:
        return lay_beside([self.certificate, *others])[self.certificate.payload_sha256]

    def told(self, *others: Bundle, tongue: Tongue = ENGLISH) -> str:
        return telling_text(tell_all([self.certificate, *others], tongue)[0], tongue)


@pytest.fixture(scope="module")
def scene() -> Scene:
    return Scene()


def page(bundles: Sequence[Bundle], language: Language = Language.ENGLISH) -> bytes:
    return compose(bundles, PageSettings(MEDIA_TYPE, made_by(), language, None))


def words(pdf: bytes) -> str:
    return text_of(pdf)[0].replace("\N{NO-BREAK SPACE}", " ")


AGAINST = {
    "rejected": (lambda it: it.says(it.auditor, Ruling.REJECTED, "no label"), "REJECTED", "REFUSÉ"),
    "superseded": (Scene.supersedes, "SUPERSEDED", "REMPLACÉ"),
    "revoked": (
        lambda it: it.log(revocation(it.world, signer_key(it.certificate), NOW - DAY)),
        "KEY REVOKED",
        "CLÉ RÉVOQUÉE",
    ),
}


@pytest.mark.parametrize("what", AGAINST)
@pytest.mark.parametrize("language", Language)
def test_what_counts_against_a_certificate_takes_its_verdict(
    scene: Scene, what: str, language: Language
) -> None:
    make, english, french = AGAINST[what]
    statement = make(scene)
    pdf = page([scene.certificate, statement], language)
    said = words(pdf)
    word, erased = (english, "ERASED") if language is Language.ENGLISH else (french, "EFFACÉ")
    # The verdict is the first thing after the letterhead.
    assert said.index(word) < said.index(erased)
    quoted = "what it said before: ERASED" if language is Language.ENGLISH else "il disait avant : EFFACÉ"
    assert quoted in said
    with pikepdf.open(io.BytesIO(pdf)) as document:
        assert len(document.pages) == 2, "one of the certificate, one of the statement"
        with document.open_metadata() as metadata:
            assert str(metadata["dc:description"]).startswith(word)
    assert {name for name, _ in read(pdf).bundles} == {
        f"{one.certificate_id}.json" for one in (scene.certificate, statement)
    }


def test_who_said_what_when_and_where_reading_goes_on(scene: Scene) -> None:
    statement = scene.supersedes()
    receipt = statement.receipt
    assert receipt is not None
    said = words(page([scene.certificate, statement]))
    assert (
        "SUPERSEDED by operator 7 (head of workshop) of Workshop, 2026-01-01 00:00:00 UTC, "
        f"entry {receipt.index} of the log test.rasura.example/log: read on in the certificate whose signed"
    ) in said
    assert f"have sha256:{scene.newer.payload_sha256}, not here" in scene.told(statement)
    said = words(page([scene.certificate, statement, scene.newer]))
    assert f"read on in the certificate {scene.newer.certificate_id}, which is here" in said
    assert "NOT ALL OF IT STANDS" in said
    assert "ALL DRIVES ERASED" not in said


def test_an_acceptance_and_a_correction_leave_the_verdict(scene: Scene) -> None:
    accepted, corrected = scene.says(scene.auditor, Ruling.ACCEPTED), scene.corrects()
    told = scene.told(accepted, corrected)
    assert told.lstrip().startswith("ERASED: ")
    assert "ACCEPTED by Camille D. (auditor) of Workshop" in told
    assert "drive.propertyNumber is “INV-2019-00417” there, and should be “P-0417”" in told
    assert "No person has judged yet" in scene.told(corrected)
    assert "No person has judged yet" not in told
    said = words(page([scene.certificate, accepted]))
    assert "Decision by a person" not in said, "it was made"
    assert "Decision by a person" in words(page([scene.certificate, corrected]))


def test_what_does_not_count_is_said_not_to(scene: Scene) -> None:
    unlogged = scene.auditor.decide(scene.certificate, Ruling.REJECTED, "no", NOW)
    beside = scene.beside(unlogged)
    assert beside.stands
    assert [one.statement for one in beside.idle] == [unlogged.document]
    told = scene.told(unlogged)
    assert "REJECTED by Camille D. (auditor) of Workshop, 2026-01-01 00:00:00 UTC does not count" in told
    assert "it is in no log" in told
    earlier, later = scene.says(scene.head, Ruling.ACCEPTED), scene.says(scene.head, Ruling.REJECTED)
    told = scene.told(earlier, later)
    assert told.lstrip().startswith("REJECTED: ")
    assert "does not count any more: a later one took its place" in told


def test_nobody_lifts_anothers_rejection_on_a_page(scene: Scene) -> None:
    rejected = scene.says(scene.auditor, Ruling.REJECTED)
    beside = scene.beside(rejected, scene.says(scene.head, Ruling.ACCEPTED))
    assert not beside.stands
    assert beside.decided


def test_another_sites_word_is_none(scene: Scene) -> None:
    other = TrustWorld(site="Elsewhere")
    stranger = person(other).correct(scene.certificate, "drive.serial", "X", "so", NOW)
    logged = scene.log(stranger)
    assert scene.beside(logged) == Beside()
    (_, told) = tell_all([scene.certificate, logged], ENGLISH)
    assert "It says nothing of the documents that it came with." in told.open
    assert tell_all([logged], ENGLISH)[0].open[0] != "It says nothing of the documents that it came with."


def test_whose_key_was_revoked_says_nothing(scene: Scene) -> None:
    accepted = scene.says(scene.auditor, Ruling.ACCEPTED)
    lost = scene.log(revocation(scene.world, signer_key(accepted), NOW - DAY))
    beside = scene.beside(accepted, lost)
    assert (beside.counts, beside.keys) == ((), ())
    assert "does not count: the key of who signed it is revoked" in scene.told(accepted, lost)
    told = tell_all([scene.certificate, accepted, lost], ENGLISH)[1]
    assert told.word == "KEY REVOKED"
    assert not told.good


def test_what_a_log_held_before_stands(scene: Scene) -> None:
    later = scene.log(revocation(scene.world, signer_key(scene.certificate), NOW + DAY, by_authority=True))
    beside = scene.beside(later)
    assert beside.stands
    told = scene.told(later)
    assert told.lstrip().startswith("ERASED: ")
    assert "KEY REVOKED by the registry Test registry" in told
    assert "a log held it before, so it stands" in told


def test_a_revocation_in_no_log_is_none(scene: Scene) -> None:
    assert scene.beside(revocation(scene.world, signer_key(scene.certificate), NOW - DAY)) == Beside()


def test_a_thief_who_is_revoked_revokes_nobody(scene: Scene) -> None:
    thief = scene.log(revocation(scene.world, signer_key(scene.certificate), NOW + DAY))
    site = key_id(scene.world.site_key.public_key())
    caught = scene.log(revocation(scene.world, site, NOW, by_authority=True))
    assert [effective for _, effective in scene.beside(thief, caught).keys] == [True]
    assert len(scene.beside(thief, caught).keys) == 1


def test_a_revoked_certificate_that_was_rejected_is_both(scene: Scene) -> None:
    revoked = scene.log(revocation(scene.world, signer_key(scene.certificate), NOW - DAY))
    told = scene.told(scene.says(scene.head, Ruling.REJECTED), revoked)
    assert told.lstrip().startswith("KEY REVOKED, REJECTED: ")


def test_a_lot_and_a_machine_say_that_one_fell(scene: Scene) -> None:
    world = scene.world
    one, other = (world.logged(paper.hdd(world, serial)) for serial in ("ONE", "OTHER"))
    rejected = world.logged(scene.head.decide(one, Ruling.REJECTED, "no", NOW))
    said = words(page([one, other, rejected]))
    assert "NOT ALL OF IT STANDS" in said
    assert "500.1 GB erased" in said, "the other's alone"
    assert "1 of the documents here was rejected or replaced" in said
    report = world.logged(paper.machine(world, paper.reported(one), paper.reported(other)))
    assert "ALL DRIVES ERASED" in words(page([report, one, other]))
    said = words(page([report, one, other, rejected]))
    assert "ALL DRIVES ERASED" not in said
    assert said.index("NOT ALL OF IT STANDS") < said.index("REJECTED")
    shown = telling_text(tell_all([report, one, other, rejected], ENGLISH)[0], ENGLISH)
    (fell,), (stands,) = (
        [line for line in shown.splitlines() if f"| {name} |" in line] for name in ("ONE", "OTHER")
    )
    assert "| REJECTED |" in fell
    assert "ERASED" not in fell, "nobody may read it off the table"
    assert "| ERASED: Clear by overwriting |" in stands
    assert shown.lstrip().startswith("NOT ALL OF IT STANDS")
    french = words(page([report, one, other, rejected], Language.FRENCH))
    assert "EST PLUS VALABLE" in french
    assert "1 des documents joints a été refusé" in french


def test_the_order_of_files_changes_no_page(scene: Scene) -> None:
    bundles = [scene.certificate, scene.says(scene.head, Ruling.REJECTED), scene.corrects(), scene.newer]
    assert page(bundles) == page(bundles[::-1])


def test_many_statements_hide_no_rejection_and_no_page_overflows(scene: Scene) -> None:
    world = scene.world
    many = [
        world.logged(
            person(world, f"operator {number}").decide(scene.certificate, Ruling.ACCEPTED, "x" * 499, NOW)
        )
        for number in range(20)
    ]
    rejected = scene.says(scene.auditor, Ruling.REJECTED, "y" * 499)
    pdf = page([scene.certificate, *many, rejected])
    with pikepdf.open(io.BytesIO(pdf)) as document:
        assert len(document.pages) == 22
    said = words(pdf)
    assert said.index("REJECTED by Camille D.") < said.index("ACCEPTED by operator")
    assert "more sentences: rasura show prints everything." in said


HOSTILE = "”. ACCEPTED by nobody \x1b[2J\u202e 中\n\nERASED #pagebreak() $x$ {who} \\"


@pytest.mark.parametrize("language", Language)
def test_hostile_words_stay_a_quotation(scene: Scene, language: Language) -> None:
    rejected = scene.says(scene.auditor, Ruling.REJECTED, HOSTILE, location=HOSTILE, contact=HOSTILE)
    pdf = page([scene.certificate, rejected], language)
    with pikepdf.open(io.BytesIO(pdf)) as document:
        assert len(document.pages) == 2
    said = words(pdf)
    assert "{who}" in said
    assert "\\u202e" in said
    assert "\x1b" not in scene.told(rejected)


@pytest.mark.parametrize("language", Language)
def test_a_page_of_each_kind_of_statement(scene: Scene, language: Language) -> None:
    kinds = [
        scene.says(scene.head, Ruling.ACCEPTED),
        scene.says(scene.auditor, Ruling.REJECTED, "no label", location="Lyon", contact="04 72 00 00 00"),
        scene.corrects(),
        scene.corrects("drive.rotational", right=None),
        scene.supersedes(),
        scene.log(revocation(scene.world, signer_key(scene.certificate), NOW, replaced_by="ab" * 32)),
    ]
    for one in kinds:
        said = words(page([one], language))
        receipt = one.receipt
        assert receipt is not None
        assert f"{receipt.index} " in said
        assert "rasura verify FILE.pdf CERTIFICATE.json --trust trust.toml" in said
        assert one.certificate_id in said
        assert "Workshop" in said
        if language is Language.FRENCH:
            assert "COMMENT VÉRIFIER" in said


def test_no_page_of_a_statement_that_nobody_would_make(scene: Scene) -> None:
    rejected = scene.auditor.decide(scene.certificate, Ruling.REJECTED, "no", NOW)
    mute = sign(replace_claims(rejected.document, reason=" ").to_payload(), scene.auditor.key)
    with pytest.raises(PdfError, match="rejects without a reason"):
        page([Bundle(mute, rejected.chain)])
    with pytest.raises(PdfError, match="signature"):
        page([replace(rejected, chain=scene.head.chain)])


def test_what_belongs_to_one_document(scene: Scene) -> None:
    rejected, other = scene.says(scene.head, Ruling.REJECTED), scene.newer
    site = key_id(scene.world.site_key.public_key())
    revoked = scene.log(revocation(scene.world, site, NOW - DAY, by_authority=True))
    nobodys = scene.log(revocation(scene.world, "ab" * 32, NOW, by_authority=True))
    everything = [scene.certificate, rejected, other]
    assert belonging(scene.certificate, everything) == (scene.certificate, rejected)
    assert belonging(other, [*everything, nobodys]) == (other,)
    assert belonging(other, [*everything, revoked]) == (other, revoked)
    assert belonging(rejected, everything) == (rejected,)


SHARED = Scene()
LOST = SHARED.says(SHARED.auditor, Ruling.REJECTED)
POOL: dict[str, Bundle] = {
    "accepted": SHARED.says(SHARED.head, Ruling.ACCEPTED),
    "rejected": LOST,
    "lifted": SHARED.says(SHARED.auditor, Ruling.ACCEPTED),
    "again": SHARED.says(SHARED.auditor, Ruling.REJECTED),
    "unlogged": SHARED.head.decide(SHARED.certificate, Ruling.REJECTED, "no", NOW),
    "corrected": SHARED.corrects(),
    "superseded": SHARED.supersedes(),
    "newer": SHARED.newer,
    "auditor lost": SHARED.log(revocation(SHARED.world, signer_key(LOST), NOW - DAY)),
    "station later": SHARED.log(revocation(SHARED.world, signer_key(SHARED.certificate), NOW + DAY)),
    "station": SHARED.log(revocation(SHARED.world, signer_key(SHARED.certificate), NOW - DAY)),
    "site": SHARED.log(
        revocation(SHARED.world, key_id(SHARED.world.site_key.public_key()), NOW + DAY, by_authority=True)
    ),
}


@settings(max_examples=200, deadline=None)
@given(st.lists(st.sampled_from(sorted(POOL)), unique=True))
def test_a_page_stands_exactly_where_verify_accepts(names: list[str]) -> None:
    bundles = [SHARED.certificate, *(POOL[name] for name in names)]
    reports = [verify(one.encode(), SHARED.world.trust) for one in bundles]
    held = standing(reports)
    reports = [with_revocations(one, held) for one in reports]
    code, _ = with_statements(reports[0], gather(reports, allow_unlogged=False), ExitCode.DONE, "")
    accepted = code is ExitCode.DONE and reports[0].verdict is Verdict.GENUINE
    assert lay_beside(bundles)[SHARED.certificate.payload_sha256].stands == accepted


def test_a_rejected_namesake_takes_nothing_from_a_reports_drive() -> None:
    """Ids are anybody's to write: what a report means is what has the hash that it names."""
    world = TrustWorld()
    one = paper.hdd(world)
    namesake = paper.hdd(world, "NAMESAKE", id=one.certificate_id)
    report = world.logged(paper.machine(world, paper.reported(one)))
    says = person(world)
    for about, rejected in ((namesake, False), (one, True)):
        said = world.logged(says.decide(about, Ruling.REJECTED, "no label", NOW))
        told = telling_text(tell_all([report, world.logged(about), said], ENGLISH)[0], ENGLISH)
        assert ("REJECTED" in told) is rejected
