"""What this computer is and has, before it serves machines: its interface, free ports, other DHCP servers."""

from __future__ import annotations

import ipaddress
import json
import os
import secrets
import socket
import struct
import subprocess
import time
from pathlib import Path

from rasura.errors import UsageError
from rasura_image.errors import HostError

__all__ = ["address_of", "hardware_address", "other_dhcp_server", "require_free_port", "require_root"]

_BROADCAST = ("255.255.255.255", 67)
_MAGIC = b"\x63\x82\x53\x63"
_BOOTREPLY, _BROADCAST_FLAG = 2, 0x8000
_OPTION_MESSAGE_TYPE, _DISCOVER = 53, 1
_REPLY_BYTES = 236


def require_root() -> None:
    """Raise :class:`UsageError` unless we may open the ports of DHCP and TFTP."""
    if os.geteuid() != 0:
        raise UsageError("DHCP and TFTP need root", hint="sudo ./scripts/pxe-serve …")


def address_of(interface: str) -> ipaddress.IPv4Interface:
    """The first IPv4 address of a network interface.

    Raises:
        UsageError: there is no such interface, it is down, or it has no address.
    """
    done = subprocess.run(
        ["ip", "-json", "-4", "address", "show", "dev", interface],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode != 0:
        raise UsageError(f"there is no network interface {interface}", hint="ip -brief link lists them")
    # An interface without an IPv4 address comes as an empty object.
    links = [link for link in json.loads(done.stdout or "[]") if link]
    if not links:
        raise UsageError(
            f"{interface} has no IPv4 address", hint=f"ip address add 192.168.77.1/24 dev {interface}"
        )
    if "UP" not in links[0]["flags"]:
        raise UsageError(f"{interface} is down", hint=f"ip link set {interface} up")
    found = links[0]["addr_info"][0]
    if "LOOPBACK" in links[0]["flags"]:
        raise UsageError(f"{interface} has only the loopback address: no machine is on it")
    return ipaddress.IPv4Interface(f"{found['local']}/{found['prefixlen']}")


def require_free_port(address: ipaddress.IPv4Address, port: int, kind: socket.SocketKind) -> None:
    """Raise :class:`HostError` if another program has the port."""
    with socket.socket(socket.AF_INET, kind) as probe:
        if kind is socket.SOCK_STREAM:
            # A connection that just ended does not keep a server from starting.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((str(address), port))
        except OSError as error:
            name = "TCP" if kind is socket.SOCK_STREAM else "UDP"
            raise HostError(f"{name} port {port} of {address} cannot be used: {error.strerror}") from None


def other_dhcp_server(interface: str, wait_s: float) -> str | None:
    """The address of a DHCP server that answers on ``interface`` within ``wait_s`` seconds.

    Raises:
        HostError: nothing can be heard, because another program holds the port of DHCP clients.
    """
    transaction = secrets.token_bytes(4)
    # RFC 2131, table 1: a discover of a made-up, locally administered address; answers by broadcast.
    hardware = b"\x02" + secrets.token_bytes(5)
    discover = struct.pack(
        "!BBBB4sHH16s16s192s", 1, 1, 6, 0, transaction, 0, _BROADCAST_FLAG, b"", hardware, b""
    )
    discover += _MAGIC + bytes([_OPTION_MESSAGE_TYPE, 1, _DISCOVER, 255])
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, interface.encode() + b"\0")
        try:
            client.bind(("", 68))
            client.sendto(discover, _BROADCAST)
        except OSError as error:
            raise HostError(f"cannot listen for other DHCP servers: {error.strerror}") from None
        end = time.monotonic() + wait_s
        while (left := end - time.monotonic()) > 0:
            client.settimeout(left)
            try:
                reply, (sender, _) = client.recvfrom(4096)
            except TimeoutError:
                return None
            if reply[:1] == bytes([_BOOTREPLY]) and reply[4:8] == transaction and _is_offer(reply):
                return str(sender)
    return None


def _is_offer(reply: bytes) -> bool:
    """Whether a reply gives an address away: a proxy's does not."""
    return reply[16:20] != bytes(4) and reply[_REPLY_BYTES : _REPLY_BYTES + 4] == _MAGIC


def hardware_address(address: str) -> str | None:
    """The MAC address that the kernel knows for an IPv4 address of a neighbour."""
    for line in Path("/proc/net/arp").read_text("ascii").splitlines()[1:]:
        columns = line.split()
        if columns[0] == address and columns[3] != "00:00:00:00:00:00":
            return columns[3]
    return None
