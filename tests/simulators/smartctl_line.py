"""The installed smartctl over simulated drives: a library in place of the kernel sends it their answers.

smartctl itself is the real program, and parses the bytes that a drive would send. It stands behind the
port to programs, so that whoever runs smartctl through that meets simulated drives.
"""

from __future__ import annotations

import shutil
import socket
import struct
import subprocess
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

from rasura_agent.inventory.local_commands import SYSTEM_PATH
from rasura_agent.inventory.ports import CommandError, Ran
from simulators.nvme import SimulatedNvmeSubsystem
from simulators.scsi_sense import Answer

SMARTCTL = shutil.which("smartctl", path=SYSTEM_PATH)
CC = shutil.which("gcc") or shutil.which("cc")

_REQUEST = struct.Struct("=IIII72s")
_REPLY = struct.Struct("=IIII64s")
_NVME = struct.Struct("<BBHIIIQQIIIIIIIIII")
_LARGEST = 1 << 17


def obstacle() -> str | None:
    """Why there can be no smartctl here, or ``None``."""
    if SMARTCTL is None:
        return "smartctl is not installed (apt install smartmontools)"
    if CC is None or not Path("/usr/include/linux/nvme_ioctl.h").exists():
        return "there is no C compiler, or no kernel headers (apt install gcc libc6-dev linux-libc-dev)"
    return None


class ScsiTarget(Protocol):
    """What takes CDBs: ``SatTarget`` and ``SimulatedScsiDrive``."""

    def execute(self, cdb: bytes, data_out: bytes = b"", data_in_bytes: int = 0) -> Answer:
        """Carry out one CDB."""
        ...


class SmartctlOverSimulators:
    """A ``Commands`` whose smartctl meets these drives, by the path of their device node."""

    def __init__(self, folder: Path, drives: Mapping[str, ScsiTarget | SimulatedNvmeSubsystem]) -> None:
        self.drives = dict(drives)
        self.ran: dict[tuple[str, ...], Ran] = {}
        self._library = folder / "smartctl_line.so"
        if not self._library.exists():
            source = Path(__file__).with_name("smartctl_line.c")
            assert CC is not None
            command = [CC, "-shared", "-fPIC", "-O1", "-o", self._library, source, "-ldl"]
            subprocess.run(command, check=True, timeout=60)

    def run(self, argv: Sequence[str], timeout_s: float) -> Ran:
        """See ``Commands``."""
        path = argv[-1]
        if argv[0] != "smartctl" or SMARTCTL is None:
            raise CommandError(f"{argv[0]} is not installed")
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        for end in (ours, theirs):
            for option in (socket.SO_SNDBUF, socket.SO_RCVBUF):
                end.setsockopt(socket.SOL_SOCKET, option, 1 << 20)
        server = threading.Thread(target=self._serve, args=(ours, self.drives.get(path)), daemon=True)
        server.start()
        try:
            done = subprocess.run(
                [SMARTCTL, *argv[1:]],
                env={
                    "LC_ALL": "C",
                    "PATH": SYSTEM_PATH,
                    "LD_PRELOAD": str(self._library),
                    "RASURA_SIM_FD": str(theirs.fileno()),
                    "RASURA_SIM_PATH": path,
                },
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=timeout_s,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise CommandError(f"{' '.join(argv)} did not end within {timeout_s:g} s") from None
        finally:
            theirs.close()
            server.join(10)
            ours.close()
        ran = Ran(done.returncode, done.stdout, done.stderr)
        self.ran[tuple(argv)] = ran
        return ran

    def _serve(self, line: socket.socket, drive: ScsiTarget | SimulatedNvmeSubsystem | None) -> None:
        while True:
            try:
                packet = line.recv(_LARGEST)
            except OSError:
                return
            if not packet:
                return
            is_nvme, data_in, data_out, length, command = _REQUEST.unpack_from(packet)
            out = packet[_REQUEST.size : _REQUEST.size + data_out]
            if is_nvme and isinstance(drive, SimulatedNvmeSubsystem):
                status, result, sense, data = _nvme(drive, command, out, data_in)
            elif not is_nvme and drive is not None and not isinstance(drive, SimulatedNvmeSubsystem):
                answer = drive.execute(command[:length], out, data_in)
                status, result, sense, data = answer.status, 0, answer.sense, answer.data
            else:
                return
            data = data[:data_in]
            line.send(_REPLY.pack(status, result, len(sense), len(data), sense) + data)


def _nvme(
    drive: SimulatedNvmeSubsystem, command: bytes, out: bytes, data_in: int
) -> tuple[int, int, bytes, bytes]:
    words = _NVME.unpack_from(command)
    opcode, nsid, dwords = words[0], words[3], words[10:16]
    status, result, data = drive.admin(0, opcode, nsid, *dwords, data_out=out, data_len=data_in or len(out))
    return status, result, b"", data


def recorded(folder: Path, ran: Mapping[tuple[str, ...], Ran]) -> None:
    """Write captures: a file for each run, named by its arguments, with the exit status before the output."""
    folder.mkdir(parents=True, exist_ok=True)
    for argv, one in ran.items():
        (folder / capture_name(argv)).write_bytes(b"%d\n" % one.status + one.stdout)


def capture_name(argv: Sequence[str]) -> str:
    """The file that holds what these very arguments printed."""
    return "_".join(argv[1:]).replace("/", "%")


class CapturedSmartctl:
    """A ``Commands`` over such a folder; a run that was not captured is an error."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def run(self, argv: Sequence[str], timeout_s: float) -> Ran:
        """See ``Commands``."""
        del timeout_s
        path = self._folder / capture_name(argv)
        if not path.exists():
            raise CommandError(f"there is no capture of {' '.join(argv)}")
        status, _, output = path.read_bytes().partition(b"\n")
        return Ran(int(status), output)
