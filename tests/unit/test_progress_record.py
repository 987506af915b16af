"""Records of interrupted overwrites: torn, damaged, of another drive or another plan, they are not used."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from rasura.certificate import Range, RangeKind
from rasura.errors import RasuraError
from rasura_agent.erase.plan import interrupted, plan_drive
from rasura_agent.erase.policy import PolicyError, load_policy, parse_policy
from rasura_agent.erase.progress_record import (
    Cut,
    Generation,
    Loaded,
    Place,
    ProgressRecord,
    Refused,
    Wanted,
    decode,
    encode,
    misfit,
    newest,
)
from rasura_agent.journal import FileProgress
from rasura_agent.live.journals import LiveProgress
from simulators.block import simulated_drive

DRIVE = simulated_drive(1 << 20)
RECORD = ProgressRecord(
    drive_identity=DRIVE.identity_sha256,
    capacity_bytes=1 << 20,
    policy_sha256="0" * 64,
    passes=("random, inverted", "random"),
    keys=(bytes(range(32)),),
    place=Place(step=2, position=4096),
    beyond=((8192, 4096),),
    failed=((Range(offset=512, length=512, kind=RangeKind.NOT_WRITTEN),), ()),
    offloaded=(1 << 19, 0),
    spent_ms=(1000, 10),
    interruptions=(Cut(step=1, position=8192, written=7680),),
    first_started_at=datetime(2026, 1, 1, tzinfo=UTC),
    refused=(Refused(technique="ata-sanitize-block-erase", reason="it aborted"),),
)


def at(record: ProgressRecord, **changes: Any) -> ProgressRecord:
    return msgspec.structs.replace(record, **changes)


def test_a_record_comes_back_as_it_was() -> None:
    found = decode(encode(RECORD, 7))
    assert found is not None
    assert (found.record, found.sequence) == (RECORD, 7)
    assert RECORD.written(1) == (1 << 20) - 512
    assert RECORD.written(2) == 8192
    assert at(RECORD, place=Place(step=1, position=0), beyond=((512, 512),)).has_begun
    assert RECORD.written(3) == 0
    assert RECORD.has_begun
    assert at(RECORD, place=Place(step=2, position=0)).has_begun
    assert not at(RECORD, place=Place(step=1, position=0), beyond=()).has_begun


def test_a_torn_or_flipped_record_is_none() -> None:
    raw = encode(RECORD, 7)
    assert all(decode(raw[:length]) is None for length in range(len(raw)))
    for position in range(len(raw)):
        damaged = bytearray(raw)
        damaged[position] ^= 1
        assert decode(bytes(damaged)) is None


@pytest.mark.parametrize(
    "changes",
    [
        {"place": Place(step=0, position=0)},
        {"place": Place(step=4, position=0), "beyond": ()},
        {"place": Place(step=3, position=0), "beyond": ((8192, 4096),)},
        {"beyond": ((4096, 4096),)},
        {"beyond": ((8192, 0),)},
        {"beyond": ((8192, 1 << 20),)},
        {"beyond": ((16384, 512), (8192, 512))},
        {"beyond": tuple((8192 * at, 512) for at in range(1, 66))},
        {"offloaded": (0,)},
        {"offloaded": (-1, 0)},
        {"offloaded": (1 << 20, 0)},
        {"place": Place(step=2, position=(1 << 20) + 1)},
        {"place": Place(step=1, position=0)},
        {"place": Place(step=2, position=-512)},
        {"passes": ()},
        {"failed": ((),)},
        {"spent_ms": (1, -1)},
        {"interruptions": (Cut(step=2, position=8192, written=8192),)},
        {"interruptions": (Cut(step=1, position=8192, written=-1),)},
        {"interruptions": (Cut(step=1, position=8192, written=(1 << 20) + 1),)},
        {"failed": ((), (Range(offset=4096, length=512, kind=RangeKind.NOT_WRITTEN),))},
        {"failed": ((), (Range(offset=0, length=8192, kind=RangeKind.NOT_WRITTEN),))},
        {"failed": ((), (Range(offset=0, length=0, kind=RangeKind.NOT_WRITTEN),))},
        {"failed": ((Range(offset=0, length=1, kind=RangeKind.NOT_WRITTEN),) * 5000, ())},
    ],
)
def test_a_record_that_says_something_impossible_is_none(changes: dict[str, Any]) -> None:
    assert RECORD.is_sound
    assert decode(encode(at(RECORD, **changes), 1)) is None


@pytest.mark.parametrize(
    "edit",
    [
        lambda body: body.replace(b'"format":3', b'"format":1'),
        lambda body: body.replace(b'"format":3', b'"format":3,"more":1'),
        lambda body: body.replace(b'"step":2', b'"step":"2"'),
        lambda body: b"null",
        lambda body: b"[]",
        lambda body: b"",
    ],
)
def test_another_format_is_none(edit: Callable[[bytes], bytes]) -> None:
    body = edit(encode(RECORD, 1).partition(b"\n")[2])
    assert decode(hashlib.sha256(body).hexdigest().encode() + b"\n" + body) is None


def test_the_newest_whole_generation_counts() -> None:
    older, newer = encode(RECORD, 7), encode(at(RECORD, place=Place(step=2, position=6144)), 8)
    for raws in ([older, newer], [newer, older]):
        found = newest(raws)
        assert found is not None
        assert found.sequence == 8
    fallen_back = newest([older, newer[:-1]])
    assert isinstance(fallen_back, Generation)
    assert fallen_back.sequence == 7
    assert newest([older[1:], newer[1:]]) is None


WANTED = Wanted(DRIVE, RECORD.passes, "0" * 64, ("ata-sanitize-block-erase",))


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"policy_sha256": "1" * 64}, "another policy"),
        ({"passes": ("zero",)}, "other passes"),
        ({"drive": simulated_drive(1 << 20, serial="X")}, "another drive"),
        ({"drive": simulated_drive(1 << 20, serial=None)}, "no number of its own"),
        ({"drive": replace(DRIVE, capacity_bytes=1 << 21)}, "bytes then"),
        ({"stronger": ("ata-security-erase", "ata-sanitize-block-erase")}, "(ata-security-erase)"),
    ],
)
def test_what_fits_and_what_does_not(changes: dict[str, Any], reason: str) -> None:
    assert misfit(RECORD, WANTED) is None
    assert misfit(RECORD, replace(WANTED, stronger=())) is None
    assert reason in (misfit(RECORD, replace(WANTED, **changes)) or "it fits")


def test_a_drive_without_a_number_of_its_own_is_never_known_again() -> None:
    nameless = simulated_drive(1 << 20, serial=None)
    record = at(RECORD, drive_identity=nameless.identity_sha256)
    assert "no number of its own" in (misfit(record, replace(WANTED, drive=nameless)) or "")


def test_the_plan_says_that_it_goes_on() -> None:
    policy = load_policy("clear-zero")
    plan = plan_drive(DRIVE, policy, ())
    record = at(
        RECORD, passes=("zero",), policy_sha256=policy.sha256, place=Place(step=1, position=512),
        beyond=(), failed=((),), offloaded=(0,), spent_ms=(0,), interruptions=(),
    )  # fmt: skip
    assert interrupted(plan, record).misfit is None
    assert interrupted(plan, RECORD).misfit is not None
    purge = plan_drive(DRIVE, load_policy("purge"), ())
    assert interrupted(purge, record).misfit == "the plan does not overwrite"


# In folders.


def test_a_folder_keeps_the_newest_and_survives_a_torn_one(tmp_path: Path) -> None:
    store = FileProgress(tmp_path / "journal")
    assert store.load(DRIVE.identity_sha256) == Loaded(None)
    for position in range(0, 10 * 512, 512):
        store.save(
            at(RECORD, place=Place(step=2, position=position), beyond=(), failed=((), ()), interruptions=())
        )
    files = sorted((tmp_path / "journal").iterdir(), key=lambda path: path.name)
    assert [path.name[-11:] for path in files] == [".progress-0", ".progress-1"]
    loaded = store.load(DRIVE.identity_sha256).record
    assert loaded is not None
    assert loaded.place.position == 9 * 512
    # The tenth generation is the newest; as it is torn, the one before it counts.
    files[0].write_bytes(files[0].read_bytes()[:100])
    loaded = store.load(DRIVE.identity_sha256).record
    assert loaded is not None
    assert loaded.place.position == 8 * 512
    files[1].write_bytes(b"")
    assert store.load(DRIVE.identity_sha256) == Loaded(None, damaged=True)
    (tmp_path / "journal" / f".{files[0].name}.abcd.tmp").write_bytes(b"left by a cut")
    store.forget(DRIVE.identity_sha256)
    assert list((tmp_path / "journal").iterdir()) == []
    assert store.load(DRIVE.identity_sha256) == Loaded(None)


def test_a_file_under_another_drives_name_is_not_used(tmp_path: Path) -> None:
    store = FileProgress(tmp_path)
    store.save(RECORD)
    other = "f" * 64
    for path in list(tmp_path.iterdir()):
        path.rename(tmp_path / path.name.replace(DRIVE.identity_sha256, other))
    assert store.load(other) == Loaded(None, damaged=True)


def test_afresh_passes_over_what_is_there(tmp_path: Path) -> None:
    FileProgress(tmp_path).save(RECORD)
    assert FileProgress(tmp_path, forgetful=True).load(DRIVE.identity_sha256) == Loaded(None)


def test_a_folder_that_cannot_be_written_says_so(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    store = FileProgress(tmp_path / "file" / "journal")
    with pytest.raises(RasuraError, match="cannot write the journal"):
        store.save(RECORD)
    assert store.load(DRIVE.identity_sha256).record is None
    store.forget(DRIVE.identity_sha256)


def test_a_stick_that_comes_and_goes(tmp_path: Path) -> None:
    """The newest record counts, wherever it is."""
    stick: list[Path | None] = [None]
    store = LiveProgress(tmp_path / "memory", lambda: stick[0])

    def save(position: int) -> None:
        store.save(
            at(RECORD, place=Place(step=2, position=position), beyond=(), failed=((), ()), interruptions=())
        )

    def position() -> int:
        record = store.load(DRIVE.identity_sha256).record
        assert record is not None
        return record.place.position

    save(512)
    save(1024)
    assert position() == 1024
    stick[0] = tmp_path / "stick"
    save(1536)
    assert position() == 1536
    stick[0] = None
    assert position() == 1024
    save(2048)
    stick[0] = tmp_path / "stick"
    assert position() == 2048
    store.forget(DRIVE.identity_sha256)
    assert store.load(DRIVE.identity_sha256) == Loaded(None)
    stick[0] = None
    assert store.load(DRIVE.identity_sha256) == Loaded(None)


@pytest.mark.parametrize(
    "lines", ["interval_mb = 0", "interval_s = 0", "interval_s = -5", 'interval_s = "x"']
)
def test_intervals_that_make_no_sense(lines: str) -> None:
    with pytest.raises(PolicyError, match="interval_"):
        parse_policy(f'name = "x"\n[erase]\nmethod = "Clear"\n[journal]\n{lines}\n'.encode())
