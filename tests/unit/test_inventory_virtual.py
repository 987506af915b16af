"""Files that stand for a drive, and the clock."""

import hashlib
import json
import os

import pytest

from rasura.errors import UsageError
from rasura_agent.clock import Clock
from rasura_agent.inventory.clock import SystemClock
from rasura_agent.inventory.drives import InventoryError
from rasura_agent.inventory.model import Transport
from rasura_agent.inventory.virtual import describe_virtual, describe_virtual_open


@pytest.fixture
def image(tmp_path):
    path = tmp_path / "drive.img"
    path.write_bytes(bytes(1024 * 1024))
    return path


def test_a_file_is_a_drive(image):
    drive = describe_virtual(str(image))
    assert drive.transport is Transport.FILE
    assert drive.is_virtual
    assert (drive.path, drive.capacity_bytes, drive.logical_sector_bytes) == (str(image), 1024 * 1024, 512)
    assert drive.serial == "VD-" + hashlib.sha256(os.fsencode(image)).hexdigest()[:12]
    assert (drive.model, drive.device_number, drive.wwn) == ("Rasura virtual drive", None, None)
    [page] = drive.identity_pages
    assert page.name == "file-identity"
    facts = json.loads(page.data)
    assert facts["serial"] == drive.serial
    assert page.data == json.dumps(facts, sort_keys=True, separators=(",", ":")).encode()


def test_a_link_is_the_file_it_leads_to(image, tmp_path, monkeypatch):
    link = tmp_path / "link.img"
    link.symlink_to(image)
    monkeypatch.chdir(tmp_path)
    assert describe_virtual(str(link)) == describe_virtual("drive.img") == describe_virtual(str(image))


def test_two_files_are_two_drives(image, tmp_path):
    other = tmp_path / "other.img"
    other.write_bytes(image.read_bytes())
    assert describe_virtual(str(image)).identity_sha256 != describe_virtual(str(other)).identity_sha256


def test_what_cannot_be_a_drive_is_refused_in_one_sentence(tmp_path):
    (tmp_path / "odd.img").write_bytes(bytes(1000))
    (tmp_path / "empty.img").touch()
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    expected = {
        "odd.img": "1000 bytes, 488 more than a whole number of 512-byte sectors",
        "empty.img": "is empty",
        ".": "is a folder, not a file",
        "pipe": "is a pipe, not a file",
        "absent.img": "No such file",
        "loop": "symbolic links",
        "nul\0": "no path",
    }
    for name, sentence in expected.items():
        with pytest.raises(UsageError, match=sentence):
            describe_virtual(f"{tmp_path}/{name}")
    with pytest.raises(UsageError, match="a character device"):
        describe_virtual("/dev/null")


def test_the_open_file_is_described_afresh(image):
    drive = describe_virtual(str(image))
    with image.open("r+b") as file:
        assert describe_virtual_open(file.fileno(), drive.path) == drive
        file.truncate(512 * 3)
        assert describe_virtual_open(file.fileno(), drive.path).capacity_bytes == 512 * 3


def test_a_file_that_was_deleted_or_replaced_is_noticed(image):
    drive = describe_virtual(str(image))
    with image.open("r+b") as file:
        image.rename(image.with_name("moved.img"))
        with pytest.raises(InventoryError, match="is gone"):
            describe_virtual_open(file.fileno(), drive.path)
        image.write_bytes(bytes(1024 * 1024))
        with pytest.raises(InventoryError, match="was replaced"):
            describe_virtual_open(file.fileno(), drive.path)
        image.unlink()
        image.symlink_to(image.with_name("moved.img"))
        with pytest.raises(InventoryError, match="was replaced"):
            describe_virtual_open(file.fileno(), drive.path)


def test_the_system_clock_is_in_utc_and_does_not_go_back():
    clock: Clock = SystemClock()
    assert clock.source == "system"
    assert clock.wall().utcoffset().total_seconds() == 0
    before = clock.monotonic()
    clock.sleep(-1)
    clock.sleep(0.001)
    assert clock.monotonic() >= before + 0.001
