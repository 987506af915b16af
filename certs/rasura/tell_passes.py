"""The passes of an overwrite, told: what they wrote, what the drive zeroed itself, who read it back. Pure."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

from rasura.certificate import ErasureCertificate, PassClaims
from rasura.language import Tongue
from rasura.tell_words import PATTERNS, word

__all__ = ["passes_in_figures", "passes_read_back", "passes_written"]


def passes_written(certificate: ErasureCertificate, tongue: Tongue) -> Iterator[str]:
    """Sentences; those over the whole drive are told together, for a scheme may have 35."""
    _ = tongue.say
    passes, capacity = certificate.result.passes, certificate.drive.capacity_bytes
    size = tongue.bytes(capacity)
    whole = [one for one in passes if one.bytes_written == capacity]
    if len(whole) > 1:
        yield _("The whole drive, {capacity}, was overwritten {number} times: {patterns}.").format(
            capacity=size, number=tongue.number(len(whole)), patterns=_(", then ").join(_runs(whole, tongue))
        )
    for number, one in enumerate(passes, 1):
        pattern = _pattern(one, tongue)
        if one.bytes_written != capacity:
            yield _("Pass {number}: {written} of {capacity} were overwritten with {pattern}.").format(
                number=number, written=tongue.bytes(one.bytes_written), capacity=size, pattern=pattern
            )
        elif len(passes) == 1:
            yield _("The whole drive, {capacity}, was overwritten with {pattern}.").format(
                capacity=size, pattern=pattern
            )
        elif len(whole) == 1:
            yield _("Pass {number}: the whole drive, {capacity}, was overwritten with {pattern}.").format(
                number=number, capacity=size, pattern=pattern
            )
    offloaded = sum(one.bytes_offloaded for one in passes)
    if offloaded:
        yield _("Of that, {size} were zeroed by the drive itself, as it was told (Write Zeroes).").format(
            size=tongue.bytes(offloaded)
        )


def passes_read_back(certificate: ErasureCertificate, tongue: Tongue) -> Iterator[str]:
    """Sentences: how many of several passes, and whether another process than the writing one did it."""
    _ = tongue.say
    verification, total = certificate.verification, len(certificate.result.passes)
    number = verification.passes_read_back
    if number is not None and total > 1:
        yield (
            _("Each of the {total} passes was read back in full.")
            if number == total
            else _("Passes read back in full: {number} of {total}.")
        ).format(total=tongue.number(total), number=tongue.number(number))
    if verification.second_reader:
        yield _("A second process read it back, apart from the one that wrote.")


def passes_in_figures(certificate: ErasureCertificate, tongue: Tongue) -> str | None:
    """Each pass with what it wrote; ``None`` without one."""
    _ = tongue.say
    told = []
    for one in certificate.result.passes:
        zeroed = (
            _(" ({size} by Write Zeroes)").format(size=tongue.bytes(one.bytes_offloaded))
            if one.bytes_offloaded
            else ""
        )
        told.append(f"{_pattern(one, tongue)}: {tongue.bytes(one.bytes_written)}{zeroed}")
    return _(", then ").join(told) or None


def _runs(passes: list[PassClaims], tongue: Tongue) -> Iterator[str]:
    for pattern, run in itertools.groupby(_pattern(one, tongue) for one in passes):
        times = len(list(run))
        yield pattern if times == 1 else f"{times} \N{MULTIPLICATION SIGN} {pattern}"


def _pattern(one: PassClaims, tongue: Tongue) -> str:
    """What a pass wrote; other bytes than 00h and FFh are claimed in hexadecimal, as ``0x924924``."""
    pattern = word(PATTERNS, one.pattern, tongue)
    if one.pattern.startswith("0x"):
        digits = one.pattern.removeprefix("0x").upper()
        units = " ".join(f"{digits[at : at + 2]}h" for at in range(0, len(digits), 2))
        pattern = tongue.say("bytes {units}").format(units=units)
    return f"{pattern} ({one.cipher})" if one.cipher else pattern
