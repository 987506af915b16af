"""The commands behind scripts/build-image, scripts/write-usb and scripts/pxe-serve."""

from __future__ import annotations

import signal
import stat
from pathlib import Path

import click

from rasura.command import EXIT_CODES_HELP, run
from rasura.errors import UsageError
from rasura.text import printable
from rasura_agent.inventory.labels import IMAGE_LABEL, iso9660_label
from rasura_image.build import Builder
from rasura_image.release import release
from rasura_image.settings import Settings, parse_settings
from rasura_image.stick_guard import describe_stick
from rasura_image.usb import StickContents, write_stick

_ROOT = Path(__file__).parents[2]
_PATH = click.Path(path_type=Path)
_START_BYTES = 1 << 20
"""Partition tables and file systems have something there."""


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
@click.option(
    "--policy", "policies", type=_PATH, multiple=True, metavar="FILE", help="A policy of your own, NAME.toml."
)
@click.option(
    "--restore",
    "restored",
    type=_PATH,
    multiple=True,
    metavar="FOLDER",
    help="Put back files that were kept when writing a stick failed.",
)
@click.option("--afresh", is_flag=True, help="Keep nothing of an older data partition.")
@click.option("--any-drive", is_flag=True, help="Also a drive that is built in.")
@click.option("--yes", is_flag=True, help="Do not ask.")
def write_usb(
    device: Path,
    iso: Path,
    site: Path | None,
    settings_file: Path | None,
    policies: tuple[Path, ...],
    restored: tuple[Path, ...],
    afresh: bool,
    any_drive: bool,
    yes: bool,
) -> None:
    """Write the live image and a data partition to the stick DEVICE, or to a file that poses as one.

    What is in the data partition of an older stick of ours is kept, unless --afresh says otherwise.
    Everything else on it is lost.

    \b
        sudo ./scripts/write-usb /dev/sdb --site registry/sites/Workshop
    """
    for ended_by in (signal.SIGTERM, signal.SIGHUP):  # as Ctrl-C does: what was kept is named
        signal.signal(ended_by, signal.default_int_handler)
    _require_there(device, "'lsblk' lists drives; a file to write to is made with truncate --size=4G FILE")
    _require_there(iso, "./scripts/build-image makes the image")
    for policy in policies:
        _require_there(policy, "--policy names a TOML file; built-in policies are on every stick")
    text = _read(settings_file) if settings_file is not None else None
    settings = parse_settings(text, str(settings_file)) if text is not None else Settings()
    is_device = stat.S_ISBLK(device.stat().st_mode)
    if is_device:
        words = describe_stick(device, any_drive=any_drive)
        click.echo(f"{device}: {printable(words)}", err=True)
    if not yes and (is_device or _would_lose(device, afresh=afresh)):
        lost = "Everything on it" if afresh else "Everything on it but our own data partition"
        question = printable(f"{lost} will be lost. Type {device.name} to go on")
        if click.prompt(question, err=True, default="", show_default=False) != device.name:
            raise UsageError(f"{device.name} was not typed: nothing was written")
    contents = StickContents(settings, text, site, policies, restored)
    write_stick(device, iso, contents, lambda line: click.echo(printable(line)), afresh=afresh)
    click.echo(printable(f"{device} is ready: start a computer from it"))
    for folder in restored:
        click.echo(printable(f"the files of {folder} are on it: that folder may be removed"))


def _require_there(path: Path, hint: str) -> None:
    try:
        path.stat()
    except FileNotFoundError:
        raise UsageError(f"there is no {path}", hint=hint) from None
    except OSError as error:
        raise UsageError(f"cannot look at {path}: {error.strerror}") from None


def _would_lose(file: Path, *, afresh: bool) -> bool:
    """Whether ``file`` holds something that would be lost: with ``afresh`` also that of a stick of ours."""
    if not file.is_file():
        return False
    try:
        with file.open("rb") as stream:

            def read(offset: int, length: int) -> bytes:
                stream.seek(offset)
                return stream.read(length)

            return any(read(0, _START_BYTES)) and (afresh or iso9660_label(read) != IMAGE_LABEL)
    except OSError as error:
        raise UsageError(f"cannot read {file}: {error.strerror}") from None


def _read(path: Path) -> str:
    try:
        return path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"cannot read {path}: {error}") from None


if __name__ == "__main__":
    run(cli)
