"""A machine for the tests of the lab."""

from __future__ import annotations

import shutil
from collections.abc import Iterator

import pytest

from lab.station import Station, fresh_folder, obstacle


@pytest.fixture(scope="module")
def station(request: pytest.FixtureRequest) -> Iterator[Station]:
    """The built image, booted once for a file; ``Station.cut_power`` boots it again.

    Logs stay if a test failed. Switched off at the end of the file: others wait for its place.
    """
    why = obstacle()
    if why is not None:
        pytest.skip(why)
    folder = fresh_folder("station")
    with Station(folder) as one:
        yield one
    if not request.session.testsfailed:
        shutil.rmtree(folder)
