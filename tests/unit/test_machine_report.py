"""Machine reports: what must be refused outnumbers what must pass."""

from __future__ import annotations

import json
import uuid
from itertools import permutations
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from rasura.bundle import Bundle
from rasura.certificate import Method, Outcome, Technique
from rasura.claims import ClaimsError
from rasura.consistency import contradictions
from rasura.entry import EntryKind
from rasura.envelope import sign
from rasura.machine_report import MachineReport, ReportedDrive
from rasura.machine_set import Held, _name, check_set
from rasura.show import claims_text
from rasura.verifier import State, Verdict, check_submission, verify
from rasura_agent.confirm import DriveOutcome
from rasura_agent.erase.plan import plan_drive
from rasura_agent.inventory.behind_raid import HiddenDrive
from rasura_agent.machine_claims import MachineFacts, machine_claims, reported_drive
from rasura_agent.report import Circumstances
from rasura_agent.station import SigningStation
from simulators.block import BlockFault, simulated_drive
from simulators.signing import NO_MACHINE, NOW, TrustWorld, overwrite_policy

AROUND = Circumstances(NO_MACHINE, overwrite_policy(), "LOT-1", None, "simulated", None, {})
HIDDEN = HiddenDrive("/dev/bus/0", "megaraid,4")


@pytest.fixture
def world() -> TrustWorld:
    return TrustWorld()


def of_certificate(bundle: Bundle) -> ReportedDrive:
    plan = plan_drive(simulated_drive(32 * 1024), overwrite_policy(), ())
    result = bundle.certificate.result
    drive = reported_drive(
        DriveOutcome(plan, result.outcome, result.reason, certificate=bundle), MachineFacts()
    )
    return msgspec.structs.replace(drive, method=result.method, technique=result.technique)


def left_alone() -> ReportedDrive:
    plan = plan_drive(simulated_drive(64 * 1024), overwrite_policy(), ())
    drive = reported_drive(DriveOutcome(plan, Outcome.SKIPPED, "not confirmed"), MachineFacts())
    return msgspec.structs.replace(drive, identity_sha256="5" * 64)


def report(world: TrustWorld, *drives: ReportedDrive, facts: MachineFacts | None = None) -> Bundle:
    report_id = str(uuid.uuid4())
    return world.station.sign(
        lambda place: machine_claims(report_id, drives, facts or MachineFacts(), AROUND, place, (NOW, NOW))
    )


def machine(bundle: Bundle) -> MachineReport:
    assert isinstance(bundle.claims, MachineReport)
    return bundle.claims


def held(*bundles: Bundle, genuine: bool = True) -> tuple[Held, ...]:
    return tuple(Held(one.certificate, one.payload_sha256, genuine) for one in bundles)


def test_a_report_is_signed_logged_and_genuine(world: TrustWorld) -> None:
    certificate = world.bundle()
    bundle = world.logged(report(world, of_certificate(certificate), left_alone()))
    assert bundle.entry().kind is EntryKind.MACHINE_REPORT
    assert check_submission(bundle, (world.authority,), NOW) == ()
    found = verify(bundle.encode(), world.trust)
    assert found.verdict is Verdict.GENUINE
    assert found.machine_report == machine(bundle)
    assert found.certificate is None
    assert not found.attests_erasure
    assert [check.number for check in found.checks] == list(range(1, 12))
    assert all(check.state is State.PASSED for check in found.checks[:9])


def test_it_follows_the_certificates_in_the_stations_chain(world: TrustWorld) -> None:
    certificate = world.bundle()
    bundle = report(world, of_certificate(certificate))
    station = machine(bundle).station
    assert station.sequence == certificate.certificate.station.sequence + 1
    assert station.previous_sha256 == certificate.payload_sha256


def test_every_drive_is_in_it(world: TrustWorld) -> None:
    one, other = world.bundle(), world.bundle((0, BlockFault.WRITE_LOST))
    facts = MachineFacts(hidden=((HIDDEN, None),))
    claims = machine(report(world, of_certificate(one), of_certificate(other), left_alone(), facts=facts))
    outcomes = [drive.outcome for drive in claims.drives]
    assert outcomes == [Outcome.ERASED, Outcome.FAILED, Outcome.SKIPPED, Outcome.UNHANDLED]
    assert claims.outcome is Outcome.FAILED
    shown = claims_text(claims)
    for word in ("ERASED", "FAILED", "SKIPPED", "UNHANDLED", one.certificate_id, "megaraid,4"):
        assert word in shown


