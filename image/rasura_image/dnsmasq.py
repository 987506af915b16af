"""What dnsmasq is told: who gets which boot program. Pure.

==========================  =========================  ==========================================
Client                      Known by                   Gets
==========================  =========================  ==========================================
iPXE by BIOS                0, option 77 ``iPXE``      ``boot.ipxe`` over HTTP
BIOS PXE                    option 93: 0               ``undionly.kpxe`` over TFTP, which is iPXE
UEFI PXE or iPXE (x64)      option 93: 7 or 9          ``bootx64.efi`` (shim) over TFTP, then GRUB
UEFI HTTP Boot (x64)        option 93: 16              ``bootx64.efi`` over HTTP, option 60 ``HTTPClient``
anything else               another option 93          an address in full mode, and no boot program
==========================  =========================  ==========================================

By UEFI, iPXE gets what every machine gets: with Secure Boot it cannot start our kernel itself, and it widens
the kernel's command line byte by byte, so that "é" arrives as two other letters.

Architectures: RFC 4578 2.1 and IANA's "Processor Architecture Types", where 7 is x64 UEFI and 9 EBC; firmware
of both readings of RFC 4578 is about, so both get the x64 program.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from pathlib import PurePath

from rasura.errors import UsageError
from rasura_image.settings import DhcpMode

__all__ = [
    "BIOS_PROGRAM",
    "IPXE_MENU",
    "UEFI_PROGRAM",
    "NetbootNetwork",
    "NetworkError",
    "default_range",
    "dnsmasq_conf",
    "sample_conf",
]

BIOS_PROGRAM = "undionly.kpxe"
UEFI_PROGRAM = "bootx64.efi"
IPXE_MENU = "boot.ipxe"

_BIOS, _UEFI_X64, _UEFI_EBC, _UEFI_X64_HTTP = 0, 7, 9, 16
_LEASE = "1h"
_SMALLEST_PREFIX = 29


class NetworkError(UsageError):
    """The addresses do not fit together."""


@dataclass(frozen=True, slots=True)
class NetbootNetwork:
    """The network that machines boot from: our interface, its address, and what is given away on it."""

    mode: DhcpMode
    interface: str
    address: ipaddress.IPv4Interface
    http_port: int
    range: tuple[ipaddress.IPv4Address, ipaddress.IPv4Address] | None = None
    """First and last address to give away, in full mode."""

    def __post_init__(self) -> None:
        if self.mode is not DhcpMode.FULL:
            return
        first, last = self.range or default_range(self.address)
        network = self.address.network
        if first not in network or last not in network or first > last:
            raise NetworkError(f"the range {first} to {last} is not inside {network} of {self.interface}")
        if first <= self.address.ip <= last:
            raise NetworkError(
                f"the range {first} to {last} holds this computer's own address {self.address.ip}"
            )
        object.__setattr__(self, "range", (first, last))

    @property
    def url(self) -> str:
        """Where the netboot folder is served, without a slash at the end."""
        return f"http://{self.address.ip}:{self.http_port}"


def default_range(
    address: ipaddress.IPv4Interface,
) -> tuple[ipaddress.IPv4Address, ipaddress.IPv4Address]:
    """The half of the network that ``address`` is not in.

    Raises:
        NetworkError: the network is too small to share.
    """
    network = address.network
    if network.prefixlen > _SMALLEST_PREFIX:
        raise NetworkError(f"the network {network} is too small to give addresses away")
    middle = network.network_address + network.num_addresses // 2
    if address.ip < middle:
        return middle, network.broadcast_address - 1
    return network.network_address + 1, middle - 1


def dnsmasq_conf(network: NetbootNetwork, tftp_root: PurePath, state: PurePath) -> str:
    """The whole configuration of a dnsmasq of our own; ``state`` is a folder for its leases."""
    lines = [
        "# DHCP and TFTP only.",
        "port=0",
        "no-hosts",
        "no-resolv",
        "user=nobody",
        "log-facility=-",
        f"interface={network.interface}",
        "except-interface=lo",
        "bind-interfaces",
        f"dhcp-leasefile={state / 'leases'}",
        f"pid-file={state / 'dnsmasq.pid'}",
        "enable-tftp",
        f"tftp-root={tftp_root}",
        *_dhcp(network),
    ]
    return "\n".join(lines) + "\n"


def sample_conf(mode: DhcpMode) -> str:
    """A sample for a site's own dnsmasq, for 192.168.77.1 on ``eth0``; goes into the netboot folder."""
    network = NetbootNetwork(mode, "eth0", ipaddress.IPv4Interface("192.168.77.1/24"), 8080)
    use = {
        DhcpMode.FULL: "the site's DHCP server",
        DhcpMode.PROXY: "beside the site's DHCP server, which stays as it is",
        DhcpMode.NONE: "TFTP alone",
    }[mode]
    lines = [
        f"# Network boot of Rasura by dnsmasq: {use}.",
        "# 192.168.77.1 is this server: it serves this folder by TFTP and, on port 8080, by HTTP.",
        "# Change the interface, the addresses and the folder.",
        f"interface={network.interface}",
        "enable-tftp",
        "tftp-root=/srv/rasura/netboot",
        *_dhcp(network),
    ]
    return "\n".join(lines) + "\n"


