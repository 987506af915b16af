"""Sentences of the claims, said in another language where they are known word for word. Pure.

Residual risks and reasons are signed in English. What is not known here is quoted as it was signed, and said
to be a quotation.
"""

from __future__ import annotations

import functools
import re
from string import Formatter

from rasura.language import N_, Language, Tongue

__all__ = ["KNOWN", "told"]

KNOWN: tuple[str, ...] = (
    N_("the medium is a file or a virtual disk; copies made below it are out of reach"),
    N_("sectors that the drive has retired cannot be overwritten"),
    N_("beyond the spots that were read, the drive's own report is believed"),
    N_("flash keeps spare blocks that overwriting does not address"),
    N_("HPA, AMA and DCO were not examined"),
    N_("a USB bridge stands between; capacity and identity are its word"),
    N_("a constant pattern cannot show that every address is a place of its own"),
    N_("the path to the drive allowed no direct I/O, so the read-back may be the cache's"),
    N_(
        "what an earlier boot wrote is its journal's word; reading a constant pattern back shows what "
        "the drive holds, not who wrote it"
    ),
    N_("{read} of {capacity} bytes were read back; of the rest only the writing is known"),
    N_("the {area} is there: {detail}"),
    N_("whether there is a {area} is unknown: {detail}"),
    N_("what is hidden now is unknown: the drive fell silent"),
    N_("they were not examined: {detail}"),
    N_("it is not known whether all blocks are in use: {detail}"),
    N_("after MODE SELECT the drive was: {detail}"),
    N_("after MODE SELECT the drive did not tell its number of blocks"),
    N_("MODE SELECT of all blocks left the drive with fewer or other blocks"),
    N_("the drive was locked and was reverted by its PSID before it was marked"),
    N_("{size} KiB of replay-protected memory are reached by no erase command"),
    N_("former copies of data in the boot partitions may be left in the chips"),
)
"""Residual risks as the agent writes them, without the code before each."""

_CODE = re.compile(r"[a-z][a-z'-]*: ")


def told(sentence: str, tongue: Tongue) -> str:
    """``sentence`` of the claims for a person: in the tongue's language if known, else quoted as signed."""
    code = _CODE.match(sentence)
    said = sentence[code.end() :] if code is not None else sentence
    for template in KNOWN:
        found = _pattern(template).fullmatch(said)
        if found is not None:
            here = tongue.say(template).format(**found.groupdict())
            return f"{here[:1].upper()}{here[1:]}."
    if tongue.language is Language.ENGLISH:
        return sentence
    return f"«\N{NO-BREAK SPACE}{sentence}\N{NO-BREAK SPACE}»"


@functools.cache
def _pattern(template: str) -> re.Pattern[str]:
    parts = []
    for text, name, _spec, _conversion in Formatter().parse(template):
        parts.append(re.escape(text))
        if name is not None:
            parts.append(f"(?P<{name}>.+)")
    return re.compile("".join(parts), re.DOTALL)
