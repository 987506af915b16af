"""Made-up hardware for a made-up machine: devices on its buses, batteries, network ports, enclosures."""

from __future__ import annotations

from rasura_agent.inventory.model import Drive
from rasura_agent.inventory.ports import Ran
from simulators.machine import Machine

__all__ = ["NoThermometer", "battery", "dmi", "network", "pci", "server_of", "usb"]

_ROOT = "/sys/devices/pci0000:00"


class NoThermometer:
    """A machine whose drives show no temperature."""

    def celsius(self, _drive: Drive) -> float | None:
        return None


def dmi(machine: Machine, **texts: str | bytes) -> None:
    """What the kernel shows of the SMBIOS table."""
    for name, value in texts.items():
        machine.write(f"/sys/class/dmi/id/{name}", value if isinstance(value, bytes) else value + "\n")


def pci(
    machine: Machine, address: str, code: str, ids: str = "8086:1234", driver: str | None = None, **udev: str
) -> str:
    """A PCI function of class ``code`` (six hex digits); returns its folder."""
    place = f"{_ROOT}/{address}"
    vendor, device = ids.split(":")
    for key, value in (("class", code), ("vendor", vendor), ("device", device)):
        machine.write(f"{place}/{key}", f"0x{value}\n")
    machine.link(f"/sys/bus/pci/devices/{address}", place)
    if driver is not None:
        machine.folder(f"/sys/bus/pci/drivers/{driver}")
        machine.link(f"{place}/driver", f"/sys/bus/pci/drivers/{driver}")
        machine.link(f"/sys/bus/pci/drivers/{driver}/{address}", place)
    machine.places[place] = udev
    return place


def usb(machine: Machine, name: str, ids: str, *interfaces: str, **texts: str | bytes) -> str:
    """A USB device with interfaces of these classes (class and subclass, four hex digits)."""
    place = f"{_ROOT}/0000:00:14.0/usb1/{name}"
    vendor, product = ids.split(":")
    for key, value in {"idVendor": vendor, "idProduct": product, **texts}.items():
        machine.write(f"{place}/{key}", value)
    for number, codes in enumerate(interfaces):
        machine.write(f"{place}/{name}:1.{number}/bInterfaceClass", codes[:2])
        machine.write(f"{place}/{name}:1.{number}/bInterfaceSubClass", codes[2:])
    machine.link(f"/sys/bus/usb/devices/{name}", place)
    return place


def network(machine: Machine, name: str, device: str, mac: str, **attributes: str) -> None:
    """A network interface on the device whose folder is ``device``."""
    place = f"{device}/net/{name}"
    for key, value in {"address": mac, **attributes}.items():
        machine.write(f"{place}/{key}", value + "\n")
    machine.link(f"{place}/device", device)
    machine.link(f"/sys/class/net/{name}", place)


def battery(machine: Machine, name: str = "BAT0", **attributes: str | bytes) -> None:
    """A battery; without attributes one that says only that it is there."""
    for key, value in {"type": "Battery", "present": "1", **attributes}.items():
        machine.write(f"/sys/class/power_supply/{name}/{key}", value)


def server_of(drives: int) -> Machine:
    """A server with that many SAS drives in bays of one enclosure, two processors, 24 memory modules."""
    machine = Machine()
    dmi(machine, sys_vendor="Acme", product_name="Rack", product_serial="ACME-0042", chassis_type="23")
    hba = pci(
        machine, "0000:03:00.0", "010700", "1000:0097", driver="mpt3sas", ID_MODEL_FROM_DATABASE="SAS3008"
    )
    for number in range(drives):
        end = f"{hba}/host0/port-0:{number}/end_device-0:{number}"
        place = f"{end}/target0:0:{number}/0:0:{number}:0/block/sd{chr(97 + number)}"
        serial = f"ZC1{number:05}".encode()
        name = 0x5000C50012340000 + number * 4
        machine.disk(
            f"sd{chr(97 + number)}",
            place.removeprefix("/sys"),
            sectors=7_814_037_168,
            attributes={
                "device/vendor": "SEAGATE ",
                "device/model": "ST4000NM0025    ",
                "device/rev": "N003",
                "device/wwid": f"naa.{name:x}",
                "device/sas_address": f"0x{name + 1:x}",
                "device/inquiry": bytes(96),
                "device/vpd_pg80": bytes([0, 0x80, 0, len(serial)]) + serial,
                "device/vpd_pg83": bytes.fromhex(f"0083000c01030008{name:x}"),
                "queue/logical_block_size": "512",
                "queue/physical_block_size": "4096",
                "queue/rotational": "1",
            },
            properties={"ID_BUS": "scsi", "ID_SCSI_SERIAL": serial.decode()},
        )
        slot = f"/sys/class/enclosure/0:0:24:0/Slot {number:02}"
        for key, value in (("type", "array device"), ("slot", str(number)), ("status", "OK")):
            machine.write(f"{slot}/{key}", value + "\n")
        machine.link(f"{slot}/device", place.rpartition("/block/")[0])
    machine.outputs["dmidecode",] = Ran(0, _table().encode())
    machine.outputs["smartctl", "--scan-open", "--json"] = Ran(0, b'{"devices": []}')
    threads = [
        f"processor\t: {number}\nvendor_id\t: GenuineIntel\ncpu family\t: 6\nmodel\t\t: 85\n"
        f"model name\t: Intel(R) Xeon(R) Silver 4210 CPU @ 2.20GHz\nstepping\t: 7\n"
        f"physical id\t: {number % 2}\ncore id\t\t: {number // 4}\n"
        f"cpu cores\t: 10\nflags\t\t: {'fpu ' * 90}\n"
        for number in range(40)
    ]
    machine.write("/proc/cpuinfo", "\n".join(threads) + "\n")
    machine.write("/proc/meminfo", "MemTotal:       395912345 kB\n")
    return machine


def _table() -> str:
    parts = ["# dmidecode 3.6\n"]
    for number in range(2):
        parts.append(
            f"Handle 0x04{number:02}, DMI type 4, 48 bytes\nProcessor Information\n"
            f"\tSocket Designation: CPU{number}\n\tStatus: Populated, Enabled\n\tMax Speed: 4000 MHz\n"
        )
    for number in range(24):
        parts.append(
            f"Handle 0x11{number:02}, DMI type 17, 84 bytes\nMemory Device\n\tSize: 16 GB\n"
            f"\tLocator: A{number}\n\tType: DDR4\n\tSerial Number: 3A1B{number:04X}\n"
        )
    return "\n".join(parts)
