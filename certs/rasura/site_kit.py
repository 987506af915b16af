"""The site folder: what a workshop keeps on its stick or server to sign certificates.

::

    site.toml     site = "…", registry = "http://…" (optional)
    site.key      the site's private key, mode 0600
    site.pem      the site's signing certificate, then the authority's
    trust.toml    whom to trust when reading receipts
"""

from __future__ import annotations

import json
import tomllib
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from rasura import durable
from rasura.errors import UsageError
from rasura.keys import (
    KeyFormatError,
    certificate_pem,
    load_certificates,
    load_private_key,
    organization,
    p256_public_key,
    private_key_pem,
)
from rasura.trust import Trust

__all__ = ["SiteKit", "write_site_kit"]


@dataclass(frozen=True, slots=True)
class SiteKit:
    """A site's name, key and certificate, whom it trusts and where its registry is."""

    site: str
    key: ec.EllipticCurvePrivateKey
    certificate: x509.Certificate
    trust: Trust
    registry_url: str | None

    @classmethod
    def load(cls, folder: Path) -> SiteKit:
        """Read a site folder.

        Raises:
            UsageError: a file is missing or wrong, or key and certificate do not belong together.
        """
        settings = _settings(_read(folder / "site.toml").decode(errors="replace"))
        try:
            key = load_private_key(_read(folder / "site.key"))
            certificate = load_certificates(_read(folder / "site.pem"))[0]
            if p256_public_key(certificate) != key.public_key():
                raise UsageError(f"site.key and site.pem in {folder} do not belong together")
            if organization(certificate) != settings["site"]:
                raise UsageError(f"site.pem in {folder} is for another site than site.toml says")
        except KeyFormatError as error:
            raise UsageError(f"the site folder {folder} cannot be used: {error}") from None
        trust = Trust.parse(_read(folder / "trust.toml").decode(errors="replace"))
        return cls(settings["site"], key, certificate, trust, settings.get("registry"))


def _settings(text: str) -> dict[str, str]:
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"site.toml is not TOML: {error}") from None
    unknown = sorted(document.keys() - {"site", "registry"})
    if unknown:
        raise UsageError(f"site.toml has an unknown key {unknown[0]!r}")
    if "site" not in document or not all(isinstance(value, str) for value in document.values()):
        raise UsageError('site.toml needs site = "…" and may have registry = "http://…"')
    return document


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise UsageError(
            f"cannot read {path}: {error.strerror}",
            hint="a site folder is made by 'rasura-registry init' or 'rasura-registry site'",
        ) from None


def write_site_kit(
    folder: Path,
    *,
    site: str,
    key: ec.EllipticCurvePrivateKey,
    chain: tuple[x509.Certificate, ...],
    trust: Trust,
    registry_url: str | None = None,
) -> None:
    """Make a new site folder (mode 0700); ``chain`` is the site's certificate, then the authority's.

    Raises:
        OSError: the folder exists or cannot be written.
    """
    folder.mkdir(mode=0o700, parents=True)
    # A JSON string is a TOML basic string.
    settings = f"site = {json.dumps(site, ensure_ascii=False)}\n"
    if registry_url is not None:
        settings += f"registry = {json.dumps(registry_url)}\n"
    durable.write_file(folder / "site.key", private_key_pem(key), mode=0o600)
    durable.write_file(folder / "site.pem", certificate_pem(*chain))
    durable.write_file(folder / "trust.toml", trust.to_toml().encode())
    durable.write_file(folder / "site.toml", settings.encode())
