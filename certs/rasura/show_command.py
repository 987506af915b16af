"""``rasura show``: what bundles claim."""

from __future__ import annotations

from pathlib import Path

import click
import msgspec

from rasura.command import BUNDLES, EXIT_CODES_HELP, JSON, print_json
from rasura.documents import documents_in
from rasura.errors import ExitCode
from rasura.language import Language, Tongue
from rasura.options import LANGUAGE_OPTION
from rasura.show import tell_all, telling_text
from rasura.text import printable

__all__ = ["show_command"]


@click.command("show", epilog=EXIT_CODES_HELP)
@BUNDLES
@LANGUAGE_OPTION
@JSON
def show_command(bundles: tuple[Path, ...], language: str, as_json: bool) -> int:
    """Show what certificates claim, in words, without verifying them.

    What statements among the files say of a certificate is shown with it.
    """
    shown = [(one.name, one.bundle()) for one in documents_in(bundles, pages=False)]
    if as_json:
        print_json([msgspec.json.decode(bundle.envelope.payload) for _, bundle in shown])
        return ExitCode.DONE
    tongue = Tongue(Language(language))
    tellings = tell_all([bundle for _, bundle in shown], tongue)
    for (name, _bundle), telling in zip(shown, tellings, strict=True):
        click.echo(
            tongue.say("{name}: claims as written, NOT verified (rasura verify does that)").format(
                name=printable(name)
            )
        )
        click.echo(f"\n{telling_text(telling, tongue)}\n")
    return ExitCode.DONE
