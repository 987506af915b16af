"""One made-up drive of each kind, with and without udev."""

import json

import pytest
from msgspec.structs import replace

from rasura_agent.inventory.describe import describe
from rasura_agent.inventory.drives import InventoryError, enumerate_drives
from rasura_agent.inventory.model import Drive, Transport
from rasura_agent.inventory.same import NoteKind, drive_notes, same_drive
from simulators.machine import Machine

PCI = "/devices/pci0000:00/0000:00:1f.2"
SATA = f"{PCI}/ata1/host0/target0:0:0/0:0:0:0/block/sda"
USB = f"{PCI}/usb3/3-1/3-1:1.0/host6/target6:0:0/6:0:0:0/block/sdb"
SAS = f"{PCI}/host0/port-0:2/end_device-0:2/target0:0:1/0:0:1:0/block/sdc"
NVME = f"{PCI}/nvme/nvme0/nvme0n1"
MMC = "/devices/platform/soc/mmc_host/mmc0/mmc0:0001/block/mmcblk0"
NAA_PAGE = bytes.fromhex("0083000c" + "01030008" + "5000c50015ea71aa")


def serial_page(serial: bytes) -> bytes:
    return bytes([0, 0x80, 0, len(serial)]) + serial


def only(machine: Machine, **options: bool) -> Drive:
    [drive] = enumerate_drives(machine, machine, **options).drives
    return drive


def identity(drive: Drive) -> dict[str, object]:
    return {page.name: page.data for page in drive.identity_pages}


def sata(
    machine: Machine, name: str = "sda", place: str = SATA, serial: bytes = b"9XG8HR8X", **properties: str
) -> None:
    attributes = {
        "device/vendor": b"ATA     ",
        "device/model": b"SAMSUNG MZ7LN256",
        "device/rev": b"0L0Q",
        "device/wwid": b"naa.5000c50015ea71aa\n",
        "device/inquiry": bytes(36),
        "device/vpd_pg80": serial_page(serial),
        "device/vpd_pg83": NAA_PAGE,
        "queue/logical_block_size": "512",
        "queue/physical_block_size": "4096",
        "queue/rotational": "0",
        "diskseq": "3",
    }
    machine.disk(name, place, sectors=500118192, attributes=attributes, properties=properties or None)


def test_sata_drive_without_udev():
    machine = Machine()
    sata(machine)
    drive = only(machine)
    assert drive.transport is Transport.ATA, "nothing says that the port is a serial one"
    assert (drive.manufacturer, drive.model, drive.serial) == (None, "SAMSUNG MZ7LN256", "9XG8HR8X")
    assert (drive.wwn, drive.firmware) == ("naa.5000c50015ea71aa", "0L0Q")
    assert drive.capacity_bytes == 500118192 * 512
    assert (drive.logical_sector_bytes, drive.physical_sector_bytes) == (512, 4096)
    assert (drive.rotational, drive.removable, drive.diskseq) == (False, False, 3)
    assert drive.path == "/dev/sda"
    assert drive.device_number == machine.devices["sda"].number


def test_udev_knows_more_and_the_identity_is_the_same():
    bare, known = Machine(), Machine()
    sata(bare)
    sata(
        known,
        ID_BUS="ata",
        ID_ATA_SATA="1",
        ID_MODEL="SAMSUNG_MZ7LN256HMJP-000L7",
        ID_MODEL_ENC=r"SAMSUNG\x20MZ7LN256HMJP-000L7\x20\x20",
        ID_SERIAL_SHORT="S2XVNX0J123456",
        ID_REVISION="MAV01L6Q",
    )
    drive = only(known)
    assert (drive.transport, drive.model) == (Transport.SATA, "SAMSUNG MZ7LN256HMJP-000L7")
    assert (drive.serial, drive.firmware) == ("S2XVNX0J123456", "MAV01L6Q")
    assert drive.identity_sha256 == only(bare).identity_sha256
    assert list(identity(drive)) == ["inquiry", "vpd_pg80", "vpd_pg83"]


def test_what_udev_remembers_of_the_disk_before_is_not_believed():
    machine = Machine()
    sata(machine, ID_BUS="ata", ID_SERIAL_SHORT="OLD", DISKSEQ="2")
    assert only(machine).serial == "9XG8HR8X"


