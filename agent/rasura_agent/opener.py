"""Opening drives: to ask what they can do, and to erase them. Wires transports to families."""

from __future__ import annotations

from collections.abc import Mapping

from rasura_agent.clock import Clock
from rasura_agent.drive.port import BlockPort
from rasura_agent.drive.tcg.psid import Psid
from rasura_agent.drive.transport.block import (
    open_block_device,
    open_virtual_drive,
    rescan,
)
from rasura_agent.drive.transport.device import AskingLine, DeviceLine, asking_line, device_line
from rasura_agent.drive.transport.psid import KernelPsidReverter
from rasura_agent.drive.transport.replay import ReplayError
from rasura_agent.erase.firmware.families import meet
from rasura_agent.erase.firmware.family import Family
from rasura_agent.erase.firmware.family_psid import PsidFirst, discovery_command
from rasura_agent.erase.firmware.line import Journal, Line
from rasura_agent.erase.plan import DrivePlan, Interrupted, interrupted
from rasura_agent.erase.policy import Policy
from rasura_agent.erase.progress_record import ProgressStore
from rasura_agent.erase.run import Ports
from rasura_agent.inventory.model import Drive, Transport
from rasura_agent.inventory.opened import describe_open
from rasura_agent.inventory.virtual import describe_virtual_open
from rasura_agent.second_reader import SecondReader
from rasura_agent.sentence import Sentence

__all__ = ["DriveOpener"]

_NOT_PHYSICAL = frozenset({Transport.FILE, Transport.LOOP, Transport.VIRTIO})


class DriveOpener:
    """Opens the drives of one job."""

    def __init__(
        self,
        clock: Clock,
        journal: Journal,
        policy: Policy,
        psids: Mapping[str, Psid] | None = None,
        progress: ProgressStore | None = None,
        line: AskingLine = asking_line,
    ) -> None:
        """Put the ports together.

        Args:
            clock: of this machine.
            journal: of intents.
            policy: what is asked for.
            psids: PSIDs from labels, by the serial of their drive.
            progress: how far interrupted overwrites are; ``None`` begins each afresh.
            line: how drives are asked.
        """
        self._clock, self._journal, self._policy = clock, journal, policy
        self.progress = progress
        self._psids = psids or {}
        self._line = line

    def ask(self, drive: Drive) -> Family | str:
        """What the drive's own commands offer; a string says why that is not known. Changes nothing."""
        if drive.transport in _NOT_PHYSICAL:
            return Sentence("this is no physical drive: it takes no device command")
        with self._line(drive) as device:
            try:
                return self._meet(drive, device)
            except ReplayError as error:  # a captured machine has only the answers that were captured
                return str(error)

    def interrupted(self, plan: DrivePlan) -> Interrupted | None:
        """What an earlier boot left unfinished on the drive of ``plan``."""
        if self.progress is None or not plan.runnable:
            return None
        record = self.progress.load(plan.drive.identity_sha256).begun
        return interrupted(plan, record) if record is not None else None

    def open(self, plan: DrivePlan) -> Ports:
        """Open the drive of ``plan`` for erasing; raises ``RefusedError``."""
        drive, number = plan.drive, plan.drive.device_number
        if drive.is_virtual:
            file = open_virtual_drive(drive.path, lambda fd: describe_virtual_open(fd, drive.path))
            return Ports(file, reader=self._reader(drive, file))
        block = open_block_device(drive.path, describe_open)
        reader = self._reader(drive, block)
        if plan.no_commands is not None or number is None:
            return Ports(block, reader=reader)
        # One descriptor for blocks and commands: both reach the drive that was claimed.
        device = device_line(drive, block.fileno())
        family = self._meet(drive, device)
        if isinstance(device, str) or isinstance(family, str):
            _close(device)
            return Ports(block, reader=reader)
        psid = self._psids.get(drive.serial or "")
        if psid is not None:
            reverter = KernelPsidReverter(block.fileno())
            family = PsidFirst(family, discovery_command(drive), reverter, psid)
        return Ports(block, device.port, family, lambda: rescan(number), device.close, reader)

    def _reader(self, drive: Drive, block: BlockPort) -> SecondReader | None:
        return SecondReader(drive.path, drive.is_virtual, block) if self._policy.second_reader else None

    def _meet(self, drive: Drive, device: DeviceLine | str) -> Family | str:
        if isinstance(device, str):
            return device
        line = Line(device.port, self._clock, lambda _running: None)
        return meet(line, device, drive, self._journal, self._policy)


def _close(device: DeviceLine | str) -> None:
    if isinstance(device, DeviceLine):
        device.close()
