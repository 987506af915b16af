from __future__ import annotations

import shutil
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from rasura_registry.folder import initialise
from registry.samples import Station
from registry.world import Disk, Server


@pytest.fixture(scope="session")
def pristine_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A registry's data folder with the site Lyon and an empty log, only ever copied."""
    root = tmp_path_factory.mktemp("registry") / "data"
    initialise(root, origin="log.example", sites=["Lyon"], url=None, now=datetime.now(UTC))
    return root


@pytest.fixture(scope="session")
def registry_folder(pristine_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the session's server."""
    return Path(shutil.copytree(pristine_folder, tmp_path_factory.mktemp("served") / "data"))


@pytest.fixture(scope="session")
def station(pristine_folder: Path) -> Station:
    """A station of Lyon; every registry of these tests knows it."""
    return Station.of_folder(pristine_folder)


@pytest.fixture(scope="session")
def server(registry_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One server for every test that only talks to it."""
    running = Server(registry_folder, tmp_path_factory.mktemp("server"))
    yield running
    assert running.stop() == 0


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    disk = Disk.new(tmp_path / "disk")
    yield disk
    disk.power_off()


@pytest.fixture
def own_folder(pristine_folder: Path, tmp_path: Path) -> Path:
    """A registry of the same keys, for one test to run or damage."""
    return Path(shutil.copytree(pristine_folder, tmp_path / "data"))
