"""The Debian packages of the image: chosen by apt from its signed lists, kept as files with their hashes.

::

    cache/packages.json      what was chosen, and from which state of the archive
    cache/packages/*.deb     the packages
    cache/packages/Packages  their index: a flat repository that mmdebstrap reads, with no network

With the same cache the same image comes out, on any host and on any later day.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path

import msgspec

from rasura import durable
from rasura_image.errors import BuildError
from rasura_image.tools import run

__all__ = ["Package", "PackageCache", "Wanted", "load_wanted", "parse_stanzas"]

_KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
_MIRROR = "http://deb.debian.org"
_SUITES = (("debian", "trixie"), ("debian", "trixie-updates"), ("debian-security", "trixie-security"))
_COMPONENTS = "main non-free-firmware"
_INSTALLED = re.compile(r"^Inst (?P<name>\S+) (?:\[[^\]]*\] )?\((?P<version>\S+)", re.MULTILINE)


class Wanted(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The packages asked for, by what is done with them (image/packages.toml)."""

    root: tuple[str, ...]
    payload: tuple[str, ...]
    tools: tuple[str, ...]


class Package(msgspec.Struct, frozen=True, rename="camel"):
    """One binary package; ``file`` is its name in the cache, ``uses`` says what is done with it."""

    name: str
    version: str
    architecture: str
    source: str
    sha256: str
    file: str
    uses: frozenset[str]


class _Lock(msgspec.Struct, frozen=True, rename="camel"):
    wanted: Wanted
    released: int
    packages: tuple[Package, ...]


