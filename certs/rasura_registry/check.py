"""Verify a whole data folder again, from the bodies up to the published checkpoint, changing nothing.

The roots are made from the entries by a running frontier, not by the code that signed them; tiles and
bundles are compared with what the entries make. The trust file is held against the revocations in the log.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import msgspec
from msgspec.structs import replace

from rasura.bundle import Bundle
from rasura.checkpoint import open_checkpoint
from rasura.entry import Entry
from rasura.errors import RasuraError
from rasura.note import VerifierKey
from rasura.tiles import TILE_WIDTH, Tile, entry_bundle, entry_tiles
from rasura.tree import EMPTY_ROOT, leaf_hash, node_hash
from rasura.trust import Trust
from rasura_registry.files import DurableFiles, body_name
from rasura_registry.folder import Folder
from rasura_registry.index import Sequenced, SqliteIndex
from rasura_registry.log import CHECKPOINT_FILE, Log
from rasura_registry.logged_revocations import LoggedRevocations
from rasura_registry.timestamps import StampStore, stamp_problems
from rasura_registry.trust_check import TrustCheck, check_copy, check_trust

__all__ = ["CheckReport", "check_folder"]

_PAGE = 1024
_AGAIN_S = 1.0
"""A server writes the trust file just after it published a revocation: what is wrong is looked at twice."""
MAX_PROBLEMS = 50
"""More sentences than this help nobody."""


class CheckReport(msgspec.Struct, frozen=True):
    """What was verified, and everything that is wrong, in sentences (:data:`MAX_PROBLEMS` at most)."""

    origin: str
    entries: int
    checkpoints: int
    published: int
    problems: tuple[str, ...]
    timestamps: int = 0
    revoked: int = 0
    """Keys that the log revokes."""
    trust_problems: tuple[str, ...] = ()
    """Where the trust file says otherwise; these are no fault of the log."""


class _Frontier:
    """The roots of a growing tree, from its complete subtrees alone (RFC 6962 section 2.1)."""

    def __init__(self) -> None:
        self.size = 0
        self._subtrees: list[bytes] = []

    def add(self, leaf: bytes) -> None:
        carry, bits = leaf, self.size
        while bits & 1:
            carry = node_hash(self._subtrees.pop(), carry)
            bits >>= 1
        self._subtrees.append(carry)
        self.size += 1

    def root(self) -> bytes:
        if not self._subtrees:
            return EMPTY_ROOT
        computed = self._subtrees[-1]
        for subtree in reversed(self._subtrees[:-1]):
            computed = node_hash(subtree, computed)
        return computed


class _Check:
    """One run over one folder; what is wrong is collected, so that everything is looked at."""

    def __init__(self, files: DurableFiles, index: SqliteIndex, key: VerifierKey) -> None:
        self._files = files
        self._index = index
        self._key = key
        self._problems: list[str] = []
        self._checkpoints = 0
        self._time = 0

    def run(self) -> CheckReport:
        # In this order a server that goes on logging meanwhile cannot make the folder look wrong.
        published = self._files.read(CHECKPOINT_FILE)
        size = self._size_of(self._index.last_checkpoint(), "the last checkpoint of the index")
        entries = self._index.sequenced()
        if entries < size:
            self._say(f"the index has a checkpoint of {size} entries, but {entries} entries")
        leaves = self._entries_and_checkpoints(entries, size)
        self._bundles(min(size, len(leaves)))
        self._hash_tiles(leaves[:size])
        note = published.decode(errors="replace") if published is not None else None
        published_size = self._size_of(note, "the published checkpoint")
        if note is not None and self._index.checkpoint_at(published_size) != note:
            self._say(f"the published checkpoint of {published_size} entries is not in the index")
        return CheckReport(
            self._key.name, len(leaves), self._checkpoints, published_size, tuple(self._problems)
        )

    def _say(self, problem: str) -> None:
        if len(self._problems) < MAX_PROBLEMS:
            self._problems.append(problem)

    def _size_of(self, note: str | None, what: str) -> int:
        if note is None:
            self._say(f"{what} is missing")
            return 0
        try:
            return open_checkpoint(note, [self._key]).checkpoint.size
        except RasuraError as error:
            self._say(f"{what} is not this log's: {error}")
            return 0

    def _entries_and_checkpoints(self, entries: int, last: int) -> list[bytes]:
        """Every entry with its body, every checkpoint with its root; returns the leaf hashes."""
        frontier = _Frontier()
        leaves: list[bytes] = []
        checkpoints = self._stored_checkpoints(last)
        size, note = next(checkpoints, (-1, ""))
        if size != 0:
            self._say("the index has no checkpoint of the empty log")
        for start in range(0, entries + 1, _PAGE):
            rows = self._index.rows(start, min(start + _PAGE, entries))
            for row in [*rows, None]:
                while size == frontier.size:
                    self._checkpoint(note, frontier)
                    size, note = next(checkpoints, (-1, ""))
                if row is None:
                    continue
                if row.position != frontier.size:
                    self._say(f"the index has a gap at {frontier.size}: the next entry is {row.position}")
                    return leaves
                self._entry(row)
                leaves.append(leaf_hash(row.entry))
                frontier.add(leaves[-1])
        return leaves

    def _stored_checkpoints(self, last: int) -> Iterator[tuple[int, str]]:
        after = -1
        while page := self._index.checkpoints(after, _PAGE):
            for size, note in page:
                if size > last:
                    return
                yield size, note
            after = page[-1][0]

    def _checkpoint(self, note: str, frontier: _Frontier) -> None:
        what = f"the checkpoint of {frontier.size} entries"
        self._checkpoints += 1
        try:
            opened = open_checkpoint(note, [self._key])
        except RasuraError as error:
            self._say(f"{what} is not this log's: {error}")
            return
        if (opened.checkpoint.size, opened.checkpoint.root_hash) != (frontier.size, frontier.root()):
            self._say(f"{what} was signed over another tree than the entries make")
        if opened.timestamp is None or opened.timestamp < self._time:
            self._say(f"{what} bears no time, or an earlier one than the checkpoint before it")
        self._time = max(self._time, opened.timestamp or 0)

    def _entry(self, row: Sequenced) -> None:
        what = f"entry {row.position} ({row.id})"
        try:
            entry = Entry.parse(row.entry)
            if (entry.id_sha256, entry.kind.value) != (Entry.digest_of(row.id), row.kind):
                self._say(f"{what} speaks of another certificate")
            raw = self._files.read(body_name(row.body_sha256))
            if raw is None:
                self._say(f"{what} has no body")
            elif hashlib.sha256(raw).hexdigest() != row.body_sha256:
                self._say(f"{what} has a body that was changed")
            elif Bundle.parse(raw).entry().encode() != row.entry:
                self._say(f"{what} has the body of another certificate")
        except RasuraError as error:
            self._say(f"{what}: {error}")

    def _bundles(self, size: int) -> None:
        for tile in entry_tiles(0, size):
            first = tile.index * TILE_WIDTH
            entries = [row.entry for row in self._index.rows(first, first + tile.width)]
            self._tile(tile, entry_bundle(entries))

    def _hash_tiles(self, hashes: list[bytes]) -> None:
        level = 0
        while hashes:
            parents = []
            for first in range(0, len(hashes), TILE_WIDTH):
                row = hashes[first : first + TILE_WIDTH]
                self._tile(Tile(level, first // TILE_WIDTH, len(row)), b"".join(row))
                if len(row) == TILE_WIDTH:
                    subtree = _Frontier()
                    for one in row:
                        subtree.add(one)
                    parents.append(subtree.root())
            level, hashes = level + 1, parents

    def _tile(self, tile: Tile, expected: bytes) -> None:
        # A wider version may have replaced the one this tree size asks for.
        data = self._files.read(tile.full_name) or self._files.read(tile.name)
        if data is None:
            self._say(f"{tile.name} is missing")
        elif not data.startswith(expected):
            self._say(f"{tile.name} is not what the entries make")


def check_folder(root: Path, copy: Trust | None = None, copy_name: str = "the copy") -> CheckReport:
    """Verify the data folder at ``root``; a server may be running on it.

    ``copy`` is the trust file as auditors were given it, which is held against the folder's too.

    Raises:
        FolderError: it is not a registry's folder.
        StoreError: the disk or the index said no.
    """
    folder = Folder(root)
    trust = folder.load_trust()
    key = trust.logs[0]
    index = SqliteIndex(folder.index)
    try:
        report = _Check(DurableFiles(root), index, key).run()
        stamps = StampStore(folder.timestamps)
        wrong = stamp_problems(stamps, key, index.checkpoint_at, trust.timestamp_authorities)
        found = _check_trust(folder, index, copy, copy_name)
        if found.problems:
            time.sleep(_AGAIN_S)
            found = _check_trust(folder, index, copy, copy_name)
        return replace(
            report,
            problems=(*report.problems, *islice(wrong, MAX_PROBLEMS - len(report.problems))),
            timestamps=len(stamps.sizes),
            revoked=found.revoked,
            trust_problems=found.problems[:MAX_PROBLEMS],
        )
    finally:
        index.close()


def _check_trust(folder: Folder, index: SqliteIndex, copy: Trust | None, copy_name: str) -> TrustCheck:
    rows, trust = index.revocations(), folder.load_trust()
    files = DurableFiles(folder.root)
    log = Log(files, index, folder.load_log_key(), trust.logs[0].name, lambda: 0)
    logged = LoggedRevocations(files, log)
    remedy = "'rasura-registry serve' writes it anew when it starts"
    own = check_trust(trust, rows, logged, folder.trust.name, remedy)
    if copy is None:
        return own
    remedy = f"hand out {folder.trust} in its place"
    there = check_trust(replace(trust, revoked=copy.revoked), rows, logged, copy_name, remedy)
    return replace(own, problems=(*own.problems, *check_copy(copy, trust, copy_name), *there.problems))
