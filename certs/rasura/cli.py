"""The auditor's commands: verify and show. They work offline."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
import msgspec

from rasura import __version__
from rasura.bundle import Bundle
from rasura.certificate import ErasureCertificate, Outcome
from rasura.command import EXIT_CODES_HELP, print_json
from rasura.errors import ExitCode, UsageError
from rasura.show import claims_text
from rasura.text import printable
from rasura.trust import Trust
from rasura.verifier import Report, State, Verdict, verify

__all__ = ["cli"]

_BUNDLES = click.argument(
    "bundles", nargs=-1, required=True, metavar="BUNDLE...", type=click.Path(path_type=Path)
)
_JSON = click.option("--json", "as_json", is_flag=True, help="Print facts for machines.")
_MARKS = {State.PASSED: "ok  ", State.FAILED: "FAIL", State.NOT_DONE: "-   "}


@click.group(epilog=EXIT_CODES_HELP, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="rasura")
def cli() -> None:
    """Check erasure certificates, alone and offline.

    A certificate reaches you as a bundle: one JSON file that holds the signed claims about one
    drive, the chain of signing certificates and the log's receipt. All you need besides is a
    trust file that names the registry whose word you accept.

    \b
        rasura verify certificate.json --trust trust.toml
        rasura show certificate.json
    """


@cli.command("verify", epilog=EXIT_CODES_HELP)
@_BUNDLES
@click.option(
    "--trust",
    "trust_file",
    required=True,
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="Whom to trust: the trust.toml of a registry, obtained from a source you believe.",
)
@click.option("--allow-unlogged", is_flag=True, help="Accept certificates that no log holds yet.")
@click.option("--any-outcome", is_flag=True, help="Accept certificates of drives that were not erased.")
@_JSON
def verify_command(
    bundles: tuple[Path, ...], trust_file: Path, allow_unlogged: bool, any_outcome: bool, as_json: bool
) -> int:
    """Verify certificates: numbered checks, each said in words.

    Ends with 0 only if every certificate is genuine, in a trusted log, and says ERASED. A
    genuine certificate that says less ends with 3 (not logged, not erased) or 4 (outcome
    unknown); one that is not genuine with 1.
    """
    trust = Trust.parse(_read(trust_file).decode("utf-8", "replace"))
    worst = ExitCode.DONE
    results = []
    for path in bundles:
        report = verify(_read(path), trust)
        code, sentence = _judge(report, allow_unlogged=allow_unlogged, any_outcome=any_outcome)
        worst = max(worst, code, key=_severity)
        if as_json:
            results.append(_report_json(path, report, code, sentence))
        else:
            _print_report(path, report, sentence)
    if as_json:
        print_json(results)
    return worst


@cli.command("show", epilog=EXIT_CODES_HELP)
@_BUNDLES
@_JSON
def show_command(bundles: tuple[Path, ...], as_json: bool) -> int:
    """Show what certificates claim, in words, without verifying them."""
    shown = [(path, Bundle.parse(_read(path))) for path in bundles]
    if as_json:
        print_json([msgspec.json.decode(bundle.envelope.payload) for _, bundle in shown])
        return ExitCode.DONE
    for path, bundle in shown:
        click.echo(f"{path}: claims as written, NOT verified (rasura verify does that)\n")
        click.echo(claims_text(bundle.certificate))
        logged = (
            "a receipt of a log is attached" if bundle.receipt is not None else "no receipt: not logged yet"
        )
        click.echo(f"  {logged}\n")
    return ExitCode.DONE


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}") from None


def _severity(code: ExitCode) -> int:
    return (ExitCode.DONE, ExitCode.REFUSED, ExitCode.UNKNOWN, ExitCode.FAILED).index(code)


def _judge(report: Report, *, allow_unlogged: bool, any_outcome: bool) -> tuple[ExitCode, str]:
    """Whether what is genuine suffices: the policy, apart from the cryptography."""
    certificate = report.certificate
    if report.verdict is Verdict.NOT_GENUINE or certificate is None:
        return ExitCode.FAILED, "NOT GENUINE: do not rely on it"
    outcome = certificate.result.outcome
    says = _says(certificate)
    if outcome is not Outcome.ERASED and not any_outcome:
        code = ExitCode.UNKNOWN if outcome is Outcome.UNKNOWN else ExitCode.REFUSED
        return code, f"GENUINE, and the drive was NOT ERASED: {says}"
    if report.verdict is Verdict.NOT_LOGGED and not allow_unlogged:
        return ExitCode.REFUSED, f"NOT ACCEPTED: {report.verdict.value} ({says})"
    logged = "" if report.logged_at is None else f", logged by {report.logged_at:%Y-%m-%d %H:%M} UTC"
    return ExitCode.DONE, f"GENUINE: {says}{logged}"


def _says(certificate: ErasureCertificate) -> str:
    drive, result = certificate.drive, certificate.result
    name = f"drive {drive.model or 'without model'}, serial {drive.serial or 'none'}"
    how = (
        f"{result.method} by {result.technique}"
        if result.outcome is Outcome.ERASED
        else (result.reason or "")
    )
    return f"{result.outcome} {name}: {how}".rstrip(": ")


def _print_report(path: Path, report: Report, sentence: str) -> None:
    click.echo(f"{path}")
    for check in report.checks:
        click.echo(f"  {check.number} {check.name:<10} {_MARKS[check.state]} {printable(check.sentence)}")
    click.echo(f"  {printable(sentence)}")


def _report_json(path: Path, report: Report, code: ExitCode, sentence: str) -> dict[str, Any]:
    certificate = report.certificate
    return {
        "file": str(path),
        "accepted": code is ExitCode.DONE,
        "verdict": report.verdict.name.lower().replace("_", "-"),
        "sentence": sentence,
        "loggedAt": report.logged_at.isoformat() if report.logged_at is not None else None,
        "certificateId": certificate.id if certificate is not None else None,
        "outcome": certificate.result.outcome if certificate is not None else None,
        "method": certificate.result.method if certificate is not None else None,
        "checks": [
            {
                "number": one.number,
                "name": one.name,
                "state": one.state.name.lower(),
                "sentence": one.sentence,
            }
            for one in report.checks
        ],
    }
