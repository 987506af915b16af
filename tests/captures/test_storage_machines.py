"""Whole machines as other projects captured them: which drives they have, what these say, what is refused.

Where we differ from udev's own words, on purpose:

- A World Wide Name has the kernel's prefix (``naa.``, ``eui.``), udev writes ``0x``; only zeros are none.
- ``nvme.…`` names, which the kernel makes up of vendor, serial number and model, are no World Wide Names.
- On a SCSI bus the serial number is the unit's own, not the name that udev has in ID_SERIAL_SHORT.
- ATA ports are SATA only where udev ran ata_id (ID_ATA_SATA); after sg3-utils' rules nobody said so.
- A DASD's ID_SERIAL is its place on the bus, and virtio's vendor number is that of a bus: both are left out.
- Vendors "ATA", "USB" and "Generic" are no manufacturers.
"""

import os
from pathlib import Path

import pytest

from rasura_agent.guard import Protection, RefusalReason, examine
from rasura_agent.inventory.drives import enumerate_drives
from rasura_agent.inventory.model import Drive, HolderKind, Transport, Usage
from rasura_agent.inventory.same import NoteKind
from rasura_agent.inventory.usage import gather_usage
from simulators.machine import Machine, from_probert

pytestmark = pytest.mark.corpus

Known = tuple[Transport | None, str | None, str | None, str | None]
"""Transport, model, serial number, World Wide Name."""

T, R = Transport, RefusalReason
LIVE = {R.HOLDS_ROOT, R.LIVE_MEDIUM, R.MOUNTED, R.HELD_BY_LOOP}
INSTALLED = {R.HOLDS_ROOT, R.MOUNTED, R.HELD_BY_LOOP}
BCACHE = {R.MOUNTED, R.HELD_BY_BCACHE}
FLASH = "01012e82fc63883cd49a05d58e9c785d329287c0c9bd4266dfbc025f731e88103c59"

IMSM_DRIVES: dict[str, Known] = {
    "sda": (T.ATA, "TOSHIBA DT01ACA1", "Y6AKDK9MS", "naa.5000039febf22ff6"),
    "sdb": (T.ATA, "TOSHIBA DT01ACA1", "Z6NVLPBMS", "naa.5000039fedcc17ce"),
    "sdc": (T.USB, "Ultra USB 3.0", "4C530000021125101524", None),
    "nvme0n1": (T.NVME, "A400 NVMe SanDisk 256GB", "171877421152", "eui.1718774211520001001b444a444677f0"),
    "nvme1n1": (T.NVME, "A400 NVMe SanDisk 256GB", "171877424191", "eui.1718774241910001001b444a444601b7"),
}
IMSM_REFUSED = {"sda": INSTALLED, "nvme0n1": {R.HELD_BY_MD}, "nvme1n1": {R.HELD_BY_MD}}


def virtio(*serials: str | None) -> dict[str, Known]:
    return {f"vd{chr(ord('a') + i)}": (T.VIRTIO, None, serial, None) for i, serial in enumerate(serials)}


def dasds(names: str) -> dict[str, Known]:
    return {f"dasd{letter}": (None, None, None, None) for letter in names}


