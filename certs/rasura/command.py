"""How every Rasura command starts and ends: one sentence for an error, an exit code, never a traceback."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any, NoReturn

import click

from rasura.errors import ExitCode, RasuraError, UsageError
from rasura.text import printable

__all__ = ["BUNDLES", "EXIT_CODES_HELP", "JSON", "print_json", "read_file", "run", "say_error"]

EXIT_CODES_HELP = "Exit codes: 0 done, 1 the job failed, 2 usage, 3 refused, 4 unknown outcome."
BUNDLES = click.argument(
    "bundles", nargs=-1, required=True, metavar="BUNDLE...", type=click.Path(path_type=Path)
)
JSON = click.option("--json", "as_json", is_flag=True, help="Print facts for machines.")

_MOST_BYTES = 256 << 20
_USUAL_BYTES = 64 << 10
"""No more is asked for at first: memory for the most would be set aside for every small file."""


def say_error(error: RasuraError) -> None:
    """Print the sentence and what to do next, on standard error."""
    click.echo(f"error: {printable(str(error))}", err=True)
    if error.hint is not None:
        click.echo(f"       {printable(error.hint)}", err=True)


def read_file(path: Path) -> bytes:
    """What a file that the user named holds; raises :class:`UsageError`."""
    try:
        with path.open("rb") as stream:
            raw = stream.read(_USUAL_BYTES)
            if len(raw) == _USUAL_BYTES:
                raw += stream.read(_MOST_BYTES + 1 - len(raw))
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}") from None
    if len(raw) > _MOST_BYTES:
        raise UsageError(f"{path} has more than {_MOST_BYTES >> 20} MiB: that is nothing of ours")
    return raw


def print_json(value: Any) -> None:
    """Print facts for machines."""
    click.echo(json.dumps(value, indent=2, ensure_ascii=False))


def run(command: click.Command) -> NoReturn:
    """Run a click command as the whole process."""
    try:
        result = command.main(standalone_mode=False)
        sys.stdout.flush()
    except RasuraError as error:
        say_error(error)
        sys.exit(error.exit_code)
    except click.ClickException as error:
        error.show()
        sys.exit(ExitCode.USAGE)
    except (click.Abort, KeyboardInterrupt):
        click.echo("error: interrupted", err=True)
        sys.exit(ExitCode.FAILED)
    except BrokenPipeError:
        # Whoever read our output has seen enough; keep the interpreter from flushing into the broken pipe.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(ExitCode.FAILED)
    sys.exit(result if isinstance(result, int) else ExitCode.DONE)
