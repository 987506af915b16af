"""Health in a job: asked before and after, on the certificate, and in nobody's way unless asked to be."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from rasura.bundle import Bundle
from rasura.certificate import Outcome
from rasura.consistency import contradictions
from rasura.health import Grade
from rasura.machine_report import Answer, MachineReport, Route
from rasura.verifier import Verdict, verify
from rasura_agent.confirm import Confirmation, DriveOutcome, left_alone
from rasura_agent.erase.plan import plan_drive
from rasura_agent.erase.run import Ports
from rasura_agent.health.checkup import Checkup
from rasura_agent.inventory.behind_raid import HiddenDrive
from rasura_agent.inventory.machine_model import Battery, Machine, Memory
from rasura_agent.inventory.model import Drive, Transport
from rasura_agent.inventory.ports import CommandError, Ran
from rasura_agent.job import Job
from rasura_agent.machine_claims import drives_by_identity
from rasura_agent.report import Circumstances
from rasura_agent.reporting import SeenAround
from rasura_agent.spool import Spool
from simulators.block import SimulatedBlock, simulated_drive
from simulators.hardware import NoThermometer
from simulators.machine import Machine as System
from simulators.signing import NO_MACHINE, NOW, TrustWorld, overwrite_policy
from simulators.world import ManualClock


@dataclass
class Smartctl:
    """A smartctl that reports so many pending sectors each time it is asked for its document."""

    pending: list[int] = field(default_factory=lambda: [0])
    running: bool = False
    away: bool = False

    def run(self, argv: Sequence[str], timeout_s: float) -> Ran:
        if self.away:
            raise CommandError("smartctl is not installed")
        if "--json=c" not in argv:
            return Ran(0, b"")
        sectors = self.pending.pop(0) if len(self.pending) > 1 else self.pending[0]
        row = {"id": 197, "name": "Current_Pending_Sector", "value": 100, "worst": 100, "thresh": 0}
        document: dict[str, Any] = {
            "device": {"type": "sat", "protocol": "ATA"},
            "serial_number": "SIM0001",
            "smart_status": {"passed": True},
            "ata_smart_attributes": {"table": [row | {"when_failed": "", "raw": {"string": str(sectors)}}]},
        }
        if self.running:
            document["ata_smart_data"] = {"self_test": {"status": {"value": 0xF9, "remaining_percent": 90}}}
        return Ran(0, json.dumps(document).encode())


class Bench:
    def __init__(self, folder: Path, smartctl: Smartctl, **policy: Any) -> None:
        self.world = TrustWorld()
        self.spool = Spool(folder / "spool")
        drive = replace(simulated_drive(32 * 1024), transport=Transport.SATA, path="/dev/sda")
        self.block = SimulatedBlock(drive)
        self.plan = plan_drive(drive, overwrite_policy(), ())
        around = Circumstances(
            NO_MACHINE, replace(overwrite_policy(), **policy), None, None, "simulated", None, {}
        )
        clock = ManualClock(NOW)
        opened = Ports(self.block)
        checkup, station = Checkup(smartctl, System()), self.world.station
        self.job = Job(
            lambda _plan: opened, clock, station, around, self.spool, None, checkup, NoThermometer()
        )

    def erase(self) -> DriveOutcome:
        (outcome,) = self.job.run(Confirmation((self.plan,), ()), self)
        return outcome

    def told(self, event: object) -> None:
        """Nothing."""

    def ended(self, outcome: object) -> None:
        """Nothing."""


def test_before_after_and_the_change(tmp_path: Path) -> None:
    """Pending sectors clear as they are written."""
    bench = Bench(tmp_path, Smartctl([3, 0]))
    outcome = bench.erase()
    assert outcome.outcome is Outcome.ERASED
    assert outcome.certificate is not None
    claims = outcome.certificate.certificate
    assert claims.health_before is not None
    assert claims.health_after is not None
    assert (claims.health_before.grade, claims.health_after.grade) == (Grade.REJECT, Grade.GOOD)
    (change,) = claims.health_changes
    assert (change.name, change.before, change.after) == ("pending-sectors", 3, 0)
    assert contradictions(claims) == ()
    for health in (claims.health_before, claims.health_after):
        assert health.source is not None
        kept = bench.spool.folder / "evidence" / f"{health.source.sha256}.json"
        assert json.loads(kept.read_bytes())["serial_number"] == "SIM0001"
    assert outcome.health == claims.health_after


def test_a_rejected_drive_is_erased_all_the_same(tmp_path: Path) -> None:
    assert Bench(tmp_path, Smartctl([9])).erase().outcome is Outcome.ERASED


def test_a_rejected_drive_is_left_alone_if_the_policy_says_so(tmp_path: Path) -> None:
    bench = Bench(tmp_path, Smartctl([9]), skip_rejected=True)
    outcome = bench.erase()
    assert outcome.outcome is Outcome.SKIPPED
    assert "graded reject (9 sectors wait to be replaced (attribute 197))" in (outcome.reason or "")
    assert outcome.certificate is None
    assert bench.block.medium.startswith(b"OLD DATA")
    assert bench.block.transfers == 0


def test_errors_of_the_erasure_make_it_reject(tmp_path: Path) -> None:
    bench = Bench(tmp_path, Smartctl([0]))
    bench.block.bad_writes = (range(512),)
    outcome = bench.erase()
    assert outcome.outcome is Outcome.FAILED
    assert outcome.certificate is not None
    after = outcome.certificate.certificate.health_after
    assert after is not None
    assert after.grade is Grade.REJECT


def test_without_smartctl_health_is_not_known_and_the_drive_is_erased(tmp_path: Path) -> None:
    outcome = Bench(tmp_path, Smartctl(away=True)).erase()
    assert outcome.outcome is Outcome.ERASED
    assert outcome.certificate is not None
    before = outcome.certificate.certificate.health_before
    assert before is not None
    assert (before.grade, before.reasons, before.source) == (
        Grade.UNKNOWN,
        ("smartctl is not installed",),
        None,
    )


def test_no_erasure_under_a_self_test_that_does_not_stop(tmp_path: Path) -> None:
    bench = Bench(tmp_path, Smartctl(running=True))
    outcome = bench.erase()
    assert outcome.outcome is Outcome.REFUSED
    assert "a self-test runs" in (outcome.reason or "")
    assert outcome.certificate is None


@pytest.mark.parametrize("change", ["health_changes__0__after", "health_changes__0__before"])
def test_a_change_that_did_not_happen(tmp_path: Path, change: str) -> None:
    bench = Bench(tmp_path, Smartctl([3, 0]))
    outcome = bench.erase()
    assert outcome.certificate is not None
    from simulators.signing import changed

    camel = change.replace("health_changes", "healthChanges")
    assert contradictions(changed(outcome.certificate.certificate, {camel: 7}))


# The report


def report(
    bench: Bench, outcomes: tuple[DriveOutcome, ...], seen: SeenAround
) -> tuple[Bundle, MachineReport]:
    handed = bench.job.report(outcomes, seen)
    claims = handed.bundle.claims
    assert isinstance(claims, MachineReport)
    assert handed.path is not None
    assert verify(handed.path.read_bytes(), bench.world.trust).verdict is Verdict.NOT_LOGGED
    return handed.bundle, claims


def other(path: str = "/dev/sdb") -> Drive:
    return replace(simulated_drive(64 * 1024), path=path, transport=Transport.SATA, serial="SIM0001")


def test_every_drive_with_its_health_and_what_is_proposed(tmp_path: Path) -> None:
    bench = Bench(tmp_path, Smartctl([0]))
    erased = bench.erase()
    left = left_alone((plan_drive(other(), overwrite_policy(), ()),), "not confirmed")
    machine = Machine(memory=Memory(usable_bytes=8 << 30), batteries=(Battery("BAT0", wear_percent=50.0),))
    seen = SeenAround(machine, {"a": 1}, (HiddenDrive("/dev/bus/0", "megaraid,1"),), ("a note",))
    bundle, claims = report(bench, (erased, *left), seen)
    assert [one.outcome for one in claims.drives] == [Outcome.ERASED, Outcome.SKIPPED, Outcome.UNHANDLED]
    assert [one.health.grade if one.health else None for one in claims.drives] == [
        Grade.GOOD,
        Grade.GOOD,
        Grade.GOOD,
    ]
    # smartctl reaches the hidden one through its controller, to name it at least.
    assert (claims.drives[2].serial, claims.drives[2].certificate) == ("SIM0001", None)
    assert claims.proposal is not None
    assert claims.proposal.route is Route.REUSE
    # The hidden one might have the room.
    assert claims.proposal.windows_11 is Answer.UNKNOWN
    assert "the battery BAT0 must be replaced" in claims.proposal.reasons
    assert (claims.inventory, claims.notes) == ({"a": 1}, ("a note",))
    assert bundle.certificate_id == claims.id


def test_what_an_earlier_job_of_the_boot_did_stays_said(tmp_path: Path) -> None:
    bench = Bench(tmp_path, Smartctl([0]))
    erased = bench.erase()
    first = report(bench, (erased,), SeenAround())[1]
    earlier = drives_by_identity(first)
    again = left_alone((bench.plan,), "not confirmed")
    (drive,) = report(bench, again, SeenAround(earlier=earlier))[1].drives
    assert (drive.outcome, drive.certificate) == (Outcome.ERASED, first.drives[0].certificate)
