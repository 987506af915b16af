"""Schemes: the table says what its standards say, policies name them, plans and certificates show them."""

from __future__ import annotations

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from rasura.certificate import Method, Outcome
from rasura_agent.console.words import how
from rasura_agent.drive.port import Disposition
from rasura_agent.erase.engine import execute
from rasura_agent.erase.events import Phase, Progress
from rasura_agent.erase.pattern import Constant, RandomStream
from rasura_agent.erase.plan import DrivePlan, Way, plan_drive, residual_risks
from rasura_agent.erase.policy import Policy, PolicyError, parse_policy
from rasura_agent.erase.result import EraseResult
from rasura_agent.erase.run import Ports
from rasura_agent.erase.scheme import Pass, SchemeError, parse_pass, patterns, scheme, schemes
from rasura_agent.inventory.model import Transport
from simulators.block import BlockFault, SimulatedBlock, simulated_drive

BLOCK = 4096
CAPACITY = 64 * BLOCK
HEAD = 'name = "x"\n[erase]\nmethod = "Clear"\ntechnique = "overwrite"\n'


def policy(erase: str = "", rest: str = "") -> Policy:
    return parse_policy((HEAD + erase + "\n" + rest).encode())


def chosen(asked: Policy, **facts: object) -> Way:
    (way,) = plan_drive(simulated_drive(CAPACITY, **facts), asked, ()).chosen
    return way


def labels(name: str) -> list[str]:
    return [one.label for one in scheme(name).passes]


def test_no_scheme_claims_more_than_clear() -> None:
    assert len(schemes()) >= 9
    for name, one in schemes().items():
        assert one.passes
        assert one.standard
        assert one.title
        assert "Purge" not in f"{one.title}{one.standard}{one.basis}"
        assert chosen(policy(f'scheme = "{name}"')).method is Method.CLEAR


@pytest.mark.parametrize(
    ("name", "passes"),
    [
        ("nist-clear-zero", ["zero"]),
        ("ieee-2883-clear", ["zero"]),
        ("flash-random", ["random, inverted", "random"]),
        ("dod-5220-22-m", ["zero", "one", "random"]),
        ("dod-5220-22-m-ece", ["zero", "one", "random", "0x96", "0x35", "0xca", "random"]),
        ("bsi-vsitr", ["zero", "one", "zero", "one", "zero", "one", "0xaa"]),
    ],
)
def test_the_passes_are_those_of_the_standard(name: str, passes: list[str]) -> None:
    assert labels(name) == passes


def test_gutmann_is_four_random_27_fixed_four_random() -> None:
    passes = labels("gutmann")
    assert len(passes) == 35
    assert passes[:4] == passes[-4:] == ["random"] * 4
    assert passes.count("random") == 8
    assert {f"0x{byte:02x}" for byte in range(0x11, 0xFF, 0x11)} < set(passes)
    assert passes[6:9] == passes[25:28] == ["0x924924", "0x492492", "0x249249"]
    assert passes[28:31] == ["0x6db6db", "0xb6db6d", "0xdb6db6"]


def test_every_random_pass_has_a_key_of_its_own_and_shares_it_with_its_complement_only() -> None:
    words = ["~random", "random", "random", "zero", "random", "~random", "~random"]
    made = patterns(map(parse_pass, words), os.urandom)
    keys = [one.key if isinstance(one, RandomStream) else None for one in made]
    assert keys[0] == keys[1]
    assert keys[4] == keys[5]
    assert len({keys[0], keys[2], keys[4], keys[6]}) == 4


@given(unit=st.binary(min_size=1, max_size=16), at=st.integers(0, 1 << 50), size=st.integers(1, 100))
def test_a_sequence_keeps_its_phase_over_the_whole_drive(unit: bytes, at: int, size: int) -> None:
    into = memoryview(bytearray(size))
    Constant(unit).fill(at, into)
    assert bytes(into) == bytes(unit[(at + one) % len(unit)] for one in range(size))
    block = Constant(unit).block(BLOCK)
    assert len(block) % len(unit) == len(block) % 4096 == 0


