"""The agent's commands. No decisions here: options in, a use-case called, its answer shown."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import click

from rasura import __version__
from rasura.certificate import Outcome
from rasura.client import RegistryClient, RegistryRefusedError
from rasura.command import EXIT_CODES_HELP, print_json, say_error
from rasura.errors import ExitCode, RefusedError, UsageError
from rasura.site_kit import SiteKit, SitePapers, ask_passphrase
from rasura.text import printable
from rasura_agent.capturing import asking_opener
from rasura_agent.confirm import Confirmation, DriveOutcome, confirm_all, confirm_serials, left_alone
from rasura_agent.console.event_lines import EventLines, Observers
from rasura_agent.console.facts import drive_facts, outcome_facts, plan_facts, sent_facts, survey_facts
from rasura_agent.console.language import use
from rasura_agent.console.screens import (
    PlainProgress,
    TerminalProgress,
    TextStream,
    drives_table,
    plan_table,
    result_lines,
)
from rasura_agent.drive.tcg.psid import Psid, parse_psid
from rasura_agent.drive.transport.suspend import Suspender, SuspendError
from rasura_agent.earlier import EarlierJobs
from rasura_agent.erase.plan import DrivePlan
from rasura_agent.erase.policy import BUILT_IN, Policy, load_policy
from rasura_agent.handing import Handed
from rasura_agent.health_commands import health, selftest
from rasura_agent.inventory.clock import SystemClock
from rasura_agent.inventory.local import LocalFiles
from rasura_agent.job import JobOptions, Observer, prepare_job
from rasura_agent.journal import FileJournal, FileProgress
from rasura_agent.live.command import live
from rasura_agent.machine_commands import capture, inventory
from rasura_agent.opener import DriveOpener
from rasura_agent.options import (
    DRIVES,
    JSON,
    MACHINE,
    NO_MACHINE,
    require_drives,
    say_notes,
    seen_through,
    stack,
)
from rasura_agent.report_commands import (
    DECIDE,
    all_drives,
    decision,
    handed_facts,
    handed_lines,
    look_around,
)
from rasura_agent.spool import Sent, Spool, default_folder
from rasura_agent.station import SigningStation
from rasura_agent.survey import Survey, survey_drives

__all__ = ["cli"]

_FILE = click.Path(path_type=Path)
_POLICY = click.option(
    "--policy",
    "policy_name",
    default=BUILT_IN[0],
    show_default=True,
    metavar="NAME|FILE",
    help=f"What to do: {', '.join(BUILT_IN)}, or a TOML file.",
)
_SPOOL = click.option(
    "--spool",
    "spool_folder",
    envvar="RASURA_SPOOL",
    type=_FILE,
    metavar="FOLDER",
    help="Where certificates are kept.  [default: ~/.local/state/rasura/spool]",
)
_SITE = click.option(
    "--site",
    "site_folder",
    required=True,
    envvar="RASURA_SITE",
    type=_FILE,
    metavar="FOLDER",
    help="The site folder that signs certificates, made by 'rasura-registry init'.",
)
_REGISTRY = stack(
    click.option(
        "--registry",
        "registry_url",
        envvar="RASURA_REGISTRY",
        metavar="URL",
        help="Where to post certificates.  [default: what the site folder says]",
    ),
    click.option(
        "--registry-ca",
        "registry_ca",
        envvar="RASURA_REGISTRY_CA",
        metavar="PIN",
        help="The pin sha256:HEX of the registry's own TLS authority.",
    ),
)
_REPORT = stack(
    DRIVES,
    _SITE,
    _REGISTRY,
    _SPOOL,
    click.option("--operator", metavar="NAME", help="Who is at work; a pseudonym will do."),
    click.option("--location", metavar="TEXT", help="Where the work is done."),
    click.option("--lot", metavar="TEXT", help="The collection this machine came with."),
    DECIDE,
    JSON,
)
_JOB = stack(
    _REPORT,
    _POLICY,
    click.option(
        "--property-number",
        "property_numbers",
        multiple=True,
        metavar="SERIAL=NUMBER",
        help="Your own number for a drive.",
    ),
    click.option(
        "--psid",
        "psids",
        multiple=True,
        metavar="SERIAL=PSID",
        help="The PSID on the label of a drive that a forgotten TCG password locks.",
    ),
    click.option(
        "--unfreeze",
        is_flag=True,
        help="Suspend the machine for a few seconds if its firmware has frozen drives.",
    ),
    click.option(
        "--afresh", is_flag=True, help="Begin interrupted erasures afresh instead of going on with them."
    ),
    click.option(
        "--events",
        "events",
        type=click.File("w", encoding="utf-8", lazy=False),
        metavar="FILE",
        help="Write what happens as JSON lines while it goes on; - is standard output.",
    ),
    click.option("--plain", is_flag=True, help="Plain lines of progress even on a terminal."),
)


@click.group(epilog=EXIT_CODES_HELP, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="rasura-agent")
def cli() -> None:
    """Erase this machine's drives and prove it.

    \b
    First look, nothing is changed:
        rasura-agent drives
        rasura-agent plan --policy clear-zero
        rasura-agent inventory
        rasura-agent health
    Then erase; what is on the drives is lost for good:
        rasura-agent erase --site SITE --confirm WD-WX12A3456789
        rasura-agent erase --site SITE --confirm-all 3
    Or be led through all of it:
        rasura-agent run --site SITE
    Certificates that could not be posted wait in the spool:
        rasura-agent spool send --site SITE
    RASURA_LANG=fr makes the screens French.
    """
    use(os.environ.get("RASURA_LANG", "en"))


for _command in (live, inventory, capture, health, selftest):
    cli.add_command(_command)


@cli.command(epilog=EXIT_CODES_HELP)
@DRIVES
@MACHINE
@JSON
def drives(
    virtual: tuple[Path, ...], devices: tuple[str, ...], machine_folder: Path | None, as_json: bool
) -> int:
    """List the drives of this machine with what they say of themselves.

    A dash (null in JSON) means that nobody told us; nothing is guessed.
    """
    seen = seen_through(machine_folder, virtual)
    survey = survey_drives(virtual, devices, load_policy(BUILT_IN[0]), None, seen.sources)
    if as_json:
        print_json(
            {"drives": [drive_facts(plan.drive) for plan in survey.plans], "notes": list(survey.notes)}
        )
    else:
        say_notes(survey)
        if survey.plans:
            click.echo(drives_table(tuple(plan.drive for plan in survey.plans)))
        _say_hidden(survey)
    require_drives(survey)
    return ExitCode.DONE


@cli.command(epilog=EXIT_CODES_HELP)
@DRIVES
@_POLICY
@_SPOOL
@MACHINE
@JSON
def plan(
    virtual: tuple[Path, ...],
    devices: tuple[str, ...],
    policy_name: str,
    spool_folder: Path | None,
    machine_folder: Path | None,
    as_json: bool,
) -> int:
    """Show what would be done to each drive, and why others are left alone. Changes nothing.

    An erasure that was interrupted is recognised by the journal in the spool.
    """
    policy, seen = load_policy(policy_name), seen_through(machine_folder, virtual)
    opener = asking_opener(seen, SystemClock(), policy) if seen.captured else _opener(policy, spool_folder)
    survey = survey_drives(virtual, devices, policy, opener, seen.sources)
    if as_json:
        print_json({"drives": [plan_facts(one) for one in survey.plans], **survey_facts(survey)})
    else:
        say_notes(survey)
        click.echo(plan_table(survey.plans))
        _say_hidden(survey)
    require_drives(survey)
    return ExitCode.DONE


@cli.command(epilog=EXIT_CODES_HELP)
@click.option(
    "--confirm", "serials", multiple=True, metavar="SERIAL", help="Erase the drive with this serial."
)
@click.option(
    "--confirm-all", "number", type=int, metavar="N", help="Erase all drives that can be: exactly N."
)
@_JOB
@NO_MACHINE
def erase(serials: tuple[str, ...], number: int | None, **options: Any) -> int:
    """Erase drives, verify, sign a certificate for each, keep it and post it.

    Name each drive by its serial (by its path if it has none), or say how many there are: a
    number that is not exact erases nothing. If the registry cannot be reached, certificates wait
    in the spool and the command still ends with 0; 'rasura-agent spool send' posts them later.
    """
    if bool(serials) == (number is not None):
        raise UsageError(
            "say which drives to erase: --confirm SERIAL for each, or --confirm-all N",
            hint="'rasura-agent plan' shows serials and the number",
        )
    return _erase(
        options, lambda plans: confirm_serials(plans, serials) if serials else confirm_all(plans, number or 0)
    )


@cli.command(epilog=EXIT_CODES_HELP)
@click.option("--confirm-all", "number", type=int, metavar="N", help="Do not ask: erase exactly N drives.")
@_JOB
@NO_MACHINE
def run(number: int | None, **options: Any) -> int:
    """Do the whole job, asking once: show drives and plan, erase, certify, post.

    Certificates still waiting in the spool from earlier are posted too.
    """
    if number is None and not sys.stdin.isatty():
        raise UsageError("nobody is here to confirm: give --confirm-all N, or use a terminal")
    return _erase(
        options, lambda plans: confirm_all(plans, _ask(plans) if number is None else number), led=True
    )


@cli.group(epilog=EXIT_CODES_HELP)
def spool() -> None:
    """Certificates on their way to the registry."""


@spool.command("list", epilog=EXIT_CODES_HELP)
@_SPOOL
@JSON
def spool_list(spool_folder: Path | None, as_json: bool) -> int:
    """List the certificates that no registry has confirmed yet."""
    pending = Spool(spool_folder or default_folder()).pending()
    if as_json:
        print_json({"pending": [{"certificateId": path.stem, "path": str(path)} for path in pending]})
    else:
        for path in pending:
            click.echo(str(path))
        click.echo(f"{len(pending)} waiting")
    return ExitCode.DONE


@spool.command("send", epilog=EXIT_CODES_HELP)
@_SITE
@_REGISTRY
@_SPOOL
@JSON
def spool_send(
    site_folder: Path,
    registry_url: str | None,
    registry_ca: str | None,
    spool_folder: Path | None,
    as_json: bool,
) -> int:
    """Post what waits in the spool; each certificate leaves it only with a receipt that was checked.

    Ends with 0 when nothing is left, 1 when something could not be sent, 3 when the registry
    refused a certificate for good (it is then kept under refused/).
    """
    client = _client(SitePapers.load(site_folder), registry_url, registry_ca)
    if client is None:
        raise UsageError("no registry is known: give --registry URL")
    sent = Spool(spool_folder or default_folder()).send(client)
    if as_json:
        print_json({"certificates": [sent_facts(one) for one in sent]})
    for one in sent:
        if one.error is not None:
            say_error(one.error)
        elif not as_json:
            click.echo(f"logged   {one.certificate_id}  {one.path}")
    if not sent and not as_json:
        click.echo("nothing waits in the spool")
    return _sent_code(sent)


def _client(site: SiteKit | SitePapers, url: str | None, ca_pin: str | None) -> RegistryClient | None:
    """The registry that was named, or else the site's; a site's pin is for the site's registry alone."""
    if url is None:
        url, ca_pin = site.registry_url, ca_pin or site.registry_ca
    return RegistryClient(url, site.trust.logs, ca_pin=ca_pin) if url is not None else None


