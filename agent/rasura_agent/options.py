"""Options and sentences that several commands share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from rasura.errors import RasuraError, UsageError
from rasura.text import printable
from rasura_agent.capturing import SeenMachine, seen_machine
from rasura_agent.survey import Survey

__all__ = ["DRIVES", "JSON", "MACHINE", "NO_MACHINE", "require_drives", "say_notes", "seen_through", "stack"]

_Command = TypeVar("_Command", bound=Callable[..., Any])


def stack(*decorators: Callable[[_Command], _Command]) -> Callable[[_Command], _Command]:
    """Several options as one."""

    def apply(command: _Command) -> _Command:
        for decorate in reversed(decorators):
            command = decorate(command)
        return command

    return apply


DRIVES = stack(
    click.option(
        "--virtual-drive",
        "virtual",
        multiple=True,
        metavar="FILE",
        type=click.Path(path_type=Path),
        help="Treat this file as a drive. Then only the files named are considered, no real drive.",
    ),
    click.option(
        "--device",
        "devices",
        multiple=True,
        metavar="PATH",
        help="Consider only this block device (a loop device must be named so).",
    ),
)
JSON = click.option("--json", "as_json", is_flag=True, help="Print facts for machines on standard output.")
MACHINE = click.option(
    "--machine",
    "machine_folder",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Look at the machine captured in this folder, not at this one.",
)
"""The option of every command that reads the machine."""


def _refuse_machine(_context: click.Context, _option: click.Parameter, folder: str | None) -> None:
    if folder is not None:
        raise UsageError(
            "this command works on the drives themselves, and a captured machine has none",
            hint="'rasura-agent plan --machine DIR' shows what would be done",
        )


NO_MACHINE = click.option(
    "--machine", metavar="DIR", hidden=True, expose_value=False, callback=_refuse_machine, help="Not here."
)
"""The option where it can mean nothing: refused with a sentence."""


def seen_through(folder: Path | None, virtual: tuple[Path, ...]) -> SeenMachine:
    """This machine, or the captured one; raises ``UsageError`` where the options contradict each other."""
    if folder is not None and virtual:
        raise UsageError(
            "--machine and --virtual-drive do not go together: a captured machine has its own drives"
        )
    return seen_machine(folder)


def say_notes(survey: Survey) -> None:
    """What is to be said about the machine, on standard error."""
    for note in survey.notes:
        click.echo(f"note: {printable(note)}", err=True)
    for path in survey.frozen:
        click.echo(
            f"note: the firmware has frozen {printable(path)}, so that it refuses its own erase commands: "
            "use --unfreeze, or unplug its power for a moment and plug it in again",
            err=True,
        )


def require_drives(survey: Survey) -> None:
    """Raise ``RasuraError`` where there is no drive at all."""
    if survey.plans:
        return
    raise RasuraError(
        "no drive was found",
        hint="a RAID controller or Intel VMD/RST may hide them: set it to AHCI or HBA mode in the firmware",
    )
