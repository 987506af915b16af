"""Capture a machine of simulated drives into machines/simulated beside this file, as 'capture' would.

    PYTHONPATH=tests python tests/captures/record_workbench.py

The drives are those of simulators/smart_drives.py (a failing disk, a worn SSD, SAS counters, an NVMe drive
past its life), asked by the real smartctl; around them is a made-up tower with an eMMC drive besides.
"""

from __future__ import annotations

import re
import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from msgspec.structs import replace

from rasura_agent.capturing import SeenMachine, capture_machine
from rasura_agent.inventory.capture import save_capture
from rasura_agent.inventory.ports import Commands, Ran, Sources
from simulators.hardware import dmi, pci
from simulators.machine import Machine
from simulators.smart_drives import bench
from simulators.smartctl_line import SmartctlOverSimulators, obstacle
from simulators.world import ManualClock
from unit.test_capture import no_line

HERE = Path(__file__).with_name("machines") / "simulated"
_PLATFORM = re.compile(rb"x86_64-linux-[^\"\]]+")
_SECTORS = 1 << 21


class _Programs:
    """smartctl over the simulated drives; the made-up machine's own programs besides."""

    def __init__(self, smartctl: Commands, others: Commands) -> None:
        self._smartctl, self._others = smartctl, others

    def run(self, argv: Sequence[str], timeout_s: float) -> Ran:
        """See ``Commands``."""
        if argv[0] != "smartctl" or "--scan-open" in argv:
            return self._others.run(argv, timeout_s)
        ran = self._smartctl.run(argv, timeout_s)
        # Which kernel it ran under is nobody's business.
        return replace(ran, stdout=_PLATFORM.sub(b"x86_64-linux", ran.stdout))


def workbench() -> Machine:
    """The made-up machine around the drives."""
    machine = Machine()
    dmi(
        machine,
        sys_vendor="Simulant",
        product_name="Workbench",
        product_serial="BENCH-0001",
        chassis_type="7",
    )
    ata = pci(machine, "0000:00:17.0", "010601", "8086:a352", driver="ahci").removeprefix("/sys")
    sas = pci(machine, "0000:03:00.0", "010700", "1000:0097", driver="mpt3sas").removeprefix("/sys")
    nvme = pci(machine, "0000:01:00.0", "010802", "1b36:0010", driver="nvme").removeprefix("/sys")
    for number, name in enumerate(("sda", "sdb", "sdc"), 1):
        place = f"{ata}/ata{number}/host{number}/target{number}:0:0/{number}:0:0:0/block/{name}"
        told = {"device/vendor": "ATA     ", "device/model": "SIMULATED DISK", "queue/rotational": "1"}
        machine.disk(name, place, sectors=_SECTORS, attributes=told, properties={"ID_BUS": "ata"})
    place = f"{sas}/host0/port-0:0/end_device-0:0/target0:0:0/0:0:0:0/block/sdd"
    told = {
        "device/vendor": "SIMULANT",
        "device/model": "SAS DISK",
        "device/sas_address": "0x5000c50012345678",
    }
    machine.disk("sdd", place, sectors=_SECTORS, attributes=told)
    machine.disk(
        "nvme0n1", f"{nvme}/nvme/nvme0/nvme0n1", sectors=_SECTORS, attributes={"device/model": "NVMe"}
    )
    emmc = {"type": "MMC", "name": "DF4032", "life_time": "0x09 0x02", "pre_eol_info": "0x02"}
    machine.disk(
        "mmcblk0",
        "/devices/platform/soc/mmc_host/mmc0/mmc0:0001/block/mmcblk0",
        sectors=_SECTORS,
        attributes={f"device/{name}": text for name, text in emmc.items()},
    )
    machine.outputs["smartctl", "--scan-open", "--json"] = Ran(0, b'{"devices": []}')
    machine.outputs["dmidecode",] = Ran(0, b"# dmidecode 3.6\n")
    machine.write("/proc/meminfo", "MemTotal:       16269248 kB\n")
    machine.write("/proc/cpuinfo", "processor\t: 0\nmodel name\t: Simulant CPU\n")
    return machine


def main() -> int:
    """Capture it; 2 if there is no smartctl."""
    why_not = obstacle()
    if why_not is not None:
        sys.stderr.write(f"error: {why_not}\n")
        return 2
    clock, machine = ManualClock(), workbench()
    with tempfile.TemporaryDirectory() as folder:
        smartctl = SmartctlOverSimulators(Path(folder), bench(clock))
        sources = Sources(machine, machine, _Programs(smartctl, machine), machine, machine)
        taken = capture_machine(clock, anonymise=True, inner=SeenMachine(sources, no_line))
    shutil.rmtree(HERE, ignore_errors=True)
    save_capture(replace(taken, kernel="simulated"), HERE)
    return 0


if __name__ == "__main__":
    sys.exit(main())
