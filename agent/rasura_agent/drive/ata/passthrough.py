"""ATA commands through a SCSI path: ATA PASS-THROUGH, the registers that come back, and what they mean.

A SCSI-to-ATA translator (libata in the kernel, a SAS controller, a USB bridge) takes the CDB and,
asked by CK_COND, answers with the ending registers inside sense data (SAT-4 clause 12.2). Whatever is
missing or contradictory there is unknown, and unknown never becomes success.

How a command's end is judged, in this order:

==================================  ============================================================
no registers                        UNKNOWN; but a PIO data-in command with SCSI status GOOD is DONE
STATUS.BSY                          UNKNOWN: the drive still works, no other bit is valid
STATUS.DF                           UNKNOWN: the drive is broken, and was so at any point of the way
STATUS.DRQ                          UNKNOWN: it stopped in the middle of a transfer
STATUS.DRDY zero                    UNKNOWN: not a drive's status (an empty register, a lost link)
STATUS.ERR zero                     DONE
ERROR has any bit other than ABRT   UNKNOWN: ICRC, UNC, MC, IDNF, MCR, EOM, CCTO happen while acting
ERROR zero                          UNKNOWN: an error that nobody names
ABRT alone                          REFUSED for the commands listed in ``ABORT_MEANS_REFUSED``,
                                    otherwise UNKNOWN
ABRT alone, SANITIZE DEVICE, with   UNKNOWN: an operation ended and left sectors unsanitized
reason 01h in LBA 7:0
==================================  ============================================================

SECURITY ERASE UNIT is not in that list: a drive aborts it for a wrong password and equally when the
erase failed half way, so only a fresh IDENTIFY DEVICE tells.
"""

from __future__ import annotations

from rasura_agent.drive.ata.dco import DEVICE_CONFIGURATION
from rasura_agent.drive.ata.errors import AtaEncodeError
from rasura_agent.drive.ata.hidden import HiddenOpcode
from rasura_agent.drive.ata.identify import IDENTIFY_DEVICE
from rasura_agent.drive.ata.logs import READ_LOG_EXT
from rasura_agent.drive.ata.sanitize import SANITIZE_DEVICE, SanitizeErrorReason
from rasura_agent.drive.ata.security import SecurityOpcode
from rasura_agent.drive.ata.smart import SMART
from rasura_agent.drive.ata.status import Error, Status, is_good
from rasura_agent.drive.ata.words import ATA_SECTOR_BYTES
from rasura_agent.drive.port import AtaCommand, AtaProtocol, AtaResult, Disposition, ScsiCommand

__all__ = [
    "ABORT_MEANS_REFUSED",
    "ATA_PASS_THROUGH_12",
    "ATA_PASS_THROUGH_16",
    "asks_for_registers",
    "ata_pass_through_12",
    "ata_pass_through_16",
    "completion_from_ata",
    "detail_from_ata",
    "result_from_sense",
]

ATA_PASS_THROUGH_12 = 0xA1
ATA_PASS_THROUGH_16 = 0x85

ABORT_MEANS_REFUSED = frozenset(
    {
        IDENTIFY_DEVICE,
        READ_LOG_EXT,
        SMART,
        SANITIZE_DEVICE,
        DEVICE_CONFIGURATION,
        *HiddenOpcode,
        *(set(SecurityOpcode) - {SecurityOpcode.ERASE_UNIT}),
    }
)
"""Commands that change nothing when they end in ABRT alone; any other is not known not to."""

_T_LENGTH_IN_COUNT = 2
_BYT_BLOK = 1 << 2
_T_DIR_FROM_DEVICE = 1 << 3
_CK_COND = 1 << 5
_EXTEND = 1 << 0

_GOOD = 0x00
_DESCRIPTOR_CURRENT = 0x72
_FIXED_CURRENT = 0x70
_ATA_STATUS_RETURN, _ATA_STATUS_RETURN_LENGTH = 0x09, 0x0C
_FIXED_BYTES = 14
_INFORMATION_AVAILABLE = (0x00, 0x1D)
"""ASC and ASCQ: ATA PASS-THROUGH INFORMATION AVAILABLE."""
_RECOVERED_ERROR = 0x1
_ILLEGAL_REQUEST, _UNIT_ATTENTION, _ABORTED_COMMAND = 0x5, 0x6, 0xB


def asks_for_registers(command: AtaCommand) -> bool:
    """Whether CK_COND is set: always, except for data-in.

    On data-in AHCI has no ending registers to give; errors still come back as CHECK CONDITION, and
    the data carries its own proof.
    """
    return command.protocol is not AtaProtocol.PIO_IN


