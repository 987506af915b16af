"""What a SCSI drive says of itself: who it is, how large, and which erasing commands it knows."""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from typing import TypeVar

import msgspec

from rasura.certificate import Technique
from rasura_agent.drive.port import Disposition
from rasura_agent.drive.scsi.capacity import Capacity
from rasura_agent.drive.scsi.errors import ScsiDecodeError
from rasura_agent.drive.scsi.format_unit import FORMAT_UNIT
from rasura_agent.drive.scsi.inquiry import StandardInquiry, VpdPage, decode_inquiry, inquiry, inquiry_vpd
from rasura_agent.drive.scsi.opcodes import (
    CommandSupport,
    Support,
    decode_command_support,
    report_supported_operation_code,
)
from rasura_agent.drive.scsi.sanitize import SANITIZE, SanitizeAction
from rasura_agent.drive.scsi.sense import Additional, matches
from rasura_agent.drive.scsi.vpd import decode_designators, decode_serial, decode_supported_pages
from rasura_agent.drive.scsi.vpd_block import decode_block_characteristics
from rasura_agent.erase.firmware.line import Line
from rasura_agent.erase.firmware.scsi_blocks import read_capacity, read_mode
from rasura_agent.erase.firmware.scsi_state import ScsiState, ask, settle
from rasura_agent.inventory.pages import lun_name, unit_serial

__all__ = ["REFORMATTED_BLOCK_BYTES", "SanitizeKind", "ScsiCapabilities", "read_capabilities"]

REFORMATTED_BLOCK_BYTES = frozenset({520, 524, 528})
"""Logical block lengths of storage arrays, of which Linux makes no usable block device."""

_T = TypeVar("_T")


class SanitizeKind(Enum):
    """The three sanitize operations (SBC-4, SANITIZE), as certificates name them."""

    CRYPTO = Technique.SCSI_SANITIZE_CRYPTO
    BLOCK = Technique.SCSI_SANITIZE_BLOCK
    OVERWRITE = Technique.SCSI_SANITIZE_OVERWRITE


class ScsiCapabilities(msgspec.Struct, frozen=True):
    """One drive by its own word, read through pass-through; what it did not tell is ``None``.

    ``serial`` and ``wwn`` are read from the drive's pages as the inventory reads the kernel's copies
    of them, so that equal pages give equal words. ``unread`` says in sentences what is missing.
    """

    inquiry: StandardInquiry | None
    serial: str | None
    wwn: str | None
    rotational: bool | None
    translated_ata: bool | None
    """Whether it is an ATA drive behind a SCSI/ATA translation (SAT-4: VPD page 89h, vendor "ATA")."""
    capacity: Capacity | None
    selected_block_bytes: int | None
    """Of the mode parameter block descriptor: what the drive has or, if corrupt, shall be formatted to."""
    write_protected: bool | None
    state: ScsiState
    crypto: CommandSupport | None
    block: CommandSupport | None
    overwrite: CommandSupport | None
    exit_failure_mode: CommandSupport | None
    format_unit: CommandSupport | None
    unread: tuple[str, ...]

    def sanitize(self, kind: SanitizeKind) -> CommandSupport | None:
        """What the drive says of one sanitize operation."""
        return {
            SanitizeKind.CRYPTO: self.crypto,
            SanitizeKind.BLOCK: self.block,
            SanitizeKind.OVERWRITE: self.overwrite,
        }[kind]

    @property
    def total_bytes(self) -> int | None:
        """User data bytes, where READ CAPACITY told."""
        return None if self.capacity is None else self.capacity.total_bytes

    @property
    def needs_reformat(self) -> bool:
        """Whether it is, or is about to be, formatted to blocks of 520, 524 or 528 bytes."""
        known = self.selected_block_bytes if self.capacity is None else self.capacity.block_bytes
        return known in REFORMATTED_BLOCK_BYTES


