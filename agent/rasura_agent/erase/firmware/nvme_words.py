"""Why an NVMe drive did not take a command, as a sentence that says what to do."""

from __future__ import annotations

from rasura_agent.drive.nvme.status import Condition, meaning
from rasura_agent.drive.port import Completion, NvmeCommand

__all__ = ["refusal"]

_CODE = 0x7FF
"""Status Code Type and Status Code (NVMe Base 2.1 clause 4.2.3)."""

# By status: what it comes from in the field, and the way out.
_SENTENCES = {
    # Invalid Command Opcode, from a controller that lists the command in OACS or SANICAP.
    0x001: "the drive lists this command and yet refuses it, as some do until they lose power once; "
    "suspend the machine to RAM, wake it and try again",
    # Operation Denied, Access Denied
    0x015: "a TCG lock or the machine's firmware (Block SID) forbids it; suspend the machine to RAM and wake "
    "it to lift Block SID, remove the password, or revert the drive by the PSID on its label",
    0x286: "the drive is locked (TCG); unlock it, or revert it by the PSID on its label",
    # Sanitize Failed, Sanitize In Progress, Format In Progress: the drive is held by something else.
    0x01C: "an earlier sanitize failed; leave the failure mode if that is permitted, or sanitize again",
    0x01D: "a sanitize is under way; wait for its end",
    0x084: "a format is under way; wait for its end",
    # Namespace is Write Protected
    0x020: "a namespace is write protected; lift the protection, or power the drive off and on",
    # Command Prohibited by Command and Feature Lockdown
    0x023: "the command is locked down; power the drive off and on, or lift it by the management interface",
    # Reservation Conflict
    0x083: "another host holds a reservation on the namespace; let it go there first",
    # Sanitize Prohibited While Persistent Memory Region is Enabled
    0x123: "its Persistent Memory Region is enabled, which forbids a sanitize; disable it",
}


def refusal(command: NvmeCommand, completion: Completion) -> str:
    """One sentence on a command that ended in an error."""
    if completion.nvme_status is None:
        return f"{command.name} was not carried out: {completion.detail}"
    known = meaning(completion.nvme_status)
    cause = _SENTENCES.get(completion.nvme_status & _CODE)
    if known.condition is Condition.RESET_NEEDED:
        cause = "new firmware waits for a reset; power the drive off and on"
    return f"{command.name} ended in {known.name}" + (f": {cause}" if cause else "")
