"""The way of a live station, from its first screen to the end of the boot."""

from __future__ import annotations

import contextlib
import logging
import queue
import signal
from collections.abc import Callable
from pathlib import Path

import msgspec
from msgspec.structs import replace

from rasura.certificate import Outcome
from rasura.errors import RasuraError, RefusedError
from rasura.machine_report import MachineReport, Override, ReportedDrive
from rasura_agent.clock import Clock
from rasura_agent.confirm import DriveOutcome, confirm_all, left_alone
from rasura_agent.console.language import _, use
from rasura_agent.console.screens import PlainProgress, TerminalProgress, plan_table
from rasura_agent.console.words import fact, wrapped
from rasura_agent.drive.transport.suspend import Suspender, SuspendError
from rasura_agent.earlier import EarlierJobs
from rasura_agent.erase.policy import BUILT_IN, Policy, PolicyError, load_policy
from rasura_agent.handing import Handed
from rasura_agent.inventory.hotplug import DriveWatch
from rasura_agent.inventory.local import LocalFiles
from rasura_agent.inventory.machine_model import MachineIdentity
from rasura_agent.job import Job, JobOptions, prepare_job
from rasura_agent.live import screens
from rasura_agent.live.boot_facts import BootFacts, boot_line
from rasura_agent.live.boot_parameters import BootParameters, End, Language, PolicyUrl
from rasura_agent.live.courier import Courier
from rasura_agent.live.deciding import ask_decision
from rasura_agent.live.drive_news import DriveNews
from rasura_agent.live.handover import Asked, EndAsked, GivenUp, Phase, Withdrawn
from rasura_agent.live.host import NetworkPort
from rasura_agent.live.identity import Reception
from rasura_agent.live.intact import Integrity, IntegrityCheck
from rasura_agent.live.interrupting import interruptible
from rasura_agent.live.journals import LiveJournal, LiveProgress
from rasura_agent.live.keeper import Keeper
from rasura_agent.live.medium import Medium
from rasura_agent.live.policy_source import find_policy, known_policies
from rasura_agent.live.situation import Situation
from rasura_agent.live.terminal import Terminal
from rasura_agent.machine_claims import drives_by_identity
from rasura_agent.opener import DriveOpener
from rasura_agent.report_commands import with_latecomers
from rasura_agent.reporting import SeenAround
from rasura_agent.station import SigningStation
from rasura_agent.survey import Survey

__all__ = ["Session", "Station"]

_MOST_LINES = 12
"""Drives that progress is redrawn for; more would not fit on the screen."""
_RETRY_S = 5.0
_MOST_COUNTDOWNS = 5
_LOG = logging.getLogger("rasura.session")


class Station(msgspec.Struct, frozen=True):
    """The ports of a live station, and what was found out once at its start."""

    terminal: Terminal
    clock: Clock
    run: Path
    """The folder in memory for what must survive the agent, not the boot."""
    medium: Medium
    machine: MachineIdentity
    facts: BootFacts
    integrity: IntegrityCheck
    parameters: BootParameters
    survey: Callable[[Policy, DriveOpener | None], Survey]
    network: Callable[[], tuple[NetworkPort, ...]]
    suspender: Suspender
    end: Callable[[End], None]
    around: Callable[[Survey], SeenAround]
    """The machine around its drives, for the report."""
    watch: DriveWatch | None = None
    """Tells of drives that come and go."""
    second_s: float = 1.0
    """How long a second of waiting lasts; tests make it shorter."""