@given(unit=st.binary(min_size=1, max_size=16))
def test_passes_can_be_written_down(unit: bytes) -> None:
    text = " ".join(f"0x{byte:02x}" for byte in unit)
    assert parse_pass(text) == Pass(unit)
    assert parse_pass(f"~{text}") == Pass(bytes(byte ^ 0xFF for byte in unit))


@pytest.mark.parametrize(
    "text", ["", "~", "ones", "0x", "0x1", "0x123", "55", "0x55 ", "~~zero", " ".join(["0x00"] * 17)]
)
def test_what_is_no_pass(text: str) -> None:
    with pytest.raises(SchemeError, match="no pass"):
        parse_pass(text)


@pytest.mark.parametrize(
    ("erase", "rest", "sentence"),
    [
        ('scheme = "gutman"', "", "no overwriting scheme 'gutman'"),
        ('scheme = "bsi-vsitr"\npattern = "zero"', "", "a pattern and a scheme"),
        ("scheme = 7", "", "must be text"),
        ('offload = "yes"', "", "must be true or false"),
        ('offload = true\nverification = "sampled"', "", 'verification in the policy must be "full"'),
        ('verification = "sampled"', "[verify]\nevery_pass = true", "with every_pass all is read back"),
        ('verification = "sampled"', "[verify]\nsecond_reader = true", "with second_reader all is read"),
        ("", "[verify]\nevery_pass = 1", "must be true or false"),
        ("", "[verify]\nevery = true", "unknown key 'every'"),
        ("", "[limits]\nretries = -1", "retries in \\[limits\\] of the policy must be at least 0"),
        ("", "[limits]\nanswer_seconds = 0", "must be at least 1"),
        ("", "[limits]\nerrors = true", "must be a whole number"),
        ("", "[limits]\nerrors = 1.5", "must be a whole number"),
    ],
)
def test_bad_policies_get_one_sentence(erase: str, rest: str, sentence: str) -> None:
    with pytest.raises((PolicyError, SchemeError), match=sentence):
        policy(erase, rest)


def test_a_near_miss_is_pointed_out() -> None:
    with pytest.raises(SchemeError) as caught:
        scheme("gutman")
    assert caught.value.hint == "did you mean 'gutmann'?"


def test_limits_come_from_the_policy() -> None:
    limits = policy("", "[limits]\nretries = 0\nerrors = 9\nerror_seconds = 60\nanswer_seconds = 20").limits
    assert (limits.retries, limits.errors, limits.error_s, limits.answer_s) == (0, 9, 60, 20)
    assert limits.zone_transfers == policy().limits.zone_transfers


def test_the_plan_shows_the_scheme_and_its_time_follows_the_passes() -> None:
    one, three = chosen(policy('scheme = "nist-clear-zero"')), chosen(policy('scheme = "dod-5220-22-m"'))
    every = chosen(policy('scheme = "dod-5220-22-m"', "[verify]\nevery_pass = true"))
    assert one.estimate_s is not None
    assert three.estimate_s == pytest.approx(one.estimate_s * 2)
    assert every.estimate_s == pytest.approx(one.estimate_s * 3)
    assert how(three) == "Clear by overwrite (zero, then one, then random)"
    assert how(chosen(policy('scheme = "gutmann"'))) == "Clear by overwrite (gutmann, 35 passes)"


def test_a_scheme_is_taken_as_it_is_whatever_the_medium() -> None:
    stick = {"transport": Transport.USB, "rotational": None}
    assert len(chosen(policy('scheme = "nist-clear-zero"'), **stick).passes) == 1
    assert len(chosen(policy(), **stick).passes) == 2


def test_a_constant_last_pass_proves_no_capacity_whatever_came_before() -> None:
    stick = simulated_drive(CAPACITY, transport=Transport.USB, rotational=None)
    for name, said in (("anssi-three-passes", True), ("dod-5220-22-m", False)):
        (way,) = plan_drive(stick, policy(f'scheme = "{name}"'), ()).chosen
        risks = residual_risks(stick, way, direct=True, examined=True)
        assert any(one.startswith("capacity-not-proven") for one in risks) is said


