"""Checkpoints: what the log signs, and what must never be taken for the log's word."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from rasura.checkpoint import (
    MAX_SIZE,
    Checkpoint,
    CheckpointError,
    open_checkpoint,
    parse_decimal,
    sign_checkpoint,
)
from rasura.errors import RasuraError
from rasura.note import Note, NoteError, VerifierKey, sign
from rasura.tree import EMPTY_ROOT

# c2sp.org/tlog-checkpoint.
EXAMPLE = "example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n"

LOG = Ed25519PrivateKey.from_private_bytes(b"l" * 32)
WITNESS = Ed25519PrivateKey.from_private_bytes(b"w" * 32)
CHECKPOINT = Checkpoint("log.example", 5, b"r" * 32)
LOG_KEY = VerifierKey.of("log.example", LOG)
WITNESS_KEY = VerifierKey.of("w.example", WITNESS).cosigner()


def cosigned(note: str, *signatures: object) -> str:
    opened = Note.parse(note)
    return Note(opened.text, (*opened.signatures, *signatures)).encode()  # type: ignore[arg-type]  # NoteSignature


def test_the_example_of_the_specification() -> None:
    checkpoint = Checkpoint.parse(EXAMPLE)
    assert (checkpoint.origin, checkpoint.size) == ("example.com/behind-the-sofa", 20852163)
    assert checkpoint.encode() == EXAMPLE


def test_the_log_says_what_and_when_with_one_key() -> None:
    opened = open_checkpoint(sign_checkpoint(LOG, CHECKPOINT, 1_700_000_000), [LOG_KEY])
    assert opened.checkpoint == CHECKPOINT
    assert opened.signed_by == (LOG_KEY, LOG_KEY.cosigner())
    assert opened.timestamp == 1_700_000_000
    assert opened.timestamps == ((LOG_KEY.cosigner(), 1_700_000_000),)


def test_signing_the_same_gives_the_same_note() -> None:
    assert sign_checkpoint(LOG, CHECKPOINT, 7) == sign_checkpoint(LOG, CHECKPOINT, 7)


def test_a_log_without_a_time_of_its_own_has_none_even_if_a_witness_has() -> None:
    text = CHECKPOINT.encode()
    note = Note(text, (sign(text, "log.example", LOG), sign(text, "w.example", WITNESS, 9))).encode()
    opened = open_checkpoint(note, [LOG_KEY, WITNESS_KEY])
    assert opened.timestamp is None
    assert opened.timestamps == ((WITNESS_KEY, 9),)


def test_a_witness_of_the_same_name_does_not_speak_for_the_log() -> None:
    text = CHECKPOINT.encode()
    namesake = VerifierKey.of("log.example", WITNESS).cosigner()
    note = Note(text, (sign(text, "log.example", LOG), sign(text, "log.example", WITNESS, 9))).encode()
    assert open_checkpoint(note, [LOG_KEY, namesake]).timestamp is None


def test_two_keys_of_a_log_that_changes_its_key_bound_the_time_by_the_later() -> None:
    text = CHECKPOINT.encode()
    note = cosigned(
        sign_checkpoint(LOG, CHECKPOINT, 5),
        sign(text, "log.example", WITNESS),
        sign(text, "log.example", WITNESS, 9),
    )
    assert open_checkpoint(note, [LOG_KEY, VerifierKey.of("log.example", WITNESS)]).timestamp == 9
    assert open_checkpoint(note, [LOG_KEY]).timestamp == 5


def test_witnesses_alone_are_not_the_log() -> None:
    text = CHECKPOINT.encode()
    note = Note(text, (sign(text, "w.example", WITNESS, 9),)).encode()
    with pytest.raises(CheckpointError, match="not signed by that log's key"):
        open_checkpoint(note, [LOG_KEY, WITNESS_KEY])


def test_the_log_cosigning_alone_is_not_a_checkpoint() -> None:
    text = CHECKPOINT.encode()
    note = Note(text, (sign(text, "log.example", LOG, 9),)).encode()
    with pytest.raises(CheckpointError):
        open_checkpoint(note, [LOG_KEY])


def test_one_trusted_log_does_not_speak_for_another() -> None:
    text = Checkpoint("other.example", 5, b"r" * 32).encode()
    note = Note(text, (sign(text, "log.example", LOG),)).encode()
    with pytest.raises(CheckpointError, match=r"'other\.example'"):
        open_checkpoint(note, [LOG_KEY, VerifierKey.of("other.example", WITNESS)])


def test_an_unknown_log_is_refused() -> None:
    with pytest.raises(NoteError):
        open_checkpoint(sign_checkpoint(WITNESS, CHECKPOINT, 5), [LOG_KEY])


def test_a_changed_time_condemns_the_note_though_the_first_line_holds() -> None:
    text = CHECKPOINT.encode()
    late = sign(text, "log.example", LOG, 6)
    note = Note(
        text,
        (sign(text, "log.example", LOG), type(late)(late.name, late.key_id, bytes(8) + late.signature[8:])),
    )
    with pytest.raises(NoteError, match="does not fit"):
        open_checkpoint(note.encode(), [LOG_KEY])


def test_a_signed_text_that_is_no_checkpoint_is_refused() -> None:
    note = Note("log.example\nfive\n", (sign("log.example\nfive\n", "log.example", LOG),)).encode()
    with pytest.raises(CheckpointError):
        open_checkpoint(note, [LOG_KEY])


def test_no_checkpoint_is_a_cosigned_message() -> None:
    # The domain separation of cosignature/v1: its second line is never a size.
    with pytest.raises(CheckpointError):
        Checkpoint.parse("cosignature/v1\ntime 5\nlog.example\n")


def test_an_origin_that_cannot_name_a_key_is_not_signed() -> None:
    for origin in ("two words", "a+b", "tab\t"):
        with pytest.raises(NoteError):
            sign_checkpoint(LOG, Checkpoint(origin, 5, b"r" * 32), 5)


ROOT = "CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I="


@pytest.mark.parametrize(
    "text",
    [
        "",
        "\n",
        "o\n1\n",
        f"o\n1\n{ROOT}",
        f"\n1\n{ROOT}\n",
        f"o\n01\n{ROOT}\n",
        f"o\n-1\n{ROOT}\n",
        f"o\n+1\n{ROOT}\n",
        f"o\n1_0\n{ROOT}\n",
        f"o\n٣\n{ROOT}\n",
        f"o\n 1\n{ROOT}\n",
        f"o\n\n{ROOT}\n",
        f"o\n{MAX_SIZE + 1}\n{ROOT}\n",
        f"o\n{'9' * 5000}\n{ROOT}\n",
        f"o\n0\n{ROOT}\n",
        f"o\n1\n{ROOT[:-4]}\n",
        f"o\n1\n{ROOT} \n",
        f"o\n1\n{ROOT[:-2]}J=\n",
        f"o\n1\n{ROOT}\n\n",
        f"o\n1\n{ROOT}\nextension\n\n",
    ],
)
def test_what_is_not_a_checkpoint_is_refused(text: str) -> None:
    with pytest.raises(CheckpointError) as refusal:
        Checkpoint.parse(text)
    assert isinstance(refusal.value, RasuraError)


def test_extension_lines_are_kept() -> None:
    text = f"o\n1\n{ROOT}\none\ntwo\n"
    assert Checkpoint.parse(text).extensions == ("one", "two")
    assert Checkpoint.parse(text).encode() == text


@pytest.mark.parametrize(
    ("origin", "size", "root", "extensions"),
    [("", 1, bytes(32), ()), ("a\nb", 1, bytes(32), ()), ("a", 1, bytes(31), ()), ("a", 1, bytes(32), ("",))],
)
def test_a_malformed_checkpoint_cannot_be_made(
    origin: str, size: int, root: bytes, extensions: tuple[str, ...]
) -> None:
    with pytest.raises(CheckpointError):
        Checkpoint(origin, size, root, extensions)


@given(
    st.text(min_size=1).filter(lambda text: "\n" not in text),
    st.integers(0, MAX_SIZE),
    st.binary(min_size=32, max_size=32),
)
def test_checkpoints_survive_encoding(origin: str, size: int, root: bytes) -> None:
    checkpoint = Checkpoint(origin, size, root if size else EMPTY_ROOT)
    assert Checkpoint.parse(checkpoint.encode()) == checkpoint


@given(st.text(max_size=100) | st.text("\n0123aA=", max_size=60))
def test_garbage_is_refused_or_is_the_one_text_of_its_checkpoint(text: str) -> None:
    try:
        assert Checkpoint.parse(text).encode() == text
    except CheckpointError:
        return


@given(st.text("0123456789 +-_٣", max_size=22))
def test_decimals_are_the_texts_of_numbers_and_nothing_else(text: str) -> None:
    number = parse_decimal(text)
    if number is not None:
        assert str(number) == text
        assert number <= MAX_SIZE
