"""Writing a stick: the ISO, read back, and a data partition with what a site wants to have on it.

The stick is held open from the first look to the last byte, so that nobody mounts it meanwhile. Nothing is
written to it before all that goes on it is made, and a stick that already has a data partition keeps what is
in it.
"""

from __future__ import annotations

import contextlib
import hashlib
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
from typing import BinaryIO

from rasura.command import read_file as read_named
from rasura.errors import RasuraError, RefusedError, UsageError
from rasura.key_box import is_sealed
from rasura.site_kit import KEY_FILE, SitePapers
from rasura_agent.erase.policy import BUILT_IN, parse_policy
from rasura_agent.inventory.labels import DATA_LABEL, fat32_labels
from rasura_agent.live.boot_facts import Build, parse_build
from rasura_agent.live.gpt import SECTOR_BYTES, GptError, Partition, Table, grow, parse_table
from rasura_agent.live.iso9660 import read_file
from rasura_agent.live.medium import lay_out
from rasura_agent.live.stick import append_data_partition
from rasura_image.data_partition import PROGRAMS, copy_out, make_volume, used_bytes
from rasura_image.errors import BuildError
from rasura_image.menus import data_partition_cfg
from rasura_image.netboot_folder import policy_warning
from rasura_image.settings import Settings
from rasura_image.tools import require, run

__all__ = ["StickContents", "write_stick"]

_CHUNK_BYTES = 4 << 20
_LEAST_DATA_BYTES = 64 << 20


@dataclass(frozen=True, slots=True)
class StickContents:
    """What goes on the data partition. ``settings_text`` is the file that ``settings`` was read from.

    The files of the folders ``restored`` win over those that the partition has, a later folder's over an
    earlier one's; what is named beside them wins over both.
    """

    settings: Settings
    settings_text: str | None = None
    site: Path | None = None
    policies: tuple[Path, ...] = ()
    restored: tuple[Path, ...] = ()


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


