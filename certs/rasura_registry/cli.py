"""The registry's commands: init, site, seal, serve, check, timestamp-authority, and those of others.

See ``enrolment_cli`` and ``key_cli``.
"""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from pathlib import Path

import click

from rasura import __version__
from rasura.command import EXIT_CODES_HELP, PATH, print_json, read_file
from rasura.errors import ExitCode, UsageError
from rasura.site_kit import PASSPHRASE_FILE, ask_passphrase, seal_site_key
from rasura.text import printable
from rasura.trust import Trust
from rasura_registry.check import check_folder
from rasura_registry.enrolment_cli import ENROLMENT_COMMANDS
from rasura_registry.folder import Folder, add_site, add_timestamp_authorities, initialise
from rasura_registry.key_cli import KEY_COMMANDS
from rasura_registry.timestamps import DEFAULT_INTERVAL_S
from rasura_registry.tls import GivenTls, OwnTls, Tls, parse_names

__all__ = ["cli"]

_FOLDER = click.argument("folder", metavar="DIR", type=PATH)
_JSON = click.option("--json", "as_json", is_flag=True, help="Print facts for machines.")
_URL = click.option(
    "--url", metavar="URL", help="Where stations will find the registry; it goes into the site folders."
)
_PIN = click.option(
    "--registry-ca",
    "ca_pin",
    metavar="PIN",
    help="The pin of its TLS authority (serve --tls prints it); it goes into the site folders too.",
)
_PASSPHRASE = click.option(
    "--passphrase",
    "sealed",
    is_flag=True,
    help=f"Ask for a passphrase and write the site's key under it; {PASSPHRASE_FILE} may name a file.",
)


@click.group(epilog=EXIT_CODES_HELP, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="rasura-registry")
def cli() -> None:
    """Run a registry: an append-only log of erasure certificates.

    A registry lives in one data folder. It certifies sites, takes certificates from their
    stations, and answers each with a receipt: the proof that it is in a log which nobody, the
    registry included, can rewrite unseen.

    \b
        rasura-registry init /srv/rasura --name log.example.org --site Lyon
        rasura-registry serve /srv/rasura
        rasura-registry check /srv/rasura
    """


@cli.command("init", epilog=EXIT_CODES_HELP)
@_FOLDER
@click.option(
    "--name",
    "origin",
    required=True,
    metavar="NAME",
    help="The log's name for ever, such as log.example.org.",
)
@click.option(
    "--site", "sites", multiple=True, metavar="NAME", help="A workshop to certify; may be given again."
)
@_URL
@_PIN
@_PASSPHRASE
@click.option(
    "--authority-key",
    "authority_uri",
    metavar="URI",
    help="Use the P-256 key there, and leave it there: file:PATH, env:NAME or pkcs11:…",
)
@click.option(
    "--log-key",
    "log_uri",
    metavar="URI",
    help="Use the Ed25519 key there, and leave it there: file:PATH or env:NAME.",
)
@_JSON
def init_command(
    folder: Path,
    origin: str,
    sites: tuple[str, ...],
    url: str | None,
    ca_pin: str | None,
    sealed: bool,
    authority_uri: str | None,
    log_uri: str | None,
    as_json: bool,
) -> None:
    """Make a new registry in DIR, which must not exist or be empty.

    It makes the keys, the empty log and, for each --site, a folder sites/NAME to hand to that
    workshop, for its stick or its server. Hand it over safely: it holds the site's private key.
    Give trust.toml to whoever will verify certificates.

    \b
        rasura-registry init /srv/rasura --name log.example.org --site Lyon --site "Saint-Étienne"
    """
    if sealed and not sites:
        raise UsageError("--passphrase is for the keys of sites, and no --site is named")
    verifier_key = initialise(
        folder,
        origin=origin,
        sites=sites,
        url=url,
        now=datetime.now(UTC),
        ca_pin=ca_pin,
        passphrase=ask_passphrase(new=True) if sealed else None,
        authority_uri=authority_uri,
        log_uri=log_uri,
    )
    data = Folder(folder)
    if as_json:
        print_json(
            {
                "folder": str(folder),
                "name": origin,
                "logKey": verifier_key.encode(),
                "trust": str(data.trust),
                "sites": {site: str(data.site(site)) for site in sites},
            }
        )
        return
    click.echo(f"registry    {folder}")
    click.echo(f"log key     {verifier_key.encode()}")
    click.echo(f"trust file  {data.trust}  (give it to auditors)")
    for site in sites:
        _say_site(site, data.site(site))


