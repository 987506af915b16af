"""What holds for all tests."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import hypothesis
import pytest

NPM = Path(__file__).parent / "npm"

# A machine that boots images beside the tests is slow now and then; what hangs meets pytest's own time-out.
hypothesis.settings.register_profile("rasura", deadline=None)
hypothesis.settings.load_profile("rasura")


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
