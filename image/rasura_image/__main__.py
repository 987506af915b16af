"""The commands behind scripts/build-image, scripts/write-usb and scripts/pxe-serve."""

from __future__ import annotations

import stat
from pathlib import Path

import click

from rasura.command import EXIT_CODES_HELP, run
from rasura.errors import UsageError
from rasura.text import printable
from rasura_image.build import Builder
from rasura_image.release import release
from rasura_image.settings import Settings, parse_settings
from rasura_image.stick_guard import describe_stick
from rasura_image.usb import StickContents, write_stick

_ROOT = Path(__file__).parents[2]
_PATH = click.Path(path_type=Path)


@click.group(epilog=EXIT_CODES_HELP, context_settings={"help_option_names": ["-h", "--help"]})
def cli() -> None:
    """The live image: built, written to sticks, served to a network."""


@cli.command(epilog=EXIT_CODES_HELP)
@click.option("--update", is_flag=True, help="Ask the archive for newer packages first.")
@click.option("--release", "as_release", is_flag=True, help="Build what is published, from a clean checkout.")
@click.option("--output", type=_PATH, default=_ROOT / "build/image", help="[default: build/image]")
@click.option("--cache", type=_PATH, default=_ROOT / "build/cache", help="[default: build/cache]")
def build(update: bool, as_release: bool, output: Path, cache: Path) -> None:
    """Build the image: an ISO, a netboot folder, their checksums, and a bill of materials.

    With --release the newest packages are taken, the checkout must be clean, and release notes
    are written; SHA256SUMS is signed with minisign if RASURA_SIGNING_KEY names a secret key.
    """
    builder = Builder(_ROOT, cache, click.echo)
    if as_release:
        release(builder, _ROOT, output, click.echo)
    else:
        builder.build(output, update=update)


@cli.command("write-usb", epilog=EXIT_CODES_HELP)
@click.argument("device", type=_PATH)
@click.option(
    "--iso", type=_PATH, default=_ROOT / "build/image/rasura.iso", help="[default: the one built here]"
)
@click.option(
    "--site", type=_PATH, metavar="FOLDER", help="The site folder whose sealed key signs certificates."
)
@click.option(
    "--settings", "settings_file", type=_PATH, metavar="FILE", help="Settings, see image/NETBOOT.md."
)
@click.option("--policy", "policies", type=_PATH, multiple=True, metavar="FILE", help="A policy of your own.")
@click.option("--any-drive", is_flag=True, help="Also a drive that is built in.")
@click.option("--yes", is_flag=True, help="Do not ask.")
def write_usb(
    device: Path,
    iso: Path,
    site: Path | None,
    settings_file: Path | None,
    policies: tuple[Path, ...],
    any_drive: bool,
    yes: bool,
) -> None:
    """Write the live image and a data partition to the stick DEVICE, or to a file that poses as one.

    What is in the data partition of an older stick of ours is kept. Everything else on it is lost.

    \b
        sudo ./scripts/write-usb /dev/sdb --site registry/sites/Workshop
    """
    for path in (device, iso, *policies):
        if not path.exists():
            raise UsageError(f"there is no {path}", hint="./scripts/build-image makes the image")
    text = _read(settings_file) if settings_file is not None else None
    settings = parse_settings(text, str(settings_file)) if text is not None else Settings()
    if stat.S_ISBLK(device.stat().st_mode):
        words = describe_stick(device, any_drive=any_drive)
        click.echo(f"{device}: {printable(words)}", err=True)
        if not yes:
            question = (
                f"Everything on it but our own data partition will be lost. Type {device.name} to go on"
            )
            if click.prompt(question, err=True, default="", show_default=False) != device.name:
                raise UsageError(f"{device.name} was not typed: nothing was written")
    write_stick(device, iso, StickContents(settings, text, site, policies), click.echo)
    click.echo(f"{device} is ready: start a computer from it")


def _read(path: Path) -> str:
    try:
        return path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"cannot read {path}: {error}") from None


if __name__ == "__main__":
    run(cli)
