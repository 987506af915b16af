from __future__ import annotations

import ipaddress
import shutil
import subprocess
from pathlib import Path, PurePosixPath

import pytest

from rasura_image.dnsmasq import NetbootNetwork, NetworkError, default_range, dnsmasq_conf, sample_conf
from rasura_image.settings import DhcpMode

ADDRESS = ipaddress.IPv4Interface("192.168.77.1/24")
SERVED, STATE = PurePosixPath("/var/tmp/x/served"), PurePosixPath("/var/tmp/x/state")


def network(mode: DhcpMode, addresses: str | None = None) -> NetbootNetwork:
    ends = None
    if addresses is not None:
        first, last = (ipaddress.IPv4Address(one) for one in addresses.split(","))
        ends = first, last
    return NetbootNetwork(mode, "enp3s0", ADDRESS, 8080, ends)


def lines(mode: DhcpMode) -> list[str]:
    return dnsmasq_conf(network(mode), SERVED, STATE).splitlines()


@pytest.mark.parametrize("mode", DhcpMode)
def test_it_is_no_name_server_and_stays_on_its_interface(mode: DhcpMode) -> None:
    said = lines(mode)
    assert {"port=0", "interface=enp3s0", "bind-interfaces", "user=nobody", f"tftp-root={SERVED}"} <= set(
        said
    )


@pytest.mark.parametrize("mode", DhcpMode)
def test_everything_that_it_writes_is_in_its_folder(mode: DhcpMode) -> None:
    paths = [
        line.partition("=")[2] for line in lines(mode) if "=/" in line and not line.startswith("tftp-root")
    ]
    assert paths == [f"{STATE}/leases", f"{STATE}/dnsmasq.pid"]


def test_full_mode_gives_addresses_and_a_program_for_each_architecture() -> None:
    said = lines(DhcpMode.FULL)
    assert "dhcp-range=192.168.77.128,192.168.77.254,255.255.255.0,1h" in said
    assert "dhcp-option=option:router" in said, "this computer is no way out of the network"
    assert [line for line in said if line.startswith("dhcp-boot")] == [
        "dhcp-boot=tag:bios,tag:ipxe,http://192.168.77.1:8080/boot.ipxe",
        "dhcp-boot=tag:bios,tag:!ipxe,undionly.kpxe",
        "dhcp-boot=tag:uefi,bootx64.efi",
        "dhcp-boot=tag:uefihttp,http://192.168.77.1:8080/bootx64.efi",
    ]


def test_proxy_mode_gives_no_address() -> None:
    said = lines(DhcpMode.PROXY)
    assert [line for line in said if line.startswith("dhcp-range")] == [
        "dhcp-range=192.168.77.0,proxy,255.255.255.0"
    ]
    assert not [line for line in said if line.startswith(("dhcp-boot", "dhcp-authoritative"))]


def test_without_dhcp_there_is_no_word_of_it() -> None:
    assert [line for line in lines(DhcpMode.NONE) if line.startswith("dhcp-")] == [
        f"dhcp-leasefile={STATE}/leases"
    ]


@pytest.mark.parametrize(
    ("address", "first", "last"),
    [
        ("192.168.77.1/24", "192.168.77.128", "192.168.77.254"),
        ("192.168.77.200/24", "192.168.77.1", "192.168.77.127"),
        ("10.0.0.1/29", "10.0.0.4", "10.0.0.6"),
        ("10.1.2.3/16", "10.1.128.0", "10.1.255.254"),
    ],
)
def test_the_range_is_the_half_of_the_network_that_we_are_not_in(address: str, first: str, last: str) -> None:
    assert [str(one) for one in default_range(ipaddress.IPv4Interface(address))] == [first, last]


@pytest.mark.parametrize(
    ("address", "addresses", "sentence"),
    [
        ("192.168.77.1/30", None, "too small"),
        ("192.168.77.1/24", "192.168.78.1,192.168.78.9", "is not inside 192.168.77.0/24 of enp3s0"),
        ("192.168.77.1/24", "192.168.77.9,192.168.78.9", "is not inside"),
        ("192.168.77.1/24", "192.168.77.9,192.168.77.2", "is not inside"),
        ("192.168.77.50/24", "192.168.77.1,192.168.77.99", "own address 192.168.77.50"),
    ],
)
def test_a_range_that_cannot_be_is_refused(address: str, addresses: str | None, sentence: str) -> None:
    ends = None
    if addresses is not None:
        first, last = (ipaddress.IPv4Address(one) for one in addresses.split(","))
        ends = first, last
    with pytest.raises(NetworkError, match=sentence):
        NetbootNetwork(DhcpMode.FULL, "enp3s0", ipaddress.IPv4Interface(address), 8080, ends)


@pytest.mark.parametrize(
    "text",
    [
        *(pytest.param(dnsmasq_conf(network(mode), SERVED, STATE), id=str(mode)) for mode in DhcpMode),
        *(pytest.param(sample_conf(mode), id=f"sample-{mode}") for mode in DhcpMode),
    ],
)
def test_dnsmasq_can_read_it(text: str, tmp_path: Path) -> None:
    program = shutil.which("dnsmasq", path="/usr/sbin:/usr/bin")
    if program is None:
        pytest.skip("dnsmasq is not installed (apt-get install dnsmasq-base)")
    path = tmp_path / "dnsmasq.conf"
    path.write_text(text)
    done = subprocess.run([program, "--test", f"--conf-file={path}"], capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()


def test_the_samples_of_other_servers_name_the_same_programs() -> None:
    folder = Path(__file__).parents[2] / "image/menus/samples"
    for name in ("dhcpd.conf", "kea-dhcp4.json"):
        text = (folder / name).read_text()
        for program in ("undionly.kpxe", "bootx64.efi", "http://192.168.77.1:8080/boot.ipxe", "HTTPClient"):
            assert program in text, (name, program)
