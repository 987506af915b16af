"""A real /dev/sdX of this guest whose every command is answered elsewhere (TCMU and tcm_loop).

The kernel's target core passes each CDB through a ring in shared memory (``linux/target_core_user.h``,
mailbox version 2); it goes to the host by TCP, whose format ``shelf.py`` describes. Standard library only.
"""

from __future__ import annotations

import contextlib
import mmap
import os
import socket
import struct
import threading
import time
from pathlib import Path

_TARGET = Path("/sys/kernel/config/target")
_REQUEST = struct.Struct("<BII")
_ANSWER = struct.Struct("<BBI")

# struct tcmu_mailbox
_FLAGS, _RING_OFFSET, _RING_SIZE, _HEAD, _TAIL = 2, 4, 8, 12, 64
_CAP_READ_LEN = 1 << 1
# struct tcmu_cmd_entry
_OP_MASK, _OP_CMD = 0x7, 1
_UFLAG_UNKNOWN_OP, _UFLAG_READ_LEN = 0x1, 0x2
_UFLAGS, _RESPONSE, _IOV_COUNT, _CDB_OFFSET, _IOV = 7, 8, 8, 24, 48
_SENSE_BYTES = 96

_OUT = frozenset(
    {
        0x04,
        0x0A,
        0x15,
        0x1D,
        0x2A,
        0x2E,
        0x3B,
        0x41,
        0x42,
        0x48,
        0x4C,
        0x55,
        0x5F,
        0x89,
        0x8A,
        0x8E,
        0x93,
        0xA4,
    }
    | {0xAA, 0xB5}
)
"""Operation codes whose data goes to the drive (SPC-5, SBC-4)."""
_CDB_BYTES = {0: 6, 1: 10, 2: 10, 4: 16, 5: 12}


def _outwards(cdb: bytes) -> bool:
    """Whether a command's buffer goes to the drive: for ATA PASS-THROUGH, T_DIR says so (SAT-4)."""
    if cdb[0] in (0x85, 0xA1):
        return not cdb[2] & 0x08
    return cdb[0] in _OUT


class Relay:
    """One device of the guest and its line to the host."""

    def __init__(self, name: str, host: tuple[str, int], size: int, number: int) -> None:
        """Make the device; ``number`` tells it from the others. ``path`` is its node."""
        self.name = name
        self._core = _TARGET / "core/user_0" / name
        self._fabric = _TARGET / f"loopback/naa.60014050{number:08x}"
        self._line = socket.create_connection(host, 30)
        self._line.settimeout(None)
        self._line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._line.sendall(name.encode() + b"\n")
        self._core.mkdir(parents=True)
        (self._core / "control").write_text(f"dev_config=lab/{name},dev_size={size},hw_block_size=512\n")
        # What a drive takes long for is the initiator's business, not the target core's.
        (self._core / "attrib/cmd_time_out").write_text("0\n")
        (self._core / "enable").write_text("1\n")
        self._open_ring()
        threading.Thread(target=self._work, name=name, daemon=True).start()
        self.path = self._plug_in(number)

    def _open_ring(self) -> None:
        wanted = f"/lab/{self.name}"
        for folder in Path("/sys/class/uio").iterdir():
            if (folder / "name").read_text().strip().endswith(wanted):
                break
        else:
            raise RuntimeError(f"no ring for {self.name}")
        node = Path("/dev", folder.name)
        deadline = time.monotonic() + 200
        while not node.exists() and time.monotonic() < deadline:
            time.sleep(0.02)
        self._uio = os.open(node, os.O_RDWR | os.O_CLOEXEC)
        size = int((folder / "maps/map0/size").read_text(), 16)
        self._ring = mmap.mmap(self._uio, size)
        self._reads_short = bool(self._u16(_FLAGS) & _CAP_READ_LEN)

    def _plug_in(self, number: int) -> str:
        """Give the target core a loopback initiator: the kernel scans it, and asks it a lot."""
        group = self._fabric / "tpgt_1"
        group.mkdir(parents=True)
        (group / "nexus").write_text(f"naa.60014051{number:08x}\n")
        lun = group / "lun/lun_0"
        lun.mkdir()
        (lun / "drive").symlink_to(self._core)
        address = (group / "address").read_text().strip()
        device = Path("/sys/bus/scsi/devices", f"{address}:0")
        deadline = time.monotonic() + 500
        while time.monotonic() < deadline:
            for block in device.glob("block/*"):
                node = Path("/dev", block.name)
                if node.exists():
                    return str(node)
            time.sleep(0.05)
        raise RuntimeError(f"the kernel made no block device of {self.name} ({address})")

    def unplug(self) -> None:
        """Take the device out of the guest."""
        group = self._fabric / "tpgt_1"
        (group / "lun/lun_0/drive").unlink()
        for folder in (group / "lun/lun_0", group, self._fabric):
            folder.rmdir()
        self._core.rmdir()
        self._line.close()

    # The ring

    def _u16(self, at: int) -> int:
        return int.from_bytes(self._ring[at : at + 2], "little")

    def _u32(self, at: int) -> int:
        return int.from_bytes(self._ring[at : at + 4], "little")

    def _work(self) -> None:
        base, size = self._u32(_RING_OFFSET), self._u32(_RING_SIZE)
        tail = self._u32(_TAIL)
        # It ends when the device is unplugged, or the host has gone: the drive answers no more.
        with contextlib.suppress(OSError, EOFError):
            while True:
                while tail != self._u32(_HEAD):
                    entry = base + tail
                    length = self._u32(entry)
                    if length & _OP_MASK == _OP_CMD:
                        self._carry_out(entry)
                    elif length & _OP_MASK:
                        self._ring[entry + _UFLAGS] = _UFLAG_UNKNOWN_OP
                    tail = (tail + (length & ~_OP_MASK)) % size
                    struct.pack_into("<I", self._ring, _TAIL, tail)
                    os.write(self._uio, b"\0\0\0\0")
                os.read(self._uio, 4)

    def _carry_out(self, entry: int) -> None:
        count = self._u32(entry + _IOV_COUNT)
        at = struct.unpack_from("<Q", self._ring, entry + _CDB_OFFSET)[0]
        cdb = self._ring[at : at + _CDB_BYTES.get(self._ring[at] >> 5, 16)]
        parts = [struct.unpack_from("<QQ", self._ring, entry + _IOV + 16 * i) for i in range(count)]
        length = sum(part[1] for part in parts)
        out = b""
        if length and _outwards(cdb):
            out = b"".join(self._ring[start : start + size] for start, size in parts)
        self._line.sendall(_REQUEST.pack(len(cdb), len(out), 0 if out else length) + cdb + out)
        status, sense_bytes, data_bytes = _ANSWER.unpack(self._receive(_ANSWER.size))
        sense, data = self._receive(sense_bytes), self._receive(data_bytes)
        left = data
        for start, size in parts if data else ():
            self._ring[start : start + len(left[:size])] = left[:size]
            left = left[size:]
        short = self._reads_short and length and not out
        if short:
            self._ring[entry + _UFLAGS] = _UFLAG_READ_LEN
        response = struct.pack("<BBHI", status, 0, 0, len(data) if short else 0)
        self._ring[entry + _RESPONSE : entry + _RESPONSE + 8 + _SENSE_BYTES] = (
            response + sense.ljust(_SENSE_BYTES, b"\0")[:_SENSE_BYTES]
        )

    def _receive(self, length: int) -> bytes:
        data = bytearray()
        while len(data) < length:
            part = self._line.recv(length - len(data))
            if not part:
                raise EOFError
            data += part
        return bytes(data)
