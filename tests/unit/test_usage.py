"""What a made-up machine does with its drives, found through every kind of stack."""

import pytest

from rasura_agent.guard import Protection, RefusalReason, examine
from rasura_agent.inventory.drives import enumerate_drives
from rasura_agent.inventory.local import has_uberblock
from rasura_agent.inventory.model import Drive, Holder, HolderKind, Mount, Usage
from rasura_agent.inventory.usage import gather_usage
from rasura_agent.inventory.virtual import describe_virtual
from simulators.machine import Machine

PCI = "/devices/pci0000:00/0000:00:1f.2"
OVERLAY = "overlay"


def machine_with(*names: str) -> Machine:
    """A machine booted from the network (its root is in memory) with SATA drives of these names."""
    machine = Machine()
    for port, name in enumerate(names, 1):
        machine.disk(name, f"{PCI}/ata{port}/host{port}/target{port}:0:0/{port}:0:0:0/block/{name}")
    machine.mount("/", "rootfs", fstype="tmpfs")
    return machine


def usages(machine: Machine, **options: bool) -> dict[str, Usage]:
    drives = enumerate_drives(machine, machine, **options).drives
    return dict(gather_usage(drives, machine, machine))


def refused(machine: Machine, **options: bool) -> dict[str, set[RefusalReason]]:
    """The reasons for each drive, by kernel name; drives that may be erased are left out."""
    drives = enumerate_drives(machine, machine, **options).drives
    found = gather_usage(drives, machine, machine)
    reasons = {d.path[5:]: {r.reason for r in examine(d, found[d.path], Protection())} for d in drives}
    return {name: why for name, why in reasons.items() if why}


def test_nothing_uses_a_drive_with_partitions():
    machine = machine_with("sda")
    machine.partition("sda")
    assert usages(machine) == {"/dev/sda": Usage()}


def test_a_mounted_partition():
    machine = machine_with("sda", "sdb")
    machine.mount("/mnt/o l\nd", device=machine.partition("sda"))
    used = usages(machine)
    assert used["/dev/sda"].mounts == (Mount("sda1", "/mnt/o l\N{REPLACEMENT CHARACTER}d"),)
    assert used["/dev/sda"].busy
    assert used["/dev/sdb"] == Usage()


def test_an_installed_system_with_swap():
    machine = machine_with("sda", "sdb")
    for index in (1, 2, 3):
        machine.partition("sda", index)
    machine.mount("/", device="sda1")
    machine.mount("/boot/efi", device="sda2", fstype="vfat")
    machine.swap("/dev/sda3", device="sda3")
    used = usages(machine)["/dev/sda"]
    assert used.backs_root
    assert used.swaps == ("/dev/sda3",)
    assert refused(machine) == {"sda": {RefusalReason.HOLDS_ROOT, RefusalReason.MOUNTED, RefusalReason.SWAP}}


def test_a_mount_on_md_on_dm_on_a_partition_and_on_a_loop_on_a_file_on_a_drive():
    machine = machine_with("sda", "sdb", "sdc")
    machine.stack("dm-0", machine.partition("sda"), dm_uuid="CRYPT-LUKS2-0123-name")
    machine.mount("/srv", device=machine.partition("sdb"))
    machine.loop("loop0", "/srv/disk image.img")
    machine.stack("md0", "dm-0", "loop0")
    machine.mount("/data", device="md0")
    used = usages(machine)
    assert used["/dev/sda"].mounts == (Mount("md0", "/data"),)
    assert used["/dev/sda"].holders == (Holder(HolderKind.CRYPT, "dm-0"), Holder(HolderKind.MD, "md0"))
    assert used["/dev/sdb"].mounts == (Mount("sdb1", "/srv"), Mount("md0", "/data"))
    assert used["/dev/sdb"].holders == (Holder(HolderKind.LOOP, "loop0"), Holder(HolderKind.MD, "md0"))
    assert used["/dev/sdc"] == Usage()


