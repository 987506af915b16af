"""A bench: a simulated drive full of old data, met, planned and erased as a station would do it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from typing import Protocol

from msgspec.structs import replace

from rasura.certificate import Presence
from rasura_agent.drive.ata.passthrough import completion_from_ata, detail_from_ata, result_from_sense
from rasura_agent.drive.nvme import status as nvme_status
from rasura_agent.drive.port import (
    AtaCommand,
    AtaResult,
    BlockPort,
    Command,
    Disposition,
    DrivePort,
    SenseData,
)
from rasura_agent.drive.scsi.disposition import judge
from rasura_agent.erase.engine import execute
from rasura_agent.erase.firmware.family import Family
from rasura_agent.erase.firmware.family_ata import AtaFamily
from rasura_agent.erase.firmware.family_mmc import MmcFamily
from rasura_agent.erase.firmware.family_nvme import NvmeFamily
from rasura_agent.erase.firmware.family_scsi import ScsiFamily
from rasura_agent.erase.firmware.line import Intent, Line
from rasura_agent.erase.firmware.mmc_capabilities import MmcArea
from rasura_agent.erase.pattern import RandomStream
from rasura_agent.erase.plan import DrivePlan, plan_drive
from rasura_agent.erase.policy import Policy
from rasura_agent.erase.progress_record import JournalPace
from rasura_agent.erase.result import EraseResult
from rasura_agent.erase.run import Ports
from rasura_agent.inventory.model import Drive, IdentityPage
from simulators.ata_options import AtaOptions
from simulators.mmc import SimulatedEmmc
from simulators.mmc_ports import SimulatedMmcBlock, SimulatedMmcPort
from simulators.mmc_types import Area, MmcOptions
from simulators.nvme import SimulatedNvmeSubsystem
from simulators.nvme_ports import SimulatedNamespace, SimulatedNvmePort
from simulators.nvme_types import NvmeOptions
from simulators.ports import ata_bay, scsi_bay
from simulators.ports_reply import Reply
from simulators.sat import BridgeOptions
from simulators.scsi_options import ScsiOptions
from simulators.volatile import TornStore
from simulators.world import FaultSchedule, ManualClock, Medium, PowerCut

SECTORS = 64
SECTOR_BYTES = 512


@dataclass
class MemoryJournal:
    """A journal that outlives power cuts."""

    intents: dict[Intent, None] = field(default_factory=dict)

    def intend(self, intent: Intent) -> None:
        self.intents[intent] = None

    def settle(self, intent: Intent) -> None:
        self.intents.pop(intent, None)

    def open_intents(self, drive_identity: str) -> tuple[Intent, ...]:
        return tuple(one for one in self.intents if one.drive_identity == drive_identity)


class Rig(Protocol):
    """One kind of drive on the bench."""

    clock: ManualClock

    def connect(
        self, device_faults: FaultSchedule, block_faults: FaultSchedule
    ) -> tuple[BlockPort, DrivePort]:
        """Open both lines, as a new run of the agent does."""
        ...

    def meet(self, line: Line, drive: Drive, policy: Policy) -> Family | str:
        """Ask the drive for its family."""
        ...

    def rescan(self) -> None:
        """The block layer looks at the capacity again."""
        ...

    def power_cycle(self) -> None:
        """Off and on again."""
        ...

    def sectors(self) -> bytes:
        """All that the medium holds, hidden sectors included."""
        ...


@dataclass
class Bench:
    """Old data in ``rig``'s drive, and what runs of the agent make of it."""

    rig: Rig
    seed: int = 0
    journal: MemoryJournal = field(default_factory=MemoryJournal)
    progress: TornStore = field(default_factory=lambda: TornStore(Random(0)))
    """Outlives the power as ``journal`` does; what is written to it while the power goes, others test."""
    runs: int = 0

    def run(
        self,
        policy: Policy,
        device_faults: FaultSchedule | None = None,
        block_faults: FaultSchedule | None = None,
        execute_plan: Callable[..., EraseResult] = execute,
    ) -> tuple[DrivePlan, EraseResult] | None:
        """One run of the agent; ``None`` when the power went. The drive keeps the state it was left in."""
        self.runs += 1
        try:
            block, device = self.rig.connect(
                device_faults or FaultSchedule(), block_faults or FaultSchedule()
            )
            try:
                drive = block.identify()
            except OSError:
                return None
            met = self.rig.meet(Line(device, self.rig.clock, lambda _running: None), drive, policy)
            family = None if isinstance(met, str) else met
            offers = family.offers() if family is not None else ()
            plan = plan_drive(drive, policy, (), offers, met if isinstance(met, str) else None)
            plan = replace(plan, journal_pace=JournalPace(interval_bytes=8192, interval_s=1e9))
            ports = Ports(block, device, family, self.rig.rescan)
            draw = Random(f"{self.seed} {self.runs}")
            result = execute_plan(
                plan, ports, self.rig.clock, draw.randbytes, lambda _event: None, 4096, self.progress
            )
        except PowerCut:
            self.rig.power_cycle()
            return None
        if result.is_settled:
            self.progress.forget(result.identity_sha256)
        return plan, result


