"""The command that hands a bundle on in another form."""

from __future__ import annotations

from pathlib import Path

import click

from rasura.command import EXIT_CODES_HELP, PATH, print_json
from rasura.documents import one_bundle
from rasura.errors import ExitCode, UsageError
from rasura.keys import certificate_pem
from rasura.sigstore import sigstore_bundle

__all__ = ["bundle_command"]


@click.command("bundle", epilog=EXIT_CODES_HELP)
@click.argument("bundle", metavar="BUNDLE", type=PATH)
@click.option("--sigstore", is_flag=True, help="Print it as a Sigstore bundle v0.3 (JSON).")
@click.option("--chain", is_flag=True, help="Print its signing certificates as PEM: station, site.")
def bundle_command(bundle: Path, sigstore: bool, chain: bool) -> int:
    """Print a bundle, or the one in a PDF, in a form that other tools read, without verifying it."""
    if sigstore == chain:
        raise UsageError("say which form: --sigstore or --chain")
    read = one_bundle(bundle)
    if sigstore:
        print_json(sigstore_bundle(read))
    else:
        click.echo(certificate_pem(*read.chain).decode(), nl=False)
    return ExitCode.DONE
