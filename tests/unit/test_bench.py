"""The bench's options, table and plot; a run on loop devices needs root."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from rasura.errors import UsageError
from rasura_agent.bench.__main__ import choose, parse_size
from rasura_agent.bench.devices import Medium
from rasura_agent.bench.figures import plot, table
from rasura_agent.bench.runs import DRIVES, PASSES, Row

ROWS = [
    Row("ram", 1, "zero", 4000.0, 3200.0, "fio 1M", 0.02, 0.2, 40.0, {"nwipe": 100.0}),
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
    assert "| ram | 1 | zero | 4000 | 3200 | fio 1M | 1.25 |" in text
    assert "nwipe 100" in text
    assert "0.150 CPU s/GB" in text
    drawing = ET.fromstring(plot(ROWS))
    assert len([one for one in drawing if one.tag.endswith("rect")]) == 1 + 2 * len(ROWS)


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
    assert (tmp_path / "plot.svg").exists()
