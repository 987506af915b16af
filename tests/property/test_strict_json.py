"""Two ways to read a document, and they never differ: what we wrote ourselves is read faster."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rasura import strict_json
from rasura.strict_json import JsonError, dumps, loads

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**60), 2**60)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=12,
)


def slowly(raw: bytes) -> Any:
    """Read without the short way: a space makes the bytes none that we write."""
    return loads(b" " + raw)


def outcome(read: Any, raw: bytes) -> Any:
    try:
        return repr(read(raw))
    except JsonError:
        return JsonError


@given(value=st.dictionaries(st.text(max_size=4), VALUES, max_size=4))
def test_both_ways_give_the_same(value: dict[str, Any]) -> None:
    raw = dumps(value)
    assert outcome(loads, raw) == outcome(slowly, raw)


@given(
    raw=st.binary(max_size=40),
    value=st.dictionaries(st.text(max_size=3), VALUES, max_size=3),
    at=st.integers(0, 40),
)
def test_whatever_is_in_the_middle(raw: bytes, value: dict[str, Any], at: int) -> None:
    written = dumps(value)
    for bent in (raw, written[:at] + raw + written[at:], written[:at] + written[at + 1 :]):
        assert outcome(loads, bent) == outcome(slowly, bent)


def test_the_short_way_is_taken_for_what_we_write() -> None:
    assert strict_json._as_we_write_it(dumps({"b": [1, 2.5, None, "é\n"], "a": {}})) is not None


@pytest.mark.parametrize(
    "raw",
    [
        b'{"a":1,"a":1}',
        b'{"b":1,"a":1}',
        b'{"a": 1}',
        b'{"a":9007199254740993}',
        b'{"a":NaN}',
        b'{"a":1e999}',
        b'{"a":"\\ud800"}',
        b'{"a":"\\u0041"}',
        b'{"a":' + b"[" * 40 + b"]" * 40 + b"}",
        b'["a"]',
        b"\xef\xbb\xbf{}",
        b'{"a":"\xff"}',
    ],
)
def test_the_short_way_is_not_taken(raw: bytes) -> None:
    assert strict_json._as_we_write_it(raw) is None
