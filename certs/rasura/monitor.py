"""Following a registry: what it says now must extend what it said before.

The last checkpoint that was seen, and proven, is kept in a small file::

    {"version": 1, "note": "<the signed checkpoint, verbatim>"}

It is signed, so a damaged or exchanged file is noticed. It moves forward only, and never past a
contradiction.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from http import HTTPStatus
from pathlib import Path

import msgspec

from rasura import durable, strict_json
from rasura.checkpoint import open_checkpoint
from rasura.client import RegistryAnswerError, RegistryAwayError, RegistryClient
from rasura.errors import RasuraError, RefusedError, UnknownOutcomeError, UsageError
from rasura.history import Contradiction, Seen, UnprovenError, contradiction, require_own_root
from rasura.note import VerifierKey
from rasura.state_file import StateFile
from rasura.tiles import TILE_WIDTH, Tile, TileCache
from rasura.tree import HASH_BYTES

__all__ = [
    "Finding",
    "Monitor",
    "RegistryProvesNothingError",
    "RegistrySilentError",
    "StateDamagedError",
    "save_evidence",
]

_VERSION = 1
_AHEAD_S = 3600
"""A registry's clock may be ahead of ours by so much before it is worth a word: one of the two is wrong."""


class StateDamagedError(UsageError):
    """The file of the last checkpoint seen is of no use."""


class RegistrySilentError(UnknownOutcomeError):
    """The registry cannot be reached: nobody can say whether its history still holds."""


class RegistryProvesNothingError(RefusedError):
    """The registry answers, and the answer proves nothing."""


class Finding(msgspec.Struct, frozen=True):
    """What a look at the registry gave."""

    latest: Seen
    before: Seen | None
    """The last checkpoint seen before this look; ``None`` at the first."""
    checked: int
    """How many other checkpoints were found on the same history."""
    contradictions: tuple[Contradiction, ...]
    remarks: tuple[str, ...]


class Monitor:
    """One registry, judged by the keys of trusted ``logs``; hold ``state`` as long as this lives."""

    def __init__(self, client: RegistryClient, logs: tuple[VerifierKey, ...], state: StateFile) -> None:
        self._client = client
        self._logs = logs
        self._state = state

    def look(self, others: Iterable[Seen], now: int) -> Finding:
        """Fetch the checkpoint, and prove that it extends the one seen before and ``others`` of its log.

        ``now`` is this machine's time in POSIX seconds. What holds is kept for the next time.

        Raises:
            RegistrySilentError: there is no answer.
            RegistryProvesNothingError: the answer is not a trusted log's, or lacks the proof.
            UsageError: the state is damaged, of another log, or cannot be written.
        """
        before = self._before()
        latest = self._latest()
        if before is not None and before.checkpoint.origin != latest.checkpoint.origin:
            raise UsageError(
                f"{self._state.path} follows the log {before.checkpoint.origin}, and the registry at "
                f"{self._client.url} is the log {latest.checkpoint.origin}",
                hint="keep one state file for each registry",
            )
        # Two logs never tell one story, and neither of them lies by that.
        same_log = [one for one in others if one.checkpoint.origin == latest.checkpoint.origin]
        earlier = [*([before] if before is not None else []), *same_log]
        found = self._contradictions(earlier, latest)
        if not found:
            self._keep(latest, before)
        return Finding(latest, before, len(earlier), tuple(found), _remarks(latest, now))

    def _contradictions(self, earlier: list[Seen], latest: Seen) -> list[Contradiction]:
        tree = latest.checkpoint
        read = TileCache(self._load).reader(tree.size)
        try:
            if any(one.checkpoint.size < tree.size for one in earlier):
                require_own_root(tree, read)
            found = [contradiction(one, latest, read) for one in earlier]
        except UnprovenError as error:
            raise RegistryProvesNothingError(str(error), hint=error.hint) from None
        return [one for one in found if one is not None]

    def _before(self) -> Seen | None:
        raw = self._state.read()
        if raw is None:
            return None
        try:
            value = strict_json.loads(raw, what="it")
            if value.keys() != {"version", "note"} or value["version"] != _VERSION:
                raise StateDamagedError(f"it is not of version {_VERSION}")
            return Seen(value["note"], open_checkpoint(str(value["note"]), self._logs), "the last look")
        except RasuraError as error:
            raise StateDamagedError(
                f"{self._state.path} does not hold the last checkpoint of a trusted log: {error}",
                hint="if the log's key was changed, trust the new key; if the file is damaged, move it away, "
                "begin anew, and know that what happened in between is not proven",
            ) from None

    def _keep(self, latest: Seen, before: Seen | None) -> None:
        if before is None or before.checkpoint != latest.checkpoint:
            self._state.write(strict_json.dumps({"version": _VERSION, "note": latest.note}))

    def _latest(self) -> Seen:
        try:
            note = self._client.checkpoint()
        except RegistryAwayError as error:
            raise RegistrySilentError(str(error)) from None
        except RegistryAnswerError as error:
            raise RegistryProvesNothingError(str(error), hint=error.hint) from None
        return Seen(note, open_checkpoint(note, self._logs), "the registry now")

    def _load(self, tile: Tile) -> bytes:
        # A partial tile may be gone once it is full (tlog-tiles, "Partial Tiles").
        names = [tile.name] if tile.width == TILE_WIDTH else [tile.name, tile.full_name]
        for name in names:
            try:
                status, data = self._client.ask("GET", f"/{name}")
            except RegistryAwayError as error:
                raise RegistrySilentError(str(error)) from None
            except RegistryAnswerError as error:
                raise RegistryProvesNothingError(str(error), hint=error.hint) from None
            if (
                status == HTTPStatus.OK
                and len(data) >= tile.width * HASH_BYTES
                and len(data) % HASH_BYTES == 0
            ):
                return data
            if status >= HTTPStatus.INTERNAL_SERVER_ERROR or status == HTTPStatus.TOO_MANY_REQUESTS:
                raise RegistrySilentError(
                    f"the registry at {self._client.url} is not well (HTTP status {status})"
                )
        raise RegistryProvesNothingError(
            f"the registry at {self._client.url} does not give the part {tile.name} of its tree: "
            "nothing can be proven"
        )


def save_evidence(folder: Path, found: Contradiction) -> tuple[Path, Path]:
    """Write the two notes side by side, durable; their names say what they contradict each other in.

    Raises:
        UsageError: the file system said no.
    """
    texts = found.earlier.note.encode(), found.latest.note.encode()
    name = f"{found.story.value}-{hashlib.sha256(b''.join(texts)).hexdigest()[:12]}"
    paths = folder / f"{name}-earlier.note", folder / f"{name}-latest.note"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for path, text in zip(paths, texts, strict=True):
            durable.write_file(path, text)
    except OSError as error:
        raise UsageError(f"the evidence cannot be written to {folder}: {error.strerror}") from None
    return paths


def _remarks(latest: Seen, now: int) -> tuple[str, ...]:
    time = latest.opened.timestamp
    if time is None:
        return ("the registry does not say when it signed its checkpoint",)
    if time <= now + _AHEAD_S:
        return ()
    ahead = (time - now) // 60
    return (f"the registry's clock or this machine's is wrong: its checkpoint is {ahead} minutes ahead",)