@cli.command("site", epilog=EXIT_CODES_HELP)
@_FOLDER
@click.argument("name")
@_URL
@_PIN
@_PASSPHRASE
@click.option(
    "--key",
    "key_uri",
    metavar="URI",
    help="Certify the P-256 key there, which stays there: file:PATH, env:NAME or pkcs11:…",
)
@_JSON
def site_command(
    folder: Path,
    name: str,
    url: str | None,
    ca_pin: str | None,
    sealed: bool,
    key_uri: str | None,
    as_json: bool,
) -> None:
    """Certify the site NAME and make its folder DIR/sites/NAME; the server may go on running.

    \b
        rasura-registry site /srv/rasura Grenoble --url https://log.example.org --passphrase
    """
    if sealed and key_uri is not None:
        raise UsageError("--passphrase is for a key that is made here, and --key names one that is there")
    path = add_site(
        folder,
        name,
        url=url,
        now=datetime.now(UTC),
        ca_pin=ca_pin,
        passphrase=ask_passphrase(new=True) if sealed else None,
        key_uri=key_uri,
    )
    if as_json:
        print_json({"site": name, "folder": str(path)})
    else:
        _say_site(name, path)


@cli.command("seal", epilog=EXIT_CODES_HELP)
@click.argument("site_folder", metavar="SITEFOLDER", type=PATH)
def seal_command(site_folder: Path) -> None:
    """Put the key in SITEFOLDER under a passphrase.

    The file changes in one step. What the medium held before may still be found on it: a stick
    that has been in doubtful hands needs a new site key, not a passphrase.

    \b
        rasura-registry seal /srv/rasura/sites/Lyon
    """
    try:
        seal_site_key(site_folder, lambda: ask_passphrase(new=True))
    except OSError as error:
        raise UsageError(f"cannot write the key in {site_folder}: {error.strerror}") from None
    click.echo(f"sealed      {site_folder}: its key now asks for the passphrase")


@cli.command("serve", epilog=EXIT_CODES_HELP)
@_FOLDER
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen on.")
@click.option(
    "--port", default=8440, show_default=True, type=click.IntRange(0, 65535), help="0 takes a free one."
)
@click.option("--port-file", type=PATH, help="Write the port here once it accepts.")
@click.option(
    "--tls",
    "names",
    metavar="HOST[,HOST...]",
    help="Serve HTTPS under these names or IP addresses, by a TLS authority of its own.",
)
@click.option("--tls-certificate", metavar="FILE", type=PATH, help="Serve HTTPS with this chain in PEM.")
@click.option("--tls-key", metavar="FILE", type=PATH, help="The private key of --tls-certificate.")
@click.option(
    "--timestamp-url",
    metavar="URL",
    help="Have the log's checkpoints timestamped there (RFC 3161); trust.toml must name who answers.",
)
@click.option(
    "--timestamp-interval",
    metavar="SECONDS",
    type=click.FloatRange(1, 30 * 86400),
    default=DEFAULT_INTERVAL_S,
    show_default=True,
    help="How often, if there is anything new.",
)
@click.option(
    "--witness",
    "witnesses",
    nargs=2,
    multiple=True,
    metavar="URL KEY",
    help="Have this witness cosign what is published; may be given again.",
)
@click.option(
    "--witness-every",
    "ask_every_s",
    default=10,
    show_default=True,
    metavar="SECONDS",
    type=click.IntRange(1, 86400),
    help="How often each witness is asked at most.",
)
def serve_command(
    folder: Path,
    host: str,
    port: int,
    port_file: Path | None,
    names: str | None,
    tls_certificate: Path | None,
    tls_key: Path | None,
    timestamp_url: str | None,
    timestamp_interval: float,
    witnesses: tuple[tuple[str, str], ...],
    ask_every_s: int,
) -> None:
    """Serve the registry in DIR until SIGTERM or Ctrl-C.

    Without TLS anybody in between can read and hold back what stations send. With --tls it makes
    an authority of its own in DIR/tls, once, and prints its pin: stations that are told the pin
    (rasura.ca=, --registry-ca, ca in site.toml) talk to this registry and no other. Alerts go to
    standard error.

    Witnesses (rasura witness) never delay a certificate. Their cosignatures are published with the
    checkpoint, and are on the receipts that are asked for later (GET /certificates/ID).

    \b
        rasura-registry serve /srv/rasura --host 0.0.0.0 --tls registry.lan,192.168.1.10
    """
    # The web framework takes a second to load, which the other commands do without.
    from rasura_registry.server import serve, write_port  # noqa: PLC0415
    from rasura_registry.witnesses import parse_witness  # noqa: PLC0415

    logging.basicConfig(format="%(asctime)s %(levelname)s %(name)s: %(message)s", level=logging.WARNING)
    tls = _tls(Folder(folder), names, tls_certificate, tls_key)
    asked = tuple(parse_witness(*one) for one in witnesses)
    if len({one.key for one in asked}) < len(asked):
        raise UsageError("a witness is named twice: its key counts once")

    def announce(address: str, actual_port: int) -> None:
        if port_file is not None:
            write_port(port_file, actual_port)
        shown = f"[{address}]" if ":" in address else address
        click.echo(f"listening on {'http' if tls is None else 'https'}://{shown}:{actual_port}")
        if tls is not None and tls.pin is not None:
            click.echo(f"rasura.ca={tls.pin}")

    serve(
        folder,
        host,
        port,
        announce,
        tls,
        asked,
        ask_every_s,
        timestamp_url=timestamp_url,
        timestamp_interval_s=timestamp_interval,
    )


