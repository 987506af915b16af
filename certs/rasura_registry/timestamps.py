"""The log's timestamps: asked for hourly in a thread of their own, kept for ever, found for an entry.

One file a timestamp, ``timestamps/SIZE.json``, named by the size of the checkpoint it is over::

    {"checkpoint": "<the signed note, as it was timestamped>", "token": "<DER, base64>"}
"""

from __future__ import annotations

import base64
import logging
import threading
from bisect import bisect_right, insort
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

import msgspec
from cryptography import x509

from rasura import durable, strict_json
from rasura.base64_text import canonical_base64
from rasura.checkpoint import open_checkpoint
from rasura.errors import RasuraError
from rasura.note import VerifierKey
from rasura.timestamp import CLOCK_TOLERANCE, TimestampError, claimed_time, verify_token
from rasura_registry.errors import LogDamagedError, StoreError
from rasura_registry.tsa import AuthorityError

__all__ = [
    "DEFAULT_INTERVAL_S",
    "Asker",
    "Stamp",
    "StampStore",
    "Timestamper",
    "stamp_problems",
    "timestamping",
]

DEFAULT_INTERVAL_S = 3600
_FIRST_DELAY_S = 60.0
"""After a failure; twice that after the next, until it is the interval."""
_JOIN_S = 2.0
"""A request under way is not waited for: its answer would be asked for again."""

_logger = logging.getLogger(__name__)


class Stamp(msgspec.Struct, frozen=True):
    """A checkpoint of ``size`` entries as a signed note, and the token over it (DER)."""

    size: int
    note: str
    token: bytes


class StampStore:
    """The folder of the log's timestamps; any thread may ask.

    Raises:
        StoreError: the file system said no.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = threading.Lock()
        try:
            self._sizes = sorted(int(one.stem) for one in folder.glob("*.json") if one.stem.isdecimal())
        except OSError as error:
            raise StoreError(f"cannot read the timestamps: {error.strerror}") from error

    @property
    def sizes(self) -> tuple[int, ...]:
        """The sizes of the checkpoints that were timestamped, in order."""
        with self._lock:
            return tuple(self._sizes)

    def add(self, stamp: Stamp) -> None:
        """Keep one, durable when this returns; raises :class:`StoreError`."""
        value = {"checkpoint": stamp.note, "token": base64.b64encode(stamp.token).decode()}
        try:
            if not self._folder.is_dir():
                self._folder.mkdir(exist_ok=True)
                durable.sync_folder(self._folder.parent)
            durable.write_file(self._path(stamp.size), strict_json.dumps(value))
        except OSError as error:
            raise StoreError(f"cannot write a timestamp: {error.strerror}") from error
        with self._lock:
            if stamp.size not in self._sizes:
                insort(self._sizes, stamp.size)

    def get(self, size: int) -> Stamp:
        """The one over the checkpoint of ``size``.

        Raises:
            StoreError: the file cannot be read.
            LogDamagedError: it is not one.
        """
        path = self._path(size)
        try:
            raw = path.read_bytes()
        except OSError as error:
            raise StoreError(f"cannot read the timestamp {path.name}: {error.strerror}") from error
        try:
            return _read(size, raw)
        except RasuraError as error:
            raise LogDamagedError(f"the timestamp {path.name} is not one: {error}") from None

    def covering(self, position: int) -> Stamp | None:
        """The earliest timestamp over a checkpoint that holds the entry at ``position``."""
        with self._lock:
            at = bisect_right(self._sizes, position)
            size = self._sizes[at] if at < len(self._sizes) else None
        return None if size is None else self.get(size)

    def _path(self, size: int) -> Path:
        return self._folder / f"{size}.json"


def _read(size: int, raw: bytes) -> Stamp:
    match strict_json.loads(raw, what="the file"):
        case {"checkpoint": str(note), "token": str(token), **more} if not more:
            return Stamp(size, note, canonical_base64(token, "the token", TimestampError))
        case _:
            raise TimestampError("a checkpoint or a token is missing")


def stamp_problems(
    store: StampStore,
    log_key: VerifierKey,
    checkpoint_at: Callable[[int], str | None],
    authorities: tuple[x509.Certificate, ...],
) -> Iterator[str]:
    """What is wrong with the timestamps kept; their tokens are verified if there are ``authorities``."""
    for size in store.sizes:
        what = f"the timestamp over the checkpoint of {size} entries"
        try:
            stamp = store.get(size)
            text = open_checkpoint(stamp.note, [log_key]).checkpoint.encode()
            if not (checkpoint_at(size) or "").startswith(text):
                yield f"{what} is over one that the index does not have"
            if authorities:
                verify_token(stamp.token, stamp.note, authorities)
        except RasuraError as error:
            yield f"{what} does not hold: {error}"


class Asker(Protocol):
    """What gives tokens: :class:`rasura_registry.tsa.TimestampAuthority`."""

    def token_over(self, note: str) -> bytes:
        """A verified token; raises :class:`AuthorityError`."""


class Timestamper:
    """Has the published checkpoint timestamped, step by step; says once that it fails, once that it works."""

    def __init__(
        self,
        authority: Asker,
        store: StampStore,
        log_key: VerifierKey,
        checkpoint: Callable[[], bytes],
        interval_s: float = DEFAULT_INTERVAL_S,
    ) -> None:
        self._authority = authority
        self._store = store
        self._log_key = log_key
        self._checkpoint = checkpoint
        self._interval_s = interval_s
        self._delay_s = 0.0
        """Until the next try, while it fails; 0 while it is well."""

    def step(self) -> float:
        """One try, if there is anything new; how long to wait for the next, in seconds."""
        try:
            self._try()
        except Exception as error:
            if not isinstance(error, RasuraError):
                _logger.exception("ALERT timestamping met a bug")
            if not self._delay_s:
                _logger.warning("ALERT checkpoints are not timestamped, and it is tried again: %s", error)
            self._delay_s = min(self._delay_s * 2 or _FIRST_DELAY_S, self._interval_s)
            return self._delay_s
        if self._delay_s:
            _logger.warning("checkpoints are timestamped again")
            self._delay_s = 0.0
        return self._interval_s

    def _try(self) -> None:
        note = self._checkpoint().decode()
        opened = open_checkpoint(note, [self._log_key])
        size = opened.checkpoint.size
        if size == 0 or size in self._store.sizes:
            return
        token = self._authority.token_over(note)
        seen, signed = claimed_time(token), datetime.fromtimestamp(opened.timestamp or 0, UTC)
        if seen is None or signed > seen + CLOCK_TOLERANCE:
            # Every auditor would say so of every certificate; better none, and somebody who sets the clock.
            now = f"{seen:%Y-%m-%d %H:%M} UTC" if seen is not None else "a time that cannot be read"
            raise AuthorityError(
                f"the last checkpoint is dated {signed:%Y-%m-%d %H:%M} UTC, and the timestamp authority "
                f"says that it is {now}: set this registry's clock"
            )
        self._store.add(Stamp(size, note, token))


@contextmanager
def timestamping(timestamper: Timestamper | None) -> Iterator[None]:
    """Have checkpoints timestamped in a thread of its own, as long as this lasts; without one, nothing."""
    if timestamper is None:
        yield
        return
    ended = threading.Event()

    def run() -> None:
        delay = 0.0
        while not ended.wait(delay):
            delay = timestamper.step()

    thread = threading.Thread(target=run, name="timestamps", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join(_JOIN_S)
