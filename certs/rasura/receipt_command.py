"""``rasura receipt``: takes receipts that witnesses have cosigned since a certificate was logged."""

from __future__ import annotations

from datetime import timedelta
from enum import StrEnum
from pathlib import Path

import click
from msgspec.structs import replace

from rasura.bundle import Bundle
from rasura.checkpoint import origin_of
from rasura.client import RegistryAnswerError, RegistryClient
from rasura.command import BUNDLES, EXIT_CODES_HELP, PATH, read_file
from rasura.documents import rewritable_bundle
from rasura.errors import ExitCode, RefusedError
from rasura.note import Note
from rasura.options import REGISTRY_CA_OPTION, REGISTRY_OPTION
from rasura.receipt import Receipt
from rasura.stored import bundle_files, rewrite, stored
from rasura.text import printable
from rasura.trust import Trust
from rasura.verifier import Report, State, Verdict, verify

__all__ = ["Renewal", "receipt_command", "renewed"]

_MOST_LATER = timedelta(hours=1)
"""A receipt says by when the log held the certificate. Keys that are revoked in between, or signing
certificates that end, would make a genuine one false: what witnesses saw much later is no better receipt."""


class Renewal(StrEnum):
    """What became of a bundle."""

    RENEWED = "cosigned now"
    THERE = "is cosigned"
    NOT_YET = "no cosignature"
    TOO_LATE = "cosigned too late: kept as it is"


@click.command("receipt", epilog=EXIT_CODES_HELP)
@BUNDLES
@REGISTRY_OPTION
@REGISTRY_CA_OPTION
@click.option(
    "--trust",
    "trust_file",
    required=True,
    metavar="FILE",
    type=PATH,
    help="Whom to trust.",
)
def receipt_command(bundles: tuple[Path, ...], url: str, ca_pin: str | None, trust_file: Path) -> int:
    """Ask the registry for receipts that witnesses cosigned, and write them into the files.

    Witnesses cosign seconds after a certificate is logged, so the receipt that a station got at
    once has none of their word. A folder stands for the .json files in it. What the registry
    answers is verified; a receipt that is cosigned is left alone, and so is one where witnesses
    cosigned only more than an hour later: the earlier time is worth more.

    Ends with 0 if all are cosigned now, with 3 if some are not.

    \b
        rasura receipt certificates/sent --registry https://log.example.org --trust trust.toml
    """
    trust = Trust.parse(read_file(trust_file).decode("utf-8", "replace"))
    client = RegistryClient(url, trust.logs, ca_pin=ca_pin)
    code = ExitCode.DONE
    try:
        for path in bundle_files(bundles):
            bundle = rewritable_bundle(path)
            found, renewal = renewed(bundle, client, trust)
            if renewal is Renewal.RENEWED:
                rewrite(path, found)
            elif renewal is not Renewal.THERE:
                code = ExitCode.REFUSED
            click.echo(f"{renewal.value:<16} {printable(str(path))}")
    finally:
        client.close()
    return code


def renewed(bundle: Bundle, client: RegistryClient, trust: Trust) -> tuple[Bundle, Renewal]:
    """``bundle`` with a receipt that somebody besides the log signed, verified; or as it is, and why.

    Raises:
        RegistryAwayError: there is no answer, or the registry is not well.
        RefusedError: the certificate is not genuine, or the registry's log does not hold it.
        RegistryAnswerError: what it answers proves nothing.
    """
    if _cosigned(bundle.receipt):
        return bundle, Renewal.THERE
    old = verify(bundle.encode(), trust)
    if old.verdict is Verdict.NOT_GENUINE:
        why = next(one.sentence for one in old.checks if one.state is State.FAILED)
        raise RefusedError(f"{bundle.certificate_id} is not genuine: {why}")
    receipt = stored(bundle, client).receipt
    if not _cosigned(receipt):
        return bundle, Renewal.NOT_YET
    new = _proven(bundle.with_receipt(receipt), client, trust)
    if _too_late(old, new):
        return bundle, Renewal.TOO_LATE
    return replace(bundle, receipt=receipt), Renewal.RENEWED


def _proven(bundle: Bundle, client: RegistryClient, trust: Trust) -> Report:
    report = verify(bundle.encode(), trust)
    # Not the whole verdict: what was revoked since the first receipt is for the earlier one to answer.
    failed = [
        one.sentence
        for one in report.checks
        if one.state is State.FAILED and one.name in {"checkpoint", "inclusion"}
    ]
    if failed or report.logged_at is None:
        raise RegistryAnswerError(f"the receipt that {client.url} gives proves nothing: {'; '.join(failed)}")
    return report


def _too_late(old: Report, new: Report) -> bool:
    if new.verdict is not Verdict.GENUINE:
        return True
    if old.logged_at is None or new.logged_at is None:
        return False
    latest = old.timestamped_at or old.logged_at + _MOST_LATER
    return new.logged_at > min(latest, old.logged_at + _MOST_LATER)


def _cosigned(receipt: Receipt | None) -> bool:
    """Whether it bears anybody's signature besides the log's own."""
    if receipt is None:
        return False
    origin = origin_of(receipt.checkpoint_note)
    return any(one.name != origin for one in Note.parse(receipt.checkpoint_note).signatures)
