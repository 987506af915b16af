"""The one error of the TCG decoders."""

from __future__ import annotations

from rasura.errors import RasuraError

__all__ = ["TcgDecodeError"]


class TcgDecodeError(RasuraError):
    """The bytes cannot be what a TCG storage device answers; nothing may be concluded from them."""
