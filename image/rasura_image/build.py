"""Building the image: from packages and this project to build/image/, each step kept while its input stays.

::

    build/cache/            packages, unpacked trees, layers; safe to remove
    build/image/            rasura.iso, netboot/, SHA256SUMS, sbom.json, build.json
"""

from __future__ import annotations

import hashlib
import itertools
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from rasura import __version__
from rasura.errors import UsageError
from rasura_image import agent_layer, keep, kernel, payload, tree
from rasura_image.errors import BuildError
from rasura_image.iso import write_iso
from rasura_image.licences import ARCHIVE, DOCUMENTS, licence_archive
from rasura_image.netboot import medium_entries, netboot_entries
from rasura_image.packages import Package, PackageCache, load_wanted
from rasura_image.payload import BUILD_FILE, BuildFacts
from rasura_image.sbom import bill_of_materials
from rasura_image.tools import ToolTree, require, run, unpack_deb
from rasura_image.tree import Entry

__all__ = ["Builder", "Built"]

_SUMS = "SHA256SUMS"
_NEEDED = {"apt-get": "apt", "dpkg-deb": "dpkg", "mmdebstrap": "mmdebstrap"}


@dataclass(frozen=True, slots=True)
class Built:
    """What came out: the folder, and what names the build."""

    folder: Path
    facts: BuildFacts


