"""How long SCSI erasures may take, at most and at least; pure."""

from __future__ import annotations

from rasura_agent.drive.scsi.opcodes import CommandSupport
from rasura_agent.erase.firmware.follow import Pace
from rasura_agent.erase.firmware.scsi_capabilities import SanitizeKind, ScsiCapabilities

__all__ = ["adopted_pace", "format_pace", "sanitize_estimate_s", "sanitize_pace", "too_fast"]

_MARGIN_S = 60 * 60.0
"""Added to what the drive itself reports."""
_SLOWEST_BYTES_PER_S = 30 * (1 << 20)
_SLOWEST_MARGIN_S = 30 * 60.0
_SHORTEST_DEADLINE_S = 4 * 60 * 60.0
"""Ours: no drive is given up before, however small it is and whatever it reports."""
_CAPACITY_IF_UNKNOWN = 32 * 10**12
"""Bytes; ours, for the deadline alone. A drive that stops advancing is noticed long before."""
_BLIND_LOOKS = 8

_FASTEST_ROTATING_BYTES_PER_S = 1e9
"""Ours: over three times what one actuator writes."""
_FASTEST_BYTES_PER_S = 16e9
"""Ours: over three times the line rate of SAS-4."""


def sanitize_estimate_s(capabilities: ScsiCapabilities, kind: SanitizeKind, passes: int = 1) -> float | None:
    """The drive's own idea of the duration, seconds: its command timeouts (SPC-5) for that service action.

    ``None`` without one, and for an overwrite whose timeout is shorter than writing can take: then
    the drive speaks of accepting the command.
    """
    reported = _reported_s(capabilities.sanitize(kind))
    if reported is None:
        return None
    estimate = float(reported * passes)
    if kind is SanitizeKind.OVERWRITE and too_fast(capabilities, estimate, passes):
        return None
    return estimate


def sanitize_pace(capabilities: ScsiCapabilities, kind: SanitizeKind, passes: int = 1) -> Pace:
    """How to follow a sanitize. Only overwriting is given time by capacity."""
    estimate = sanitize_estimate_s(capabilities, kind, passes)
    by_capacity = _by_capacity_s(capabilities, passes) if kind is SanitizeKind.OVERWRITE else 0.0
    return _pace(estimate, by_capacity)


def format_pace(capabilities: ScsiCapabilities) -> Pace:
    """How to follow a format."""
    reported = _reported_s(capabilities.format_unit)
    plausible = reported is not None and not too_fast(capabilities, reported)
    return _pace(
        float(reported) if reported is not None and plausible else None, _by_capacity_s(capabilities)
    )


def adopted_pace(capabilities: ScsiCapabilities) -> Pace:
    """How to follow an operation of which nothing is known but that it runs."""
    return _pace(None, _by_capacity_s(capabilities))


def too_fast(capabilities: ScsiCapabilities, seconds: float, passes: int = 1) -> bool:
    """Whether no drive of that kind can write all its blocks in that time; no if its size is unknown."""
    size = capabilities.total_bytes
    rate = _FASTEST_ROTATING_BYTES_PER_S if capabilities.rotational else _FASTEST_BYTES_PER_S
    return size is not None and seconds < size * passes / rate


def _reported_s(support: CommandSupport | None) -> int | None:
    if support is None or support.timeouts is None:
        return None
    return support.timeouts.recommended_s or support.timeouts.nominal_s


def _by_capacity_s(capabilities: ScsiCapabilities, passes: int = 1) -> float:
    size = capabilities.total_bytes or _CAPACITY_IF_UNKNOWN
    return size * passes / _SLOWEST_BYTES_PER_S + _SLOWEST_MARGIN_S


def _pace(estimate_s: float | None, by_capacity_s: float) -> Pace:
    reported = 0.0 if estimate_s is None else estimate_s + _MARGIN_S
    deadline = max(reported, by_capacity_s, _SHORTEST_DEADLINE_S)
    return Pace(estimate_s=estimate_s, deadline_s=deadline, blind_looks=_BLIND_LOOKS)
