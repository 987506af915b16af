"""What a guest's screen shows, as text: pictures of a text console, read with the font that it is drawn with.

For boot entries that have no serial console. Only what stands on the 8x16 grid of the console is read: what a
boot loader draws is not.
"""

from __future__ import annotations

import gzip
import re
import struct
import time
from pathlib import Path

from lab.machine import Machine

_HEIGHT = 16
_LIT = bytes(min(level, 1) for level in range(256))
"""Nothing is written in pure red or blue: green alone tells."""
# psf.h of kbd: two bytes of magic, mode, rows of a glyph; behind the glyphs a table of the letters they are.
_PSF1_MAGIC, _PSF1_TABLE = b"\x36\x04", 0x02
_END_OF_GLYPH, _SEQUENCE = 0xFFFF, 0xFFFE


class Screen:
    """Reads what ``machine`` shows; ``font`` is the image's own (PSF 1, gzip)."""

    def __init__(self, machine: Machine, font: Path) -> None:
        self._machine = machine
        self._letters = _letters(gzip.decompress(font.read_bytes()))
        self._picture = machine.folder / "screen.ppm"

    def text(self) -> str:
        """All lines, without spaces at their ends; a cell that is no letter of the font is a replacement."""
        width, height, pixels = self.picture()
        # The text mode of PC graphics is drawn with 9 pixels a letter, frame buffers with 8.
        cell = 9 if (width, height) == (720, 400) else 8
        lit = pixels[1::3].translate(_LIT)
        lines = []
        for top in range(0, height - _HEIGHT + 1, _HEIGHT):
            rows = [lit[(top + row) * width : (top + row + 1) * width] for row in range(_HEIGHT)]
            line = "".join(
                self._letters.get(tuple(row[left : left + 8] for row in rows), "\ufffd")
                for left in range(0, width - cell + 1, cell)
            )
            lines.append(line.rstrip())
        return "\n".join(lines)

    def picture(self) -> tuple[int, int, bytes]:
        """Width, height, and three bytes a pixel."""
        self._machine.qmp.execute("screendump", filename=str(self._picture))
        _magic, size, _most, pixels = self._picture.read_bytes().split(b"\n", 3)
        width, height = map(int, size.split())
        return width, height, pixels

    def expect(self, pattern: str, timeout_s: float) -> re.Match[str]:
        """Wait until the screen shows a match (regular expression, multi-line mode)."""
        deadline = time.monotonic() + timeout_s
        while True:
            shown = self.text()
            found = re.search(pattern, shown, re.MULTILINE)
            if found is not None:
                return found
            assert self._machine.running, f"the machine ended; it showed:\n{shown}"
            assert time.monotonic() < deadline, f"no {pattern!r} in {timeout_s:g} s; it shows:\n{shown}"
            time.sleep(0.5)


def _letters(font: bytes) -> dict[tuple[bytes, ...], str]:
    """By its 16 rows of 8 pixels, each 0 or 1: the first letter that a glyph stands for."""
    magic, mode, size = struct.unpack_from("<2sBB", font)
    assert (magic, size) == (_PSF1_MAGIC, _HEIGHT), "no PSF 1 font of 16 rows"
    assert mode & _PSF1_TABLE
    count = 512 if mode & 1 else 256
    words = [unit for (unit,) in struct.iter_unpack("<H", font[4 + count * size :])]
    letters, at = {}, 0
    for number in range(count):
        glyph = font[4 + number * size :][:size]
        end = words.index(_END_OF_GLYPH, at)
        meant = [word for word in words[at:end] if word != _SEQUENCE]
        at = end + 1
        rows = tuple(bytes((row >> (7 - bit)) & 1 for bit in range(8)) for row in glyph)
        # A hyphen and a soft hyphen look alike: the usual one is meant.
        if meant and min(meant) < ord(letters.get(rows, "\uffff")):
            letters[rows] = chr(min(meant))
    return letters
