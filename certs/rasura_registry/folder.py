"""The data folder: everything a registry is, under one path.

::

    keys/ca.key  keys/log.key   the secrets of the log (mode 0600)
    keys/keys.toml              authority = "…", log = "…": key URIs of those that are elsewhere
    ca.pem  trust.toml          the authority's certificate; what auditors are given
    index.sqlite3               the order of the entries, and every signed checkpoint
    bodies/                     the submissions, byte for byte
    tile/  checkpoint           the log as it is published
    tls/                        the TLS authority and the server's certificate, if it serves TLS itself
    enrolments/                 stations that ask to be certified, for hours
    timestamps/                 what timestamp authorities said of checkpoints, for ever
    sites/NAME/                 site folders, until they are handed to their workshop
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

import msgspec
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from rasura import durable
from rasura.errors import RasuraError, UsageError
from rasura.key_source import key_text, load_signing_key, uri_to_keep, without_module
from rasura.key_uri import TokenUri, parse_key_uri
from rasura.keys import (
    KeyFormatError,
    certificate_pem,
    issue_site,
    load_certificates,
    load_private_key,
    new_authority,
    private_key_pem,
)
from rasura.lock_file import take_lock
from rasura.note import NoteError, VerifierKey
from rasura.site_kit import write_site_kit
from rasura.toml_text import toml_table
from rasura.trust import Trust
from rasura_registry.errors import FolderError, FolderInUseError
from rasura_registry.files import DurableFiles
from rasura_registry.index import SqliteIndex, create_index
from rasura_registry.log import start_log

__all__ = ["Folder", "add_site", "add_timestamp_authorities", "initialise"]

_FORBIDDEN_IN_SITE = set('/\\:*?"<>|')
"""The folder is copied to sticks, whose file system is mostly FAT."""


class Folder(msgspec.Struct, frozen=True):
    """Where things are in the data folder at ``root``."""

    root: Path

    @property
    def authority_key(self) -> Path:
        """The private key that certifies sites."""
        return self.root / "keys" / "ca.key"

    @property
    def log_key(self) -> Path:
        """The private key that signs checkpoints."""
        return self.root / "keys" / "log.key"

    @property
    def key_uris(self) -> Path:
        """Where keys are that are not in the folder."""
        return self.root / "keys" / "keys.toml"

    @property
    def authority(self) -> Path:
        """The authority's certificate."""
        return self.root / "ca.pem"

    @property
    def trust(self) -> Path:
        """What auditors are given."""
        return self.root / "trust.toml"

    @property
    def index(self) -> Path:
        """The SQLite file."""
        return self.root / "index.sqlite3"

    @property
    def cosignatures(self) -> Path:
        """The file of :mod:`rasura_registry.cosignatures`."""
        return self.root / "cosignatures.sqlite3"

    @property
    def tls(self) -> Path:
        """The folder of :mod:`rasura_registry.tls`."""
        return self.root / "tls"

    @property
    def enrolments(self) -> Path:
        """The folder of :mod:`rasura_registry.enrolments`."""
        return self.root / "enrolments"

    @property
    def timestamps(self) -> Path:
        """The folder of :mod:`rasura_registry.timestamps`."""
        return self.root / "timestamps"

    def site(self, name: str) -> Path:
        """The folder of a site."""
        return self.root / "sites" / name

    def known_site(self, name: str) -> Path:
        """The folder of a site that is there; raises :class:`UsageError`."""
        _check_site(name)
        if not self.site(name).is_dir():
            raise UsageError(
                f"the site {name!r} has no folder here",
                hint=f"it may have been handed over; folders are in {self.root / 'sites'}",
            )
        return self.site(name)

    def read(self, path: Path) -> bytes:
        """The content of one of the files above.

        Raises:
            FolderError: it cannot be read, so this is no registry's folder, or not ours to read.
        """
        try:
            return path.read_bytes()
        except OSError as error:
            raise FolderError(
                f"{self.root} cannot be used as a registry's folder: {path.name}: {error.strerror}",
                hint="make one with 'rasura-registry init'",
            ) from None

    def load_log_key(self) -> Ed25519PrivateKey:
        """The log's key; raises :class:`FolderError`, or ``UsageError`` when it should be elsewhere."""
        uri = self._key_uri("log")
        if uri is not None:
            return _log_key(uri)
        return _ed25519(self.read(self.log_key), str(self.log_key))

    def load_authority_key(self) -> ec.EllipticCurvePrivateKey:
        """The authority's key, maybe on a token.

        Raises:
            FolderError: the folder has none.
            UsageError, KeyFormatError: it should be elsewhere, and cannot be had.
        """
        uri = self._key_uri("authority")
        if uri is not None:
            return load_signing_key(uri, what="the key of the registry's authority")
        return load_private_key(self.read(self.authority_key))

    def _key_uri(self, name: str) -> str | None:
        if not self.key_uris.exists():
            return None
        text = self.read(self.key_uris).decode("utf-8", "replace")
        document = toml_table(text, str(self.key_uris), FolderError)
        if document.keys() - {"authority", "log"} or not all(
            isinstance(one, str) for one in document.values()
        ):
            raise FolderError(f'{self.key_uris} may have authority = "…" and log = "…", both key URIs')
        return document.get(name)

    def load_trust(self) -> Trust:
        """The trust file, checked against the log's key; raises :class:`FolderError`."""
        try:
            trust = Trust.parse(self.read(self.trust).decode("utf-8", "replace"))
        except FolderError:
            raise
        except RasuraError as error:
            raise FolderError(f"{self.trust}: {error}") from None
        key = self.load_log_key()
        if len(trust.logs) != 1 or trust.logs[0] != VerifierKey.of(trust.logs[0].name, key):
            raise FolderError(f"{self.trust} does not name the log whose key is {self.log_key.name}")
        return trust

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the folder for one server process; the kernel lets go when the process ends.

        Raises:
            FolderInUseError: another process holds it.
            FolderError: it cannot be locked.
        """
        try:
            descriptor = take_lock(self.root / "lock")
        except BlockingIOError:
            raise FolderInUseError(
                f"another registry is running on {self.root}",
                hint="one folder has one server: stop the other",
            ) from None
        except OSError as error:
            raise FolderError(f"{self.root} cannot be locked: {error.strerror}") from None
        try:
            yield
        finally:
            os.close(descriptor)


def initialise(
    root: Path,
    *,
    origin: str,
    sites: Sequence[str],
    url: str | None,
    now: datetime,
    ca_pin: str | None = None,
    passphrase: str | None = None,
    authority_uri: str | None = None,
    log_uri: str | None = None,
) -> VerifierKey:
    """Make a new registry at ``root``, whole or not at all; returns the log's verifier key.

    ``url``, ``ca_pin`` and ``passphrase`` are for the site folders, see :func:`add_site`. Keys at
    ``authority_uri`` and ``log_uri`` are used and stay there; without, they are made here.

    Raises:
        FolderInUseError: ``root`` is there and not empty.
        UsageError: a name cannot be used.
        FolderError: the file system said no.
    """
    _check_origin(origin)
    for site in sites:
        _check_site(site)
    if len(set(sites)) != len(sites):
        raise UsageError("a site is named twice")
    _check_free(root)
    with _built_aside(root) as building:
        folder = Folder(building)
        log_key = Ed25519PrivateKey.generate() if log_uri is None else _log_key(log_uri)
        given = None
        if authority_uri is not None:
            given = load_signing_key(authority_uri, what="the key of the registry's authority")
        authority_key, authority = new_authority(origin, now, given)
        verifier_key = VerifierKey.of(origin, log_key)
        folder.log_key.parent.mkdir(mode=0o700)
        if log_uri is None:
            log_pem = log_key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
            durable.write_file(folder.log_key, log_pem, mode=0o600)
        if authority_uri is None:
            durable.write_file(folder.authority_key, private_key_pem(authority_key), mode=0o600)
        uris = {"authority": authority_uri, "log": log_uri}
        kept = [
            f"{name} = {json.dumps(uri_to_keep(uri), ensure_ascii=False)}\n"
            for name, uri in uris.items()
            if uri is not None
        ]
        if kept:
            durable.write_file(folder.key_uris, "".join(kept).encode(), mode=0o600)
        durable.write_file(folder.authority, certificate_pem(authority))
        durable.write_file(folder.trust, Trust((authority,), (verifier_key,)).to_toml().encode())
        (building / "sites").mkdir()
        create_index(folder.index)
        index = SqliteIndex(folder.index)
        try:
            start_log(DurableFiles(building), index, log_key, origin, int(now.timestamp()))
        finally:
            index.close()
        for site in sites:
            add_site(building, site, url=url, now=now, ca_pin=ca_pin, passphrase=passphrase)
    return verifier_key


def add_site(
    root: Path,
    site: str,
    *,
    url: str | None,
    now: datetime,
    ca_pin: str | None = None,
    passphrase: str | None = None,
    key_uri: str | None = None,
) -> Path:
    """Certify a new site and make its folder, whole or not at all; returns where it is.

    Its stations will find the registry at ``url``, whose TLS authority has that pin; its key is
    written under ``passphrase``, or open, or is the one at ``key_uri`` and stays there.

    Raises:
        FolderInUseError: the site has a folder already.
        UsageError: the name, pin or passphrase cannot be used, or ``root`` is no registry.
    """
    _check_site(site)
    folder = Folder(root)
    trust = folder.load_trust()
    kept = None if key_uri is None else uri_to_keep(key_uri)
    authority_key = folder.load_authority_key()
    authority = load_certificates(folder.read(folder.authority))[0]
    target = folder.site(site)
    if target.exists():
        raise FolderInUseError(f"the site {site!r} has a folder already: {target}")
    given = None if kept is None else load_signing_key(kept, what=f"the key of the site {site}")
    key, certificate = issue_site(authority_key, authority, site, now, given)
    with _built_aside(target) as building:
        building.rmdir()
        write_site_kit(
            building,
            site=site,
            key=key if kept is None else without_module(kept),
            chain=(certificate, authority),
            trust=trust,
            registry_url=url,
            registry_ca=ca_pin,
            passphrase=passphrase,
        )
    return target


def add_timestamp_authorities(root: Path, pem: bytes) -> tuple[str, ...]:
    """Trust the roots in a PEM text for timestamps; returns the names of those in it.

    Raises:
        UsageError: there is no certificate in it, or one that is no root; or ``root`` is no registry.
        FolderError: the file system said no; the older trust file stands.
    """
    folder = Folder(root)
    trust = folder.load_trust()
    try:
        added = load_certificates(pem)
    except KeyFormatError as error:
        raise UsageError(f"no timestamp authority can be read: {error}") from None
    for one in added:
        if one.issuer != one.subject:
            raise UsageError(
                f"{one.subject.rfc4514_string()} is certified by another",
                hint="name the root at the end of its chain",
            )
    known = trust.timestamp_authorities
    new = tuple(one for one in dict.fromkeys(added) if one not in known)
    try:
        told = msgspec.structs.replace(trust, timestamp_authorities=known + new)
        durable.write_file(folder.trust, told.to_toml().encode())
    except OSError as error:
        raise FolderError(f"cannot write {folder.trust}: {error.strerror}") from None
    return tuple(one.subject.rfc4514_string() for one in added)


def _log_key(uri: str) -> Ed25519PrivateKey:
    location = parse_key_uri(uri)
    if isinstance(location, TokenUri):
        raise UsageError(
            "the log's key is Ed25519, which hardly any token signs with: it cannot be on one yet",
            hint="file:PATH or env:NAME",
        )
    return _ed25519(key_text(location, what="the log's key"), "the log's key")


def _ed25519(pem: bytes, where: str) -> Ed25519PrivateKey:
    try:
        key = serialization.load_pem_private_key(pem, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        key = None
    if not isinstance(key, Ed25519PrivateKey):
        raise FolderError(f"{where} is not an Ed25519 private key in PEM")
    return key


def _check_free(root: Path) -> None:
    try:
        there = sorted(path.name for path in root.iterdir())
    except FileNotFoundError:
        return
    except OSError as error:
        raise FolderError(f"{root} cannot be a registry's folder: {error.strerror}") from None
    if Folder(root).index.name in there:
        raise FolderInUseError(f"{root} is a registry already", hint="start it with 'rasura-registry serve'")
    if there:
        raise FolderInUseError(f"{root} is not empty", hint="name a new folder")


@contextmanager
def _built_aside(target: Path) -> Iterator[Path]:
    """A new folder beside ``target`` that takes its place when everything in it is there."""
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        building = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
        try:
            yield building
            durable.sync_folder(building)
            building.rename(target)
            durable.sync_folder(target.parent)
        finally:
            shutil.rmtree(building, ignore_errors=True)
    except OSError as error:
        raise FolderError(f"cannot make {target}: {error.strerror}") from None


def _check_origin(origin: str) -> None:
    try:
        VerifierKey.of(origin, Ed25519PrivateKey.generate())
    except NoteError:
        problem = "it needs characters, and no space or plus"
    else:
        problem = "it needs 64 characters at most" if len(origin) > 64 else ""
    if problem:
        raise UsageError(
            f"{origin[:80]!r} cannot be the registry's name: {problem}",
            hint="use the address it will have, without the scheme: log.example.org/rasura",
        )


def _check_site(site: str) -> None:
    fits = 1 <= len(site) <= 64 and len(site.encode("utf-8", "replace")) <= 200
    if not fits or not site.isprintable() or site != site.strip(" .") or set(site) & _FORBIDDEN_IN_SITE:
        raise UsageError(
            f"{site[:80]!r} cannot be a site's name: it becomes a folder on a stick",
            hint='1 to 64 characters, no / \\ : * ? " < > |, no space or dot at either end',
        )
