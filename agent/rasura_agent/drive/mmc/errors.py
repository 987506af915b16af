"""The one error of the MMC decoders."""

from __future__ import annotations

from rasura.errors import RasuraError

__all__ = ["MmcDecodeError"]


class MmcDecodeError(RasuraError):
    """The bytes cannot be what an eMMC or SD device answers; nothing may be concluded from them."""
