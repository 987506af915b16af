"""Level 0 Discovery: any features come back, and no bytes at all break the decoder."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rasura_agent.drive.tcg.discovery import FeatureCode, LockingFeature, decode_discovery
from rasura_agent.drive.tcg.errors import TcgDecodeError

FEATURES = st.lists(
    st.tuples(st.one_of(st.sampled_from(FeatureCode), st.integers(1, 0xFFFF)), st.binary(max_size=48)),
    unique_by=lambda feature: int(feature[0]),
    max_size=12,
)


def _answer(features: list[tuple[int, bytes]]) -> bytes:
    body = struct.pack(">HH40x", 0, 1)
    for code, data in features:
        body += struct.pack(">HBB", code, 0x10, len(data)) + data
    return (struct.pack(">I", len(body)) + body).ljust(2048, b"\0")


NEEDED = {
    FeatureCode.TPER: 1,
    FeatureCode.LOCKING: 1,
    FeatureCode.GEOMETRY: 28,
    FeatureCode.ENTERPRISE: 4,
    FeatureCode.OPAL_1: 4,
    FeatureCode.OPAL_2: 4,
    FeatureCode.OPALITE: 4,
    FeatureCode.PYRITE_1: 4,
    FeatureCode.PYRITE_2: 4,
    FeatureCode.RUBY: 4,
    FeatureCode.KEY_PER_IO: 4,
    FeatureCode.BLOCK_SID: 2,
    FeatureCode.DATA_REMOVAL: 16,
}


@given(FEATURES)
def test_features_come_back_unless_one_is_too_short(features: list[tuple[int, bytes]]) -> None:
    bodies = {int(code): body for code, body in features}
    if any(len(body) < NEEDED.get(FeatureCode(code), 0) for code, body in bodies.items() if code in NEEDED):
        with pytest.raises(TcgDecodeError):
            decode_discovery(_answer(features))
        return
    found = decode_discovery(_answer(features))
    assert found is not None
    assert found.codes == tuple(bodies)
    locking = bodies.get(FeatureCode.LOCKING, b"\0")
    assert found.locked == bool(locking[0] & LockingFeature.LOCKED)


@given(
    st.one_of(st.binary(max_size=120), FEATURES.map(_answer)),
    st.integers(0, 119),
    st.integers(0, 255),
    st.integers(0, 2048),
)
def test_any_answer_decodes_or_is_refused(data: bytes, spot: int, value: int, cut: int) -> None:
    damaged = bytearray(data)
    if spot < len(damaged):
        damaged[spot] = value
    try:
        found = decode_discovery(bytes(damaged[:cut]))
    except TcgDecodeError:
        return
    assert found is None or len(found.codes) == len(set(found.codes))
