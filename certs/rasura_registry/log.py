"""The log: entries are put in order, the tree grows, a checkpoint is signed, receipts are made.

The order of events makes every crash harmless::

    body files durable            nobody knows of them yet
    entries committed             THE DECISION: they are in the log, at these positions
    tiles and bundles durable     follow from the entries, and can be made again
    checkpoint signed and stored  only when it extends the last one
    checkpoint published          the file that everybody reads
    receipts handed out

Whatever was committed and not published is published first, at the next start or the next batch.
One thread at a time may append; receipts may be asked for from any thread.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Sequence

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from rasura.checkpoint import Checkpoint, open_checkpoint, sign_checkpoint
from rasura.entry import Entry
from rasura.errors import RasuraError
from rasura.note import VerifierKey
from rasura.receipt import Receipt
from rasura.tiles import TILE_WIDTH, Tile, TileCache, entry_bundle, entry_tiles, grow
from rasura.tree import (
    EMPTY_ROOT,
    HASH_BYTES,
    consistency_from,
    inclusion_from,
    leaf_hash,
    root_from,
    verify_consistency,
    verify_inclusion,
)
from rasura_registry.errors import LogDamagedError, StoreError
from rasura_registry.files import Files, body_name
from rasura_registry.index import Index, Sequenced

__all__ = ["CHECKPOINT_FILE", "Conflict", "Log", "Recorded", "Submission", "start_log"]

CHECKPOINT_FILE = "checkpoint"
"""The name of the published checkpoint, in the data folder and on the server."""

_CLOCK_TOLERANCE_S = 60

_logger = logging.getLogger(__name__)


class Submission(msgspec.Struct, frozen=True):
    """An entry to be logged, the document's id, and its body: the bytes that were submitted."""

    id: str
    entry: Entry
    body: bytes


class Recorded(msgspec.Struct, frozen=True):
    """The entry is in the log; ``new`` if it was not before."""

    new: bool
    receipt: Receipt


class Conflict(msgspec.Struct, frozen=True):
    """The id stands in the log with another entry; nothing was recorded."""

    existing: Sequenced


class _Signed(msgspec.Struct, frozen=True):
    """A checkpoint that we signed: the note, what it says, and when (POSIX seconds)."""

    note: str
    checkpoint: Checkpoint
    timestamp: int


def start_log(files: Files, index: Index, key: Ed25519PrivateKey, origin: str, now: int) -> None:
    """Sign, store and publish the checkpoint of the empty log, once, before :class:`Log` is ever used."""
    note = sign_checkpoint(key, Checkpoint(origin, 0, EMPTY_ROOT), now)
    index.add_checkpoint(0, note)
    files.replace(CHECKPOINT_FILE, note.encode())


