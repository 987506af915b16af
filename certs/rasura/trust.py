"""Whom an auditor trusts: registry authorities and logs, in one small TOML file."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime

from cryptography import x509

from rasura.errors import UsageError
from rasura.keys import KeyFormatError, certificate_pem, load_certificates
from rasura.note import NoteError, VerifierKey
from rasura.toml_text import toml_table

__all__ = ["Revocation", "Trust", "TrustError"]

_VERSION = 1


class TrustError(UsageError):
    """The trust file is not one."""


_KEY = re.compile(r"sha256:([0-9a-f]{64})")


@dataclass(frozen=True, slots=True)
class Revocation:
    """A site's or station's key that is not believed from a moment on: what the log held before stands."""

    key: str
    """Hex SHA-256 of its SubjectPublicKeyInfo, as :func:`rasura.envelope.key_id` gives it."""
    since: datetime


@dataclass(frozen=True, slots=True)
class Trust:
    """Trusted registry authorities (self-signed certificates), the keys of trusted logs, and revoked keys."""

    authorities: tuple[x509.Certificate, ...]
    logs: tuple[VerifierKey, ...]
    revoked: tuple[Revocation, ...] = ()

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
        for one in self.revoked:
            since = one.since.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
            lines += ["", "[[revoked]]", f'key = "sha256:{one.key}"', f"since = {since}"]
        return "\n".join(lines) + "\n"

    @classmethod
    def parse(cls, text: str) -> Trust:
        """Read a trust file.

        Raises:
            TrustError: not TOML, another version, an unknown or missing key, or a key that cannot be read.
        """
        document = toml_table(text, "the trust file", TrustError)
        if document.get("version") != _VERSION:
            raise TrustError(f"the trust file is not of version {_VERSION}")
        unknown = sorted(document.keys() - {"version", "authority", "log", "revoked"})
        if unknown:
            raise TrustError(f"the trust file has an unknown key {unknown[0]!r}")
        authorities: list[x509.Certificate] = []
        logs: list[VerifierKey] = []
        try:
            for pem in _strings(document, "authority", "certificate"):
                authorities.extend(load_certificates(pem.encode()))
            logs.extend(VerifierKey.parse(key) for key in _strings(document, "log", "key"))
        except (KeyFormatError, NoteError) as error:
            raise TrustError(f"the trust file holds a key that cannot be read: {error}") from None
        if not authorities:
            raise TrustError("the trust file names no registry authority")
        return cls(tuple(authorities), tuple(logs), _revocations(document.get("revoked", [])))


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
            case {"key": str(key), "since": datetime() as since} if (
                len(row) == 2 and since.tzinfo is not None and (named := _KEY.fullmatch(key))
            ):
                found.append(Revocation(named[1], since))
            case _:
                raise TrustError(
                    "each [[revoked]] of the trust file has key, 'sha256:…', and since, a time with its zone"
                )
    return tuple(found)
