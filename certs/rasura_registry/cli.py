"""The registry's commands: init, site, serve, check."""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from pathlib import Path

import click

from rasura import __version__
from rasura.command import EXIT_CODES_HELP, print_json
from rasura.errors import ExitCode
from rasura.text import printable
from rasura_registry.check import check_folder
from rasura_registry.folder import Folder, add_site, initialise

__all__ = ["cli"]

_FOLDER = click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
_JSON = click.option("--json", "as_json", is_flag=True, help="Print facts for machines.")
_URL = click.option(
    "--url", metavar="URL", help="Where stations will find the registry; it goes into the site folders."
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
@_JSON
def init_command(folder: Path, origin: str, sites: tuple[str, ...], url: str | None, as_json: bool) -> None:
    """Make a new registry in DIR, which must not exist or be empty.

    It makes the keys, the empty log and, for each --site, a folder sites/NAME to hand to that
    workshop, for its stick or its server. Hand it over safely: it holds the site's private key.
    Give trust.toml to whoever will verify certificates.

    \b
        rasura-registry init /srv/rasura --name log.example.org --site Lyon --site "Saint-Étienne"
    """
    verifier_key = initialise(folder, origin=origin, sites=sites, url=url, now=datetime.now(UTC))
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
@_JSON
def site_command(folder: Path, name: str, url: str | None, as_json: bool) -> None:
    """Certify the site NAME and make its folder DIR/sites/NAME; the server may go on running.

    \b
        rasura-registry site /srv/rasura Grenoble --url https://log.example.org
    """
    path = add_site(folder, name, url=url, now=datetime.now(UTC))
    if as_json:
        print_json({"site": name, "folder": str(path)})
    else:
        _say_site(name, path)


@cli.command("serve", epilog=EXIT_CODES_HELP)
@_FOLDER
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen on.")
@click.option(
    "--port", default=8440, show_default=True, type=click.IntRange(0, 65535), help="0 takes a free one."
)
@click.option("--port-file", type=click.Path(path_type=Path), help="Write the port here once it accepts.")
def serve_command(folder: Path, host: str, port: int, port_file: Path | None) -> None:
    """Serve the registry in DIR until SIGTERM or Ctrl-C.

    It speaks plain HTTP: put a web server with TLS before it when stations come from elsewhere.
    Alerts go to standard error.

    \b
        rasura-registry serve /srv/rasura --host 0.0.0.0
    """
    # The web framework takes a second to load, which the other commands do without.
    from rasura_registry.server import serve, write_port  # noqa: PLC0415

    logging.basicConfig(format="%(asctime)s %(levelname)s %(name)s: %(message)s", level=logging.WARNING)

    def announce(address: str, actual_port: int) -> None:
        if port_file is not None:
            write_port(port_file, actual_port)
        shown = f"[{address}]" if ":" in address else address
        click.echo(f"listening on http://{shown}:{actual_port}")

    serve(folder, host, port, announce)


@cli.command("check", epilog=EXIT_CODES_HELP)
@_FOLDER
@_JSON
def check_command(folder: Path, as_json: bool) -> int:
    """Verify the whole log in DIR again: bodies, entries, tiles, every signed checkpoint.

    It changes nothing and may run beside the server. It ends with 0 if everything holds, with 1
    if not, and says what.

    \b
        rasura-registry check /srv/rasura
    """
    report = check_folder(folder)
    if as_json:
        print_json(
            {
                "name": report.origin,
                "holds": not report.problems,
                "entries": report.entries,
                "published": report.published,
                "checkpoints": report.checkpoints,
                "problems": list(report.problems),
            }
        )
    else:
        for problem in report.problems:
            click.echo(f"WRONG  {printable(problem)}")
        verdict = "DOES NOT HOLD" if report.problems else "holds"
        click.echo(
            f"the log {report.origin} {verdict}: {report.entries} entries, "
            f"{report.published} of them published, {report.checkpoints} signed checkpoints"
        )
    return ExitCode.FAILED if report.problems else ExitCode.DONE


def _say_site(name: str, path: Path) -> None:
    click.echo(f"site        {name}: {path}  (hand it over, it holds a private key)")
