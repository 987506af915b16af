"""Sticks: written, read back, filled; what an older one kept stays; and no secret in the open."""

from __future__ import annotations

import os
import shutil
import struct
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from rasura.errors import RefusedError, UsageError
from rasura.site_kit import seal_site_key
from rasura_agent.erase.policy import BUILT_IN
from rasura_agent.inventory.labels import DATA_LABEL, fat32_labels
from rasura_agent.live.gpt import SECTOR_BYTES, parse_table
from rasura_agent.live.policy_source import find_policy, known_policies
from rasura_image import usb
from rasura_image.data_partition import copy_out
from rasura_image.errors import BuildError
from rasura_image.settings import Settings, parse_settings
from rasura_image.usb import StickContents, write_stick
from simulators.signing import TrustWorld
from simulators.stick import SECTOR, SimulatedStick

MIB = 1 << 20
pytestmark = pytest.mark.skipif(
    shutil.which("mcopy") is None or shutil.which("mkfs.vfat", path="/usr/sbin:/sbin:/usr/bin") is None,
    reason="mtools or dosfstools are not installed (apt-get install mtools dosfstools)",
)
PASSPHRASE = "correct horse battery"
CERTIFICATE = "certificates/pending/c.json"
POLICY = 'name = "school"\n[erase]\nmethod = "Clear"\n'


def quiet(_step: str) -> None:
    """Nobody listens."""


@pytest.fixture
def iso(tmp_path: Path) -> Path:
    """The smallest file that has what the code looks at: a volume, a table, a build."""
    simulated = SimulatedStick()
    path = tmp_path / "rasura.iso"
    path.write_bytes(simulated.read(0, 4 * MIB))
    return path


@pytest.fixture
def stick(tmp_path: Path) -> Path:
    path = tmp_path / "stick.img"
    with path.open("wb") as stream:
        stream.truncate(128 * MIB)
    return path


@pytest.fixture
def site(tmp_path: Path) -> Path:
    folder: Path = TrustWorld().write_kit(tmp_path / "site", "https://registry.example")
    seal_site_key(folder, lambda: PASSPHRASE)
    return folder


def on_data_partition(stick: Path, name: str) -> bytes:
    at = _data_offset(stick)
    assert DATA_LABEL in fat32_labels(lambda offset, length: _at(stick, at + offset, length))
    volume = f"{stick}@@{at}"
    return subprocess.run(["mcopy", "-i", volume, f"::{name}", "-"], capture_output=True, check=True).stdout


def put_on_data_partition(stick: Path, name: str, content: Path) -> None:
    volume = f"{stick}@@{_data_offset(stick)}"
    subprocess.run(
        ["mmd", "-D", "s", "-i", volume, f"::{Path(name).parent}"], check=False, capture_output=True
    )
    subprocess.run(["mcopy", "-i", volume, str(content), f"::{name}"], check=True)


def test_everything_is_on_it(iso: Path, stick: Path, site: Path, tmp_path: Path) -> None:
    text = '[station]\nlang = "fr"\n[menu]\ndefault = "serial"\n'
    policy = tmp_path / "school.toml"
    policy.write_text('name = "school"\n[erase]\nmethod = "Clear"\n')
    write_stick(stick, iso, StickContents(parse_settings(text), text, site, (policy,)), quiet)
    assert on_data_partition(stick, "site/site.key") == (site / "site.key").read_bytes()
    assert on_data_partition(stick, "policies/school.toml") == policy.read_bytes()
    assert b"set rasura_lang=fr" in on_data_partition(stick, "boot/rasura.cfg")
    assert on_data_partition(stick, "boot/settings.toml").decode() == text
    assert "RASURA" in on_data_partition(stick, "LISEZMOI.txt").decode("utf-8-sig").upper()
    subprocess.run(["mdir", "-i", f"{stick}@@{_data_offset(stick)}", "::certificates"], check=True)


def _data_offset(stick: Path) -> int:
    table = parse_table(lambda offset, length: _at(stick, offset, length))
    return table.partitions[-1].first * SECTOR_BYTES