# By file: every drive with what is known of it, and why some are refused.
MACHINES: dict[str, tuple[dict[str, Known], dict[str, set[RefusalReason]]]] = {
    # Two drives of one batch share a World Wide Name of zeros; the machine runs from a USB stick.
    "curtin/probert_storage_bogus_wwn.json": (
        {
            "sda": (T.ATA, "Corsair Force GS", "13207907000097410026", None),
            "sdb": (T.ATA, "Corsair Force GS", "1320790700009741003D", None),
            "sdc": (T.USB, "Flash Disk", "72FFA457", None),
            "nvme0n1": (T.NVME, "SAMSUNG SSD 970 EVO Plus 500GB", "S4EVNJ0N203359W", "eui.0025385201404936"),
        },
        {"sda": {R.HELD_BY_MD}, "sdb": {R.HELD_BY_MD}, "sdc": LIVE},
    ),
    # A mainframe; dasde is not formatted yet and has no size.
    "curtin/probert_storage_dasd.json": (dasds("abcde"), {"dasdd": INSTALLED, "dasde": {R.ZERO_SIZE}}),
    # Root on bcache over a disk and a partition of the NVMe drive, which has a ZFS pool on another.
    "curtin/probert_storage_diglett.json": (
        {
            "sda": (T.SAS, "MM1000GBKAL", "9XG8HR8X", "naa.3001438034e549a0"),
            "sdb": (T.SAS, "MM1000GBKAL", "9XG4LCPR", "naa.3001438034e549a1"),
            "nvme0n1": (T.NVME, "INTEL SSDPEDME400G4", "CVMD4456000M400AGN", None),
        },
        {"sda": INSTALLED | BCACHE, "nvme0n1": INSTALLED | BCACHE | {R.HELD_BY_ZFS}},
    ),
    "curtin/probert_storage_imsm.json": (IMSM_DRIVES, IMSM_REFUSED),
    "subiquity/imsm.json": (IMSM_DRIVES, IMSM_REFUSED),
    # Booted from a recovery partition inside a firmware RAID volume of both drives.
    "curtin/probert_storage_imsm_with_parts.json": (
        {
            "nvme0n1": (
                T.NVME,
                "PC SN820 NVMe WD 4096GB",
                "23114N440702",
                "eui.e8238fa6bf530001001b444a48ae486a",
            ),
            "nvme1n1": (
                T.NVME,
                "KXG80ZN84T09 NVMe KIOXIA 4096GB",
                "53DFC140F0KK",
                "eui.00000000000000008ce38e0500e3957d",
            ),
        },
        {"nvme0n1": LIVE | {R.HELD_BY_MD}, "nvme1n1": LIVE | {R.HELD_BY_MD}},
    ),
    # RAID 5 below bcache; vdh is a read-only seed image.
    "curtin/probert_storage_mdadm_bcache.json": (
        virtio("disk-a", "output_disk.img", "disk-b", "disk-c", "disk-d", "disk-e", "disk-f", "seed.img"),
        {
            "vda": {R.HOLDS_ROOT} | BCACHE,
            **dict.fromkeys(("vdc", "vdd"), BCACHE),
            **{disk: BCACHE | {R.HELD_BY_MD} for disk in ("vde", "vdf", "vdg")},
            "vdh": {R.READ_ONLY},
        },
    ),
    "curtin/probert_storage_msdos_mbr_extended.json": (
        {
            "sda": (T.SATA, "VBOX HARDDISK", "VB8c19b19a-f4bb9832", None),
            "sdb": (T.SATA, "VBOX HARDDISK", "VB2ee24240-b9b86f0e", None),
        },
        {},
    ),
    "curtin/probert_storage_msdos_mbr_extended_v2.json": (virtio(None, None), {}),
    # The namespace is the head of a multipath subsystem, and its name a UUID.
    "curtin/probert_storage_nvme_uuid.json": (
        {
            "nvme0n1": (
                T.NVME,
                "SAMSUNG MZPLL3T2HAJQ-00005",
                "S4CCNE0M300015",
                "uuid.344343304d3000150025384500000004",
            )
        },
        {},
    ),
    # The live medium is a device-mapper device over a partition of the stick; LVM is active on the disk.
    "curtin/probert_storage_ventoy.json": (
        {
            "sda": (T.SATA, "CT500MX500SSD4", "1928E21350E2", "naa.500a0751e21350e2"),
            "sdb": (
                T.USB,
                "SanDisk 3.2Gen1",
                FLASH + "000000000000000000009c59ceb5ff055800915581071faea527",
                None,
            ),
        },
        {"sda": {R.HELD_BY_LVM}, "sdb": LIVE | {R.HELD_BY_DM}},
    ),
    "curtin/probert_storage_win10_bitlocker.json": ({"sda": (T.ATA, "QEMU HARDDISK", "QM00001", None)}, {}),
    "subiquity/booted-from-rp.json": (virtio(None), {"vda": LIVE}),
    "subiquity/lp1999173-raid1.json": (virtio(None, None), {"vdb": {R.HELD_BY_MD}}),
    "subiquity/ms-win-dyn-disk.json": ({"sda": (T.ATA, "VBOX HARDDISK", "VBe582b5d7-faecf7dc", None)}, {}),
    # One drive behind two paths.
    "subiquity/multipath.json": (
        dict.fromkeys(("sda", "sdb"), (T.SCSI, "QEMU HARDDISK", "5002e10000000000", "naa.5000c50015ea71aa")),
        {"sda": {R.HELD_BY_MULTIPATH}, "sdb": {R.HELD_BY_MULTIPATH}},
    ),
    "subiquity/two-nics-one-up-one-down.json": (virtio(None, None), {}),
    "subiquity/win10.json": ({"sda": (T.ATA, "QEMU HARDDISK", "QM00001", None)}, {}),
    "subiquity/win11-along-ubuntu.json": ({"sda": (T.SATA, "QEMU HARDDISK", "QM00001", None)}, {}),
}


