"""Loop devices to measure on: in RAM, or on the disk of a folder. Needs root."""

from __future__ import annotations

import contextlib
import os
import subprocess
import tempfile
from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path

from rasura.errors import RefusedError
from rasura_agent.bench.held import held_to_a_rate

__all__ = ["Medium", "loop_devices"]

_TMPFS = Path("/dev/shm")  # noqa: S108  the RAM-backed file system of every Linux
_CHUNK = bytes(1 << 20)


class Medium(StrEnum):
    """What is behind the loop device."""

    RAM = "ram"
    DISK = "disk"
    HELD = "held"
    """RAM, which the kernel holds to the rate of an SSD: there the device is the limit."""


@contextlib.contextmanager
def loop_devices(medium: Medium, count: int, size: int, disk_folder: Path) -> Iterator[list[str]]:
    """``count`` loop devices of ``size`` bytes each, backed by written files; gone afterwards.

    Raises:
        RefusedError: no room, or no loop devices.
    """
    parent = disk_folder if medium is Medium.DISK else _TMPFS
    devices: list[str] = []
    try:
        with tempfile.TemporaryDirectory(prefix="rasura-bench-", dir=parent) as folder:
            try:
                for number in range(count):
                    path = Path(folder) / f"{number}.img"
                    _write(path, size)
                    # On a disk past the page cache of the file below, else it is memory that is measured.
                    direct = "on" if medium is Medium.DISK else "off"
                    made = subprocess.run(
                        ["losetup", "--find", "--show", f"--direct-io={direct}", str(path)],
                        capture_output=True,
                        text=True,
                        check=True,
                    )
                    devices.append(made.stdout.strip())
                with held_to_a_rate(devices) if medium is Medium.HELD else contextlib.nullcontext():
                    yield devices
            finally:
                for device in devices:
                    subprocess.run(["losetup", "--detach", device], check=False)
    except subprocess.CalledProcessError as error:
        raise RefusedError(f"cannot make a loop device: {error.stderr.strip()}") from None
    except FileNotFoundError as error:
        raise RefusedError(f"cannot make a loop device: {error.filename} is missing") from None
    except OSError as error:
        raise RefusedError(
            f"cannot make the files to measure on in {parent}: {error.strerror}",
            hint="a smaller --size needs less room",
        ) from None


def _write(path: Path, size: int) -> None:
    with path.open("wb") as file:
        for _ in range(-(-size // len(_CHUNK))):
            file.write(_CHUNK)
        file.truncate(size)
        file.flush()
        os.fsync(file.fileno())