@pytest.mark.parametrize(
    ("name", "uuid", "kind"),
    [
        ("dm-0", "LVM-vjZscAAy83XNNqeE", HolderKind.LVM),
        ("dm-0", "CRYPT-LUKS1-aa", HolderKind.CRYPT),
        ("dm-0", "mpath-35000c50015ea71aa", HolderKind.MULTIPATH),
        ("dm-0", "part1-mpath-35000c50015ea71aa", HolderKind.MULTIPATH),
        ("dm-0", "", HolderKind.DM),
        ("md127", None, HolderKind.MD),
        ("bcache0", None, HolderKind.BCACHE),
        ("drbd0", None, HolderKind.UNKNOWN),
    ],
)
def test_holders_are_told_by_kind(name, uuid, kind):
    machine = machine_with("sda")
    machine.stack(name, "sda", dm_uuid=uuid)
    assert usages(machine)["/dev/sda"].holders == (Holder(kind, name),)


def test_either_of_the_two_links_between_a_drive_and_its_holder_is_enough():
    machine = machine_with("sda", "sdb")
    for name, disk in (("dm-0", "sda"), ("dm-1", "sdb")):
        machine.disk(name, f"/devices/virtual/block/{name}")
        holder, drive = machine.devices[name].place, machine.devices[disk].place
        machine.link(
            *((f"{drive}/holders/{name}", holder) if disk == "sda" else (f"{holder}/slaves/{disk}", drive))
        )
    assert refused(machine) == {"sda": {RefusalReason.HELD_BY_DM}, "sdb": {RefusalReason.HELD_BY_DM}}


def test_without_device_nodes_names_must_do():
    machine = machine_with("sda", "sdb")
    machine.has_nodes = False
    machine.swap("/dev/sda2", device=machine.partition("sda", 2))
    machine.loop("loop0", "/dev/sdb", device="sdb")
    used = usages(machine)
    assert used["/dev/sda"].swaps == ("/dev/sda2",)
    assert used["/dev/sdb"].holders == (Holder(HolderKind.LOOP, "loop0"),)


def test_signatures_without_a_holder_are_no_reason():
    machine = machine_with("sda")
    machine.udev[machine.devices["sda"].number] = {"ID_FS_TYPE": "LVM2_member"}
    machine.devices["sda"].zfs = True
    assert refused(machine) == {}


def test_a_registered_bcache_without_a_device():
    machine = machine_with("sda")
    machine.folder(f"{machine.devices[machine.partition('sda')].place}/bcache")
    assert usages(machine)["/dev/sda"].holders == (Holder(HolderKind.BCACHE, "sda1"),)


def test_a_zfs_pool_is_busy_and_labelled():
    machine = machine_with("sda", "sdb")
    for disk in ("sda", "sdb"):
        part = machine.partition(disk)
        machine.devices[part].zfs = True
    machine.devices["sda1"].claimed = True
    assert usages(machine)["/dev/sda"].holders == (Holder(HolderKind.ZFS, "sda1"),)
    assert refused(machine) == {"sda": {RefusalReason.HELD_BY_ZFS}}


def test_somebody_else_holds_it():
    machine = machine_with("sda")
    machine.devices["sda"].claimed = True
    assert refused(machine) == {"sda": {RefusalReason.BUSY}}


def test_a_loop_device_straight_on_a_drive_claims_nothing_and_is_found():
    machine = machine_with("sda", "sdb")
    machine.loop("loop0", "/dev/sda1", device=machine.partition("sda"))
    machine.loop("loop1", "/dev/sdb")
    machine.loop("loop2", "/dev/disk/by-id/gone (deleted)", device="sdb")
    assert refused(machine) == {"sda": {RefusalReason.HELD_BY_LOOP}, "sdb": {RefusalReason.HELD_BY_LOOP}}
    assert usages(machine)["/dev/sdb"].holders == (
        Holder(HolderKind.LOOP, "loop1"),
        Holder(HolderKind.LOOP, "loop2"),
    )


def test_a_loop_device_is_a_drive_with_what_is_above_and_below():
    machine = machine_with("sda")
    machine.mount("/srv", device="sda")
    machine.loop("loop0", "/srv/drive.img")
    machine.mount("/mnt", device=machine.partition("loop0"))
    used = usages(machine, include_loop=True)
    assert used["/dev/loop0"].mounts == (Mount("loop0p1", "/mnt"),)
    assert used["/dev/loop0"].holders == ()
    assert used["/dev/sda"].mounts == (Mount("sda", "/srv"), Mount("loop0p1", "/mnt"))


