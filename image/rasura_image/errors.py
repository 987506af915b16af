"""What can go wrong when images are built, written or served."""

from __future__ import annotations

from rasura.errors import ExitCode, RasuraError

__all__ = ["BuildError", "HostError"]


class BuildError(RasuraError):
    """The image could not be built; nothing of an older image was changed."""


class HostError(RasuraError):
    """This computer lacks something that the work needs."""

    exit_code = ExitCode.USAGE
