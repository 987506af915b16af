"""The check says where a trust file and the log disagree about keys, both ways, and when they agree."""

from __future__ import annotations

import shutil
import sqlite3
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from rasura.bundle import Bundle
from rasura.envelope import key_id
from rasura.errors import UsageError
from rasura.keys import load_certificates, load_private_key, new_authority
from rasura.side_signing import sign_revocation
from rasura.site_kit import SiteKit
from rasura.trust import Trust
from rasura_registry.check import check_folder
from rasura_registry.cli import cli
from rasura_registry.files import body_name
from rasura_registry.folder import Folder
from rasura_registry.index import SqliteIndex
from rasura_registry.log import Recorded, Submission
from rasura_registry.registry import open_registry
from registry.samples import Station

KEY = "cd" * 32
BY_HAND = f'\n[[revoked]]\nkey = "sha256:{"ab" * 32}"\nsince = 2026-01-01T00:00:00Z\n'


def now() -> datetime:
    return datetime.now(UTC)


def log(root: Path, *bundles: Bundle) -> None:
    """One after another, each with a checkpoint of its own."""
    with open_registry(root) as registry:
        for one in bundles:
            taken = registry.take(one.certificate_id, one.encode())
            assert isinstance(taken, Submission)
            assert isinstance(registry.log_it(taken).result(30), Recorded)


def by_site(root: Path, key: str, since: datetime | None = None, **more: str) -> Bundle:
    kit = SiteKit.load(root / "sites" / "Lyon")
    return sign_revocation(kit.key, kit.certificate, key, since or now(), "lost", now(), **more)


def by_authority(root: Path, key: str, since: datetime | None = None, **more: str) -> Bundle:
    folder = Folder(root)
    own = load_private_key(folder.read(folder.authority_key))
    certificate = load_certificates(folder.read(folder.authority))[0]
    return sign_revocation(own, certificate, key, since or now(), "lost", now(), **more)


def run(*words: object) -> Result:
    done = CliRunner().invoke(cli, ["check", *map(str, words)], standalone_mode=False)
    if done.exception is not None:
        raise done.exception
    return done


def problem(root: Path, copy: Trust | None = None) -> str:
    report = check_folder(root, copy, "copy.toml")
    assert report.problems == (), "the log itself holds"
    (only,) = report.trust_problems
    return only


@pytest.fixture
def before(own_folder: Path) -> str:
    return (own_folder / "trust.toml").read_text()


def test_a_trust_file_that_lacks_a_revocation_of_the_log(own_folder: Path, before: str) -> None:
    log(own_folder, by_site(own_folder, KEY))
    assert check_folder(own_folder).trust_problems == ()
    assert check_folder(own_folder).revoked == 1
    (own_folder / "trust.toml").write_text(before)
    said = problem(own_folder)
    assert f"trust.toml does not say that the key sha256:{KEY} (certified by the site Lyon)" in said
    assert "as entry 0 of the log does: auditors who have it go on believing that key" in said
    done = run(own_folder)
    assert done.return_value == 1
    assert f"WRONG  {said}" in done.output
    assert "holds: 1 entries" in done.output
    assert "the trust file does NOT FIT it" in done.output
    with open_registry(own_folder):
        pass  # what the sentence says to do
    assert run(own_folder).return_value == 0


def test_a_rotation_says_which_key_came_after(own_folder: Path, before: str) -> None:
    log(own_folder, by_authority(own_folder, KEY, replaced_by="ef" * 32))
    (own_folder / "trust.toml").write_text(before)
    assert f"rotated to the key sha256:{'ef' * 32}" in problem(own_folder)


def test_a_time_that_was_changed_is_two_sentences(own_folder: Path) -> None:
    log(own_folder, by_site(own_folder, KEY, datetime(2026, 3, 2, 10, tzinfo=UTC)))
    path = own_folder / "trust.toml"
    path.write_text(path.read_text().replace("2026-03-02T10:00:00Z", "2036-03-02T10:00:00Z"))
    said = check_folder(own_folder).trust_problems
    assert [("since 2026-" in one, "since 2036-" in one) for one in said] == [(True, False), (False, True)]


def test_what_only_the_trust_file_revokes_is_said(own_folder: Path, before: str) -> None:
    log(own_folder, by_site(own_folder, KEY))
    path = own_folder / "trust.toml"
    path.write_text(path.read_text() + BY_HAND)
    said = problem(own_folder)
    assert (
        f"trust.toml revokes the key sha256:{'ab' * 32} since 2026-01-01 00:00:00 UTC, and no entry" in said
    )
    log(own_folder, by_authority(own_folder, "ab" * 32, datetime(2026, 1, 1, tzinfo=UTC)))
    assert check_folder(own_folder).trust_problems == (), "done what the sentence says"


