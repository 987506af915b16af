"""Network controllers: those with an interface, and Wi-Fi cards that no driver of this system has."""

from __future__ import annotations

import re

from rasura_agent.inventory.buses import PciDevice, UsbDevice, pci_address
from rasura_agent.inventory.firmware_text import Reading
from rasura_agent.inventory.machine_model import NetworkPort, Product
from rasura_agent.inventory.ports import SystemFiles
from rasura_agent.inventory.sysfs import children, driver_of, number, place_of, word

__all__ = ["network_ports"]

_ETHERNET, _OTHER_NETWORK = 0x0200, 0x0280
"""PCI class codes; Wi-Fi cards are "other" network controllers."""
_MAC = re.compile(r"(?:[0-9a-f]{2}:){5}[0-9a-f]{2}")
_USB_PORT = re.compile(r"\d+-[\d.]+")


def network_ports(
    files: SystemFiles, pci: tuple[PciDevice, ...], usb: tuple[UsbDevice, ...], reading: Reading
) -> tuple[NetworkPort, ...]:
    """The physical network ports, in the order of their kernel names."""
    names = children(files, "/sys/class/net")
    if names is None:
        reading.note("the network interfaces (/sys/class/net) cannot be read")
    by_address, by_port = {one.address: one for one in pci}, {one.name: one for one in usb}
    found, met = [], set()
    for name in names or ():
        place = place_of(files, f"/sys/class/net/{name}/device")
        if place is None:  # lo, bridges, tunnels
            continue
        address = pci_address(place)
        port = next((part for part in reversed(place.split("/")) if _USB_PORT.fullmatch(part)), None)
        if address is not None:
            met.add(address)
        product = Product()
        if port in by_port:
            product = by_port[port].product
        elif address in by_address:
            product = by_address[address].product
        found.append(_port(files, name, product, driver_of(files, place)))
    for one in pci:
        if one.class_code in {_ETHERNET, _OTHER_NETWORK} and one.address not in met and one.driver is None:
            wireless = one.class_code == _OTHER_NETWORK
            found.append(NetworkPort(one.address, None, wireless, one.product))
            kind = "Wi-Fi card" if wireless else "network controller"
            reading.note(f"the {kind} at {one.address} has no driver here: its address is not known")
    return tuple(found)


def _port(files: SystemFiles, name: str, product: Product, driver: str | None) -> NetworkPort:
    folder = f"/sys/class/net/{name}"
    mac = (word(files, f"{folder}/address") or "").lower()
    # The kernel refuses to tell carrier and speed of an interface that is down.
    link = {"1": True, "0": False}.get(word(files, f"{folder}/carrier") or "")
    speed = number(files, f"{folder}/speed")
    inside = children(files, folder) or []
    return NetworkPort(
        name=name,
        mac=mac if _MAC.fullmatch(mac) and mac not in {"00:00:00:00:00:00", "ff:ff:ff:ff:ff:ff"} else None,
        wireless="wireless" in inside or "phy80211" in inside,
        product=product,
        link=link,
        speed_mbps=speed if link and speed is not None and speed > 0 else None,
        driver=driver,
    )