def test_the_stations_own_medium_does_not_count(world: TrustWorld) -> None:
    stick = msgspec.structs.replace(left_alone(), is_station_medium=True, outcome=Outcome.REFUSED)
    assert machine(report(world, of_certificate(world.bundle()), stick)).outcome is Outcome.ERASED
    assert machine(report(world, stick)).outcome is Outcome.SKIPPED


@pytest.mark.parametrize(
    "edit",
    [
        lambda r: r["drives"][0].update(method=None),
        lambda r: r["drives"][0].update(technique=None),
        lambda r: r["drives"][0].update(certificate=None),
        lambda r: r["drives"][0].update(identitySha256=None),
        lambda r: r["drives"][0].update(outcome="FAILED"),
        lambda r: r["drives"][0]["certificate"].update(id="x"),
        lambda r: r["drives"][1].update(method="Clear"),
        lambda r: r["drives"][1].update(outcome="UNHANDLED", certificate=r["drives"][0]["certificate"]),
        lambda r: r["drives"].append(r["drives"][0]),
        lambda r: r.update(id="ABCDEF00-0000-4000-8000-000000000000"),
        lambda r: r.update(startedAt="01/02/2026"),
    ],
)
def test_a_report_that_contradicts_itself(world: TrustWorld, edit: Any) -> None:
    bundle = report(world, of_certificate(world.bundle()), left_alone())
    assert contradictions(machine(bundle)) == ()
    edited = resigned(world, bundle, lambda statement: edit(statement["predicate"]))
    assert contradictions(machine(edited))
    assert check_submission(edited, (world.authority,), NOW)
    assert verify(edited.encode(), world.trust).verdict is Verdict.NOT_GENUINE


def test_a_report_with_a_negative_count_is_not_read(world: TrustWorld) -> None:
    bundle = report(world, of_certificate(world.bundle()), left_alone())
    edited = resigned(world, bundle, lambda statement: statement["predicate"]["station"].update(sequence=-1))
    (sentence,) = check_submission(edited, (world.authority,), NOW)
    assert "malformed" in sentence
    assert verify(edited.encode(), world.trust).checks[0].sentence == sentence


@pytest.mark.parametrize(
    "edit",
    [
        lambda s: s.update(predicateType="urn:rasura:machine-report:v2"),
        lambda s: s["predicate"].update(formatVersion="2.0"),
        lambda s: s["predicate"].pop("drives"),
        lambda s: s["predicate"].update(drives="none"),
        lambda s: s["predicate"]["drives"][0].update(outcome="DONE"),
        lambda s: s["predicate"]["source"].update(hostSerial="another"),
        lambda s: s["subject"][0]["digest"].update(sha256="0" * 64),
        lambda s: s.update(subject=[]),
    ],
)
def test_what_is_no_report(world: TrustWorld, edit: Any) -> None:
    edited = resigned(world, report(world, left_alone()), edit)
    with pytest.raises(ClaimsError):
        edited.claims  # noqa: B018
    assert verify(edited.encode(), world.trust).verdict is Verdict.NOT_GENUINE
    assert check_submission(edited, (world.authority,), NOW)


def test_unknown_members_are_passed_over(world: TrustWorld) -> None:
    edited = resigned(world, report(world, left_alone()), lambda s: s["predicate"].update(later=1))
    assert machine(edited).drives


def test_a_report_is_not_a_certificate(world: TrustWorld) -> None:
    bundle = report(world, left_alone())
    with pytest.raises(ClaimsError, match="machine report"):
        bundle.certificate  # noqa: B018
    with pytest.raises(ClaimsError):
        MachineReport.from_payload(world.bundle().envelope.payload)


def resigned(world: TrustWorld, bundle: Bundle, edit: Any) -> Bundle:
    """The bundle with its payload edited and signed again by the station itself."""
    statement = json.loads(bundle.envelope.payload)
    edit(statement)
    return replace(bundle, envelope=sign(json.dumps(statement).encode(), world.station._key))


