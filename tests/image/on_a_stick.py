"""What lies on a stick, read from the host's side of its backing file."""

from __future__ import annotations

import subprocess
from pathlib import Path

from functional.conftest import certificates_in
from image.places import ISO
from rasura_agent.live.gpt import SECTOR_BYTES, parse_table


def image_on(stick: Path) -> bytes:
    """The ISO as it is on the stick, but for the partition tables at its two ends."""
    return _at(stick, 64 * SECTOR_BYTES, ISO.stat().st_size - 128 * SECTOR_BYTES)


def data_partition(stick: Path) -> str:
    """The last partition, as mtools name a volume within a file."""
    data = parse_table(lambda offset, length: _at(stick, offset, length)).partitions[-1]
    return f"{stick}@@{data.first * SECTOR_BYTES}"


def certificates_on(stick: Path, folder: Path, state: str = "sent") -> list[Path]:
    """Copies in ``folder``/``state`` of what lies in the spool's folder of that name: those of drives.

    The machine report, where there is one, is copied beside them.
    """
    folder.mkdir()
    source = f"::certificates/{state}"
    subprocess.run(["mcopy", "-s", "-i", data_partition(stick), source, str(folder)], check=True)
    return certificates_in(folder / state)


def _at(file: Path, offset: int, length: int) -> bytes:
    with file.open("rb") as stream:
        stream.seek(offset)
        return stream.read(length)
