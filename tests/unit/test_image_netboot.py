from __future__ import annotations

import hashlib
import ipaddress
import json
import shutil
import subprocess
from pathlib import Path, PurePosixPath

import pytest

from rasura.errors import RefusedError, UsageError
from rasura_image.licences import ARCHIVE
from rasura_image.netboot_events import Board, Event, Stage, dnsmasq_event, nginx_event
from rasura_image.netboot_folder import assemble, policy_warning, refuse_private_keys, served_policy
from rasura_image.netboot_nginx import Tls, nginx_conf
from rasura_image.settings import Settings, parse_settings

URL = "http://192.168.77.1:8080"
MAC, OTHER = "52:54:00:00:00:01", "52:54:00:00:00:02"
PROGRAMS = ("undionly.kpxe", "bootx64.efi", "grubx64.efi", "rasura/vmlinuz", "rasura/initrd")


@pytest.fixture
def netboot(tmp_path: Path) -> Path:
    folder = tmp_path / "netboot"
    for name in (*PROGRAMS, "grub/grub.cfg", "boot.ipxe", "README", "secret/notes"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(name)
    return folder


def files(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def test_the_served_folder_is_the_payload_and_menus_for_the_site(netboot: Path, tmp_path: Path) -> None:
    target = tmp_path / "served"
    target.mkdir()
    (netboot / ARCHIVE).write_text(ARCHIVE)
    assemble(target, netboot, parse_settings('[station]\nsite = "Workshop"'), None, URL)
    programs = {*PROGRAMS, ARCHIVE}
    assert files(target) == {*programs, "grub/grub.cfg", "boot.ipxe"}, "and nothing else that lay there"
    for name in programs:
        assert (target / name).read_text() == name
    for menu in ("grub/grub.cfg", "boot.ipxe"):
        text = (target / menu).read_text("utf-8")
        assert "rasura.site=Workshop" in text
        assert "192.168.77.1:8080" in text


def test_a_policy_beside_the_settings_is_served_and_pinned(netboot: Path, tmp_path: Path) -> None:
    policies, target = tmp_path / "policies", tmp_path / "served"
    policies.mkdir()
    target.mkdir()
    (policies / "bench.toml").write_bytes(b'name = "bench"\n')
    (policies / "other.toml").write_bytes(b'name = "other"\n')
    settings = parse_settings('[station]\npolicy = "bench"')
    policy = served_policy(settings, policies)
    shown = assemble(target, netboot, settings, policy, URL)
    digest = hashlib.sha256(b'name = "bench"\n').hexdigest()
    assert shown.station.policy == f"{URL}/policies/bench.toml#sha256={digest}"
    assert f"rasura.policy={shown.station.policy}" in (target / "boot.ipxe").read_text("utf-8")
    assert (target / "policies/bench.toml").read_bytes() == b'name = "bench"\n'
    assert "policies/other.toml" not in files(target)


@pytest.mark.parametrize("policy", ['policy = "purge"', 'policy = "http://example.org/bench.toml"', ""])
def test_a_policy_from_elsewhere_keeps_its_name(policy: str, tmp_path: Path) -> None:
    (tmp_path / "bench.toml").write_text("")
    assert served_policy(parse_settings(f"[station]\n{policy}"), tmp_path) is None


def test_a_policy_that_is_nowhere_is_warned_of(tmp_path: Path) -> None:
    (tmp_path / "bench.toml").write_text("")
    for there in ("purge", "bench", "http://example.org/other.toml"):
        assert policy_warning(parse_settings(f'[station]\npolicy = "{there}"'), tmp_path) is None
    assert policy_warning(Settings(), tmp_path) is None
    warning = policy_warning(parse_settings('[station]\npolicy = "no-such-policy"'), tmp_path)
    assert warning is not None
    assert "no-such-policy is neither built in" in warning


def test_a_folder_that_was_not_built_to_its_end_is_not_served(netboot: Path, tmp_path: Path) -> None:
    (netboot / "rasura/initrd").unlink()
    with pytest.raises(UsageError, match="lacks rasura/initrd"):
        assemble(tmp_path / "served", netboot, Settings(), None, URL)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("site.key", b"anything"),
        ("deep/er/site.pem", b"-----BEGIN CERTIFICATE-----\n-----BEGIN PRIVATE KEY-----\n"),
        ("sealed", b"-----BEGIN ENCRYPTED PRIVATE KEY-----\n"),
        ("ec.txt", b"-----BEGIN EC PRIVATE KEY-----\n"),
    ],
)
def test_nothing_is_served_beside_a_private_key(name: str, content: bytes, netboot: Path) -> None:
    refuse_private_keys(netboot)
    (netboot / name).parent.mkdir(parents=True, exist_ok=True)
    (netboot / name).write_bytes(content)
    with pytest.raises(RefusedError, match=name):
        refuse_private_keys(netboot)


