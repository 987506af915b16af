"""The stick's data partition: where site folder, policies, certificates, journal and logs are."""

from __future__ import annotations

import logging
import os
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from rasura.errors import RasuraError
from rasura_agent.console.language import _
from rasura_agent.console.words import size
from rasura_agent.live.volumes import Volume, choose, image_disks

__all__ = ["FolderMedium", "Medium", "StickMedium", "lay_out", "mount_stick", "unmount_stick"]

MOUNT_OPTIONS = "rw,noexec,nosuid,nodev,noatime,umask=077,utf8,flush"
_MOUNT_S = 60.0
_FOLDERS = ("boot", "certificates", "journal", "logs", "policies")
_LOG = logging.getLogger("rasura.medium")

_README = """\
This partition belongs to Rasura, which erases drives and certifies it.

site/          your site's folder (site.toml, site.key, site.pem, trust.toml)
policies/      your own policies: NAME.toml
boot/          settings of the boot menu
certificates/  certificates: pending, sent, refused
journal/       what was being done to drives; leave it alone
logs/          for technicians

Drives are never erased from Windows or from here: start the computer from this stick.
Pull the stick out only when the screen says that every certificate is on it.
"""
_LISEZMOI = """\
Cette partition appartient à Rasura, qui efface des disques et en établit la preuve.

site/          le dossier de votre site (site.toml, site.key, site.pem, trust.toml)
policies/      vos propres règles d'effacement : NOM.toml
boot/          réglages du menu de démarrage
certificates/  les certificats : pending (en attente), sent (envoyés), refused (refusés)
journal/       ce qui était en cours sur les disques ; n'y touchez pas
logs/          pour les techniciens

Rien ne s'efface depuis Windows ni depuis ce dossier : démarrez l'ordinateur sur cette clé.
Ne retirez la clé que lorsque l'écran indique que tous les certificats s'y trouvent.
"""


class Medium(Protocol):
    """Where a live station finds and keeps what outlives it."""

    @property
    def folder(self) -> Path | None:
        """The folder of the data partition; ``None`` while there is none."""
        ...

    @property
    def description(self) -> str | None:
        """Which one it is, for a person."""
        ...

    @property
    def notes(self) -> tuple[str, ...]:
        """What else is to be said about sticks."""
        ...

    def look(self) -> None:
        """Look for it afresh; never raises."""
        ...


