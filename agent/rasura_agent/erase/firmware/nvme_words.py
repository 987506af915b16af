"""Why an NVMe drive did not take a command, as a sentence that says what to do."""

from __future__ import annotations

from rasura_agent.drive.nvme.sanitize_log import SanitizeState
from rasura_agent.drive.nvme.status import Condition, meaning
from rasura_agent.drive.port import Completion, NvmeCommand
from rasura_agent.sentence import Sentence

__all__ = ["in_words", "refusal"]

_CODE = 0x7FF
"""Status Code Type and Status Code (NVMe Base 2.1 clause 4.2.3)."""

# By status: what it comes from in the field, and the way out.
_SENTENCES = {
    # Invalid Command Opcode, from a controller that lists the command in OACS or SANICAP.
    0x001: Sentence(
        "the drive lists this command and yet refuses it, as some do until they lose power once; "
        "suspend the machine to RAM, wake it and try again"
    ),
    # Operation Denied, Access Denied
    0x015: Sentence(
        "a TCG lock or the machine's firmware (Block SID) forbids it; suspend the machine to RAM and wake "
        "it to lift Block SID, remove the password, or revert the drive by the PSID on its label"
    ),
    0x286: Sentence("the drive is locked (TCG); unlock it, or revert it by the PSID on its label"),
    # Sanitize Failed, Sanitize In Progress, Format In Progress: the drive is held by something else.
    0x01C: Sentence(
        "an earlier sanitize failed; leave the failure mode if that is permitted, or sanitize again"
    ),
    0x01D: Sentence("a sanitize is under way; wait for its end"),
    0x084: Sentence("a format is under way; wait for its end"),
    # Namespace is Write Protected
    0x020: Sentence("a namespace is write protected; lift the protection, or power the drive off and on"),
    # Command Prohibited by Command and Feature Lockdown
    0x023: Sentence(
        "the command is locked down; power the drive off and on, or lift it by the management interface"
    ),
    # Reservation Conflict
    0x083: Sentence("another host holds a reservation on the namespace; let it go there first"),
    # Sanitize Prohibited While Persistent Memory Region is Enabled
    0x123: Sentence("its Persistent Memory Region is enabled, which forbids a sanitize; disable it"),
}


def refusal(command: NvmeCommand, completion: Completion) -> str:
    """One sentence on a command that ended in an error."""
    if completion.nvme_status is None:
        return Sentence(
            "{command} was not carried out: {detail}", command=command.name, detail=completion.detail
        )
    known = meaning(completion.nvme_status)
    cause = _SENTENCES.get(completion.nvme_status & _CODE)
    if known.condition is Condition.RESET_NEEDED:
        cause = Sentence("new firmware waits for a reset; power the drive off and on")
    ended = Sentence("{command} ended in {status}", command=command.name, status=known.name)
    return Sentence("{what}: {reason}", what=ended, reason=cause) if cause else ended


_STATES = {
    SanitizeState.NEVER: Sentence("no sanitize was ever started"),
    SanitizeState.IN_PROGRESS: Sentence("sanitizing"),
    SanitizeState.MEDIA_VERIFICATION: Sentence(
        "sanitized, waiting for the host to read and to leave the Media Verification state"
    ),
    SanitizeState.POST_VERIFICATION_DEALLOCATION: Sentence(
        "sanitized, deallocating after the Media Verification state"
    ),
    SanitizeState.SUCCEEDED: Sentence("the most recent sanitize succeeded"),
    SanitizeState.SUCCEEDED_DEALLOCATED: Sentence(
        "the most recent sanitize succeeded, and deallocated although asked not to"
    ),
    SanitizeState.FAILED_RESTRICTED: Sentence(
        "the most recent sanitize failed; only a sanitize that succeeds unlocks the drive"
    ),
    SanitizeState.FAILED_UNRESTRICTED: Sentence(
        "the most recent sanitize failed; the failure can be left or was left, not erased"
    ),
    SanitizeState.UNKNOWN: Sentence("the page contradicts itself or uses reserved values"),
}


def in_words(state: SanitizeState) -> Sentence:
    """What the sanitize log says, with the state's own words in English."""
    return _STATES[state]
