"""Side statements: what is said of a certificate or a key afterwards, signed and logged like a certificate.

A certificate is never edited. A person accepts or rejects it, corrects what it says, or says which one takes
its place; a site or the registry's authority says since when a key is not believed. Each is an in-toto
Statement v1 whose subject is what it speaks of: the SHA-256 of a certificate's signed payload, or of a key.
Neither names a certificate's id, so whoever is shown the statement has not the right to read the certificate.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from enum import StrEnum
from typing import ClassVar

import msgspec

from rasura.claims import Claims, ClaimsError, Figure, SignedClaims, prepare
from rasura.consistency import UUID_PATTERN, parse_time
from rasura.keys import Role

__all__ = [
    "FORMAT_VERSION",
    "KINDS",
    "Correction",
    "Decision",
    "DocumentKind",
    "DocumentName",
    "DocumentStatement",
    "KeyRevocation",
    "Ruling",
    "SideStatement",
    "Signer",
    "Supersession",
    "member_at",
    "side_problems",
]

FORMAT_VERSION = "1.0"
"""Of each of the four. Major: refuse what is unknown. Minor: members may be added."""

CORRECTABLE = {
    "erasure-certificate": ("destination", "drive", "preErasureCategorization", "source", "verifiedBy"),
    "machine-report": ("location", "notes", "proposal", "source"),
}
"""The members that a correction may reach into: what people enter or read off, never what was done."""

_HASH = re.compile(r"[0-9a-f]{64}")
_UUID = re.compile(UUID_PATTERN)
_FIELD = re.compile(r"[a-z][A-Za-z0-9]*(\.([a-z][A-Za-z0-9]*|0|[1-9][0-9]{0,5}))*")
_MOST_CHARACTERS = 2000
"""Of any text in a side statement."""


class DocumentKind(StrEnum):
    """What can be spoken of."""

    ERASURE_CERTIFICATE = "erasure-certificate"
    MACHINE_REPORT = "machine-report"


class Ruling(StrEnum):
    """Whether a person judged the outcome sufficient (NIST SP 800-88 Rev. 2 §4.5.2)."""

    ACCEPTED = "accepted"
    REJECTED = "rejected"


class DocumentName(Claims, frozen=True):
    """A certificate or a machine report, by the SHA-256 of its signed payload."""

    kind: DocumentKind
    payload_sha256: str


class Signer(Claims, frozen=True):
    """Who signed, as the signing certificate names them."""

    name: str
    """A person's name or pseudonym; of a revocation the site's or the authority's."""
    role: str | None
    site: str | None
    """``None`` for the registry's authority."""


class SideStatement(SignedClaims, frozen=True):
    """What the four have in common."""

    format_major: ClassVar[int] = 1
    signed_by: ClassVar[Role] = Role.PERSON

    format_version: str
    id: str
    signer: Signer
    signed_at: str
    """By the signer's clock, which nobody trusts."""
    reason: str | None


class DocumentStatement(SideStatement, frozen=True):
    """One that speaks of a certificate or a machine report."""

    document: DocumentName

    def subject_name(self) -> str:
        """The kind of document."""
        return self.document.kind

    def subject_digest(self) -> str:
        """The document's payload."""
        return self.document.payload_sha256


class Decision(DocumentStatement, frozen=True):
    """A person accepts or rejects a certificate: the validation."""

    predicate_type: ClassVar[str] = "urn:rasura:validation:v1"
    what: ClassVar[str] = "a validation"

    decision: Ruling
    location: str | None
    contact: str | None


class Correction(DocumentStatement, frozen=True):
    """What a certificate says at one place is wrong, and what is right."""

    predicate_type: ClassVar[str] = "urn:rasura:correction:v1"
    what: ClassVar[str] = "a correction"

    field: str
    """A path in the certificate's predicate: members and places in lists, with dots between."""
    right: str | Figure | bool | None


class Supersession(DocumentStatement, frozen=True):
    """Another certificate takes the place of this one."""

    predicate_type: ClassVar[str] = "urn:rasura:supersession:v1"
    what: ClassVar[str] = "a supersession"

    replacement: DocumentName


