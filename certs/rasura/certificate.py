"""The erasure certificate: the claims an agent signs about one drive.

It is an in-toto Statement v1 whose predicate holds every field that NIST SP 800-88 Rev. 2 §4.6
asks for, and ours.
"""

# No annotations as text here: msgspec would have to compile each of them, at every start.
import base64
import binascii
from enum import StrEnum
from typing import ClassVar

from rasura.claims import Claims, ClaimsError, Count, Figure, SignedClaims, prepare
from rasura.health import FigureChange, HealthClaims
from rasura.identity import identity_digest

__all__ = [
    "FORMAT_MAJOR",
    "FORMAT_VERSION",
    "PREDICATE_TYPE",
    "Checkpointed",
    "Clock",
    "CommandClaims",
    "ContentKind",
    "Coverage",
    "DriveClaims",
    "ErasureCertificate",
    "Evidence",
    "HiddenArea",
    "HiddenAreas",
    "IdentityPageClaims",
    "Interruption",
    "Method",
    "Outcome",
    "PassClaims",
    "PassedOver",
    "Person",
    "Plan",
    "Presence",
    "Range",
    "RangeKind",
    "ReadBackExtent",
    "Request",
    "Result",
    "Resumption",
    "Sampling",
    "Source",
    "Station",
    "Technique",
    "Tool",
    "Validation",
    "Verification",
    "VerificationMethod",
    "VerificationStatus",
]

PREDICATE_TYPE = "urn:rasura:erasure-certificate:v1"
FORMAT_MAJOR = 1
FORMAT_VERSION = "1.0"
"""Major: refuse what is unknown. Minor: fields may be added; readers keep and show them."""


class Method(StrEnum):
    """What an erasure amounts to (NIST SP 800-88 Rev. 2 §3)."""

    CLEAR = "Clear"
    PURGE = "Purge"
    DESTROY = "Destroy"

    def is_weaker_than(self, other: "Method") -> bool:
        """Whether this resists less than ``other``: Clear, then Purge, then Destroy."""
        return _STRENGTH[self] < _STRENGTH[other]


_STRENGTH = {method: place for place, method in enumerate(Method)}


class Technique(StrEnum):
    """How it is done: overwriting through the block layer, or a drive's own command."""

    OVERWRITE = "overwrite"
    ATA_SANITIZE_CRYPTO = "ata-sanitize-crypto-scramble"
    ATA_SANITIZE_BLOCK = "ata-sanitize-block-erase"
    ATA_SANITIZE_OVERWRITE = "ata-sanitize-overwrite"
    ATA_SECURITY_ERASE_ENHANCED = "ata-security-erase-enhanced"
    ATA_SECURITY_ERASE = "ata-security-erase"
    NVME_SANITIZE_CRYPTO = "nvme-sanitize-crypto-erase"
    NVME_SANITIZE_BLOCK = "nvme-sanitize-block-erase"
    NVME_SANITIZE_OVERWRITE = "nvme-sanitize-overwrite"
    NVME_FORMAT_CRYPTO = "nvme-format-crypto-erase"
    NVME_FORMAT_USER_DATA = "nvme-format-user-data-erase"
    SCSI_SANITIZE_CRYPTO = "scsi-sanitize-cryptographic-erase"
    SCSI_SANITIZE_BLOCK = "scsi-sanitize-block-erase"
    SCSI_SANITIZE_OVERWRITE = "scsi-sanitize-overwrite"
    SCSI_FORMAT_UNIT = "scsi-format-unit"
    MMC_SANITIZE = "emmc-sanitize"
    MMC_SECURE_ERASE = "emmc-secure-erase"
    MMC_SECURE_TRIM = "emmc-secure-trim"
    TCG_PSID_REVERT = "tcg-psid-revert"


class Outcome(StrEnum):
    """How the way of one drive ended; exactly one."""

    ERASED = "ERASED"
    FAILED = "FAILED"
    UNKNOWN = "UNKNOWN"
    REFUSED = "REFUSED"
    SKIPPED = "SKIPPED"
    UNHANDLED = "UNHANDLED"
    """Seen behind a RAID controller and out of reach; never on a certificate of its own."""


class Presence(StrEnum):
    """A tri-state fact."""

    PRESENT = "present"
    ABSENT = "absent"
    UNKNOWN = "unknown"


class RangeKind(StrEnum):
    """Why a range of the drive is not proven erased."""

    NOT_WRITTEN = "not-written"
    NOT_READ = "not-read"
    MISMATCH = "mismatch"


class VerificationMethod(StrEnum):
    """How the erasure was checked."""

    FULL_READ_BACK = "full-read-back"
    SAMPLED_READ_BACK = "sampled-read-back"
    """Seeded samples of an overwritten drive, compared with what was written (SP 800-88 Rev. 1 §4.7)."""
    MARKERS_AND_SAMPLES = "markers-and-samples"
    """Random blocks written before a device command, and seeded samples: none may be as it was."""


class ReadBackExtent(StrEnum):
    """How much of an overwritten drive the policy wants read back."""

    FULL = "full"
    SAMPLED = "sampled"


