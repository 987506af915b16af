"""Replacing what tells one machine from its sisters in a capture: serial numbers, addresses, UUIDs; pure.

Every number is replaced by another of the same length and kind, the same one wherever it occurs: in files,
names of files, udev's properties, outputs of programs, and in the drives' own pages, where it stands swapped,
padded or in hex. Makers' parts of addresses stay, as do model names: what a machine is must not change.
"""

from __future__ import annotations

import functools
import hashlib
import re
import secrets
import string
from collections.abc import Callable, Iterator, Mapping, Sequence

from msgspec.structs import replace

from rasura_agent.inventory.capture import Capture, Failure
from rasura_agent.inventory.edid import BLOCK_BYTES
from rasura_agent.inventory.firmware_text import Reading
from rasura_agent.inventory.machine_model import Machine
from rasura_agent.inventory.model import Drive
from rasura_agent.inventory.ports import Ran
from rasura_agent.inventory.text import printable, udev_decoded

__all__ = ["anonymised"]

_SHORTEST = 4
"""A number of fewer characters is in too many other places to be replaced everywhere."""
_SERIAL_KEYS = re.compile(r"(?:^|_)SERIAL(?:_SHORT)?$|^ID_USB_SERIAL")
_SERIAL_FILES = re.compile(
    r"/(?:serial|serial_number|(?:product|board|chassis)_serial|(?:chassis|board)_asset_tag)$"
)
_PRINTED_SERIALS = (
    # dmidecode and smartctl
    re.compile(rb"^\s*(?:SBDS )?(?:Serial [Nn]umber|Asset Tag): *(\S.*?) *$", re.MULTILINE),
    re.compile(rb'"serial_number": *"([^"\\]+)"'),
)
_SMART_NAMES = (
    # Of World Wide Names and EUI-64, what follows the maker's number: in smartctl's JSON, and in its text
    (re.compile(rb'("wwn": *\{"naa": *\d+, *"oui": *\d+, *"id": *)(\d+)'), 10, 9),
    (re.compile(rb'("eui64": *\{"oui": *\d+, *"ext_id": *)(\d+)'), 10, 10),
    (re.compile(rb"(LU WWN Device Id: *\d [0-9a-f]{6} )([0-9a-f]{9})\b"), 16, 9),
    (re.compile(rb"(IEEE EUI-64: *[0-9a-f]{6} )([0-9a-f]{10})\b"), 16, 10),
)
"""What is found, the base of its digits, and how many hexadecimal ones tell one thing from its sisters."""

_FIXED_UUIDS = re.compile(rb"8be4df61-93ca-11d2-aa0d-00e098032b8c", re.IGNORECASE)
"""Names in the UEFI specification, the same on every machine."""
_KINDS = rb"""
    (?P<mac>\b(?:[0-9A-Fa-f]{2}[:-]){5}[0-9A-Fa-f]{2}\b)
    |(?P<macname>\b(?:enx|wlx)[0-9a-f]{12}\b)
    |(?P<uuid>\b[0-9A-Fa-f]{8}-(?:[0-9A-Fa-f]{4}-){3}[0-9A-Fa-f]{12}\b)
    |(?P<naa>(?<![0-9A-Fa-f])(?:0x|naa\.|NAA\.)?[56][0-9A-Fa-f]{15}(?![0-9A-Fa-f]))
    |(?P<eui>eui\.[0-9a-f]{16}(?![0-9a-f]))
"""
_NEW_DIGITS = {"mac": 6, "macname": 6, "uuid": 32, "naa": 9, "eui": 10}
"""How many digits at the end tell one thing from its sisters; those before are the maker's."""
_LONG_HEX = re.compile(r'"((?:[0-9a-f]{2}){512,})"')

_IDENTIFY_BYTES, _IDENTIFY_SIGNATURE = 512, 0xA5
"""ACS-4 clause 7.12.7.90: word 255 has a signature and a checksum."""
_VPD_IDENTIFY = 60
"""Where IDENTIFY DEVICE data begins in VPD page 89h (SAT-4 clause 12.4.2)."""


def anonymised(
    capture: Capture, machine: Machine, drives: Sequence[Drive], salt: str | None = None
) -> Capture:
    """A capture that plays back the same machine under other numbers, which ``salt`` decides."""
    names = {drive.wwn for drive in drives if drive.wwn is not None}
    cleaner = _Cleaner(_secrets(capture, machine, drives), names, salt or secrets.token_hex(16))
    return cleaner.capture(capture)


