"""What a SCSI drive offers, for how long, and whether it is the drive that was meant."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from rasura.certificate import Method, Technique
from rasura_agent.drive.scsi.capacity import Capacity
from rasura_agent.drive.scsi.inquiry import StandardInquiry
from rasura_agent.drive.scsi.opcodes import CommandSupport, CommandTimeouts, Support
from rasura_agent.drive.scsi.virtual import VirtualKind, virtual_disk
from rasura_agent.erase.firmware.line import Line
from rasura_agent.erase.firmware.offer import Offer
from rasura_agent.erase.firmware.scsi_capabilities import SanitizeKind, ScsiCapabilities, read_capabilities
from rasura_agent.erase.firmware.scsi_identity import Identity, same_identity
from rasura_agent.erase.firmware.scsi_offers import offers
from rasura_agent.erase.firmware.scsi_pace import format_pace, sanitize_estimate_s, sanitize_pace, too_fast
from rasura_agent.erase.firmware.scsi_state import ScsiState
from rasura_agent.inventory.model import Drive
from simulators.ports import Bay, scsi_bay
from simulators.scsi import SimulatedScsiDrive
from simulators.scsi_options import SOLID_STATE, ScsiOptions
from simulators.world import FaultSchedule, ManualClock
from unit.test_firmware_scsi_bench import judge_as_sg_io


def line_to(bay: Bay, schedule: FaultSchedule | None = None) -> Line:
    return Line(bay.open_port(schedule, judge_as_sg_io), bay.clock, lambda running: None)


def read(options: ScsiOptions) -> tuple[ScsiCapabilities, Drive]:
    bay, _ = scsi_bay(ManualClock(), options=options)
    return read_capabilities(line_to(bay)), bay.identify()


STANDARD = CommandSupport(Support.STANDARD)
NOT_SUPPORTED = CommandSupport(Support.NOT_SUPPORTED)


# Offers


@pytest.mark.parametrize(
    ("rotation_rate", "purge", "clear"),
    [
        (
            10500,
            [Technique.SCSI_SANITIZE_CRYPTO, Technique.SCSI_SANITIZE_OVERWRITE],
            Technique.SCSI_SANITIZE_BLOCK,
        ),
        (
            SOLID_STATE,
            [Technique.SCSI_SANITIZE_CRYPTO, Technique.SCSI_SANITIZE_BLOCK],
            Technique.SCSI_SANITIZE_OVERWRITE,
        ),
    ],
)
def test_what_a_healthy_drive_offers(rotation_rate: int, purge: list[Technique], clear: Technique) -> None:
    made = offers(*read(ScsiOptions(rotation_rate=rotation_rate)))
    assert [offer.technique for offer in made] == [*purge, clear, Technique.SCSI_FORMAT_UNIT]
    assert [offer.method for offer in made] == [Method.PURGE, Method.PURGE, Method.CLEAR, Method.CLEAR]
    assert [offer.obstacle for offer in made] == [None] * 4
    assert {offer.basis for offer in made[:2]} == {"IEEE 2883 / NIST SP 800-88r2 Purge"}
    assert all("Clear" in offer.basis for offer in made[2:])


def test_where_the_rotation_is_not_known_only_cryptographic_erase_is_purge() -> None:
    said, drive = read(ScsiOptions())
    made = offers(replace(said, rotational=None), replace(drive, rotational=None))
    assert [offer.technique for offer in made if offer.method is Method.PURGE] == [
        Technique.SCSI_SANITIZE_CRYPTO
    ]


def changed(said: ScsiCapabilities, **inquiry: str | int) -> ScsiCapabilities:
    assert said.inquiry is not None
    values = {name: getattr(said.inquiry, name) for name in StandardInquiry.__struct_fields__} | inquiry
    return replace(said, inquiry=StandardInquiry(**values))


SAID, DRIVE = read(ScsiOptions())


@pytest.mark.parametrize(
    ("said", "words"),
    [
        (replace(SAID, inquiry=None), "did not say"),
        (changed(SAID, vendor="LSI", product="MR9271-8i"), "no drive but a disk made by LSI"),
        (changed(SAID, peripheral_type=0x0C), "no disk drive"),
        (changed(SAID, qualifier=1), "no disk drive"),
        (replace(SAID, translated_ata=True), "ATA commands"),
        (replace(SAID, serial="ANOTHER"), "reaches a drive with serial number ANOTHER"),
        (replace(SAID, serial=None, wwn=None), "cannot be told"),
        (replace(SAID, state=ScsiState.SANITIZING), "followed to its end"),
        (replace(SAID, state=ScsiState.FORMATTING), "followed to its end"),
        (replace(SAID, state=ScsiState.UNKNOWN), "state could not be told"),
        (replace(SAID, write_protected=True), "write-protected"),
    ],
)
def test_what_stands_in_the_way_of_every_technique(said: ScsiCapabilities, words: str) -> None:
    made = offers(said, DRIVE)
    assert len(made) == 4
    assert all(words in (offer.obstacle or "") for offer in made)


@pytest.mark.parametrize(
    ("support", "words"),
    [
        (None, "does not tell"),
        (NOT_SUPPORTED, "does not support"),
        (CommandSupport(Support.NOT_AVAILABLE_NOW), "ask again"),
        (CommandSupport(Support.VENDOR_SPECIFIC), "maker's own way"),
    ],
)
def test_what_stands_in_the_way_of_one_technique(support: CommandSupport | None, words: str) -> None:
    made = offers(replace(SAID, crypto=support), DRIVE)
    assert [offer.technique for offer in made if offer.obstacle] == [Technique.SCSI_SANITIZE_CRYPTO]
    assert words in str(offer_for(made, Technique.SCSI_SANITIZE_CRYPTO).obstacle)


def offer_for(made: tuple[Offer, ...], technique: Technique) -> Offer:
    return next(offer for offer in made if offer.technique is technique)


def test_format_unit_is_mandatory_so_silence_about_it_is_no_obstacle() -> None:
    silent = offers(replace(SAID, format_unit=None), DRIVE)
    assert offer_for(silent, Technique.SCSI_FORMAT_UNIT).obstacle is None
    without = offers(replace(SAID, format_unit=NOT_SUPPORTED), DRIVE)
    assert "does not support" in str(offer_for(without, Technique.SCSI_FORMAT_UNIT).obstacle)


def test_after_a_failed_sanitize_only_another_is_offered() -> None:
    made = offers(replace(SAID, state=ScsiState.SANITIZE_FAILED), DRIVE)
    assert [offer.technique for offer in made if offer.obstacle] == [Technique.SCSI_FORMAT_UNIT]


# Time


def with_timeouts(nominal: int | None, recommended: int | None, terabytes: int = 4) -> ScsiCapabilities:
    support = CommandSupport(Support.STANDARD, timeouts=CommandTimeouts(nominal, recommended))
    size = Capacity(terabytes * 10**12 // 512, 512)
    return replace(SAID, capacity=size, crypto=support, block=support, overwrite=support, format_unit=support)


@pytest.mark.parametrize(
    ("nominal", "recommended", "estimate"),
    [(None, None, None), (30_000, None, 30_000.0), (30_000, 40_000, 40_000.0), (10, 60, None)],
    ids=["none", "nominal", "recommended", "of the acceptance only"],
)
def test_the_estimate_is_the_drives_own(
    nominal: int | None, recommended: int | None, estimate: float | None
) -> None:
    said = with_timeouts(nominal, recommended)
    assert sanitize_estimate_s(said, SanitizeKind.OVERWRITE) == estimate
    assert format_pace(said).estimate_s == estimate
    assert offer_for(offers(said, DRIVE), Technique.SCSI_SANITIZE_OVERWRITE).estimate_s == estimate


def test_deadlines_leave_the_margins() -> None:
    said = with_timeouts(None, 500_000)
    assert sanitize_pace(said, SanitizeKind.OVERWRITE).deadline_s == 500_000 + 3600
    assert sanitize_pace(said, SanitizeKind.OVERWRITE, passes=3).deadline_s == 1_500_000 + 3600
    silent = with_timeouts(None, None)
    by_capacity = 4e12 / (30 * 1024 * 1024) + 1800
    assert sanitize_pace(silent, SanitizeKind.OVERWRITE).deadline_s == pytest.approx(by_capacity, abs=1)
    assert format_pace(silent).deadline_s == pytest.approx(by_capacity, abs=1)
    assert sanitize_pace(silent, SanitizeKind.CRYPTO).deadline_s == 4 * 3600
    assert sanitize_pace(replace(silent, capacity=None), SanitizeKind.OVERWRITE).deadline_s > by_capacity


def test_no_drive_writes_faster_than_this() -> None:
    said = with_timeouts(None, None)
    assert too_fast(said, 3999)
    assert not too_fast(said, 4001)
    assert too_fast(said, 4001, passes=2)
    assert not too_fast(replace(said, rotational=False), 251)
    assert not too_fast(replace(said, capacity=None), 0)


# Identity


def drive_with(serial: str | None, wwn: str | None) -> Drive:
    return replace(DRIVE, serial=serial, wwn=wwn)


@pytest.mark.parametrize(
    ("serial", "wwn", "block_serial", "block_wwn", "identity"),
    [
        ("S1", "naa.5000c500f0e1d2c0", "S1", "naa.5000c500f0e1d2c0", Identity.SAME),
        ("S1", "naa.5000c500f0e1d2c0", "S1", "0x5000c500f0e1d2c0", Identity.SAME),
        ("S1", "naa.5000c500f0e1d2c0", " S1 ", "NAA.5000C500F0E1D2C0", Identity.SAME),
        ("S1", None, "S1", "naa.5000c500f0e1d2c0", Identity.SAME),
        (None, "naa.5000c500f0e1d2c0", "S1", "naa.5000c500f0e1d2c0", Identity.SAME),
        ("S1", "naa.5000c500f0e1d2c0", "S2", "naa.5000c500f0e1d2c0", Identity.DIFFERENT),
        ("S1", "naa.5000c500f0e1d2c0", "S1", "naa.5000c500f0e1d2c4", Identity.DIFFERENT),
        ("S1", "naa.5000c500f0e1d2c0", None, "naa.5000c500f0e1d2c4", Identity.DIFFERENT),
        ("S1", None, None, "naa.5000c500f0e1d2c0", Identity.UNKNOWN),
        (None, None, "S1", "naa.5000c500f0e1d2c0", Identity.UNKNOWN),
        ("S1", "naa.5000c500f0e1d2c0", None, None, Identity.UNKNOWN),
        ("0000", "naa.0000000000000000", "0000", "naa.0000000000000000", Identity.UNKNOWN),
        ("", "", "", "", Identity.UNKNOWN),
        (None, None, None, None, Identity.UNKNOWN),
    ],
)
def test_identity(
    serial: str | None, wwn: str | None, block_serial: str | None, block_wwn: str | None, identity: Identity
) -> None:
    verdict = same_identity(serial, wwn, drive_with(block_serial, block_wwn))
    assert verdict.identity is identity
    assert DRIVE.path in verdict.sentence


def test_another_drive_in_the_same_place_is_noticed() -> None:
    clock = ManualClock()
    bay, drive = scsi_bay(clock)
    other = SimulatedScsiDrive(clock, drive.medium, ScsiOptions(serial="OTHER", wwn=0x5000C500AAAAAAA0))
    before = bay.identify()
    said = read_capabilities(line_to(Bay(other, transport=bay.transport)))
    assert same_identity(said.serial, said.wwn, before).identity is Identity.DIFFERENT


# Virtual disks


@pytest.mark.parametrize(
    ("vendor", "product"),
    [
        ("LSI", "MR9271-8i"),
        ("LSI", "Logical Volume"),
        ("LSILOGIC", "Logical Volume"),
        ("LSI", "MegaRAID 84016E"),
        ("AVAGO", "MR9361-8i"),
        ("BROADCOM", "MR9560-16i"),
        ("MegaRAID", "LD 0 RAID1   69G"),
        ("DELL", "PERC H710P"),
        ("DELL", "PERC 6/i"),
        ("Dell", "VIRTUAL DISK"),
        ("DELLBOSS", "VD"),
        ("HP", "LOGICAL VOLUME"),
        ("HPE", "LOGICAL VOLUME"),
        ("COMPAQ", "LOGICAL VOLUME"),
        ("Adaptec", "ROOT"),
        ("Adaptec", "LOGICAL VOLUME"),
        ("ASR8805", "Device 0"),
        ("Areca", "ARC-1880-VOL#000"),
        ("Areca", "library"),
        ("AMCC", "9650SE-4LP DISK"),
        ("3ware", "Logical Disk 00"),
        ("IBM", "ServeRAID M5110e"),
        ("IBM", "SERVERAID"),
        ("LENOVO", "RAID 930-8i-2GB"),
        ("INTEL", "RMS25CB080"),
        ("Intel", "RS3DC080"),
        ("Cisco", "UCSC-MRAID12G"),
        ("FTS", "PRAID EP400i"),
        ("Nobody", "RAID 5"),
        ("Nobody", "Logical Volume"),
    ],
)
def test_a_volume_of_a_raid_controller_is_no_drive(vendor: str, product: str) -> None:
    disk = virtual_disk(vendor, product)
    assert disk is not None
    assert disk.kind is VirtualKind.RAID_CONTROLLER
    assert virtual_disk(vendor.upper() + "  ", product.upper() + " ") == disk or vendor == "Nobody"


@pytest.mark.parametrize(
    ("vendor", "product", "kind"),
    [
        ("QEMU", "QEMU HARDDISK", VirtualKind.HYPERVISOR),
        ("VMware", "Virtual disk", VirtualKind.HYPERVISOR),
        ("Msft", "Virtual Disk", VirtualKind.HYPERVISOR),
        ("DGC", "VRAID", VirtualKind.STORAGE_ARRAY),
        ("NETAPP", "LUN C-Mode", VirtualKind.STORAGE_ARRAY),
        ("LIO-ORG", "nvme_disk", VirtualKind.STORAGE_ARRAY),
        ("IBM", "2145", VirtualKind.STORAGE_ARRAY),
    ],
)
def test_other_disks_that_are_no_drives(vendor: str, product: str, kind: VirtualKind) -> None:
    disk = virtual_disk(vendor, product)
    assert disk is not None
    assert disk.kind is kind


@pytest.mark.parametrize(
    ("vendor", "product"),
    [
        ("SEAGATE", "ST9300603SS"),
        ("IBM-ESXS", "ST9300603SS   F"),
        ("TOSHIBA", "AL14SEB120N"),
        ("HGST", "HUC101812CSS204"),
        ("HITACHI", "HUC156060CSS200"),
        ("HP", "EG0600FBDSR"),
        ("HPE", "MO003200JXBFB"),
        ("NETAPP", "X411_S15K7560A15"),
        ("SAMSUNG", "MZILS960HEHP/007"),
        ("WD", "WD3001BKHG"),
        ("INTEL", "SSDSC2BB480G4"),
        ("SIMULATE", "SAS DRIVE"),
        (None, None),
    ],
)
def test_a_drive_is_a_drive(vendor: str | None, product: str | None) -> None:
    assert virtual_disk(vendor, product) is None
