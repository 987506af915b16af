"""``rasura monitor``: follow a registry, and say when its history does not hold."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import click

from rasura.bundle import Bundle
from rasura.checkpoint import open_checkpoint
from rasura.client import RegistryClient
from rasura.command import EXIT_CODES_HELP, PATH, read_file, say_error
from rasura.documents import documents_in
from rasura.errors import ExitCode, RasuraError, RefusedError, UsageError
from rasura.history import Seen
from rasura.monitor import (
    Finding,
    Monitor,
    RegistryProvesNothingError,
    RegistrySilentError,
    save_evidence,
)
from rasura.note import VerifierKey
from rasura.side_statement import SideStatement
from rasura.start import is_of_another_log
from rasura.state_file import StateFile
from rasura.text import printable
from rasura.trust import Trust

__all__ = ["monitor_command"]


@click.command("monitor", epilog=f"{EXIT_CODES_HELP} 5 the log contradicts itself.")
@click.argument("url", metavar="URL")
@click.argument("bundles", nargs=-1, metavar="[BUNDLE]...", type=PATH)
@click.option(
    "--trust", "trust_file", required=True, metavar="FILE", type=PATH, help="The trust.toml to judge by."
)
@click.option(
    "--state",
    "state_file",
    required=True,
    metavar="FILE",
    type=PATH,
    help="Where the last checkpoint seen is kept; it is made at the first look.",
)
@click.option("--registry-ca", "ca_pin", metavar="PIN", help="The pin of the registry's TLS authority.")
@click.option("--once", is_flag=True, help="Look once, instead of going on until Ctrl-C.")
@click.option(
    "--every",
    "interval_s",
    default=300,
    show_default=True,
    metavar="SECONDS",
    type=click.IntRange(1, 30 * 86400),
    help="How long to wait between two looks.",
)
@click.option(
    "--evidence",
    metavar="DIR",
    type=PATH,
    help="Where contradicting checkpoints are written; left out: beside the state file.",
)
@click.option("--json", "as_json", is_flag=True, help="Print facts for machines, a line a look.")
def monitor_command(
    url: str,
    bundles: tuple[Path, ...],
    trust_file: Path,
    state_file: Path,
    ca_pin: str | None,
    once: bool,
    interval_s: int,
    evidence: Path | None,
    as_json: bool,
) -> int:
    """Follow the registry at URL: its log may only ever grow.

    Each look fetches the checkpoint and proves from the log's tiles that it extends the one seen
    before. The checkpoints in BUNDLEs (certificates, reports, folders of them, exports, PDFs) must
    be on the same history: those of their receipts, and those that their jobs began with. Which of
    them hold none of this log is said: nothing of them was compared.

    Ends with 0 if all is consistent. 5: the log signed two things that contradict each other; both
    signed checkpoints are written as evidence, and it stops following. 4: the registry cannot be
    reached, so nobody can say. 3: it answers, and the answer proves nothing; or a bundle's
    checkpoint does not hold, or a bundle has none of this log. Following goes on after 3 and 4, and
    ends, at Ctrl-C, with the last.

    \b
        rasura monitor https://registry.example --trust trust.toml --state registry.state
        rasura monitor https://registry.example certificates --trust trust.toml --state s --once
    """
    trust = Trust.parse(read_file(trust_file).decode("utf-8", "replace"))
    client = RegistryClient(url, trust.logs, ca_pin=ca_pin)
    state = StateFile(state_file, "the last checkpoint seen")
    folder = evidence or state_file.with_name(f"{state_file.name}.evidence")
    handed = tuple(_checkpoints(bundles, trust.logs))
    code = ExitCode.DONE
    with state.held(), suppress(KeyboardInterrupt):
        monitor = Monitor(client, trust.logs, state)
        while True:
            code = _look(monitor, handed, folder, as_json)
            if once or code is ExitCode.CONTRADICTED:
                break
            time.sleep(interval_s)
    client.close()
    return code


class _Handed(NamedTuple):
    """The name of a bundle that was handed over, and its checkpoints of trusted logs."""

    name: str
    seen: tuple[Seen, ...]


def _look(monitor: Monitor, handed: tuple[_Handed, ...], evidence: Path, as_json: bool) -> ExitCode:
    each = {one.note: one for them in handed for one in them.seen}
    try:
        finding = monitor.look(each.values(), int(time.time()))
    except (RegistrySilentError, RegistryProvesNothingError) as error:
        if as_json:
            _print_line(
                {
                    "result": "away" if isinstance(error, RegistrySilentError) else "unproven",
                    "sentence": str(error),
                }
            )
        else:
            say_error(error)
        return error.exit_code
    origin = finding.latest.checkpoint.origin
    idle = [them.name for them in handed if all(one.checkpoint.origin != origin for one in them.seen)]
    saved = []
    for one in finding.contradictions:
        try:
            saved += [str(path) for path in save_evidence(evidence, one)]
        except UsageError as error:
            say_error(error)  # a full disk makes it no less of a contradiction
    if as_json:
        _print_line({**_facts(finding, saved), "notCompared": idle})
    else:
        for line in (*_lines(finding, saved), *(_says_nothing(name, origin) for name in idle)):
            click.echo(printable(line))
    if finding.contradictions:
        return ExitCode.CONTRADICTED
    return ExitCode.REFUSED if idle else ExitCode.DONE


def _says_nothing(name: str, origin: str) -> str:
    return f"NOT COMPARED: {name} holds no checkpoint of {origin}"


def _checkpoints(bundles: tuple[Path, ...], logs: tuple[VerifierKey, ...]) -> Iterator[_Handed]:
    """The checkpoints in what was handed over; those of logs that are not trusted show nothing."""
    opened: dict[str, Seen] = {}
    for document in documents_in(bundles, pages=False) if bundles else ():
        found = []
        for note, what in _notes(document.bundle()):
            if is_of_another_log(note, logs):
                continue
            where = f"the {what} of {document.name}"
            try:
                if note not in opened:
                    opened[note] = Seen(note, open_checkpoint(note, logs), where)
            except RasuraError as error:
                raise RefusedError(f"{where} does not hold: {error}") from None
            found.append(opened[note])
        yield _Handed(document.name, tuple(found))


def _notes(bundle: Bundle) -> Iterator[tuple[str, str]]:
    if bundle.receipt is not None:
        yield bundle.receipt.checkpoint_note, "receipt"
    document = bundle.document
    begun = None if isinstance(document, SideStatement) else document.not_before
    if begun is not None:
        yield begun.checkpoint, "start"


def _lines(finding: Finding, saved: list[str]) -> Iterator[str]:
    latest, before = finding.latest.checkpoint, finding.before
    for one in finding.contradictions:
        yield f"CONTRADICTION {one.story.value}: {one.sentence}"
    if saved:
        yield f"the signed checkpoints are kept as evidence: {', '.join(saved)}"
    if finding.contradictions:
        yield "accept no certificate of this registry until it is explained; show others these checkpoints"
        return
    since = (
        "seen for the first time"
        if before is None
        else f"{latest.size - before.checkpoint.size} more than before"
    )
    others = finding.checked - (before is not None)
    also = f", and {others} checkpoints of certificates are on its history" if others else ""
    yield f"consistent: {latest.origin} holds {latest.size} entries, {since}{also}"
    yield from finding.remarks


def _facts(finding: Finding, saved: list[str]) -> dict[str, Any]:
    latest, before, time_s = finding.latest.checkpoint, finding.before, finding.latest.opened.timestamp
    return {
        "result": "contradiction" if finding.contradictions else "consistent",
        "log": latest.origin,
        "size": latest.size,
        "sizeBefore": before.checkpoint.size if before is not None else None,
        "signedAt": datetime.fromtimestamp(time_s, UTC).isoformat() if time_s is not None else None,
        "checked": finding.checked,
        "contradictions": [
            {"kind": one.story.value, "sentence": one.sentence} for one in finding.contradictions
        ],
        "evidence": saved,
        "remarks": list(finding.remarks),
    }


def _print_line(value: dict[str, Any]) -> None:
    click.echo(json.dumps(value, ensure_ascii=False))
