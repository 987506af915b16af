"""Namespace Management and Attachment of a simulated NVM subsystem (Base 2.0 clauses 5.22 and 5.23)."""

from __future__ import annotations

import struct

from simulators.nvme_types import (
    BROADCAST,
    PAGE,
    AdminCommand,
    CommandAbortError,
    Media,
    Namespace,
    NvmeFaults,
    Reply,
    Status,
)
from simulators.world import Medium

_OACS_NAMESPACE_MANAGEMENT = 1 << 3


class NamespaceManagement:
    """Creates, deletes, attaches and detaches namespaces; deleted ones fall to the unallocated capacity."""

    def __init__(self, media: Media, faults: NvmeFaults) -> None:
        self._media = media
        self._options = media.options
        self._faults = faults

    def manage(self, command: AdminCommand, now: float) -> Reply:
        """Namespace Management: SEL (CDW10 bits 3:0) 0 creates, 1 deletes."""
        self._check(command)
        select = command.cdw10 & 0xF
        if select == 0:
            return Reply(result=self._create(command), ready_at=now)
        if select != 1 or command.data_out:
            raise CommandAbortError(Status.INVALID_FIELD)
        if command.nsid == BROADCAST:
            doomed = list(self._media.namespaces.values())
        else:
            doomed = [self._media.allocated(command.nsid)]
        for namespace in doomed:
            if namespace.write_protected:
                raise CommandAbortError(Status.NAMESPACE_WRITE_PROTECTED)
        for namespace in doomed:
            del self._media.namespaces[namespace.nsid]
            self._media.unallocated += namespace.medium.data
        return Reply(ready_at=now)

    def attach(self, command: AdminCommand, now: float) -> Reply:
        """Namespace Attachment: SEL 0 attaches the listed controllers, 1 detaches them."""
        self._check(command)
        select = command.cdw10 & 0xF
        if select > 1:
            raise CommandAbortError(Status.INVALID_FIELD)
        if len(command.data_out) != PAGE:
            raise CommandAbortError(Status.DATA_TRANSFER_ERROR)
        namespace = self._media.allocated(command.nsid)
        (count,) = struct.unpack_from("<H", command.data_out)
        if not 1 <= count <= 2047:
            raise CommandAbortError(Status.CONTROLLER_LIST_INVALID)
        listed = set(struct.unpack_from(f"<{count}H", command.data_out, 2))
        if not listed <= set(range(self._options.controllers)):
            raise CommandAbortError(Status.CONTROLLER_LIST_INVALID)
        if select == 0:
            if listed & namespace.attached:
                raise CommandAbortError(Status.NAMESPACE_ALREADY_ATTACHED)
            namespace.attached |= listed
        else:
            if not listed <= namespace.attached:
                raise CommandAbortError(Status.NAMESPACE_NOT_ATTACHED)
            namespace.attached -= listed
        return Reply(ready_at=now)

    def _check(self, command: AdminCommand) -> None:
        if not self._options.oacs & _OACS_NAMESPACE_MANAGEMENT:
            raise CommandAbortError(Status.INVALID_OPCODE)
        command.require_reserved_clear(11)
        if command.cdw10 >> 4 or command.data_len:
            raise CommandAbortError(Status.INVALID_FIELD)

    def _create(self, command: AdminCommand) -> int:
        """Make a namespace of NSZE blocks out of unallocated capacity; returns its NSID."""
        if command.nsid:
            raise CommandAbortError(Status.INVALID_FIELD)
        if len(command.data_out) != PAGE:
            raise CommandAbortError(Status.DATA_TRANSFER_ERROR)
        size, capacity = struct.unpack_from("<QQ", command.data_out)
        lbaf = command.data_out[26] & 0xF
        if lbaf >= len(self._options.lba_formats):
            raise CommandAbortError(Status.INVALID_FORMAT)
        if size != capacity:
            raise CommandAbortError(Status.THIN_PROVISIONING_NOT_SUPPORTED)
        block = self._options.lba_formats[lbaf].data_bytes
        if not 0 < size * block <= len(self._media.unallocated):
            raise CommandAbortError(Status.NAMESPACE_INSUFFICIENT_CAPACITY)
        free = (n for n in range(1, self._options.max_namespaces + 1) if n not in self._media.namespaces)
        nsid = next(free, None)
        if nsid is None:
            raise CommandAbortError(Status.NAMESPACE_IDENTIFIER_UNAVAILABLE)
        medium = Medium(block, size)
        if self._faults.exposes_old_data:
            medium.data[:] = self._media.unallocated[: size * block]
        del self._media.unallocated[: size * block]
        self._media.namespaces[nsid] = Namespace(
            nsid, medium, lbaf, set(), nguid=bytes(12) + nsid.to_bytes(4, "big")
        )
        return nsid
