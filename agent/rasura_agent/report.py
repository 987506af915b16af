"""Results -> claims: what the certificate of one drive says. Pure."""

from __future__ import annotations

import base64
from datetime import UTC, datetime

import msgspec

from rasura import __version__
from rasura.certificate import (
    FORMAT_VERSION,
    Checkpointed,
    Clock,
    CommandClaims,
    Coverage,
    DriveClaims,
    ErasureCertificate,
    Evidence,
    HiddenArea,
    HiddenAreas,
    IdentityPageClaims,
    Interruption,
    Method,
    Outcome,
    PassClaims,
    PassedOver,
    Person,
    Plan,
    Presence,
    Request,
    Result,
    Resumption,
    Sampling,
    Source,
    Station,
    Tool,
    Validation,
    Verification,
    VerificationMethod,
)
from rasura.health import HealthClaims, figure_changes
from rasura_agent.erase.firmware.family import Prepared
from rasura_agent.erase.firmware.line import CommandRecord
from rasura_agent.erase.plan import DrivePlan, media_type, residual_risks
from rasura_agent.erase.policy import Policy
from rasura_agent.erase.result import EraseResult
from rasura_agent.inventory.machine_model import MachineIdentity
from rasura_agent.inventory.model import Drive
from rasura_agent.sentence import text_alone

__all__ = ["Circumstances", "erasure_claims", "rfc3339", "source_claims"]

_RESUMED_CONSTANT = (
    "resumed: what an earlier boot wrote is its journal's word; reading a constant pattern back shows what "
    "the drive holds, not who wrote it"
)
_COMMANDS_KEPT = 50
"""From each end of the record."""

_UNKNOWN_AREA = HiddenArea(before=Presence.UNKNOWN, after=Presence.UNKNOWN)
_UNKNOWN_AREAS = HiddenAreas(hpa=_UNKNOWN_AREA, ama=_UNKNOWN_AREA, dco=_UNKNOWN_AREA)
_NOBODY = Person(
    name=None, title=None, organization=None, location=None, contact=None, date=None, signature=None
)


class Circumstances(msgspec.Struct, frozen=True):
    """What is the same for every drive of a job, and what the operator told us."""

    machine: MachineIdentity
    policy: Policy
    lot: str | None
    location: str | None
    clock_source: str
    checkpoint: str | None
    """The log's latest checkpoint at job start, a signed note."""
    property_numbers: dict[str, str]
    """Property number by drive serial."""
    build: str | None = None
    """``sha256:`` and the build hash of the live image that was booted."""


