"""What an NVMe drive says it can do, read before anything is decided."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from rasura.errors import RasuraError
from rasura_agent.drive.nvme.errors import NvmeDecodeError
from rasura_agent.drive.nvme.identify import (
    IdentifyController,
    OptionalAdminCommands,
    decode_identify_controller,
    identify_controller,
    identify_namespace,
    list_active_namespaces,
    list_allocated_namespaces,
)
from rasura_agent.drive.nvme.identify_namespace import (
    IdentifyNamespace,
    decode_identify_namespace,
    decode_namespace_list,
)
from rasura_agent.drive.nvme.sanitize_log import SanitizeLog, decode_sanitize_log, sanitize_status
from rasura_agent.drive.port import Disposition, NvmeCommand
from rasura_agent.erase.firmware.line import Line

__all__ = ["NvmeCapabilities", "NvmeUnreadableError", "read_capabilities", "read_sanitize_log"]

_LIST_ENTRIES = 1024
"""NSIDs in one Identify namespace list (NVMe Base 2.1 clause 5.1.13.2.2): a full page may have a sequel."""


class NvmeUnreadableError(RasuraError):
    """The drive does not answer what must be known before it may be erased."""


class NvmeCapabilities(msgspec.Struct, frozen=True):
    """One namespace, the controller it was reached through, and what else shares their NVM subsystem."""

    nsid: int
    controller: IdentifyController
    namespace: IdentifyNamespace
    active: tuple[int, ...]
    """NSIDs attached to this controller."""
    allocated: tuple[int, ...] | None
    """NSIDs that exist in the subsystem, attached or not; ``None`` where the controller does not tell."""
    sanitize_log: SanitizeLog | None
    """How the latest sanitize stands; ``None`` where there is none or the log could not be read."""

    @property
    def others(self) -> tuple[int, ...]:
        """The other namespaces of the subsystem: a sanitize erases them too."""
        return tuple(sorted({*self.active, *(self.allocated or ())} - {self.nsid}))

    @property
    def unattached(self) -> tuple[int, ...]:
        """Namespaces that exist and that this controller does not see."""
        return tuple(sorted(set(self.allocated or ()) - set(self.active)))

    @property
    def subsystem_bytes(self) -> int:
        """What a sanitize has to go through: TNVMCAP, or this namespace where that is not reported."""
        return self.controller.tnvmcap or self.namespace_bytes

    @property
    def namespace_bytes(self) -> int:
        """NVMCAP, or the size that the host sees where that is not reported."""
        return self.namespace.nvmcap or self.namespace.size_bytes


def read_capabilities(line: Line, nsid: int) -> NvmeCapabilities:
    """Identify controller and namespace ``nsid``, list the namespaces, look at the sanitize log.

    All of it is permitted while a sanitize or a format runs.

    Raises:
        NvmeUnreadableError: a page did not come, or the namespace is not an active one.
        NvmeDecodeError: a page is no page.
        UsageError: ``nsid`` names no single namespace.
    """
    controller = decode_identify_controller(_answer(line, identify_controller()))
    namespace = decode_identify_namespace(_answer(line, identify_namespace(nsid)))
    active = _namespaces(line, list_active_namespaces)
    if namespace is None or nsid not in active:
        raise NvmeUnreadableError(
            f"namespace {nsid} is not attached to the controller that answers",
            hint="the block device may have been taken for another drive's: look the drives up again",
        )
    manages = OptionalAdminCommands.NAMESPACE_MANAGEMENT in controller.oacs
    log = read_sanitize_log(line) if controller.sanicap.supported else None
    return NvmeCapabilities(
        nsid=nsid,
        controller=controller,
        namespace=namespace,
        active=active,
        allocated=_namespaces(line, list_allocated_namespaces) if manages else None,
        sanitize_log=log if isinstance(log, SanitizeLog) else None,
    )


def read_sanitize_log(line: Line) -> SanitizeLog | str:
    """Log page 81h as it is at this moment, or in words why it is not to be had."""
    completion = line.execute(sanitize_status())
    if completion.disposition is not Disposition.DONE:
        return completion.detail
    try:
        return decode_sanitize_log(completion.data)
    except NvmeDecodeError as error:
        return str(error)


def _answer(line: Line, command: NvmeCommand) -> bytes:
    completion = line.execute(command)
    if completion.disposition is not Disposition.DONE:
        raise NvmeUnreadableError(f"{command.name} was not answered: {completion.detail}")
    return completion.data


def _namespaces(line: Line, ask: Callable[[int], NvmeCommand]) -> tuple[int, ...]:
    found: tuple[int, ...] = ()
    while True:
        after = found[-1] if found else 0
        page = decode_namespace_list(_answer(line, ask(after)))
        if page and page[0] <= after:
            raise NvmeDecodeError(f"a namespace list after {after} begins with {page[0]}")
        found += page
        if len(page) < _LIST_ENTRIES:
            return found
