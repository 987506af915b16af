"""The registry's surroundings: files and an index that fail where a test says, and a real server process."""

from __future__ import annotations

import hashlib
import json
import signal
import subprocess
import sys
import time
import uuid
import weakref
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Any

import urllib3
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from rasura.checkpoint import open_checkpoint
from rasura.entry import Entry, EntryKind
from rasura.note import VerifierKey
from rasura.receipt import Receipt
from rasura.tree import consistency_proof, leaf_hash, root_hash, verify_consistency, verify_inclusion
from rasura_registry.errors import StoreError
from rasura_registry.files import DurableFiles, Files, body_name
from rasura_registry.index import Index, Sequenced, SqliteIndex, create_index
from rasura_registry.log import CHECKPOINT_FILE, Log, Recorded, Submission, start_log

ORIGIN = "log.example"
KEY = Ed25519PrivateKey.from_private_bytes(b"l" * 32)
LOG_KEY = VerifierKey.of(ORIGIN, KEY)


def submission(number: int, *, payload: int = 0) -> Submission:
    """Certificate ``number``; another ``payload`` makes it another certificate with the same id."""
    name = str(uuid.UUID(int=number))
    entry = Entry(EntryKind.ERASURE_CERTIFICATE, Entry.digest_of(name), f"{payload:064x}", "1" * 64, "2" * 64)
    return Submission(name, entry, b"body %d" % number)


class PowerCut(BaseException):
    """The process is gone at this very operation; nothing in it may go on."""


class Persisted(Enum):
    """How much of a failed write is on the disk."""

    NOTHING = 0
    HALF = 1
    ALL = 2


@dataclass
class Fault:
    """Fails the ``at``-th write (from 0)."""

    at: int = -1
    persisted: Persisted = Persisted.NOTHING
    error: type[BaseException] = PowerCut
    writes: int = 0
    halved: set[int] = field(default_factory=set)

    def around(self, write: Callable[[], None], half: Callable[[], None] | None = None) -> None:
        """Do a write, or what is left of it; only a write of several files can be done by half."""
        hit = self.writes == self.at
        if half:
            self.halved.add(self.writes)
        self.writes += 1
        if not hit or self.persisted is Persisted.ALL:
            write()
        elif self.persisted is Persisted.HALF and half:
            half()
        if hit:
            raise self.error(self.persisted.name)


