"""A PC under QEMU, for tests of the live image.

    with Machine(
        folder,                                   # logs, sockets and the firmware's variables; must exist
        Kernel(vmlinuz, initrd, "console=ttyS0"), # or Media(), to boot what has a bootindex
        firmware=Firmware.SECURE_BOOT,            # BIOS, UEFI, SECURE_BOOT
        attached={                                # by name: what QMP calls it, and device_del takes
            "stick": UsbDisk(iso, "STICK", bootindex=0),
            "disk": SataDisk(blank(folder / "disk.img", 32), "QM-1"),
            "nic": Nic("user", bootindex=1),      # all of them: attached.py
        },
        memory_mib=1024,
        fw_cfg={"opt/rasura/test": tar},          # a Path is a file, a str the value itself
    ) as machine:
        machine.console.expect(r"^login:", 60)    # ttyS0; .send("text\\r") types into it
        machine.results.expect(r"^LAB-END$", 90)  # ttyS1; .text is all so far
        machine.qmp.execute("system_reset")       # any QMP command; .event("RESUME") waits
        machine.press("ctrl", "alt", "f2")        # send_key; .type("text") for whole words (us keymap)
        machine.screendump(folder / "x.png")
        machine.unplug("disk")                    # device_del of a SCSI or USB disk; waits until it is gone
        machine.wait_off(30)                      # the guest powers itself off

Leaving the block ends QEMU with QMP quit, then by its pid. What the serial ports said stays in
``folder`` (console.log, results.log, qemu.log). Everything that takes too long raises ``AssertionError``
with the end of what was said.

As many QEMUs at a time as there are processors (locks in the folder for temporary files), each with one
processor unless a test wants more: under software emulation a second one costs more than it brings.
``alone=False`` starts one more inside a test that holds a lock.
RASURA_QEMU_ACCEL=kvm uses another accelerator than software emulation.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from lab.attached import Attached, ScsiDisk, UsbDisk
from lab.qmp import Qmp, QmpError
from lab.serial_port import SerialPort

QEMU = "qemu-system-x86_64"
BOOT_S = 600.0
"""For what hangs, not for what is slow: without KVM, beside another machine, a boot takes minutes."""
_OVMF = Path("/usr/share/OVMF")
_PROCESSOR = (
    "qemu64,+ssse3,+sse4.1,+sse4.2,+popcnt,+cx16,+aes,+pclmulqdq"
    ",vendor=GenuineIntel,family=6,model=28,stepping=2"
)
"""An early 64-bit Atom with AES beside it. An emulator is slow at what newer processors have and nothing
here needs (AVX in string functions, SMAP around every copy from user space), and this one does not speculate,
so the kernel leaves out its retpolines: a boot takes four fifths of the time it takes on QEMU's "max"."""


class Firmware(Enum):
    """What the machine boots with: (code, template of its variables), nothing for the BIOS."""

    BIOS = None
    UEFI = ("OVMF_CODE_4M.fd", "OVMF_VARS_4M.fd")
    SECURE_BOOT = ("OVMF_CODE_4M.ms.fd", "OVMF_VARS_4M.ms.fd")
    """Secure Boot on, with Microsoft's keys, as PCs are sold."""


@dataclass(frozen=True)
class Kernel:
    """Boot a kernel directly, without any boot loader."""

    vmlinuz: Path
    initrd: Path
    command_line: str


@dataclass(frozen=True)
class Media:
    """Boot what is attached with a bootindex."""


def missing() -> str | None:
    """Why no machine can be started here, or ``None``."""
    if shutil.which(QEMU) is None:
        return f"{QEMU} is not installed (apt install qemu-system-x86 ovmf)"
    return None


_KEYS = {
    " ": ("spc",),
    "\n": ("ret",),
    "\r": ("ret",),
    "-": ("minus",),
    "=": ("equal",),
    ".": ("dot",),
    ",": ("comma",),
    "/": ("slash",),
    ":": ("shift", "semicolon"),
    ";": ("semicolon",),
    "_": ("shift", "minus"),
    "|": ("shift", "backslash"),
    ">": ("shift", "dot"),
    "&": ("shift", "7"),
    "(": ("shift", "9"),
    ")": ("shift", "0"),
    "'": ("apostrophe",),
    '"': ("shift", "apostrophe"),
}


