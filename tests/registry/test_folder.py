"""Making a registry's folder: whole or not at all, and what the commands say."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from rasura.checkpoint import open_checkpoint
from rasura.errors import RasuraError, UsageError
from rasura.key_box import is_sealed
from rasura.keys import chain_problems, load_certificates, load_private_key
from rasura.site_kit import PASSPHRASE_FILE, SiteKit, ask_passphrase
from rasura.trust import Trust
from rasura_registry.cli import cli
from rasura_registry.errors import FolderError, FolderInUseError
from rasura_registry.folder import Folder, add_site, initialise
from rasura_registry.registry import open_registry
from registry.samples import Station

NOW = datetime.now(UTC)


def invoke(*arguments: str) -> tuple[int, str]:
    """A command in this process: its exit code, and all it said."""
    result = CliRunner().invoke(cli, arguments, standalone_mode=False)
    match result.exception:
        case None:
            return result.return_value or 0, result.output
        case RasuraError() as error:
            return error.exit_code, str(error)
        case click.ClickException() as error:
            return error.exit_code, error.format_message()
        case bug:
            raise bug


def command(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "rasura_registry", *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_init_makes_a_registry_with_its_sites(tmp_path: Path) -> None:
    root = tmp_path / "new" / "data"
    done = command(
        "init", str(root), "--name", "log.example", "--site", "Lyon", "--site", "Saint-Étienne", "--json"
    )
    assert done.returncode == 0, done.stderr
    facts = json.loads(done.stdout)
    trust = Trust.parse((root / "trust.toml").read_text())
    assert facts["logKey"] == trust.logs[0].encode()
    assert facts["sites"].keys() == {"Lyon", "Saint-Étienne"}
    for secret in (root / "keys/ca.key", root / "keys/log.key", root / "sites/Lyon/site.key"):
        assert stat.S_IMODE(secret.stat().st_mode) == 0o600
    assert stat.S_IMODE((root / "keys").stat().st_mode) == 0o700
    assert load_private_key((root / "keys/ca.key").read_bytes()).curve.name == "secp256r1"
    assert load_certificates((root / "ca.pem").read_bytes()) == trust.authorities
    checkpoint = open_checkpoint((root / "checkpoint").read_text(), trust.logs).checkpoint
    assert (checkpoint.origin, checkpoint.size) == ("log.example", 0)
    kit = SiteKit.load(root / "sites/Saint-Étienne")
    assert kit.trust == trust
    assert chain_problems(Station.at(kit).chain, trust.authorities) == ()
    assert [path.name for path in tmp_path.joinpath("new").iterdir()] == ["data"]
    assert invoke("check", str(root))[0] == 0


def test_init_says_what_it_made_in_words(tmp_path: Path) -> None:
    data = str(tmp_path / "data")
    code, text = invoke(
        "init", data, "--name", "log.example", "--site", "Lyon", "--url", "http://log.example"
    )
    assert code == 0
    assert "log key     log.example+" in text
    assert "holds a private key" in text
    assert SiteKit.load(tmp_path / "data/sites/Lyon").registry_url == "http://log.example"


def test_an_empty_folder_is_taken_and_any_other_refused(own_folder: Path, tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    initialise(empty, origin="log.example", sites=[], url=None, now=NOW)
    before = (own_folder / "keys/log.key").read_bytes()
    again = command("init", str(own_folder), "--name", "log.example")
    assert again.returncode == 3
    assert again.stderr.startswith("error: ")
    assert "is a registry already" in again.stderr
    assert (own_folder / "keys/log.key").read_bytes() == before
    (tmp_path / "full").mkdir()
    (tmp_path / "full/letter").write_text("dear")
    with pytest.raises(FolderInUseError, match="not empty"):
        initialise(tmp_path / "full", origin="log.example", sites=[], url=None, now=NOW)
    with pytest.raises(FolderError):
        initialise(tmp_path / "full/letter", origin="log.example", sites=[], url=None, now=NOW)


@pytest.mark.parametrize("origin", ["", "two words", "a+b", "x" * 65, "new\nline"])
def test_a_name_that_cannot_be_a_logs_is_refused_and_leaves_nothing(tmp_path: Path, origin: str) -> None:
    with pytest.raises(UsageError, match="cannot be the registry's name"):
        initialise(tmp_path / "data", origin=origin, sites=[], url=None, now=NOW)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "site",
    ["", ".", "..", "../up", "a/b", "a\\b", "C:", "tab\t", " x", "x ", ".x", "x" * 65, "new\nline", "\ud800"],
)
def test_a_site_that_cannot_be_a_folder_is_refused_and_leaves_nothing(
    own_folder: Path, tmp_path: Path, site: str
) -> None:
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(UsageError, match="cannot be a site's name"):
        initialise(tmp_path / "new", origin="log.example", sites=["good", site], url=None, now=NOW)
    with pytest.raises(UsageError, match="cannot be a site's name"):
        add_site(own_folder, site, url=None, now=NOW)
    assert sorted(tmp_path.rglob("*")) == before


def test_a_site_named_twice_is_refused(own_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="twice"):
        initialise(tmp_path / "new", origin="log.example", sites=["a", "a"], url=None, now=NOW)
    with pytest.raises(FolderInUseError, match="has a folder already"):
        add_site(own_folder, "Lyon", url=None, now=NOW)


def test_a_site_may_come_later(own_folder: Path) -> None:
    code, text = invoke("site", str(own_folder), "Atelier du Nord", "--url", "https://log.example", "--json")
    assert code == 0
    kit = SiteKit.load(Path(json.loads(text)["folder"]))
    assert (kit.site, kit.registry_url) == ("Atelier du Nord", "https://log.example")
    assert sorted(path.name for path in (own_folder / "sites").iterdir()) == ["Atelier du Nord", "Lyon"]


def test_the_keys_of_sites_may_be_written_under_a_passphrase(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "secret").write_text("correct horse\n")
    monkeypatch.setenv(PASSPHRASE_FILE, str(tmp_path / "secret"))
    root = tmp_path / "data"
    pin = f"sha256:{'AB' * 32}"
    where = ("--url", "https://log.example", "--registry-ca", pin)
    assert (
        invoke("init", str(root), "--name", "log.example", "--site", "Lyon", *where, "--passphrase")[0] == 0
    )
    assert invoke("site", str(root), "Nord", "--passphrase")[0] == 0
    assert invoke("site", str(root), "Open")[0] == 0
    assert invoke("seal", str(root / "sites/Open"))[0] == 0
    for site in ("Lyon", "Nord", "Open"):
        assert is_sealed((root / "sites" / site / "site.key").read_bytes())
        assert SiteKit.load(root / "sites" / site, ask_passphrase).site == site
    assert SiteKit.load(root / "sites/Lyon", ask_passphrase).registry_ca == pin.lower()
    assert invoke("seal", str(root / "sites/Open"))[0] == 2


def test_a_passphrase_that_will_not_do_makes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "secret").write_text("short\n")
    monkeypatch.setenv(PASSPHRASE_FILE, str(tmp_path / "secret"))
    root = str(tmp_path / "data")
    assert invoke("init", root, "--name", "log.example", "--site", "Lyon", "--passphrase")[0] == 2
    assert [path.name for path in tmp_path.iterdir()] == ["secret"]


def test_nothing_half_made_stays_when_the_disk_says_no(tmp_path: Path) -> None:
    # A limit on the size of a file stops the index, in the middle.
    done = subprocess.run(
        [
            *("sh", "-c", 'ulimit -f 8; exec "$@"', "sh", sys.executable, "-m", "rasura_registry"),
            *("init", str(tmp_path / "data"), "--name", "log.example"),
        ],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        env=os.environ | {"PYTHONDONTWRITEBYTECODE": "1"},
    )
    assert done.returncode == 1, done.stderr
    assert done.stderr.startswith("error: ")
    assert "Traceback" not in done.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        ((), 2),
        (("serve",), 2),
        (("init", "x"), 2),
        (("serve", "x", "--port", "70000"), 2),
        (("serve", "/nonexistent"), 2),
        (("check", "/nonexistent"), 2),
        (("site", "/nonexistent", "Lyon"), 2),
        (("seal", "/nonexistent"), 2),
        (("init", "x", "--name", "log.example", "--passphrase"), 2),
        (("init", "x", "--name", "log.example", "--site", "Lyon", "--passphrase"), 2),
        (("init", "x", "--name", "log.example", "--site", "Lyon", "--registry-ca", "sha256:beef"), 2),
        (("init", "/proc/nonexistent/data", "--name", "log.example"), 2),
        (("bogus",), 2),
    ],
)
def test_wrong_calls_end_in_a_sentence(arguments: tuple[str, ...], code: int) -> None:
    actual, sentence = invoke(*arguments)
    assert actual == code
    assert sentence


@pytest.mark.parametrize("name", ["init", "site", "seal", "serve", "check"])
def test_help_teaches_by_an_example(name: str) -> None:
    _, text = invoke(name, "--help")
    assert f"rasura-registry {name} /srv/rasura" in text
    assert "Exit codes:" in text


def test_without_its_extra_it_says_so() -> None:
    code = "import sys; sys.modules['fastapi'] = None; from rasura_registry.__main__ import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 2
    assert done.stderr == "error: rasura-registry needs its extra: pip install 'rasura[registry]'\n"


def damage(root: Path, name: str, content: bytes | None) -> None:
    (root / name).unlink()
    if content is not None:
        (root / name).write_bytes(content)


@pytest.mark.parametrize("content", [None, b"", b"junk \xff", b"[[log]]\n"])
@pytest.mark.parametrize("name", ["trust.toml", "keys/log.key", "index.sqlite3", "checkpoint"])
def test_a_damaged_folder_is_not_served(own_folder: Path, name: str, content: bytes | None) -> None:
    damage(own_folder, name, content)
    with pytest.raises(RasuraError), open_registry(own_folder):
        pass


def test_another_logs_key_is_noticed(own_folder: Path, tmp_path: Path) -> None:
    initialise(tmp_path / "other", origin="log.example", sites=[], url=None, now=NOW)
    damage(own_folder, "keys/log.key", (tmp_path / "other/keys/log.key").read_bytes())
    with pytest.raises(FolderError, match="does not name the log"):
        Folder(own_folder).load_trust()
    damage(own_folder, "trust.toml", (tmp_path / "other/trust.toml").read_bytes())
    with pytest.raises(RasuraError, match="not this log's"), open_registry(own_folder):
        pass


def test_a_folder_has_one_server(own_folder: Path) -> None:
    with open_registry(own_folder):
        with pytest.raises(FolderInUseError, match="another registry is running"), open_registry(own_folder):
            pass
        assert invoke("check", str(own_folder))[0] == 0
        code, sentence = invoke("serve", str(own_folder), "--port", "0")
        assert code == 3
        assert "another registry is running" in sentence
    with open_registry(own_folder):
        pass
