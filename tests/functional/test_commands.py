"""The main job through the commands, and every bad input that a user will try."""

from __future__ import annotations

import json
import os
import pty
import re
import select
from pathlib import Path

import pytest

from functional.conftest import BIN, MARK, Workshop
from simulators.web import refused_port, serving


def serial_of(workshop: Workshop, drive: Path) -> str:
    (one,) = workshop.run("rasura-agent", "drives", "--virtual-drive", drive, "--json").json["drives"]
    serial: str = one["serial"]
    return serial


@pytest.mark.parametrize("policy", ["clear-zero", "clear-random"])
def test_the_main_job(workshop: Workshop, policy: str) -> None:
    drive = workshop.drive()
    ran = workshop.erase(drive, "--policy", policy, "--operator", "trainee-7", "--lot", "LOT-1", "--json")
    assert ran.code == 0, ran.err
    (outcome,) = ran.json["drives"]
    assert (outcome["outcome"], outcome["method"], outcome["technique"]) == ("ERASED", "Clear", "overwrite")
    assert outcome["logged"]
    assert MARK not in drive.read_bytes()
    verified = workshop.run("rasura", "verify", outcome["path"], "--trust", workshop.trust)
    assert verified.code == 0, verified.out
    assert re.search(r"GENUINE: ERASED drive Rasura virtual drive", verified.out)
    shown = workshop.run("rasura", "show", outcome["path"])
    assert "NOT verified" in shown.out
    assert "trainee-7" in shown.out
    claims = workshop.run("rasura", "show", "--json", outcome["path"]).json
    assert claims[0]["predicate"]["source"]["lot"] == "LOT-1"


@pytest.mark.parametrize("size", [512, 4096, 4096 + 512, (4 << 20) + 512, 9 << 20])
def test_drives_of_any_whole_number_of_sectors(workshop: Workshop, size: int) -> None:
    drive = workshop.drive(size=size)
    ran = workshop.erase(drive)
    assert ran.code == 0, ran.err
    assert drive.stat().st_size == size
    assert MARK not in drive.read_bytes()


def test_several_drives_at_once(workshop: Workshop) -> None:
    drives = [workshop.drive(f"disk{number}.img") for number in range(8)]
    selection = [word for drive in drives for word in ("--virtual-drive", drive)]
    ran = workshop.run("rasura-agent", "erase", *selection, "--confirm-all", "8", "--json")
    assert ran.code == 0, ran.err
    paths = [one["path"] for one in ran.json["drives"]]
    assert len(set(paths)) == 8
    assert workshop.run("rasura", "verify", *paths, "--trust", workshop.trust).code == 0
    places = sorted(
        json.loads(workshop.run("rasura", "show", "--json", one).out)[0]["predicate"]["station"]["sequence"]
        for one in paths
    )
    assert places == list(range(8))


def test_only_the_confirmed_drive_is_touched(workshop: Workshop) -> None:
    first, second = workshop.drive("a.img"), workshop.drive("b.img")
    selection = ["--virtual-drive", first, "--virtual-drive", second]
    ran = workshop.run("rasura-agent", "erase", *selection, "--confirm", serial_of(workshop, first), "--json")
    assert ran.code == 0
    outcomes = {one["drive"]["path"]: one["outcome"] for one in ran.json["drives"]}
    assert outcomes == {str(first): "ERASED", str(second): "SKIPPED"}
    assert MARK in second.read_bytes()