class Builder:
    """Builds the image of the project at ``root``; ``say`` is told each step."""

    def __init__(self, root: Path, cache: Path, say: Callable[[str], None]) -> None:
        self._root, self._cache, self._say = root, cache.resolve(), say
        self._image = root / "image"

    def build(
        self, target: Path, *, update: bool = False, notes: Callable[[BuildFacts], str] | None = None
    ) -> Built:
        """Build into the folder ``target``, which is replaced whole when all is done.

        ``notes`` makes RELEASE.md of what names the build.

        Raises:
            UsageError: ``target`` holds something that is no build, or a folder cannot be written to.
            BuildError: something failed; ``target`` is as it was.
            HostError: this computer lacks a program.
        """
        _require_places(target, self._cache)
        require(_NEEDED if os.geteuid() == 0 else {**_NEEDED, "newuidmap": "uidmap"})
        started = time.monotonic()
        self._step("packages")
        packages = PackageCache.open(self._cache, load_wanted(self._image / "packages.toml"), update=update)
        unpacked = self._unpack(packages)
        tools = ToolTree(unpacked / "tools")
        rules = keep.parse_keep((self._image / "keep.toml").read_text())
        linux = kernel.Kernel.load(unpacked / "kernel")
        base = self._base_layer(packages, unpacked, tools, linux, rules)
        epoch, commit = self._now(packages), self._commit()
        self._step("agent")
        lock = agent_layer.locked_wheels(
            (self._root / "requirements.lock").read_text(), agent_layer.needed_distributions()
        )
        work = self._cache / "work"
        shutil.rmtree(work, ignore_errors=True)
        work.mkdir(parents=True)
        wheels = self._wheels(lock)
        agent = self._agent_layer(wheels, tools, work, epoch)
        self._step("kernel and initrd")
        stage = payload.first_stage(
            self._image / "initrd/init",
            unpacked / "payload/usr/bin/busybox",
            linux,
            rules.modules.first_stage(linux.dependencies),
            epoch,
        )
        layers = {"base.squashfs": base, "agent.squashfs": agent}
        parts = {"vmlinuz": _sha256(linux.image), "init.cpio": hashlib.sha256(stage).hexdigest()}
        parts |= {name: _sha256(path) for name, path in layers.items()}
        facts = BuildFacts(__version__, commit, parts)
        new = work / "image"
        netboot = new / "netboot"
        (netboot / "rasura").mkdir(parents=True)
        shutil.copyfile(linux.image, netboot / "rasura/vmlinuz")
        payload.write_initrd(netboot / "rasura/initrd", stage, layers, facts, epoch)
        (netboot / "rasura" / BUILD_FILE).write_bytes(facts.encode())
        (netboot / ARCHIVE).write_bytes(self._licences(packages, unpacked, lock, wheels))
        self._lay_out(new, unpacked / "payload", tools, work, facts, epoch)
        (new / "sbom.json").write_text(bill_of_materials(facts, _shipped(packages), lock, epoch))
        (new / BUILD_FILE).write_bytes(facts.encode())
        if notes is not None:
            (new / "RELEASE.md").write_text(notes(facts))
        _write_sums(new)
        _replace(new, target)
        shutil.rmtree(work)
        size = (target / "rasura.iso").stat().st_size
        took = time.monotonic() - started
        self._say(f"built {target} in {took:.0f} s: rasura.iso {size / 1e6:.0f} MB, {facts.build_hash}")
        return Built(target, facts)

    def _lay_out(
        self, new: Path, unpacked: Path, tools: ToolTree, work: Path, facts: BuildFacts, epoch: int
    ) -> None:
        netboot = new / "netboot"
        for entry in netboot_entries(unpacked):
            path = netboot / entry.path
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(entry.read())
        self._step("ISO")
        files = [
            *medium_entries(unpacked),
            Entry.file(f"rasura/{BUILD_FILE}", facts.encode()),
            Entry.file("rasura/vmlinuz", netboot / "rasura/vmlinuz"),
            Entry.file("rasura/initrd", netboot / "rasura/initrd"),
            Entry.file(ARCHIVE, netboot / ARCHIVE),
        ]
        write_iso(new / "rasura.iso", files, unpacked, tools, work / "iso", epoch)

    def _unpack(self, packages: PackageCache) -> Path:
        def make(folder: Path) -> None:
            self._step("unpacking tools, kernel, firmware")
            for package in packages.used_for("tools"):
                unpack_deb(packages.path(package), folder / "tools")
            for package in packages.used_for("payload"):
                part = "kernel" if package.name.startswith("linux-image-") else "payload"
                unpack_deb(packages.path(package), folder / part)
            kernel.Kernel.prepare(folder / "kernel", ToolTree(folder / "tools"))

        return self._kept("unpacked", _code(kernel) + packages.digest(), make)

    def _installed(self, packages: PackageCache) -> Path:
        """The root file system as Debian installs it, whole, as a tar file."""

        def install(target: Path) -> None:
            self._step("installing Debian (mmdebstrap)")
            names = ",".join(package.name for package in packages.used_for("root"))
            run(
                [
                    *("mmdebstrap", "--variant=custom", f"--include={names}", "--architectures=amd64"),
                    *("--aptopt=APT::Install-Recommends false", "--format=tar", "trixie", target),
                    f"deb [trusted=yes] copy:{packages.repository} ./",
                ],
                env={"SOURCE_DATE_EPOCH": str(packages.released)},
            )

        return self._kept("root", packages.digest(), install)

    def _base_layer(
        self,
        packages: PackageCache,
        unpacked: Path,
        tools: ToolTree,
        linux: kernel.Kernel,
        rules: keep.Keep,
    ) -> Path:
        def compose(target: Path) -> None:
            self._step("base layer")
            root = self._installed(packages)
            work = self._cache / "modules.work"
            modules = linux.chosen_entries(rules.modules, tools, work)
            firmware = kernel.firmware_entries(modules, unpacked / "payload", rules.firmware, tools)
            console = kernel.console_entries(unpacked / "payload", tools)
            whole = target.with_suffix(".tar")
            members = tree.filtered(root, rules.files.left_out(tree.names(root)))
            tree.write_tar(whole, members, [*modules, *firmware, *console], packages.released)
            payload.squash(whole, target, tools, packages.released)
            whole.unlink()
            shutil.rmtree(work)

        recipe = (self._image / "keep.toml").read_text() + _code(kernel, keep, tree, payload)
        return self._kept("base", packages.digest() + recipe, compose)

    def _wheels(self, lock: str) -> Path:
        return self._kept(
            "wheels",
            lock + _code(agent_layer),
            lambda folder: agent_layer.install_wheels(lock, folder, self._cache / "pip"),
        )

    def _licences(self, packages: PackageCache, unpacked: Path, lock: str, wheels: Path) -> bytes:
        documents = itertools.chain(
            tree.picked(self._installed(packages), DOCUMENTS),
            *(
                tree.entries_of(unpacked / part / "usr/share/doc", "usr/share/doc")
                for part in ("payload", "kernel")
            ),
        )
        own = (self._root / "LICENSE").read_bytes()
        return licence_archive(__version__, own, _shipped(packages), documents, lock, tree.entries_of(wheels))

    def _agent_layer(self, wheels: Path, tools: ToolTree, work: Path, epoch: int) -> Path:
        entries = agent_layer.agent_entries(self._root, wheels, work / "agent", tools)
        whole, target = work / "agent.tar", work / "agent.squashfs"
        tree.write_tar(whole, (), entries, epoch)
        payload.squash(whole, target, tools, epoch)
        return target

    def _kept(self, name: str, recipe: str, make: Callable[[Path], None]) -> Path:
        """What ``make`` made of ``recipe``, kept until the recipe changes."""
        key = hashlib.sha256(recipe.encode()).hexdigest()[:16]
        path = self._cache / f"{name}-{key}"
        if not path.exists():
            for old in self._cache.glob(f"{name}-*"):
                shutil.rmtree(old) if old.is_dir() else old.unlink()
            new = self._cache / f"{name}-new"
            make(new)
            new.rename(path)
        return path

    def _now(self, packages: PackageCache) -> int:
        given = os.environ.get("SOURCE_DATE_EPOCH")
        if given is not None:
            if not given.isdecimal():
                raise BuildError(f"SOURCE_DATE_EPOCH={given} is not a number of seconds")
            return int(given)
        told = self._git("log", "-1", "--format=%ct")
        return int(told) if told else packages.released

    def _commit(self) -> str:
        commit = self._git("rev-parse", "HEAD")
        if not commit:
            return "unknown"
        return f"{commit}-dirty" if self._git("status", "--porcelain") else commit

    def _git(self, *arguments: str) -> str:
        try:
            done = subprocess.run(
                ["git", "-C", str(self._root), *arguments], capture_output=True, text=True, check=False
            )
        except OSError:
            return ""
        return done.stdout.strip() if done.returncode == 0 else ""

    def _step(self, text: str) -> None:
        self._say(f"  {text}")


