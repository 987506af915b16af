"""A witness (c2sp.org/tlog-witness): cosigns a log's checkpoint only if it extends all it cosigned before.

One folder is one witness::

    witness.toml        its name, and the keys of the logs that it knows
    key.pem             its Ed25519 key, mode 0600
    state/HASH.json     the last checkpoint that it cosigned of a log, and when; HASH is of the log's name
    evidence/           checkpoints of one size and two roots: a log's own proof against itself

The state is durable before the cosignature leaves: what was cosigned once is never contradicted, whenever the
power goes. A folder that was restored from an older copy breaks this, and nothing in it can tell: make a new
witness instead, with a new key.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http import HTTPStatus
from pathlib import Path

import msgspec
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from rasura import durable, strict_json
from rasura.add_checkpoint import SIZE_TYPE, AddCheckpoint, signature_line
from rasura.checkpoint import Checkpoint, OpenedCheckpoint, open_checkpoint
from rasura.errors import RasuraError, RefusedError, UsageError
from rasura.note import KeyType, Note, NoteError, VerifierKey, sign
from rasura.state_file import StateFile
from rasura.toml_text import toml_table
from rasura.tree import EMPTY_ROOT, verify_consistency

__all__ = ["Answer", "Witness", "WitnessFolderError", "new_witness", "open_witness", "read_verifier_key"]

_VERSION = 1
_TEXT = "text/plain; charset=utf-8"
_MOST_EVIDENCE = 100
"""Whoever has a log's key can sign as many forks as they like; a hundred prove as much as a million."""


class WitnessFolderError(UsageError):
    """The folder is not a witness's, or damaged."""


class Answer(msgspec.Struct, frozen=True):
    """An HTTP answer."""

    status: HTTPStatus
    body: str
    media_type: str = _TEXT


class _Cosigned(msgspec.Struct, frozen=True):
    """The last checkpoint cosigned of one log, and when (POSIX seconds)."""

    note: str
    checkpoint: Checkpoint
    timestamp: int


class Witness:
    """One open folder. :meth:`add_checkpoint` may be called from several threads."""

    def __init__(
        self,
        folder: Path,
        name: str,
        key: Ed25519PrivateKey,
        logs: tuple[VerifierKey, ...],
        clock: Callable[[], int],
    ) -> None:
        self.verifier_key = VerifierKey.of(name, key).cosigner()
        self.logs = logs
        self._folder = folder
        self._name = name
        self._key = key
        self._clock = clock
        self._states = {log.name: _state_file(folder, log.name) for log in logs}
        self._last = {name: _load(state, name, logs) for name, state in self._states.items()}
        self._locks = {log.name: threading.Lock() for log in logs}

    def cosigned(self, origin: str) -> int:
        """The size of the last checkpoint cosigned of a log; 0 if there is none."""
        last = self._last.get(origin)
        return last.checkpoint.size if last is not None else 0

    def add_checkpoint(self, raw: bytes) -> Answer:
        """Answer a request; the checks are those of tlog-witness, in its order.

        Raises:
            UsageError: the state cannot be written; nothing was cosigned.
        """
        try:
            request = AddCheckpoint.parse(raw)
            checkpoint = Checkpoint.parse(Note.parse(request.note).text)
        except RasuraError as error:
            return Answer(HTTPStatus.BAD_REQUEST, f"{error}\n")
        known = tuple(log for log in self.logs if log.name == checkpoint.origin)
        if not known:
            return Answer(HTTPStatus.NOT_FOUND, "the log of this checkpoint is not known here\n")
        try:
            opened = open_checkpoint(request.note, known)
        except RasuraError as error:
            return Answer(HTTPStatus.FORBIDDEN, f"{error}\n")
        with self._locks[checkpoint.origin]:
            return self._cosign(request, opened)

    def _cosign(self, request: AddCheckpoint, opened: OpenedCheckpoint) -> Answer:
        new, last = opened.checkpoint, self._last[opened.checkpoint.origin]
        if request.old_size > new.size:
            return Answer(HTTPStatus.BAD_REQUEST, "the old size is larger than the checkpoint's\n")
        size = last.checkpoint.size if last is not None else 0
        if last is not None and new.size == size and new.root_hash != last.checkpoint.root_hash:
            self._keep_evidence(last.note, request.note)
        if request.old_size != size:
            return Answer(HTTPStatus.CONFLICT, f"{size}\n", SIZE_TYPE)
        if last is not None and new.size == size and new.root_hash != last.checkpoint.root_hash:
            return Answer(HTTPStatus.CONFLICT, f"two trees of {size} entries: this one is not cosigned\n")
        try:
            root = last.checkpoint.root_hash if last is not None else EMPTY_ROOT
            verify_consistency(size, new.size, request.proof, root, new.root_hash)
        except RasuraError as error:
            return Answer(HTTPStatus.UNPROCESSABLE_ENTITY, f"{error}\n")
        timestamp = max(self._clock(), last.timestamp if last is not None else 0)
        cosigned = _Cosigned(request.note, new, timestamp)
        # First the state, then the word: after a power cut in between, it has promised more than it said.
        self._states[new.origin].write(
            strict_json.dumps({"version": _VERSION, "note": request.note, "timestamp": timestamp})
        )
        self._last[new.origin] = cosigned
        return Answer(HTTPStatus.OK, signature_line(sign(new.encode(), self._name, self._key, timestamp)))

    def _keep_evidence(self, one: str, other: str) -> None:
        folder = self._folder / "evidence"
        name = hashlib.sha256((one + other).encode()).hexdigest()[:16]
        try:
            folder.mkdir(exist_ok=True)
            if sum(1 for _ in folder.iterdir()) < 2 * _MOST_EVIDENCE:
                durable.write_file(folder / f"{name}-cosigned.note", one.encode())
                durable.write_file(folder / f"{name}-refused.note", other.encode())
        except OSError:
            return  # it is refused all the same


