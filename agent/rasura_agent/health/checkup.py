"""The health of a machine's drives, for whoever erases or reports them."""

from __future__ import annotations

from collections.abc import Sequence

from rasura_agent.health.emmc import read_emmc
from rasura_agent.health.model import HealthReading
from rasura_agent.health.selftest import stop_self_test
from rasura_agent.health.smart import LIMIT_S, Target, at_once, read_health, target_of
from rasura_agent.inventory.behind_raid import HiddenDrive
from rasura_agent.inventory.model import Drive, Transport
from rasura_agent.inventory.ports import Commands, SystemFiles

__all__ = ["Checkup"]


class Checkup:
    """Asks the drives of one machine, each in its turn or all at once. Nothing here raises."""

    def __init__(self, commands: Commands, files: SystemFiles, limit_s: float = LIMIT_S) -> None:
        """``commands`` runs smartctl; in ``files`` the kernel shows what smartctl cannot ask."""
        self._commands, self._files, self._limit_s = commands, files, limit_s

    def read(self, drive: Drive) -> HealthReading:
        """The health of one drive now."""
        target = target_of(drive)
        try:
            if drive.transport is Transport.MMC:
                return read_emmc(drive, self._files)
            return read_health(target, self._commands, self._limit_s)
        except Exception as error:  # noqa: BLE001  a bug in here must not cost an erased drive its certificate
            return HealthReading(target.path, None, f"the agent itself failed to read it ({error!r})")

    def read_all(self, drives: Sequence[Drive]) -> tuple[HealthReading, ...]:
        """The health of many, asked at the same time."""
        return at_once(self.read, drives)

    def read_hidden(self, hidden: Sequence[HiddenDrive]) -> tuple[HealthReading, ...]:
        """The health of drives that only smartctl sees, behind a RAID controller."""
        return at_once(self._read_hidden, hidden)

    def _read_hidden(self, one: HiddenDrive) -> HealthReading:
        return read_health(Target(one.name, one.kind), self._commands, self._limit_s)

    def quiet(self, drive: Drive, reading: HealthReading) -> str | None:
        """End a self-test that ``reading`` found running; why that did not work, or ``None``.

        An erasure must not begin under one: drives are known that freeze (smartmontools issue 614).
        """
        if reading.health is None or reading.health.running is None:
            return None
        return stop_self_test(target_of(drive), self._commands, self._limit_s)
