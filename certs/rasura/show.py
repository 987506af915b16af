"""The claims of a certificate or a machine report as plain text for people. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from rasura.certificate import ErasureCertificate, Presence
from rasura.health import HealthClaims
from rasura.machine_report import MachineReport, ReportedDrive
from rasura.text import printable

__all__ = ["claims_text", "report_text"]


def claims_text(certificate: ErasureCertificate) -> str:
    """Everything a person asks first, a line each; ``not known`` where nobody knows."""
    drive, source, result = certificate.drive, certificate.source, certificate.result
    verification, station = certificate.verification, certificate.station
    coverage = verification.coverage
    areas = [
        f"{name} {area.before} before, {area.after} after"
        for name, area in (
            ("HPA", drive.hidden_areas.hpa),
            ("AMA", drive.hidden_areas.ama),
            ("DCO", drive.hidden_areas.dco),
        )
        if area.before is not Presence.UNKNOWN or area.after is not Presence.UNKNOWN
    ]
    reader = ", by a second process" if verification.second_reader else ""
    host = " ".join(part for part in (source.host_manufacturer, source.host_model) if part)
    host_serial = f", serial {source.host_serial}" if source.host_serial else ""
    passes = ", then ".join(
        f"{one.pattern}{f' ({one.cipher})' if one.cipher else ''} over {one.bytes_written} bytes"
        f"{f' ({one.bytes_offloaded} by Write Zeroes)' if one.bytes_offloaded else ''}"
        for one in result.passes
    )
    rows: list[tuple[str, object]] = [
        ("certificate", certificate.id),
        ("outcome", f"{result.outcome}{f': {result.reason}' if result.reason else ''}"),
        ("method", f"{result.method} by {result.technique} ({result.basis})" if result.method else None),
        ("asked for", f"{certificate.request.method} by policy {certificate.request.policy}"),
        ("drive", " ".join(part for part in (drive.manufacturer, drive.model) if part) or None),
        ("serial", drive.serial),
        ("WWN", drive.wwn),
        ("firmware", drive.firmware),
        ("property number", drive.property_number),
        ("medium", f"{drive.media_type}, {drive.transport or 'unknown transport'}"),
        ("capacity", f"{drive.capacity_bytes} bytes in sectors of {drive.logical_sector_bytes}"),
        ("hidden areas", "; ".join(areas) or None),
        ("from machine", f"{host}{host_serial}" if host or host_serial else None),
        ("lot", source.lot),
        ("scheme", certificate.plan.scheme),
        ("passes", passes or None),
        *_resumed(certificate),
        ("verification", f"{verification.method or 'none'}: {verification.status}"),
        (
            "read back",
            f"{coverage.bytes_read} of {coverage.bytes_total} bytes ({verification.evidence}{reader})",
        ),
        *_samples(certificate),
        ("ranges in error", len(result.error_ranges)),
        ("health before", _health(certificate.health_before)),
        ("health after", _health(certificate.health_after)),
        (
            "health changed",
            "; ".join(f"{one.name} {one.before} -> {one.after}" for one in certificate.health_changes)
            or ("no" if certificate.health_before and certificate.health_after else None),
        ),
        ("started", f"{result.started_at} by the {result.clock.source} clock, which is not trusted"),
        ("finished", f"{result.finished_at}, after {result.duration_ms / 1000:.1f} s"),
        ("operator", station.operator),
        ("site", f"{station.site}, {station.name}, certificate {station.sequence} of this station"),
        ("tool", f"{certificate.tool.name} {certificate.tool.version}"),
        ("validation", certificate.validation.decision),
    ]
    lines = [f"  {name:<16} {_line(value)}" for name, value in rows]
    lines += _list("residual risk", certificate.residual_risks)
    return "\n".join(lines)


def _samples(certificate: ErasureCertificate) -> list[tuple[str, object]]:
    sampling = certificate.verification.sampling
    if sampling is None:
        return []
    rows: list[tuple[str, object]] = [
        ("samples", f"{sampling.planned_bytes} bytes in {sampling.reads} reads, {sampling.sections} sections")
    ]
    if sampling.content is not None:
        entropy = "".join(
            f", {value / 1000:.2f} bits a byte {when}"
            for when, value in (("before", sampling.entropy_before), ("after", sampling.entropy_after))
            if value is not None
        )
        rows.append(("they look like", f"{sampling.content}{entropy}"))
    return rows


def _resumed(certificate: ErasureCertificate) -> list[tuple[str, object]]:
    resumed = certificate.result.resumed
    if resumed is None:
        return []
    places = "; ".join(
        "in verification, which began again at byte 0"
        if one.step > len(certificate.result.passes)
        else f"in pass {one.step} at byte {one.position}"
        for one in resumed.interruptions
    )
    written = f"{resumed.bytes_before} bytes were written before the last one, {resumed.bytes_now} after it"
    return [("interrupted", f"{len(resumed.interruptions)} times: {places}"), ("resumed", written)]


def report_text(report: MachineReport) -> str:
    """The machine, what is proposed for it, and each of its drives, a line each."""
    source, proposal, station = report.source, report.proposal, report.station
    host = " ".join(part for part in (source.host_manufacturer, source.host_model) if part)
    rows: list[tuple[str, object]] = [
        ("machine report", report.id),
        ("machine", host or None),
        ("serial", source.host_serial),
        ("UUID", source.host_uuid),
        ("asset tag", source.asset_tag),
        ("lot", source.lot),
        ("location", report.location),
        ("finished", f"{report.finished_at} by the {report.clock.source} clock, which is not trusted"),
        ("operator", station.operator),
        ("site", f"{station.site}, {station.name}, certificate {station.sequence} of this station"),
        ("tool", f"{report.tool.name} {report.tool.version}"),
        ("drives", f"{len(report.drives)}, together {report.outcome}"),
    ]
    lines = [f"  {name:<16} {_line(value)}" for name, value in rows]
    lines += [f"  {'':<16} {_line(_drive(drive))}" for drive in report.drives]
    if proposal is not None:
        route = proposal.override.route if proposal.override is not None else proposal.route
        lines.append(f"  {'proposal':<16} {_line(route)}")
        if proposal.override is not None:
            by, why = proposal.override.by, proposal.override.why
            lines.append(f"  {'decided by':<16} {_line(f'{by}, instead of {proposal.route}: {why}')}")
        lines += _list("because", proposal.reasons)
        lines.append(f"  {'Windows 11':<16} {_line(proposal.windows_11)}")
        lines += [
            f"  {'battery':<16} {_line(f'{one.name}: {one.battery_class}')}" for one in proposal.batteries
        ]
    lines += _list("note", report.notes)
    return "\n".join(lines)


def _drive(drive: ReportedDrive) -> str:
    name = f"{drive.outcome} {drive.model or drive.block_device}, serial {drive.serial or 'none'}"
    how = f": {drive.method} by {drive.technique}" if drive.method is not None else ""
    why = f": {drive.reason}" if drive.reason is not None else ""
    certificate = f", certificate {drive.certificate.id}" if drive.certificate is not None else ""
    health = f", health {drive.health.grade}" if drive.health is not None else ""
    return f"{name}{how}{why}{certificate}{health}"


def _health(health: HealthClaims | None) -> str | None:
    if health is None:
        return None
    return health.grade + (f" ({'; '.join(health.reasons)})" if health.reasons else "")


def _list(name: str, sentences: Iterable[str]) -> list[str]:
    return [f"  {name:<16} {_line(sentence)}" for sentence in sentences]


def _line(value: object) -> str:
    text = "not known" if value is None else str(value)
    return printable(text)
