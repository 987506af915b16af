"""The job: wires ports to use-cases for one machine.

Every drive of the machine ends in exactly one outcome. Drives are independent: each has its own
thread from the first question to the receipt, so a slow or dying one delays no other's certificate. The
machine report comes last, when every drive has its outcome.
"""

from __future__ import annotations

import contextlib
import queue
import secrets
import threading
import uuid
from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

import msgspec
from msgspec.structs import replace

from rasura.certificate import Outcome
from rasura.client import RegistryClient
from rasura.consistency import contradictions
from rasura.errors import RasuraError
from rasura.health import Grade, HealthClaims
from rasura_agent.clock import Clock
from rasura_agent.confirm import Confirmation, DriveOutcome
from rasura_agent.earlier import EarlierJobs
from rasura_agent.erase.engine import execute
from rasura_agent.erase.events import Event, Noted, Progress
from rasura_agent.erase.pacing import MachinePace, Pacer, transfer_room
from rasura_agent.erase.plan import DrivePlan
from rasura_agent.erase.policy import Policy
from rasura_agent.erase.progress_record import ProgressStore
from rasura_agent.erase.result import EraseResult
from rasura_agent.erase.run import Ports
from rasura_agent.handing import CertificateStore, Handed, Handing
from rasura_agent.health.checkup import Checkup
from rasura_agent.health.claims import health_claims
from rasura_agent.health.model import HealthReading
from rasura_agent.inventory.clock import SystemClock
from rasura_agent.inventory.hotplug import DriveWatch, local_drive_watch
from rasura_agent.inventory.identity import read_identity
from rasura_agent.inventory.local import local_sources
from rasura_agent.inventory.model import Drive
from rasura_agent.inventory.ports import Sources
from rasura_agent.inventory.temperature import HwmonThermometer, Thermometer
from rasura_agent.inventory.watch import Change, Vanished
from rasura_agent.opener import DriveOpener
from rasura_agent.report import Circumstances, erasure_claims
from rasura_agent.reporting import SeenAround, report_machine
from rasura_agent.sentence import Sentence
from rasura_agent.station import SigningStation

__all__ = ["Job", "JobOptions", "Observer", "prepare_job"]

_STOPPED = Sentence("stopped by the operator")
_GONE = Sentence("the drive vanished during the job: it was pulled out, or its power or its cable failed")
_NEWS_EVERY_S = 0.1
"""Of one drive: 64 fast ones would have more to say than anybody can show."""


class JobOptions(msgspec.Struct, frozen=True):
    """What the operator tells us for the certificates."""

    location: str | None
    lot: str | None
    property_numbers: dict[str, str]
    build: str | None = None
    """``sha256:`` and the build hash of the live image that was booted."""


def prepare_job(
    station: SigningStation,
    policy: Policy,
    options: JobOptions,
    spool: CertificateStore,
    client: RegistryClient | None,
    opener: DriveOpener,
    watch: DriveWatch | None = None,
    earlier: EarlierJobs | None = None,
    sources: Sources | None = None,
) -> tuple[Job, tuple[str, ...]]:
    """Fetch the registry's latest checkpoint and put the job together.

    ``watch`` follows the drives of this machine, where somebody does so already; ``earlier`` keeps what later
    processes of this boot are to report. Returns the job, and sentences about what could not be had (a
    registry that is away stops nothing). ``sources`` are those of a captured machine, which is only reported.
    """
    clock, sources = SystemClock(), sources or local_sources()
    checkpoint, notes = None, []
    if client is None:
        notes.append("no registry is known: certificates stay in the spool")
    else:
        try:
            checkpoint = client.checkpoint()
        except RasuraError as error:
            notes.append(str(error))
    around = Circumstances(
        machine=read_identity(sources.files),
        policy=policy,
        lot=options.lot,
        location=options.location,
        clock_source=clock.source,
        checkpoint=checkpoint,
        property_numbers=options.property_numbers,
        build=options.build,
    )
    thermometer, checkup = HwmonThermometer(sources.files), Checkup(sources.commands, sources.files)
    watch = watch or local_drive_watch()
    job = Job(
        opener.open,
        clock,
        station,
        around,
        spool,
        client,
        checkup,
        thermometer,
        opener.progress,
        watch,
        earlier.note if earlier is not None else lambda _outcome: None,
    )
    return job, tuple(notes)


class Observer(Protocol):
    """Who watches a job. Called from one thread only."""

    def told(self, event: Event) -> None:
        """Something happened on a drive's way."""
        ...

    def ended(self, outcome: DriveOutcome) -> None:
        """A drive has its outcome, and its certificate where there is one."""
        ...


