"""What holds for all tests."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest

from rasura_agent.console.language import use

NPM = Path(__file__).parent / "npm"

# A machine that boots images beside the tests is slow now and then; what hangs meets pytest's own time-out.
hypothesis.settings.register_profile("rasura", deadline=None)
hypothesis.settings.load_profile("rasura")

_LONGEST_FIRST = (
    "image/test_netboot.py",
    # One after the other: they share a machine.
    *(f"lab/test_{name}.py" for name in ("erase", "bad_media", "no_drive", "power_cut", "frozen")),
    *("lab/test_capture.py", "image/test_boot.py", "image/test_main_job.py", "image/test_pulled_stick.py"),
    *("image/test_entries.py", "image/test_interrupted.py"),
    *("image/test_unattended.py", "image/test_build.py", "image/test_system.py", "image/test_menu.py"),
    "image/test_pxe_serve.py",
)
"""Files that take minutes: begun last, one of them would keep a single processor busy at the end."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What takes minutes comes first; everything else stays in its order behind it."""
    here = Path(__file__).parent
    places = {here / name: place for place, name in enumerate(_LONGEST_FIRST)}
    items.sort(key=lambda item: places.get(item.path, len(places)))


@pytest.fixture(scope="session")
def npm(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with npm's verifier, as the lock file has it."""
    if shutil.which("node") is None or shutil.which("npm") is None:
        pytest.skip("node and npm are not installed (apt-get install nodejs npm)")
    folder = tmp_path_factory.mktemp("npm")
    for name in ("package.json", "package-lock.json", "verify.js"):
        shutil.copy(NPM / name, folder)
    done = subprocess.run(
        ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture
def _french() -> Iterator[None]:
    """Screens are in French during the test."""
    use("fr")
    yield
    use("en")
