"""Standard base64 (RFC 4648 clause 4), one text for one value: nothing signed can be written in two ways."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence

import msgspec

from rasura.errors import RasuraError

__all__ = ["canonical_base64", "canonical_base64s"]

_LIST = msgspec.json.Decoder(tuple[bytes, ...])


def canonical_base64(text: str, what: str, error: type[RasuraError]) -> bytes:
    """The value of ``text``; raises ``error``, naming ``what``, unless encoding it gives ``text`` again."""
    try:
        value = binascii.a2b_base64(text)  # takes more than it should; what it gives is held against the text
        if binascii.b2a_base64(value, newline=False).decode() == text:
            return value
        base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise error(f"{what} is not base64") from None
    raise error(f"{what} is not canonical base64")


def canonical_base64s(texts: Sequence[str], what: str, error: type[RasuraError]) -> tuple[bytes, ...]:
    """The same of several texts; as a list of JSON they are decoded, and encoded to compare, in one go."""
    if not texts:
        return ()
    listed = ('["' + '","'.join(texts) + '"]').encode(errors="replace")
    try:
        values = _LIST.decode(listed)
        if len(values) == len(texts) and msgspec.json.encode(values) == listed:
            return values
    except msgspec.MsgspecError:
        pass
    return tuple(canonical_base64(one, what, error) for one in texts)
