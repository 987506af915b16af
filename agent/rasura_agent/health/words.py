"""The reasons for a grade in words: English here, other languages by the screens' catalogues. Pure."""

from __future__ import annotations

from collections.abc import Callable

from rasura_agent.health.grade import Figure, Graded, Reason

__all__ = ["reason_sentence", "reason_sentences"]

Translate = Callable[[str], str]


def _(message: str) -> str:
    """Marks a message for the catalogues; who shows it translates it."""
    return message


_REASONS = {
    Figure.OVERALL_FAILED: _("the drive itself says that it fails"),
    Figure.PREFAIL_ATTRIBUTES: _("{value} of its attributes say that it will fail soon"),
    Figure.SELF_TEST_FAILED: _("its last self-test failed"),
    Figure.ERASE_ERRORS: _("{value} ranges could not be erased or did not hold what was written"),
    Figure.UNCORRECTABLE_SECTORS: _("{value} sectors cannot be read (attribute 198)"),
    Figure.PENDING_SECTORS: _("{value} sectors wait to be replaced (attribute 197)"),
    Figure.REPORTED_UNCORRECTABLE: _("{value} errors could not be corrected (attribute 187)"),
    Figure.REALLOCATED_SECTORS: _("{value} sectors were replaced (attribute 5)"),
    Figure.SPIN_RETRIES: _("it had to try again to spin up {value} times (attribute 10)"),
    Figure.COMMAND_TIMEOUTS: _("it did not answer in time up to {value} times (attribute 188)"),
    Figure.NVME_CRITICAL_WARNING: _("it gives a critical warning (code {value})"),
    Figure.NVME_SPARE_MISSING: _("its spare is {value} points below its limit"),
    Figure.NVME_MEDIA_ERRORS: _("it lost data {value} times"),
    Figure.WEAR: _("{value} % of its life is used up"),
    Figure.GROWN_DEFECTS: _("{value} defects were found in use"),
    Figure.UNCORRECTED_ERRORS: _("{value} errors could not be corrected"),
    Figure.EMMC_RESERVE: _("its reserve of blocks comes to an end (PRE_EOL_INFO {value})"),
    Figure.POWER_ON_HOURS: _("it ran for {value} hours"),
}
_UNKNOWN = {
    sentence: sentence
    for sentence in (
        _("this is no physical drive"),
        _("smartctl cannot ask SD cards and eMMC"),
        _("an SD card tells nothing of its health"),
        _("smartctl cannot ask this drive"),
        _("the drive has no SMART"),
        _("the drive's SMART is switched off"),
        _("the drive told nothing of its health"),
        _("the drive gives no overall verdict"),
        _("the drive passes by its own verdict, and tells none of the figures that are graded"),
        _("smartctl is not installed"),
    )
}


def _as_is(message: str) -> str:
    return message


def reason_sentence(reason: Reason, translate: Translate = _as_is) -> str:
    """One reason as a sentence. What smartctl itself said stays as it said it."""
    if reason.figure is None:
        sentence = reason.sentence or ""
        return translate(sentence) if sentence in _UNKNOWN else sentence
    return translate(_REASONS[reason.figure]).format(value=reason.value)


def reason_sentences(graded: Graded, translate: Translate = _as_is) -> tuple[str, ...]:
    """Every reason for the grade as a sentence."""
    return tuple(reason_sentence(reason, translate) for reason in graded.reasons)
