"""A certificate whose verdict does not follow from its evidence must be refused."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from rasura import strict_json
from rasura.certificate import ErasureCertificate
from rasura.claims import ClaimsError
from rasura.consistency import contradictions
from rasura.schema import SCHEMAS
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
    ],
)
def test_contradictions_are_found(world: TrustWorld, changes: dict[str, Any]) -> None:
    assert contradictions(world.bundle(**changes).certificate)


@pytest.mark.parametrize("wrong", [-1, 2**53, 10**30])
@pytest.mark.parametrize(
    "place", [("result", "bytesWritten"), ("station", "sequence"), ("drive", "capacityBytes")]
)
def test_integers_out_of_bounds_are_no_claims(world: TrustWorld, place: tuple[str, str], wrong: int) -> None:
    statement = json.loads(world.bundle().envelope.payload)
    statement["predicate"][place[0]][place[1]] = wrong
    with pytest.raises(ClaimsError, match=r"malformed.*>= 0|beyond 2\^53"):
        ErasureCertificate.from_payload(json.dumps(statement).encode())
    assert ErasureCertificate.as_written(strict_json.dumps(statement)) is None


def test_every_integer_of_a_claim_has_bounds() -> None:
    """Else one beyond 2^53 could be read in the fast way, which does not look for it."""
    seen, waiting = 0, [msgspec.inspect.type_info(kind) for kind in SCHEMAS.values()]
    met = set()
    while waiting:
        found = waiting.pop()
        if isinstance(found, msgspec.inspect.IntType):
            assert (found.ge, found.le) in {(0, 2**53 - 1), (1 - 2**53, 2**53 - 1)}
            seen += 1
        elif isinstance(found, msgspec.inspect.StructType) and found.cls not in met:
            met.add(found.cls)
            waiting += [one.type for one in found.fields]
        elif isinstance(found, msgspec.inspect.UnionType):
            waiting += found.types
        elif isinstance(found, msgspec.inspect.VarTupleType):
            waiting.append(found.item_type)
        elif isinstance(found, msgspec.inspect.TupleType):
            waiting += found.item_types
        else:
            assert not isinstance(found, msgspec.inspect.FloatType)
    assert seen > 30


def cut(step: int, position: int, written: int | None = None) -> dict[str, int]:
    return {"step": step, "position": position, "bytesWritten": position if written is None else written}


RESUMED = {
    "interruptions": [cut(1, 512), cut(1, 8192)],
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
        {"interruptions": [cut(1, 8192), cut(1, 512)]},
        {"interruptions": [cut(0, 8192)]},
        {"interruptions": [cut(3, 0)]},
        {"interruptions": [cut(1, CAPACITY + 512)]},
        {"interruptions": [cut(1, 4096)]},
        {"interruptions": [cut(2, 0)]},
        {"interruptions": [cut(1, 8192, 4096)]},
        {"interruptions": [cut(1, 8192, 12288)]},
        {"interruptions": [cut(1, 8192, CAPACITY + 512)]},
        {"bytesBefore": 0},
        {"bytesBefore": 0, "bytesNow": CAPACITY},
        {"bytesNow": 0},
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
        {"result__resumed": RESUMED},
        {"result__technique": "ata-sanitize-block-erase", "result__method": "Purge"},
    ],
)
def test_samples_that_do_not_suffice(world: TrustWorld, changes: dict[str, Any]) -> None:
    assert contradictions(world.bundle(**{**SAMPLED, **changes}).certificate)


def test_a_weaker_method_the_policy_allowed(world: TrustWorld) -> None:
    bundle = world.bundle(request__method="Purge", request__weakerAllowed=True)
    assert contradictions(bundle.certificate) == ()
