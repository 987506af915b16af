"""The operator's commands about keys: revoke one, give a site a new one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import click

from rasura import durable
from rasura.bundle import Bundle
from rasura.command import EXIT_CODES_HELP, PATH
from rasura.envelope import key_id
from rasura.errors import UsageError
from rasura.key_source import load_signing_key
from rasura.keys import load_certificates, p256_public_key
from rasura.side_signing import sign_revocation
from rasura.site_kit import PASSPHRASE_FILE, SitePapers, ask_passphrase
from rasura.statement_commands import SINCE_OPTION, key_named, moment_named
from rasura_registry.errors import FolderError, FolderInUseError
from rasura_registry.folder import Folder, add_site
from rasura_registry.log import Conflict, Submission

__all__ = ["KEY_COMMANDS"]

_FOLDER = click.argument("folder", metavar="DIR", type=PATH)
_REASON = click.option("--reason", required=True, metavar="TEXT", help="Why, in a sentence; it is signed.")
_URL = click.option(
    "--url", metavar="URL", help="Where the registry in DIR runs; left out: it does not run now."
)
_PIN = click.option("--registry-ca", "ca_pin", metavar="PIN", help="The pin of its TLS authority.")
_LOG_S = 60.0

Logs = Callable[[Bundle], Bundle]
"""Has a statement logged; returns it with its receipt."""


@click.command("revoke", epilog=EXIT_CODES_HELP)
@_FOLDER
@click.argument("what", metavar="KEY")
@_REASON
@SINCE_OPTION
@_URL
@_PIN
@click.option("-o", "--output", metavar="FILE", type=PATH, help="Write the revocation there too.")
def revoke_command(
    folder: Path,
    what: str,
    reason: str,
    since: str | None,
    url: str | None,
    ca_pin: str | None,
    output: Path | None,
) -> None:
    """Revoke KEY, a site's, a station's or a person's, in the name of the registry's authority.

    KEY is sha256:HEX, a signing certificate in PEM, or a bundle that the key signed. The revocation
    is logged, and DIR/trust.toml names the key from then on. What the log held before that time
    stands; what it takes in later by that key is not genuine.

    \b
        rasura-registry revoke /srv/rasura stolen/site.pem --reason "stick lost" --since 2026-03-02T10:00:00Z
    """
    now = datetime.now(UTC)
    moment, key = moment_named(since, now), key_named(what)
    data = Folder(folder)
    with _logging(data, url, ca_pin) as log:
        logged = log(_sign(data, key, moment, reason, now, None))
    if output is not None:
        _write(output, logged)
    click.echo(f"revoked     sha256:{key}")
    click.echo(f"logged      {logged.certificate_id}")


@click.command("rotate", epilog=EXIT_CODES_HELP)
@_FOLDER
@click.argument("site")
@_REASON
@SINCE_OPTION
@_URL
@_PIN
@click.option(
    "--passphrase",
    "sealed",
    is_flag=True,
    help=f"Ask for a passphrase and write the new key under it; {PASSPHRASE_FILE} may name a file.",
)
@click.option(
    "--key",
    "key_uri",
    metavar="URI",
    help="Certify the new P-256 key there, which stays there: file:PATH, env:NAME or pkcs11:…",
)
def rotate_command(
    folder: Path,
    site: str,
    reason: str,
    since: str | None,
    url: str | None,
    ca_pin: str | None,
    sealed: bool,
    key_uri: str | None,
) -> None:
    """Give SITE a new key, and revoke the one in DIR/sites/SITE; the old folder stands beside the new one.

    Certificates that the old key's stations signed are refused once that time has come: unless the
    key was stolen, give a time (--since) by which all of them have been sent.
    """
    now = datetime.now(UTC)
    moment = moment_named(since, now)
    data = Folder(folder)
    old = data.known_site(site)
    papers = SitePapers.load(old)
    if sealed and key_uri is not None:
        raise UsageError("--passphrase is for a key that is made here, and --key names one that is there")
    before = key_id(p256_public_key(papers.certificate))
    if key_uri is not None:
        given = load_signing_key(key_uri, what=f"the new key of the site {site}")
        if key_id(given.public_key()) == before:
            raise UsageError(f"--key names the key that {site} has already")
    passphrase = ask_passphrase(new=True) if sealed else None
    aside = old.with_name(f"{site} until {now:%Y-%m-%d %H%M%S}")
    with _logging(data, url, ca_pin) as log:
        try:
            old.rename(aside)
        except OSError as error:
            raise FolderError(f"cannot move {old} aside: {error.strerror}") from None
        try:
            path = add_site(
                folder,
                site,
                url=papers.registry_url,
                now=now,
                ca_pin=papers.registry_ca,
                passphrase=passphrase,
                key_uri=key_uri,
            )
        except BaseException:
            aside.rename(old)
            raise
        new = key_id(p256_public_key(SitePapers.load(path).certificate))
        logged = log(_sign(data, before, moment, reason, now, new))
    click.echo(f"site        {site}: {path}  (hand it over, it holds a private key)")
    click.echo(f"revoked     the key in {aside}: destroy that folder when nothing of it waits to be sent")
    click.echo(f"logged      {logged.certificate_id}")


KEY_COMMANDS = (revoke_command, rotate_command)


def _sign(
    data: Folder, key: str, since: datetime, reason: str, now: datetime, replaced_by: str | None
) -> Bundle:
    authority_key = data.load_authority_key()
    authority = load_certificates(data.read(data.authority))[0]
    if key == key_id(p256_public_key(authority)):
        raise UsageError("the authority's own key cannot be revoked: auditors need another trust file")
    return sign_revocation(authority_key, authority, key, since, reason, now, replaced_by=replaced_by)


@contextmanager
def _logging(data: Folder, url: str | None, ca_pin: str | None) -> Iterator[Logs]:
    """A way into the log, found before anything is changed: the running server's, or the folder's own."""
    if url is not None:
        from rasura.client import RegistryClient  # noqa: PLC0415  not for the other commands

        client = RegistryClient(url, data.load_trust().logs, ca_pin=ca_pin)
        try:
            client.checkpoint()
            yield client.put
        finally:
            client.close()
        return
    from rasura_registry.registry import open_registry  # noqa: PLC0415

    try:
        with open_registry(data.root) as registry:

            def log_here(said: Bundle) -> Bundle:
                taken = registry.take(said.certificate_id, said.encode())
                answer = registry.log_it(taken).result(_LOG_S) if isinstance(taken, Submission) else taken
                if isinstance(answer, Conflict):
                    raise UsageError("another document with this id is in the log already")
                return said.with_receipt(answer.receipt)

            yield log_here
    except FolderInUseError as error:
        error.hint = "it is running: say where with --url"
        raise


def _write(path: Path, said: Bundle) -> None:
    try:
        durable.write_file(path, said.encode())
    except OSError as error:
        raise UsageError(f"cannot write {path}: {error.strerror}") from None
