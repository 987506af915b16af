"""Many bundles at once."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from rasura.cli import cli
from rasura.documents import documents_in
from rasura.errors import ExitCode, UsageError

VECTORS = Path(__file__).parents[2] / "certs/vectors"
TRUST = VECTORS / "overwrite/trust.toml"
GOOD = (VECTORS / "overwrite/bundle.json").read_bytes()
BAD = (VECTORS / "payload-changed_fail/bundle.json").read_bytes()


def verify(*words: str | Path) -> Result:
    return CliRunner().invoke(cli, ["verify", *map(str, words), "--trust", str(TRUST)], standalone_mode=False)


def test_a_folder_stands_for_its_files(tmp_path: Path) -> None:
    (tmp_path / "b.json").write_bytes(BAD)
    (tmp_path / "a.json").write_bytes(GOOD)
    (tmp_path / "notes.txt").write_text("not a bundle")
    assert [one.path.name for one in documents_in([tmp_path], pages=True)] == ["a.json", "b.json"]
    done = verify(tmp_path, "--brief")
    assert done.return_value is ExitCode.FAILED
    assert str(tmp_path / "b.json") in done.output
    assert str(tmp_path / "a.json") not in done.output
    assert done.output.endswith("1 accepted, 1 not\n")


def test_a_json_file_is_never_a_pdf(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_bytes(b"%PDF-1.7")
    done = verify(tmp_path / "a.json")
    assert done.return_value is ExitCode.FAILED
    assert "not JSON" in done.output


def test_a_file_without_an_end_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rasura.command._MOST_BYTES", 1 << 20)
    with pytest.raises(UsageError, match="more than 1 MiB"):
        list(documents_in([Path("/dev/zero")], pages=True))


def test_an_export_has_a_bundle_a_line(tmp_path: Path) -> None:
    export = tmp_path / "export.ndjson"
    export.write_bytes(GOOD + b"\n\n" + GOOD + b"\r\n" + BAD)
    assert [one.name.rpartition(":")[2] for one in documents_in([export], pages=True)] == ["1", "3", "4"]
    found = json.loads(verify(export, "--json").output)
    assert [one["accepted"] for one in found] == [True, True, False]
    assert json.loads(verify(export, "--json", "--brief").output) == found[2:]
    export.write_bytes(GOOD + b"\n" + GOOD)
    assert verify(export, "--brief").return_value is ExitCode.DONE


def test_a_line_without_an_end_is_read_in_pieces_and_refused(tmp_path: Path) -> None:
    export = tmp_path / "export.ndjson"
    export.write_bytes(b"x" * (5 << 20))
    assert max(len(one.raw) for one in documents_in([export], pages=True)) <= (1 << 20) + 2
    assert verify(export, "--brief").return_value is ExitCode.FAILED


def test_nothing_is_not_a_success(tmp_path: Path) -> None:
    (tmp_path / "empty.ndjson").write_text("\n \n")
    for path in (tmp_path, tmp_path / "empty.ndjson", tmp_path / "no.ndjson"):
        with pytest.raises(UsageError):
            list(documents_in([path], pages=True))


def test_what_is_remembered_is_not_believed_of_another() -> None:
    """The same station, chain and checkpoints as in the good one, a thousand times: still refused."""
    from rasura.trust import Trust
    from rasura.verifier import Verdict, verify

    trusts = Trust.parse(TRUST.read_text())
    stranger = Trust.parse((VECTORS / "chain-of-the-same-name_fail/trust.toml").read_text())
    for _ in range(3):
        assert verify(GOOD, trusts).verdict is Verdict.GENUINE
        assert verify(GOOD, stranger).verdict is Verdict.NOT_GENUINE
        assert verify(BAD, trusts).verdict is Verdict.NOT_GENUINE
