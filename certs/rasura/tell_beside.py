"""What was said of a document after it was signed, told with it. Pure.

What counts against a document takes the place of its verdict, which is then quoted: nobody may take it for
one that still stands.
"""

from __future__ import annotations

from collections.abc import Iterator

from msgspec.structs import replace

from rasura.beside import Beside, StatementBeside
from rasura.claims import SignedClaims
from rasura.language import N_, Language, Tongue
from rasura.side_statement import (
    Correction,
    DocumentKind,
    DocumentStatement,
    KeyRevocation,
    Supersession,
    member_at,
)
from rasura.tell_certificate import UNDECIDED
from rasura.tell_statement import corrected_value, statement_word
from rasura.telling import Telling

__all__ = ["fallen_words", "with_beside", "with_fallen"]

_HERE = {
    DocumentKind.ERASURE_CERTIFICATE: N_("the certificate {id}, which is here"),
    DocumentKind.MACHINE_REPORT: N_("the machine report {id}, which is here"),
}
_ELSEWHERE = {
    DocumentKind.ERASURE_CERTIFICATE: N_("the certificate whose signed claims have {digest}, not here"),
    DocumentKind.MACHINE_REPORT: N_("the machine report whose signed claims have {digest}, not here"),
}


def with_beside(telling: Telling, document: SignedClaims, beside: Beside, tongue: Tongue) -> Telling:
    """``telling`` of ``document``, and what is beside it."""
    _ = tongue.say
    told = telling
    if beside.elsewhere:
        told = replace(told, open=(_("It says nothing of the documents that it came with."), *told.open))
    if beside.speaks_of is not None and isinstance(document, DocumentStatement):
        told = replace(told, subject=_(_HERE[document.document.kind]).format(id=beside.speaks_of))
    since = tuple(_since(document, beside, tongue))
    if not since:
        return told
    told = replace(told, since=since, undecided=told.undecided and beside.stands and not beside.decided)
    if beside.decided:
        told = replace(told, open=tuple(one for one in told.open if one != _(UNDECIDED)))
    if beside.stands:
        return told
    headline = _("what it said before: {word}, {headline}").format(word=told.word, headline=told.headline)
    return replace(told, good=False, word=fallen_words(beside, tongue), headline=headline)


def fallen_words(beside: Beside, tongue: Tongue) -> str:
    """What took the place of a document's verdict; nothing for one that stands."""
    words = [statement_word(one.statement, tongue) for one in beside.against]
    if beside.revoked:
        words.insert(0, tongue.say("KEY REVOKED"))
    return ", ".join(dict.fromkeys(words))


def with_fallen(telling: Telling, fallen: int, tongue: Tongue) -> Telling:
    """``telling`` of several documents together, of which so many do not stand."""
    if not fallen:
        return telling
    said = tongue.count(
        "{number} of the documents here was rejected or replaced, or its key revoked: see its page.",
        "{number} of the documents here were rejected or replaced, or their keys revoked: see their pages.",
        fallen,
    )
    if not telling.good:
        return replace(telling, since=(said, *telling.since), undecided=False)
    word = tongue.say("NOT ALL OF IT STANDS")
    return replace(telling, good=False, word=word, headline=said, undecided=False)


def _since(document: SignedClaims, beside: Beside, tongue: Tongue) -> Iterator[str]:
    _ = tongue.say
    if not (beside.keys or beside.counts or beside.idle or beside.disowned):
        return
    yield from (_of_key(one, effective, tongue) for one, effective in beside.keys)
    replacements = iter(beside.replacements)
    sentences = {one: _of_document(one, document, replacements, tongue) for one in beside.counts}
    yield from (sentences.pop(one) for one in beside.against)
    yield from sentences.values()
    for one in beside.disowned:
        yield _("{word} by {who} does not count: the key of who signed it is revoked.").format(
            word=statement_word(one.statement, tongue), who=_who(one, tongue)
        )
    for one in beside.idle:
        why = (
            _("{word} by {who} does not count: it is in no log.")
            if one.index is None
            else _("{word} by {who} does not count any more: a later one took its place.")
        )
        yield why.format(word=statement_word(one.statement, tongue), who=_who(one, tongue))
    yield _("What was said later is not here: ask the site or its registry.")


def _of_document(
    one: StatementBeside, document: SignedClaims, replacements: Iterator[str | None], tongue: Tongue
) -> str:
    _ = tongue.say
    said = one.statement
    word, who, reason = statement_word(said, tongue), _who(one, tongue), _because(said.reason, tongue)
    match said:
        case Correction(field=field, right=right):
            was, value = (corrected_value(value, tongue) for value in (member_at(document, field), right))
            told = _("{word} by {who}: {field} is {was} there, and should be {value}").format(
                word=word, who=who, field=field, was=_quoted(was, tongue), value=_quoted(value, tongue)
            )
        case Supersession(replacement=replacement):
            there = next(replacements)
            name = _HERE[replacement.kind] if there is not None else _ELSEWHERE[replacement.kind]
            place = _(name).format(id=there, digest=f"sha256:{replacement.payload_sha256}")
            told = _("{word} by {who}: read on in {place}").format(word=word, who=who, place=place)
        case _:
            told = _("{word} by {who}").format(word=word, who=who)
    return f"{told}{reason}"


def _of_key(one: StatementBeside, effective: bool, tongue: Tongue) -> str:
    _ = tongue.say
    said = one.statement
    since = tongue.moment(said.since) if isinstance(said, KeyRevocation) else ""
    revoked = _("KEY REVOKED by {who}: a key that this rests on is not believed since {moment}")
    then = _(", and no log held it before") if effective else _("; a log held it before, so it stands")
    message = f"{revoked}{then}"
    return f"{message.format(who=_who(one, tongue), moment=since)}{_because(said.reason, tongue)}"


def _who(one: StatementBeside, tongue: Tongue) -> str:
    """Who said it, when by their own clock, and where a log holds it."""
    _ = tongue.say
    signer, moment = one.statement.signer, tongue.moment(one.statement.signed_at)
    if signer.role is not None:
        who = _("{name} ({role}) of {site}, {moment}")
    elif signer.site is not None:
        who = _("the site {site}, {moment}")
    else:
        who = _("the registry {name}, {moment}")
    told = who.format(name=signer.name, role=signer.role, site=signer.site, moment=moment)
    if one.index is None:
        return told
    return _("{who}, entry {index} of the log {log}").format(who=told, index=one.index, log=one.log)


def _because(reason: str | None, tongue: Tongue) -> str:
    return "." if not reason else tongue.say("; because: {reason}").format(reason=_quoted(reason, tongue))


def _quoted(text: str, tongue: Tongue) -> str:
    """As it was signed, and said to be a quotation: it may say anything."""
    if tongue.language is Language.FRENCH:
        return f"«\N{NO-BREAK SPACE}{text}\N{NO-BREAK SPACE}»"
    return f"\N{LEFT DOUBLE QUOTATION MARK}{text}\N{RIGHT DOUBLE QUOTATION MARK}"
