"""smartctl as a program: asked in bounded time, its exit status understood. Never raises."""

from __future__ import annotations

from enum import IntFlag

import msgspec

from rasura_agent.inventory.ports import CommandError, Commands

__all__ = ["Answer", "ExitStatus", "ask"]


class ExitStatus(IntFlag):
    """The exit status of smartctl (smartctl(8), EXIT STATUS)."""

    COMMAND_LINE = 1
    DEVICE_OPEN = 2
    """It could not be opened, did not identify itself, or sleeps."""
    COMMAND_FAILED = 4
    """Some command failed, or a checksum is wrong; there is data all the same."""
    DISK_FAILING = 8
    PREFAIL_AT_THRESHOLD = 16
    PAST_THRESHOLD = 32
    ERROR_LOG = 64
    SELF_TEST_LOG = 128

    @property
    def is_without_data(self) -> bool:
        """Whether the drive was not even asked."""
        return bool(self & (ExitStatus.COMMAND_LINE | ExitStatus.DEVICE_OPEN))

    @property
    def has_failed(self) -> bool:
        """Whether smartctl could not do what it was told; the other bits speak of the drive."""
        return bool(self & (ExitStatus.COMMAND_LINE | ExitStatus.DEVICE_OPEN | ExitStatus.COMMAND_FAILED))


class Answer(msgspec.Struct, frozen=True):
    """What smartctl printed and how it ended; or ``problem``, a sentence why it did not end by itself."""

    status: ExitStatus
    output: bytes
    problem: str | None = None


def ask(commands: Commands, arguments: tuple[str, ...], limit_s: float) -> Answer:
    """Run smartctl. A status that is not 0 is a bitmask, and no reason to throw its output away."""
    try:
        ran = commands.run(("smartctl", *arguments), limit_s)
    except CommandError as error:
        return Answer(ExitStatus(0), b"", str(error))
    if not 0 <= ran.status <= 255:
        return Answer(ExitStatus(0), b"", f"smartctl was ended by signal {abs(ran.status)}")
    return Answer(ExitStatus(ran.status), ran.stdout)
