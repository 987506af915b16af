"""How the tests are dealt out to processes."""

from __future__ import annotations

from pathlib import Path

import hypothesis
import pytest

# A machine that builds images beside the tests is slow now and then; what hangs meets pytest's own time-out.
hypothesis.settings.register_profile("rasura", deadline=None)
hypothesis.settings.load_profile("rasura")

HERE = Path(__file__).parent
TOGETHER = {
    # one machine for all of them
    **dict.fromkeys((HERE / "lab").glob("test_*.py"), "lab"),
    # each looks at what other servers of the same kind leave behind
    **{HERE / "image" / name: "lan" for name in ("test_netboot.py", "test_pxe_serve.py")},
}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A file's tests stay in one process, and with those of other files that would be in each other's way."""
    for item in items:
        item.add_marker(pytest.mark.xdist_group(TOGETHER.get(item.path, str(item.path))))
