"""Temperatures and fans of this machine, through psutil."""

from __future__ import annotations

import psutil

from rasura_agent.inventory.machine_model import Sensor, SensorKind

__all__ = ["LocalSensors"]


class LocalSensors:
    """The :class:`~rasura_agent.inventory.ports.Sensors` of this machine."""

    def read(self) -> tuple[Sensor, ...]:
        """See :class:`Sensors`."""
        found = []
        for chip, temperatures in sorted(psutil.sensors_temperatures().items()):
            found += [
                Sensor(SensorKind.TEMPERATURE, chip, one.label or None, one.current, one.high, one.critical)
                for one in temperatures
            ]
        for chip, fans in sorted(psutil.sensors_fans().items()):
            found += [Sensor(SensorKind.FAN, chip, fan.label or None, float(fan.current)) for fan in fans]
        return tuple(found)
