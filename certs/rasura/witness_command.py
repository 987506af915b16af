"""``rasura witness``: cosign a registry's checkpoints, so that it cannot show each reader another tree."""

from __future__ import annotations

import signal
import threading
import time
from pathlib import Path
from types import FrameType

import click

from rasura import durable
from rasura.command import EXIT_CODES_HELP, PATH, read_file
from rasura.errors import UsageError
from rasura.note import NoteError, VerifierKey
from rasura.trust import Trust

__all__ = ["witness_command"]

_FOLDER = click.argument("folder", metavar="DIR", type=PATH)


@click.group("witness", epilog=EXIT_CODES_HELP)
def witness_command() -> None:
    """Be a witness of registries: cosign their checkpoints, and never two that contradict each other.

    \b
        rasura witness new /srv/witness --name witness.example --trust trust.toml
        rasura witness serve /srv/witness --host 0.0.0.0
        rasura-registry serve registry --witness http://witness.example:8450 KEY
    """


@witness_command.command("new", epilog=EXIT_CODES_HELP)
@_FOLDER
@click.option(
    "--name", required=True, metavar="NAME", help="Its name for ever, such as witness.example/2026."
)
@click.option("--log", "keys", multiple=True, metavar="KEY", help="A log's verifier key; may be given again.")
@click.option(
    "--trust",
    "trust_files",
    multiple=True,
    metavar="FILE",
    type=PATH,
    help="The logs that a trust.toml names.",
)
def new_command(folder: Path, name: str, keys: tuple[str, ...], trust_files: tuple[Path, ...]) -> None:
    """Make a witness in DIR, which must not exist or be empty, and print its key.

    Give the key to the registry, and to the auditors who count on the witness. DIR holds the
    private key and what was cosigned last; never run two copies of it, and restore none.
    """
    from rasura.witness import new_witness  # noqa: PLC0415  the help needs none of it

    try:
        logs = [VerifierKey.parse(key) for key in keys]
    except NoteError as error:
        raise UsageError(f"--log is not the key of a log: {error}") from None
    for path in trust_files:
        logs.extend(Trust.parse(read_file(path).decode("utf-8", "replace")).logs)
    verifier_key = new_witness(folder, name, tuple(dict.fromkeys(logs)))
    click.echo(verifier_key.encode())


@witness_command.command("key", epilog=EXIT_CODES_HELP)
@_FOLDER
def key_command(folder: Path) -> None:
    """Print the verifier key of the witness in DIR."""
    from rasura.witness import read_verifier_key  # noqa: PLC0415

    click.echo(read_verifier_key(folder).encode())


@witness_command.command("serve", epilog=EXIT_CODES_HELP)
@_FOLDER
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen on.")
@click.option(
    "--port", default=8450, show_default=True, type=click.IntRange(0, 65535), help="0 takes a free one."
)
@click.option("--port-file", type=PATH, help="Write the port here once it accepts.")
def serve_command(folder: Path, host: str, port: int, port_file: Path | None) -> None:
    """Serve the witness in DIR until SIGTERM or Ctrl-C: POST /add-checkpoint of c2sp.org/tlog-witness.

    It needs no TLS: what it is sent is public and signed, and what it answers is signed too.
    """
    from rasura.witness import open_witness  # noqa: PLC0415
    from rasura.witness_server import WitnessServer, serve_until  # noqa: PLC0415

    def announce(address: str, actual_port: int) -> None:
        if port_file is not None:
            try:
                durable.write_file(port_file, f"{actual_port}\n".encode())
            except OSError as error:
                raise UsageError(f"cannot write {port_file}: {error.strerror}") from None
        shown = f"[{address}]" if ":" in address else address
        click.echo(f"listening on http://{shown}:{actual_port}")

    with open_witness(folder, lambda: int(time.time())) as witness:
        server = WitnessServer(witness, host, port)

        def stop(_: int, __: FrameType | None) -> None:
            # shutdown waits for the loop that this very thread runs.
            threading.Thread(target=server.shutdown).start()

        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, stop)
        serve_until(server, announce)
