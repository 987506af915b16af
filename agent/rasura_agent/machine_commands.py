"""The commands about a machine as a whole: its inventory, and capturing it. No decisions here."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

import click

from rasura.certificate import Outcome
from rasura.command import EXIT_CODES_HELP, print_json
from rasura.errors import ExitCode, UsageError
from rasura.text import printable
from rasura_agent.capturing import SeenMachine, capture_machine, seen_machine
from rasura_agent.console.changes import change_json, change_line, present_json, present_line
from rasura_agent.console.machine_screen import machine_lines
from rasura_agent.console.screens import drives_table
from rasura_agent.erase.policy import BUILT_IN, load_policy
from rasura_agent.export.document import Inventoried, inventory_document
from rasura_agent.export.glpi import glpi_document
from rasura_agent.export.table import inventory_table
from rasura_agent.inventory.capture import save_capture
from rasura_agent.inventory.clock import SystemClock
from rasura_agent.inventory.hotplug import followed_drives
from rasura_agent.inventory.machine import read_machine
from rasura_agent.options import MACHINE
from rasura_agent.survey import survey_drives

__all__ = ["capture", "inventory", "take_inventory"]


def take_inventory(seen: SeenMachine) -> Inventoried:
    """The machine and all its drives."""
    machine = read_machine(seen.sources)
    policy = load_policy(BUILT_IN[0])
    survey = survey_drives((), (), policy, None, seen.sources)
    drives = tuple(plan.drive for plan in survey.plans)
    # The survey names what a capture lacks too; each sentence is said once.
    notes = tuple(note for note in survey.notes if note not in machine.notes)
    return Inventoried(machine, drives, survey.hidden, notes)


@click.command(epilog=EXIT_CODES_HELP)
@click.option("--json", "how", flag_value="json", help="A JSON document, as inventory.schema.json says.")
@click.option("--csv", "how", flag_value="csv", help="A table: a row for the machine, each drive, each part.")
@click.option("--glpi", "how", flag_value="glpi", help="GLPI's inventory format, to be imported there.")
@MACHINE
@click.option("--watch", is_flag=True, help="Show drives as they come and go, a line each, until Ctrl-C.")
def inventory(how: str | None, machine_folder: Path | None, watch: bool) -> int:
    """Show what this machine is and has: processors, memory, displays, batteries, drives and more.

    Reads only. What nobody tells stays unknown; sources that could not be read are named. Serial
    numbers and memory modules need root.
    """
    if watch:
        return _follow(how, machine_folder)
    found = take_inventory(seen_machine(machine_folder))
    if how == "json":
        print_json(inventory_document(found))
    elif how == "glpi":
        print_json(glpi_document(found))
    elif how == "csv":
        click.echo(inventory_table(found), nl=False)
    else:
        click.echo(machine_lines(found.machine))
        if found.drives:
            click.echo(f"\n{drives_table(found.drives)}")
        for one in found.hidden:
            click.echo(f"{Outcome.UNHANDLED} {printable(one.sentence)}")
        for note in found.notes:
            click.echo(f"note: {printable(note)}", err=True)
    if how in {"csv", "glpi"}:
        # Neither format has a place for them.
        for note in (*found.machine.notes, *found.notes):
            click.echo(f"note: {printable(note)}", err=True)
    return ExitCode.DONE


def _follow(how: str | None, machine_folder: Path | None) -> int:
    if machine_folder is not None:
        raise UsageError(
            "--watch and --machine do not go together: nothing comes or goes in a captured machine"
        )
    if how not in {None, "json"}:
        raise UsageError(f"--watch and --{how} do not go together", hint="--json prints a JSON object a line")
    present, changed = (present_json, change_json) if how == "json" else (present_line, change_line)
    drives, changes = followed_drives()
    with contextlib.suppress(KeyboardInterrupt):
        for drive in drives:
            click.echo(present(drive))
        for change in changes:
            click.echo(changed(change))
    return ExitCode.DONE


@click.command(epilog=EXIT_CODES_HELP)
@click.argument("folder", type=click.Path(path_type=Path), metavar="DIR")
@click.option(
    "--anonymise",
    is_flag=True,
    help="Replace serial numbers, network addresses and UUIDs, each by the same other one everywhere.",
)
@click.option("--json", "as_json", is_flag=True, help="Print facts for machines on standard output.")
def capture(folder: Path, anonymise: bool, as_json: bool) -> int:
    """Record this machine into the folder DIR, so that '--machine DIR' shows it anywhere.

    Files of /sys and /proc, udev's database, what programs print, and the pages by which drives
    identify themselves: nothing of what is stored on a drive. Drives are asked, never changed. Run
    it as root, and send it along when something is not recognised.
    """
    recorded = capture_machine(SystemClock(), anonymise=anonymise)
    save_capture(recorded, folder)
    facts: dict[str, Any] = {
        "folder": str(folder),
        "anonymised": anonymise,
        "files": len(recorded.reads),
        "commands": len(recorded.commands),
        "drives": sorted(recorded.lines),
    }
    if as_json:
        print_json(facts)
    else:
        click.echo(
            f"{printable(str(folder))}: {facts['files']} files, {facts['commands']} outputs of programs, "
            f"{len(facts['drives'])} drives"
        )
    return ExitCode.DONE
