"""What a certificate, a machine report or a side statement says, as plain text for a terminal. Pure."""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping, Sequence
from types import MappingProxyType

from rasura.beside import Beside, lay_beside
from rasura.bundle import Bundle
from rasura.certificate import ErasureCertificate
from rasura.checkpoint import origin_of
from rasura.language import Tongue
from rasura.machine_report import MachineReport
from rasura.side_statement import SideStatement
from rasura.tell_beside import fallen_words, with_beside, with_fallen
from rasura.tell_certificate import tell_certificate
from rasura.tell_machine import tell_machine
from rasura.tell_statement import tell_statement
from rasura.telling import BundleFacts, Telling
from rasura.text import printable
from rasura.timestamp import claimed_time

__all__ = ["claims_text", "open_title", "tell", "tell_all", "telling_text"]


def tell(bundle: Bundle, tongue: Tongue, fallen: Mapping[str, str] = MappingProxyType({})) -> Telling:
    """A bundle's claims, told; nothing is verified. Raises ``ClaimsError``.

    ``fallen`` has the word for each certificate, by its payload's hash, that does not stand any more.
    """
    times = [time for one in bundle.timestamps if (time := claimed_time(one.token)) is not None]
    receipt = bundle.receipt
    place = None if receipt is None else (receipt.index, origin_of(receipt.checkpoint_note))
    facts = BundleFacts(
        bundle.payload_sha256, receipt is not None, bundle.unread, min(times, default=None), place
    )
    claims = bundle.document
    if isinstance(claims, SideStatement):
        return tell_statement(claims, tongue, facts)
    if isinstance(claims, MachineReport):
        return tell_machine(claims, tongue, facts, fallen)
    return tell_certificate(claims, tongue, facts)


def tell_all(
    bundles: Sequence[Bundle], tongue: Tongue, beside: Mapping[str, Beside] | None = None
) -> list[Telling]:
    """Each told with what the others say of it; nothing is verified. Raises ``ClaimsError``.

    ``beside`` is what :func:`~rasura.beside.lay_beside` made of ``bundles``, where the caller has it.
    """
    beside = lay_beside(bundles) if beside is None else beside
    documents = [one for one in bundles if not isinstance(one.document, SideStatement)]
    fallen = {
        one.payload_sha256: fallen_words(beside[one.payload_sha256], tongue)
        for one in documents
        if not beside[one.payload_sha256].stands
    }
    return [
        with_fallen(
            with_beside(tell(one, tongue, fallen), one.document, beside[one.payload_sha256], tongue),
            _fallen_in(one, fallen),
            tongue,
        )
        for one in bundles
    ]


def _fallen_in(bundle: Bundle, fallen: Container[str]) -> int:
    """How many of the certificates that a machine report names do not stand."""
    document = bundle.document
    if not isinstance(document, MachineReport):
        return 0
    return sum(
        one.certificate is not None and one.certificate.payload_sha256 in fallen for one in document.drives
    )


def claims_text(claims: ErasureCertificate | MachineReport, tongue: Tongue | None = None) -> str:
    """Claims as text, wherever they come from."""
    tongue = tongue or Tongue()
    told = (
        tell_machine(claims, tongue)
        if isinstance(claims, MachineReport)
        else tell_certificate(claims, tongue)
    )
    return telling_text(told, tongue)


def telling_text(telling: Telling, tongue: Tongue) -> str:
    """The verdict, what was done, what was not, and every fact on a line of its own."""
    _ = tongue.say
    width = max((len(one.name) for part in telling.parts for one in part.rows), default=0)
    lines = [
        "  " + _("{outcome}: {reason}").format(outcome=telling.word, reason=telling.headline),
        f"  {telling.subject}",
        f"  {telling.kind} {telling.id or ''}".rstrip(),
    ]
    lines += _list(_("What was said of it since it was signed"), telling.since)
    lines += _list(_("What was done"), telling.done)
    lines += _list(open_title(telling, tongue), telling.open)
    for table in telling.tables:
        lines += _list(table.title, [" | ".join(line) for line in (table.heads, *table.lines)])
    for part in telling.parts:
        lines += ["", f"  {part.title}"]
        lines += [f"    {one.name:<{width}}  {one.value}" for one in part.rows]
    return "\n".join(printable(line) for line in lines)


def open_title(telling: Telling, tongue: Tongue) -> str:
    """What stands above ``telling.open``."""
    _ = tongue.say
    return _("What to know of it") if telling.statement else _("What was not, and what remains")


def _list(title: str, sentences: Iterable[str]) -> list[str]:
    told = list(sentences)
    return ["", f"  {title}", *(f"    - {one}" for one in told)] if told else []
