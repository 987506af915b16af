"""Sets of certificates: one without faults gives no warning, and each fault that is planted gives its own."""

from __future__ import annotations

import hashlib
import random
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from rasura.series import DriveFacts, Member, Warned, WarningKind, series_warnings

BEGAN = datetime(2026, 3, 2, 8, tzinfo=UTC)
HOUR = timedelta(hours=1)


def digest(*words: object) -> str:
    return hashlib.sha256(repr(words).encode()).hexdigest()


def station(number: int, lengths: list[int], *, days: int = 0) -> list[Member]:
    """A station that erased one drive after the other, each for some minutes, and then reported."""
    members: list[Member] = []
    started = BEGAN + timedelta(days=days)
    for sequence, minutes in enumerate([*lengths, 0]):
        serial = f"S{number}-{sequence}"
        facts = DriveFacts(serial, digest("pages", serial), 1 << 39, "Disk 500", "1.0", 1000, 1001)
        finished = started + timedelta(minutes=minutes)
        members.append(
            Member(
                name=f"{number}-{sequence}.json",
                id=f"id-{number}-{sequence}",
                payload_sha256=digest("payload", number, sequence),
                site="Lyon",
                station=f"station-{number}",
                sequence=sequence,
                previous_sha256=members[-1].payload_sha256 if members else None,
                started=started,
                finished=finished,
                drive=facts if sequence < len(lengths) else None,
            )
        )
        started = finished
    return members


lengths = st.lists(st.integers(1, 600), min_size=2, max_size=5)
sets = st.lists(lengths, min_size=2, max_size=4).map(
    lambda all_of_them: [one for number, some in enumerate(all_of_them) for one in station(number, some)]
)


def shuffled(members: list[Member], seed: int) -> list[Member]:
    found = list(members)
    random.Random(seed).shuffle(found)
    return found


@given(sets, st.integers())
def test_a_set_without_faults_gives_no_warning_in_any_order(members: list[Member], seed: int) -> None:
    assert series_warnings(shuffled(members, seed)) == ()


@given(sets, st.integers())
def test_the_same_file_twice_is_no_fault(members: list[Member], seed: int) -> None:
    assert series_warnings(shuffled(members * 2, seed)) == ()


@given(sets, st.integers())
def test_the_same_drive_again_later_is_no_fault(members: list[Member], seed: int) -> None:
    again = [
        replace(one, drive=other.drive)
        for one, other in zip(station(99, [30, 30], days=9), members[:2], strict=False)
        if other.drive is not None
    ]
    hours = [
        replace(one, drive=replace(one.drive, hours_before=1001, hours_after=1001))
        for one in again
        if one.drive is not None
    ]
    assert series_warnings(shuffled([*members, *hours], seed)) == ()


def gap(members: list[Member]) -> list[Member]:
    return [one for one in members if one.name != "0-1.json"]


def first_missing(members: list[Member]) -> list[Member]:
    return [one for one in members if one.name != "0-0.json"]


def wrong_link(members: list[Member]) -> list[Member]:
    return bent(members, "0-1.json", previous_sha256="ab" * 32)


def no_link(members: list[Member]) -> list[Member]:
    return bent(members, "0-1.json", previous_sha256=None)


def link_before_the_first(members: list[Member]) -> list[Member]:
    return bent(members, "0-0.json", previous_sha256="ab" * 32)


def twice(members: list[Member]) -> list[Member]:
    (one,) = [one for one in members if one.name == "0-0.json"]
    (other,) = station(66, [10])[:1]
    return [
        *members,
        replace(one, name="other.json", id="other", payload_sha256="cd" * 32, drive=other.drive),
    ]


def namesake(members: list[Member]) -> list[Member]:
    (other,) = station(66, [10])[:1]
    return [*members, replace(other, id="id-0-0")]


def back_in_time(members: list[Member]) -> list[Member]:
    began = BEGAN - 100 * HOUR
    return bent(members, "0-1.json", started=began, finished=began + HOUR)


def elsewhere(members: list[Member]) -> list[Member]:
    (one,) = [one for one in members if one.name == "0-0.json"]
    (other,) = station(77, [10])[:1]
    return [*members, replace(other, drive=one.drive, started=one.started, finished=one.finished)]


def younger(members: list[Member]) -> list[Member]:
    return again(members, hours_before=999, hours_after=1002)


def younger_after(members: list[Member]) -> list[Member]:
    return drive_bent(members, hours_after=999)


def smaller(members: list[Member]) -> list[Member]:
    return again(members, capacity_bytes=1 << 38)


def renamed(members: list[Member]) -> list[Member]:
    return again(members, model="Disk 1000")


def reflashed(members: list[Member]) -> list[Member]:
    return again(members, firmware="2.0")


def disguised(members: list[Member]) -> list[Member]:
    return again(members, serial="ANOTHER")


def bent(members: list[Member], name: str, **changes: object) -> list[Member]:
    return [replace(one, **changes) if one.name == name else one for one in members]  # type: ignore[arg-type]


