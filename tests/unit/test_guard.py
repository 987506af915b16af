"""Every reason to refuse a drive, its sentence, and the order of several."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rasura_agent.guard import Protection, RefusalReason, examine
from rasura_agent.inventory.model import Drive, Holder, HolderKind, Mount, Transport, Usage


def drive(**changes: object) -> Drive:
    facts = {
        "path": "/dev/sda",
        "transport": Transport.SATA,
        "manufacturer": None,
        "model": "WDC WD10EZEX-08WN4A0",
        "serial": "WD-WCC3F0123456",
        "wwn": "naa.50014ee20b1c2233",
        "firmware": None,
        "capacity_bytes": 10**12,
        "logical_sector_bytes": 512,
        "physical_sector_bytes": 4096,
        "rotational": True,
        "removable": False,
        "device_number": (8, 0),
        "diskseq": 1,
        "identity_pages": (),
    }
    return Drive(**(facts | changes))


def reasons(usage: Usage, protect: Protection | None = None, **changes: object) -> list[RefusalReason]:
    refusals = examine(drive(**changes), usage, protect or Protection())
    for refusal in refusals:
        assert "/dev/sda" in refusal.sentence
        assert ":" in refusal.sentence, "it says what to do next"
    return [refusal.reason for refusal in refusals]


def test_a_drive_that_nothing_uses_may_be_erased():
    assert reasons(Usage()) == []


@pytest.mark.parametrize(
    ("usage", "reason", "named"),
    [
        (Usage(backs_root=True), RefusalReason.HOLDS_ROOT, "running system"),
        (Usage(backs_live_medium=True), RefusalReason.LIVE_MEDIUM, "booted from"),
        (Usage(is_our_stick=True), RefusalReason.LIVE_MEDIUM, "a Rasura stick"),
        (Usage(mounts=(Mount("dm-0", "/mnt/old"),)), RefusalReason.MOUNTED, "/mnt/old (through dm-0)"),
        (Usage(swaps=("/dev/sda2",)), RefusalReason.SWAP, "/dev/sda2"),
        (Usage(busy=True), RefusalReason.BUSY, "does not say by what"),
        (Usage(read_only=True), RefusalReason.READ_ONLY, "write-protect"),
        (Usage(unreadable=("/proc/swaps cannot be read",)), RefusalReason.USAGE_UNKNOWN, "/proc/swaps"),
    ],
)
def test_each_reason_alone_refuses_and_names_what_was_seen(usage, reason, named):
    [refusal] = examine(drive(), usage, Protection())
    assert refusal.reason is reason
    assert named in refusal.sentence


@pytest.mark.parametrize("kind", HolderKind)
def test_each_kind_of_holder_refuses_and_is_named(kind):
    [refusal] = examine(drive(), Usage(holders=(Holder(kind, "holder7"),)), Protection())
    assert refusal.reason.value == f"held-by-{kind.value}"
    assert "holder7" in refusal.sentence


def test_a_drive_without_capacity_is_refused():
    assert reasons(Usage(), capacity_bytes=0) == [RefusalReason.ZERO_SIZE]


def test_all_reasons_come_the_most_serious_first():
    usage = Usage(
        mounts=(Mount("md0", "/"),),
        swaps=("/dev/sda2",),
        holders=(Holder(HolderKind.LOOP, "loop0"), Holder(HolderKind.MD, "md0")),
        backs_root=True,
        read_only=True,
        busy=True,
        unreadable=("something",),
    )
    found = reasons(usage, Protection(frozenset({"WD-WCC3F0123456"})))
    assert found == [
        RefusalReason.HOLDS_ROOT,
        RefusalReason.PROTECTED_BY_POLICY,
        RefusalReason.MOUNTED,
        RefusalReason.SWAP,
        RefusalReason.HELD_BY_MD,
        RefusalReason.HELD_BY_LOOP,
        RefusalReason.USAGE_UNKNOWN,
        RefusalReason.READ_ONLY,
    ], "busy is not a reason of its own where mounts and holders explain it"


def test_a_loop_device_does_not_explain_why_a_drive_is_busy():
    usage = Usage(holders=(Holder(HolderKind.LOOP, "loop0"),), busy=True)
    assert reasons(usage) == [RefusalReason.HELD_BY_LOOP, RefusalReason.BUSY]


@pytest.mark.parametrize(
    "serial", ["WD-WCC3F0123456", " wd-wcc3f0123456 ", "0x50014ee20b1c2233", "naa.50014EE20B1C2233"]
)
def test_the_policy_protects_by_serial_number_or_name(serial):
    assert reasons(Usage(), Protection(frozenset({serial}))) == [RefusalReason.PROTECTED_BY_POLICY]
    assert reasons(Usage(), Protection(frozenset({serial})), serial=None, wwn=None) == []


@pytest.mark.parametrize(
    ("changes", "refused"),
    [
        ({}, False),
        ({"removable": True}, True),
        ({"removable": None}, True),
        ({"transport": Transport.USB}, True),
        ({"transport": Transport.FILE, "removable": None}, False),
    ],
)
def test_the_policy_may_refuse_removable_drives(changes, refused):
    assert bool(reasons(Usage(), Protection(refuse_removable=True), **changes)) is refused
    assert reasons(Usage(), Protection(), **changes) == []


def test_a_long_list_is_cut():
    usage = Usage(holders=tuple(Holder(HolderKind.LOOP, f"loop{i}") for i in range(30)))
    [refusal] = examine(drive(), usage, Protection())
    assert "loop3 and 26 more" in refusal.sentence
    assert "loop4" not in refusal.sentence


def test_a_mount_point_is_named_once():
    mounts = tuple(Mount(f"loop{i}", "/") for i in range(5))
    refusal = examine(drive(), Usage(mounts=mounts), Protection())[0]
    assert "at / (through loop0): unmount" in refusal.sentence


usages = st.builds(
    Usage,
    mounts=st.lists(st.builds(Mount, st.just("sda1"), st.text(max_size=5))).map(tuple),
    swaps=st.lists(st.text(max_size=5)).map(tuple),
    holders=st.lists(st.builds(Holder, st.sampled_from(HolderKind), st.text(max_size=5))).map(tuple),
    backs_root=st.booleans(),
    backs_live_medium=st.booleans(),
    is_our_stick=st.booleans(),
    read_only=st.booleans(),
    busy=st.booleans(),
    unreadable=st.lists(st.text(max_size=5)).map(tuple),
)


@settings(deadline=None)
@given(usages)
def test_nothing_but_an_unused_drive_is_accepted(usage):
    assert (examine(drive(), usage, Protection()) == ()) is (usage == Usage())