def _sent_code(sent: tuple[Sent, ...]) -> ExitCode:
    errors = [one.error for one in sent if one.error is not None]
    if any(not isinstance(error, RegistryRefusedError) for error in errors):
        return ExitCode.FAILED
    return ExitCode.REFUSED if errors else ExitCode.DONE


def _erase(
    options: dict[str, Any], confirm: Callable[[tuple[DrivePlan, ...]], Confirmation], *, led: bool = False
) -> int:
    as_json = options["as_json"]
    kit = SiteKit.load(options["site_folder"], ask_passphrase)
    policy = load_policy(options["policy_name"])
    decided = decision(options["decided"], options["operator"])
    client = _client(kit, options["registry_url"], options["registry_ca"])
    certificates = Spool(options["spool_folder"] or default_folder())
    settings = JobOptions(
        location=options["location"],
        lot=options["lot"],
        property_numbers=_by_serial("--property-number", options["property_numbers"]),
    )
    psids = {serial: parse_psid(text) for serial, text in _by_serial("--psid", options["psids"]).items()}
    opener = _opener(policy, options["spool_folder"], psids, afresh=options["afresh"])
    survey = survey_drives(options["virtual"], options["devices"], policy, opener)
    if survey.frozen and options["unfreeze"]:
        _unfreeze()
        survey = survey_drives(options["virtual"], options["devices"], policy, opener)
    say_notes(survey)
    require_drives(survey)
    if led:
        click.echo(drives_table(tuple(plan.drive for plan in survey.plans)), err=as_json)
        click.echo(f"\n{plan_table(survey.plans)}\n", err=as_json)
    confirmation = confirm(survey.plans)
    screen = _screen(plain=options["plain"], events=options["events"])
    station = SigningStation.certified_by(kit, options["operator"], SystemClock().wall())
    earlier = EarlierJobs(certificates.folder, LocalFiles())
    job, notes = prepare_job(station, policy, settings, certificates, client, opener, earlier=earlier)
    for note in notes:
        click.echo(f"note: {printable(note)}", err=True)
    outcomes = job.run(confirmation, screen)
    handed = None
    if any(one.certificate is not None for one in outcomes):
        every, whole = all_drives(outcomes, survey, policy, narrowed=bool(options["devices"]))
        handed = job.report(every, look_around(whole, certificates.folder, decided))
    _show(outcomes, survey, handed, as_json=as_json)
    code = _outcome_code(outcomes, handed)
    if led and client is not None:
        late = certificates.send(client)
        for one in late:
            click.echo(
                f"from the spool: {one.certificate_id} {'logged' if one.error is None else one.error}",
                err=True,
            )
    return code


