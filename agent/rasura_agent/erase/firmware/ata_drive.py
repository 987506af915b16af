"""What every ATA technique asks its drive, and whether the answers may be believed.

A technique reads IDENTIFY DEVICE and its own status before it sends anything, and again afterwards.
An answer that is missing, damaged or another drive's is :class:`Silence`, never a fact.
"""

from __future__ import annotations

import re
from enum import Enum

import msgspec

from rasura.errors import RasuraError
from rasura_agent.drive.ata.identify import IdentifyDevice, decode_identify, identify_device
from rasura_agent.drive.ata.security import SecurityStatus
from rasura_agent.drive.port import Completion, Disposition
from rasura_agent.erase.firmware.line import Line
from rasura_agent.inventory.model import Drive
from rasura_agent.sentence import Sentence

__all__ = [
    "FASTEST_PLATTERS",
    "SMALLEST_TELLING_BYTES",
    "Medium",
    "Silence",
    "is_reset_signature",
    "medium_of",
    "pass_through_obstacle",
    "read_identify",
    "same_identity",
    "security_of",
]

SMALLEST_TELLING_BYTES = 2**30
"""Below this capacity, in bytes, the time an erase takes says nothing."""

FASTEST_PLATTERS = 2**30
"""Bytes a second that no rotating drive writes: twice what those with two actuators do."""

_TRIES = 3
_PAUSE_S = 2.0

_INQUIRY_PRODUCT_CHARACTERS = 16
"""PRODUCT IDENTIFICATION of INQUIRY data (SPC-5 clause 6.7.2), where SATL and kernel cut a model."""

_PADDING = re.compile(r"[\s_]+")
"""udev writes underscores for the blanks inside a serial number."""


class Medium(Enum):
    """What holds the data, by the drive's word."""

    ROTATING = "rotating"
    FLASH = "flash"
    UNKNOWN = "unknown"


class Silence(msgspec.Struct, frozen=True):
    """The drive gave no answer that can be used; ``detail`` says in what way."""

    detail: str


def read_identify(line: Line) -> IdentifyDevice | Silence:
    """IDENTIFY DEVICE, asked up to three times, for a reset may swallow the first answers."""
    silence = Silence(Sentence("it was not asked"))
    for attempt in range(_TRIES):
        if attempt:
            line.clock.sleep(_PAUSE_S)
        answer = _identified(line.execute(identify_device()))
        if not isinstance(answer, Silence):
            return answer
        silence = answer
    return silence


def _identified(completion: Completion) -> IdentifyDevice | Silence:
    if completion.disposition is not Disposition.DONE:
        return Silence(completion.detail)
    try:
        identify = decode_identify(completion.data)
    except RasuraError as error:
        return Silence(str(error))
    if identify.checksum_valid is False:
        return Silence(Sentence("the checksum of its IDENTIFY DEVICE data is wrong"))
    if identify.response_incomplete:
        return Silence(Sentence("it has not spun up, and its IDENTIFY DEVICE data is incomplete"))
    return identify


def security_of(line: Line) -> SecurityStatus | Silence:
    """The Security feature set's state afresh."""
    identify = read_identify(line)
    if isinstance(identify, Silence):
        return identify
    return identify.security or Silence(Sentence("word 128 of its IDENTIFY DEVICE data is not given"))


def same_identity(one: IdentifyDevice, other: IdentifyDevice) -> bool:
    """Whether both pages are of one drive."""
    return (one.model, one.serial, one.wwn) == (other.model, other.serial, other.wwn)


def is_reset_signature(completion: Completion) -> bool:
    """Whether the registers are what a reset leaves: good status, and a diagnostic code in ERROR.

    (ACS-4, device signatures: ERROR 01h.) They then speak of the reset and not of the command.
    """
    return completion.ata is not None and not completion.ata.status & 0x01 and completion.ata.error != 0


def medium_of(identify: IdentifyDevice, drive: Drive) -> Medium:
    """Classify the medium, unknown where the drive says nothing or is contradicted.

    The kernel's "not rotational" is the drive's own word; its "rotational" is also what it says of
    drives that tell nothing, and counts for nothing.
    """
    match identify.rotational, drive.rotational:
        case (True, False):
            return Medium.UNKNOWN
        case (True, _):
            return Medium.ROTATING
        case (False, _) | (None, False):
            return Medium.FLASH
        case _:
            return Medium.UNKNOWN


def pass_through_obstacle(identify: IdentifyDevice, drive: Drive) -> str | None:
    """Why commands through this path may not reach the drive that the block layer names, or ``None``.

    Serial number and model, as IDENTIFY DEVICE gave them by pass-through, must be those of ``drive``;
    a model cut after INQUIRY's 16 characters will do. Anything else means that a bridge or a RAID
    controller stands between: whatever a command reports would be about an unknown drive.
    """
    between = Sentence(
        "a bridge or a RAID controller stands between, and what a command reports would be unknown"
    )
    if identify.checksum_valid is False:
        return Sentence("the IDENTIFY DEVICE data that comes through is damaged: {between}", between=between)
    if identify.response_incomplete:
        return Sentence("the drive has not spun up, so it is not known which one it is")
    if identify.serial is None or drive.serial is None:
        return Sentence(
            "there is no serial number to tell that commands reach this very drive: {between}",
            between=between,
        )
    if _plain(identify.serial) != _plain(drive.serial):
        return Sentence(
            "commands reach the drive {reached}, the block device is {named}: {between}",
            reached=identify.serial,
            named=drive.serial,
            between=between,
        )
    if identify.model is None or drive.model is None or not _same_model(identify.model, drive.model):
        return Sentence(
            "commands reach a {reached}, the block device is a {named}: {between}",
            reached=identify.model,
            named=drive.model,
            between=between,
        )
    return None


def _plain(text: str) -> str:
    return _PADDING.sub(" ", text).strip()


def _same_model(whole: str, shown: str) -> bool:
    cut = whole[:_INQUIRY_PRODUCT_CHARACTERS]
    return _plain(shown) in {_plain(whole), _plain(cut)}
