"""No sequence of events ends a machine while it alone has a certificate, but a word that a person types."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from rasura_agent.live.handover import (
    Asked,
    EndAsked,
    Event,
    GivenUp,
    Handover,
    Logged,
    Phase,
    Refused,
    Signed,
    Stored,
    Withdrawn,
)

NAMES = st.sampled_from("abc")
EVENTS: st.SearchStrategy[Event] = (
    st.builds(Signed, NAMES)
    | st.builds(Stored, NAMES)
    | st.builds(Logged, NAMES)
    | st.builds(Refused, NAMES, st.just("its site is revoked"))
    | st.builds(EndAsked, st.sampled_from(Asked))
    | st.just(Withdrawn())
    | st.just(GivenUp())
)


def homeless(events: list[Event]) -> set[str]:
    """By another way of counting: what was signed, and neither stored nor logged."""
    signed = {event.certificate_id for event in events if isinstance(event, Signed | Refused)}
    safe = {event.certificate_id for event in events if isinstance(event, Stored | Logged)}
    return signed - safe


@given(st.lists(EVENTS, max_size=40))
def test_the_end_loses_nothing(events: list[Event]) -> None:
    state = Handover()
    for number, event in enumerate(events, 1):
        before, state = state, state.after(event)
        assert set(state.in_memory_only) == homeless(events[:number])
        if state.phase is Phase.ENDED and state.in_memory_only:
            # Only a person who was asked for the word, and typed it.
            assert state.given_up
            assert isinstance(event, GivenUp) or before.phase is Phase.ENDED
            assert before.phase in {Phase.WORD_ASKED, Phase.ENDED}
        if state.phase is Phase.ENDED and before.phase is not Phase.ENDED:
            assert before.phase is not Phase.AT_WORK or isinstance(event, EndAsked)


@given(st.lists(EVENTS.filter(lambda event: not isinstance(event, GivenUp)), max_size=40))
def test_without_the_word_nothing_is_ever_lost(events: list[Event]) -> None:
    state = Handover()
    for event in events:
        state = state.after(event)
        assert not (state.phase is Phase.ENDED and state.in_memory_only)


@given(st.lists(EVENTS, max_size=40), st.sampled_from(Asked))
def test_the_end_comes_once_everything_is_handed_over(events: list[Event], by: Asked) -> None:
    state = Handover()
    for event in events:
        state = state.after(event)
    state = state.after(Withdrawn()).after(EndAsked(by))
    for name in state.in_memory_only:
        assert state.phase is not Phase.ENDED
        state = state.after(Stored(name))
    assert state.phase is Phase.ENDED
