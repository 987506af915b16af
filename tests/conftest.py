"""What holds for all tests."""

from __future__ import annotations

from pathlib import Path

import hypothesis
import pytest

# A machine that boots images beside the tests is slow now and then; what hangs meets pytest's own time-out.
hypothesis.settings.register_profile("rasura", deadline=None)
hypothesis.settings.load_profile("rasura")

_LONGEST_FIRST = (
    "image/test_netboot.py",
    # One after the other: they share a machine.
    *(f"lab/test_{name}.py" for name in ("erase", "bad_media", "no_drive", "power_cut", "frozen")),
    *("lab/test_capture.py", "image/test_boot.py", "image/test_main_job.py", "image/test_pulled_stick.py"),
    *("image/test_unattended.py", "image/test_build.py", "image/test_system.py", "image/test_menu.py"),
    "image/test_pxe_serve.py",
)
"""Files that take minutes: begun last, one of them would keep a single processor busy at the end."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What takes minutes comes first; everything else stays in its order behind it."""
    here = Path(__file__).parent
    places = {here / name: place for place, name in enumerate(_LONGEST_FIRST)}
    items.sort(key=lambda item: places.get(item.path, len(places)))
