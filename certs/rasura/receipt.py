"""Receipts: that a leaf is in the log, in the text form of c2sp.org/tlog-proof@v1.

::

    c2sp.org/tlog-proof@v1
    index 73894
    <base64 of each sibling hash, from the leaf's up to the root's child>

    <the signed checkpoint, verbatim>
"""

from __future__ import annotations

import base64
from functools import lru_cache

import msgspec

from rasura.base64_text import canonical_base64s
from rasura.checkpoint import (
    MAX_SIZE,
    Checkpoint,
    CheckpointError,
    parse_decimal,
)
from rasura.errors import RasuraError
from rasura.note import Note, NoteError
from rasura.tree import HASH_BYTES

__all__ = ["MAX_PROOF_HASHES", "Receipt", "ReceiptError"]

MAX_PROOF_HASHES = 63
"""The height of the highest tree whose size fits (RFC 6962 section 2.1.1: at most ceil(log2(n)))."""

_HEADER = "c2sp.org/tlog-proof@v1"
_INDEX = "index "


class ReceiptError(RasuraError):
    """A receipt is malformed."""


@lru_cache(maxsize=256)
def _read_checkpoint(note: str) -> Checkpoint:
    return Checkpoint.parse(Note.parse(note).text)


class Receipt(msgspec.Struct, frozen=True):
    """The leaf's zero-based index, its inclusion proof, and the signed checkpoint the proof leads to.

    Well-formed by construction; whether it holds is for the verifier to say.
    """

    index: int
    proof: tuple[bytes, ...]
    checkpoint_note: str

    def __post_init__(self) -> None:
        if not 0 <= self.index <= MAX_SIZE:
            raise ReceiptError("a receipt's index is out of bounds")
        if len(self.proof) > MAX_PROOF_HASHES or not {HASH_BYTES}.issuperset(map(len, self.proof)):
            raise ReceiptError("a receipt's proof is not a list of hashes")
        try:
            _read_checkpoint(self.checkpoint_note)
        except (NoteError, CheckpointError) as error:
            raise ReceiptError(f"a receipt's checkpoint cannot be read: {error}") from None

    def encode(self) -> str:
        """The text that :meth:`parse` reads."""
        hashes = "".join(f"{base64.b64encode(one).decode()}\n" for one in self.proof)
        return f"{_HEADER}\nindex {self.index}\n{hashes}\n{self.checkpoint_note}"

    @classmethod
    def parse(cls, text: str) -> Receipt:
        """Read a receipt; ``Receipt.parse(t).encode() == t`` for whatever is accepted.

        Raises:
            ReceiptError: not of that form. An ``extra`` line, which nothing authenticates, is refused.
        """
        head, separator, note = text.partition("\n\n")
        lines = head.split("\n", MAX_PROOF_HASHES + 2)
        named = len(lines) > 1 and lines[0] == _HEADER and lines[1].startswith(_INDEX)
        index = parse_decimal(lines[1][len(_INDEX) :]) if named else None
        if not separator or index is None:
            raise ReceiptError(
                f"this is not a receipt: {_HEADER}, index, hashes, an empty line, a checkpoint"
            )
        proof = canonical_base64s(lines[2:], "a hash of a receipt", ReceiptError)
        return cls(index, proof, note)