def ata_pass_through_16(command: AtaCommand) -> ScsiCommand:
    """Wrap ``command`` in ATA PASS-THROUGH (16).

    Raises ``AtaEncodeError`` if a field is too large or the data does not fit the protocol.
    """
    _check(command)
    feature, count, lba = command.feature, command.count, command.lba
    cdb = bytes(
        [
            ATA_PASS_THROUGH_16,
            command.protocol << 1 | (_EXTEND if command.ext else 0),
            _transfer_flags(command),
            feature >> 8,
            feature & 0xFF,
            count >> 8,
            count & 0xFF,
            lba >> 24 & 0xFF if command.ext else 0,
            lba & 0xFF,
            lba >> 32 & 0xFF,
            lba >> 8 & 0xFF,
            lba >> 40 & 0xFF,
            lba >> 16 & 0xFF,
            _device(command),
            command.command,
            0,
        ]
    )
    return _scsi(command, cdb)


def ata_pass_through_12(command: AtaCommand) -> ScsiCommand:
    """Wrap a 28-bit ``command`` in ATA PASS-THROUGH (12), for bridges that know no other.

    Raises ``AtaEncodeError`` for a 48-bit command, and as :func:`ata_pass_through_16` does.
    """
    if command.ext:
        raise AtaEncodeError(f"{command.name} is a 48-bit command: it needs ATA PASS-THROUGH (16)")
    _check(command)
    cdb = bytes(
        [
            ATA_PASS_THROUGH_12,
            command.protocol << 1,
            _transfer_flags(command),
            command.feature,
            command.count,
            command.lba & 0xFF,
            command.lba >> 8 & 0xFF,
            command.lba >> 16 & 0xFF,
            _device(command),
            command.command,
            0,
            0,
        ]
    )
    return _scsi(command, cdb)


def _check(command: AtaCommand) -> None:
    wide, lba_bits = (16, 48) if command.ext else (8, 28)
    for field, value, bits in (
        ("command", command.command, 8),
        ("device", command.device, 8),
        ("feature", command.feature, wide),
        ("count", command.count, wide),
        ("lba", command.lba, lba_bits),
    ):
        if not 0 <= value < 1 << bits:
            raise AtaEncodeError(f"{command.name}: {field} {value} does not fit in {bits} bits")
    transfer = command.count * ATA_SECTOR_BYTES
    expected = {
        AtaProtocol.NON_DATA: (0, 0),
        AtaProtocol.PIO_IN: (transfer, 0),
        AtaProtocol.PIO_OUT: (0, transfer),
    }[command.protocol]
    if (command.data_in_bytes, len(command.data_out)) != expected:
        raise AtaEncodeError(f"{command.name}: its data is not COUNT blocks of 512 bytes in its direction")
    if command.protocol is not AtaProtocol.NON_DATA and not command.count:
        raise AtaEncodeError(f"{command.name}: a data command needs a count")


def _transfer_flags(command: AtaCommand) -> int:
    flags = _CK_COND if asks_for_registers(command) else 0
    if command.protocol is not AtaProtocol.NON_DATA:
        flags |= _T_LENGTH_IN_COUNT | _BYT_BLOK
    if command.protocol is AtaProtocol.PIO_IN:
        flags |= _T_DIR_FROM_DEVICE
    return flags


def _device(command: AtaCommand) -> int:
    """DEVICE, whose bits 3:0 are LBA 27:24 of a 28-bit command."""
    return command.device if command.ext else command.device | command.lba >> 24


def _scsi(command: AtaCommand, cdb: bytes) -> ScsiCommand:
    return ScsiCommand(command.name, cdb, command.data_out, command.data_in_bytes, command.timeout_s)


def result_from_sense(command: AtaCommand, sense: bytes) -> AtaResult | None:
    """The registers that ``command`` ended with, out of raw sense data of any length.

    ``None``, which means unknown, when the sense data holds none, is deferred (it is about another
    command), lacks part of an answer that a success must give whole, or contradicts itself: good
    registers under an error's sense key are what a lost link leaves behind, and a UNIT ATTENTION
    speaks of a reset, not of the command.
    """
    if len(sense) < 8:
        return None
    response_code = sense[0] & 0x7F
    if response_code == _DESCRIPTOR_CURRENT:
        key, result = sense[1] & 0xF, _from_descriptor(command, sense)
    elif response_code == _FIXED_CURRENT:
        key, result = sense[2] & 0xF, _from_fixed(command, sense)
    else:
        return None
    if result is None or key == _UNIT_ATTENTION or (is_good(result) and key > _RECOVERED_ERROR):
        return None
    return result


