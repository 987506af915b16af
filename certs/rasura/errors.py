"""The errors of all three packages, and the exit codes they end in.

::

    RasuraError                 one clear sentence, and what to do next
    ├── UsageError              the call or a file it names is wrong           (exit 2)
    ├── RefusedError            we will not do it, or not accept it            (exit 3)
    ├── UnknownOutcomeError     nobody can say whether it happened             (exit 4)
    └── …                       everything else is a job that failed           (exit 1)

Nothing else may leave a public function on bad input: a leaked ``ValueError`` is a bug.
"""

from __future__ import annotations

from enum import IntEnum

__all__ = ["ExitCode", "RasuraError", "RefusedError", "UnknownOutcomeError", "UsageError"]


class ExitCode(IntEnum):
    """How every Rasura command ends."""

    DONE = 0
    FAILED = 1
    USAGE = 2
    REFUSED = 3
    UNKNOWN = 4
    CONTRADICTED = 5
    """A log signed two things of which one is false (``rasura monitor``)."""


class RasuraError(Exception):
    """The base of every error meant for a person.

    ``str(error)`` is one sentence; ``hint``, where there is one, says what to do next.
    """

    exit_code = ExitCode.FAILED

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.hint = hint


class UsageError(RasuraError):
    """The call, or a file it names, is not what it must be."""

    exit_code = ExitCode.USAGE


class RefusedError(RasuraError):
    """The request is understood and will not be carried out or accepted."""

    exit_code = ExitCode.REFUSED


class UnknownOutcomeError(RasuraError):
    """Whether it happened cannot be told; it must never be taken for a success."""

    exit_code = ExitCode.UNKNOWN
