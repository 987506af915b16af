"""``rasura statement person``, ``request``, ``certify``, ``receive``: how a person comes to a key."""

from __future__ import annotations

import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import click

from rasura import durable
from rasura.command import EXIT_CODES_HELP, PATH, read_file
from rasura.errors import RasuraError, UsageError
from rasura.text import printable

__all__ = ["PERSON_COMMANDS"]

_MOST_DAYS = 183
"""As :data:`rasura.keys.PERSON_LIFETIME`, which a command's help need not load."""


@click.command("person", epilog=EXIT_CODES_HELP)
@click.argument("site_folder", metavar="SITEFOLDER", type=PATH)
@click.argument("folder", metavar="FOLDER", type=PATH)
@click.option("--name", required=True, help="A name, or a pseudonym that the site can resolve.")
@click.option("--role", required=True, help="What they are at the site.")
def person_command(site_folder: Path, folder: Path, name: str, role: str) -> None:
    """Make a person's key in FOLDER, certified by the site whose folder is SITEFOLDER.

    It lasts for six months and lies under a passphrase, which the person should type.
    """
    from rasura.key_box import Holder  # noqa: PLC0415  as all below: not for those who verify
    from rasura.person_kit import write_person_kit  # noqa: PLC0415
    from rasura.site_kit import SiteKit, ask_passphrase  # noqa: PLC0415

    kit = SiteKit.load(site_folder, ask_passphrase)
    if folder.exists():
        raise UsageError(f"{folder} is there already", hint="name a new folder")
    passphrase = ask_passphrase(new=True, holder=Holder.PERSON)
    now = datetime.now(UTC)
    try:
        write_person_kit(folder, site_folder, kit, name=name, role=role, passphrase=passphrase, now=now)
    except OSError as error:
        raise UsageError(f"cannot make {folder}: {error.strerror}") from None
    click.echo(f"person      {name}, {role} of {kit.site}: {folder}")


@click.command("request", epilog=EXIT_CODES_HELP)
@click.argument("folder", metavar="FOLDER", type=PATH)
@click.option("--site", required=True, metavar="NAME", help="The site that is to certify it.")
@click.option("--name", required=True, help="Your name, or a pseudonym that the site can resolve.")
@click.option("--role", required=True, help="What you are at the site.")
@click.option(
    "--key",
    "key_uri",
    metavar="URI",
    help="Use the P-256 key there, and leave it there: file:PATH, env:NAME or pkcs11:…",
)
def request_command(folder: Path, site: str, name: str, role: str, key_uri: str | None) -> None:
    """Make your key in FOLDER, on your own machine, and the request that the site is to certify.

    Send FOLDER/request.pem to whoever holds the site's key, and read them the hash of the key that
    is printed, by another way than the one you sent it: that is how they know it is yours.

    \b
        rasura statement request judge/ --site Workshop --name "operator 7" --role "head of workshop"
    """
    from rasura.key_box import Holder  # noqa: PLC0415
    from rasura.person_kit import REQUEST_FILE, write_request_kit  # noqa: PLC0415
    from rasura.site_kit import ask_passphrase  # noqa: PLC0415

    if folder.exists():
        raise UsageError(f"{folder} is there already", hint="name a new folder")
    try:
        request = write_request_kit(
            folder,
            site=site,
            name=name,
            role=role,
            key_uri=key_uri,
            passphrase=lambda new: ask_passphrase(new=new, holder=Holder.PERSON),
        )
    except OSError as error:
        raise UsageError(f"cannot make {folder}: {error.strerror}") from None
    click.echo(f"request     {folder / REQUEST_FILE}  (send it to the site)")
    click.echo(f"key         {request.key_hash}  (read it to them by another way)")


