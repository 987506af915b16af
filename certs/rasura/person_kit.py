"""The person folder: what somebody of a site keeps to accept, reject and correct certificates.

::

    person.key    the person's private key, mode 0600, always under a passphrase (rasura.key_box)
    person.pem    the person's signing certificate
    site.pem  site.toml  trust.toml    as in the site's folder: its certificate, its registry, whom to trust
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import ec

from rasura import durable
from rasura.errors import UsageError
from rasura.key_box import Holder, open_key, seal
from rasura.keys import (
    KeyFormatError,
    Role,
    certificate_pem,
    chain_problems,
    issue_person,
    load_certificates,
    p256_public_key,
)
from rasura.side_signing import Person
from rasura.site_kit import SiteKit, SitePapers

__all__ = ["PersonKit", "write_person_kit"]

_SITE_FILES = ("site.pem", "trust.toml", "site.toml")


@dataclass(frozen=True, slots=True)
class PersonKit:
    """A person who can sign, and what their site's folder says of its registry."""

    person: Person
    papers: SitePapers

    @classmethod
    def load(cls, folder: Path, passphrase: Callable[[], str]) -> PersonKit:
        """Read a person folder; raises :class:`UsageError`."""
        papers = SitePapers.load(folder)
        try:
            certificate = load_certificates(_read(folder / "person.pem"))[0]
            chain = (certificate, papers.certificate)
            problems = chain_problems(chain, papers.trust.authorities, Role.PERSON)
            if problems:
                raise UsageError(f"the person folder {folder} cannot be used: {problems[0]}")
            key = open_key(_read(folder / "person.key"), passphrase(), Holder.PERSON)
            if p256_public_key(certificate) != key.public_key():
                raise UsageError(f"person.key and person.pem in {folder} do not belong together")
        except KeyFormatError as error:
            raise UsageError(f"the person folder {folder} cannot be used: {error}") from None
        return cls(Person(key, chain), papers)


def write_person_kit(
    folder: Path, site_folder: Path, kit: SiteKit, *, name: str, role: str, passphrase: str, now: datetime
) -> None:
    """Make a key for a person of a site, certified by the site's key, in a new folder (mode 0700).

    Raises:
        UsageError: a name cannot be used, or the passphrase is too short.
        OSError: the folder exists or cannot be written.
    """
    if not name.strip() or not role.strip():
        raise UsageError("a person needs a name, or a pseudonym, and a role")
    key = ec.generate_private_key(ec.SECP256R1())
    try:
        certificate = issue_person(kit.key, kit.certificate, key.public_key(), name, role, now)
    except KeyFormatError as error:
        raise UsageError(str(error)) from None
    sealed = seal(key, passphrase, Holder.PERSON)
    papers = {one: _read(site_folder / one) for one in _SITE_FILES}
    folder.mkdir(mode=0o700, parents=True)
    durable.write_file(folder / "person.key", sealed, mode=0o600)
    durable.write_file(folder / "person.pem", certificate_pem(certificate))
    for one, data in papers.items():
        durable.write_file(folder / one, data)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise UsageError(
            f"cannot read {path}: {error.strerror}",
            hint="a person folder is made by 'rasura statement person'",
        ) from None
