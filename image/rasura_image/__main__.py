"""The commands behind scripts/build-image, scripts/write-usb and scripts/pxe-serve."""

from __future__ import annotations

from pathlib import Path

import click

from rasura.command import EXIT_CODES_HELP, run
from rasura_image.build import Builder

_ROOT = Path(__file__).parents[2]


@click.group(epilog=EXIT_CODES_HELP)
def cli() -> None:
    """The live image: built, written to sticks, served to a network."""


@cli.command(epilog=EXIT_CODES_HELP)
@click.option("--update", is_flag=True, help="Ask the archive for newer packages first.")
@click.option(
    "--output", type=click.Path(path_type=Path), default=_ROOT / "build/image", help="[default: build/image]"
)
@click.option(
    "--cache", type=click.Path(path_type=Path), default=_ROOT / "build/cache", help="[default: build/cache]"
)
def build(update: bool, output: Path, cache: Path) -> None:
    """Build the image: an ISO, a netboot folder, their checksums, and a bill of materials."""
    Builder(_ROOT, cache, click.echo).build(output, update=update)


if __name__ == "__main__":
    run(cli)