def drive_bent(members: list[Member], **changes: object) -> list[Member]:
    (one,) = [one for one in members if one.name == "0-0.json"]
    assert one.drive is not None
    return bent(members, one.name, drive=replace(one.drive, **changes))  # type: ignore[arg-type]


def again(members: list[Member], **changes: object) -> list[Member]:
    """The first drive once more, a week later at another station."""
    (one,) = [one for one in members if one.name == "0-0.json"]
    (later,) = station(88, [10], days=7)[:1]
    assert one.drive is not None
    facts = replace(one.drive, **{"hours_before": 1001, "hours_after": 1001, **changes})  # type: ignore[arg-type]
    return [*members, replace(later, drive=facts)]


FAULTS: dict[Callable[[list[Member]], list[Member]], WarningKind] = {
    gap: WarningKind.GAP,
    first_missing: WarningKind.GAP,
    wrong_link: WarningKind.BROKEN_LINK,
    no_link: WarningKind.BROKEN_LINK,
    link_before_the_first: WarningKind.BROKEN_LINK,
    twice: WarningKind.SAME_NUMBER,
    namesake: WarningKind.SAME_ID,
    back_in_time: WarningKind.TIME_BACK,
    elsewhere: WarningKind.TWO_PLACES,
    younger: WarningKind.POWER_ON_BACK,
    younger_after: WarningKind.POWER_ON_BACK,
    smaller: WarningKind.CHANGED,
    renamed: WarningKind.CHANGED,
    reflashed: WarningKind.CHANGED,
    disguised: WarningKind.SAME_PAGES,
}


@pytest.mark.parametrize("plant", FAULTS, ids=lambda one: one.__name__)
@given(members=sets, seed=st.integers())
@settings(max_examples=30)
def test_each_fault_gives_its_warning_and_no_other(
    plant: Callable[[list[Member]], list[Member]], members: list[Member], seed: int
) -> None:
    found = series_warnings(shuffled(plant(members), seed))
    assert [one.kind for one in found] == [FAULTS[plant]]
    assert found[0].names
    assert all(part.isprintable() for part in (found[0].sentence, *found[0].names))


def test_the_order_of_files_changes_nothing() -> None:
    def told(members: list[Member]) -> list[Warned]:
        return sorted(series_warnings(members), key=lambda one: one.sentence)

    members = elsewhere(smaller(gap([*station(0, [9, 9, 9]), *station(1, [5, 5])])))
    first = told(members)
    assert {one.kind for one in first} == {WarningKind.GAP, WarningKind.TWO_PLACES, WarningKind.CHANGED}
    assert all(told(shuffled(members, seed)) == first for seed in range(20))


def test_a_run_of_missing_numbers_is_one_warning() -> None:
    members = station(0, [1] * 9)
    (one,) = series_warnings([members[0], members[-1]])
    assert one.sentence == "numbers 1 to 8 are missing of station station-0 of Lyon"


def test_a_minute_between_drives_that_end_together_is_no_fault() -> None:
    first, second, _ = station(0, [60, 60])
    together = replace(second, started=first.started, finished=first.finished - timedelta(seconds=50))
    assert series_warnings([first, together]) == ()


def test_overlaps_are_found_behind_a_long_one_of_the_same_station() -> None:
    """The station that holds the latest end is not the one that a third overlaps with."""
    facts = station(0, [1])[0].drive

    def at(number: int, begin: int, end: int) -> Member:
        (one,) = station(number, [1])[:1]
        return replace(one, drive=facts, started=BEGAN + begin * HOUR, finished=BEGAN + end * HOUR)

    found = series_warnings([at(1, 0, 3), at(2, 4, 20), replace(at(2, 5, 6), payload_sha256="ab" * 32)])
    assert WarningKind.TWO_PLACES not in {one.kind for one in found}
    found = series_warnings([at(1, 0, 10), at(2, 11, 20), at(3, 19, 21)])
    assert [one.kind for one in found].count(WarningKind.TWO_PLACES) == 1


def test_a_hundred_thousand_take_seconds() -> None:
    members = [one for number in range(10_000) for one in station(number, [1] * 9)]
    assert len(members) == 100_000
    began = time.process_time()
    assert series_warnings(members) == ()
    assert time.process_time() - began < 10


def test_the_worst_of_sets_is_not_quadratic() -> None:
    """All of one station, of one serial, overlapping, with one number and few ids."""
    one = station(0, [60])[0]
    assert one.drive is not None
    odd = [
        replace(
            one,
            name=f"{number}.json",
            id=f"id-{number % 7}",
            payload_sha256=digest(number),
            station=f"station-{number % 7}",
            drive=replace(one.drive, capacity_bytes=number),
        )
        for number in range(30_000)
    ]
    began = time.process_time()
    found = series_warnings(odd)
    assert time.process_time() - began < 10
    assert {one.kind for one in found} == {
        WarningKind.SAME_NUMBER,
        WarningKind.SAME_ID,
        WarningKind.TWO_PLACES,
        WarningKind.CHANGED,
    }
