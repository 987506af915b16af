"""The inventory's ports on the machine the tests run on, as far as any machine and any user has it."""

import os

import pytest

from rasura_agent.inventory.local import LocalFiles, LocalProbe, LocalUdev
from rasura_agent.inventory.ports import Opening, optional_text
from rasura_agent.inventory.usage import gather_usage
from rasura_agent.inventory.virtual import describe_virtual

NOWHERE = (4095, 1048575)


def test_files(tmp_path):
    files = LocalFiles()
    (tmp_path / "b").write_bytes(b" text\n\xff")
    (tmp_path / "a").symlink_to("b")
    assert files.list_dir(str(tmp_path)) == ["a", "b"]
    assert files.real_path(f"{tmp_path}/a") == f"{tmp_path}/b"
    assert files.read_bytes(f"{tmp_path}/a") == b" text\n\xff"
    assert optional_text(files, f"{tmp_path}/a") == "text\n\N{REPLACEMENT CHARACTER}"
    assert optional_text(files, f"{tmp_path}/absent") is None
    assert optional_text(files, f"{tmp_path}/a/below") is None
    with pytest.raises(IsADirectoryError):
        optional_text(files, str(tmp_path))
    with pytest.raises(FileNotFoundError):
        files.real_path(f"{tmp_path}/absent")


def test_udev_does_not_know_a_device_that_is_not_there():
    assert dict(LocalUdev().properties(NOWHERE)) == {}


def test_device_nodes_that_are_none(tmp_path):
    probe, path = LocalProbe(), f"{tmp_path}/file"
    assert probe.file_id(path) is None
    (tmp_path / "file").touch()
    status = (tmp_path / "file").stat()
    assert probe.file_id(path) == ((os.major(status.st_dev), os.minor(status.st_dev)), status.st_ino)
    for wrong in (path, f"{tmp_path}/absent", "/dev/null", "nul\0"):
        assert probe.node_number(wrong) is None
    for wrong in (path, f"{tmp_path}/absent", "/dev/null"):
        attempt = probe.try_exclusive(wrong, (1, 3))
        assert attempt.opening is Opening.UNKNOWN
        assert attempt.reason
        assert probe.loop_backing(wrong, (1, 3)) is None
        assert not probe.has_zfs_label(wrong, (1, 3))


def test_a_virtual_drive_of_this_machine_is_free(tmp_path):
    path = tmp_path / "drive.img"
    path.write_bytes(bytes(4096))
    used = gather_usage([describe_virtual(str(path))])[str(path)]
    assert (used.mounts, used.swaps, used.holders, used.read_only) == ((), (), (), False)
