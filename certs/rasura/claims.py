"""What every document of claims has in common: an in-toto Statement v1 around a versioned predicate.

What is not known is ``null``, in writing. Identifiers are strings, sizes are integers of bytes, durations
integers of milliseconds, times RFC 3339 in UTC.
"""

from __future__ import annotations

import re
from functools import cache
from typing import Annotated, Any, ClassVar, Generic, Self, TypeVar

import msgspec

from rasura import strict_json
from rasura.errors import RasuraError
from rasura.unread import unread_members

__all__ = [
    "STATEMENT_TYPE",
    "Claims",
    "ClaimsError",
    "Count",
    "Figure",
    "SignedClaims",
    "Statement",
    "prepare",
]

STATEMENT_TYPE = "https://in-toto.io/Statement/v1"

Count = Annotated[int, msgspec.Meta(ge=0, le=strict_json.MAX_SAFE_INTEGER)]
"""What is never negative."""

Figure = Annotated[int, msgspec.Meta(ge=-strict_json.MAX_SAFE_INTEGER, le=strict_json.MAX_SAFE_INTEGER)]
"""What a drive may say of itself, which is not ours to judge. Integers of claims are this or a ``Count``."""

_MEMBERS = {"_type", "subject", "predicateType", "predicate"}
_VERSION = re.compile(r"(0|[1-9][0-9]{0,5})\.(0|[1-9][0-9]{0,5})")


class ClaimsError(RasuraError):
    """The signed payload is no document of claims that we can read, or contradicts itself."""


class Claims(msgspec.Struct, frozen=True, kw_only=True, rename="camel", gc=False):
    """The base of every claim: members in camel case, none optional.

    Nothing in claims refers back to what holds it, so the search for cycles may pass over them.
    """


class Statement(msgspec.Struct, frozen=True):
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


class _Digest(msgspec.Struct, frozen=True, gc=False):
    sha256: str


class _Subject(msgspec.Struct, frozen=True, gc=False):
    digest: _Digest
    name: str


_C = TypeVar("_C")


class _Written(msgspec.Struct, Generic[_C], frozen=True, gc=False):
    """A statement as :meth:`Statement.encode` writes it."""

    kind: str = msgspec.field(name="_type")
    predicate: _C
    predicate_type: str = msgspec.field(name="predicateType")
    subject: tuple[_Subject, ...]


class SignedClaims(Claims, frozen=True):
    """A whole document of claims: what becomes the predicate of a statement and is signed."""

    predicate_type: ClassVar[str]
    format_major: ClassVar[int]
    what: ClassVar[str]
    """What it is called in sentences, with its article."""

    format_version: str

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

    @classmethod
    def as_written(cls, payload: bytes) -> Self | None:
        """The claims, if ``payload`` is exactly the statement that they make; ``None``: look closely.

        Then there is no member in it that this version does not know. Only for claims whose members are all
        of types that do not hold themselves: nothing else says how deep the payload is nested.
        """
        statement = strict_json.as_written(payload, cls._decoder(), bounded=True)
        if (
            statement is None
            or statement.kind != STATEMENT_TYPE
            or statement.predicate_type != cls.predicate_type
            or len(statement.subject) != 1
            or _major(statement.predicate.format_version) != str(cls.format_major)
        ):
            return None
        claims, about = statement.predicate, statement.subject[0]
        try:
            fits = (about.name, about.digest.sha256) == (claims.subject_name(), claims.subject_digest())
        except ClaimsError:
            return None
        return claims if fits else None

    @classmethod
    @cache
    def _decoder(cls) -> msgspec.json.Decoder[_Written[Self]]:
        return msgspec.json.Decoder(_Written[cls])  # type: ignore[valid-type]

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
        if _major(version) != str(cls.format_major):
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


def _major(version: object) -> str | None:
    found = _VERSION.fullmatch(version) if isinstance(version, str) else None
    return found[1] if found is not None else None


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
    if isinstance(kind, type) and issubclass(kind, SignedClaims):
        kind.as_written(b"")