class KeyRevocation(SideStatement, frozen=True):
    """A key is not believed from a moment on."""

    predicate_type: ClassVar[str] = "urn:rasura:revocation:v1"
    what: ClassVar[str] = "a revocation"
    signed_by: ClassVar[Role] = Role.REVOKER

    key: str
    """Hex SHA-256 of its SubjectPublicKeyInfo."""
    since: str
    replaced_by: str | None
    """The key that takes its place, likewise, when it is a rotation."""

    def subject_name(self) -> str:
        """That it is a key."""
        return "key"

    def subject_digest(self) -> str:
        """The key itself."""
        return self.key


KINDS: dict[str, type[SideStatement]] = {
    kind.predicate_type: kind for kind in (Decision, Correction, Supersession, KeyRevocation)
}
"""The four by their predicate types."""


def member_at(document: SignedClaims, field: str) -> object:
    """What a document says at a path, as JSON values; raises :class:`ClaimsError` where it says nothing."""
    place: object = msgspec.to_builtins(document)
    for step in field.split("."):
        if isinstance(place, dict) and step in place:
            place = place[step]
        elif isinstance(place, list | tuple) and step.isdecimal() and int(step) < len(place):
            place = place[int(step)]
        else:
            raise ClaimsError(f"{document.what} has no {field} to correct")
    return place


def side_problems(said: SideStatement) -> tuple[str, ...]:
    """Sentences, one for each way in which a side statement is not one that we make; empty when it is."""
    return tuple(_problems(said))


def _problems(said: SideStatement) -> Iterator[str]:
    if not _UUID.fullmatch(said.id):
        yield "the id is not a UUID in lower case"
    if parse_time(said.signed_at) is None:
        yield "the time it claims is not RFC 3339 in UTC"
    if not said.signer.name.strip():
        yield "it names nobody who signed"
    if any(len(text) > _MOST_CHARACTERS for text in _texts(said)):
        yield f"a text has more than {_MOST_CHARACTERS} characters"
    if isinstance(said, DocumentStatement):
        yield from _person(said)
        yield from _named(said.document)
    yield from _own(said)


def _own(said: SideStatement) -> Iterator[str]:
    match said:
        case Decision():
            if said.decision is Ruling.REJECTED and not _says(said.reason):
                yield "it rejects without a reason"
        case Correction():
            yield from _correction(said)
        case Supersession():
            yield from _named(said.replacement)
            if said.document.payload_sha256 == said.replacement.payload_sha256:
                yield "a certificate cannot take its own place"
            if said.document.kind is not said.replacement.kind:
                yield "a certificate and a machine report cannot take each other's place"
            if not _says(said.reason):
                yield "it gives no reason"
        case KeyRevocation():
            yield from _revocation(said)


def _person(said: SideStatement) -> Iterator[str]:
    if said.signer.site is None or not _says(said.signer.role):
        yield "it does not say at which site and in which role its signer speaks"


def _named(document: DocumentName) -> Iterator[str]:
    if not _HASH.fullmatch(document.payload_sha256):
        yield "what it speaks of is not named by a SHA-256 in lower-case hexadecimal"


def _correction(said: Correction) -> Iterator[str]:
    if not _FIELD.fullmatch(said.field):
        yield "the field it corrects is not a path of members"
    elif said.field.partition(".")[0] not in CORRECTABLE[said.document.kind]:
        yield (
            f"it corrects {said.field}, and what was done or found is not corrected: "
            "reject the certificate, or erase again and supersede it"
        )
    if not _says(said.reason):
        yield "it gives no reason"


def _revocation(said: KeyRevocation) -> Iterator[str]:
    if not all(_HASH.fullmatch(one) for one in (said.key, said.replaced_by) if one is not None):
        yield "a key is not named by a SHA-256 in lower-case hexadecimal"
    if said.key == said.replaced_by:
        yield "a key cannot replace itself"
    if parse_time(said.since) is None:
        yield "the time since when the key is not believed is not RFC 3339 in UTC"
    if not _says(said.reason):
        yield "it gives no reason"


def _says(text: str | None) -> bool:
    return text is not None and bool(text.strip())


def _texts(said: SideStatement) -> Iterator[str]:
    signer = said.signer
    yield from (one for one in (said.reason, signer.name, signer.role, signer.site) if one is not None)
    if isinstance(said, Decision):
        yield from (one for one in (said.location, said.contact) if one is not None)
    if isinstance(said, Correction):
        yield said.field
        if isinstance(said.right, str):
            yield said.right


for _kind in KINDS.values():
    prepare(_kind)