@pytest.fixture(scope="module")
def machines() -> Path:
    corpus = os.environ.get("RASURA_CORPUS")
    if not corpus:
        pytest.skip("RASURA_CORPUS is unset: it names the folder of published captures of real machines")
    return Path(corpus) / "storage-machines"


def read(path: Path) -> tuple[Machine, dict[str, Drive], dict[str, Usage]]:
    machine = from_probert(path)
    drives = {drive.path.removeprefix("/dev/"): drive for drive in enumerate_drives(machine, machine).drives}
    found = gather_usage(list(drives.values()), machine, machine)
    return machine, drives, {name: found[drive.path] for name, drive in drives.items()}


def test_every_published_machine_is_in_the_table(machines):
    assert {path.relative_to(machines).as_posix() for path in machines.rglob("*.json")} == set(MACHINES)


@pytest.mark.parametrize("name", MACHINES)
def test_drives_and_refusals(machines, name):
    known, refused = MACHINES[name]
    machine, drives, used = read(machines / name)
    assert {n: (d.transport, d.model, d.serial, d.wwn) for n, d in drives.items()} == known
    for drive in drives.values():
        assert drive.device_number == next(d.number for d in machine.devices.values() if d.path == drive.path)
        assert drive.identity_pages[-1].name == "sysfs-identity", "captures hold no raw pages"
    reasons = {n: {r.reason for r in examine(d, used[n], Protection())} for n, d in drives.items()}
    assert {n: why for n, why in reasons.items() if why} == refused


@pytest.mark.parametrize("name", MACHINES)
def test_without_root_every_drive_is_refused(machines, name):
    machine = from_probert(machines / name)
    machine.root = False
    drives = enumerate_drives(machine, machine).drives
    found = gather_usage(drives, machine, machine)
    for drive in drives:
        assert RefusalReason.USAGE_UNKNOWN in {
            r.reason for r in examine(drive, found[drive.path], Protection())
        }


@pytest.mark.parametrize("name", MACHINES)
def test_identity_does_not_depend_on_udev(machines, name):
    machine = from_probert(machines / name)
    with_udev = [drive.identity_sha256 for drive in enumerate_drives(machine, machine).drives]
    machine.udev.clear()
    assert [drive.identity_sha256 for drive in enumerate_drives(machine, machine).drives] == with_udev


def test_pool_members_and_shared_names(machines):
    _, _, used = read(machines / "curtin/probert_storage_diglett.json")
    assert [h.name for h in used["nvme0n1"].holders if h.kind is HolderKind.ZFS] == ["nvme0n1p3"]
    bogus, multipath = (
        from_probert(machines / name)
        for name in ("curtin/probert_storage_bogus_wwn.json", "subiquity/multipath.json")
    )
    assert enumerate_drives(bogus, bogus).notes == ()
    assert [note.kind for note in enumerate_drives(multipath, multipath).notes] == [NoteKind.SAME_DRIVE]
