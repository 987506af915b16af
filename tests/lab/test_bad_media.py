"""Bad sectors, dropped writes, late errors as the kernel itself makes them: device-mapper's error, flakey.

Each drive is a loop device over a device-mapper device over a file in the guest, so that what is really left
can be read below the fault.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from lab.station import SECRET, WORK_S, Station
from rasura.certificate import Outcome, RangeKind, VerificationStatus

pytestmark = [pytest.mark.image, pytest.mark.timeout(2400)]

SECTORS = 24 * 2048
BAD = (10_000, 10_007)
"""The first and the last bad sector: a whole page, so that no neighbour fails with them."""
ZEROES = 'name = "zeroes"\n\n[erase]\nmethod = "Clear"\npattern = "zero"\n'
CASES = {
    "error": ("on", (f"0 10000 linear {{}} 0\n10000 8 error\n10008 {SECTORS - 10008} linear {{}} 10008")),
    "drops-writes": ("on", f"0 {SECTORS} flakey {{}} 0 0 60 1 drop_writes"),
    "fails-writes": ("on", f"0 {SECTORS} flakey {{}} 0 0 60 1 error_writes"),
    # The loop device's page cache takes everything, and the error comes with the flush, if at all.
    "late": ("off", f"0 {SECTORS} flakey {{}} 0 0 60 1 error_writes"),
}
"""Direct I/O of the upper loop device, and the table of device-mapper; {} is the lower loop device."""

_MAKE = """
set -e
mkdir -p /run/lab
file=/run/lab/{name}.img
python3 -c "open('$file', 'wb').write(bytes.fromhex('{secret}') * {times})"
lower=$(losetup --find --show $file)
printf '%s\\n' "{table}" | sed "s|{{}}|$lower|g" | dmsetup create {name}
udevadm settle
losetup --find --show --direct-io={direct} /dev/mapper/{name}
"""
_LEFT = """
import json, sys
data, secret = open(sys.argv[1], "rb").read(), bytes.fromhex(sys.argv[2])
print(json.dumps([at // 512 for at in range(0, len(data), 512) if secret in data[at:at + 512]]))
"""


@dataclass
class Ended:
    """What the agent said of a drive, and which of its sectors still hold the secret."""

    told: dict[str, Any]
    left: list[int]


@pytest.fixture(scope="module")
def ended(station: Station) -> Iterator[dict[str, Ended]]:
    paths = {}
    for name, (direct, table) in CASES.items():
        times = SECTORS * 512 // len(SECRET)
        script = _MAKE.format(name=name, secret=SECRET.hex(), times=times, table=table, direct=direct)
        paths[name] = station.hand.run("sh", "-c", script).require().out.strip()
    ran = station.erase(list(paths.values()), policy=ZEROES).result(WORK_S)
    told = {one["drive"]["path"]: one for one in ran.json["drives"]}
    found = {}
    for name, path in paths.items():
        image = f"/run/lab/{name}.img"
        left = station.hand.run("python3", "-c", _LEFT, image, SECRET.hex()).require().out
        found[name] = Ended(told[path], json.loads(left))
    yield found
    for name, path in paths.items():
        undo = f"losetup -d {path}; dmsetup remove {name}; losetup -j /run/lab/{name}.img | cut -d: -f1"
        station.hand.run("sh", "-c", f"{undo} | xargs -r losetup -d; rm /run/lab/{name}.img")


@pytest.mark.parametrize("name", CASES)
def test_none_of_them_is_called_erased(ended: dict[str, Ended], station: Station, name: str) -> None:
    one = ended[name]
    assert one.told["outcome"] == Outcome.FAILED
    assert station.bundle(one.told).certificate.result.outcome is Outcome.FAILED
    if name != "error":
        assert len(one.left) == SECTORS, "the drive was to keep everything: the test would prove nothing"


def test_all_but_the_bad_sectors_was_erased_and_they_are_named(
    ended: dict[str, Ended], station: Station
) -> None:
    one = ended["error"]
    assert one.left == list(range(BAD[0], BAD[1] + 1))
    ranges = station.bundle(one.told).certificate.result.error_ranges
    bad = (BAD[0] * 512, (BAD[1] + 1 - BAD[0]) * 512)
    assert {(one.offset, one.length, one.kind) for one in ranges} == {
        (*bad, RangeKind.NOT_WRITTEN),
        (*bad, RangeKind.NOT_READ),
    }


def test_dropped_writes_are_seen_by_reading_back(ended: dict[str, Ended], station: Station) -> None:
    verification = station.bundle(ended["drops-writes"].told).certificate.verification
    assert verification.status is VerificationStatus.MISMATCH
