"""Stations that wait to be certified, as files, and what a person decided about them.

::

    enrolments/lock     held while files are looked at together or changed
    enrolments/ID.json  one station: its request, when it came, and what was decided

The server writes a file when a station shows its request; the operator's commands, other processes on
the same machine, write the decision into it; the server reads it when the station asks again. The wire
and the argument for the code are in :mod:`rasura.enrolment`. Enrolments are not entries of the log yet:
every bundle holds the chain that signed it.
"""

from __future__ import annotations

import base64
import fcntl
import logging
import os
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from enum import Enum
from pathlib import Path

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from msgspec.structs import replace

from rasura import durable, strict_json
from rasura.enrolment import (
    EnrolmentRequest,
    enrolment_code,
    normalised_code,
    station_name,
)
from rasura.errors import RasuraError, RefusedError
from rasura.keys import chain_problems, issue_station
from rasura.site_kit import SiteKit
from rasura_registry.errors import StoreError

__all__ = [
    "LIFETIME_S",
    "MAX_WAITING",
    "BusyError",
    "EnrolmentFolder",
    "State",
    "Waiting",
]

LIFETIME_S = 12 * 3600
"""A code that nobody typed within a working day is void; a certificate is kept as long for its station."""

MAX_WAITING = 256
"""Bounds what strangers can make us keep."""

_ID = re.compile(r"[0-9a-f]{32}")
_MIN_ID_DIGITS = 8
_VERSION = 1

_logger = logging.getLogger(__name__)


class BusyError(RasuraError):
    """As many stations wait as we hold."""


class State(Enum):
    """What became of a station's request."""

    PENDING = "pending"
    APPROVED = "approved"
    REJECTED = "rejected"
    EXPIRED = "expired"


class Waiting(msgspec.Struct, frozen=True):
    """One station's enrolment. Times are POSIX seconds by the registry's clock."""

    id: str
    nonce: bytes
    raw: bytes
    address: str
    received: int
    state: State = State.PENDING
    decided: int | None = None
    site: str | None = None
    chain: tuple[bytes, ...] = ()
    """DER of the station's signing certificate and the site's, once approved."""

    @property
    def request(self) -> EnrolmentRequest:
        """What it asks for."""
        return EnrolmentRequest.parse(self.raw)

    @property
    def code(self) -> str:
        """What stands on its screen. To be compared, never to be shown here."""
        return enrolment_code(self.nonce, self.raw)

    @property
    def ends(self) -> int:
        """When it is forgotten."""
        return (self.received if self.decided is None else self.decided) + LIFETIME_S

    def at(self, now: int) -> State:
        """Its state at ``now``."""
        return State.EXPIRED if self.ends <= now else self.state

    def encode(self) -> bytes:
        """The file."""
        return strict_json.dumps(
            {
                "version": _VERSION,
                "id": self.id,
                "nonce": self.nonce.hex(),
                "request": base64.b64encode(self.raw).decode(),
                "address": self.address,
                "received": self.received,
                "state": self.state.value,
                "decided": self.decided,
                "site": self.site,
                "chain": [base64.b64encode(one).decode() for one in self.chain],
            }
        )

    @classmethod
    def parse(cls, data: bytes) -> Waiting:
        """Read a file of ours; raises :class:`StoreError`."""
        try:
            value = strict_json.loads(data)
            if value["version"] != _VERSION:
                raise StoreError("an enrolment's file is of another version")
            waiting = cls(
                value["id"],
                bytes.fromhex(value["nonce"]),
                base64.b64decode(value["request"]),
                value["address"],
                int(value["received"]),
                State(value["state"]),
                value["decided"],
                value["site"],
                tuple(base64.b64decode(one) for one in value["chain"]),
            )
            EnrolmentRequest.parse(waiting.raw)
        except (RasuraError, KeyError, TypeError, ValueError):
            raise StoreError("an enrolment's file is damaged") from None
        return waiting


