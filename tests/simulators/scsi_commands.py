"""The commands of a simulated SCSI drive: their CDBs bit by bit, and the report about them.

A CDB with a bit outside the usage mask is refused: reserved, obsolete and unsupported bits are zero here.
"""

from __future__ import annotations

import struct
from functools import lru_cache
from typing import NamedTuple

from simulators.ports_media import Technique
from simulators.scsi_options import ScsiOptions
from simulators.scsi_sense import CheckConditionError, Code, SenseKey, invalid_field

INQUIRY = 0x12
REQUEST_SENSE = 0x03
REPORT_LUNS = 0xA0
SANITIZE = 0x48
MAINTENANCE_IN = 0xA3
SERVICE_ACTION_IN_16 = 0x9E

SERVICE_ACTION_FIELD = {SANITIZE: 0x1F, SERVICE_ACTION_IN_16: 0x1F, MAINTENANCE_IN: 0x1F}
"""Operation codes that have service actions, with the bits of byte 1 where they are."""


class Command(NamedTuple):
    """One command. ``usage`` is its CDB USAGE DATA (SPC-5 clause 6.35.3), so its length is the CDB's."""

    name: str
    usage: bytes
    forbidden: int
    medium: bool
    """It needs the medium: a stopped or corrupt drive refuses it."""


Key = tuple[int, int | None]
"""Operation code, and service action where there are any."""


def _command(name: str, usage: str, *, medium: bool = False) -> tuple[Key, Command]:
    data = bytes.fromhex(usage)
    opcode, field = data[0], SERVICE_ACTION_FIELD.get(data[0], 0)
    allowed = bytes((0xFF, data[1] | field)) + data[2:]
    forbidden = ~int.from_bytes(allowed, "big") & ((1 << 8 * len(data)) - 1)
    return (opcode, data[1] & field if field else None), Command(name, data, forbidden, medium)


COMMANDS: dict[Key, Command] = dict(
    (
        _command("TEST UNIT READY", "00 00 00 00 00 00", medium=True),
        _command("REQUEST SENSE", "03 01 00 00 FF 00"),
        _command("FORMAT UNIT", "04 FF 00 00 00 00"),
        _command("INQUIRY", "12 01 FF FF FF 00"),
        _command("MODE SELECT(6)", "15 11 00 00 FF 00"),
        _command("MODE SENSE(6)", "1A 08 FF FF FF 00"),
        _command("START STOP UNIT", "1B 01 00 00 05 00"),
        _command("READ CAPACITY(10)", "25 00 00 00 00 00 00 00 00 00"),
        _command("READ(10)", "28 18 FF FF FF FF 00 FF FF 00", medium=True),
        _command("WRITE(10)", "2A 18 FF FF FF FF 00 FF FF 00", medium=True),
        _command("SYNCHRONIZE CACHE(10)", "35 02 FF FF FF FF 00 FF FF 00", medium=True),
        _command("WRITE SAME(10)", "41 08 FF FF FF FF 00 FF FF 00", medium=True),
        _command("UNMAP", "42 00 00 00 00 00 00 FF FF 00", medium=True),
        _command("SANITIZE, OVERWRITE", "48 E1 00 00 00 00 00 FF FF 00"),
        _command("SANITIZE, BLOCK ERASE", "48 E2 00 00 00 00 00 FF FF 00"),
        _command("SANITIZE, CRYPTOGRAPHIC ERASE", "48 E3 00 00 00 00 00 FF FF 00"),
        _command("SANITIZE, EXIT FAILURE MODE", "48 FF 00 00 00 00 00 FF FF 00"),
        _command("MODE SELECT(10)", "55 11 00 00 00 00 00 FF FF 00"),
        _command("MODE SENSE(10)", "5A 18 FF FF 00 00 00 FF FF 00"),
        _command("READ(16)", "88 18 FF FF FF FF FF FF FF FF FF FF FF FF 00 00", medium=True),
        _command("WRITE(16)", "8A 18 FF FF FF FF FF FF FF FF FF FF FF FF 00 00", medium=True),
        _command("SYNCHRONIZE CACHE(16)", "91 02 FF FF FF FF FF FF FF FF FF FF FF FF 00 00", medium=True),
        _command("WRITE SAME(16)", "93 09 FF FF FF FF FF FF FF FF FF FF FF FF 00 00", medium=True),
        _command("READ CAPACITY(16)", "9E 10 00 00 00 00 00 00 00 00 FF FF FF FF 00 00"),
        _command("REPORT LUNS", "A0 00 FF 00 00 00 FF FF FF FF 00 00"),
        _command("REPORT SUPPORTED OPERATION CODES", "A3 0C 87 FF FF FF FF FF FF FF 00 00"),
    )
)
"""All that a drive with every option supports (SPC-5, SBC-4)."""


