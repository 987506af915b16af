"""The plan: a pure function of policy and drive, shown before anything happens, kept on the certificate."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from rasura.certificate import Method, Technique
from rasura_agent.erase.policy import PatternKind, Policy
from rasura_agent.guard import Refusal
from rasura_agent.inventory.model import Drive, Transport

__all__ = [
    "DrivePlan",
    "MediaType",
    "PassKind",
    "PassedOverTechnique",
    "media_type",
    "plan_drive",
    "residual_risks",
]


class MediaType(StrEnum):
    """What the data lies on, as far as the kernel's word goes."""

    HDD = "hdd"
    SSD = "ssd"
    FLASH = "flash"
    """USB flash and memory cards: no wear-levelling guarantees, often no identity."""
    VIRTUAL = "virtual"
    UNKNOWN = "unknown"


class PassKind(StrEnum):
    """One pass of an overwrite."""

    ZERO = "zero"
    ONE = "one"
    RANDOM = "random"
    RANDOM_INVERTED = "random, inverted"


@dataclass(frozen=True, slots=True)
class PassedOverTechnique:
    """A technique that will not be used, the method it would reach, and why not."""

    technique: str
    method: Method
    reason: str


@dataclass(frozen=True, slots=True)
class DrivePlan:
    """What will be done to one drive; with a ``refusal`` nothing will.

    ``estimate_s`` is seconds for writing and reading back, by the media's usual rate; ``None``
    where there is no usual rate.
    """

    drive: Drive
    technique: Technique
    method: Method
    basis: str
    passes: tuple[PassKind, ...]
    estimate_s: float | None
    passed_over: tuple[PassedOverTechnique, ...]
    refusals: tuple[Refusal, ...] = ()
    unreachable: str | None = None
    """Why the method that the policy asks for cannot be reached (then nothing is done)."""

    @property
    def runnable(self) -> bool:
        """Whether the drive may and can be erased."""
        return not self.refusals and self.unreachable is None


_BASIS = "NIST SP 800-88r2 Clear"
_BASIS_FLASH = "NIST SP 800-88r1 A-1, two passes on flash"

# Bytes a second, what such media commonly sustain; an estimate for people, never a deadline.
_USUAL_RATE = {
    MediaType.HDD: 150e6,
    MediaType.SSD: 400e6,
    MediaType.FLASH: 25e6,
}
_USUAL_RATE_NVME = 1200e6


def media_type(drive: Drive) -> MediaType:
    """Classify the medium from transport and rotation; what is not known stays unknown."""
    match drive:
        case Drive(transport=Transport.FILE | Transport.LOOP | Transport.VIRTIO):
            return MediaType.VIRTUAL
        case Drive(rotational=True):
            return MediaType.HDD
        case Drive(transport=Transport.USB | Transport.MMC):
            # Behind USB a stick and an SSD look alike; the stricter treatment is the safe one.
            return MediaType.FLASH
        case Drive(rotational=False) | Drive(transport=Transport.NVME):
            return MediaType.SSD
        case _:
            return MediaType.UNKNOWN


def plan_drive(drive: Drive, policy: Policy, refusals: tuple[Refusal, ...]) -> DrivePlan:
    """What ``policy`` means for ``drive``; total, never raises."""
    medium = media_type(drive)
    passes = _passes(policy.pattern, medium)
    unreachable = None
    if policy.method is not Method.CLEAR and not policy.allow_weaker:
        unreachable = (
            f"the policy asks for {policy.method} and allows nothing weaker; overwriting reaches Clear"
        )
    return DrivePlan(
        drive=drive,
        technique=Technique.OVERWRITE,
        method=Method.CLEAR,
        basis=_BASIS_FLASH if len(passes) > 1 else _BASIS,
        passes=passes,
        estimate_s=_estimate(drive, medium, len(passes)),
        passed_over=_passed_over(drive),
        refusals=refusals,
        unreachable=unreachable,
    )


def _passes(pattern: PatternKind, medium: MediaType) -> tuple[PassKind, ...]:
    # NIST SP 800-88r1 table A-7: USB flash and memory cards take a pattern and its complement.
    # The complement comes first, so that the pattern asked for is what stays and is read back.
    if pattern is PatternKind.ZERO:
        return (PassKind.ONE, PassKind.ZERO) if medium is MediaType.FLASH else (PassKind.ZERO,)
    if medium is MediaType.FLASH:
        return (PassKind.RANDOM_INVERTED, PassKind.RANDOM)
    return (PassKind.RANDOM,)


def _estimate(drive: Drive, medium: MediaType, passes: int) -> float | None:
    rate = _USUAL_RATE_NVME if drive.transport is Transport.NVME else _USUAL_RATE.get(medium)
    return drive.capacity_bytes * (passes + 1) / rate if rate is not None else None


def _passed_over(drive: Drive) -> tuple[PassedOverTechnique, ...]:
    if drive.transport in {Transport.FILE, Transport.LOOP, Transport.VIRTIO}:
        return (
            PassedOverTechnique(
                "sanitize", Method.PURGE, "this is no physical drive: it takes no device command"
            ),
        )
    return (
        PassedOverTechnique(
            "sanitize", Method.PURGE, "this version of the agent does not use the drive's own commands"
        ),
    )


def residual_risks(drive: Drive, plan: DrivePlan, *, direct: bool) -> tuple[str, ...]:
    """What an overwrite of this drive cannot reach or prove, as sentences that begin with a code."""
    medium = media_type(drive)
    risks = []
    if medium is MediaType.VIRTUAL:
        risks.append("virtual: the medium is a file or a virtual disk; copies made below it are out of reach")
    else:
        risks.append("remapped-sectors: sectors that the drive has retired cannot be overwritten")
    if medium in {MediaType.SSD, MediaType.FLASH, MediaType.UNKNOWN}:
        risks.append("over-provisioning: flash keeps spare blocks that overwriting does not address")
    if drive.transport in {Transport.ATA, Transport.SATA, Transport.USB, None}:
        risks.append("hidden-areas: HPA, AMA and DCO were not examined")
    if drive.transport is Transport.USB:
        risks.append("bridge: a USB bridge stands between; capacity and identity are its word")
    if medium in {MediaType.FLASH, MediaType.UNKNOWN} and PassKind.RANDOM not in plan.passes:
        risks.append(
            "capacity-not-proven: a constant pattern cannot show that every address is a place of its own"
        )
    if not direct:
        risks.append(
            "buffered: the path to the drive allowed no direct I/O, so the read-back may be the cache's"
        )
    return tuple(risks)
