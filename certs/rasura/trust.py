"""Whom an auditor trusts: registry authorities, logs and timestamp authorities, in one small TOML file."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime

import msgspec
from cryptography import x509

from rasura.errors import UsageError
from rasura.keys import KeyFormatError, certificate_pem, load_certificates
from rasura.note import NoteError, VerifierKey
from rasura.toml_text import is_of_version, toml_table

__all__ = ["Revocation", "Trust", "TrustError"]

_VERSION = 1


class TrustError(UsageError):
    """The trust file is not one."""


_KEY = re.compile(r"sha256:([0-9a-f]{64})")


class Revocation(msgspec.Struct, frozen=True):
    """A key that is not believed from a moment on: what the log held before stands."""

    key: str
    """Hex SHA-256 of its SubjectPublicKeyInfo, as :func:`rasura.envelope.key_id` gives it."""
    since: datetime
    site: str | None = None
    """The site that revoked it: then only a key that this site certified is meant."""


class Trust(msgspec.Struct, frozen=True):
    """Trusted registry authorities (self-signed certificates), the keys of trusted logs, and revoked keys."""

    authorities: tuple[x509.Certificate, ...]
    logs: tuple[VerifierKey, ...]
    revoked: tuple[Revocation, ...] = ()
    timestamp_authorities: tuple[x509.Certificate, ...] = ()
    """Roots under which signers of RFC 3161 timestamps are certified; they certify nobody else for us."""

    def to_toml(self) -> str:
        """The file's text; :meth:`parse` reads it back."""
        lines = [
            "# Whom to trust when verifying a Rasura certificate. It came from the registry:",
            "# compare it with a copy that reached you another way before you rely on it.",
            f"version = {_VERSION}",
        ]
        for authority in self.authorities:
            lines += ["", "[[authority]]", f'certificate = """\n{certificate_pem(authority).decode()}"""']
        for log in self.logs:
            lines += ["", "[[log]]", f'key = "{log.encode()}"']
        for authority in self.timestamp_authorities:
            lines += ["", "[[timestamp_authority]]"]
            lines += [f'certificate = """\n{certificate_pem(authority).decode()}"""']
        for one in self.revoked:
            # Not strftime, which writes the year 1 as "1".
            since = one.since.astimezone(UTC).replace(microsecond=0, tzinfo=None).isoformat()
            lines += ["", "[[revoked]]", f'key = "sha256:{one.key}"', f"since = {since}Z"]
            if one.site is not None:
                # A JSON string is a TOML basic string, but for DEL.
                site = json.dumps(one.site, ensure_ascii=False).replace("\x7f", "\\u007f")
                lines.append(f"site = {site}")
        return "\n".join(lines) + "\n"

    @classmethod
    def parse(cls, text: str) -> Trust:
        """Read a trust file.

        Raises:
            TrustError: not TOML, another version, an unknown or missing key, or a key that cannot be read.
        """
        document = toml_table(text, "the trust file", TrustError)
        if not is_of_version(document, _VERSION):
            raise TrustError(f"the trust file is not of version {_VERSION}")
        unknown = sorted(document.keys() - {"version", "authority", "log", "timestamp_authority", "revoked"})
        if unknown:
            raise TrustError(f"the trust file has an unknown key {unknown[0]!r}")
        authorities: list[x509.Certificate] = []
        logs: list[VerifierKey] = []
        timestamp_authorities: list[x509.Certificate] = []
        try:
            for pem in _strings(document, "authority", "certificate"):
                authorities.extend(load_certificates(pem.encode()))
            logs.extend(VerifierKey.parse(key) for key in _strings(document, "log", "key"))
            for pem in _strings(document, "timestamp_authority", "certificate"):
                timestamp_authorities.extend(load_certificates(pem.encode()))
        except (KeyFormatError, NoteError) as error:
            raise TrustError(f"the trust file holds a key that cannot be read: {error}") from None
        if not authorities:
            raise TrustError("the trust file names no registry authority")
        return cls(
            tuple(authorities),
            tuple(logs),
            _revocations(document.get("revoked", [])),
            tuple(timestamp_authorities),
        )


def _strings(document: dict[str, object], table: str, key: str) -> list[str]:
    rows = document.get(table, [])
    if not isinstance(rows, list):
        raise TrustError(f"[[{table}]] of the trust file is not a list of tables")
    values = []
    for row in rows:
        match row:
            case {} if isinstance(row, dict) and set(row) == {key} and isinstance(row[key], str):
                values.append(row[key])
            case _:
                raise TrustError(f"each [[{table}]] of the trust file has exactly one key, {key!r}, a string")
    return values


def _revocations(rows: object) -> tuple[Revocation, ...]:
    if not isinstance(rows, list):
        raise TrustError("[[revoked]] of the trust file is not a list of tables")
    found = []
    for row in rows:
        match row:
            case {"key": str(key), "since": datetime() as since, **more} if since.tzinfo is not None and (
                named := _KEY.fullmatch(key)
            ):
                found.append(Revocation(named[1], since, _site(more)))
            case _:
                raise TrustError(
                    "each [[revoked]] of the trust file has key, 'sha256:…', and since, a time with its zone"
                )
    return tuple(found)


def _site(more: dict[object, object]) -> str | None:
    match more:
        case {"site": str(site)} if len(more) == 1:
            return site
        case {} if not more:
            return None
        case _:
            raise TrustError("besides key and since, a [[revoked]] of the trust file may have site, a string")
