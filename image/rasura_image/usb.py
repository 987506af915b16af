"""Writing a stick: the ISO, read back, and a data partition with what a site wants to have on it.

Nothing is mounted: the partition's files are written through mtools, so that the same code writes to a
device and to a file. A stick that already has a data partition keeps what is in it.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import shutil
import stat
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from rasura.errors import RefusedError, UsageError
from rasura.key_box import is_sealed
from rasura.site_kit import KEY_FILE, SitePapers
from rasura_agent.inventory.labels import DATA_LABEL, fat32_labels
from rasura_agent.live.boot_facts import Build, parse_build
from rasura_agent.live.gpt import SECTOR_BYTES, GptError, Partition, parse_table
from rasura_agent.live.iso9660 import read_file
from rasura_agent.live.medium import lay_out
from rasura_agent.live.stick import append_data_partition
from rasura_image.errors import BuildError
from rasura_image.menus import data_partition_cfg
from rasura_image.settings import Settings
from rasura_image.tools import require, run

__all__ = ["StickContents", "write_stick"]

_CHUNK_BYTES = 4 << 20
_LEAST_DATA_BYTES = 64 << 20
_NEEDED = {"mkfs.vfat": "dosfstools", "mcopy": "mtools", "mmd": "mtools"}
_MTOOLS = {"MTOOLS_SKIP_CHECK": "1"}


@dataclass(frozen=True, slots=True)
class StickContents:
    """What goes on the data partition. ``settings_text`` is the file that ``settings`` was read from."""

    settings: Settings
    settings_text: str | None = None
    site: Path | None = None
    policies: tuple[Path, ...] = ()


class _Target:
    """The stick or file as bytes, open for as long as it is written to."""

    def __init__(self, descriptor: int, path: Path) -> None:
        self._descriptor, self.path = descriptor, path
        self.is_device = stat.S_ISBLK(os.fstat(descriptor).st_mode)
        self.size_bytes = os.lseek(descriptor, 0, os.SEEK_END)

    def read(self, offset: int, length: int) -> bytes:
        """From the medium, not from memory."""
        os.posix_fadvise(self._descriptor, offset, length, os.POSIX_FADV_DONTNEED)
        return os.pread(self._descriptor, length, offset)

    def write(self, offset: int, data: bytes) -> None:
        """Durable when this returns."""
        self.put(offset, data)
        os.fsync(self._descriptor)

    def put(self, offset: int, data: bytes) -> None:
        """Write without waiting for the medium."""
        view = memoryview(data)
        while view:
            written = os.pwrite(self._descriptor, view, offset)
            offset, view = offset + written, view[written:]

    def flush(self) -> None:
        """Wait for the medium."""
        os.fsync(self._descriptor)


def write_stick(path: Path, iso: Path, contents: StickContents, say: Callable[[str], None]) -> None:
    """Write the live image and a data partition to ``path``, a whole block device or a file that exists.

    Whether ``path`` may be written to is the caller's question. ``say`` is told each step.

    Raises:
        UsageError: something named is not what it must be; nothing was written.
        RefusedError: a site key without a passphrase would go on the stick, or the stick is in use.
        BuildError: the stick does not keep what is written to it, or a program failed.
    """
    require(_NEEDED)
    build = parse_build(_build_file(iso))
    if build is None or not build.is_sound:
        raise UsageError(f"{iso} is no image of ours", hint="./scripts/build-image makes one")
    if contents.site is not None and not _is_sealed_site(contents.site):
        raise RefusedError(
            f"the site key in {contents.site} has no passphrase: who finds the stick could sign with it",
            hint=f"rasura-registry seal {contents.site}",
        )
    kept = Path(tempfile.mkdtemp(prefix="rasura-stick-kept-", dir=Path.cwd()))
    try:
        _write(path, iso, build, contents, kept, say)
    except (OSError, BuildError) as error:
        # What the stick held is nowhere else now.
        hint = f"the files of its data partition are in {kept}" if any(kept.iterdir()) else None
        reason = (error.strerror or str(error)) if isinstance(error, OSError) else str(error)
        raise BuildError(f"{path} could not be written: {reason}", hint=hint) from None
    finally:
        if not any(kept.iterdir()):
            kept.rmdir()


def _write(
    path: Path, iso: Path, build: Build, contents: StickContents, kept: Path, say: Callable[[str], None]
) -> None:
    with _opened(path) as target, tempfile.TemporaryDirectory(prefix="rasura-stick-") as scratch:
        size = iso.stat().st_size
        if target.size_bytes < size + _LEAST_DATA_BYTES:
            raise UsageError(f"{path} is too small: {(size + _LEAST_DATA_BYTES) // 10**6} MB are needed")
        if _keep(target, kept):
            say("  the data partition's files are kept")
        say(f"  writing {size // 10**6} MB")
        digest = _copy(iso, target)
        say("  reading back")
        if _digest(target, size) != digest:
            raise BuildError("it does not hold what was written: use another stick")
        say("  data partition")
        partition = append_data_partition(target, build, secrets.token_bytes(16))
        _fill(target, partition, contents, kept, Path(scratch))
        if target.is_device:
            run(["blockdev", "--flushbufs", path])
    for one in kept.iterdir():
        shutil.rmtree(one) if one.is_dir() else one.unlink()


def _is_sealed_site(folder: Path) -> bool:
    papers = SitePapers.load(folder)
    if papers.key_uri != KEY_FILE:
        raise UsageError(
            f"the key of {folder} is not in it ({papers.key_uri}), and a stick would not find it there",
            hint="certify a site key of its own for sticks: rasura-registry site",
        )
    try:
        return is_sealed((folder / KEY_FILE).read_bytes())
    except OSError as error:
        raise UsageError(f"cannot read {folder / KEY_FILE}: {error.strerror}") from None


def _build_file(iso: Path) -> bytes:
    try:
        with iso.open("rb") as stream:

            def read(offset: int, length: int) -> bytes:
                return os.pread(stream.fileno(), length, offset)

            return read_file(read, "rasura", "build.json") or b""
    except OSError as error:
        raise UsageError(f"cannot read {iso}: {error.strerror}") from None


@contextmanager
def _opened(path: Path) -> Iterator[_Target]:
    try:
        is_device = stat.S_ISBLK(path.stat().st_mode)
        # Exclusively: a device that is mounted or otherwise in use does not open.
        flags = os.O_RDWR | os.O_CLOEXEC | (os.O_EXCL if is_device else 0)
        descriptor = os.open(path, flags)
    except OSError as error:
        busy = isinstance(error, OSError) and error.errno is not None and "busy" in os.strerror(error.errno)
        hint = "unmount it first: 'lsblk' shows where it is mounted" if busy else None
        raise UsageError(f"cannot open {path}: {error.strerror}", hint=hint) from None
    try:
        yield _Target(descriptor, path)
    finally:
        os.close(descriptor)


def _copy(iso: Path, target: _Target) -> str:
    digest, offset = hashlib.sha256(), 0
    with iso.open("rb") as stream:
        while chunk := stream.read(_CHUNK_BYTES):
            digest.update(chunk)
            target.put(offset, chunk)
            offset += len(chunk)
    target.flush()
    return digest.hexdigest()


def _digest(target: _Target, size: int) -> str:
    digest, offset = hashlib.sha256(), 0
    while offset < size:
        chunk = target.read(offset, min(_CHUNK_BYTES, size - offset))
        if not chunk:
            break
        digest.update(chunk)
        offset += len(chunk)
    return digest.hexdigest()


def _keep(target: _Target, folder: Path) -> bool:
    """Copy the files of a data partition that is there already; whether there was one."""
    try:
        partitions = parse_table(target.read).partitions
    except GptError:
        return False
    for partition in partitions:
        base = partition.first * SECTOR_BYTES
        if DATA_LABEL in fat32_labels(partial(_read_within, target, base)):
            run(["mcopy", "-s", "-m", "-Q", "-i", _volume(target, partition), "::", folder], env=_MTOOLS)
            return True
    return False


def _read_within(target: _Target, base: int, offset: int, length: int) -> bytes:
    return target.read(base + offset, length)


def _volume(target: _Target, partition: Partition) -> str:
    return f"{target.path}@@{partition.first * SECTOR_BYTES}"


def _fill(target: _Target, partition: Partition, contents: StickContents, kept: Path, scratch: Path) -> None:
    sectors = partition.last - partition.first + 1
    run(
        [
            *("mkfs.vfat", "-F", "32", "-n", DATA_LABEL, f"--offset={partition.first}"),
            *(target.path, str(sectors * SECTOR_BYTES // 1024)),
        ]
    )
    tree = scratch / "tree"
    shutil.copytree(kept, tree)
    lay_out(tree)
    if contents.settings_text is not None or not (tree / "boot/rasura.cfg").exists():
        (tree / "boot/settings.toml").write_text(contents.settings_text or "")
        (tree / "boot/rasura.cfg").write_text(data_partition_cfg(contents.settings))
    if contents.site is not None:
        shutil.rmtree(tree / "site", ignore_errors=True)
        shutil.copytree(contents.site, tree / "site")
    for policy in contents.policies:
        shutil.copy(policy, tree / "policies")
    volume = _volume(target, partition)
    run(["mcopy", "-s", "-Q", "-i", volume, *sorted(tree.iterdir()), "::"], env=_MTOOLS)
    target.flush()
    _compare(volume, tree, scratch / "again")


def _compare(volume: str, tree: Path, again: Path) -> None:
    again.mkdir()
    run(["mcopy", "-s", "-Q", "-i", volume, "::", again], env=_MTOOLS)
    if _listing(tree) != _listing(again):
        raise BuildError("its data partition does not hold what was written: use another stick")


def _listing(folder: Path) -> str:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return json.dumps(
        [(str(path.relative_to(folder)), hashlib.sha256(path.read_bytes()).hexdigest()) for path in files]
    )
