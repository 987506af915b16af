"""Which stick is used, what becomes of it when it is pulled out, and when a data partition is made."""

from __future__ import annotations

from pathlib import Path

import pytest
from msgspec.structs import replace

from rasura.errors import RasuraError
from rasura_agent.live.medium import FolderMedium, StickMedium, mount_stick
from rasura_agent.live.volumes import Volume, choose


def volume(path: str, label: str = "RASURADATA", fstype: str = "vfat", diskseq: str = "7") -> Volume:
    return Volume(path, path.rstrip("0123456789"), label, fstype, diskseq)


def image(disk: str, diskseq: str = "7") -> Volume:
    return Volume(disk, disk, "RASURA", "iso9660", diskseq)


def test_the_only_one() -> None:
    assert choose([volume("/dev/sda1", "Windows", "ntfs"), volume("/dev/sdb3")]).volume == volume("/dev/sdb3")
    assert choose([]).volume is None
    assert choose([]).note is None


@pytest.mark.parametrize(
    "other",
    [
        volume("/dev/sdb1", "RASURADATA", "ext4"),
        volume("/dev/sdb1", "RASURA"),
        volume("/dev/sdb1", "rasuradata"),
    ],
)
def test_what_is_no_data_partition(other: Volume) -> None:
    assert choose([other]).volume is None


def test_the_one_beside_the_live_image_is_preferred() -> None:
    several = [volume("/dev/sda1"), image("/dev/sdb"), volume("/dev/sdb4"), volume("/dev/sdc1")]
    assert choose(several).volume == volume("/dev/sdb4")


@pytest.mark.parametrize(
    "volumes",
    [
        [volume("/dev/sda1"), volume("/dev/sdc1")],
        [image("/dev/sda"), volume("/dev/sda1"), image("/dev/sdc"), volume("/dev/sdc1")],
        [image("/dev/sdb"), volume("/dev/sda1"), volume("/dev/sdc1")],
    ],
)
def test_of_several_none_is_taken_and_it_is_said(volumes: list[Volume]) -> None:
    choice = choose(volumes)
    assert choice.volume is None
    assert "leave one plugged in" in (choice.note or "")


class Bench:
    """Ports full of sticks that can be plugged and pulled."""

    def __init__(self, folder: Path) -> None:
        self.plugged: list[Volume] = []
        self.mounted: list[str] = []
        self.made: list[str] = []
        self.changes: list[bool] = []
        self.said: list[str] = []
        self.error: RasuraError | None = None
        self.appears = True
        self.medium = StickMedium(
            folder,
            lambda: tuple(self.plugged),
            self.mount,
            lambda _folder: self.mounted.clear(),
            self.make,
            lambda place: self.changes.append(place is not None),
            self.said.append,
        )

    def mount(self, what: Volume, _folder: Path) -> None:
        if self.error is not None:
            raise self.error
        self.mounted.append(what.path)

    def make(self, disk: str) -> str:
        self.made.append(disk)
        if self.error is not None:
            raise self.error
        if self.appears:
            self.plugged.append(volume(f"{disk}4"))
        return f"{disk}4"


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def test_plugged_in_later_and_pulled_out(bench: Bench) -> None:
    medium = bench.medium
    medium.look()
    assert medium.folder is None
    assert medium.description is None
    bench.plugged = [volume("/dev/sdb1")]
    medium.look()
    medium.look()
    assert bench.mounted == ["/dev/sdb1"]
    assert medium.folder is not None
    assert (medium.description or "").startswith("/dev/sdb1, ")
    bench.plugged = []
    medium.look()
    assert medium.folder is None
    assert bench.mounted == []
    assert bench.changes == [True, False]


def test_pulled_out_and_another_plugged_in_under_the_same_name(bench: Bench) -> None:
    bench.plugged = [volume("/dev/sdb1", diskseq="7")]
    bench.medium.look()
    bench.plugged = [volume("/dev/sdb1", diskseq="8")]
    bench.medium.look()
    assert bench.changes == [True, False, True]


def test_one_that_cannot_be_mounted_is_said_and_tried_again(bench: Bench) -> None:
    bench.plugged, bench.error = [volume("/dev/sdb1")], RasuraError("it is damaged")
    bench.medium.look()
    assert bench.medium.notes == ("it is damaged",)
    assert bench.medium.folder is None
    bench.error = None
    bench.medium.look()
    assert bench.medium.notes == ()
    assert bench.medium.folder is not None


def test_another_stick_while_one_is_in_use_changes_nothing(bench: Bench) -> None:
    bench.plugged = [volume("/dev/sdb1")]
    bench.medium.look()
    bench.plugged.append(volume("/dev/sdc1"))
    bench.medium.look()
    assert bench.mounted == ["/dev/sdb1"]
    assert bench.medium.notes == ()


def test_a_data_partition_is_made_once_beside_the_only_image(bench: Bench) -> None:
    bench.plugged = [volume("/dev/sda1", "Windows", "ntfs"), image("/dev/sdb")]
    bench.medium.look()
    assert bench.made == ["/dev/sdb"]
    assert bench.mounted == ["/dev/sdb4"]
    assert len(bench.said) == 1


@pytest.mark.parametrize(
    "plugged",
    [
        [],
        [volume("/dev/sda1", "Windows", "ntfs")],
        [image("/dev/sdb"), image("/dev/sdc")],
        [replace(image("/dev/sr0"), is_disc=True)],
        [image("/dev/sdb"), volume("/dev/sdb3")],
        [image("/dev/sdb"), volume("/dev/sdc1")],
        [image("/dev/sdb"), volume("/dev/sdc1"), volume("/dev/sdd1")],
    ],
)
def test_otherwise_none_is_made(bench: Bench, plugged: list[Volume]) -> None:
    bench.plugged = plugged
    bench.medium.look()
    assert bench.made == []


def test_a_disc_beside_the_stick_is_no_reason_not_to_make_one(bench: Bench) -> None:
    bench.plugged = [replace(image("/dev/sr0"), is_disc=True), image("/dev/sdb")]
    bench.medium.look()
    assert bench.made == ["/dev/sdb"]


def test_making_one_is_tried_once(bench: Bench) -> None:
    bench.plugged, bench.error = [image("/dev/sdb")], RasuraError("there is no room")
    bench.medium.look()
    assert bench.medium.notes == ("there is no room",)
    bench.medium.look()
    assert bench.made == ["/dev/sdb"]


def test_one_that_udev_sees_later(bench: Bench) -> None:
    bench.plugged, bench.appears = [image("/dev/sdb")], False
    bench.medium.look()
    assert bench.medium.folder is None
    bench.plugged.append(volume("/dev/sdb4"))
    bench.medium.look()
    assert bench.mounted == ["/dev/sdb4"]


def test_a_folder_in_place_of_a_stick(tmp_path: Path) -> None:
    medium = FolderMedium(tmp_path / "data")
    assert medium.folder is None
    (tmp_path / "data").mkdir()
    medium.look()
    assert medium.folder == tmp_path / "data"


def test_mounting_what_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(RasuraError, match="cannot be mounted"):
        mount_stick(volume("/dev/does-not-exist1"), tmp_path / "data")
