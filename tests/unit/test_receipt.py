"""Receipts in the form of c2sp.org/tlog-proof@v1: strict both ways."""

from __future__ import annotations

import base64

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from rasura.checkpoint import MAX_SIZE, Checkpoint, open_checkpoint, sign_checkpoint
from rasura.note import VerifierKey
from rasura.receipt import MAX_PROOF_HASHES, Receipt, ReceiptError
from rasura.tree import inclusion_proof, leaf_hash, root_hash, verify_inclusion

LOG = Ed25519PrivateKey.from_private_bytes(b"l" * 32)
LEAVES = [leaf_hash(bytes([number])) for number in range(11)]
NOTE = sign_checkpoint(LOG, Checkpoint("log.example", 11, root_hash(LEAVES)), 1_700_000_000)
RECEIPT = Receipt(6, inclusion_proof(LEAVES, 6), NOTE)
HASH = base64.b64encode(LEAVES[0]).decode()


def test_a_receipt_proves_its_leaf_after_the_journey() -> None:
    received = Receipt.parse(RECEIPT.encode())
    assert received == RECEIPT
    opened = open_checkpoint(received.checkpoint_note, [VerifierKey.of("log.example", LOG)])
    verify_inclusion(
        LEAVES[6], received.index, opened.checkpoint.size, received.proof, opened.checkpoint.root_hash
    )


def test_the_form_is_that_of_the_specification() -> None:
    lines = RECEIPT.encode().split("\n")
    assert lines[:2] == ["c2sp.org/tlog-proof@v1", "index 6"]
    assert [base64.b64decode(one) for one in lines[2:6]] == list(RECEIPT.proof)
    assert lines[6] == ""
    assert "\n".join(lines[7:]) == NOTE


def test_the_only_leaf_of_a_log_needs_no_hash() -> None:
    note = sign_checkpoint(LOG, Checkpoint("log.example", 1, LEAVES[0]), 5)
    receipt = Receipt(0, (), note)
    assert receipt.encode() == f"c2sp.org/tlog-proof@v1\nindex 0\n\n{note}"
    assert Receipt.parse(receipt.encode()) == receipt


@pytest.mark.parametrize(
    "text",
    [
        "",
        NOTE,
        f"c2sp.org/tlog-proof@v2\nindex 6\n\n{NOTE}",
        f"c2sp.org/tlog-proof@v1 \nindex 6\n\n{NOTE}",
        f"\nc2sp.org/tlog-proof@v1\nindex 6\n\n{NOTE}",
        f"c2sp.org/tlog-proof@v1\n\n{NOTE}",
        f"c2sp.org/tlog-proof@v1\nextra AAAA\nindex 6\n\n{NOTE}",
        f"c2sp.org/tlog-proof@v1\n6\n\n{NOTE}",
        f"c2sp.org/tlog-proof@v1\nindex 06\n\n{NOTE}",
        f"c2sp.org/tlog-proof@v1\nindex -6\n\n{NOTE}",
        f"c2sp.org/tlog-proof@v1\nindex {MAX_SIZE + 1}\n\n{NOTE}",
        f"c2sp.org/tlog-proof@v1\nindex 6\n{HASH}\r\n\n{NOTE}",
        f"c2sp.org/tlog-proof@v1\nindex 6\n{HASH} \n\n{NOTE}",
        f"c2sp.org/tlog-proof@v1\nindex 6\n{HASH[:-4]}\n\n{NOTE}",
        f"c2sp.org/tlog-proof@v1\nindex 6\n{HASH[:-2]}f=\n\n{NOTE}",
        f"c2sp.org/tlog-proof@v1\nindex 6\n{HASH}\n{NOTE}",
        f"c2sp.org/tlog-proof@v1\nindex 6\n{HASH}\n\n\n{NOTE}",
        "c2sp.org/tlog-proof@v1\nindex 6\n" + f"{HASH}\n" * (MAX_PROOF_HASHES + 1) + f"\n{NOTE}",
        "c2sp.org/tlog-proof@v1\nindex 6\n" + "\n" * 100_000,
        "c2sp.org/tlog-proof@v1\nindex 6\n\n",
        "c2sp.org/tlog-proof@v1\nindex 6\n\nlog.example\n11\n",
        f"c2sp.org/tlog-proof@v1\nindex 6\n\n{NOTE[:-1]}",
        f"c2sp.org/tlog-proof@v1\nindex 6\n\n{NOTE.replace('11', '0x11', 1)}",
        f"c2sp.org/tlog-proof@v1\nindex 6\n\ud800\n\n{NOTE}",
    ],
)
def test_what_is_not_a_receipt_is_refused(text: str) -> None:
    with pytest.raises(ReceiptError):
        Receipt.parse(text)


@pytest.mark.parametrize(
    ("index", "proof", "note"),
    [
        (-1, (), NOTE),
        (MAX_SIZE + 1, (), NOTE),
        (6, (b"short",), NOTE),
        (6, (bytes(32),) * (MAX_PROOF_HASHES + 1), NOTE),
        (6, (), "no note"),
        (6, (), "signed but\n\n— no checkpoint AAAAAAAA\n"),
    ],
)
def test_a_malformed_receipt_cannot_be_made(index: int, proof: tuple[bytes, ...], note: str) -> None:
    with pytest.raises(ReceiptError):
        Receipt(index, proof, note)


@given(st.integers(0, MAX_SIZE), st.lists(st.binary(min_size=32, max_size=32), max_size=MAX_PROOF_HASHES))
def test_receipts_survive_encoding(index: int, proof: list[bytes]) -> None:
    receipt = Receipt(index, tuple(proof), NOTE)
    assert Receipt.parse(receipt.encode()) == receipt


@given(st.data())
def test_a_bent_text_is_refused_or_is_the_one_text_of_its_receipt(data: st.DataObject) -> None:
    text = RECEIPT.encode()
    at = data.draw(st.integers(0, len(text)))
    width = data.draw(st.integers(0, 3))
    bent = text[:at] + data.draw(st.text(max_size=3) | st.text("\n =A", max_size=3)) + text[at + width :]
    try:
        assert Receipt.parse(bent).encode() == bent
    except ReceiptError:
        return
