"""How every Rasura command starts and ends: one sentence for an error, an exit code, never a traceback."""

from __future__ import annotations

import json
import os
import sys
import traceback
from contextlib import suppress
from pathlib import Path
from typing import Any, NoReturn

import click

from rasura.errors import ExitCode, RasuraError, UsageError
from rasura.text import printable

__all__ = ["BUNDLES", "EXIT_CODES_HELP", "JSON", "PATH", "print_json", "read_file", "run", "say_error"]

EXIT_CODES_HELP = "Exit codes: 0 done, 1 the job failed, 2 usage, 3 refused, 4 unknown outcome."


class _NamedPath(click.Path):
    """A path that names something: an empty one, of a variable that was not set, is no way to say "here"."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """See :class:`click.ParamType`."""
        if not os.fspath(value):
            self.fail("an empty path names no file or folder", param, ctx)
        return super().convert(value, param, ctx)


PATH = _NamedPath(path_type=Path)
BUNDLES = click.argument("bundles", nargs=-1, required=True, metavar="BUNDLE...", type=PATH)
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
    if sys.stdout is None:
        # The first file that is opened would get its number, and be written to by what we start.
        say_error(RasuraError("standard output is closed: there is nowhere to say what comes of it"))
        sys.exit(ExitCode.FAILED)
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
        _end_output()  # whoever read it has seen enough
        sys.exit(ExitCode.FAILED)
    except OSError as error:
        if not _is_of_output(error):
            raise
        _end_output()
        with suppress(OSError):  # it may be standard error that is full
            say_error(RasuraError(f"cannot write the output: {error.strerror}"))
        sys.exit(ExitCode.FAILED)
    sys.exit(result if isinstance(result, int) else ExitCode.DONE)


def _is_of_output(error: OSError) -> bool:
    """Whether what was printed could not be written; any other that comes this far is a bug."""
    *_, (innermost, _line) = traceback.walk_tb(error.__traceback__)
    return innermost.f_code in {click.echo.__code__, run.__code__}


def _end_output() -> None:
    """Keep the interpreter from flushing, at its end, into what takes nothing more."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