def new_witness(folder: Path, name: str, logs: tuple[VerifierKey, ...]) -> VerifierKey:
    """Make a witness in ``folder``, which must not exist or be empty; returns its verifier key.

    Raises:
        RefusedError: there is something in the folder.
        UsageError: the name or a log's key cannot be used, or the file system said no.
    """
    try:
        key = Ed25519PrivateKey.generate()
        verifier_key = VerifierKey.of(name, key).cosigner()
    except NoteError as error:
        raise UsageError(f"a witness cannot have this name: {error}") from None
    _check_logs(logs)
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    lines = [
        "# A witness, and the logs that it cosigns for. For one more, add its key and start it again.",
        f"version = {_VERSION}",
        f"name = {_toml_text(name)}",
        *(line for log in logs for line in ("", "[[log]]", f"key = {_toml_text(log.encode())}")),
    ]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if any(folder.iterdir()):
            raise RefusedError(f"{folder} is not empty", hint="name a new folder")
        (folder / "state").mkdir()
        durable.write_file(folder / "key.pem", pem, mode=0o600)
        durable.write_file(folder / "witness.toml", ("\n".join(lines) + "\n").encode())
    except OSError as error:
        raise UsageError(f"cannot make a witness in {folder}: {error.strerror}") from None
    return verifier_key


@contextmanager
def open_witness(folder: Path, clock: Callable[[], int]) -> Iterator[Witness]:
    """Open a witness's folder and keep every other process from it.

    Raises:
        WitnessFolderError: it is not a witness's folder, or a part of it is damaged.
        StateInUseError: it is open already.
    """
    name, logs = _read_settings(folder)
    key = _read_key(folder)
    with StateFile(folder / "witness.toml", "a witness").held():
        yield Witness(folder, name, key, logs, clock)


def read_verifier_key(folder: Path) -> VerifierKey:
    """The verifier key of the witness in ``folder``; raises :class:`WitnessFolderError`."""
    name, _ = _read_settings(folder)
    return VerifierKey.of(name, _read_key(folder)).cosigner()


def _state_file(folder: Path, origin: str) -> StateFile:
    name = hashlib.sha256(origin.encode()).hexdigest()
    return StateFile(folder / "state" / f"{name}.json", f"the state of {origin}")


def _load(state: StateFile, origin: str, logs: tuple[VerifierKey, ...]) -> _Cosigned | None:
    raw = state.read()
    if raw is None:
        return None
    try:
        match strict_json.loads(raw, what="it"):
            case {"version": 1, "note": str(note), "timestamp": int(timestamp), **more} if not more:
                checkpoint = open_checkpoint(note, logs).checkpoint
                if checkpoint.origin != origin:
                    raise WitnessFolderError(f"it is of {checkpoint.origin}")
                return _Cosigned(note, checkpoint, timestamp)
            case _:
                raise WitnessFolderError("it is not of version 1")
    except RasuraError as error:
        raise WitnessFolderError(
            f"{state.path} does not hold the last checkpoint that was cosigned: {error}",
            hint="a witness that forgot what it cosigned may cosign a fork: make a new one, with a new key",
        ) from None


def _read_settings(folder: Path) -> tuple[str, tuple[VerifierKey, ...]]:
    path = folder / "witness.toml"
    try:
        text = path.read_bytes().decode("utf-8", "replace")
    except OSError as error:
        raise WitnessFolderError(
            f"{folder} is not a witness's folder: {path.name}: {error.strerror}",
            hint="make one with 'rasura witness new'",
        ) from None
    document = toml_table(text, str(path), WitnessFolderError)
    match document:
        case {"version": 1, "name": str(name), **more} if more.keys() <= {"log"}:
            rows = more.get("log", [])
        case _:
            raise WitnessFolderError(f"{path} has version = 1, name and [[log]], and nothing else")
    if not isinstance(rows, list) or not all(
        isinstance(row, dict) and row.keys() == {"key"} and isinstance(row["key"], str) for row in rows
    ):
        raise WitnessFolderError(f"each [[log]] of {path} has exactly one key, 'key', a text")
    try:
        logs = tuple(VerifierKey.parse(row["key"]) for row in rows)
    except NoteError as error:
        raise WitnessFolderError(f"{path} holds a key that cannot be read: {error}") from None
    _check_logs(logs)
    return name, logs


def _check_logs(logs: tuple[VerifierKey, ...]) -> None:
    if not logs:
        raise UsageError("a witness needs the key of at least one log")
    if any(log.type is not KeyType.ED25519 for log in logs):
        raise UsageError("the key of a log is that of a cosigner: give the log's own")


def _read_key(folder: Path) -> Ed25519PrivateKey:
    path = folder / "key.pem"
    try:
        key = serialization.load_pem_private_key(path.read_bytes(), password=None)
    except OSError as error:
        raise WitnessFolderError(f"cannot read {path}: {error.strerror}") from None
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise WitnessFolderError(f"{path} is not a private key in PEM, or it is encrypted") from None
    if not isinstance(key, Ed25519PrivateKey):
        raise WitnessFolderError(f"the private key in {path} is not Ed25519")
    return key


def _toml_text(text: str) -> str:
    return strict_json.dumps(text).decode()
