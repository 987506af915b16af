"""The bench's options, table and plot; a run on loop devices needs root."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import xml.etree.ElementTree as ET
from collections.abc import Callable
from pathlib import Path

import pytest

from rasura.errors import ExitCode, RefusedError, UsageError
from rasura_agent.bench.__main__ import choose, parse_size
from rasura_agent.bench.devices import Medium
from rasura_agent.bench.figures import plot, table
from rasura_agent.bench.held import RATE_BYTES_S, held_to_a_rate
from rasura_agent.bench.runs import DRIVES, PASSES, Row

ROWS = [
    Row(
        "ram",
        1,
        "zero",
        4000.0,
        3200.0,
        "fio 1M",
        0.02,
        0.2,
        40.0,
        {"fio": 3200.0, "dd": 9.0},
        {"nwipe": 100.0},
    ),
    Row("disk", 16, "random+verify", 99.0, 100.0, "dd <4M> + fio 1M", 0.5, 0.1, 90.0),
]


@pytest.mark.parametrize(("text", "size"), [("512", 512), ("4K", 4096), ("3M", 3 << 20), ("2G", 2 << 30)])
def test_sizes(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "0", "-1G", "1T", "1.5G", "G", "1 G"])
def test_what_is_no_size(text: str) -> None:
    with pytest.raises(UsageError, match="--size"):
        parse_size(text)


def test_only_narrows_what_it_names() -> None:
    assert choose(()) == (tuple(Medium), DRIVES, PASSES)
    assert choose(("ram", "4", "zero")) == ((Medium.RAM,), (4,), ("zero",))
    assert choose(("64", "held"))[1] == (64,)
    assert choose(("verify",)) == (tuple(Medium), DRIVES, ("verify",))
    with pytest.raises(UsageError, match="--only tape"):
        choose(("tape",))


def test_facts_of_a_row() -> None:
    facts = ROWS[0].facts()
    wanted = {"medium", "drives", "pass", "ours_mb_s", "limit_mb_s", "limit_tool", "ratio", "cpu_s_per_gb"}
    assert wanted | {"peak_rss_mb"} <= facts.keys()
    assert (facts["pass"], facts["ratio"]) == ("zero", 1.25)
    json.dumps(facts)


def test_table_and_plot_have_a_line_for_every_row() -> None:
    text = table(ROWS, 0.15)
    assert "| ram | 1 | zero | 4000 | 3200 | fio 1M | 1.25 | 1.25 |" in text
    assert "nwipe 100" in text
    assert "0.150 CPU s/GB" in text
    drawing = ET.fromstring(plot(ROWS))
    assert len([one for one in drawing if one.tag.endswith("rect")]) == 1 + 2 * len(ROWS)


@pytest.fixture
def machine(tmp_path: Path) -> Callable[[str, str, str], Path]:
    """A root with the mounts and groups of a machine; gives the folder of its control groups."""

    def make(kind: str, options: str, own: str) -> Path:
        groups = tmp_path / "sys/fs/cgroup"
        groups.mkdir(parents=True)
        (groups / "cgroup.controllers").write_text("cpu io memory\n")
        (tmp_path / "proc/self").mkdir(parents=True)
        mounts = f"tmpfs / tmpfs rw 0 0\ncgroup /sys/fs/cgroup {kind} {options} 0 0\n"
        (tmp_path / "proc/self/mounts").write_text(mounts)
        (tmp_path / "proc/self/cgroup").write_text(own)
        return groups

    return make


@pytest.mark.parametrize(
    ("kind", "options", "own", "limits"),
    [
        ("cgroup2", "rw", "0::/\n", {"io.max": "1:3 rbps=9000 wbps=9000"}),
        (
            "cgroup",
            "rw,blkio",
            "7:blkio:/\n4:cpu:/a\n",
            {f"blkio.throttle.{way}_bps_device": "1:3 9000" for way in ("read", "write")},
        ),
    ],
)
def test_a_device_is_held_to_a_rate_by_a_group_of_either_version(
    machine: Callable[[str, str, str], Path],
    tmp_path: Path,
    kind: str,
    options: str,
    own: str,
    limits: dict[str, str],
) -> None:
    groups = machine(kind, options, own)
    with held_to_a_rate(["/dev/null"], 9000, tmp_path):
        group = groups / "rasura-bench"
        assert {one.name: one.read_text() for one in group.iterdir()} == {
            **limits,
            "cgroup.procs": str(os.getpid()),
        }
    assert (groups / "cgroup.procs").read_text() == str(os.getpid())


def test_a_kernel_that_holds_no_device_to_a_rate_is_refused(
    machine: Callable[[str, str, str], Path], tmp_path: Path
) -> None:
    groups = machine("cgroup2", "rw", "0::/\n")
    (groups / "rasura-bench/io.max").mkdir(parents=True)
    with pytest.raises(RefusedError, match="holds no device"), held_to_a_rate(["/dev/null"], root=tmp_path):
        pass
    (groups / "cgroup.controllers").write_text("cpu\n")
    with pytest.raises(RefusedError, match="no control group"), held_to_a_rate([], root=tmp_path):
        pass


def test_without_root_it_says_so() -> None:
    if os.geteuid() == 0:
        pytest.skip("this is root")
    ran = subprocess.run(
        [sys.executable, "-m", "rasura_agent.bench"], capture_output=True, text=True, check=False
    )
    assert (ran.returncode, "needs root" in ran.stderr) == (3, True)


@pytest.mark.root
def test_a_small_run(tmp_path: Path) -> None:
    words = [sys.executable, "-m", "rasura_agent.bench", "--json", "--size=32M", "--repeats=1", "--no-peers"]
    words += [f"--plot={tmp_path / 'plot.svg'}", f"--disk-folder={tmp_path}"]
    words += [f"--only={word}" for word in ("ram", "1", "4", "zero", "random+verify")]
    ran = subprocess.run(words, capture_output=True, text=True, check=False, timeout=100)
    assert ran.returncode == 0, ran.stderr
    rows = json.loads(ran.stdout)
    assert [(row["medium"], row["drives"], row["pass"]) for row in rows] == [
        ("ram", drives, name) for drives in (1, 4) for name in ("zero", "random+verify")
    ]
    assert all(row["ours_mb_s"] > 0 and row["ratio"] > 0 and row["peak_rss_mb"] < 300 for row in rows)
    assert all(max(row["programs_mb_s"].values()) <= row["limit_mb_s"] for row in rows)
    assert (tmp_path / "plot.svg").exists()


@pytest.mark.root
def test_a_device_that_is_held_is_no_faster_than_its_rate() -> None:
    words = [sys.executable, "-m", "rasura_agent.bench", "--json", "--size=256M", "--repeats=1", "--no-peers"]
    words += ["--only=held", "--only=1", "--only=zero"]
    ran = subprocess.run(words, capture_output=True, text=True, check=False, timeout=100)
    if ran.returncode == ExitCode.REFUSED:
        pytest.skip(ran.stderr.strip().splitlines()[-1])
    assert ran.returncode == 0, ran.stderr
    (row,) = json.loads(ran.stdout)
    # Of the half second that it takes, two tenths may be given in advance; not held it takes a twentieth.
    assert row["limit_mb_s"] < 1.8 * RATE_BYTES_S / 1e6
    assert row["ours_mb_s"] < 1.8 * RATE_BYTES_S / 1e6


@pytest.mark.root
def test_a_bench_that_is_ended_takes_its_loop_devices_away(tmp_path: Path) -> None:
    words = [sys.executable, "-m", "rasura_agent.bench", "--size=64M", "--repeats=99", "--no-peers"]
    words += ["--only=disk", "--only=1", "--only=zero", f"--disk-folder={tmp_path}"]
    with subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as bench:
        deadline = time.monotonic() + 60
        while not (backed := _loops_on(tmp_path)) and time.monotonic() < deadline:
            time.sleep(0.05)
        assert backed
        bench.terminate()
        _, said = bench.communicate(timeout=60)
    assert (bench.returncode, said.splitlines()[-1]) == (1, "error: interrupted")
    assert not _loops_on(tmp_path)
    assert not list(tmp_path.iterdir())


def _loops_on(folder: Path) -> list[str]:
    listed = subprocess.run(["losetup", "-n", "-O", "BACK-FILE"], capture_output=True, text=True, check=True)
    return [line for line in listed.stdout.splitlines() if line.startswith(str(folder))]