def test_a_revocation_that_counts_no_more_is_said(own_folder: Path) -> None:
    stolen = now() - timedelta(seconds=90)
    log(own_folder, by_site(own_folder, KEY, stolen))
    thiefs = (own_folder / "trust.toml").read_text()
    site = key_id(SiteKit.load(own_folder / "sites" / "Lyon").key.public_key())
    log(own_folder, by_authority(own_folder, site, stolen))
    assert check_folder(own_folder).trust_problems == ()
    (own_folder / "trust.toml").write_text(thiefs)
    said = check_folder(own_folder).trust_problems
    assert len(said) == 2
    assert f"does not say that the key sha256:{site} is revoked" in said[0]
    assert f"revokes the key sha256:{KEY}" in said[1]
    assert "by entry 0 of the log, which does not count" in said[1]


def test_a_copy_that_auditors_hold_is_compared_too(own_folder: Path, before: str, tmp_path: Path) -> None:
    copy = tmp_path / "copy.toml"
    copy.write_text(before)
    assert run(own_folder, "--trust", copy).return_value == 0
    log(own_folder, by_site(own_folder, KEY))
    done = run(own_folder, "--trust", copy)
    assert done.return_value == 1
    assert f"{copy} does not say that the key sha256:{KEY}" in done.output
    assert f"hand out {own_folder}/trust.toml in its place" in done.output
    assert run(own_folder).return_value == 0, "the registry's own is as it should be"


def test_a_copy_of_another_registry_is_found(own_folder: Path, before: str) -> None:
    trust = Trust.parse(before)
    _key, stranger = new_authority("log.example", now())
    said = check_folder(own_folder, Trust((stranger,), ()), "copy.toml").trust_problems
    assert [one.split(" ")[1:4] for one in said] == [
        ["does", "not", "name"],
        ["names", "the", "registry's"],
        ["does", "not", "name"],
    ]
    assert "log.example+" in said[2]
    added = Trust(trust.authorities, trust.logs, (), (stranger,))
    assert "names the timestamp authority" in problem(own_folder, added)


def test_a_revocation_that_is_not_published_yet_is_not_missed(own_folder: Path, before: str) -> None:
    """The index has it, no checkpoint holds it: no auditor could be shown it."""
    empty = (own_folder / "checkpoint").read_text()
    log(own_folder, by_site(own_folder, KEY))
    (own_folder / "trust.toml").write_text(before)
    connection = sqlite3.connect(own_folder / "index.sqlite3")
    with connection:
        connection.execute("DELETE FROM checkpoints WHERE size = 1")
    connection.close()
    (own_folder / "checkpoint").write_text(empty)
    assert check_folder(own_folder).trust_problems == ()


def _lose_the_body(root: Path) -> None:
    index = SqliteIndex(root / "index.sqlite3")
    (row,) = index.revocations()
    index.close()
    (root / body_name(row.body_sha256)).unlink()


DAMAGE: dict[str, Callable[[Path], None]] = {
    "the body of entry 1": _lose_the_body,
    "tile": lambda root: shutil.rmtree(root / "tile" / "0"),
}


@pytest.mark.parametrize("what", DAMAGE)
def test_ruins_get_a_sentence(own_folder: Path, what: str) -> None:
    log(own_folder, Station.of_folder(own_folder).bundle(), by_site(own_folder, KEY))
    DAMAGE[what](own_folder)
    said = check_folder(own_folder).trust_problems
    assert any("the revocation of entry 1 cannot be said" in one and what in one for one in said), said


def test_a_server_that_writes_meanwhile_is_waited_for(own_folder: Path, before: str) -> None:
    log(own_folder, by_site(own_folder, KEY))
    path = own_folder / "trust.toml"
    after = path.read_text()
    path.write_text(before)
    writing = threading.Timer(0.4, path.write_text, [after])
    writing.start()
    assert check_folder(own_folder).trust_problems == ()
    writing.join()


@pytest.mark.parametrize(
    ("text", "why"), [(None, "cannot read"), ("version = 2", "not of version"), ("{", "the trust file")]
)
def test_what_is_no_trust_file(own_folder: Path, tmp_path: Path, text: str | None, why: str) -> None:
    if text is not None:
        (tmp_path / "copy.toml").write_text(text)
    with pytest.raises(UsageError, match=why):
        run(own_folder, "--trust", tmp_path / "copy.toml")
