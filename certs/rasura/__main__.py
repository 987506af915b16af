"""The ``rasura`` command."""

from rasura.cli import cli
from rasura.command import run

__all__ = ["main"]


def main() -> None:
    """Run the command."""
    run(cli)


if __name__ == "__main__":
    main()
