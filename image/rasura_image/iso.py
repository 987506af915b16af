"""The hybrid ISO: one file that boots as a CD and as a stick, by BIOS, UEFI and Secure Boot."""

from __future__ import annotations

import hashlib
import os
import shutil
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath

from rasura_image.tools import ToolTree
from rasura_image.tree import Entry, with_folders

__all__ = ["VOLUME", "write_iso"]

VOLUME = "RASURA"
"""The volume label by which the stick is known; the agent never erases a drive that carries it."""

_ESP_SLACK_BYTES = 1 << 20
_SECTORS_A_TRACK, _HEADS = 32, 64
_BIOS_MODULES = (
    "biosdisk",
    "iso9660",
    "part_gpt",
    "part_msdos",
    "search",
    "search_label",
    "search_fs_file",
    "configfile",
    "normal",
)

_BUILD = "rasura/build.json"


def write_iso(
    target: Path, files: list[Entry], payload: Path, tools: ToolTree, work: Path, epoch: int
) -> None:
    """Write the ISO with ``files`` in it; ``payload`` holds shim, GRUB and its modules, unpacked."""
    mark = _mark(files)
    shutil.rmtree(work, ignore_errors=True)
    tree = work / "tree"
    grub = payload / "usr/lib/grub"
    core = work / "core.img"
    tools.run(
        "grub-mkimage", "--format", "i386-pc", "--directory", grub / "i386-pc", "--output", core,
        "--prefix", "/boot/grub", "--config", _written(work / "early.cfg", _find(mark)), *_BIOS_MODULES,
    )  # fmt: skip
    bios = (grub / "i386-pc/cdboot.img").read_bytes() + core.read_bytes()
    files = [
        *files,
        Entry.file(mark, b""),
        Entry.file("boot/grub/bios.img", bios),
        *(
            Entry.file(f"boot/grub/i386-pc/{path.name}", path)
            for path in sorted((grub / "i386-pc").glob("*.mod"))
        ),
        *(
            Entry.file(f"boot/grub/i386-pc/{path.name}", path)
            for path in sorted((grub / "i386-pc").glob("*.lst"))
        ),
    ]
    for entry in with_folders(files):
        path = tree / entry.path
        if entry.content is None:
            path.mkdir(parents=True, exist_ok=True)
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(entry.read())
    for path in (tree, *tree.rglob("*")):
        os.utime(path, (epoch, epoch))
    # The signed GRUB runs this as its menu; the BIOS' core goes on to its own menu by itself.
    esp = _write_esp(work, payload, tools, epoch, f"{_find(mark)}configfile $prefix/grub.cfg\n")
    stamp = datetime.fromtimestamp(epoch, UTC).strftime("%Y%m%d%H%M%S00")
    target.unlink(missing_ok=True)
    tools.run(
        "xorriso", "-as", "mkisofs", "-o", target, "-R", "-r", "-J", "-joliet-long", "-V", VOLUME,
        "--modification-date=" + stamp, "--set_all_file_dates", stamp,
        "--grub2-mbr", grub / "i386-pc/boot_hybrid.img", "--mbr-force-bootable", "-partition_offset", "16",
        "-append_partition", "2", "0xef", esp, "-appended_part_as_gpt", "-iso_mbr_part_type", "0x83",
        "-c", "boot/grub/boot.cat", "-b", "boot/grub/bios.img", "-no-emul-boot", "-boot-load-size", "4",
        "-boot-info-table", "--grub2-boot-info", "-eltorito-alt-boot",
        "-e", "--interval:appended_partition_2:all::",
        "-no-emul-boot", tree,
        env={"SOURCE_DATE_EPOCH": str(epoch)},
    )  # fmt: skip


def _written(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def _mark(files: list[Entry]) -> str:
    """The name of an empty file that only this build has.

    GRUB looks for it on every drive. One that is here to be erased may hold an older image, which must not
    decide what is booted.
    """
    (build,) = (one for one in files if one.path == _BUILD)
    return f"rasura/{hashlib.sha256(build.read()).hexdigest()[:16]}"


def _find(mark: str) -> str:
    """What sets GRUB's root and prefix to the medium with ``mark``."""
    return f"search --no-floppy --set=root --file /{mark}\nset prefix=($root)/boot/grub\n"


def _write_esp(work: Path, payload: Path, tools: ToolTree, epoch: int, menu: str) -> Path:
    """The EFI system partition: shim, the signed GRUB for media, and a stub that finds the ISO's menu."""
    stub = _written(work / "grub.cfg", menu)
    files = {
        "EFI/BOOT/BOOTX64.EFI": payload / "usr/lib/shim/shimx64.efi.signed",
        "EFI/BOOT/grubx64.efi": payload / "usr/lib/grub/x86_64-efi-signed/gcdx64.efi.signed",
        "boot/grub/grub.cfg": stub,
        "EFI/debian/grub.cfg": stub,
    }
    esp = work / "efi.img"
    tracks = (sum(path.stat().st_size for path in files.values()) + _ESP_SLACK_BYTES) // (
        _SECTORS_A_TRACK * 512
    ) + 1
    cylinders = tracks // _HEADS + 1
    esp.write_bytes(b"")
    environment = {"SOURCE_DATE_EPOCH": str(epoch), "MTOOLS_SKIP_CHECK": "1"}
    tools.run(
        "mformat", "-C", "-i", esp, "-t", str(cylinders), "-h", str(_HEADS), "-s", str(_SECTORS_A_TRACK),
        "-v", "RASURA_EFI", "-N", "52415355", "::", env=environment,
    )  # fmt: skip
    folders = {str(parent) for name in files for parent in PurePosixPath(name).parents} - {"."}
    for folder in sorted(folders):
        tools.run("mmd", "-D", "s", "-i", esp, f"::{folder}", env=environment)
    for name, path in files.items():
        source = work / "esp" / name
        source.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, source)
        os.utime(source, (epoch, epoch))
        tools.run("mcopy", "-m", "-i", esp, source, f"::{name}", env=environment)
    return esp
