"""Lint, types, walls and shell scripts are tests."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent
SCRIPTS = [
    *("scripts/try", "scripts/test", "scripts/setup.sh", ".ci/run"),
    *(
        "scripts/build-image",
        "scripts/write-usb",
        "scripts/pxe-serve",
        "scripts/write-schemas",
        "scripts/write-vectors",
    ),
    "certs/by_hand/verify.sh",
    *("image/initrd/init", "image/rootfs/usr/lib/rasura/console", "image/rootfs/usr/lib/rasura/test-hook"),
]


def run(*command: str) -> None:
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    "command",
    [
        ("ruff", "check", "."),
        ("ruff", "format", "--check", "."),
        ("mypy",),
        ("lint-imports",),
    ],
    ids=["ruff", "format", "types", "walls"],
)
def test_clean(command: tuple[str, ...]) -> None:
    run(str(BIN / command[0]), *command[1:])


def test_shell_scripts() -> None:
    if shutil.which("shellcheck") is None:
        pytest.skip("shellcheck is not installed (apt-get install shellcheck)")
    run("shellcheck", "-x", *SCRIPTS)


def test_the_repository_speaks_of_the_project_alone() -> None:
    """No path or name of the machine it was written on, and a top level that is fixed."""
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    top = {line.split("/", 1)[0] for line in tracked.splitlines()}
    allowed = {
        "agent",
        "image",
        "scripts",
        "certs",
        "tests",
        "pyproject.toml",
        "README.md",
        "LICENSE",
        "CHANGELOG.md",
    }
    assert {name for name in top - allowed if not name.startswith(".")} <= {"requirements.lock"}
    assert not [name for name in tracked.splitlines() if name.endswith((".pyc", ".so"))]
