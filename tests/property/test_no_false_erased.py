"""The worst case: no path may report ERASED while old data can be read.

Random fault schedules against every way of erasing. ``RASURA_FAULT_SCHEDULES`` says how many.
"""

from __future__ import annotations

import os
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rasura.certificate import Method, Outcome
from rasura_agent.erase import engine
from rasura_agent.erase.engine import Ports, execute
from rasura_agent.erase.plan import plan_drive
from rasura_agent.erase.policy import PatternKind, Policy
from rasura_agent.inventory.model import Transport
from rasura_agent.verify.readback import ReadBack
from simulators.block import BlockFault, SimulatedBlock, simulated_drive
from simulators.signing import overwrite_policy
from simulators.world import ManualClock

SCHEDULES = int(os.environ.get("RASURA_FAULT_SCHEDULES", "400"))
CAPACITY = 32 * 1024
BLOCK = 4096

many = settings(
    max_examples=SCHEDULES,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


def policy(pattern: PatternKind) -> Policy:
    return replace(overwrite_policy(), pattern=pattern)


def erase(block: SimulatedBlock, pattern: PatternKind) -> engine.EraseResult:
    plan = plan_drive(block.drive, policy(pattern), ())
    key = bytes(range(32))
    return execute(plan, Ports(block), ManualClock(), lambda size: key[:size], lambda _event: None, BLOCK)


# One pass and one read-back of eight blocks; two passes on flash: 24 transfers at most.
schedules = st.dictionaries(st.integers(0, 24), st.sampled_from(BlockFault), max_size=4)


@many
@given(
    faults=schedules,
    pattern=st.sampled_from(PatternKind),
    transport=st.sampled_from([Transport.SATA, Transport.USB]),
    fake=st.booleans(),
)
def test_erased_means_that_no_old_data_is_left(
    faults: dict[int, BlockFault], pattern: PatternKind, transport: Transport, fake: bool
) -> None:
    drive = simulated_drive(CAPACITY, transport=transport, rotational=None)
    block = SimulatedBlock(drive, dict(faults), real_bytes=CAPACITY // 2 if fake else None)
    result = erase(block, pattern)
    if result.outcome is Outcome.ERASED:
        assert not block.old_data_left()
        assert result.method is Method.CLEAR
        assert not result.errors
    else:
        assert result.method is None
        assert result.reason


@pytest.mark.parametrize("pattern", PatternKind)
def test_a_healthy_drive_is_erased(pattern: PatternKind) -> None:
    block = SimulatedBlock(simulated_drive(CAPACITY))
    result = erase(block, pattern)
    assert result.outcome is Outcome.ERASED
    assert not block.old_data_left()


def test_a_planted_fault_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """An engine that believed the drive instead of reading back would be caught by the property above."""

    def believe(_port: object, capacity: int, *_more: object) -> ReadBack:
        return ReadBack(capacity, capacity, (), None)

    monkeypatch.setattr(engine, "read_back", believe)
    with pytest.raises(AssertionError):
        test_erased_means_that_no_old_data_is_left()
