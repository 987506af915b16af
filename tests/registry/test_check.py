"""The check finds every kind of damage, and none where there is none."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from rasura.checkpoint import Checkpoint, sign_checkpoint
from rasura_registry.check import MAX_PROBLEMS, CheckReport, check_folder
from rasura_registry.folder import Folder
from rasura_registry.log import Recorded, Submission
from rasura_registry.registry import open_registry
from registry.samples import Station

ENTRIES = 6


def fill(root: Path, station: Station, entries: int) -> None:
    """Log ``entries`` certificates, with a checkpoint of the first alone."""
    with open_registry(root) as registry:
        futures = []
        for _ in range(entries):
            bundle = station.bundle()
            taken = registry.take(bundle.certificate_id, bundle.encode())
            assert isinstance(taken, Submission)
            futures.append(registry.log_it(taken))
            futures[0].result(30)
        assert all(isinstance(one.result(30), Recorded) for one in futures)


@pytest.fixture(scope="module")
def filled(pristine_folder: Path, station: Station, tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = Path(shutil.copytree(pristine_folder, tmp_path_factory.mktemp("filled") / "data"))
    fill(root, station, ENTRIES)
    return root


@pytest.fixture
def root(filled: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(filled, tmp_path / "data"))


def sql(root: Path, statement: str, *values: object) -> None:
    connection = sqlite3.connect(root / "index.sqlite3")
    with connection:
        connection.execute(statement, values)
    connection.close()


def test_a_sound_folder_holds_and_is_not_changed(root: Path) -> None:
    before = {path: path.read_bytes() for path in root.rglob("*") if path.is_file()}
    report = check_folder(root)
    assert report.problems == ()
    assert (report.origin, report.entries, report.published) == ("log.example", ENTRIES, ENTRIES)
    assert report.checkpoints >= 3
    assert {path: path.read_bytes() for path in root.rglob("*") if path.is_file()} == before


def test_an_empty_log_holds(own_folder: Path) -> None:
    assert check_folder(own_folder) == CheckReport("log.example", 0, 1, 0, ())


def body(root: Path) -> Path:
    return sorted((root / "bodies").rglob("*.json"))[4]


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[40] ^= 1
    path.write_bytes(data)


def resign(root: Path, *, root_hash: bytes, time: int) -> None:
    """The log's own key signs something else: what a dishonest operator could do."""
    note = sign_checkpoint(Folder(root).load_log_key(), Checkpoint("log.example", 1, root_hash), time)
    sql(root, "UPDATE checkpoints SET note = ? WHERE size = 1", note)


DAMAGE: dict[str, Callable[[Path], None]] = {
    "has no body": lambda root: body(root).unlink(),
    "has a body that was changed": lambda root: flip(body(root)),
    "has a gap at 3": lambda root: sql(root, "DELETE FROM entries WHERE position = 3"),
    "but 5 entries": lambda root: sql(root, "DELETE FROM entries WHERE position = 5"),
    "speaks of another certificate": lambda root: sql(
        root, "UPDATE entries SET id = '00000000-0000-4000-8000-000000000000' WHERE position = 4"
    ),
    "not a UUID": lambda root: sql(root, "UPDATE entries SET id = 'x' WHERE position = 4"),
    "not an entry of the log": lambda root: sql(root, "UPDATE entries SET entry = x'00' WHERE position = 4"),
    "tile/0/000.p/6 is missing": lambda root: (root / "tile/0/000.p/6").unlink(),
    "tile/0/000.p/6 is not what": lambda root: flip(root / "tile/0/000.p/6"),
    "tile/entries/000.p/6 is not what": lambda root: flip(root / "tile/entries/000.p/6"),
    "tile/entries/000.p/6 is missing": lambda root: (root / "tile/entries/000.p/6").unlink(),
    "was signed over another tree": lambda root: resign(root, root_hash=b"f" * 32, time=2_000_000_000),
    "an earlier one than": lambda root: resign(root, root_hash=b"f" * 32, time=5),
    "the checkpoint of 1 entries is not this log's": lambda root: sql(
        root, "UPDATE checkpoints SET note = replace(note, 'log.example', 'lag.example') WHERE size = 1"
    ),
    "no checkpoint of the empty log": lambda root: sql(root, "DELETE FROM checkpoints WHERE size = 0"),
    "the published checkpoint is missing": lambda root: (root / "checkpoint").unlink(),
    "the published checkpoint is not this log's": lambda root: flip(root / "checkpoint"),
    "is not in the index": lambda root: sql(root, "DELETE FROM checkpoints WHERE size = 6"),
}


@pytest.mark.parametrize("sentence", DAMAGE)
def test_every_damage_is_found(root: Path, sentence: str) -> None:
    DAMAGE[sentence](root)
    report = check_folder(root)
    assert any(sentence in problem for problem in report.problems), report.problems


def test_entries_exchanged_with_their_bodies_are_found_by_the_roots(root: Path) -> None:
    for old, new in ((4, -1), (5, 4), (-1, 5)):
        sql(root, "UPDATE entries SET position = ? WHERE position = ?", new, old)
    assert any("another tree" in problem for problem in check_folder(root).problems)


def test_a_body_of_another_certificate_is_found(root: Path) -> None:
    sql(
        root,
        "UPDATE entries SET body_sha256 = other.body_sha256 FROM entries AS other "
        "WHERE other.position = 3 AND entries.position = 4",
    )
    assert any("the body of another certificate" in problem for problem in check_folder(root).problems)


def test_a_crash_before_publishing_is_no_damage(root: Path) -> None:
    older = sign_older(root)
    (root / "checkpoint").write_text(older)
    report = check_folder(root)
    assert report.problems == ()
    assert report.published == 1
    with open_registry(root) as registry:
        assert registry.size == ENTRIES
    assert check_folder(root).published == ENTRIES


def sign_older(root: Path) -> str:
    connection = sqlite3.connect(root / "index.sqlite3")
    (note,) = connection.execute("SELECT note FROM checkpoints WHERE size = 1").fetchone()
    connection.close()
    return str(note)


def test_full_tiles_and_those_above_are_checked(own_folder: Path, station: Station) -> None:
    fill(own_folder, station, 258)
    assert check_folder(own_folder).problems == ()
    flip(own_folder / "tile/0/000")
    (own_folder / "tile/entries/000").unlink()
    (own_folder / "tile/1/000.p/1").unlink()
    assert set(check_folder(own_folder).problems) == {
        "tile/0/000 is not what the entries make",
        "tile/entries/000 is missing",
        "tile/1/000.p/1 is missing",
    }
    # Ruins are told of briefly.
    shutil.rmtree(own_folder / "bodies")
    assert len(check_folder(own_folder).problems) == MAX_PROBLEMS
