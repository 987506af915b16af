"""The running system: nothing listens, nothing takes hold of drives, nobody logs in, and tests stay out."""

from __future__ import annotations

import io
import json
import os
import re
import shutil
import tarfile
from pathlib import Path

import pytest

from image.places import NETBOOT, STATED_MIB, missing
from lab.attached import Nic, SataDisk, blank
from lab.machine import BOOT_S, Kernel, Machine

pytestmark = [
    pytest.mark.image,
    pytest.mark.skipif(missing() is not None, reason=str(missing())),
    pytest.mark.timeout(3 * BOOT_S),
]

PAYLOAD = NETBOOT / "rasura"
SERIAL = "quiet loglevel=3 console=tty0 console=ttyS0,115200 rasura.boot=network rasura.entry=serial"

# Runs in the guest, with nothing but what the image has.
QUESTIONS = """#!/usr/bin/python3 -I
import json, pathlib, subprocess

def told(*command):
    done = subprocess.run(command, capture_output=True, text=True)
    return done.stdout + done.stderr

def read(path):
    return pathlib.Path(path).read_text()

print("FACTS " + json.dumps({
    "listening": told("ss", "-Hltun"),
    "swaps": read("/proc/swaps").splitlines()[1:],
    "arrays": [name.name for name in pathlib.Path("/sys/block").glob("md*")],
    "mapped": told("dmsetup", "ls"),
    "failed": told("systemctl", "list-units", "--failed", "--no-legend", "--plain"),
    "running": told("systemctl", "list-units", "--type=service", "--state=running", "--no-legend", "--plain"),
    "timers": told("systemctl", "list-timers", "--no-legend"),
    "shadow": [line.split(":")[1] for line in read("/etc/shadow").splitlines()],
    "panic": read("/proc/sys/kernel/panic"),
    "mounts": read("/proc/mounts"),
    "journal": [str(path) for path in pathlib.Path("/var/log/journal").glob("*")],
    "suid": told("find", "/", "-xdev", "-perm", "-4000", "-type", "f").split(),
    "free_kib": int(read("/proc/meminfo").split("MemAvailable:")[1].split()[0]),
    "drives": told("rasura-agent", "drives", "--json"),
    "modules": [line.split()[0] for line in read("/proc/modules").splitlines()],
    "wifi": told("find", "/usr/lib/modules", "-path", "*/wireless/*"),
}), flush=True)
print("END", flush=True)
"""


def hook(folder: Path, script: str) -> Path:
    """What QEMU hands to the test hook."""
    path = folder / "test.tar"
    with tarfile.open(path, "w") as archive:
        info = tarfile.TarInfo("run")
        info.mode, info.size = 0o755, len(script.encode())
        archive.addfile(info, io.BytesIO(script.encode()))
    return path


def test_the_system_at_its_least_memory(tmp_path: Path) -> None:
    drive = blank(tmp_path / "disk.img", 8)
    # What md and LVM would assemble if anything here did: their marks are there for udev to see.
    with drive.open("r+b") as stream:
        stream.seek(4096)
        stream.write(bytes.fromhex("fc4e2ba9") + (1).to_bytes(4, "little"))
    with Machine(
        tmp_path,
        Kernel(PAYLOAD / "vmlinuz", PAYLOAD / "initrd", f"{SERIAL} rasura.test=fw_cfg"),
        attached={"disk": SataDisk(drive, "QM-1"), "nic": Nic("user")},
        memory_mib=STATED_MIB,
        fw_cfg={"opt/rasura/test": hook(tmp_path, QUESTIONS)},
    ) as machine:
        facts = json.loads(machine.results.expect(r"^FACTS (.*)\n", BOOT_S)[1])
    outward = [
        line
        for line in facts["listening"].splitlines()
        if not re.search(r"127\.0\.0\.5[34]|%lo:53|:68 ", line)
    ]
    assert outward == []
    assert facts["swaps"] == []
    assert facts["arrays"] == []
    assert "No devices found" in facts["mapped"]
    assert facts["failed"].strip() == ""
    assert set(re.findall(r"^(\S+)\.service", facts["running"], re.MULTILINE)) <= {
        *("rasura-test", "systemd-journald", "systemd-networkd", "systemd-resolved"),
        *("systemd-timesyncd", "systemd-udevd"),
    }
    assert facts["timers"].strip() == ""
    assert all(password[:1] in {"*", "!"} for password in facts["shadow"])
    assert facts["panic"].strip() == "0"
    assert "overlay / overlay" in facts["mounts"]
    assert facts["journal"] == []
    assert facts["free_kib"] > 128 * 1024
    assert [drive["serial"] for drive in json.loads(facts["drives"])["drives"]] == ["QM-1"]
    assert not {"md_mod", "dm_multipath", "bcache", "scsi_debug"} & set(facts["modules"])
    assert facts["wifi"].strip() == ""


@pytest.mark.parametrize(
    ("memory_mib", "kept", "said"),
    [
        pytest.param(320, 1.0, "512 MB of memory are needed", id="too-little-memory"),
        pytest.param(STATED_MIB, 0.9, "the image is damaged", id="cut-off"),
    ],
)
def test_what_cannot_start_says_why(tmp_path: Path, memory_mib: int, kept: float, said: str) -> None:
    """Memory that is too small cuts the image off as well, and no other stick would help."""
    initrd = tmp_path / "initrd"
    shutil.copyfile(PAYLOAD / "initrd", initrd)
    os.truncate(initrd, int(initrd.stat().st_size * kept))
    with Machine(tmp_path, Kernel(PAYLOAD / "vmlinuz", initrd, SERIAL), memory_mib=memory_mib) as machine:
        machine.console.expect(rf"could not start: +{said}", BOOT_S)
        machine.console.expect("Nothing was erased", BOOT_S)


def test_without_its_word_the_hook_stays_shut_and_a_misspelt_parameter_stops_everything(
    tmp_path: Path,
) -> None:
    """No boot entry has the word; what QEMU hands over is then not even looked at."""
    drive = tmp_path / "disk.img"
    drive.write_bytes(b"old data" * (1 << 20))
    words = "rasura.polcy=purge rasura.arm=erase-all-drives rasura.countdown=10"
    with Machine(
        tmp_path,
        Kernel(PAYLOAD / "vmlinuz", PAYLOAD / "initrd", f"{SERIAL} {words}"),
        attached={"disk": SataDisk(drive, "QM-1")},
        fw_cfg={"opt/rasura/test": hook(tmp_path, "#!/bin/sh\necho FACTS\n")},
    ) as machine:
        machine.console.expect("THE BOOT PARAMETERS ARE NOT UNDERSTOOD", BOOT_S)
        machine.console.expect(r"rasura\.policy", BOOT_S)
        # What is typed before the question is not its answer.
        machine.console.expect("> ", BOOT_S)
        machine.console.send("p\r")
        machine.wait_off(BOOT_S)
        assert machine.results.text == ""
    assert drive.read_bytes() == b"old data" * (1 << 20)
    assert "rasura.test" not in "".join(
        path.read_text(errors="ignore") for path in NETBOOT.rglob("*") if path.suffix in {".cfg", ".ipxe"}
    )