class FolderMedium:
    """A folder in place of a stick, to try a live station without one."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.notes: tuple[str, ...] = ()

    @property
    def folder(self) -> Path | None:
        """See :class:`Medium`."""
        return self._folder if self._folder.is_dir() else None

    @property
    def description(self) -> str | None:
        """See :class:`Medium`."""
        return str(self._folder) if self._folder.is_dir() else None

    def look(self) -> None:
        """See :class:`Medium`."""


class StickMedium:
    """The :class:`Medium` of a real machine. Used by several threads."""

    def __init__(
        self,
        folder: Path,
        volumes: Callable[[], tuple[Volume, ...]],
        mount: Callable[[Volume, Path], None],
        unmount: Callable[[Path], None],
        make: Callable[[str], str] | None,
        changed: Callable[[Path | None], None],
        say: Callable[[str], None],
    ) -> None:
        """Put the ports together.

        Args:
            folder: where the data partition is mounted.
            volumes: what there is, afresh.
            mount: mounts a volume at a folder; raises ``RasuraError``.
            unmount: lets go of a mount, whatever uses it.
            make: makes a data partition on the live image's stick (a device node) and returns its node;
                ``None`` if that must not be.
            changed: told the folder when a stick was mounted, ``None`` when it is gone.
            say: told what takes its time.
        """
        self._place, self._volumes, self._mount, self._unmount = folder, volumes, mount, unmount
        self._make, self._changed, self._say = make, changed, say
        self._lock = threading.Lock()
        self._mounted: Volume | None = None
        self.notes: tuple[str, ...] = ()

    @property
    def folder(self) -> Path | None:
        """See :class:`Medium`."""
        return self._place if self._mounted is not None else None

    @property
    def description(self) -> str | None:
        """See :class:`Medium`."""
        mounted = self._mounted
        if mounted is None:
            return None
        try:
            room = os.statvfs(self._place)
        except OSError:
            return mounted.path
        free = size(room.f_bavail * room.f_frsize)
        return _("{path}, {free} free").format(path=mounted.path, free=free)

    def look(self) -> None:
        """See :class:`Medium`."""
        with self._lock:
            try:
                self.notes = self._looked()
            except RasuraError as error:
                _LOG.warning("%s", error)
                self.notes = (str(error),)

    def _looked(self) -> tuple[str, ...]:
        volumes = self._volumes()
        if self._mounted is not None:
            if self._mounted in volumes:
                return ()
            self._mounted = None
            self._changed(None)
            self._unmount(self._place)
            _LOG.info("the stick is gone")
        choice = choose(volumes)
        volume = choice.volume
        if volume is None and choice.note is None:
            volume = self._made(volumes)
        if volume is None:
            return (choice.note,) if choice.note is not None else ()
        self._mount(volume, self._place)
        _LOG.info("the stick %s is mounted", volume.path)
        self._mounted = volume
        self._changed(self._place)
        return ()

    def _made(self, volumes: tuple[Volume, ...]) -> Volume | None:
        """A data partition that is made now, beside the only live image there is."""
        images = [image for image in image_disks(volumes) if not image.is_disc]
        if self._make is None or len(images) != 1:
            return None
        make, self._make = self._make, None  # once a boot, however it ends
        self._say(_("The stick gets its data partition now: leave it plugged in."))
        node = make(images[0].disk)
        volume = next((one for one in self._volumes() if one.path == node), None)
        if volume is None or choose([volume]).volume is None:
            # udev has not seen it yet: the next look will find it.
            return None
        return volume


def lay_out(folder: Path) -> None:
    """Make what every data partition has: its folders, and words for whoever opens it on another system.

    Raises:
        OSError: it cannot be written to.
    """
    for name in _FOLDERS:
        (folder / name).mkdir(exist_ok=True)
    for name, text in (("README.txt", _README), ("LISEZMOI.txt", _LISEZMOI)):
        path = folder / name
        if not path.exists():
            # Line ends and byte-order mark for Notepad.
            path.write_text(text, encoding="utf-8-sig", newline="\r\n")


def mount_stick(volume: Volume, folder: Path) -> None:
    """Mount the data partition; the folders on it are made if they are missing.

    Raises:
        MountError: it cannot be mounted.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if folder.is_mount():  # left by an agent before us
        unmount_stick(folder)
    command = ("mount", "-t", "vfat", "-o", MOUNT_OPTIONS, volume.path, str(folder))
    try:
        done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=_MOUNT_S)
    except (OSError, subprocess.SubprocessError) as error:
        raise MountError(volume, str(error)) from None
    if done.returncode:
        raise MountError(volume, done.stderr.strip())
    try:
        lay_out(folder)
    except OSError as error:
        _LOG.warning("the stick %s cannot be written to: %s", volume.path, error)


class MountError(RasuraError):
    """The stick is there and cannot be used."""

    def __init__(self, volume: Volume, reason: str) -> None:
        sentence = _("the stick {path} cannot be mounted: {reason}")
        super().__init__(sentence.format(path=volume.path, reason=reason))


def unmount_stick(folder: Path) -> None:
    """Let go of a stick that is gone, whatever still has files open there."""
    try:
        subprocess.run(("umount", "-l", str(folder)), check=False, capture_output=True, timeout=_MOUNT_S)
    except (OSError, subprocess.SubprocessError) as error:
        _LOG.warning("cannot unmount %s: %s", folder, error)
