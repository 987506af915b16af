"""Level 0 Discovery: which TCG subsystem classes a drive has, and whether it is locked.

The request is an IF-RECV of security protocol 01h with ComID 0001h (TCG Storage Architecture Core
Specification 2.01 clause 3.3.6), carried by NVMe, ATA or SCSI. A SATA drive is reached only where the
kernel allows it (``libata.allow_tpm=1``).
"""

from __future__ import annotations

import struct
from enum import IntEnum, IntFlag

import msgspec

from rasura_agent.drive.nvme.security import security_receive
from rasura_agent.drive.port import AtaCommand, AtaProtocol, NvmeCommand, ScsiCommand
from rasura_agent.drive.tcg.errors import TcgDecodeError

__all__ = [
    "COMID_DISCOVERY",
    "DISCOVERY_BYTES",
    "SECURITY_PROTOCOL_TCG",
    "BlockSid",
    "DataRemoval",
    "DataRemovalMechanism",
    "Discovery",
    "FeatureCode",
    "Geometry",
    "LockingFeature",
    "SubsystemClass",
    "TperFeature",
    "ata_discovery",
    "decode_discovery",
    "nvme_discovery",
    "scsi_discovery",
]

SECURITY_PROTOCOL_TCG = 0x01
COMID_DISCOVERY = 0x0001
DISCOVERY_BYTES = 2048
"""What we ask for: the kernel asks for as much, and no drive is known to answer more."""

_ATA_BLOCK_BYTES = 512
_HEADER_BYTES = 48


def nvme_discovery() -> NvmeCommand:
    """The request as Security Receive."""
    return security_receive(SECURITY_PROTOCOL_TCG, COMID_DISCOVERY, DISCOVERY_BYTES)


def ata_discovery() -> AtaCommand:
    """The request as TRUSTED RECEIVE, 5Ch, PIO data-in (ACS-4, Trusted Computing feature set).

    FEATURE is the security protocol; COUNT, and LBA 7:0 above it, the length in blocks of 512
    bytes; LBA 23:8 is protocol specific, for TCG the ComID.
    """
    return AtaCommand(
        "TRUSTED RECEIVE 01h/0001h",
        0x5C,
        protocol=AtaProtocol.PIO_IN,
        feature=SECURITY_PROTOCOL_TCG,
        count=DISCOVERY_BYTES // _ATA_BLOCK_BYTES,
        lba=COMID_DISCOVERY << 8,
        data_in_bytes=DISCOVERY_BYTES,
    )


def scsi_discovery() -> ScsiCommand:
    """The request as SECURITY PROTOCOL IN, A2h (SPC-5); INC_512 clear, so the length is bytes."""
    return ScsiCommand(
        "SECURITY PROTOCOL IN 01h/0001h",
        struct.pack(">BBHBxIxx", 0xA2, SECURITY_PROTOCOL_TCG, COMID_DISCOVERY, 0, DISCOVERY_BYTES),
        data_in_bytes=DISCOVERY_BYTES,
    )


class FeatureCode(IntEnum):
    """The features we know by name (TCG Core 2.01 and the subsystem class and feature set documents)."""

    TPER = 0x0001
    LOCKING = 0x0002
    GEOMETRY = 0x0003
    ENTERPRISE = 0x0100
    OPAL_1 = 0x0200
    SINGLE_USER_MODE = 0x0201
    ADDITIONAL_DATASTORE = 0x0202
    OPAL_2 = 0x0203
    OPALITE = 0x0301
    PYRITE_1 = 0x0302
    PYRITE_2 = 0x0303
    RUBY = 0x0304
    KEY_PER_IO = 0x0305
    LOCKING_LBA_RANGES = 0x0401
    BLOCK_SID = 0x0402
    NAMESPACE_LOCKING = 0x0403
    DATA_REMOVAL = 0x0404
    NAMESPACE_GEOMETRY = 0x0405


