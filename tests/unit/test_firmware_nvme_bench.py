"""A simulated NVM subsystem on the bench, for the tests of its techniques (no tests of its own)."""

from __future__ import annotations

from collections.abc import Callable

from msgspec.structs import replace

from rasura.certificate import Technique
from rasura_agent.drive.nvme import status as nvme_status
from rasura_agent.drive.port import Command, Completion, Disposition
from rasura_agent.erase.firmware.line import Line, Running, TechniqueEnd
from rasura_agent.erase.firmware.nvme_capabilities import (
    NvmeCapabilities,
    read_capabilities,
)
from rasura_agent.erase.firmware.nvme_format import run_format
from rasura_agent.erase.firmware.nvme_offers import FORMAT_SETTINGS, SANITIZE_ACTIONS, offers
from rasura_agent.erase.firmware.nvme_sanitize import (
    run_sanitize,
)
from rasura_agent.erase.firmware.offer import Offer
from rasura_agent.inventory.model import Drive
from simulators.nvme import SimulatedNvmeSubsystem
from simulators.nvme_ports import SimulatedNamespace, SimulatedNvmePort
from simulators.nvme_security import Tcg
from simulators.nvme_types import NvmeOptions
from simulators.world import FaultKind, FaultSchedule, ManualClock, Medium

DONE, REFUSED, UNKNOWN = Disposition.DONE, Disposition.REFUSED, Disposition.UNKNOWN
SECRET = b"somebody's data, to be gone"
BLOCK, CRYPTO, OVERWRITE = SANITIZE_ACTIONS
FORMAT_USER, FORMAT_CRYPTO = FORMAT_SETTINGS
TECHNIQUES = (*SANITIZE_ACTIONS, *FORMAT_SETTINGS)
TIMED = (BLOCK, OVERWRITE)
"""Those that cannot be instant."""
VERS = 1 << 3


def no_watch(_running: Running) -> None:
    return None


class Bench:
    """A subsystem with somebody's data in every namespace, and in capacity that no namespace has."""

    def __init__(
        self,
        options: NvmeOptions | None = None,
        *,
        namespaces: int = 1,
        unallocated: int = 0,
        tcg: Tcg | None = None,
    ) -> None:
        media = [Medium(512, 64) for _ in range(namespaces)]
        for medium in media:
            medium.write(5, SECRET.ljust(512, b"\0"))
        spare = (SECRET * unallocated)[:unallocated]
        self.subsystem = SimulatedNvmeSubsystem(ManualClock(), media, options, unallocated=spare, tcg=tcg)
        self.whole = namespaces > 1

    def line(self, faults: dict[int, FaultKind] | None = None) -> Line:
        port = SimulatedNvmePort(
            self.subsystem,
            schedule=FaultSchedule(dict(faults or {})),
            disposition=lambda _command, status: nvme_status.disposition(status),
        )
        return Line(port, self.subsystem.clock, no_watch)

    def drive(self) -> Drive:
        return SimulatedNamespace(self.subsystem).identify()

    def capabilities(self) -> NvmeCapabilities:
        return read_capabilities(self.line(), 1)

    def run(self, technique: Technique, faults: dict[int, FaultKind] | None = None) -> TechniqueEnd:
        return self.run_on(self.line(faults), technique)

    def run_on(self, line: Line, technique: Technique) -> TechniqueEnd:
        run = run_sanitize if technique in SANITIZE_ACTIONS else run_format
        return run(line, self.capabilities(), technique, erase_whole_subsystem=self.whole)

    def offer(self, technique: Technique, **settings: bool) -> Offer:
        found = {one.technique: one for one in offers(self.capabilities(), self.drive(), **settings)}
        return found[technique]

    def begin_elsewhere(self, cdw10: int) -> None:
        """Another host starts a sanitize."""
        status, _, _ = self.subsystem.admin(0, 0x84, cdw10=cdw10)
        assert status == 0

    def image(self) -> bytes:
        media = self.subsystem.media
        return b"".join(bytes(one.medium.data) for one in media.namespaces.values()) + bytes(
            media.unallocated
        )

    @property
    def holds_data(self) -> bool:
        return self.subsystem.holds(SECRET)


class Altered:
    """A path on which the answers to commands of one name are altered, from the ``first`` such command on."""

    def __init__(self, line: Line, name: str, alter: Callable[[bytes], bytes], first: int = 0) -> None:
        self._port = line.port
        self._name = name
        self._alter = alter
        self._left = first

    def execute(self, command: Command) -> Completion:
        completion = self._port.execute(command)
        if command.name != self._name:
            return completion
        self._left -= 1
        return completion if self._left >= 0 else replace(completion, data=self._alter(completion.data))


def altered(line: Line, name: str, alter: Callable[[bytes], bytes], first: int = 0) -> Line:
    return Line(Altered(line, name, alter, first), line.clock, no_watch)