def rfc3339(moment: datetime) -> str:
    """RFC 3339 in UTC, to the second."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def erasure_claims(
    certificate_id: str,
    plan: DrivePlan,
    result: EraseResult,
    around: Circumstances,
    station: Station,
    health: tuple[HealthClaims | None, HealthClaims | None] = (None, None),
) -> ErasureCertificate:
    """Every claim about one drive that something was done to; ``health`` is that before and after."""
    policy = around.policy
    way = result.way or plan.ways[0]
    erased = result.outcome is Outcome.ERASED
    prepared = result.prepared or Prepared()
    finished = rfc3339(result.finished_at)
    return ErasureCertificate(
        format_version=FORMAT_VERSION,
        id=certificate_id,
        tool=Tool(name="rasura-agent", version=__version__, build=around.build),
        drive=_drive(plan.drive, result, prepared, around.property_numbers),
        source=source_claims(around),
        pre_erasure_categorization=None,
        request=Request(
            policy=policy.name,
            policy_sha256=policy.sha256,
            method=policy.method,
            technique=policy.technique,
            weaker_allowed=policy.allow_weaker,
            read_back=policy.read_back,
        ),
        plan=Plan(
            technique=plan.chosen[0].technique,
            method=plan.chosen[0].method,
            basis=plan.chosen[0].basis,
            passes=tuple(one.label for one in plan.chosen[0].passes),
            scheme=plan.chosen[0].scheme,
            estimate_ms=_ms(plan.chosen[0].estimate_s),
            passed_over=_passed_over(plan),
        ),
        result=Result(
            outcome=result.outcome,
            reason=text_alone(result.reason),
            method=result.method,
            technique=way.technique if erased else None,
            basis=way.basis if erased else None,
            passes=tuple(
                PassClaims(
                    pattern=one.pattern,
                    cipher=one.cipher,
                    bytes_written=one.bytes_written,
                    duration_ms=round(one.duration_s * 1000),
                    bytes_offloaded=one.bytes_offloaded,
                )
                for one in result.passes
            ),
            bytes_written=sum(one.bytes_written for one in result.passes),
            error_ranges=result.errors,
            started_at=rfc3339(result.started_at),
            finished_at=finished,
            duration_ms=round(result.duration_s * 1000),
            clock=Clock(source=around.clock_source, offset_ms=None),
            resumed=_resumption(result),
        ),
        verification=_verification(result),
        verified_by=Person(
            name=station.operator,
            title=None,
            organization=station.site,
            location=around.location,
            contact=None,
            date=finished,
            signature="envelope",
        ),
        validation=Validation(decision="awaiting decision", person=_NOBODY),
        destination=None,
        residual_risks=(
            *residual_risks(
                plan.drive, way, direct=result.direct, examined=prepared.hidden_areas is not None
            ),
            *prepared.risks,
            *_resumed_risks(result),
            *_sampled_risks(result),
        ),
        health_before=health[0],
        health_after=health[1],
        health_changes=figure_changes(*health),
        commands=_commands(result.commands),
        commands_omitted=max(0, len(result.commands) - 2 * _COMMANDS_KEPT),
        not_before=Checkpointed(checkpoint=around.checkpoint) if around.checkpoint is not None else None,
        station=station,
        supersedes=None,
    )


def _resumption(result: EraseResult) -> Resumption | None:
    resumed = result.resumed
    if resumed is None:
        return None
    return Resumption(
        interruptions=tuple(
            Interruption(step=one.step, position=one.position, bytes_written=one.written)
            for one in resumed.interruptions
        ),
        bytes_before=resumed.bytes_before,
        bytes_now=sum(one.bytes_written for one in result.passes) - resumed.bytes_before,
        duration_before_ms=round(resumed.duration_before_s * 1000),
        first_started_at=rfc3339(resumed.first_started_at),
        checked_bytes=resumed.checked_bytes,
        refused_before=tuple(f"{one.technique}: {one.reason}" for one in resumed.refused),
    )


def _resumed_risks(result: EraseResult) -> tuple[str, ...]:
    if result.resumed is None or any(one.cipher is not None for one in result.passes):
        return ()
    return (_RESUMED_CONSTANT,)


def _sampled_risks(result: EraseResult) -> tuple[str, ...]:
    if result.sampled is None:
        return ()
    read, capacity = result.sampled.bytes_read, result.capacity_bytes
    return (f"sampled: {read} of {capacity} bytes were read back; of the rest only the writing is known",)


def source_claims(around: Circumstances) -> Source:
    """The machine, and the lot it came with."""
    machine = around.machine
    return Source(
        host_manufacturer=machine.manufacturer,
        host_model=machine.model,
        host_serial=machine.serial,
        host_uuid=machine.uuid,
        asset_tag=machine.asset_tag,
        lot=around.lot,
    )


def _ms(seconds: float | None) -> int | None:
    return round(seconds * 1000) if seconds is not None else None


def _commands(records: tuple[CommandRecord, ...]) -> tuple[CommandClaims, ...]:
    """The first and the last commands; in between a drive is only asked how far it is, for hours."""
    kept = records
    if len(records) > 2 * _COMMANDS_KEPT:
        kept = (*records[:_COMMANDS_KEPT], *records[-_COMMANDS_KEPT:])
    return tuple(
        CommandClaims(
            name=one.name,
            at_ms=round(one.at_s * 1000),
            took_ms=round(one.took_s * 1000),
            disposition=one.disposition.value,
            detail=one.detail,
        )
        for one in kept
    )


def _passed_over(plan: DrivePlan) -> tuple[PassedOver, ...]:
    listed = [
        PassedOver(technique=way.technique, method=way.method, reason=str(way.out))
        for way in plan.ways
        if way.out is not None
    ]
    if plan.no_commands is not None:
        reason = str(plan.no_commands)
        listed.append(PassedOver(technique="device commands", method=Method.PURGE, reason=reason))
    return tuple(listed)


def _drive(
    drive: Drive, result: EraseResult, prepared: Prepared, property_numbers: dict[str, str]
) -> DriveClaims:
    return DriveClaims(
        manufacturer=drive.manufacturer,
        model=drive.model,
        serial=drive.serial,
        wwn=drive.wwn,
        firmware=drive.firmware,
        property_number=property_numbers.get(drive.serial or ""),
        media_type=media_type(drive),
        transport=drive.transport,
        rotational=drive.rotational,
        removable=drive.removable,
        capacity_bytes=result.capacity_bytes,
        native_capacity_bytes=prepared.native_capacity_bytes,
        logical_sector_bytes=drive.logical_sector_bytes,
        physical_sector_bytes=drive.physical_sector_bytes,
        hidden_areas=prepared.hidden_areas or _UNKNOWN_AREAS,
        namespaces=None,
        block_device=drive.path,
        identity_pages=tuple(
            IdentityPageClaims(name=page.name, data=base64.b64encode(page.data).decode())
            for page in drive.identity_pages
        ),
    )


def _verification(result: EraseResult) -> Verification:
    method, evidence = None, Evidence.NONE
    if result.read_back is not None:
        method = VerificationMethod.FULL_READ_BACK
        evidence = Evidence.BLOCK_READ_BACK if result.direct else Evidence.BUFFERED_READ_BACK
    elif result.sampled is not None:
        method, evidence = VerificationMethod.SAMPLED_READ_BACK, Evidence.SAMPLED_READ_BACK
    elif result.spots is not None:
        method, evidence = VerificationMethod.MARKERS_AND_SAMPLES, Evidence.DRIVE_REPORT_AND_SPOTS
    return Verification(
        method=method,
        status=result.verification_status,
        coverage=Coverage(bytes_read=result.bytes_read, bytes_total=result.capacity_bytes),
        seed=result.seed.hex() if result.seed is not None else None,
        sampling=_sampling(result),
        evidence=evidence,
        second_reader=result.read_back is not None and result.second_reader,
        passes_read_back=result.passes_read_back,
    )


def _sampling(result: EraseResult) -> Sampling | None:
    check = result.spots
    compared = check.compared if check is not None else None
    plan = result.sampled.plan if result.sampled is not None else check.plan if check is not None else None
    if plan is None:
        return None
    return Sampling(
        sections=plan.sections,
        reads=len(plan.extents),
        planned_bytes=plan.bytes,
        whole_scheme=plan.is_whole_scheme,
        granule_bytes=compared.granule_bytes if compared is not None else None,
        witnesses=check.witnesses if check is not None else None,
        content=compared.after.kind if compared is not None else None,
        entropy_before=_thousandths(compared.before.entropy) if compared is not None else None,
        entropy_after=_thousandths(compared.after.entropy) if compared is not None else None,
    )


def _thousandths(bits: float | None) -> int | None:
    return round(bits * 1000) if bits is not None else None
