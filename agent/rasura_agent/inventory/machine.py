"""Reading a whole machine from its sources. Nothing raises: what cannot be read is named in the notes."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from msgspec.structs import replace

from rasura_agent.inventory import buses
from rasura_agent.inventory.batteries import batteries
from rasura_agent.inventory.bays import bays
from rasura_agent.inventory.displays import displays
from rasura_agent.inventory.dmi import Structure, parse_dmidecode
from rasura_agent.inventory.dmi_facts import DMI_TYPES, DmiFacts
from rasura_agent.inventory.firmware_state import boot_kind, tpm
from rasura_agent.inventory.firmware_text import Reading
from rasura_agent.inventory.identity import SysfsDmi, merged
from rasura_agent.inventory.local import local_sources
from rasura_agent.inventory.machine_model import Battery, Display, Gpu, Machine
from rasura_agent.inventory.network import network_ports
from rasura_agent.inventory.optical import optical_drives
from rasura_agent.inventory.ports import CommandError, Sources
from rasura_agent.inventory.processors import join_processors, kernel_processors, usable_memory

__all__ = ["DMIDECODE", "read_machine"]

DMIDECODE = ("dmidecode",)
"""Without options: one call, and a capture of it serves whatever will be read in time to come."""
_DMIDECODE_S = 20.0

_List = TypeVar("_List")


def read_machine(sources: Sources | None = None) -> Machine:
    """Describe the machine."""
    sources = sources or local_sources()
    return _Reader(sources).machine()


class _Reader:
    def __init__(self, sources: Sources) -> None:
        self._sources, self._files, self._reading = sources, sources.files, Reading()

    def machine(self) -> Machine:
        """Everything."""
        files, reading = self._files, self._reading
        sysfs, table = SysfsDmi(files, reading), self._dmi()
        if not sysfs.is_there:
            reading.note("the kernel shows no SMBIOS table (/sys/class/dmi/id)")
        kind, secure_boot = boot_kind(files, reading)
        firmware = replace(merged(sysfs.firmware(), table.firmware()), kind=kind, secure_boot=secure_boot)
        pci = self._listed(lambda: buses.pci_devices(self._sources), "PCI devices (/sys/bus/pci)")
        usb = self._listed(lambda: buses.usb_devices(self._sources, reading), "USB devices (/sys/bus/usb)")
        gpus = buses.gpus(pci)
        return Machine(
            system=merged(sysfs.system(), table.system()),
            board=merged(sysfs.board(), table.board()),
            chassis=merged(sysfs.chassis(), table.chassis()),
            firmware=firmware,
            tpm=tpm(files, table.tpm_version(), reading),
            processors=join_processors(kernel_processors(files, reading), table.processors()),
            memory=replace(table.memory(), usable_bytes=usable_memory(files, reading)),
            gpus=gpus,
            displays=self._displays(gpus),
            batteries=self._batteries(table),
            network=network_ports(files, pci, usb, reading),
            bluetooth=buses.bluetooth(usb),
            webcams=buses.webcams(usb),
            audio=buses.audio(pci, usb),
            optical=optical_drives(self._sources),
            controllers=buses.controllers(pci, reading),
            bays=bays(files),
            slots=table.slots(),
            power_supplies=table.power_supplies(),
            sensors=self._sources.sensors.read(),
            notes=(*reading.notes, *self._sources.missing()),
        )

    def _listed(self, read: Callable[[], tuple[_List, ...] | None], what: str) -> tuple[_List, ...]:
        found = read()
        if found is None:
            self._reading.note(f"the {what} cannot be read")
        return found or ()

    def _dmi(self) -> DmiFacts:
        """The SMBIOS table through dmidecode, which alone knows processors' sockets, memory and slots."""
        structures: tuple[Structure, ...] = ()
        try:
            ran = self._sources.commands.run(DMIDECODE, _DMIDECODE_S)
        except CommandError as error:
            self._reading.note(f"memory modules and slots are not known: {error}")
        else:
            structures = parse_dmidecode(ran.stdout, DMI_TYPES)
            if not structures:
                said = ran.stderr.decode("utf-8", "replace").strip().splitlines()
                why = said[-1] if said else "it printed no structure that is known"
                hint = "; it needs root" if ran.status else ""
                self._reading.note(f"memory modules and slots are not known: dmidecode said: {why}{hint}")
        return DmiFacts(structures, self._reading)

    def _displays(self, gpus: tuple[Gpu, ...]) -> tuple[Display, ...]:
        found = displays(self._files, self._reading)
        if found is None and gpus:
            self._reading.note("no driver here shows the graphics' connectors: displays are not known")
        return found or ()

    def _batteries(self, table: DmiFacts) -> tuple[Battery, ...]:
        found = batteries(self._files, self._reading)
        told = table.batteries()
        if found is None and told:
            self._reading.note("the batteries are as the firmware met them: the kernel does not list them")
            return told
        if not found and told:
            names = ", ".join(one.model or one.name for one in told)
            self._reading.note(f"the firmware names a battery ({names}) that the kernel does not see")
        return found or ()
