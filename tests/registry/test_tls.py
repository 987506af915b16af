"""TLS of the registry's own: made once, renewed by itself, and served to stations that know its pin."""

from __future__ import annotations

import contextlib
import shutil
import socket
import ssl
import stat
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from rasura.client import RegistryClient
from rasura.errors import UsageError
from rasura.keys import load_certificates, load_private_key, private_key_pem
from rasura.pinned import authority_context, pin_of
from rasura.trust import Trust
from rasura_registry.errors import FolderError
from rasura_registry.tls import GivenTls, OwnTls, Tls, load_chain, parse_names, server_context
from registry.samples import Station
from registry.test_folder import invoke
from registry.world import Server

NOW = datetime.now(UTC)
NAMES = ("registry.lan", "127.0.0.1")


def own(folder: Path, names: tuple[str, ...] = NAMES, now: datetime = NOW) -> OwnTls:
    tls = OwnTls(folder, names, "log.example")
    tls.prepare(now)
    return tls


def served(folder: Path) -> x509.Certificate:
    return load_certificates((folder / "server.pem").read_bytes())[0]


def test_the_authority_is_made_once(tmp_path: Path) -> None:
    folder = tmp_path / "tls"
    first = own(folder)
    certificate = served(folder)
    second = own(folder)
    assert (second.pin, second.authority_pem) == (first.pin, first.authority_pem)
    assert served(folder) == certificate
    assert sorted(path.name for path in folder.iterdir()) == ["ca.key", "ca.pem", "server.pem"]
    for secret in ("ca.key", "server.pem"):
        assert stat.S_IMODE((folder / secret).stat().st_mode) == 0o600
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert pin_of(load_certificates((folder / "ca.pem").read_bytes())[0]) == first.pin


def test_what_it_makes_is_what_browsers_and_openssl_take(tmp_path: Path) -> None:
    own(tmp_path)
    certificate = served(tmp_path)
    assert certificate.not_valid_after_utc - certificate.not_valid_before_utc <= timedelta(days=398)
    authority = load_certificates((tmp_path / "ca.pem").read_bytes())[0]
    assert authority.not_valid_after_utc - NOW > timedelta(days=3649)
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")
    (tmp_path / "leaf.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    command = ["openssl", "verify", "-x509_strict", "-purpose", "sslserver", "-CAfile", tmp_path / "ca.pem"]
    for name in (["-verify_hostname", "registry.lan"], ["-verify_ip", "127.0.0.1"]):
        done = subprocess.run(
            [*command, *name, tmp_path / "leaf.pem"], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
    wrong = subprocess.run(
        [*command, "-verify_hostname", "other.lan", tmp_path / "leaf.pem"], capture_output=True, check=False
    )
    assert wrong.returncode != 0


@pytest.mark.parametrize("days", [-1, 368, 400, 5000])
def test_a_certificate_that_does_not_fit_the_day_is_renewed(tmp_path: Path, days: int) -> None:
    pin, before = own(tmp_path).pin, served(tmp_path)
    assert own(tmp_path, now=NOW + timedelta(days=days)).pin == pin
    assert served(tmp_path) != before


@pytest.mark.parametrize("days", [0, 1, 366])
def test_a_certificate_that_fits_is_kept(tmp_path: Path, days: int) -> None:
    own(tmp_path)
    before = served(tmp_path)
    own(tmp_path, now=NOW + timedelta(days=days))
    assert served(tmp_path) == before


def test_other_names_are_another_certificate_of_the_same_authority(tmp_path: Path) -> None:
    pin = own(tmp_path).pin
    assert own(tmp_path, ("other.lan", "2001:db8::1")).pin == pin
    names = served(tmp_path).extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["other.lan"]
    assert [str(one) for one in names.get_values_for_type(x509.IPAddress)] == ["2001:db8::1"]


@pytest.mark.parametrize("content", [b"", b"garbage", None])
def test_a_damaged_server_certificate_is_made_again(tmp_path: Path, content: bytes | None) -> None:
    pin = own(tmp_path).pin
    if content is None:
        (tmp_path / "server.pem").unlink()
    else:
        (tmp_path / "server.pem").write_bytes(content)
    assert own(tmp_path).pin == pin
    assert load_private_key((tmp_path / "server.pem").read_bytes())


def test_another_authoritys_server_certificate_is_not_served(tmp_path: Path) -> None:
    own(tmp_path / "one")
    own(tmp_path / "other")
    shutil.copy(tmp_path / "other/server.pem", tmp_path / "one/server.pem")
    tls = own(tmp_path / "one")
    served(tmp_path / "one").verify_directly_issued_by(load_certificates(tls.authority_pem)[0])


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("ca.key", None),
        ("ca.key", b"garbage"),
        ("ca.key", private_key_pem(ec.generate_private_key(ec.SECP256R1()))),
        ("ca.pem", b"garbage"),
    ],
)
def test_a_damaged_authority_is_never_replaced_unasked(
    tmp_path: Path, name: str, content: bytes | None
) -> None:
    """A new one would shut out every station that knows the pin."""
    own(tmp_path)
    if content is None:
        (tmp_path / name).unlink()
    else:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(FolderError):
        own(tmp_path)


def test_a_start_that_broke_off_before_anybody_knew_the_pin_begins_again(tmp_path: Path) -> None:
    (tmp_path / "ca.key").write_bytes(private_key_pem(ec.generate_private_key(ec.SECP256R1())))
    own(tmp_path)


