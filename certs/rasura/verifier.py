"""Verification: one pure function over (bundle, trust), numbered checks, each said in words.

::

    1 bundle       the file is a bundle, the statement in it one of ours
    2 signature    the signer's key signed exactly this statement
    3 chain        registry authority -> site -> signer, each of our profile, the signer in the role it takes
    4 identity     site and signer in the claims are those of the signing certificates
    5 clock        the times it claims lie within the signer's certificate's validity
    6 claims       the verdict follows from the certificate's own evidence
    7 checkpoint   a trusted log signed the receipt's checkpoint
    8 inclusion    the log contains exactly this certificate
    9 validity     the site's signing certificate was valid, and no key revoked, when the log included it; a
                   person's and a revoker's too
   10 start        the checkpoint that the job began with is a trusted log's, and older than the receipt
   11 timestamp    a trusted timestamp authority saw it in the log, and the log's time is not after that

Others are made of what came with it: 12 ``set``, of a machine report's certificates (``machine_set``), and
13 ``page``, of a PDF (``page_verdict``). What side statements say is told beside it (``said``).

Cryptography ends there. Whether a genuine certificate suffices (was the drive erased, is it in a
log) is the verdict's second half, kept apart.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from enum import Enum
from functools import lru_cache
from typing import NamedTuple

import msgspec
from cryptography import x509

from rasura.bundle import Bundle
from rasura.certificate import ErasureCertificate, Outcome
from rasura.chain import NO_KEYS, Chain, SigningKeys
from rasura.checkpoint import OpenedCheckpoint, open_checkpoint
from rasura.consistency import contradictions, parse_time
from rasura.envelope import PAYLOAD_TYPE
from rasura.errors import RasuraError
from rasura.keys import Role, common_name, site_of, title_of
from rasura.machine_report import MachineReport
from rasura.note import VerifierKey
from rasura.passed import GOOD, good_claims
from rasura.side_statement import KeyRevocation, SideStatement, side_problems
from rasura.start import look_at_start
from rasura.timestamp import look_at_timestamps
from rasura.tree import leaf_hash, verify_inclusion
from rasura.trust import Revocation, Trust

__all__ = [
    "VALIDITY",
    "Check",
    "Report",
    "State",
    "Verdict",
    "check_receipt",
    "check_submission",
    "revoked_keys",
    "verify",
    "verify_all",
]

VALIDITY = 9
"""The number of the check that revocations fail."""


_NAMED = 5
"""Unknown members that a sentence names; ``rasura show`` names all."""


class State(Enum):
    """How one check ended."""

    PASSED = "passed"
    FAILED = "failed"
    NOT_DONE = "not done"
    """It could not be made, because an earlier one failed or there is nothing to check."""


class Verdict(Enum):
    """What the checks amount to."""

    GENUINE = "genuine"
    NOT_LOGGED = "genuine as far as it goes, but in no log yet"
    NOT_GENUINE = "not genuine"


class Check(NamedTuple):
    """One numbered check and its sentence."""

    number: int
    name: str
    state: State
    sentence: str


class Report(msgspec.Struct, frozen=True):
    """Every check in order, and the claims as far as they could be read (trust them only if genuine)."""

    verdict: Verdict
    checks: tuple[Check, ...]
    claims: ErasureCertificate | MachineReport | None
    payload_sha256: str | None
    logged_at: datetime | None
    """When the log says it included the certificate; ``None`` when no trusted log did."""
    timestamped_at: datetime | None = None
    """By when a trusted timestamp authority saw it in the log; ``None`` when none did."""
    statement: SideStatement | None = None
    """What a side statement says, as far as it could be read; it has no ``claims``."""
    signing_keys: SigningKeys = NO_KEYS
    """The keys that signed it and certified who did."""
    index: int | None = None
    """Its place in the log; ``None`` when no trusted log holds it."""
    checkpoint_note: str | None = None
    """The checkpoint of a trusted log that holds it, with whoever cosigned; ``None`` without one."""

    @property
    def certificate(self) -> ErasureCertificate | None:
        """The claims about one drive, if that is what they are."""
        return self.claims if isinstance(self.claims, ErasureCertificate) else None

    @property
    def machine_report(self) -> MachineReport | None:
        """The claims about a machine, if that is what they are."""
        return self.claims if isinstance(self.claims, MachineReport) else None

    @property
    def attests_erasure(self) -> bool:
        """Genuine (logged or not), and it says ERASED."""
        return (
            self.verdict is not Verdict.NOT_GENUINE
            and self.certificate is not None
            and self.certificate.result.outcome is Outcome.ERASED
        )


@lru_cache(maxsize=256)
def _passed(number: int, name: str, good: str) -> Check:
    return Check(number, name, State.PASSED, good)


class _Checks:
    """Collects the checks; a failed one raises nothing, so that as many as possible are made."""

    def __init__(self) -> None:
        self.done: list[Check] = []
        self.failed = False

    def add(self, name: str, problems: tuple[str, ...] | str | None, good: str) -> bool:
        if problems is None or problems == ():  # a problem without words is one
            self.done.append(_passed(len(self.done) + 1, name, good))
            return True
        sentence = problems if isinstance(problems, str) else "; ".join(problems)
        self.done.append(Check(len(self.done) + 1, name, State.FAILED, sentence))
        self.failed = True
        return False

    def skip(self, name: str, why: str) -> None:
        self.done.append(Check(len(self.done) + 1, name, State.NOT_DONE, why))


def verify(raw: bytes, trust: Trust) -> Report:
    """Verify the bytes of a bundle against a trust policy, offline; never raises on bad input."""
    return verify_all((raw,), trust)[0]


def verify_all(raws: Iterable[bytes], trust: Trust) -> list[Report]:
    """Verify each of several as :func:`verify` does, in order; each step for all before the next.

    What a core has just done it does faster again: a dozen together take an eighth less time.
    """
    found = [_Read.of_bytes(raw) for raw in raws]
    signatures = [None if isinstance(one, str) else _signature_problem(one) for one in found]
    return [
        _unreadable(one) if isinstance(one, str) else _checked(one, problem, trust)
        for one, problem in zip(found, signatures, strict=True)
    ]


def _unreadable(problem: str) -> Report:
    checks = _Checks()
    checks.add("bundle", problem, "")
    for name in (
        "signature",
        "chain",
        "identity",
        "clock",
        "claims",
        "checkpoint",
        "inclusion",
        "validity",
        "start",
        "timestamp",
    ):
        checks.skip(name, "there is nothing to check")
    return Report(Verdict.NOT_GENUINE, tuple(checks.done), None, None, None)


def _checked(read: _Read, signature_problem: str | None, trust: Trust) -> Report:
    checks, bundle, document = _Checks(), read.bundle, read.document
    unread = bundle.unread
    strange = f"; this version does not know its {', '.join(unread[:_NAMED])}" if unread else ""
    more = f" and {len(unread) - _NAMED} more members" if len(unread) > _NAMED else ""
    checks.add("bundle", None, f"{document.what}, format {document.format_version}{strange}{more}")
    good = GOOD[read.role]
    checks.add("signature", signature_problem, good.signature)
    checks.add(
        "chain",
        read.signers.problems(trust.authorities, read.role),
        good.chain if len(read.signers) > 1 else "a trusted registry authority certified this revoker itself",
    )
    checks.add("identity", _identity_problems(read), good.identity)
    checks.add("clock", _clock_problems(read), good.clock)
    checks.add("claims", _claims_problems(read), good_claims(document))
    opened, logged_at = _check_log(checks, read, trust)
    _check_start(checks, read, trust, opened)
    timestamped_at = _check_timestamps(checks, read, trust, opened)
    if checks.failed:
        verdict = Verdict.NOT_GENUINE
    elif bundle.receipt is None:
        verdict = Verdict.NOT_LOGGED
    else:
        verdict = Verdict.GENUINE
    receipt = bundle.receipt if logged_at is not None else None
    return Report(
        verdict,
        tuple(checks.done),
        None if isinstance(document, SideStatement) else document,
        bundle.payload_sha256,
        logged_at,
        timestamped_at,
        document if isinstance(document, SideStatement) else None,
        read.signers.keys,
        receipt.index if receipt is not None else None,
        receipt.checkpoint_note if receipt is not None else None,
    )


def check_submission(
    bundle: Bundle,
    authorities: tuple[x509.Certificate, ...],
    now: datetime,
    revoked: tuple[Revocation, ...] = (),
) -> tuple[str, ...]:
    """Why a registry must not log ``bundle`` at ``now``: sentences, empty when it may.

    These are checks 1 to 6 and 9, by the same code that an auditor runs.
    """
    checks = _Checks()
    try:
        read = _Read.of(bundle)
    except RasuraError as error:
        return (str(error),)
    checks.add("signature", _signature_problem(read), "")
    checks.add("chain", read.signers.problems(authorities, read.role), "")
    checks.add("identity", _identity_problems(read), "")
    checks.add("clock", _clock_problems(read), "")
    checks.add("claims", _claims_problems(read), "")
    checks.add("validity", _validity_problems(read, now, revoked), "")
    return tuple(check.sentence for check in checks.done if check.state is State.FAILED)


def check_receipt(bundle: Bundle, logs: tuple[VerifierKey, ...]) -> str | None:
    """Why ``bundle``'s receipt does not prove that one of ``logs`` holds it, or ``None`` if it does."""
    if bundle.receipt is None:
        return "there is no receipt"
    try:
        opened = open_checkpoint(bundle.receipt.checkpoint_note, logs)
    except RasuraError as error:
        return str(error)
    return _inclusion_problem(bundle, opened)


