"""The auditor's command verify, and where the others are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import msgspec

from rasura import __version__
from rasura.certificate import ErasureCertificate, Outcome
from rasura.command import BUNDLES, EXIT_CODES_HELP, JSON, PATH, print_json, read_file
from rasura.documents import Document, documents_in
from rasura.errors import ExitCode, UsageError
from rasura.lazy import LazyGroup
from rasura.machine_report import MachineReport
from rasura.machine_set import Held, SetCheck, check_set
from rasura.page_verdict import verify_documents, with_page, without_false_words
from rasura.revocations import standing, with_revocations
from rasura.said import Gathered, gather, judge_statement, with_statements
from rasura.text import printable
from rasura.trust import Trust
from rasura.verifier import Check, Report, State, Verdict

if TYPE_CHECKING:
    from rasura.acceptance import Acceptance
    from rasura.pdf.terms import PageMatch
    from rasura.series import Warned

__all__ = ["cli"]

_NAMED = 5
"""Files that a warning names."""
_FEW = 100
_MARKS = {State.PASSED: "ok  ", State.FAILED: "FAIL", State.NOT_DONE: "-   "}


@click.group(cls=LazyGroup, epilog=EXIT_CODES_HELP, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="rasura")
def cli() -> None:
    """Check erasure certificates, alone and offline.

    A certificate reaches you as a bundle: one JSON file that holds the signed claims about one
    drive, the chain of signing certificates and the log's receipt. All you need besides is a
    trust file that names the registry whose word you accept. A machine report is such a file too;
    it lists every drive of a machine, and is verified together with their certificates. So is a
    statement about a certificate: accepted, rejected, corrected, superseded; or a key revoked.

    \b
        rasura verify certificate.json --trust trust.toml
        rasura verify report.json certificates/*.json --trust trust.toml
        rasura show certificate.json
        rasura pdf certificate.json --lang fr
        rasura verify certificate.pdf --trust trust.toml
    """


@cli.command("verify", epilog=EXIT_CODES_HELP)
@BUNDLES
@click.option(
    "--trust",
    "trust_file",
    required=True,
    metavar="FILE",
    type=PATH,
    help="Whom to trust: the trust.toml of a registry, obtained from a source you believe.",
)
@click.option("--allow-unlogged", is_flag=True, help="Accept certificates that no log holds yet.")
@click.option(
    "--any-outcome",
    is_flag=True,
    help="Accept certificates of drives that were not erased, and statements without what they speak of.",
)
@click.option(
    "--report-alone", is_flag=True, help="Accept a machine report without the certificates that it names."
)
@click.option(
    "--accept",
    "accept_file",
    metavar="FILE",
    type=PATH,
    help="Your rules (TOML) for what suffices: witnesses, sites, methods for classes of data.",
)
@click.option(
    "--class",
    "data_class",
    metavar="NAME",
    help="The class of what the drives held, among those of --accept; the certificate's own word otherwise.",
)
@click.option(
    "--offline", is_flag=True, help="Use no network: verification never does, and scripts may say so."
)
@click.option(
    "--jobs",
    metavar="N",
    type=click.IntRange(1, 512),
    help="Use so many processes for more than some hundreds; as many as there are cores if left out.",
)
@click.option(
    "--brief", is_flag=True, help="Show only those that are not accepted, how many are, and warnings."
)
@JSON
def verify_command(
    bundles: tuple[Path, ...],
    trust_file: Path,
    allow_unlogged: bool,
    any_outcome: bool,
    report_alone: bool,
    accept_file: Path | None,
    data_class: str | None,
    offline: bool,  # noqa: ARG001  there is no other way
    jobs: int | None,
    brief: bool,
    as_json: bool,
) -> int:
    """Verify certificates, machine reports and statements: numbered checks, each said in words.

    A folder stands for the .json and .pdf files in it, a file that ends in .ndjson for the bundles
    on its lines, a PDF for those attached to it; its page must say what they say.

    Ends with 0 only if every certificate is genuine, in a trusted log, and says ERASED. A
    genuine certificate that says less ends with 3 (not logged, not erased) or 4 (outcome
    unknown); one that is not genuine with 1. For a machine report all its drives must have been
    erased, and their certificates be among the files: a missing one ends with 3, one that does
    not fit with 1.

    What statements among the files say is told beside the certificates: one that was rejected or
    superseded ends with 3. Revocations among them count as if the trust file named them. Several
    certificates are compared with each other: gaps in a station's numbers, and what cannot be
    true of one drive, give warnings, which change no exit code.

    Whether a genuine certificate suffices is for you to say, by --accept; where it does not, that
    ends with 3, and each rule that is not met is said.
    """
    trust_text = read_file(trust_file).decode("utf-8", "replace")
    trust = Trust.parse(trust_text)
    rules = _rules(accept_file, data_class, trust)
    unlogged = allow_unlogged or (rules is not None and not rules.logged)
    asked = _Asked(unlogged, any_outcome, report_alone)
    worst = ExitCode.DONE
    results = []
    # A document's bytes are let go once it is verified: an export may be larger than memory.
    verified = _verified(documents_in(bundles, pages=True), trust_text, trust, jobs)
    reports = [(one.name, one.page, report) for one, report in verified]
    revoked = standing(one for _, _, one in reports)
    before = reports
    if revoked:
        reports = [(name, page, with_revocations(one, revoked)) for name, page, one in reports]
    reports = without_false_words(before, reports)
    gathered = gather([one for _, _, one in reports], allow_unlogged=allow_unlogged)
    warned = _warnings(reports)
    warned_of: dict[str, list[Warned]] = {}
    for odd in warned:
        for name in odd.names:
            warned_of.setdefault(name, []).append(odd)
    held = tuple(
        Held(one.certificate, one.payload_sha256, one.verdict is not Verdict.NOT_GENUINE)
        for _, _, one in reports
        if one.certificate is not None and one.payload_sha256 is not None
    )
    refused = 0
    for name, page, report in reports:
        checks, code, sentence = with_page(page, *_judged(report, held, gathered, asked))
        unmet = rules.unmet(report, data_class) if rules is not None and code is not ExitCode.FAILED else ()
        if unmet:
            sentence = f"{sentence}; it does NOT SUFFICE: {'; '.join(unmet)}"
            code = max(code, ExitCode.REFUSED, key=_severity)
        worst = max(worst, code, key=_severity)
        refused += code is not ExitCode.DONE
        of_it = warned_of.get(name, [])
        if brief and code is ExitCode.DONE and not (as_json and of_it):
            continue
        if as_json:
            facts = _report_json(name, report, checks, code, sentence, of_it)
            results.append({**facts, "unmet": list(unmet)})
        else:
            _print_report(name, checks, sentence)
    if not as_json:
        for odd in warned:
            click.echo(f"WARNING  {printable(f'{odd.sentence} ({_files(odd.names)})')}")
    if brief and not as_json:
        click.echo(f"{len(reports) - refused} accepted, {refused} not")
    if as_json:
        print_json(results)
    return worst


cli.add_lazily("bundle", "rasura.bundle_commands:bundle_command")
cli.add_lazily("monitor", "rasura.monitor_command:monitor_command")
cli.add_lazily("pdf", "rasura.pdf_command:pdf_command")
cli.add_lazily("receipt", "rasura.receipt_command:receipt_command")
cli.add_lazily("show", "rasura.show_command:show_command")
cli.add_lazily("statement", "rasura.statement_commands:statement_group")
cli.add_lazily("timestamp", "rasura.stamp_command:timestamp_command")
cli.add_lazily("witness", "rasura.witness_command:witness_command")


def _verified(
    documents: Iterator[Document], trust_text: str, trust: Trust, jobs: int | None
) -> Iterator[tuple[Document, Report]]:
    first = list(islice(documents, _FEW))
    if len(first) < _FEW:
        yield from zip(first, verify_documents(first, trust), strict=True)
        return
    from rasura.many import cores, verify_many  # noqa: PLC0415  few have so many

    yield from verify_many(chain(first, documents), trust_text, jobs or cores())


def _rules(path: Path | None, data_class: str | None, trust: Trust) -> Acceptance | None:
    if path is None:
        if data_class is not None:
            raise UsageError("--class says which of the rules in --accept apply: give both")
        return None
    from rasura.acceptance import read_acceptance  # noqa: PLC0415  not for those who have no rules

    rules = read_acceptance(read_file(path))
    rules.require_fit(trust, data_class)
    return rules


def _severity(code: ExitCode) -> int:
    return (ExitCode.DONE, ExitCode.REFUSED, ExitCode.UNKNOWN, ExitCode.FAILED).index(code)


class _Asked(msgspec.Struct, frozen=True):
    """What the caller accepts."""

    allow_unlogged: bool
    any_outcome: bool
    report_alone: bool


def _warnings(reports: list[tuple[str, PageMatch | None, Report]]) -> tuple[Warned, ...]:
    """What certificates that are genuine say against each other."""
    if len(reports) < 2:
        return ()
    from rasura.series import member_of, series_warnings  # noqa: PLC0415  one has nothing to be compared with

    members = [
        member
        for name, _, one in reports
        if one.claims is not None and one.payload_sha256 is not None
        if one.verdict is not Verdict.NOT_GENUINE
        if (member := member_of(name, one.payload_sha256, one.claims)) is not None
    ]
    return series_warnings(members) if len(members) > 1 else ()


def _files(names: tuple[str, ...]) -> str:
    return ", ".join(names[:_NAMED]) + (f" and {len(names) - _NAMED} more" if len(names) > _NAMED else "")


def _judged(
    report: Report, held: tuple[Held, ...], gathered: Gathered, asked: _Asked
) -> tuple[tuple[Check, ...], ExitCode, str]:
    """All checks, the set's too, and whether what is genuine suffices, after all that was said of it."""
    if report.statement is not None:
        return report.checks, *judge_statement(report, gathered, any_outcome=asked.any_outcome)
    checks, code, sentence = _judged_alone(report, held, asked)
    return checks, *with_statements(report, gathered, code, sentence)


def _judged_alone(
    report: Report, held: tuple[Held, ...], asked: _Asked
) -> tuple[tuple[Check, ...], ExitCode, str]:
    machine, payload = report.machine_report, report.payload_sha256
    if machine is None or payload is None or report.verdict is Verdict.NOT_GENUINE:
        code, sentence = _judge(report, asked)
        return report.checks, code, sentence
    found = check_set(machine, payload, held)
    checks = (*report.checks, _set_check(len(report.checks) + 1, found))
    if found.wrong:
        return checks, ExitCode.FAILED, "NOT GENUINE: report and certificates do not belong together"
    if found.missing and not asked.report_alone:
        lost = len(found.missing)
        what = "one certificate is" if lost == 1 else f"{lost} certificates are"
        return checks, ExitCode.REFUSED, f"NOT ACCEPTED: {what} missing"
    code, sentence = _judge(report, asked)
    return checks, code, sentence


def _set_check(number: int, found: SetCheck) -> Check:
    problems = "; ".join((*found.wrong, *found.missing))
    good = (
        "the one certificate that the report names is there and fits"
        if found.found == 1
        else f"all {found.found} certificates that the report names are there and fit"
    )
    return Check(number, "set", State.FAILED if problems else State.PASSED, problems or good)


def _judge(report: Report, asked: _Asked) -> tuple[ExitCode, str]:
    """Whether what is genuine suffices: the policy, apart from the cryptography."""
    claims = report.claims
    if report.verdict is Verdict.NOT_GENUINE or claims is None:
        return ExitCode.FAILED, "NOT GENUINE: do not rely on it"
    machine = isinstance(claims, MachineReport)
    outcome = claims.outcome if isinstance(claims, MachineReport) else claims.result.outcome
    says = _says_of_machine(claims) if isinstance(claims, MachineReport) else _says(claims)
    if outcome is not Outcome.ERASED and not asked.any_outcome:
        code = ExitCode.UNKNOWN if outcome is Outcome.UNKNOWN else ExitCode.REFUSED
        what = "and NOT EVERY DRIVE WAS ERASED" if machine else "and the drive was NOT ERASED"
        return code, f"GENUINE, {what}: {says}"
    if report.verdict is Verdict.NOT_LOGGED and not asked.allow_unlogged:
        return ExitCode.REFUSED, f"NOT ACCEPTED: {report.verdict.value} ({says})"
    logged = "" if report.logged_at is None else f", logged by {report.logged_at:%Y-%m-%d %H:%M} UTC"
    return ExitCode.DONE, f"GENUINE: {says}{logged}"


def _says_of_machine(report: MachineReport) -> str:
    source = report.source
    name = " ".join(part for part in (source.host_manufacturer, source.host_model) if part) or "of no name"
    counts = Counter(drive.outcome for drive in report.drives if not drive.is_station_medium)
    drives = ", ".join(f"{number} {outcome}" for outcome, number in counts.items()) or "no drive"
    return f"machine {name}, serial {source.host_serial or 'none'}: {drives}"


def _says(certificate: ErasureCertificate) -> str:
    drive, result = certificate.drive, certificate.result
    name = f"drive {drive.model or 'without model'}, serial {drive.serial or 'none'}"
    how = (
        f"{result.method} by {result.technique}"
        if result.outcome is Outcome.ERASED
        else (result.reason or "")
    )
    return f"{result.outcome} {name}: {how}".rstrip(": ")


def _print_report(name: str, checks: tuple[Check, ...], sentence: str) -> None:
    click.echo(printable(name))
    for check in checks:
        click.echo(f"  {check.number:>2} {check.name:<10} {_MARKS[check.state]} {printable(check.sentence)}")
    click.echo(f"  {printable(sentence)}")


def _report_json(
    name: str,
    report: Report,
    checks: tuple[Check, ...],
    code: ExitCode,
    sentence: str,
    warned: list[Warned],
) -> dict[str, Any]:
    certificate, machine = report.certificate, report.machine_report
    return {
        "file": name,
        "accepted": code is ExitCode.DONE,
        "verdict": report.verdict.name.lower().replace("_", "-"),
        "sentence": sentence,
        "loggedAt": report.logged_at.isoformat() if report.logged_at is not None else None,
        "timestampedAt": report.timestamped_at.isoformat() if report.timestamped_at is not None else None,
        "certificateId": certificate.id if certificate is not None else None,
        "machineReportId": machine.id if machine is not None else None,
        "statementId": report.statement.id if report.statement is not None else None,
        "outcome": machine.outcome if machine else certificate.result.outcome if certificate else None,
        "method": certificate.result.method if certificate is not None else None,
        "checks": [
            {
                "number": one.number,
                "name": one.name,
                "state": one.state.name.lower(),
                "sentence": one.sentence,
            }
            for one in checks
        ],
        "warnings": [{"kind": one.kind, "sentence": one.sentence, "files": one.names} for one in warned],
    }