@cli.command(epilog=EXIT_CODES_HELP)
@_REPORT
@MACHINE
def report(machine_folder: Path | None, **options: Any) -> int:
    """Sign a report on this machine, nothing is erased: what it is, its health, what is proposed for it.

    'erase' and 'run' sign such a report by themselves, with every drive's outcome and certificate; one that
    is signed later in the same boot names those too. That of a captured machine says that it is one.
    """
    kit = SiteKit.load(options["site_folder"], ask_passphrase)
    policy = load_policy(BUILT_IN[0])
    decided = decision(options["decided"], options["operator"])
    certificates = Spool(options["spool_folder"] or default_folder())
    seen = seen_through(machine_folder, options["virtual"])
    survey = survey_drives(options["virtual"], options["devices"], policy, None, seen.sources)
    say_notes(survey)
    require_drives(survey)
    station = SigningStation.certified_by(kit, options["operator"], SystemClock().wall())
    settings = JobOptions(location=options["location"], lot=options["lot"], property_numbers={})
    client = _client(kit, options["registry_url"], options["registry_ca"])
    opener = _opener(policy, certificates.folder)
    job, notes = prepare_job(station, policy, settings, certificates, client, opener, sources=seen.sources)
    for note in notes:
        click.echo(f"note: {printable(note)}", err=True)
    left = left_alone(survey.plans, "only looked at")
    every, whole = all_drives(left, survey, policy, narrowed=bool(options["devices"]), sources=seen.sources)
    handed = job.report(every, look_around(whole, certificates.folder, decided, seen))
    if options["as_json"]:
        print_json(handed_facts(handed))
    else:
        click.echo(handed_lines(handed))
        if handed.path is None:
            click.echo(handed.bundle.encode().decode())
    return ExitCode.FAILED if handed.path is None else ExitCode.DONE


