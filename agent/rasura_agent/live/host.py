"""What the station asks of the system it runs on: its end, its console, the state of its network ports."""

from __future__ import annotations

import socket
import subprocess
from collections.abc import Sequence
from pathlib import Path

import msgspec
import psutil

from rasura.errors import RasuraError
from rasura_agent.console.language import _
from rasura_agent.live.boot_parameters import End, Keymap

__all__ = ["HostError", "NetworkPort", "end_machine", "network_ports", "set_up_console"]

_KEYMAPS = Path("/usr/share/rasura/keymaps")
_FONT = Path("/usr/share/rasura/console.psf.gz")
_CONSOLE_S = 10.0
_END_S = 60.0


class HostError(RasuraError):
    """The system did not do what it was asked."""


class NetworkPort(msgspec.Struct, frozen=True):
    """A wired network port; ``linked`` is whether a cable with something at its other end is plugged in."""

    name: str
    addresses: tuple[str, ...]
    linked: bool


def end_machine(systemctl: str, how: End) -> None:
    """Switch the machine off or restart it; raises :class:`HostError`."""
    try:
        subprocess.run((systemctl, how.value), check=True, capture_output=True, timeout=_END_S)
    except (OSError, subprocess.SubprocessError) as error:
        sentence = _("the system does not obey ({reason}): use the power button")
        raise HostError(sentence.format(reason=error)) from None


def set_up_console(keymap: Keymap) -> None:
    """Load keyboard and font, and keep the kernel's messages off the screen; what fails changes little."""
    _try(("dmesg", "-n", "1"))
    _try(("setfont", str(_FONT)))
    if keymap is not Keymap.US:
        _try(("loadkeys", "--quiet", str(_KEYMAPS / f"{keymap}.kmap.gz")))


def _try(command: Sequence[str]) -> None:
    try:
        subprocess.run(
            command, check=False, capture_output=True, timeout=_CONSOLE_S, stdin=subprocess.DEVNULL
        )
    except (OSError, subprocess.SubprocessError):
        return


def network_ports(root: Path = Path("/")) -> tuple[NetworkPort, ...]:
    """The wired network ports of this machine, with the addresses that a neighbour could reach them at."""
    addresses, states = psutil.net_if_addrs(), psutil.net_if_stats()
    ports = []
    for name in sorted(states):
        folder = root / "sys/class/net" / name
        # What has no device behind it is no port: lo, bridges, tunnels.
        if not (folder / "device").exists() or (folder / "wireless").exists():
            continue
        own = [
            one.address for one in addresses.get(name, []) if one.family in {socket.AF_INET, socket.AF_INET6}
        ]
        ports.append(
            NetworkPort(name, tuple(one for one in own if not one.startswith("fe80:")), states[name].isup)
        )
    return tuple(ports)
