"""Verification: one pure function over (bundle, trust), numbered checks, each said in words.

::

    1 bundle       the file is a bundle, the statement in it an erasure certificate or a machine report
    2 signature    the station's key signed exactly this statement
    3 chain        registry authority -> site -> station, each of our profile
    4 identity     site and station in the claims are those of the signing certificates
    5 clock        the times it claims lie within the station certificate's validity
    6 claims       the verdict follows from the certificate's own evidence
    7 checkpoint   a trusted log signed the receipt's checkpoint
    8 inclusion    the log contains exactly this certificate
    9 validity     the site's signing certificate was valid, and no key revoked, when the log included it
   10 start        the checkpoint that the job began with is a trusted log's, and older than the receipt

Others are made of what came with it: 11 ``set``, of a machine report's certificates (``machine_set``), and
12 ``page``, of a PDF (``page_verdict``).

Cryptography ends there. Whether a genuine certificate suffices (was the drive erased, is it in a
log) is the verdict's second half, kept apart.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum
from functools import lru_cache
from typing import NamedTuple

from cryptography import x509

from rasura.bundle import Bundle
from rasura.certificate import ErasureCertificate, Outcome
from rasura.checkpoint import OpenedCheckpoint, open_checkpoint
from rasura.consistency import contradictions, parse_time
from rasura.envelope import PAYLOAD_TYPE
from rasura.errors import RasuraError
from rasura.machine_report import MachineReport
from rasura.note import VerifierKey
from rasura.start import look_at_start
from rasura.tree import leaf_hash, verify_inclusion
from rasura.trust import Revocation, Trust

__all__ = ["Check", "Report", "State", "Verdict", "check_receipt", "check_submission", "verify"]


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


@dataclass(frozen=True, slots=True)
class Report:
    """Every check in order, and the claims as far as they could be read (trust them only if genuine)."""

    verdict: Verdict
    checks: tuple[Check, ...]
    claims: ErasureCertificate | MachineReport | None
    payload_sha256: str | None
    logged_at: datetime | None
    """When the log says it included the certificate; ``None`` when no trusted log did."""
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
        if not problems:
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
    checks = _Checks()
    try:
        bundle = Bundle.parse(raw)
        claims = bundle.claims
    except RasuraError as error:
        checks.add("bundle", str(error), "")
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
        ):
            checks.skip(name, "there is nothing to check")
        return Report(Verdict.NOT_GENUINE, tuple(checks.done), None, None, None)
    kind = "a machine report" if isinstance(claims, MachineReport) else "an erasure certificate"
    unread = bundle.unread
    strange = f"; this version does not know its {', '.join(unread[:_NAMED])}" if unread else ""
    more = f" and {len(unread) - _NAMED} more members" if len(unread) > _NAMED else ""
    checks.add("bundle", None, f"{kind}, format {claims.format_version}{strange}{more}")
    _check_signature(checks, bundle)
    checks.add(
        "chain",
        bundle.signers.problems(trust.authorities),
        "a trusted registry authority certified the site, and the site this station",
    )
    checks.add("identity", _identity_problems(bundle), "the claims name the site and station that signed")
    checks.add("clock", _clock_problems(bundle), "the times claimed fit the station's signing certificate")
    checks.add(
        "claims",
        contradictions(claims),
        "every drive has one outcome, and a certificate where it was erased"
        if isinstance(claims, MachineReport)
        else "the verdict follows from the evidence in the certificate",
    )
    opened, logged_at = _check_log(checks, bundle, trust)
    _check_start(checks, bundle, trust, opened)
    if checks.failed:
        verdict = Verdict.NOT_GENUINE
    elif bundle.receipt is None:
        verdict = Verdict.NOT_LOGGED
    else:
        verdict = Verdict.GENUINE
    note = bundle.receipt.checkpoint_note if bundle.receipt is not None and logged_at is not None else None
    return Report(verdict, tuple(checks.done), claims, bundle.payload_sha256, logged_at, note)


def check_submission(
    bundle: Bundle, authorities: tuple[x509.Certificate, ...], now: datetime
) -> tuple[str, ...]:
    """Why a registry must not log ``bundle`` at ``now``: sentences, empty when it may.

    These are checks 1 to 6 and 9, by the same code that an auditor runs.
    """
    checks = _Checks()
    try:
        claims = bundle.claims
    except RasuraError as error:
        return (str(error),)
    _check_signature(checks, bundle)
    checks.add("chain", bundle.signers.problems(authorities), "")
    checks.add("identity", _identity_problems(bundle), "")
    checks.add("clock", _clock_problems(bundle), "")
    checks.add("claims", contradictions(claims), "")
    checks.add("validity", _validity_problems(bundle, now, ()), "")
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


def _check_signature(checks: _Checks, bundle: Bundle) -> None:
    if bundle.envelope.payload_type != PAYLOAD_TYPE:
        checks.add("signature", "the envelope's payload type is not in-toto's", "")
        return
    try:
        bundle.envelope.verify(bundle.signers.key, bundle.signers.key_id)
    except IndexError:
        checks.add("signature", "there is no signing certificate to check the signature with", "")
    except RasuraError as error:
        checks.add("signature", str(error), "")
    else:
        checks.add("signature", None, "the station's key signed exactly this statement")


def _identity_problems(bundle: Bundle) -> tuple[str, ...]:
    station = bundle.claims.station
    try:
        certified_site, certified_station = bundle.signers.names
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


def _clock_problems(bundle: Bundle) -> tuple[str, ...]:
    if not bundle.chain:
        return ("there is no signing certificate",)
    claims, (begin, end) = bundle.claims, bundle.signers.station_valid
    times = claims if isinstance(claims, MachineReport) else claims.result
    started, finished = parse_time(times.started_at), parse_time(times.finished_at)
    if started is None or finished is None:
        return ("the times claimed are not RFC 3339 in UTC",)
    if not begin <= finished <= end:
        return ("the station's signing certificate was not valid at the time claimed",)
    return ()


def _validity_problems(bundle: Bundle, moment: datetime, revoked: tuple[Revocation, ...]) -> tuple[str, ...]:
    if len(bundle.chain) < 2:
        return ("there is no signing certificate of a site",)
    begin, end = bundle.signers.site_valid
    problems = []
    if not begin <= moment <= end:
        problems.append(f"the site's signing certificate was not valid on {_minute(moment)}")
    for one in _revoked(bundle, revoked):
        if one.since <= moment:
            problems.append(f"a key of its chain was revoked on {_minute(one.since)}, before that")
    return tuple(problems)


def _revoked(bundle: Bundle, revoked: tuple[Revocation, ...]) -> tuple[Revocation, ...]:
    if not revoked:
        return ()
    try:
        keys = bundle.signers.key_ids
    except RasuraError:
        return ()  # the chain's check says so
    return tuple(one for one in revoked if one.key in keys)


def _check_log(
    checks: _Checks, bundle: Bundle, trust: Trust
) -> tuple[OpenedCheckpoint | None, datetime | None]:
    if bundle.receipt is None:
        why = "the bundle has no receipt: no log holds this certificate yet"
        checks.skip("checkpoint", why)
        checks.skip("inclusion", why)
        if _revoked(bundle, trust.revoked):
            checks.add("validity", "a key of its chain is revoked, and no log says it signed this before", "")
        else:
            checks.skip("validity", why)
        return None, None
    try:
        opened = open_checkpoint(bundle.receipt.checkpoint_note, trust.logs)
    except RasuraError as error:
        checks.add("checkpoint", str(error), "")
        checks.skip("inclusion", "the checkpoint does not hold")
        checks.skip("validity", "no trusted log says when")
        return None, None
    origin, size = opened.checkpoint.origin, opened.checkpoint.size
    checks.add("checkpoint", None, f"the log {origin} signed a checkpoint of {size} entries")
    included = checks.add(
        "inclusion", _inclusion_problem(bundle, opened), f"it is entry {bundle.receipt.index} of that log"
    )
    if opened.timestamp is None:
        checks.add("validity", "the log did not say when it signed the checkpoint", "")
        return opened, None
    moment = datetime.fromtimestamp(opened.timestamp, UTC)
    checks.add(
        "validity",
        _validity_problems(bundle, moment, trust.revoked),
        f"the site's signing certificate was valid when the log included it, by {_minute(moment)}",
    )
    return opened, moment if included else None


def _check_start(checks: _Checks, bundle: Bundle, trust: Trust, held: OpenedCheckpoint | None) -> None:
    begun = bundle.claims.not_before
    if begun is None:
        checks.skip("start", "it names no checkpoint from its start: it may be older than it says")
        return
    start = look_at_start(begun.checkpoint, trust.logs, bundle.receipt, held)
    if start.problem is None and start.opened is None:
        checks.skip("start", "the checkpoint from its start is of a log that is not trusted here")
        return
    size, when = 0, ""
    if start.opened is not None:
        size, stamp = start.opened.checkpoint.size, start.opened.timestamp
        when = f", after {_minute(datetime.fromtimestamp(stamp, UTC))}" if stamp is not None else ""
    checks.add("start", start.problem, f"it began when that log held {size} entries{when}")


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
