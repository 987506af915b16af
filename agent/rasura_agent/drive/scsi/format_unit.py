"""FORMAT UNIT 04h (SBC-4), to bring a drive to another logical block length.

Formatting is not erasing: what it overwrites is the drive's business, and one that was interrupted
guarantees nothing. FFMT (fast format, which writes no blocks at all) stays 0. Progress is polled
for, see ``poll``.
"""

from __future__ import annotations

from rasura_agent.drive.port import ScsiCommand
from rasura_agent.drive.scsi.errors import ScsiEncodeError
from rasura_agent.drive.scsi.fields import bounded, field

__all__ = ["ACCEPTANCE_TIMEOUT_S", "FORMAT_UNIT", "format_unit"]

FORMAT_UNIT = 0x04
"""Operation code."""

ACCEPTANCE_TIMEOUT_S = 120.0
"""Seconds a drive gets to check and accept the command with IMMED set; ours, generously chosen."""

_LONGLIST = 0x20
_FMTDATA = 0x10
_CMPLST = 0x08
_FOV = 0x80
_DCRT = 0x20
_IMMED = 0x02


def format_unit(
    *,
    immediate: bool = True,
    protection_type: int = 0,
    protection_interval_exponent: int = 0,
    discard_grown_defects: bool = False,
    disable_certification: bool = False,
    timeout_s: float = ACCEPTANCE_TIMEOUT_S,
) -> ScsiCommand:
    """FORMAT UNIT with a parameter list and no defect list of our own; raises ``ScsiEncodeError``.

    ``protection_type`` 0 removes protection information, 1 to 3 add it, with 2 to the power of
    ``protection_interval_exponent`` intervals a block (0 for type 1; anything else takes the long
    parameter list header). ``discard_grown_defects`` sets CMPLST: the drive forgets the defects it
    found since it was made. ``disable_certification`` sets DCRT. Without ``immediate``,
    ``timeout_s`` must cover the whole format, many hours.
    """
    fmtpinfo, field_usage = _protection(protection_type)
    exponent = field(protection_interval_exponent, 4, "PROTECTION INTERVAL EXPONENT")
    if exponent and protection_type < 2:
        raise ScsiEncodeError(f"protection type {protection_type} takes no protection interval exponent")
    flags = _IMMED if immediate else 0
    if disable_certification:
        flags |= _FOV | _DCRT
    if exponent:
        parameters = bytes([field_usage, flags, 0, exponent, 0, 0, 0, 0])
    else:
        parameters = bytes([field_usage, flags, 0, 0])
    lists = _FMTDATA | (_LONGLIST if exponent else 0) | (_CMPLST if discard_grown_defects else 0)
    cdb = bytes([FORMAT_UNIT, fmtpinfo << 6 | lists, 0, 0, 0, 0])
    return ScsiCommand("FORMAT UNIT", cdb, data_out=parameters, timeout_s=timeout_s)


def _protection(protection_type: int) -> tuple[int, int]:
    """FMTPINFO and PROTECTION FIELD USAGE for a protection type (SBC-4, FORMAT UNIT parameter list)."""
    return ((0b00, 0), (0b10, 0), (0b11, 0), (0b11, 1))[bounded(protection_type, 0, 3, "protection type")]