class EnrolmentFolder:
    """The files. Any process may use it; whoever changes something holds the lock meanwhile."""

    def __init__(self, root: Path, clock: Callable[[], int]) -> None:
        self._root = root
        self._clock = clock

    def read(self, enrolment_id: str) -> Waiting | None:
        """One station's enrolment, forgotten ones included; raises :class:`StoreError`."""
        if not _ID.fullmatch(enrolment_id):
            return None
        try:
            return Waiting.parse((self._root / f"{enrolment_id}.json").read_bytes())
        except FileNotFoundError:
            return None
        except OSError as error:
            raise StoreError(f"cannot read an enrolment: {error.strerror}") from None

    def all(self) -> tuple[Waiting, ...]:
        """Every enrolment that is not forgotten, the oldest first; raises :class:`StoreError`."""
        try:
            names = sorted(path.stem for path in self._root.glob("*.json"))
        except OSError as error:
            raise StoreError(f"cannot read the enrolments: {error.strerror}") from None
        found = []
        for name in names:
            try:
                waiting = self.read(name)
            except StoreError as error:
                # One bad file must not keep every other station from being enrolled.
                _logger.warning("the enrolment %s is passed over: %s", name, error)
                continue
            if waiting is not None and waiting.at(self._clock()) is not State.EXPIRED:
                found.append(waiting)
        return tuple(sorted(found, key=lambda one: (one.received, one.id)))

    def add(self, waiting: Waiting) -> None:
        """Keep a new one; one that is there stays as it is.

        Raises:
            BusyError: there are :data:`MAX_WAITING` undecided ones.
            StoreError: the disk said no.
        """
        with self._locked(make=True):
            if self.read(waiting.id) is not None:
                return
            undecided = sum(one.state is State.PENDING for one in self._survivors())
            if undecided >= MAX_WAITING:
                raise BusyError(f"{undecided} stations wait to be approved, and no more are taken")
            self._write(waiting)

    def approve(
        self, codes: Sequence[str], kit: SiteKit, authorities: tuple[x509.Certificate, ...]
    ) -> tuple[Waiting, ...]:
        """Certify the stations that show ``codes`` with the key of a site.

        A certificate runs from the station's own clock, see ``certs/decisions/enrolment.md``.

        Raises:
            RefusedError: a code is none or belongs to no station that waits, or the site is not this
                registry's; then nothing was decided.
            StoreError: the disk said no.
        """
        with self._locked():
            pending = self._pending()
            chosen = dict.fromkeys(_by_code(pending, code) for code in codes)
            now = self._clock()
            decided = [_certified(one, kit, authorities, now) for one in chosen]
            for one in decided:
                self._write(one)
        return tuple(decided)

    def reject(self, which: Sequence[str]) -> tuple[Waiting, ...]:
        """Turn away the stations with these codes or ids (or the beginning of one, 8 digits at least).

        Raises:
            RefusedError: one of them belongs to no station that waits.
            StoreError: the disk said no.
        """
        with self._locked():
            pending = self._pending()
            chosen = dict.fromkeys(_by_code_or_id(pending, one) for one in which)
            decided = [replace(one, state=State.REJECTED, decided=self._clock()) for one in chosen]
            for one in decided:
                self._write(one)
        return tuple(decided)

    def _pending(self) -> dict[str, list[Waiting]]:
        """Who waits, by code; that two share one is not chance."""
        pending: dict[str, list[Waiting]] = {}
        for one in self.all():
            if one.state is State.PENDING:
                pending.setdefault(one.code, []).append(one)
        return pending

    def _write(self, waiting: Waiting) -> None:
        path = self._root / f"{waiting.id}.json"
        try:
            durable.write_file(path, waiting.encode())
            if os.geteuid() == 0:
                # The operator may be root with a strict umask, and the server must read it.
                owner = self._root.stat()
                os.chown(path, owner.st_uid, owner.st_gid, follow_symlinks=False)
        except OSError as error:
            raise StoreError(f"cannot write an enrolment: {error.strerror}") from None

    def _survivors(self) -> list[Waiting]:
        """What is not over, once everything else, readable or not, has been removed."""
        survivors = []
        for path in self._root.glob("*.json"):
            with suppress(StoreError):
                waiting = self.read(path.stem)
                if waiting is not None and waiting.at(self._clock()) is not State.EXPIRED:
                    survivors.append(waiting)
                    continue
            # What cannot be removed now is not listed either, and is tried again.
            with suppress(OSError):
                path.unlink()
        return survivors

    @contextmanager
    def _locked(self, *, make: bool = False) -> Iterator[None]:
        try:
            if make:
                self._root.mkdir(mode=0o700, exist_ok=True)
            elif not self._root.is_dir():
                # Nobody has asked yet, and the folder must be the server's own.
                yield
                return
            flags = os.O_RDONLY | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
            descriptor = os.open(self._root / "lock", flags, 0o644)
        except OSError as error:
            raise StoreError(f"cannot use the enrolments' folder: {error.strerror}") from None
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)


def _by_code(pending: dict[str, list[Waiting]], text: str) -> Waiting:
    code = normalised_code(text)
    if code is None:
        raise RefusedError(
            f"{text[:40]!r} is not a code",
            hint="it is the eight characters on the station's screen; there is no 0, 1, I or O in it",
        )
    found = pending.get(code, [])
    if len(found) > 1:
        raise RefusedError(
            f"{len(found)} stations show the code {code}, which does not happen by chance",
            hint="approve none of them: restart the station and look who else is in this network",
        )
    if not found:
        raise RefusedError(
            f"no station that waits shows the code {code}",
            hint="look at the screen again; a code is void once used, rejected or 12 hours old",
        )
    return found[0]


def _by_code_or_id(pending: dict[str, list[Waiting]], text: str) -> Waiting:
    start = text.strip().lower()
    if len(start) >= _MIN_ID_DIGITS:
        found = [one for ones in pending.values() for one in ones if one.id.startswith(start)]
        if len(found) == 1:
            return found[0]
    return _by_code(pending, text)


def _certified(
    waiting: Waiting, kit: SiteKit, authorities: tuple[x509.Certificate, ...], now: int
) -> Waiting:
    request = waiting.request
    by_its_clock = request.clock + timedelta(seconds=max(0, now - waiting.received))
    own = issue_station(kit.key, kit.certificate, request.key, station_name(request.key), by_its_clock)
    chain = (own, kit.certificate)
    problems = chain_problems(chain, authorities)
    if problems:
        raise RefusedError(f"the site {kit.site!r} cannot certify stations here: {'; '.join(problems)}")
    today = datetime.fromtimestamp(now, UTC)
    if not kit.certificate.not_valid_before_utc <= today <= kit.certificate.not_valid_after_utc:
        raise RefusedError(f"the signing certificate of the site {kit.site!r} is not valid today")
    return replace(
        waiting,
        state=State.APPROVED,
        decided=now,
        site=kit.site,
        chain=tuple(one.public_bytes(Encoding.DER) for one in chain),
    )
