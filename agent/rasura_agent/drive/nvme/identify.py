"""Identify (opcode 06h): the commands, and the Identify Controller page (NVMe Base 2.1 clause 5.1.13)."""

from __future__ import annotations

from enum import IntEnum, IntFlag

import msgspec

from rasura.errors import UsageError
from rasura_agent.drive.nvme.errors import NvmeDecodeError
from rasura_agent.drive.nvme.fields import ascii_text, field, require_length
from rasura_agent.drive.port import NvmeCommand

__all__ = [
    "IDENTIFY_BYTES",
    "OPCODE_IDENTIFY",
    "Cns",
    "FormatNvmAttributes",
    "IdentifyController",
    "NoDeallocateModifiesMedia",
    "OptionalAdminCommands",
    "OptionalNvmCommands",
    "ReplayProtectedMemoryBlocks",
    "SanitizeCapabilities",
    "decode_identify_controller",
    "identify_controller",
    "identify_namespace",
    "list_active_namespaces",
    "list_allocated_namespaces",
    "list_namespace_controllers",
    "list_namespace_descriptors",
]

OPCODE_IDENTIFY = 0x06
IDENTIFY_BYTES = 4096
"""Every Identify data structure (clause 5.1.13)."""


class Cns(IntEnum):
    """Controller or Namespace Structure, CDW10 bits 7:0 (clause 5.1.13)."""

    NAMESPACE = 0x00
    CONTROLLER = 0x01
    ACTIVE_NAMESPACE_LIST = 0x02
    NAMESPACE_DESCRIPTOR_LIST = 0x03
    ALLOCATED_NAMESPACE_LIST = 0x10
    NAMESPACE_CONTROLLER_LIST = 0x12


def identify_controller() -> NvmeCommand:
    """CNS 01h: the controller behind this descriptor."""
    return _identify("IDENTIFY CONTROLLER", Cns.CONTROLLER)


def identify_namespace(nsid: int) -> NvmeCommand:
    """CNS 00h: one active namespace."""
    _require_namespace(nsid)
    return _identify("IDENTIFY NAMESPACE", Cns.NAMESPACE, nsid)


def list_active_namespaces(after: int = 0) -> NvmeCommand:
    """CNS 02h: up to 1024 namespaces attached to this controller with an NSID greater than ``after``."""
    return _identify("IDENTIFY ACTIVE NAMESPACE LIST", Cns.ACTIVE_NAMESPACE_LIST, after)


def list_allocated_namespaces(after: int = 0) -> NvmeCommand:
    """CNS 10h: up to 1024 namespaces that exist in the NVM subsystem, attached or not, after ``after``.

    A controller without namespace management refuses it.
    """
    return _identify("IDENTIFY ALLOCATED NAMESPACE LIST", Cns.ALLOCATED_NAMESPACE_LIST, after)


def list_namespace_descriptors(nsid: int) -> NvmeCommand:
    """CNS 03h: the EUI-64, NGUID and UUID of one active namespace."""
    _require_namespace(nsid)
    return _identify("IDENTIFY NAMESPACE DESCRIPTORS", Cns.NAMESPACE_DESCRIPTOR_LIST, nsid)


def list_namespace_controllers(nsid: int) -> NvmeCommand:
    """CNS 12h: the controllers this namespace is attached to (another host may be using one of them)."""
    _require_namespace(nsid)
    return _identify("IDENTIFY NAMESPACE CONTROLLERS", Cns.NAMESPACE_CONTROLLER_LIST, nsid)


def _identify(name: str, cns: Cns, nsid: int = 0) -> NvmeCommand:
    if not 0 <= nsid <= 0xFFFF_FFFF:
        raise UsageError(f"a namespace identifier has 32 bits, {nsid} does not fit")
    return NvmeCommand(name, OPCODE_IDENTIFY, nsid=nsid, cdw10=cns, data_in_bytes=IDENTIFY_BYTES)


def _require_namespace(nsid: int) -> None:
    if not 0 < nsid < 0xFFFF_FFFF:
        raise UsageError(f"namespace {nsid} names no single namespace")


class OptionalAdminCommands(IntFlag):
    """OACS, bytes 257:256, the bits we ask about."""

    SECURITY_SEND_RECEIVE = 1 << 0
    FORMAT_NVM = 1 << 1
    FIRMWARE = 1 << 2
    NAMESPACE_MANAGEMENT = 1 << 3
    DEVICE_SELF_TEST = 1 << 4
    LOCKDOWN = 1 << 10


class OptionalNvmCommands(IntFlag):
    """ONCS, bytes 521:520, the bits we ask about."""

    DATASET_MANAGEMENT = 1 << 2
    WRITE_ZEROES = 1 << 3
    RESERVATIONS = 1 << 5
    VERIFY = 1 << 7


class FormatNvmAttributes(IntFlag):
    """FNA, byte 524."""

    FORMAT_ALL_NAMESPACES = 1 << 0
    """FNS: a format without secure erase reaches every namespace of the NVM subsystem."""
    SECURE_ERASE_ALL_NAMESPACES = 1 << 1
    """SENS: a format with secure erase reaches every namespace of the NVM subsystem."""
    CRYPTOGRAPHIC_ERASE = 1 << 2
    """CRYES: SES 010b is there."""
    BROADCAST_REFUSED = 1 << 3
    """FNVMBS: **set** means that NSID FFFFFFFFh is *not* accepted."""