def _secrets(capture: Capture, machine: Machine, drives: Sequence[Drive]) -> set[str]:
    """The serial numbers and tags of this machine: those understood, and others that look alike."""
    parts: list[object] = [machine.system, machine.board, machine.chassis]
    for some in (machine.memory.modules, machine.displays, machine.batteries, machine.power_supplies):
        parts += some
    parts += [*machine.optical, *drives]
    told = {getattr(part, name, None) for part in parts for name in ("serial", "asset_tag")}
    names = {getattr(part, name, None) for part in parts for name in ("manufacturer", "model")}
    seen: set[str | None] = set()
    for properties in (*capture.numbers.values(), *capture.places.values()):
        seen |= {value for key, value in properties.items() if _SERIAL_KEYS.search(key)}
    for path, data in capture.reads.items():
        if _SERIAL_FILES.search(path) and isinstance(data, bytes):
            seen.add(printable(data.strip(b" \t\r\n\0")))
    for ran in capture.commands.values():
        if isinstance(ran, Ran):
            for pattern in _PRINTED_SERIALS:
                seen |= {match[1].decode("utf-8", "replace") for match in pattern.finditer(ran.stdout)}
    # Placeholders rarely have a digit, serial numbers nearly always.
    found = told | {one for one in seen if one is not None and any(c.isdigit() for c in one)}
    found |= {one.removeprefix("0x") for one in found if one is not None}
    return {one for one in found - names if one is not None and len(one) >= _SHORTEST and len(set(one)) > 1}


class _Cleaner:
    def __init__(self, numbers: set[str], names: set[str], salt: str) -> None:
        """``numbers`` are serial numbers and tags, ``names`` World Wide Names as the kernel writes them."""
        self._salt = salt
        others: dict[str, str] = {}
        for number in sorted(numbers, key=lambda one: (len(one), one)):
            others[number] = self._around(number, others)
        pairs: dict[bytes, bytes] = {}
        for number, other in reversed(others.items()):
            for make in _VARIANTS:
                for old, new in zip(make(number), make(other), strict=True):
                    pairs.setdefault(old, new)
        for name in sorted(names):
            pairs |= self._binary_name(name)
        self._pairs = pairs
        known = sorted((re.escape(one) for one in pairs), key=len, reverse=True)
        # In one pass, so that nothing is replaced twice.
        whole = b"(?P<known>" + b"|".join(known) + b")|" if known else b""
        self._pattern = re.compile(whole + re.sub(rb"\s", b"", _KINDS))

    def _other(self, number: str) -> str:
        """Another number: digits for digits, letters for letters (hex for hex), all else as it was."""
        if number.startswith("0x") and len(number) > 2:
            return "0x" + self._other(number[2:])
        is_hex = all(c in string.hexdigits for c in number if c.isalnum())
        stream = hashlib.shake_256(f"{self._salt}:{number}".encode()).digest(len(number))
        return "".join(map(_replaced, number, stream, [is_hex] * len(number)))

    def _around(self, number: str, others: Mapping[str, str]) -> str:
        """Another number in which the shorter numbers that are in it stand for theirs: Dell's boards bear the
        serial number of the system in their own.
        """
        made = self._other(number)
        for inner, other in others.items():
            at = number.find(inner) if len(inner) > _SHORTEST else -1
            if at >= 0:
                made = made[:at] + other + made[at + len(inner) :]
        return made

    def _binary_name(self, name: str) -> dict[bytes, bytes]:
        """A name as it stands in pages: its bytes, the same swapped in words, and both of these in hex."""
        digits = re.sub("[^0-9a-f]", "", name.partition(".")[2])
        kept = 7 if name.startswith("naa.") else 6
        if len(digits) < 16 or len(digits) % 4:
            return {}
        old, new = bytes.fromhex(digits), bytes.fromhex(digits[:kept] + self._other(digits[kept:]))
        pairs = [(old, new), (_pairs_swapped(old), _pairs_swapped(new))]
        return dict(pairs) | {one.hex().encode(): other.hex().encode() for one, other in pairs}

    def clean(self, data: bytes) -> bytes:
        """``data`` under other numbers, of the same length."""
        return self._pattern.sub(self._replace, data)

    def _replace(self, match: re.Match[bytes]) -> bytes:
        kind = match.lastgroup or ""
        if kind == "known":
            return self._pairs[match[0]]
        text = match[0].decode("ascii")
        if kind == "uuid" and (_FIXED_UUIDS.fullmatch(match[0]) or Reading().uuid("it", text) is None):
            return match[0]  # it tells nothing apart: a placeholder shall stay one
        # The same digits whatever stands between them and however they are written.
        digits = [at for at, c in enumerate(text) if c in string.hexdigits][-_NEW_DIGITS[kind] :]
        old = "".join(text[at] for at in digits).lower()
        if not old.strip("0"):
            return match[0]
        made = list(text)
        for at, digit in zip(digits, self._other(old), strict=True):
            made[at] = digit.upper() if text[at].isupper() or text == text.upper() else digit
        return "".join(made).encode("ascii")

    def text(self, text: str) -> str:
        """As :meth:`clean`."""
        return self.clean(text.encode("utf-8", "surrogatepass")).decode("utf-8", "surrogatepass")

    def file(self, path: str, data: bytes) -> bytes:
        """The content of a file; pages that carry a checksum get one that fits again."""
        cleaned = self.clean(data)
        if path.endswith("/edid") and len(data) >= BLOCK_BYTES:
            return self._edid(cleaned)
        if path.endswith("vpd_pg89") and len(data) >= _VPD_IDENTIFY + _IDENTIFY_BYTES:
            end = _VPD_IDENTIFY + _IDENTIFY_BYTES
            return data[:_VPD_IDENTIFY] + _summed(cleaned[_VPD_IDENTIFY:end]) + cleaned[end:]
        return cleaned

    def _edid(self, data: bytes) -> bytes:
        if sum(data[:BLOCK_BYTES]) % 256 == 0 and data[12:16] == bytes(4):
            return data
        number = hashlib.sha256(f"{self._salt}:{data[:BLOCK_BYTES].hex()}".encode()).digest()[:4]
        block = data[:12] + (number if any(data[12:16]) else bytes(4)) + data[16 : BLOCK_BYTES - 1]
        return block + bytes([-sum(block) % 256]) + data[BLOCK_BYTES:]

    def recordings(self, text: str) -> str:
        """Recorded commands: their bytes are in hex, which the variants of each number are too."""
        return _LONG_HEX.sub(_resummed, self.text(text))

    def answer(self, value: object) -> object:
        """JSON values."""
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, list):
            return [self.answer(one) for one in value]
        return {key: self.answer(one) for key, one in value.items()} if isinstance(value, dict) else value

    def _properties(self, database: Mapping[str, Mapping[str, str]]) -> dict[str, dict[str, str]]:
        return {
            self.text(key): {name: self.text(value) for name, value in properties.items()}
            for key, properties in database.items()
        }

    def _ran(self, ran: Ran | str) -> Ran | str:
        if isinstance(ran, str):
            return self.text(ran)
        return Ran(ran.status, self._smart_names(self.clean(ran.stdout)), self.clean(ran.stderr))

    def _smart_names(self, printed: bytes) -> bytes:
        """Names that smartctl takes apart, so that they are not seen as such; the same as elsewhere."""
        for pattern, base, digits in _SMART_NAMES:
            printed = pattern.sub(functools.partial(self._smart_name, base, digits), printed)
        return printed

    def _smart_name(self, base: int, digits: int, match: re.Match[bytes]) -> bytes:
        number = self._other(f"{int(match[2], base):0{digits}x}")
        return match[1] + (number if base == 16 else str(int(number, 16))).encode("ascii")

    def capture(self, one: Capture) -> Capture:
        """The whole of it."""
        return replace(
            one,
            anonymised=True,
            reads={
                self.text(path): data if isinstance(data, Failure) else self.file(path, data)
                for path, data in one.reads.items()
            },
            folders={
                self.text(path): names if isinstance(names, Failure) else tuple(sorted(map(self.text, names)))
                for path, names in one.folders.items()
            },
            links={
                self.text(path): real if isinstance(real, Failure) else self.text(real)
                for path, real in one.links.items()
            },
            numbers=self._properties(one.numbers),
            places=self._properties(one.places),
            commands={tuple(map(self.text, argv)): self._ran(ran) for argv, ran in one.commands.items()},
            probe={self.text(asked): self.answer(answer) for asked, answer in one.probe.items()},
            lines={
                path: replace(facts, cid=self.text(facts.cid) if facts.cid is not None else None)
                for path, facts in one.lines.items()
            },
            drives={name: self.recordings(text) for name, text in one.drives.items()},
        )


