"""The STATUS and ERROR fields that every ATA command ends with (ACS-4 clause 6)."""

from __future__ import annotations

from enum import IntFlag

from rasura_agent.drive.ata.errors import AtaDecodeError
from rasura_agent.drive.port import AtaResult

__all__ = ["Error", "Status", "is_aborted", "is_good", "require_good"]


class Status(IntFlag):
    """STATUS field. Bits 4, 2 and 1 (deferred write, alignment, sense available) decide nothing."""

    BSY = 0x80
    DRDY = 0x40
    DF = 0x20
    DRQ = 0x08
    ERR = 0x01


class Error(IntFlag):
    """ERROR field; it has a meaning only while STATUS.ERR is one."""

    ICRC = 0x80
    UNC = 0x40
    MC = 0x20
    IDNF = 0x10
    MCR = 0x08
    ABRT = 0x04
    EOM = 0x02
    CCTO = 0x01


_OUTCOME = Status.BSY | Status.DRDY | Status.DF | Status.DRQ | Status.ERR


def is_good(result: AtaResult) -> bool:
    """Whether the command ended well: device ready, not busy, faulty, wanting data or in error."""
    return result.status & _OUTCOME == Status.DRDY


def is_aborted(result: AtaResult) -> bool:
    """Whether the command ended in error with ABRT and no other error bit, the device idle and healthy."""
    return result.status & _OUTCOME == Status.DRDY | Status.ERR and result.error == Error.ABRT


def require_good(result: AtaResult, what: str) -> None:
    """Raise ``AtaDecodeError`` unless the command ended well: only then do count and LBA hold an answer."""
    if not is_good(result):
        raise AtaDecodeError(
            f"{what} ended with status {result.status:02X}h, error {result.error:02X}h: it holds no answer"
        )
