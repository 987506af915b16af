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


@pytest.mark.parametrize(
    "faults",
    [
        (),
        ((1, BlockFault.WRITE_LOST),),
        tuple((at, BlockFault.WRITE_ERROR) for at in range(1, 2000)),
        tuple((at, BlockFault.READ_ERROR) for at in range(9, 2000)),
    ],
    ids=["none", "lost", "no writing", "no reading"],
)
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


RESUMED = {
    "interruptions": [{"step": 1, "position": 512}, {"step": 1, "position": 8192}],
    "bytesBefore": 8192,
    "bytesNow": CAPACITY - 8192,
    "durationBeforeMs": 10,
    "firstStartedAt": "2025-12-31T00:00:00Z",
    "checkedBytes": 4096,
    "refusedBefore": [],
}
SAMPLING = {
    "sections": 32,
    "reads": 64,
    "plannedBytes": CAPACITY,
    "wholeScheme": True,
    "granuleBytes": None,
    "witnesses": None,
    "content": None,
    "entropyBefore": None,
    "entropyAfter": None,
}
SAMPLED = {
    "request__readBack": "sampled",
    "verification__method": "sampled-read-back",
    "verification__evidence": "sampled-read-back",
    "verification__seed": "00" * 32,
    "verification__sampling": SAMPLING,
}


def test_a_resumed_and_a_sampled_erasure_can_be_consistent(world: TrustWorld) -> None:
    assert contradictions(world.bundle(result__resumed=RESUMED).certificate) == ()
    assert contradictions(world.bundle(**SAMPLED).certificate) == ()


@pytest.mark.parametrize(
    "changes",
    [
        {"interruptions": []},
        {"interruptions": [{"step": 1, "position": 8192}, {"step": 1, "position": 512}]},
        {"interruptions": [{"step": 0, "position": 8192}]},
        {"interruptions": [{"step": 3, "position": 0}]},
        {"interruptions": [{"step": 1, "position": CAPACITY + 512}]},
        {"interruptions": [{"step": 1, "position": 4096}]},
        {"interruptions": [{"step": 2, "position": 0}]},
        {"bytesBefore": 0},
        {"bytesBefore": 0, "bytesNow": CAPACITY},
        {"bytesNow": 0},
        {"bytesBefore": -8192, "bytesNow": CAPACITY + 8192},
        {"firstStartedAt": "yesterday"},
    ],
)
def test_an_interruption_that_does_not_add_up(world: TrustWorld, changes: dict[str, Any]) -> None:
    assert contradictions(world.bundle(result__resumed={**RESUMED, **changes}).certificate)


@pytest.mark.parametrize(
    "changes",
    [
        {"request__readBack": "full"},
        {"verification__seed": None},
        {"verification__sampling": None},
        {"verification__sampling": {**SAMPLING, "wholeScheme": False}},
        {"verification__sampling": {**SAMPLING, "sections": 31}},
        {"verification__sampling": {**SAMPLING, "plannedBytes": CAPACITY + 512}},
        {"verification__coverage__bytesRead": CAPACITY // 20},
        {"verification__coverage__bytesTotal": CAPACITY // 2},
        {"verification__sampling": {**SAMPLING, "entropyAfter": 8001}},
        {"verification__sampling": {**SAMPLING, "witnesses": -1}},
        {"result__resumed": RESUMED},
        {"result__technique": "ata-sanitize-block-erase", "result__method": "Purge"},
    ],
)
def test_samples_that_do_not_suffice(world: TrustWorld, changes: dict[str, Any]) -> None:
    assert contradictions(world.bundle(**{**SAMPLED, **changes}).certificate)


def test_a_weaker_method_the_policy_allowed(world: TrustWorld) -> None:
    bundle = world.bundle(request__method="Purge", request__weakerAllowed=True)
    assert contradictions(bundle.certificate) == ()
