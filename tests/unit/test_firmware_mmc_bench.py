"""A simulated eMMC on the bench, for the tests of its techniques (no tests of its own)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from rasura.certificate import Technique
from rasura_agent.drive.port import Completion, Disposition, DrivePort, MmcCommand
from rasura_agent.erase.firmware.line import Line, TechniqueEnd
from rasura_agent.erase.firmware.mmc_capabilities import (
    MmcArea,
    MmcCapabilities,
    read_capabilities,
)
from rasura_agent.erase.firmware.mmc_erase import run_sanitize, run_secure_erase, run_secure_trim
from rasura_agent.erase.firmware.mmc_offers import offers
from rasura_agent.erase.firmware.offer import Offer
from simulators.mmc import SimulatedEmmc
from simulators.mmc_ports import SimulatedMmcBlock, SimulatedMmcPort
from simulators.mmc_types import Area, MmcOptions
from simulators.world import FaultKind, FaultSchedule, ManualClock, Medium

DONE, REFUSED, UNKNOWN = Disposition.DONE, Disposition.REFUSED, Disposition.UNKNOWN
SECRET = b"somebody's data, to be gone"
SECTORS = 64
# So small a device counts its addresses in bytes.
USUAL = MmcOptions(byte_addressed=True)
SECURE_ER_EN, SEC_GB_CL_EN, SEC_SANITIZE = 1 << 0, 1 << 4, 1 << 6

Run = Callable[[Line, MmcCapabilities, Mapping[MmcArea, DrivePort]], TechniqueEnd]
RUNS: dict[Technique, Run] = {
    Technique.MMC_SANITIZE: run_sanitize,
    Technique.MMC_SECURE_ERASE: run_secure_erase,
    Technique.MMC_SECURE_TRIM: run_secure_trim,
}


class AtOnce:
    """A port that sends sequences as the kernel does: up to the first command without a response."""

    def __init__(self, port: SimulatedMmcPort) -> None:
        self._port = port
        self.execute = port.execute

    def execute_sequence(self, commands: Sequence[MmcCommand]) -> tuple[Completion, ...]:
        completions: list[Completion] = []
        for command in commands:
            if completions and completions[-1].mmc_response is None:
                completions.append(Completion(REFUSED, f"{command.name}: not sent"))
            else:
                completions.append(self._port.execute(command))
        return tuple(completions)


class Bench:
    """An eMMC with somebody's data in every partition, also in former copies."""

    def __init__(self, options: MmcOptions = USUAL, *, boot: bool = True, polls: bool = False) -> None:
        user, boots, rpmb = Medium(512, SECTORS), (Medium(512, 256), Medium(512, 256)), Medium(512, 256)
        self.device = SimulatedEmmc(
            ManualClock(), user, boot=boots if boot else None, rpmb=rpmb, options=options
        )
        self.areas = [Area.USER, Area.BOOT_1, Area.BOOT_2] if boot else [Area.USER]
        for area in self.areas:
            for sector in (3, 4, 3):
                self.device.write(area, sector, SECRET.ljust(512, b"\0"))
        self.at_once = True
        self.polls = polls

    def port(self, area: Area, schedule: FaultSchedule) -> DrivePort:
        port = SimulatedMmcPort(self.device, area, schedule=schedule, polls_status=self.polls)
        return AtOnce(port) if self.at_once else port

    def line(self, schedule: FaultSchedule | None = None) -> Line:
        return Line(
            self.port(Area.USER, schedule or FaultSchedule()), self.device.clock, lambda _running: None
        )

    def boots(self, schedule: FaultSchedule) -> dict[MmcArea, DrivePort]:
        return {MmcArea(area): self.port(area, schedule) for area in self.areas if area}

    def capabilities(self) -> MmcCapabilities:
        block = SimulatedMmcBlock(self.device).identify()
        return read_capabilities(self.line(), block.identity_pages[0].data.hex(), block.capacity_bytes)

    def run(self, technique: Technique, faults: dict[int, FaultKind] | None = None) -> TechniqueEnd:
        found = self.capabilities()
        schedule = FaultSchedule(dict(faults or {}))
        return RUNS[technique](self.line(schedule), found, self.boots(schedule))

    def offers(self, **settings: bool) -> dict[Technique, Offer]:
        listed = offers(self.capabilities(), SimulatedMmcBlock(self.device).identify(), **settings)
        return {one.technique: one for one in listed}

    def image(self) -> list[bytes]:
        self.device.settle()
        return [bytes(self.device.areas[area].medium.data) for area in self.areas]

    @property
    def readable(self) -> bool:
        return any(SECRET in one for one in self.image())

    @property
    def in_the_chips(self) -> bool:
        return self.device.holds(SECRET)
