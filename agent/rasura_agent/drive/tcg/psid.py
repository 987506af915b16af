"""The PSID (Physical Security ID) on a drive's label, and the structure Linux takes it in for a Revert.

A PSID revert resets the drive to its factory state and changes the media key: a cryptographic erase
for which nothing but the label is needed. It is the way into a drive locked by a forgotten password.
"""

from __future__ import annotations

import struct
from enum import Enum

import msgspec

from rasura.errors import UsageError

__all__ = ["OPAL_KEY_BYTES", "PSID_CHARACTERS", "Psid", "ScanNoise", "encode_opal_key", "parse_psid"]

PSID_CHARACTERS = 32
"""As printed, upper-case letters and digits; every manufacturer prints this many."""

_OPAL_KEY_MAX = 256
_OPAL_KEY = struct.Struct(f"=BB6x{_OPAL_KEY_MAX}s")
OPAL_KEY_BYTES = _OPAL_KEY.size
"""``struct opal_key`` of ``linux/sed-opal.h``: lr, key_len, 6 bytes to align, 256 bytes of key."""

_SEPARATORS = " \t-\N{HYPHEN}\N{NON-BREAKING HYPHEN}\N{EN DASH}\N{NO-BREAK SPACE}"


class ScanNoise(Enum):
    """What a scanner or a person added to the printed characters, and we took away."""

    PREFIX = "the word PSID before it"
    SEPARATORS = "spaces or dashes"
    LOWER_CASE = "lower-case letters"


class Psid(msgspec.Struct, frozen=True):
    """A PSID that has the right form. Whether it is this drive's, only the drive can tell."""

    value: str
    noise: frozenset[ScanNoise]


def parse_psid(text: str) -> Psid:
    """Read a PSID as typed or scanned.

    Accepted, and reported in ``noise``: the word ``PSID`` with or without a colon in front, spaces and
    dashes anywhere, lower-case letters (a keyboard with caps lock turns them; labels have none).
    Nothing else is guessed: 0 and O, or 1 and I, are different characters.

    Raises:
        UsageError: it does not have 32 letters and digits.
    """
    noise = set()
    body = text.strip()
    compact = "".join(c for c in body if c not in _SEPARATORS)
    if compact != body:
        noise.add(ScanNoise.SEPARATORS)
    if len(compact) > PSID_CHARACTERS and compact[:4].upper() == "PSID":
        compact = compact[4:].removeprefix(":")
        noise.add(ScanNoise.PREFIX)
    # Not str.upper() before this check: it would turn other alphabets into more characters.
    if len(compact) != PSID_CHARACTERS or not (compact.isascii() and compact.isalnum()):
        raise UsageError(
            f"a PSID has {PSID_CHARACTERS} letters and digits, this has {len(compact)} characters",
            hint="read it again from the label of the drive; it is not the serial number",
        )
    value = compact.upper()
    if value != compact:
        noise.add(ScanNoise.LOWER_CASE)
    return Psid(value, frozenset(noise))


def encode_opal_key(psid: Psid) -> bytes:
    """The ``struct opal_key`` for IOC_OPAL_PSID_REVERT_TPR: locking range 0 and the key as ASCII."""
    key = psid.value.encode("ascii")
    return _OPAL_KEY.pack(0, len(key), key)
