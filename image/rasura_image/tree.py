"""Trees of files as they go into an archive: owner root, one time, in order. Nothing of the host gets in."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from rasura_image.keep import Patterns

__all__ = ["Entry", "entries_of", "filtered", "names", "picked", "with_folders", "write_tar"]

_EXECUTABLE, _PLAIN, _FOLDER = 0o755, 0o644, 0o755


@dataclass(frozen=True, slots=True)
class Entry:
    """One file, folder (no content) or symbolic link of a tree; ``path`` starts with no slash."""

    path: str
    mode: int
    content: Path | bytes | None = None
    target: str | None = None

    @classmethod
    def folder(cls, path: str, mode: int = _FOLDER) -> Entry:
        """A folder."""
        return cls(path, mode)

    @classmethod
    def file(cls, path: str, content: Path | bytes, mode: int = _PLAIN) -> Entry:
        """A file, from a file or from bytes."""
        return cls(path, mode, content)

    @classmethod
    def link(cls, path: str, target: str) -> Entry:
        """A symbolic link."""
        return cls(path, 0o777, target=target)

    def read(self) -> bytes:
        """The bytes of a file; none for others."""
        if isinstance(self.content, Path):
            return self.content.read_bytes()
        return self.content or b""


def entries_of(folder: Path, prefix: str = "") -> Iterator[Entry]:
    """The tree under ``folder``; of modes only the executable bit is taken, as git keeps it."""
    for path in sorted(folder.rglob("*")):
        name = str(PurePosixPath(prefix) / path.relative_to(folder).as_posix())
        if path.is_symlink():
            yield Entry.link(name, str(path.readlink()))
        elif path.is_dir():
            yield Entry.folder(name)
        else:
            yield Entry.file(name, path, _EXECUTABLE if path.stat().st_mode & 0o100 else _PLAIN)


def with_folders(entries: Iterable[Entry]) -> tuple[Entry, ...]:
    """The entries sorted by path, with the folders that none of them names; of two alike the last counts."""
    by_path: dict[str, Entry] = {}
    for entry in entries:
        for parent in PurePosixPath(entry.path).parents:
            if str(parent) != ".":
                by_path.setdefault(str(parent), Entry.folder(str(parent)))
        by_path[entry.path] = entry
    return tuple(by_path[path] for path in sorted(by_path))


def filtered(source: Path, drop: Patterns) -> Iterator[tuple[tarfile.TarInfo, bytes | None]]:
    """The members of a tar file but those that ``drop`` matches; devices are never taken."""
    with tarfile.open(source) as archive:
        for member in archive:
            name = member.name.removeprefix("./")
            if member.isdev() or (name and drop.match(name)):
                continue
            stream = archive.extractfile(member) if member.isreg() else None
            yield member, stream.read() if stream is not None else None


def names(source: Path) -> tuple[str, ...]:
    """The paths in a tar file."""
    with tarfile.open(source) as archive:
        return tuple(name.removeprefix("./") for name in archive.getnames())


def picked(source: Path, wanted: Patterns) -> Iterator[Entry]:
    """The files and symbolic links of a tar file that ``wanted`` matches."""
    with tarfile.open(source) as archive:
        for member in archive:
            name = member.name.removeprefix("./")
            if not wanted.match(name):
                continue
            if member.issym():
                yield Entry.link(name, member.linkname)
            elif (stream := archive.extractfile(member)) is not None:
                yield Entry.file(name, stream.read())


def write_tar(
    path: Path, base: Iterable[tuple[tarfile.TarInfo, bytes | None]], added: Iterable[Entry], epoch: int
) -> None:
    """Write members and entries into one tar file (PAX); no time in it is later than ``epoch``.

    An added entry replaces a member of the same path.
    """
    extra = with_folders(added)
    replaced = {entry.path for entry in extra if entry.content is not None or entry.target is not None}
    present: set[str] = set()
    with tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as archive:
        for member, content in base:
            name = member.name.removeprefix("./").rstrip("/")
            if name in replaced:
                continue
            present.add(name)
            member.mtime = min(int(member.mtime), epoch)
            member.pax_headers = {k: v for k, v in member.pax_headers.items() if not k.endswith("time")}
            archive.addfile(member, io.BytesIO(content) if content is not None else None)
        for entry in extra:
            is_folder = entry.content is None and entry.target is None
            if not (is_folder and entry.path in present):
                _add(archive, entry, epoch)


def _add(archive: tarfile.TarFile, entry: Entry, epoch: int) -> None:
    info = tarfile.TarInfo(entry.path)
    info.mode, info.mtime = entry.mode, epoch
    if entry.target is not None:
        info.type, info.linkname = tarfile.SYMTYPE, entry.target
        archive.addfile(info)
    elif entry.content is None:
        info.type = tarfile.DIRTYPE
        archive.addfile(info)
    else:
        content = entry.read()
        info.size = len(content)
        archive.addfile(info, io.BytesIO(content))
