"""The licences of everything in the image, as one archive that any PC opens: ``licences.zip``.

::

    INDEX.txt               what is in the image, and the file that has its copyright and licence
    LICENSE.txt             this project's own
    common-licenses/*.txt   what Debian's copyright files refer to as /usr/share/common-licenses/*
    debian/*.txt            those copyright files; packages with the same text share one
    python/*/*              what came with the Python distributions

It lies beside the system, on the ISO and in the netboot folder: there it travels with the programs and takes
no memory of the machine that boots. A zip opens on every PC without anything installed; its 557 KB are a
quarter of what the files would take on the ISO (2003 KB). A .tar.xz would have 235 KB.
"""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from packaging.utils import canonicalize_name

from rasura_image.errors import BuildError
from rasura_image.keep import Patterns
from rasura_image.packages import Package
from rasura_image.sbom import locked_components
from rasura_image.tree import Entry

__all__ = ["ARCHIVE", "DOCUMENTS", "licence_archive"]

ARCHIVE = "licences.zip"

_DOC, _COMMON = "usr/share/doc", "usr/share/common-licenses"
DOCUMENTS = Patterns([f"{_DOC}/*", _COMMON])
"""Where Debian's packages have their copyright files, and the licences that these refer to (policy 12.5)."""

_LICENCE_FILE = re.compile(r"(?i)(licen[cs]e|copying|notice|authors)")
"""The names of before PEP 639, which has a folder for them."""
_MOST_LINKS = 8
_HEAD = """\
The licences of what is in the image of Rasura {version}.

A line below names a part, its version, the file in this archive that has its copyright and licence, and of a
Debian package the source package that it was built from. Debian keeps all of these sources at
https://snapshot.debian.org/.
"""


@dataclass(frozen=True, slots=True)
class _Archive:
    """Texts under the name that each was first given, and the lines of the index."""

    files: dict[bytes, str] = field(default_factory=dict)
    lines: list[tuple[str, ...]] = field(default_factory=list)

    def add(self, kind: str, name: str, version: str, text: bytes, file: str, source: str = "") -> None:
        self.lines.append((kind, name, version, self.files.setdefault(text, file), source))


def licence_archive(
    version: str,
    own: bytes,
    packages: Iterable[Package],
    documents: Iterable[Entry],
    lock: str,
    wheels: Iterable[Entry],
) -> bytes:
    """The archive; equal input gives equal bytes.

    ``documents`` are the packages' files that :data:`DOCUMENTS` matches; ``lock`` pins the Python
    distributions whose files are ``wheels``; ``own`` is the licence of this project.

    Raises:
        BuildError: something in the image came without its licence; the hint says what to do.
    """
    archive = _Archive()
    archive.add("rasura", "rasura", version, own, "LICENSE.txt")
    by_path = {entry.path: entry for entry in documents}
    _add_common(archive, by_path)
    _add_debian(archive, packages, by_path)
    _add_python(archive, lock, tuple(wheels))
    return _zip(
        {"INDEX.txt": _index(version, archive.lines), **{name: text for text, name in archive.files.items()}}
    )


def _add_common(archive: _Archive, by_path: Mapping[str, Entry]) -> None:
    # All of them: the copyright files are prose, and no pattern finds every way in which they refer to one.
    texts = {path: _text(by_path, path) for path in sorted(by_path) if path.startswith(f"{_COMMON}/")}
    if not any(texts.values()):
        raise BuildError(
            f"the image must not go out: nothing is in /{_COMMON}, which copyright files refer to",
            hint="build again with --update: Debian's base-files brings it",
        )
    for path, text in texts.items():
        if text:
            file = f"common-licenses/{_followed(by_path, path).name}.txt"
            archive.add("text", f"/{path}", "-", text, file)


def _add_debian(archive: _Archive, packages: Iterable[Package], by_path: Mapping[str, Entry]) -> None:
    missing = []
    for package in sorted(packages, key=lambda one: one.name):
        text = _text(by_path, f"{_DOC}/{package.name}/copyright")
        if text:
            file = f"debian/{package.name}.txt"
            archive.add("debian", package.name, package.version, text, file, package.source)
        else:
            missing.append(package.name)
    if missing:
        raise BuildError(
            f"the image must not go out: no copyright file came with {', '.join(missing)}",
            hint="build again with --update; if that does not help, leave it out of image/packages.toml",
        )


def _add_python(archive: _Archive, lock: str, wheels: tuple[Entry, ...]) -> None:
    texts: dict[str, dict[str, bytes]] = {}
    for entry in wheels:
        if (found := _of_wheel(entry)) is not None:
            texts.setdefault(found[0], {})[found[1]] = entry.read()
    missing = []
    for component in locked_components(lock):
        name = canonicalize_name(component.name)
        files = {file: text for file, text in sorted(texts.get(name, {}).items()) if text.strip()}
        for file, text in files.items():
            archive.add("python", name, str(component.version), text, f"python/{name}/{file}")
        if not files:
            missing.append(name)
    if missing:
        raise BuildError(
            f"the image must not go out: no licence came with the wheel of {', '.join(missing)}",
            hint="pin a version in requirements.lock that brings one, or do without it",
        )


def _of_wheel(entry: Entry) -> tuple[str, str] | None:
    """Of a licence in a wheel's metadata: the distribution, and the file's name there."""
    folder, _, name = entry.path.partition(".dist-info/")
    in_folder = name.startswith("licenses/")
    if entry.content is None or "/" in folder or not (in_folder or _LICENCE_FILE.match(name)):
        return None
    file = name.removeprefix("licenses/")
    # Windows opens nothing that has no suffix it knows.
    suffix = "" if PurePosixPath(file).suffix.lower() in {".txt", ".md", ".rst"} else ".txt"
    return canonicalize_name(folder.rpartition("-")[0]), f"{file}{suffix}"


def _text(by_path: Mapping[str, Entry], path: str) -> bytes:
    entry = by_path.get(str(_followed(by_path, path)))
    text = entry.read() if entry is not None else b""
    return text if text.strip() else b""


def _followed(by_path: Mapping[str, Entry], path: str) -> PurePosixPath:
    """``path`` with the links in it followed: a package may share the folder of another."""
    at = PurePosixPath(path)
    for _ in range(_MOST_LINKS):
        linked = next(_links(by_path, at), None)
        if linked is None:
            break
        link, target = linked
        at = _normal(link.parent / target / at.relative_to(link))
    return at


def _links(by_path: Mapping[str, Entry], path: PurePosixPath) -> Iterator[tuple[PurePosixPath, str]]:
    for part in (*reversed(path.parents), path):
        entry = by_path.get(str(part))
        if entry is not None and entry.target is not None:
            yield part, entry.target


def _normal(path: PurePosixPath) -> PurePosixPath:
    parts: list[str] = []
    for part in path.parts:
        if part == "..":
            del parts[-1:]
        elif part != "/":
            parts.append(part)
    return PurePosixPath(*parts)


def _index(version: str, lines: list[tuple[str, ...]]) -> bytes:
    widths = [max(len(cell) for cell in column) for column in zip(*lines, strict=True)]
    rows = (
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    )
    return "\n".join((_HEAD.format(version=version), *rows, "")).encode()


def _zip(files: Mapping[str, bytes]) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for name in sorted(files):
            # Every file has the format's first day: when something was built says nothing about its licence.
            info = zipfile.ZipInfo(name)
            info.compress_type, info.create_system, info.external_attr = (
                zipfile.ZIP_DEFLATED,
                3,
                0o100644 << 16,
            )
            archive.writestr(info, files[name])
    return packed.getvalue()
