"""The operator's commands for stations that ask to be certified: enrolments, approve, reject."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from rasura.command import EXIT_CODES_HELP, PATH, print_json
from rasura.enrolment import station_name
from rasura.errors import UsageError
from rasura.site_kit import SiteKit, ask_passphrase
from rasura.text import printable
from rasura_registry.enrolment_files import EnrolmentFolder, Waiting
from rasura_registry.folder import Folder

__all__ = ["ENROLMENT_COMMANDS"]

_FOLDER = click.argument("folder", metavar="DIR", type=PATH)
_JSON = click.option("--json", "as_json", is_flag=True, help="Print facts for machines.")

_SHOWN_ID = 12
"""Digits of an id that a person is shown: more than enough among a few hundred."""

_CLOCK_TOLERANCE_S = 300


@click.command("enrolments", epilog=EXIT_CODES_HELP)
@_FOLDER
@_JSON
def enrolments_command(folder: Path, as_json: bool) -> None:
    """List the stations that ask to be certified, and what was decided.

    Codes are not shown: read them from the stations' own screens. A code that came from anywhere
    else says nothing about the machine before you.

    \b
        rasura-registry enrolments /srv/rasura
    """
    now = _now()
    found = _files(folder).all()
    if as_json:
        print_json({"enrolments": [_facts(one) for one in found]})
        return
    for one in found:
        click.echo(_line(one, now))
    click.echo(f"{len(found)} enrolments")


@click.command("approve", epilog=EXIT_CODES_HELP)
@_FOLDER
@click.argument("codes", metavar="CODE...", nargs=-1, required=True)
@click.option("--site", metavar="NAME", help="Certify for this site, with the key in DIR/sites/NAME.")
@click.option(
    "--site-folder", metavar="PATH", type=PATH, help="Certify with the key of this site folder instead."
)
@_JSON
def approve_command(
    folder: Path, codes: tuple[str, ...], site: str | None, site_folder: Path | None, as_json: bool
) -> None:
    """Certify the stations that show these codes; the server may go on running.

    Each CODE stands on a station's screen and is good once. Type it from there: that is what keeps
    another machine from being certified instead. The site is yours to choose, whatever the station
    asked for. If one of the codes is wrong, none is approved.

    \b
        rasura-registry approve /srv/rasura 7KQM-2WXA --site Lyon
    """
    data = Folder(folder)
    trust = data.load_trust()
    if site_folder is None:
        if site is None:
            raise UsageError("say for which site: --site NAME or --site-folder PATH")
        site_folder = data.known_site(site)
    kit = SiteKit.load(site_folder, ask_passphrase)
    if site is not None and kit.site != site:
        raise UsageError(f"{site_folder} is the folder of the site {kit.site!r}, not of {site!r}")
    _say("approved", _files(folder).approve(codes, kit, trust.authorities), as_json=as_json)


@click.command("reject", epilog=EXIT_CODES_HELP)
@_FOLDER
@click.argument("which", metavar="CODE|ID...", nargs=-1, required=True)
@_JSON
def reject_command(folder: Path, which: tuple[str, ...], as_json: bool) -> None:
    """Turn away stations by the codes on their screens, or by the ids that 'enrolments' lists.

    \b
        rasura-registry reject /srv/rasura 5f1c09aa33e1
    """
    _say("rejected", _files(folder).reject(which), as_json=as_json)


ENROLMENT_COMMANDS = (enrolments_command, approve_command, reject_command)


def _now() -> int:
    return int(time.time())


def _files(folder: Path) -> EnrolmentFolder:
    data = Folder(folder)
    data.load_trust()
    return EnrolmentFolder(data.enrolments, _now)


def _say(verb: str, decided: tuple[Waiting, ...], *, as_json: bool) -> None:
    if as_json:
        print_json({"enrolments": [_facts(one) for one in decided]})
        return
    for one in decided:
        where = f" for {one.site}" if one.site is not None else ""
        click.echo(f"{verb}  {station_name(one.request.key)}{printable(where)}")


def _facts(one: Waiting) -> dict[str, Any]:
    request = one.request
    return {
        "id": one.id,
        "state": one.state.value,
        "station": station_name(request.key),
        "address": one.address,
        "receivedAt": _text(one.received),
        "endsAt": _text(one.ends),
        "wantedSite": request.site,
        "buildHash": request.build_hash,
        "clockOffsetSeconds": _offset(one),
        "site": one.site,
    }


def _line(one: Waiting, now: int) -> str:
    request = one.request
    parts = [
        one.id[:_SHOWN_ID],
        f"{one.state.value:8}",
        station_name(request.key),
        f"from {one.address}",
        f"{max(0, now - one.received) // 60} min ago",
    ]
    if one.site is not None:
        parts.append(f"for {one.site}")
    elif request.site is not None:
        parts.append(f"wants {request.site}")
    if abs(_offset(one)) > _CLOCK_TOLERANCE_S:
        parts.append(f"its clock says {request.clock:%Y-%m-%d %H:%M}")
    if request.build_hash is not None:
        parts.append(f"says it runs {request.build_hash[:19]}")
    return printable("  ".join(parts))


def _offset(one: Waiting) -> int:
    """How far the station's clock was ahead of the registry's, in seconds."""
    return int(one.request.clock.timestamp()) - one.received


def _text(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
