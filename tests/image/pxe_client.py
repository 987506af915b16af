"""Firmware that asks for something to boot: DHCP, TFTP and HTTP by hand. Run as a program in a namespace:
``pxe_client.py FUNCTION JSON-ARGUMENTS`` prints the function's result as JSON.
"""

from __future__ import annotations

import hashlib
import http.client
import json
import secrets
import socket
import struct
import sys
import threading
import time
import zlib
from typing import Any

INTERFACE = "eth0"
MAGIC = b"\x63\x82\x53\x63"
DISCOVER, REQUEST = 1, 3
PXE_BOOT_MENU, PXE_BOOT_ITEM = 9, 71
TFTP_BLOCK = 1432

# What PXE firmware asks for: mask, router, vendor options, server name, boot file, and the PXE ones.
ASKED = bytes([1, 3, 6, 43, 54, 60, 66, 67, 97, 128, 135])


def discover(clients: list[dict[str, Any]], seconds: float, answers: int) -> list[list[dict[str, Any]]]:
    """All DHCPOFFERs to each of ``clients``, who ask at once; ends when each has ``answers`` of them."""
    with dhcp_socket() as sock:
        known = {}
        for number, client in enumerate(clients):
            transaction = secrets.token_bytes(4)
            known[transaction] = number
            sock.sendto(message(client, transaction, DISCOVER), ("255.255.255.255", 67))
        return collected(sock, known, seconds, answers)


def request(client: dict[str, Any], address: str, server: str, seconds: float) -> list[dict[str, Any]]:
    """The answers to a DHCPREQUEST for an address that was offered."""
    options = {50: socket.inet_aton(address), 54: socket.inet_aton(server)}
    with dhcp_socket() as sock:
        transaction = secrets.token_bytes(4)
        sock.sendto(message(client, transaction, REQUEST, options), ("255.255.255.255", 67))
        return collected(sock, {transaction: 0}, seconds, 1)[0]


def ask_proxy(
    client: dict[str, Any], address: str, server: str, offer: dict[str, Any], seconds: float
) -> list[dict[str, Any]]:
    """The answers of a proxy's own port to a DHCPREQUEST for the first entry of its menu (PXE 2.1, 2.2.3)."""
    choice = {}
    menu = suboptions(offer["options"].get("43", "")).get(PXE_BOOT_MENU)
    if menu is not None:
        # The type that the menu begins with, and the first layer.
        choice = {43: bytes([PXE_BOOT_ITEM, 4]) + menu[:2] + b"\0\0" + b"\xff"}
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((address, 68))
        transaction = secrets.token_bytes(4)
        sock.sendto(message(client, transaction, REQUEST, choice, address), (server, 4011))
        return collected(sock, {transaction: 0}, seconds, 1)[0]


def dhcp_socket() -> socket.socket:
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, INTERFACE.encode() + b"\0")
    sock.bind(("", 68))
    return sock


def message(
    client: dict[str, Any],
    transaction: bytes,
    kind: int,
    more: dict[int, bytes] | None = None,
    address: str = "0.0.0.0",
) -> bytes:
    """A DHCP message as PXE firmware sends it; ``arch`` is option 93, ``None`` for what does not boot so."""
    hardware = bytes.fromhex(client["mac"].replace(":", ""))
    options = {53: bytes([kind]), 57: struct.pack("!H", 1472), 55: ASKED, **(more or {})}
    if client.get("arch") is not None:
        name = client.get("vendor", "PXEClient")
        options[60] = f"{name}:Arch:{client['arch']:05d}:UNDI:003016".encode()
        options[93] = struct.pack("!H", client["arch"])
        options[94] = b"\x01\x03\x10"
        options[97] = b"\0" + hardware.rjust(16, b"\0")
    if client.get("ipxe"):
        options[77] = b"iPXE"
    fixed = struct.pack(
        "!BBBB4sHH4s4s4s4s16s192s", 1, 1, 6, 0, transaction, 0, 0x8000, socket.inet_aton(address),
        b"", b"", b"", hardware, b"",
    )  # fmt: skip
    body = b"".join(bytes([code, len(value)]) + value for code, value in options.items())
    return fixed + MAGIC + body + b"\xff"


