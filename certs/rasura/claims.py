"""What every document of claims has in common: an in-toto Statement v1 around a versioned predicate.

What is not known is ``null``, in writing. Identifiers are strings, sizes are integers of bytes, durations
integers of milliseconds, times RFC 3339 in UTC.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeVar

import msgspec

from rasura import strict_json
from rasura.errors import RasuraError

__all__ = ["STATEMENT_TYPE", "Claims", "ClaimsError", "Statement", "prepare", "read_predicate"]

STATEMENT_TYPE = "https://in-toto.io/Statement/v1"


class ClaimsError(RasuraError):
    """The signed payload is no document of claims that we can read, or contradicts itself."""


class Claims(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The base of every claim: members in camel case, none optional."""


_Kind = TypeVar("_Kind", bound=Claims)  # Python 3.11 has no PEP 695 yet


@dataclass(frozen=True, slots=True)
class Statement:
    """An in-toto Statement: about whom, which kind of predicate, and the predicate as JSON values."""

    subject: str
    """The subject's name."""
    sha256: str | None
    """Its digest, lower-case hexadecimal; ``None`` if it is not exactly one SHA-256."""
    predicate_type: str
    predicate: object

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
        match value.get("subject"):
            case [{"digest": {"sha256": str(sha256), **others}, "name": str(name)}] if not others:
                return cls(name, sha256, kind, value.get("predicate"))
            case _:
                return cls("", None, kind, value.get("predicate"))


def read_predicate(predicate: object, kind: type[_Kind], major: int, what: str) -> _Kind:
    """The predicate as typed claims; unknown members of a known major version are passed over here.

    Raises:
        ClaimsError: an unknown major version, a missing or ill-typed member. ``what`` names the document.
    """
    version = predicate.get("formatVersion") if isinstance(predicate, dict) else None
    found = version.partition(".")[0] if isinstance(version, str) else ""
    if found != str(major):
        raise ClaimsError(f"the {what} has format version {version!r}; this verifier reads {major}.x")
    try:
        return msgspec.convert(predicate, kind)
    except msgspec.ValidationError as error:
        raise ClaimsError(f"the {what}'s claims are malformed: {error}") from None


def prepare(kind: Any) -> None:
    """Have msgspec work out how to read a type now.

    It does so at the first use, and two threads doing so at once crash the interpreter (seen with 0.22 on
    Python 3.13, eight drives ending together). So each module of claims calls this as it is imported, under
    the import lock, for every type that its document holds.
    """
    msgspec.convert(None, kind | None)
