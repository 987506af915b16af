"""What is said of a drive's content is what counting every byte says."""

from __future__ import annotations

import math
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rasura.certificate import ContentKind
from rasura_agent.verify.content import Content, constant_byte

_BLOCKS = st.lists(
    st.builds(
        lambda byte, length: bytes([byte]) * length, st.sampled_from([0, 0xFF, 0x41]), st.integers(1, 64)
    )
    | st.binary(min_size=1, max_size=64),
    min_size=1,
    max_size=12,
)


@given(_BLOCKS)
def test_entropy_and_kind(blocks: list[bytes]) -> None:
    content = Content()
    for block in blocks:
        content.add(block, constant_byte(memoryview(block)))
    together = b"".join(blocks)
    shares = [count / len(together) for count in Counter(together).values()]
    assert content.entropy == pytest.approx(-sum(share * math.log2(share) for share in shares), abs=1e-9)
    if all(set(block) == {0} for block in blocks):
        assert content.kind is ContentKind.ZERO
    elif all(set(block) == {0xFF} for block in blocks):
        assert content.kind is ContentKind.ONE
    elif all(len(set(block)) == 1 for block in blocks):
        assert content.kind is ContentKind.CONSTANT
    else:
        assert content.kind in {ContentKind.MIXED, ContentKind.NOISE}


def test_the_later_parts_of_an_extent_count_for_the_kind_alone() -> None:
    content = Content()
    content.add(bytes(512), 0)
    content.add(b"", None)
    assert (content.entropy, content.kind) == (0.0, ContentKind.MIXED)
