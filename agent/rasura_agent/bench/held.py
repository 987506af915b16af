"""Loop devices that the kernel holds to a rate (blk-throttle), so that the device limits whoever uses it."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from rasura.errors import RefusedError

__all__ = ["RATE_BYTES_S", "held_to_a_rate"]

RATE_BYTES_S = 500_000_000
"""A SATA SSD's, a second and way and drive."""

_GROUP = "rasura-bench"
_WITHOUT = "the other media need none: --only ram --only disk"


@contextlib.contextmanager
def held_to_a_rate(
    devices: list[str], rate_bytes_s: int = RATE_BYTES_S, root: Path = Path("/")
) -> Iterator[None]:
    """Hold each block device to a rate, for this process and the programs that it starts meanwhile.

    By a control group of its own (kernel documentation: admin-guide/cgroup-v2, ``io.max``, and
    cgroup-v1/blkio-controller), which is gone afterwards.

    Raises:
        RefusedError: there is no group that could.
    """
    parent, second = _hierarchy(root)
    group, before = parent / _GROUP, parent / _own_group(root, second=second).lstrip("/")
    try:
        _enter_new(group, [_numbers(device) for device in devices], rate_bytes_s, second=second)
        yield
    finally:
        with contextlib.suppress(OSError):  # it was never made, or never entered
            _enter(before)
            group.rmdir()


def _enter_new(group: Path, numbers: list[str], rate_bytes_s: int, *, second: bool) -> None:
    try:
        if second:
            (group.parent / "cgroup.subtree_control").write_text("+io")
        group.mkdir(exist_ok=True)
        for number in numbers:
            if second:
                (group / "io.max").write_text(f"{number} rbps={rate_bytes_s} wbps={rate_bytes_s}")
                continue
            for way in ("read", "write"):
                (group / f"blkio.throttle.{way}_bps_device").write_text(f"{number} {rate_bytes_s}")
        _enter(group)
    except OSError as error:
        raise RefusedError(
            f"this kernel holds no device to a rate: {error.filename}: {error.strerror}", hint=_WITHOUT
        ) from None


def _enter(group: Path) -> None:
    (group / "cgroup.procs").write_text(str(os.getpid()))


def _hierarchy(root: Path) -> tuple[Path, bool]:
    """Where groups are made that know of block devices, and whether they are of the second version."""
    for line in (root / "proc/self/mounts").read_text().splitlines():
        _, place, kind, options, *_ = line.split(" ")
        folder = root / place.lstrip("/")
        if kind == "cgroup" and "blkio" in options.split(","):
            return folder, False
        if kind == "cgroup2" and "io" in (folder / "cgroup.controllers").read_text().split():
            return folder, True
    raise RefusedError("this machine has no control group for block devices", hint=_WITHOUT)


def _own_group(root: Path, *, second: bool) -> str:
    """The path of this process's group in that hierarchy."""
    for line in (root / "proc/self/cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        if "blkio" in controllers.split(",") or (second and not controllers):
            return path
    return "/"


def _numbers(device: str) -> str:
    """``MAJOR:MINOR`` of a block device."""
    number = Path(device).stat().st_rdev
    return f"{os.major(number)}:{os.minor(number)}"
