"""A simulated NVM subsystem as an NVMe/TCP target on the host (NVMe/TCP Transport Specification 1.0).

Only what carries commands is here: connections, queues, properties, features that a host cannot do without.
What a command does is the simulator's business, whose raw command dwords and status come and go unchanged.
One controller; no discovery, no authentication, no digests, no asynchronous events.
"""

from __future__ import annotations

import contextlib
import hashlib
import socket
import struct
import threading
from dataclasses import dataclass, field
from enum import IntEnum
from typing import BinaryIO

from lab.shelf import LabClock
from simulators.nvme import SimulatedNvmeSubsystem
from simulators.nvme_types import AdminCommand, DriveGoneError, NvmeOptions, Op, Status, status_field
from simulators.world import Medium


class Pdu(IntEnum):
    """PDU types (NVMe/TCP figure 14)."""

    IC_REQ = 0x00
    IC_RESP = 0x01
    CAPSULE_CMD = 0x04
    CAPSULE_RESP = 0x05
    H2C_DATA = 0x06
    C2H_DATA = 0x07
    R2T = 0x09


class Fabrics(IntEnum):
    """Fabrics command types (Base 2.0 figure 375), opcode 7Fh."""

    PROPERTY_SET = 0x00
    CONNECT = 0x01
    PROPERTY_GET = 0x04


class AdminOnly(IntEnum):
    """Admin commands that the transport answers for the simulator."""

    ABORT = 0x08
    SET_FEATURES = 0x09
    GET_FEATURES = 0x0A
    ASYNC_EVENT_REQUEST = 0x0C
    KEEP_ALIVE = 0x18


class Io(IntEnum):
    """I/O commands (NVM Command Set 1.0 figure 19)."""

    FLUSH = 0x00
    WRITE = 0x01
    READ = 0x02


_FABRICS = 0x7F
_LAST = 0x04
"""C2HData flag: the last PDU of the transfer."""
_CAP, _VS, _CC, _CSTS = 0x00, 0x08, 0x14, 0x1C
_CAPABILITIES = 127 | 1 << 16 | 0x0F << 24 | 1 << 37
"""MQES 128 entries, contiguous queues, ready within 7.5 s, NVM command set."""
_VERSION = 0x0002_0000
_CONNECT_INVALID_PARAMETERS = 0x182
_IN_CAPSULE_BYTES = 8192
_MOST_H2C_BYTES = 1 << 20
_NUMBER_OF_QUEUES = 0x07
_SETTABLE = frozenset({_NUMBER_OF_QUEUES, 0x0B, 0x0F})
"""Number of Queues, Asynchronous Event Configuration, Keep Alive Timer."""


@dataclass(slots=True)
class _Waiting:
    """A command whose data the host has yet to send."""

    sqe: bytes
    data: bytearray = field(default_factory=bytearray)
    length: int = 0


class NvmeTarget:
    """One subsystem and its TCP port. ``nqn`` is its name."""

    def __init__(self, subsystem: SimulatedNvmeSubsystem, clock: LabClock) -> None:
        self.subsystem, self.clock = subsystem, clock
        self.nqn = f"nqn.2014-08.org.nvmexpress:uuid:simulated:{subsystem.options.serial}"
        self.commands: list[AdminCommand] = []
        """Every admin command that reached the simulator, but Identify and Get Log Page."""
        self.lock = threading.Lock()
        self._connections: set[socket.socket] = set()
        self.enabled = 0
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listening.getsockname()[1]
        threading.Thread(target=self._accept, name="nvme-tcp", daemon=True).start()

    def sectors_with(self, secret: bytes) -> int:
        """How often ``secret`` is found on the media, readable now or not."""
        with self.lock:
            self.subsystem.settle()
            return sum(one.medium.data.count(secret) for one in self.subsystem.media.namespaces.values())

    def cut_power(self) -> None:
        """The drive loses its power, and with it every connection."""
        with self.lock:
            self.subsystem.hot_unplug()
            for connection in self._connections:
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)
            self.enabled = 0

    def give_power(self) -> None:
        """The drive has power again: to it, that was a power cycle."""
        with self.lock:
            self.subsystem.replug()

    def configure(self, value: int) -> None:
        """Write Controller Configuration; taking EN away is a Controller Level Reset."""
        with self.lock:
            if self.enabled & 1 and not value & 1 and not self.subsystem.unplugged:
                self.subsystem.controller_reset()
            self.enabled = value

    def close(self) -> None:
        """Take no more hosts."""
        with contextlib.suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listening.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with self.lock:
            self._connections.add(connection)
        with connection, connection.makefile("rb") as stream, contextlib.suppress(OSError, DriveGoneError):
            _Queue(self, connection).run(stream)
        with self.lock:
            self._connections.discard(connection)


