"""Polling a long SCSI operation: sense data cut short tells nothing, and raises nothing of its own."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rasura.errors import RasuraError
from rasura_agent.drive.scsi.poll import LongOperation, OperationState, decode_request_sense
from rasura_agent.drive.scsi.sense import is_whole, parse_sense


@pytest.mark.parametrize("length", range(4, 8))
def test_descriptor_sense_without_its_length_is_not_whole(length: int) -> None:
    sense = parse_sense(bytes([0x72, 0, 0, 0, 0, 0, 0, 0])[:length])
    assert sense is not None
    assert not is_whole(sense)


@given(
    head=st.sampled_from([0x70, 0x71, 0x72, 0x73]),
    rest=st.binary(max_size=32),
    operation=st.sampled_from(LongOperation),
)
def test_short_answers_never_say_idle(head: int, rest: bytes, operation: LongOperation) -> None:
    try:
        told = decode_request_sense(bytes([head]) + rest, operation)
    except RasuraError:
        return
    if len(rest) < 7:
        assert told.state is not OperationState.IDLE
