"""The health of eMMC drives, from what the kernel shows of their registers."""

from __future__ import annotations

import hashlib

import pytest

from rasura.health import Grade
from rasura_agent.health.checkup import Checkup
from rasura_agent.health.claims import health_claims
from rasura_agent.health.model import Protocol
from rasura_agent.inventory.drives import enumerate_drives
from simulators.machine import Machine
from unit.test_inventory_drives import MMC


def graded(**attributes: str | bytes) -> tuple[Grade, int | None, tuple[str, ...]]:
    machine = Machine()
    told = {"type": "MMC\n", "name": "DF4032\n", "serial": "0x6f2a1b3c\n", **attributes}
    machine.disk(
        "mmcblk0",
        MMC,
        sectors=61071360,
        attributes={f"device/{name}": value for name, value in told.items()},
    )
    (drive,) = enumerate_drives(machine, machine).drives
    reading = Checkup(machine, machine).read(drive)
    assert (reading.health is None) is (reading.unknown is not None)
    claims = health_claims(reading)
    if reading.health is not None and reading.evidence is not None:
        assert reading.health.protocol is Protocol.MMC
        assert claims.source is not None
        assert claims.source.sha256 == hashlib.sha256(reading.evidence.document).hexdigest()
        assert b"life_time" in reading.evidence.document or b"pre_eol" in reading.evidence.document
    return claims.grade, claims.wear_percent, claims.reasons


@pytest.mark.parametrize(
    ("life_time", "pre_eol", "grade", "wear"),
    [
        ("0x01 0x01", "0x01", Grade.GOOD, 10),
        ("0x02 0x07", "0x01", Grade.GOOD, 70),
        ("0x01 0x09", "0x01", Grade.WATCH, 90),
        ("0x0a 0x00", "0x01", Grade.WATCH, 100),
        ("0x01 0x0b", "0x01", Grade.REJECT, 110),
        ("0x01 0x01", "0x02", Grade.WATCH, 10),
        ("0x01 0x01", "0x03", Grade.REJECT, 10),
        ("0x00 0x00", "0x03", Grade.REJECT, None),
        # Only one of the two was told: bad is bad, and the rest is not known.
        ("0x01 0x01", "0x00", Grade.UNKNOWN, 10),
        ("0x0b 0x01", "", Grade.REJECT, 110),
        ("", "0x01", Grade.UNKNOWN, None),
    ],
)
def test_grades(life_time: str, pre_eol: str, grade: Grade, wear: int | None) -> None:
    found, worn, reasons = graded(life_time=f"{life_time}\n", pre_eol_info=f"{pre_eol}\n")
    assert (found, worn) == (grade, wear)
    assert bool(reasons) is (grade is not Grade.GOOD)


def test_the_reason_is_named() -> None:
    assert graded(life_time="0x01 0x01", pre_eol_info="0x03")[2] == (
        "the drive itself says that it fails",
        "its reserve of blocks comes to an end (PRE_EOL_INFO 3)",
    )
    assert graded(life_time="0x09 0x01", pre_eol_info="0x01")[2] == ("90 % of its life is used up",)


def test_an_sd_card_tells_nothing() -> None:
    assert graded(type="SD\n") == (Grade.UNKNOWN, None, ("an SD card tells nothing of its health",))


@pytest.mark.parametrize(
    "garbage", [b"", b"\xff\xfe", b"0x", b"0xff 0xff", b"0x-1 0x100000000000000000", b"\0"]
)
def test_garbage_is_not_known_and_no_error(garbage: bytes) -> None:
    found, worn, reasons = graded(life_time=garbage, pre_eol_info=garbage)
    assert (found, worn) == (Grade.UNKNOWN, None)
    assert reasons == ("the drive told nothing of its health",)


def test_before_version_5_there_was_nothing() -> None:
    assert graded() == (Grade.UNKNOWN, None, ("the drive told nothing of its health",))