class ContentKind(StrEnum):
    """What samples look like after a device command."""

    ZERO = "zero"
    ONE = "one"
    """Bytes FFh, as erased flash reads."""
    CONSTANT = "constant"
    """Each granule holds one byte throughout."""
    NOISE = "noise"
    """As after a cryptographic erase, or an overwrite with random data."""
    MIXED = "mixed"


class VerificationStatus(StrEnum):
    """What the check found."""

    COMPLETE = "complete"
    MISMATCH = "mismatch"
    INCOMPLETE = "incomplete"
    NOT_RUN = "not-run"


class Evidence(StrEnum):
    """What the claims rest on, weakest last."""

    BLOCK_READ_BACK = "block-read-back"
    """Every sector was read again past the page cache and compared."""
    SAMPLED_READ_BACK = "sampled-read-back"
    """A stated share of the drive was read again and compared; nothing is known of the rest."""
    BUFFERED_READ_BACK = "buffered-read-back"
    """Read again, but the path to the drive allowed no direct I/O."""
    DRIVE_REPORT_AND_SPOTS = "drive-report-and-spots"
    """The drive reported success in this run, and none of the places looked at holds what it held."""
    NONE = "none"


class Tool(Claims, frozen=True):
    """§4.6 "tool used (including version)"; ``build`` is the hash of the booted image, if any."""

    name: str
    version: str
    build: str | None


class IdentityPageClaims(Claims, frozen=True):
    """A raw identity page; ``data`` is base64."""

    name: str
    data: str


class HiddenArea(Claims, frozen=True):
    """One kind of hidden area before and after the erasure."""

    before: Presence
    after: Presence


class HiddenAreas(Claims, frozen=True):
    """Areas a drive can hide from its user (ACS-4: HPA, AMA, DCO)."""

    hpa: HiddenArea
    ama: HiddenArea
    dco: HiddenArea


class DriveClaims(Claims, frozen=True):
    """The drive: §4.6 manufacturer, model, serial, property number, media type; and ours."""

    manufacturer: str | None
    model: str | None
    serial: str | None
    wwn: str | None
    firmware: str | None
    property_number: str | None
    media_type: str
    """``hdd``, ``ssd``, ``flash``, ``virtual`` or ``unknown``."""
    transport: str | None
    rotational: bool | None
    removable: bool | None
    capacity_bytes: Count
    native_capacity_bytes: Figure | None
    logical_sector_bytes: Count
    physical_sector_bytes: Figure | None
    hidden_areas: HiddenAreas
    namespaces: tuple[str, ...] | None
    block_device: str
    identity_pages: tuple[IdentityPageClaims, ...]


class Source(Claims, frozen=True):
    """§4.6 media source: the machine the drive was in, and the lot it came with."""

    host_manufacturer: str | None
    host_model: str | None
    host_serial: str | None
    host_uuid: str | None
    asset_tag: str | None
    lot: str | None


class Request(Claims, frozen=True):
    """What was asked for, before anything happened."""

    policy: str
    policy_sha256: str
    method: Method
    technique: Technique | None
    """``null`` leaves the choice to the plan."""
    weaker_allowed: bool
    read_back: ReadBackExtent
    """Of an overwritten drive."""


class PassedOver(Claims, frozen=True):
    """A stronger technique that was not used, and why."""

    technique: str
    method: Method
    reason: str


class Plan(Claims, frozen=True):
    """What was shown before anything happened; ``passes`` are patterns in words, in order."""

    technique: Technique
    method: Method
    basis: str
    passes: tuple[str, ...]
    estimate_ms: Count | None
    passed_over: tuple[PassedOver, ...]
    scheme: str | None
    """The overwriting scheme that the passes are those of."""


class Range(Claims, frozen=True):
    """Bytes ``offset`` to ``offset + length`` that are not proven erased."""

    offset: Count
    length: Count
    kind: RangeKind


class PassClaims(Claims, frozen=True):
    """One pass over the drive; ``cipher`` names the generator of a random pass."""

    pattern: str
    cipher: str | None
    bytes_written: Count
    duration_ms: Count
    bytes_offloaded: Count
    """How much of it the drive was told to zero by itself (Write Zeroes) and did not get sent."""


class Interruption(Claims, frozen=True):
    """Where an overwrite was cut off: of pass ``step`` (from 1) all below byte ``position`` had been tried.

    One step after the last pass is verification, which always begins again at 0.
    """

    step: Count
    position: Count
    bytes_written: Count
    """Of this pass: without what had failed, with what lies past a bad zone that was passed over."""


class Resumption(Claims, frozen=True):
    """An overwrite that boots before this one had begun. Their bytes are counted in the passes too.

    What they wrote is their journal's word, held against the drive twice: ``checked_bytes`` at seeded
    places before this boot went on, and all of it in the verification, which is always a full one.
    """

    interruptions: tuple[Interruption, ...]
    """Oldest first; each as far as the journal has it, so that up to an interval more was written."""
    bytes_before: Count
    bytes_now: Count
    duration_before_ms: Count
    first_started_at: str
    """By the clock of the first boot, which nobody checked."""
    checked_bytes: Count
    refused_before: tuple[str, ...]
    """Stronger techniques that the drive had refused before, in sentences."""


