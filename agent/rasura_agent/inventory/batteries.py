"""The machine's batteries, from /sys/class/power_supply (Documentation/ABI/testing/sysfs-class-power)."""

from __future__ import annotations

from rasura_agent.inventory.firmware_text import Reading
from rasura_agent.inventory.machine_model import Battery
from rasura_agent.inventory.ports import SystemFiles
from rasura_agent.inventory.sysfs import children, number, raw, word

__all__ = ["FOLDER", "batteries", "is_on_battery"]

FOLDER = "/sys/class/power_supply"
_MILLI, _PICO = 1000, 10**9
"""From micro to milli, and from micro times micro to milli."""
_PERCENT = 100


def batteries(files: SystemFiles, reading: Reading) -> tuple[Battery, ...] | None:
    """The batteries that are in the machine; ``None`` where the kernel lists no power supplies at all."""
    names = children(files, FOLDER)
    if names is None:
        return None
    return tuple(_battery(files, name, reading) for name in names if _is_of_the_machine(files, name))


def _is_of_the_machine(files: SystemFiles, name: str) -> bool:
    """No battery of a mouse or keyboard (scope Device), and one that is in its bay."""
    folder = f"{FOLDER}/{name}"
    return (
        word(files, f"{folder}/type") == "Battery"
        and word(files, f"{folder}/scope") != "Device"
        and word(files, f"{folder}/present") != "0"
    )


def _battery(files: SystemFiles, name: str, reading: Reading) -> Battery:
    folder = f"{FOLDER}/{name}"
    voltage = _positive(number(files, f"{folder}/voltage_min_design"))

    def told(kind: str) -> int | None:
        """A capacity in milliwatt-hours, from energy or else from charge and voltage."""
        energy, charge = number(files, f"{folder}/energy_{kind}"), number(files, f"{folder}/charge_{kind}")
        if energy is not None and energy > 0:
            return round(energy / _MILLI)
        if charge is not None and charge > 0 and voltage is not None:
            return round(charge * voltage / _PICO)
        if 0 in {energy, charge}:
            reading.note(f"battery {name} gives 0 as its {_WORDS[kind]}: it does not know")
        elif charge is not None and charge > 0:
            reading.note(f"battery {name} gives its {_WORDS[kind]} in ampere-hours and no voltage to them")
        return None

    design, full = told("full_design"), told("full")
    wear = None if design is None or full is None else round(max(0.0, _PERCENT * (1 - full / design)), 1)
    if design is not None and full is not None and full > 2 * design:
        reading.note(f"battery {name} says that it takes more than twice what it was made for: not believed")
        full, wear = None, None
    percent = number(files, f"{folder}/capacity")
    return Battery(
        name=name,
        manufacturer=reading.text(f"the maker of battery {name}", raw(files, f"{folder}/manufacturer")),
        model=reading.text(f"the model of battery {name}", raw(files, f"{folder}/model_name")),
        serial=reading.serial(f"the serial number of battery {name}", raw(files, f"{folder}/serial_number")),
        chemistry=reading.text(f"the chemistry of battery {name}", raw(files, f"{folder}/technology")),
        design_mwh=design,
        full_mwh=full,
        voltage_mv=round(voltage / _MILLI) if voltage is not None else None,
        cycles=_positive(number(files, f"{folder}/cycle_count")),
        wear_percent=wear,
        charge_percent=percent if percent is not None and 0 <= percent <= _PERCENT else None,
        status=reading.text(f"the status of battery {name}", raw(files, f"{folder}/status")),
    )


_WORDS = {"full_design": "design capacity", "full": "full capacity"}


def _positive(value: int | None) -> int | None:
    return value if value is not None and value > 0 else None


def is_on_battery(files: SystemFiles) -> int | None:
    """The charge in percent of a machine that runs on its battery; ``None`` for every other.

    A mains supply that is online says no; where none tells, a battery that discharges says yes.
    """
    names = children(files, FOLDER) or []
    mains = [name for name in names if word(files, f"{FOLDER}/{name}/type") == "Mains"]
    states = {word(files, f"{FOLDER}/{name}/online") for name in mains}
    if "1" in states:
        return None
    ours = [name for name in names if _is_of_the_machine(files, name)]
    draining = [name for name in ours if word(files, f"{FOLDER}/{name}/status") == "Discharging"]
    if not ours or not (draining or "0" in states):
        return None
    charges = [number(files, f"{FOLDER}/{name}/capacity") or 0 for name in draining or ours]
    return max(charges)