_SUBSYSTEM_CLASSES = frozenset(
    {
        FeatureCode.ENTERPRISE,
        FeatureCode.OPAL_1,
        FeatureCode.OPAL_2,
        FeatureCode.OPALITE,
        FeatureCode.PYRITE_1,
        FeatureCode.PYRITE_2,
        FeatureCode.RUBY,
        FeatureCode.KEY_PER_IO,
    }
)


class TperFeature(IntFlag):
    """Byte 4 of the TPer feature."""

    SYNC = 1 << 0
    ASYNC = 1 << 1
    ACK_NAK = 1 << 2
    BUFFER_MANAGEMENT = 1 << 3
    STREAMING = 1 << 4
    COMID_MANAGEMENT = 1 << 6


class LockingFeature(IntFlag):
    """Byte 4 of the Locking feature."""

    SUPPORTED = 1 << 0
    ENABLED = 1 << 1
    """Somebody has taken ownership: a password is set."""
    LOCKED = 1 << 2
    """At least one range is locked for reading or writing at this moment."""
    MEDIA_ENCRYPTION = 1 << 3
    MBR_ENABLED = 1 << 4
    """What reads as the first sectors may be the shadow MBR, not the user data."""
    MBR_DONE = 1 << 5
    MBR_SHADOWING_ABSENT = 1 << 6
    HARDWARE_RESET_SUPPORTED = 1 << 7


class Geometry(msgspec.Struct, frozen=True):
    """The Geometry feature."""

    alignment_required: bool
    logical_block_bytes: int
    alignment_granularity: int
    """In logical blocks."""
    lowest_aligned_lba: int


class SubsystemClass(msgspec.Struct, frozen=True):
    """One subsystem class the drive has, and the ComIDs it is spoken to with."""

    code: FeatureCode
    version: int
    """The descriptor's version, bits 7:4 of its byte 2."""
    base_comid: int
    comids: int


class BlockSid(msgspec.Struct, frozen=True):
    """The Block SID Authentication feature."""

    sid_changed: bool
    """The owner's password is no longer the default one that every host can read (MSID)."""
    sid_blocked: bool
    """The machine's firmware has blocked the owner's authority, until the next power cycle at the latest."""
    cleared_by_hardware_reset: bool


class DataRemovalMechanism(IntFlag):
    """Byte 6 of the Data Removal feature: how a Revert may remove user data."""

    OVERWRITE = 1 << 0
    BLOCK_ERASE = 1 << 1
    CRYPTOGRAPHIC_ERASE = 1 << 2
    UNMAP = 1 << 3
    RESET_WRITE_POINTERS = 1 << 4
    VENDOR_SPECIFIC = 1 << 5


class DataRemoval(msgspec.Struct, frozen=True):
    """The Supported Data Removal Mechanism feature (Opal SSC 2.30 clause 3.1.1.6)."""

    processing: bool
    """A removal is running: nothing is erased yet."""
    interrupted: bool
    mechanisms: DataRemovalMechanism
    estimates_s: tuple[tuple[DataRemovalMechanism, int], ...]
    """Seconds for each mechanism that reports a time; a saturated time is the least it can be."""


class Discovery(msgspec.Struct, frozen=True):
    """What Level 0 Discovery said. A feature the drive doesn't have is ``None``."""

    revision: tuple[int, int]
    """(major, minor) of the data structure."""
    codes: tuple[int, ...]
    """All feature codes in their order, the ones we don't know included."""
    tper: TperFeature | None
    locking: LockingFeature | None
    geometry: Geometry | None
    classes: tuple[SubsystemClass, ...]
    block_sid: BlockSid | None
    data_removal: DataRemoval | None

    @property
    def locked(self) -> bool:
        """Whether at least one range refuses reads or writes now."""
        return self.locking is not None and LockingFeature.LOCKED in self.locking

    def has(self, code: FeatureCode) -> bool:
        """Whether the drive lists this feature."""
        return code in self.codes


