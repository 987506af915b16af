"""``rasura pdf``, and ``verify`` and ``show`` of what it made, or of what somebody made of that."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import msgspec
import pytest

from functional.conftest import BIN, Ran
from rasura.bundle import Bundle
from rasura.language import Language
from rasura.pdf.compose import compose
from rasura.pdf.settings import MEDIA_TYPE, PageSettings, made_by
from rasura.side_statement import Ruling
from simulators import paper
from simulators.forged_pdfs import FORGERIES, attach, edited
from simulators.people import DAY, person, revocation, signer_key
from simulators.signing import TrustWorld

PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
"""One pixel."""


@dataclass
class Desk:
    """A folder with a trust file and signed documents, where commands run."""

    folder: Path
    world: TrustWorld

    def run(self, *words: str | Path, **env: str) -> Ran:
        done = subprocess.run(
            [BIN / words[0], *words[1:]],
            cwd=self.folder,
            env={**os.environ, **env},
            capture_output=True,
            text=True,
            check=False,
            timeout=100,
        )
        assert "Traceback" not in done.stderr, done.stderr
        return Ran(done.returncode, done.stdout, done.stderr)

    def verify(self, *files: str | Path) -> Ran:
        return self.run("rasura", "verify", *files, "--trust", "trust.toml")


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    world = TrustWorld()
    (tmp_path / "trust.toml").write_text(world.trust.to_toml())
    (tmp_path / "hdd.json").write_bytes(world.logged(paper.hdd(world)).encode())
    (tmp_path / "failed.json").write_bytes(world.logged(paper.partial(world)).encode())
    (tmp_path / "machine").mkdir()
    for number, bundle in enumerate(paper.six_drives(world)):
        (tmp_path / "machine" / f"{number}.json").write_bytes(bundle.encode())
    return Desk(tmp_path, world)


def test_a_page_is_made_and_verified(desk: Desk) -> None:
    made = desk.run("rasura", "pdf", "hdd.json", "--lang", "fr")
    assert (made.code, made.out) == (0, "hdd.pdf\n"), made.err
    verified = desk.verify("hdd.pdf")
    assert verified.code == 0, verified.out
    assert " 13 page       ok   the page is what the claims give, to the byte" in verified.out
    assert "GENUINE: ERASED drive" in verified.out
    first = (desk.folder / "hdd.pdf").read_bytes()
    assert desk.run("rasura", "pdf", "hdd.json", "--lang", "fr").code == 0
    assert (desk.folder / "hdd.pdf").read_bytes() == first
    (report,) = desk.run("rasura", "verify", "hdd.pdf", "--trust", "trust.toml", "--json").json
    assert report["accepted"]
    assert report["checks"][-1]["name"] == "page"


def test_a_machine_in_one_pdf_is_complete(desk: Desk) -> None:
    assert desk.run("rasura", "pdf", "machine", "-o", "machine.pdf").code == 0
    verified = desk.verify("machine.pdf")
    assert verified.code == 3, verified.out  # one of its drives failed
    assert "all 4 certificates that the report names are there and fit" in verified.out
    assert verified.out.count("the page is what the claims give") == 5
    again = desk.run("rasura", "pdf", "machine.pdf", "-o", "again.pdf")
    assert again.code == 0
    assert (desk.folder / "again.pdf").read_bytes() == (desk.folder / "machine.pdf").read_bytes()


def test_one_pdf_each_into_a_folder(desk: Desk) -> None:
    (desk.folder / "out").mkdir()
    made = desk.run("rasura", "pdf", "machine", "-o", "out")
    assert len(made.out.splitlines()) == len(list((desk.folder / "out").glob("*.pdf"))) == 5
    verified = desk.verify("out", "--any-outcome", "--brief")
    assert verified.code == 0
    assert verified.out.endswith("5 accepted, 0 not\n")


def test_a_false_page_in_a_folder_of_bundles_is_not_passed_over(desk: Desk) -> None:
    assert desk.run("rasura", "pdf", "machine", "-o", "machine").code == 0
    assert desk.verify("machine", "--any-outcome", "--brief").out.endswith("10 accepted, 0 not\n")
    page = next((desk.folder / "machine").glob("*.pdf"))
    page.write_bytes(page.read_bytes()[:-200])
    verified = desk.verify("machine", "--any-outcome", "--brief")
    assert verified.code == 1
    assert verified.out.endswith("9 accepted, 1 not\n"), verified.out


def test_an_export_becomes_a_pdf_and_is_shown(desk: Desk) -> None:
    files = sorted((desk.folder / "machine").glob("*.json"))
    (desk.folder / "export.ndjson").write_bytes(b"\n".join(one.read_bytes() for one in files))
    assert desk.run("rasura", "pdf", "export.ndjson").out == "export.pdf\n"
    assert desk.run("rasura", "pdf", "machine", "-o", "machine.pdf").code == 0
    assert (desk.folder / "export.pdf").read_bytes() == (desk.folder / "machine.pdf").read_bytes()
    shown = desk.run("rasura", "show", "export.ndjson")
    assert shown.out.count("claims as written, NOT verified") == 5


def test_the_letterhead_is_said_to_be_nobodys_evidence(desk: Desk) -> None:
    (desk.folder / "letterhead.toml").write_text('name = "Atelier du Réemploi"\n')
    assert desk.run("rasura", "pdf", "hdd.json", "--letterhead", "letterhead.toml").code == 0
    verified = desk.verify("hdd.pdf")
    assert verified.code == 0
    assert "the letterhead, Atelier du Réemploi, is the workshop's own word and not signed" in verified.out


def test_what_failed_is_never_accepted(desk: Desk) -> None:
    assert desk.run("rasura", "pdf", "failed.json").code == 0
    verified = desk.verify("failed.pdf")
    assert verified.code == 3
    assert "the drive was NOT ERASED" in verified.out


@pytest.mark.parametrize("forgery", FORGERIES)
def test_a_forged_pdf_gets_a_sentence_and_is_not_accepted(desk: Desk, forgery: str) -> None:
    forge, sentence = FORGERIES[forgery]
    assert desk.run("rasura", "pdf", "hdd.json").code == 0
    (desk.folder / "hdd.pdf").write_bytes(forge((desk.folder / "hdd.pdf").read_bytes()))
    verified = desk.verify("hdd.pdf")
    assert verified.code in {1, 3}, verified.out
    assert sentence in verified.out
    assert not any(line.strip().startswith("GENUINE") for line in verified.out.splitlines())


def test_the_page_of_another_drive_is_found(desk: Desk) -> None:
    """The bundle is genuine and the page is a page of ours; they do not belong together."""
    other = desk.world.logged(paper.hdd(desk.world, "ANOTHERSERIAL"))
    assert desk.run("rasura", "pdf", "hdd.json").code == 0
    pdf = (desk.folder / "hdd.pdf").read_bytes()
    name = f"{json_id(desk.folder / 'hdd.json')}.json"
    (desk.folder / "hdd.pdf").write_bytes(edited(pdf, attach(name, other.encode())))
    verified = desk.verify("hdd.pdf")
    assert verified.code == 1
    assert "THE PAGE IS FALSE" in verified.out
    assert "ANOTHERSERIAL" in verified.out


def json_id(path: Path) -> str:
    return Bundle.parse(path.read_bytes()).certificate_id


def test_a_page_that_says_other_tools_made_it_is_not_accepted(desk: Desk) -> None:
    """Whoever covers a page and names other tools must not be better off."""
    assert desk.run("rasura", "pdf", "hdd.json").code == 0
    pdf = (desk.folder / "hdd.pdf").read_bytes()
    settings = {
        "mediaType": "application/vnd.rasura.page+json;version=1",
        "madeBy": "rasura 9.9, typst 9.9, segno 9.9",
        "language": "en",
        "letterhead": None,
    }
    (desk.folder / "hdd.pdf").write_bytes(edited(pdf, attach("page.json", json.dumps(settings).encode())))
    verified = desk.verify("hdd.pdf")
    assert verified.code == 1  # the footer names the tools too
    assert "the page was changed" in verified.out


def test_show_says_what_the_page_says(desk: Desk) -> None:
    english = desk.run("rasura", "show", "failed.json")
    assert "NOT ERASED: FAILED" in english.out
    assert "NOT PROVEN: 5 ranges, together 327,680 bytes, could not be written" in english.out
    french = desk.run("rasura", "show", "failed.json", RASURA_LANG="fr")
    assert "NON EFFACÉ\N{NO-BREAK SPACE}: ÉCHEC" in french.out
    assert desk.run("rasura", "pdf", "failed.json").code == 0
    shown = desk.run("rasura", "show", "failed.pdf")
    assert shown.out.replace("failed.pdf", "failed.json", 1) == english.out


def _tampered(path: Path) -> None:
    document = json.loads(path.read_text())
    signature = document["envelope"]["signatures"][0]
    signature["sig"] = ("A" if signature["sig"][0] != "A" else "B") + signature["sig"][1:]
    path.write_text(json.dumps(document))


@pytest.mark.parametrize(
    ("words", "prepare", "code", "sentence"),
    [
        (["missing.json"], None, 2, "cannot read missing.json"),
        (["trust.toml"], None, 2, "trust.toml is no bundle"),
        (["empty"], lambda folder: (folder / "empty").mkdir(), 2, "no .json file in the folder empty"),
        (["hdd.json", "failed.json"], None, 2, "say where the PDF of several files goes"),
        (["hdd.json", "hdd.json", "-o", "x.pdf"], None, 1, "there twice"),
        (["hdd.json", "--lang", "de"], None, 2, "'de' is not one of"),
        (["hdd.json", "--letterhead", "none.toml"], None, 2, "cannot read none.toml"),
        (
            ["hdd.json", "--letterhead", "bad.toml"],
            lambda folder: (folder / "bad.toml").write_bytes(b'name = "\xff"'),
            2,
            "bad.toml is no letterhead: it is not UTF-8",
        ),
        (
            ["hdd.json", "--letterhead", "bad.toml"],
            lambda folder: (folder / "bad.toml").write_text("x = " + "[" * 5000),
            2,
            "nested too deeply",
        ),
        (["hdd.json", "-o", "nowhere/x.pdf"], None, 2, "cannot write nowhere/x.pdf"),
        (["hdd.json"], lambda folder: _tampered(folder / "hdd.json"), 1, "no page is made of"),
        (["hdd.json", "--trust", "none.toml"], None, 2, "cannot read none.toml"),
    ],
)
def test_bad_calls_get_a_sentence(
    desk: Desk, words: list[str], prepare: Callable[[Path], None] | None, code: int, sentence: str
) -> None:
    if prepare is not None:
        prepare(desk.folder)
    ran = desk.run("rasura", "pdf", *words)
    assert (ran.code, sentence in ran.err) == (code, True), ran.err
    assert not list(desk.folder.glob("*.pdf"))


@pytest.mark.parametrize(
    ("words", "read"),
    [
        (["hdd.json"], "hdd.json"),
        (["hdd.json", "failed.json"], "failed.json"),
        (["hdd.json", "--trust", "trust.toml"], "trust.toml"),
        (["hdd.json", "--letterhead", "letterhead.toml"], "letterhead.toml"),
        (["hdd.json", "--letterhead", "letterhead.toml"], "logo.png"),
        (["machine"], "machine/3.json"),
        (["hdd.json"], "link.pdf"),
        (["hdd.json"], "hard.pdf"),
        (["old.pdf"], "old.pdf"),
        (["all.ndjson"], "all.ndjson"),
    ],
)
def test_what_was_read_is_never_written_over(desk: Desk, words: list[str], read: str) -> None:
    folder = desk.folder
    (folder / "letterhead.toml").write_text('name = "Atelier"\nlogo = "logo.png"\n')
    (folder / "logo.png").write_bytes(PNG)
    (folder / "link.pdf").symlink_to("hdd.json")
    (folder / "hard.pdf").hardlink_to(folder / "hdd.json")
    (folder / "all.ndjson").write_bytes((folder / "hdd.json").read_bytes() + b"\n")
    assert desk.run("rasura", "pdf", "failed.json", "-o", "old.pdf").code == 0
    before = (folder / read).read_bytes()
    ran = desk.run("rasura", "pdf", *words, "-o", read)
    assert ran.code == 2
    assert f"{read} is a file that was read, and would be lost" in ran.err
    assert (folder / read).read_bytes() == before
    # An older page is made anew.
    assert desk.run("rasura", "pdf", "hdd.json", "-o", "old.pdf").code == 0


def test_a_pdf_in_the_folder_of_pages_is_not_written_over_by_its_own(desk: Desk) -> None:
    (desk.folder / "out").mkdir()
    assert desk.run("rasura", "pdf", "hdd.json", "-o", "out").code == 0
    (page,) = (desk.folder / "out").iterdir()
    ran = desk.run("rasura", "pdf", page, "-o", "out")
    assert (ran.code, "would be lost" in ran.err) == (2, True)


def test_two_of_one_id_do_not_take_each_others_page(desk: Desk) -> None:
    (desk.folder / "out").mkdir()
    first = paper.hdd(desk.world, "FIRST")
    (desk.folder / "first.json").write_bytes(first.encode())
    (desk.folder / "second.json").write_bytes(
        paper.hdd(desk.world, "SECOND", id=first.certificate_id).encode()
    )
    ran = desk.run("rasura", "pdf", "first.json", "second.json", "-o", "out")
    assert (ran.code, f"have the id {first.certificate_id}" in ran.err) == (2, True)
    assert not list((desk.folder / "out").iterdir())


def test_no_page_of_a_report_that_lists_another_drive(desk: Desk) -> None:
    one = paper.hdd(desk.world)
    report = paper.machine(desk.world, msgspec.structs.replace(paper.reported(one), serial="VICTIM-DISK"))
    for name, bundle in (("one.json", one), ("report.json", report)):
        (desk.folder / name).write_bytes(desk.world.logged(bundle).encode())
    call = ("rasura", "pdf", "one.json", "report.json", "-o", "set.pdf")
    ran = desk.run(*call, "--trust", "trust.toml")
    assert ran.code == 3
    assert "no page is made of report.json, which does not fit" in ran.err
    assert desk.run(*call).code == 0
    verified = desk.verify("set.pdf")
    assert verified.code == 1
    assert "the report VICTIM-DISK" in verified.out


def test_the_bundle_in_a_pdf_is_taken_out_of_it(desk: Desk) -> None:
    assert desk.run("rasura", "pdf", "hdd.json").code == 0
    for form in ("--sigstore", "--chain"):
        assert desk.run("rasura", "bundle", form, "hdd.pdf").out == (
            desk.run("rasura", "bundle", form, "hdd.json").out
        )
    assert desk.run("rasura", "pdf", "machine", "-o", "machine.pdf").code == 0
    ran = desk.run("rasura", "bundle", "--chain", "machine.pdf")
    assert (ran.code, "machine.pdf holds 5 bundles" in ran.err) == (2, True)
    call = ("hdd.pdf", "--registry", "http://127.0.0.1:1", "--trust", "trust.toml")
    ran = desk.run("rasura", "receipt", *call)
    assert (ran.code, "hdd.pdf is a PDF" in ran.err) == (2, True)


def test_a_folder_named_like_a_bundle_is_passed_by(desk: Desk) -> None:
    (desk.folder / "machine" / "a.json").mkdir()
    assert desk.verify("machine", "--any-outcome").code in {0, 3}
    assert desk.run("rasura", "show", "machine").code == 0


def test_no_page_of_what_somebody_else_signed(desk: Desk) -> None:
    (desk.folder / "hdd.json").write_bytes(paper.hdd(TrustWorld()).encode())
    ran = desk.run("rasura", "pdf", "hdd.json", "--trust", "trust.toml")
    assert ran.code == 3
    assert "which is not genuine" in ran.err


@pytest.fixture
def said(desk: Desk) -> Path:
    """A rejection of the certificate hdd.json."""
    about = Bundle.parse((desk.folder / "hdd.json").read_bytes())
    rejected = person(desk.world).decide(about, Ruling.REJECTED, "no label", desk.world.now)
    (desk.folder / "rejected.json").write_bytes(desk.world.logged(rejected).encode())
    return desk.folder / "rejected.json"


def test_a_rejected_certificate_has_a_page_that_says_so(desk: Desk, said: Path) -> None:
    call = ("rasura", "pdf", "hdd.json", said.name, "-o", "both.pdf")
    refused = desk.run(*call)
    assert refused.code == 2
    assert "rejected.json speaks of others, and only what is genuine may count on a page" in refused.err
    assert "--trust FILE" in refused.err
    assert not (desk.folder / "both.pdf").exists()
    assert desk.run(*call, "--trust", "trust.toml").code == 0
    verified = desk.verify("both.pdf")
    assert verified.code == 3, verified.out
    assert verified.out.count("the page is what the claims give, to the byte") == 2
    assert "REJECTED by operator 7 (head of workshop) of Workshop" in verified.out
    assert "REJECTED: what it said before: ERASED" in desk.run("rasura", "show", "both.pdf").out
    shown = desk.run("rasura", "show", "hdd.json", said.name)
    assert "REJECTED: what it said before: ERASED" in shown.out
    assert shown.out.count("NOT verified") == 2
    alone = desk.run("rasura", "show", "hdd.json")
    assert "REJECTED" not in alone.out
    again = desk.run("rasura", "pdf", "both.pdf", "-o", "again.pdf", "--trust", "trust.toml")
    assert again.code == 0, again.err
    assert (desk.folder / "again.pdf").read_bytes() == (desk.folder / "both.pdf").read_bytes()


def test_an_acceptance_in_a_pdf_is_held_to_the_rules_that_are_for_it(desk: Desk) -> None:
    about = Bundle.parse((desk.folder / "hdd.json").read_bytes())
    accepted = person(desk.world).decide(about, Ruling.ACCEPTED, None, desk.world.now)
    (desk.folder / "accepted.json").write_bytes(desk.world.logged(accepted).encode())
    (desk.folder / "rules.toml").write_text(
        'version = 1\nsites = ["Workshop"]\nclass = "internal"\n[classes.internal]\nmethods = ["Clear"]\n'
    )
    call = ("rasura", "pdf", "hdd.json", "accepted.json", "-o", "both.pdf", "--trust", "trust.toml")
    assert desk.run(*call).code == 0
    verified = desk.verify("both.pdf", "--accept", "rules.toml")
    assert verified.code == 0, verified.out
    assert "SUFFICE" not in verified.out


def test_a_page_of_a_statement(desk: Desk, said: Path) -> None:
    made = desk.run("rasura", "pdf", said.name, "--lang", "fr")
    assert (made.code, made.out) == (0, "rejected.pdf\n"), made.err
    alone = desk.verify("rejected.pdf")
    assert alone.code == 3
    assert "it says nothing of an erasure here" in alone.out
    both = desk.verify("rejected.pdf", "hdd.json")
    assert both.code == 3
    assert "GENUINE: REJECTED by operator 7" in both.out
    assert "the page is what the claims give, to the byte" in both.out


def test_each_into_a_folder_goes_with_its_statements(desk: Desk, said: Path) -> None:
    (desk.folder / "out").mkdir()
    files = ("hdd.json", "failed.json", said.name)
    assert desk.run("rasura", "pdf", *files, "-o", "out", "--trust", "trust.toml").code == 0
    names = {json_id(desk.folder / one): one for one in files}
    pages = {
        names[path.stem]: desk.run("rasura", "show", path).out for path in (desk.folder / "out").iterdir()
    }
    assert {name: text.count("NOT verified") for name, text in pages.items()} == {
        "hdd.json": 2,
        "failed.json": 1,
        "rejected.json": 1,
    }


def test_no_page_of_a_statement_that_is_not_genuine(desk: Desk) -> None:
    """Somebody certified a person of that name at a site of that name, with an authority of their own."""
    about = Bundle.parse((desk.folder / "hdd.json").read_bytes())
    stranger = TrustWorld()
    accepted = stranger.logged(person(stranger).decide(about, Ruling.ACCEPTED, "good", stranger.now))
    (desk.folder / "accepted.json").write_bytes(accepted.encode())
    ran = desk.run("rasura", "pdf", "hdd.json", "accepted.json", "-o", "x.pdf", "--trust", "trust.toml")
    assert ran.code == 3
    assert "no page is made of accepted.json, which is not genuine" in ran.err
    assert not (desk.folder / "x.pdf").exists()
    # Whoever makes the page all the same has made a false one, of the certificate too.
    settings = PageSettings(MEDIA_TYPE, made_by(), Language.ENGLISH, None)
    (desk.folder / "x.pdf").write_bytes(compose([about, accepted], settings))
    verified = desk.run("rasura", "verify", "x.pdf", "--trust", "trust.toml", "--json")
    assert verified.code == 1
    assert not any(one["accepted"] for one in verified.json)
    told = [one["checks"][-1]["sentence"] for one in verified.json]
    assert told == ["it tells of a statement that is attached to it and not genuine"] * 2
    text = desk.verify("x.pdf").out
    assert not any(line.strip().startswith("GENUINE") for line in text.splitlines())


def test_a_person_whose_key_was_revoked_elsewhere_makes_a_page_false(desk: Desk, said: Path) -> None:
    """The page says that it counts; the revocation came another way, or with it."""
    world = desk.world
    lost = revocation(world, signer_key(Bundle.parse(said.read_bytes())), world.now - DAY)
    (desk.folder / "lost.json").write_bytes(world.logged(lost).encode())
    call = ("rasura", "pdf", "hdd.json", said.name, "--trust", "trust.toml", "-o")
    assert desk.run(*call, "both.pdf").code == 0
    apart = desk.verify("both.pdf", "lost.json")
    assert apart.code == 1
    assert "it tells of a statement that is attached to it and not genuine" in apart.out
    assert desk.run(*call, "three.pdf", "lost.json").code == 0
    together = desk.verify("three.pdf")
    assert together.code == 1, "the statement is not genuine"
    assert together.out.count("the page is what the claims give, to the byte") == 3
    assert "GENUINE: ERASED drive" in together.out


HEAVY = ("typst", "segno", "pypdfium2", "rasura.tell_certificate", "rasura.pdf.compose", "rasura.pdf.reading")


def test_verifying_a_bundle_loads_nothing_of_this(desk: Desk) -> None:
    code = (
        "import sys; sys.argv = ['rasura', 'verify', 'hdd.json', '--trust', 'trust.toml']\n"
        "from rasura.__main__ import main\n"
        "try: main()\n"
        f"finally: print([name for name in {HEAVY} if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=desk.folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize("words", [["verify", "hdd.pdf", "--trust", "trust.toml"], ["pdf", "hdd.json"]])
def test_without_the_extra_a_sentence_says_what_to_install(desk: Desk, words: list[str]) -> None:
    assert desk.run("rasura", "pdf", "hdd.json").code == 0
    code = (
        "import sys\n"
        "sys.modules.update(dict.fromkeys(('typst', 'segno', 'pypdfium2')))\n"
        f"sys.argv = ['rasura', *{words!r}]\n"
        "from rasura.__main__ import main; main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=desk.folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2, done.stderr
    assert "pip install 'rasura[pdf]'" in done.stderr
    assert "Traceback" not in done.stderr
