"""The plan: a pure function of policy and drive, shown before anything happens, kept on the certificate."""

from __future__ import annotations

from enum import StrEnum

import msgspec
from msgspec.structs import replace

from rasura.certificate import Method, ReadBackExtent, Technique
from rasura_agent.erase.firmware.offer import Offer
from rasura_agent.erase.limits import Limits
from rasura_agent.erase.policy import SAMPLE_LIMIT_BYTES, PatternKind, Policy
from rasura_agent.erase.progress_record import (
    JOURNAL_PACE,
    Cut,
    JournalPace,
    ProgressRecord,
    Wanted,
    misfit,
)
from rasura_agent.erase.scheme import Pass, Scheme, scheme
from rasura_agent.guard import Refusal
from rasura_agent.inventory.model import Drive, Transport
from rasura_agent.sentence import Sentence

__all__ = [
    "DrivePlan",
    "Interrupted",
    "MediaType",
    "Way",
    "interrupted",
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


class Way(msgspec.Struct, frozen=True):
    """One technique for one drive, in or out.

    ``passes`` are those of an overwrite and of its ``scheme``, empty for a device command; the drive may
    zero itself in those of zeros where ``offload`` is set. ``estimate_s`` is seconds, by
    the drive's own word or by the media's usual rate; ``None`` where nobody can say. ``out`` says
    why it is not used; ``None`` means that it will be tried, in the plan's order.
    """

    technique: Technique
    method: Method
    basis: str
    passes: tuple[Pass, ...]
    estimate_s: float | None
    out: str | None = None
    scheme: str | None = None
    offload: bool = False
    every_pass: bool = False
    """Whether every pass is read back, not only the last and what the drive zeroed itself."""

    def is_read_back(self, number: int) -> bool:
        """Whether the pass of that number, from 0, is read back before the next one."""
        one = self.passes[number]
        return self.every_pass or number == len(self.passes) - 1 or (self.offload and one.is_zero)


class Interrupted(msgspec.Struct, frozen=True):
    """An overwrite that was ``cut`` off. It goes on, or ``misfit`` says why it is begun afresh.

    When it is opened for erasing, the drive itself is asked too whether it holds what was written.
    """

    cut: Cut
    misfit: str | None


class DrivePlan(msgspec.Struct, frozen=True):
    """What will be done to one drive: its ways in the order in which they are tried, those out listed too."""

    drive: Drive
    ways: tuple[Way, ...]
    no_commands: str | None = None
    """Why nothing is known of the drive's own commands; ``None`` when they are among the ways."""
    refusals: tuple[Refusal, ...] = ()
    unreachable: str | None = None
    """Why the method that the policy asks for cannot be reached (then nothing is done)."""
    hidden_allowed: bool = False
    """Whether the drive may be called erased although an area of it stays hidden."""
    read_back: ReadBackExtent = ReadBackExtent.FULL
    """How much of the drive is read back after overwriting."""
    sample_limit_bytes: int = SAMPLE_LIMIT_BYTES
    """How much is read before and after a device command; 0 is no limit."""
    policy_sha256: str = ""
    """Hex digest of the policy; an interrupted erasure goes on by the same one only."""
    journal_pace: JournalPace = JOURNAL_PACE
    interrupted: Interrupted | None = None
    """What an earlier boot left unfinished on this drive."""
    limits: Limits = msgspec.field(default_factory=Limits)

    @property
    def chosen(self) -> tuple[Way, ...]:
        """The ways that will be tried; the next one only where the drive refused the one before."""
        return tuple(way for way in self.ways if way.out is None)

    @property
    def overwriting(self) -> Way | None:
        """The overwrite among the ways that will be tried."""
        return next((way for way in self.chosen if way.technique is Technique.OVERWRITE), None)

    def overwrite_of(self, drive: Drive) -> Wanted | None:
        """The overwrite that would be done to ``drive``, this plan's own as it is by then."""
        way = self.overwriting
        if way is None:
            return None
        before = self.chosen[: self.chosen.index(way)]
        passes = tuple(one.label for one in way.passes)
        return Wanted(drive, passes, self.policy_sha256, tuple(one.technique for one in before))

    @property
    def runnable(self) -> bool:
        """Whether the drive may and can be erased."""
        return not self.refusals and self.unreachable is None


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


def plan_drive(
    drive: Drive,
    policy: Policy,
    refusals: tuple[Refusal, ...],
    offers: tuple[Offer, ...] = (),
    no_commands: str | None = None,
) -> DrivePlan:
    """What ``policy`` means for ``drive``, which offers the device commands ``offers``; total, never raises.

    The policy's technique, if it names one, is the only one. Otherwise Clear is done by overwriting,
    which reading back proves, and Purge by the drive's own commands, strongest first; weaker ways
    follow only where the policy allows them.
    """
    ways = tuple(_judge(way, policy) for way in (*map(_offered, offers), _overwriting(drive, policy)))
    unreachable = None
    if all(way.out is not None for way in ways):
        reasons = Sentence.of(dict.fromkeys(way.out for way in ways if way.out is not None))
        unreachable = (
            Sentence(
                "the policy asks for {method}, which is not to be had here: {reasons}",
                method=policy.method,
                reasons=reasons,
            )
            if policy.technique is None
            else Sentence(
                "the policy asks for {method} by {technique}, which is not to be had here: {reasons}",
                method=policy.method,
                technique=policy.technique,
                reasons=reasons,
            )
        )
    if not offers and no_commands is None:
        no_commands = _no_commands(drive)
    return DrivePlan(
        drive=drive,
        ways=ways,
        no_commands=no_commands if not offers else None,
        refusals=refusals,
        unreachable=unreachable,
        hidden_allowed=policy.allow_hidden,
        read_back=policy.read_back,
        sample_limit_bytes=policy.sample_limit_bytes,
        policy_sha256=policy.sha256,
        journal_pace=policy.journal_pace,
        limits=policy.limits,
    )


def interrupted(plan: DrivePlan, record: ProgressRecord) -> Interrupted:
    """What ``record`` means for ``plan``; total, never raises."""
    wanted = plan.overwrite_of(plan.drive)
    if wanted is None:
        return Interrupted(record.cut, Sentence("the plan does not overwrite"))
    return Interrupted(record.cut, misfit(record, wanted))


def _judge(way: Way, policy: Policy) -> Way:
    reason = way.out
    weaker = way.method.is_weaker_than(policy.method)
    if policy.technique is not None and way.technique is not policy.technique:
        reason = reason or Sentence("the policy asks for {technique}", technique=policy.technique)
    elif weaker and not policy.allow_weaker:
        reason = reason or Sentence(
            "{technique} reaches {method} only, and the policy allows nothing weaker",
            technique=way.technique,
            method=way.method,
        )
    elif (
        policy.technique is None
        and policy.method is Method.CLEAR
        and way.technique is not Technique.OVERWRITE
    ):
        reason = reason or Sentence(
            "the policy asks for Clear, which overwriting reaches and reading back proves"
        )
    return replace(way, out=reason)


def _offered(offer: Offer) -> Way:
    return Way(offer.technique, offer.method, offer.basis, (), offer.estimate_s, offer.obstacle)


def _overwriting(drive: Drive, policy: Policy) -> Way:
    medium = media_type(drive)
    chosen = scheme(policy.scheme) if policy.scheme is not None else _usual_scheme(policy.pattern, medium)
    way = Way(
        Technique.OVERWRITE,
        Method.CLEAR,
        chosen.basis,
        chosen.passes,
        None,
        scheme=chosen.name,
        offload=policy.offload and any(one.is_zero for one in chosen.passes),
        every_pass=policy.every_pass,
    )
    reads = sum(map(way.is_read_back, range(len(way.passes))))
    return replace(way, estimate_s=_estimate(drive, medium, len(way.passes) + reads))


def _no_commands(drive: Drive) -> str:
    if media_type(drive) is MediaType.VIRTUAL:
        return Sentence("this is no physical drive: it takes no device command")
    return Sentence("the drive's own commands were not asked for")


def _usual_scheme(pattern: PatternKind, medium: MediaType) -> Scheme:
    # NIST SP 800-88r1 table A-7: USB flash and memory cards take a pattern and its complement.
    # The complement comes first, so that the pattern asked for is what stays and is read back.
    kind = "flash" if medium is MediaType.FLASH else "nist-clear"
    return scheme(f"{kind}-{pattern}")


def _estimate(drive: Drive, medium: MediaType, times: int) -> float | None:
    rate = _USUAL_RATE_NVME if drive.transport is Transport.NVME else _USUAL_RATE.get(medium)
    return drive.capacity_bytes * times / rate if rate is not None else None


def residual_risks(drive: Drive, way: Way, *, direct: bool, examined: bool) -> tuple[str, ...]:
    """What this way of erasing cannot reach or prove, as sentences that begin with a code.

    ``examined``: the drive was asked for hidden areas, and what was found is said elsewhere.
    """
    medium = media_type(drive)
    risks = []
    by_overwriting = way.technique is Technique.OVERWRITE
    if medium is MediaType.VIRTUAL:
        risks.append("virtual: the medium is a file or a virtual disk; copies made below it are out of reach")
    elif by_overwriting:
        risks.append("remapped-sectors: sectors that the drive has retired cannot be overwritten")
    else:
        risks.append("drive's-word: beyond the spots that were read, the drive's own report is believed")
    if by_overwriting and medium in {MediaType.SSD, MediaType.FLASH, MediaType.UNKNOWN}:
        risks.append("over-provisioning: flash keeps spare blocks that overwriting does not address")
    if not examined and drive.transport in {Transport.ATA, Transport.SATA, Transport.USB, None}:
        risks.append("hidden-areas: HPA, AMA and DCO were not examined")
    if drive.transport is Transport.USB:
        risks.append("bridge: a USB bridge stands between; capacity and identity are its word")
    # What is read back decides: a last pass that is the same everywhere tells no place from another.
    constant = by_overwriting and way.passes[-1].unit is not None
    if constant and medium in {MediaType.FLASH, MediaType.UNKNOWN}:
        risks.append(
            "capacity-not-proven: a constant pattern cannot show that every address is a place of its own"
        )
    if not direct:
        risks.append(
            "buffered: the path to the drive allowed no direct I/O, so the read-back may be the cache's"
        )
    return tuple(risks)