@click.command("certify", epilog=EXIT_CODES_HELP)
@click.argument("site_folder", metavar="SITEFOLDER", type=PATH)
@click.argument("request_file", metavar="REQUEST", type=PATH)
@click.option(
    "-o", "--output", required=True, metavar="FILE", type=PATH, help="Where the signing certificate goes."
)
@click.option("--name", help="How they are to be called; left out: as they ask.")
@click.option("--role", help="What they are at the site; left out: what they ask.")
@click.option(
    "--days",
    default=_MOST_DAYS,
    show_default=True,
    type=click.IntRange(1, _MOST_DAYS),
    help="How long it is valid.",
)
@click.option(
    "--key-is", "expected", metavar="KEY", help="The key's hash, sha256:HEX, as the person read it to you."
)
def certify_command(
    site_folder: Path,
    request_file: Path,
    output: Path,
    name: str | None,
    role: str | None,
    days: int,
    expected: str | None,
) -> None:
    """Certify the person whose REQUEST it is, by the key of the site whose folder is SITEFOLDER.

    Give FILE back to them: it is a certificate and no secret. Who they are, and in which role, is
    your word. One name is one person: who is certified under another's name speaks for them.

    \b
        rasura statement certify registry/sites/Workshop request.pem -o certified.pem --key-is sha256:…
    """
    from rasura.keys import certificate_pem  # noqa: PLC0415
    from rasura.person_kit import certify_person  # noqa: PLC0415
    from rasura.person_request import PersonRequest  # noqa: PLC0415
    from rasura.site_kit import SiteKit, ask_passphrase  # noqa: PLC0415

    request = PersonRequest.parse(read_file(request_file))
    if output.exists():
        raise UsageError(f"{output} is there already", hint="name a new file with -o")
    click.echo(f"asks        {request.name}, {request.role} of {printable(request.site)}")
    _compare(request.key_hash, expected)
    kit = SiteKit.load(site_folder, ask_passphrase)
    name, role = request.name if name is None else name, request.role if role is None else role
    lifetime = timedelta(days=days)
    chain = certify_person(kit, request, name=name, role=role, now=datetime.now(UTC), lifetime=lifetime)
    try:
        durable.write_file(output, certificate_pem(*chain))
    except OSError as error:
        raise UsageError(f"cannot write {output}: {error.strerror}") from None
    click.echo(f"certified   {name}, {role} of {kit.site}, until {chain[0].not_valid_after_utc:%Y-%m-%d}")
    click.echo(f"give back   {output}")


def _compare(found: str, expected: str | None) -> None:
    """A request says nothing of who sent it; the person does, by another way."""
    if expected is None:
        if not sys.stdin.isatty():
            raise UsageError(
                f"nobody has compared the key of the request, {found}",
                hint="say what the person read to you: --key-is sha256:…",
            )
        if not click.confirm(f"Does the person read you exactly {found}?", err=True):
            raise UsageError("the key of the request is not the person's: somebody exchanged it")
    elif expected != found:
        raise UsageError(f"the key of the request is {found}, not what the person read to you")


@click.command("receive", epilog=EXIT_CODES_HELP)
@click.argument("folder", metavar="FOLDER", type=PATH)
@click.argument("file", metavar="FILE", type=PATH)
@click.option(
    "--trust",
    "trust_file",
    required=True,
    metavar="FILE",
    type=PATH,
    help="The trust.toml of the registry, obtained from a source you believe.",
)
@click.option("--url", metavar="URL", help="Where the registry is that statements are sent to.")
@click.option("--registry-ca", "ca_pin", metavar="PIN", help="The pin of its TLS authority.")
@click.option(
    "--as-certified", is_flag=True, help="Take it though it gives another name or role than you asked for."
)
def receive_command(
    folder: Path, file: Path, trust_file: Path, url: str | None, ca_pin: str | None, as_certified: bool
) -> None:
    """Put the signing certificate in FILE, which the site gave back, into FOLDER with your key.

    \b
        rasura statement receive judge/ certified.pem --trust trust.toml --url https://registry.example
        rasura statement accept certificate.json --as judge/
    """
    from rasura.keys import load_certificates  # noqa: PLC0415
    from rasura.person_kit import receive_certificate  # noqa: PLC0415
    from rasura.trust import Trust  # noqa: PLC0415

    trust = Trust.parse(read_file(trust_file).decode("utf-8", "replace"))
    try:
        chain = load_certificates(read_file(file))
    except UsageError:
        raise
    except RasuraError as error:
        raise UsageError(f"{file} holds no signing certificate: {error}") from None
    try:
        signer = receive_certificate(
            folder, chain, trust, as_certified=as_certified, registry_url=url, registry_ca=ca_pin
        )
    except OSError as error:
        raise UsageError(f"cannot write into {folder}: {error.strerror}") from None
    until = f"{chain[0].not_valid_after_utc:%Y-%m-%d}"
    click.echo(
        f"person      {printable(f'{signer.name}, {signer.role} of {signer.site}, until {until}')}: {folder}"
    )


PERSON_COMMANDS = (person_command, request_command, certify_command, receive_command)
