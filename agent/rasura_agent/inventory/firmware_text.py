"""What firmware and displays say of themselves, made fit to be shown and compared; pure.

Makers leave phrases and counting digits where a value belongs, and every machine of the kind then bears the
same "serial number". What is plainly one of those is ``None``, and a :class:`Reading` keeps a sentence of it.
"""

from __future__ import annotations

import re

from rasura_agent.inventory.text import REPLACEMENT, printable

__all__ = ["Reading"]

_ABSENT = frozenset(
    {
        *("none", "(none)", "null", "n/a", "na", "unknown", "undefined", "other", "empty", "[empty]"),
        *("not specified", "not available", "not applicable", "not defined", "not present", "not provided"),
        *("not installed", "uninstalled"),
        *("not settable", "unspecified", "no dimm", "no module installed", "no asset tag"),
        *("no asset information", "<bad index>", "<out of spec>", "bad index"),
    }
)
"""Words for "nothing", of dmidecode and of makers (lower case): no value, and nothing to be said about."""

_PLACEHOLDER = re.compile(
    r"""
    to\ be\ filled.*|fill\ by\ oem|filled\ by\ oem|oem|o\.e\.m\.?|oem[_\ ]define[_\ ]?\d*|oem[_\ ]?string
    |0{5,}
    |default(\ string)?|.*please\ change.*|.*not\ programmed.*|type2\ -\ board.*
    |(system|base\ ?board|board|chassis|mother\ ?board|product|enclosure)
      \ ?(manufacturer|vendor|name|product\ name|model|version|serial(\ number)?|sku(\ number)?|family
         |uuid|asset\ tag|id)
    |(manufacturer|product\ ?name|model|version|serial(\ ?number)?|sku(\ number)?|family|asset\ ?tag
      |part\ ?number|vendor|battery\ (name|manufacturer|serial(\ number)?)|location\ of\ the\ battery)
    |(serial\ ?num|ser\ ?num|asset\ ?tag\ ?num|part_?num|modulepartnumber|manufacturer|arr\d_)[\ _]?\d*
    |(a\d_|dimm\w*|bank\d\w*|array\d+)[\ _-]*(assettagnum|sernum|partnum|serialnum|manufacturer|asset\ ?tag).*
    |-virtual\ battery.*|crb\ battery.*|x+(\.x+)*|abcd|empty\d*|fake|tbd.*|inva?lid.*
    |(serial|s/?n|sn|ssn|tag)[\ :#-]*(x+|0+|1?2?345\d*)
    """,
    re.VERBOSE | re.IGNORECASE,
)

_COUNTING = tuple(
    digits * 3 for digits in ("0123456789", "1234567890", "123456789", "9876543210", "987654321")
)
_COUNTED = re.compile(r"[0-9]{5,}[A-Fa-f]{0,8}")

_NO_UUIDS = frozenset(
    {
        "03000200-0400-0500-0006-000700080009",  # American Megatrends' default, in both byte orders
        "00020003-0004-0005-0006-000700080009",
        "12345678-1234-5678-90ab-cddeefaabbcc",
        "12345678-1234-1234-1234-123456789abc",
        "4c4c4544-0000-2010-8020-80c04f202020",  # Dell's, made of an empty service tag
    }
)
_UUID = re.compile(r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}")

_SEPARATORS = " -_.:/"


def _decoded(value: bytes | str) -> str:
    """Bytes that are no UTF-8 stay legible as ``\\xff``: two serial numbers must not become one."""
    decoded = value.decode("utf-8", "backslashreplace") if isinstance(value, bytes) else value
    return printable(decoded.strip(" \t\r\n\0"))


def _counts(text: str) -> bool:
    """Whether it is only counting: 0123456789 and its kind, with or without letters of hex after it."""
    digits = text.rstrip("abcdefABCDEF")
    return bool(_COUNTED.fullmatch(text)) and any(row.startswith(digits) for row in _COUNTING)


class Reading:
    """Reads texts of one machine, and keeps a sentence about each that was a placeholder or garbled."""

    def __init__(self) -> None:
        self._notes: dict[str, None] = {}

    @property
    def notes(self) -> tuple[str, ...]:
        """What is to be said, each sentence once, in order."""
        return tuple(self._notes)

    def note(self, sentence: str) -> None:
        """Keep a sentence."""
        self._notes[sentence] = None

    def text(self, what: str, value: bytes | str | None) -> str | None:
        """A name as its maker wrote it; ``what`` says in words whose it is, for the sentence."""
        if value is None:
            return None
        shown = _decoded(value)
        plain = shown.strip(REPLACEMENT + " ")
        if not plain or plain.lower() in _ABSENT or set(plain) <= set(_SEPARATORS + "?*"):
            return None
        if _PLACEHOLDER.fullmatch(plain) or _counts(plain):
            self.note(f"{what} is a placeholder: {shown}")
            return None
        if isinstance(value, bytes) and not _is_utf8(value):
            self.note(f"{what} holds bytes that are no text: {shown}")
        elif REPLACEMENT in shown:
            self.note(f"{what} holds characters that cannot be shown: {shown}")
        return shown

    def serial(self, what: str, value: bytes | str | None) -> str | None:
        """A serial number or the like: as :meth:`text`, and ``None`` where it is one character repeated."""
        shown = self.text(what, value)
        if shown is None:
            return None
        if len({c for c in shown.lower().removeprefix("0x") if c not in _SEPARATORS}) <= 1:
            if shown != "0":
                self.note(f"{what} is a placeholder: {shown}")
            return None
        return shown

    def uuid(self, what: str, value: bytes | str | None) -> str | None:
        """A UUID in lower case; ``None`` where it is a known default, or almost all of one digit."""
        if value is None:
            return None
        shown = _decoded(value).lower()
        if not shown or shown in _ABSENT or set(shown) <= set(_SEPARATORS):
            return None
        if not _UUID.fullmatch(shown):
            self.note(f"{what} is no UUID: {shown}")
            return None
        digits = shown.replace("-", "")
        pairs = {digits[i : i + 2] for i in range(0, len(digits), 2)}
        if shown in _NO_UUIDS or len(pairs) == 1 or digits.strip("0") == "" or digits.strip("f") == "":
            self.note(f"{what} is a placeholder: {shown}")
            return None
        return shown


def _is_utf8(value: bytes) -> bool:
    try:
        value.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True
