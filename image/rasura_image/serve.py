"""``scripts/pxe-serve``: machines on one network boot the image from this computer.

dnsmasq (DHCP, TFTP) and nginx (HTTP) run as children on a copy of the built folder; both end with us, and
nothing of what they needed stays behind.
"""

from __future__ import annotations

import grp
import json
import pwd
import re
import socket
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import click
import msgspec

from rasura.command import EXIT_CODES_HELP, run
from rasura.errors import UsageError
from rasura.text import printable
from rasura_image.dnsmasq import NetbootNetwork, dnsmasq_conf
from rasura_image.errors import HostError
from rasura_image.netboot_events import Board, dnsmasq_event, nginx_event
from rasura_image.netboot_folder import assemble, policy_warning, refuse_private_keys, served_policy
from rasura_image.netboot_host import (
    address_of,
    hardware_address,
    other_dhcp_server,
    require_free_port,
    require_root,
)
from rasura_image.netboot_nginx import Tls, nginx_conf
from rasura_image.netboot_servers import StopSignal, running, watch
from rasura_image.settings import DhcpMode, Server, Settings, parse_settings
from rasura_image.tools import require

__all__ = ["serve"]

_ROOT = Path(__file__).parents[2]
_TFTP_PORT = 69
_LISTEN_S = 4.0
"""dnsmasq, for one, first looks for 3 seconds whether the address is in use."""
_TROUBLE = re.compile(r"\[(error|crit|alert|emerg)\]|no address (range )?available")
_PROGRAMS = {"dnsmasq": "dnsmasq-base", "nginx": "nginx-light", "ip": "iproute2"}


@click.command("pxe-serve", epilog=EXIT_CODES_HELP)
@click.option("--interface", required=True, metavar="IF", help="The network interface that machines are on.")
@click.option(
    "--settings", "settings_file", type=click.Path(path_type=Path), help="The site's settings, in TOML."
)
@click.option(
    "--mode",
    type=click.Choice([str(mode) for mode in DhcpMode]),
    help="full: the only DHCP server; proxy: beside another; none: HTTP and TFTP only. [default: full]",
)
@click.option("--range", "addresses", metavar="FIRST,LAST", help="Addresses to give away, in full mode.")
@click.option(
    "--netboot",
    type=click.Path(path_type=Path),
    default=_ROOT / "build/image/netboot",
    help="The built folder. [default: build/image/netboot]",
)
@click.option("--http-port", type=int, help="[default: 8080]")
@click.option("--tls-certificate", type=click.Path(path_type=Path), help="PEM: serve by HTTPS as well.")
@click.option("--tls-key", type=click.Path(path_type=Path), help="The certificate's private key, PEM.")
@click.option("--json-status", is_flag=True, help="One JSON object a line, for every change of a machine.")
def serve(
    interface: str,
    settings_file: Path | None,
    mode: str | None,
    addresses: str | None,
    netboot: Path,
    http_port: int | None,
    tls_certificate: Path | None,
    tls_key: Path | None,
    json_status: bool,
) -> None:
    """Boot machines of a network from this computer, until Ctrl-C.

    \b
        sudo ./scripts/pxe-serve --interface enp3s0
        sudo ./scripts/pxe-serve --interface enp3s0 --mode proxy --settings site.toml
    """
    require_root()
    require(_PROGRAMS)
    settings, folder = _read_settings(settings_file)
    given = {
        "mode": mode,
        "range": addresses,
        "http_port": http_port,
        "tls_certificate": _absolute(tls_certificate),
        "tls_key": _absolute(tls_key),
    }
    server = _server(settings.server, {key: value for key, value in given.items() if value is not None})
    network = NetbootNetwork(
        server.mode, interface, address_of(interface), server.http_port, server.addresses()
    )
    policy = served_policy(settings, folder / "policies")
    if (warning := policy_warning(settings, folder / "policies")) is not None:
        _warn(warning)
    refuse_private_keys(netboot, *([policy.parent] if policy is not None else []))
    tls = _tls(server, folder)
    _require_ports(network, tls)
    with StopSignal() as stop:
        _look_for_other_servers(network)
        with tempfile.TemporaryDirectory(prefix="rasura-pxe-", dir="/var/tmp") as name:
            place = Path(name)
            served = place / "served"
            served.mkdir()
            settings = assemble(served, netboot, settings, policy, network.url)
            place.chmod(0o711)  # "nobody" passes through it to what is served
            with running(_commands(network, tls, place), stop) as servers:
                screen = _Screen(as_json=json_status)
                screen.say(_greeting(network, settings, tls))
                watch(servers, stop, screen.heard)
    screen.say("stopped")


def _server(server: Server, given: dict[str, object]) -> Server:
    """The settings' table with the options of the command line in it."""
    try:
        return msgspec.convert({**msgspec.to_builtins(server), **given}, Server)
    except msgspec.ValidationError as error:
        raise UsageError(f"a wrong option: {error}") from None


