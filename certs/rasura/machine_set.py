"""A machine report and the certificates that came with it: do they belong together? Pure.

The report names every drive of the machine and the certificate of each. What an auditor holds is complete
if each of them is there, unaltered, of this machine and station, and says what the report says.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import msgspec

from rasura.certificate import ErasureCertificate
from rasura.machine_report import MachineReport, ReportedDrive

__all__ = ["Held", "SetCheck", "check_set"]


class Held(NamedTuple):
    """A certificate that was handed over with the report."""

    certificate: ErasureCertificate
    payload_sha256: str
    genuine: bool
    """It passed its own checks."""


class SetCheck(msgspec.Struct, frozen=True):
    """What is wrong with the set, in sentences: what is not there, and what does not fit."""

    missing: tuple[str, ...]
    wrong: tuple[str, ...]
    found: int
    """How many of the report's certificates are there and fit."""


def check_set(report: MachineReport, payload_sha256: str, held: Sequence[Held]) -> SetCheck:
    """Look for each certificate that the report names, and at each that it does not.

    ``payload_sha256`` is that of the report itself. The order of ``held`` makes no difference.
    """
    by_payload: defaultdict[str, list[Held]] = defaultdict(list)
    by_id: defaultdict[str, list[Held]] = defaultdict(list)
    for one in sorted(held, key=lambda one: (not one.genuine, one.payload_sha256)):
        by_payload[one.payload_sha256].append(one)
        by_id[one.certificate.id].append(one)
    missing, wrong, found = [], [], 0
    for drive in report.drives:
        if drive.certificate is None:
            continue
        # An id is anybody's to write; the hash is of one payload only.
        there = by_payload.get(drive.certificate.payload_sha256) or by_id.get(drive.certificate.id)
        if not there:
            missing.append(f"the certificate {drive.certificate.id} of {_name(drive)} is not there")
            continue
        one = there[0]
        problems = _differences(report, drive, one)
        wrong += [f"the certificate {one.certificate.id} of {_name(drive)} {said}" for said in problems]
        found += not problems
    known = {drive.identity_sha256 for drive in report.drives}
    for one in held:
        if not _is_of(report, one.certificate) or one.certificate.station.sequence > report.station.sequence:
            continue
        if one.certificate.subject_digest() not in known:
            wrong.append(
                f"the certificate {one.certificate.id} is for a drive that the report does not list: "
                f"serial {one.certificate.drive.serial or 'none'}"
            )
    return SetCheck(tuple(missing), (*wrong, *_broken_chain(report, payload_sha256, held)), found)


def _differences(report: MachineReport, drive: ReportedDrive, one: Held) -> list[str]:
    certificate = one.certificate
    named = drive.certificate
    found = []
    if not one.genuine:
        found.append("is not genuine")
    if named is None or one.payload_sha256 != named.payload_sha256:
        found.append("is not the one that the report names: its hash is another")
    elif certificate.id != named.id:
        found.append(f"is not the one that the report names: its id is {named.id} there")
    if certificate.subject_digest() != drive.identity_sha256:
        found.append("is for another drive")
    found += [f"says {theirs}, the report {ours}" for theirs, ours in _said_otherwise(certificate, drive)]
    signed_by = named.station if named is not None and named.station is not None else report.station.name
    if (certificate.station.name, certificate.station.site) != (signed_by, report.station.site):
        found.append("was signed by another station")
    elif _is_of(report, certificate) and certificate.station.sequence >= report.station.sequence:
        found.append("was signed after the report")
    theirs, ours = certificate.source, report.source
    if (theirs.host_serial, theirs.host_uuid) != (ours.host_serial, ours.host_uuid):
        found.append("is of another machine")
    return found


def _said_otherwise(certificate: ErasureCertificate, listed: ReportedDrive) -> Iterator[tuple[str, str]]:
    """What certificate and report say of the drive and its erasure where they differ, in that order.

    All that both have, but for the drive's health: a report has the latest that was read.
    """
    drive, result = certificate.drive, certificate.result
    for what, theirs, ours in (
        ("serial", drive.serial, listed.serial),
        ("manufacturer", drive.manufacturer, listed.manufacturer),
        ("model", drive.model, listed.model),
        ("media type", drive.media_type, listed.media_type),
        ("transport", drive.transport, listed.transport),
        ("capacity in bytes", drive.capacity_bytes, listed.capacity_bytes),
        ("block device", drive.block_device, listed.block_device),
    ):
        if theirs != ours:
            yield f"{what} {_or_none(theirs)}", _or_none(ours)
    if result.outcome is not listed.outcome:
        yield str(result.outcome), str(listed.outcome)
        return  # the rest follows from that
    for what, theirs, ours in (
        ("method", result.method, listed.method),
        ("technique", result.technique, listed.technique),
        ("reason", result.reason, listed.reason),
    ):
        if theirs != ours:
            yield f"{what} {_or_none(theirs)}", _or_none(ours)


def _or_none(value: object) -> str:
    return "none" if value is None else str(value)


def _is_of(report: MachineReport, certificate: ErasureCertificate) -> bool:
    """Whether the station that made the report signed it, in the same boot."""
    return (certificate.station.name, certificate.station.site) == (report.station.name, report.station.site)


def _broken_chain(report: MachineReport, payload_sha256: str, held: Sequence[Held]) -> list[str]:
    """Links that do not fit, among those of which both ends are there."""
    links = [(report.station.sequence, payload_sha256, report.station.previous_sha256)]
    for one in held:
        if _is_of(report, one.certificate):
            station = one.certificate.station
            links.append((station.sequence, one.payload_sha256, station.previous_sha256))
    # A number that was signed twice has two payloads; which of them is followed is no break.
    signed: defaultdict[int, set[str]] = defaultdict(set)
    for sequence, payload, _ in links:
        signed[sequence].add(payload)
    broken = {
        sequence
        for sequence, _, previous in links
        if sequence - 1 in signed and previous not in signed[sequence - 1]
    }
    return [f"number {one} of the station does not follow number {one - 1}" for one in sorted(broken)]


def _name(drive: ReportedDrive) -> str:
    return f"drive {drive.model or 'without model'}, serial {drive.serial or 'none'}"
