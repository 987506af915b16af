"""The Merkle tree of the log: RFC 6962 section 2.1 (RFC 9162 section 2.1) over SHA-256.

A *complete subtree* ``(level, index)`` covers the leaves ``index << level`` up to, not including,
``(index + 1) << level``. Its hash never changes once its leaves are there, so a log stores those and
nothing else. Roots and proofs of any size are made from them through a :data:`HashReader`, with
O(log n) reads; the functions that take a list of leaf hashes run the same core.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from functools import lru_cache
from itertools import pairwise

from rasura.errors import RasuraError

__all__ = [
    "EMPTY_ROOT",
    "HASH_BYTES",
    "HashReader",
    "ProofError",
    "consistency_from",
    "consistency_proof",
    "inclusion_from",
    "inclusion_proof",
    "leaf_hash",
    "node_hash",
    "root_from",
    "root_hash",
    "verify_consistency",
    "verify_inclusion",
]

_sha256 = hashlib.sha256

_OWN = 6
"""Hashes of a path that few other leaves have: a log takes some dozens of leaves at a time."""

HASH_BYTES = 32
"""SHA-256 (RFC 6962 section 2.1)."""

EMPTY_ROOT = hashlib.sha256().digest()
"""The root of the tree without leaves: MTH({}) = SHA-256() (RFC 6962 section 2.1)."""

HashReader = Callable[[int, int], bytes]
"""``read(level, index)`` gives the hash of that complete subtree."""


class ProofError(RasuraError):
    """A proof does not hold, or was asked for something the tree does not have."""


def leaf_hash(data: bytes) -> bytes:
    """MTH({d}) = SHA-256(0x00 || d)."""
    return hashlib.sha256(b"\x00" + data).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """SHA-256(0x01 || left || right)."""
    return _sha256(b"\x01" + left + right).digest()


def root_from(read: HashReader, size: int) -> bytes:
    """The root of the first ``size`` leaves, :data:`EMPTY_ROOT` of none."""
    _require(size >= 0, f"a tree cannot have {size} leaves")
    return _range_root(read, 0, size) if size else EMPTY_ROOT


def inclusion_from(read: HashReader, index: int, size: int) -> tuple[bytes, ...]:
    """PATH(index, D[size]): the sibling hashes from the leaf's up to the root's child.

    Raises:
        ProofError: the tree of ``size`` leaves has no leaf ``index``.
    """
    _require(0 <= index < size, f"a tree of {size} leaves has no leaf {index}")
    start, end, siblings = 0, size, []
    while end - start > 1:
        middle = start + _split(end - start)
        if index < middle:
            siblings.append(_range_root(read, middle, end))
            end = middle
        else:
            siblings.append(_range_root(read, start, middle))
            start = middle
    return tuple(reversed(siblings))


def consistency_from(read: HashReader, old: int, new: int) -> tuple[bytes, ...]:
    """PROOF(old, D[new]); empty when ``old`` is 0 or ``new``, where there is nothing to show.

    Raises:
        ProofError: ``old`` is not between 0 and ``new``.
    """
    _require(0 <= old <= new, f"a tree of {new} leaves has no earlier tree of {old}")
    if old == 0:
        return ()
    start, end, hashes = 0, new, []
    while end != old:
        middle = start + _split(end - start)
        if old <= middle:
            hashes.append(_range_root(read, middle, end))
            end = middle
        else:
            hashes.append(_range_root(read, start, middle))
            start = middle
    if start:
        # Only where the old tree is not itself the node that is left does its hash need saying.
        hashes.append(_range_root(read, start, end))
    return tuple(reversed(hashes))


def root_hash(leaf_hashes: Sequence[bytes]) -> bytes:
    """The root over ``leaf_hashes``, in order."""
    return root_from(_listed(leaf_hashes), len(leaf_hashes))


def inclusion_proof(leaf_hashes: Sequence[bytes], index: int) -> tuple[bytes, ...]:
    """That leaf ``index`` is in the tree over ``leaf_hashes``; raises :class:`ProofError` if it is not."""
    return inclusion_from(_listed(leaf_hashes), index, len(leaf_hashes))


def consistency_proof(leaf_hashes: Sequence[bytes], old: int, new: int) -> tuple[bytes, ...]:
    """That the tree over the first ``new`` leaf hashes extends the one over the first ``old``.

    Raises:
        ProofError: not ``0 <= old <= new <= len(leaf_hashes)``.
    """
    _require(new <= len(leaf_hashes), f"there are {len(leaf_hashes)} leaves, not {new}")
    return consistency_from(_listed(leaf_hashes), old, new)


def verify_inclusion(leaf: bytes, index: int, size: int, proof: Sequence[bytes], root: bytes) -> None:
    """Check that the leaf hash ``leaf`` stands at ``index`` in the tree of ``size`` leaves under ``root``.

    The algorithm of RFC 9162 section 2.1.3.2.

    Raises:
        ProofError: it does not, or the proof has the wrong length.
    """
    _require(0 <= index < size, f"a tree of {size} leaves has no leaf {index}")
    _require_hashes(leaf, root, *proof)
    own, common = tuple(proof[:_OWN]), tuple(proof[_OWN:])
    fn, sn, computed = _climbed(index, size - 1, leaf, own)
    if common:
        fn, sn, computed = _remembered_climb(fn, sn, computed, common)
    _require(sn == 0, "the inclusion proof is too short")
    _require(computed == root, "the inclusion proof does not lead to the root")


def _climbed(fn: int, sn: int, computed: bytes, proof: tuple[bytes, ...]) -> tuple[int, int, bytes]:
    """Step 4 of RFC 9162 section 2.1.3.2, from the node ``computed``: fn, sn and r after it."""
    for sibling in proof:
        if sn == 0:
            raise ProofError("the inclusion proof is too long")
        if fn & 1 or fn == sn:
            computed = _sha256(b"\x01" + sibling + computed).digest()
            while not fn & 1 and fn:
                fn >>= 1
                sn >>= 1
        else:
            computed = _sha256(b"\x01" + computed + sibling).digest()
        fn >>= 1
        sn >>= 1
    return fn, sn, computed


_remembered_climb = lru_cache(maxsize=256)(_climbed)
"""The upper part of a path: leaves that stand close together, under one root, have it in common."""


def verify_consistency(old: int, new: int, proof: Sequence[bytes], old_root: bytes, new_root: bytes) -> None:
    """Check that the tree of ``new`` leaves extends the tree of ``old``: nothing removed, nothing changed.

    The algorithm of RFC 9162 section 2.1.4.2; from the empty tree everything follows, with an empty proof.

    Raises:
        ProofError: it does not, or the proof has the wrong length.
    """
    _require(0 <= old <= new, f"a tree of {new} leaves cannot extend one of {old}")
    _require_hashes(old_root, new_root, *proof)
    if old in {0, new}:
        _require(not proof, "a consistency proof with nothing to show must be empty")
        _require(old_root == (new_root if old else EMPTY_ROOT), f"two roots for the tree of {old} leaves")
        return
    path = list(proof)
    if not old & (old - 1):
        path.insert(0, old_root)
    _require(bool(path), "the consistency proof is too short")
    fn, sn = old - 1, new - 1
    while fn & 1:
        fn >>= 1
        sn >>= 1
    from_old = from_new = path[0]
    for sibling in path[1:]:
        _require(sn != 0, "the consistency proof is too long")
        if fn & 1 or fn == sn:
            from_old = node_hash(sibling, from_old)
            from_new = node_hash(sibling, from_new)
            while not fn & 1 and fn:
                fn >>= 1
                sn >>= 1
        else:
            from_new = node_hash(from_new, sibling)
        fn >>= 1
        sn >>= 1
    _require(sn == 0, "the consistency proof is too short")
    _require(from_old == old_root, "the consistency proof does not lead to the older root")
    _require(from_new == new_root, "the consistency proof does not lead to the newer root")


def _split(width: int) -> int:
    """k of RFC 6962: the largest power of two smaller than ``width`` (at least 2)."""
    return 1 << ((width - 1).bit_length() - 1)


def _range_root(read: HashReader, start: int, end: int) -> bytes:
    """MTH(D[start:end]); ``start`` is aligned to the smallest power of two that is not below the width."""
    width, position, subtrees = end - start, start, []
    for level in reversed(range(width.bit_length())):
        if width >> level & 1:
            subtrees.append(read(level, position >> level))
            position += 1 << level
    computed = subtrees.pop()
    while subtrees:
        computed = node_hash(subtrees.pop(), computed)
    return computed


def _listed(leaf_hashes: Sequence[bytes]) -> HashReader:
    def read(level: int, index: int) -> bytes:
        row = list(leaf_hashes[index << level : (index + 1) << level])
        while len(row) > 1:
            row = [node_hash(left, right) for left, right in list(pairwise(row))[::2]]
        return row[0]

    return read


def _require_hashes(*hashes: bytes) -> None:
    if not {HASH_BYTES}.issuperset(map(len, hashes)):
        raise ProofError(f"a hash does not have {HASH_BYTES} bytes")


def _require(holds: bool, sentence: str) -> None:
    if not holds:
        raise ProofError(sentence)