def _read_settings(path: Path | None) -> tuple[Settings, Path]:
    """The settings, and the folder that their relative paths start from."""
    if path is None:
        return Settings(), Path.cwd()
    try:
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"cannot read {path}: {error}") from None
    return parse_settings(text, str(path)), path.absolute().parent


def _absolute(path: Path | None) -> str | None:
    return None if path is None else str(path.absolute())


def _tls(server: Server, folder: Path) -> Tls | None:
    if server.tls_certificate is None or server.tls_key is None:
        return None
    tls = Tls(server.https_port, folder / server.tls_certificate, folder / server.tls_key)
    for path in (tls.certificate, tls.key):
        if not Path(path).is_file():
            raise UsageError(f"there is no {path}")
    return tls


def _require_ports(network: NetbootNetwork, tls: Tls | None) -> None:
    address = network.address.ip
    require_free_port(address, network.http_port, socket.SOCK_STREAM)
    if tls is not None:
        require_free_port(address, tls.port, socket.SOCK_STREAM)
    require_free_port(address, _TFTP_PORT, socket.SOCK_DGRAM)


def _look_for_other_servers(network: NetbootNetwork) -> None:
    if network.mode is DhcpMode.NONE:
        return
    try:
        other = other_dhcp_server(network.interface, _LISTEN_S)
    except HostError as error:
        _warn(f"{error}; whether there is one is not known")
        return
    if network.mode is DhcpMode.FULL and other is not None:
        _warn(
            f"another DHCP server, {other}, answers on {network.interface}: addresses come from either."
            " Stop it, or use --mode proxy"
        )
    if network.mode is DhcpMode.PROXY and other is None:
        _warn(
            f"no DHCP server answers on {network.interface}: proxy mode needs one that gives addresses away"
        )


def _commands(network: NetbootNetwork, tls: Tls | None, place: Path) -> Sequence[tuple[str, list[str]]]:
    """Write both configurations; returns the servers' names and command lines."""
    state = place / "state"
    state.mkdir()
    state.chmod(0o711)
    dnsmasq, nginx = place / "dnsmasq.conf", place / "nginx.conf"
    dnsmasq.write_text(dnsmasq_conf(network, place / "served", state), "utf-8")
    group = grp.getgrgid(pwd.getpwnam("nobody").pw_gid).gr_name
    address = network.address.ip
    nginx.write_text(nginx_conf(address, network.http_port, place / "served", state, group, tls), "utf-8")
    return (
        ("dnsmasq", ["dnsmasq", "--keep-in-foreground", f"--conf-file={dnsmasq}"]),
        ("nginx", ["nginx", "-p", str(state), "-c", str(nginx), "-e", "stderr"]),
    )


def _greeting(network: NetbootNetwork, settings: Settings, tls: Tls | None) -> str:
    said = [f"serving {network.url}/ and TFTP on {network.interface}"]
    if tls is not None:
        said.append(f"HTTPS on port {tls.port}")
    match network.mode, network.range:
        case DhcpMode.FULL, (first, last):
            said.append(f"giving away {first} to {last}")
        case DhcpMode.PROXY, _:
            said.append("beside the network's own DHCP server")
        case _:
            said.append("no DHCP")
    if settings.station.policy is not None:
        said.append(f"policy {settings.station.policy}")
    return "; ".join(said) + ". Ctrl-C ends."


def _warn(sentence: str) -> None:
    click.echo(f"warning: {printable(sentence)}", err=True)


class _Screen:
    """What the person at this computer sees: a line a machine, kept up to date on a terminal."""

    def __init__(self, *, as_json: bool) -> None:
        self._as_json = as_json
        self._live = sys.stdout.isatty() and not as_json
        self._board = Board()
        self._drawn = 0

    def say(self, sentence: str) -> None:
        """A sentence above the machines."""
        self._draw(sentence)

    def heard(self, server: str, line: str) -> None:
        """A line that dnsmasq or nginx logged."""
        event = dnsmasq_event(line) if server == "dnsmasq" else nginx_event(line)
        if event is None:
            if _TROUBLE.search(line):
                self._draw(f"{server}: {printable(line)}")
            return
        if event.mac is None and event.ip is not None:
            event = replace(event, mac=hardware_address(event.ip))
        machine = self._board.add(event)
        if machine is None:
            return
        if self._as_json:
            facts = {
                "stage": machine.stage.name.lower(),
                "ip": machine.ip,
                "mac": machine.mac,
                "note": machine.note,
            }
            click.echo(json.dumps(facts))
        elif self._live:
            self._draw()
        else:
            click.echo(machine.line())

    def _draw(self, *sentences: str) -> None:
        if self._as_json:
            for sentence in sentences:
                click.echo(sentence, err=True)
            return
        machines = [machine.line() for machine in self._board.machines] if self._live else []
        back = f"\x1b[{self._drawn}A\x1b[J" if self._drawn else ""
        click.echo(back + "".join(f"{line}\n" for line in (*sentences, *machines)), nl=False)
        self._drawn = len(machines)


if __name__ == "__main__":
    run(serve)
