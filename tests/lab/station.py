"""A station of the lab: the built image in a machine, simulated drives beside it, and a site that signs."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Sequence
from concurrent.futures import Future
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from lab.attached import Nic, ScsiDisk, blank
from lab.guest_hand import ANSWER_S, HOST_SEEN_FROM_GUEST, Hand, Ran
from lab.machine import BOOT_S, Kernel, Machine, missing
from lab.modules import NoModulesError, lab_modules
from lab.nvme_tcp import NvmeTarget
from lab.shelf import Shelf, ShelfDrive
from rasura.bundle import Bundle
from simulators.ports_media import PowerEvent

ROOT = Path(__file__).parents[2]
PAYLOAD = ROOT / "build/image/netboot/rasura"
_PACKAGES = ROOT / "build/cache/packages"
_BIN = Path(sys.executable).parent

SECRET = b"SECRET INVOICES OF THE DONOR    "
SECTOR = SECRET * 16

WORK_S = 1200.0
"""For an agent that hangs, not for one that is slow: two dozen drives under emulation take it minutes."""
SITE, SPOOL = "/run/lab/site", "/run/lab/spool"
KEPT = "/run/lab/kept"
"""Where the guest mounts the disk that outlives it."""

GRANTING = """\
name = "lab"

[erase]
method = "Purge"
allow_weaker = true
accept_r1_basis = true
reformat_sectors = true
"""
"""Everything a drive has is good enough."""


def obstacle() -> str | None:
    """Why there can be no lab here, or ``None``."""
    if not (PAYLOAD / "initrd").exists():
        return "there is no image: run ./scripts/build-image"
    if not any(_PACKAGES.glob("linux-image-[0-9]*.deb")):
        return "the packages that the image was built from are gone: run ./scripts/build-image"
    return missing()


class Station:
    """One machine from power-on to the end of the tests; RAM and what the guest attached go at a reset."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.shelf, self.hand = Shelf(), Hand()
        self.targets: list[NvmeTarget] = []
        self._attached: list[ShelfDrive | NvmeTarget] = []
        try:
            modules = lab_modules(_PACKAGES, ROOT / "build/lab/modules")
        except NoModulesError as error:
            raise AssertionError(str(error)) from None
        payload = self.hand.payload(folder / "test.tar", modules)
        subprocess.run(
            [
                _BIN / "rasura-registry",
                "init",
                folder / "registry",
                "--name",
                "lab.example/log",
                "--site",
                "Lab",
            ],
            check=True,
            capture_output=True,
        )
        # rasura.test keeps the agent's own screen from starting; everything else is as shipped.
        command_line = "console=ttyS0 quiet rasura.test=fw_cfg"
        self.machine = Machine(
            folder,
            Kernel(PAYLOAD / "vmlinuz", PAYLOAD / "initrd", command_line),
            attached={
                "nic": Nic(),
                "kept": ScsiDisk(blank(folder / "kept.img", 40), "LAB-KEPT", absent=True),
                "victim": ScsiDisk(
                    blank(folder / "victim.img", 256), "LAB-VICTIM", writes=4 << 20, absent=True
                ),
                "neighbour": ScsiDisk(blank(folder / "neighbour.img", 8), "LAB-NEIGHBOUR", absent=True),
            },
            memory_mib=1024,
            fw_cfg={"opt/rasura/test": payload},
        )

    def __enter__(self) -> Self:
        self.machine.__enter__()
        try:
            self.greet()
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.machine.__exit__(kind, error, trace)
        self.hand.close()
        self.shelf.close()
        for target in self.targets:
            target.close()
        for image in self.folder.glob("*.img"):
            image.unlink()

    # The guest

    def greet(self) -> None:
        """Wait until the guest is up, and give it the site."""
        self.hand.wait(BOOT_S)
        self.hand.copy(self.folder / "registry/sites/Lab", SITE)

    def agent(self, *argv: str, spool: str = SPOOL, timeout_s: float = WORK_S) -> Ran:
        """Run the agent to its end."""
        return self.start_agent(*argv, spool=spool, timeout_s=timeout_s).result(timeout_s + 30)

    def start_agent(self, *argv: str, spool: str = SPOOL, timeout_s: float = WORK_S) -> Future[Ran]:
        """Start the agent, as an operator would from a shell."""
        env = {"RASURA_SITE": SITE, "RASURA_SPOOL": spool}
        return self.hand.start("rasura-agent", *argv, timeout_s=timeout_s, env=env)

    def erase(
        self,
        paths: Sequence[str],
        *more: str,
        policy: str = GRANTING,
        spool: str = SPOOL,
        number: int | None = None,
    ) -> Future[Ran]:
        """Start erasing ``number`` of these block devices, all of them if it is not given.

        ``policy`` is the text of one.
        """
        file = f"/run/lab/{hashlib.sha256(policy.encode()).hexdigest()[:8]}.toml"
        self.hand.write(file, policy.encode())
        devices = [word for path in paths for word in ("--device", path)]
        words = ("--policy", file, "--json", "--plain", "--confirm-all", str(number or len(paths)))
        return self.start_agent("erase", *words, *devices, *more, spool=spool)

    def bundle(self, told: dict[str, Any]) -> Bundle:
        """The certificate of one drive, as the agent's JSON tells of it; genuine, by the verifier's word."""
        path = told["path"]
        assert path is not None, f"no certificate was written: {told}"
        raw = self.hand.read(path)
        file = self.folder / Path(path).name
        file.write_bytes(raw)
        trust = self.folder / "registry/trust.toml"
        words = (_BIN / "rasura", "verify", "--allow-unlogged", "--any-outcome", "--trust", trust, file)
        verified = subprocess.run(words, capture_output=True, text=True, check=False)
        assert verified.returncode == 0, verified.stdout + verified.stderr
        return Bundle.parse(raw)

    # Drives

    def attach(self, *drives: ShelfDrive) -> list[str]:
        """Put drives on the shelf and make them block devices of the guest."""
        for drive in drives:
            self.shelf.put(drive)
        paths = self.hand.attach(self.shelf, *drives)
        self._attached += drives
        return paths

    def connect(self, target: NvmeTarget) -> str:
        """Connect the guest to an NVMe drive; returns the path of its first namespace."""
        if target not in self.targets:
            self.targets.append(target)
        where = ("-t", "tcp", "-a", HOST_SEEN_FROM_GUEST, "-s", str(target.port), "-n", target.nqn)
        said = self.hand.run(
            "nvme", "connect", *where, "-i", "1", "--keep-alive-tmo", "60", "--output-format=json"
        )
        controller: str = said.require().json["device"]
        self._attached.append(target)
        node = f"/dev/{controller}n1"
        self.hand.run("sh", "-c", f"udevadm settle --timeout={ANSWER_S:.0f}; test -b {node}").require()
        return node

    def clear(self) -> None:
        """Take every simulated drive out of the guest again."""
        while self._attached:
            drive = self._attached.pop()
            if isinstance(drive, NvmeTarget):
                self.hand.run("nvme", "disconnect", "-n", drive.nqn).require()
            else:
                self.hand.unplug(drive)
                self.shelf.drives.pop(drive.name, None)

    def disk(self, name: str) -> str:
        """Plug in one of QEMU's disks; returns its path."""
        serial = f"LAB-{name.upper()}"
        self.machine.plug_in(name)
        find = f"""
            for try in $(seq 1000); do
                for disk in /sys/block/sd*; do
                    if grep -qa {serial} $disk/device/vpd_pg80 2>/dev/null; then
                        udevadm settle --timeout={ANSWER_S:.0f}; echo /dev/${{disk##*/}}; exit
                    fi
                done
                sleep 0.2
            done
            exit 1"""
        return self.hand.run("sh", "-c", find).require().out.strip()

    # Power

    def cut_power(self) -> None:
        """The power goes while everything is at work, and the machine boots afresh.

        The drives stay without power until the guest is up again: that shortens what they still have to do
        by nothing, as if it took them so much longer.
        """
        self.shelf.cut_power()
        for target in self.targets:
            target.cut_power()
        self.machine.reset()
        self._attached.clear()
        self.greet()
        self.shelf.give_power()
        for target in self.targets:
            target.give_power()

    def during_suspend(self, *drives: ShelfDrive) -> threading.Thread:
        """Have these drives lose power at the machine's next suspend, as S3 takes it from real ones."""

        def watch() -> None:
            self.machine.qmp.event("SUSPEND", 200)
            for drive in drives:
                drive.cut_power()
                # The firmware that wakes the machine speaks to them before the system does.
                drive.give_power(PowerEvent.RESUME)

        thread = threading.Thread(target=watch, daemon=True)
        thread.start()
        return thread


def fresh_folder(name: str) -> Path:
    """build/lab/NAME-PROCESS, empty: two runs at once do not disturb each other."""
    folder = ROOT / f"build/lab/{name}-{os.getpid()}"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


def by_serial(ran: Ran) -> dict[str, dict[str, Any]]:
    """What the agent's JSON tells of each drive."""
    try:
        told = ran.json
    except ValueError:
        raise AssertionError(
            f"no JSON ({ran.code}): {ran.out[-2000:]}{os.linesep}{ran.err[-4000:]}"
        ) from None
    return {one["drive"]["serial"]: one for one in told["drives"]}
