"""Batteries that others captured through UPower, as the kernel's own files give the same numbers."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from rasura_agent.inventory.machine import read_machine
from simulators.hardware import battery
from simulators.machine import Machine

pytestmark = pytest.mark.corpus

KNOWN = {
    "infos_2.txt": ("DELL JHXPY53", "3682", 57532, 53405, 7.2),
    "infos_4.1.txt": ("DELL XDY9K16", "3829", 54000, 54000, 0.0),
}
"""Model, serial number, capacities in milliwatt-hours, wear. The second one's firmware says "capacity: 88 %"
and yet gives a full capacity that equals its design capacity: we say what follows from the capacities."""


@pytest.fixture(scope="module")
def folder() -> Path:
    corpus = os.environ.get("RASURA_CORPUS")
    if not corpus:
        pytest.skip("RASURA_CORPUS is unset: it names the folder of published captures of real machines")
    return Path(corpus) / "batteries/upower"


def of_upower(text: str) -> dict[str, str]:
    """The kernel's attributes that UPower read these from; it prints watt-hours, with a decimal comma."""
    told = dict(re.findall(r"^ +([\w-]+): +(\S.*?) *$", text, re.MULTILINE))

    def micro(key: str) -> str:
        return str(round(float(told[key].split()[0].replace(",", ".")) * 1e6))

    return {
        "manufacturer": told["vendor"],
        "model_name": told["model"],
        "serial_number": told["serial"],
        "energy_full_design": micro("energy-full-design"),
        "energy_full": micro("energy-full"),
        "technology": told["technology"],
        "status": told["state"].capitalize(),
    }


@pytest.mark.parametrize("name", KNOWN)
def test_wear(folder, name):
    machine = Machine()
    battery(machine, **of_upower((folder / name).read_text()))
    (found,) = read_machine(machine.sources()).batteries
    told = (found.model, found.serial, found.design_mwh, found.full_mwh, found.wear_percent)
    assert told == KNOWN[name]