# The set


def checked(bundle: Bundle, *certificates: Held) -> tuple[tuple[str, ...], tuple[str, ...]]:
    found = check_set(machine(bundle), bundle.payload_sha256, certificates)
    return found.missing, found.wrong


def test_a_whole_set(world: TrustWorld) -> None:
    one, other = world.bundle(), world.bundle((0, BlockFault.WRITE_LOST))
    bundle = report(world, of_certificate(one), of_certificate(other), left_alone())
    found = check_set(machine(bundle), bundle.payload_sha256, held(one, other))
    assert (found.missing, found.wrong, found.found) == ((), (), 2)


def test_a_certificate_that_is_missing(world: TrustWorld) -> None:
    one, other = world.bundle(), world.bundle()
    bundle = report(world, of_certificate(one), of_certificate(other))
    missing, wrong = checked(bundle, *held(one))
    assert wrong == ()
    assert len(missing) == 1
    assert other.certificate_id in missing[0]
    assert len(checked(bundle)[0]) == 2


def test_a_certificate_that_is_not_genuine(world: TrustWorld) -> None:
    one = world.bundle()
    missing, wrong = checked(report(world, of_certificate(one)), *held(one, genuine=False))
    assert missing == ()
    assert "is not genuine" in wrong[0]


@pytest.mark.parametrize(
    ("edit", "word"),
    [
        (lambda c: c["tool"].update(version="9"), "hash is another"),
        (lambda c: c["source"].update(hostSerial="OTHER"), "of another machine"),
        (lambda c: c["result"].update(outcome="FAILED", method=None), "says FAILED, the report ERASED"),
        (lambda c: c["station"].update(name="station-000000000000"), "signed by another station"),
        (lambda c: c["station"].update(site="Elsewhere"), "signed by another station"),
        (lambda c: c["station"].update(sequence=99), "signed after the report"),
    ],
)
def test_a_certificate_that_was_altered_and_signed_again(world: TrustWorld, edit: Any, word: str) -> None:
    one = world.bundle()
    bundle = report(world, of_certificate(one))
    edited = resigned(world, one, lambda statement: edit(statement["predicate"]))
    missing, wrong = checked(bundle, *held(edited))
    assert missing == ()
    assert any(word in sentence for sentence in wrong), wrong


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"serial": "VICTIM-DISK"}, "says serial {drive.serial}, the report VICTIM-DISK"),
        ({"serial": None}, "says serial {drive.serial}, the report none"),
        ({"manufacturer": "Acme"}, "says manufacturer {drive.manufacturer}, the report Acme"),
        ({"model": "Victim 4TB"}, "says model {drive.model}, the report Victim 4TB"),
        ({"media_type": "ssd"}, "says media type {drive.media_type}, the report ssd"),
        ({"transport": "nvme"}, "says transport sata, the report nvme"),
        (
            {"capacity_bytes": 4 * 10**12},
            "says capacity in bytes {drive.capacity_bytes}, the report 4000000000000",
        ),
        ({"block_device": "/dev/sdz"}, "says block device {drive.block_device}, the report /dev/sdz"),
        ({"method": Method.PURGE}, "says method Clear, the report Purge"),
        (
            {"technique": Technique.NVME_SANITIZE_BLOCK},
            "says technique overwrite, the report nvme-sanitize-block-erase",
        ),
        ({"reason": "all is well"}, "says reason none, the report all is well"),
    ],
)
def test_a_drive_that_the_report_lists_otherwise(
    world: TrustWorld, changes: dict[str, Any], sentence: str
) -> None:
    one = world.bundle()
    bundle = report(world, replace(of_certificate(one), **changes))
    told = sentence.format(drive=one.certificate.drive)
    assert checked(bundle, *held(one)) == (
        (),
        (f"the certificate {one.certificate_id} of {_name(machine(bundle).drives[0])} {told}",),
    )


