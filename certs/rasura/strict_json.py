"""JSON as strictly as a signature deserves: no duplicate keys, no NaN, no surprises in size or depth.

Two parsers that read one document differently are an attack; so what is ambiguous is refused.
"""

from __future__ import annotations

import json
from typing import Any, NoReturn, TypeVar

import msgspec

from rasura.errors import RasuraError

__all__ = ["MAX_BYTES", "MAX_DEPTH", "MAX_SAFE_INTEGER", "JsonError", "as_written", "dumps", "loads"]

MAX_BYTES = 1 << 20
"""No document of ours comes near 1 MiB."""

MAX_DEPTH = 32
MAX_SAFE_INTEGER = 2**53 - 1
"""Above this, other languages' readers round (RFC 8259 clause 6)."""


_LONG_INTEGER_LIKE = bytes.maketrans(b"123456789[,-", b"0" * 9 + b":::")
_LONG_INTEGER = b":" + b"0" * 16
"""What every integer of 16 digits looks like then, as 2^53 has; no spaces stand before it in what
:func:`dumps` writes. Some texts look like it too, and those are looked at closely."""

_SORTED = msgspec.json.Encoder(order="sorted")
_ANYTHING = msgspec.json.Decoder()
_T = TypeVar("_T")


class JsonError(RasuraError):
    """The bytes are not the JSON document they should be."""


def loads(raw: bytes, *, what: str = "the document") -> dict[str, Any]:
    """Parse one JSON object; ``what`` names it in the error sentence.

    Raises:
        JsonError: too large or deep, not UTF-8, not JSON, not an object, a key given twice,
            NaN or infinity, an integer beyond 2^53.
    """
    if len(raw) > MAX_BYTES:
        raise JsonError(f"{what} has {len(raw)} bytes, more than {MAX_BYTES}")
    ours = _as_we_write_it(raw)
    if ours is not None:
        return ours

    def no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) != len(pairs):
            keys = [key for key, _ in pairs]
            twice = next(key for key in keys if keys.count(key) > 1)
            raise JsonError(f"{what} gives the key {twice!r} twice")
        return found

    def no_constant(name: str) -> NoReturn:
        raise JsonError(f"{what} contains {name}, which is not JSON")

    def safe_integer(text: str) -> int:
        if len(text) > len(str(MAX_SAFE_INTEGER)) + 1 or abs(int(text)) > MAX_SAFE_INTEGER:
            raise JsonError(f"{what} contains the integer {text[:24]}, beyond 2^53")
        return int(text)

    def finite_float(text: str) -> float:
        value = float(text)
        if value in (float("inf"), float("-inf")):
            raise JsonError(f"{what} contains the number {text[:24]}, too large")
        return value

    try:
        value = json.loads(
            raw.decode("utf-8"),
            object_pairs_hook=no_duplicates,
            parse_constant=no_constant,
            parse_int=safe_integer,
            parse_float=finite_float,
        )
    except UnicodeDecodeError as error:
        raise JsonError(f"{what} is not UTF-8 (byte {error.start})") from None
    except json.JSONDecodeError as error:
        raise JsonError(f"{what} is not JSON: {error.msg} at character {error.pos}") from None
    except RecursionError:
        raise JsonError(f"{what} is nested too deeply") from None
    if not isinstance(value, dict):
        raise JsonError(f"{what} is not a JSON object")
    if _depth_exceeds(value, MAX_DEPTH):
        raise JsonError(f"{what} is nested more than {MAX_DEPTH} levels deep")
    if _has_lone_surrogate(raw):
        raise JsonError(f"{what} contains half of a surrogate pair")
    return value


def as_written(raw: bytes, decoder: msgspec.json.Decoder[_T], *, bounded: bool = False) -> _T | None:
    """The value, if ``raw`` is its one encoding with sorted keys and no spaces; else ``None``: look closely.

    A document that is exactly what encoding its value gives holds no key twice, no NaN, and nothing else that
    another reader would take differently. That is several times faster to find out than looking at each part.
    Where ``decoder`` reads a type, the document also holds no member that the type lacks. How deep it is
    nested is not looked at: a type that is not recursive says it. ``bounded``: it has no integer beyond 2^53.
    """
    if len(raw) > MAX_BYTES or (not bounded and _LONG_INTEGER in raw.translate(_LONG_INTEGER_LIKE)):
        return None
    try:
        value = decoder.decode(raw)
        return value if _SORTED.encode(value) == raw else None
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return None


def _as_we_write_it(raw: bytes) -> dict[str, Any] | None:
    value = as_written(raw, _ANYTHING)
    return value if type(value) is dict and not _depth_exceeds(value, MAX_DEPTH) else None


def _has_lone_surrogate(raw: bytes) -> bool:
    if b"\\u" not in raw:
        return False
    try:
        json.dumps(json.loads(raw), ensure_ascii=False).encode("utf-8")
    except UnicodeEncodeError:
        return True
    return False


def _depth_exceeds(value: object, limit: int) -> bool:
    level: list[Any] = [value]
    for _ in range(limit):
        below: list[Any] = []
        for item in level:
            below.extend(item.values() if type(item) is dict else item)
        level = [item for item in below if type(item) is dict or type(item) is list]
        if not level:
            return False
    return True


def dumps(value: object) -> bytes:
    """UTF-8 JSON, sorted keys, no spaces: the same value always gives the same bytes."""
    return json.dumps(
        value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    ).encode()
