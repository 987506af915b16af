"""What drives say of themselves, made fit to be shown, compared and signed; pure.

Drives and bridges fill these fields with padding, placeholders and sometimes garbage. Nothing here
raises: what is not there, or is plainly a placeholder, is ``None``.
"""

from __future__ import annotations

import re

__all__ = ["identifier", "printable", "text", "udev_decoded", "world_wide_name"]

REPLACEMENT = "\N{REPLACEMENT CHARACTER}"

# What makers and bridges leave where a value belongs (lower case, spaces around stripped).
_PLACEHOLDERS = frozenset(
    {
        "none",
        "(none)",
        "n/a",
        "na",
        "null",
        "unknown",
        "[undef]",
        "not available",
        "not specified",
        "default string",
    }
)
_UDEV_ESCAPE = re.compile(rb"\\x([0-9a-fA-F]{2})")
_NAA = re.compile(r"(?:0x|naa\.)((?:[0-9a-f]{16}){1,2})")
_EUI = re.compile(r"eui\.((?:[0-9a-f]{8}){2,4})")
_UUID = re.compile(r"uuid\.([0-9a-f-]{32,36})")


def printable(value: bytes | str) -> str:
    """``value`` as text that can be shown and encoded: anything else in it becomes U+FFFD.

    Bytes are taken for UTF-8. Control and format characters go too: a drive's name must not be able to
    steer a terminal or to turn the direction of a line on a certificate.
    """
    decoded = value.decode("utf-8", "replace") if isinstance(value, bytes) else value
    return "".join(c if c.isprintable() else REPLACEMENT for c in decoded)


def text(value: bytes | str | None) -> str | None:
    """A name as its maker wrote it, without padding (spaces, NULs); ``None`` where it says nothing."""
    if value is None:
        return None
    stripped = value.strip(b" \t\r\n\0") if isinstance(value, bytes) else value.strip(" \t\r\n\0")
    shown = printable(stripped)
    return None if not shown.strip(REPLACEMENT + " ") or shown.lower() in _PLACEHOLDERS else shown


def identifier(value: bytes | str | None) -> str | None:
    """A serial number or the like: as :func:`text`, and ``None`` where it is only zeros or only Fs."""
    shown = text(value)
    if shown is None:
        return None
    digits = {c for c in shown.lower().removeprefix("0x") if c not in " -_.:"}
    return None if digits <= {"0"} or (digits == {"f"} and len(shown) > 1) else shown


def udev_decoded(value: str) -> bytes:
    r"""The bytes behind one of udev's ``*_ENC`` properties, where ``\x20`` stands for a space."""
    raw = value.encode("utf-8", "surrogatepass")
    return _UDEV_ESCAPE.sub(lambda match: bytes([int(match[1], 16)]), raw)


def world_wide_name(value: bytes | str | None) -> str | None:
    """A World Wide Name as the kernel writes it: ``naa.``, ``eui.`` or ``uuid.`` and lower-case hex digits.

    udev writes the first of these ``0x…``. ``None`` for anything else, such as the ``t10.…`` and ``nvme.…``
    names that are put together from vendor, model and serial number, and for names of only zeros or Fs,
    which unrelated drives share.
    """
    shown = (text(value) or "").lower()
    for pattern, prefix in ((_NAA, "naa."), (_EUI, "eui."), (_UUID, "uuid.")):
        match = pattern.fullmatch(shown)
        if match:
            return prefix + match[1] if identifier(match[1]) else None
    return None