def old_sectors(before: bytes, after: bytes) -> list[int]:
    """Numbers of the sectors that still hold what they held."""
    return [
        at // SECTOR_BYTES
        for at in range(0, len(before), SECTOR_BYTES)
        if before[at : at + SECTOR_BYTES] == after[at : at + SECTOR_BYTES]
    ]


def marker_sectors(result: EraseResult, after: bytes) -> list[int]:
    """Numbers of the sectors that hold what the run itself wrote there as a mark."""
    if result.seed is None:
        return []
    stream = RandomStream(hashlib.sha256(b"marker content" + result.seed).digest())
    marks = bytearray(len(after))
    stream.fill(0, memoryview(marks))
    return old_sectors(bytes(marks), after)


def reach(result: EraseResult, sectors: int) -> int:
    """How many sectors ERASED speaks of: all, unless the certificate says that some may be hidden."""
    prepared = result.prepared
    areas = prepared.hidden_areas if prepared is not None else None
    known = areas is not None and all(
        one.after is Presence.ABSENT for one in (areas.hpa, areas.ama, areas.dco)
    )
    return sectors if known else result.capacity_bytes // SECTOR_BYTES


def production_judge(
    command: Command, reply: Reply, sense: SenseData | None, ata: AtaResult | None
) -> tuple[Disposition, str]:
    """What ``transport/sg_io`` would make of the same bytes."""
    path = judge(reply.status, sense, host_status=reply.host)
    if isinstance(command, AtaCommand):
        result = result_from_sense(command, reply.sense)
        if reply.host:
            return Disposition.UNKNOWN, path.detail
        if result is None and path.disposition is Disposition.REFUSED:
            return Disposition.UNKNOWN, path.detail
        return completion_from_ata(result, command, reply.status), detail_from_ata(result, command)
    return path.disposition, path.detail


class AtaRig:
    """An ATA drive."""

    def __init__(
        self, options: AtaOptions, bridge: BridgeOptions | None, content: bytes, journal: MemoryJournal
    ) -> None:
        self.clock = ManualClock()
        self.journal = journal
        self.bay, self.drive = ata_bay(self.clock, SECTORS, options, bridge)
        self.drive.medium.data[:] = content

    def connect(
        self, device_faults: FaultSchedule, block_faults: FaultSchedule
    ) -> tuple[BlockPort, DrivePort]:
        return self.bay.open_block(block_faults), self.bay.open_port(device_faults, production_judge)

    def meet(self, line: Line, drive: Drive, policy: Policy) -> Family | str:
        return AtaFamily.meet(line, drive, self.journal, accept_r1_basis=policy.accept_r1_basis)

    def rescan(self) -> None:
        self.bay.rescan()

    def power_cycle(self) -> None:
        self.bay.power_cycle()

    def sectors(self) -> bytes:
        self.drive.settle()
        return bytes(self.drive.medium.data)


