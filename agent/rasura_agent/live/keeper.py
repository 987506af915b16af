"""Keeps every certificate until it is handed over: first in memory, then on the stick and in the log.

Each lies as a file in a folder in memory until it is durable on the stick, so that a crash of the agent
loses none; what is there when the agent starts is taken up again.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable
from pathlib import Path

from rasura.bundle import Bundle
from rasura.client import RegistryClient, RegistryRefusedError
from rasura_agent.console.language import _
from rasura_agent.live.handover import Event, Handover, Logged, Refused, Signed, Stored
from rasura_agent.spool import Sent, Spool, SpoolError

__all__ = ["Keeper"]


class Keeper:
    """The :class:`~rasura_agent.handing.CertificateStore` of a live station; used by many threads."""

    def __init__(self, memory: Path, stick: Callable[[], Path | None]) -> None:
        """``memory`` is a folder that lives as long as this boot; ``stick`` gives the stick's, if any."""
        self._memory = Spool(memory)
        self._stick = stick
        self._lock = threading.Lock()
        self._state = Handover()
        self._unwritten: dict[str, Bundle] = {}
        """What not even the folder in memory took."""
        for name, logged in self._memory.names().items():
            self.note(Logged(name) if logged else Signed(name))

    @property
    def state(self) -> Handover:
        """Who has which certificate."""
        return self._state

    def note(self, event: Event) -> Handover:
        """Let ``event`` happen; returns the state after it."""
        with self._lock:
            self._state = self._state.after(event)
            return self._state

    def add(self, bundle: Bundle) -> Path:
        """Keep a certificate; returns where it is on the stick.

        Raises:
            SpoolError: it is not durable; it stays in memory and is tried again.
        """
        self.note(Signed(bundle.certificate_id))
        self._remember(bundle)
        return self._store(bundle, Spool.add)

    def mark_sent(self, bundle: Bundle) -> Path:
        """Keep a certificate with its receipt; returns where it is on the stick.

        Raises:
            SpoolError: it is not on a stick; the log has it all the same.
        """
        self.note(Logged(bundle.certificate_id))
        try:
            self._memory.mark_sent(bundle)
        except SpoolError:
            self._unwritten[bundle.certificate_id] = bundle
        return self._store(bundle, Spool.mark_sent)

    def keep_evidence(self, sha256: str, document: bytes) -> Path:
        """Keep a document that certificates name by its hash, on the stick or else in memory.

        Raises:
            SpoolError: neither takes it.
        """
        folder = self._stick()
        if folder is not None:
            with contextlib.suppress(SpoolError):
                return Spool(folder).keep_evidence(sha256, document)
        return self._memory.keep_evidence(sha256, document)

    def retry(self, client: RegistryClient | None) -> tuple[Sent, ...]:
        """Try to hand over what is not, and to have logged what waits on the stick since earlier.

        Returns what became of each certificate that was offered to the registry.
        """
        for bundle in list(self._unwritten.values()):
            self._remember(bundle)
        folder = self._stick()
        spool = self._memory if folder is None else Spool(folder)
        if folder is not None:
            self._move(spool)
        if client is None:
            return ()
        try:
            sent = spool.send(client)
        except SpoolError:
            return ()
        for one in sent:
            if one.error is None:
                self.note(Logged(one.certificate_id))
            elif isinstance(one.error, RegistryRefusedError):
                self.note(Refused(one.certificate_id, str(one.error)))
        return sent

    def waiting(self) -> int:
        """How many certificates no registry has logged yet, those on the stick included."""
        folder = self._stick()
        count = len(self._unwritten)
        for spool in (self._memory, *((Spool(folder),) if folder is not None else ())):
            try:
                count += len(spool.pending())
            except SpoolError:
                continue
        return count

    def _move(self, spool: Spool) -> None:
        try:
            for name in self._memory.move_to(spool):
                self.note(Stored(name))
        except SpoolError:
            return  # the stick is full or gone: next time

    def _remember(self, bundle: Bundle) -> None:
        try:
            self._memory.add(bundle)
        except SpoolError:
            self._unwritten[bundle.certificate_id] = bundle
        else:
            self._unwritten.pop(bundle.certificate_id, None)

    def _store(self, bundle: Bundle, how: Callable[[Spool, Bundle], Path]) -> Path:
        folder = self._stick()
        if folder is None:
            raise SpoolError(_("there is no stick to keep the certificate on: it is in memory only"))
        path = how(Spool(folder), bundle)
        self.note(Stored(bundle.certificate_id))
        self._memory.drop(bundle)
        self._unwritten.pop(bundle.certificate_id, None)
        return path
