"""Identify of a simulated NVM subsystem (Base 2.0 clause 5.17, NVM Command Set 1.0 clause 4.1.5)."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable

from simulators.nvme_format import FormatMachine
from simulators.nvme_types import (
    BROADCAST,
    PAGE,
    AdminCommand,
    CommandAbortError,
    Media,
    Namespace,
    Reply,
    Status,
)

_OACS_NAMESPACE_MANAGEMENT = 1 << 3
_VERSION_2_0 = 0x0002_0000


class Identify:
    """Answers Identify from the state of the subsystem at that moment."""

    def __init__(self, media: Media, formats: FormatMachine) -> None:
        self._media = media
        self._options = media.options
        self._formats = formats
        self._template = self._controller_template()
        self._structures: dict[int, Callable[[AdminCommand, float], bytes]] = {
            0x00: self._namespace,
            0x01: self._controller,
            0x02: self._active_list,
            0x03: self._descriptors,
            0x10: self._allocated_list,
            0x11: self._allocated_namespace,
            0x12: self._controllers_of_namespace,
            0x13: self._controllers,
        }

    def command(self, command: AdminCommand, now: float) -> Reply:
        """Carry out Identify: 4096 bytes chosen by CNS (CDW10 bits 7:0)."""
        cns = command.cdw10 & 0xFF
        structure = self._structures.get(cns)
        if structure is None or (cns >= 0x10 and not self._manages_namespaces):
            raise CommandAbortError(Status.INVALID_FIELD)
        # CNTID (CDW10 31:16) is ignored where unused; CDW10 15:8 and the other dwords are reserved for these.
        if command.cdw10 & 0xFF00 or command.data_out:
            raise CommandAbortError(Status.INVALID_FIELD)
        command.require_reserved_clear(11)
        return Reply(data=command.deliver(structure(command, now)), ready_at=now)

    @property
    def _manages_namespaces(self) -> bool:
        return bool(self._options.oacs & _OACS_NAMESPACE_MANAGEMENT)

    def controller_page(self, controller: int) -> bytes:
        """The Identify Controller data structure."""
        page = bytearray(self._template)
        struct.pack_into("<H", page, 78, controller)  # CNTLID
        allocated = sum(len(namespace.medium.data) for namespace in self._media.namespaces.values())
        free = len(self._media.unallocated)
        page[280:296] = (allocated + free).to_bytes(16, "little")  # TNVMCAP
        page[296:312] = free.to_bytes(16, "little")  # UNVMCAP
        return bytes(page)

    def namespace_page(self, namespace: Namespace, now: float) -> bytes:
        """The Identify Namespace data structure of an allocated namespace."""
        page = bytearray(PAGE)
        size = namespace.medium.sectors
        struct.pack_into("<QQQ", page, 0, size, size, size)  # NSZE, NCAP, NUSE
        self._put_common(page)
        page[26] = namespace.lbaf  # FLBAS
        page[30] = 1 if len(namespace.attached) > 1 else 0  # NMIC: shared
        page[32] = 0x80 | self._formats.remaining_percent(namespace, now)  # FPI
        page[48:64] = len(namespace.medium.data).to_bytes(16, "little")  # NVMCAP
        page[99] = namespace.write_protected  # NSATTR
        page[104:120], page[120:128] = namespace.nguid, namespace.eui64
        return bytes(page)

    def _put_common(self, page: bytearray) -> None:
        """What all namespaces have in common (also the answer for NSID FFFFFFFFh)."""
        formats = self._options.lba_formats
        page[25] = len(formats) - 1  # NLBAF, 0's based
        page[33] = self._options.dlfeat
        for index, one in enumerate(formats):
            struct.pack_into(
                "<HBB",
                page,
                128 + 4 * index,
                one.metadata_bytes,
                one.data_bytes.bit_length() - 1,
                one.relative_performance,
            )

    def _controller_template(self) -> bytes:
        options = self._options
        page = bytearray(PAGE)
        struct.pack_into("<HH", page, 0, 0x1B36, 0x1AF4)  # VID, SSVID
        page[4:24] = options.serial.encode("ascii").ljust(20)[:20]
        page[24:64] = options.model.encode("ascii").ljust(40)[:40]
        page[64:72] = options.firmware.encode("ascii").ljust(8)[:8]
        page[76] = 2 if options.controllers > 1 else 0  # CMIC: several controllers
        page[77] = 7  # MDTS
        struct.pack_into("<I", page, 80, _VERSION_2_0)
        page[111] = 1  # CNTRLTYPE: I/O controller
        struct.pack_into("<H", page, 256, options.oacs)
        page[260] = 0x03  # FRMW: one slot, read-only
        page[261] = options.lpa
        struct.pack_into("<HH", page, 266, 343, 353)  # WCTEMP, CCTEMP in kelvins
        struct.pack_into("<I", page, 328, options.sanicap)
        page[512], page[513] = 0x66, 0x44  # SQES, CQES
        struct.pack_into("<I", page, 516, options.max_namespaces)  # NN
        page[524] = options.fna
        struct.pack_into("<I", page, 540, options.max_namespaces)  # MNAN
        name = f"nqn.2014-08.org.nvmexpress:uuid:simulated:{options.serial}".encode("ascii")
        page[768 : 768 + len(name)] = name  # SUBNQN
        return bytes(page)

    # One method a CNS value

    def _controller(self, command: AdminCommand, now: float) -> bytes:
        _require_no_namespace(command)
        return self.controller_page(command.controller)

    def _namespace(self, command: AdminCommand, now: float) -> bytes:
        if command.nsid == BROADCAST and self._manages_namespaces:
            page = bytearray(PAGE)
            self._put_common(page)
            return bytes(page)
        self._require_valid(command.nsid)
        namespace = self._media.namespaces.get(command.nsid)
        if namespace is None or command.controller not in namespace.attached:
            return bytes(PAGE)  # an inactive namespace is zero filled
        return self.namespace_page(namespace, now)

    def _allocated_namespace(self, command: AdminCommand, now: float) -> bytes:
        self._require_valid(command.nsid)
        namespace = self._media.namespaces.get(command.nsid)
        return bytes(PAGE) if namespace is None else self.namespace_page(namespace, now)

    def _descriptors(self, command: AdminCommand, now: float) -> bytes:
        """Namespace Identification Descriptor list (NIDT 1 EUI64, 2 NGUID, 4 command set)."""
        namespace = self._media.active(command.controller, command.nsid)
        descriptors = b"".join(
            struct.pack("<BBxx", kind, len(identifier)) + identifier
            for kind, identifier in ((1, namespace.eui64), (2, namespace.nguid))
            if any(identifier)
        )
        return (descriptors + struct.pack("<BBxxB", 4, 1, 0)).ljust(PAGE, b"\0")

    def _active_list(self, command: AdminCommand, now: float) -> bytes:
        return self._list_after(
            command,
            (one.nsid for one in self._media.namespaces.values() if command.controller in one.attached),
        )

    def _allocated_list(self, command: AdminCommand, now: float) -> bytes:
        return self._list_after(command, self._media.namespaces)

    def _list_after(self, command: AdminCommand, nsids: Iterable[int]) -> bytes:
        if command.nsid >= BROADCAST - 1:
            raise CommandAbortError(Status.INVALID_NAMESPACE_OR_FORMAT)
        chosen = sorted(nsid for nsid in nsids if nsid > command.nsid)[: PAGE // 4]
        return struct.pack(f"<{len(chosen)}I", *chosen).ljust(PAGE, b"\0")

    def _controllers_of_namespace(self, command: AdminCommand, now: float) -> bytes:
        self._require_valid(command.nsid)
        namespace = self._media.namespaces.get(command.nsid)
        return _controller_list(command, () if namespace is None else namespace.attached)

    def _controllers(self, command: AdminCommand, now: float) -> bytes:
        _require_no_namespace(command)
        return _controller_list(command, range(self._options.controllers))

    def _require_valid(self, nsid: int) -> None:
        if not 1 <= nsid <= self._options.max_namespaces:
            raise CommandAbortError(Status.INVALID_NAMESPACE_OR_FORMAT)


def _require_no_namespace(command: AdminCommand) -> None:
    if command.nsid:
        raise CommandAbortError(Status.INVALID_FIELD)


def _controller_list(command: AdminCommand, controllers: Iterable[int]) -> bytes:
    """Controller List (Base 2.0 clause 4.4.1), from CNTID (CDW10 bits 31:16) on."""
    chosen = sorted(one for one in controllers if one >= command.cdw10 >> 16)
    return struct.pack(f"<H{len(chosen)}H", len(chosen), *chosen).ljust(PAGE, b"\0")
