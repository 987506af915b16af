"""The folder that is served: the built payload, untouched, with menus and a policy rendered for one site.

Everything is a copy: programs that serve a LAN run as ``nobody`` and need not see where the image was built,
and an image built meanwhile changes nothing under a machine that boots.
"""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path

import msgspec

from rasura.errors import RefusedError, UsageError
from rasura_agent.erase.policy import BUILT_IN
from rasura_image.dnsmasq import BIOS_PROGRAM, IPXE_MENU, UEFI_PROGRAM
from rasura_image.licences import ARCHIVE
from rasura_image.menus import ipxe_script, netboot_grub_cfg
from rasura_image.settings import Settings

__all__ = ["assemble", "policy_warning", "refuse_private_keys", "served_policy"]

INITRD, KERNEL = "rasura/initrd", "rasura/vmlinuz"
_NEEDED = (BIOS_PROGRAM, UEFI_PROGRAM, "grubx64.efi", KERNEL, INITRD)
_OPTIONAL = (
    "ipxe.efi", "grub/fonts/unicode.pf2", "memtest86+/memtest.bin", "memtest86+/memtest.efi", ARCHIVE
)  # fmt: skip
_KEY_BYTES = 1 << 20
"""No key file is larger; larger files are not searched."""


def refuse_private_keys(*folders: Path) -> None:
    """See that no private key lies in a folder whose files are served to anyone on the LAN.

    Raises:
        RefusedError: one does.
    """
    for folder in folders:
        for path in sorted(folder.rglob("*")):
            if not path.is_file():
                continue
            if path.suffix == ".key" or (
                path.stat().st_size <= _KEY_BYTES and b"PRIVATE KEY" in path.read_bytes()
            ):
                raise RefusedError(
                    f"{path} looks like a private key: nothing of this folder is served while it is there",
                    hint="A site's key belongs on its stick or in its registry, never on the network.",
                )


def served_policy(settings: Settings, policies: Path) -> Path | None:
    """The file in the folder ``policies`` that the settings' policy names, if it names one there."""
    name = settings.station.policy
    path = policies / f"{name}.toml"
    return path if name is not None and "/" not in name and path.is_file() else None


def policy_warning(settings: Settings, policies: Path) -> str | None:
    """A sentence, if the settings name a policy that is neither built in nor in the folder ``policies``."""
    name = settings.station.policy
    if name is None or "/" in name or name in BUILT_IN or served_policy(settings, policies) is not None:
        return None
    return (
        f"the policy {name} is neither built in nor there as policies/{name}.toml: machines look for it on"
        " their own stick, and stop where it is not"
    )


def assemble(target: Path, netboot: Path, settings: Settings, policy: Path | None, url: str) -> Settings:
    """Fill the empty folder ``target`` with all that is served at ``url``.

    Returns the settings as machines get them: with ``policy``, they name its address and digest.

    Raises:
        UsageError: the netboot folder is not complete.
    """
    missing = [name for name in _NEEDED if not (netboot / name).is_file()]
    if missing:
        raise UsageError(
            f"{netboot} lacks {', '.join(missing)}", hint="Build the image first: ./scripts/build-image"
        )
    for name in (*_NEEDED, *_OPTIONAL):
        if (netboot / name).is_file():
            _place(target / name)
            shutil.copyfile(netboot / name, target / name)
    if policy is not None:
        content = policy.read_bytes()
        _place(target / "policies" / policy.name).write_bytes(content)
        address = f"{url}/policies/{policy.name}#sha256={hashlib.sha256(content).hexdigest()}"
        station = msgspec.structs.replace(settings.station, policy=address)
        settings = msgspec.structs.replace(settings, station=station)
    _place(target / "grub/grub.cfg").write_text(netboot_grub_cfg(settings, url), "utf-8")
    _place(target / IPXE_MENU).write_text(ipxe_script(settings, url), "utf-8")
    for path in (target, *target.rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)
    return settings


def _place(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    return path
