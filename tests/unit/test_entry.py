"""Entries: a few lines that a shell can rebuild, and one text for one value."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rasura.entry import Entry, EntryError, EntryKind

ONE, TWO, THREE = (hashlib.sha256(one).hexdigest() for one in (b"payload", b"signature", b"certificate"))
UUID = "1b4e28ba-2fa1-4d3b-a3f5-ef19b5a7633b"
NAMED = hashlib.sha256(UUID.encode()).hexdigest()
ENTRY = Entry(EntryKind.ERASURE_CERTIFICATE, NAMED, ONE, TWO, THREE)
TEXT = f"""rasura log entry v1
erasure-certificate
id sha256:{NAMED}
payload sha256:{ONE}
signature sha256:{TWO}
signing-certificate sha256:{THREE}
"""


def test_an_entry_is_these_lines() -> None:
    assert ENTRY.encode() == TEXT.encode()
    assert Entry.parse(TEXT.encode()) == ENTRY


def test_its_leaf_is_the_hash_of_zero_and_the_lines() -> None:
    assert ENTRY.leaf == hashlib.sha256(b"\0" + TEXT.encode()).digest()


@pytest.mark.parametrize(
    "text",
    [
        "",
        TEXT[:-1],
        TEXT + "\n",
        TEXT + "more\n",
        "\n" + TEXT,
        TEXT.replace("\n", "\r\n"),
        TEXT.replace("v1", "v2"),
        TEXT.replace("erasure-certificate", "site-certificate"),
        TEXT.replace("erasure-certificate", "Erasure-certificate"),
        TEXT.replace(f"id sha256:{NAMED}", UUID),
        TEXT.replace(NAMED, UUID),
        TEXT.replace(NAMED, NAMED.upper()),
        TEXT.replace("id sha256", "payload sha256"),
        TEXT.replace(ONE, ONE.upper()),
        TEXT.replace(ONE, ONE[:-1]),
        TEXT.replace(ONE, ONE + "0"),
        TEXT.replace("sha256:" + TWO, "sha512:" + TWO),
        TEXT.replace("signature ", "Signature "),
        TEXT.replace("payload sha256", "payload  sha256"),
        "\n".join(TEXT.splitlines()[:3] + TEXT.splitlines()[3:][::-1]) + "\n",
    ],
)
def test_what_is_not_an_entry_is_refused(text: str) -> None:
    with pytest.raises(EntryError):
        Entry.parse(text.encode())


def test_the_id_stands_there_as_its_digest() -> None:
    assert Entry.digest_of(UUID) == NAMED


@pytest.mark.parametrize("uuid", [UUID.upper(), "../../etc/passwd", f"{UUID}\n", UUID.replace("-", ""), ""])
def test_what_is_no_id_has_no_digest(uuid: str) -> None:
    with pytest.raises(EntryError):
        Entry.digest_of(uuid)


@pytest.mark.parametrize(("named", "digest"), [(UUID, ONE), (NAMED, f"{ONE}\n"), (f"{NAMED}\n", ONE)])
def test_a_malformed_entry_cannot_be_made(named: str, digest: str) -> None:
    with pytest.raises(EntryError):
        Entry(EntryKind.ERASURE_CERTIFICATE, named, digest, TWO, THREE)


@given(st.uuids(), *[st.binary(min_size=32, max_size=32)] * 3)
def test_entries_survive_encoding(uuid: object, one: bytes, two: bytes, three: bytes) -> None:
    named = Entry.digest_of(str(uuid))
    entry = Entry(EntryKind.ERASURE_CERTIFICATE, named, one.hex(), two.hex(), three.hex())
    assert Entry.parse(entry.encode()) == entry


@given(st.binary(max_size=400))
def test_garbage_raises_nothing_but_our_error(data: bytes) -> None:
    with pytest.raises(EntryError):
        Entry.parse(data)


@given(st.data())
def test_a_bent_entry_is_refused_or_is_the_one_text_of_its_value(data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(TEXT) - 1))
    bent = TEXT.encode()[:at] + data.draw(st.binary(max_size=2)) + TEXT.encode()[at + 1 :]
    try:
        assert Entry.parse(bent).encode() == bent
    except EntryError:
        return
