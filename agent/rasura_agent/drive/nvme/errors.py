"""The one error of the NVMe decoders."""

from __future__ import annotations

from rasura.errors import RasuraError

__all__ = ["NvmeDecodeError"]


class NvmeDecodeError(RasuraError):
    """The bytes cannot be what an NVMe controller answers; nothing may be concluded from them."""
