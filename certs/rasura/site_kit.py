"""The site folder: what a workshop keeps on its stick or server to sign certificates.

::

    site.toml     site = "…"; registry = "https://…", ca = "sha256:…" and key = "…" are optional
    site.key      the site's private key, mode 0600: open (PEM) or under a passphrase (rasura.key_box);
                  not there if site.toml says where the key is: a key URI (rasura.key_uri)
    site.pem      the site's signing certificate, then the authority's
    trust.toml    whom to trust when reading receipts
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NoReturn

import click
import msgspec
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from rasura import durable
from rasura.errors import UsageError
from rasura.key_box import Holder, PassphraseNeededError, is_sealed, seal
from rasura.key_source import check_kept_uri, load_signing_key
from rasura.keys import (
    KeyFormatError,
    certificate_pem,
    load_certificates,
    organization,
    p256_public_key,
    private_key_pem,
)
from rasura.pinned import parse_pin
from rasura.toml_text import toml_table
from rasura.trust import Trust

__all__ = [
    "KEY_FILE",
    "PASSPHRASE_FILE",
    "PERSON_PASSPHRASE_FILE",
    "SiteKit",
    "SitePapers",
    "ask_passphrase",
    "seal_site_key",
    "site_settings",
    "write_site_kit",
]

PASSPHRASE_FILE = "RASURA_PASSPHRASE_FILE"  # noqa: S105  the name of a variable, no secret
"""The environment variable that names a file holding the passphrase, for scripts."""

PERSON_PASSPHRASE_FILE = "RASURA_PERSON_PASSPHRASE_FILE"  # noqa: S105
"""The same for a person's key."""
KEY_FILE = "site.key"


class SitePapers(msgspec.Struct, frozen=True):
    """What a site folder says without its key: enough to send certificates, not to sign them."""

    site: str
    certificate: x509.Certificate
    trust: Trust
    registry_url: str | None
    registry_ca: str | None
    """The pin of that registry's TLS authority, see :mod:`rasura.pinned`."""
    key_uri: str = KEY_FILE
    """Where its key is, see :mod:`rasura.key_uri`; relative paths are in the folder."""

    @classmethod
    def load(cls, folder: Path) -> SitePapers:
        """Read all of a site folder but its key; raises :class:`UsageError`."""
        settings = _settings(_read(folder / "site.toml").decode(errors="replace"))
        trust = Trust.parse(_read(folder / "trust.toml").decode(errors="replace"))
        try:
            certificate = load_certificates(_read(folder / "site.pem"))[0]
            if organization(certificate) != settings["site"]:
                raise UsageError(f"site.pem in {folder} is for another site than site.toml says")
        except KeyFormatError as error:
            raise UsageError(f"the site folder {folder} cannot be used: {error}") from None
        return cls(
            settings["site"],
            certificate,
            trust,
            settings.get("registry"),
            settings.get("ca"),
            settings.get("key", KEY_FILE),
        )


class SiteKit(msgspec.Struct, frozen=True):
    """A site's name, key and certificate, whom it trusts, where its registry is and that one's pin."""

    site: str
    key: ec.EllipticCurvePrivateKey
    certificate: x509.Certificate
    trust: Trust
    registry_url: str | None
    registry_ca: str | None = None

    @classmethod
    def load(cls, folder: Path, passphrase: Callable[[], str] | None = None) -> SiteKit:
        """Read a site folder; ``passphrase`` is called if the key is sealed, and only then.

        Raises:
            PassphraseNeededError: the key is sealed and there is no ``passphrase``.
            WrongPassphraseError: it does not open the key.
            UsageError: a file is missing or wrong, or key and certificate do not belong together.
        """
        papers = SitePapers.load(folder)
        try:
            key = load_signing_key(
                papers.key_uri,
                what=f"the key of the site folder {folder}",
                base=folder,
                passphrase=passphrase or partial(_nobody_asks, folder),
            )
            if p256_public_key(papers.certificate) != key.public_key():
                raise UsageError(f"site.key and site.pem in {folder} do not belong together")
        except KeyFormatError as error:
            raise UsageError(f"the site folder {folder} cannot be used: {error}") from None
        return cls(
            papers.site, key, papers.certificate, papers.trust, papers.registry_url, papers.registry_ca
        )


def _nobody_asks(folder: Path) -> NoReturn:
    raise PassphraseNeededError(
        f"the key of the site folder {folder} is under a passphrase",
        hint=f"use a terminal, where it is asked for, or name a file that holds it in {PASSPHRASE_FILE}",
    )