class _Read(NamedTuple):
    """A bundle that could be read, and what several checks ask of it."""

    bundle: Bundle
    document: ErasureCertificate | MachineReport | SideStatement
    signers: Chain
    role: Role
    """The one that a signer of this kind of document must have."""

    @classmethod
    def of(cls, bundle: Bundle) -> _Read:
        document = bundle.document
        role = document.signed_by if isinstance(document, SideStatement) else Role.STATION
        return cls(bundle, document, bundle.signers, role)

    @classmethod
    def of_bytes(cls, raw: bytes) -> _Read | str:
        """The same of a bundle's bytes, or why they cannot be read."""
        try:
            return cls.of(Bundle.parse(raw))
        except RasuraError as error:
            return str(error)


def _signature_problem(read: _Read) -> str | None:
    envelope = read.bundle.envelope
    if envelope.payload_type != PAYLOAD_TYPE:
        return "the envelope's payload type is not in-toto's"
    try:
        envelope.verify(read.signers.key, read.signers.key_id)
    except IndexError:
        return "there is no signing certificate to check the signature with"
    except RasuraError as error:
        return str(error)
    return None


def _claims_problems(read: _Read) -> tuple[str, ...]:
    document = read.document
    return side_problems(document) if isinstance(document, SideStatement) else contradictions(document)


