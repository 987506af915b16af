"""Timestamps in bundles: read strictly, fetched from a registry, verified; no error but our own."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from hypothesis import given
from hypothesis import strategies as st

from rasura.bundle import Bundle, BundleError
from rasura.cli import cli
from rasura.errors import RasuraError
from rasura.receipt import Receipt
from rasura.timestamp import TimestampError, claimed_time, open_response, verify_token
from rasura.trust import Trust, TrustError
from simulators.web import Answer, refused_port, serving
from vectors.index import CASES
from vectors.timestamps import SEEN
from vectors.tsa import authority_of_time, token
from vectors.world import LOGGED, fillers, note

TEXT = note(fillers(5), LOGGED)
GOOD = token(TEXT, SEEN)
ROOTS = (authority_of_time(),)
GRANTED = bytes.fromhex("3003020100")


def vector(name: str) -> tuple[bytes, str]:
    (case,) = [one for one in CASES if one.name == name]
    made = case.make()
    return made.bundle, made.trust


STAMPED, TRUST = vector("timestamp")


def test_a_bundle_with_timestamps_is_read_and_written_the_same() -> None:
    bundle = Bundle.parse(STAMPED)
    assert len(bundle.timestamps) == 1
    assert bundle.encode() == STAMPED
    plain = bundle.with_timestamps(())
    assert b"timestamps" not in plain.encode()
    assert Bundle.parse(plain.encode()) == plain
    assert bundle.with_receipt(None).timestamps == (), "they belong to a log's receipt"


@pytest.mark.parametrize(
    "value",
    [
        None,
        "x",
        {},
        [None],
        ["x"],
        [{}],
        [{"receipt": "x", "token": "AAAA"}],
        [{"receipt": None, "token": ""}],
    ],
)
def test_what_is_no_list_of_timestamps(value: Any) -> None:
    with pytest.raises(BundleError):
        Bundle.parse(json.dumps({**json.loads(STAMPED), "timestamps": value}).encode())


@pytest.mark.parametrize("text", ["", "AA", "AA==\n", "Zm9v-_"])
def test_a_token_has_one_way_of_base64(text: str) -> None:
    value = json.loads(STAMPED)
    value["timestamps"][0]["token"] = text
    with pytest.raises(BundleError):
        Bundle.parse(json.dumps(value).encode())


@given(st.integers(0, len(GOOD) - 1), st.binary(max_size=6), st.integers(0, 6))
def test_a_hurt_token_ends_in_our_error_or_holds_for_the_same_time(at: int, put: bytes, taken: int) -> None:
    hurt = GOOD[:at] + put + GOOD[at + taken :]
    with suppress(TimestampError):
        assert verify_token(hurt, TEXT, ROOTS) == verify_token(GOOD, TEXT, ROOTS)
    claimed_time(hurt)
    with suppress(TimestampError):
        open_response(b"\x30\x82" + len(GRANTED + hurt).to_bytes(2, "big") + GRANTED + hurt)


@given(st.binary(max_size=200))
def test_any_bytes_end_in_our_error(raw: bytes) -> None:
    with pytest.raises(TimestampError):
        verify_token(raw, TEXT, ROOTS)
    assert claimed_time(raw) is None


def test_without_authorities_and_with_a_nonce_nothing_holds() -> None:
    with pytest.raises(TimestampError, match="no timestamp authority"):
        verify_token(GOOD, TEXT, ())
    with pytest.raises(TimestampError, match="Nonce"):
        verify_token(GOOD, TEXT, ROOTS, nonce=7)


def test_the_trust_file_names_authorities() -> None:
    trust = Trust.parse(TRUST)
    assert trust.timestamp_authorities == ROOTS
    assert Trust.parse(trust.to_toml()) == trust
    assert ROOTS[0] not in trust.authorities
    for wrong in ('certificate = "x"', 'key = "x"', ""):
        with pytest.raises(TrustError):
            Trust.parse(f"{TRUST}\n[[timestamp_authority]]\n{wrong}\n")


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """A certificate as the registry's answer left it: with a receipt, before the timestamp."""
    (tmp_path / "sent").mkdir()
    plain = Bundle.parse(STAMPED).with_timestamps(())
    (tmp_path / "sent/one.json").write_bytes(plain.encode())
    (tmp_path / "trust.toml").write_text(TRUST)
    return tmp_path