def _code(*modules: object) -> str:
    """The source of modules: what they make is made anew when they change."""
    return "".join(Path(str(getattr(module, "__file__", ""))).read_text() for module in modules)


def _shipped(packages: PackageCache) -> list[Package]:
    return [package for package in packages.packages if package.uses - {"tools"}]


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _write_sums(folder: Path) -> None:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    lines = [f"{_sha256(path)}  {path.relative_to(folder)}\n" for path in files]
    (folder / _SUMS).write_text("".join(lines))


def _require_places(target: Path, cache: Path) -> None:
    """See that both folders can be written to, and that ``target`` may be replaced whole.

    Raises:
        UsageError: it cannot, or something else than a build of ours would be lost.
    """
    place = target.resolve()
    if place.is_relative_to(cache) or cache.is_relative_to(place):
        raise UsageError(
            f"{target} and the cache {cache} must not lie in each other", hint="name another --output"
        )
    try:
        found = {path.name for path in place.iterdir()} if place.exists() else set()
    except NotADirectoryError:
        raise UsageError(f"{target} is no folder", hint="name another --output") from None
    except OSError as error:
        raise UsageError(
            f"cannot look into {target}: {error.strerror}", hint="name another --output"
        ) from None
    if found and not found >= {BUILD_FILE, _SUMS}:
        raise UsageError(
            f"{target} is neither empty nor an image built before: it would be replaced whole",
            hint="name a folder that does not exist yet",
        )
    for option, folder in (("output", place.parent), ("cache", cache)):
        try:
            folder.mkdir(parents=True, exist_ok=True)
            Path(tempfile.mkdtemp(prefix=".rasura-", dir=folder)).rmdir()
        except OSError as error:
            raise UsageError(
                f"cannot write to {folder}: {error.strerror}", hint=f"name another --{option}"
            ) from None


def _replace(new: Path, target: Path) -> None:
    place = target.resolve()
    # Beside it under a name of our own, so that a folder is never seen half filled, and no other is touched.
    try:
        beside = Path(tempfile.mkdtemp(prefix=f".{place.name}-", dir=place.parent))
        shutil.move(new, beside / "new")
        if place.exists():
            place.rename(beside / "old")
        (beside / "new").rename(place)
    except OSError as error:
        raise BuildError(
            f"the image is built and cannot be put at {target}: {error.strerror or error}"
        ) from None
    shutil.rmtree(beside, ignore_errors=True)
