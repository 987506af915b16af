"""Many bundles at once: the files of a folder, or the lines of an NDJSON export."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from rasura.command import read_file
from rasura.errors import UsageError
from rasura.strict_json import MAX_BYTES

__all__ = ["read_bundles"]

_NDJSON = {".ndjson", ".jsonl"}


def read_bundles(paths: Iterable[Path]) -> Iterator[tuple[str, bytes]]:
    """Each bundle with its name: a file, ``FOLDER/*.json`` in order, or ``export.ndjson:7`` for its line 7.

    Raises:
        UsageError: a file cannot be read, or there is no bundle in a folder or an export.
    """
    for path in paths:
        if path.is_dir():
            files = sorted(path.glob("*.json"))
            if not files:
                raise UsageError(f"there is no .json file in the folder {path}")
            for one in files:
                yield str(one), read_file(one)
        elif path.suffix in _NDJSON:
            yield from _lines(path)
        else:
            yield str(path), read_file(path)


def _lines(path: Path) -> Iterator[tuple[str, bytes]]:
    found = False
    try:
        with path.open("rb") as export:
            number = 0
            while line := export.readline(MAX_BYTES + 2):
                number += 1
                if line.strip():
                    found = True
                    yield f"{path}:{number}", line.rstrip(b"\r\n")
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}") from None
    if not found:
        raise UsageError(f"there is no bundle in {path}")
