"""Simulated drives behind the agent's two ports, and the bay that a drive sits in.

A ``Bay`` is where power, plug and kernel meet: it cuts power, suspends, unplugs, and remembers what the
kernel last knew of the drive. Ports opened on it die when the machine or the drive loses power, as a file
descriptor does.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Protocol

from rasura_agent.drive.port import AtaCommand, AtaProtocol, Command, Completion, ScsiCommand
from rasura_agent.inventory.model import Drive, IdentityPage, Transport
from simulators.ata import SimulatedAtaDrive
from simulators.ata_options import AtaOptions
from simulators.ports_block import SimulatedBlock
from simulators.ports_media import AccessError, Description, HostTimeoutError, PowerEvent
from simulators.ports_reply import Host, Judge, Reply, judge_by_specification, parse_ata, parse_sense
from simulators.sat import BridgeOptions, SatTarget
from simulators.scsi import SimulatedScsiDrive
from simulators.scsi_options import ScsiOptions
from simulators.scsi_sense import GOOD, Answer, Code, SenseKey, check
from simulators.world import FaultKind, FaultSchedule, ManualClock, Medium, PowerCut

_RESET = check(SenseKey.UNIT_ATTENTION, Code.POWER_ON_RESET_OR_BUS_DEVICE_RESET_OCCURRED)
_SD_BLOCK_SIZES = frozenset({512, 1024, 2048, 4096})
"""Logical block lengths of which Linux makes a block device with a capacity (drivers/scsi/sd.c)."""


class Target(Protocol):
    """A drive as a SCSI target: ``SatTarget`` and ``SimulatedScsiDrive``."""

    clock: ManualClock

    def execute(self, cdb: bytes, data_out: bytes, data_in_bytes: int, timeout_s: float) -> Answer:
        """Carry out one CDB; raises ``HostTimeoutError``."""
        ...

    def settle(self) -> None:
        """Bring the medium up to date with the clock."""
        ...

    def aborted(self, cdb: bytes) -> Answer:
        """What the host sees when the drive aborts ``cdb`` without acting."""
        ...

    def power_off(self) -> None:
        """Power goes."""
        ...

    def power_on(self, event: PowerEvent) -> None:
        """Power comes."""
        ...

    def told_capacity(self) -> tuple[int, int] | None:
        """(accessible blocks, bytes of each) as READ CAPACITY tells now; ``None`` if it ends in an error."""
        ...

    def read(self, lba: int, into: memoryview, timeout_s: float) -> None:
        """Read whole blocks; raises ``AccessError`` or ``HostTimeoutError``."""
        ...

    def write(self, lba: int, data: bytes | memoryview, timeout_s: float) -> None:
        """Write whole blocks; raises ``AccessError`` or ``HostTimeoutError``."""
        ...

    def flush(self, timeout_s: float) -> None:
        """Flush the write cache; raises ``AccessError`` or ``HostTimeoutError``."""
        ...

    def describe(self) -> Description:
        """Who it says it is."""
        ...


class Bay:
    """A slot of a running machine, with a drive in it.

    The kernel's idea of the capacity is as old as the last boot, resume, plug or ``rescan``; that is
    where a host protected area just removed stays hidden from the block device.
    """

    def __init__(
        self,
        target: Target,
        *,
        transport: Transport,
        path: str = "/dev/sda",
        bytes_per_second: float = 200e6,
    ) -> None:
        self.target = target
        self.clock = target.clock
        self.transport = transport
        self.path = path
        self.bytes_per_second = bytes_per_second
        self.connected = True
        self.powered = True
        self.diskseq = 1
        self.power_cut_at: float | None = None
        """A moment of the clock at which the power goes, also in the middle of a command."""
        self.opening = 0
        """Changes whenever every open file descriptor of the drive dies."""
        self.rescan()

    # Events

    def rescan(self) -> None:
        """The kernel asks the drive for its capacity again: it is none where the drive tells none now."""
        blocks, block_bytes = self.target.told_capacity() or (0, 0)
        usable = block_bytes in _SD_BLOCK_SIZES
        self.kernel_block_bytes = block_bytes if usable else 512
        self.kernel_blocks = blocks if usable else 0

    def lose_power(self) -> None:
        """The power of the whole machine goes, at once."""
        if self.powered:
            if self.connected:
                self.target.power_off()
            self.powered = False
            self.opening += 1

    def outage(self) -> None:
        """Raise ``PowerCut`` if the moment for it has come."""
        if self.power_cut_at is not None and self.clock.monotonic() >= self.power_cut_at:
            self.power_cut_at = None
            self.lose_power()
            raise PowerCut

    def power_cycle(self) -> None:
        """Switch the machine off, if it is not, and on: nothing that was open is open any more."""
        self.lose_power()
        self.powered = self.connected = True
        self.diskseq = 1
        self.target.power_on(PowerEvent.BOOT)
        self.rescan()

    def suspend_resume(self) -> None:
        """Suspend to RAM and wake: the kernel flushes the cache first, and open file descriptors live on."""
        if not self.connected or not self.powered:
            return
        # If the flush fails, the kernel logs it and suspends all the same.
        with suppress(AccessError, HostTimeoutError):
            self.target.flush(0.0)
        self.target.power_off()
        self.target.power_on(PowerEvent.RESUME)
        self.rescan()

    def hot_unplug(self) -> None:
        """Somebody pulls the drive out."""
        if self.connected:
            if self.powered:
                self.target.power_off()
            self.connected = False
            self.opening += 1

    def replug(self) -> None:
        """Pull it out, if it is in, and put it back: no BIOS sees it, and the kernel counts a new disk."""
        self.hot_unplug()
        self.connected = True
        self.diskseq += 1
        self.target.power_on(PowerEvent.REPLUG)
        self.rescan()

    def is_open(self, opening: int) -> bool:
        """Whether a file descriptor of that ``opening`` still leads to the drive."""
        return self.connected and self.powered and opening == self.opening

    # Ports

    def open_port(
        self, schedule: FaultSchedule | None = None, judge: Judge = judge_by_specification
    ) -> SimulatedPort:
        """A line to the drive."""
        return SimulatedPort(self, schedule, judge)

    def open_block(self, schedule: FaultSchedule | None = None, *, direct: bool = True) -> SimulatedBlock:
        """The drive as addressable bytes."""
        return SimulatedBlock(self, schedule, direct=direct)

    def identify(self) -> Drive:
        """The drive as inventory would find it now, its identity pages those that sysfs has."""
        who = self.target.describe()
        pages = []
        for name, cdb in _IDENTITY_PAGES:
            pages.append(IdentityPage(name, self.target.execute(cdb, b"", 0xFF, 15.0).data))
        return Drive(
            path=self.path,
            transport=self.transport,
            manufacturer=who.manufacturer,
            model=who.model,
            serial=who.serial,
            wwn=who.wwn,
            firmware=who.firmware,
            capacity_bytes=self.kernel_blocks * self.kernel_block_bytes,
            logical_sector_bytes=self.kernel_block_bytes,
            physical_sector_bytes=self.kernel_block_bytes,
            rotational=who.rotational,
            removable=False,
            device_number=(8, 0),
            diskseq=self.diskseq,
            identity_pages=tuple(pages),
        )


_IDENTITY_PAGES = (
    ("inquiry", bytes.fromhex("12 00 00 00 FF 00")),
    ("vpd_pg80", bytes.fromhex("12 01 80 00 FF 00")),
    ("vpd_pg83", bytes.fromhex("12 01 83 00 FF 00")),
)


class SimulatedPort:
    """A ``DrivePort`` to the drive in a bay. ``judge`` says what became of each command."""

    def __init__(self, bay: Bay, schedule: FaultSchedule | None, judge: Judge) -> None:
        self._bay = bay
        self._schedule = FaultSchedule() if schedule is None else schedule
        self._judge = judge
        self._opening = bay.opening

    def execute(self, command: Command) -> Completion:
        """Send one command and wait for its end or its time-out; raises only ``PowerCut``."""
        reply = self.transact(command)
        sense = parse_sense(reply.sense)
        is_ata = isinstance(command, AtaCommand)
        ata = parse_ata(reply.sense) if is_ata else None
        disposition, detail = self._judge(command, reply, sense, ata)
        return Completion(
            disposition=disposition,
            detail=detail,
            data=reply.data,
            elapsed_s=reply.elapsed_s,
            scsi_status=reply.status if reply.host is Host.OK else None,
            sense=sense,
            ata=ata,
        )

    def transact(self, command: Command) -> Reply:
        """The same, as raw as an ioctl would hand it over."""
        bay, fault = self._bay, self._schedule.next()
        bay.outage()
        if fault is FaultKind.POWER_CUT_BEFORE:
            bay.lose_power()
            raise PowerCut
        if fault is FaultKind.UNPLUG:
            bay.hot_unplug()
        if not bay.is_open(self._opening):
            return Reply(Host.NO_CONNECT)
        if isinstance(command, AtaCommand):
            cdb = pass_through_16(command)
        elif isinstance(command, ScsiCommand):
            cdb = command.cdb
        else:
            return Reply(Host.UNSUPPORTED)
        began = bay.clock.monotonic()
        host, answer = self._carry_out(cdb, command, fault)
        return Reply(host, answer.status, answer.sense, answer.data, bay.clock.monotonic() - began)

    def _carry_out(
        self, cdb: bytes, command: AtaCommand | ScsiCommand, fault: FaultKind | None
    ) -> tuple[Host, Answer]:
        target, clock = self._bay.target, self._bay.clock
        if fault is FaultKind.ABORT:
            return Host.OK, target.aborted(cdb)
        deadline = clock.monotonic() + command.timeout_s
        patience = command.timeout_s
        if self._bay.power_cut_at is not None:
            patience = min(patience, self._bay.power_cut_at - clock.monotonic())
        host, answer = Host.TIME_OUT, _NO_ANSWER
        if fault is not FaultKind.HANG_UNSEEN:
            try:
                answer = target.execute(cdb, command.data_out, command.data_in_bytes, patience)
                host = Host.OK
            except HostTimeoutError:
                self._bay.outage()
        match fault:
            case FaultKind.POWER_CUT_AFTER:
                self._bay.lose_power()
                raise PowerCut
            case FaultKind.HANG | FaultKind.HANG_UNSEEN:
                clock.sleep(deadline - clock.monotonic())
                return Host.TIME_OUT, _NO_ANSWER
            case FaultKind.SWALLOW_STATUS if host is Host.OK:
                # A bridge that drops the ATA descriptor shows GOOD; SCSI status itself cannot vanish unseen.
                if isinstance(command, AtaCommand):
                    return Host.OK, Answer(GOOD, b"", answer.data)
                return Host.ERROR, _NO_ANSWER
            case FaultKind.BUS_RESET if host is Host.OK:
                return Host.OK, _RESET
        return host, answer


_NO_ANSWER = Answer(0, b"", b"")


def pass_through_16(command: AtaCommand) -> bytes:
    """ATA PASS-THROUGH(16) for a command (SAT-4 clause 12.2.2): its length in COUNT, CK_COND but for data in.

    AHCI has no ending registers to give for data in, so libata is not asked for them.

    A data command whose COUNT is not applicable gets the number of blocks there, as hdparm and smartctl do.
    """
    count = command.count
    flags = {AtaProtocol.NON_DATA: 0x20, AtaProtocol.PIO_IN: 0x0E, AtaProtocol.PIO_OUT: 0x26}[
        command.protocol
    ]
    if command.protocol is not AtaProtocol.NON_DATA:
        count = count or (len(command.data_out) or command.data_in_bytes) // 512
    lba, device, high = command.lba, command.device, 0
    if command.ext:
        high = lba >> 24
    else:
        device |= lba >> 24 & 0x0F
    return bytes(
        (
            0x85,
            command.protocol << 1 | command.ext,
            flags,
            command.feature >> 8 & 0xFF,
            command.feature & 0xFF,
            count >> 8 & 0xFF,
            count & 0xFF,
            high & 0xFF,
            lba & 0xFF,
            high >> 8 & 0xFF,
            lba >> 8 & 0xFF,
            high >> 16 & 0xFF,
            lba >> 16 & 0xFF,
            device,
            command.command,
            0x00,
        )
    )


def ata_bay(
    clock: ManualClock,
    sectors: int = 64,
    options: AtaOptions | None = None,
    bridge: BridgeOptions | None = None,
    *,
    sector_bytes: int = 512,
    transport: Transport = Transport.SATA,
) -> tuple[Bay, SimulatedAtaDrive]:
    """A bay with a new ATA drive in it, and that drive."""
    drive = SimulatedAtaDrive(clock, Medium(sector_bytes, sectors), options)
    return Bay(SatTarget(drive, bridge), transport=transport), drive


def scsi_bay(
    clock: ManualClock,
    blocks: int = 64,
    options: ScsiOptions | None = None,
    *,
    block_bytes: int = 512,
    transport: Transport = Transport.SAS,
) -> tuple[Bay, SimulatedScsiDrive]:
    """A bay with a new SCSI drive in it, and that drive."""
    drive = SimulatedScsiDrive(clock, Medium(block_bytes, blocks), options)
    return Bay(drive, transport=transport), drive
