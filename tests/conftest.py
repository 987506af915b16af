"""How the tests are dealt out to processes."""

from __future__ import annotations

from pathlib import Path

import hypothesis
import pytest

# A machine that builds images beside the tests is slow now and then; what hangs meets pytest's own time-out.
hypothesis.settings.register_profile("rasura", deadline=None)
hypothesis.settings.load_profile("rasura")

LAB = Path(__file__).parent / "lab"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A file's tests stay in one process, and those of the lab with their one machine."""
    for item in items:
        group = "lab" if item.path.parent == LAB else str(item.path)
        item.add_marker(pytest.mark.xdist_group(group))
