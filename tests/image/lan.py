"""A workshop's network of its own: a namespace with a bridge, ports for machines, and pxe-serve in it."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

SERVER = "192.168.77.1"


def missing() -> str | None:
    """Why there can be no such network here, or ``None``."""
    if os.geteuid() != 0:
        return "network namespaces need root"
    if not Path("/dev/net/tun").exists():
        return "this kernel has no tun"
    absent = [
        name
        for name in ("ip", "dnsmasq", "nginx")
        if shutil.which(name, path="/usr/sbin:/usr/bin:/sbin:/bin") is None
    ]
    return (
        f"{', '.join(absent)} missing (apt-get install iproute2 dnsmasq-base nginx-light)" if absent else None
    )


class Lan:
    """A namespace with the bridge ``lan0`` and the tap ``port0``."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.within = ("ip", "netns", "exec", name)

    def run(self, *command: str) -> None:
        """Run a command in it."""
        subprocess.run([*self.within, *command], check=True, capture_output=True)


@contextmanager
def lan() -> Iterator[Lan]:
    """Make the network, and take it away; one at a time, since tests look at what servers leave behind."""
    with (Path(tempfile.gettempdir()) / "rasura-lan.lock").open("ab") as turn:
        fcntl.flock(turn, fcntl.LOCK_EX)
        yield from _lan()


def _lan() -> Iterator[Lan]:
    made = Lan(f"rasura-{os.getpid()}")
    subprocess.run(["ip", "netns", "add", made.name], check=True)
    try:
        made.run("ip", "link", "set", "lo", "up")
        made.run("ip", "link", "add", "lan0", "type", "bridge")
        made.run("ip", "tuntap", "add", "port0", "mode", "tap")
        made.run("ip", "link", "set", "port0", "master", "lan0", "up")
        made.run("ip", "address", "add", f"{SERVER}/24", "dev", "lan0")
        made.run("ip", "link", "set", "lan0", "up")
        yield made
    finally:
        subprocess.run(["ip", "netns", "delete", made.name], check=True)


@contextmanager
def pxe_serve(network: Lan, folder: Path, settings: str, *options: str) -> Iterator[Path]:
    """Run pxe-serve in ``network``; gives the file that it writes to."""
    (folder / "settings.toml").write_text(settings)
    log = folder / "pxe-serve.log"
    command = [sys.executable, "-m", "rasura_image.serve", "--interface", "lan0", "--json-status"]
    command += ["--settings", str(folder / "settings.toml"), *options]
    with log.open("wb") as stream:
        process = subprocess.Popen([*network.within, *command], stdout=stream, stderr=stream)
    try:
        deadline = time.monotonic() + 30
        while "8080" not in log.read_text():
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.2)
        yield log
    finally:
        process.terminate()
        assert process.wait(20) == 0, log.read_text()


@contextmanager
def dhcp_of_the_site(network: Lan, folder: Path) -> Iterator[None]:
    """The site's own DHCP server, which knows nothing of booting; at another address of the bridge."""
    network.run("ip", "address", "add", "192.168.77.2/24", "dev", "lan0")
    command = [
        "dnsmasq",
        "--no-daemon",
        "--conf-file=/dev/null",
        "--port=0",
        "--interface=lan0",
        "--bind-interfaces",
    ]
    command += ["--dhcp-range=192.168.77.100,192.168.77.120,1h", f"--dhcp-leasefile={folder / 'leases'}"]
    with (folder / "site-dhcp.log").open("wb") as stream:
        process = subprocess.Popen([*network.within, *command], stdout=stream, stderr=stream)
    try:
        yield
    finally:
        process.terminate()
        process.wait(10)
