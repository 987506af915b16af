"""What a pass-through ioctl hands back from a simulated drive, and how the ports read it.

Parsing is by the standards and from the bytes alone. It is written apart from the codecs of the agent,
which are what the simulators are there to test.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import IntEnum
from functools import lru_cache
from typing import NamedTuple

from rasura_agent.drive.port import (
    AtaCommand,
    AtaProtocol,
    AtaResult,
    Command,
    Disposition,
    ScsiCommand,
    SenseData,
)
from simulators.scsi_sense import CHECK_CONDITION, GOOD, SenseKey

_SKSV = 0x80
_SECURITY_ERASE_UNIT = 0xF4


class Host(IntEnum):
    """What the host says, apart from the target: ``host_status`` of SG_IO (scsi/scsi_status.h)."""

    OK = 0x00
    NO_CONNECT = 0x01
    TIME_OUT = 0x03
    ERROR = 0x07
    UNSUPPORTED = -1
    """No status at all: the ioctl is not for such commands."""


class Reply(NamedTuple):
    """The raw result of one pass-through command. ``elapsed_s`` is seconds by the simulated clock."""

    host: Host
    status: int = 0
    sense: bytes = b""
    data: bytes = b""
    elapsed_s: float = 0.0


Judge = Callable[[Command, Reply, SenseData | None, AtaResult | None], tuple[Disposition, str]]
"""Decides what became of a command, and says why."""


@lru_cache(maxsize=4096)
def parse_sense(raw: bytes) -> SenseData | None:
    """Sense data in either format; ``None`` if these bytes are no sense data."""
    if len(raw) < 8:
        return None
    response_code = raw[0] & 0x7F
    if response_code in {0x70, 0x71}:
        return _parse_fixed(raw, response_code)
    if response_code in {0x72, 0x73}:
        return _parse_descriptors(raw, response_code)
    return None


def _parse_fixed(raw: bytes, response_code: int) -> SenseData:
    sense = raw[:18].ljust(18, b"\0")
    return SenseData(
        response_code=response_code,
        key=sense[2] & 0x0F,
        asc=sense[12],
        ascq=sense[13],
        deferred=response_code == 0x71,
        progress=_progress(sense[2] & 0x0F, sense[15:18]),
        information=int.from_bytes(sense[3:7], "big") if sense[0] & 0x80 else None,
        raw=raw,
    )


def _parse_descriptors(raw: bytes, response_code: int) -> SenseData:
    progress = information = None
    key = raw[1] & 0x0F
    for kind, body in _descriptors(raw):
        if kind == 0x00 and len(body) >= 10 and body[0] & 0x80:
            information = int.from_bytes(body[2:10], "big")
        elif kind == 0x02 and len(body) >= 5:
            progress = _progress(key, body[2:5])
    return SenseData(
        response_code=response_code,
        key=key,
        asc=raw[2],
        ascq=raw[3],
        deferred=response_code == 0x73,
        progress=progress,
        information=information,
        raw=raw,
    )


def _progress(key: int, specific: bytes) -> int | None:
    """The sense key specific bytes are a progress indication under two sense keys only (SPC-5 table 52)."""
    if key not in {SenseKey.NO_SENSE, SenseKey.NOT_READY} or not specific[0] & _SKSV:
        return None
    return specific[1] << 8 | specific[2]


def _descriptors(raw: bytes) -> list[tuple[int, bytes]]:
    """(type, what follows the length) of each descriptor that is there whole."""
    found = []
    at, end = 8, min(len(raw), 8 + raw[7])
    while at + 2 <= end and at + 2 + raw[at + 1] <= end:
        found.append((raw[at], raw[at + 2 : at + 2 + raw[at + 1]]))
        at += 2 + raw[at + 1]
    return found


@lru_cache(maxsize=4096)
def parse_ata(raw: bytes) -> AtaResult | None:
    """The ATA Status Return descriptor (SAT-4 clause 12.2.2.6); ``None`` if there is none."""
    if len(raw) < 8 or raw[0] & 0x7F not in {0x72, 0x73}:
        return None
    for kind, body in _descriptors(raw):
        if kind == 0x09 and len(body) == 12:
            ext = body[0] & 1
            lba = body[5] | body[7] << 8 | body[9] << 16
            count = body[3]
            if ext:
                lba |= body[4] << 24 | body[6] << 32 | body[8] << 40
                count |= body[2] << 8
            else:
                # LBA bits 27:24 of a 28-bit command travel in the DEVICE field.
                lba |= (body[10] & 0x0F) << 24
            return AtaResult(status=body[11], error=body[1], count=count, lba=lba, device=body[10])
    return None


def judge_by_specification(
    command: Command, reply: Reply, sense: SenseData | None, ata: AtaResult | None
) -> tuple[Disposition, str]:
    """The plainest reading of the standards; in doubt, unknown."""
    if reply.host is Host.UNSUPPORTED:
        return Disposition.REFUSED, reply.host.name
    if reply.host is not Host.OK:
        return Disposition.UNKNOWN, reply.host.name
    if isinstance(command, AtaCommand):
        if command.protocol is AtaProtocol.PIO_IN and reply.status == GOOD:
            return Disposition.DONE, "data in, and no status was asked for"
        return _judge_ata(command, sense, ata)
    assert isinstance(command, ScsiCommand), "nothing else gets past the host"
    if reply.status == GOOD:
        return Disposition.DONE, "GOOD status"
    return _judge_sense(sense) if reply.status == CHECK_CONDITION else (Disposition.UNKNOWN, "odd status")


def _judge_ata(
    command: AtaCommand, sense: SenseData | None, ata: AtaResult | None
) -> tuple[Disposition, str]:
    if ata is None:
        if sense is not None and sense.key == SenseKey.ILLEGAL_REQUEST:
            return Disposition.REFUSED, "the translation layer rejected it"
        return Disposition.UNKNOWN, "no ATA status was returned"
    if not ata.status & 0x21:
        return Disposition.DONE, f"ATA status {ata.status:02x}h"
    # SECURITY ERASE UNIT may abort after it has begun.
    if ata.status & 0x20 or not ata.error & 0x14 or command.command == _SECURITY_ERASE_UNIT:
        return Disposition.UNKNOWN, f"ATA status {ata.status:02x}h, error {ata.error:02x}h"
    return Disposition.REFUSED, f"ATA error {ata.error:02x}h"


def _judge_sense(sense: SenseData | None) -> tuple[Disposition, str]:
    if sense is None:
        return Disposition.UNKNOWN, "no sense data"
    detail = f"sense {sense.key:x}h/{sense.asc:02x}h/{sense.ascq:02x}h"
    # NOT READY proves nothing: the very operation asked for may be what keeps the drive busy.
    if sense.key == SenseKey.ILLEGAL_REQUEST:
        return Disposition.REFUSED, detail
    return Disposition.UNKNOWN, detail
