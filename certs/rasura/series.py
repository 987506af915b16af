"""Many certificates at once: what is missing between them, and what cannot be true of all of them. Pure.

Each alone may be genuine. A station numbers what it signs and names the payload before it, so a certificate
that was left out shows as a gap; and what certificates say of one drive must fit together. All of this gives
**warnings** with their reasons, never another verdict: a stick may have been lost, firmware is updated, and
clocks of collected PCs are wrong. Time is linear in the certificates but for sorting.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Iterator
from datetime import datetime, timedelta
from enum import StrEnum
from itertools import groupby, pairwise
from operator import attrgetter
from typing import TypeVar

import msgspec

from rasura.certificate import ErasureCertificate
from rasura.consistency import parse_time
from rasura.machine_report import MachineReport

__all__ = ["Member", "Warned", "WarningKind", "member_of", "series_warnings"]

_T = TypeVar("_T")

_NAMED = 4
"""Serial numbers that a sentence names."""

_TOLERANCE = timedelta(minutes=1)
"""A station signs one at a time: drives that end together may get their numbers in the other order."""


class WarningKind(StrEnum):
    """What is odd."""

    GAP = "gap"
    BROKEN_LINK = "broken-link"
    SAME_NUMBER = "same-number"
    TIME_BACK = "time-back"
    TWO_PLACES = "two-places"
    POWER_ON_BACK = "power-on-back"
    CHANGED = "changed"
    SAME_PAGES = "same-pages"
    SAME_ID = "same-id"


class Warned(msgspec.Struct, frozen=True):
    """One warning: its kind, a sentence, and the names of the files that it is about."""

    kind: WarningKind
    sentence: str
    names: tuple[str, ...]


class DriveFacts(msgspec.Struct, frozen=True):
    """What a certificate says of its drive that is compared with what another says."""

    serial: str | None
    identity_sha256: str
    capacity_bytes: int
    model: str | None
    firmware: str | None
    hours_before: int | None
    hours_after: int | None


class Member(msgspec.Struct, frozen=True):
    """One certificate or machine report of the set, as far as it is compared with others."""

    name: str
    id: str
    payload_sha256: str
    site: str
    station: str
    sequence: int
    previous_sha256: str | None
    started: datetime
    finished: datetime
    drive: DriveFacts | None
    """``None`` for a machine report."""

    @property
    def at(self) -> tuple[str, str]:
        """The station, which is one boot of one machine."""
        return self.site, self.station


def member_of(name: str, payload_sha256: str, claims: ErasureCertificate | MachineReport) -> Member | None:
    """What is compared of claims that were verified; ``None`` without times that can be read."""
    times = claims if isinstance(claims, MachineReport) else claims.result
    started, finished = parse_time(times.started_at), parse_time(times.finished_at)
    if started is None or finished is None:
        return None
    station = claims.station
    return Member(
        name,
        claims.id,
        payload_sha256,
        station.site,
        station.name,
        station.sequence,
        station.previous_sha256,
        started,
        finished,
        None if isinstance(claims, MachineReport) else _drive_facts(claims),
    )


def _drive_facts(certificate: ErasureCertificate) -> DriveFacts:
    drive, before, after = certificate.drive, certificate.health_before, certificate.health_after
    return DriveFacts(
        drive.serial,
        certificate.subject_digest(),
        drive.capacity_bytes,
        drive.model,
        drive.firmware,
        before.power_on_hours if before is not None else None,
        after.power_on_hours if after is not None else None,
    )


def series_warnings(members: Iterable[Member]) -> tuple[Warned, ...]:
    """Every warning on a set; the same certificate given twice is one."""
    unique = list({one.payload_sha256: one for one in members}.values())
    found: list[Warned] = []
    for station in _grouped(unique, attrgetter("at")):
        found += _station(station)
    for same_id in _grouped(unique, attrgetter("id")):
        found += _ids(same_id)
    drives = [(one, one.drive) for one in unique if one.drive is not None]
    by_serial = [pair for pair in drives if pair[1].serial]
    for same in _grouped(by_serial, lambda pair: pair[1].serial):
        found += _drive(same)
    for same in _grouped(drives, lambda pair: pair[1].identity_sha256):
        found += _pages(same)
    return tuple(found)


def _grouped(items: Iterable[_T], key: Callable[[_T], Hashable]) -> Iterator[list[_T]]:
    groups: defaultdict[Hashable, list[_T]] = defaultdict(list)
    for one in items:
        groups[key(one)].append(one)
    yield from groups.values()


def _station(members: list[Member]) -> Iterator[Warned]:
    members.sort(key=attrgetter("sequence", "payload_sha256"))
    name = f"station {members[0].station} of {members[0].site}"
    previous: list[Member] = []
    for number, group in groupby(members, key=attrgetter("sequence")):
        here = list(group)
        if len(here) > 1:
            yield Warned(
                WarningKind.SAME_NUMBER, f"{name} signed {len(here)} as its number {number}", _names(here)
            )
        first = previous[0].sequence + 1 if previous else 0
        if first < number:
            missing = f"number {first} is" if first + 1 == number else f"numbers {first} to {number - 1} are"
            yield Warned(WarningKind.GAP, f"{missing} missing of {name}", _names((*previous, *here)))
        yield from _links(name, here, previous if first == number else [])
        previous = here
    yield from _times(name, members)


def _links(name: str, here: list[Member], before: list[Member]) -> Iterator[Warned]:
    """``before`` are those with the number before, if they are there."""
    signed = {one.payload_sha256 for one in before}
    for one in here:
        named = one.previous_sha256
        if (named is None) != (one.sequence == 0):
            what = "names one before it" if named is not None else "names none before it"
            yield Warned(WarningKind.BROKEN_LINK, f"number {one.sequence} of {name} {what}", (one.name,))
        elif before and named not in signed:
            yield Warned(
                WarningKind.BROKEN_LINK,
                f"number {one.sequence} of {name} does not follow number {one.sequence - 1}",
                _names((*before, one)),
            )


def _times(name: str, members: list[Member]) -> Iterator[Warned]:
    latest = members[0]
    for one in members[1:]:
        if one.finished < latest.finished - _TOLERANCE:
            yield Warned(
                WarningKind.TIME_BACK,
                f"number {one.sequence} of {name} ended before its number {latest.sequence}: its clock was "
                "set, or the numbers are not in order",
                (latest.name, one.name),
            )
            latest = one
        elif one.finished > latest.finished:
            latest = one


def _ids(same: list[Member]) -> Iterator[Warned]:
    """All of one id: whoever names one by it may mean another."""
    if len(same) > 1:
        yield Warned(
            WarningKind.SAME_ID,
            f"{len(same)} that say different things have the one id {same[0].id}",
            _names(sorted(same, key=attrgetter("name"))),
        )


def _drive(same: list[tuple[Member, DriveFacts]]) -> Iterator[Warned]:
    """All of one serial number."""
    if len(same) > 1:
        serial = same[0][1].serial
        yield from _overlaps(serial, sorted((one for one, _ in same), key=attrgetter("started", "name")))
        same.sort(key=lambda pair: (pair[0].finished, pair[0].name))
        yield from _changes(serial, same)
    yield from _power_on(same)


def _overlaps(serial: str | None, members: list[Member]) -> Iterator[Warned]:
    """Ordered by their starts: of those before, the one of another station that ended last."""
    last: Member | None = None
    last_elsewhere: Member | None = None
    # The last to end that is not of the station of ``last``.
    for one in members:
        other = last if last is not None and last.at != one.at else last_elsewhere
        if other is not None and other.finished > one.started:
            yield Warned(
                WarningKind.TWO_PLACES,
                f"a drive of serial {serial} was at station {other.station} of {other.site} and at "
                f"{one.station} of {one.site} at the same time, by their clocks",
                (other.name, one.name),
            )
        if last is None or one.finished >= last.finished:
            if last is not None and last.at != one.at:
                last_elsewhere = last
            last = one
        elif last.at != one.at and (last_elsewhere is None or one.finished > last_elsewhere.finished):
            last_elsewhere = one


def _changes(serial: str | None, same: list[tuple[Member, DriveFacts]]) -> Iterator[Warned]:
    for what, read in _COMPARED:
        known = [(one, value) for one, facts in same if (value := read(facts)) is not None]
        for (before, old), (after, new) in pairwise(known):
            if old != new:
                yield Warned(
                    WarningKind.CHANGED,
                    f"the {what} of the drive of serial {serial} was {old} and then {new}",
                    (before.name, after.name),
                )


_COMPARED: tuple[tuple[str, Callable[[DriveFacts], object]], ...] = (
    ("capacity in bytes", attrgetter("capacity_bytes")),
    ("model", attrgetter("model")),
    ("firmware", attrgetter("firmware")),
)


def _power_on(same: list[tuple[Member, DriveFacts]]) -> Iterator[Warned]:
    """Read at each start and end; of two that clocks do not tell apart, the smaller came first."""
    read = [
        (moment, hours, one)
        for one, facts in same
        for moment, hours in ((one.started, facts.hours_before), (one.finished, facts.hours_after))
        if hours is not None
    ]
    read.sort(key=lambda found: (found[0], found[1], found[2].name))
    for (_, earlier, first), (_, later, second) in pairwise(read):
        if later < earlier:
            yield Warned(
                WarningKind.POWER_ON_BACK,
                f"the drive of serial {same[0][1].serial} had been on for {earlier} hours, and later {later}",
                _names((first, second)),
            )


def _pages(same: list[tuple[Member, DriveFacts]]) -> Iterator[Warned]:
    """All of one digest of identity pages."""
    serials = dict.fromkeys(facts.serial for _, facts in same)
    if len(serials) > 1:
        told = ", ".join(serial or "none" for serial in list(serials)[:_NAMED])
        more = f" and {len(serials) - _NAMED} more" if len(serials) > _NAMED else ""
        yield Warned(
            WarningKind.SAME_PAGES,
            f"drives that say exactly the same of themselves have the serials {told}{more}",
            _names(one for one, _ in same),
        )


def _names(members: Iterable[Member]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(one.name for one in members))
