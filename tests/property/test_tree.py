"""The tree against pymerkle, an independent RFC 9162 implementation, and against its own verifier."""

from __future__ import annotations

import pymerkle
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pymerkle import InmemoryTree

from rasura.tree import (
    ProofError,
    consistency_from,
    consistency_proof,
    inclusion_from,
    inclusion_proof,
    leaf_hash,
    node_hash,
    root_from,
    root_hash,
    verify_consistency,
    verify_inclusion,
)

SIZE = 70
ENTRIES = [b"entry %d" % number for number in range(SIZE)]
HASHES = [leaf_hash(one) for one in ENTRIES]
ROOTS = [root_hash(HASHES[:size]) for size in range(SIZE + 1)]


@pytest.fixture(scope="module")
def oracle() -> InmemoryTree:
    tree = InmemoryTree(algorithm="sha256")
    tree.append_entries(ENTRIES)
    return tree


def path_of(proof: object) -> list[bytes]:
    return sorted(bytes.fromhex(one) for one in proof.serialize()["path"])  # type: ignore[attr-defined]  # pymerkle has no types


def test_every_root_agrees_with_pymerkle(oracle: InmemoryTree) -> None:
    assert [oracle.get_root(size) for size in range(1, SIZE + 1)] == ROOTS[1:]


def test_every_inclusion_proof_agrees_with_pymerkle(oracle: InmemoryTree) -> None:
    for size in range(1, SIZE + 1):
        for index in range(size):
            proof = inclusion_proof(HASHES[:size], index)
            verify_inclusion(HASHES[index], index, size, proof, ROOTS[size])
            # pymerkle's indexes begin at 1 and its path holds the leaf itself.
            assert path_of(oracle.prove_inclusion(index + 1, size)) == sorted((*proof, HASHES[index]))


def test_consistency_is_what_pymerkle_says_it_is(oracle: InmemoryTree) -> None:
    # Its proofs carry finer pieces than RFC 6962 asks for, so the roots meet, not the hashes.
    for new in range(2, SIZE + 1):
        for old in range(1, new):
            proof = consistency_proof(HASHES, old, new)
            verify_consistency(old, new, proof, oracle.get_root(old), oracle.get_root(new))
            pymerkle.verify_consistency(ROOTS[old], ROOTS[new], oracle.prove_consistency(old, new), old, new)


def test_stored_subtrees_give_what_the_leaves_give() -> None:
    rows = [HASHES]
    while len(rows[-1]) > 1:
        row = rows[-1]
        rows.append([node_hash(row[2 * at], row[2 * at + 1]) for at in range(len(row) // 2)])

    def read(level: int, index: int) -> bytes:
        return rows[level][index]

    for size in range(SIZE + 1):
        assert root_from(read, size) == ROOTS[size]
        assert [inclusion_from(read, at, size) for at in range(size)] == [
            inclusion_proof(HASHES[:size], at) for at in range(size)
        ]
        assert [consistency_from(read, at, size) for at in range(size)] == [
            consistency_proof(HASHES, at, size) for at in range(size)
        ]


@st.composite
def bent(draw: st.DrawFn, proof: tuple[bytes, ...]) -> tuple[bytes, ...]:
    hashes = list(proof)
    other = draw(st.sampled_from([*HASHES[:4], *ROOTS[1:4], bytes(32), b""]))
    at = draw(st.integers(0, len(hashes)))
    match draw(st.sampled_from(["drop", "insert", "replace", "flip"])):
        case "drop" if hashes:
            del hashes[at % len(hashes)]
        case "replace" if hashes:
            hashes[at % len(hashes)] = other
        case "flip" if hashes:
            at %= len(hashes)
            hashes[at] = bytes([hashes[at][0] ^ 1]) + hashes[at][1:]
        case _:
            hashes.insert(at, other)
    return tuple(hashes)


@given(st.data())
def test_no_bent_inclusion_proof_verifies(data: st.DataObject) -> None:
    size = data.draw(st.integers(1, SIZE))
    index = data.draw(st.integers(0, size - 1))
    proof = inclusion_proof(HASHES[:size], index)
    other = data.draw(bent(proof))
    if other != proof:
        with pytest.raises(ProofError):
            verify_inclusion(HASHES[index], index, size, other, ROOTS[size])


@given(st.data())
def test_a_proof_holds_for_one_leaf_at_one_place_only(data: st.DataObject) -> None:
    size = data.draw(st.integers(2, SIZE))
    index = data.draw(st.integers(0, size - 1))
    other = data.draw(st.integers(0, size - 1).filter(lambda value: value != index))
    proof = inclusion_proof(HASHES[:size], index)
    with pytest.raises(ProofError):
        verify_inclusion(HASHES[other], index, size, proof, ROOTS[size])
    with pytest.raises(ProofError):
        verify_inclusion(HASHES[index], other, size, proof, ROOTS[size])


@given(st.data())
def test_no_bent_consistency_proof_verifies(data: st.DataObject) -> None:
    new = data.draw(st.integers(1, SIZE))
    old = data.draw(st.integers(0, new))
    proof = consistency_proof(HASHES, old, new)
    other = data.draw(bent(proof))
    if other != proof:
        with pytest.raises(ProofError):
            verify_consistency(old, new, other, ROOTS[old], ROOTS[new])


@given(st.data())
def test_a_log_that_changed_its_past_has_no_consistency_proof(data: st.DataObject) -> None:
    new = data.draw(st.integers(2, SIZE))
    old = data.draw(st.integers(1, new - 1))
    changed = data.draw(st.integers(0, old - 1))
    rewritten = [*HASHES[:changed], leaf_hash(b"rewritten"), *HASHES[changed + 1 :]]
    with pytest.raises(ProofError):
        verify_consistency(
            old, new, consistency_proof(rewritten, old, new), ROOTS[old], root_hash(rewritten[:new])
        )


@given(
    st.integers(-3, 2**64),
    st.integers(-3, 2**64),
    st.lists(st.binary(max_size=40), max_size=70),
    st.binary(max_size=33),
)
def test_garbage_raises_nothing_but_our_error(one: int, two: int, proof: list[bytes], hash_: bytes) -> None:
    with pytest.raises(ProofError):
        verify_inclusion(hash_, one, two, proof, bytes(32))
    with pytest.raises(ProofError):
        verify_consistency(one, two, proof, hash_, bytes(32))
