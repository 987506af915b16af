"""A machine without any drive: said plainly, and with the documented exit code."""

from __future__ import annotations

import pytest

from lab.station import Station
from rasura.errors import ExitCode

pytestmark = [pytest.mark.image, pytest.mark.timeout(2400)]


def test_no_drive_was_found(station: Station) -> None:
    for words in (("drives",), ("erase", "--confirm-all", "1")):
        ran = station.agent(*words)
        assert ran.code == ExitCode.FAILED, ran
        assert "no drive was found" in ran.err
        assert "AHCI or HBA" in ran.err
        assert not ran.out.strip()
