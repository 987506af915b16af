"""``rasura statement``: what people say of certificates, signed and logged beside them."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import msgspec

from rasura import durable
from rasura.bundle import Bundle
from rasura.claims import ClaimsError
from rasura.command import EXIT_CODES_HELP, PATH, read_file
from rasura.consistency import parse_time
from rasura.documents import one_bundle, rewritable_bundle
from rasura.errors import ExitCode, RasuraError, UsageError
from rasura.options import REGISTRY_CA_OPTION
from rasura.person_commands import PERSON_COMMANDS
from rasura.side_statement import Ruling, SideStatement, member_at
from rasura.strict_json import MAX_SAFE_INTEGER

if TYPE_CHECKING:
    from rasura.person_kit import PersonKit
    from rasura.site_kit import SitePapers

__all__ = ["SINCE_OPTION", "hand_in", "key_named", "moment_named", "statement_group"]

_INTEGER = re.compile(r"-?[0-9]{1,16}")
_DOCUMENT = click.argument("document", metavar="BUNDLE", type=PATH)
_AS = click.option(
    "--as", "folder", required=True, metavar="FOLDER", type=PATH, help="The folder of who signs."
)
_REASON = click.option("--reason", required=True, metavar="TEXT", help="Why, in a sentence; it is signed.")
_OUTPUT = click.option(
    "-o", "--output", metavar="FILE", type=PATH, help="Where it goes; left out: ID.json, here."
)
_UNSENT = click.option("--unsent", is_flag=True, help="Do not send it to the registry now.")
SINCE_OPTION = click.option(
    "--since", metavar="TIME", help="Since when it is not believed, as 2026-03-02T10:00:00Z; left out: now."
)


@click.group("statement", epilog=EXIT_CODES_HELP)
def statement_group() -> None:
    """Say something of a certificate: it stays, and the statement stands beside it.

    A person of a site accepts, rejects, corrects or supersedes certificates with a key of their
    own, which a station's can never stand for. A site revokes the keys that it certified. Each
    statement is signed, logged, and handed over with the certificate: rasura verify reads both.

    \b
        rasura statement person SITE/ judge/ --name "operator 7" --role "head of workshop"
        rasura statement accept certificate.json --as judge/
        rasura verify certificate.json ID.json --trust trust.toml
    """


for _command in PERSON_COMMANDS:
    statement_group.add_command(_command)


def _decision(name: str, decision: Ruling, summary: str, reason: Callable[[Any], Any]) -> click.Command:
    @click.command(name, epilog=EXIT_CODES_HELP, help=summary)
    @_DOCUMENT
    @_AS
    @reason
    @click.option("--location", metavar="TEXT", help="Where it was judged.")
    @click.option("--contact", metavar="TEXT", help="How to reach who signs.")
    @_OUTPUT
    @_UNSENT
    def command(
        document: Path,
        folder: Path,
        reason: str | None,
        location: str | None,
        contact: str | None,
        output: Path | None,
        unsent: bool,
    ) -> int:
        about, kit = _about(document), _person(folder)
        said = kit.person.decide(
            about, decision, reason, datetime.now(UTC), location=location, contact=contact
        )
        return hand_in(said, output, None if unsent else kit.papers)

    return command


statement_group.add_command(
    _decision(
        "accept",
        Ruling.ACCEPTED,
        "Accept the certificate or report in BUNDLE: its outcome suffices (validation).",
        click.option("--reason", metavar="TEXT", help="Why, in a sentence; it is signed."),
    )
)
statement_group.add_command(
    _decision(
        "reject", Ruling.REJECTED, "Reject the certificate or report in BUNDLE: it does not suffice.", _REASON
    )
)


@statement_group.command("correct", epilog=EXIT_CODES_HELP)
@_DOCUMENT
@_AS
@click.option(
    "--field",
    required=True,
    metavar="PATH",
    help="The wrong member, as drive.propertyNumber (see show --json).",
)
@click.option("--right", metavar="VALUE", help="What is right.")
@click.option("--unknown", is_flag=True, help="Nobody knows what is right.")
@_REASON
@_OUTPUT
@_UNSENT
def correct_command(
    document: Path,
    folder: Path,
    field: str,
    right: str | None,
    unknown: bool,
    reason: str,
    output: Path | None,
    unsent: bool,
) -> int:
    """Say what the certificate in BUNDLE should say at one place. It changes no verdict.

    \b
        rasura statement correct certificate.json --as judge/ \\
            --field drive.propertyNumber --right P-0417 --reason "misread label"
    """
    if (right is None) != unknown:
        raise UsageError("say what is right: --right VALUE, or --unknown")
    about = _about(document)
    try:
        there = member_at(about.claims, field)
    except ClaimsError as error:
        raise UsageError(str(error), hint="rasura show --json prints the members that there are") from None
    value = None if right is None else _like(there, right, field)
    kit = _person(folder)
    said = kit.person.correct(about, field, value, reason, datetime.now(UTC))
    return hand_in(said, output, None if unsent else kit.papers)


@statement_group.command("supersede", epilog=EXIT_CODES_HELP)
@_DOCUMENT
@click.option("--by", "replacement", required=True, metavar="BUNDLE", type=PATH, help="What takes its place.")
@_AS
@_REASON
@_OUTPUT
@_UNSENT
def supersede_command(
    document: Path, replacement: Path, folder: Path, reason: str, output: Path | None, unsent: bool
) -> int:
    """Say that another certificate takes the place of the one in BUNDLE, which stays as it is."""
    about, instead = _about(document), _about(replacement)
    kit = _person(folder)
    said = kit.person.supersede(about, instead, reason, datetime.now(UTC))
    return hand_in(said, output, None if unsent else kit.papers)


@statement_group.command("revoke", epilog=EXIT_CODES_HELP)
@click.argument("what", metavar="KEY")
@click.option(
    "--site",
    "site_folder",
    required=True,
    metavar="FOLDER",
    type=PATH,
    help="The folder of the site that certified the key.",
)
@_REASON
@SINCE_OPTION
@click.option("--replaced-by", metavar="KEY", help="The key that takes its place.")
@_OUTPUT
@_UNSENT
def revoke_command(
    what: str,
    site_folder: Path,
    reason: str,
    since: str | None,
    replaced_by: str | None,
    output: Path | None,
    unsent: bool,
) -> int:
    """Revoke KEY, a station's or a person's that the site certified.

    KEY is sha256:HEX, a signing certificate in PEM, or a bundle that the key signed. What a log
    held before that time stands. A site's own key is revoked by its registry: rasura-registry
    revoke, or rotate.
    """
    from rasura.side_signing import sign_revocation  # noqa: PLC0415
    from rasura.site_kit import SiteKit, SitePapers, ask_passphrase  # noqa: PLC0415

    now = datetime.now(UTC)
    moment = moment_named(since, now)
    key, instead = key_named(what), key_named(replaced_by) if replaced_by is not None else None
    kit = SiteKit.load(site_folder, ask_passphrase)
    said = sign_revocation(kit.key, kit.certificate, key, moment, reason, now, replaced_by=instead)
    return hand_in(said, output, None if unsent else SitePapers.load(site_folder))


@statement_group.command("send", epilog=EXIT_CODES_HELP)
@click.argument("files", nargs=-1, required=True, metavar="FILE...", type=PATH)
@_AS
@click.option(
    "--registry", "url", metavar="URL", help="The registry, where the folder names none or another one."
)
@REGISTRY_CA_OPTION
def send_command(files: tuple[Path, ...], folder: Path, url: str | None, ca_pin: str | None) -> int:
    """Send statements that are in no log yet, to the registry of a site's or person's FOLDER."""
    from rasura.site_kit import SitePapers  # noqa: PLC0415

    papers = SitePapers.load(folder)
    statements = [(path, rewritable_bundle(path)) for path in files]
    for path, said in statements:
        if not isinstance(said.document, SideStatement):
            raise UsageError(f"{path} holds {said.document.what}, not a statement about one")
    if url is not None:
        papers = msgspec.structs.replace(papers, registry_url=url, registry_ca=ca_pin)
    elif ca_pin is not None:
        raise UsageError("--registry-ca is the pin of the registry in --registry: give both")
    if papers.registry_url is None:
        raise UsageError(f"{folder} names no registry, so nothing is sent", hint="say which: --registry URL")
    for path, said in statements:
        _send(said, path, papers)
    return ExitCode.DONE


def hand_in(said: Bundle, output: Path | None, papers: SitePapers | None) -> int:
    """Keep a statement as a file and have it logged; with no ``papers`` it is only kept."""
    path = output or Path(f"{said.certificate_id}.json")
    if path.exists():
        raise UsageError(f"{path} is there already", hint="name a new file with -o")
    _write(path, said)
    if papers is None:
        click.echo(f"signed      {path}  (in no log yet)")
    elif papers.registry_url is None:
        click.echo(f"signed      {path}  (in no log yet: the folder names no registry)")
        click.echo("            log it with 'rasura statement send', --as FOLDER and --registry URL")
    else:
        _send(said, path, papers)
    return ExitCode.DONE


def _send(said: Bundle, path: Path, papers: SitePapers) -> None:
    from rasura.client import RegistryClient, RegistryError  # noqa: PLC0415

    if papers.registry_url is None:
        raise AssertionError("there is nowhere to send it")
    client = RegistryClient(papers.registry_url, papers.trust.logs, ca_pin=papers.registry_ca)
    try:
        logged = client.put(said)
    except RegistryError as error:
        error.hint = f"it is signed, in {path}: send it later with 'rasura statement send'"
        raise
    finally:
        client.close()
    _write(path, logged)
    click.echo(f"logged      {path}")


def _write(path: Path, said: Bundle) -> None:
    try:
        durable.write_file(path, said.encode())
    except OSError as error:
        raise UsageError(f"cannot write {path}: {error.strerror}") from None


def _about(path: Path) -> Bundle:
    """The certificate or report in a file; raises :class:`UsageError`."""
    bundle = one_bundle(path)
    if isinstance(bundle.document, SideStatement):
        raise UsageError(f"{path} holds {bundle.document.what}, not a certificate or a machine report")
    return bundle


def _person(folder: Path) -> PersonKit:
    from rasura.key_box import Holder  # noqa: PLC0415
    from rasura.person_kit import PersonKit  # noqa: PLC0415
    from rasura.site_kit import ask_passphrase  # noqa: PLC0415

    return PersonKit.load(folder, lambda: ask_passphrase(holder=Holder.PERSON))


def key_named(what: str) -> str:
    """The hex digest of a key that a person names by its hash, a signing certificate, or what it signed.

    Raises:
        UsageError: it is none of these.
    """
    from rasura.envelope import key_id  # noqa: PLC0415
    from rasura.keys import load_certificates, p256_public_key  # noqa: PLC0415

    digest = what.removeprefix("sha256:")
    if digest != what:
        if len(digest) == 64 and set(digest) <= set("0123456789abcdef"):
            return digest
        raise UsageError("a key's hash is sha256: and 64 hexadecimal digits in lower case")
    raw = read_file(Path(what))
    try:
        chain = Bundle.parse(raw).chain if raw[:1] == b"{" else load_certificates(raw)
        return key_id(p256_public_key(chain[0]))
    except (RasuraError, IndexError) as error:
        raise UsageError(f"{what} names no key: {error}") from None


def moment_named(text: str | None, now: datetime) -> datetime:
    """The time that a person gives, or ``now``; raises :class:`UsageError`."""
    moment = now if text is None else parse_time(text)
    if moment is None:
        raise UsageError(f"{text!r} is not a time as 2026-03-02T10:00:00Z")
    return moment


def _like(was: object, right: str, field: str) -> str | int | bool:
    """``right`` as what stands there now."""
    match was:
        case bool():
            if right not in {"true", "false"}:
                raise UsageError(f"{field} is true or false")
            return right == "true"
        case int():
            if not _INTEGER.fullmatch(right) or abs(int(right)) > MAX_SAFE_INTEGER:
                raise UsageError(f"{field} is an integer below 2^53")
            return int(right)
        case dict() | list():
            raise UsageError(f"{field} is no single value", hint="name the member in it that is wrong")
        case _:
            return right