def collected(
    sock: socket.socket, known: dict[bytes, int], seconds: float, answers: int
) -> list[list[dict[str, Any]]]:
    heard: list[list[dict[str, Any]]] = [[] for _ in known]
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0 and any(len(one) < answers for one in heard):
        sock.settimeout(left)
        try:
            reply = sock.recv(4096)
        except TimeoutError:
            break
        number = known.get(reply[4:8])
        if number is not None and reply[:1] == b"\x02":
            heard[number].append(decoded(reply))
    return heard


def decoded(reply: bytes) -> dict[str, Any]:
    options = {str(code): value.hex() for code, value in tagged(reply[240:]).items()}
    return {
        "address": socket.inet_ntoa(reply[16:20]),
        "next_server": socket.inet_ntoa(reply[20:24]),
        "file": text(options.get("67")) or reply[108:236].split(b"\0")[0].decode(),
        "vendor": text(options.get("60")),
        "options": options,
    }


def suboptions(value: str) -> dict[int, bytes]:
    return tagged(bytes.fromhex(value))


def tagged(data: bytes) -> dict[int, bytes]:
    """Code, length, value; 0 is padding and 255 the end (RFC 2132, 2)."""
    values, at = {}, 0
    while at < len(data) and data[at] != 255:
        if data[at] == 0:
            at += 1
            continue
        values[data[at]] = data[at + 2 : at + 2 + data[at + 1]]
        at += 2 + data[at + 1]
    return values


def text(value: str | None) -> str:
    return bytes.fromhex(value or "").rstrip(b"\0").decode()


def tftp(server: str, name: str) -> str:
    """The SHA-256 of a file fetched by TFTP (RFC 1350, with the block size of RFC 2348)."""
    digest, expected = hashlib.sha256(), 1
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.settimeout(10)
        words = [name, "octet", "blksize", str(TFTP_BLOCK)]
        sock.sendto(b"\0\x01" + b"".join(word.encode() + b"\0" for word in words), (server, 69))
        while True:
            packet, peer = sock.recvfrom(65536)
            kind, number = struct.unpack("!HH", packet[:4])
            if kind == 5:
                return f"error: {packet[4:-1].decode()}"
            if kind == 6:
                sock.sendto(b"\0\x04\0\0", peer)
                continue
            if number == expected & 0xFFFF:
                digest.update(packet[4:])
                expected += 1
            sock.sendto(struct.pack("!HH", 4, number), peer)
            if len(packet) - 4 < TFTP_BLOCK:
                return digest.hexdigest()


def web(server: str, port: int, method: str, path: str, headers: dict[str, str]) -> dict[str, Any]:
    """One request: the status, the headers, and the length and SHA-256 of the body."""
    connection = http_connection(server, port)
    connection.request(method, path, headers=headers)
    response = connection.getresponse()
    body = response.read()
    connection.close()
    return {
        "status": response.status,
        "headers": {name.lower(): value for name, value in response.getheaders()},
        "bytes": len(body),
        "sha256": hashlib.sha256(body).hexdigest(),
    }


def http_connection(server: str, port: int, source: str | None = None) -> http.client.HTTPConnection:
    return http.client.HTTPConnection(
        server, port, timeout=100, source_address=None if source is None else (source, 0)
    )


def connect(server: str, port: int) -> str:
    """What comes of a connection: nothing, or why there is none."""
    try:
        socket.create_connection((server, port), timeout=5).close()
    except OSError as error:
        return str(error)
    return ""


def fetch_together(server: str, port: int, path: str, sources: list[str]) -> dict[str, Any]:
    """The CRC-32 of what each of ``sources`` got when all fetched ``path`` at once, and how long it took."""
    sums: dict[str, int] = {}
    ready = threading.Barrier(len(sources) + 1)

    def fetch(source: str) -> None:
        connection = http_connection(server, port, source)
        connection.connect()
        ready.wait()
        connection.request("GET", path)
        response = connection.getresponse()
        buffer, crc = bytearray(1 << 18), 0
        while count := response.readinto(buffer):
            crc = zlib.crc32(memoryview(buffer)[:count], crc)
        sums[source] = crc
        connection.close()

    threads = [threading.Thread(target=fetch, args=(source,)) for source in sources]
    for thread in threads:
        thread.start()
    ready.wait()
    begin = time.monotonic()
    for thread in threads:
        thread.join()
    return {"sums": sums, "seconds": time.monotonic() - begin}


if __name__ == "__main__":
    sys.stdout.write(json.dumps(globals()[sys.argv[1]](**json.loads(sys.argv[2]))))
