"""Where the station of the lab stands, from one file of tests to the next."""

from __future__ import annotations

import shutil

import pytest

from lab.station import Station, fresh_folder


class Room:
    """The same station for file after file, until a test failed."""

    def __init__(self, session: pytest.Session) -> None:
        self._session = session
        self._failed = session.testsfailed
        self._station: Station | None = None

    def station(self) -> Station:
        """A station that runs, with no drive left from before."""
        if self._station is not None and self._session.testsfailed == self._failed:
            self._station.clear()
            return self._station
        self.leave()
        self._failed = self._session.testsfailed
        self._station = Station(fresh_folder(f"station-{self._failed}")).__enter__()
        return self._station

    def leave(self) -> None:
        """Switch off; what it logged stays if a test failed."""
        if self._station is not None:
            self._station.__exit__(None, None, None)
            if self._session.testsfailed == self._failed:
                shutil.rmtree(self._station.folder)
            self._station = None
