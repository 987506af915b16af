"""One machine for all tests of the lab."""

from __future__ import annotations

import shutil
from contextlib import ExitStack

import pytest

from lab.station import Station, fresh_folder, obstacle

_OPEN = pytest.StashKey[ExitStack]()


@pytest.fixture(scope="session")
def station(request: pytest.FixtureRequest) -> Station:
    """The built image, booted once; ``Station.cut_power`` boots it again. Logs stay if a test failed."""
    why = obstacle()
    if why is not None:
        pytest.skip(why)
    folder = fresh_folder("station")
    stack = request.session.stash[_OPEN] = ExitStack()
    stack.callback(lambda: None if request.session.testsfailed else shutil.rmtree(folder))
    return stack.enter_context(Station(folder))


@pytest.hookimpl(trylast=True)
def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> None:
    """Switch the station off after the lab's last test: others wait for its place."""
    stack = item.session.stash.get(_OPEN, None)
    if stack is not None and (nextitem is None or nextitem.path.parent != item.path.parent):
        stack.close()
