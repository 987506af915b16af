"""The facts of a certificate by their names: the drive, the work, where it comes from. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from rasura.certificate import ErasureCertificate, Presence, Source, Station, Tool
from rasura.language import Tongue
from rasura.tell_bundle import receipt_rows
from rasura.tell_passes import passes_in_figures
from rasura.tell_words import (
    AREA_PRESENCE,
    CONTENTS,
    EVIDENCE,
    MEDIA,
    STATUSES,
    VERIFICATIONS,
    grade_of,
    word,
)
from rasura.telling import BundleFacts, Part, Row, name_of

__all__ = [
    "drive_part",
    "origin_part",
    "receipt_rows",
    "row",
    "source_rows",
    "station_rows",
    "work_part",
]


def row(tongue: Tongue, name: str, value: str | None, *, exact: bool = False, detail: bool = False) -> Row:
    """A fact, or that nobody knows it; what nobody knows is a detail."""
    if value is None:
        return Row(name, tongue.say("not known"), detail=True)
    return Row(name, value, exact, detail)


def drive_part(certificate: ErasureCertificate, tongue: Tongue) -> Part:
    """What identifies the drive, and how it is."""
    _ = tongue.say
    drive = certificate.drive
    medium = word(MEDIA, drive.media_type, tongue)
    changes = "; ".join(f"{one.name} {one.before} -> {one.after}" for one in certificate.health_changes)
    both = certificate.health_before is not None and certificate.health_after is not None
    before, after = grade_of(certificate.health_before, tongue), grade_of(certificate.health_after, tongue)
    return Part(
        _("The drive"),
        (
            row(tongue, _("model"), name_of(drive.manufacturer, drive.model)),
            row(tongue, _("serial"), drive.serial, exact=True),
            row(tongue, _("WWN"), drive.wwn, exact=True),
            row(tongue, _("firmware"), drive.firmware, exact=True),
            row(tongue, _("property number"), drive.property_number, exact=True),
            row(
                tongue, _("medium"), f"{medium}, {_transport(drive.transport)}" if drive.transport else medium
            ),
            row(
                tongue,
                _("capacity"),
                _("{size} in sectors of {sector}").format(
                    size=tongue.bytes(drive.capacity_bytes), sector=tongue.number(drive.logical_sector_bytes)
                ),
            ),
            row(tongue, _("hidden areas"), _hidden_areas(certificate, tongue)),
            row(tongue, _("health before"), before),
            row(tongue, _("health after"), after, detail=after == before),
            row(tongue, _("health changed"), changes or (_("no") if both else None), detail=not changes),
        ),
    )


def _transport(name: str) -> str:
    return {"nvme": "NVMe"}.get(name, name.upper())


def _hidden_areas(certificate: ErasureCertificate, tongue: Tongue) -> str | None:
    areas = certificate.drive.hidden_areas
    told = [
        tongue.say("{name} {before} before, {after} after").format(
            name=name,
            before=word(AREA_PRESENCE, area.before, tongue),
            after=word(AREA_PRESENCE, area.after, tongue),
        )
        for name, area in (("HPA", areas.hpa), ("AMA", areas.ama), ("DCO", areas.dco))
        if area.before is not Presence.UNKNOWN or area.after is not Presence.UNKNOWN
    ]
    return "; ".join(told) or None


def work_part(certificate: ErasureCertificate, tongue: Tongue) -> Part:
    """How it was done, in figures."""
    _ = tongue.say
    result, verification, request = certificate.result, certificate.verification, certificate.request
    coverage = verification.coverage
    method = word(VERIFICATIONS, verification.method or "", tongue) or _("none")
    return Part(
        _("The work"),
        (
            row(
                tongue,
                _("asked for"),
                _("{method} by policy {policy}").format(method=request.method, policy=request.policy),
            ),
            row(tongue, _("basis"), result.basis),
            row(tongue, _("started"), tongue.moment(result.started_at)),
            row(
                tongue,
                _("finished"),
                _("{moment}, after {duration}").format(
                    moment=tongue.moment(result.finished_at), duration=tongue.duration(result.duration_ms)
                ),
            ),
            row(
                tongue,
                _("clock"),
                _("{clock}, which is not trusted").format(clock=result.clock.source),
                detail=True,
            ),
            *_scheme(certificate, tongue),
            row(tongue, _("passes"), passes_in_figures(certificate, tongue), detail=True),
            *_resumed(certificate, tongue),
            row(
                tongue,
                _("verification"),
                f"{method}, {word(STATUSES, verification.status, tongue)}",
            ),
            row(
                tongue,
                _("read back"),
                _("{read} of {total}").format(
                    read=tongue.number(coverage.bytes_read), total=tongue.bytes(coverage.bytes_total)
                )
                + (_(", by a second process") if verification.second_reader else ""),
            ),
            *_passes_read_back(certificate, tongue),
            row(tongue, _("evidence"), word(EVIDENCE, verification.evidence, tongue)),
            *_samples(certificate, tongue),
            row(tongue, _("ranges in error"), tongue.number(len(result.error_ranges)), detail=True),
            *_passed_over(certificate, tongue),
            tool_row(certificate.tool, tongue),
        ),
    )


def tool_row(tool: Tool, tongue: Tongue) -> Row:
    """The tool and its version (NIST SP 800-88 Rev. 2 §4.6)."""
    build = f", {tool.build}" if tool.build is not None else ""
    return row(tongue, tongue.say("tool"), f"{tool.name} {tool.version}{build}")


def _scheme(certificate: ErasureCertificate, tongue: Tongue) -> Iterator[Row]:
    """Commands of the drive have none."""
    if certificate.plan.scheme is not None:
        yield row(tongue, tongue.say("scheme"), certificate.plan.scheme)


def _passes_read_back(certificate: ErasureCertificate, tongue: Tongue) -> Iterator[Row]:
    number, total = certificate.verification.passes_read_back, len(certificate.result.passes)
    if number is not None:
        yield row(
            tongue,
            tongue.say("passes read back"),
            tongue.say("{read} of {total}").format(read=tongue.number(number), total=tongue.number(total)),
            detail=total == 1,
        )


def _resumed(certificate: ErasureCertificate, tongue: Tongue) -> Iterator[Row]:
    _ = tongue.say
    resumed = certificate.result.resumed
    if resumed is None:
        return
    places = "; ".join(
        _("in verification, which began again at byte 0")
        if one.step > len(certificate.result.passes)
        else _("in pass {number} at byte {place}").format(number=one.step, place=tongue.number(one.position))
        for one in resumed.interruptions
    )
    yield row(tongue, _("interrupted"), places)
    yield row(
        tongue,
        _("resumed"),
        _("{before} were written before the last interruption, {now} after it").format(
            before=tongue.bytes(resumed.bytes_before), now=tongue.bytes(resumed.bytes_now)
        ),
        detail=True,
    )


def _samples(certificate: ErasureCertificate, tongue: Tongue) -> Iterator[Row]:
    _ = tongue.say
    sampling = certificate.verification.sampling
    if sampling is None:
        return
    yield row(
        tongue,
        _("samples"),
        _("{size} in {reads} reads, {sections} sections").format(
            size=tongue.bytes(sampling.planned_bytes),
            reads=tongue.number(sampling.reads),
            sections=tongue.number(sampling.sections),
        ),
        detail=True,
    )
    if sampling.content is not None:
        entropy = "".join(
            template.format(bits=tongue.decimal(value / 1000, 2))
            for template, value in (
                (_(", {bits} bits a byte before"), sampling.entropy_before),
                (_(", {bits} bits a byte after"), sampling.entropy_after),
            )
            if value is not None
        )
        yield row(tongue, _("they look like"), word(CONTENTS, sampling.content, tongue) + entropy)


def _passed_over(certificate: ErasureCertificate, tongue: Tongue) -> Iterator[Row]:
    for one in certificate.plan.passed_over:
        yield row(
            tongue,
            tongue.say("not used"),
            f"{one.technique} ({one.method}): {one.reason}",
            detail=True,
        )


def origin_part(certificate: ErasureCertificate, tongue: Tongue, bundle: BundleFacts | None) -> Part:
    """Where the drive comes from and who was there."""
    _ = tongue.say
    return Part(
        _("Origin and station"),
        (
            *source_rows(certificate.source, tongue),
            row(tongue, _("destination"), certificate.destination),
            row(tongue, _("location"), certificate.verified_by.location),
            *station_rows(certificate.station, tongue),
            row(tongue, _("validation"), told_validation(certificate, tongue), detail=True),
            row(tongue, _("replaces"), certificate.supersedes, exact=True),
            *receipt_rows(bundle, tongue),
        ),
    )


def told_validation(certificate: ErasureCertificate, tongue: Tongue) -> str:
    """The decision, which is a person's."""
    decision = certificate.validation.decision
    return tongue.say("awaiting decision") if decision == "awaiting decision" else decision


def source_rows(source: Source, tongue: Tongue) -> tuple[Row, ...]:
    """The machine and the lot."""
    _ = tongue.say
    return (
        row(tongue, _("machine"), name_of(source.host_manufacturer, source.host_model)),
        row(tongue, _("its serial"), source.host_serial, exact=True),
        row(tongue, _("UUID"), source.host_uuid, exact=True, detail=True),
        row(tongue, _("asset tag"), source.asset_tag, exact=True),
        row(tongue, _("lot"), source.lot),
    )


def station_rows(station: Station, tongue: Tongue) -> tuple[Row, ...]:
    """Site, station and operator."""
    _ = tongue.say
    return (
        row(tongue, _("site"), station.site),
        row(tongue, _("operator"), station.operator),
        row(
            tongue,
            _("station"),
            _("{name}, its certificate {number}").format(
                name=station.name, number=tongue.number(station.sequence)
            ),
        ),
    )