class Log:
    """One log in one data folder. Call :meth:`recover` before anything else.

    ``clock`` gives POSIX seconds.
    """

    def __init__(
        self, files: Files, index: Index, key: Ed25519PrivateKey, origin: str, clock: Callable[[], int]
    ) -> None:
        self._files = files
        self._index = index
        self._key = key
        self._verifier_key = VerifierKey.of(origin, key)
        self._clock = clock
        self._tiles = TileCache(self._load_tile)
        self._last: _Signed | None = None

    @property
    def published(self) -> Checkpoint | None:
        """The last published checkpoint; None after a failure, until :meth:`recover` has repaired it."""
        last = self._last
        return last.checkpoint if last else None

    def recover(self) -> None:
        """Check that files, index and checkpoints agree, then publish whatever is committed and is not.

        Raises:
            LogDamagedError: they disagree. Nothing was signed.
            StoreError: the disk or the index said no. Calling again is safe.
        """
        self._last = None
        self._last = self._recovered()

    def append(self, batch: Sequence[Submission]) -> list[Recorded | Conflict]:
        """Log a batch: one commit, one checkpoint, a receipt each, in the order given.

        An entry that is there already gets the receipt it always had.

        Raises:
            StoreError: the disk or the index said no. No receipt was made; some entries may be committed,
                and asking again for those is answered as for any entry that is there already.
            LogDamagedError: see :meth:`recover`.
        """
        before = self._last or self._recovered()
        try:
            places = self._commit(batch)
            after = self._publish(before)
            results = [self._answer(place, after) for place in places]
        except BaseException:
            # How far it came is for the next recovery to find out.
            self._last = None
            raise
        self._last = after
        return results

    def receipt(self, row: Sequenced) -> Receipt | None:
        """The receipt of an entry in the log, always the same; None while no checkpoint holds the entry.

        It leads to the first checkpoint that held it, whose time bounds the moment of inclusion best.

        Raises:
            StoreError: the disk or the index said no.
            LogDamagedError: the files do not give a proof that holds.
        """
        note = self._index.checkpoint_covering(row.position)
        return None if note is None else self.receipt_under(row, note)

    def receipt_under(self, row: Sequenced, note: str) -> Receipt:
        """The receipt of an entry that leads to ``note``, a checkpoint of ours that holds the entry.

        It may carry the cosignatures of witnesses. Raises as :meth:`receipt`.
        """
        return self._prove(row, self._open(note, "a checkpoint with its cosignatures"))

    def signed_checkpoint(self) -> str:
        """The published checkpoint as it was signed; raises :class:`StoreError`."""
        note = self._files.read(CHECKPOINT_FILE)
        if note is None:
            raise StoreError("the checkpoint is not there any more")
        return note.decode("utf-8", "replace")

    def consistency(self, old: int, new: int) -> tuple[bytes, ...]:
        """That the tree of ``new`` published entries extends that of ``old``.

        Raises:
            StoreError: the disk said no.
            LogDamagedError: tiles are missing.
            ProofError: not ``0 <= old <= new``.
        """
        return consistency_from(self._tiles.reader(new), old, new)

    def _recovered(self) -> _Signed:
        self._tiles.clear()
        last = self._open(self._index.last_checkpoint(), "the last checkpoint of the index")
        size = last.checkpoint.size
        file = self._files.read(CHECKPOINT_FILE)
        note = None if file is None else file.decode(errors="replace")
        published = self._open(note, "the published checkpoint").checkpoint.size
        if self._index.checkpoint_at(published) != note:
            raise LogDamagedError(
                f"the published checkpoint of {published} entries is not in the index, which ends at {size}"
            )
        if self._index.sequenced() < size:
            raise LogDamagedError(f"the index lacks entries that its checkpoint of {size} covers")
        if root_from(self._tiles.reader(size), size) != last.checkpoint.root_hash:
            raise LogDamagedError(f"the tiles do not lead to the root of the checkpoint of {size} entries")
        if published < size:
            self._files.replace(CHECKPOINT_FILE, last.note.encode())
        return self._publish(last)

    def _commit(self, batch: Sequence[Submission]) -> list[tuple[Sequenced, bool] | Conflict]:
        """Give each submission its place, and commit the new ones; True marks those."""
        places: list[tuple[Sequenced, bool] | Conflict] = []
        new: dict[str, Sequenced] = {}
        bodies: dict[str, bytes] = {}
        position = self._index.sequenced()
        for submission in batch:
            entry = submission.entry.encode()
            there = new.get(submission.id) or self._index.find(submission.id)
            if there is None:
                digest = hashlib.sha256(submission.body).hexdigest()
                kind = submission.entry.kind.value
                row = Sequenced(position + len(new), submission.id, kind, entry, digest)
                new[row.id] = row
                bodies[body_name(digest)] = submission.body
                places.append((row, True))
            elif there.entry == entry:
                places.append((there, False))
            else:
                places.append(Conflict(there))
        if new:
            self._files.create_all(bodies)
            self._index.append(list(new.values()))
        return places

    def _publish(self, before: _Signed) -> _Signed:
        """Bring tiles and checkpoint up to what is committed; the last thing is the published file."""
        old, size = before.checkpoint.size, self._index.sequenced()
        if size == old:
            return before
        full = self._write_tiles(old, size)
        signed = self._sign(before, size)
        self._index.add_checkpoint(size, signed.note)
        self._files.replace(CHECKPOINT_FILE, signed.note.encode())
        for tile in full:
            self._files.remove_folder(tile.partial_folder)
        return signed

    def _write_tiles(self, old: int, size: int) -> list[Tile]:
        """Make the files that a tree of ``size`` has and one of ``old`` had not; the full ones among them."""
        rows = self._index.rows(old - old % TILE_WIDTH, size)
        if [row.position for row in rows] != list(range(old - old % TILE_WIDTH, size)):
            raise LogDamagedError("the positions in the index have a gap")
        made: dict[Tile, bytes] = {}
        for tile in entry_tiles(old, size):
            first = tile.index * TILE_WIDTH - rows[0].position
            made[tile] = entry_bundle([row.entry for row in rows[first : first + tile.width]])
        leaves = [leaf_hash(row.entry) for row in rows[old % TILE_WIDTH :]]
        made.update(grow(self._load_tile, old, leaves))
        self._files.create_all({tile.name: data for tile, data in made.items()})
        return [tile for tile in made if tile.width == TILE_WIDTH]

    def _sign(self, before: _Signed, size: int) -> _Signed:
        """Sign the tree of ``size``, having proved that it extends the last one that we signed."""
        read = self._tiles.reader(size)
        root, old = root_from(read, size), before.checkpoint
        try:
            verify_consistency(old.size, size, consistency_from(read, old.size, size), old.root_hash, root)
        except RasuraError as error:
            raise LogDamagedError(f"the tree does not extend the last checkpoint: {error}") from None
        now = self._clock()
        if now < before.timestamp - _CLOCK_TOLERANCE_S:
            _logger.warning("ALERT the clock is %d s behind the last checkpoint", before.timestamp - now)
        timestamp = max(now, before.timestamp)
        checkpoint = Checkpoint(old.origin, size, root)
        return _Signed(sign_checkpoint(self._key, checkpoint, timestamp), checkpoint, timestamp)

    def _answer(self, place: tuple[Sequenced, bool] | Conflict, after: _Signed) -> Recorded | Conflict:
        if isinstance(place, Conflict):
            return place
        row, new = place
        receipt = self._prove(row, after) if new else self.receipt(row)
        if receipt is None:
            raise LogDamagedError(f"no checkpoint holds the entry at {row.position}")
        return Recorded(new, receipt)

    def _prove(self, row: Sequenced, signed: _Signed) -> Receipt:
        checkpoint = signed.checkpoint
        proof = inclusion_from(self._tiles.reader(checkpoint.size), row.position, checkpoint.size)
        try:
            verify_inclusion(leaf_hash(row.entry), row.position, checkpoint.size, proof, checkpoint.root_hash)
        except RasuraError as error:
            raise LogDamagedError(
                f"the tiles give no proof of the entry at {row.position}: {error}"
            ) from None
        return Receipt(row.position, proof, signed.note)

    def _open(self, note: str | None, what: str) -> _Signed:
        if note is None:
            raise LogDamagedError(f"{what} is missing")
        try:
            opened = open_checkpoint(note, [self._verifier_key])
        except RasuraError as error:
            raise LogDamagedError(f"{what} is not this log's: {error}") from None
        if opened.timestamp is None:
            raise LogDamagedError(f"{what} bears no time")
        return _Signed(note, opened.checkpoint, opened.timestamp)

    def _load_tile(self, tile: Tile) -> bytes:
        data = self._files.read(tile.full_name)
        if data is None and tile.width < TILE_WIDTH:
            data = self._files.read(tile.name)
        if data is None or len(data) < tile.width * HASH_BYTES:
            raise LogDamagedError(f"{tile.name} is missing or too short")
        return data
