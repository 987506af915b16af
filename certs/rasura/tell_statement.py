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

__all__ = ["corrected_value", "statement_word", "tell_statement"]

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
    return Telling(
        kind=_(_KINDS[type(statement)]),
        id=statement.id,
        payload_sha256=bundle.payload_sha256 if bundle is not None else None,
        good=isinstance(statement, Decision) and statement.decision is Ruling.ACCEPTED,
        word=statement_word(statement, tongue),
        headline=_headline(statement, tongue),
        subject=_subject(statement, tongue),
        done=(),
        open=tuple(_open(statement, bundle, tongue)),
        tables=(),
        parts=(Part(_("The statement"), tuple(_rows(statement, tongue, bundle))),),
        finished_at=statement.signed_at,
        undecided=False,
        statement=True,
    )


def statement_word(statement: SideStatement, tongue: Tongue) -> str:
    """What it says in one word, in capitals."""
    _ = tongue.say
    match statement:
        case Decision(decision=decision):
            return _("ACCEPTED") if decision is Ruling.ACCEPTED else _("REJECTED")
        case Correction():
            return _("CORRECTED")
        case Supersession():
            return _("SUPERSEDED")
        case KeyRevocation():
            return _("REVOKED")
        case _:
            return statement.what


def _headline(statement: SideStatement, tongue: Tongue) -> str:
    _ = tongue.say
    match statement:
        case Decision(decision=Ruling.ACCEPTED):
            return _("the outcome was judged sufficient")
        case Decision():
            return _("the outcome was judged not sufficient")
        case Correction(field=field, right=right):
            return _("{field} should be {value}").format(field=field, value=corrected_value(right, tongue))
        case Supersession():
            return _("another takes its place")
        case KeyRevocation(since=since):
            return _("not believed since {moment}").format(moment=tongue.moment(since))
        case _:
            return ""


def corrected_value(right: object, tongue: Tongue) -> str:
    """A member's value, for a person."""
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
    if bundle is not None and bundle.place is not None:
        index, log = bundle.place
        yield row(tongue, _("logged"), _("entry {index} of {log}").format(index=index, log=log))
    yield from receipt_rows(bundle, tongue)


_MEANING: dict[type, str] = {
    Decision: N_(
        "What it speaks of stays as it was signed; a later decision of this person replaces this one."
    ),
    Correction: N_("What it speaks of stays as it was signed, and so does the verdict in it."),
    Supersession: N_("What it speaks of stays as it was signed, and does not count any more."),
    KeyRevocation: N_("What a log held before that time stands. Nobody can take a revocation back."),
}


def _open(statement: SideStatement, bundle: BundleFacts | None, tongue: Tongue) -> Iterator[str]:
    yield tongue.say(_MEANING[type(statement)])
    yield from unread_told(bundle, tongue)
    if bundle is not None and not bundle.logged:
        yield tongue.say("No receipt is attached: this statement is in no log yet.")
