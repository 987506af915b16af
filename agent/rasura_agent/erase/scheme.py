"""Overwriting schemes: which passes, in which order, by which standard: ``schemes.toml``."""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Callable, Iterable
from functools import lru_cache
from importlib import resources

import msgspec

from rasura.errors import UsageError
from rasura_agent.drive.keystream import KEY_BYTES
from rasura_agent.erase.pattern import UNIT_BYTES_MAX, Constant, Pattern, RandomStream

__all__ = ["Pass", "Scheme", "SchemeError", "parse_pass", "patterns", "scheme", "schemes"]


class SchemeError(UsageError):
    """There is no such scheme, or no such pass."""


class Pass(msgspec.Struct, frozen=True):
    """One pass of an overwrite: the bytes that it repeats, or ``None`` for a random stream."""

    unit: bytes | None
    inverted: bool = False
    """A random stream's complement; a constant is inverted by its bytes."""

    @property
    def label(self) -> str:
        """Its name on plan and certificate; the pattern that is written has the same."""
        if self.unit is not None:
            return Constant(self.unit).label
        return "random, inverted" if self.inverted else "random"

    @property
    def is_zero(self) -> bool:
        """Whether it leaves zeros."""
        return self.unit is not None and not any(self.unit)


ZERO, ONE, RANDOM, RANDOM_INVERTED = Pass(b"\x00"), Pass(b"\xff"), Pass(None), Pass(None, inverted=True)


class Scheme(msgspec.Struct, frozen=True):
    """A row of the table; ``basis`` is what its claim of Clear rests on. None of them reaches Purge."""

    name: str
    title: str
    standard: str
    basis: str
    passes: tuple[Pass, ...]


@lru_cache(maxsize=1)
def schemes() -> dict[str, Scheme]:
    """Every scheme by its name, in the table's order."""
    text = (resources.files("rasura_agent.erase") / "schemes.toml").read_text("utf-8")
    return {
        name: Scheme(name, row["title"], row["standard"], row["basis"], tuple(map(parse_pass, row["passes"])))
        for name, row in tomllib.loads(text).items()
    }


def scheme(name: str) -> Scheme:
    """The scheme of that name; raises :class:`SchemeError`."""
    found = schemes().get(name)
    if found is None:
        near = difflib.get_close_matches(name, schemes(), n=1)
        raise SchemeError(
            f"there is no overwriting scheme {name!r}",
            hint=f"did you mean {near[0]!r}?" if near else f"there are {', '.join(schemes())}",
        )
    return found


def parse_pass(text: str) -> Pass:
    """Read a pass as the table writes it; raises :class:`SchemeError`."""
    complement = text.startswith("~")
    word = text.removeprefix("~")
    named = {"zero": ZERO, "one": ONE, "random": RANDOM}.get(word)
    if named is None:
        try:
            unit = bytes(
                int(part.removeprefix("0x"), 16) for part in word.split(" ") if part.startswith("0x")
            )
        except ValueError:
            unit = b""
        if not 0 < len(unit) <= UNIT_BYTES_MAX or " ".join(f"0x{byte:02x}" for byte in unit) != word.lower():
            raise SchemeError(
                f"there is no pass {text!r}",
                hint='a pass is "zero", "one", "random", bytes such as "0x92 0x49", or "~" and one of them',
            )
        named = Pass(unit)
    if not complement:
        return named
    if named.unit is None:
        return RANDOM_INVERTED
    return Pass(bytes(byte ^ 0xFF for byte in named.unit))


def patterns(passes: Iterable[Pass], new_key: Callable[[int], bytes]) -> list[Pattern]:
    """What the passes write; every random pass gets a key of its own, a pass and its complement share one."""
    made: list[Pattern] = []
    key, used = b"", {False, True}
    for one in passes:
        if one.unit is not None:
            made.append(Constant(one.unit))
            continue
        # The complement beside a random pass, before or after it, is what makes them complements.
        if one.inverted in used or not isinstance(made[-1] if made else None, RandomStream):
            key, used = new_key(KEY_BYTES), set()
        used.add(one.inverted)
        made.append(RandomStream(key, inverted=one.inverted))
    return made
