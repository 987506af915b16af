"""pxe-serve and the machines of a bench, in network namespaces; on a made-up netboot folder."""

from __future__ import annotations

import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import time
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from image import lan
from image.lan import SERVER, Lan

why_not = lan.missing()
pytestmark = [
    pytest.mark.root,
    pytest.mark.timeout(900),
    pytest.mark.skipif(why_not is not None, reason=str(why_not)),
]

URL = f"http://{SERVER}:8080"
CLIENT = Path(__file__).with_name("pxe_client.py")
INITRD_BYTES = 110_000_000
"""As large as the image's own."""
MACHINES = 24
MOST_MEMORY_BYTES = 100_000_000
PROGRAMS = {
    "undionly.kpxe": 70_000,
    "bootx64.efi": 950_000,
    "grubx64.efi": 2_300_000,
    "rasura/vmlinuz": 12_000_000,
}
SETTINGS = """
[station]
policy = "bench"
site = "Atelier Là-bas"
[server]
range = "192.168.77.100,192.168.77.200"
"""
IPXE, HTTP = {"ipxe": True}, {"vendor": "HTTPClient"}


class Bench:
    """A LAN with a port for machines: a second namespace, on the same bridge."""

    def __init__(self, network: Lan) -> None:
        self.network = network
        self.within = ("ip", "netns", "exec", f"{network.name}-bench")

    def ask(self, function: str, **arguments: Any) -> Any:
        """Run a function of pxe_client.py on the machines' side."""
        done = subprocess.run(
            [*self.within, sys.executable, CLIENT, function, json.dumps(arguments)],
            check=False, capture_output=True, text=True, timeout=100,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def run(self, *command: str) -> None:
        subprocess.run([*self.within, *command], check=True, capture_output=True)


@pytest.fixture(scope="module")
def bench() -> Iterator[Bench]:
    with lan.lan() as network:
        made = Bench(network)
        subprocess.run(["ip", "netns", "add", made.within[-1]], check=True)
        try:
            network.run(
                "ip", "link", "add", "port1", "type", "veth", "peer", "name", "eth0", "netns", made.within[-1]
            )
            network.run("ip", "link", "set", "port1", "master", "lan0", "up")
            made.run("ip", "link", "set", "lo", "up")
            made.run("ip", "link", "set", "eth0", "up")
            made.run("ip", "address", "add", "192.168.77.10/24", "dev", "eth0")
            yield made
        finally:
            subprocess.run(["ip", "netns", "delete", made.within[-1]], check=True)


@pytest.fixture(scope="module")
def netboot(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("netboot")
    source = random.Random(24)
    for name, size in {**PROGRAMS, "rasura/initrd": INITRD_BYTES}.items():
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(source.randbytes(size))
    return folder


def mac(number: int) -> str:
    return f"52:54:00:00:77:{number:02x}"


@contextmanager
def dhcp_of_the_site(bench: Bench, folder: Path) -> Iterator[None]:
    try:
        with lan.dhcp_of_the_site(bench.network, folder):
            yield
    finally:
        bench.network.run("ip", "address", "delete", "192.168.77.2/24", "dev", "lan0")


def servers(bench: Bench) -> list[int]:
    """The processes of pxe-serve: all of the namespace."""
    listed = subprocess.run(
        ["ip", "netns", "pids", bench.network.name], check=True, capture_output=True, text=True
    )
    return [int(one) for one in listed.stdout.split()]


def web(bench: Bench, path: str, method: str = "GET", **headers: str) -> dict[str, Any]:
    answer: dict[str, Any] = bench.ask(
        "web", server=SERVER, port=8080, method=method, path=path, headers=headers
    )
    return answer


def cpu_seconds(pids: list[int]) -> float:
    total = 0
    for pid in pids:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        total += int(fields[11]) + int(fields[12])
    return total / os.sysconf("SC_CLK_TCK")


def peak_memory_bytes(pids: list[int]) -> int:
    """The sum of the most that each ever had resident; libraries that they share count for each."""
    total = 0
    for pid in pids:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
        total += next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) * 1024
    return total


@pytest.fixture(scope="class")
def served(bench: Bench, netboot: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """pxe-serve in full mode; the file that it writes to."""
    folder = tmp_path_factory.mktemp("full")
    (folder / "policies").mkdir()
    (folder / "policies/bench.toml").write_text('name = "bench"\n')
    with lan.pxe_serve(bench.network, folder, SETTINGS, "--netboot", str(netboot)) as log:
        yield log


class TestFull:
    """pxe-serve is the network's only DHCP server."""

    def test_each_architecture_is_offered_its_boot_program(self, bench: Bench, served: Path) -> None:
        cases: list[tuple[dict[str, Any], str]] = [
            ({"arch": 0}, "undionly.kpxe"),
            ({"arch": 0, **IPXE}, f"{URL}/boot.ipxe"),
            ({"arch": 7}, "bootx64.efi"),
            ({"arch": 9}, "bootx64.efi"),
            ({"arch": 7, **IPXE}, "bootx64.efi"),
            ({"arch": 16, **HTTP}, f"{URL}/bootx64.efi"),
            ({"arch": 6}, ""),
            ({"arch": 11}, ""),
            ({"arch": None}, ""),
        ]
        clients = [{"mac": mac(number), **client} for number, (client, _) in enumerate(cases)]
        offers = bench.ask("discover", clients=clients, seconds=25, answers=1)
        assert [one[0]["file"] for one in offers] == [program for _, program in cases]
        for (client, program), (offer,) in zip(cases, offers, strict=True):
            assert 100 <= int(offer["address"].rpartition(".")[2]) <= 200
            assert "3" not in offer["options"], "no way out of the network by way of this computer"
            if program and "://" not in program:
                assert offer["next_server"] == SERVER
            assert (offer["vendor"] == "HTTPClient") == (client.get("vendor") == "HTTPClient")
        acknowledged = bench.ask(
            "request", client=clients[2], address=offers[2][0]["address"], server=SERVER, seconds=5
        )
        assert [(one["address"], one["file"]) for one in acknowledged] == [
            (offers[2][0]["address"], "bootx64.efi")
        ]

    @pytest.mark.parametrize("name", ["undionly.kpxe", "bootx64.efi", "grubx64.efi"])
    def test_boot_programs_come_by_tftp(self, name: str, bench: Bench, netboot: Path, served: Path) -> None:
        wanted = hashlib.sha256((netboot / name).read_bytes()).hexdigest()
        assert bench.ask("tftp", server=SERVER, name=name) == wanted
        assert bench.ask("tftp", server=SERVER, name=f"/{name}") == wanted

    @pytest.mark.parametrize("name", ["../dnsmasq.conf", "/etc/passwd", "revocations_sbat.efi"])
    def test_nothing_else_comes_by_tftp(self, name: str, bench: Bench, served: Path) -> None:
        assert bench.ask("tftp", server=SERVER, name=name).startswith("error: ")

    def test_the_payload_comes_by_http_whole_and_in_parts(
        self, bench: Bench, netboot: Path, served: Path
    ) -> None:
        content = (netboot / "rasura/vmlinuz").read_bytes()
        whole = web(bench, "/rasura/vmlinuz")
        assert (whole["status"], whole["sha256"]) == (200, hashlib.sha256(content).hexdigest())
        # UEFI HTTP Boot asks for the size first.
        head = web(bench, "/rasura/vmlinuz", "HEAD")
        assert (head["status"], head["bytes"]) == (200, 0)
        assert head["headers"]["content-length"] == str(len(content))
        part = web(bench, "/rasura/vmlinuz", Range="bytes=1000-1999")
        assert (part["status"], part["sha256"]) == (206, hashlib.sha256(content[1000:2000]).hexdigest())
        assert part["headers"]["content-range"] == f"bytes 1000-1999/{len(content)}"

    def test_the_policy_comes_by_http_and_the_menus_name_it(self, bench: Bench, served: Path) -> None:
        digest = hashlib.sha256(b'name = "bench"\n').hexdigest()
        assert web(bench, "/policies/bench.toml")["sha256"] == digest
        assert f"{URL}/policies/bench.toml#sha256={digest}" in served.read_text()

    @pytest.mark.parametrize(
        ("method", "path", "status"),
        [
            ("GET", "/", 403),
            ("GET", "/settings.toml", 404),
            ("GET", "/../dnsmasq.conf", 400),
            ("GET", "/%2e%2e/state/leases", 400),
            ("GET", "/policies/other.toml", 404),
            ("PUT", "/rasura/initrd", 403),
            ("POST", "/rasura/initrd", 403),
            ("DELETE", "/rasura/initrd", 403),
        ],
    )
    def test_nothing_else_comes_by_http(
        self, method: str, path: str, status: int, bench: Bench, served: Path
    ) -> None:
        assert web(bench, path, method)["status"] == status

    def test_a_bench_of_machines_boots_together(
        self, bench: Bench, netboot: Path, served: Path, tmp_path: Path
    ) -> None:
        sources = [f"192.168.77.{20 + number}" for number in range(MACHINES)]
        for source in sources:
            bench.run("ip", "address", "add", f"{source}/24", "dev", "eth0")
        pids = servers(bench)
        before = cpu_seconds(pids)
        fetched = bench.ask(
            "fetch_together", server=SERVER, port=8080, path="/rasura/initrd", sources=sources
        )
        wanted = zlib.crc32((netboot / "rasura/initrd").read_bytes())
        assert fetched["sums"] == dict.fromkeys(sources, wanted)
        memory = peak_memory_bytes(pids)
        figures = {
            "megabytes_a_second": MACHINES * INITRD_BYTES / fetched["seconds"] / 1e6,
            "seconds": fetched["seconds"],
            "server_cpu_seconds": cpu_seconds(pids) - before,
            "server_memory_megabytes": memory / 1e6,
        }
        # What image/NETBOOT.md says was read here.
        (tmp_path / "figures.json").write_text(json.dumps(figures))
        assert memory < MOST_MEMORY_BYTES
        deadline = time.monotonic() + 10
        while served.read_text().count('"started"') < MACHINES:
            assert time.monotonic() < deadline, served.read_text()
            time.sleep(0.1)


def test_beside_another_dhcp_server_it_gives_programs_and_no_addresses(
    bench: Bench, netboot: Path, tmp_path: Path
) -> None:
    cases: list[tuple[dict[str, Any], str]] = [
        ({"arch": 0}, "undionly.kpxe"),
        ({"arch": 0, **IPXE}, f"{URL}/boot.ipxe"),
        ({"arch": 7}, "bootx64.efi"),
        ({"arch": 9}, "bootx64.efi"),
        ({"arch": 16, **HTTP}, f"{URL}/bootx64.efi"),
    ]
    clients = [{"mac": mac(0x40 + number), **client} for number, (client, _) in enumerate(cases)]
    with (
        dhcp_of_the_site(bench, tmp_path),
        lan.pxe_serve(bench.network, tmp_path, SETTINGS, "--netboot", str(netboot), "--mode", "proxy"),
    ):
        heard = bench.ask("discover", clients=clients, seconds=20, answers=2)
        for client, (_, program), offers in zip(clients, cases, heard, strict=True):
            given = [offer for offer in offers if offer["address"] != "0.0.0.0"]
            proxied = [offer for offer in offers if offer["address"] == "0.0.0.0"]
            assert (len(given), len(proxied)) == (1, 1), (client, offers)
            assert given[0]["file"] == ""
            assert proxied[0]["vendor"] == client.get("vendor", "PXEClient")
            # The program comes with the offer or, by the PXE protocol, from a port of its own.
            answers = bench.ask(
                "ask_proxy",
                client=client,
                address="192.168.77.10",
                server=SERVER,
                offer=proxied[0],
                seconds=3,
            )
            assert program in [one["file"] for one in [*proxied, *answers]], (client, proxied, answers)


def command(bench: Bench, *options: str | Path) -> list[str]:
    return [
        *bench.network.within, sys.executable, "-m", "rasura_image.serve", "--interface", "lan0",
        *map(str, options),
    ]  # fmt: skip


def left_over(bench: Bench) -> tuple[list[int], list[Path]]:
    return servers(bench), list(Path("/var/tmp").glob("rasura-pxe-*"))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_ends_when_it_is_told_to_and_leaves_nothing(bench: Bench, netboot: Path, number: int) -> None:
    before = left_over(bench)
    with subprocess.Popen(command(bench, "--netboot", netboot), stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline().startswith(f"serving {URL}/")
        assert len(servers(bench)) == 4, "ourselves, dnsmasq, and nginx with its worker"
        process.send_signal(number)
        assert process.stdout.read() == "stopped\n"
        assert process.wait(20) == 0
    assert left_over(bench) == before


@pytest.mark.parametrize("after_s", [0.4, 2.5])
def test_it_can_be_ended_before_it_serves(bench: Bench, netboot: Path, after_s: float) -> None:
    before = left_over(bench)
    process = subprocess.Popen(command(bench, "--netboot", netboot), stdout=subprocess.DEVNULL)
    time.sleep(after_s)
    process.terminate()
    process.wait(20)
    assert left_over(bench) == before


def refused(bench: Bench, *options: str | Path) -> tuple[int, str]:
    done = subprocess.run(command(bench, *options), capture_output=True, text=True, timeout=30, check=False)
    assert servers(bench) == []
    return done.returncode, done.stderr


def test_it_does_not_start_beside_a_private_key(bench: Bench, netboot: Path) -> None:
    key = netboot / "grub/site.key"
    key.parent.mkdir(exist_ok=True)
    key.write_text("anything")
    try:
        code, said = refused(bench, "--netboot", netboot)
    finally:
        key.unlink()
    assert code == 3
    assert "looks like a private key" in said


def test_it_does_not_start_when_a_server_is_there(bench: Bench, netboot: Path) -> None:
    # Another server of the same kind has the port.
    other = subprocess.Popen([
        *bench.network.within, sys.executable, "-m", "http.server", "--bind", SERVER, "8080",
    ], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)  # fmt: skip
    try:
        deadline = time.monotonic() + 10
        while "refused" in bench.ask("connect", server=SERVER, port=8080):
            assert time.monotonic() < deadline
            time.sleep(0.1)
        done = subprocess.run(
            command(bench, "--netboot", netboot), capture_output=True, text=True, timeout=30, check=False
        )
    finally:
        other.terminate()
        other.wait(10)
    assert done.returncode == 2
    assert done.stderr == f"error: TCP port 8080 of {SERVER} cannot be used: Address already in use\n"


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--interface", "nosuch"], "there is no network interface nosuch"),
        (["--interface", "lo"], "lo has only the loopback address"),
        (["--interface", "port1"], "port1 has no IPv4 address"),
        (["--netboot", "/nonexistent"], "/nonexistent lacks undionly.kpxe"),
        (["--settings", "/nonexistent.toml"], "cannot read /nonexistent.toml"),
        (["--range", "10.0.0.1,10.0.0.9"], "is not inside 192.168.77.0/24"),
        (["--range", "10.0.0.1"], "is not two IPv4 addresses"),
        (["--http-port", "70000"], "a wrong option"),
        (["--tls-key", "/nonexistent"], "go together"),
    ],
)
def test_what_is_wrong_is_said_in_a_sentence(
    options: list[str], sentence: str, bench: Bench, netboot: Path
) -> None:
    code, said = refused(bench, "--netboot", netboot, *options)
    assert code == 2
    assert said.startswith("error: ")
    assert sentence in said
    assert "Traceback" not in said


def test_it_says_that_another_dhcp_server_is_there(bench: Bench, netboot: Path, tmp_path: Path) -> None:
    with (
        dhcp_of_the_site(bench, tmp_path),
        lan.pxe_serve(bench.network, tmp_path, "", "--netboot", str(netboot)) as log,
    ):
        assert "warning: another DHCP server, 192.168.77." in log.read_text()


def test_it_says_that_a_proxy_alone_is_not_enough(bench: Bench, netboot: Path, tmp_path: Path) -> None:
    with lan.pxe_serve(bench.network, tmp_path, "", "--netboot", str(netboot), "--mode", "proxy") as log:
        assert "warning: no DHCP server answers on lan0" in log.read_text()


def test_https_beside_http(bench: Bench, netboot: Path, tmp_path: Path) -> None:
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
         "-subj", f"/CN={SERVER}", "-addext", f"subjectAltName=IP:{SERVER}",
         "-keyout", tmp_path / "server.key", "-out", tmp_path / "server.pem"],
        check=True, capture_output=True,
    )  # fmt: skip
    settings = '[server]\nmode = "none"\ntls_certificate = "server.pem"\ntls_key = "server.key"\n'
    with lan.pxe_serve(bench.network, tmp_path, settings, "--netboot", str(netboot)):
        fetched = subprocess.run(
            [*bench.within, "curl", "--silent", "--show-error", "--cacert", tmp_path / "server.pem",
             f"https://{SERVER}:8443/bootx64.efi"],
            check=True, capture_output=True,
        ).stdout  # fmt: skip
        assert fetched == (netboot / "bootx64.efi").read_bytes()
        assert bench.ask("discover", clients=[{"mac": mac(0x60), "arch": 7}], seconds=2, answers=1) == [[]]