def untouched(drive: Path, size: int = 1 << 20) -> bool:
    return drive.read_bytes() == (MARK * (size // len(MARK) + 1))[:size]


@pytest.mark.parametrize(
    ("words", "code", "sentence"),
    [
        (["--confirm", "WD-NOT-HERE"], 3, "no drive has the serial 'WD-NOT-HERE': nothing was erased"),
        (["--confirm-all", "2"], 3, "2 drives were confirmed and 1 would be erased: nothing was erased"),
        (["--confirm-all", "-1"], 3, "nothing was erased"),
        (["--confirm-all", "one"], 2, "not a valid integer"),
        ([], 2, "say which drives to erase"),
        (["--confirm-all", "1", "--confirm", "X"], 2, "say which drives to erase"),
        (["--confirm-all", "1", "--policy", "gutmann"], 2, "cannot read the policy gutmann"),
        (["--confirm-all", "1", "--policy", "typo.toml"], 2, "unknown key 'pattren'"),
        (["--confirm-all", "1", "--policy", "purge.toml"], 3, "0 would be erased"),
        (["--confirm-all", "1", "--site", "nowhere"], 2, "cannot read nowhere/site.toml"),
        (["--confirm-all", "1", "--registry", "nonsense"], 2, "not the address of a registry"),
        (["--confirm-all", "1", "--property-number", "17"], 2, "SERIAL=VALUE"),
        (["--confirm-all", "1", "--psid", "17"], 2, "SERIAL=VALUE"),
        (["--confirm-all", "1", "--psid", "S=17"], 2, "a PSID has 32 letters and digits"),
        (["--confirm-all", "1", "--device", "/dev/does-not-exist"], 2, "not a drive of this machine"),
        (["--confirm-all", "1", "--no-such-option"], 2, "No such option"),
    ],
)
def test_bad_calls_get_a_sentence_and_touch_nothing(
    workshop: Workshop, words: list[str], code: int, sentence: str
) -> None:
    drive = workshop.drive()
    (workshop.folder / "typo.toml").write_text('name = "x"\n[erase]\nmethod = "Clear"\npattren = "zero"\n')
    (workshop.folder / "purge.toml").write_text('name = "x"\n[erase]\nmethod = "Purge"\n')
    ran = workshop.run("rasura-agent", "erase", "--virtual-drive", drive, *words)
    assert ran.code == code, ran.err
    assert sentence in ran.err
    assert untouched(drive)
    assert not workshop.pending()
    assert not workshop.sent()


@pytest.mark.parametrize("size", [1, 511, 513, (1 << 20) + 1])
def test_a_file_that_is_no_whole_number_of_sectors(workshop: Workshop, size: int) -> None:
    drive = workshop.drive(size=size)
    ran = workshop.erase(drive)
    assert ran.code == 2
    assert "512" in ran.err
    assert untouched(drive, size)


@pytest.mark.parametrize("kind", ["missing", "folder", "pipe", "empty"])
def test_a_file_that_is_no_drive(workshop: Workshop, kind: str) -> None:
    path = workshop.folder / kind
    if kind == "folder":
        path.mkdir()
    elif kind == "pipe":
        os.mkfifo(path)
    elif kind == "empty":
        path.touch()
    ran = workshop.erase(path)
    assert ran.code == 2
    assert ran.err.startswith("error: ")


def test_a_read_only_drive_is_refused(workshop: Workshop) -> None:
    drive = workshop.drive()
    drive.chmod(0o400)
    if os.geteuid() == 0:
        pytest.skip("root may write to every file")
    ran = workshop.run("rasura-agent", "plan", "--virtual-drive", drive, "--json")
    assert [one["reason"] for one in ran.json["drives"][0]["refusals"]] == ["read-only"]
    assert workshop.erase(drive).code == 3
    assert untouched(drive)


def test_without_a_registry_nothing_is_lost(workshop: Workshop) -> None:
    ran = workshop.erase(workshop.drive(), RASURA_REGISTRY=refused_port())
    assert ran.code == 0
    assert "NOT LOGGED YET" in ran.out
    assert "cannot be reached" in ran.out
    (waiting,) = workshop.pending()
    unlogged = workshop.run("rasura", "verify", waiting, "--trust", workshop.trust)
    assert unlogged.code == 3
    assert "NOT ACCEPTED" in unlogged.out
    assert workshop.run("rasura", "verify", waiting, "--trust", workshop.trust, "--allow-unlogged").code == 0
    assert len(workshop.reports("pending")) == 1
    assert "2 waiting" in workshop.run("rasura-agent", "spool", "list").out
    sent = workshop.run("rasura-agent", "spool", "send")
    assert sent.code == 0
    assert not workshop.pending()
    (logged,) = workshop.sent()
    assert workshop.run("rasura", "verify", logged, "--trust", workshop.trust).code == 0
    assert "nothing waits" in workshop.run("rasura-agent", "spool", "send").out


@pytest.mark.parametrize(
    "answer", [(200, b"<html>hotel portal</html>"), (200, b'{"receipt": "x"}'), (404, b"?")]
)
def test_a_registry_that_answers_garbage(workshop: Workshop, answer: tuple[int, bytes]) -> None:
    with serving(lambda *_request: answer) as url:
        ran = workshop.erase(workshop.drive(), RASURA_REGISTRY=url)
        assert ran.code == 0
        assert "stays in the spool" in ran.out
        assert len(workshop.pending()) == 1
        again = workshop.run("rasura-agent", "spool", "send", RASURA_REGISTRY=url)
    assert again.code == 1
    assert again.err.startswith("error: ")
    assert len(workshop.pending()) == 1


def test_a_spool_that_cannot_be_written(workshop: Workshop) -> None:
    """Files may not grow past one sector, as on a full disk: the certificate is shown instead."""
    ran = workshop.erase(workshop.drive(size=4096), file_limit=4096, RASURA_REGISTRY=refused_port())
    assert ran.code == 1
    assert "ERASED" in ran.out
    assert "NOT WRITTEN TO DISK" in ran.out
    assert f"cannot write {workshop.spool}" in ran.out
    bundle = workshop.folder / "kept.json"
    bundle.write_text(next(line for line in ran.out.splitlines() if line.startswith("{")))
    assert workshop.run("rasura", "verify", bundle, "--trust", workshop.trust, "--allow-unlogged").code == 0
    assert not workshop.pending()


def test_a_spool_that_cannot_be_written_in_json(workshop: Workshop) -> None:
    workshop.spool.write_text("a file where a folder should be")
    ran = workshop.erase(workshop.drive(), "--json")
    assert ran.code == 1
    (outcome,) = ran.json["drives"]
    assert outcome["path"] is None
    assert outcome["logged"]
    assert outcome["bundle"]["receipt"]


def test_one_flipped_bit(workshop: Workshop) -> None:
    workshop.erase(workshop.drive())
    (path,) = workshop.sent()
    raw = bytearray(path.read_bytes())
    raw[len(raw) // 2] ^= 1
    flipped = workshop.folder / "flipped.json"
    flipped.write_bytes(raw)
    ran = workshop.run("rasura", "verify", flipped, "--trust", workshop.trust)
    assert ran.code == 1
    assert "NOT GENUINE" in ran.out
    both = workshop.run("rasura", "verify", path, flipped, "--trust", workshop.trust, "--json")
    assert both.code == 1
    assert [one["accepted"] for one in both.json] == [True, False]


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["verify", "missing.json", "--trust", "trust.toml"], 2),
        (["verify", "garbage", "--trust", "missing.toml"], 2),
        (["verify", "garbage", "--trust", "garbage"], 2),
        (["verify", "garbage", "--trust", "trust.toml"], 1),
        (["verify", "garbage"], 2),
        (["show", "garbage"], 2),
        (["bundle", "--chain", "garbage"], 2),
        (["statement", "accept", "garbage", "--as", "nobody"], 2),
        (["monitor", "http://127.0.0.1:1", "garbage", "--trust", "trust.toml", "--state", "s", "--once"], 2),
        (["show", "missing.json"], 2),
        (["nonsense"], 2),
    ],
)
def test_bad_calls_of_the_auditors_command(workshop: Workshop, words: list[str], code: int) -> None:
    (workshop.folder / "trust.toml").write_bytes(workshop.trust.read_bytes())
    (workshop.folder / "garbage").write_bytes(bytes(range(256)))
    ran = workshop.run("rasura", *words)
    assert ran.code == code, ran.out + ran.err