def test_a_site_key_without_a_passphrase_does_not_go_on_a_stick(
    iso: Path, stick: Path, tmp_path: Path
) -> None:
    before = stick.read_bytes()
    site = TrustWorld().write_kit(tmp_path / "open-site", "https://registry.example")
    with pytest.raises(RefusedError, match="no passphrase") as raised:
        write_stick(stick, iso, StickContents(Settings(), site=site), quiet)
    assert "rasura-registry seal" in str(raised.value.hint)
    assert stick.read_bytes() == before


def test_a_site_whose_key_is_elsewhere_does_not_go_on_a_stick(iso: Path, stick: Path, tmp_path: Path) -> None:
    site = TrustWorld().write_kit(tmp_path / "token-site", "https://registry.example")
    (site / "site.key").unlink()
    (site / "site.toml").write_text((site / "site.toml").read_text() + 'key = "pkcs11:object=site"\n')
    with pytest.raises(UsageError, match="a stick would not find it"):
        write_stick(stick, iso, StickContents(Settings(), site=site), quiet)


def test_what_an_older_stick_kept_stays(iso: Path, stick: Path, site: Path, tmp_path: Path) -> None:
    """A certificate that was not sent yet must not be lost by bringing a stick up to date."""
    write_stick(stick, iso, StickContents(Settings(), site=site), quiet)
    certificate = tmp_path / "c.json"
    certificate.write_text('{"unsent": true}')
    put_on_data_partition(stick, "certificates/pending/c.json", certificate)
    write_stick(stick, iso, StickContents(Settings()), quiet)
    assert on_data_partition(stick, "certificates/pending/c.json") == certificate.read_bytes()
    assert on_data_partition(stick, "site/site.key") == (site / "site.key").read_bytes()


def _with_a_certificate(stick: Path, iso: Path, tmp_path: Path) -> bytes:
    """Make ``stick`` one with a certificate that was not sent yet."""
    write_stick(stick, iso, StickContents(Settings()), quiet)
    certificate = tmp_path / "c.json"
    certificate.write_text('{"unsent": true}')
    put_on_data_partition(stick, CERTIFICATE, certificate)
    return certificate.read_bytes()


def _fails_at(step: str, error: BaseException) -> Callable[[str], None]:
    def say(line: str) -> None:
        if line.startswith(step) and "kept" not in line:
            raise error

    return say


