"""The registry behind its HTTP face: what may be logged, is; what is logged, can be had."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path

from cryptography import x509

from rasura import strict_json
from rasura.bundle import Bundle
from rasura.checkpoint import Checkpoint
from rasura.entry import Entry, EntryKind
from rasura.errors import RasuraError, UsageError
from rasura.note import Note
from rasura.receipt import Receipt
from rasura.tiles import Tile
from rasura.timestamp import Timestamp
from rasura.verifier import check_submission
from rasura_registry.cosignatures import Cosignatures
from rasura_registry.enrolments import Enrolments
from rasura_registry.errors import StoreError
from rasura_registry.files import DurableFiles, Files, body_name
from rasura_registry.folder import Folder
from rasura_registry.index import Index, Sequenced, SqliteIndex
from rasura_registry.log import Conflict, Log, Recorded, Submission
from rasura_registry.sequencer import Sequencer
from rasura_registry.timestamps import DEFAULT_INTERVAL_S, StampStore, Timestamper, timestamping
from rasura_registry.trust_book import TrustBook
from rasura_registry.tsa import TimestampAuthority
from rasura_registry.witnesses import Witnessing, start_askers

__all__ = ["NotJsonError", "Registry", "SubmissionError", "open_registry"]

_logger = logging.getLogger(__name__)


class SubmissionError(RasuraError):
    """The submission does not hold; ``reasons`` are sentences."""

    def __init__(self, *reasons: str) -> None:
        super().__init__("; ".join(reasons))
        self.reasons = reasons


class NotJsonError(SubmissionError):
    """The submission is not even JSON."""


class Registry:
    """One open data folder. Its methods block on files, except :meth:`log_it`; any thread may call them."""

    def __init__(
        self,
        files: Files,
        index: Index,
        log: Log,
        sequencer: Sequencer,
        authorities: tuple[x509.Certificate, ...],
        trust: TrustBook,
        enrolments: Enrolments,
        stamps: StampStore,
        clock: Callable[[], int],
        cosignatures: Cosignatures,
    ) -> None:
        self.enrolments = enrolments
        self._trust = trust
        self._files = files
        self._index = index
        self._log = log
        self._sequencer = sequencer
        self._authorities = authorities
        self._stamps = stamps
        self._clock = clock
        self._cosignatures = cosignatures

    @property
    def trust_toml(self) -> bytes:
        """What auditors are given: whom to trust, and which keys not any more."""
        return self._trust.toml

    @property
    def size(self) -> int | None:
        """How many entries are published; None while a failure waits to be repaired."""
        published = self._log.published
        return published.size if published else None

    def take(self, certificate_id: str, raw: bytes) -> Submission | Recorded | Conflict:
        """Judge a submission, for :meth:`log_it`; or say that its entry is there already.

        Raises:
            SubmissionError: it must not be logged.
            StoreError: the disk or the index said no.
        """
        entry = self._judge(certificate_id, raw)
        there = self._index.find(certificate_id)
        if there is not None:
            if there.entry != entry.encode():
                return self._alert(Conflict(there))
            receipt = self._receipt(there)
            if receipt is not None:
                return Recorded(False, receipt)
        return Submission(certificate_id, entry, raw)

    def log_it(self, submission: Submission) -> Future[Recorded | Conflict]:
        """Have the next batch log what :meth:`take` accepted; see :meth:`Sequencer.submit`.

        A revocation is in the trust file when its future is done.
        """
        future = self._sequencer.submit(submission)
        future.add_done_callback(self._alert_if_conflict)
        return self._taken_in(future) if submission.entry.kind is EntryKind.REVOCATION else future

    def certificate(self, certificate_id: str) -> bytes | None:
        """The bundle with its receipt, and a timestamp once there is one; None when no entry bears that id.

        Raises:
            StoreError: the disk or the index said no, or the body is gone.
        """
        row = self._index.find(certificate_id)
        receipt = None if row is None else self._receipt(row)
        if row is None or receipt is None:
            return None
        raw = self._files.read(body_name(row.body_sha256))
        if raw is None:
            raise StoreError(f"the body of {certificate_id} is not there any more")
        bundle = Bundle.parse(raw).with_receipt(receipt)
        stamp = self._stamps.covering(row.position)
        if stamp is not None:
            stamped = Timestamp(self._log.receipt_under(row, stamp.note), stamp.token)
            bundle = bundle.with_timestamps((stamped,))
        return bundle.encode()

    def checkpoint(self) -> bytes:
        """The published checkpoint with the cosignatures that there are; raises :class:`StoreError`."""
        note = self._log.signed_checkpoint()
        size = Checkpoint.parse(Note.parse(note).text).size
        return (note + self._cosignatures.under(size)).encode()

    def tile(self, tile: Tile) -> bytes | None:
        """A tile's bytes, or None; raises :class:`StoreError`."""
        return self._files.read(tile.name)

    def _receipt(self, row: Sequenced) -> Receipt | None:
        """The receipt under the first checkpoint that witnesses cosigned; without one, the first of all.

        A later checkpoint says "logged by" a little later, and says it with the word of others.
        """
        size = self._cosignatures.covering(row.position)
        note = None if size is None else self._index.checkpoint_at(size)
        if size is None or note is None:
            return self._log.receipt(row)
        return self._log.receipt_under(row, note + self._cosignatures.under(size))

    def _judge(self, certificate_id: str, raw: bytes) -> Entry:
        try:
            bundle = Bundle.parse(raw)
        except RasuraError as error:
            raise _unreadable(raw, error) from None
        now = datetime.fromtimestamp(self._clock(), UTC)
        reasons = check_submission(bundle, self._authorities, now, self._trust.revoked)
        if reasons:
            raise SubmissionError(*reasons)
        try:
            entry = bundle.entry()
        except RasuraError as error:
            raise SubmissionError(str(error)) from None
        if bundle.certificate_id != certificate_id:
            raise SubmissionError(f"its id is {bundle.certificate_id}, not the one in the address")
        return entry

    def _taken_in(self, logged: Future[Recorded | Conflict]) -> Future[Recorded | Conflict]:
        after: Future[Recorded | Conflict] = Future()

        def take_in(done: Future[Recorded | Conflict]) -> None:
            if done.cancelled():
                after.cancel()
                return
            error = done.exception()
            if error is None:
                try:
                    self._trust.refresh()
                except RasuraError as reason:
                    _logger.warning("ALERT a revocation is in the log and not in trust.toml: %s", reason)
            if not after.set_running_or_notify_cancel():
                return
            if error is not None:
                after.set_exception(error)
            else:
                after.set_result(done.result())

        logged.add_done_callback(take_in)
        return after

    def _alert_if_conflict(self, future: Future[Recorded | Conflict]) -> None:
        if not future.cancelled() and future.exception() is None:
            answer = future.result()
            if isinstance(answer, Conflict):
                self._alert(answer)

    @staticmethod
    def _alert(conflict: Conflict) -> Conflict:
        _logger.warning(
            "ALERT another certificate came with the id %s of entry %d",
            conflict.existing.id,
            conflict.existing.position,
        )
        return conflict