def test_the_file_under_a_loop_is_found_by_number_where_its_path_means_nothing():
    machine = machine_with("sda", "sdb")
    machine.mount("/", device="sda")
    machine.partition("sdb")
    machine.claims = False
    machine.loop("loop0", "/hidden.squashfs", file_id=(machine.devices["sdb1"].number, 12))
    assert usages(machine)["/dev/sdb"].holders == (Holder(HolderKind.LOOP, "loop0"),)
    assert usages(machine)["/dev/sda"].holders == ()


def test_swap_files_and_swap_on_dm():
    machine = machine_with("sda", "sdb")
    machine.mount("/srv", device="sda")
    machine.swap("/srv/swap file")
    machine.stack("dm-3", "sdb", dm_uuid="LVM-x")
    machine.swap("/dev/dm-3", device="dm-3")
    used = usages(machine)
    assert used["/dev/sda"].swaps == ("/srv/swap file",)
    assert used["/dev/sdb"].swaps == ("/dev/dm-3",)


def test_every_member_of_a_btrfs_is_used():
    machine = machine_with("sda", "sdb", "sdc")
    machine.partition("sdb")
    machine.mount("/data", "/dev/sda", fstype="btrfs")
    machine.btrfs("1111-2222", "sda", "sdb1")
    machine.claims = False
    assert refused(machine) == {"sda": {RefusalReason.MOUNTED}, "sdb": {RefusalReason.MOUNTED}}


def test_a_btrfs_mount_without_sysfs_is_traced_by_its_source():
    machine = machine_with("sda", "sdb")
    machine.mount("/data", "/dev/sda", fstype="btrfs")
    machine.claims = False
    assert refused(machine) == {"sda": {RefusalReason.MOUNTED}}


def test_a_btrfs_mount_whose_source_is_gone_may_be_any_btrfs():
    machine = machine_with("sda", "sdb")
    machine.mount("/data", "/dev/root", fstype="btrfs")
    machine.btrfs("1111-2222", "sda")
    machine.claims = False
    assert refused(machine) == {"sda": {RefusalReason.MOUNTED}}


def live_system(machine: Machine, medium: str) -> None:
    """As live-boot leaves it: an overlay in memory over a squashfs in a file of the medium."""
    machine.mount("/run/live/medium", device=medium, fstype="iso9660")
    machine.loop("loop0", "/run/live/medium/live/filesystem.squashfs")
    machine.mount("/run/live/rootfs/filesystem.squashfs", device="loop0", fstype="squashfs")
    machine.mount("/run/live/overlay", "tmpfs", fstype="tmpfs")
    layers = "rw,lowerdir=/run/live/rootfs/filesystem.squashfs/,upperdir=/run/live/overlay/rw"
    machine.mount("/", "overlay", fstype=OVERLAY, options=layers)


def test_the_live_medium_is_refused_and_nothing_else():
    machine = machine_with("sda", "sdb")
    live_system(machine, machine.partition("sdb"))
    assert refused(machine) == {
        "sdb": {
            RefusalReason.HOLDS_ROOT,
            RefusalReason.LIVE_MEDIUM,
            RefusalReason.MOUNTED,
            RefusalReason.HELD_BY_LOOP,
        }
    }


def test_layers_that_were_hidden_when_the_root_was_switched():
    machine = machine_with("sda", "sdb")
    machine.partition("sdb")
    machine.loop("loop0", "/casper/filesystem.squashfs", file_id=(machine.devices["sdb1"].number, 12))
    machine.mount("/", "/cow", fstype=OVERLAY, options="rw,lowerdir=/filesystem.squashfs,upperdir=/cow/upper")
    machine.claims = False
    used = usages(machine)
    assert used["/dev/sdb"].backs_root
    assert used["/dev/sdb"].backs_live_medium
    assert used["/dev/sda"] == Usage()


def test_a_live_system_in_memory_uses_no_drive():
    machine = machine_with("sda")
    machine.loop("loop0", "/filesystem.squashfs", file_id=((0, 2), 99))
    machine.mount("/rofs", device="loop0", fstype="squashfs")
    machine.mount("/", "/cow", fstype=OVERLAY, options="rw,lowerdir=/filesystem.squashfs,upperdir=/cow/upper")
    assert refused(machine) == {}


