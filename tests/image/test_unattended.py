"""Armed at boot, with no person and no stick: what must not be lost is waited for, however long it takes."""

from __future__ import annotations

import re
import time
from pathlib import Path

import pytest

from image.collected import Planted, ext4
from image.places import NETBOOT, missing
from image.registry_here import RegistryHere
from lab.attached import Nic, ScsiDisk
from lab.machine import BOOT_S, Kernel, Machine

pytestmark = [
    pytest.mark.image,
    pytest.mark.skipif(missing() is not None, reason=str(missing())),
    pytest.mark.timeout(4 * BOOT_S),
]

PAYLOAD = NETBOOT / "rasura"
DRIVE_MIB, WRITES = 48, 3 << 20
"""A drive that takes long enough to pull the cable while it is being erased."""
STILL_S = 20
"""How long one looks on while the machine must not switch itself off."""


def test_it_waits_with_a_certificate_in_its_memory_until_the_network_is_back(
    tmp_path: Path, registry: RegistryHere
) -> None:
    drive = ext4(tmp_path / "sas.img", DRIVE_MIB)
    planted, first = Planted(drive), drive.read_bytes()[: 1 << 20]
    words = [
        "quiet loglevel=3 console=tty0 console=ttyS0,115200 rasura.boot=network rasura.entry=autonomous",
        "rasura.arm=erase-all-drives rasura.countdown=10 rasura.end=poweroff rasura.policy=clear-zero",
        f"rasura.registry={registry.url} rasura.ca={registry.pin} rasura.lot=LOT-2026-003",
    ]
    with Machine(
        tmp_path,
        Kernel(PAYLOAD / "vmlinuz", PAYLOAD / "initrd", " ".join(words)),
        attached={"sas": ScsiDisk(drive, "QM-SAS", writes=WRITES), "nic": Nic("user")},
    ) as machine:
        console = machine.console
        code = console.expect(r"type the code\s+([0-9A-Z]{4}-[0-9A-Z]{4})", BOOT_S)[1]
        # Nothing happens to drives before somebody has answered for this machine.
        assert drive.read_bytes()[: 1 << 20] == first
        registry.approve(code)
        console.expect("THIS MACHINE ERASES ALL ITS DRIVES BY ITSELF", BOOT_S)
        console.expect(r"Starts in \d+ s", BOOT_S)
        _wait_until_written(drive, first)
        machine.qmp.execute("set_link", name="nic", up=False)
        # The drive's, and the machine's report.
        console.expect("2 CERTIFICATES IN THE MEMORY OF THIS MACHINE ONLY", BOOT_S)
        console.expect("DO NOT SWITCH IT OFF", BOOT_S)
        time.sleep(STILL_S)
        assert machine.running, "it switched itself off, and what it signed is lost"
        machine.qmp.execute("set_link", name="nic", up=True)
        machine.wait_off(BOOT_S)
        said = console.text
    assert planted.left() == 0
    logged = []
    for kind in ("certificate", "machine report"):
        identifier = re.findall(rf"{kind} ([0-9a-f-]{{36}})", said)[-1]
        logged.append(tmp_path / f"{kind}.json")
        logged[-1].write_bytes(registry.certificate(identifier))
    verified = registry.verify(*logged)
    assert "GENUINE: ERASED drive" in verified
    assert "the one certificate that the report names is there and fits" in verified


def _wait_until_written(drive: Path, first: bytes) -> None:
    deadline = time.monotonic() + BOOT_S
    while True:
        with drive.open("rb") as stream:
            if stream.read(len(first)) != first:
                return
        assert time.monotonic() < deadline, "nothing was written"
        time.sleep(0.5)