def _unreadable(raw: bytes, error: RasuraError) -> SubmissionError:
    try:
        strict_json.loads(raw, what="the body")
    except strict_json.JsonError as reason:
        return NotJsonError(str(reason))
    return SubmissionError(str(error))


def _posix_seconds() -> int:
    return int(time.time())


@contextmanager
def open_registry(
    root: Path,
    witnesses: tuple[Witnessing, ...] = (),
    ask_every_s: float = 10.0,
    *,
    timestamp_url: str | None = None,
    timestamp_interval_s: float = DEFAULT_INTERVAL_S,
) -> Iterator[Registry]:
    """Open a data folder for serving: lock it, check it, publish what a crash left behind.

    ``witnesses`` are asked to cosign what is published, each at most once in ``ask_every_s`` seconds. With
    ``timestamp_url`` its checkpoints are timestamped there. Both as long as it is open.

    Raises:
        UsageError: the URL is none, or the trust file names no timestamp authority.
        FolderError, FolderInUseError: it is not a registry's folder, or has a server already.
        LogDamagedError: it contradicts itself.
        StoreError: the disk or the index said no.
    """
    folder = Folder(root)
    trust = folder.load_trust()
    authority = None
    if timestamp_url is not None:
        if not trust.timestamp_authorities:
            raise UsageError(
                "no timestamp authority is trusted here, so its answers could not be verified",
                hint=f"name its root certificate: rasura-registry timestamp-authority {root} FILE.pem",
            )
        authority = TimestampAuthority(timestamp_url, trust.timestamp_authorities)
    with ExitStack() as open_things:
        open_things.enter_context(folder.locked())
        files, index = DurableFiles(root), SqliteIndex(folder.index)
        open_things.callback(index.close)
        log = Log(files, index, folder.load_log_key(), trust.logs[0].name, _posix_seconds)
        log.recover()
        cosignatures = Cosignatures(folder.cosignatures, tuple(one.key for one in witnesses))
        open_things.callback(cosignatures.close)
        sequencer = Sequencer(log)
        stamps = StampStore(folder.timestamps)
        registry = Registry(
            files,
            index,
            log,
            sequencer,
            trust.authorities,
            TrustBook(folder, files, index, log),
            Enrolments(folder.enrolments, _posix_seconds),
            stamps,
            _posix_seconds,
            cosignatures,
        )
        sequencer.start()
        open_things.callback(sequencer.stop)
        open_things.callback(start_askers(witnesses, log, cosignatures, ask_every_s))
        if authority is not None:
            stamper = Timestamper(authority, stamps, trust.logs[0], registry.checkpoint, timestamp_interval_s)
            open_things.enter_context(timestamping(stamper))
        yield registry
