"""Where a key URI says that a key is."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rasura.errors import UsageError
from rasura.key_box import PassphraseNeededError, seal
from rasura.key_source import load_signing_key, uri_to_keep
from rasura.key_uri import EnvKey, FileKey, KeyUriError, TokenUri, parse_key_uri
from rasura.keys import KeyFormatError, private_key_pem
from vectors.world import key


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("site.key", FileKey("site.key")),
        ("/etc/rasura/site.key", FileKey("/etc/rasura/site.key")),
        ("C:\\keys\\site.key", FileKey("C:\\keys\\site.key")),
        ("file:keys/a:b%20c", FileKey("keys/a:b%20c")),
        ("file:/etc/site.key", FileKey("/etc/site.key")),
        ("file:///etc/site.key", FileKey("///etc/site.key")),
        ("FILE:x", FileKey("x")),
        ("env:RASURA_KEY", EnvKey("RASURA_KEY")),
        ("pkcs11:object=site", TokenUri(object="site")),
        (
            "pkcs11:token=Site%20Lyon;id=%a1%FF;type=private?module-path=/usr/lib/x.so&pin-source=file:/run/pin",
            TokenUri(token="Site Lyon", id=b"\xa1\xff", module_path="/usr/lib/x.so", pin_source="/run/pin"),
        ),
        (
            "pkcs11:manufacturer=A+B;serial=00ff;model=M;object=%C3%A9?pin-value=%3b%26",
            TokenUri(manufacturer="A+B", serial="00ff", model="M", object="é", pin_value=";&"),
        ),
    ],
)
def test_what_is_understood(text: str, found: object) -> None:
    assert parse_key_uri(text) == found


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "needs a path"),
        ("file:", "needs a path"),
        ("a\0b", "needs a path"),
        ("file://host/site.key", "names no host"),
        ("env:", "name of an environment variable"),
        ("env:A B", "name of an environment variable"),
        ("env:1A", "name of an environment variable"),
        ("awskms:key", "'awskms'"),
        ("https://example.org/key", "'https'"),
        ("pkcs11:", "needs the object or the id"),
        ("pkcs11:token=x", "needs the object or the id"),
        ("pkcs11:object=", "empty or no text"),
        ("pkcs11:object=%ff", "empty or no text"),
        ("pkcs11:object=a%0ab", "empty or no text"),
        ("pkcs11:object=a;object=b", "twice"),
        ("pkcs11:object=a;slot-id=3", "'slot-id'"),
        ("pkcs11:object=a;x-vendor=3", "'x-vendor'"),
        ("pkcs11:object=a;type=public", "something else than a private key"),
        ("pkcs11:object=a b", "percent-encoded"),
        ("pkcs11:object=a%2", "percent-encoded"),
        ("pkcs11:object", "'object'"),
        ("pkcs11:object=a;", "''"),
        ("pkcs11:object=a?pin-value=1&pin-source=x", "not both"),
        ("pkcs11:object=a?pin-source=|/bin/pin", "is not run"),
        ("pkcs11:object=a?module-name=softhsm2", "'module-name'"),
    ],
)
def test_what_names_no_key(text: str, says: str) -> None:
    with pytest.raises(KeyUriError, match=says.replace("|", r"\|")):
        parse_key_uri(text)


@given(st.text(max_size=60) | st.text(max_size=40).map("pkcs11:object=".__add__))
def test_any_text_ends_in_a_place_or_in_our_error(text: str) -> None:
    with suppress(KeyUriError):
        assert isinstance(parse_key_uri(text), FileKey | EnvKey | TokenUri)


def test_a_pin_is_not_shown_and_not_kept() -> None:
    uri = "pkcs11:object=a?pin-value=secret"
    assert "secret" not in repr(parse_key_uri(uri))
    with pytest.raises(UsageError, match="PIN would lie open"):
        uri_to_keep(uri)
    assert uri_to_keep("pkcs11:object=a") == "pkcs11:object=a"
    assert uri_to_keep("env:A") == "env:A"
    assert uri_to_keep("a.key") == f"file:{Path.cwd() / 'a.key'}"


def test_files_and_the_environment_hold_the_same_text(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pem, sealed = private_key_pem(key("any")), seal(key("any"), "correct horse")
    (tmp_path / "a.key").write_bytes(pem)
    (tmp_path / "sealed.key").write_bytes(sealed)
    monkeypatch.setenv("A_KEY", pem.decode())
    monkeypatch.setenv("SEALED_KEY", sealed.decode())
    for uri in ("a.key", "file:a.key", str(tmp_path / "a.key"), f"file:{tmp_path}/a.key", "env:A_KEY"):
        found = load_signing_key(uri, what="it", base=tmp_path)
        assert found.public_key() == key("any").public_key()
    for uri in ("sealed.key", "env:SEALED_KEY"):
        found = load_signing_key(uri, what="it", base=tmp_path, passphrase=lambda: "correct horse")
        assert found.public_key() == key("any").public_key()
        with pytest.raises(PassphraseNeededError, match="it is under a passphrase"):
            load_signing_key(uri, what="it", base=tmp_path)


def test_what_is_not_there_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_KEY", raising=False)
    monkeypatch.setenv("BAD_KEY", "nothing")
    with pytest.raises(UsageError, match="NO_KEY is not set: the key"):
        load_signing_key("env:NO_KEY", what="the key")
    with pytest.raises(UsageError, match="cannot read"):
        load_signing_key("none.key", what="the key", base=tmp_path)
    with pytest.raises(KeyFormatError):
        load_signing_key("env:BAD_KEY", what="the key")
