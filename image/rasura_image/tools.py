"""Running programs, and Debian's own build tools without installing them."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from rasura_image.errors import BuildError, HostError

__all__ = ["ToolTree", "require", "run", "unpack_deb"]

_LIBRARIES = ("usr/lib/x86_64-linux-gnu", "lib/x86_64-linux-gnu")
_SHOWN_LINES = 12


def require(programs: Mapping[str, str]) -> None:
    """See that programs are there; ``programs`` maps each to the Debian package that brings it.

    Raises:
        HostError: some are missing; the sentence says how to install them.
    """
    path = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
    missing = [program for program in programs if shutil.which(program, path=path) is None]
    if missing:
        packages = " ".join(sorted({programs[program] for program in missing}))
        raise HostError(f"{', '.join(missing)} cannot be found", hint=f"apt-get install {packages}")


def run(
    command: Sequence[str | Path],
    *,
    env: Mapping[str, str] | None = None,
    stdin: Path | None = None,
    cwd: Path | None = None,
) -> str:
    """Run a program to its end and return what it printed; ``env`` is added to a small, fixed one.

    Raises:
        BuildError: it failed; the sentence ends with the last lines it said.
    """
    surroundings = {
        "PATH": f"{os.environ.get('PATH', '/usr/bin:/bin')}:/usr/sbin:/sbin",
        "HOME": os.environ.get("HOME", "/"),
        "LC_ALL": "C.UTF-8",
        "TZ": "UTC",
        **{key: value for key, value in os.environ.items() if key.lower().endswith("_proxy")},
        **(env or {}),
    }
    source = stdin.open("rb") if stdin is not None else None
    try:
        done = subprocess.run(
            [str(part) for part in command],
            env=surroundings,
            stdin=source if source is not None else subprocess.DEVNULL,
            capture_output=True,
            cwd=cwd,
            check=False,
        )
    except OSError as error:
        raise HostError(f"cannot run {command[0]}: {error.strerror}") from None
    finally:
        if source is not None:
            source.close()
    if done.returncode != 0:
        lines = (line.strip() for line in (done.stderr + done.stdout).decode(errors="replace").splitlines())
        # On one line: newlines of a sentence are shown as escapes.
        said = [line for line in lines if line][-_SHOWN_LINES:] or ["it said nothing"]
        raise BuildError(f"{Path(command[0]).name} failed ({done.returncode}): {'; '.join(said)}")
    return done.stdout.decode(errors="replace")


def unpack_deb(package: Path, folder: Path) -> None:
    """Lay the files of a Debian package under ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    run(["dpkg-deb", "-x", package, folder])


class ToolTree:
    """Debian packages unpacked in a folder, whose programs run with their own libraries.

    No root and no chroot: the tree's dynamic loader is started by name.
    """

    def __init__(self, root: Path) -> None:
        self.root = root

    def find(self, program: str) -> Path:
        """The file of a program of the tree; raises :class:`BuildError`."""
        for folder in ("usr/bin", "usr/sbin", "bin", "sbin"):
            path = self.root / folder / program
            if path.is_file():
                return path
        raise BuildError(f"{program} is not among the unpacked tools: build again with --update")

    def command(self, program: str) -> list[str]:
        """What starts a program of the tree."""
        libraries = ":".join(str(self.root / folder) for folder in _LIBRARIES)
        loader = self.root / "usr/lib64/ld-linux-x86-64.so.2"
        return [str(loader), "--library-path", libraries, str(self.find(program))]

    def run(
        self,
        program: str,
        *arguments: str | Path,
        env: Mapping[str, str] | None = None,
        stdin: Path | None = None,
    ) -> str:
        """Run a program of the tree; see :func:`run`."""
        return run([*self.command(program), *arguments], env=env, stdin=stdin)
