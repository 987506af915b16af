"""What makes verifying quick changes no answer: each quick way against the slow one it stands for."""

from __future__ import annotations

import json
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature
from hypothesis import given
from hypothesis import strategies as st

from rasura import ecdsa, tree
from rasura.base64_text import canonical_base64, canonical_base64s
from rasura.certificate import ErasureCertificate
from rasura.claims import ClaimsError
from rasura.errors import RasuraError
from rasura.strict_json import dumps
from rasura.tree import ProofError, verify_inclusion
from rasura.trust import Trust
from rasura.verifier import Report, verify
from vectors.claims import certificate, edited, statement
from vectors.index import CASES, files_of
from vectors.world import station_place

VECTORS = {case.name: files_of(case) for case in CASES if case.name != "huge_fail"}
TRUSTS = {name: Trust.parse(files["trust.toml"].decode()) for name, files in VECTORS.items()}
PREDICATE = certificate(station_place())


def judged(name: str) -> Report:
    return verify(VECTORS[name]["bundle.json"], TRUSTS[name])


@pytest.fixture(scope="module")
def alone() -> dict[str, Report]:
    """Each vector, judged first of all: nothing of another is remembered then."""
    from rasura import chain, checkpoint, consistency, keys, receipt, timestamp, tree, verifier

    found = {}
    for name in VECTORS:
        for cached in (
            chain._remembered,
            checkpoint._open,
            consistency.parse_time,
            keys.chain_problems,
            keys.load_certificate_der,
            keys.p256_public_key,
            receipt._read_checkpoint,
            timestamp._verified,
            tree._remembered_climb,
            verifier._minute,
            verifier._passed,
        ):
            cached.cache_clear()
        found[name] = judged(name)
    return found


@given(order=st.lists(st.sampled_from(sorted(VECTORS)), min_size=1, max_size=40))
def test_a_batch_gives_what_single_calls_give(alone: dict[str, Report], order: list[str]) -> None:
    assert [judged(name) for name in order] == [alone[name] for name in order]


@given(first=st.sampled_from(sorted(VECTORS)), second=st.sampled_from(sorted(VECTORS)))
def test_a_trust_file_judges_for_itself_alone(first: str, second: str) -> None:
    """The same bundle under two trust files, by turns."""
    raw = VECTORS[first]["bundle.json"]
    fresh = verify(raw, Trust.parse(VECTORS[second]["trust.toml"].decode()))
    judged(first)
    assert verify(raw, TRUSTS[second]) == fresh


@pytest.mark.parametrize("name", sorted(VECTORS))
def test_spaces_change_nothing(name: str, alone: dict[str, Report]) -> None:
    """The same bundle in a form that is not ours is looked at closely, with the same answer."""
    try:
        loosely = json.dumps(json.loads(VECTORS[name]["bundle.json"]), indent=1, ensure_ascii=False)
        spaced = verify(loosely.encode(), TRUSTS[name])
    except (ValueError, RecursionError):
        return
    if "1 bundle" not in {
        f"{one.number} {one.name}" for one in alone[name].checks if one.state.value == "failed"
    }:
        assert spaced == alone[name]


HASHES = st.sampled_from([bytes([number]) * tree.HASH_BYTES for number in range(4)])


@given(
    leaf=HASHES,
    place=st.integers(1, 2**16).flatmap(lambda size: st.tuples(st.integers(0, size - 1), st.just(size))),
    proof=st.lists(HASHES, max_size=20),
    other=st.lists(HASHES, max_size=20),
)
def test_a_path_in_two_parts_leads_where_one_does(
    leaf: bytes, place: tuple[int, int], proof: list[bytes], other: list[bytes]
) -> None:
    """The upper part of a path is remembered: here by turns with others, of few hashes, so that many meet."""
    for path in (proof, other, proof[:7] + other[7:], proof):
        index, size = place
        try:
            _, left, root = tree._climbed(index, size - 1, leaf, tuple(path))
            reason = "the inclusion proof is too short" if left else None
        except ProofError as error:
            root, reason = leaf, str(error)
        assert outcome(lambda: verify_inclusion(leaf, index, size, path, root)) == reason  # noqa: B023
        wrong = bytes(tree.HASH_BYTES - 1) + b"\xff"
        assert outcome(lambda: verify_inclusion(leaf, index, size, path, wrong)) is not None  # noqa: B023


LEAVES = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=8), st.just({}))


def paths(value: Any, at: str = "") -> list[str]:
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [found for name, one in inner for found in (f"{at}{name}", *paths(one, f"{at}{name}__"))]


@given(path=st.sampled_from(paths(PREDICATE)), leaf=LEAVES, spaced=st.booleans(), added=st.booleans())
def test_bent_claims_are_read_alike(path: str, leaf: Any, spaced: bool, added: bool) -> None:
    """Whatever is read in one go is what the close reading gives."""
    bent = statement(PREDICATE)
    bent["predicate"] = edited(PREDICATE, **{path: {"strange": leaf} if added else leaf})
    try:
        payload = json.dumps(bent).encode() if spaced else dumps(bent)
    except ValueError:
        return
    plain = ErasureCertificate.as_written(payload)
    if plain is None:
        return
    assert plain == ErasureCertificate.from_payload(payload)
    assert payload == plain.to_payload()


def test_what_may_be_read_in_one_go_is() -> None:
    assert ErasureCertificate.as_written(dumps(statement(PREDICATE))) is not None
    with pytest.raises(ClaimsError):
        ErasureCertificate.from_payload(dumps({**statement(PREDICATE), "predicateType": "urn:other"}))


@given(
    first=st.integers(0, 2**270),
    second=st.integers(0, 2**270),
    flip=st.integers(0, 80),
    to=st.integers(0, 255),
)
def test_the_quick_look_at_a_signature_is_the_close_one(first: int, second: int, flip: int, to: int) -> None:
    signature = bytearray(encode_dss_signature(first, second))
    if flip < len(signature):
        signature[flip] = to
    raw = bytes(signature)
    try:
        r, s = decode_dss_signature(raw)
        slow = s <= ecdsa._ORDER // 2 and encode_dss_signature(r, s) == raw
    except ValueError:
        slow = False
    assert ecdsa.is_one_form(raw) is slow


def outcome(do: Any) -> Any:
    try:
        return do()
    except RasuraError as error:
        return str(error)


TEXTS = st.one_of(
    st.binary(max_size=40).map(lambda raw: __import__("base64").b64encode(raw).decode()),
    st.text('AB+/="\\,\n\ud800é ', max_size=12),
)


@given(texts=st.lists(TEXTS, max_size=5))
def test_base64_in_one_go_is_base64_one_by_one(texts: list[str]) -> None:
    each = outcome(lambda: tuple(canonical_base64(one, "it", RasuraError) for one in texts))
    assert outcome(lambda: canonical_base64s(texts, "it", RasuraError)) == each
