"""health, selftest and report, and the machine report at the end of a job, as a user meets them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from functional.conftest import Workshop
from rasura_agent.capturing import SeenMachine, capture_machine
from rasura_agent.inventory.capture import save_capture
from simulators.world import ManualClock
from unit.test_capture import no_line, with_smart


def test_health_of_a_virtual_drive_is_not_known(workshop: Workshop) -> None:
    drive = workshop.drive()
    ran = workshop.run("rasura-agent", "health", "--virtual-drive", drive)
    assert ran.code == 0
    assert "NOT KNOWN" in ran.out
    assert "this is no physical drive" in ran.out
    facts = workshop.run("rasura-agent", "health", "--virtual-drive", drive, "--json").json
    (one,) = facts["drives"]
    assert one["health"]["grade"] == "unknown"
    assert facts["proposal"] is None
    french = workshop.run("rasura-agent", "health", "--virtual-drive", drive, RASURA_LANG="fr")
    assert "pas un disque physique" in french.out


def test_health_of_a_captured_machine_with_drives_behind_a_controller(workshop: Workshop) -> None:
    seen = SeenMachine(with_smart().sources(), no_line)
    save_capture(capture_machine(ManualClock(), anonymise=False, inner=seen), workshop.folder / "server")
    ran = workshop.run("rasura-agent", "health", "--machine", "server", "--evidence", "kept")
    assert ran.code == 0, ran.err
    rows = {line.split("  ")[0]: line for line in ran.out.splitlines() if "ZC1" in line}
    assert set(rows) == {"/dev/sda", "/dev/sdb", "/dev/sdc", "/dev/bus/0 megaraid,4"}
    assert "GOOD" in rows["/dev/bus/0 megaraid,4"]
    assert "ZC1HIDDEN" in rows["/dev/bus/0 megaraid,4"]
    assert "/dev/mmcblk0  110 % of its life is used up" in ran.out
    facts = workshop.run("rasura-agent", "health", "--machine", "server", "--json").json
    (hidden,) = facts["unhandled"]
    assert (hidden["type"], hidden["serial"], hidden["health"]["grade"]) == (
        "megaraid,4",
        "ZC1HIDDEN",
        "good",
    )
    kept = {path.stem for path in (workshop.folder / "kept").glob("*.json")}
    assert {hidden["health"]["source"]["sha256"]} <= kept
    assert len(kept) == 5
    # One of them alone has none behind it.
    facts = workshop.run(
        "rasura-agent", "health", "--machine", "server", "--device", "/dev/sda", "--json"
    ).json
    assert facts["unhandled"] == []


def test_a_self_test_of_a_drive_that_has_none(workshop: Workshop) -> None:
    ran = workshop.run("rasura-agent", "selftest", "short", "--virtual-drive", workshop.drive())
    assert ran.code == 3
    assert "NOT RUN" in ran.out
    assert not (workshop.spool / "tests").exists()


@pytest.mark.parametrize(
    ("words", "code", "sentence"),
    [
        (["selftest"], 2, "Missing argument"),
        (["selftest", "medium"], 2, "Invalid value"),
        (["selftest", "stop", "--device", "/dev/does-not-exist"], 2, "not a drive of this machine"),
        (["health", "--device", "/dev/does-not-exist"], 2, "not a drive of this machine"),
        (["health", "--machine", "nowhere"], 2, "nowhere"),
        (["health", "--machine", "nowhere", "--virtual-drive", "disk.img"], 2, "do not go together"),
        (["report", "--virtual-drive", "disk.img", "--decide", "parts"], 2, "ROUTE=WHY"),
        (["report", "--virtual-drive", "disk.img", "--decide", "parts=hinge"], 2, "who they are"),
        (["report", "--virtual-drive", "disk.img", "--decide", "sell=now", "--operator", "x"], 2, "no route"),
        (["report", "--virtual-drive", "disk.img", "--site", "nowhere"], 2, "nowhere/site.toml"),
    ],
)
def test_bad_calls(workshop: Workshop, words: list[str], code: int, sentence: str) -> None:
    workshop.drive()
    ran = workshop.run("rasura-agent", *words)
    assert ran.code == code, ran.err
    assert sentence in ran.err
    assert not workshop.reports()


def test_a_job_ends_with_a_report_that_is_verified_with_its_certificates(workshop: Workshop) -> None:
    drives = [workshop.drive("a.img"), workshop.drive("b.img")]
    named = [word for drive in drives for word in ("--virtual-drive", drive)]
    ran = workshop.run("rasura-agent", "erase", *named, "--confirm-all", "2", "--json")
    assert ran.code == 0, ran.err
    (report,) = workshop.reports()
    assert ran.json["machineReport"]["path"] == str(report)
    assert ran.json["machineReport"]["logged"]
    first, second = workshop.sent()

    def verify(*paths: Path, more: tuple[str, ...] = ()) -> tuple[int, str]:
        done = workshop.run("rasura", "verify", *paths, "--trust", workshop.trust, *more)
        return done.code, done.out

    code, said = verify(report, first, second)
    assert code == 0, said
    assert "12 set        ok   all 2 certificates that the report names are there and fit" in said
    assert "2 ERASED" in said
    code, said = verify(report, first)
    assert code == 3
    assert "12 set        FAIL the certificate" in said
    assert "NOT ACCEPTED: one certificate is missing" in said
    assert verify(report, more=("--report-alone",))[0] == 0
    value = json.loads(second.read_bytes())
    value["envelope"]["payload"] = json.loads(first.read_bytes())["envelope"]["payload"]
    forged = workshop.folder / "forged.json"
    forged.write_text(json.dumps(value))
    assert verify(report, second, forged)[0] == 1
    shown = workshop.run("rasura", "show", report).out
    assert "Report on a machine" in shown
    assert shown.count("ERASED: Clear by overwriting") == 2


def test_a_report_without_a_job(workshop: Workshop) -> None:
    drive = workshop.drive()
    ran = workshop.run(
        "rasura-agent", "report", "--virtual-drive", drive, "--operator", "x", "--decide", "parts=the hinge"
    )
    assert ran.code == 0, ran.err
    (report,) = workshop.reports()
    done = workshop.run("rasura", "verify", report, "--trust", workshop.trust)
    assert done.code == 3
    assert "NOT EVERY DRIVE WAS ERASED" in done.out
    assert b"SECRET" in drive.read_bytes()


def test_a_report_names_the_certificates_of_earlier_processes_of_the_boot(workshop: Workshop) -> None:
    drives = [workshop.drive("a.img"), workshop.drive("b.img")]
    for drive in drives:
        assert workshop.erase(drive).code == 0
    named = [word for drive in drives for word in ("--virtual-drive", drive)]
    ran = workshop.run("rasura-agent", "report", *named, "--json")
    assert ran.code == 0, ran.err
    report = ran.json["path"]

    def verify(*paths: str | Path) -> tuple[int, str]:
        done = workshop.run("rasura", "verify", *paths, "--trust", workshop.trust)
        return done.code, done.out

    code, said = verify(report, *workshop.sent())
    assert code == 0, said
    assert "all 2 certificates that the report names are there and fit" in said
    assert verify(report, workshop.sent()[0])[0] == 3
    # Whoever writes to a drive since has it reported as it is found.
    drives[0].write_bytes(drives[0].read_bytes())
    ran = workshop.run("rasura-agent", "report", *named, "--json")
    code, said = verify(ran.json["path"], *workshop.sent())
    assert code == 3, said
    assert "1 SKIPPED, 1 ERASED" in said


def test_a_job_that_did_nothing_reports_nothing(workshop: Workshop) -> None:
    ran = workshop.run(
        "rasura-agent", "erase", "--virtual-drive", workshop.drive(), "--confirm-all", "2", "--json"
    )
    assert ran.code == 3
    assert not workshop.reports()


def test_a_report_that_cannot_be_written_is_shown(workshop: Workshop) -> None:
    workshop.spool.write_text("a file where a folder should be")
    ran = workshop.run("rasura-agent", "report", "--virtual-drive", workshop.drive(), "--json")
    assert ran.code == 1
    assert ran.json["bundle"]["receipt"]
