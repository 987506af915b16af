"""No schedule of faults on any ATA drive makes a technique say DONE over old data.

``RASURA_FAULT_SCHEDULES`` says how many schedules are tried for each property.
"""

from __future__ import annotations

import os

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rasura.certificate import Presence, Technique
from rasura_agent.drive.port import Disposition
from rasura_agent.erase.firmware.ata_locked import recover_locked
from rasura_agent.erase.firmware.ata_offers import SANITIZE_KINDS, offers
from rasura_agent.erase.firmware.ata_password import EMPTY_PASSWORD, PUBLISHED_PASSWORD
from rasura_agent.erase.firmware.ata_sanitize import run_sanitize
from rasura_agent.erase.firmware.ata_sanitize_left import adopt_sanitize, leave_failure_mode
from rasura_agent.erase.firmware.ata_security import run_security_erase
from rasura_agent.erase.firmware.hidden_areas import Lifted, find, lift
from rasura_agent.erase.firmware.line import Line, TechniqueEnd
from simulators.ata_host import USER
from simulators.ata_options import AtaOptions, Freeze
from simulators.ports_media import Lie
from simulators.sat import BridgeOptions
from simulators.world import FaultKind, PowerCut
from unit.test_firmware_ata_bench import Bench

SCHEDULES = int(os.environ.get("RASURA_FAULT_SCHEDULES", "400"))
CAPACITY = 10**11
TECHNIQUES = (*SANITIZE_KINDS, Technique.ATA_SECURITY_ERASE_ENHANCED, Technique.ATA_SECURITY_ERASE)

many = settings(
    max_examples=SCHEDULES,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
faults = st.dictionaries(st.integers(0, 14), st.sampled_from(FaultKind), max_size=4)
passwords = st.sampled_from([None, PUBLISHED_PASSWORD, EMPTY_PASSWORD, USER])
fractions = st.sampled_from([None, None, None, 0.0, 0.5, 0.99])
sizes = st.sampled_from([None, None, 40, 63])
healthy = st.builds(
    AtaOptions,
    rotation_rate=st.sampled_from([0, 1, 7200]),
    encrypts_all=st.booleans(),
    sanitize_completed_before=st.booleans(),
    overwrite_s=st.just(120.0),
    erase_s=st.just(200.0),
    bios_freezes=st.sampled_from([Freeze.NEVER, Freeze.NEVER, Freeze.AT_BOOT]),
    hpa_sectors=sizes,
    dco_sectors=sizes,
)
drives = st.builds(
    AtaOptions,
    rotation_rate=st.sampled_from([0, 1, 7200]),
    encrypts_all=st.booleans(),
    user_password=passwords.map(lambda one: one if one is None else one.ljust(32, b"\0")),
    attempts_expired=st.booleans(),
    bios_freezes=st.sampled_from(Freeze),
    bios_freezes_sanitize=st.sampled_from(Freeze),
    erase_s=st.sampled_from([0.0, 200.0]),
    enhanced_s=st.sampled_from([0.0, 120.0]),
    erase_word=st.sampled_from([0, 1, 60, 0xFF]),
    enhanced_word=st.sampled_from([0, 1, 60]),
    erase_fails_at=fractions,
    erase_keeps_password=st.booleans(),
    crypto_s=st.sampled_from([0.0, 2.0]),
    block_s=st.sampled_from([0.0, 30.0]),
    overwrite_s=st.sampled_from([0.0, 120.0]),
    sanitize_fails_at=fractions,
    progress_stuck_at=st.sampled_from([None, None, None, None, 0.5]),
    sanitize_completed_before=st.booleans(),
    hpa_sectors=sizes,
    dco_sectors=sizes,
    ama=st.booleans(),
    lie=st.sampled_from([None, None, Lie(), Lie(instantly=True), Lie(leaves=(), leaves_hidden=True)]),
)
bridges = st.builds(
    BridgeOptions,
    swallows_descriptor=st.sampled_from([False, False, False, True]),
    fixed_sense=st.booleans(),
    pretends=st.sampled_from([False, False, False, True]),
)


def attempt(bench: Bench, technique: Technique, line: Line) -> TechniqueEnd:
    if technique in SANITIZE_KINDS:
        return run_sanitize(line, SANITIZE_KINDS[technique], capacity_bytes=CAPACITY)
    enhanced = technique is Technique.ATA_SECURITY_ERASE_ENHANCED
    return run_security_erase(line, enhanced, bench.journal, "drive", CAPACITY)


def prepare(bench: Bench, faults: dict[int, FaultKind]) -> Lifted:
    """What a boot does before the technique, on one line."""
    line = bench.line(faults)
    for end in (adopt_sanitize(line, capacity_bytes=CAPACITY), leave_failure_mode(line)):
        assert end.disposition is not Disposition.DONE, "nothing was erased by it"
    recovery = recover_locked(line, bench.journal, "drive")
    assert recovery.free <= (not bench.drive.security.enabled), "said to be free only if it is"
    return lift(line, find(line, bench.identify()))


@many
@given(
    options=drives,
    bridge=bridges,
    technique=st.sampled_from(TECHNIQUES),
    first=faults,
    second=faults,
    bad=st.sampled_from([(), (), (5,), (0, 63)]),
    codecs=st.booleans(),
)
def test_done_means_that_no_old_data_is_left(
    options: AtaOptions,
    bridge: BridgeOptions,
    technique: Technique,
    first: dict[int, FaultKind],
    second: dict[int, FaultKind],
    bad: tuple[int, ...],
    codecs: bool,
) -> None:
    bench = Bench(options, bridge, codecs=codecs)
    bench.drive.medium.bad.update(bad)
    had_password = bench.drive.security.enabled
    assert len(offers(bench.identify(), bench.inventory())) == len(TECHNIQUES)
    try:
        hidden = prepare(bench, first)
        line = bench.line(second)
        end = attempt(bench, technique, line)
    except PowerCut:
        return
    if end.disposition is Disposition.DONE and options.lie is None:
        beyond = 0
        if technique is Technique.ATA_SECURITY_ERASE:
            # Normal mode ends at the native maximum address; that there may be more has been said.
            beyond = bench.drive.medium.sectors - bench.drive.capacity.native_sectors
            assert not beyond or hidden.risks
        assert bench.old_sectors() == beyond
    if end.disposition is Disposition.REFUSED:
        assert bench.untouched
        assert had_password or not bench.drive.security.enabled


@settings(many, max_examples=SCHEDULES // 4)
@given(options=healthy, technique=st.sampled_from(TECHNIQUES), first=faults, second=faults)
def test_whatever_happened_a_later_boot_erases_the_drive(
    options: AtaOptions, technique: Technique, first: dict[int, FaultKind], second: dict[int, FaultKind]
) -> None:
    bench = Bench(options)
    for schedule in (first, second):
        try:
            prepare(bench, schedule)
            attempt(bench, technique, bench.line(schedule))
        except PowerCut:
            pass
        bench.bay.power_cycle()
    for _ in range(3):
        prepare(bench, {})
        bench.bay.power_cycle()
    areas = find(bench.line(), bench.identify())
    assert {area.presence for _, area in areas.areas} == {Presence.ABSENT}
    bench.bay.suspend_resume()  # thaws what a BIOS froze at boot
    end = attempt(bench, technique, bench.line())
    assert end.disposition is Disposition.DONE, end.reason
    assert bench.old_sectors() == 0
    assert not bench.journal.intents
