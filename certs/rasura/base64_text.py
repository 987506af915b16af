"""Standard base64 (RFC 4648 clause 4), one text for one value: nothing signed can be written in two ways."""

from __future__ import annotations

import base64
import binascii

from rasura.errors import RasuraError

__all__ = ["canonical_base64"]


def canonical_base64(text: str, what: str, error: type[RasuraError]) -> bytes:
    """The value of ``text``; raises ``error``, naming ``what``, unless encoding it gives ``text`` again."""
    try:
        value = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise error(f"{what} is not base64") from None
    if base64.b64encode(value).decode() != text:
        raise error(f"{what} is not canonical base64")
    return value
