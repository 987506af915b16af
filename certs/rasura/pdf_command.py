"""``rasura pdf``: pages for people, made of signed claims."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from rasura import durable
from rasura.beside import belonging
from rasura.bundle import Bundle
from rasura.certificate import ErasureCertificate
from rasura.command import EXIT_CODES_HELP, PATH, read_file
from rasura.documents import documents_in
from rasura.errors import ExitCode, RasuraError, RefusedError, UsageError
from rasura.language import Language
from rasura.machine_report import MachineReport
from rasura.machine_set import Held, check_set
from rasura.options import LANGUAGE_OPTION
from rasura.pdf.terms import needs_extra
from rasura.side_statement import SideStatement
from rasura.trust import Trust
from rasura.verifier import State, Verdict, verify

__all__ = ["pdf_command"]


@click.command("pdf", epilog=EXIT_CODES_HELP)
@click.argument("bundles", nargs=-1, required=True, metavar="BUNDLE...", type=PATH)
@click.option(
    "-o",
    "--output",
    metavar="FILE",
    type=PATH,
    help="The PDF; for a folder, a PDF each. Left out: beside the one bundle.",
)
@LANGUAGE_OPTION
@click.option(
    "--letterhead",
    "letterhead_file",
    metavar="FILE",
    envvar="RASURA_LETTERHEAD",
    show_envvar=True,
    type=PATH,
    help="The workshop's name, address, logo and registry, in TOML.",
)
@click.option(
    "--trust",
    "trust_file",
    metavar="FILE",
    type=PATH,
    help="Verify first, and make no page of what is not genuine.",
)
def pdf_command(
    bundles: tuple[Path, ...],
    output: Path | None,
    language: str,
    letterhead_file: Path | None,
    trust_file: Path | None,
) -> int:
    """Make a PDF of certificates, machine reports and statements: a page each, and one in front of several.

    BUNDLE is a bundle, a PDF or an NDJSON export that holds some, or a folder of bundles. The signed
    files are attached to the PDF, so that 'rasura verify FILE.pdf' can check them and the page. The
    same input gives the same bytes.

    What statements among the files say is told on the page of the certificate: accepted, rejected,
    corrected, superseded, its key revoked. That takes --trust, for only what is genuine may count.

    \b
        rasura pdf certificate.json rejected.json -o rejected.pdf --trust trust.toml
        rasura pdf rejected.json
    """
    try:
        from rasura.pdf.compose import compose  # noqa: PLC0415  heavy, and not for those who verify
        from rasura.pdf.settings import (  # noqa: PLC0415
            MEDIA_TYPE,
            Letterhead,
            PageSettings,
            letterhead_files,
            made_by,
        )
    except ImportError:
        raise needs_extra("making a PDF") from None
    letterhead = Letterhead.load(letterhead_file) if letterhead_file is not None else None
    settings = PageSettings(MEDIA_TYPE, made_by(), Language(language), letterhead)
    found = _bundles(bundles)
    if trust_file is None:
        _refuse_untrusted(found)
    else:
        _refuse_false(found, Trust.parse(read_file(trust_file).decode("utf-8", "replace")))
    if output is not None and output.is_dir():
        all_here = [one for _, one in found]
        _refuse_one_id(all_here)
        written = [(output / f"{one.certificate_id}.pdf", belonging(one, all_here)) for one in all_here]
    else:
        written = [(output or _beside(found), tuple(one for _, one in found))]
    inputs = [path for path, _ in found]
    inputs += [trust_file] if trust_file is not None else []
    inputs += letterhead_files(letterhead_file) if letterhead_file is not None else []
    for path, _ in written:
        _refuse_input(path, inputs)
    for path, pages in written:
        made = compose(pages, settings)
        try:
            durable.write_file(path, made)
        except OSError as error:
            raise UsageError(f"cannot write {path}: {error.strerror}") from None
        click.echo(path)
    return ExitCode.DONE


def _bundles(paths: tuple[Path, ...]) -> list[tuple[Path, Bundle]]:
    found = []
    for document in documents_in(paths, pages=False):
        bundle = document.bundle()
        try:
            bundle.entry()  # all that a page names is there
        except RasuraError as error:
            raise UsageError(f"{document.name} is no bundle: {error}") from None
        found.append((document.path, bundle))
    return found


def _refuse_untrusted(found: list[tuple[Path, Bundle]]) -> None:
    statements = [path for path, one in found if isinstance(one.document, SideStatement)]
    if statements and len(statements) < len(found):
        raise UsageError(
            f"{statements[0]} speaks of others, and only what is genuine may count on a page",
            hint="say whom to trust: --trust FILE",
        )


def _beside(found: list[tuple[Path, Bundle]]) -> Path:
    paths = {path for path, _ in found}
    path = found[0][0].with_suffix(".pdf")
    if len(paths) > 1:
        raise UsageError(
            "say where the PDF of several files goes", hint="-o FILE.pdf, or -o FOLDER for one each"
        )
    if path in paths:
        raise UsageError(f"{path} is the file that was read", hint="-o FILE.pdf")
    return path


def _refuse_one_id(bundles: Sequence[Bundle]) -> None:
    """The pages of two with one id would have one name, and the later take the place of the other."""
    payloads: dict[str, str] = {}
    for one in bundles:
        if payloads.setdefault(one.certificate_id, one.payload_sha256) != one.payload_sha256:
            raise UsageError(
                f"two that say different things have the id {one.certificate_id}",
                hint="make a PDF of each: -o FILE.pdf",
            )


def _refuse_input(path: Path, inputs: Sequence[Path]) -> None:
    """Never write over what was read, under whichever name; raises :class:`UsageError`."""
    for one in inputs:
        try:
            same = path.samefile(one)
        except OSError:
            continue  # one of them is not there, so it is not the other
        if same:
            raise UsageError(f"{path} is a file that was read, and would be lost", hint="-o ANOTHER.pdf")


def _refuse_false(found: list[tuple[Path, Bundle]], trust: Trust) -> None:
    for path, bundle in found:
        report = verify(bundle.encode(), trust)
        if report.verdict is Verdict.NOT_GENUINE:
            why = next(check.sentence for check in report.checks if check.state is State.FAILED)
            raise RefusedError(f"no page is made of {path}, which is not genuine: {why}")
    held = tuple(
        Held(claims, one.payload_sha256, genuine=True)
        for _, one in found
        if isinstance(claims := one.document, ErasureCertificate)
    )
    for path, bundle in found:
        if isinstance(bundle.document, MachineReport):
            wrong = check_set(bundle.document, bundle.payload_sha256, held).wrong
            if wrong:
                raise RefusedError(f"no page is made of {path}, which does not fit: {wrong[0]}")