def load_wanted(path: Path) -> Wanted:
    """Read image/packages.toml; raises :class:`BuildError`."""
    try:
        return msgspec.convert(tomllib.loads(path.read_text()), Wanted)
    except (OSError, tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
        raise BuildError(f"{path} cannot be used: {error}") from None


@dataclass(frozen=True, slots=True)
class PackageCache:
    """A folder of packages and what they were chosen for."""

    folder: Path
    released: int
    """When the archive was last released, seconds since the epoch: the time of all that is made of it."""
    packages: tuple[Package, ...]

    @classmethod
    def open(cls, folder: Path, wanted: Wanted, *, update: bool, mirror: str | None = None) -> PackageCache:
        """The cache in ``folder``, filled from the archive if it is not what ``wanted`` asks for.

        Raises:
            BuildError: the archive cannot be reached, or a file is not what its hash says.
        """
        lock_file = folder / "packages.json"
        if not update:
            lock = _read_lock(lock_file)
            if lock is not None and lock.wanted == wanted and not _damaged(folder, lock.packages):
                return cls(folder, lock.released, lock.packages)
        lock = _fetch(folder, wanted, mirror or os.environ.get("RASURA_MIRROR") or _MIRROR)
        durable.write_file(lock_file, msgspec.json.format(msgspec.json.encode(lock, order="deterministic")))
        return cls(folder, lock.released, lock.packages)

    @property
    def repository(self) -> Path:
        """The folder of the packages, which is a flat repository."""
        return self.folder / "packages"

    def used_for(self, use: str) -> tuple[Package, ...]:
        """The packages of one use."""
        return tuple(package for package in self.packages if use in package.uses)

    def path(self, package: Package) -> Path:
        """Where the package lies."""
        return self.repository / package.file

    def digest(self) -> str:
        """A hash over everything chosen."""
        listing = json.dumps([[one.name, one.version, one.sha256, sorted(one.uses)] for one in self.packages])
        return hashlib.sha256(f"{self.released}\n{listing}".encode()).hexdigest()


def parse_stanzas(text: str) -> tuple[dict[str, str], ...]:
    """The fields of a Packages index (deb822); continuation lines are kept with their newlines."""
    stanzas = []
    for block in re.split(r"\n\n+", text.strip()):
        fields: dict[str, str] = {}
        last = ""
        for line in block.splitlines():
            if line[:1] in {" ", "\t"}:
                fields[last] += f"\n{line}"
            else:
                last, _, value = line.partition(":")
                fields[last] = value.strip()
        stanzas.append(fields)
    return tuple(stanzas)


def _read_lock(path: Path) -> _Lock | None:
    try:
        return msgspec.json.decode(path.read_bytes(), type=_Lock)
    except (OSError, msgspec.DecodeError):
        return None


def _damaged(folder: Path, packages: Iterable[Package]) -> bool:
    for package in packages:
        path = folder / "packages" / package.file
        if not path.is_file() or _sha256(path) != package.sha256:
            return True
    return not (folder / "packages" / "Packages").is_file()


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _fetch(folder: Path, wanted: Wanted, mirror: str) -> _Lock:
    apt = _Apt(folder / "apt", mirror)
    apt.update()
    uses: dict[tuple[str, str], set[str]] = {}
    for use, chosen in (
        ("root", apt.closure(("?essential", "apt-", *wanted.root))),
        ("tools", apt.closure(wanted.tools)),
        ("payload", apt.exactly(wanted.payload)),
    ):
        for key in chosen:
            uses.setdefault(key, set()).add(use)
    stanzas = {(one["Package"], one["Version"]): one for one in apt.show(uses)}
    repository = folder / "packages"
    repository.mkdir(parents=True, exist_ok=True)
    packages = tuple(sorted((_package(stanzas[key], uses[key]) for key in uses), key=lambda one: one.name))
    _download(apt, repository, packages)
    index = "\n".join(_stanza(stanzas[one.name, one.version], one.file) for one in packages)
    durable.write_file(repository / "Packages", index.encode())
    return _Lock(wanted, apt.released(), packages)


def _package(stanza: Mapping[str, str], uses: set[str]) -> Package:
    source = stanza.get("Source", stanza["Package"])
    return Package(
        name=stanza["Package"],
        version=stanza["Version"],
        architecture=stanza["Architecture"],
        source=source if "(" in source else f"{source} ({stanza['Version']})",
        sha256=stanza["SHA256"],
        file=Path(stanza["Filename"]).name.replace("%3a", "~"),
        uses=frozenset(uses),
    )


def _stanza(fields: Mapping[str, str], file: str) -> str:
    kept = {**fields, "Filename": f"./{file}"}
    return "".join(f"{key}: {value}\n" for key, value in kept.items())


def _download(apt: _Apt, repository: Path, packages: tuple[Package, ...]) -> None:
    wanted = {package.file for package in packages}
    for path in repository.iterdir():
        if path.name not in wanted:
            path.unlink()
    missing = [one for one in packages if not (repository / one.file).is_file()]
    incoming = repository.parent / "incoming"
    shutil.rmtree(incoming, ignore_errors=True)
    incoming.mkdir()
    if missing:
        apt.download(missing, incoming)
    arrived = {_sha256(path): path for path in incoming.glob("*.deb")}
    for package in missing:
        if package.sha256 not in arrived:
            raise BuildError(
                f"{package.name} {package.version} did not arrive as the archive's list describes it"
            )
        arrived[package.sha256].replace(repository / package.file)
    incoming.rmdir()
    for package in packages:
        if _sha256(repository / package.file) != package.sha256:
            raise BuildError(f"{package.file} in the cache is damaged: remove {repository} and build again")


class _Apt:
    """apt with lists and settings of its own; it neither reads nor changes those of the host."""

    def __init__(self, folder: Path, mirror: str) -> None:
        folder = folder.resolve()
        self._lists = folder / "lists"
        for part in (self._lists / "partial", folder / "archives/partial"):
            part.mkdir(parents=True, exist_ok=True)
        if not _KEYRING.is_file():
            raise BuildError(
                "the keys of Debian's archive are missing", hint="apt-get install debian-archive-keyring"
            )
        sources = "".join(
            f"deb [signed-by={_KEYRING}] {mirror}/{archive} {suite} {_COMPONENTS}\n"
            for archive, suite in _SUITES
        )
        (folder / "sources.list").write_text(sources)
        (folder / "status").write_text("")
        settings = {
            "Dir::State::lists": self._lists,
            "Dir::Cache": folder,
            "Dir::State::status": folder / "status",
            "Dir::Etc::sourcelist": folder / "sources.list",
            "Dir::Etc::sourceparts": "/dev/null",
            "Debug::NoLocking": "1",
            "APT::Sandbox::User": "",
            "APT::Architecture": "amd64",
            "APT::Architectures": "amd64",
            "APT::Install-Recommends": "false",
            "Acquire::Languages": "none",
            "Acquire::Retries": "3",
        }
        self._options = [part for key, value in settings.items() for part in ("-o", f"{key}={value}")]

    def update(self) -> None:
        run(["apt-get", *self._options, "--error-on=any", "update"])

    def closure(self, names: Iterable[str]) -> tuple[tuple[str, str], ...]:
        """Names and versions that installing ``names`` on nothing would bring."""
        told = run(["apt-get", *self._options, "--simulate", "install", *names])
        return tuple((match["name"], match["version"]) for match in _INSTALLED.finditer(told))

    def exactly(self, names: Iterable[str]) -> tuple[tuple[str, str], ...]:
        """Names and newest versions, without dependencies; the kernel's metapackage stands for its kernel."""
        chosen = []
        for stanza in parse_stanzas(run(["apt-cache", *self._options, "--no-all-versions", "show", *names])):
            name, version = stanza["Package"], stanza["Version"]
            if name.startswith("linux-image-"):
                name, _, bound = stanza["Depends"].partition(" ")
                version = bound.strip("(=) ")
            chosen.append((name, version))
        return tuple(chosen)

    def show(self, keys: Iterable[tuple[str, str]]) -> tuple[dict[str, str], ...]:
        return parse_stanzas(
            run(["apt-cache", *self._options, "show", *(f"{name}={version}" for name, version in keys)])
        )

    def download(self, packages: Iterable[Package], folder: Path) -> None:
        run(["apt-get", *self._options, "download", *(f"{p.name}={p.version}" for p in packages)], cwd=folder)

    def released(self) -> int:
        """When the newest of the suites was released (the Date of its InRelease)."""
        dates = []
        for path in self._lists.glob("*_InRelease"):
            match = re.search(r"^Date: (.+)$", path.read_text(errors="replace"), re.MULTILINE)
            if match is not None:
                dates.append(parsedate_to_datetime(match[1]).astimezone(UTC))
        if not dates:
            raise BuildError("the archive's lists carry no date: build again with --update")
        return int(max(dates, default=datetime.now(UTC)).timestamp())
