"""What every document of claims has in common: an in-toto Statement v1 around a versioned predicate.

What is not known is ``null``, in writing. Identifiers are strings, sizes are integers of bytes, durations
integers of milliseconds, times RFC 3339 in UTC.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import msgspec

from rasura import strict_json
from rasura.errors import RasuraError
from rasura.unread import unread_members

__all__ = ["STATEMENT_TYPE", "Claims", "ClaimsError", "SignedClaims", "Statement", "prepare"]

STATEMENT_TYPE = "https://in-toto.io/Statement/v1"


_MEMBERS = {"_type", "subject", "predicateType", "predicate"}
_VERSION = re.compile(r"(0|[1-9][0-9]{0,5})\.(0|[1-9][0-9]{0,5})")


class ClaimsError(RasuraError):
    """The signed payload is no document of claims that we can read, or contradicts itself."""


class Claims(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The base of every claim: members in camel case, none optional."""


@dataclass(frozen=True, slots=True)
class Statement:
    """An in-toto Statement: about whom, which kind of predicate, and the predicate as JSON values."""

    subject: str
    """The subject's name."""
    sha256: str | None
    """Its digest, lower-case hexadecimal; ``None`` if it is not exactly one SHA-256."""
    predicate_type: str
    predicate: object
    others: tuple[str, ...] = ()
    """Names of members that in-toto's version 1 does not know."""

    def encode(self) -> bytes:
        """The bytes to sign."""
        return strict_json.dumps(
            {
                "_type": STATEMENT_TYPE,
                "subject": [{"name": self.subject, "digest": {"sha256": self.sha256}}],
                "predicateType": self.predicate_type,
                "predicate": self.predicate,
            }
        )

    @classmethod
    def parse(cls, payload: bytes) -> Statement:
        """Read a signed payload.

        Raises:
            ClaimsError: it is not strict JSON, or no in-toto Statement v1.
        """
        try:
            value = strict_json.loads(payload, what="the signed statement")
        except strict_json.JsonError as error:
            raise ClaimsError(str(error)) from None
        kind = value.get("predicateType")
        if value.get("_type") != STATEMENT_TYPE or not isinstance(kind, str):
            raise ClaimsError("the signed payload is not an in-toto Statement v1")
        strange = tuple(name for name in value if name not in _MEMBERS)
        match value.get("subject"):
            case [{"digest": {"sha256": str(sha256), **others}, "name": str(name), **more}] if not (
                others or more
            ):
                return cls(name, sha256, kind, value.get("predicate"), strange)
            case _:
                return cls("", None, kind, value.get("predicate"), strange)


class SignedClaims(Claims, frozen=True):
    """A whole document of claims: what becomes the predicate of a statement and is signed."""

    predicate_type: ClassVar[str]
    format_major: ClassVar[int]
    what: ClassVar[str]
    """What it is called in sentences, with its article."""

    def subject_name(self) -> str:
        """Whom the statement is about, in words."""
        raise NotImplementedError

    def subject_digest(self) -> str:
        """The same as hex SHA-256; may raise :class:`ClaimsError`."""
        raise NotImplementedError

    def to_payload(self) -> bytes:
        """The in-toto Statement as the bytes to sign."""
        predicate = msgspec.to_builtins(self, enc_hook=_plain)
        return Statement(self.subject_name(), self.subject_digest(), self.predicate_type, predicate).encode()

    def unread(self, statement: Statement) -> tuple[str, ...]:
        """The members of ``statement``, from which this was read, that this version does not know."""
        read = msgspec.json.decode(msgspec.json.encode(self))
        return (*statement.others, *unread_members(statement.predicate, read, "predicate."))

    @classmethod
    def from_payload(cls, payload: bytes) -> Self:
        """Read a signed payload; unknown members of a known major version are passed over here.

        Raises:
            ClaimsError: another statement or predicate type, an unknown major version, a missing
                or ill-typed member, a subject that is not the one the claims describe.
        """
        return cls.from_statement(Statement.parse(payload))

    @classmethod
    def from_statement(cls, statement: Statement) -> Self:
        """Read the predicate of a statement; raises as :meth:`from_payload`."""
        if statement.predicate_type != cls.predicate_type:
            raise ClaimsError(f"the statement is not {cls.what} v{cls.format_major}")
        predicate = statement.predicate
        version = predicate.get("formatVersion") if isinstance(predicate, dict) else None
        found = _VERSION.fullmatch(version) if isinstance(version, str) else None
        if found is None or found[1] != str(cls.format_major):
            said = version[:40] if isinstance(version, str) else version
            raise ClaimsError(
                f"{cls.what} has format version {said!r}; this verifier reads {cls.format_major}.x"
            )
        try:
            claims = msgspec.convert(predicate, cls)
        except msgspec.ValidationError as error:
            raise ClaimsError(f"the claims of {cls.what} are malformed: {error}") from None
        if (statement.subject, statement.sha256) != (claims.subject_name(), claims.subject_digest()):
            raise ClaimsError("the statement's subject is not the one that the claims describe")
        return claims


def _plain(value: object) -> str:
    """A string of a kind that remembers more than its text claims its text."""
    if isinstance(value, str):
        return str(value)
    raise NotImplementedError(f"{type(value).__name__} is no kind of claim")


def prepare(kind: Any) -> None:
    """Have msgspec work out how to read a type now.

    It does so at the first use, and two threads doing so at once crash the interpreter (seen with 0.22 on
    Python 3.13, eight drives ending together). So each module of claims calls this as it is imported, under
    the import lock, for every type that its document holds.
    """
    msgspec.convert(None, kind | None)
