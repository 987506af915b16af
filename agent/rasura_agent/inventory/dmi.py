"""The structures of the SMBIOS table as dmidecode prints them; pure.

jc's parser does the reading, one structure at a time, so that a garbled one takes no other along. Before
that, what old dmidecodes (2.2 to 2.6) and ports to other systems print is brought into today's shape.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from itertools import pairwise

import jc.parsers.dmidecode
import msgspec

__all__ = ["Structure", "number", "parse_dmidecode", "size_bytes"]

_HANDLE = re.compile(r"^[ \t]?Handle (0x[0-9A-Fa-f]+)", re.MULTILINE)
_HEADER = re.compile(r"^[ \t]?Handle 0x[0-9A-Fa-f]+,? +DMI type (\d{1,3}), (\d{1,5}) bytes\.?[ \t]*$")
_OLD_HEADER = re.compile(r"^[ \t]+DMI type (\d{1,3}), (\d{1,5}) bytes\.?[ \t]*$")
_NUMBER = re.compile(r"\s*(\d{1,15})\b")
_SIZE = re.compile(r"\s*(\d{1,9})\s*(bytes|kB|KB|MB|GB|TB)\b")
_UNITS = {"bytes": 1, "kB": 1 << 10, "KB": 1 << 10, "MB": 1 << 20, "GB": 1 << 30, "TB": 1 << 40}


class Structure(msgspec.Struct, frozen=True):
    """One structure (DSP0134 clause 6.1)."""

    handle: str
    type: int
    values: Mapping[str, str]
    """By dmidecode's name in lower case with ``_`` for spaces, such as ``serial_number``."""
    lists: Mapping[str, tuple[str, ...]]
    """What has a line an entry, such as ``characteristics``."""

    def get(self, name: str) -> str | None:
        """A value; ``None`` where there is none."""
        return self.values.get(name)


def parse_dmidecode(output: bytes, types: frozenset[int]) -> tuple[Structure, ...]:
    """The structures of these types in dmidecode's output, in its order; garbage has none. Never raises."""
    text = output.decode("utf-8", "replace").replace("\r\n", "\n")
    return tuple(found for block in _blocks(text) if (found := _structure(block, types)) is not None)


def number(value: str | None) -> int | None:
    """The number that a value begins with, such as 2400 of ``2400 MT/s``."""
    match = _NUMBER.match(value or "")
    return int(match[1]) if match else None


def size_bytes(value: str | None) -> int | None:
    """A size as dmidecode prints it, in units of 1024."""
    match = _SIZE.match(value or "")
    return int(match[1]) * _UNITS[match[2]] if match else None


def _blocks(text: str) -> Iterator[list[str]]:
    """The lines of each structure, header first."""
    starts = [match.start() for match in _HANDLE.finditer(text)]
    for begin, end in pairwise([*starts, len(text)]):
        lines = text[begin:end].split("\n")
        # An empty line ends a structure; what follows until the next is none of it.
        yield lines[: next((i for i, line in enumerate(lines) if not line.strip()), len(lines))]


def _structure(lines: list[str], types: frozenset[int]) -> Structure | None:
    handle, header = _HANDLE.match(lines[0]), _HEADER.match(lines[0])
    body = [_tabbed(line) for line in lines[1:]]
    if header is None and body:
        header, body = _OLD_HEADER.match(body[0]), [line.removeprefix("\t") for line in body[1:]]
    if handle is None or header is None or int(header[1]) not in types or not body:
        return None
    # The empty line at the end has jc keep a list that stands last.
    whole = ["", f"Handle {handle[1]}, DMI type {header[1]}, {header[2]} bytes", *body, "", ""]
    try:
        (told,) = jc.parsers.dmidecode.parse("\n".join(whole), quiet=True)  # type: ignore[no-untyped-call]
        values = told["values"] or {}
    except Exception:  # noqa: BLE001  jc trips over garbled lines in many ways; none of them concerns others
        return None
    return Structure(
        handle[1],
        int(header[1]),
        {key: value for key, value in values.items() if isinstance(value, str)},
        {key: tuple(map(str, value)) for key, value in values.items() if isinstance(value, list)},
    )


def _tabbed(line: str) -> str:
    """Indented by tabs, as jc wants it: some ports of dmidecode print four or eight spaces for each."""
    text = line.lstrip(" \t")
    before = line[: len(line) - len(text)]
    if "\t" in before or not before:
        return before.replace(" ", "") + text
    unit = 8 if len(before) % 8 == 0 else 4
    return "\t" * max(1, len(before) // unit) + text
