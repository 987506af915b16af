"""The certificate of one drive, told to a person. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from rasura.certificate import (
    ErasureCertificate,
    Outcome,
    Presence,
    Range,
    RangeKind,
    Technique,
    VerificationMethod,
    VerificationStatus,
)
from rasura.language import N_, Tongue
from rasura.signed_sentences import told
from rasura.tell_bundle import unread_told
from rasura.tell_facts import drive_part, origin_part, work_part
from rasura.tell_passes import passes_read_back, passes_written
from rasura.tell_words import OUTCOMES, RANGES, TECHNIQUES, word
from rasura.telling import BundleFacts, Telling, name_of

__all__ = ["UNDECIDED", "outcome_word", "tell_certificate"]

UNDECIDED = N_("No person has judged yet whether this is enough (validation).")
"""It is so until a decision is beside the certificate."""

_RANGES_NAMED = 4
"""Of each kind; the claims have them all."""


def tell_certificate(
    certificate: ErasureCertificate, tongue: Tongue, bundle: BundleFacts | None = None
) -> Telling:
    """Everything a person asks first; without ``bundle``, claims that are in none."""
    _ = tongue.say
    drive, result = certificate.drive, certificate.result
    erased = result.outcome is Outcome.ERASED
    name = name_of(drive.manufacturer, drive.model) or _("drive without a name")
    return Telling(
        kind=_("Certificate of erasure") if erased else _("Certificate of an attempted erasure"),
        id=certificate.id,
        payload_sha256=bundle.payload_sha256 if bundle is not None else None,
        good=erased,
        word=outcome_word(result.outcome, tongue),
        headline=_headline(certificate, tongue),
        subject=_("{name}, serial {serial}, {size}").format(
            name=name, serial=drive.serial or _("none"), size=tongue.size(drive.capacity_bytes)
        ),
        done=tuple(_done(certificate, tongue)),
        open=tuple(_open(certificate, tongue, bundle)),
        tables=(),
        parts=(
            drive_part(certificate, tongue),
            work_part(certificate, tongue),
            origin_part(certificate, tongue, bundle),
        ),
        finished_at=result.finished_at,
    )


def outcome_word(outcome: Outcome, tongue: Tongue) -> str:
    """The verdict: what was not erased says so first."""
    if outcome is Outcome.ERASED:
        return tongue.say(OUTCOMES[outcome])
    if outcome is Outcome.UNKNOWN:
        return tongue.say("OUTCOME UNKNOWN")
    return tongue.say("NOT ERASED")


def _headline(certificate: ErasureCertificate, tongue: Tongue) -> str:
    _ = tongue.say
    result = certificate.result
    if result.outcome is Outcome.ERASED:
        return _("{method} by {technique}").format(
            method=result.method, technique=word(TECHNIQUES, result.technique or "", tongue)
        )
    outcome = word(OUTCOMES, result.outcome, tongue)
    if result.reason is None:
        return outcome
    return _("{outcome}: {reason}").format(outcome=outcome, reason=told(result.reason, tongue))


def _done(certificate: ErasureCertificate, tongue: Tongue) -> Iterator[str]:
    _ = tongue.say
    result = certificate.result
    erased = result.outcome is Outcome.ERASED
    for name, area in _areas(certificate):
        if area == (Presence.PRESENT, Presence.ABSENT):
            yield _("A hidden area ({name}) was found and lifted.").format(name=name)
    yield from passes_written(certificate, tongue)
    yield from _interrupted(certificate, tongue)
    if erased and result.technique is not None and result.technique is not Technique.OVERWRITE:
        yield _("The drive carried out its own command, {technique}, and reported that it was done.").format(
            technique=word(TECHNIQUES, result.technique, tongue)
        )
    elif not erased and certificate.commands:
        yield tongue.count(
            "{number} device command was sent; the claims list it with its answer.",
            "{number} device commands were sent; the claims list them with their answers.",
            len(certificate.commands) + certificate.commands_omitted,
        )
    if not result.passes and not certificate.commands:
        yield _("Nothing was written to the drive.")
    yield from _verified(certificate, tongue)


def _verified(certificate: ErasureCertificate, tongue: Tongue) -> Iterator[str]:
    _ = tongue.say
    verification, coverage = certificate.verification, certificate.verification.coverage
    values = {"read": tongue.bytes(coverage.bytes_read), "total": tongue.bytes(coverage.bytes_total)}
    values["share"] = tongue.share(coverage.bytes_read, coverage.bytes_total)
    if verification.status is not VerificationStatus.COMPLETE:
        if coverage.bytes_read:
            yield _("{read} of {total} ({share}) were read back.").format(**values)
        return
    match verification.method:
        case VerificationMethod.FULL_READ_BACK:
            yield _("All of it, {read}, was read back and compared with what was written.").format(**values)
            yield from passes_read_back(certificate, tongue)
        case VerificationMethod.SAMPLED_READ_BACK:
            yield _(
                "Samples, {read} of {total} ({share}), were read back and compared with what was written."
            ).format(**values)
        case VerificationMethod.MARKERS_AND_SAMPLES:
            yield _(
                "Marks written before, and samples of the old data, were looked for afterwards in {read} "
                "({share} of the drive): none was as it had been."
            ).format(**values)
        case None:
            pass


def _interrupted(certificate: ErasureCertificate, tongue: Tongue) -> Iterator[str]:
    _ = tongue.say
    resumed = certificate.result.resumed
    if resumed is None:
        return
    yield tongue.count(
        "The work was interrupted {number} time and went on where it was.",
        "The work was interrupted {number} times and went on where it was.",
        len(resumed.interruptions),
    )


def _open(certificate: ErasureCertificate, tongue: Tongue, bundle: BundleFacts | None) -> Iterator[str]:
    _ = tongue.say
    result, request, verification = certificate.result, certificate.request, certificate.verification
    coverage = verification.coverage
    for kind in RangeKind:
        yield from _ranges(kind, [one for one in result.error_ranges if one.kind is kind], tongue)
    if verification.status is VerificationStatus.NOT_RUN or verification.method is None:
        yield _("Nothing was verified.")
    elif coverage.bytes_read < coverage.bytes_total:
        left = coverage.bytes_total - coverage.bytes_read
        yield _("{left} ({share} of the drive) were not read back.").format(
            left=tongue.bytes(left), share=tongue.share(left, coverage.bytes_total)
        )
    yield from unread_told(bundle, tongue)
    for name, (_before, after) in _areas(certificate):
        if after is Presence.PRESENT:
            yield _("A hidden area ({name}) is still there.").format(name=name)
    if result.method is not None and result.method.is_weaker_than(request.method):
        yield _("{asked} was asked for and {reached} was reached; the policy allows it.").format(
            asked=request.method, reached=result.method
        )
    for risk in certificate.residual_risks:
        yield told(risk, tongue)
    if bundle is not None and not bundle.logged:
        yield _("No receipt is attached: this certificate is in no log yet.")
    yield _(UNDECIDED)


def _ranges(kind: RangeKind, ranges: list[Range], tongue: Tongue) -> Iterator[str]:
    if not ranges:
        return
    _ = tongue.say
    named = [
        _("{first} to {last}").format(
            first=tongue.number(one.offset), last=tongue.number(one.offset + one.length - 1)
        )
        for one in ranges[:_RANGES_NAMED]
    ]
    if len(ranges) > _RANGES_NAMED:
        named.append(tongue.count("{number} more", "{number} more", len(ranges) - _RANGES_NAMED))
    count = tongue.count("{number} range", "{number} ranges", len(ranges))
    yield _("NOT PROVEN: {ranges}, together {size}, {how}: bytes {places}.").format(
        ranges=count,
        size=tongue.bytes(sum(one.length for one in ranges)),
        how=word(RANGES, kind, tongue),
        places=", ".join(named),
    )


def _areas(certificate: ErasureCertificate) -> list[tuple[str, tuple[Presence, Presence]]]:
    areas = certificate.drive.hidden_areas
    return [
        (name, (area.before, area.after))
        for name, area in (("HPA", areas.hpa), ("AMA", areas.ama), ("DCO", areas.dco))
    ]
