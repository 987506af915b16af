"""Files that never change, and folders whose names are durable before what is in them counts."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from rasura_registry.errors import LogDamagedError, StoreError
from rasura_registry.files import DurableFiles


def test_a_file_is_made_once_and_never_changed(tmp_path: Path) -> None:
    files = DurableFiles(tmp_path)
    assert files.read("a/b/c") is None
    files.create_all({"a/b/c": b"one"})
    files.create_all({"a/b/c": b"one"})
    DurableFiles(tmp_path).create_all({"a/b/c": b"one"})
    with pytest.raises(LogDamagedError, match="a/b/c is there with other content"):
        files.create_all({"a/b/c": b"two"})
    assert files.read("a/b/c") == b"one"
    assert [path.name for path in (tmp_path / "a/b").iterdir()] == ["c"]


def test_a_published_file_is_replaced(tmp_path: Path) -> None:
    files = DurableFiles(tmp_path)
    files.replace("checkpoint", b"one")
    files.replace("checkpoint", b"two")
    assert files.read("checkpoint") == b"two"


def test_a_folder_may_come_back_after_it_was_removed(tmp_path: Path) -> None:
    files = DurableFiles(tmp_path)
    files.create_all({"t/0.p/1": b"x"})
    files.remove_folder("t/0.p")
    files.remove_folder("t/0.p")
    assert files.read("t/0.p/1") is None
    files.create_all({"t/0.p/1": b"x"})
    assert files.read("t/0.p/1") == b"x"


def test_many_threads_may_make_the_same_folder_and_file(tmp_path: Path) -> None:
    files = DurableFiles(tmp_path)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: files.create_all({f"a/{number % 4}/x": b"same"}), range(64)))
    assert sorted(path.name for path in (tmp_path / "a").iterdir()) == ["0", "1", "2", "3"]


def test_what_the_file_system_refuses_is_told(tmp_path: Path) -> None:
    files = DurableFiles(tmp_path)
    files.create_all({"file": b"x"})
    for attempt in (
        lambda: files.create_all({"file/below": b"x"}),
        lambda: files.create_all({"n" * 300: b"x"}),
        lambda: files.replace("none/there", b"x"),
        lambda: files.read("."),
        lambda: files.remove_folder("file"),
    ):
        with pytest.raises(StoreError) as refusal:
            attempt()
        assert not refusal.value.full


def test_a_batch_of_files_that_fails_leaves_nothing_unfinished(tmp_path: Path) -> None:
    files = DurableFiles(tmp_path)
    with pytest.raises(StoreError):
        files.create_all({"one": b"x", "n" * 300: b"x"})
    (tmp_path / "folder").mkdir()
    with pytest.raises(StoreError):
        files.create_all({"two": b"x", "folder": b"x"})
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]