def _replaced(character: str, random: int, is_hex: bool) -> str:
    if character in string.digits:
        return string.digits[random % 10]
    if character in string.ascii_letters:
        letters = string.ascii_uppercase[: 6 if is_hex else 26]
        chosen = letters[random % len(letters)]
        return chosen if character.isupper() else chosen.lower()
    return character


def _plain(number: str) -> Iterator[bytes]:
    raw = udev_decoded(number) if "\\x" in number else number.encode()
    yield from (raw, number.encode(), number.encode().replace(b" ", b"_"))
    yield from (raw.lower(), raw.replace(b" ", b"\\x20"))


def _swapped(number: str) -> Iterator[bytes]:
    """As it stands in ATA words: pairs swapped, from an even or an odd place on, padded by a space."""
    raw = number.encode()
    for padded in (raw + b" " * (len(raw) % 2), b" " + raw + b" " * ((len(raw) + 1) % 2)):
        yield _pairs_swapped(padded)


def _pairs_swapped(data: bytes) -> bytes:
    return b"".join(data[i : i + 2][::-1] for i in range(0, len(data), 2))


def _in_hex(number: str) -> Iterator[bytes]:
    for form in (*_plain(number), *_swapped(number)):
        yield form.hex().encode()
        yield form.hex().upper().encode()


_VARIANTS: tuple[Callable[[str], Iterator[bytes]], ...] = (_plain, _swapped, _in_hex)


def _summed(page: bytes) -> bytes:
    """IDENTIFY DEVICE data with a checksum that fits, where it has one."""
    if len(page) != _IDENTIFY_BYTES or page[-2] != _IDENTIFY_SIGNATURE:
        return page
    return page[:-1] + bytes([-sum(page[:-1]) % 256])


def _resummed(match: re.Match[str]) -> str:
    data = bytes.fromhex(match[1])
    return f'"{_summed(data).hex()}"'