@pytest.mark.parametrize("error", [KeyboardInterrupt(), OSError(5, "Input/output error")])
@pytest.mark.parametrize("step", ["writing", "reading back", "data partition"])
def test_what_an_older_stick_kept_survives_a_failure_and_is_restored(
    step: str, error: BaseException, iso: Path, stick: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    certificate = _with_a_certificate(stick, iso, tmp_path)
    assert not list(tmp_path.glob("rasura-stick-kept-*"))
    other = tmp_path / "other"
    other.mkdir()
    with pytest.raises(BuildError) as raised:
        write_stick(stick, iso, StickContents(Settings(), restored=(other,)), _fails_at(f"  {step}", error))
    (kept,) = tmp_path.glob("rasura-stick-kept-*")
    assert f"--restore {kept} --restore {other}" in str(raised.value.hint)
    assert (kept / CERTIFICATE).read_bytes() == certificate
    write_stick(stick, iso, StickContents(Settings(), restored=(kept,)), quiet)
    assert on_data_partition(stick, CERTIFICATE) == certificate
    assert list(tmp_path.glob("rasura-stick-kept-*")) == [kept]


def test_a_stick_that_is_too_small(iso: Path, tmp_path: Path) -> None:
    small = tmp_path / "small.img"
    small.write_bytes(bytes(32 * MIB))
    with pytest.raises(UsageError, match="too small"):
        write_stick(small, iso, StickContents(Settings()), quiet)
    assert small.read_bytes() == bytes(32 * MIB)


@pytest.mark.parametrize("content", [b"", b"\0" * MIB, b"CD001" * 20000])
def test_what_is_no_image_of_ours_is_not_written(content: bytes, stick: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.iso"
    other.write_bytes(content)
    before = stick.read_bytes()
    with pytest.raises(UsageError, match="no image of ours"):
        write_stick(stick, other, StickContents(Settings()), quiet)
    assert stick.read_bytes() == before


def test_a_stick_that_cannot_be_opened_is_one_sentence(iso: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot open"):
        write_stick(tmp_path, iso, StickContents(Settings()), quiet)


def test_interrupted_while_the_files_are_written_it_can_be_written_again(
    iso: Path, stick: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A half-written file system is not taken for a data partition whose files must be kept."""
    monkeypatch.chdir(tmp_path)
    certificate = _with_a_certificate(stick, iso, tmp_path)
    copied = 0

    def copy(*arguments: object) -> None:
        nonlocal copied
        copied += 1
        if copied == 2:
            raise KeyboardInterrupt
        real(*arguments)  # type: ignore[arg-type]

    real = usb._copy
    monkeypatch.setattr(usb, "_copy", copy)
    with pytest.raises(BuildError, match="interrupted"):
        write_stick(stick, iso, StickContents(Settings()), quiet)
    (kept,) = tmp_path.glob("rasura-stick-kept-*")
    monkeypatch.setattr(usb, "_copy", real)
    write_stick(stick, iso, StickContents(Settings(), restored=(kept,)), quiet)
    assert on_data_partition(stick, CERTIFICATE) == certificate


def test_restored_files_win_and_what_is_named_wins_over_them(iso: Path, stick: Path, tmp_path: Path) -> None:
    write_stick(stick, iso, StickContents(Settings()), quiet)
    older, newer, policy = tmp_path / "older", tmp_path / "newer", tmp_path / "school.toml"
    for folder in (older, newer):
        (folder / "policies").mkdir(parents=True)
        (folder / "logs").mkdir()
        (folder / "policies/school.toml").write_text("not this")
        (folder / "README.txt").write_text(folder.name)
    (older / "logs/a.txt").write_text("a")
    policy.write_text(POLICY)
    write_stick(stick, iso, StickContents(Settings(), policies=(policy,), restored=(older, newer)), quiet)
    assert on_data_partition(stick, "README.txt") == b"newer"
    assert on_data_partition(stick, "logs/a.txt") == b"a"
    assert on_data_partition(stick, "policies/school.toml").decode() == POLICY


def test_what_cannot_be_put_on_it_is_noticed_before_anything_is_written(
    iso: Path, stick: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    _with_a_certificate(stick, iso, tmp_path)
    before, wrong, huge = stick.read_bytes(), tmp_path / "wrong", tmp_path / "huge"
    wrong.mkdir()
    (wrong / "logs").write_text("a file where a folder must be")
    huge.mkdir()
    with (huge / "zeros").open("wb") as stream:
        stream.truncate(200 * MIB)
    for folder, afresh in ((wrong, True), (huge, False)):
        with pytest.raises(BuildError, match="nothing was written"):
            write_stick(stick, iso, StickContents(Settings(), restored=(folder,)), quiet, afresh=afresh)
        assert stick.read_bytes() == before
    with pytest.raises(UsageError, match="is no folder"):
        write_stick(stick, iso, StickContents(Settings(), restored=(tmp_path / "none",)), quiet)
    assert not list(tmp_path.glob("rasura-stick-kept-*"))


def test_a_damaged_data_partition_is_left_unless_it_may_go(
    iso: Path, stick: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    _with_a_certificate(stick, iso, tmp_path)
    with stick.open("r+b") as stream:
        stream.seek(_data_offset(stick) + 32 * SECTOR)  # both tables: every chain leads nowhere
        stream.write(b"\xaa" * 300 * SECTOR)
        stream.seek(_data_offset(stick) + 13)
        stream.write(b"\x03")  # sectors a cluster: a power of two
    before = stick.read_bytes()
    with pytest.raises(BuildError, match="nothing was written") as raised:
        write_stick(stick, iso, StickContents(Settings()), quiet)
    assert "--afresh" in str(raised.value.hint)
    assert stick.read_bytes() == before
    assert not list(tmp_path.glob("rasura-stick-kept-*"))
    write_stick(stick, iso, StickContents(Settings()), quiet, afresh=True)
    assert b"RASURA" in on_data_partition(stick, "LISEZMOI.txt").upper()


def test_a_current_folder_that_takes_no_files_is_one_sentence(
    iso: Path, stick: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _with_a_certificate(stick, iso, tmp_path)
    before = stick.read_bytes()
    monkeypatch.chdir("/proc")
    with pytest.raises(UsageError, match="nothing was written: the current folder"):
        write_stick(stick, iso, StickContents(Settings()), quiet)
    assert stick.read_bytes() == before


def test_what_is_no_policy_is_refused_before_anything_is_written(
    iso: Path, stick: Path, tmp_path: Path
) -> None:
    before, wrong = stick.read_bytes(), tmp_path / "wrong.toml"
    wrong.write_text('name = "school"\n')
    for policy, reason in ((tmp_path, "directory"), (tmp_path / "no.toml", "No such"), (wrong, "no policy")):
        with pytest.raises(UsageError, match=reason) as raised:
            write_stick(stick, iso, StickContents(Settings(), policies=(policy,)), quiet)
        assert str(policy) in str(raised.value)
    assert stick.read_bytes() == before


def test_a_policy_that_no_machine_would_take_is_refused(iso: Path, stick: Path, tmp_path: Path) -> None:
    """At boot a policy is policies/NAME.toml, unless NAME is built in."""
    before = stick.read_bytes()
    for names, reason, hint in (
        (("school.policy",), "would look for NAME.toml", "cp school.policy school.toml"),
        (("school.TOML",), "would look for NAME.toml", "cp school.TOML school.toml"),
        (("school",), "would look for NAME.toml", "cp school school.toml"),
        (("purge.toml",), "purge is built in", "another name"),
        (("school.toml", "other/School.toml"), "would be the same file", "None"),
    ):
        policies = tuple(tmp_path / name for name in names)
        for policy in policies:
            policy.parent.mkdir(exist_ok=True)
            policy.write_text(POLICY)
        with pytest.raises(UsageError, match=reason) as raised:
            write_stick(stick, iso, StickContents(Settings(), policies=policies), quiet)
        assert all(str(policy) in str(raised.value) for policy in policies)
        assert hint in str(raised.value.hint)
        assert stick.read_bytes() == before


def test_a_policy_is_found_where_the_stick_has_it(iso: Path, stick: Path, tmp_path: Path) -> None:
    policy, mounted = tmp_path / "school.toml", tmp_path / "mounted"
    policy.write_text(POLICY)
    mounted.mkdir()
    write_stick(stick, iso, StickContents(Settings(), policies=(policy,)), quiet)
    copy_out(f"{stick}@@{_data_offset(stick)}", mounted)
    assert known_policies(mounted) == (*BUILT_IN, "school")
    assert find_policy("school", mounted).name == "school"


def test_a_policy_that_the_stick_does_not_have_is_warned_of(iso: Path, stick: Path, tmp_path: Path) -> None:
    text = '[station]\npolicy = "school"\n'
    said: list[str] = []
    write_stick(stick, iso, StickContents(parse_settings(text), text), said.append)
    assert [line for line in said if "the policy school is neither built in" in line]
    policy = tmp_path / "school.toml"
    policy.write_text(POLICY)
    for policies in ((policy,), ()):  # the second time it is on the stick
        said.clear()
        write_stick(stick, iso, StickContents(parse_settings(text), text, policies=policies), said.append)
        assert not [line for line in said if "warning" in line]


def _large_iso(path: Path) -> Path:
    """As large as the real one."""
    size = 124 * MIB
    simulated = SimulatedStick(image_sectors=size // SECTOR)
    with path.open("wb") as stream:
        stream.truncate(size)
        for sector, data in simulated.medium.items():
            stream.seek(sector * SECTOR)
            stream.write(data)
    return path


def _volume(stick: Path, target: Path) -> Path:
    """The data partition in a file of its own."""
    partition = parse_table(lambda offset, length: _at(stick, offset, length)).partitions[-1]
    sectors = partition.last - partition.first + 1
    words = (f"skip={partition.first}", f"count={sectors}", "conv=sparse", "status=none")
    subprocess.run(["dd", f"if={stick}", f"of={target}", "bs=512", *words], check=True)
    os.truncate(target, sectors * SECTOR)
    return target


def _at(stick: Path, offset: int, length: int) -> bytes:
    with stick.open("rb") as stream:
        stream.seek(offset)
        return stream.read(length)


def _require_sound(volume: Path) -> None:
    tool = shutil.which("fsck.vfat", path="/usr/sbin:/sbin:/usr/bin")
    assert tool is not None
    checked = subprocess.run([tool, "-n", volume], capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stdout


@pytest.mark.parametrize("mib", [190, 257, 270, 300, 350, 383, 390, 1024])
def test_sticks_of_all_sizes(mib: int, tmp_path: Path) -> None:
    """Clusters are chosen for the partition, not for the stick: fewer than 65525 would be FAT16."""
    iso, stick = _large_iso(tmp_path / "rasura.iso"), tmp_path / "stick.img"
    with stick.open("wb") as stream:
        stream.truncate(mib * MIB)
    write_stick(stick, iso, StickContents(Settings()), quiet)
    assert b"RASURA" in on_data_partition(stick, "LISEZMOI.txt").upper()
    volume = _volume(stick, tmp_path / "volume")
    _require_sound(volume)
    sector = _at(volume, 0, SECTOR)
    (hidden,) = struct.unpack_from("<I", sector, 28)
    assert hidden * SECTOR == _data_offset(stick)
    (reserved,) = struct.unpack_from("<H", sector, 14)
    sectors, per_fat = struct.unpack_from("<II", sector, 32)
    assert (sectors - reserved - 2 * per_fat) // sector[13] >= 65525


def test_what_lay_on_a_stick_before_is_not_taken_for_files(iso: Path, tmp_path: Path) -> None:
    stick = tmp_path / "stick.img"
    stick.write_bytes(os.urandom(MIB) * 128)
    write_stick(stick, iso, StickContents(Settings()), quiet)
    _require_sound(_volume(stick, tmp_path / "volume"))
    assert b"RASURA" in on_data_partition(stick, "LISEZMOI.txt").upper()


def _command(*words: str | Path, folder: Path, typed: str = "") -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "rasura_image", "write-usb", *map(str, words)]
    done = subprocess.run(command, cwd=folder, input=typed, capture_output=True, text=True, check=False)
    assert "Traceback" not in done.stderr, done.stderr
    return done


def test_a_file_that_holds_something_is_asked_about(iso: Path, stick: Path, tmp_path: Path) -> None:
    stick.write_bytes(b"a disk image of somebody".ljust(128 * MIB, b"\0"))
    before = stick.read_bytes()
    for typed in ("", "no\n"):
        done = _command(stick, "--iso", iso, folder=tmp_path, typed=typed)
        assert "Type stick.img to go on" in done.stderr
        assert done.returncode in {1, 2}
        assert stick.read_bytes() == before
    done = _command(stick, "--iso", iso, folder=tmp_path, typed="stick.img\n")
    assert done.returncode == 0, done.stderr
    done = _command(stick, "--iso", iso, folder=tmp_path)
    assert (done.returncode, done.stderr) == (0, ""), "a stick of ours is brought up to date"
    stick.write_bytes(before)
    done = _command(stick, "--iso", iso, "--yes", folder=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")


def test_what_is_missing_is_told_with_what_makes_it(iso: Path, stick: Path, tmp_path: Path) -> None:
    done = _command("none.img", "--iso", iso, folder=tmp_path)
    assert (done.returncode, "there is no none.img" in done.stderr) == (2, True)
    assert "build-image" not in done.stderr
    done = _command(stick, "--iso", iso, "--policy", "none.toml", folder=tmp_path)
    assert (done.returncode, "there is no none.toml" in done.stderr) == (2, True)
    assert "build-image" not in done.stderr
    done = _command(stick, "--iso", "none.iso", folder=tmp_path)
    assert (done.returncode, "./scripts/build-image makes" in done.stderr) == (2, True)
    os.mkfifo(tmp_path / "pipe")
    done = _command("pipe", "--iso", iso, folder=tmp_path)
    assert (done.returncode, "neither a drive nor a file" in done.stderr) == (2, True)


def test_restored_by_the_command_and_written_afresh(iso: Path, stick: Path, tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    (kept / CERTIFICATE).parent.mkdir(parents=True)
    (kept / CERTIFICATE).write_text("{}")
    done = _command(stick, "--iso", iso, "--restore", kept, folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert f"the files of {kept} are on it: that folder may be removed" in done.stdout
    assert on_data_partition(stick, CERTIFICATE) == b"{}"
    done = _command(stick, "--iso", iso, "--afresh", folder=tmp_path, typed="no\n")
    assert (done.returncode, "Everything on it will be lost" in done.stderr) == (2, True)
    assert on_data_partition(stick, CERTIFICATE) == b"{}"
    done = _command(stick, "--iso", iso, "--afresh", "--yes", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    with pytest.raises(subprocess.CalledProcessError):
        on_data_partition(stick, CERTIFICATE)


@contextmanager
def _loop_device(backing: Path, *options: str) -> Iterator[str]:
    if os.geteuid() != 0 or shutil.which("losetup") is None:
        pytest.skip("needs root and losetup")
    attach = ["losetup", "--find", "--show", *options, str(backing)]
    device = subprocess.run(attach, check=True, capture_output=True, text=True).stdout.strip()
    try:
        yield device
    finally:
        subprocess.run(["losetup", "--detach", device], check=True)


@pytest.mark.root
def test_a_stick_of_other_sectors_is_refused(iso: Path, tmp_path: Path) -> None:
    """The tables of a hybrid image count in sectors of 512 bytes."""
    backing = tmp_path / "backing.img"
    backing.write_bytes(b"what somebody has on it".ljust(192 * MIB, b"\0"))
    before = backing.read_bytes()
    with _loop_device(backing, "--sector-size", "4096") as device:
        done = _command(device, "--any-drive", "--yes", "--iso", iso, folder=tmp_path)
    assert done.returncode == 3, done.stderr
    assert f"{device} has sectors of 4096 bytes" in done.stderr
    assert "take another stick" in done.stderr
    assert backing.read_bytes() == before


@pytest.mark.root
def test_a_real_device_is_written_twice(iso: Path, tmp_path: Path) -> None:
    backing = tmp_path / "backing.img"
    backing.write_bytes(os.urandom(MIB) * 192)
    with _loop_device(backing) as device:
        options = ("--any-drive", "--yes", "--iso", iso)
        done = _command(device, *options, folder=tmp_path)
        assert done.returncode == 0, done.stderr
        certificate = tmp_path / "c.json"
        certificate.write_text('{"unsent": true}')
        put_on_data_partition(backing, CERTIFICATE, certificate)
        subprocess.run(["blockdev", "--flushbufs", device], check=True)
        done = _command(device, *options, folder=tmp_path)
        assert done.returncode == 0, done.stderr
        held = os.open(device, os.O_RDONLY | os.O_EXCL)
        try:
            busy = _command(device, *options, folder=tmp_path)
        finally:
            os.close(held)
        assert (busy.returncode, "in use" in busy.stderr) == (3, True), busy.stderr
    assert on_data_partition(backing, CERTIFICATE) == certificate.read_bytes()
    _require_sound(_volume(backing, tmp_path / "volume"))
    assert not list(tmp_path.glob("rasura-stick-kept-*"))
