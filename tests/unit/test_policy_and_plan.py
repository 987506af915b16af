"""Policy and plan: bad policies get one sentence; a plan says what, why and why not."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rasura.certificate import Method
from rasura_agent.erase.plan import MediaType, media_type, plan_drive, residual_risks
from rasura_agent.erase.policy import BUILT_IN, PatternKind, PolicyError, load_policy, parse_policy
from rasura_agent.inventory.model import Transport
from simulators.block import simulated_drive

GOOD = b'name = "x"\n[erase]\nmethod = "Clear"\n'


@pytest.mark.parametrize("name", BUILT_IN)
def test_built_in_policies(name: str) -> None:
    policy = load_policy(name)
    assert policy.name == name
    assert policy.method is (Method.PURGE if name == "purge" else Method.CLEAR)
    assert policy.method is Method.PURGE or policy.pattern is PatternKind(name.removeprefix("clear-"))
    assert not policy.allow_weaker
    assert not policy.allow_hidden


def test_every_key(tmp_path: Path) -> None:
    path = tmp_path / "policy.toml"
    path.write_bytes(
        b'name = "strict"\n[erase]\nmethod = "purge"\ntechnique = "overwrite"\npattern = "zero"\n'
        b"allow_weaker = true\naccept_r1_basis = true\nallow_hidden = true\nreformat_sectors = true\n"
        b'[protect]\nserials = ["A", "B"]\nremovable = true\n'
    )
    policy = load_policy(str(path))
    assert (policy.method, policy.pattern, policy.allow_weaker) == (Method.PURGE, PatternKind.ZERO, True)
    assert (policy.accept_r1_basis, policy.allow_hidden, policy.reformat_sectors) == (True, True, True)
    assert policy.protection.serials == {"A", "B"}
    assert policy.protection.refuse_removable


@pytest.mark.parametrize(
    ("raw", "sentence"),
    [
        (b"", "needs a name"),
        (b'name = ""\n', "needs a name"),
        (b"name = 5\n", "needs a name"),
        (b'name = "x"\n', "does not say what to do"),
        (b"name", "not TOML"),
        (b'name = "\xff"', "not UTF-8"),
        (GOOD + b"pasword = 1\n", "unknown key 'pasword'"),
        (b"nmae = 1\n", "unknown key 'nmae'"),
        (GOOD + b"[protct]\n", "unknown key 'protct'"),
        (b'name = "x"\nerase = 1\n', "must be a table"),
        (b'name = "x"\n[erase]\nmethod = 1\n', "must be text"),
        (b'name = "x"\n[erase]\nmethod = "Shred"\n', "it can be Clear, Purge"),
        (b'name = "x"\n[erase]\nmethod = "Destroy"\n', "no software can destroy"),
        (GOOD + b'pattern = "gutmann"\n', "it can be random, zero"),
        (GOOD + b"allow_weaker = 1\n", "must be true or false"),
        (GOOD + b'[protect]\nserials = "A"\n', "must be a list"),
        (GOOD + b"[protect]\nserials = [1]\n", "list of serial numbers"),
    ],
)
def test_bad_policies(raw: bytes, sentence: str) -> None:
    with pytest.raises(PolicyError, match=sentence):
        parse_policy(raw)


def test_a_near_miss_is_pointed_out() -> None:
    with pytest.raises(PolicyError) as caught:
        parse_policy(b'nmae = "x"\n')
    assert caught.value.hint == "did you mean 'name'?"


@given(raw=st.binary(max_size=60) | st.text(max_size=60).map(str.encode))
def test_garbage_raises_our_error_only(raw: bytes) -> None:
    with pytest.raises(PolicyError):
        parse_policy(raw)


@pytest.mark.parametrize(
    ("facts", "medium"),
    [
        ({"transport": Transport.SATA, "rotational": True}, MediaType.HDD),
        ({"transport": Transport.SATA, "rotational": False}, MediaType.SSD),
        ({"transport": Transport.NVME, "rotational": None}, MediaType.SSD),
        ({"transport": Transport.USB, "rotational": None}, MediaType.FLASH),
        ({"transport": Transport.USB, "rotational": True}, MediaType.HDD),
        ({"transport": Transport.MMC, "rotational": None}, MediaType.FLASH),
        ({"transport": Transport.LOOP, "rotational": True}, MediaType.VIRTUAL),
        ({"transport": Transport.FILE, "rotational": None}, MediaType.VIRTUAL),
        ({"transport": None, "rotational": None}, MediaType.UNKNOWN),
    ],
)
def test_media(facts: dict[str, object], medium: MediaType) -> None:
    assert media_type(simulated_drive(1 << 20, **facts)) is medium


def test_flash_sticks_get_two_passes_and_end_with_the_pattern_asked_for() -> None:
    stick = simulated_drive(1 << 20, transport=Transport.USB, rotational=None)
    (zero,) = plan_drive(stick, load_policy("clear-zero"), ()).chosen
    (random,) = plan_drive(stick, load_policy("clear-random"), ()).chosen
    assert [one.label for one in zero.passes] == ["one", "zero"]
    assert [one.label for one in random.passes] == ["random, inverted", "random"]


def test_purge_is_out_of_reach_for_an_overwrite_unless_weaker_is_allowed() -> None:
    drive = simulated_drive(1 << 20)
    strict = plan_drive(drive, parse_policy(b'name="p"\n[erase]\nmethod="Purge"\n'), ())
    assert not strict.runnable
    assert "Purge" in (strict.unreachable or "")
    lax = plan_drive(drive, parse_policy(b'name="p"\n[erase]\nmethod="Purge"\nallow_weaker=true\n'), ())
    assert lax.runnable
    assert [way.method for way in lax.chosen] == [Method.CLEAR]


def test_residual_risks_name_what_a_reader_must_know() -> None:
    stick = simulated_drive(1 << 20, transport=Transport.USB, rotational=None)
    (way,) = plan_drive(stick, load_policy("clear-zero"), ()).chosen
    risks = residual_risks(stick, way, direct=False, examined=False)
    codes = {risk.partition(":")[0] for risk in risks}
    assert codes == {
        "remapped-sectors",
        "over-provisioning",
        "hidden-areas",
        "bridge",
        "capacity-not-proven",
        "buffered",
    }
    assert "hidden-areas" not in str(residual_risks(stick, way, direct=False, examined=True))
