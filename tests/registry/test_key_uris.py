"""Keys that are elsewhere: in the environment, and on a token (SoftHSM) that signs there."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from rasura.bundle import Bundle
from rasura.cli import cli as auditors_cli
from rasura.ecdsa import is_one_form
from rasura.envelope import key_id
from rasura.errors import RasuraError, UsageError
from rasura.key_source import load_signing_key, without_module
from rasura.key_uri import MODULE_VARIABLE
from rasura.keys import certificate_pem, chain_problems, issue_station, load_certificates, private_key_pem
from rasura.site_kit import SiteKit, seal_site_key
from rasura.trust import Trust
from rasura.verifier import Verdict, verify
from rasura_registry.folder import Folder, add_site
from registry.samples import Station
from registry.world import Server
from simulators.hsm import PIN, SoftToken, soft_token


@pytest.fixture(scope="module")
def token(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SoftToken]:
    """One token for the file: the module reads where its tokens are once a process."""
    made = soft_token(tmp_path_factory.mktemp("hsm") / "here")
    with pytest.MonkeyPatch.context() as patch:
        for name, value in made.environment.items():
            patch.setenv(name, value)
        yield made


@pytest.fixture(scope="module")
def site_key(token: SoftToken) -> ec.EllipticCurvePublicKey:
    return token.put("site", "a1")


@pytest.fixture(scope="module")
def pin_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("pin") / "pin"
    path.write_text(f"{PIN}\n")
    return path


def run(*arguments: object, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "rasura_registry", *map(str, arguments)]
    return subprocess.run(
        command,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        env=os.environ | environment,
        stdin=subprocess.DEVNULL,
    )


def test_a_token_signs_in_the_one_form(token: SoftToken, site_key: ec.EllipticCurvePublicKey) -> None:
    key = load_signing_key(token.uri("site", f"pin-value={PIN}"), what="it")
    assert key.public_key() == site_key
    for number in range(20):
        signature = key.sign(b"%d" % number, ec.ECDSA(hashes.SHA256()))
        assert is_one_form(signature)
        site_key.verify(signature, b"%d" % number, ec.ECDSA(hashes.SHA256()))
    for never in (lambda: private_key_pem(key), key.private_numbers):
        with pytest.raises(UsageError, match="stays there"):
            never()


def test_the_key_stays_on_the_token_and_certifies_stations(
    token: SoftToken,
    site_key: ec.EllipticCurvePublicKey,
    own_folder: Path,
    pin_file: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    uri = token.uri("site", f"pin-source={pin_file}")
    done = run("site", own_folder, "Grenoble", "--key", uri)
    assert done.returncode == 0, done.stderr
    folder = own_folder / "sites" / "Grenoble"
    assert sorted(one.name for one in folder.iterdir()) == ["site.pem", "site.toml", "trust.toml"]
    kept = tomllib.loads((folder / "site.toml").read_text())["key"]
    assert kept == f"pkcs11:token=Site%20Lyon;object=site?pin-source={pin_file}"
    monkeypatch.delenv(MODULE_VARIABLE, raising=False)
    with pytest.raises(UsageError, match="names no module"):
        SiteKit.load(folder)
    monkeypatch.setenv(MODULE_VARIABLE, str(token.module))
    kit = SiteKit.load(folder)
    assert kit.key.public_key() == site_key
    station = Station.at(kit)
    assert chain_problems(station.chain, kit.trust.authorities) == ()
    server = Server(own_folder, tmp_path)
    try:
        bundle = station.bundle()
        assert server.put(bundle.certificate_id, bundle.encode()).status == 201
    finally:
        assert server.stop() == 0
    with pytest.raises(UsageError, match="nothing to seal"):
        seal_site_key(folder, lambda: "correct horse")


def test_an_authority_on_a_token_and_a_log_key_in_the_environment(
    token: SoftToken, pin_file: Path, tmp_path: Path
) -> None:
    public = token.put("authority", "b2")
    log = Ed25519PrivateKey.generate()
    pem = log.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    folder = tmp_path / "registry"
    uri = token.uri("authority", f"pin-source={pin_file}")
    words = ["--name", "log.example", "--site", "Lyon", "--authority-key", uri, "--log-key", "env:LOG_KEY"]
    done = run("init", folder, *words, LOG_KEY=pem)
    assert done.returncode == 0, done.stderr
    assert [one.name for one in (folder / "keys").iterdir()] == ["keys.toml"]
    assert (folder / "keys/keys.toml").stat().st_mode & 0o777 == 0o600
    authority = load_certificates((folder / "ca.pem").read_bytes())[0]
    assert authority.public_key() == public
    kit = SiteKit.load(folder / "sites/Lyon")
    assert chain_problems(Station.at(kit).chain, (authority,)) == ()
    (tmp_path / "ca.pem").write_bytes(certificate_pem(authority))
    checked = subprocess.run(
        ["openssl", "verify", "-CAfile", tmp_path / "ca.pem", folder / "sites/Lyon/site.pem"],
        capture_output=True,
        check=False,
    )
    assert checked.returncode == 0, checked.stderr
    assert run("site", folder, "Nice", LOG_KEY=pem).returncode == 0
    done = run("check", folder)
    assert (done.returncode, "LOG_KEY is not set" in done.stderr) == (2, True)
    assert run("check", folder, LOG_KEY=pem).returncode == 0
    done = run("check", folder, LOG_KEY="nothing")
    assert (done.returncode, "not an Ed25519 private key" in done.stderr) == (2, True)


def test_what_a_token_does_not_give_is_said(token: SoftToken, site_key: object, tmp_path: Path) -> None:
    token.put("other-curve", "c3", ec.SECP384R1())
    folder = tmp_path / "data"
    words = ["init", folder, "--name", "log.example", "--authority-key"]

    def refused(uri: str, says: str, **environment: str) -> None:
        done = run(*words, uri, **environment)
        assert (done.returncode, says in done.stderr, "Traceback" in done.stderr) == (2, True, False), (
            done.stderr
        )
        assert not folder.exists()

    pin = tmp_path / "pin"
    pin.write_text(PIN)
    source = f"pin-source={pin}"
    refused(token.uri("none", source), "no private keys on the token")
    refused(token.uri("site", source).replace("Lyon", "Nice"), "no tokens here")
    refused(token.uri("other-curve", source), "no ECDSA P-256 public key")
    refused(token.uri("site"), "nobody is here to type it")
    refused(token.uri("site", f"pin-value={PIN}"), "its PIN would lie open")
    refused(token.uri("site", "pin-source=/none"), "cannot read the PIN")
    refused("pkcs11:object=site", "names no module")
    refused("pkcs11:object=site", "cannot be used", RASURA_PKCS11_MODULE="/none.so")
    refused("pkcs11:object=site", "cannot be used", RASURA_PKCS11_MODULE="/bin/sh")
    pin.write_text("999999")
    refused(token.uri("site", source), "the PIN is not that of the token")


@pytest.mark.parametrize(
    ("uri", "kept"),
    [
        ("pkcs11:object=a", "pkcs11:object=a"),
        ("pkcs11:object=a?module-path=/x.so", "pkcs11:object=a"),
        ("pkcs11:object=a?module-path=/x.so&pin-source=/p", "pkcs11:object=a?pin-source=/p"),
        ("env:A", "env:A"),
    ],
)
def test_the_module_is_left_out(uri: str, kept: str) -> None:
    assert without_module(uri) == kept


def test_the_log_key_is_not_on_a_token(tmp_path: Path) -> None:
    done = run("init", tmp_path / "data", "--name", "log.example", "--log-key", "pkcs11:object=log")
    assert (done.returncode, "Ed25519" in done.stderr) == (2, True)


def test_without_the_extra_it_is_said(tmp_path: Path) -> None:
    code = (
        "import sys; sys.modules['pkcs11'] = None\n"
        "from rasura_registry.__main__ import main\n"
        f"sys.argv = ['rasura-registry', 'init', {str(tmp_path / 'data')!r}, '--name', 'log.example',"
        " '--authority-key', 'pkcs11:object=x']\n"
        "main()\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, "pip install 'rasura[pkcs11]'" in done.stderr) == (2, True), done.stderr


def test_calls_and_files_that_are_wrong(own_folder: Path, tmp_path: Path) -> None:
    done = run("site", own_folder, "Nice", "--key", "env:X", "--passphrase")
    assert (done.returncode, "--passphrase is for a key that is made here" in done.stderr) == (2, True)
    for text, says in (("authority = 5", "key URIs"), ("colour = 'x'", "key URIs"), ("[", "not TOML")):
        (own_folder / "keys/keys.toml").write_text(text)
        done = run("check", own_folder)
        assert (done.returncode, says in done.stderr) == (2, True), done.stderr


def test_a_site_folder_does_not_say_what_code_is_run(own_folder: Path) -> None:
    settings = own_folder / "sites/Lyon/site.toml"
    settings.write_text(f'{settings.read_text()}key = "pkcs11:object=a?module-path=/stick/evil.so"\n')
    with pytest.raises(UsageError, match="not its to say"):
        SiteKit.load(settings.parent)


def test_a_key_that_is_not_the_certified_one_is_refused(own_folder: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.key"
    other.write_bytes(private_key_pem(ec.generate_private_key(ec.SECP256R1())))
    settings = own_folder / "sites/Lyon/site.toml"
    settings.write_text(f'{settings.read_text()}key = "file:{other}"\n')
    with pytest.raises(UsageError, match="do not belong together"):
        SiteKit.load(settings.parent)
    add_site(own_folder, "Nice", url=None, now=datetime.now(UTC), key_uri=str(other))
    kit = SiteKit.load(own_folder / "sites/Nice")
    public: Any = ec.generate_private_key(ec.SECP256R1()).public_key()
    issued = issue_station(kit.key, kit.certificate, public, "station-1", datetime.now(UTC))
    assert chain_problems((issued, kit.certificate), kit.trust.authorities) == ()
    assert Folder(own_folder).load_authority_key()
    other.unlink()
    with pytest.raises(RasuraError, match="cannot read"):
        SiteKit.load(own_folder / "sites/Nice")


def test_a_persons_key_stays_on_their_token(
    token: SoftToken, pin_file: Path, own_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The request is signed there, and so is what the person says; the folder holds no module and no PIN."""
    public = token.put("judge", "a7")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(MODULE_VARIABLE, str(token.module))

    def rasura(*words: object) -> str:
        done = CliRunner().invoke(auditors_cli, ["statement", *map(str, words)], standalone_mode=False)
        if done.exception is not None:
            raise done.exception
        return done.output

    uri = token.uri("judge", f"pin-source=file:{pin_file}")
    asked = ("--site", "Lyon", "--name", "operator 7", "--role", "head of workshop")
    key = rasura("request", "judge", *asked, "--key", uri).split("sha256:")[1].split()[0]
    assert key == key_id(public)
    assert "module-path" not in Path("judge/person.toml").read_text()
    site = own_folder / "sites" / "Lyon"
    rasura("certify", site, "judge/request.pem", "-o", "certified.pem", "--key-is", f"sha256:{key}")
    rasura("receive", "judge", "certified.pem", "--trust", own_folder / "trust.toml")
    Path("certificate.json").write_bytes(Station.of_folder(own_folder).bundle().encode())
    rasura("accept", "certificate.json", "--as", "judge", "-o", "accepted.json")
    said = Bundle.parse(Path("accepted.json").read_bytes())
    assert verify(said.encode(), Trust.parse((own_folder / "trust.toml").read_text())).verdict is (
        Verdict.NOT_LOGGED
    )