class Job:
    """One machine's job: erases the chosen drives, each to its certificate."""

    def __init__(
        self,
        open_ports: Callable[[DrivePlan], Ports],
        clock: Clock,
        station: SigningStation,
        around: Circumstances,
        spool: CertificateStore,
        client: RegistryClient | None,
        checkup: Checkup,
        thermometer: Thermometer,
        progress: ProgressStore | None = None,
        watch: DriveWatch | None = None,
        note: Callable[[DriveOutcome], None] = lambda _outcome: None,
    ) -> None:
        """Put the ports together.

        Args:
            open_ports: opens a drive for erasing; raises ``RasuraError``.
            clock: of this machine.
            station: signs.
            around: what is the same for all drives.
            spool: where certificates are kept.
            client: of the registry, if one is known.
            checkup: reads the health of drives.
            thermometer: says how warm drives are.
            progress: how far interrupted overwrites are; ``None`` begins each afresh.
            watch: tells of drives that vanish.
            note: is called with every drive that has a certificate which is kept.
        """
        self._began = clock.wall()
        self._checkup = checkup
        self._open_ports = open_ports
        self._clock = clock
        self._station = station
        self._around = around
        self._handing = Handing(spool, client)
        self._progress = progress
        self._pace = MachinePace(around.policy.pace, clock, thermometer)
        self._transfer_room = transfer_room(1)
        self._stop = threading.Event()
        self._watch, self._note = watch, note
        self._gone: set[str] = set()
        self._news: queue.SimpleQueue[Event | DriveOutcome] = queue.SimpleQueue()

    def stop(self) -> None:
        """Have every drive stop at its next transfer; each still gets its certificate, saying so."""
        self._stop.set()

    def run(self, confirmation: Confirmation, observer: Observer) -> tuple[DriveOutcome, ...]:
        """Erase what was confirmed; the outcomes of all drives, left-alone ones first.

        A first KeyboardInterrupt stops the drives in order; a second one is the caller's.
        """
        outcomes = list(confirmation.left)
        for outcome in outcomes:
            observer.ended(outcome)
        self._transfer_room = transfer_room(len(confirmation.chosen))
        for plan in confirmation.chosen:
            # Daemons: a drive that hangs in the kernel must not keep the process from ending.
            threading.Thread(target=self._drive, args=(plan,), name=plan.drive.path, daemon=True).start()
        with self._watched(confirmation.chosen):
            outcomes += self._follow(len(confirmation.chosen), observer)
        return tuple(outcomes)

    def _follow(self, awaited: int, observer: Observer) -> Iterator[DriveOutcome]:
        """Pass on what the drives' threads tell, until so many drives have their outcome."""
        while awaited:
            try:
                news = self._news.get()
            except KeyboardInterrupt:
                if self._stop.is_set():
                    raise
                self.stop()
                continue
            if isinstance(news, DriveOutcome):
                observer.ended(news)
                awaited -= 1
                yield news
            else:
                observer.told(news)

    @contextlib.contextmanager
    def _watched(self, chosen: Sequence[DrivePlan]) -> Iterator[None]:
        """Within, a drive that vanishes is known to be gone, and stops at its next transfer."""
        watch = self._watch
        drives = {plan.drive.path: plan.drive for plan in chosen if plan.drive.device_number is not None}
        if watch is None or not drives:
            yield
            return

        def told(change: Change) -> None:
            drive = drives.get(change.drive.path)
            # A drive whose capacity changed has come and gone for the watch, and is there for us.
            if isinstance(change, Vanished) and drive is not None and watch.is_gone(drive):
                self._gone.add(drive.path)
                self._news.put(Noted(drive.path, _GONE))

        with watch.listening(told):
            yield

    def _drive(self, plan: DrivePlan) -> None:
        try:
            outcome = self._way_of(plan)
        except Exception as error:  # noqa: BLE001  a bug on one drive must not take the others' certificates along
            failure = f"{type(error).__name__}: {error}"
            reason = Sentence(
                "the agent itself failed ({failure}); the state of this drive is not known", failure=failure
            )
            outcome = DriveOutcome(plan, Outcome.UNKNOWN, reason)
        self._news.put(outcome)

    def _way_of(self, plan: DrivePlan) -> DriveOutcome:
        pacer = Pacer(self._pace, plan.drive, self._stop.is_set, self._news.put)
        pacer.start()
        if self._stop.is_set():
            return DriveOutcome(plan, Outcome.SKIPPED, _STOPPED)
        try:
            ports = self._open_ports(plan)
        except RasuraError as error:
            return DriveOutcome(plan, Outcome.REFUSED, str(error))
        try:
            before = self._checkup.read(plan.drive)
            told = health_claims(before)
            left = self._left_alone(plan, before, told)
            if left is not None:
                return left
            result = execute(
                plan,
                ports,
                self._clock,
                secrets.token_bytes,
                self._listener(pacer, plan.drive.path),
                self._transfer_room,
                self._progress,
            )
            result = self._named_gone(plan.drive, result)
            if not result.touched:
                return DriveOutcome(plan, result.outcome, result.reason, result, health=told)
            after = self._checkup.read(plan.drive)
        finally:
            # What close(2) could still complain of, the flush has reported.
            with contextlib.suppress(OSError):
                ports.close()
        health = (told, health_claims(after, len(result.errors)))
        outcome = self._hand_over(self._certify(plan, result, health))
        kept = outcome.path is not None or outcome.logged
        if self._progress is not None and kept and result.is_settled:
            # Not before: should the power go first, the next boot verifies once more and certifies.
            self._progress.forget(result.identity_sha256)
        if kept:
            self._note(outcome)
        return self._with_evidence(outcome, before, after)

    def _left_alone(self, plan: DrivePlan, before: HealthReading, told: HealthClaims) -> DriveOutcome | None:
        """Why the drive is left as it is although it could be erased, if so."""
        if told.grade is Grade.REJECT and self._around.policy.skip_rejected:
            reason = Sentence(
                "its health is graded reject ({reasons}), and the policy leaves it alone",
                reasons=Sentence.of(told.reasons),
            )
            return DriveOutcome(plan, Outcome.SKIPPED, reason, health=told)
        busy = self._checkup.quiet(plan.drive, before)
        return DriveOutcome(plan, Outcome.REFUSED, busy, health=told) if busy is not None else None

    def _with_evidence(self, outcome: DriveOutcome, *readings: HealthReading) -> DriveOutcome:
        """Keep what smartctl said; a certificate names it by its hash, and holds without it."""
        more = self._handing.keep_evidence(readings)
        return replace(outcome, problems=tuple(dict.fromkeys((*outcome.problems, *more))))

    def _listener(self, pacer: Pacer, path: str) -> Callable[[Event], str | None]:
        """What one drive's engine calls: passes on news, holds the drive to its pace, and stops it."""
        shown: Progress | None = None

        def on_event(event: Event) -> str | None:
            nonlocal shown
            if not isinstance(event, Progress):
                self._news.put(event)
            elif _is_news(event, shown):
                shown = event
                self._news.put(event)
            if isinstance(event, Progress):
                pacer.after(event)
            if path in self._gone:
                return _GONE
            return _STOPPED if self._stop.is_set() else None

        return on_event

    def _named_gone(self, drive: Drive, result: EraseResult) -> EraseResult:
        """What came of a drive that is not there any more says so first, whatever else failed by it."""
        if result.outcome is Outcome.ERASED or result.reason == _GONE:
            return result
        gone = drive.path in self._gone or (self._watch is not None and self._watch.is_gone(drive))
        if not gone:
            return result
        return replace(result, reason=Sentence.of([_GONE, *([result.reason] if result.reason else [])]))

    def _certify(
        self, plan: DrivePlan, result: EraseResult, health: tuple[HealthClaims, HealthClaims]
    ) -> DriveOutcome:
        certificate_id = str(uuid.uuid4())
        bundle = self._station.sign(
            lambda place: erasure_claims(certificate_id, plan, result, self._around, place, health)
        )
        # What an auditor would refuse must not leave the station as a success.
        wrong = contradictions(bundle.certificate)
        if wrong:
            reason = Sentence("the certificate contradicts itself ({reasons})", reasons=Sentence.of(wrong))
            unknown = replace(result, outcome=Outcome.UNKNOWN)
            return DriveOutcome(plan, Outcome.UNKNOWN, reason, unknown, bundle, health=health[1])
        return DriveOutcome(plan, result.outcome, result.reason, result, bundle, health=health[1])

    def _hand_over(self, outcome: DriveOutcome) -> DriveOutcome:
        if outcome.certificate is None:
            return outcome
        handed = self._handing.hand(outcome.certificate)
        notes = outcome.result.notes if outcome.result is not None else ()
        return replace(
            outcome,
            certificate=handed.bundle,
            path=handed.path,
            logged=handed.logged,
            problems=(*notes, *handed.problems),
        )

    def report(self, outcomes: Sequence[DriveOutcome], seen: SeenAround) -> Handed:
        """Sign the machine report on these drives, keep it and post it."""
        times = (self._began, self._clock.wall())
        return report_machine(
            outcomes, seen, self._around, times, self._station, self._handing, self._checkup
        )


def _is_news(event: Progress, shown: Progress | None) -> bool:
    if shown is None or event.step != shown.step or event.done == event.total:
        return True
    return event.elapsed_s - shown.elapsed_s >= _NEWS_EVERY_S