class FaultyFiles:
    """Real files whose writes fail as ``fault`` says."""

    def __init__(self, files: Files, fault: Fault) -> None:
        self._files = files
        self._fault = fault

    def create_all(self, files: Mapping[str, bytes]) -> None:
        half = dict(list(files.items())[: (len(files) + 1) // 2])
        self._fault.around(lambda: self._files.create_all(files), lambda: self._files.create_all(half))

    def replace(self, name: str, data: bytes) -> None:
        self._fault.around(lambda: self._files.replace(name, data))

    def read(self, name: str) -> bytes | None:
        return self._files.read(name)

    def remove_folder(self, name: str) -> None:
        self._fault.around(lambda: self._files.remove_folder(name))


class FaultyIndex(SqliteIndex):
    """A real index whose commits fail as ``fault`` says."""

    def __init__(self, path: Path, fault: Fault) -> None:
        super().__init__(path)
        self._fault = fault

    def append(self, rows: Sequence[Sequenced]) -> None:
        self._fault.around(lambda: super(FaultyIndex, self).append(rows))

    def add_checkpoint(self, size: int, note: str) -> None:
        self._fault.around(lambda: super(FaultyIndex, self).add_checkpoint(size, note))


def _close_all(indexes: list[SqliteIndex]) -> None:
    for index in indexes:
        index.close()
    indexes.clear()


@dataclass
class Disk:
    """A folder that outlives the logs that run on it."""

    root: Path
    now: int = 1_700_000_000
    open_indexes: list[SqliteIndex] = field(default_factory=list)

    def __post_init__(self) -> None:
        # A test that ends with its log running leaves nothing open behind it.
        weakref.finalize(self, _close_all, self.open_indexes)

    @classmethod
    def new(cls, root: Path) -> Disk:
        root.mkdir(parents=True, exist_ok=True)
        create_index(root / "index.sqlite3")
        index = SqliteIndex(root / "index.sqlite3")
        start_log(DurableFiles(root), index, KEY, ORIGIN, 1_700_000_000)
        index.close()
        return cls(root)

    def boot(self, fault: Fault | None = None) -> tuple[Log, FaultyIndex]:
        """A log on this disk, as after a start; whatever ran before is gone."""
        self.power_off()
        fault = fault or Fault()
        index = FaultyIndex(self.root / "index.sqlite3", fault)
        self.open_indexes.append(index)
        return Log(FaultyFiles(DurableFiles(self.root), fault), index, KEY, ORIGIN, self.clock), index

    def power_off(self) -> None:
        _close_all(self.open_indexes)

    def clock(self) -> int:
        return self.now

    def published(self) -> str:
        return (self.root / CHECKPOINT_FILE).read_text()


def require_sound(disk: Disk, index: Index, acknowledged: dict[str, Receipt]) -> None:
    """No acknowledged receipt is lost, and every one agrees with the log as it is now."""
    rows = index.rows(0, index.sequenced())
    leaves = [leaf_hash(row.entry) for row in rows]
    assert disk.published() == index.last_checkpoint()
    final = open_checkpoint(disk.published(), [LOG_KEY]).checkpoint
    assert final.size == len(leaves)
    assert final.root_hash == root_hash(leaves)
    places = {row.id: row for row in rows}
    signed = {}
    for note in {receipt.checkpoint_note for receipt in acknowledged.values()}:
        seen = signed[note] = open_checkpoint(note, [LOG_KEY]).checkpoint
        proof = consistency_proof(leaves, seen.size, final.size)
        verify_consistency(seen.size, final.size, proof, seen.root_hash, final.root_hash)
    for certificate_id, receipt in acknowledged.items():
        row, seen = places[certificate_id], signed[receipt.checkpoint_note]
        assert receipt.index == row.position
        body = (disk.root / body_name(row.body_sha256)).read_bytes()
        assert hashlib.sha256(body).hexdigest() == row.body_sha256
        verify_inclusion(leaves[row.position], receipt.index, seen.size, receipt.proof, seen.root_hash)


def receipts(batch: Sequence[Submission], answers: Sequence[object]) -> dict[str, Receipt]:
    """The receipt of each submission, all of which must have been recorded."""
    found = {}
    for one, answer in zip(batch, answers, strict=True):
        assert isinstance(answer, Recorded)
        found[one.id] = answer.receipt
    return found


def failing(at: int, persisted: Persisted) -> Fault:
    """A fault that the process survives."""
    return Fault(at, persisted, StoreError)


class Server:
    """A registry process on a free loopback port."""

    def __init__(self, root: Path, scratch: Path, *arguments: str, max_file_bytes: int | None = None) -> None:
        self._port_file = scratch / f"port-{uuid.uuid4()}"
        self._log_path = scratch / f"log-{uuid.uuid4()}"

        # POSIX: ulimit -f counts blocks of 512 bytes.
        limited = (
            ()
            if max_file_bytes is None
            else ("sh", "-c", 'ulimit -f "$0"; exec "$@"', str(max_file_bytes // 512))
        )
        with self._log_path.open("wb") as log:
            self.process = subprocess.Popen(
                [
                    *limited,
                    *(sys.executable, "-m", "rasura_registry", "serve", str(root)),
                    *("--port", "0", "--port-file", str(self._port_file), *arguments),
                ],
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
        deadline = time.monotonic() + 60
        while not self._port_file.exists():
            if self.process.poll() is not None or time.monotonic() > deadline:
                self.kill()
                raise AssertionError(f"the server did not start:\n{self.log}")
            time.sleep(0.02)
        self.port = int(self._port_file.read_text())
        scheme = "https" if any(one.startswith("--tls") for one in arguments) else "http"
        self.url = f"{scheme}://127.0.0.1:{self.port}"
        self._pool = urllib3.PoolManager(maxsize=32, retries=False, timeout=30)

    @property
    def log(self) -> str:
        return self._log_path.read_text()

    def ask(self, method: str, path: str, body: bytes | None = None, **headers: str) -> Answer:
        response = self._pool.request(method, self.url + path, body=body, headers=headers)
        return Answer(response.status, response.headers.get("Content-Type", ""), response.data)

    def said(self) -> str:
        """The next line that it printed."""
        assert self.process.stdout is not None
        return self.process.stdout.readline()

    def put(self, certificate_id: str, body: bytes) -> Answer:
        return self.ask("PUT", f"/certificates/{certificate_id}", body)

    def stop(self, number: int = signal.SIGTERM) -> int:
        """End it as an operator does; its exit code."""
        self._pool.clear()
        self.process.send_signal(number)
        try:
            return self.process.wait(30)
        finally:
            self.kill()

    def kill(self) -> None:
        """End it as a power cut does."""
        self.process.kill()
        self.process.wait()
        if self.process.stdout:
            self.process.stdout.close()


@dataclass(frozen=True)
class Answer:
    """An HTTP answer, read to its end."""

    status: int
    content_type: str
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def receipt(self) -> Receipt:
        assert self.status in {200, 201}, self.body
        return Receipt.parse(self.json["receipt"])
