"""Many bundles at once."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from rasura.cli import cli
from rasura.documents import Document, documents_in
from rasura.errors import ExitCode, UsageError
from rasura.many import verify_many
from rasura.page_verdict import verify_documents
from rasura.trust import Trust

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
    from rasura.verifier import Verdict, verify

    trusts = Trust.parse(TRUST.read_text())
    stranger = Trust.parse((VECTORS / "chain-of-the-same-name_fail/trust.toml").read_text())
    for _ in range(3):
        assert verify(GOOD, trusts).verdict is Verdict.GENUINE
        assert verify(GOOD, stranger).verdict is Verdict.NOT_GENUINE
        assert verify(BAD, trusts).verdict is Verdict.NOT_GENUINE


def documents(count: int) -> list[Document]:
    """Good and bad ones, machine reports and files that cannot be read, mixed."""
    names = ("overwrite", "payload-changed_fail", "machine", "not-json_fail", "split-view_fail", "purge")
    raws = [(VECTORS / name / "bundle.json").read_bytes() for name in names]
    unreadable = Document("p", Path("p"), b"", unreadable=UsageError("damaged"))
    return [
        unreadable if number % 7 == 6 else Document(str(number), Path("x"), raws[number % 7])
        for number in range(count)
    ]


def test_many_processes_say_what_one_says_in_the_same_order() -> None:
    mixed = documents(300)
    text = TRUST.read_text()
    one = list(verify_many(iter(mixed), text, 1))
    many = list(verify_many(iter(mixed), text, 2, alone=10))
    assert [(name.name, report) for name, report in many] == [(name.name, report) for name, report in one]
    assert [report for _, report in one] == [verify_documents([each], Trust.parse(text))[0] for each in mixed]
    assert all(not name.raw for name, _ in many)


def test_an_export_that_breaks_off_in_the_middle_ends_in_its_error() -> None:
    def broken() -> Iterator[Document]:
        yield from documents(200)
        raise UsageError("the file ends here")

    with pytest.raises(UsageError, match="ends here"):
        list(verify_many(broken(), TRUST.read_text(), 2, alone=10))


def test_a_large_export_by_the_command(tmp_path: Path) -> None:
    export = tmp_path / "export.ndjson"
    export.write_bytes(b"\n".join([GOOD] * 700 + [BAD]))
    command = [sys.executable, "-m", "rasura", "verify", str(export), "--trust", str(TRUST), "--brief"]
    done = subprocess.run([*command, "--jobs", "2"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.splitlines()[-1]) == (1, "700 accepted, 1 not"), done.stderr
    assert f"{export}:701" in done.stdout