def _from_descriptor(command: AtaCommand, sense: bytes) -> AtaResult | None:
    """Out of the ATA Status Return descriptor (SAT-4 clause 12.2.2.6)."""
    end = min(len(sense), 8 + sense[7])
    at = 8
    while at + 2 <= end:
        length = sense[at + 1]
        if sense[at] == _ATA_STATUS_RETURN:
            if length != _ATA_STATUS_RETURN_LENGTH or at + 2 + length > end:
                return None
            d = sense[at : at + 2 + length]
            upper = (d[4], d[6] | d[8] << 8 | d[10] << 16) if d[2] & _EXTEND else None
            low_lba = d[7] | d[9] << 8 | d[11] << 16
            return _assemble(command, (d[13], d[3], d[12]), (d[5], low_lba), upper)
        at += 2 + length
    return None


def _from_fixed(command: AtaCommand, sense: bytes) -> AtaResult | None:
    """Out of INFORMATION and COMMAND-SPECIFIC INFORMATION of fixed format (SAT-4 clause 12.2.2.7).

    Linux puts them there on errors since 6.11 and its stable backports (before, at other offsets and
    with VALID zero). Without the additional sense code that announces registers only an error whose
    sense key fits is believed: the same bytes may as well be a sector's address.
    """
    if len(sense) < _FIXED_BYTES or sense[7] < _FIXED_BYTES - 8:
        return None
    status = sense[4]
    if (sense[12], sense[13]) != _INFORMATION_AVAILABLE:
        valid = sense[0] & 0x80
        if not valid or sense[2] & 0xF not in {_ILLEGAL_REQUEST, _ABORTED_COMMAND} or not status & Status.ERR:
            return None
    flags = sense[8]
    upper_nonzero = flags & 0x60  # COUNT UPPER NONZERO and LBA UPPER NONZERO; their values are not given
    upper = (0, 0) if flags & 0x80 and not upper_nonzero else None
    low_lba = sense[9] | sense[10] << 8 | sense[11] << 16
    return _assemble(command, (status, sense[3], sense[5]), (sense[6], low_lba), upper)


def _assemble(
    command: AtaCommand,
    state: tuple[int, int, int],
    low: tuple[int, int],
    upper: tuple[int, int] | None,
) -> AtaResult | None:
    """Put registers together; ``state`` is status, error, device, and ``low`` and ``upper`` count and LBA."""
    status, error, device = state
    count, lba = low
    if not command.ext:
        return AtaResult(status, error, count, lba | (device & 0xF) << 24, device)
    if upper is None:
        # An error needs no more than LBA 7:0 to be told; a success is an answer, whole or not at all.
        return AtaResult(status, error, count, lba, device) if status & (Status.ERR | Status.DF) else None
    return AtaResult(status, error, upper[0] << 8 | count, upper[1] << 24 | lba, device)


def completion_from_ata(
    result: AtaResult | None, command: AtaCommand, scsi_status: int | None = None
) -> Disposition:
    """What became of ``command``, by the rules at the head of this module.

    ``scsi_status`` is the status byte of the pass-through; it counts only where no registers were asked for.
    """
    return _judge(result, command, scsi_status)[0]


def detail_from_ata(result: AtaResult | None, command: AtaCommand, scsi_status: int | None = None) -> str:
    """Why :func:`completion_from_ata` says what it says, as a sentence for the evidence."""
    sentence = _judge(result, command, scsi_status)[1]
    if result is None:
        return f"{command.name}: {sentence}"
    return f"{command.name}: {sentence} (status {result.status:02X}h, error {result.error:02X}h)"


_UNKNOWN_STATUS = (
    (Status.BSY, "the drive is still busy"),
    (Status.DF, "device fault"),
    (Status.DRQ, "the drive stopped in the middle of a transfer"),
)


def _judge(result: AtaResult | None, command: AtaCommand, scsi_status: int | None) -> tuple[Disposition, str]:
    if result is None:
        if not asks_for_registers(command) and scsi_status == _GOOD:
            return Disposition.DONE, "data came back with good SCSI status"
        return Disposition.UNKNOWN, "no ATA status came back"
    for flag, sentence in _UNKNOWN_STATUS:
        if result.status & flag:
            return Disposition.UNKNOWN, sentence
    if not result.status & Status.DRDY:
        return Disposition.UNKNOWN, "the status is not that of a drive"
    if not result.status & Status.ERR:
        return Disposition.DONE, "ended without error"
    return _judge_error(result, command)


def _judge_error(result: AtaResult, command: AtaCommand) -> tuple[Disposition, str]:
    if result.error != Error.ABRT:
        names = [flag.name for flag in Error if flag & result.error and flag.name]
        return Disposition.UNKNOWN, f"error {'|'.join(names) or 'without a name'}"
    if command.command not in ABORT_MEANS_REFUSED:
        return Disposition.UNKNOWN, "aborted, perhaps after it had begun"
    if command.command == SANITIZE_DEVICE and result.lba & 0xFF == SanitizeErrorReason.UNSUCCESSFUL:
        return Disposition.UNKNOWN, "a sanitize operation ended with sectors not sanitized"
    return Disposition.REFUSED, "aborted without acting"