class ScsiRig:
    """A SAS drive."""

    def __init__(self, options: ScsiOptions, content: bytes, block_bytes: int = SECTOR_BYTES) -> None:
        self.clock = ManualClock()
        self.bay, self.drive = scsi_bay(self.clock, SECTORS, options, block_bytes=block_bytes)
        # Content repeats over the few bytes more that odd sectors have.
        size = len(self.drive.medium.data)
        self.drive.medium.data[:] = (content * 2)[:size]

    def connect(
        self, device_faults: FaultSchedule, block_faults: FaultSchedule
    ) -> tuple[BlockPort, DrivePort]:
        return self.bay.open_block(block_faults), self.bay.open_port(device_faults, production_judge)

    def meet(self, line: Line, drive: Drive, policy: Policy) -> Family | str:
        return ScsiFamily.meet(line, drive, reformat_sectors=policy.reformat_sectors)

    def rescan(self) -> None:
        self.bay.rescan()

    def power_cycle(self) -> None:
        self.bay.power_cycle()

    def sectors(self) -> bytes:
        self.drive.settle()
        return bytes(self.drive.medium.data)


class StableNamespace(SimulatedNamespace):
    """The namespace as sysfs names it: its identity holds nothing that an erase changes."""

    def identify(self) -> Drive:
        drive = super().identify()
        page = IdentityPage("sysfs-identity", f"{drive.model} {drive.serial} {drive.wwn}".encode())
        return replace(drive, identity_pages=(page,))


class NvmeRig:
    """An NVMe drive with one namespace, or two."""

    def __init__(self, options: NvmeOptions, content: bytes, namespaces: int = 1) -> None:
        self.clock = ManualClock()
        media = [Medium(SECTOR_BYTES, SECTORS) for _ in range(namespaces)]
        for medium in media:
            medium.data[:] = content
        self.subsystem = SimulatedNvmeSubsystem(self.clock, media, options)

    def connect(
        self, device_faults: FaultSchedule, block_faults: FaultSchedule
    ) -> tuple[BlockPort, DrivePort]:
        port = SimulatedNvmePort(
            self.subsystem,
            schedule=device_faults,
            disposition=lambda _command, status: nvme_status.disposition(status),
        )
        return StableNamespace(self.subsystem, schedule=block_faults), port

    def meet(self, line: Line, drive: Drive, policy: Policy) -> Family | str:
        return NvmeFamily.meet(line, drive, 1, accept_r1_basis=policy.accept_r1_basis)

    def rescan(self) -> None:
        """The kernel follows a namespace's size by itself."""

    def power_cycle(self) -> None:
        self.subsystem.power_cycle()

    def sectors(self) -> bytes:
        self.subsystem.settle()
        return bytes(self.subsystem.media.namespaces[1].medium.data)


class MmcRig:
    """An eMMC with two boot partitions."""

    def __init__(self, options: MmcOptions, content: bytes) -> None:
        self.clock = ManualClock()
        self._faults = FaultSchedule()
        user, boot = Medium(SECTOR_BYTES, SECTORS), (Medium(SECTOR_BYTES, 256), Medium(SECTOR_BYTES, 256))
        # So small a device counts its addresses in bytes.
        small = replace(options, byte_addressed=True)
        self.device = SimulatedEmmc(self.clock, user, boot=boot, options=small)
        for at in range(SECTORS):
            piece = content[at * SECTOR_BYTES : (at + 1) * SECTOR_BYTES]
            for area in (Area.USER, Area.BOOT_1, Area.BOOT_2):
                self.device.write(area, at, piece)

    def connect(
        self, device_faults: FaultSchedule, block_faults: FaultSchedule
    ) -> tuple[BlockPort, DrivePort]:
        self._faults = device_faults
        return SimulatedMmcBlock(self.device, schedule=block_faults), self._port(Area.USER)

    def meet(self, line: Line, drive: Drive, policy: Policy) -> Family | str:
        areas = {MmcArea.BOOT_1: self._port(Area.BOOT_1), MmcArea.BOOT_2: self._port(Area.BOOT_2)}
        cid = drive.identity_pages[0].data.hex()
        return MmcFamily.meet(line, drive, cid, areas, accept_r1_basis=policy.accept_r1_basis)

    def rescan(self) -> None:
        """The kernel follows a card by itself."""

    def power_cycle(self) -> None:
        self.device.power_cycle()

    def sectors(self) -> bytes:
        self.device.settle()
        return bytes(self.device.areas[Area.USER].medium.data)

    def _port(self, area: Area) -> SimulatedMmcPort:
        return SimulatedMmcPort(self.device, area, schedule=self._faults)
