"""Signed notes against the example of the specification, and against everything that is not one."""

from __future__ import annotations

import base64

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from rasura.note import (
    MAX_SIGNATURES,
    MAX_TIMESTAMP,
    KeyType,
    Note,
    NoteError,
    NoteSignature,
    VerifierKey,
    sign,
)

# c2sp.org/signed-note, "Example".
VKEY = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k"
EXAMPLE = (
    "This is an example message.\n"
    "\n"
    "— example.com/foo "
    "Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM=\n"
)

KEY = Ed25519PrivateKey.from_private_bytes(b"k" * 32)
OTHER = Ed25519PrivateKey.from_private_bytes(b"o" * 32)
TEXT = "one\n\ntwo\n"


def test_the_example_of_the_specification_verifies() -> None:
    key = VerifierKey.parse(VKEY)
    assert key.encode() == VKEY
    assert key.type is KeyType.ED25519
    note = Note.parse(EXAMPLE)
    assert note.text == "This is an example message.\n"
    assert note.encode() == EXAMPLE
    (known,) = note.verify([key])
    assert known.key == key
    assert known.timestamp is None


def test_a_note_carries_both_signatures_of_one_key() -> None:
    note = Note(TEXT, (sign(TEXT, "log.example", KEY), sign(TEXT, "log.example", KEY, 1_700_000_000)))
    assert Note.parse(note.encode()) == note
    key = VerifierKey.of("log.example", KEY)
    plain, cosigned = note.verify([key, key.cosigner()])
    assert (plain.key, plain.timestamp) == (key, None)
    assert (cosigned.key, cosigned.timestamp) == (key.cosigner(), 1_700_000_000)


def test_a_cosignature_signs_the_header_the_time_and_the_text() -> None:
    # c2sp.org/tlog-cosignature, "Ed25519 signed message".
    raw = sign("log.example\n0\nroot\n", "w.example", KEY, 1679315147).signature
    assert raw[:8] == (1679315147).to_bytes(8, "big")
    KEY.public_key().verify(raw[8:], b"cosignature/v1\ntime 1679315147\nlog.example\n0\nroot\n")


def test_a_signature_of_one_type_is_never_one_of_the_other() -> None:
    key = VerifierKey.of("log.example", KEY)
    assert key.key_id != key.cosigner().key_id
    plain, cosigned = sign(TEXT, "log.example", KEY), sign(TEXT, "log.example", KEY, 7)
    for forged in (
        NoteSignature("log.example", key.key_id, cosigned.signature[8:]),
        NoteSignature("log.example", key.cosigner().key_id, bytes(8) + plain.signature),
        NoteSignature("log.example", key.cosigner().key_id, (8).to_bytes(8, "big") + cosigned.signature[8:]),
    ):
        with pytest.raises(NoteError, match="does not fit"):
            Note(TEXT, (forged,)).verify([key, key.cosigner()])


def test_signatures_of_unknown_keys_are_ignored_but_never_enough() -> None:
    mine, strange = sign(TEXT, "log.example", KEY), sign(TEXT, "w.example", OTHER)
    broken = NoteSignature("log.example", b"????", b"not even a signature")
    known = Note(TEXT, (broken, strange, mine)).verify([VerifierKey.of("log.example", KEY)])
    assert len(known) == 1
    with pytest.raises(NoteError, match="no signature by a key that we know"):
        Note(TEXT, (broken, strange)).verify([VerifierKey.of("log.example", KEY)])
    with pytest.raises(NoteError, match="no signature"):
        Note(TEXT, (mine,)).verify([])


def test_a_known_key_that_fails_condemns_the_note() -> None:
    mine, witness = sign(TEXT, "log.example", KEY), sign("else\n", "w.example", OTHER, 5)
    with pytest.raises(NoteError, match=r"'w\.example' does not fit"):
        Note(TEXT, (mine, witness)).verify(
            [VerifierKey.of("log.example", KEY), VerifierKey.of("w.example", OTHER).cosigner()]
        )


def test_one_key_signs_once() -> None:
    twice = (sign(TEXT, "log.example", KEY, 5), sign(TEXT, "log.example", KEY, 6))
    with pytest.raises(NoteError, match="two signatures"):
        Note(TEXT, twice).verify([VerifierKey.of("log.example", KEY).cosigner()])


@pytest.mark.parametrize("length", [0, 1, 63, 65])
def test_a_signature_of_another_length_fails(length: int) -> None:
    key = VerifierKey.of("log.example", KEY)
    for one in (key, key.cosigner()):
        with pytest.raises(NoteError):
            Note(TEXT, (NoteSignature(one.name, one.key_id, bytes(length)),)).verify([one])


def test_times_beyond_the_calendar_are_refused() -> None:
    key = VerifierKey.of("log.example", KEY).cosigner()
    for timestamp in (-1, MAX_TIMESTAMP + 1):
        with pytest.raises(NoteError, match="time"):
            sign(TEXT, "log.example", KEY, timestamp)
    stamp = (MAX_TIMESTAMP + 1).to_bytes(8, "big")
    message = f"cosignature/v1\ntime {MAX_TIMESTAMP + 1}\n{TEXT}".encode()
    late = NoteSignature(key.name, key.key_id, stamp + KEY.sign(message))
    with pytest.raises(NoteError, match="time"):
        Note(TEXT, (late,)).verify([key])


