"""``rasura-agent live``: what the live image runs on its console. Wires the ports of this machine."""

from __future__ import annotations

import faulthandler
import logging
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import msgspec

from rasura.errors import ExitCode, RasuraError
from rasura_agent.clock import Clock
from rasura_agent.console.language import _, use
from rasura_agent.drive.transport.suspend import Suspender
from rasura_agent.erase.policy import Policy
from rasura_agent.inventory.clock import SystemClock
from rasura_agent.inventory.drives import enumerate_drives
from rasura_agent.inventory.hotplug import local_drive_watch
from rasura_agent.inventory.identity import read_identity
from rasura_agent.live import screens
from rasura_agent.live.boot_facts import BootFacts, Build, boot_line, read_boot_facts
from rasura_agent.live.boot_parameters import (
    BootFrom,
    BootParameterError,
    End,
    Language,
    language_asked,
    parse_boot_parameters,
)
from rasura_agent.live.host import end_machine, network_ports, set_up_console
from rasura_agent.live.intact import IntegrityCheck
from rasura_agent.live.log import log_to_stick, start_log
from rasura_agent.live.medium import FolderMedium, Medium, StickMedium, mount_stick, unmount_stick
from rasura_agent.live.session import Session, Station
from rasura_agent.live.settle import have_udev_look, settle, udev_is_idle
from rasura_agent.live.stick import make_data_partition
from rasura_agent.live.terminal import Terminal
from rasura_agent.live.volumes import local_volumes
from rasura_agent.opener import DriveOpener
from rasura_agent.report_commands import look_around
from rasura_agent.spool import default_folder
from rasura_agent.survey import Survey, survey_drives

__all__ = ["live"]

_PATH = click.Path(path_type=Path)
_ROOT = Path("/")
_CRASHED = 70
"""Neither an end nor an error that was said on the screen (sysexits.h: EX_SOFTWARE)."""


class _Options(msgspec.Struct, frozen=True):
    """What a test puts in the place of the machine."""

    virtual: tuple[Path, ...]
    root: Path
    cmdline: Path | None
    systemctl: str
    second_s: float


@click.command(hidden=True)
@click.option("--virtual-drive", "virtual", multiple=True, type=_PATH, help="A file in place of the drives.")
@click.option("--root", type=_PATH, default=_ROOT, help="A folder in place of the root of the system.")
@click.option("--cmdline", type=_PATH, help="A file in place of the kernel command line.")
@click.option("--systemctl", default="systemctl", help="What ends the machine.")
@click.option("--second", "second_s", type=float, default=1.0, help="How long a second of waiting lasts.")
def live(**options: Any) -> int:
    """Lead through this machine's erasure, as the live image does. The options are for tests."""
    # A serial cable that is pulled out must not stop an erasure.
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # Should the interpreter itself crash, the supervisor reads on standard error what it was at.
    faulthandler.enable(all_threads=False)
    chosen = _Options(**options)
    logger = start_log(chosen.root)
    try:
        _live(chosen, SystemClock(), logger)
    except Exception:  # said to whoever restarts us: what is in memory is on files
        logger.exception("the agent failed")
        return _CRASHED
    return ExitCode.DONE


def _live(options: _Options, clock: Clock, logger: logging.Logger) -> None:
    terminal, root = Terminal(clock), options.root
    line = (options.cmdline or root / "proc/cmdline").read_bytes().decode("utf-8", "surrogateescape")
    use(language_asked(line) or Language.EN)
    try:
        parameters = parse_boot_parameters(line)
    except BootParameterError as error:
        logger.warning("boot parameters: %s", error)
        _refuse(terminal, error.problems, options.systemctl)
        return
    if root == _ROOT:
        set_up_console(parameters.keymap)
    facts = read_boot_facts(root, parameters)
    terminal.clear()
    terminal.show(boot_line(facts))
    logger.info("%s", boot_line(facts))
    integrity = IntegrityCheck(root, facts.build)
    if not options.virtual:
        _settle(terminal, clock)

    def survey(policy: Policy, opener: DriveOpener | None) -> Survey:
        return survey_drives(options.virtual, (), policy, opener)

    station = Station(
        terminal=terminal,
        clock=clock,
        run=root / "run/rasura",
        medium=_medium(terminal, root, facts, clock, logger),
        machine=read_identity(),
        facts=facts,
        integrity=integrity,
        parameters=parameters,
        survey=survey,
        network=network_ports,
        suspender=Suspender(),
        end=lambda how: end_machine(options.systemctl, how),
        around=lambda found: look_around(found, default_folder(), None),
        watch=local_drive_watch() if not options.virtual else None,
        second_s=options.second_s,
    )
    Session(station).run()


def _medium(terminal: Terminal, root: Path, facts: BootFacts, clock: Clock, logger: logging.Logger) -> Medium:
    place = root / "run/rasura/data"
    if root != _ROOT:
        log_to_stick(logger, place if place.is_dir() else None)
        return FolderMedium(place)
    may_make = facts.boot_from is BootFrom.MEDIUM
    return StickMedium(
        place,
        local_volumes,
        mount_stick,
        unmount_stick,
        _maker(facts.build, clock) if facts.build is not None and may_make else None,
        lambda folder: log_to_stick(logger, folder),
        terminal.show,
    )


def _maker(build: Build, clock: Clock) -> Callable[[str], str]:
    def make(disk: str) -> str:
        node = make_data_partition(disk, build, clock)
        have_udev_look(node)
        return node

    return make


def _settle(terminal: Terminal, clock: Clock) -> None:
    def look() -> frozenset[tuple[str, int, int | None]]:
        try:
            found = enumerate_drives().drives
        except RasuraError:
            return frozenset()
        return frozenset((drive.path, drive.capacity_bytes, drive.diskseq) for drive in found)

    def show(seen: frozenset[tuple[str, int, int | None]], waited_s: float) -> None:
        words = _("Waiting for slow drives: {number} found so far ({seconds} s).")
        words = words.format(number=len(seen), seconds=round(waited_s))
        terminal.write(f"\r{words}\x1b[K" if terminal.is_interactive else "")

    settle(clock, look, udev_is_idle, show)
    terminal.show()


def _refuse(terminal: Terminal, problems: tuple[str, ...], systemctl: str) -> None:
    """Nothing is done with parameters that are not understood but to end."""
    terminal.clear()
    terminal.show(screens.parameter_problems(problems, terminal.width))
    while True:
        answer = terminal.line("> ", lambda: None).casefold()
        how = {"p": End.POWEROFF, "r": End.REBOOT}.get(answer)
        if how is None:
            continue
        try:
            end_machine(systemctl, how)
        except RasuraError as error:
            terminal.show(str(error))
            continue
        return