@pytest.mark.parametrize("where", ["sdb", "sdb2"])
def test_a_stick_of_ours_is_spared_although_nothing_uses_it(where):
    machine = machine_with("sda", "sdb")
    machine.partition("sdb", 1)
    machine.partition("sdb", 2)
    machine.devices[where].ours = True
    assert refused(machine) == {"sdb": {RefusalReason.LIVE_MEDIUM}}


@pytest.mark.parametrize("value", ["UUID=2024-01-02-03", "2024-01-02-03", '"LABEL=Rasura Live"', "/dev/sdb1"])
def test_the_kernel_command_line_names_the_medium(value):
    machine = machine_with("sda", "sdb")
    machine.partition("sdb")
    machine.udev_link("by-uuid/2024-01-02-03", "sdb1")
    machine.udev_link(r"by-label/RASURA\x20LIVE", "sdb1")
    machine.command_line(f"quiet rasura.medium={value}")
    assert refused(machine) == {"sdb": {RefusalReason.LIVE_MEDIUM}}


def test_a_medium_that_was_pulled_out_is_nothing_but_a_missing_udev_is():
    machine = machine_with("sda")
    machine.command_line("rasura.medium=LABEL=RASURA")
    assert refused(machine) == {"sda": {RefusalReason.USAGE_UNKNOWN}}
    machine.udev_link("by-uuid/0123", "sda")
    assert refused(machine) == {}


@pytest.mark.parametrize("suffix", ["boot0", "gp1"])
def test_an_area_of_an_emmc_drive_counts_for_the_drive(suffix):
    machine = machine_with()
    machine.disk("mmcblk0", "/devices/mmc_host/mmc0/mmc0:0001/block/mmcblk0")
    machine.mount("/mnt", device=machine.area("mmcblk0", suffix))
    assert usages(machine)["/dev/mmcblk0"].mounts == (Mount(f"mmcblk0{suffix}", "/mnt"),)
    assert usages(machine)["/dev/mmcblk0"].busy


def test_namespaces_of_one_drive_share_what_uses_them():
    machine = machine_with()
    for nsid in (1, 2):
        attributes = {
            "device/serial": "S4EVNJ0N203359W",
            "device/model": "SSD",
            "wwid": f"eui.002538520140493{nsid}",
        }
        machine.disk(f"nvme0n{nsid}", f"{PCI}/nvme/nvme0/nvme0n{nsid}", attributes=attributes)
    machine.mount("/", device=machine.partition("nvme0n1"))
    assert {name for name, why in refused(machine).items() if RefusalReason.HOLDS_ROOT in why} == {
        "nvme0n1",
        "nvme0n2",
    }


def test_two_paths_to_one_drive_share_what_uses_them():
    machine = machine_with()
    for index, name in enumerate(("sda", "sdb")):
        place = (
            f"{PCI}/host0/port-0:{index}/end_device-0:{index}/target0:0:{index}/0:0:{index}:0/block/{name}"
        )
        machine.disk(name, place, attributes={"device/wwid": "naa.5000c50015ea71aa", "device/model": "ST12"})
    machine.swap("/dev/sdb", device="sdb")
    assert {name: RefusalReason.SWAP in why for name, why in refused(machine).items()} == {
        "sda": True,
        "sdb": True,
    }


def test_read_only():
    machine = machine_with("sda")
    machine.write(f"{machine.devices['sda'].place}/ro", "1\n")
    assert refused(machine) == {"sda": {RefusalReason.READ_ONLY}}


@pytest.mark.parametrize(
    "path",
    ["/proc/self/mountinfo", "/proc/swaps", "/proc/cmdline", "/sys/class/block", "/sys/fs/btrfs"],
)
def test_a_source_that_cannot_be_read_refuses_every_drive(path):
    machine = machine_with("sda", "sdb")
    machine.errors[path] = PermissionError(13, "Permission denied")
    assert refused(machine) == {name: {RefusalReason.USAGE_UNKNOWN} for name in ("sda", "sdb")}
    assert "Permission denied" in usages(machine)["/dev/sda"].unreadable[0]


def test_a_line_that_is_not_understood_refuses_every_drive():
    machine = machine_with("sda")
    machine.write("/proc/self/mountinfo", "27 1 254:0 / / rw ext4 /dev/vda rw\n")
    assert refused(machine) == {"sda": {RefusalReason.USAGE_UNKNOWN}}


