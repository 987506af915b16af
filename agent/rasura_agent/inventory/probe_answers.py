"""The questions of ``DeviceProbe`` and their answers as they stand in a capture; pure."""

from __future__ import annotations

from typing import Any

import msgspec

__all__ = ["decode_answer", "encode_answer", "question"]


def question(method: str, path: str, number: tuple[int, int] | None = None) -> str:
    """Such as ``try_exclusive /dev/sda 8:0``."""
    return f"{method} {path}" + (f" {number[0]}:{number[1]}" if number is not None else "")


def encode_answer(answer: object) -> Any:
    """As JSON values."""
    return msgspec.to_builtins(answer)


def decode_answer(kind: Any, value: Any) -> Any:
    """An answer of ``kind`` from JSON values; raises ``msgspec.ValidationError``."""
    return msgspec.convert(value, kind)