class _Queue:
    """One connection: an admin queue, or an I/O queue."""

    def __init__(self, target: NvmeTarget, connection: socket.socket) -> None:
        self._target, self._connection = target, connection
        self._id = 0
        self._waiting: dict[int, _Waiting] = {}
        self._sending = threading.Lock()

    def run(self, stream: BinaryIO) -> None:
        """Take PDUs until the host closes."""
        while head := stream.read(8):
            kind, _, header_bytes, data_at, length = struct.unpack("<BBBBI", head)
            body = stream.read(length - 8)
            data = body[data_at - 8 :] if data_at else b""
            if kind == Pdu.IC_REQ:
                answer = struct.pack("<HBBI", 0, 0, 0, _MOST_H2C_BYTES)
                self._send(struct.pack("<BBBBI", Pdu.IC_RESP, 0, 128, 0, 128) + answer.ljust(120, b"\0"))
            elif kind == Pdu.CAPSULE_CMD:
                self._capsule(body[: header_bytes - 8], data)
            elif kind == Pdu.H2C_DATA:
                self._data_arrived(body, data)
            else:
                return

    def _capsule(self, sqe: bytes, data: bytes) -> None:
        length = struct.unpack_from("<I", sqe, 32)[0]
        # Opcode bits 1:0 tell the direction (Base 2.0 figure 85), for Fabrics commands those of the type.
        direction = (sqe[4] if sqe[0] == _FABRICS else sqe[0]) & 3
        if direction == 1 and length and not data:
            cid = struct.unpack_from("<H", sqe, 2)[0]
            self._waiting[cid] = _Waiting(sqe, length=length)
            # One transfer tag a command: its own identifier.
            self._pdu(Pdu.R2T, struct.pack("<HHIIxxxx", cid, cid, 0, length))
            return
        self._execute(sqe, data)

    def _data_arrived(self, body: bytes, data: bytes) -> None:
        tag = struct.unpack_from("<H", body, 2)[0]
        waiting = self._waiting[tag]
        waiting.data += data
        if len(waiting.data) >= waiting.length:
            del self._waiting[tag]
            self._execute(waiting.sqe, bytes(waiting.data))

    def _execute(self, sqe: bytes, data: bytes) -> None:
        cid = struct.unpack_from("<H", sqe, 2)[0]
        if sqe[0] == _FABRICS:
            self._respond(cid, *self._fabrics(sqe, data))
        elif self._id:
            self._respond(cid, *self._io(sqe, data))
        else:
            self._admin(cid, sqe, data)

    # Fabrics

    def _fabrics(self, sqe: bytes, data: bytes) -> tuple[int, int, bytes]:
        target = self._target
        status, result = int(Status.INVALID_FIELD), 0
        if sqe[4] == Fabrics.CONNECT:
            name = data[256:512].split(b"\0")[0].decode("ascii", "replace")
            self._id = struct.unpack_from("<H", sqe, 42)[0]
            status = Status.SUCCESS if name == target.nqn else _CONNECT_INVALID_PARAMETERS
        elif sqe[4] == Fabrics.PROPERTY_GET:
            # Shutdown, once asked for, is complete.
            ready = target.enabled & 1 | (0x08 if target.enabled >> 14 & 3 else 0)
            registers = {_CAP: _CAPABILITIES, _VS: _VERSION, _CC: target.enabled, _CSTS: ready}
            offset = struct.unpack_from("<I", sqe, 44)[0]
            if offset in registers:
                status, result = Status.SUCCESS, registers[offset]
        elif sqe[4] == Fabrics.PROPERTY_SET:
            offset, value = struct.unpack_from("<IQ", sqe, 44)
            if offset == _CC:
                target.configure(value & 0xFFFFFFFF)
                status = Status.SUCCESS
        return status, result, b""

    # Admin

    def _admin(self, cid: int, sqe: bytes, data: bytes) -> None:
        opcode, nsid = sqe[0], struct.unpack_from("<I", sqe, 4)[0]
        dwords: tuple[int, int, int, int, int, int] = struct.unpack_from("<6I", sqe, 40)
        if opcode == AdminOnly.ASYNC_EVENT_REQUEST:
            return  # nothing ever happens
        if opcode in AdminOnly.__members__.values():
            self._respond(cid, *_answer_for_simulator(opcode, dwords))
            return
        outwards = opcode & 3 == 1
        room = 0 if outwards else struct.unpack_from("<I", sqe, 32)[0]
        command = AdminCommand(0, opcode, nsid, *dwords, data, room)
        target = self._target
        with target.lock:
            if opcode not in {Op.IDENTIFY, Op.GET_LOG_PAGE}:
                target.commands.append(command)
            submission = target.subsystem.submit(command)
            late = submission.ready_at - target.clock.monotonic()
        answer = submission.data
        if opcode == Op.IDENTIFY and dwords[0] & 0xFF == 0x01 and answer:
            answer = _over_fabrics(answer)
        if late > 0:
            timer = threading.Timer(late, self._respond, (cid, submission.status, submission.result, answer))
            timer.daemon = True
            timer.start()
        else:
            self._respond(cid, submission.status, submission.result, answer)

    # I/O

    def _io(self, sqe: bytes, data: bytes) -> tuple[int, int, bytes]:
        opcode, nsid = sqe[0], struct.unpack_from("<I", sqe, 4)[0]
        first, blocks = struct.unpack_from("<QH", sqe, 40)
        subsystem = self._target.subsystem
        with self._target.lock:
            match opcode:
                case Io.READ:
                    status, data = subsystem.read(0, nsid, first, blocks + 1)
                    return status_field(status), 0, data
                case Io.WRITE:
                    return status_field(subsystem.write(0, nsid, first, data)), 0, b""
                case Io.FLUSH:
                    return status_field(subsystem.flush(0, nsid)), 0, b""
        return status_field(Status.INVALID_OPCODE), 0, b""

    # Out

    def _respond(self, cid: int, status: int, result: int, data: bytes) -> None:
        with contextlib.suppress(OSError):
            if data and not status:
                head = struct.pack("<HxxIIxxxx", cid, 0, len(data))
                self._pdu(Pdu.C2H_DATA, head, data, flags=_LAST)
            self._pdu(Pdu.CAPSULE_RESP, struct.pack("<QHHHH", result, 0, self._id, cid, status << 1))

    def _pdu(self, kind: Pdu, header: bytes, data: bytes = b"", *, flags: int = 0) -> None:
        length = 8 + len(header)
        common = struct.pack("<BBBBI", kind, flags, length, length if data else 0, length + len(data))
        self._send(common + header + data)

    def _send(self, data: bytes) -> None:
        with self._sending:
            self._connection.sendall(data)