def test_a_kernel_without_swap_has_no_swap_areas():
    machine = machine_with("sda")
    machine.errors["/proc/swaps"] = FileNotFoundError(2, "No such file or directory")
    assert refused(machine) == {}


def test_without_root_nothing_is_known_to_be_free():
    machine = machine_with("sda")
    machine.root = False
    [why] = usages(machine)["/dev/sda"].unreadable
    assert why == "whether /dev/sda is in use cannot be asked: Permission denied"


def untraceable(machine: Machine) -> None:
    machine.swap("/hidden/swap")
    machine.mount("/tank", "tank/home", fstype="zfs")
    machine.mount("/old", "/dev/gone", number=(8, 200))


def test_what_claims_its_drives_and_cannot_be_traced_concerns_only_drives_that_could_not_be_opened():
    machine = machine_with("sda")
    untraceable(machine)
    machine.write(
        "/proc/self/mountinfo", machine.read_bytes("/proc/self/mountinfo").replace(b" / / rw", b" / /x rw")
    )
    assert refused(machine) == {}
    machine.root = False
    assert len(usages(machine)["/dev/sda"].unreadable) == 5


def test_a_loop_that_cannot_be_traced_concerns_every_drive():
    machine = machine_with("sda")
    machine.loop("loop0", "/dev/mapper/gone")
    assert refused(machine) == {"sda": {RefusalReason.USAGE_UNKNOWN}}


def test_a_drive_that_is_not_there_any_more():
    machine, attributes = machine_with("sda"), {"diskseq": "8"}
    machine.disk("sdc", f"{PCI}/ata9/host9/block/sdc", attributes=attributes, number=(8, 32))
    drives = enumerate_drives(machine, machine).drives
    renamed = Machine()
    renamed.disk("sdb", f"{PCI}/ata1/host1/block/sdb")
    renamed.disk("sdc", f"{PCI}/ata9/host9/block/sdc", attributes={"diskseq": "9"}, number=(8, 32))
    for now in (renamed, Machine()):
        used = gather_usage(drives, now, now)
        for path in ("/dev/sda", "/dev/sdc"):
            assert any(f"{path} is not the drive any more" in why for why in used[path].unreadable)


@pytest.fixture
def image(tmp_path) -> Drive:
    path = tmp_path / "drive.img"
    path.write_bytes(bytes(4096))
    return describe_virtual(str(path))


def of_file(machine: Machine, image: Drive) -> Usage:
    return gather_usage([image], machine, machine)[image.path]


def test_a_virtual_drive_that_nothing_uses(image):
    machine = machine_with("sda")
    untraceable(machine)
    assert of_file(machine, image) == Usage()


def test_a_virtual_drive_under_a_loop_device_that_is_mounted(image):
    machine = machine_with("sda")
    machine.ids[image.path] = ((8, 1), 4711)
    machine.loop("loop0", "/somewhere/else.img", file_id=((8, 1), 4711))
    machine.loop("loop1", image.path)
    machine.loop("loop2", "/other.img", file_id=((8, 1), 4712))
    machine.mount("/mnt", device=machine.partition("loop0"))
    used = of_file(machine, image)
    assert used.mounts == (Mount("loop0p1", "/mnt"),)
    assert used.holders == (Holder(HolderKind.LOOP, "loop0"), Holder(HolderKind.LOOP, "loop1"))


def test_a_virtual_drive_that_is_swapped_to_or_mounted_or_read_only(image):
    machine = machine_with("sda")
    machine.swap(image.path)
    assert of_file(machine, image).swaps == (image.path,)
    machine = machine_with("sda")
    machine.mount("/mnt", image.path, fstype="erofs")
    assert of_file(machine, image).mounts == (Mount(image.path, "/mnt"),)
    machine.read_only_files.add(image.path)
    assert of_file(machine, image).read_only


def test_zfs_uberblocks():
    ring = bytearray(128 * 1024)
    assert not has_uberblock(bytes(ring))
    for order in ("little", "big"):
        ring[5 * 1024 : 5 * 1024 + 8] = (0x00BAB10C).to_bytes(8, order)
        assert has_uberblock(bytes(ring))
    assert not has_uberblock(b"")