def test_usb_stick_is_usb_and_its_motion_is_unknown():
    machine = Machine()
    attributes = {
        "device/vendor": b"SanDisk ",
        "device/model": b"Ultra USB 3.0   ",
        "device/rev": b"1.00",
        "device/inquiry": bytes(36),
        "queue/rotational": "1",
        "removable": "1",
    }
    machine.disk("sdb", USB, attributes=attributes)
    device = f"/sys{PCI}/usb3/3-1"
    machine.write(f"{device}/idVendor", "0781\n")
    machine.write(f"{device}/serial", "4C530000021125101524\n")
    drive = only(machine)
    assert (drive.transport, drive.manufacturer, drive.model) == (Transport.USB, "SanDisk", "Ultra USB 3.0")
    assert (drive.serial, drive.wwn) == ("4C530000021125101524", None)
    assert (drive.rotational, drive.removable) == (None, True)
    assert list(identity(drive)) == ["inquiry", "sysfs-identity"], "INQUIRY data alone names only a model"
    facts = json.loads(identity(drive)["sysfs-identity"])
    assert facts["serial"] == "4C530000021125101524"
    assert set(facts) == {
        *("manufacturer", "model", "serial", "wwn", "firmware", "capacity_bytes", "logical_sector_bytes")
    }


def test_a_bridge_that_reports_a_rotation_rate_is_believed():
    machine = Machine()
    page = bytes([0, 0xB1, 0, 0x3C]) + (5400).to_bytes(2, "big") + bytes(58)
    machine.disk("sdb", USB, attributes={"queue/rotational": "1", "device/vpd_pgb1": page})
    assert only(machine).rotational is True


def test_rotation_not_reported_is_unknown_on_ata_too():
    machine = Machine()
    page = bytes([0, 0xB1, 0, 0x3C]) + bytes(60)
    machine.disk("sda", SATA, attributes={"queue/rotational": "1", "device/vpd_pgb1": page})
    assert only(machine).rotational is None
    without_page = Machine()
    without_page.disk("sda", SATA, attributes={"queue/rotational": "1"})
    assert only(without_page).rotational is True


def test_sas_drive_takes_its_serial_number_and_not_its_name_for_one():
    machine = Machine()
    attributes = {
        "device/vendor": b"SEAGATE ",
        "device/model": b"ST1200MM0007",
        "device/sas_address": "0x5000c5",
    }
    properties = {
        "ID_BUS": "scsi",
        "ID_SERIAL_SHORT": "5000c50015ea71aa",
        "ID_SCSI_SERIAL": "S3L0ABCD",
        "ID_WWN": "0x5000c50015ea71aa",
        "ID_WWN_WITH_EXTENSION": "0x5000c50015ea71aa",
    }
    machine.disk("sdc", SAS, attributes=attributes, properties=properties)
    drive = only(machine)
    assert (drive.transport, drive.manufacturer) == (Transport.SAS, "SEAGATE")
    assert (drive.serial, drive.wwn) == ("S3L0ABCD", "naa.5000c50015ea71aa")


@pytest.mark.parametrize(
    ("place", "transport"),
    [
        (f"{PCI}/host0/target0:2:0/0:2:0:0/block/sda", Transport.SCSI),
        (f"{PCI}/virtio1/host2/target2:0:0/2:0:0:0/block/sda", Transport.SCSI),
        ("/devices/platform/host4/session1/target4:0:0/4:0:0:1/block/sda", Transport.ISCSI),
        (f"{PCI}/host1/rport-1:0-2/target1:0:0/1:0:0:5/block/sda", Transport.FC),
        (f"{PCI}/usb1/1-7/1-7.2/1-7.2:1.0/ata9/host14/target14:0:0/14:0:0:0/block/sda", Transport.USB),
        (f"{PCI}/ide0/0.0/block/sda", Transport.ATA),
        ("/devices/vbd-51712/block/sda", None),
    ],
)
def test_the_place_in_the_device_tree_tells_the_transport(place, transport):
    assert describe("sda", {}, {}, devpath=place).transport is transport


def test_nvme_namespace_and_its_controller():
    machine = Machine()
    attributes = {
        "wwid": "eui.0025385201404936\n",
        "nsid": "1",
        "queue/rotational": "0",
        "device/model": "SAMSUNG SSD 970 EVO Plus 500GB          \n",
        "device/serial": "S4EVNJ0N203359W     \n",
        "device/firmware_rev": "2B2QEXM7\n",
        "device/vendor": "0x144d",
    }
    machine.disk("nvme0n1", NVME, attributes=attributes)
    drive = only(machine)
    assert (drive.transport, drive.manufacturer) == (Transport.NVME, None)
    assert (drive.model, drive.serial) == ("SAMSUNG SSD 970 EVO Plus 500GB", "S4EVNJ0N203359W")
    assert (drive.wwn, drive.firmware, drive.rotational) == ("eui.0025385201404936", "2B2QEXM7", False)
    assert list(identity(drive)) == ["sysfs-identity"]


def test_nvme_name_that_the_kernel_made_up_is_none_but_an_nguid_is():
    machine = Machine()
    machine.disk(
        "nvme0n1", NVME, attributes={"wwid": "nvme.8086-43-49-00000001", "eui": "00 00 00 00 00 00 00 00"}
    )
    assert only(machine).wwn is None
    other = Machine()
    other.disk("nvme0n1", NVME, attributes={"nguid": "34434330-4d30-0015-0025-384500000004"})
    assert only(other).wwn == "eui.344343304d3000150025384500000004"


