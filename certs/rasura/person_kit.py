"""The person folder: what somebody of a site keeps to accept, reject and correct certificates.

::

    person.key    the person's private key, mode 0600, always under a passphrase (rasura.key_box);
                  not there if person.toml says where the key is: key = "…", a key URI (rasura.key_uri)
    person.pem    the person's signing certificate
    request.pem   what they asked the site to certify (rasura.person_request), if the key was made here
    site.pem  site.toml  trust.toml    as in the site's folder: its certificate, its registry, whom to trust
"""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from rasura import durable
from rasura.errors import UsageError
from rasura.key_box import Holder, seal
from rasura.key_source import check_kept_uri, load_signing_key, uri_to_keep, without_module
from rasura.keys import (
    KeyFormatError,
    Role,
    certificate_pem,
    chain_problems,
    common_name,
    issue_person,
    load_certificates,
    organization,
    p256_public_key,
    title_of,
)
from rasura.person_request import PersonRequest
from rasura.side_signing import Person
from rasura.side_statement import Signer
from rasura.site_kit import SiteKit, SitePapers, site_settings
from rasura.toml_text import toml_table
from rasura.trust import Trust

__all__ = [
    "REQUEST_FILE",
    "PersonKit",
    "certify_person",
    "receive_certificate",
    "write_person_kit",
    "write_request_kit",
]

KEY_FILE, SETTINGS_FILE = "person.key", "person.toml"
CERTIFICATE_FILE, REQUEST_FILE = "person.pem", "request.pem"

_SITE_FILES = ("site.pem", "trust.toml", "site.toml")


class PersonKit(msgspec.Struct, frozen=True):
    """A person who can sign, and what their site's folder says of its registry."""

    person: Person
    papers: SitePapers

    @classmethod
    def load(cls, folder: Path, passphrase: Callable[[], str]) -> PersonKit:
        """Read a person folder; raises :class:`UsageError`."""
        own = _read(folder / CERTIFICATE_FILE)  # first: a site's folder has none, and is made otherwise
        papers = SitePapers.load(folder)
        try:
            certificate = load_certificates(own)[0]
            chain = (certificate, papers.certificate)
            problems = chain_problems(chain, papers.trust.authorities, Role.PERSON)
            if problems:
                raise UsageError(f"the person folder {folder} cannot be used: {problems[0]}")
            key = load_signing_key(
                _key_uri(folder),
                what=f"the key of the person folder {folder}",
                base=folder,
                passphrase=passphrase,
                holder=Holder.PERSON,
            )
            if p256_public_key(certificate) != key.public_key():
                raise UsageError(f"the key of {folder} and person.pem in it do not belong together")
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
    key = ec.generate_private_key(ec.SECP256R1())
    try:
        certificate = issue_person(kit.key, kit.certificate, key.public_key(), name, role, now)
    except KeyFormatError as error:
        raise UsageError(str(error)) from None
    sealed = seal(key, passphrase, Holder.PERSON)
    papers = {one: _read(site_folder / one) for one in _SITE_FILES}
    folder.mkdir(mode=0o700, parents=True)
    durable.write_file(folder / KEY_FILE, sealed, mode=0o600)
    durable.write_file(folder / CERTIFICATE_FILE, certificate_pem(certificate))
    for one, data in papers.items():
        durable.write_file(folder / one, data)


def write_request_kit(
    folder: Path, *, site: str, name: str, role: str, key_uri: str | None, passphrase: Callable[[bool], str]
) -> PersonRequest:
    """Begin a person folder where the person is: a key, or the URI of one, and the request for it.

    ``passphrase`` is called with whether it is a new one, if one is needed.

    Raises:
        UsageError: a name cannot be used, the passphrase is too short, or there is no key at the URI.
        OSError: the folder exists or cannot be written.
    """
    kept = None if key_uri is None else uri_to_keep(key_uri)
    if kept is None:
        key = ec.generate_private_key(ec.SECP256R1())
        raw = PersonRequest.encode(key, site=site, name=name, role=role)
        written = (KEY_FILE, seal(key, passphrase(True), Holder.PERSON))
    else:
        key = load_signing_key(
            kept,
            what="the person's key",
            passphrase=lambda: passphrase(False),
            holder=Holder.PERSON,
        )
        raw = PersonRequest.encode(key, site=site, name=name, role=role)
        location = f"key = {json.dumps(without_module(kept), ensure_ascii=False)}\n"
        written = (SETTINGS_FILE, location.encode())
    folder.mkdir(mode=0o700, parents=True)
    durable.write_file(folder / written[0], written[1], mode=0o600)
    durable.write_file(folder / REQUEST_FILE, raw)
    return PersonRequest.parse(raw)


