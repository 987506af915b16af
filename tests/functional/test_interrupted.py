"""An erasure that is killed goes on where it was: real processes, SIGKILL at random moments."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from random import Random
from typing import Any

import pytest

from functional.conftest import BIN, MARK, Workshop

SIZE = 32 << 20
BLOCK = 4 << 20
INTERVAL = 1_000_000
KILLS = int(os.environ.get("RASURA_KILLS", "3"))

POLICY = """
name = "slow"
[erase]
method = "Clear"
pattern = "{pattern}"
[pace]
drive_mb_s = {rate}
[journal]
interval_mb = 1
"""


def policy(workshop: Workshop, pattern: str = "random", rate: int = 50, name: str = "slow.toml") -> Path:
    path = workshop.folder / name
    path.write_text(POLICY.format(pattern=pattern, rate=rate))
    return path


def command(workshop: Workshop, drive: Path, rules: Path, *more: str | Path) -> list[str]:
    words = ["erase", "--virtual-drive", drive, "--confirm-all", "1", "--policy", rules, "--json", *more]
    return [str(BIN / "rasura-agent"), *map(str, words)]


def environment(workshop: Workshop) -> dict[str, str]:
    return {
        **os.environ,
        "RASURA_SITE": str(workshop.site),
        "RASURA_SPOOL": str(workshop.spool),
        "RASURA_REGISTRY": workshop.registry,
    }


def killed_at(workshop: Workshop, words: list[str], events: Path, done: int) -> None:
    """Start the agent and kill it as soon as it has written and read ``done`` bytes; or let it end."""
    with subprocess.Popen(
        words, env=environment(workshop), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as agent:
        deadline = time.monotonic() + 60
        while agent.poll() is None and moved(events) < done:
            assert time.monotonic() < deadline
            time.sleep(0.005)
        agent.kill()


def told(events: Path) -> list[dict[str, Any]]:
    found = []
    with contextlib.suppress(FileNotFoundError):
        for line in events.read_text().splitlines():
            with contextlib.suppress(ValueError):  # the last line may be cut
                found.append(json.loads(line))
    return found


def moved(events: Path) -> int:
    last = [one for one in told(events) if one["event"] == "progress"][-1:]
    return sum(one["done"] - one["start"] + (SIZE if one["phase"] == "verify" else 0) for one in last)


def claims(workshop: Workshop, path: str) -> dict[str, Any]:
    (statement,) = workshop.run("rasura", "show", "--json", path).json
    predicate: dict[str, Any] = statement["predicate"]
    return predicate


def test_kills_at_random_moments(workshop: Workshop) -> None:
    draw = Random("kills")
    rules = policy(workshop)
    drive = workshop.drive(size=SIZE)
    resumed = 0
    for kill in range(KILLS):
        before = workshop.folder / f"events-{kill}"
        killed_at(workshop, command(workshop, drive, rules, "--events", before), before, draw.randrange(SIZE))
        again = workshop.folder / f"again-{kill}"
        words = command(workshop, drive, rules, "--events", again)
        if draw.random() < 0.5:  # once more, early or in the middle of verification
            killed_at(workshop, words, again, draw.choice([0, BLOCK, SIZE]))
            for one in told(again):
                if one["event"] == "continues":
                    reached = max(last["done"] for last in told(before) if last["event"] == "progress")
                    assert one["done"] >= reached - INTERVAL - BLOCK
        ran = workshop.run(*words_of(words))
        assert ran.code == 0, ran.err
        (outcome,) = ran.json["drives"]
        assert outcome["outcome"] == "ERASED", outcome["reason"]
        assert MARK not in drive.read_bytes()
        verified = workshop.run("rasura", "verify", outcome["path"], "--trust", workshop.trust)
        assert verified.code == 0, verified.out
        told_of = claims(workshop, outcome["path"])["result"]["resumed"]
        if told_of is not None:
            resumed += 1
            assert told_of["bytesBefore"] + told_of["bytesNow"] == SIZE
            assert "interrupted" in workshop.run("rasura", "show", outcome["path"]).out
        assert list((workshop.spool / "journal").iterdir()) == []
        drive = workshop.drive(size=SIZE)
    assert resumed > KILLS // 2


def words_of(words: list[str]) -> list[str]:
    return ["rasura-agent", *words[1:]]


@pytest.fixture
def cut_off(workshop: Workshop) -> tuple[Path, Path]:
    """A drive whose erasure was killed half-way, and the policy of it."""
    rules, drive = policy(workshop), workshop.drive(size=SIZE)
    events = workshop.folder / "events"
    killed_at(workshop, command(workshop, drive, rules, "--events", events), events, SIZE // 2)
    assert MARK in drive.read_bytes()
    return drive, rules


def test_it_is_said_before_and_after(workshop: Workshop, cut_off: tuple[Path, Path]) -> None:
    drive, rules = cut_off
    look = ("rasura-agent", "plan", "--virtual-drive", drive, "--policy", rules)
    assert "interrupted before: it goes on in pass 1 of 1 at " in workshop.run(*look).out
    (planned,) = workshop.run(*look, "--json").json["drives"]
    assert planned["interrupted"]["misfit"] is None
    french = workshop.run(*look, RASURA_LANG="fr")
    assert "interrompu" in french.out
    ran = workshop.run(*words_of(command(workshop, drive, rules, "--events", workshop.folder / "again")))
    assert ran.code == 0, ran.err
    (continues,) = [one for one in told(workshop.folder / "again") if one["event"] == "continues"]
    assert continues["done"] == planned["interrupted"]["done"] >= SIZE // 2 - BLOCK - INTERVAL
    (outcome,) = ran.json["drives"]
    told_of = claims(workshop, outcome["path"])["result"]["resumed"]
    assert told_of["interruptions"] == [
        {"step": 1, "position": continues["done"], "bytesWritten": continues["done"]}
    ]
    assert MARK not in drive.read_bytes()


def test_another_policy_begins_afresh(workshop: Workshop, cut_off: tuple[Path, Path]) -> None:
    drive, _ = cut_off
    other = policy(workshop, "zero", 0, "other.toml")
    look = workshop.run("rasura-agent", "plan", "--virtual-drive", drive, "--policy", other)
    assert "begun afresh: it was begun by another policy" in look.out
    ran = workshop.run(*words_of(command(workshop, drive, other)))
    (outcome,) = ran.json["drives"]
    assert outcome["outcome"] == "ERASED"
    assert any("begun afresh" in problem for problem in outcome["problems"])
    assert claims(workshop, outcome["path"])["result"]["resumed"] is None
    assert set(drive.read_bytes()) == {0}


def test_a_person_may_want_it_afresh(workshop: Workshop, cut_off: tuple[Path, Path]) -> None:
    drive, rules = cut_off
    ran = workshop.run(*words_of(command(workshop, drive, rules, "--afresh")))
    (outcome,) = ran.json["drives"]
    assert (outcome["outcome"], outcome["problems"]) == ("ERASED", [])
    assert claims(workshop, outcome["path"])["result"]["resumed"] is None


@pytest.mark.parametrize("harm", ["torn", "gone", "drive"])
def test_what_is_damaged_is_not_used(workshop: Workshop, cut_off: tuple[Path, Path], harm: str) -> None:
    drive, rules = cut_off
    for path in (workshop.spool / "journal").iterdir():
        if harm == "torn":
            path.write_bytes(path.read_bytes()[:-7])
        elif harm == "gone":
            path.unlink()
    if harm == "drive":
        workshop.drive(size=SIZE)
    ran = workshop.run(*words_of(command(workshop, drive, rules)))
    assert ran.code == 0, ran.err
    (outcome,) = ran.json["drives"]
    assert outcome["outcome"] == "ERASED"
    assert bool(outcome["problems"]) == (harm != "gone")
    assert claims(workshop, outcome["path"])["result"]["resumed"] is None
    assert MARK not in drive.read_bytes()


def test_a_journal_that_cannot_be_written_stops_nothing(workshop: Workshop) -> None:
    workshop.spool.mkdir()
    (workshop.spool / "journal").write_text("a file where a folder should be")
    ran = workshop.run(*words_of(command(workshop, workshop.drive(), policy(workshop, rate=0))))
    assert ran.code == 0, ran.err
    (outcome,) = ran.json["drives"]
    assert outcome["outcome"] == "ERASED"
    assert any("begins afresh: cannot write the journal" in problem for problem in outcome["problems"])


def test_events_on_standard_output(workshop: Workshop) -> None:
    ran = workshop.erase(workshop.drive(), "--events", "-", "--plain")
    assert ran.code == 0, ran.err
    lines = [json.loads(line) for line in ran.out.splitlines() if line.startswith("{")]
    assert [one["event"] for one in lines][-1] == "ended"
    assert {"write", "verify"} == {one["phase"] for one in lines if one["event"] == "progress"}
    assert lines[-1]["outcome"] == "ERASED"


def test_events_to_a_place_that_is_none(workshop: Workshop) -> None:
    drive = workshop.drive()
    ran = workshop.erase(drive, "--events", workshop.folder / "nowhere" / "events")
    assert ran.code == 2
    assert MARK in drive.read_bytes()


def test_a_sampled_verification_is_asked_for_and_said(workshop: Workshop) -> None:
    rules = workshop.folder / "sampled.toml"
    rules.write_text('name = "sampled"\n[erase]\nmethod = "Clear"\nverification = "sampled"\n')
    drive = workshop.drive(size=16 << 20)
    ran = workshop.erase(drive, "--policy", rules, "--json")
    assert ran.code == 0, ran.err
    (outcome,) = ran.json["drives"]
    told_of = claims(workshop, outcome["path"])
    assert told_of["verification"]["method"] == "sampled-read-back"
    assert (16 << 20) // 10 <= told_of["verification"]["coverage"]["bytesRead"] < 16 << 20
    assert any(risk.startswith("sampled: ") for risk in told_of["residualRisks"])
    assert workshop.run("rasura", "verify", outcome["path"], "--trust", workshop.trust).code == 0


MEASURE = """
import os, subprocess, sys
agent = subprocess.Popen(sys.argv[1:])
_, status, used = os.wait4(agent.pid, 0)
print(used.ru_maxrss, file=sys.stderr)
sys.exit(os.waitstatus_to_exitcode(status))
"""
"""Between us and the agent: a process inherits the peak memory of whoever started it."""


def test_64_drives_at_once_in_little_memory(workshop: Workshop) -> None:
    """Each with a certificate of its own; the whole process stays below 300 MB."""
    drives = [workshop.drive(f"disk{number}.img", size=8 << 20) for number in range(64)]
    words = [word for drive in drives for word in ("--virtual-drive", str(drive))]
    agent = [str(BIN / "rasura-agent"), "erase", *words, "--confirm-all", "64", "--json", "--plain"]
    ran = subprocess.run(
        [sys.executable, "-S", "-c", MEASURE, *agent],
        env=environment(workshop),
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    peak_mb = int(ran.stderr.splitlines()[-1]) / 1000
    assert peak_mb < 300, f"{peak_mb:.0f} MB"
    outcomes = json.loads(ran.stdout)["drives"]
    assert {one["outcome"] for one in outcomes} == {"ERASED"}
    paths = [one["path"] for one in outcomes]
    assert len(set(paths)) == 64
    assert workshop.run("rasura", "verify", *paths, "--trust", workshop.trust).code == 0
    assert not any(MARK in drive.read_bytes() for drive in drives)
