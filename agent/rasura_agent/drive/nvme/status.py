"""The status of a completion: its names, and what each means for an eraser (NVMe Base 2.1 clause 4.2.3).

A status is ``REFUSED`` only where the specification says that the controller aborted the command
*instead of* carrying it out, so that the next technique may be tried at once. All others, and every
status not listed here, are ``UNKNOWN``.
"""

from __future__ import annotations

from enum import Enum

import msgspec

from rasura_agent.drive.port import Disposition

__all__ = ["Condition", "StatusMeaning", "disposition", "meaning"]

DNR = 1 << 14
"""Do Not Retry, in the 15-bit status field."""


class Condition(Enum):
    """What state of the drive a status reveals, beyond the fate of its own command."""

    NONE = "nothing beyond this command"
    SANITIZING = "a sanitize operation is running"
    SANITIZE_FAILED = "the most recent sanitize failed and nothing has cured it"
    FORMATTING = "a format is running on the namespace"
    NOT_READY = "not ready now; the same command may work later"
    LOCKED = "the drive is locked, or locked down, against this command"
    RESET_NEEDED = "new firmware waits for a reset before this command is accepted"


class StatusMeaning(msgspec.Struct, frozen=True):
    """One status: its name in the specification and what follows from it."""

    name: str
    disposition: Disposition
    condition: Condition
    do_not_retry: bool = False


_GENERIC, _SPECIFIC, _MEDIA, _PATH = 0x000, 0x100, 0x200, 0x300
"""Status Code Type in bits 10:8, above the Status Code."""

_REFUSED, _UNKNOWN = Disposition.REFUSED, Disposition.UNKNOWN

_MEANINGS: dict[int, tuple[str, Disposition, Condition]] = {
    _GENERIC | 0x00: ("Successful Completion", Disposition.DONE, Condition.NONE),
    # Aborted on sight: opcode, field, namespace or format don't exist here.
    _GENERIC | 0x01: ("Invalid Command Opcode", _REFUSED, Condition.NONE),
    _GENERIC | 0x02: ("Invalid Field in Command", _REFUSED, Condition.NONE),
    _GENERIC | 0x0B: ("Invalid Namespace or Format", _REFUSED, Condition.NONE),
    _SPECIFIC | 0x09: ("Invalid Log Page", _REFUSED, Condition.NONE),
    _SPECIFIC | 0x0A: ("Invalid Format", _REFUSED, Condition.NONE),
    # Aborted for want of rights: TCG locking, Lockdown, write protection, a reservation of another host.
    _GENERIC | 0x15: ("Operation Denied", _REFUSED, Condition.LOCKED),
    _GENERIC | 0x20: ("Namespace is Write Protected", _REFUSED, Condition.LOCKED),
    _GENERIC | 0x23: ("Command Prohibited by Command and Feature Lockdown", _REFUSED, Condition.LOCKED),
    _GENERIC | 0x83: ("Reservation Conflict", _REFUSED, Condition.LOCKED),
    _MEDIA | 0x86: ("Access Denied", _REFUSED, Condition.LOCKED),
    # Clause 5.1.22: the controller "shall abort" a Sanitize command with each of these. (Only to Firmware
    # Commit, which we never send, would the first three mean a success.)
    _SPECIFIC | 0x0B: ("Firmware Activation Requires Conventional Reset", _REFUSED, Condition.RESET_NEEDED),
    _SPECIFIC | 0x10: ("Firmware Activation Requires NVM Subsystem Reset", _REFUSED, Condition.RESET_NEEDED),
    _SPECIFIC | 0x11: (
        "Firmware Activation Requires Controller Level Reset",
        _REFUSED,
        Condition.RESET_NEEDED,
    ),
    _SPECIFIC | 0x23: (
        "Sanitize Prohibited While Persistent Memory Region is Enabled",
        _REFUSED,
        Condition.NONE,
    ),
    _SPECIFIC | 0x39: ("Controller Suspended", _REFUSED, Condition.NONE),
    # This command was not carried out, but something else holds the drive: the next technique would
    # meet the same, so it is not "safe to try the next". The condition says what to wait for.
    _GENERIC | 0x1C: ("Sanitize Failed", _UNKNOWN, Condition.SANITIZE_FAILED),
    _GENERIC | 0x1D: ("Sanitize In Progress", _UNKNOWN, Condition.SANITIZING),
    _GENERIC | 0x84: ("Format In Progress", _UNKNOWN, Condition.FORMATTING),
    _SPECIFIC | 0x1D: ("Device Self-test In Progress", _UNKNOWN, Condition.NOT_READY),
    _GENERIC | 0x24: ("Admin Command Media Not Ready", _UNKNOWN, Condition.NOT_READY),
    _GENERIC | 0x82: ("Namespace Not Ready", _UNKNOWN, Condition.NOT_READY),
    _GENERIC | 0x21: ("Command Interrupted", _UNKNOWN, Condition.NOT_READY),
    # The command may have begun: it was stopped, or its answer was lost.
    _GENERIC | 0x04: ("Data Transfer Error", _UNKNOWN, Condition.NONE),
    _GENERIC | 0x05: ("Commands Aborted due to Power Loss Notification", _UNKNOWN, Condition.NONE),
    _GENERIC | 0x06: ("Internal Error", _UNKNOWN, Condition.NONE),
    _GENERIC | 0x07: ("Command Abort Requested", _UNKNOWN, Condition.NONE),
    _GENERIC | 0x08: ("Command Aborted due to SQ Deletion", _UNKNOWN, Condition.NONE),
    _GENERIC | 0x0C: ("Command Sequence Error", _UNKNOWN, Condition.NONE),
    _GENERIC | 0x1B: ("Command Aborted due to Preempt and Abort", _UNKNOWN, Condition.NONE),
    _GENERIC | 0x22: ("Transient Transport Error", _UNKNOWN, Condition.NONE),
    _MEDIA | 0x80: ("Write Fault", _UNKNOWN, Condition.NONE),
    _MEDIA | 0x81: ("Unrecovered Read Error", _UNKNOWN, Condition.NONE),
    _PATH | 0x00: ("Internal Path Error", _UNKNOWN, Condition.NONE),
    _PATH | 0x01: ("Asymmetric Access Persistent Loss", _UNKNOWN, Condition.NONE),
    _PATH | 0x02: ("Asymmetric Access Inaccessible", _UNKNOWN, Condition.NONE),
    _PATH | 0x03: ("Asymmetric Access Transition", _UNKNOWN, Condition.NONE),
    _PATH | 0x60: ("Controller Pathing Error", _UNKNOWN, Condition.NONE),
    _PATH | 0x70: ("Host Pathing Error", _UNKNOWN, Condition.NONE),
    _PATH | 0x71: ("Command Aborted By Host", _UNKNOWN, Condition.NONE),
}


def meaning(status: int) -> StatusMeaning:
    """What a status field (15 bits, without the phase tag) means; one we don't know is ``UNKNOWN``."""
    code = status & 0x7FF
    do_not_retry = bool(status & DNR)
    if code in _MEANINGS:
        return StatusMeaning(*_MEANINGS[code], do_not_retry=do_not_retry)
    return StatusMeaning(
        f"status code type {code >> 8}h, status code {code & 0xFF:02X}h",
        _UNKNOWN,
        Condition.NONE,
        do_not_retry,
    )


def disposition(status: int) -> Disposition:
    """The fate of the command that ended with this status field."""
    return meaning(status).disposition
