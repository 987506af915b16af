"""Asking witnesses to cosign what was published: a thread for each, and nothing ever waits for them.

A witness that is slow or away delays neither submissions nor the other witnesses. Each is asked for the
newest published checkpoint when there is a new one, and at most so often; those in between stay without its
word.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from http import HTTPStatus
from typing import Protocol

import msgspec
import urllib3

from rasura import __version__
from rasura.add_checkpoint import PATH, AddCheckpoint, signature_line, signature_of
from rasura.checkpoint import Checkpoint, parse_decimal
from rasura.errors import RasuraError, UsageError
from rasura.note import KeyType, Note, NoteError, VerifierKey
from rasura_registry.cosignatures import Cosignatures

__all__ = ["Asker", "Published", "WitnessError", "Witnessing", "parse_witness", "start_askers"]

_TIMEOUT_S = 10.0
_MOST_BYTES = 64 * 1024
_LONGEST_WAIT_S = 600.0
"""Between two attempts at a witness that refuses or is away."""

_logger = logging.getLogger(__name__)


class WitnessError(RasuraError):
    """A witness did not cosign."""


class Witnessing(msgspec.Struct, frozen=True):
    """One witness: where it is, below which ``add-checkpoint`` lies, and its key."""

    url: str
    key: VerifierKey


def parse_witness(url: str, key: str) -> Witnessing:
    """Read what an operator names a witness by; raises :class:`UsageError`."""
    try:
        parsed = urllib3.util.parse_url(url)
        verifier_key = VerifierKey.parse(key)
    except (urllib3.exceptions.LocationParseError, NoteError) as error:
        raise UsageError(f"--witness {url[:80]!r}: {error}") from None
    if parsed.scheme not in {"http", "https"} or not parsed.host:
        raise UsageError(f"{url[:80]!r} is not the address of a witness, such as http://witness.example:8450")
    if verifier_key.type is not KeyType.COSIGNATURE_V1:
        raise UsageError(
            f"the key of {verifier_key.name!r} is not a witness's", hint="'rasura witness key DIR' prints it"
        )
    return Witnessing(url.rstrip("/"), verifier_key)


class Published(Protocol):
    """What an asker reads of the log; each method may raise :class:`RasuraError`."""

    def signed_checkpoint(self) -> str:
        """The published checkpoint as the log signed it."""

    def consistency(self, old: int, new: int) -> tuple[bytes, ...]:
        """That the tree of ``new`` entries extends that of ``old``."""


class Asker:
    """The thread that asks one witness. Start it once; :meth:`stop` ends it."""

    def __init__(
        self, witness: Witnessing, published: Published, cosignatures: Cosignatures, every_s: float
    ) -> None:
        self._witness = witness
        self._published = published
        self._cosignatures = cosignatures
        self._every_s = every_s
        self._size = 0
        """What we believe that the witness cosigned last; it tells us when that is wrong."""
        self._done: str | None = None
        self._ended = threading.Event()
        self._pool = urllib3.PoolManager(
            timeout=urllib3.Timeout(total=_TIMEOUT_S),
            retries=False,
            headers={"User-Agent": f"rasura-registry/{__version__}", "Content-Type": "text/plain"},
        )
        self._thread = threading.Thread(target=self._run, name=f"witness {witness.key.name}", daemon=True)

    def start(self) -> None:
        """Begin to ask."""
        self._thread.start()

    def stop(self) -> None:
        """End it; a request under way is not waited for longer than it may take."""
        self._ended.set()
        self._thread.join(2 * _TIMEOUT_S)
        self._pool.clear()

    def ask_once(self) -> bool:
        """Have the newest checkpoint cosigned, unless it is; whether there was anything to do.

        Raises:
            RasuraError: the witness did not cosign, or the log could not be read.
        """
        note = self._published.signed_checkpoint()
        if note == self._done:
            return False
        text = Note.parse(note).text
        size = Checkpoint.parse(text).size
        status, body = self._post(note, size)
        told = parse_decimal(body.removesuffix("\n")) if status == HTTPStatus.CONFLICT else None
        if told is not None and told != self._size:
            if told > size:
                raise WitnessError(
                    f"it has cosigned {told} entries of this log, which holds {size}: this log was restored "
                    "from an older copy, or somebody else signs with its key"
                )
            self._size = told
            status, body = self._post(note, size)
        if status != HTTPStatus.OK:
            raise WitnessError(f"it answers {status}: {body[:200].strip()}")
        line = signature_line(signature_of(body, text, self._witness.key))
        self._cosignatures.add(size, self._witness.key, line)
        self._size, self._done = size, note
        return True

    def _post(self, note: str, size: int) -> tuple[int, str]:
        if self._size > size:
            self._size = 0  # ours is the smaller one: let it say what it has
        asked = AddCheckpoint(self._size, self._published.consistency(self._size, size), note)
        try:
            response = self._pool.request(
                "POST", self._witness.url + PATH, body=asked.encode(), preload_content=False, redirect=False
            )
            try:
                body = response.read(_MOST_BYTES)
            finally:
                response.close()
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise WitnessError(f"it cannot be reached: {error}") from None
        return response.status, body.decode("utf-8", "replace")

    def _run(self) -> None:
        wait, said = self._every_s, ""
        while not self._ended.wait(wait):
            try:
                if self.ask_once() and said:
                    _logger.warning("the witness %s cosigns again", self._witness.key.name)
                wait, said = self._every_s, ""
            except RasuraError as error:
                wait = min(max(2 * wait, self._every_s), _LONGEST_WAIT_S)
                said = self._alert(str(error), said)
            except Exception:
                _logger.exception("ALERT asking the witness %s met a bug", self._witness.key.name)
                wait = _LONGEST_WAIT_S

    def _alert(self, sentence: str, before: str) -> str:
        if sentence != before:
            _logger.warning("ALERT the witness %s does not cosign: %s", self._witness.key.name, sentence)
        return sentence


def start_askers(
    witnesses: tuple[Witnessing, ...],
    published: Published,
    cosignatures: Cosignatures,
    every_s: float,
) -> Callable[[], None]:
    """Ask all of them from now on; returns what ends that."""
    askers = [Asker(one, published, cosignatures, every_s) for one in witnesses]
    for one in askers:
        one.start()

    def stop() -> None:
        for one in askers:
            one.stop()

    return stop
