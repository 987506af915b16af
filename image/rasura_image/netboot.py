"""What lies beside the payload: on the ISO, and in the folder that machines boot from over the network."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from rasura_image.dnsmasq import sample_conf
from rasura_image.menus import ipxe_script, iso_grub_cfg, netboot_grub_cfg
from rasura_image.settings import DhcpMode, Settings
from rasura_image.tree import Entry

__all__ = ["medium_entries", "netboot_entries"]

_GRUB = "usr/lib/grub"
_MEMTEST = {"memtest.bin": "boot/memtest86+x64.bin", "memtest.efi": "boot/memtest86+x64.efi"}


def medium_entries(payload: Path) -> Iterator[Entry]:
    """The boot menu of the ISO and what it starts besides the payload; ``payload``: the packages' files."""
    yield Entry.file("boot/grub/grub.cfg", iso_grub_cfg().encode())
    yield Entry.file("boot/grub/fonts/unicode.pf2", payload / "usr/share/grub/unicode.pf2")
    for name, source in _MEMTEST.items():
        yield Entry.file(f"boot/memtest86+/{name}", payload / source)


def netboot_entries(payload: Path) -> Iterator[Entry]:
    """The boot programs for the network, under the names that each asks for, and default menus."""
    programs = {
        "bootx64.efi": "usr/lib/shim/shimx64.efi.signed",
        "grubx64.efi": f"{_GRUB}/x86_64-efi-signed/grubnetx64.efi.signed",
        "undionly.kpxe": "usr/lib/ipxe/undionly.kpxe",
        "ipxe.efi": "usr/lib/ipxe/ipxe-amd64.efi",
    }
    for name, source in programs.items():
        yield Entry.file(name, payload / source)
    yield Entry.file("grub/grub.cfg", netboot_grub_cfg(Settings(), None).encode())
    yield Entry.file("boot.ipxe", ipxe_script(Settings(), None).encode())
    for mode in (DhcpMode.FULL, DhcpMode.PROXY):
        yield Entry.file(f"dnsmasq-{mode}.conf", sample_conf(mode).encode())
    yield Entry.file("grub/fonts/unicode.pf2", payload / "usr/share/grub/unicode.pf2")
    for name, source in _MEMTEST.items():
        yield Entry.file(f"memtest86+/{name}", payload / source)
