"""The bench's command, behind ``./scripts/bench``."""

from __future__ import annotations

import os
import re
import signal
from pathlib import Path

import click

from rasura.command import print_json, run
from rasura.errors import ExitCode, RefusedError, UsageError
from rasura_agent.bench.devices import Medium
from rasura_agent.bench.figures import plot, table
from rasura_agent.bench.runs import DRIVES, MANY, PASSES, Wanted, run_bench
from rasura_agent.bench.tools import cipher_s_per_gb

_UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30}
_FILE = click.Path(path_type=Path)


def parse_size(text: str) -> int:
    """Bytes of ``512M`` or ``2G``; raises :class:`UsageError`."""
    match = re.fullmatch(r"([1-9][0-9]*)([KMG]?)", text)
    if match is None:
        raise UsageError(f"--size is a number with K, M or G, such as 512M, not {text!r}")
    return int(match[1]) * _UNITS[match[2]]


def choose(only: tuple[str, ...]) -> tuple[tuple[Medium, ...], tuple[int, ...], tuple[str, ...]]:
    """Media, numbers of drives and passes that ``--only`` names, all of a kind it names none of.

    Raises:
        UsageError: a word is none of them.
    """
    known = [*Medium, *map(str, (*DRIVES, MANY)), *PASSES]
    for word in only:
        if word not in known:
            raise UsageError(f"--only {word}: there is {', '.join(known)}")
    media = tuple(one for one in Medium if one in only) or tuple(Medium)
    drives = tuple(one for one in (*DRIVES, MANY) if str(one) in only) or DRIVES
    return media, drives, tuple(one for one in PASSES if one in only) or PASSES


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--size", default="2G", show_default=True, help="Bytes in all, shared out among the drives.")
@click.option(
    "--repeats", default=5, show_default=True, type=click.IntRange(1, 99), help="The median counts."
)
@click.option(
    "--only",
    multiple=True,
    metavar="WORD",
    help="ram, disk, held (to an SSD's rate), 1, 4, 16, 64 (only where named), or a pass; repeatable.",
)
@click.option("--disk-folder", default="/var/tmp", show_default=True, type=_FILE, help="For disk.")  # noqa: S108
@click.option("--no-peers", is_flag=True, help="Leave shred and nwipe out.")
@click.option("--table", "table_file", type=_FILE, metavar="FILE", help="Also write the table here.")
@click.option("--plot", "plot_file", type=_FILE, metavar="FILE", help="Also draw it here, as SVG.")
@click.option("--json", "as_json", is_flag=True, help="Print a list of objects, one for each row.")
def bench(
    size: str,
    repeats: int,
    only: tuple[str, ...],
    disk_folder: Path,
    no_peers: bool,
    table_file: Path | None,
    plot_file: Path | None,
    as_json: bool,
) -> int:
    """Measure erasing against the device's limit, side by side, on loop devices of its own. Needs root."""
    media, drives, passes = choose(only)
    wanted = Wanted(media, drives, passes, parse_size(size), repeats, not no_peers, disk_folder)
    if os.geteuid():
        raise RefusedError("the bench makes loop devices, which needs root", hint="sudo ./scripts/bench")
    for ended_by in (signal.SIGTERM, signal.SIGHUP):  # as Ctrl-C does: loop devices and files are taken away
        signal.signal(ended_by, signal.default_int_handler)
    rows = []
    for row in run_bench(wanted, lambda text: click.echo(text, err=True)):
        rows.append(row)
        if not as_json:
            click.echo(
                f"{row.medium:5} {row.drives:3} {row.name:14} {row.ours_mb_s:7.0f} MB/s of "
                f"{row.limit_mb_s:7.0f} ({row.limit_tool})  ratio {row.ratio:.2f}  "
                f"{row.cpu_s_per_gb:.3f} CPU s/GB  {row.peak_rss_mb:.0f} MB"
            )
    text = table(rows, cipher_s_per_gb())
    if as_json:
        print_json([row.facts() for row in rows])
    else:
        click.echo(f"\n{text}")
    if table_file is not None:
        table_file.write_text(text)
    if plot_file is not None:
        plot_file.write_text(plot(rows))
    return ExitCode.DONE


if __name__ == "__main__":
    run(bench)
