"""``rasura timestamp``: adds to bundles the timestamps that their registry has got meanwhile."""

from __future__ import annotations

from pathlib import Path

import click

from rasura.bundle import Bundle
from rasura.client import RegistryAnswerError, RegistryClient
from rasura.command import BUNDLES, EXIT_CODES_HELP, PATH, read_file
from rasura.documents import rewritable_bundle
from rasura.errors import ExitCode, UsageError
from rasura.options import REGISTRY_CA_OPTION, REGISTRY_OPTION
from rasura.stored import bundle_files, rewrite, stored
from rasura.text import printable
from rasura.trust import Trust
from rasura.verifier import State, Verdict, verify

__all__ = ["stamped", "timestamp_command"]


@click.command("timestamp", epilog=EXIT_CODES_HELP)
@BUNDLES
@REGISTRY_OPTION
@REGISTRY_CA_OPTION
@click.option(
    "--trust",
    "trust_file",
    required=True,
    metavar="FILE",
    type=PATH,
    help="Whom to trust; it must name a timestamp authority.",
)
def timestamp_command(bundles: tuple[Path, ...], url: str, ca_pin: str | None, trust_file: Path) -> int:
    """Ask the registry for the timestamps of certificates, and write them into their files.

    A registry has its log timestamped by a third party about once an hour, so a certificate that
    was just logged has none yet. A folder stands for the .json files in it. What the registry
    answers is verified; a file that has a timestamp is left alone.

    Ends with 0 if all have one now, with 3 if the registry has none yet for some.

    \b
        rasura timestamp certificates/sent --registry https://log.example.org --trust trust.toml
    """
    trust = Trust.parse(read_file(trust_file).decode("utf-8", "replace"))
    if not trust.timestamp_authorities:
        raise UsageError(
            f"{trust_file} names no timestamp authority, so nothing could be verified",
            hint="get the registry's trust.toml again, from a source you believe",
        )
    client = RegistryClient(url, trust.logs, ca_pin=ca_pin)
    code = ExitCode.DONE
    try:
        for path in bundle_files(bundles):
            bundle = rewritable_bundle(path)
            found = bundle if bundle.timestamps else stamped(bundle, client, trust)
            if found is None:
                code = ExitCode.REFUSED
                said = "no timestamp yet"
            elif found is bundle:
                said = "has a timestamp"
            else:
                rewrite(path, found)
                said = "timestamp added"
            click.echo(f"{said:<16} {printable(str(path))}")
    finally:
        client.close()
    return code


def stamped(bundle: Bundle, client: RegistryClient, trust: Trust) -> Bundle | None:
    """``bundle`` with the timestamps that its registry gives, verified; ``None`` while there are none.

    A receipt that it has stays as it is.

    Raises:
        RegistryAwayError: there is no answer, or the registry is not well.
        RefusedError: its log does not hold the certificate.
        RegistryAnswerError: what it answers proves nothing.
    """
    given = stored(bundle, client)
    if not given.timestamps:
        return None
    found = bundle.with_receipt(bundle.receipt or given.receipt).with_timestamps(given.timestamps)
    report = verify(found.encode(), trust)
    failed = [one.sentence for one in report.checks if one.state is State.FAILED]
    if report.verdict is not Verdict.GENUINE or report.timestamped_at is None:
        raise RegistryAnswerError(
            f"the timestamp that {client.url} gives proves nothing: {'; '.join(failed)}"
        )
    return found
