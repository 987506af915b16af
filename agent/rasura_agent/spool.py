"""The spool: certificates on their way to the registry, kept until it has proven that it holds them.

::

    pending/UUID.json    signed, not yet logged
    sent/UUID.json       with the registry's receipt
    refused/UUID.json    the registry read it and refused it for good
    evidence/HASH.json   what smartctl said of a drive, which certificates name by its SHA-256

A certificate is written to ``pending`` before anything is sent and leaves it only when its
successor is on disk: it can be in two folders for a moment, and never in none.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

import msgspec

from rasura import durable
from rasura.bundle import Bundle
from rasura.client import RegistryClient, RegistryError, RegistryRefusedError
from rasura.errors import RasuraError

__all__ = ["Sent", "Spool", "SpoolError", "default_folder"]

_PENDING, _SENT, _REFUSED, _EVIDENCE = "pending", "sent", "refused", "evidence"


class SpoolError(RasuraError):
    """The spool cannot be read or written."""


class Sent(msgspec.Struct, frozen=True):
    """What became of one pending certificate; ``error`` is ``None`` when it is logged."""

    certificate_id: str
    path: Path
    error: RasuraError | None


def default_folder() -> Path:
    """The spool of this user: ``$XDG_STATE_HOME/rasura/spool`` (XDG Base Directory Specification)."""
    state = os.environ.get("XDG_STATE_HOME") or str(Path.home() / ".local" / "state")
    return Path(state) / "rasura" / "spool"


class Spool:
    """A spool folder; made when it is first written to."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def add(self, bundle: Bundle) -> Path:
        """Keep a signed certificate; returns where. Raises :class:`SpoolError`, nothing half-written."""
        return self._write(_PENDING, bundle)

    def mark_sent(self, bundle: Bundle) -> Path:
        """Keep the certificate with its receipt and let go of the pending one."""
        path = self._write(_SENT, bundle)
        self._forget(bundle.certificate_id)
        return path

    def keep_evidence(self, sha256: str, document: bytes) -> Path:
        """Keep a document that certificates name by its hash; raises :class:`SpoolError`."""
        return self._put(_EVIDENCE, sha256, document)

    def pending(self) -> tuple[Path, ...]:
        """The files not yet logged, in the order of their names; raises :class:`SpoolError`."""
        try:
            return tuple(sorted((self.folder / _PENDING).glob("*.json")))
        except OSError as error:
            raise SpoolError(f"cannot read the spool {self.folder}: {error.strerror}") from None

    def names(self) -> dict[str, bool]:
        """The certificates that are here in any place, and whether each has been logged."""
        found = dict.fromkeys(self._names(_PENDING, _REFUSED), False)
        return found | dict.fromkeys(self._names(_SENT), True)

    def drop(self, bundle: Bundle) -> None:
        """Let go of a certificate that is safe elsewhere."""
        for part in (_PENDING, _SENT, _REFUSED):
            with contextlib.suppress(OSError):
                (self.folder / part / f"{bundle.certificate_id}.json").unlink()

    def send(self, client: RegistryClient) -> tuple[Sent, ...]:
        """Try to have every pending certificate logged; one that fails does not stop the others."""
        return tuple(sent for path in self.pending() if (sent := self._send(path, client)) is not None)

    def move_to(self, other: Spool) -> Iterator[str]:
        """Move everything to the same places in ``other``; yields the name of each when it is safe there.

        Raises:
            SpoolError: a file could not be read or written; it and those after it are still here.
        """
        for part in (_PENDING, _SENT, _REFUSED):
            for path in sorted((self.folder / part).glob("*.json")):
                try:
                    bundle = Bundle.parse(path.read_bytes())
                except (OSError, RasuraError) as error:
                    raise SpoolError(f"cannot move {path}: {error}") from None
                other._write(part, bundle)
                with contextlib.suppress(OSError):
                    path.unlink()
                yield bundle.certificate_id
        for path in sorted((self.folder / _EVIDENCE).glob("*.json")):
            try:
                other.keep_evidence(path.stem, path.read_bytes())
            except OSError as error:
                raise SpoolError(f"cannot move {path}: {error}") from None
            with contextlib.suppress(OSError):
                path.unlink()

    def _send(self, path: Path, client: RegistryClient) -> Sent | None:
        try:
            bundle = Bundle.parse(path.read_bytes())
            certificate_id = bundle.certificate_id
        except FileNotFoundError:  # somebody else has sent it meanwhile
            return None
        except OSError as error:
            return Sent(path.stem, path, SpoolError(f"cannot read {path}: {error.strerror}"))
        except RasuraError as error:
            return Sent(path.stem, path, SpoolError(f"{path} is damaged: {error}"))
        try:
            return Sent(certificate_id, self.mark_sent(client.put(bundle)), None)
        except RegistryRefusedError as error:
            return Sent(certificate_id, self._set_aside(bundle, path), error)
        except (RegistryError, SpoolError) as error:
            return Sent(certificate_id, path, error)

    def _names(self, *parts: str) -> list[str]:
        return sorted(path.stem for part in parts for path in (self.folder / part).glob("*.json"))

    def _set_aside(self, bundle: Bundle, path: Path) -> Path:
        try:
            aside = self._write(_REFUSED, bundle)
        except SpoolError:
            return path
        self._forget(bundle.certificate_id)
        return aside

    def _write(self, part: str, bundle: Bundle) -> Path:
        return self._put(part, bundle.certificate_id, bundle.encode())

    def _put(self, part: str, name: str, data: bytes) -> Path:
        folder = self.folder / part
        path = folder / f"{name}.json"
        try:
            if not folder.is_dir():
                folder.mkdir(parents=True, exist_ok=True)
                durable.sync_folder(self.folder)
            durable.write_file(path, data)
        except OSError as error:
            raise SpoolError(f"cannot write {path}: {error.strerror}") from None
        return path

    def _forget(self, certificate_id: str) -> None:
        # The successor is on disk; a pending file that cannot be removed is sent again, harmlessly.
        with contextlib.suppress(OSError):
            (self.folder / _PENDING / f"{certificate_id}.json").unlink()
