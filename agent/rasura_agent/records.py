"""Self-tests that were run, kept beside the certificates until a machine report carries them."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from pathlib import Path

import msgspec

from rasura import durable
from rasura.errors import RasuraError
from rasura.machine_report import ReportedTest

__all__ = ["RecordError", "add_records", "read_records"]

_FOLDER = "tests"
_KEPT = 10
"""Of one drive, the newest."""


class RecordError(RasuraError):
    """The record of a self-test cannot be written."""


def add_records(spool: Path, identity: str, tests: Iterable[ReportedTest]) -> None:
    """Keep the self-tests of the drive with this identity digest.

    Raises:
        RecordError: the disk said no.
    """
    path = spool / _FOLDER / f"{identity}.json"
    kept = (*read_records(spool, (identity,)).get(identity, ()), *tests)[-_KEPT:]
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        durable.write_file(path, msgspec.json.encode(kept))
    except OSError as error:
        raise RecordError(f"cannot write {path}: {error.strerror}") from None


def read_records(spool: Path, identities: Iterable[str]) -> dict[str, tuple[ReportedTest, ...]]:
    """The self-tests kept of these drives; a file that cannot be read holds none."""
    found = {}
    for identity in identities:
        with contextlib.suppress(OSError, msgspec.MsgspecError):
            raw = (spool / _FOLDER / f"{identity}.json").read_bytes()
            found[identity] = msgspec.json.decode(raw, type=tuple[ReportedTest, ...])
    return found
