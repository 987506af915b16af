"""The tree against the Certificate Transparency reference vectors (RFC 6962 reference implementation)."""

from __future__ import annotations

import pytest

from rasura.errors import RasuraError
from rasura.tree import (
    EMPTY_ROOT,
    ProofError,
    consistency_from,
    consistency_proof,
    inclusion_from,
    inclusion_proof,
    leaf_hash,
    root_from,
    root_hash,
    verify_consistency,
    verify_inclusion,
)

LEAVES = [
    bytes.fromhex(one)
    for one in (
        "",
        "00",
        "10",
        "2021",
        "3031",
        "40414243",
        "5051525354555657",
        "606162636465666768696a6b6c6d6e6f",
    )
]
ROOTS = [
    bytes.fromhex(one)
    for one in (
        "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
        "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
        "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
        "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
        "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
        "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
    )
]
HASHES = [leaf_hash(one) for one in LEAVES]


def hashes(*texts: str) -> tuple[bytes, ...]:
    return tuple(bytes.fromhex(one) for one in texts)


INCLUSION = {
    (0, 8): hashes(
        "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
    ),
    (5, 8): hashes(
        "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
        "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    ),
}
CONSISTENCY = {
    (1, 8): INCLUSION[0, 8],
    (6, 8): hashes(
        "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
        "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    ),
    (2, 5): hashes(
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
    ),
}


def test_roots_are_those_of_the_reference_implementation() -> None:
    assert root_hash([]) == EMPTY_ROOT
    assert [root_hash(HASHES[:size]) for size in range(1, 9)] == ROOTS


@pytest.mark.parametrize(("index", "size"), INCLUSION)
def test_inclusion_proofs_are_those_of_the_reference_implementation(index: int, size: int) -> None:
    proof = inclusion_proof(HASHES[:size], index)
    assert proof == INCLUSION[index, size]
    verify_inclusion(HASHES[index], index, size, proof, ROOTS[size - 1])


@pytest.mark.parametrize(("old", "new"), CONSISTENCY)
def test_consistency_proofs_are_those_of_the_reference_implementation(old: int, new: int) -> None:
    proof = consistency_proof(HASHES, old, new)
    assert proof == CONSISTENCY[old, new]
    verify_consistency(old, new, proof, ROOTS[old - 1], ROOTS[new - 1])


@pytest.mark.parametrize("old", [0, 5])
def test_consistency_with_nothing_to_show_is_empty(old: int) -> None:
    assert consistency_proof(HASHES, old, 5 if old else 8) == ()


def test_everything_follows_from_the_empty_tree_but_nothing_else_has_its_root() -> None:
    verify_consistency(0, 3, (), EMPTY_ROOT, ROOTS[2])
    with pytest.raises(ProofError, match="two roots"):
        verify_consistency(0, 3, (), ROOTS[0], ROOTS[2])
    with pytest.raises(ProofError, match="two roots"):
        verify_consistency(3, 3, (), ROOTS[1], ROOTS[2])
    with pytest.raises(ProofError, match="empty"):
        verify_consistency(0, 3, (ROOTS[0],), EMPTY_ROOT, ROOTS[2])


@pytest.mark.parametrize(("index", "size"), [(-1, 8), (8, 8), (0, 0), (3, -1)])
def test_a_leaf_that_is_not_there_has_no_proof(index: int, size: int) -> None:
    with pytest.raises(ProofError):
        verify_inclusion(HASHES[0], index, size, (), ROOTS[0])
    with pytest.raises(ProofError):
        inclusion_from(lambda level, position: ROOTS[0], index, size)


@pytest.mark.parametrize(("old", "new"), [(-1, 8), (8, 7), (2, 9)])
def test_a_tree_that_is_not_there_has_no_proof(old: int, new: int) -> None:
    with pytest.raises(ProofError):
        consistency_proof(HASHES, old, new)


def test_a_negative_tree_is_refused() -> None:
    with pytest.raises(ProofError):
        root_from(lambda level, position: ROOTS[0], -1)
    with pytest.raises(ProofError):
        consistency_from(lambda level, position: ROOTS[0], 1, 0)


@pytest.mark.parametrize(
    ("proof", "sentence"),
    [
        (INCLUSION[5, 8][:-1], "too short"),
        ((*INCLUSION[5, 8], ROOTS[0]), "too long"),
        (INCLUSION[5, 8][::-1], "does not lead"),
        ((b"short", *INCLUSION[5, 8][1:]), "32 bytes"),
        ((), "too short"),
    ],
)
def test_a_bent_inclusion_proof_is_refused(proof: tuple[bytes, ...], sentence: str) -> None:
    with pytest.raises(ProofError, match=sentence) as refusal:
        verify_inclusion(HASHES[5], 5, 8, proof, ROOTS[7])
    assert isinstance(refusal.value, RasuraError)


@pytest.mark.parametrize(
    ("old", "new", "proof", "sentence"),
    [
        (6, 8, CONSISTENCY[6, 8][:-1], "too short"),
        (6, 8, (*CONSISTENCY[6, 8], ROOTS[0]), "too long"),
        (6, 8, CONSISTENCY[6, 8][::-1], "does not lead"),
        (6, 8, (b"", *CONSISTENCY[6, 8]), "32 bytes"),
        (6, 8, (), "too short"),
        (4, 8, (), "too short"),
        (5, 8, CONSISTENCY[6, 8], "too short"),
        (2, 8, CONSISTENCY[2, 5], "does not lead"),
        (8, 6, CONSISTENCY[6, 8], "cannot extend"),
    ],
)
def test_a_bent_consistency_proof_is_refused(
    old: int, new: int, proof: tuple[bytes, ...], sentence: str
) -> None:
    with pytest.raises(ProofError, match=sentence):
        verify_consistency(old, new, proof, ROOTS[old - 1], ROOTS[new - 1])


def test_reads_are_logarithmic() -> None:
    reads: list[tuple[int, int]] = []

    def read(level: int, index: int) -> bytes:
        reads.append((level, index))
        return EMPTY_ROOT

    inclusion_from(read, 123_456, 1_000_003)
    consistency_from(read, 123_457, 1_000_003)
    assert len(reads) < 4 * 20
    assert all((index + 1) << level <= 1_000_003 for level, index in reads)
