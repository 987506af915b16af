"""What auditors are given: the trust file, with the revocations that are in the log.

The file's authority, log and any revocation that an operator wrote there stay as they are. Which of the log's
revocations hold is judged by the code that an auditor runs; one that does not hold any more, because whoever
signed it was revoked since before, is taken out again.
"""

from __future__ import annotations

import logging
import threading

from msgspec.structs import replace

from rasura import durable
from rasura.revocations import standing
from rasura.trust import Revocation
from rasura.verifier import Report
from rasura_registry.files import Files
from rasura_registry.folder import Folder
from rasura_registry.index import Index, Sequenced
from rasura_registry.log import Log
from rasura_registry.logged_revocations import LoggedRevocations

__all__ = ["TrustBook"]

_logger = logging.getLogger(__name__)


class TrustBook:
    """The trust file of an open registry. Safe from several threads."""

    def __init__(self, folder: Folder, files: Files, index: Index, log: Log) -> None:
        """Read it, and bring it up to what is in the log.

        Raises:
            FolderError: it cannot be read.
            StoreError, LogDamagedError: nor can the log.
        """
        self._folder, self._index = folder, index
        self._logged = LoggedRevocations(files, log)
        self._lock = threading.Lock()
        self._reports: dict[int, Report] = {}
        self._written = folder.load_trust()
        self._raw = folder.read(folder.trust)
        self._base = self._written
        self.refresh()

    @property
    def revoked(self) -> tuple[Revocation, ...]:
        """Every key that is not believed, and since when."""
        return self._written.revoked

    @property
    def toml(self) -> bytes:
        """The file, as auditors and stations get it."""
        return self._raw

    def refresh(self) -> None:
        """Take in revocations that were logged since; raises as the constructor."""
        with self._lock:
            new = [row for row in self._index.revocations() if row.position not in self._reports]
            if new or not self._reports:
                self._take_in(new)

    def _take_in(self, rows: list[Sequenced]) -> None:
        told = {found for row in rows if (found := self._logged.told(row)) is not None}
        self._base = replace(self._base, revoked=tuple(one for one in self._base.revoked if one not in told))
        for row in rows:
            report = self._logged.report(row, self._base)
            if report is not None:
                self._reports[row.position] = report
        held = standing(self._reports[position] for position in sorted(self._reports))
        trust = replace(self._base, revoked=tuple(dict.fromkeys((*self._base.revoked, *held))))
        if trust == self._written:
            return
        self._written, self._raw = trust, trust.to_toml().encode()
        try:
            durable.write_file(self._folder.trust, self._raw)
        except OSError as error:
            # It is served all the same, and written at the next start.
            _logger.warning("ALERT trust.toml cannot be written: %s", error.strerror)