def read_capabilities(line: Line) -> ScsiCapabilities:
    """Ask the drive; changes nothing on it, except that a stopped drive is started. Never raises.

    A drive that sanitizes or formats tells little more than its names (SBC-4, commands processed
    during a sanitize operation); read again when it is done.
    """
    seen = settle(line)
    reader = _Reader(line)
    standard = reader.inquiry()
    pages = reader.page(VpdPage.SUPPORTED_PAGES, decode_supported_pages)
    reader.pages = pages or frozenset()
    characteristics = reader.page(VpdPage.BLOCK_DEVICE_CHARACTERISTICS, decode_block_characteristics)
    serial = reader.page(VpdPage.UNIT_SERIAL_NUMBER, _serial)
    wwn = reader.page(VpdPage.DEVICE_IDENTIFICATION, _name)
    capacity = read_capacity(line)
    if capacity is None:
        reader.unread.append("READ CAPACITY did not tell its size")
    mode = read_mode(line)
    if mode is None:
        reader.unread.append("MODE SENSE did not tell its block length and write protection")
    descriptor = None if mode is None else mode.block_descriptor
    is_ata = None if pages is None else VpdPage.ATA_INFORMATION in pages
    if standard is not None and standard.vendor == "ATA":
        is_ata = True
    return ScsiCapabilities(
        inquiry=standard,
        serial=serial,
        wwn=wwn,
        rotational=None if characteristics is None else characteristics.rotational,
        translated_ata=is_ata,
        capacity=capacity,
        selected_block_bytes=None if descriptor is None else descriptor.block_bytes,
        write_protected=None if mode is None else mode.write_protected,
        state=seen.state,
        crypto=reader.support(SANITIZE, SanitizeAction.CRYPTOGRAPHIC_ERASE),
        block=reader.support(SANITIZE, SanitizeAction.BLOCK_ERASE),
        overwrite=reader.support(SANITIZE, SanitizeAction.OVERWRITE),
        exit_failure_mode=reader.support(SANITIZE, SanitizeAction.EXIT_FAILURE_MODE),
        format_unit=reader.support(FORMAT_UNIT, None),
        unread=tuple(dict.fromkeys(reader.unread)),
    )


def _serial(page: bytes) -> str | None:
    decode_serial(page)
    return unit_serial(page)


def _name(page: bytes) -> str | None:
    decode_designators(page)
    return lun_name(page)


class _Reader(msgspec.Struct):
    """Asks one thing after the other and keeps account of what was not told."""

    line: Line
    pages: frozenset[int] = frozenset({VpdPage.SUPPORTED_PAGES})
    """Page codes that the drive knows; others are not asked for, some bridges hang on them."""
    unread: list[str] = msgspec.field(default_factory=list)
    reports_opcodes: bool = True

    def inquiry(self) -> StandardInquiry | None:
        completion = ask(self.line, inquiry())
        if completion.disposition is Disposition.DONE:
            try:
                return decode_inquiry(completion.data)
            except ScsiDecodeError as error:
                self.unread.append(str(error))
        else:
            self.unread.append(f"INQUIRY was not answered: {completion.detail}")
        return None

    def page(self, page: VpdPage, decode: Callable[[bytes], _T]) -> _T | None:
        if page not in self.pages:
            return None
        completion = ask(self.line, inquiry_vpd(page))
        if completion.disposition is Disposition.DONE:
            try:
                return decode(completion.data)
            except ScsiDecodeError as error:
                self.unread.append(str(error))
        else:
            self.unread.append(f"VPD page {page:02X}h was not told: {completion.detail}")
        return None

    def support(self, opcode: int, action: int | None) -> CommandSupport | None:
        """REPORT SUPPORTED OPERATION CODES: with time-outs, then without, which older drives want.

        A drive that knows no SANITIZE at all may refuse to speak of its service actions (SPC-5,
        REPORTING OPTIONS 010b); asked for the bare operation code it says NOT_SUPPORTED.
        """
        questions = [(action, True), (action, False)] + ([(None, False)] if action is not None else [])
        for asked, timeouts in questions:
            if not self.reports_opcodes:
                return None
            completion = ask(self.line, report_supported_operation_code(opcode, asked, timeouts=timeouts))
            if completion.disposition is Disposition.DONE:
                return self._decoded(completion.data, opcode, whole=asked == action)
            sense = completion.sense
            if sense is not None and matches(sense, Additional.INVALID_COMMAND_OPERATION_CODE):
                self.reports_opcodes = False
                self.unread.append("it does not report which commands it supports")
            elif completion.disposition is Disposition.UNKNOWN:
                break
        if self.reports_opcodes:
            self.unread.append(f"whether it supports command {opcode:02X}h was not told")
        return None

    def _decoded(self, data: bytes, opcode: int, *, whole: bool) -> CommandSupport | None:
        try:
            support = decode_command_support(data, opcode)
        except ScsiDecodeError as error:
            self.unread.append(str(error))
            return None
        # An answer about the operation code alone is none about the service action, unless it is no.
        return support if whole or support.support is Support.NOT_SUPPORTED else None
