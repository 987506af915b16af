"""The stick is pulled out while the station writes to it: what was there stays, what came later waits."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path

import pytest

from functional.conftest import BIN
from image.collected import Planted, ext4, windows
from image.on_a_stick import certificates_on, data_partition
from image.places import ISO, missing
from image.registry_here import PASSPHRASE, RegistryHere
from lab.attached import ScsiDisk, UsbDisk, blank
from lab.machine import BOOT_S, Machine, Media
from rasura_image.settings import parse_settings
from rasura_image.usb import StickContents, write_stick

pytestmark = [
    pytest.mark.image,
    pytest.mark.skipif(missing() is not None, reason=str(missing())),
    pytest.mark.timeout(4 * BOOT_S),
]

SETTINGS = '[station]\npolicy = "clear-zero"\n\n[menu]\ndefault = "serial"\ntimeout = 1\n'

SYNC_S = 3
"""By itself the kernel would write an entry's size within half a minute: this is well below."""


def test_what_was_confirmed_stays_and_the_rest_comes_when_it_is_back(
    tmp_path: Path, registry: RegistryHere
) -> None:
    quick, slow = ext4(tmp_path / "quick.img", 16), windows(tmp_path / "slow.img", 96)
    planted = Planted(quick), Planted(slow)
    stick = blank(tmp_path / "stick.img", ISO.stat().st_size // (1 << 20) + 96)
    write_stick(
        stick, ISO, StickContents(parse_settings(SETTINGS), SETTINGS, registry.site), lambda _step: None
    )
    attached = {
        "stick": UsbDisk(stick, "STICK", bootindex=0),
        "quick": ScsiDisk(quick, "QM-QUICK"),
        "slow": ScsiDisk(slow, "QM-SLOW", writes=1 << 20, wwn=0x5000C50015EA71AE),
    }
    # No network: the stick is all there is.
    with Machine(tmp_path, Media(), attached=attached) as machine:
        console = machine.console
        console.expect(r"\[k\]", BOOT_S)
        console.expect("> ", BOOT_S)
        console.send("k\r")
        console.expect("Passphrase", BOOT_S)
        console.send(f"{PASSPHRASE}\r")
        console.expect(r"type the number of drives \(2\)", BOOT_S)
        console.expect("> ", BOOT_S)
        console.send("2\r")
        _wait_for_a_certificate(stick)
        machine.unplug("stick")
        # That of the slow drive, and the machine's report.
        console.expect("2 CERTIFICATES IN THE MEMORY OF THIS MACHINE ONLY", 2 * BOOT_S)
        first = certificates_on(stick, tmp_path / "pulled", "pending")
        assert len(first) == 1
        assert _genuine(registry, *first).count("GENUINE: ERASED") == 1
        console.expect("go on", BOOT_S)
        console.send("\r")
        console.expect("> ", BOOT_S)
        console.send("p\r")
        console.expect("type LOSE: ", BOOT_S)
        console.send("\r")
        console.expect("the machine stays on", BOOT_S)
        machine.plug_in_again("stick")
        console.expect("every certificate is handed over now", BOOT_S)
        console.send("p\r")
        machine.wait_off(BOOT_S)
    assert [one.left() for one in planted] == [0, 0]
    both = certificates_on(stick, tmp_path / "back", "pending")
    assert first[0].name in {path.name for path in both}
    assert len(both) == 2
    documents = sorted(both[0].parent.glob("*.json"))
    assert len(documents) == 2 + 1
    said = _genuine(registry, *documents)
    assert said.count("GENUINE: ERASED") == 2
    assert "all 2 certificates that the report names are there and fit" in said


def _wait_for_a_certificate(stick: Path) -> None:
    """Until the host sees a certificate's name, and as long as the station may take to sync what it named."""
    deadline = time.monotonic() + BOOT_S
    listing = ["mdir", "-b", "-i", data_partition(stick), "::certificates/pending"]
    while True:
        names = subprocess.run(listing, capture_output=True, text=True, check=False).stdout.splitlines()
        if any(name.endswith(".json") for name in names):
            break
        assert time.monotonic() < deadline, "no certificate came on the stick"
        time.sleep(0.5)
    time.sleep(SYNC_S)


def _genuine(registry: RegistryHere, *documents: Path) -> str:
    """What ``rasura verify`` says of them, who must be genuine and say ERASED, logged or not."""
    command = [BIN / "rasura", "verify", "--allow-unlogged", *documents]
    command += ["--trust", registry.folder / "trust.toml"]
    said = subprocess.run(command, capture_output=True, text=True, check=False)
    assert said.returncode == 0, said.stdout + said.stderr
    return said.stdout
