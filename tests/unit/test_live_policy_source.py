"""The policy that was asked for at boot, and never another one instead."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from rasura_agent.erase.policy import BUILT_IN, PolicyError
from rasura_agent.live.boot_parameters import PolicyUrl
from rasura_agent.live.policy_source import find_policy, known_policies
from simulators.web import refused_port, serving

OURS = b'name = "ours"\n[erase]\nmethod = "Clear"\n'


@pytest.fixture
def stick(tmp_path: Path) -> Path:
    (tmp_path / "policies").mkdir()
    (tmp_path / "policies/ours.toml").write_bytes(OURS)
    (tmp_path / "policies/broken.toml").write_bytes(b"name = 1")
    return tmp_path


def test_the_usual_one(stick: Path) -> None:
    assert find_policy(None, stick).name == BUILT_IN[0]
    assert find_policy("purge", None).name == "purge"


def test_one_of_the_stick(stick: Path) -> None:
    assert find_policy("ours", stick).name == "ours"
    assert known_policies(stick) == (*BUILT_IN, "broken", "ours")
    assert known_policies(None) == BUILT_IN
    for name, place in (("ours", None), ("others", stick), ("broken", stick)):
        with pytest.raises(PolicyError):
            find_policy(name, place)


def test_a_file_of_the_stick_does_not_hide_a_built_in_one(stick: Path) -> None:
    (stick / "policies/purge.toml").write_bytes(OURS)
    assert find_policy("purge", stick).name == "purge"
    assert known_policies(stick).count("purge") == 1


def test_one_of_the_boot_server() -> None:
    digest = hashlib.sha256(OURS).hexdigest()
    with serving(lambda *_request: (200, OURS)) as url:
        assert find_policy(PolicyUrl(f"{url}/p.toml", None), None).name == "ours"
        assert find_policy(PolicyUrl(f"{url}/p.toml", digest), None).name == "ours"
        with pytest.raises(PolicyError, match="SHA-256"):
            find_policy(PolicyUrl(f"{url}/p.toml", "0" * 64), None)


@pytest.mark.parametrize(
    "answer",
    [(404, OURS), (302, OURS), (500, b""), (200, b"<html>"), (200, b"\xff"), (200, OURS + b"#" * 70000)],
)
def test_a_boot_server_that_has_none(answer: tuple[int, bytes]) -> None:
    with serving(lambda *_request: answer) as url, pytest.raises(PolicyError):
        find_policy(PolicyUrl(url, None), None)


def test_a_boot_server_that_is_away() -> None:
    with pytest.raises(PolicyError, match="cannot be fetched"):
        find_policy(PolicyUrl(refused_port(), None), None)
