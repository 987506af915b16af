r"""What a log asks of a witness: the request of c2sp.org/tlog-witness, ``add-checkpoint``. Pure.

::

    old 20852014
    <base64 of each hash of the consistency proof>

    <the signed checkpoint, verbatim>
"""

from __future__ import annotations

import base64

import msgspec

from rasura.base64_text import canonical_base64s
from rasura.checkpoint import MAX_SIZE, parse_decimal
from rasura.errors import RasuraError
from rasura.note import MAX_NOTE_BYTES, Note, NoteError, NoteSignature, VerifierKey
from rasura.receipt import MAX_PROOF_HASHES
from rasura.tree import HASH_BYTES

__all__ = [
    "MAX_REQUEST_BYTES",
    "PATH",
    "SIZE_TYPE",
    "AddCheckpoint",
    "AddCheckpointError",
    "signature_line",
    "signature_of",
]

PATH = "/add-checkpoint"

SIZE_TYPE = "text/x.tlog.size"
"""Media type of the answer 409 that says which size the witness has cosigned last."""

MAX_REQUEST_BYTES = MAX_NOTE_BYTES + 64 * 64
"""A note, the proof's lines of 45 bytes, and the line of the old size."""


class AddCheckpointError(RasuraError):
    """The bytes are not a request, or not an answer, of that form."""


class AddCheckpoint(msgspec.Struct, frozen=True):
    """The size that the log believes the witness cosigned last, the proof from there, and the checkpoint."""

    old_size: int
    proof: tuple[bytes, ...]
    note: str

    def __post_init__(self) -> None:
        if not 0 <= self.old_size <= MAX_SIZE:
            raise AddCheckpointError("the old size is out of bounds")
        if len(self.proof) > MAX_PROOF_HASHES or not {HASH_BYTES}.issuperset(map(len, self.proof)):
            raise AddCheckpointError("the proof is not a list of at most 63 hashes")

    def encode(self) -> bytes:
        """The bytes that :meth:`parse` reads."""
        hashes = "".join(f"{base64.b64encode(one).decode()}\n" for one in self.proof)
        return f"old {self.old_size}\n{hashes}\n{self.note}".encode()

    @classmethod
    def parse(cls, raw: bytes) -> AddCheckpoint:
        """Read a request; ``parse(r).encode() == r`` for whatever is accepted. The note is not looked at.

        Raises:
            AddCheckpointError: not of that form.
        """
        try:
            text = raw.decode()
        except UnicodeDecodeError:
            raise AddCheckpointError("the request is not UTF-8") from None
        head, separator, note = text.partition("\n\n")
        line, *hashes = head.split("\n", MAX_PROOF_HASHES + 1)
        old_size = parse_decimal(line.removeprefix("old "))
        if not separator or not line.startswith("old ") or old_size is None:
            raise AddCheckpointError(
                "this is not a request to add a checkpoint: "
                "'old' and a size, hashes, an empty line, a checkpoint"
            )
        return cls(old_size, canonical_base64s(hashes, "a hash of the proof", AddCheckpointError), note)


def signature_line(signature: NoteSignature) -> str:
    """One signature as the line of a note, its newline included."""
    return Note("x\n", (signature,)).encode().removeprefix("x\n\n")


def signature_of(answer: str, text: str, witness: VerifierKey) -> NoteSignature:
    """The cosignature of ``witness`` over the note text ``text`` in its answer; others' are passed over.

    Raises:
        NoteError: the answer has no line of that form, or none by ``witness`` that holds.
    """
    answered = Note.parse(f"{text}\n{answer}")
    answered.verify([witness])
    for one in answered.signatures:
        if (one.name, one.key_id) == (witness.name, witness.key_id):
            return one
    raise NoteError(f"the answer carries no signature of {witness.name!r}")
