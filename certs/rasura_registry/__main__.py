"""The ``rasura-registry`` command."""

from __future__ import annotations

import sys
from importlib.util import find_spec

from rasura.command import run, say_error
from rasura.errors import UsageError
from rasura_registry.cli import cli

__all__ = ["main"]


def main() -> None:
    """Run the command."""
    if not all(find_spec(name) for name in ("fastapi", "uvicorn")):
        error = UsageError("rasura-registry needs its extra: pip install 'rasura[registry]'")
        say_error(error)
        sys.exit(error.exit_code)
    run(cli)


if __name__ == "__main__":
    main()