def test_a_folder_that_cannot_be_made_is_said_so(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(FolderError, match="cannot be used for TLS"):
        own(tmp_path / "file" / "tls")


def test_names_are_read_as_they_are_meant() -> None:
    text = " Registry.LAN ,192.168.1.10,[2001:DB8::1],registry.lan., "
    with pytest.raises(UsageError):
        parse_names(text)
    assert parse_names(text.rstrip(", ")) == ("registry.lan", "192.168.1.10", "2001:db8::1")


@pytest.mark.parametrize(
    "text", ["", ",", "two words", "-x", "x-", "a..b", "*.lan", "é.lan", "http://x", "x:443", "x" * 64]
)
def test_names_that_are_none(text: str) -> None:
    with pytest.raises(UsageError, match="not a host name"):
        parse_names(text)


def presented(context: ssl.SSLContext, trusted: x509.Certificate) -> bytes:
    """The certificate that a server with ``context`` shows in a real handshake, in memory."""
    client_in, client_out = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = authority_context(trusted).wrap_bio(client_in, client_out, server_hostname="registry.lan")
    server = context.wrap_bio(client_out, client_in, server_side=True)
    for side in (client, server, client, server):
        with contextlib.suppress(ssl.SSLWantReadError):
            side.do_handshake()
    return client.getpeercert(binary_form=True) or b""


def test_a_running_server_shows_the_renewed_certificate(tmp_path: Path) -> None:
    tls = own(tmp_path)
    authority = load_certificates(tls.authority_pem)[0]
    context = server_context(tls, NOW)
    before = presented(context, authority)
    load_chain(context, tls, NOW + timedelta(days=380))
    after = presented(context, authority)
    assert before != after
    assert after == served(tmp_path).public_bytes(serialization.Encoding.DER)


def test_a_certificate_from_elsewhere(tmp_path: Path) -> None:
    own(tmp_path)
    given = GivenTls(tmp_path / "server.pem", tmp_path / "server.pem")
    server_context(given, NOW)
    assert given.pin is None
    assert b"PRIVATE" not in given.authority_pem
    assert load_certificates(given.authority_pem) == (served(tmp_path),)


def test_a_key_that_cannot_be_served_ends_in_a_sentence(tmp_path: Path) -> None:
    own(tmp_path)
    encrypted = ec.generate_private_key(ec.SECP256R1()).private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(b"x"),
    )
    (tmp_path / "encrypted").write_bytes(encrypted)
    (tmp_path / "garbage").write_bytes(b"garbage")
    chain = tmp_path / "server.pem"
    sources: list[Tls] = [
        GivenTls(chain, tmp_path / "encrypted"),
        GivenTls(chain, tmp_path / "garbage"),
        GivenTls(chain, tmp_path / "missing"),
        GivenTls(chain, tmp_path / "ca.key"),
        GivenTls(tmp_path / "missing", chain),
        GivenTls(tmp_path / "garbage", chain),
    ]
    for tls in sources:
        with pytest.raises(UsageError):
            server_context(tls, NOW)


def test_stations_that_know_the_pin_are_served(own_folder: Path, tmp_path: Path, station: Station) -> None:
    trust = Trust.parse((own_folder / "trust.toml").read_text())
    server = Server(own_folder, tmp_path, "--tls", "127.0.0.1,registry.lan")
    assert server.said() == f"listening on {server.url}\n"
    line = server.said().strip()
    assert line.startswith("rasura.ca=sha256:")
    with contextlib.closing(
        RegistryClient(server.url, trust.logs, ca_pin=line.removeprefix("rasura.ca="))
    ) as client:
        assert client.put(station.bundle()).receipt is not None
        status, pem = client.ask("GET", "/ca.pem")
    assert status == 200
    assert f"rasura.ca={pin_of(load_certificates(pem)[0])}" == line
    for nonsense in (b"GET / HTTP/1.1\r\n\r\n", b"", b"\x16\x03\x01\x02\x00\x01"):
        with (
            contextlib.suppress(OSError),
            socket.create_connection(("127.0.0.1", server.port), timeout=30) as raw,
        ):
            raw.sendall(nonsense)
    with contextlib.closing(
        RegistryClient(server.url, trust.logs, ca_pin=line.removeprefix("rasura.ca="))
    ) as client:
        client.checkpoint()
    assert server.stop() == 0
    assert server.log == ""
    again = Server(own_folder, tmp_path, "--tls", "127.0.0.1")
    again.said()
    assert again.said().strip() == line
    assert again.stop() == 0


def test_without_tls_there_is_no_authority(server: Server) -> None:
    answer = server.ask("GET", "/ca.pem")
    assert answer.status == 404
    assert "no TLS authority" in answer.json["detail"]


def test_wrong_calls_of_tls_are_refused(own_folder: Path) -> None:
    root = str(own_folder)
    for arguments in (
        ("--tls", "not a name"),
        ("--tls", "x", "--tls-certificate", "a", "--tls-key", "b"),
        ("--tls-certificate", "a"),
        ("--tls-key", "a"),
        ("--tls-certificate", "/nonexistent", "--tls-key", "/nonexistent"),
    ):
        code, sentence = invoke("serve", root, "--port", "0", *arguments)
        assert code == 2, sentence
        assert sentence
