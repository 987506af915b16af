"""One machine for all tests of the lab."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from lab.station import Station, fresh_folder, obstacle


@pytest.fixture(scope="session")
def station() -> Iterator[Station]:
    """The built image, booted once; ``Station.cut_power`` boots it again."""
    why = obstacle()
    if why is not None:
        pytest.skip(why)
    with Station(fresh_folder("station")) as one:
        yield one