class CommandClaims(Claims, frozen=True):
    """A device command, sent ``at_ms`` after the technique began, and how it ended in raw terms."""

    name: str
    at_ms: Count
    took_ms: Count
    disposition: str
    detail: str


class Clock(Claims, frozen=True):
    """Where the wall times come from; they are recorded, never trusted."""

    source: str
    offset_ms: Figure | None


class Result(Claims, frozen=True):
    """What happened. ``method`` is the one achieved, ``null`` if none.

    Start, end and duration are those of this boot; ``resumed`` tells of those before it.
    """

    outcome: Outcome
    reason: str | None
    method: Method | None
    technique: Technique | None
    basis: str | None
    passes: tuple[PassClaims, ...]
    bytes_written: Count
    error_ranges: tuple[Range, ...]
    started_at: str
    finished_at: str
    duration_ms: Count
    clock: Clock
    resumed: Resumption | None


class Coverage(Claims, frozen=True):
    """How much was read back, in bytes."""

    bytes_read: Count
    bytes_total: Count


class Sampling(Claims, frozen=True):
    """Samples by the scheme of SP 800-88 Rev. 1 §4.7: two reads in each section, and both ends.

    The places follow from the verification's seed (``rasura_agent/verify/sampling.py`` says how).
    ``whole_scheme`` is whether each read had 5 % of its section; policies may ask for less after a device
    command. The rest tells of a device command: what was compared, and what the samples look like.
    """

    sections: Count
    reads: Count
    planned_bytes: Count
    whole_scheme: bool
    granule_bytes: Count | None
    """Compared with what it was before, by digest; one that is wholly as it was is an error range."""
    witnesses: Count | None
    """Granules that would have shown it: those that held more than one repeated byte before."""
    content: ContentKind | None
    entropy_before: Count | None
    """Thousandths of a bit per byte."""
    entropy_after: Count | None


class Verification(Claims, frozen=True):
    """§4.6 verification method, §4.5.1: completion, errors, what was read and what was not."""

    method: VerificationMethod | None
    status: VerificationStatus
    coverage: Coverage
    seed: str | None
    sampling: Sampling | None
    evidence: Evidence
    second_reader: bool
    """Whether a process of its own, with its own descriptor, read the drive back."""
    passes_read_back: Count | None
    """How many passes of an overwrite were read back in full and fit, the last one included."""


class Person(Claims, frozen=True):
    """§4.6: the individual; ``name`` may be a pseudonym the site can resolve."""

    name: str | None
    title: str | None
    organization: str | None
    location: str | None
    contact: str | None
    date: str | None
    signature: str | None
    """``envelope`` where the envelope's signature is this person's, through the station."""


class Validation(Claims, frozen=True):
    """§4.5.2: a decision by a person, never by the agent."""

    decision: str
    person: Person


class Checkpointed(Claims, frozen=True):
    """The latest checkpoint known at job start: nothing here happened before it was signed."""

    checkpoint: str


class Station(Claims, frozen=True):
    """Which boot of which machine signed, where it stands in that station's own chain."""

    name: str
    site: str
    operator: str | None
    sequence: Count
    previous_sha256: str | None
    """SHA-256 of the payload this station signed before this one."""


class ErasureCertificate(SignedClaims, frozen=True):
    """All claims about one drive."""

    predicate_type: ClassVar[str] = PREDICATE_TYPE
    format_major: ClassVar[int] = FORMAT_MAJOR
    what: ClassVar[str] = "an erasure certificate"

    id: str
    tool: Tool
    drive: DriveClaims
    source: Source
    pre_erasure_categorization: str | None
    request: Request
    plan: Plan
    result: Result
    verification: Verification
    verified_by: Person
    validation: Validation
    destination: str | None
    residual_risks: tuple[str, ...]
    health_before: HealthClaims | None
    health_after: HealthClaims | None
    health_changes: tuple[FigureChange, ...]
    commands: tuple[CommandClaims, ...]
    """Device commands with their raw status, the first and the last ones; none for an overwrite."""
    commands_omitted: Count
    """How many more there were in between, asking the drive how far it was."""
    not_before: Checkpointed | None
    station: Station
    supersedes: str | None

    def subject_digest(self) -> str:
        """Hex SHA-256 of the identity pages; raises :class:`ClaimsError` if one is not base64."""
        try:
            pages = [
                (page.name, base64.b64decode(page.data, validate=True)) for page in self.drive.identity_pages
            ]
        except (binascii.Error, ValueError):
            raise ClaimsError("an identity page of the drive is not base64") from None
        return identity_digest(pages)

    def subject_name(self) -> str:
        """The drive's serial number, or what else tells it apart."""
        drive = self.drive
        return "drive:" + (drive.serial or drive.wwn or drive.block_device)


prepare(ErasureCertificate)