def find(commands: dict[Key, Command], cdb: bytes) -> Command:
    """The command that ``cdb`` is; raises ``CheckConditionError`` if there is none, or it is malformed."""
    opcode = cdb[0] if cdb else None
    field = SERVICE_ACTION_FIELD.get(cdb[0]) if cdb else None
    if opcode is not None and len(cdb) > 1:
        command = commands.get((opcode, None if field is None else cdb[1] & field))
        if command is not None:
            excess = int.from_bytes(cdb, "big") & command.forbidden
            if len(cdb) != len(command.usage):
                raise invalid_field(0)
            if excess:
                raise invalid_field(len(cdb) - (excess.bit_length() + 7) // 8)
            return command
    if field is not None and any(key[0] == opcode for key in commands):
        raise invalid_field(1)
    raise CheckConditionError(SenseKey.ILLEGAL_REQUEST, Code.INVALID_COMMAND_OPERATION_CODE)


_SANITIZE_ACTIONS = {1: Technique.OVERWRITE, 2: Technique.BLOCK, 3: Technique.CRYPTO}


@lru_cache(maxsize=256)
def supported(options: ScsiOptions) -> dict[Key, Command]:
    """The commands of a drive with these options."""
    missing: set[Key] = {
        (SANITIZE, action)
        for action, technique in _SANITIZE_ACTIONS.items()
        if technique not in options.sanitize
    }
    if not options.sanitize:
        missing.add((SANITIZE, 0x1F))
    if not options.unmaps:
        missing.add((0x42, None))
    if not options.reports_opcodes:
        missing.add((MAINTENANCE_IN, 0x0C))
    return {key: command for key, command in COMMANDS.items() if key not in missing}


def report(commands: dict[Key, Command], cdb: bytes) -> bytes:
    """REPORT SUPPORTED OPERATION CODES parameter data; raises ``CheckConditionError``."""
    timeouts = bool(cdb[2] & 0x80)
    opcode, action = cdb[3], cdb[4] << 8 | cdb[5]
    has_actions = opcode in SERVICE_ACTION_FIELD and any(key[0] == opcode for key in commands)
    match cdb[2] & 0x07:
        case 0:
            return _all_commands(commands, timeouts=timeouts)
        case 1 if not has_actions:
            return _one_command(commands.get((opcode, None)), timeouts=timeouts)
        case 2 if has_actions:
            return _one_command(commands.get((opcode, action)), timeouts=timeouts)
        case 3 if has_actions or not action:
            key = (opcode, action if has_actions else None)
            return _one_command(commands.get(key), timeouts=timeouts)
        case 3:
            return _one_command(None, timeouts=timeouts)
    raise invalid_field(2)


_TIMEOUTS = struct.pack(">HxxII", 0x000A, 0, 0)
"""Command timeouts descriptor in which no time-out is indicated (SPC-5 clause 6.35.4)."""


def _all_commands(commands: dict[Key, Command], *, timeouts: bool) -> bytes:
    tail = _TIMEOUTS if timeouts else b""
    descriptors = b"".join(
        struct.pack(
            ">BxHxBH",
            opcode,
            0 if action is None else action,
            timeouts << 1 | (action is not None),
            len(command.usage),
        )
        + tail
        for (opcode, action), command in commands.items()
    )
    return struct.pack(">I", len(descriptors)) + descriptors


def _one_command(command: Command | None, *, timeouts: bool) -> bytes:
    if command is None:
        return struct.pack(">xBH", 0x01, 0)
    head = struct.pack(">xBH", timeouts << 7 | 0x03, len(command.usage))
    return head + command.usage + (_TIMEOUTS if timeouts else b"")