def _identity_problems(read: _Read) -> tuple[str, ...]:
    document = read.document
    if isinstance(document, SideStatement):
        return _signer_problems(document, read.signers)
    station = document.station
    try:
        certified_site, certified_station = read.signers.names
    except (RasuraError, IndexError):
        return ("the signing certificate does not name one site and one station",)
    problems = []
    if station.site != certified_site:
        problems.append(f"the claims say site {station.site!r}, the signing certificate {certified_site!r}")
    if station.name != certified_station:
        problems.append(
            f"the claims say station {station.name!r}, the signing certificate {certified_station!r}"
        )
    return tuple(problems)


def _signer_problems(said: SideStatement, signers: Chain) -> tuple[str, ...]:
    try:
        certified = (common_name(signers[0]), title_of(signers[0]), site_of(signers[0]))
    except (RasuraError, IndexError):
        return ("the signing certificate does not name one signer",)
    signer = said.signer
    problems = [
        f"the claims say {what} {claimed!r}, the signing certificate {named!r}"
        for what, claimed, named in zip(
            ("signer", "role", "site"), (signer.name, signer.role, signer.site), certified, strict=True
        )
        if claimed != named
    ]
    if isinstance(said, KeyRevocation) and said.key in signers.keys.ids[1:]:
        problems.append("a site cannot revoke its own key: the registry's authority can")
    return tuple(problems)


def _clock_problems(read: _Read) -> tuple[str, ...]:
    if not read.signers:
        return ("there is no signing certificate",)
    document, (begin, end) = read.document, read.signers.signer_valid
    if isinstance(document, SideStatement):
        times: tuple[str, ...] = (document.signed_at,)
    else:
        source = document if isinstance(document, MachineReport) else document.result
        times = (source.started_at, source.finished_at)
    moments = [parse_time(one) for one in times]
    if None in moments:
        return ("the times claimed are not RFC 3339 in UTC",)
    last = moments[-1]
    if last is None or not begin <= last <= end:
        return (f"{read.role.certificate} was not valid at the time claimed",)
    return ()


def _validity_problems(read: _Read, moment: datetime, revoked: tuple[Revocation, ...]) -> tuple[str, ...]:
    role, signers = read.role, read.signers
    # A station's certificate is made by the station's clock, and lasts for its work (check 5).
    lasting = [] if role is Role.STATION or not signers else [(signers.signer_valid, role.certificate)]
    if len(signers) > 1:
        lasting.append((signers.site_valid, "the site's signing certificate"))
    if not lasting:
        return (f"there is no signing certificate of a {'site' if signers else 'signer'}",)
    problems = [
        f"{what} was not valid on {_minute(moment)}"
        for (begin, end), what in lasting
        if not begin <= moment <= end
    ]
    for one in revoked_keys(signers.keys, revoked, believed_first=role is Role.REVOKER):
        if one.since <= moment:
            problems.append(f"a key of its chain was revoked on {_minute(one.since)}, before that")
    return tuple(problems)


