"""What a drive offers by its own word: a pure reading of its capabilities, before anything is sent."""

from __future__ import annotations

import msgspec

from rasura.certificate import Method, Technique

__all__ = ["Offer"]


class Offer(msgspec.Struct, frozen=True):
    """One technique for one drive.

    ``method`` is what it reaches on ``basis`` (a standard, with the medium it speaks of);
    ``estimate_s`` the drive's own estimate in seconds, ``None`` where it gives none; ``obstacle``
    a sentence that says why it cannot be used now, ``None`` if it can.
    """

    technique: Technique
    method: Method
    basis: str
    estimate_s: float | None
    obstacle: str | None = None
