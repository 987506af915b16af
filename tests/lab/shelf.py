"""Simulated ATA and SCSI drives on a shelf of the host, reached by a guest's TCMU handler over TCP.

A drive's state and medium live in the test's own process: they outlive the guest as those of a real drive
outlive a PC that is switched off, and a test can look at the medium itself. The guest's handler knows
nothing but CDBs and data (``guest/tcmu.py``).

One connection a drive. The guest sends the drive's name and a newline, then requests::

    B CDB length, I bytes out, I bytes of room, then CDB and data out

and gets ``B status, B sense length, I bytes in``, sense data and data in. Numbers are little-endian.
A drive that does not answer (its power is cut, or it hangs) sends nothing.
"""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
import time
from collections.abc import Iterator

from simulators.ata import SimulatedAtaDrive
from simulators.ata_options import AtaOptions
from simulators.ports_media import HostTimeoutError, PowerEvent
from simulators.sat import BridgeOptions, SatTarget
from simulators.scsi import SimulatedScsiDrive
from simulators.scsi_options import ScsiOptions
from simulators.scsi_sense import Answer
from simulators.world import ManualClock, Medium, PowerCut

SECTOR_BYTES = 512
_REQUEST = struct.Struct("<BII")
_ANSWER = struct.Struct("<BBI")


class LabClock(ManualClock):
    """The real time, for drives that a real kernel waits for. Whoever sleeps on it feels a power cut."""

    def __init__(self) -> None:
        super().__init__()
        self._cut = threading.Event()

    def monotonic(self) -> float:
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        if self._cut.wait(max(0.0, seconds)):
            raise PowerCut

    def cut(self) -> None:
        """Wake all who sleep, by ``PowerCut``."""
        self._cut.set()

    def restore(self) -> None:
        """Power is back."""
        self._cut.clear()


class ShelfDrive:
    """One simulated drive. Commands come one at a time; power may go at any moment."""

    def __init__(self, name: str, target: SatTarget | SimulatedScsiDrive, clock: LabClock) -> None:
        self.name, self.target, self.clock = name, target, clock
        self._busy = threading.Lock()
        self.commands: list[bytes] = []
        """Every CDB that the drive was sent, reads and writes left out."""

    @property
    def medium(self) -> Medium:
        """All sectors, hidden ones included."""
        drive = self.target.drive if isinstance(self.target, SatTarget) else self.target
        return drive.medium

    @contextlib.contextmanager
    def held(self) -> Iterator[Medium]:
        """The medium as it is now, with no command at work on it."""
        with self._busy:
            self.target.settle()
            yield self.medium

    def sectors_with(self, secret: bytes) -> list[int]:
        """Numbers of the sectors that hold ``secret``, by looking at the medium itself."""
        with self.held() as medium:
            data, size, found, at = medium.data, medium.sector_bytes, [], -1
            while (at := data.find(secret, at + 1)) >= 0:
                found.append(at // size)
            return found

    def answer(self, cdb: bytes, data_out: bytes, room: int) -> Answer | None:
        """Carry out one command; ``None`` if nobody will ever hear of it."""
        with self._busy:
            if not self.target.powered:
                return None
            if cdb[0] not in _MEDIUM_ACCESS:
                self.commands.append(cdb)
            try:
                return self.target.execute(cdb, data_out, room)
            except (PowerCut, HostTimeoutError):
                return None

    def cut_power(self) -> None:
        """The drive loses its power, in the middle of whatever it does."""
        self.clock.cut()
        with self._busy:
            # The blocking command is out now; what it began is seen to by the drive itself.
            self.clock.restore()
            self.target.power_off()

    def give_power(self, event: PowerEvent = PowerEvent.BOOT) -> None:
        """The drive has power again."""
        with self._busy:
            self.target.power_on(event)


_MEDIUM_ACCESS = frozenset({0x28, 0x2A, 0x88, 0x8A})


def ata_drive(
    name: str,
    options: AtaOptions,
    content: bytes,
    *,
    bridge: BridgeOptions | None = None,
    bad: frozenset[int] = frozenset(),
) -> ShelfDrive:
    """A SATA drive behind a translator, all of its sectors filled by repeating ``content``."""
    clock, medium = LabClock(), _medium(content)
    target = SatTarget(SimulatedAtaDrive(clock, medium, options), bridge)
    medium.bad.update(bad)
    return ShelfDrive(name, target, clock)


def scsi_drive(
    name: str, options: ScsiOptions, content: bytes, *, block_bytes: int = SECTOR_BYTES
) -> ShelfDrive:
    """A SAS drive, filled with ``content``."""
    clock = LabClock()
    return ShelfDrive(name, SimulatedScsiDrive(clock, _medium(content, block_bytes), options), clock)


def _medium(content: bytes, block_bytes: int = SECTOR_BYTES) -> Medium:
    # 128 blocks of 520, 524 or 528 bytes are whole sectors of 512: no rest that neither size can address.
    medium = Medium(block_bytes, len(content) // block_bytes // 128 * 128)
    medium.data[:] = content[: len(medium.data)]
    return medium


class Shelf:
    """Serves drives to guests, each by its name."""

    def __init__(self) -> None:
        self.drives: dict[str, ShelfDrive] = {}
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._socket.getsockname()[1]
        threading.Thread(target=self._accept, name="shelf", daemon=True).start()

    def put(self, drive: ShelfDrive) -> ShelfDrive:
        """Make ``drive`` reachable."""
        self.drives[drive.name] = drive
        return drive

    def cut_power(self) -> None:
        """Every drive loses its power."""
        for drive in self.drives.values():
            drive.cut_power()

    def give_power(self, event: PowerEvent = PowerEvent.BOOT) -> None:
        """Every drive has power again."""
        for drive in self.drives.values():
            drive.give_power(event)

    def close(self) -> None:
        """Take no more guests."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with connection, connection.makefile("rb") as stream:
            try:
                drive = self.drives[stream.readline().decode().strip()]
                while head := stream.read(_REQUEST.size):
                    length, out, room = _REQUEST.unpack(head)
                    cdb, data = stream.read(length), stream.read(out)
                    answer = drive.answer(cdb, data, room)
                    if answer is not None:
                        packed = _ANSWER.pack(answer.status, len(answer.sense), len(answer.data))
                        connection.sendall(packed + answer.sense + answer.data)
            except OSError:
                return  # the guest was reset
