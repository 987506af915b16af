"""The ``rasura-registry`` command."""

from __future__ import annotations

import sys

__all__ = ["main"]


def main() -> None:
    """Run the command."""
    try:
        _main()
    except KeyboardInterrupt:
        sys.exit("error: interrupted")  # while modules load; and code 1, as in run


def _main() -> None:
    from importlib.util import find_spec  # noqa: PLC0415  Ctrl-C may come while they load

    from rasura.command import run, say_error  # noqa: PLC0415
    from rasura.errors import UsageError  # noqa: PLC0415
    from rasura_registry.cli import cli  # noqa: PLC0415

    if not all(find_spec(name) for name in ("fastapi", "uvicorn")):
        error = UsageError("rasura-registry needs its extra: pip install 'rasura[registry]'")
        say_error(error)
        sys.exit(error.exit_code)
    run(cli)


if __name__ == "__main__":
    main()
