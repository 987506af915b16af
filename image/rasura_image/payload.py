"""The payload of every way to boot: a kernel, and one initrd that holds the whole system."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from rasura_image.cpio import write_cpio
from rasura_image.kernel import Kernel
from rasura_image.tools import ToolTree
from rasura_image.tree import Entry

__all__ = ["BUILD_FILE", "BuildFacts", "first_stage", "squash", "write_initrd"]

BUILD_FILE = "build.json"
_ZSTD_LEVEL = "12"
_APPLETS = ("sh", "mount", "mkdir", "cp", "insmod", "losetup", "sleep", "switch_root")


@dataclass(frozen=True, slots=True)
class BuildFacts:
    """What names a build: its version, the commit, and the hash of every part."""

    version: str
    commit: str
    parts: dict[str, str]

    @property
    def build_hash(self) -> str:
        """``sha256:…`` over the parts' names and hashes (canonical JSON)."""
        canonical = json.dumps(self.parts, sort_keys=True, separators=(",", ":"))
        return f"sha256:{hashlib.sha256(canonical.encode()).hexdigest()}"

    def encode(self) -> bytes:
        """The content of build.json."""
        document = {
            "schema": 1,
            "version": self.version,
            "commit": self.commit,
            "buildHash": self.build_hash,
            "parts": self.parts,
        }
        return json.dumps(document, indent=2, sort_keys=True).encode() + b"\n"


def squash(source: Path, target: Path, tools: ToolTree, epoch: int) -> None:
    """Make a squashfs of a tar file."""
    target.unlink(missing_ok=True)
    tools.run(
        "mksquashfs", "-", target, "-tar", "-comp", "zstd", "-Xcompression-level", _ZSTD_LEVEL, "-b", "64K",
        "-quiet", "-no-exports", "-no-progress", "-default-mode", "0755",
        "-default-uid", "0", "-default-gid", "0",
        env={"SOURCE_DATE_EPOCH": str(epoch)}, stdin=source,
    )  # fmt: skip


def first_stage(init: Path, busybox: Path, kernel: Kernel, modules: Iterable[str], epoch: int) -> bytes:
    """The first archive of the initrd, compressed: busybox, some modules, and the first program."""
    paths = tuple(modules)
    names = [PurePosixPath(path).name for path in paths]
    entries = [
        Entry.file("init", init, 0o755),
        Entry.file("bin/busybox", busybox, 0o755),
        *(Entry.link(f"bin/{applet}", "busybox") for applet in _APPLETS),
        *(
            Entry.file(f"modules/{name}", kernel.modules / path)
            for name, path in zip(names, paths, strict=True)
        ),
        Entry.file("modules/order", "".join(f"{name}\n" for name in names).encode()),
        *(Entry.folder(name) for name in ("proc", "sys", "dev")),
    ]
    plain = io.BytesIO()
    write_cpio(plain, entries, epoch, console=True)
    packed = gzip.compress(plain.getvalue(), mtime=0)
    return packed + b"\0" * (-len(packed) % 512)


def write_initrd(target: Path, stage: bytes, layers: dict[str, Path], facts: BuildFacts, epoch: int) -> None:
    """The initrd: the first stage, then an archive of the layers and of what names the build."""
    with target.open("wb") as stream:
        stream.write(stage)
        entries = [Entry.file(name, path) for name, path in layers.items()]
        write_cpio(stream, [*entries, Entry.file(BUILD_FILE, facts.encode())], epoch)
