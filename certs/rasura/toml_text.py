"""TOML that somebody wrote or handed over: what is none ends in one sentence. Pure."""

from __future__ import annotations

import tomllib
from typing import Any

from rasura.errors import RasuraError

__all__ = ["is_of_version", "toml_table"]


def toml_table(text: str, what: str, error: type[RasuraError]) -> dict[str, Any]:
    """The table that ``text`` is; raises ``error``, naming ``what``.

    The standard library's reader raises more than its own error: ``ValueError`` on an integer of 5,000
    digits, ``RecursionError`` on deep nesting.
    """
    try:
        return tomllib.loads(text)
    except RecursionError:
        raise error(f"{what} is not TOML that anybody wrote: it is nested too deeply") from None
    except ValueError as problem:
        raise error(f"{what} is not TOML: {str(problem)[:200]}") from None


def is_of_version(document: dict[str, Any], version: int) -> bool:
    """Whether ``document`` says so, by that integer: ``true`` and ``1.0`` are equal to 1, and are not it."""
    said = document.get("version")
    return type(said) is int and said == version