def test_mmc_drive_and_its_areas():
    machine = Machine()
    attributes = {"device/name": "DF4032\n", "device/serial": "0x6f2a1b3c\n", "device/fwrev": "0x0\n"}
    machine.disk("mmcblk0", MMC, sectors=61071360, attributes=attributes)
    for suffix in ("boot0", "boot1", "gp0", "rpmb"):
        machine.area("mmcblk0", suffix)
    inventory = enumerate_drives(machine, machine)
    [drive] = inventory.drives
    assert (drive.transport, drive.model, drive.serial) == (Transport.MMC, "DF4032", "0x6f2a1b3c")
    assert (drive.firmware, drive.rotational) == (None, None)
    [note] = inventory.notes
    assert note.kind is NoteKind.HARDWARE_PARTITIONS
    assert note.paths == ("/dev/mmcblk0", "/dev/mmcblk0gp0")


def test_virtio_drive_has_no_vendor():
    machine = Machine()
    attributes = {"serial": b"disk-a", "device/vendor": "0x1af4", "queue/rotational": "1"}
    machine.disk("vda", f"{PCI}/virtio1/block/vda", attributes=attributes)
    drive = only(machine)
    assert (drive.transport, drive.serial) == (Transport.VIRTIO, "disk-a")
    assert (drive.manufacturer, drive.model, drive.rotational) == (None, None, None)


@pytest.mark.parametrize("serial", [b"", b"        ", b"00000000000000000000", b"\0\0\0\0"])
def test_absent_serials_are_null(serial):
    machine = Machine()
    sata(machine, serial=serial)
    assert only(machine).serial is None


def test_bytes_that_are_no_text_are_shown_as_such():
    machine = Machine()
    sata(machine, serial=b"AB\xff\xfe\x1b[2J12")
    assert (
        only(machine).serial
        == "AB\N{REPLACEMENT CHARACTER}\N{REPLACEMENT CHARACTER}\N{REPLACEMENT CHARACTER}[2J12"
    )


def test_what_is_no_drive_is_not_listed():
    machine = Machine()
    for name in ("ram0", "zram0", "dm-0", "md127", "bcache0", "zd0", "nullb0"):
        machine.disk(name, f"/devices/virtual/block/{name}")
    machine.disk("sr0", f"{PCI}/ata2/host1/target1:0:0/1:0:0:0/block/sr0")
    machine.disk("fd0", "/devices/platform/floppy.0/block/fd0")
    machine.disk("nvme0c0n1", f"{PCI}/nvme/nvme0/nvme0c0n1", attributes={"hidden": "1"})
    machine.disk("nbd0", "/devices/virtual/block/nbd0", sectors=99)
    machine.disk("nbd1", "/devices/virtual/block/nbd1", sectors=0)
    machine.disk("mtdblock0", "/devices/platform/spi/mtd/mtd0/mtdblock0")
    inventory = enumerate_drives(machine, machine)
    assert inventory.drives == ()
    assert {note.kind for note in inventory.notes} == {NoteKind.NOT_A_DRIVE}
    assert {note.paths for note in inventory.notes} == {("/dev/nbd0",), ("/dev/mtdblock0",)}


def test_multipath_nvme_namespace_is_listed_once():
    machine = Machine()
    machine.disk("nvme0n1", "/devices/virtual/nvme-subsystem/nvme-subsys0/nvme0n1")
    machine.disk("nvme0c0n1", f"{PCI}/nvme/nvme0/nvme0c0n1", attributes={"hidden": "1"})
    assert only(machine).transport is Transport.NVME


def test_loop_devices_only_when_asked_for_and_in_use():
    machine = Machine()
    machine.loop("loop0", "/srv/drive.img")
    machine.disk("loop1", "/devices/virtual/block/loop1", sectors=0)
    assert enumerate_drives(machine, machine).drives == ()
    assert only(machine, include_loop=True).transport is Transport.LOOP


def test_empty_card_reader_is_a_drive_of_no_capacity():
    machine = Machine()
    machine.disk("sdb", USB, sectors=0)
    assert only(machine).capacity_bytes == 0


def test_raid_controller_is_told():
    machine = Machine()
    machine.disk("sda", f"{PCI}/host0/target0:2:0/0:2:0:0/block/sda")
    machine.write(f"/sys{PCI}/host0/scsi_host/host0/proc_name", "megaraid_sas\n")
    [note] = enumerate_drives(machine, machine).notes
    assert note.kind is NoteKind.RAID_CONTROLLER


def test_old_names_with_a_slash():
    machine = Machine()
    machine.disk("cciss!c0d0", f"{PCI}/cciss0/c0d0/block/cciss!c0d0")
    assert only(machine).path == "/dev/cciss/c0d0"


