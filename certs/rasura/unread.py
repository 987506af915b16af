"""Members of a statement that this version does not know: kept, passed over, and named. Pure."""

from __future__ import annotations

from collections.abc import Iterator

__all__ = ["unread_members"]


def unread_members(written: object, read: object, place: str = "") -> Iterator[str]:
    """Where ``written`` (JSON values) has members that ``read``, the same as we understood it, lacks.

    Each is a path such as ``predicate.drive.colour``; in lists the position is a member's name.
    """
    if written == read:
        return
    if isinstance(written, dict) and isinstance(read, dict):
        for name, value in written.items():
            if name in read:
                yield from unread_members(value, read[name], f"{place}{name}.")
            else:
                yield f"{place}{name}"
    elif isinstance(written, list) and isinstance(read, list | tuple):
        for number, (one, other) in enumerate(zip(written, read, strict=True)):
            yield from unread_members(one, other, f"{place}{number}.")
