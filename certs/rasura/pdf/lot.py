"""Several signed documents on one page: what they say together. Nobody signs the page; pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from rasura.beside import Beside
from rasura.bundle import Bundle
from rasura.certificate import ErasureCertificate, Outcome
from rasura.language import Tongue
from rasura.machine_report import MachineReport
from rasura.pdf.terms import PdfError
from rasura.side_statement import DocumentStatement, SideStatement
from rasura.tell_beside import fallen_words, with_fallen
from rasura.tell_machine import outcomes_in_words
from rasura.tell_words import OUTCOMES, word
from rasura.telling import Table, Telling, name_of

__all__ = ["MOST_DOCUMENTS", "in_order", "tell_lot"]

MOST_DOCUMENTS = 500
"""Of one PDF: setting one again to compare it must not take minutes."""


def in_order(bundles: Sequence[Bundle]) -> tuple[Bundle, ...]:
    """Each machine report with the certificates it names after it; the rest by station and sequence.

    Side statements follow what they speak of; those that speak of nothing here come last.

    Raises:
        PdfError: none, too many, or one twice.
    """
    by_id = {one.certificate_id: one for one in bundles}
    if not bundles or len(bundles) > MOST_DOCUMENTS:
        raise PdfError(f"a PDF holds 1 to {MOST_DOCUMENTS} certificates and reports, not {len(bundles)}")
    if len(by_id) < len(bundles):
        raise PdfError("the same certificate or report is there twice")
    statements: dict[str, list[Bundle]] = {}
    for one in sorted(bundles, key=lambda one: one.certificate_id):
        said = one.document
        if isinstance(said, SideStatement):
            about = said.document.payload_sha256 if isinstance(said, DocumentStatement) else ""
            statements.setdefault(about, []).append(by_id.pop(one.certificate_id))
    ordered: list[Bundle] = []
    for document in _documents(by_id):
        ordered += (document, *_by_log(statements.pop(document.payload_sha256, [])))
    return (*ordered, *_by_log([one for them in statements.values() for one in them]))


def _by_log(statements: Sequence[Bundle]) -> list[Bundle]:
    return sorted(statements, key=lambda one: -1 if one.receipt is None else one.receipt.index)


def _documents(by_id: Mapping[str, Bundle]) -> Iterator[Bundle]:
    waiting = dict(sorted(by_id.items(), key=lambda item: _place(item[1])))
    for one in list(waiting.values()):
        claims = one.claims
        if not isinstance(claims, MachineReport):
            continue
        yield waiting.pop(one.certificate_id)
        for drive in claims.drives:
            named = waiting.get(drive.certificate.id) if drive.certificate is not None else None
            if named is not None and isinstance(named.claims, ErasureCertificate):
                yield waiting.pop(named.certificate_id)
    yield from waiting.values()


def _place(bundle: Bundle) -> tuple[str, int, str]:
    station = bundle.claims.station
    return station.name, station.sequence, bundle.certificate_id


def tell_lot(bundles: Sequence[Bundle], beside: Mapping[str, Beside], tongue: Tongue) -> Telling | None:
    """The page in front of several documents; ``None`` where one report already is that page.

    ``beside`` is what was said of each, by its payload's hash.
    """
    certificates = [one.certificate for one in bundles if not isinstance(one.claims, MachineReport)]
    reports = [one.claims for one in bundles if isinstance(one.claims, MachineReport)]
    named = {drive.certificate.id for one in reports for drive in one.drives if drive.certificate is not None}
    if len(bundles) == 1 or (len(reports) == 1 and {one.id for one in certificates} <= named):
        return None
    _ = tongue.say
    left_alone = [
        drive.outcome
        for one in reports
        for drive in one.drives
        if drive.certificate is None and not drive.is_station_medium
    ]
    absent = len(named - {one.id for one in certificates})
    outcomes = [*(one.result.outcome for one in certificates), *left_alone]
    good = set(outcomes) == {Outcome.ERASED} and not absent
    lots = {one.claims.source.lot for one in bundles}
    lot = lots.pop() if len(lots) == 1 else None
    erased = sum(
        one.certificate.drive.capacity_bytes
        for one in bundles
        if isinstance(one.claims, ErasureCertificate)
        and one.claims.result.outcome is Outcome.ERASED
        and beside[one.payload_sha256].stands
    )
    sites = {one.claims.station.site for one in bundles}
    notes = [_("Nobody signed this page: it sums up the signed documents that are attached, a page each.")]
    if absent:
        notes.insert(
            0,
            tongue.count(
                "{number} certificate that a report names is not among them.",
                "{number} certificates that a report names are not among them.",
                absent,
            ),
        )
    if left_alone:
        notes.insert(
            0,
            tongue.count(
                "{number} drive has no certificate: its machine's report says why.",
                "{number} drives have no certificate: their machines' reports say why.",
                len(left_alone),
            ),
        )
    told = Telling(
        kind=_("Summary"),
        id=None,
        payload_sha256=None,
        good=good,
        word=_("ALL DRIVES ERASED") if good else _("NOT EVERY DRIVE WAS ERASED"),
        headline=outcomes_in_words(outcomes, tongue),
        subject=_("{lot}, {sites}, {size} erased").format(
            lot=_("lot {name}").format(name=lot) if lot else _("several lots"),
            sites=", ".join(sorted(sites)),
            size=tongue.size(erased),
        ),
        done=(),
        open=tuple(notes),
        tables=(
            Table(
                _("The drives"),
                (_("drive"), _("serial"), _("capacity"), _("outcome"), _("certificate")),
                tuple(
                    _line(one.claims, beside[one.payload_sha256], tongue)
                    for one in bundles
                    if isinstance(one.claims, ErasureCertificate)
                ),
            ),
        )
        if certificates
        else (),
        parts=(),
        finished_at=max(_finished(one) for one in bundles),
    )
    return with_fallen(told, sum(not beside[one.payload_sha256].stands for one in bundles), tongue)


def _finished(bundle: Bundle) -> str:
    claims = bundle.claims
    return claims.finished_at if isinstance(claims, MachineReport) else claims.result.finished_at


def _line(certificate: ErasureCertificate, beside: Beside, tongue: Tongue) -> tuple[str, ...]:
    _ = tongue.say
    drive, result = certificate.drive, certificate.result
    outcome = word(OUTCOMES, result.outcome, tongue)
    if not beside.stands:
        outcome = fallen_words(beside, tongue)
    return (
        name_of(drive.manufacturer, drive.model) or _("drive without a name"),
        drive.serial or _("none"),
        tongue.size(drive.capacity_bytes),
        f"{outcome}, {result.method}" if result.method is not None and beside.stands else outcome,
        certificate.id,
    )
