"""The runs of the bench: ours and the device's limit side by side, each as the median of its repeats."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from statistics import median
from typing import Any

import msgspec
from msgspec.structs import asdict

from rasura.errors import RasuraError, RefusedError
from rasura_agent.bench.devices import Medium, loop_devices
from rasura_agent.bench.tools import Speed, Tool, limit_tools, peers_of

__all__ = ["DRIVES", "PASSES", "Row", "Wanted", "run_bench"]

PASSES = ("zero", "random", "verify", "verify random", "zero+verify", "random+verify")
DRIVES = (1, 4, 16)
_ALIGNMENT = 4 << 20


class Wanted(msgspec.Struct, frozen=True):
    """What to measure: ``size`` bytes in all, shared out among the drives of a run."""

    media: tuple[Medium, ...]
    drives: tuple[int, ...]
    passes: tuple[str, ...]
    size: int
    repeats: int
    peers: bool
    disk_folder: Path


class Row(msgspec.Struct, frozen=True):
    """One pass on some drives of one medium. Speeds are 10^6 bytes a second over all drives."""

    medium: str
    drives: int
    name: str
    ours_mb_s: float
    limit_mb_s: float
    limit_tool: str
    cpu_s_per_gb: float
    limit_cpu_s_per_gb: float
    peak_rss_mb: float
    peers_mb_s: dict[str, float] = msgspec.field(default_factory=dict)

    @property
    def ratio(self) -> float:
        """Ours, of the device's limit."""
        return self.ours_mb_s / self.limit_mb_s

    def facts(self) -> dict[str, Any]:
        """The row for machines."""
        facts = {
            key: round(value, 3) if isinstance(value, float) else value for key, value in asdict(self).items()
        }
        facts["pass"] = facts.pop("name")
        facts["ratio"] = round(self.ratio, 3)
        return facts


def run_bench(wanted: Wanted, say: Callable[[str], None]) -> Iterable[Row]:
    """Measure; ``say`` gets what is being done. Yields a row as soon as it is known.

    Raises:
        RasuraError: a program failed, or there is no room.
    """
    for medium in wanted.media:
        for count in wanted.drives:
            size = max(_ALIGNMENT, wanted.size // count // _ALIGNMENT * _ALIGNMENT)
            try:
                with loop_devices(medium, count, size, wanted.disk_folder) as devices:
                    yield from _rows(wanted, medium, devices, size, say)
            except RefusedError as error:
                if medium is not Medium.HELD or len(wanted.media) == 1:
                    raise
                say(f"{medium}, {count} drives: left out: {error}")


def _rows(
    wanted: Wanted, medium: Medium, devices: list[str], size: int, say: Callable[[str], None]
) -> Iterable[Row]:
    best = {}
    for write in (True, False):
        if any(_uses(name, write=write) for name in wanted.passes):
            say(f"{medium}, {len(devices)} drives: looking for the best {'writer' if write else 'reader'}")
            best[write] = max(
                limit_tools(write=write), key=lambda tool: max(tool.run(devices, size).mb_s for _ in range(2))
            )
    for name in wanted.passes:
        say(f"{medium}, {len(devices)} drives: {name}")
        limits = {write: tool for write, tool in best.items() if _uses(name, write=write)}
        ours, theirs = [], []
        for _ in range(wanted.repeats):
            # In turn, so that what else the machine does meets both.
            theirs.append(_combined([tool.run(devices, size) for tool in limits.values()]))
            ours.append(_ours(name, devices, size))
        peers: list[Tool] = peers_of(name) if wanted.peers and len(devices) == 1 else []
        yield Row(
            medium=medium.value,
            drives=len(devices),
            name=name,
            ours_mb_s=median(speed.mb_s for speed, _ in ours),
            limit_mb_s=median(speed.mb_s for speed in theirs),
            limit_tool=" + ".join(tool.name for tool in limits.values()),
            cpu_s_per_gb=median(speed.cpu_s_per_gb for speed, _ in ours),
            limit_cpu_s_per_gb=median(speed.cpu_s_per_gb for speed in theirs),
            peak_rss_mb=max(rss for _, rss in ours),
            peers_mb_s={tool.name: tool.run(devices, size).mb_s for tool in peers},
        )


def _uses(name: str, *, write: bool) -> bool:
    return not name.startswith("verify") if write else "verify" in name


def _combined(speeds: list[Speed]) -> Speed:
    """One after the other over the same bytes."""
    return Speed(1 / sum(1 / speed.mb_s for speed in speeds), sum(speed.cpu_s_per_gb for speed in speeds))


def _ours(name: str, devices: list[str], size: int) -> tuple[Speed, float]:
    command = [sys.executable, "-m", "rasura_agent.bench.worker", name, *devices]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RasuraError(f"our own run failed: {done.stderr.strip().splitlines()[-1:]}")
    found, total = json.loads(done.stdout), size * len(devices)
    return Speed(total / found["seconds"] / 1e6, found["cpu_s"] * 1e9 / total), found["peak_rss_mb"]