def certify_person(
    kit: SiteKit, request: PersonRequest, *, name: str, role: str, now: datetime, lifetime: timedelta
) -> tuple[x509.Certificate, ...]:
    """The chain (person, site) for a request, by the site's key; the site says who and what they are.

    Raises:
        UsageError: it asks to be of another site, for the site's own key, or a name cannot be used.
    """
    if request.site != kit.site:
        raise UsageError(f"the request is for the site {request.site!r}, and this folder is {kit.site!r}'s")
    if request.key == kit.key.public_key():
        raise UsageError("the request is for the site's own key, which certifies and signs nothing else")
    left = kit.certificate.not_valid_after_utc - now
    if left <= timedelta():
        raise UsageError(
            f"the site's own signing certificate ended on {kit.certificate.not_valid_after_utc:%Y-%m-%d}",
            hint="its registry gives it a new key: rasura-registry rotate",
        )
    lifetime = min(lifetime, left)  # nothing that is signed later would be genuine
    try:
        own = issue_person(kit.key, kit.certificate, request.key, name, role, now, lifetime)
    except KeyFormatError as error:
        raise UsageError(str(error)) from None
    return own, kit.certificate


def receive_certificate(
    folder: Path,
    chain: tuple[x509.Certificate, ...],
    trust: Trust,
    *,
    as_certified: bool,
    registry_url: str | None,
    registry_ca: str | None,
) -> Signer:
    """Put what the site gave back for the request in ``folder`` into it; returns how it names the person.

    Raises:
        UsageError: it is not for that request's key or not of a person of a site that ``trust`` leads to, it
            names another person or role than asked and that is not wanted, or there is one already.
        OSError: it cannot be written.
    """
    request = PersonRequest.parse(_read(folder / REQUEST_FILE))
    if (folder / CERTIFICATE_FILE).exists():
        raise UsageError(f"{folder} has a signing certificate already", hint="make a request in a new folder")
    problems = chain_problems(chain, trust.authorities, Role.PERSON)
    if problems:
        raise UsageError(f"the signing certificate is no good: {problems[0]}")
    own, site = chain
    if p256_public_key(own) != request.key:
        raise UsageError(f"the signing certificate is for another key than that of {folder}")
    signer = Signer(name=common_name(own), role=title_of(own), site=organization(own))
    if signer.site != request.site:
        raise UsageError(f"the signing certificate is of the site {signer.site!r}, not {request.site!r}")
    if (signer.name, signer.role) != (request.name, request.role) and not as_certified:
        raise UsageError(
            f"it certifies {signer.name!r}, {signer.role!r}, and asked for was {request.name!r}, "
            f"{request.role!r}",
            hint="ask the site why; --as-certified takes it all the same",
        )
    settings = site_settings(request.site, registry_url, registry_ca)
    durable.write_file(folder / "site.pem", certificate_pem(site))
    durable.write_file(folder / "trust.toml", trust.to_toml().encode())
    durable.write_file(folder / "site.toml", settings.encode())
    durable.write_file(folder / CERTIFICATE_FILE, certificate_pem(own))
    return signer


def _key_uri(folder: Path) -> str:
    """Where the key is; raises :class:`UsageError`."""
    path = folder / SETTINGS_FILE
    if not path.exists():
        return KEY_FILE
    document = toml_table(_read(path).decode(errors="replace"), SETTINGS_FILE, UsageError)
    match document:
        case {"key": str(uri)} if len(document) == 1:
            check_kept_uri(uri, SETTINGS_FILE)
            return uri
        case _:
            raise UsageError(f'{path} has exactly one key: key = "…", a key URI')


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise UsageError(
            f"cannot read {path}: {error.strerror}",
            hint="a person folder is made by 'rasura statement person', or by 'request' and 'receive'",
        ) from None
