"""Erasing an eMMC: the CMD35/36/38 sequence, sanitize, and how long they may take (JESD84-B51 clause 6.6).

An erase or a trim unmaps; what physically remains of the unmapped is removed by *sanitize*. So the
sequence for a whole device is an erase of every partition and then one sanitize. The RPMB is reached
by neither.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum
from typing import Protocol, runtime_checkable

from rasura.errors import UsageError
from rasura_agent.drive.mmc.commands import R1, R1B, Opcode, send_status, switch_byte
from rasura_agent.drive.mmc.ext_csd import ExtCsd, SecureFeatures
from rasura_agent.drive.mmc.status import completed
from rasura_agent.drive.port import Completion, Disposition, MmcCommand

__all__ = [
    "EXT_CSD_SANITIZE_START",
    "EraseArgument",
    "SequencePort",
    "erase_sequence",
    "erase_supported",
    "erase_timeout_s",
    "sanitize",
    "sanitize_timeout_s",
    "sequence_outcome",
]

EXT_CSD_SANITIZE_START = 165
_SEQUENCE_COMMANDS = 4


class EraseArgument(IntEnum):
    """The argument of CMD38 (clause 6.10, class 5)."""

    ERASE = 0x0000_0000
    TRIM = 0x0000_0001
    DISCARD = 0x0000_0003
    SECURE_ERASE = 0x8000_0000
    SECURE_TRIM_STEP_1 = 0x8000_0001
    """Mark the range; repeated for all ranges before step 2."""
    SECURE_TRIM_STEP_2 = 0x8000_8000
    """Remove all that is marked."""


@runtime_checkable
class SequencePort(Protocol):
    """What a :class:`~rasura_agent.drive.port.DrivePort` to an MMC device can do beside single commands."""

    def execute_sequence(self, commands: Sequence[MmcCommand]) -> tuple[Completion, ...]:
        """Send commands with nothing in between, up to the first that fails; one completion each."""
        ...


def erase_supported(ext_csd: ExtCsd, argument: EraseArgument) -> bool:
    """Whether the device says that it knows this kind of erase."""
    secure = SecureFeatures.SECURE_ER_EN in ext_csd.secure_features
    trim = SecureFeatures.SEC_GB_CL_EN in ext_csd.secure_features
    match argument:
        case EraseArgument.ERASE:
            return True
        case EraseArgument.DISCARD:
            return ext_csd.discard_supported
        case EraseArgument.TRIM:
            return trim
        case EraseArgument.SECURE_ERASE:
            return secure
        case EraseArgument.SECURE_TRIM_STEP_1 | EraseArgument.SECURE_TRIM_STEP_2:
            return secure and trim


def erase_sequence(
    start: int, end: int, argument: EraseArgument, *, rca: int, timeout_s: float
) -> tuple[MmcCommand, MmcCommand, MmcCommand, MmcCommand]:
    """CMD35, CMD36, CMD38 and the CMD13 that tells how it went; they must reach the device together.

    Any other command in between resets the sequence (ERASE_RESET), so this goes through
    a :class:`SequencePort`. An *erase* is rounded out to whole erase groups, a
    *trim* and a *discard* are exact.

    Args:
        start: the first address, in sectors (``ExtCsd.block_addressed``) or else bytes.
        end: the last address, **inclusive**.
        argument: what kind of erase.
        rca: relative card address, ``EMMC_RCA`` for an eMMC under Linux.
        timeout_s: for CMD38, see :func:`erase_timeout_s`.

    Raises:
        UsageError: the range is empty or does not fit 32 bits.
    """
    if not 0 <= start <= end <= 0xFFFF_FFFF:
        raise UsageError(f"addresses {start} to {end} are no range of 32-bit addresses")
    return (
        MmcCommand("ERASE_GROUP_START", Opcode.ERASE_GROUP_START, arg=start, flags=R1),
        MmcCommand("ERASE_GROUP_END", Opcode.ERASE_GROUP_END, arg=end, flags=R1),
        MmcCommand(
            f"ERASE ({argument.name})",
            Opcode.ERASE,
            arg=argument,
            flags=R1B,
            timeout_s=timeout_s,
        ),
        send_status(rca),
    )


def sequence_outcome(completions: Sequence[Completion]) -> tuple[Disposition, str]:
    """What became of an :func:`erase_sequence`, from the completions of its four commands.

    ``DONE`` only if all four were taken and the CMD13 at the end reports no error and a device
    back at rest. Otherwise it is as good as its first command that was not taken.

    It is still only the device's word, and not always that: on a host controller that cannot sense
    the busy signal, Linux polls CMD13 by itself after CMD38, and reading an error clears it. (The
    kernel's own erase, ``block_ioctl.secure_discard``, looks at what it polls.)
    """
    for completion in completions:
        if completion.disposition is not Disposition.DONE:
            return completion.disposition, completion.detail
    response = completions[-1].mmc_response if len(completions) == _SEQUENCE_COMMANDS else None
    if response is None:
        return Disposition.UNKNOWN, "the status after the erase is missing"
    return completed(response[0])


def sanitize(*, timeout_s: float) -> MmcCommand:
    """CMD6 SANITIZE_START: remove physically whatever was unmapped before.

    Linux recognises this command and runs it on its own, up to its end; it returns no R1 for it, and
    when ``timeout_s`` passes it interrupts the operation.
    """
    return switch_byte("SANITIZE_START", EXT_CSD_SANITIZE_START, 1, timeout_s=timeout_s)


_LONGEST_S = 24 * 3600.0
_UNTOLD_S = 300 * 255 * 255 / 1000
"""The longest time that the register can express for one group (mult 255, secure mult 255)."""
_MARGIN_S = 60.0


def erase_timeout_s(ext_csd: ExtCsd, argument: EraseArgument, length_bytes: int) -> float:
    """Seconds for a CMD38 over ``length_bytes``: the device's own time for each erase group, and a margin.

    Where the device does not tell (a multiplier of 0, or old erase groups), the longest time that
    the register can express; never more than a day.
    """
    if argument in {EraseArgument.TRIM, EraseArgument.DISCARD}:
        per_group = ext_csd.trim_timeout_s
    else:
        per_group = ext_csd.hc_erase_group_timeout_s
        if argument is EraseArgument.SECURE_ERASE:
            per_group *= ext_csd.sec_erase_mult
        elif argument is not EraseArgument.ERASE:
            per_group *= ext_csd.sec_trim_mult
    if not per_group or not ext_csd.hc_erase_group_bytes or not ext_csd.erase_group_def:
        return _UNTOLD_S
    groups = -(-length_bytes // ext_csd.hc_erase_group_bytes)
    return min(_LONGEST_S, _MARGIN_S + groups * per_group)


_SANITIZE_BYTES_PER_S = 10 * 1024 * 1024
"""A sanitize that overwrites (SecureRemovalType), at the write rate of a poor device, three times."""


def sanitize_timeout_s(device_bytes: int) -> float:
    """Seconds to give a sanitize of a device of this size; the standard sets no limit."""
    return min(_LONGEST_S, 600.0 + 3 * device_bytes / _SANITIZE_BYTES_PER_S)