@pytest.mark.parametrize(
    "text",
    [
        "",
        "\n",
        "text\n",
        "text\n\n",
        "text\n\n\n",
        "text\n\n— name\n",
        "text\n\n— name \n",
        "text\n\n— name AAAA\n",
        "text\n\n- name AAAAAAAA\n",
        "text\n\n—name AAAAAAAA\n",
        "text\n\n— name AAAAAAAA",
        "text\n\n— name AAAAAAAA\n\n",
        "text\n\n— name  AAAAAAAA\n",
        "text\n\n— name AAAAAAAA \n",
        "text\n\n— name AAAAAAA=\n\n— name AAAAAAA\n",
        "text\n\n— na+me AAAAAAAA\n",
        "text\n\n— na\u00a0me AAAAAAAA\n",
        "text\n\n—  AAAAAAAA\n",
        "text\n\n— name AAAAAAB=\n",
        "text\n\n— name AAAAAAAA==\n",
        "text\n\n— name AAAA-_AA\n",
        "text\r\n\n— name AAAAAAAA\n",
        "te\x00xt\n\n— name AAAAAAAA\n",
        "te\tt\n\n— name AAAAAAAA\n",
        "te\ud800xt\n\n— name AAAAAAAA\n",
        "text\n\n" + "— name AAAAAAAA\n" * (MAX_SIGNATURES + 1),
        "x" * 300_000 + "\n\n— name AAAAAAAA\n",
        "é" * 200_000 + "\n\n— name AAAAAAAA\n",
    ],
)
def test_what_is_not_a_note_is_refused(text: str) -> None:
    with pytest.raises(NoteError):
        Note.parse(text)


def test_a_note_may_carry_as_many_signatures_as_the_limit() -> None:
    text = "text\n\n" + "— name AAAAAAAA\n" * MAX_SIGNATURES
    assert len(Note.parse(text).signatures) == MAX_SIGNATURES


def test_the_last_empty_line_ends_the_text() -> None:
    note = Note.parse("a\n\n— b AAAAAAAA\n\n— c AAAAAAAA\n")
    assert note.text == "a\n\n— b AAAAAAAA\n"
    assert [one.name for one in note.signatures] == ["c"]


def _vkey(kind: int, key: bytes, key_id: str = "00000000") -> str:
    return f"name+{key_id}+{base64.b64encode(bytes([kind]) + key).decode()}"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "name",
        "name+530d903a",
        VKEY.replace("530d903a", "530d903b"),
        VKEY.replace("530d903a", "530D903A"),
        VKEY.replace("530d903a", "530d903a "),
        VKEY.replace("example.com/foo", "example.com/bar"),
        VKEY.replace("example.com", "exam ple.com"),
        VKEY + "=",
        VKEY[:-4],
        "name+00000000+",
        "+00000000+" + VKEY.split("+")[2],
        _vkey(2, bytes(32)),
        _vkey(6, bytes(1312)),
        _vkey(1, bytes(31)),
        _vkey(4, bytes(33)),
        "na\ud800me+00000000+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k",
    ],
)
def test_what_is_not_a_verifier_key_is_refused(text: str) -> None:
    with pytest.raises(NoteError):
        VerifierKey.parse(text)


def test_a_key_that_is_no_point_of_the_curve_fails_as_a_signature_does() -> None:
    key = VerifierKey("log.example", KeyType.ED25519, b"\xff" * 32)
    with pytest.raises(NoteError):
        Note(TEXT, (NoteSignature(key.name, key.key_id, bytes(64)),)).verify([key])


@pytest.mark.parametrize("text", ["", "no newline", "tab\there\n", "\ud800\n"])
def test_what_cannot_be_a_text_is_not_signed(text: str) -> None:
    with pytest.raises(NoteError):
        sign(text, "log.example", KEY)


@given(
    st.text(st.characters(exclude_categories=["Cs"], min_codepoint=32) | st.just("\n"), max_size=80),
    st.lists(
        st.builds(
            NoteSignature,
            st.text(st.characters(categories=["L", "N", "P"]), min_size=1).map(lambda name: "n" + name),
            st.binary(min_size=4, max_size=4),
            st.binary(min_size=1, max_size=80),
        ),
        min_size=1,
        max_size=5,
    ),
)
def test_notes_survive_encoding(text: str, signatures: list[NoteSignature]) -> None:
    note = Note(text + "\n", tuple(signatures))
    if any("+" in one.name for one in signatures):
        return
    assert Note.parse(note.encode()) == note


@given(st.text(max_size=120) | st.text("\n— aA=+/0", max_size=60))
def test_garbage_is_refused_or_is_the_one_text_of_its_note(text: str) -> None:
    for parse in (Note.parse, VerifierKey.parse):
        try:
            assert parse(text).encode() == text
        except NoteError:
            continue
