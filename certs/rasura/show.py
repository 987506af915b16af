"""A certificate's claims as plain text for people. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from rasura.certificate import ErasureCertificate, Presence
from rasura.text import printable

__all__ = ["claims_text"]


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
        ("verification", f"{verification.method or 'none'}: {verification.status}"),
        (
            "read back",
            f"{coverage.bytes_read} of {coverage.bytes_total} bytes ({verification.evidence}{reader})",
        ),
        ("ranges in error", len(result.error_ranges)),
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


def _list(name: str, sentences: Iterable[str]) -> list[str]:
    return [f"  {name:<16} {_line(sentence)}" for sentence in sentences]


def _line(value: object) -> str:
    text = "not known" if value is None else str(value)
    return printable(text)