def _opener(
    policy: Policy,
    spool_folder: Path | None,
    psids: Mapping[str, Psid] | None = None,
    *,
    afresh: bool = False,
) -> DriveOpener:
    """The journals lie in the spool: on what survives the power."""
    folder = (spool_folder or default_folder()) / "journal"
    progress = FileProgress(folder, forgetful=afresh)
    return DriveOpener(SystemClock(), FileJournal(folder), policy, psids, progress)


def _screen(*, plain: bool, events: TextStream | None) -> Observer:
    shown = TerminalProgress() if sys.stderr.isatty() and not plain else PlainProgress()
    return shown if events is None else Observers(shown, EventLines(events))


def _unfreeze() -> None:
    click.echo("the firmware has frozen drives: the machine sleeps for a few seconds now", err=True)
    try:
        Suspender().suspend()
    except SuspendError as error:
        say_error(error)


def _show(
    outcomes: tuple[DriveOutcome, ...], survey: Survey, handed: Handed | None, *, as_json: bool
) -> None:
    if as_json:
        print_json(
            {
                "drives": [outcome_facts(one) for one in outcomes],
                **survey_facts(survey),
                "machineReport": handed_facts(handed),
            }
        )
        return
    for one in outcomes:
        click.echo(result_lines(one))
    _say_hidden(survey)
    if handed is not None:
        click.echo(handed_lines(handed))
    unwritten = [one.certificate for one in outcomes if one.certificate is not None and one.path is None]
    unwritten += [handed.bundle] if handed is not None and handed.path is None else []
    for bundle in unwritten:
        # It exists nowhere else: what is on the screen or in a pipe can still be kept.
        click.echo(f"\nThe certificate {bundle.certificate_id} could not be written. Keep this text:")
        click.echo(bundle.encode().decode())


def _outcome_code(outcomes: tuple[DriveOutcome, ...], handed: Handed | None) -> ExitCode:
    """The worst that happened: failed (a certificate that is on no disk counts), unknown, refused, done."""
    found = {one.outcome for one in outcomes}
    homeless = any(one.certificate is not None and one.path is None for one in outcomes)
    if Outcome.FAILED in found or homeless or (handed is not None and handed.path is None):
        return ExitCode.FAILED
    if Outcome.UNKNOWN in found:
        return ExitCode.UNKNOWN
    if Outcome.ERASED not in found:
        return ExitCode.REFUSED
    return ExitCode.DONE


def _by_serial(option: str, pairs: tuple[str, ...]) -> dict[str, str]:
    values = {}
    for pair in pairs:
        serial, equals, value = pair.partition("=")
        if not (serial and equals and value):
            raise UsageError(f"{option} is written SERIAL=VALUE, not {pair!r}")
        values[serial] = value
    return values


def _ask(plans: tuple[DrivePlan, ...]) -> int:
    runnable = sum(plan.runnable for plan in plans)
    if not runnable:
        raise RefusedError("there is no drive that can be erased")
    click.echo("Everything on these drives will be lost. To go on, type how many will be erased.", err=True)
    answer: int = click.prompt("Number of drives", type=int, err=True)
    return answer


def _say_hidden(survey: Survey) -> None:
    for one in survey.hidden:
        click.echo(f"{Outcome.UNHANDLED} {printable(one.sentence)}")
