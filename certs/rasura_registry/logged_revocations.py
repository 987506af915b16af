"""The revocations that a log holds: what each says, and what an auditor says of it."""

from __future__ import annotations

from rasura.bundle import Bundle
from rasura.errors import RasuraError
from rasura.revocations import revocation_of
from rasura.side_statement import KeyRevocation
from rasura.trust import Revocation, Trust
from rasura.verifier import Report, verify
from rasura_registry.errors import StoreError
from rasura_registry.files import Files, body_name
from rasura_registry.index import Sequenced
from rasura_registry.log import Log

__all__ = ["LoggedRevocations"]


class LoggedRevocations:
    """Reads the entries that :meth:`Index.revocations` names."""

    def __init__(self, files: Files, log: Log) -> None:
        self._files, self._log = files, log

    def told(self, row: Sequenced) -> Revocation | None:
        """What it says, whether it holds or not; ``None`` if that cannot be read.

        Raises:
            StoreError: its body cannot be had.
        """
        try:
            said = self._bundle(row).document
        except StoreError:
            raise
        except RasuraError:
            return None
        return revocation_of(said) if isinstance(said, KeyRevocation) else None

    def report(self, row: Sequenced, trust: Trust) -> Report | None:
        """What an auditor with that trust file says of it; ``None`` while it is not published.

        Raises:
            StoreError, LogDamagedError: its body, or the proof of it, cannot be had.
        """
        receipt = self._log.receipt(row)
        if receipt is None:
            return None
        return verify(self._bundle(row).with_receipt(receipt).encode(), trust)

    def _bundle(self, row: Sequenced) -> Bundle:
        raw = self._files.read(body_name(row.body_sha256))
        if raw is None:
            raise StoreError(f"the body of entry {row.position} is not there any more")
        return Bundle.parse(raw)
