"""A side statement, told to a person. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from rasura.language import N_, Tongue
from rasura.side_statement import (
    Correction,
    Decision,
    DocumentKind,
    DocumentStatement,
    KeyRevocation,
    Ruling,
    SideStatement,
    Supersession,
)
from rasura.tell_bundle import receipt_rows, unread_told
from rasura.tell_facts import row
from rasura.telling import BundleFacts, Part, Row, Telling

__all__ = ["tell_statement"]

_KINDS: dict[type, str] = {
    Decision: N_("Validation by a person"),
    Correction: N_("Correction by a person"),
    Supersession: N_("Replacement of a certificate"),
    KeyRevocation: N_("Revocation of a key"),
}
_DOCUMENTS = {
    DocumentKind.ERASURE_CERTIFICATE: N_("the erasure certificate {digest}"),
    DocumentKind.MACHINE_REPORT: N_("the machine report {digest}"),
}


def tell_statement(statement: SideStatement, tongue: Tongue, bundle: BundleFacts | None = None) -> Telling:
    """What is said, of what, by whom and why; without ``bundle``, a statement that is in none."""
    _ = tongue.say
    word, headline = _verdict(statement, tongue)
    return Telling(
        kind=_(_KINDS[type(statement)]),
        id=statement.id,
        payload_sha256=bundle.payload_sha256 if bundle is not None else None,
        good=isinstance(statement, Decision) and statement.decision is Ruling.ACCEPTED,
        word=word,
        headline=headline,
        subject=_subject(statement, tongue),
        done=(),
        open=tuple(_open(bundle, tongue)),
        tables=(),
        parts=(Part(_("The statement"), tuple(_rows(statement, tongue, bundle))),),
        finished_at=statement.signed_at,
    )


def _verdict(statement: SideStatement, tongue: Tongue) -> tuple[str, str]:
    _ = tongue.say
    match statement:
        case Decision(decision=Ruling.ACCEPTED):
            return _("ACCEPTED"), _("the outcome was judged sufficient")
        case Decision():
            return _("REJECTED"), _("the outcome was judged not sufficient")
        case Correction(field=field, right=right):
            return _("CORRECTED"), _("{field} should be {value}").format(
                field=field, value=_value(right, tongue)
            )
        case Supersession():
            return _("SUPERSEDED"), _("another takes its place")
        case KeyRevocation(since=since):
            return _("REVOKED"), _("not believed since {moment}").format(moment=tongue.moment(since))
        case _:
            return statement.what, ""


def _value(right: str | int | bool | None, tongue: Tongue) -> str:
    if right is None:
        return tongue.say("not known")
    if isinstance(right, bool):
        return tongue.say("yes") if right else tongue.say("no")
    return str(right)


def _subject(statement: SideStatement, tongue: Tongue) -> str:
    if isinstance(statement, DocumentStatement):
        digest = statement.document.payload_sha256
        return tongue.say(_DOCUMENTS[statement.document.kind]).format(digest=f"sha256:{digest}")
    return tongue.say("the key {digest}").format(digest=f"sha256:{statement.subject_digest()}")


def _rows(statement: SideStatement, tongue: Tongue, bundle: BundleFacts | None) -> Iterator[Row]:
    _ = tongue.say
    signer = statement.signer
    yield row(tongue, _("signed by"), signer.name, exact=True)
    if signer.role is not None:
        yield row(tongue, _("role"), signer.role)
    yield row(tongue, _("site"), signer.site if signer.site is not None else _("the registry itself"))
    yield row(tongue, _("signed"), tongue.moment(statement.signed_at))
    yield row(tongue, _("because"), statement.reason)
    match statement:
        case Decision(location=location, contact=contact):
            yield row(tongue, _("location"), location)
            yield row(tongue, _("contact"), contact)
        case Supersession(replacement=replacement):
            yield row(tongue, _("takes its place"), f"sha256:{replacement.payload_sha256}", exact=True)
        case KeyRevocation(replaced_by=str(key)):
            yield row(tongue, _("takes its place"), f"sha256:{key}", exact=True)
        case _:
            pass
    yield from receipt_rows(bundle, tongue)


def _open(bundle: BundleFacts | None, tongue: Tongue) -> Iterator[str]:
    yield from unread_told(bundle, tongue)
    if bundle is not None and not bundle.logged:
        yield tongue.say("No receipt is attached: this statement is in no log yet.")
