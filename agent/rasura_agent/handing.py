"""Handing over what was signed: disk first, registry second."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Protocol

import msgspec

from rasura.bundle import Bundle
from rasura.client import RegistryClient, RegistryRefusedError
from rasura.errors import RasuraError
from rasura_agent.health.model import HealthReading

__all__ = ["CertificateStore", "Handed", "Handing"]


class CertificateStore(Protocol):
    """Where certificates are kept. A path is returned only for what survives the power; else it raises."""

    def add(self, bundle: Bundle) -> Path:
        """Keep a signed certificate."""
        ...

    def mark_sent(self, bundle: Bundle) -> Path:
        """Keep the same certificate with the receipt of the registry."""
        ...

    def keep_evidence(self, sha256: str, document: bytes) -> Path:
        """Keep a document that certificates name by its hash."""
        ...


class Handed(msgspec.Struct, frozen=True):
    """What became of a signed document; as for a drive's in :class:`DriveOutcome`."""

    bundle: Bundle
    path: Path | None
    logged: bool = False
    problems: tuple[str, ...] = ()


class Handing:
    """Where signed documents go: a store, and the registry where one is known."""

    def __init__(self, store: CertificateStore, client: RegistryClient | None) -> None:
        self._store, self._client = store, client

    def hand(self, bundle: Bundle) -> Handed:
        """Disk first, registry second, so that the document is in RAM alone as briefly as can be."""
        path, problems = None, []
        try:
            path = self._store.add(bundle)
        except RasuraError as error:
            problems.append(str(error))
        if self._client is None:
            return Handed(bundle, path, problems=tuple(problems))
        try:
            bundle = self._client.put(bundle)
        except RegistryRefusedError as error:
            return Handed(bundle, path, problems=(*problems, str(error)))
        except RasuraError as error:
            kept = f"{error}; it stays in the spool" if path is not None else str(error)
            return Handed(bundle, path, problems=(*problems, kept))
        try:
            path = self._store.mark_sent(bundle)
        except RasuraError as error:
            if str(error) not in problems:
                problems.append(str(error))
        return Handed(bundle, path, True, tuple(problems))

    def keep_evidence(self, readings: Iterable[HealthReading]) -> tuple[str, ...]:
        """Keep the documents that health was read from; sentences about those that could not be kept."""
        problems = []
        for reading in readings:
            if reading.evidence is None:
                continue
            try:
                self._store.keep_evidence(reading.evidence.sha256, reading.evidence.document)
            except RasuraError as error:
                problems.append(str(error))
        return tuple(dict.fromkeys(problems))