def ask_passphrase(*, new: bool = False, holder: Holder = Holder.SITE) -> str:
    """The passphrase of a key: from the file that :data:`PASSPHRASE_FILE` names, or typed.

    On a terminal it is asked for, unseen; twice when it is ``new``.

    Raises:
        PassphraseNeededError: no file is named and nobody is at a terminal.
        UsageError: the file cannot be read.
    """
    variable = PASSPHRASE_FILE if holder is Holder.SITE else PERSON_PASSPHRASE_FILE
    named = os.environ.get(variable)
    if named:
        try:
            return Path(named).read_text(encoding="utf-8").removesuffix("\n").removesuffix("\r")
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or "it is not text in UTF-8"
            raise UsageError(f"cannot read the passphrase from {named}: {reason}") from None
    if not sys.stdin.isatty():
        raise PassphraseNeededError(
            f"{holder.words} needs a passphrase and nobody is here to type it",
            hint=f"use a terminal, or name a file that holds it in {variable}",
        )
    typed: str = click.prompt(
        f"New passphrase of {holder.words}" if new else f"Passphrase of {holder.words}",
        hide_input=True,
        confirmation_prompt=new,
        err=True,
    )
    return typed


def seal_site_key(folder: Path, passphrase: Callable[[], str]) -> None:
    """Put the open key of a site folder under a passphrase, in one step: never neither nor half.

    Raises:
        UsageError: the folder is not one, its key is sealed already, or the passphrase is too short.
        OSError: the file cannot be written; the open key stands.
    """
    if SitePapers.load(folder).key_uri != KEY_FILE:
        raise UsageError(f"the key of {folder} is not in it, as site.toml says: there is nothing to seal")
    if is_sealed(_read(folder / KEY_FILE)):
        raise UsageError(f"the key of the site folder {folder} is under a passphrase already")
    sealed = seal(SiteKit.load(folder).key, passphrase())
    durable.write_file(folder / KEY_FILE, sealed, mode=0o600)


def _settings(text: str) -> dict[str, str]:
    document = toml_table(text, "site.toml", UsageError)
    unknown = sorted(document.keys() - {"site", "registry", "ca", "key"})
    if unknown:
        raise UsageError(f"site.toml has an unknown key {unknown[0]!r}")
    if "site" not in document or not all(isinstance(value, str) for value in document.values()):
        raise UsageError(
            'site.toml needs site = "…" and may have registry = "https://…", ca = "sha256:…" and key = "…"'
        )
    check_kept_uri(document.get("key", KEY_FILE), "site.toml")
    if "ca" in document:
        document["ca"] = parse_pin(document["ca"])
    return document


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise UsageError(
            f"cannot read {path}: {error.strerror}",
            hint="a site folder is made by 'rasura-registry init' or 'rasura-registry site'",
        ) from None


def site_settings(
    site: str, registry_url: str | None, registry_ca: str | None, key_uri: str | None = None
) -> str:
    """The text of ``site.toml``; raises :class:`UsageError` if ``registry_ca`` is no pin."""
    # A JSON string is a TOML basic string.
    settings = f"site = {json.dumps(site, ensure_ascii=False)}\n"
    if registry_url is not None:
        settings += f"registry = {json.dumps(registry_url)}\n"
    if registry_ca is not None:
        settings += f"ca = {json.dumps(parse_pin(registry_ca))}\n"
    if key_uri is not None:
        settings += f"key = {json.dumps(key_uri, ensure_ascii=False)}\n"
    return settings


def write_site_kit(
    folder: Path,
    *,
    site: str,
    key: ec.EllipticCurvePrivateKey | str,
    chain: tuple[x509.Certificate, ...],
    trust: Trust,
    registry_url: str | None = None,
    registry_ca: str | None = None,
    passphrase: str | None = None,
) -> None:
    """Make a new site folder (mode 0700); ``chain`` is the site's certificate, then the authority's.

    The key is written under ``passphrase``, if there is one; a key URI goes into ``site.toml`` instead.

    Raises:
        UsageError: the passphrase is too short, or ``registry_ca`` is no pin.
        OSError: the folder exists or cannot be written.
    """
    if isinstance(key, str):
        written_key = None
    else:
        written_key = private_key_pem(key) if passphrase is None else seal(key, passphrase)
    settings = site_settings(site, registry_url, registry_ca, key if isinstance(key, str) else None)
    folder.mkdir(mode=0o700, parents=True)
    if written_key is not None:
        durable.write_file(folder / KEY_FILE, written_key, mode=0o600)
    durable.write_file(folder / "site.pem", certificate_pem(*chain))
    durable.write_file(folder / "trust.toml", trust.to_toml().encode())
    durable.write_file(folder / "site.toml", settings.encode())