class Session:
    """One boot, led by a person or, armed, by itself."""

    def __init__(self, station: Station) -> None:
        self._station = station
        self._terminal = station.terminal
        self._parameters = station.parameters
        self._policy_asked: str | PolicyUrl | None = station.parameters.policy
        self._language = station.parameters.language
        self._news: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._drive_news = DriveNews()
        self._ended: dict[str, Outcome] = {}
        self._reported: dict[str, ReportedDrive] = {}
        self._earlier = EarlierJobs(station.run, LocalFiles())
        self._decision: Override | None = None
        self._damage_told = False
        self._over = False
        medium = station.medium
        self._keeper = Keeper(station.run / "certificates", lambda: _below(medium.folder, "certificates"))
        self._journal = LiveJournal(station.run / "journal", lambda: _below(medium.folder, "journal"))
        self._progress = LiveProgress(station.run / "journal", lambda: _below(medium.folder, "journal"))
        build = station.facts.build
        self._reception = Reception(
            station.parameters,
            build.build_hash if build is not None else None,
            station.clock,
            lambda: medium.folder,
            self._news.put,
            station.second_s,
        )
        self._courier = Courier(
            self._keeper, medium.look, self._reception.client, self._news.put, station.second_s
        )
        self._reception.start()

    def run(self) -> None:
        """Go on until the machine ends."""
        watch = self._station.watch
        with watch.listening(self._drive_news.put) if watch is not None else contextlib.nullcontext():
            if watch is not None and watch.problem is not None:
                self._news.put(watch.problem)
            self._lead()

    def _lead(self) -> None:
        armed = self._station.run / "armed"
        said = ""
        if self._parameters.armed and not armed.exists():
            # Once a boot: who restarts the agent after a crash is there, and decides afresh.
            with contextlib.suppress(OSError):
                armed.touch()
            said = self._by_itself()
        self._attended(said)

    # What is the matter

    def _look(self) -> Situation:
        """Ask everything afresh."""
        station = self._station
        self._drive_news.take_note()
        station.medium.look()
        policy, policy_problem = self._policy()
        reception = self._reception
        reception.attempt()
        usual = load_policy(BUILT_IN[0])
        opener = self._opener(policy) if policy is not None else None
        try:
            found = station.survey(policy or usual, opener)
        except RasuraError as error:
            found = Survey((), (), (_sentence(error),), ())
        _LOG.info("drives: %s", ", ".join(plan.drive.path for plan in found.plans) or "none")
        return Situation(
            machine=station.machine,
            facts=station.facts,
            integrity=station.integrity.found,
            ports=station.network(),
            stick=station.medium.description,
            stick_notes=station.medium.notes,
            registry=reception.registry,
            site=reception.site,
            site_obstacle=reception.obstacle,
            policy=policy,
            policy_problem=policy_problem,
            survey=found,
            handover=self._keeper.state,
            ended=dict(self._ended),
            waiting=self._keeper.waiting(),
        )

    def _opener(self, policy: Policy) -> DriveOpener:
        return DriveOpener(self._station.clock, self._journal, policy, progress=self._progress)

    def _policy(self) -> tuple[Policy | None, str | None]:
        try:
            return find_policy(self._policy_asked, self._station.medium.folder), None
        except PolicyError as error:
            return None, _sentence(error)

    # Led by a person

    def _attended(self, said: str) -> None:
        while not self._over:
            situation = self._look()
            self._draw(situation, said)
            answer = self._terminal.line("> ", self._told).casefold()
            if answer.isascii() and answer.isdecimal():
                said = self._asked_to_erase(situation, int(answer[:9]))
            else:
                said = self._asked(situation, answer)

    def _asked(self, situation: Situation, answer: str) -> str:
        """Do what one of the menu's letters says; returns what is to be said of it."""
        actions: dict[str, Callable[[], str]] = {
            "": lambda: "",
            "l": lambda: "",
            "d": lambda: self._details(situation),
            "o": self._choose_policy,
            "s": self._send,
            "m": lambda: self._decide(situation),
            "f": self._other_language,
            "p": lambda: self._leave(End.POWEROFF),
            "r": lambda: self._leave(End.REBOOT),
        }
        if situation.is_sealed:
            actions["k"] = self._open_site
        if situation.survey.frozen:
            actions["z"] = self._sleep
        action = actions.get(answer)
        if action is None:
            return _("{answer} is no answer here").format(answer=fact(answer[:20]))
        return action()

    def _draw(self, situation: Situation, said: str = "") -> None:
        terminal = self._terminal
        width = terminal.width
        terminal.clear()
        parts = [
            screens.header(situation, width),
            screens.drives_screen(situation, width),
            screens.only_in_memory(situation.handover, width),
            screens.menu(situation, width),
            self._drive_news.said(width, said),
        ]
        terminal.show("\n\n".join(part for part in parts if part))

    def _told(self) -> str | None:
        """What happened beside the screen since it was drawn; an empty text has it drawn anew."""
        lines, afresh = [], False
        with contextlib.suppress(queue.Empty):
            while True:
                told = self._news.get_nowait()
                afresh |= not told
                lines += [fact(told)] if told else []
        if self._station.integrity.found is Integrity.DAMAGED and not self._damage_told:
            self._damage_told = True
            lines.append(_("THIS RASURA IS DAMAGED: DO NOT ERASE WITH IT"))
        if self._drive_news.is_waiting:
            # The list of drives is not true any more: it is drawn anew, and all of this with it.
            self._drive_news.keep(*lines)
            return ""
        return "\n".join(wrapped(f"*** {line}", self._terminal.width) for line in lines) or (
            "" if afresh else None
        )

    def _details(self, situation: Situation) -> str:
        self._terminal.clear()
        self._terminal.show(boot_line(situation.facts) + "\n")
        self._terminal.show(wrapped(plan_table(situation.survey.plans), self._terminal.width, "      "))
        self._wait()
        return ""

    def _send(self) -> str:
        self._courier.hurry()
        return _("certificates are being sent")

    def _other_language(self) -> str:
        self._language = Language.EN if self._language is Language.FR else Language.FR
        use(self._language)
        return ""

    def _wait(self) -> None:
        self._terminal.line("\n" + _("[Enter] go on") + " ", lambda: self._told() or None)

    def _choose_policy(self) -> str:
        names = known_policies(self._station.medium.folder)
        for number, name in enumerate(names, 1):
            self._terminal.show(f"  {number}  {fact(name)}")
        answer = self._terminal.line(_("Number of the policy:") + " ", self._told)
        if not (answer.isascii() and answer.isdecimal() and 1 <= int(answer[:9]) <= len(names)):
            return _("the policy stays as it was")
        self._policy_asked = names[int(answer) - 1]
        return ""

    def _open_site(self) -> str:
        passphrase = self._terminal.secret(_("Passphrase of the site's key:") + " ")
        if passphrase:
            self._reception.open_site(passphrase)
        obstacle = self._reception.obstacle
        return obstacle.sentence if obstacle is not None else ""

    def _decide(self, situation: Situation) -> str:
        """A person decides what becomes of the machine; the report says so, and who it was."""
        decided = ask_decision(self._terminal, self._told, self._parameters.operator)
        if isinstance(decided, str):
            return decided
        self._decision = decided
        signs = self._reception.station()
        if signs is None or situation.policy is None:
            return _("the next machine report says so")
        job, _notes = self._job(signs, situation.policy)
        handed = self._report(job, left_alone(situation.survey.plans, "only looked at"), situation.survey)
        self._courier.hurry()
        self._terminal.show(screens.report_lines(handed, self._terminal.width))
        self._wait()
        return ""

    def _sleep(self) -> str:
        self._terminal.show(_("The machine sleeps for a few seconds now."))
        try:
            self._station.suspender.suspend()
        except SuspendError as error:
            return str(error)
        return _("the machine slept, and the drives were asked again")

    def _asked_to_erase(self, situation: Situation, number: int) -> str:
        """Erase if ``number`` is right; returns why not."""
        if situation.obstacles:
            return _("nothing can be erased now")
        if number == 0 or not situation.runnable:
            return _("nothing was erased")
        if self._drive_news.is_waiting:
            return _("nothing was erased: the drives have changed, look at them again")
        try:
            self._erase(situation, number)
        except RasuraError as error:
            return _sentence(error)
        self._wait()
        return ""

    def _leave(self, how: End) -> str:
        """Switch off or restart, if nothing is lost by it or a person accepts the loss."""
        state = self._keeper.note(EndAsked(Asked.BY_PERSON))
        if state.phase is Phase.WORD_ASKED:
            # Translators: one word in capitals that nobody types by mistake.
            word = _("LOSE")
            self._terminal.show(screens.only_in_memory(state, self._terminal.width))
            question = _("To switch off all the same and lose them, type {word}:").format(word=word)
            if self._terminal.line(question + " ", self._told) == word:
                state = self._keeper.note(GivenUp())
        if state.phase is not Phase.ENDED:
            self._keeper.note(Withdrawn())
            return _("the machine stays on")
        return self._end(how)

    def _end(self, how: End) -> str:
        try:
            self._station.end(how)
        except RasuraError as error:
            self._keeper.note(Withdrawn())
            return _sentence(error)
        self._over = True
        return ""

    # Erasing

    def _erase(self, situation: Situation, number: int) -> None:
        """Erase ``number`` drives, and show what became of them.

        Raises:
            RasuraError: nothing was erased, and why.
        """
        terminal, policy = self._terminal, situation.policy
        terminal.show(_("The image is being checked.") if situation.integrity is Integrity.CHECKING else "")
        signs = self._reception.station()
        if self._station.integrity.wait() is Integrity.DAMAGED or policy is None or signs is None:
            raise RefusedError(_("nothing can be erased now"))
        confirmation = confirm_all(situation.survey.plans, number)
        job, notes = self._job(signs, policy)
        for note in notes:
            terminal.show(wrapped(_("note: {note}").format(note=fact(note)), terminal.width))
        _LOG.info("erases %s by %s", ", ".join(one.drive.path for one in confirmation.chosen), policy.name)
        terminal.show(_("Ctrl-C stops all drives in order."))
        redrawn = terminal.is_interactive and number <= _MOST_LINES
        with interruptible(job.stop) as stopped:
            outcomes = job.run(
                confirmation, TerminalProgress(terminal) if redrawn else PlainProgress(terminal)
            )
        for one in outcomes:
            if one.result is not None:
                self._ended[one.plan.drive.identity_sha256] = one.outcome
            _LOG.info("%s %s %s", one.outcome, one.plan.drive.path, one.reason or "")
        handed = None
        if any(one.certificate is not None for one in outcomes):
            every, whole = with_latecomers(
                outcomes, situation.survey, lambda: self._station.survey(policy, None)
            )
            handed = self._report(job, every, whole)
        self._courier.hurry()
        terminal.show("\n" + screens.results_screen(outcomes, situation.survey, terminal.width))
        terminal.show(screens.report_lines(handed, terminal.width) if handed is not None else "")
        terminal.show(screens.only_in_memory(self._keeper.state, terminal.width))
        if signal.SIGTERM in stopped:
            raise SystemExit(0)  # the system is going down, and the drives have ended in order

    def _job(self, signs: SigningStation, policy: Policy) -> tuple[Job, tuple[str, ...]]:
        build, parameters = self._station.facts.build, self._parameters
        options = JobOptions(
            location=parameters.location,
            lot=parameters.lot,
            property_numbers={},
            build=build.build_hash if build is not None else None,
        )
        opener = self._opener(policy)
        client, watch = self._reception.client(), self._station.watch
        return prepare_job(signs, policy, options, self._keeper, client, opener, watch, self._earlier)

    def _report(self, job: Job, outcomes: tuple[DriveOutcome, ...], survey: Survey) -> Handed:
        """Sign the machine report; what earlier jobs of this boot did is in it."""
        seen = self._station.around(survey)
        earlier = self._earlier.of(plan.drive for plan in survey.plans) | self._reported
        handed = job.report(outcomes, replace(seen, earlier=earlier, decision=self._decision))
        claims = handed.bundle.claims
        if isinstance(claims, MachineReport):
            self._reported |= drives_by_identity(claims)
        return handed

    # Led by what was asked at boot

    def _by_itself(self) -> str:
        """Erase everything without a person, and end as asked; returns what is to be said if it does not.

        Any key, at any time but while drives are being erased, hands over to the person who pressed it.
        """
        situation = self._ready_and_counted_down()
        if situation is None:
            return _("stopped by a key: nothing was erased")
        if situation.runnable:
            try:
                self._erase(situation, situation.runnable)
            except RasuraError as error:
                return _sentence(error)
        if self._parameters.end is End.WAIT:
            self._wait()
            return ""
        if not self._handed_over():
            return _("stopped by a key: the machine stays on")
        return self._end(self._parameters.end)

    def _ready_and_counted_down(self) -> Situation | None:
        """What is to be erased once nobody has stopped it; ``None`` once a key was pressed.

        A drive that comes or goes meanwhile has the count begin afresh: who stands there shall have seen
        what is erased. One that does so again and again stops counting.
        """
        for _again in range(_MOST_COUNTDOWNS):
            situation = self._ready()
            if situation is None or not self._counted_down(situation):
                return None
            if not self._drive_news.is_waiting:
                return situation
        return situation

    def _ready(self) -> Situation | None:
        """Wait until everything is there that an erasure needs; ``None`` once a key was pressed."""
        slept, drawn = False, None
        while True:
            situation = self._look()
            if not situation.obstacles:
                if not situation.survey.frozen or slept:
                    return situation
                slept = True
                self._terminal.show(self._sleep())
                continue
            if situation != drawn:
                drawn = situation
                self._draw(situation)
                self._terminal.show(_("Armed: waits for what is missing. Any key stops it."))
            if situation.is_sealed:
                self._open_site()
                obstacle = self._reception.obstacle
                if obstacle is not None and obstacle.is_sealed:
                    return None
                continue
            with self._terminal.keys(forget=False) as pressed:
                if pressed(_RETRY_S * self._station.second_s):
                    return None

    def _counted_down(self, situation: Situation) -> bool:
        terminal = self._terminal
        self._draw_armed(situation)
        with terminal.keys() as pressed:
            for left in range(self._parameters.countdown_s, 0, -1):
                if terminal.is_interactive or left % 10 == 0:
                    words = _("Starts in {seconds} s. ANY KEY STOPS IT.").format(seconds=left)
                    terminal.write(f"\r{words} \x1b[K" if terminal.is_interactive else f"{words}\n")
                if pressed(self._station.second_s):
                    return False
                if self._drive_news.is_waiting:
                    break
        terminal.show()
        return True

    def _draw_armed(self, situation: Situation) -> None:
        terminal = self._terminal
        terminal.clear()
        lines = [_("THIS MACHINE ERASES ALL ITS DRIVES BY ITSELF")]
        if not situation.runnable:
            lines.append(_("0 drives can be erased: nothing will be done"))
        parts = [
            screens.header(situation, terminal.width),
            screens.drives_screen(situation, terminal.width),
            screens.problems_box(lines, terminal.width),
            self._drive_news.said(terminal.width),
        ]
        terminal.show("\n\n".join(parts))

    def _handed_over(self) -> bool:
        """Wait until no certificate is in this machine's memory alone; false once a key was pressed."""
        state = self._keeper.note(EndAsked(Asked.AT_BOOT))
        shown = 0
        with self._terminal.keys() as pressed:
            while state.phase is not Phase.ENDED:
                if len(state.in_memory_only) != shown:
                    shown = len(state.in_memory_only)
                    self._terminal.show(screens.only_in_memory(state, self._terminal.width))
                told = self._told()
                if told:
                    self._terminal.show(told)
                if pressed(self._station.second_s):
                    self._keeper.note(Withdrawn())
                    return False
                state = self._keeper.state
        return True


def _below(folder: Path | None, name: str) -> Path | None:
    return None if folder is None else folder / name


def _sentence(error: RasuraError) -> str:
    return str(error) if error.hint is None else f"{error} ({error.hint})"
