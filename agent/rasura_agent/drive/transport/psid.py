"""The kernel's PSID revert (``linux/sed-opal.h``) over an open block device."""

from __future__ import annotations

from rasura_agent.drive.port import Completion
from rasura_agent.drive.tcg.psid import Psid
from rasura_agent.drive.transport.block_ioctl import psid_revert

__all__ = ["KernelPsidReverter"]


class KernelPsidReverter:
    """Reverts the drive behind a descriptor, which stays the caller's."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def revert(self, psid: Psid) -> Completion:
        """Revert and wait for the end."""
        result = psid_revert(self._descriptor, psid)
        return Completion(result.disposition, result.detail)