def test_names_are_in_the_order_a_person_expects():
    machine = Machine()
    for name in ("sdaa", "sdb", "sda", "nvme10n1", "nvme2n1"):
        machine.disk(name, f"{PCI}/host0/target/{name}/block/{name}")
    paths = [drive.path for drive in enumerate_drives(machine, machine).drives]
    assert paths == ["/dev/nvme2n1", "/dev/nvme10n1", "/dev/sda", "/dev/sdb", "/dev/sdaa"]


def test_two_paths_to_one_drive_are_both_listed_and_told():
    machine = Machine()
    sata(machine, "sda", SAS.replace("sdc", "sda"))
    sata(machine, "sdb", SAS.replace("sdc", "sdb").replace("end_device-0:2", "end_device-0:3"))
    inventory = enumerate_drives(machine, machine)
    assert len(inventory.drives) == 2
    assert [note.kind for note in inventory.notes] == [NoteKind.SAME_DRIVE]
    assert inventory.drives[0].identity_sha256 == inventory.drives[1].identity_sha256


def test_one_name_on_two_drives_does_not_make_them_one():
    machine = Machine()
    sata(machine, serial=b"13207907000097410026")
    sata(machine, "sdb", SATA.replace("sda", "sdb").replace("ata1", "ata2"), serial=b"1320790700009741003D")
    inventory = enumerate_drives(machine, machine)
    one, other = inventory.drives
    assert one.wwn == other.wwn
    assert not same_drive(one, other)
    assert one.identity_sha256 != other.identity_sha256
    assert [note.kind for note in inventory.notes] == [NoteKind.SHARED_WWN]


def test_which_block_devices_are_one_drive():
    base = describe(
        "nvme0n1", {}, {"device/model": "M", "device/serial": "S", "wwid": "eui.0025385201404936"}
    )
    second = replace(base, path="/dev/nvme0n2", wwn="eui.0025385201404937")
    assert same_drive(base, second), "namespaces of one controller"
    assert not same_drive(base, replace(second, serial="T"))
    volume = replace(base, transport=Transport.SCSI)
    assert not same_drive(volume, replace(second, transport=Transport.SCSI)), "volumes of one RAID controller"
    assert same_drive(replace(volume, wwn=None), replace(second, transport=Transport.SCSI, wwn=None))
    slot = replace(base, transport=Transport.USB, wwn=None)
    assert not same_drive(slot, replace(slot, path="/dev/sdc")), "slots of one card reader"


def test_notes_are_as_sure_as_what_is_known():
    base = describe("sda", {}, {"device/model": "M", "device/vpd_pg80": serial_page(b"S")}, devpath=SAS)
    named = replace(base, wwn="naa.5000c50015ea71aa")
    namespace = replace(base, transport=Transport.NVME)
    pairs = {
        NoteKind.SAME_DRIVE: named,
        NoteKind.MAYBE_SAME: base,
        NoteKind.NAMESPACES: namespace,
    }
    for kind, drive in pairs.items():
        [note] = drive_notes([drive, replace(drive, path="/dev/other")])
        assert note.kind is kind
    unnumbered = replace(named, serial=None)
    [note] = drive_notes([unnumbered, replace(unnumbered, path="/dev/other")])
    assert note.kind is NoteKind.MAYBE_SAME
    assert drive_notes([base, replace(base, serial="T")]) == ()


def test_identity_holds_nothing_of_slot_name_or_boot():
    one, other = Machine(), Machine()
    for machine, name, place, sequence in (
        (one, "nvme0n1", NVME, "3"),
        (other, "nvme7n1", NVME.replace("nvme0", "nvme7").replace("1f.2", "1d.0"), "9"),
    ):
        attributes = {"device/serial": "S4EVNJ0N203359W", "diskseq": sequence, "wwid": "eui.0025385201404936"}
        machine.disk(name, place, attributes=attributes, number=(259, int(sequence)))
    assert only(one).identity_pages == only(other).identity_pages


def test_numbers_that_are_none_do_not_raise():
    attributes = {
        "size": "many",
        "dev": "8:0:1",
        "removable": "2",
        "diskseq": "-1",
        "queue/logical_block_size": "9" * 5000,
    }
    drive = describe("sda", {"MAJOR": "eight"}, attributes)
    assert (drive.capacity_bytes, drive.device_number, drive.removable, drive.diskseq) == (
        0,
        None,
        None,
        None,
    )
    assert drive.logical_sector_bytes == 512


def test_without_sysfs_there_is_no_inventory():
    machine = Machine()
    machine.errors["/sys/block"] = PermissionError(13, "Permission denied")
    with pytest.raises(InventoryError, match="cannot be read: Permission denied"):
        enumerate_drives(machine, machine)