class NoDeallocateModifiesMedia(IntEnum):
    """NODMMAS, SANICAP bits 31:30: what happens to the media after a sanitize with NDAS set."""

    UNDEFINED = 0
    """The controller follows a specification older than 1.4."""
    NOT_MODIFIED = 1
    MODIFIED = 2
    RESERVED = 3


class SanitizeCapabilities(msgspec.Struct, frozen=True):
    """SANICAP, bytes 331:328 (figure 312). All of it zero: there is no Sanitize command."""

    raw: int
    crypto_erase: bool
    """CES, bit 0."""
    block_erase: bool
    """BES, bit 1."""
    overwrite: bool
    """OWS, bit 2."""
    verification: bool
    """VERS, bit 3: the Media Verification state is there, and the SSI field of the log is valid."""
    no_deallocate_inhibited: bool
    """NDI, bit 29."""
    no_deallocate_modifies_media: NoDeallocateModifiesMedia

    @property
    def supported(self) -> bool:
        """Whether the Sanitize command exists at all, with at least one way to sanitize."""
        return self.crypto_erase or self.block_erase or self.overwrite


class ReplayProtectedMemoryBlocks(msgspec.Struct, frozen=True):
    """RPMBS, bytes 315:312: memory that neither Format nor Sanitize touches."""

    units: int
    unit_bytes: int


class IdentifyController(msgspec.Struct, frozen=True):
    """What a controller says of itself (figure 312). Text is ``None`` where it was blank."""

    vid: int
    ssvid: int
    serial: str | None
    """SN, bytes 23:4."""
    model: str | None
    """MN, bytes 63:24."""
    firmware: str | None
    """FR, bytes 71:64."""
    cmic: int
    """Bit 1: the NVM subsystem may have two or more controllers, so that another host may hold the drive."""
    mdts: int
    """Maximum data transfer: 2^MDTS units of the minimum page size, 0 for no limit."""
    cntlid: int
    version: tuple[int, int, int] | None
    """VER as (major, minor, tertiary); ``None`` before NVMe 1.2, which has no such field."""
    oacs: OptionalAdminCommands
    fna: FormatNvmAttributes
    sanicap: SanitizeCapabilities
    tnvmcap: int
    """Total NVM capacity of the subsystem in bytes, 0 if not reported."""
    unvmcap: int
    """Capacity in bytes that no namespace has: Format NVM never reaches it."""
    nn: int
    """The highest NSID that can exist, or the number of namespaces (figure 312, NN and MNAN)."""
    rpmbs: ReplayProtectedMemoryBlocks | None
    subnqn: str | None
    oncs: OptionalNvmCommands
    kas: int
    """Keep Alive granularity in units of 100 ms, 0 if there is none."""
    volatile_write_cache: bool
    """VWC, bit 0."""


def decode_identify_controller(data: bytes) -> IdentifyController:
    """Decode the 4096 bytes of CNS 01h.

    Raises:
        NvmeDecodeError: not 4096 bytes, or only zeros (what a bridge invents).
    """
    require_length("Identify Controller", data, IDENTIFY_BYTES)
    if not any(data):
        raise NvmeDecodeError("Identify Controller is all zeros: no controller filled it in")
    version = field(data, 83, 80)
    return IdentifyController(
        vid=field(data, 1, 0),
        ssvid=field(data, 3, 2),
        serial=ascii_text(data[4:24]),
        model=ascii_text(data[24:64]),
        firmware=ascii_text(data[64:72]),
        cmic=data[76],
        mdts=data[77],
        cntlid=field(data, 79, 78),
        version=(version >> 16, version >> 8 & 0xFF, version & 0xFF) if version else None,
        oacs=OptionalAdminCommands(field(data, 257, 256)),
        fna=FormatNvmAttributes(data[524]),
        sanicap=_sanitize_capabilities(field(data, 331, 328)),
        tnvmcap=field(data, 295, 280),
        unvmcap=field(data, 311, 296),
        nn=field(data, 519, 516),
        rpmbs=_replay_protected(field(data, 315, 312)),
        subnqn=_nqn(data[768:1024]),
        oncs=OptionalNvmCommands(field(data, 521, 520)),
        kas=field(data, 321, 320),
        volatile_write_cache=bool(data[525] & 1),
    )


def _sanitize_capabilities(sanicap: int) -> SanitizeCapabilities:
    return SanitizeCapabilities(
        raw=sanicap,
        crypto_erase=bool(sanicap & 1 << 0),
        block_erase=bool(sanicap & 1 << 1),
        overwrite=bool(sanicap & 1 << 2),
        verification=bool(sanicap & 1 << 3),
        no_deallocate_inhibited=bool(sanicap & 1 << 29),
        no_deallocate_modifies_media=NoDeallocateModifiesMedia(sanicap >> 30),
    )


def _replay_protected(rpmbs: int) -> ReplayProtectedMemoryBlocks | None:
    units = rpmbs & 0b111
    if not units:
        return None
    # Total Size, bits 23:16, counts units of 128 KiB from zero.
    return ReplayProtectedMemoryBlocks(units, ((rpmbs >> 16 & 0xFF) + 1) * 128 * 1024)


def _nqn(raw: bytes) -> str | None:
    return ascii_text(raw.split(b"\0", 1)[0])