def _dhcp(network: NetbootNetwork) -> list[str]:
    match network.mode:
        case DhcpMode.FULL:
            return [*_clients(), *_full(network)]
        case DhcpMode.PROXY:
            return [*_clients(), *_proxy(network)]
        case DhcpMode.NONE:
            return []


def _clients() -> list[str]:
    return [
        "# Who asks.",
        "dhcp-userclass=set:ipxe,iPXE",
        f"dhcp-match=set:bios,option:client-arch,{_BIOS}",
        f"dhcp-match=set:uefi,option:client-arch,{_UEFI_X64}",
        f"dhcp-match=set:uefi,option:client-arch,{_UEFI_EBC}",
        f"dhcp-match=set:uefihttp,option:client-arch,{_UEFI_X64_HTTP}",
    ]


def _full(network: NetbootNetwork) -> list[str]:
    first, last = network.range or default_range(network.address)
    return [
        "# The only DHCP server here: whoever comes with an address from elsewhere learns so at once.",
        "dhcp-authoritative",
        f"dhcp-range={first},{last},{network.address.netmask},{_LEASE}",
        "# No way out of this network by way of this computer.",
        "dhcp-option=option:router",
        "# What each gets.",
        f"dhcp-boot=tag:bios,tag:ipxe,{network.url}/{IPXE_MENU}",
        f"dhcp-boot=tag:bios,tag:!ipxe,{BIOS_PROGRAM}",
        f"dhcp-boot=tag:uefi,{UEFI_PROGRAM}",
        f"dhcp-boot=tag:uefihttp,{network.url}/{UEFI_PROGRAM}",
        # UEFI 2.10, 24.7.3.1: the firmware takes offers that say so, whatever they hold.
        "dhcp-option-force=tag:uefihttp,option:vendor-class,HTTPClient",
    ]


def _proxy(network: NetbootNetwork) -> list[str]:
    """Proxy DHCP answers by the PXE protocol only: a service for each kind, for iPXE as well."""
    services = [
        ("tag:ipxe", _BIOS, f"{network.url}/{IPXE_MENU}"),
        ("tag:!ipxe", _BIOS, BIOS_PROGRAM),
        ("tag:uefi", _UEFI_X64, UEFI_PROGRAM),
        ("tag:uefi", _UEFI_EBC, UEFI_PROGRAM),
        ("tag:uefihttp", _UEFI_X64_HTTP, f"{network.url}/{UEFI_PROGRAM}"),
    ]
    return [
        "# Addresses come from the site's own server.",
        f"dhcp-range={network.address.network.network_address},proxy,{network.address.netmask}",
        # PXE clients, and UEFI HTTP Boot, which asks in the same way under another name.
        "dhcp-pxe-vendor=PXEClient,HTTPClient",
        *(f'pxe-service={tag},{kind},"Rasura",{program}' for tag, kind, program in services),
    ]