def test_run_leads_through_the_job(workshop: Workshop) -> None:
    """A person at a terminal: sees drives and plan, types the number, gets the result."""
    drive = workshop.drive()
    shown, code = at_a_terminal(workshop, drive, "1\n")
    assert code == 0, shown
    assert "1 drive would be erased" in shown
    assert "ERASED" in shown
    assert MARK not in drive.read_bytes()
    assert len(workshop.sent()) == 1


@pytest.mark.parametrize("answer", ["0\n", "2\n", "\x03"])
def test_run_with_another_answer_touches_nothing(workshop: Workshop, answer: str) -> None:
    drive = workshop.drive()
    shown, code = at_a_terminal(workshop, drive, answer)
    assert code in {1, 3}, shown
    assert untouched(drive)


def test_run_needs_somebody_or_a_number(workshop: Workshop) -> None:
    drive = workshop.drive()
    assert workshop.run("rasura-agent", "run", "--virtual-drive", drive).code in {2, 3}
    assert untouched(drive)
    assert workshop.run("rasura-agent", "run", "--virtual-drive", drive, "--confirm-all", "1").code == 0
    assert MARK not in drive.read_bytes()


def at_a_terminal(workshop: Workshop, drive: Path, answer: str) -> tuple[str, int]:
    environment = {
        **os.environ,
        "RASURA_SITE": str(workshop.site),
        "RASURA_SPOOL": str(workshop.spool),
        "RASURA_REGISTRY": workshop.registry,
    }
    pid, terminal = pty.fork()
    if pid == 0:
        command = str(BIN / "rasura-agent")
        os.execve(command, [command, "run", "--virtual-drive", str(drive)], environment)
    shown = b""
    asked = False
    while True:
        if not select.select([terminal], [], [], 5)[0]:
            # A key pressed just before the program waits for it can be lost: a person presses it again.
            if asked:
                os.write(terminal, answer.encode())
            continue
        try:
            piece = os.read(terminal, 4096)
        except OSError:  # the other end is closed
            break
        if not piece:
            break
        shown += piece
        if not asked and b"Number of drives" in shown:
            asked = True
            os.write(terminal, answer.encode())
    os.close(terminal)
    _, status = os.waitpid(pid, 0)
    text = shown.decode(errors="replace")
    assert "Traceback" not in text, text
    return text, os.waitstatus_to_exitcode(status)


@pytest.mark.parametrize("command", ["rasura", "rasura-agent", "rasura-registry"])
def test_help_teaches(workshop: Workshop, command: str) -> None:
    ran = workshop.run(command, "--help")
    assert ran.code == 0
    assert "Exit codes: 0 done, 1 the job failed, 2 usage, 3 refused, 4 unknown outcome." in ran.out
    assert f"{command} " in ran.out