def decode_discovery(data: bytes) -> Discovery | None:
    """Decode the answer to Level 0 Discovery; ``None`` where the drive has no TCG security at all.

    A drive without it that accepts the command nevertheless answers with a length of 0.

    Raises:
        TcgDecodeError: too short, descriptors that overrun the length, or a feature that comes twice.
    """
    if len(data) < _HEADER_BYTES:
        raise TcgDecodeError(f"Level 0 Discovery has {len(data)} bytes, its header alone has {_HEADER_BYTES}")
    # The length does not count its own four bytes.
    end = int.from_bytes(data[0:4], "big") + 4
    if end == 4:
        return None
    if not _HEADER_BYTES <= end <= len(data):
        raise TcgDecodeError(f"Level 0 Discovery claims {end} bytes of {len(data)}")
    features = _descriptors(data[:end])
    tper = features.get(FeatureCode.TPER)
    locking = features.get(FeatureCode.LOCKING)
    return Discovery(
        revision=(int.from_bytes(data[4:6], "big"), int.from_bytes(data[6:8], "big")),
        codes=tuple(features),
        tper=TperFeature(_body(tper, 1)[0]) if tper else None,
        locking=LockingFeature(_body(locking, 1)[0]) if locking else None,
        geometry=_geometry(features.get(FeatureCode.GEOMETRY)),
        classes=tuple(
            _subsystem_class(FeatureCode(code), descriptor)
            for code, descriptor in features.items()
            if code in _SUBSYSTEM_CLASSES
        ),
        block_sid=_block_sid(features.get(FeatureCode.BLOCK_SID)),
        data_removal=_data_removal(features.get(FeatureCode.DATA_REMOVAL)),
    )


def _descriptors(data: bytes) -> dict[int, bytes]:
    found: dict[int, bytes] = {}
    offset = _HEADER_BYTES
    # Some drives count the zeros they pad with.
    while any(data[offset:]):
        head = data[offset : offset + 4]
        if len(head) < 4 or offset + 4 + head[3] > len(data):
            raise TcgDecodeError("a Level 0 Discovery feature descriptor overruns the answer")
        code = int.from_bytes(head[0:2], "big")
        if code in found:
            raise TcgDecodeError(f"Level 0 Discovery lists feature {code:04X}h twice")
        found[code] = data[offset : offset + 4 + head[3]]
        offset += 4 + head[3]
    return found


def _body(descriptor: bytes, length: int) -> bytes:
    body = descriptor[4:]
    if len(body) < length:
        code = descriptor[0:2].hex().upper()
        raise TcgDecodeError(f"feature {code}h has {len(body)} bytes, {length} are needed")
    return body


def _geometry(descriptor: bytes | None) -> Geometry | None:
    if descriptor is None:
        return None
    align, block, granularity, lowest = struct.unpack_from(">B7xIQQ", _body(descriptor, 28))
    return Geometry(bool(align & 1), block, granularity, lowest)


def _subsystem_class(code: FeatureCode, descriptor: bytes) -> SubsystemClass:
    base, count = struct.unpack_from(">HH", _body(descriptor, 4))
    return SubsystemClass(code, descriptor[2] >> 4, base, count)


def _block_sid(descriptor: bytes | None) -> BlockSid | None:
    if descriptor is None:
        return None
    states, resets = _body(descriptor, 2)[:2]
    return BlockSid(bool(states & 1 << 0), bool(states & 1 << 1), bool(resets & 1 << 0))


def _data_removal(descriptor: bytes | None) -> DataRemoval | None:
    if descriptor is None:
        return None
    _, state, mechanisms, formats, *times = struct.unpack_from(">4B6H", _body(descriptor, 16))
    estimates = [
        # Two seconds a unit, or two minutes where the format bit is set.
        (mechanism, value * 2 * (60 if formats & mechanism else 1))
        for mechanism, value in zip(DataRemovalMechanism, times, strict=True)
        if mechanisms & mechanism and value
    ]
    return DataRemoval(
        processing=bool(state & 1 << 0),
        interrupted=bool(state & 1 << 1),
        mechanisms=DataRemovalMechanism(mechanisms),
        estimates_s=tuple(estimates),
    )
