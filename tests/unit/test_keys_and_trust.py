"""Keys, trust files and site folders: what is read back is what was written; the rest gets a sentence."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from rasura.errors import UsageError
from rasura.key_box import PassphraseNeededError, WrongPassphraseError, is_sealed
from rasura.keys import (
    KeyFormatError,
    common_name,
    load_certificate_der,
    load_certificates,
    load_private_key,
    new_authority,
    organization,
    private_key_pem,
)
from rasura.site_kit import PASSPHRASE_FILE, SiteKit, SitePapers, ask_passphrase, seal_site_key
from rasura.trust import Trust, TrustError
from simulators.signing import NOW, TrustWorld


@pytest.fixture(scope="module")
def world() -> TrustWorld:
    return TrustWorld(site='Atelier "Nord"\\é')


def test_a_private_key_round_trips(world: TrustWorld) -> None:
    pem = private_key_pem(world.site_key)
    assert private_key_pem(load_private_key(pem)) == pem


def test_keys_that_are_not_ours() -> None:
    encrypted = ec.generate_private_key(ec.SECP256R1()).private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(b"x"),
    )
    other_curve = private_key_pem(ec.generate_private_key(ec.SECP384R1()))
    other_kind = ed25519.Ed25519PrivateKey.generate().private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    for pem in (b"", b"garbage", encrypted, other_curve, other_kind):
        with pytest.raises(KeyFormatError):
            load_private_key(pem)
    for garbage in (b"", b"garbage"):
        with pytest.raises(KeyFormatError):
            load_certificates(garbage)
        with pytest.raises(KeyFormatError):
            load_certificate_der(garbage)


def test_names_are_certified(world: TrustWorld) -> None:
    assert organization(world.site_certificate) == world.site == common_name(world.site_certificate)
    with pytest.raises(KeyFormatError):
        organization(world.authority)
    for name in ("", "x" * 65):
        with pytest.raises(KeyFormatError, match="cannot be a name"):
            new_authority(name, NOW)


def test_a_trust_file_round_trips(world: TrustWorld) -> None:
    assert Trust.parse(world.trust.to_toml()) == world.trust


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "version"),
        ("version = 2", "version"),
        ("version = true", "not of version 1"),
        ("version = 1.0", "not of version 1"),
        ("version = 1", "no registry authority"),
        ("version", "not TOML"),
        ("version = 1\nauthorities = []", "unknown key"),
        ("version = 1\nauthority = 5", "not a list"),
        ("version = 1\n[[authority]]\npem = 'x'", "exactly one key"),
        ("version = 1\n[[authority]]\ncertificate = 'x'", "cannot be read"),
        ("version = 1\n[[log]]\nkey = 'x'", "cannot be read"),
    ],
)
def test_bad_trust_files(text: str, sentence: str) -> None:
    with pytest.raises(TrustError, match=sentence):
        Trust.parse(text)


def test_a_site_folder_round_trips(world: TrustWorld, tmp_path: Path) -> None:
    kit = SiteKit.load(world.write_kit(tmp_path / "site", "http://127.0.0.1:8440"))
    assert kit.site == world.site
    assert kit.registry_url == "http://127.0.0.1:8440"
    assert kit.trust == world.trust
    assert private_key_pem(kit.key) == private_key_pem(world.site_key)
    assert (tmp_path / "site" / "site.key").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("missing", ["site.toml", "site.key", "site.pem", "trust.toml"])
def test_a_site_folder_without_one_of_its_files(world: TrustWorld, tmp_path: Path, missing: str) -> None:
    folder = world.write_kit(tmp_path / "site")
    (folder / missing).unlink()
    with pytest.raises(UsageError, match=f"cannot read .*{missing}"):
        SiteKit.load(folder)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("site.toml", b"site = 5"),
        ("site.toml", b"sight = 'x'"),
        ("site.toml", b"\xff"),
        ("site.toml", b"site = 'Elsewhere'"),
        ("site.toml", 'site = "Atelier \\"Nord\\"\\\\é"\nca = "sha256:beef"'.encode()),
        ("site.key", b"garbage"),
        ("site.pem", b"garbage"),
        ("trust.toml", b"garbage"),
    ],
)
def test_a_site_folder_with_a_wrong_file(
    world: TrustWorld, tmp_path: Path, name: str, content: bytes
) -> None:
    folder = world.write_kit(tmp_path / "site")
    (folder / name).write_bytes(content)
    with pytest.raises(UsageError):
        SiteKit.load(folder)


def test_a_key_that_is_anothers(world: TrustWorld, tmp_path: Path) -> None:
    folder = world.write_kit(tmp_path / "site")
    (folder / "site.key").write_bytes(private_key_pem(ec.generate_private_key(ec.SECP256R1())))
    with pytest.raises(UsageError, match="do not belong together"):
        SiteKit.load(folder)


PASSPHRASE = "correct horse battery"


def never() -> str:
    raise AssertionError("nobody should have been asked")


def test_a_sealed_site_folder_asks_for_its_passphrase(world: TrustWorld, tmp_path: Path) -> None:
    folder = world.write_kit(tmp_path / "site")
    SiteKit.load(folder, never)
    seal_site_key(folder, lambda: PASSPHRASE)
    assert is_sealed((folder / "site.key").read_bytes())
    assert (folder / "site.key").stat().st_mode & 0o777 == 0o600
    assert sorted(path.name for path in folder.iterdir()) == [
        "site.key",
        "site.pem",
        "site.toml",
        "trust.toml",
    ]
    with pytest.raises(PassphraseNeededError, match="under a passphrase"):
        SiteKit.load(folder)
    with pytest.raises(WrongPassphraseError):
        SiteKit.load(folder, lambda: "correct horse battery?")
    kit = SiteKit.load(folder, lambda: PASSPHRASE)
    assert private_key_pem(kit.key) == private_key_pem(world.site_key)
    with pytest.raises(UsageError, match="already"):
        seal_site_key(folder, never)


def test_a_site_folder_says_all_but_its_key_without_a_passphrase(world: TrustWorld, tmp_path: Path) -> None:
    folder = world.write_kit(tmp_path / "site", "http://127.0.0.1:8440")
    (folder / "site.key").unlink()
    papers = SitePapers.load(folder)
    assert (papers.site, papers.trust) == (world.site, world.trust)
    assert papers.registry_url == "http://127.0.0.1:8440"


def test_a_folder_is_not_asked_about_its_passphrase_when_something_else_is_wrong(
    world: TrustWorld, tmp_path: Path
) -> None:
    folder = world.write_kit(tmp_path / "site")
    (folder / "site.key").write_bytes(b"{}")
    (folder / "trust.toml").write_bytes(b"garbage")
    with pytest.raises(TrustError):
        SiteKit.load(folder, never)


def test_a_passphrase_that_is_too_short_changes_nothing(world: TrustWorld, tmp_path: Path) -> None:
    folder = world.write_kit(tmp_path / "site")
    with pytest.raises(UsageError, match="8 characters"):
        seal_site_key(folder, lambda: "short")
    SiteKit.load(folder)


@pytest.mark.parametrize("ending", ["", "\n", "\r\n"])
def test_a_script_names_a_file_with_the_passphrase(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ending: str
) -> None:
    (tmp_path / "secret").write_bytes(f" été {ending}".encode())
    monkeypatch.setenv(PASSPHRASE_FILE, str(tmp_path / "secret"))
    assert ask_passphrase() == ask_passphrase(new=True) == " été "
    (tmp_path / "secret").write_bytes(b"\xff")
    with pytest.raises(UsageError, match="not text"):
        ask_passphrase()
    (tmp_path / "secret").unlink()
    with pytest.raises(UsageError, match="No such file"):
        ask_passphrase()


ASK = (
    "from rasura.site_kit import ask_passphrase; from rasura.errors import RasuraError\n"
    "try: print(ask_passphrase(new={new}))\n"
    "except RasuraError as error: print(type(error).__name__)"
)


@pytest.mark.parametrize(("new", "typed"), [(False, b"hush\n"), (True, b"hush\nhush\n")])
def test_at_a_terminal_it_is_typed_unseen(new: bool, typed: bytes) -> None:
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-c", ASK.format(new=new)],
        stdin=theirs,
        stdout=subprocess.PIPE,
        stderr=theirs,
        start_new_session=True,
        env={name: value for name, value in os.environ.items() if name != PASSPHRASE_FILE},
    )
    os.close(theirs)
    shown = b""
    for line in typed.splitlines(keepends=True):
        shown += os.read(ours, 1000)
        while not shown.rstrip().endswith(b":"):
            shown += os.read(ours, 1000)
        os.write(ours, line)
        shown += b"|"
    out, _ = process.communicate(timeout=30)
    os.close(ours)
    assert out == b"hush\n"
    assert b"hush" not in shown


def test_without_a_terminal_nobody_waits_for_a_passphrase() -> None:
    done = subprocess.run(
        [sys.executable, "-c", ASK.format(new=False)],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=True,
        env={name: value for name, value in os.environ.items() if name != PASSPHRASE_FILE},
    )
    assert done.stdout == "PassphraseNeededError\n"


@pytest.mark.parametrize(
    "text", ["a = " + "[" * 20_000, "a = " + "{a = " * 3_000, "a = " + "9" * 5_000, "a = \0"]
)
def test_toml_that_overwhelms_its_reader_is_a_sentence(text: str) -> None:
    with pytest.raises(TrustError, match="the trust file is not TOML"):
        Trust.parse(text)