def _take_turn() -> IO[bytes]:
    """Wait for one of the places for a machine; it is free again when the file is closed."""
    folder = Path(tempfile.gettempdir())
    names = ["qemu.lock", *(f"qemu-{number}.lock" for number in range(1, os.cpu_count() or 1))]
    while True:
        for name in names:
            lock = (folder / name).open("ab")
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                lock.close()
            else:
                return lock
        time.sleep(0.5)


class Machine:
    """One PC, from ``with`` to its end. See the module."""

    console: SerialPort
    """ttyS0."""
    results: SerialPort
    """ttyS1."""
    qmp: Qmp
    process: subprocess.Popen[bytes]

    def __init__(
        self,
        folder: Path,
        boot: Kernel | Media,
        *,
        firmware: Firmware = Firmware.BIOS,
        attached: Mapping[str, Attached] | None = None,
        chipset: str = "q35",
        graphics: str = "std",
        memory_mib: int = 1024,
        cpus: int = 1,
        fw_cfg: Mapping[str, Path | str] | None = None,
        clock: str = "utc",
        reboots: bool = True,
        alone: bool = True,
        extra: Sequence[str] = (),
        within: Sequence[str] = (),
    ) -> None:
        """Nothing starts yet.

        ``chipset`` is QEMU's machine: "q35", with PCI Express and AHCI, or "pc", with what there was in 1996;
        ``graphics`` its -vga; ``clock`` its -rtc base ("utc", or a date for a wrong clock); without
        ``reboots`` a reset by the guest ends QEMU; ``extra`` goes to its command line as it is; ``within``
        is a command that runs it elsewhere, such as "ip netns exec NAME".
        """
        self.folder = folder
        self._boot, self._firmware = boot, firmware
        self._attached = dict(attached or {})
        self._chipset, self._graphics = chipset, graphics
        self._memory_mib, self._cpus = memory_mib, cpus
        self._fw_cfg = dict(fw_cfg or {})
        self._clock, self._reboots, self._alone, self._extra = clock, reboots, alone, tuple(extra)
        self._within = tuple(within)
        self._sockets: Path | None = None
        self._lock: IO[bytes] | None = None
        self._closers: list[SerialPort] = []
        self._plugged = 0

    # Command line

    def arguments(self, sockets: Path) -> list[str]:
        """The command line of QEMU, its control and serial ports as sockets in that folder."""
        accelerator = os.environ.get("RASURA_QEMU_ACCEL", "tcg")
        argv = [QEMU, "-nodefaults", "-no-user-config", "-display", "none", "-vga", self._graphics]
        secure = self._firmware is Firmware.SECURE_BOOT
        argv += ["-machine", self._chipset + (",smm=on" if secure else "")]
        # A kernel that patches code while another emulated processor runs it can crash there: one at a time.
        tcg = f"tcg,thread={'multi' if self._cpus == 1 else 'single'}"
        argv += ["-accel", tcg if accelerator == "tcg" else accelerator]
        argv += ["-cpu", _PROCESSOR, "-smp", str(self._cpus), "-m", str(self._memory_mib)]
        if self._chipset == "q35":
            argv += ["-global", "ICH9-LPC.disable_s3=0"]
        argv += ["-rtc", f"base={self._clock}"]
        argv += ["-device", "virtio-rng-pci"]
        for name in ("console", "results"):
            argv += ["-chardev", f"socket,id={name},path={sockets / name},server=on,wait=off"]
            argv += ["-serial", f"chardev:{name}"]
        argv += ["-qmp", f"unix:{sockets / 'qmp'},server=on,wait=off"]
        # The processors wait until both ends of the serial ports are there: no word is lost.
        argv += ["-S"]
        if not self._reboots:
            argv += ["-no-reboot"]
        argv += self._firmware_arguments(secure=secure)
        if isinstance(self._boot, Kernel):
            boot = self._boot
            argv += ["-kernel", str(boot.vmlinuz), "-initrd", str(boot.initrd), "-append", boot.command_line]
        for key, value in self._fw_cfg.items():
            what = f"file={value}" if isinstance(value, Path) else f"string={value}"
            argv += ["-fw_cfg", f"name={key},{what}"]
        for name, one in self._attached.items():
            argv += one.arguments(name)
        return [*argv, *self._extra]

    def _firmware_arguments(self, *, secure: bool) -> list[str]:
        if self._firmware.value is None:
            return []
        code, variables = self._firmware.value
        own = self.folder / "firmware-variables.fd"
        shutil.copyfile(_OVMF / variables, own)
        argv = ["-global", "driver=cfi.pflash01,property=secure,value=on"] if secure else []
        argv += ["-drive", f"if=pflash,unit=0,format=raw,readonly=on,file={_OVMF / code}"]
        return [*argv, "-drive", f"if=pflash,unit=1,format=raw,file={own}"]

    # Life

    def __enter__(self) -> Self:
        try:
            self._start()
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end()

    def _start(self) -> None:
        if self._alone:
            self._lock = _take_turn()
        # A socket's path has 107 characters at most: the test's folder may be deeper.
        self._sockets = sockets = Path(tempfile.mkdtemp(prefix="rasura-"))
        with (self.folder / "qemu.log").open("wb") as log:
            self.process = subprocess.Popen(
                [*self._within, *self.arguments(sockets)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.folder,
            )
        try:
            self.qmp = Qmp(sockets / "qmp")
        except QmpError as error:
            said = (self.folder / "qemu.log").read_text("utf-8", "replace")
            raise QmpError(f"QEMU did not start: {said or error}") from None
        self.console = self._serial("console", sockets)
        self.results = self._serial("results", sockets)
        self.qmp.execute("cont")

    def _serial(self, name: str, sockets: Path) -> SerialPort:
        port = SerialPort(name, sockets / name, self.folder / f"{name}.log")
        self._closers.append(port)
        return port

    def _end(self) -> None:
        if hasattr(self, "process"):
            if self.process.poll() is None and hasattr(self, "qmp"):
                try:
                    self.qmp.execute("quit", timeout_s=5)
                    self.process.wait(5)
                except (QmpError, subprocess.TimeoutExpired):
                    pass  # the kill below is for these
            if self.process.poll() is None:
                self.process.kill()
            self.process.wait(10)
        if hasattr(self, "qmp"):
            self.qmp.close()
        for port in self._closers:
            port.close()
        if self._sockets is not None:
            shutil.rmtree(self._sockets)
        if self._lock is not None:
            self._lock.close()

    # What a person at the machine does

    @property
    def running(self) -> bool:
        """Whether QEMU still runs."""
        return self.process.poll() is None

    def reset(self) -> None:
        """Reset the machine: RAM is lost. QEMU's own drives keep what they were sent."""
        self.qmp.execute("system_reset")

    def press(self, *keys: str) -> None:
        """Press keys together, by their QEMU names ("ctrl", "alt", "f2", "ret")."""
        self.qmp.execute("send-key", keys=[{"type": "qcode", "data": key} for key in keys])

    def type(self, text: str) -> None:
        """Type ``text`` on the keyboard; letters, digits and the punctuation of a command line."""
        for character in text:
            if character in _KEYS:
                self.press(*_KEYS[character])
            elif character.isupper():
                self.press("shift", character.lower())
            else:
                self.press(character)
            # A real keyboard is no faster, and the controller's queue holds 16 keys.
            time.sleep(0.03)

    def screendump(self, png: Path) -> None:
        """Take a picture of the screen."""
        self.qmp.execute("screendump", filename=str(png), format="png")

    def plug_in(self, name: str) -> None:
        """Plug in what was attached as an absent ``ScsiDisk``."""
        self.qmp.execute("device_add", **self._pluggable(name).device(name))

    def plug_in_again(self, name: str) -> None:
        """Plug in what was unplugged: QEMU has forgotten its backing file with it."""
        one = self._pluggable(name)
        file = {"driver": "file", "filename": str(one.file), "locking": "off"}
        self._plugged += 1
        node = f"{name}-again-{self._plugged}"
        self.qmp.execute("blockdev-add", driver="raw", node_name=node, file=file)
        self.qmp.execute("device_add", **{**one.device(name), "drive": node})

    def _pluggable(self, name: str) -> ScsiDisk | UsbDisk:
        one = self._attached[name]
        assert isinstance(one, ScsiDisk | UsbDisk), "only SCSI and USB disks can be plugged in"
        return one

    def unplug(self, name: str, timeout_s: float = 20.0) -> None:
        """Pull out what is attached as ``name``; waits until it is gone."""
        self.qmp.execute("device_del", id=name)
        deadline = time.monotonic() + timeout_s
        while True:
            gone = self.qmp.event("DEVICE_DELETED", max(0.1, deadline - time.monotonic()))
            if gone["data"].get("device") == name:
                return

    def wait_off(self, timeout_s: float) -> None:
        """Wait until the guest has powered itself off."""
        try:
            self.process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            tail = self.console.text[-3000:]
            raise AssertionError(f"not off after {timeout_s:g} s. The console said:\n{tail}") from None
