"""The bench of verifying runs, and what it measures is verification."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from rasura.trust import Trust
from rasura.verifier import Verdict, verify
from vectors.bench import WAYS, measure, samples
from vectors.world import trust

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("way", WAYS)
def test_every_sample_is_another_genuine_certificate(way: str) -> None:
    bundles = samples(70, way, others=100)
    reports = [verify(one, Trust.parse(trust())) for one in bundles]
    assert all(one.verdict is Verdict.GENUINE for one in reports)
    assert len({one.payload_sha256 for one in reports}) == len(bundles)
    shared = 2 if way != "own" else 70
    assert len({one.checkpoint_note for one in reports}) == shared


def test_it_gives_rates() -> None:
    assert measure(5, ["shared"], others=10).keys() == {"shared", "signatures alone"}


def test_it_runs_as_a_program() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "vectors.bench", "--count", "3", "--way", "shared", "--no-start"],
        capture_output=True,
        text=True,
        check=False,
        env={"PYTHONPATH": str(ROOT / "tests")},
    )
    assert done.returncode == 0, done.stderr
    assert "certificates a second a core" in done.stdout