def revoked_keys(
    keys: SigningKeys, revoked: tuple[Revocation, ...], *, believed_first: bool = False
) -> tuple[Revocation, ...]:
    """Those of ``revoked`` that mean one of ``keys``.

    What a site revoked means only signers that it certified. ``believed_first``: the keys are those of a
    revocation, which a site's word does not touch, so that two cannot revoke each other.
    """
    return tuple(
        one
        for one in revoked
        if (one.site is None and one.key in keys.ids)
        or (one.site is not None and not believed_first and one.site == keys.site and one.key in keys.ids[:1])
    )


def _check_log(checks: _Checks, read: _Read, trust: Trust) -> tuple[OpenedCheckpoint | None, datetime | None]:
    receipt = read.bundle.receipt
    if receipt is None:
        why = "the bundle has no receipt: no log holds this certificate yet"
        checks.skip("checkpoint", why)
        checks.skip("inclusion", why)
        if revoked_keys(read.signers.keys, trust.revoked, believed_first=read.role is Role.REVOKER):
            checks.add("validity", "a key of its chain is revoked, and no log says it signed this before", "")
        else:
            checks.skip("validity", why)
        return None, None
    try:
        opened = open_checkpoint(receipt.checkpoint_note, trust.logs)
    except RasuraError as error:
        checks.add("checkpoint", str(error), "")
        checks.skip("inclusion", "the checkpoint does not hold")
        checks.skip("validity", "no trusted log says when")
        return None, None
    origin, size = opened.checkpoint.origin, opened.checkpoint.size
    checks.add("checkpoint", None, f"the log {origin} signed a checkpoint of {size} entries")
    included = checks.add(
        "inclusion", _inclusion_problem(read.bundle, opened), f"it is entry {receipt.index} of that log"
    )
    moment = opened.moment
    if moment is None:
        checks.add("validity", "the log did not say when it signed the checkpoint", "")
        return opened, None
    checks.add(
        "validity",
        _validity_problems(read, moment, trust.revoked),
        f"{GOOD[read.role].validity}{_minute(moment)}",
    )
    return opened, moment if included else None


def _check_start(checks: _Checks, read: _Read, trust: Trust, held: OpenedCheckpoint | None) -> None:
    document = read.document
    if isinstance(document, SideStatement):
        checks.skip("start", "a side statement has none: it is younger than what it speaks of")
        return
    begun = document.not_before
    if begun is None:
        checks.skip("start", "it names no checkpoint from its start: it may be older than it says")
        return
    start = look_at_start(begun.checkpoint, trust.logs, read.bundle.receipt, held)
    if start.problem is None and start.opened is None:
        checks.skip("start", "the checkpoint from its start is of a log that is not trusted here")
        return
    size, when = 0, ""
    if start.opened is not None:
        size, moment = start.opened.checkpoint.size, start.opened.moment
        when = f", after {_minute(moment)}" if moment is not None else ""
    checks.add("start", start.problem, f"it began when that log held {size} entries{when}")


def _check_timestamps(
    checks: _Checks, read: _Read, trust: Trust, held: OpenedCheckpoint | None
) -> datetime | None:
    bundle = read.bundle
    if not bundle.timestamps or bundle.receipt is None:
        checks.skip("timestamp", "it has none: when the log held it is the log's own word")
    elif not trust.timestamp_authorities:
        checks.skip("timestamp", "it has one, and no timestamp authority is trusted here")
    elif held is None or _inclusion_problem(bundle, held) is not None:
        checks.skip("timestamp", "its receipt does not hold")
    else:
        found = look_at_timestamps(
            bundle.timestamps,
            bundle.entry().leaf,
            bundle.receipt,
            held,
            trust.logs,
            trust.timestamp_authorities,
        )
        by = found.by
        good = "" if by is None else f"a timestamp authority saw it in that log by {_minute(by)}"
        if by is not None and _validity_problems(read, by, trust.revoked):
            good += "; its keys no longer counted then: that it is older is the log's own word"
        return by if checks.add("timestamp", found.problem, good) else None
    return None


@lru_cache(maxsize=256)
def _minute(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M} UTC"


def _inclusion_problem(bundle: Bundle, opened: OpenedCheckpoint) -> str | None:
    receipt = bundle.receipt
    if receipt is None:
        return "there is no receipt"
    try:
        verify_inclusion(
            leaf_hash(bundle.entry().encode()),
            receipt.index,
            opened.checkpoint.size,
            receipt.proof,
            opened.checkpoint.root_hash,
        )
    except RasuraError as error:
        return str(error)
    return None
