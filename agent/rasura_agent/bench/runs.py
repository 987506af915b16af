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

__all__ = ["DRIVES", "MANY", "PASSES", "Row", "Wanted", "run_bench"]

PASSES = ("zero", "random", "verify", "verify random", "zero+verify", "random+verify")
DRIVES = (1, 4, 16)
MANY = 64
"""Measured when it is asked for: what so many cost in memory and processor time."""
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
    programs_mb_s: dict[str, float] = msgspec.field(default_factory=dict)
    """dd and fio, each at its best block size; the limit is the better of them, writing and reading."""
    peers_mb_s: dict[str, float] = msgspec.field(default_factory=dict)

    @property
    def ratio(self) -> float:
        """Ours, of the device's limit."""
        return self.ours_mb_s / self.limit_mb_s

    def facts(self) -> dict[str, Any]:
        """The row for machines."""
        facts = {key: _rounded(value) for key, value in asdict(self).items()}
        facts["pass"] = facts.pop("name")
        facts["ratio"] = round(self.ratio, 3)
        return facts


def _rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _rounded(one) for name, one in value.items()}
    return round(value, 3) if isinstance(value, float) else value


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
    best: dict[bool, list[Tool]] = {}
    for write in (True, False):
        if any(_uses(name, write=write) for name in wanted.passes):
            say(f"{medium}, {len(devices)} drives: looking for the best {'writer' if write else 'reader'}")
            best[write] = _best_of_each(limit_tools(write=write), devices, size)
    for name in wanted.passes:
        say(f"{medium}, {len(devices)} drives: {name}")
        tools = [best[write] for write in (True, False) if _uses(name, write=write)]
        ours: list[tuple[Speed, float]] = []
        theirs: list[dict[Tool, list[Speed]]] = [{tool: [] for tool in ways} for ways in tools]
        for _ in range(wanted.repeats):
            # In turn, so that what else the machine does meets all of them.
            for ways in theirs:
                for tool, found in ways.items():
                    found.append(tool.run(devices, size))
            ours.append(_ours(name, devices, size))
        medians = [{tool: _median(found) for tool, found in ways.items()} for ways in theirs]
        fastest = [max(ways.items(), key=lambda one: one[1].mb_s) for ways in medians]
        limit = _combined([best_speed for _, best_speed in fastest])
        peers: list[Tool] = peers_of(name) if wanted.peers and len(devices) == 1 else []
        speed = _median([speed for speed, _ in ours])
        yield Row(
            medium=medium.value,
            drives=len(devices),
            name=name,
            ours_mb_s=speed.mb_s,
            limit_mb_s=limit.mb_s,
            limit_tool=" + ".join(tool.name for tool, _ in fastest),
            cpu_s_per_gb=speed.cpu_s_per_gb,
            limit_cpu_s_per_gb=limit.cpu_s_per_gb,
            peak_rss_mb=max(rss for _, rss in ours),
            programs_mb_s=_by_program(medians),
            peers_mb_s={tool.name: tool.run(devices, size).mb_s for tool in peers},
        )


def _best_of_each(tools: list[Tool], devices: list[str], size: int) -> list[Tool]:
    """The tool of each program that is fastest in two tries."""
    speeds = {tool: max(tool.run(devices, size).mb_s for _ in range(2)) for tool in tools}
    programs = dict.fromkeys(tool.program for tool in tools)
    return [
        max((tool for tool in tools if tool.program == program), key=speeds.__getitem__)
        for program in programs
    ]


def _by_program(medians: list[dict[Tool, Speed]]) -> dict[str, float]:
    """What each program makes of the whole pass."""
    programs = dict.fromkeys(tool.program for ways in medians for tool in ways)
    return {
        program: _combined(
            [speed for ways in medians for tool, speed in ways.items() if tool.program == program]
        ).mb_s
        for program in programs
    }


def _uses(name: str, *, write: bool) -> bool:
    return not name.startswith("verify") if write else "verify" in name


def _median(speeds: list[Speed]) -> Speed:
    return Speed(median(one.mb_s for one in speeds), median(one.cpu_s_per_gb for one in speeds))


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
