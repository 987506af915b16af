"""The kernel, the modules and the firmware that stay of it, and the console's keymaps and font."""

from __future__ import annotations

import gzip
import lzma
import re
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from rasura_image.errors import BuildError
from rasura_image.keep import FirmwareRules, ModuleRules, Patterns, parse_dependencies
from rasura_image.tools import ToolTree
from rasura_image.tree import Entry

__all__ = ["KEYMAPS", "Kernel", "console_entries", "firmware_entries"]

KEYMAPS = {
    "us": "us",
    "fr": "fr,oss",
    "be": "be",
    "ch": "ch,fr",
    "de": "de",
    "gb": "gb",
    "es": "es",
    "it": "it",
    "ca": "ca,fr",
}
"""The keyboards on offer: our name, and layout and variant as XKB names them."""

_FONT = "usr/share/consolefonts/Lat15-Terminus16.psf.gz"


@dataclass(frozen=True, slots=True)
class Kernel:
    """A Debian kernel, unpacked, its modules uncompressed: the image compresses as a whole."""

    root: Path
    release: str
    dependencies: dict[str, tuple[str, ...]]

    @staticmethod
    def prepare(unpacked: Path, tools: ToolTree) -> None:
        """Uncompress the modules of the one linux-image package in ``unpacked`` and list what each needs."""
        folder = _only_modules(unpacked)
        for path in folder.rglob("*.ko.xz"):
            path.with_suffix("").write_bytes(lzma.decompress(path.read_bytes()))
            path.unlink()
        tools.run("depmod", "--basedir", unpacked / "usr", folder.name)

    @classmethod
    def load(cls, unpacked: Path) -> Kernel:
        """What :meth:`prepare` made; raises :class:`BuildError`."""
        folder = _only_modules(unpacked)
        return cls(unpacked, folder.name, parse_dependencies((folder / "modules.dep").read_text()))

    @property
    def image(self) -> Path:
        """The kernel itself."""
        return self.root / "boot" / f"vmlinuz-{self.release}"

    @property
    def modules(self) -> Path:
        """The folder of all modules."""
        return self.root / "usr/lib/modules" / self.release

    def chosen_entries(self, rules: ModuleRules, tools: ToolTree, work: Path) -> tuple[Entry, ...]:
        """The modules that ``rules`` keep and the tables of them, as entries of the root tree."""
        shutil.rmtree(work, ignore_errors=True)
        target = work / "lib/modules" / self.release
        for path in sorted(rules.choose(self.dependencies)):
            (target / path).parent.mkdir(parents=True, exist_ok=True)
            (target / path).hardlink_to(self.modules / path)
        for name in ("modules.order", "modules.builtin", "modules.builtin.modinfo"):
            shutil.copy(self.modules / name, target / name)
        tools.run("depmod", "--basedir", work, self.release)
        prefix = f"usr/lib/modules/{self.release}"
        return tuple(
            Entry.file(f"{prefix}/{path.relative_to(target)}", path)
            for path in sorted(target.rglob("*"))
            if path.is_file()
        )


def _only_modules(unpacked: Path) -> Path:
    folders = list((unpacked / "usr/lib/modules").iterdir())
    if len(folders) != 1:
        raise BuildError(f"{unpacked} holds {len(folders)} kernels, and one is needed")
    return folders[0]


def firmware_entries(
    modules: Iterable[Entry], payload: Path, rules: FirmwareRules, tools: ToolTree
) -> tuple[Entry, ...]:
    """The firmware that the modules name, as far as the unpacked payload has it and ``rules`` let it.

    Raises:
        BuildError: a pattern of ``rules`` leaves out nothing.
    """
    files = [
        entry.content for entry in modules if isinstance(entry.content, Path) and entry.path.endswith(".ko")
    ]
    named = set(tools.run("modinfo", "--field", "firmware", *files).split())
    folder = payload / "usr/lib/firmware"
    there = {
        str(path.relative_to(folder)): path
        for name in sorted(named)
        # A name may be a pattern, as in MODULE_FIRMWARE("ath10k/*").
        for path in (sorted(folder.glob(name)) if "*" in name else [folder / name])
        if path.resolve().is_file()
    }
    drop = Patterns(rules.drop)
    drop.require_used(there, "firmware.drop")
    found: dict[str, Entry] = {}
    for name, path in there.items():
        if not drop.match(name):
            _take(folder, name, path, found)
    return tuple(found.values())


def _take(folder: Path, name: str, path: Path, found: dict[str, Entry]) -> None:
    entry = f"usr/lib/firmware/{name}"
    if path.is_symlink():
        target = path.resolve()
        found[f"usr/lib/firmware/{target.relative_to(folder.resolve())}"] = Entry.file(
            f"usr/lib/firmware/{target.relative_to(folder.resolve())}", target
        )
        found[entry] = Entry.link(entry, str(path.readlink()))
    else:
        found[entry] = Entry.file(entry, path)


def console_entries(payload: Path, tools: ToolTree) -> tuple[Entry, ...]:
    """Keymaps made of XKB's layouts, and a font that has French letters."""
    compiler = tools.root / "usr/bin/ckbcomp"
    modules = [
        f"-I{tools.root / part}"
        for part in ("usr/share/perl/5.40", "usr/share/perl5", "usr/lib/x86_64-linux-gnu/perl/5.40")
    ]
    rules = f"-I{payload / 'usr/share/X11/xkb'}"
    entries = [Entry.file("usr/share/rasura/console.psf.gz", payload / _FONT)]
    for name, layout in KEYMAPS.items():
        xkb, _, variant = layout.partition(",")
        told = tools.run(
            "perl", *modules, compiler, rules, "-layout", xkb, *(["-variant", variant] if variant else [])
        )
        if not re.search(r"^keycode\s+16 ", told, re.MULTILINE):
            raise BuildError(f"the keymap {name} came out empty")
        entries.append(
            Entry.file(f"usr/share/rasura/keymaps/{name}.kmap.gz", gzip.compress(told.encode(), mtime=0))
        )
    return tuple(entries)