# Through the engine


def erase(
    asked: Policy, block: SimulatedBlock | None = None, events: list[Progress] | None = None
) -> tuple[SimulatedBlock, EraseResult, DrivePlan]:
    block = block or SimulatedBlock(simulated_drive(CAPACITY))
    plan = plan_drive(block.drive, asked, ())

    def on_event(event: Progress) -> None:
        if events is not None:
            events.append(event)

    return block, execute(plan, Ports(block), block.clock, os.urandom, on_event, BLOCK), plan


@pytest.mark.parametrize("name", list(schemes()))
def test_every_scheme_erases(name: str) -> None:
    block, result, _ = erase(policy(f'scheme = "{name}"'))
    assert result.outcome is Outcome.ERASED, result.reason
    assert [one.pattern for one in result.passes] == labels(name)
    assert result.passes_read_back == 1
    assert not block.old_data_left()


def test_the_last_pass_is_read_back_and_every_pass_where_the_policy_wants_it() -> None:
    for every, verified in ((False, [4]), (True, [2, 4, 6])):
        events: list[Progress] = []
        rest = f"[verify]\nevery_pass = {str(every).lower()}"
        _, result, _ = erase(policy('scheme = "dod-5220-22-m"', rest), events=events)
        assert sorted({one.step for one in events if one.phase is Phase.VERIFY}) == verified
        assert result.passes_read_back == len(verified)


def test_an_early_pass_that_was_lost_is_found_only_by_reading_every_pass() -> None:
    """The last pass covers it, so the drive is erased; but a policy that wants every pass gets every pass."""
    lost = {3: BlockFault.WRITE_LOST}
    _, lax, _ = erase(
        policy('scheme = "dod-5220-22-m"'), SimulatedBlock(simulated_drive(CAPACITY), dict(lost))
    )
    _, strict, _ = erase(
        policy('scheme = "dod-5220-22-m"', "[verify]\nevery_pass = true"),
        SimulatedBlock(simulated_drive(CAPACITY), dict(lost)),
    )
    assert lax.outcome is Outcome.ERASED
    assert (strict.outcome, strict.reason) == (
        Outcome.FAILED,
        "the drive does not hold what was written to it",
    )
    assert [(one.offset, one.length) for one in strict.errors] == [(3 * BLOCK, BLOCK)]


def test_write_zeroes_is_recorded_and_read_back_wherever_it_stands() -> None:
    block = SimulatedBlock(simulated_drive(CAPACITY), zeroes=Disposition.DONE)
    _, result, plan = erase(policy('scheme = "dod-5220-22-m"\noffload = true'), block)
    assert plan.chosen[0].offload
    assert [one.bytes_offloaded for one in result.passes] == [CAPACITY, 0, 0]
    assert (result.outcome, result.passes_read_back) == (Outcome.ERASED, 2)


def test_a_drive_that_only_says_it_zeroed_is_found_out() -> None:
    block = SimulatedBlock(simulated_drive(CAPACITY), {0: BlockFault.WRITE_LOST}, zeroes=Disposition.DONE)
    _, result, _ = erase(policy('pattern = "zero"\noffload = true'), block)
    assert result.outcome is Outcome.FAILED


def test_what_never_was_offered_is_never_used() -> None:
    block = SimulatedBlock(simulated_drive(CAPACITY), zeroes=Disposition.DONE)
    _, result, _ = erase(policy('pattern = "zero"'), block)
    assert result.passes[0].bytes_offloaded == 0
    _, random, plan = erase(policy('pattern = "random"\noffload = true'), replace_zeroes(block))
    assert not plan.chosen[0].offload
    assert random.passes[0].bytes_offloaded == 0


def replace_zeroes(block: SimulatedBlock) -> SimulatedBlock:
    return SimulatedBlock(replace(block.drive), zeroes=Disposition.DONE)
