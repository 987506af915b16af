"""The ``rasura-agent`` command."""

import gc
import sys

__all__ = ["main"]


def main() -> None:
    """Run the command; without the extra's packages, say how to get them.

    No cycles are searched for while its modules load, as in ``rasura``: nothing of it goes away again.
    """
    gc.disable()
    try:
        _main()
    except KeyboardInterrupt:
        sys.exit("error: interrupted")  # while modules load; and code 1, as in run


def _main() -> None:
    from rasura.command import run, say_error  # noqa: PLC0415  Ctrl-C may come while they load
    from rasura.errors import ExitCode, UsageError  # noqa: PLC0415

    try:
        from rasura_agent.cli import cli  # noqa: PLC0415  it needs the extra's packages
    except ModuleNotFoundError as error:
        say_error(
            UsageError(
                f"rasura-agent needs its extra ({error.name} is missing)", hint="pip install 'rasura[agent]'"
            )
        )
        sys.exit(ExitCode.USAGE)
    gc.freeze()
    gc.enable()
    run(cli)


if __name__ == "__main__":
    main()
