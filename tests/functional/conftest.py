"""The commands as a user calls them: real processes, real files, a real registry on loopback."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from rasura.bundle import Bundle
from rasura.certificate import ErasureCertificate
from rasura.machine_report import MachineReport

BIN = Path(sys.executable).parent
MARK = b"SECRET INVOICES "


@dataclass
class Ran:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


@dataclass
class Workshop:
    """A folder with a registry, a site, and drives."""

    folder: Path
    registry: str
    registry_site: Path
    """The site folder by its real path."""

    @property
    def site(self) -> Path:
        return self.folder / "registry" / "sites" / "Workshop"

    @property
    def trust(self) -> Path:
        return self.folder / "registry" / "trust.toml"

    @property
    def spool(self) -> Path:
        return self.folder / "spool"

    def drive(self, name: str = "disk.img", size: int = 1 << 20) -> Path:
        """A file full of old data."""
        path = self.folder / name
        path.write_bytes((MARK * (size // len(MARK) + 1))[:size])
        return path

    def run(self, *command: str | Path, file_limit: int | None = None, **env: str) -> Ran:
        """Run one of our commands with this workshop's settings."""
        environment = {
            **os.environ,
            "RASURA_SITE": str(self.site),
            "RASURA_SPOOL": str(self.spool),
            "RASURA_REGISTRY": self.registry,
            **env,
        }
        words = [str(BIN / command[0]), *map(str, command[1:])]
        if file_limit is not None:
            words = ["prlimit", f"--fsize={file_limit}", *words]
        done = subprocess.run(
            words, env=environment, cwd=self.folder, capture_output=True, text=True, check=False, timeout=60
        )
        assert "Traceback" not in done.stderr, done.stderr
        return Ran(done.returncode, done.stdout, done.stderr)

    def erase(self, drive: Path, *more: str | Path, **options: Any) -> Ran:
        """Erase one virtual drive."""
        return self.run(
            "rasura-agent", "erase", "--virtual-drive", drive, "--confirm-all", "1", *more, **options
        )

    def pending(self) -> list[Path]:
        """The certificates that wait; reports are there besides."""
        return self._kept("pending", ErasureCertificate)

    def sent(self) -> list[Path]:
        """The certificates that are logged."""
        return self._kept("sent", ErasureCertificate)

    def reports(self, part: str = "sent") -> list[Path]:
        """The machine reports that are logged, or ``pending``."""
        return self._kept(part, MachineReport)

    def _kept(self, part: str, kind: type) -> list[Path]:
        return _of_kind(self.spool / part, kind)


def certificates_in(folder: Path) -> list[Path]:
    """The certificates of drives among the signed documents in a folder."""
    return _of_kind(folder, ErasureCertificate)


def _of_kind(folder: Path, kind: type) -> list[Path]:
    paths = sorted(folder.glob("*.json"))
    return [path for path in paths if isinstance(Bundle.parse(path.read_bytes()).claims, kind)]


@pytest.fixture(scope="session")
def started_registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, str]]:
    """A registry with a site, serving for the whole session of this process."""
    folder = tmp_path_factory.mktemp("registry")
    command = str(BIN / "rasura-registry")
    subprocess.run(
        [command, "init", folder / "registry", "--name", "test.rasura.example/log", "--site", "Workshop"],
        check=True,
        capture_output=True,
    )
    port_file = folder / "port"
    server = subprocess.Popen(
        [command, "serve", folder / "registry", "--port", "0", "--port-file", port_file],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + 30
    while not (port_file.exists() and port_file.read_text().strip()):
        assert server.poll() is None, "the registry did not start"
        assert time.monotonic() < deadline, "the registry did not start in time"
        time.sleep(0.05)
    yield folder, f"http://127.0.0.1:{port_file.read_text().strip()}"
    server.terminate()
    assert server.wait(20) == 0


@pytest.fixture
def workshop(started_registry: tuple[Path, str], tmp_path: Path) -> Workshop:
    registry_folder, url = started_registry
    (tmp_path / "registry").symlink_to(registry_folder / "registry")
    return Workshop(tmp_path, url, registry_folder / "registry" / "sites" / "Workshop")