def test_a_report_names_the_capacity_that_the_certificate_has(world: TrustWorld) -> None:
    """Lifting a hidden area made the drive larger than it was when it was planned."""
    one = resigned(world, world.bundle(), lambda s: s["predicate"]["drive"].update(capacityBytes=1 << 20))
    assert of_certificate(one).capacity_bytes == 1 << 20
    assert not any(
        "capacity" in sentence for sentence in checked(report(world, of_certificate(one)), *held(one))[1]
    )


@pytest.mark.parametrize("order", list(permutations(range(3))))
def test_certificates_of_one_id_are_told_apart_by_their_hashes(
    world: TrustWorld, order: tuple[int, ...]
) -> None:
    one, stranger = world.bundle(), TrustWorld().bundle()
    namesake = resigned(world, stranger, lambda s: s["predicate"].update(id=one.certificate_id))
    bundle = report(world, of_certificate(one))
    # A copy that is not genuine takes nothing from the one that is.
    all_three = (*held(one, namesake), *held(one, genuine=False))
    assert checked(bundle, *(all_three[at] for at in order)) == ((), ())
    without = tuple(all_three[at] for at in order if at == 1)
    assert any("its hash is another" in sentence for sentence in checked(bundle, *without)[1])


def test_a_certificate_under_another_id(world: TrustWorld) -> None:
    one = world.bundle()
    drive = of_certificate(one)
    assert drive.certificate is not None
    name = replace(drive.certificate, id=str(uuid.uuid4()))
    wrong = checked(report(world, replace(drive, certificate=name)), *held(one))[1]
    assert wrong[0].endswith(f"is not the one that the report names: its id is {name.id} there")


@pytest.mark.parametrize("back", [False, True])
def test_a_number_that_was_signed_twice_breaks_no_chain(world: TrustWorld, back: bool) -> None:
    one = world.bundle()
    other = resigned(world, one, lambda s: s["predicate"].update(id=str(uuid.uuid4())))
    both = held(one, other)
    assert checked(report(world, of_certificate(one)), *(both[::-1] if back else both)) == ((), ())


def test_a_certificate_for_another_drive(world: TrustWorld) -> None:
    one = world.bundle()
    drive = msgspec.structs.replace(of_certificate(one), identity_sha256="7" * 64)
    wrong = checked(report(world, drive), *held(one))[1]
    assert any("is for another drive" in sentence for sentence in wrong)
    assert any("does not list" in sentence for sentence in wrong)


def test_a_drive_that_the_report_keeps_quiet_about(world: TrustWorld) -> None:
    one = world.bundle()
    wrong = checked(report(world, left_alone()), *held(one))[1]
    assert len(wrong) == 1
    assert "for a drive that the report does not list" in wrong[0]


def test_certificates_of_other_stations_are_their_own_matter(world: TrustWorld) -> None:
    stranger = TrustWorld().bundle()
    one = world.bundle()
    assert checked(report(world, of_certificate(one)), *held(one, stranger)) == ((), ())


def test_a_certificate_of_an_earlier_process_of_the_boot(world: TrustWorld) -> None:
    one = world.bundle()
    drive = of_certificate(one)
    assert drive.certificate is not None
    first, world.station = world.station, SigningStation.certified_by(world.kit, "trainee-7", world.now)
    named = report(world, drive)
    assert machine(named).drives[0].certificate == drive.certificate
    assert drive.certificate.station == first.name
    assert checked(named, *held(one)) == ((), ())
    # Not named as such, or named as another's, it is refused.
    for station in (None, "station-000000000000"):
        name = msgspec.structs.replace(drive.certificate, station=station)
        other = report(world, msgspec.structs.replace(drive, certificate=name))
        assert any("signed by another station" in sentence for sentence in checked(other, *held(one))[1])
    edited = resigned(world, one, lambda s: s["predicate"]["station"].update(site="Elsewhere"))
    assert any("signed by another station" in sentence for sentence in checked(named, *held(edited))[1])


def test_a_chain_with_a_link_cut_out(world: TrustWorld) -> None:
    one = world.bundle()
    replaced = resigned(world, one, lambda s: s["predicate"].update(id=str(uuid.uuid4())))
    bundle = report(world, of_certificate(replaced))
    # The report names the replacement and its hash; but the station's chain names what was there first.
    wrong = checked(bundle, *held(replaced))[1]
    assert any("does not follow" in sentence for sentence in wrong)