@pytest.mark.parametrize("tls", [None, Tls(8443, PurePosixPath("{}/a b.pem"), PurePosixPath("{}/a.key"))])
def test_nginx_can_read_its_configuration(tls: Tls | None, tmp_path: Path) -> None:
    program = shutil.which("nginx", path="/usr/sbin:/usr/bin")
    if program is None:
        pytest.skip("nginx is not installed (apt-get install nginx-light)")
    if tls is not None:
        certificate, key = tmp_path / "a b.pem", tmp_path / "a.key"
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
             "-subj", "/CN=x", "-keyout", key, "-out", certificate],
            check=True, capture_output=True,
        )  # fmt: skip
        tls = Tls(tls.port, certificate, key)
    path = tmp_path / "nginx.conf"
    # A path in quotes may hold what would end a directive.
    state = tmp_path / 'state "; evil'
    state.mkdir()
    path.write_text(nginx_conf(ipaddress.IPv4Address("127.0.0.1"), 18080, tmp_path, state, "nogroup", tls))
    done = subprocess.run(
        [program, "-t", "-p", state, "-c", path, "-e", "stderr"], capture_output=True, check=False
    )
    assert done.returncode == 0, done.stderr.decode()


@pytest.mark.parametrize(
    ("line", "event"),
    [
        (
            f"dnsmasq-dhcp[7]: DHCPACK(br0) 192.168.77.163 {MAC} host-name",
            Event(Stage.ADDRESS, "192.168.77.163", MAC),
        ),
        (f"dnsmasq-dhcp[7]: PXE(br0) {MAC} proxy", Event(Stage.ADDRESS, None, MAC)),
        (
            f"dnsmasq-dhcp[7]: PXE(br0) 192.168.77.9 {MAC} bootx64.efi",
            Event(Stage.ADDRESS, "192.168.77.9", MAC),
        ),
        (
            "dnsmasq-tftp[7]: sent /var/tmp/rasura-pxe-x/served/bootx64.efi to 192.168.77.163",
            Event(Stage.PROGRAM, "192.168.77.163"),
        ),
        (
            "dnsmasq-tftp[7]: sent /var/tmp/rasura-pxe-x/served/grub/grub.cfg to 192.168.77.163",
            Event(Stage.MENU, "192.168.77.163"),
        ),
        ("dnsmasq-tftp[7]: sent /var/tmp/x/served/grub/fonts/unicode.pf2 to 192.168.77.163", None),
        ("dnsmasq-tftp[7]: file /x/revocations_sbat.efi not found for 192.168.77.163", None),
        (f"dnsmasq-dhcp[7]: DHCPDISCOVER(br0) {MAC}", None),
        ("", None),
    ],
)
def test_what_dnsmasq_says(line: str, event: Event | None) -> None:
    assert dnsmasq_event(line) == event


def request(path: str, **changed: object) -> str:
    facts = {
        "ip": "10.0.0.9",
        "method": "GET",
        "path": path,
        "status": 200,
        "bytes": 110 << 20,
        "seconds": 2.5,
    }
    return json.dumps({**facts, "whole": "OK", **changed})


@pytest.mark.parametrize(
    ("line", "event"),
    [
        (request("/boot.ipxe"), Event(Stage.MENU, "10.0.0.9")),
        (request("/rasura/vmlinuz"), Event(Stage.KERNEL, "10.0.0.9")),
        (request("/rasura/initrd"), Event(Stage.STARTED, "10.0.0.9", note="110 MiB in 2.5 s")),
        (request("/rasura/initrd", whole=""), Event(Stage.BROKEN_OFF, "10.0.0.9", note="110 MiB in 2.5 s")),
        (request("/rasura/vmlinuz", whole=""), None),
        (request("/rasura/initrd", method="HEAD", bytes=0), None),
        (request("/rasura/initrd", status=206), None),
        (request("/bootx64.efi", status=404), None),
        (request("/policies/bench.toml"), None),
        ("{}", None),
        ("[]", None),
        ("2030/01/01 00:00:00 [error] 7#7: something", None),
    ],
)
def test_what_nginx_says(line: str, event: Event | None) -> None:
    assert nginx_event(line) == event


def test_a_machine_keeps_its_line_from_first_to_last() -> None:
    board = Board()
    assert board.add(Event(Stage.ADDRESS, "10.0.0.9", MAC)) is not None
    assert board.add(Event(Stage.PROGRAM, "10.0.0.9")) is not None
    assert board.add(Event(Stage.PROGRAM, "10.0.0.9", MAC)) is None, "nothing new"
    board.add(Event(Stage.STARTED, "10.0.0.9", note="110 MiB in 2.5 s"))
    assert board.add(Event(Stage.ADDRESS, "10.0.0.9", MAC)) is None, "the started system asks again"
    (machine,) = board.machines
    assert machine.line() == f"{MAC}  10.0.0.9         has all of the system and starts it (110 MiB in 2.5 s)"
    # Switched off and on again, it begins anew.
    board.add(Event(Stage.PROGRAM, "10.0.0.9"))
    assert board.machines[0].stage is Stage.PROGRAM
    assert len(board.machines) == 1


def test_an_address_that_another_machine_had_before() -> None:
    board = Board()
    board.add(Event(Stage.STARTED, "10.0.0.9", MAC))
    board.add(Event(Stage.ADDRESS, "10.0.0.9", OTHER))
    board.add(Event(Stage.MENU, "10.0.0.9"))
    assert [(one.mac, one.stage) for one in board.machines] == [(MAC, Stage.STARTED), (OTHER, Stage.MENU)]


def test_a_machine_of_a_proxy_is_known_by_its_hardware_address_first() -> None:
    board = Board()
    board.add(Event(Stage.ADDRESS, None, MAC))
    board.add(Event(Stage.ADDRESS, "10.0.0.9", MAC))
    board.add(Event(Stage.MENU, "10.0.0.9"))
    assert [(one.mac, one.ip, one.stage) for one in board.machines] == [(MAC, "10.0.0.9", Stage.MENU)]
