"""The machine report: the claims an agent signs about one machine, beside a certificate for each drive.

It lists *every* drive of the machine with how its way ended, those that were left alone and those hidden
behind a RAID controller too, and names the certificate of each by id and hash. So whoever has the report
knows which certificates there must be, and that none is for another drive.
"""

# No annotations as text here: msgspec would have to compile each of them, at every start.
from enum import StrEnum
from typing import Any, ClassVar

from rasura.certificate import Checkpointed, Clock, Method, Outcome, Source, Station, Technique, Tool
from rasura.claims import Claims, Count, Figure, SignedClaims, prepare
from rasura.health import HealthClaims
from rasura.identity import identity_digest

__all__ = [
    "FORMAT_MAJOR",
    "FORMAT_VERSION",
    "PREDICATE_TYPE",
    "Answer",
    "BatteryClass",
    "CertificateName",
    "MachineReport",
    "Override",
    "ProposalClaims",
    "ReportedBattery",
    "ReportedDrive",
    "ReportedTest",
    "Route",
]

PREDICATE_TYPE = "urn:rasura:machine-report:v1"
FORMAT_MAJOR = 1
FORMAT_VERSION = "1.0"
"""Major: refuse what is unknown. Minor: fields may be added; readers keep and show them."""


class Route(StrEnum):
    """What is proposed for the machine."""

    REUSE = "reuse"
    PARTS = "parts"
    RECYCLE = "recycle"


class Answer(StrEnum):
    """Yes, no, or nobody knows."""

    YES = "yes"
    NO = "no"
    UNKNOWN = "unknown"


class BatteryClass(StrEnum):
    """What a battery is still good for."""

    SALE = "sale"
    DONATION = "donation"
    REPLACE = "replace"
    UNKNOWN = "unknown"


class CertificateName(Claims, frozen=True):
    """A drive's certificate: its UUID, and the SHA-256 of its signed payload."""

    id: str
    payload_sha256: str
    station: str | None
    """Who signed it, where that is not the station of the report: an earlier process of the same boot."""


class ReportedTest(Claims, frozen=True):
    """A self-test that was run on a drive, and how it ended."""

    kind: str
    result: str
    """``passed``, ``failed``, ``aborted`` or ``unknown``."""
    sentence: str
    finished_at: str
    duration_ms: Count


class ReportedDrive(Claims, frozen=True):
    """One drive of the machine and how its way ended; ``None`` where nobody knows, as behind a controller."""

    manufacturer: str | None
    model: str | None
    serial: str | None
    media_type: str | None
    transport: str | None
    capacity_bytes: Figure | None
    block_device: str
    identity_sha256: str | None
    """The subject digest of its certificate."""
    place: str | None
    """The slot or bay it sits in, in words."""
    is_station_medium: bool
    """It is the stick or disc that the station itself was started from or keeps certificates on."""
    outcome: Outcome
    reason: str | None
    method: Method | None
    technique: Technique | None
    certificate: CertificateName | None
    health: HealthClaims | None
    """The latest that was read."""
    self_tests: tuple[ReportedTest, ...]


class ReportedBattery(Claims, frozen=True):
    """A battery and its class."""

    name: str
    health_percent: Figure | None
    battery_class: BatteryClass


class Override(Claims, frozen=True):
    """A person's decision in place of the proposal's."""

    route: Route
    by: str
    why: str


class ProposalClaims(Claims, frozen=True):
    """What becomes of the machine, as far as its facts go; a person decides."""

    route: Route
    reasons: tuple[str, ...]
    windows_11: Answer
    windows_11_reasons: tuple[str, ...]
    batteries: tuple[ReportedBattery, ...]
    override: Override | None


class MachineReport(SignedClaims, frozen=True):
    """All claims about one machine."""

    predicate_type: ClassVar[str] = PREDICATE_TYPE
    format_major: ClassVar[int] = FORMAT_MAJOR
    what: ClassVar[str] = "a machine report"

    id: str
    tool: Tool
    source: Source
    location: str | None
    inventory: dict[str, Any] | None
    """The machine as the agent's inventory exports it, ``None`` where it was not taken."""
    drives: tuple[ReportedDrive, ...]
    proposal: ProposalClaims | None
    notes: tuple[str, ...]
    """What could not be looked at, in sentences."""
    started_at: str
    finished_at: str
    clock: Clock
    not_before: Checkpointed | None
    station: Station
    supersedes: str | None

    @property
    def outcome(self) -> Outcome:
        """How the machine as a whole came off: ERASED only if each of its drives was; else the worst.

        The station's own medium is no drive of the machine.
        """
        outcomes = {drive.outcome for drive in self.drives if not drive.is_station_medium}
        for worst in (Outcome.UNKNOWN, Outcome.FAILED, Outcome.UNHANDLED, Outcome.REFUSED, Outcome.SKIPPED):
            if worst in outcomes:
                return worst
        return Outcome.ERASED if outcomes else Outcome.SKIPPED

    def subject_digest(self) -> str:
        """Hex SHA-256 of who the machine says it is; of nothing, for one that does not say."""
        source = self.source
        named = (
            ("manufacturer", source.host_manufacturer),
            ("model", source.host_model),
            ("serial", source.host_serial),
            ("uuid", source.host_uuid),
        )
        return identity_digest((name, value.encode()) for name, value in named if value is not None)

    def subject_name(self) -> str:
        """The machine's serial number, or what else tells it apart."""
        return "machine:" + (self.source.host_serial or self.source.host_uuid or self.station.name)


prepare(MachineReport)
