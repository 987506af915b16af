"""REPORT SUPPORTED OPERATION CODES A3h/0Ch (SPC-5), asked for one command at a time."""

from __future__ import annotations

from enum import IntEnum

import msgspec

from rasura_agent.drive.port import ScsiCommand
from rasura_agent.drive.scsi.errors import ScsiDecodeError
from rasura_agent.drive.scsi.fields import be, field, require

__all__ = [
    "CommandSupport",
    "CommandTimeouts",
    "Support",
    "decode_command_support",
    "report_supported_operation_code",
]

_MAINTENANCE_IN = 0xA3
_REPORT_SUPPORTED_OPERATION_CODES = 0x0C
_ALLOCATION = 4 + 32 + 12
_TIMEOUTS_BYTES = 12


class _ReportingOptions(IntEnum):
    """REPORTING OPTIONS, the two that ask for one command."""

    ONE_COMMAND = 0b001
    ONE_COMMAND_WITH_SERVICE_ACTION = 0b010


class Support(IntEnum):
    """SUPPORT (SPC-5, One_command parameter data format)."""

    NOT_AVAILABLE_NOW = 0b000
    """The drive cannot tell now; asking again may help. Also what a buffer of zeros decodes to."""
    NOT_SUPPORTED = 0b001
    STANDARD = 0b011
    VENDOR_SPECIFIC = 0b101
    """Supported "in a vendor specific manner": it need not do what the standard says."""


class CommandTimeouts(msgspec.Struct, frozen=True):
    """Command timeouts descriptor , seconds; ``None`` where not indicated."""

    nominal_s: int | None
    recommended_s: int | None


class CommandSupport(msgspec.Struct, frozen=True):
    """What the drive says about one command.

    ``usage`` has the CDB's length and a 1 for every bit the drive evaluates, except that it holds
    the operation code and the service action as they are; empty unless supported.
    """

    support: Support
    usage: bytes = b""
    timeouts: CommandTimeouts | None = None


def report_supported_operation_code(
    opcode: int, service_action: int | None = None, *, timeouts: bool = False
) -> ScsiCommand:
    """Ask whether one command is supported.

    ``service_action`` must be given exactly for the commands that have one, or the drive answers
    INVALID FIELD IN CDB. ``timeouts`` also asks for the command timeouts descriptor, which some
    older drives refuse.
    """
    option = _ReportingOptions.ONE_COMMAND
    if service_action is not None:
        option = _ReportingOptions.ONE_COMMAND_WITH_SERVICE_ACTION
    cdb = bytearray(12)
    cdb[0] = _MAINTENANCE_IN
    cdb[1] = _REPORT_SUPPORTED_OPERATION_CODES
    cdb[2] = timeouts << 7 | option
    cdb[3] = field(opcode, 8, "REQUESTED OPERATION CODE")
    cdb[4:6] = field(service_action or 0, 16, "REQUESTED SERVICE ACTION").to_bytes(2, "big")
    cdb[6:10] = _ALLOCATION.to_bytes(4, "big")
    return ScsiCommand("REPORT SUPPORTED OPERATION CODES", bytes(cdb), data_in_bytes=_ALLOCATION)


def decode_command_support(data: bytes, opcode: int) -> CommandSupport:
    """Decode one_command parameter data about ``opcode``; raises ``ScsiDecodeError``.

    An answer that speaks of another operation code is an error: bridges exist that return whatever
    their buffer held.
    """
    require(data, 2, "one_command parameter data")
    try:
        support = Support(data[1] & 0x07)
    except ValueError:
        raise ScsiDecodeError(f"SUPPORT is the reserved value {data[1] & 0x07:03b}b") from None
    if support not in (Support.STANDARD, Support.VENDOR_SPECIFIC):
        return CommandSupport(support)
    require(data, 5, "one_command parameter data")
    end = 4 + be(data, 2, 2)
    require(data, end, "one_command parameter data")
    usage = bytes(data[4:end])
    if not usage or usage[0] != opcode:
        raise ScsiDecodeError(f"the CDB usage data is not about operation code {opcode:02X}h")
    timeouts: CommandTimeouts | None = None
    if data[1] & 0x80:
        require(data, end + _TIMEOUTS_BYTES, "command timeouts descriptor")
        timeouts = CommandTimeouts(be(data, end + 4, 4) or None, be(data, end + 8, 4) or None)
    return CommandSupport(support, usage, timeouts)