def write_stick(
    path: Path, iso: Path, contents: StickContents, say: Callable[[str], None], *, afresh: bool = False
) -> None:
    """Write the live image and a data partition to ``path``, a whole block device or a file that exists.

    Whether ``path`` may be written to is the caller's question. ``say`` is told each step. With ``afresh``
    nothing of an older data partition is kept.

    Raises:
        UsageError: something named is not what it must be; nothing was written.
        RefusedError: a site key without a passphrase would go on the stick; nothing was written.
        BuildError: a program failed, it was interrupted, or the stick does not keep what is written to it.
            The sentence says so if nothing was written; otherwise the hint says how to go on.
    """
    require(PROGRAMS)
    build, table = _image(iso)
    _require_sound(contents)
    with _opened(path) as target:
        size = iso.stat().st_size
        if target.size_bytes < size + _LEAST_DATA_BYTES:
            raise UsageError(f"{path} is too small: {(size + _LEAST_DATA_BYTES) // 10**6} MB are needed")
        kept = None if afresh else _kept(target)
        if kept is not None:
            say(f"  the data partition's files are kept in {kept} meanwhile")
        unique = secrets.token_bytes(16)
        with contextlib.ExitStack() as stack:
            try:
                scratch = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="rasura-stick-")))
                partition = grow(table, target.size_bytes // SECTOR_BYTES, unique, DATA_LABEL).new
                _lay_tree(scratch / "tree", kept, contents)
                make_volume(scratch / "volume", partition, scratch / "tree")
                if (warning := policy_warning(contents.settings, scratch / "tree/policies")) is not None:
                    say(f"  warning: {warning}")
            except BaseException as error:
                # The stick still has its files itself.
                _remove(kept)
                if not isinstance(error, (OSError, RasuraError)):
                    raise
                raise BuildError(f"nothing was written to {path}: {_reason(error)}") from None
            try:
                partition = _write(target, iso, build, unique, say)
                say("  data partition")
                _pour(scratch / "volume", target, partition.first * SECTOR_BYTES)
                if target.is_device:
                    run(["blockdev", "--flushbufs", path])
            except (OSError, RasuraError, KeyboardInterrupt) as error:
                # What the stick held is nowhere else now.
                hint = _how_to_go_on(kept, contents.restored)
                raise BuildError(f"{path} could not be written: {_reason(error)}", hint=hint) from None
    _remove(kept)


def _require_sound(contents: StickContents) -> None:
    if contents.site is not None and not _is_sealed_site(contents.site):
        raise RefusedError(
            f"the site key in {contents.site} has no passphrase: who finds the stick could sign with it",
            hint=f"rasura-registry seal {contents.site}",
        )
    for policy in contents.policies:
        raw = read_named(policy)
        try:
            parse_policy(raw)
        except RasuraError as error:
            raise UsageError(f"{policy} is no policy: {error}", hint=error.hint) from None
    _require_found_at_boot(contents.policies)
    for folder in contents.restored:
        if not folder.is_dir():
            raise UsageError(
                f"{folder} is no folder", hint="--restore names the one that an earlier write-usb told of"
            )


def _require_found_at_boot(policies: tuple[Path, ...]) -> None:
    """A policy is asked for by the name of its file, and policies/NAME.toml is where it is looked for."""
    named: dict[str, Path] = {}
    for policy in policies:
        if policy.suffix != ".toml":
            raise UsageError(
                f"no machine would find the policy {policy} on the stick: it would look for NAME.toml",
                hint=f"name a copy of it: cp {policy.name} {policy.stem}.toml",
            )
        if policy.stem in BUILT_IN:
            raise UsageError(
                f"no machine would take the policy {policy} from the stick: {policy.stem} is built in",
                hint="give the file another name",
            )
        # FAT takes names that differ in case only for the same.
        other = named.setdefault(policy.name.casefold(), policy)
        if other is not policy:
            raise UsageError(f"{other} and {policy} would be the same file on the stick")


def _reason(error: BaseException) -> str:
    match error:
        case KeyboardInterrupt():
            return "interrupted"
        case shutil.Error(args=[[(_, name, why), *_], *_]):
            return f"{name}: {why}"
        case OSError(strerror=str(why)):
            return f"{error.filename}: {why}" if error.filename is not None else why
        case _:
            return str(error)


def _how_to_go_on(kept: Path | None, restored: tuple[Path, ...]) -> str:
    folders = [*([kept] if kept is not None else []), *restored]
    if not folders:
        return "it is no stick to start from now: write it again"
    words = " ".join(f"--restore {folder}" for folder in folders)
    where = f"the files of its data partition are in {kept}: " if kept is not None else ""
    return f"{where}write it again with {words}"


def _remove(folder: Path | None) -> None:
    if folder is not None:
        shutil.rmtree(folder)


def _write(target: _Target, iso: Path, build: Build, unique: bytes, say: Callable[[str], None]) -> Partition:
    size = iso.stat().st_size
    say(f"  writing {size // 10**6} MB")
    digest = hashlib.sha256()
    with iso.open("rb") as stream:
        _copy(stream, target, 0, size, digest.update)
    say("  reading back")
    if _digest(target, 0, size) != digest.hexdigest():
        raise BuildError("it does not hold what was written: use another stick")
    return append_data_partition(target, build, unique)


def _pour(volume: Path, target: _Target, base: int) -> None:
    """Copy the file system in ``volume`` to where the partition begins, and read it back.

    Its first sector comes last: interrupted before, it has no label, and nobody takes it for a data partition
    whose files must be kept.
    """
    size = used_bytes(volume)
    target.write(base, bytes(SECTOR_BYTES))
    with volume.open("rb") as stream:
        first = stream.read(SECTOR_BYTES)
        digest = hashlib.sha256(first)
        _copy(stream, target, base + SECTOR_BYTES, size - SECTOR_BYTES, digest.update)
    target.write(base, first)
    if _digest(target, base, size) != digest.hexdigest():
        raise BuildError("its data partition does not hold what was written: use another stick")


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


def _image(iso: Path) -> tuple[Build, Table]:
    """What the image is, and its table."""
    try:
        with iso.open("rb") as stream:

            def read(offset: int, length: int) -> bytes:
                return os.pread(stream.fileno(), length, offset)

            build = parse_build(read_file(read, "rasura", "build.json") or b"")
            if build is not None and build.is_sound:
                return build, parse_table(read)
    except GptError:
        pass
    except OSError as error:
        raise UsageError(f"cannot read {iso}: {error.strerror}") from None
    raise UsageError(f"{iso} is no image of ours", hint="./scripts/build-image makes one")


@contextmanager
def _opened(path: Path) -> Iterator[_Target]:
    try:
        mode = path.stat().st_mode
        if not (stat.S_ISBLK(mode) or stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
            raise UsageError(f"{path} is neither a drive nor a file", hint="'lsblk' lists drives")
        is_device = stat.S_ISBLK(mode)
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


def _copy(
    source: BinaryIO, target: _Target, offset: int, length: int, told: Callable[[bytes], object]
) -> None:
    """Copy the next ``length`` bytes; ``told`` each chunk of them."""
    end = offset + length
    while offset < end and (chunk := source.read(min(_CHUNK_BYTES, end - offset))):
        told(chunk)
        target.put(offset, chunk)
        offset += len(chunk)
    target.flush()


def _digest(target: _Target, offset: int, length: int) -> str:
    digest, end = hashlib.sha256(), offset + length
    while offset < end and (chunk := target.read(offset, min(_CHUNK_BYTES, end - offset))):
        digest.update(chunk)
        offset += len(chunk)
    return digest.hexdigest()


def _kept(target: _Target) -> Path | None:
    """A new folder with the files of a data partition that is there already, if it has some."""
    try:
        partitions = parse_table(target.read).partitions
    except GptError:
        return None
    except OSError as error:
        raise UsageError(f"nothing was written: cannot read {target.path}: {error.strerror}") from None
    for partition in partitions:
        base = partition.first * SECTOR_BYTES
        if DATA_LABEL in fat32_labels(partial(_read_within, target, base)):
            return _copied(f"{target.path}@@{base}", target.path)
    return None


def _copied(volume: str, path: Path) -> Path | None:
    # Not among temporary files: it may be all there is of certificates that were not sent yet.
    try:
        folder = Path(tempfile.mkdtemp(prefix="rasura-stick-kept-", dir=Path.cwd()))
    except OSError as error:
        raise UsageError(
            "nothing was written: the current folder cannot take the files of the stick's data partition:"
            f" {error.strerror}",
            hint="change to a folder that can be written to",
        ) from None
    try:
        copy_out(volume, folder)
        if any(folder.iterdir()):
            return folder
    except BuildError as error:
        shutil.rmtree(folder)
        raise BuildError(
            f"nothing was written: the data partition of {path} cannot be read: {error}",
            hint="--afresh writes the stick and keeps nothing of what is in its data partition",
        ) from None
    except BaseException:
        shutil.rmtree(folder)
        raise
    folder.rmdir()
    return None


def _read_within(target: _Target, base: int, offset: int, length: int) -> bytes:
    return target.read(base + offset, length)


def _lay_tree(tree: Path, kept: Path | None, contents: StickContents) -> None:
    """Make the folder ``tree``: all that the data partition is to have."""
    tree.mkdir()
    for folder in (*([kept] if kept is not None else []), *contents.restored):
        shutil.copytree(folder, tree, dirs_exist_ok=True)
    lay_out(tree)
    if contents.settings_text is not None or not (tree / "boot/rasura.cfg").exists():
        (tree / "boot/settings.toml").write_text(contents.settings_text or "")
        (tree / "boot/rasura.cfg").write_text(data_partition_cfg(contents.settings))
    if contents.site is not None:
        shutil.rmtree(tree / "site", ignore_errors=True)
        shutil.copytree(contents.site, tree / "site")
    for policy in contents.policies:
        shutil.copy(policy, tree / "policies")
