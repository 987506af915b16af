"""A machine for the tests of the lab."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from lab.room import Room
from lab.station import Station, obstacle


@pytest.fixture(scope="package")
def room(request: pytest.FixtureRequest) -> Iterator[Room]:
    """Left when a worker has no test of the lab to do next: others wait for the machine's place."""
    one = Room(request.session)
    yield one
    one.leave()


@pytest.fixture(scope="module")
def station(room: Room) -> Station:
    """The built image, booted once for the files that follow one another; ``cut_power`` boots it again."""
    why = obstacle()
    if why is not None:
        pytest.skip(why)
    return room.station()