def _tls(folder: Folder, names: str | None, certificate: Path | None, key: Path | None) -> Tls | None:
    if (certificate is None) != (key is None):
        raise UsageError("--tls-certificate and --tls-key belong together")
    if certificate is not None and key is not None:
        if names is not None:
            raise UsageError("--tls makes a certificate and --tls-certificate names one: give one of them")
        return GivenTls(certificate, key)
    if names is None:
        return None
    return OwnTls(folder.tls, parse_names(names), folder.load_trust().logs[0].name)


@cli.command("check", epilog=EXIT_CODES_HELP)
@_FOLDER
@click.option(
    "--trust",
    "copy_file",
    metavar="FILE",
    type=PATH,
    help="A trust.toml as auditors were given it; it is compared with DIR/trust.toml and the log too.",
)
@_JSON
def check_command(folder: Path, copy_file: Path | None, as_json: bool) -> int:
    """Verify the whole log in DIR again: bodies, entries, tiles, every signed checkpoint.

    DIR/trust.toml must revoke the keys that the log revokes, and no others. It changes nothing and
    may run beside the server. It ends with 0 if everything holds, with 1 if not, and says what.

    \b
        rasura-registry check /srv/rasura
        rasura-registry check /srv/rasura --trust /var/www/trust.toml
    """
    copy = Trust.parse(read_file(copy_file).decode("utf-8", "replace")) if copy_file is not None else None
    report = check_folder(folder, copy, str(copy_file))
    if as_json:
        print_json(
            {
                "name": report.origin,
                "holds": not report.problems,
                "entries": report.entries,
                "published": report.published,
                "checkpoints": report.checkpoints,
                "timestamps": report.timestamps,
                "revoked": report.revoked,
                "problems": list(report.problems),
                "trustProblems": list(report.trust_problems),
            }
        )
    else:
        for problem in (*report.problems, *report.trust_problems):
            click.echo(f"WRONG  {printable(problem)}")
        verdict = "DOES NOT HOLD" if report.problems else "holds"
        click.echo(
            f"the log {report.origin} {verdict}: {report.entries} entries, "
            f"{report.published} of them published, {report.checkpoints} signed checkpoints"
            + (f", {report.timestamps} timestamps" if report.timestamps else "")
            + (f", {report.revoked} revoked keys" if report.revoked else "")
            + ("; the trust file does NOT FIT it" if report.trust_problems else "")
        )
    return ExitCode.FAILED if report.problems or report.trust_problems else ExitCode.DONE


@cli.command("timestamp-authority", epilog=EXIT_CODES_HELP)
@_FOLDER
@click.argument("file", metavar="FILE", type=PATH)
def timestamp_authority_command(folder: Path, file: Path) -> None:
    """Name in DIR/trust.toml whose timestamps count: the root certificates in FILE (PEM).

    Then start the server again with --timestamp-url, and give auditors the new trust.toml: who
    has an older one verifies certificates as before, without their timestamps.

    \b
        rasura-registry timestamp-authority /srv/rasura tsa-root.pem
    """
    names = add_timestamp_authorities(folder, read_file(file))
    for name in names:
        click.echo(f"trusted     {printable(name)}")
    click.echo(f"trust file  {Folder(folder).trust}  (give it to auditors)")


for _command in (*ENROLMENT_COMMANDS, *KEY_COMMANDS):
    cli.add_command(_command)


def _say_site(name: str, path: Path) -> None:
    click.echo(f"site        {name}: {path}  (hand it over, it holds a private key)")
