"""The server's side of enrolment: who has begun, in memory; who has shown a request, in files.

What is begun and not shown is forgotten with the process: the station begins again.
"""

from __future__ import annotations

import logging
import re
import secrets
import threading
from collections.abc import Callable
from pathlib import Path

import msgspec

from rasura.enrolment import NONCE_BYTES, EnrolmentRequest, commitment
from rasura.errors import RasuraError
from rasura_registry.enrolment_files import BusyError, EnrolmentFolder, State, Waiting

__all__ = ["BEGUN_LIFETIME_S", "MAX_BEGUN", "CommitmentError", "Enrolments"]

BEGUN_LIFETIME_S = 120
"""A station shows its request in the next moment."""

MAX_BEGUN = 256
"""Bounds memory, and how often an attacker may hope for a code; see :mod:`rasura.enrolment`."""

_COMMITMENT = re.compile(r"[0-9a-f]{64}")

_logger = logging.getLogger(__name__)


class CommitmentError(RasuraError):
    """The request is not the one that was announced, or none was."""


class _Begun(msgspec.Struct, frozen=True):
    commitment: str
    nonce: bytes
    ends: int


class Enrolments:
    """The server's side. Safe from several threads; ``clock`` gives POSIX seconds."""

    def __init__(self, root: Path, clock: Callable[[], int]) -> None:
        self._folder = EnrolmentFolder(root, clock)
        self._clock = clock
        self._lock = threading.Lock()
        self._begun: dict[str, _Begun] = {}
        self._quiet_until = 0

    def begin(self, announced: str) -> tuple[str, str]:
        """Take a commitment; returns the id and the nonce (hex) that were drawn after it.

        Raises:
            CommitmentError: it is not a SHA-256 in hex.
            BusyError: too many have begun and not shown their requests.
        """
        if not _COMMITMENT.fullmatch(announced):
            raise CommitmentError("the commitment is not a SHA-256 in hexadecimal")
        now = self._clock()
        with self._lock:
            self._begun = {name: one for name, one in self._begun.items() if one.ends > now}
            if len(self._begun) >= MAX_BEGUN:
                if now >= self._quiet_until:
                    _logger.warning("ALERT %d enrolments begun in %d s", MAX_BEGUN, BEGUN_LIFETIME_S)
                    self._quiet_until = now + BEGUN_LIFETIME_S
                raise BusyError("too many stations ask at once; try again in two minutes")
            begun = _Begun(announced, secrets.token_bytes(NONCE_BYTES), now + BEGUN_LIFETIME_S)
            enrolment_id = secrets.token_hex(16)
            self._begun[enrolment_id] = begun
        return enrolment_id, begun.nonce.hex()

    def show(self, enrolment_id: str, raw: bytes, address: str) -> Waiting | None:
        """Take the request that was announced; the same again changes nothing. None: there is no such id.

        Raises:
            CommitmentError: it is another than was announced; the station must begin again.
            EnrolmentError: it does not hold.
            BusyError, StoreError: it could not be kept.
        """
        with self._lock:
            begun = self._begun.get(enrolment_id)
            if begun is not None and begun.ends <= self._clock():
                begun = None
        if begun is None:
            there = self._folder.read(enrolment_id)
            if there is not None and there.raw != raw:
                raise CommitmentError("this enrolment's request was shown already, and was another")
            return there
        if commitment(raw) != begun.commitment:
            raise CommitmentError("this is not the request that was announced")
        EnrolmentRequest.parse(raw)
        waiting = Waiting(enrolment_id, begun.nonce, raw, address, self._clock())
        self._folder.add(waiting)
        with self._lock:
            self._begun.pop(enrolment_id, None)
        return waiting

    def look(self, enrolment_id: str) -> tuple[State, Waiting] | None:
        """What became of a station; None when there is no such id (any more). Raises :class:`StoreError`."""
        waiting = self._folder.read(enrolment_id)
        return None if waiting is None else (waiting.at(self._clock()), waiting)