def ask(files: Path, answer: Callable[[str, str, bytes], Answer] | str) -> Result:
    def invoke(url: str) -> Result:
        words = ["timestamp", str(files / "sent"), "--registry", url, "--trust", str(files / "trust.toml")]
        return CliRunner().invoke(cli, words, standalone_mode=False)

    if isinstance(answer, str):
        return invoke(answer)
    with serving(answer) as url:
        return invoke(url)


def test_a_timestamp_is_added_once(files: Path) -> None:
    asked = []

    def answer(method: str, path: str, _: bytes) -> Answer:
        asked.append((method, path))
        return 200, STAMPED

    done = ask(files, answer)
    assert (done.return_value, done.output.split()[:2]) == (0, ["timestamp", "added"])
    assert (files / "sent/one.json").read_bytes() == STAMPED
    assert asked == [("GET", f"/certificates/{Bundle.parse(STAMPED).certificate_id}")]
    done = ask(files, answer)
    assert (done.return_value, "has a timestamp" in done.output, len(asked)) == (0, True, 1)


def test_there_is_none_yet(files: Path) -> None:
    before = (files / "sent/one.json").read_bytes()
    done = ask(files, lambda *_: (200, before))
    assert (done.return_value, "no timestamp yet" in done.output) == (3, True)
    assert (files / "sent/one.json").read_bytes() == before


def _problem(detail: str) -> bytes:
    return json.dumps({"detail": detail}).encode()


@pytest.mark.parametrize(
    ("answer", "code", "says"),
    [
        ((404, _problem("no certificate with this id is in the log")), 3, "does not know"),
        ((404, b"nothing here"), 1, "does not answer as a registry does"),
        ((503, _problem("full")), 1, "is not well: full"),
        ((302, b""), 1, "does not answer as a registry does"),
        ((200, b"<html>"), 1, "is no bundle"),
        ((200, vector("timestamp-changed_fail")[0]), 1, "proves nothing"),
        ((200, vector("timestamp-of-another-leaf_fail")[0]), 1, "proves nothing"),
        ((200, vector("purge")[0]), 1, "has another certificate"),
    ],
)
def test_what_proves_nothing_changes_nothing(answer: Answer, code: int, says: str, files: Path) -> None:
    before = (files / "sent/one.json").read_bytes()
    done = ask(files, lambda *_: answer)
    assert isinstance(done.exception, RasuraError)
    assert (int(done.exception.exit_code), says in str(done.exception)) == (code, True), done.exception
    assert (files / "sent/one.json").read_bytes() == before


def test_calls_that_are_wrong(files: Path) -> None:
    assert "cannot be reached" in str(ask(files, refused_port()).exception)
    (files / "trust.toml").write_text(vector("purge")[1])
    assert "names no timestamp authority" in str(ask(files, "http://127.0.0.1:9").exception)
    (files / "trust.toml").write_text(TRUST)
    (files / "sent/one.json").unlink()
    assert "no .json file" in str(ask(files, "http://127.0.0.1:9").exception)


@pytest.mark.parametrize(
    ("language", "says"),
    [("en", "timestamp authority, 2026-03-02 10:55"), ("fr", "d\N{RIGHT SINGLE QUOTATION MARK}horodatage")],
)
def test_show_says_it(language: str, says: str, tmp_path: Path) -> None:
    (tmp_path / "one.json").write_bytes(STAMPED)
    done = CliRunner().invoke(cli, ["show", "--lang", language, str(tmp_path / "one.json")])
    assert says in done.output
    bundle = Bundle.parse(STAMPED)
    assert isinstance(bundle.receipt, Receipt)
    (tmp_path / "one.json").write_bytes(bundle.with_timestamps(()).encode())
    assert (
        says not in CliRunner().invoke(cli, ["show", "--lang", language, str(tmp_path / "one.json")]).output
    )
