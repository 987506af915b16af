"""A certificate whose verdict does not follow from its evidence must be refused."""

from __future__ import annotations

from typing import Any

import pytest

from rasura.consistency import contradictions
from simulators.block import BlockFault
from simulators.signing import TrustWorld

CAPACITY = 32 * 1024
RANGE = {"offset": 0, "length": 512, "kind": "not-written"}


@pytest.fixture(scope="module")
def world() -> TrustWorld:
    return TrustWorld()


@pytest.mark.parametrize("faults", [(), ((1, BlockFault.WRITE_ERROR),), ((9, BlockFault.READ_ERROR),)])
def test_what_the_engine_says_is_consistent(world: TrustWorld, faults: Any) -> None:
    assert contradictions(world.bundle(*faults).certificate) == ()


@pytest.mark.parametrize(
    "changes",
    [
        {"result__method": None},
        {"result__technique": None},
        {"result__basis": None},
        {"result__method": "Purge"},
        {"result__method": "Destroy"},
        {"result__errorRanges": [RANGE]},
        {"result__passes": []},
        {"result__passes__0__bytesWritten": CAPACITY - 512, "result__bytesWritten": CAPACITY - 512},
        {"result__bytesWritten": CAPACITY * 2},
        {"result__bytesWritten": -1},
        {"result__startedAt": "01/02/2026"},
        {"result__outcome": "FAILED"},
        {"verification__status": "incomplete"},
        {"verification__status": "mismatch"},
        {"verification__method": None},
        {"verification__coverage__bytesRead": CAPACITY - 512},
        {
            "verification__coverage__bytesTotal": CAPACITY - 512,
            "verification__coverage__bytesRead": CAPACITY - 512,
        },
        {"drive__capacityBytes": CAPACITY + 512},
        {"drive__identityPages": []},
        {"request__method": "Purge"},
        {"validation__decision": "accepted"},
        {"id": "ABCDEF00-0000-4000-8000-000000000000"},
        {"station__sequence": -1},
    ],
)
def test_contradictions_are_found(world: TrustWorld, changes: dict[str, Any]) -> None:
    assert contradictions(world.bundle(**changes).certificate)


def test_a_weaker_method_the_policy_allowed(world: TrustWorld) -> None:
    bundle = world.bundle(request__method="Purge", request__weakerAllowed=True)
    assert contradictions(bundle.certificate) == ()