def _answer_for_simulator(opcode: int, dwords: tuple[int, ...]) -> tuple[int, int, bytes]:
    feature = dwords[0] & 0xFF
    match opcode:
        case AdminOnly.KEEP_ALIVE:
            return Status.SUCCESS, 0, b""
        case AdminOnly.ABORT:
            return Status.SUCCESS, 1, b""  # it was not aborted
        case AdminOnly.SET_FEATURES if feature in _SETTABLE:
            return Status.SUCCESS, 0, b""  # 0's based: one queue each way
    return status_field(Status.INVALID_FIELD), 0, b""


def _over_fabrics(page: bytes) -> bytes:
    """Identify Controller data with what a fabrics host needs (Base 2.0 figure 275)."""
    changed = bytearray(page)
    struct.pack_into("<H", changed, 320, 100)  # KAS, in 100 ms
    struct.pack_into("<H", changed, 514, 128)  # MAXCMD
    struct.pack_into("<I", changed, 536, 1 | 1 << 20)  # SGLS: supported, with an offset into the capsule
    in_capsule = (64 + _IN_CAPSULE_BYTES) // 16
    struct.pack_into("<IIHBB", changed, 1792, in_capsule, 1, 0, 0, 1)  # IOCCSZ, IORCSZ, ICDOFF, FCATT, MSDBD
    return bytes(changed)


def nvme_target(options: NvmeOptions, *contents: bytes) -> NvmeTarget:
    """A drive with a namespace of 512-byte blocks for each of ``contents``."""
    clock = LabClock()
    media = []
    for content in contents:
        media.append(Medium(512, len(content) // 512))
        media[-1].data[:] = content
    subsystem = SimulatedNvmeSubsystem(clock, media, options)
    # A kernel refuses a second namespace of the same name.
    vendor = hashlib.sha256(options.serial.encode()).digest()[:8]
    for nsid, namespace in subsystem.media.namespaces.items():
        namespace.nguid = vendor + bytes(4) + nsid.to_bytes(4, "big")
        namespace.eui64 = bytes(8)
    return NvmeTarget(subsystem, clock)
