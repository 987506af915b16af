"""The screens of a live station as text, for 80 columns and any terminal; pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from rasura import __version__
from rasura.certificate import Outcome
from rasura.machine_report import MachineReport
from rasura_agent.confirm import DriveOutcome
from rasura_agent.console.health_screen import claimed_proposal_lines
from rasura_agent.console.language import _, counted_in, ngettext, said_in
from rasura_agent.console.screens import interrupted_words, plan_count, way_estimate
from rasura_agent.console.words import aligned, fact, how, outcome_word, shortened, size, wrapped
from rasura_agent.erase.plan import DrivePlan
from rasura_agent.handing import Handed
from rasura_agent.live.boot_facts import BootFacts, Firmware
from rasura_agent.live.boot_parameters import BootFrom, Language
from rasura_agent.live.handover import Handover
from rasura_agent.live.host import NetworkPort
from rasura_agent.live.intact import Integrity
from rasura_agent.live.situation import Situation
from rasura_agent.survey import Survey

__all__ = [
    "drives_screen",
    "header",
    "menu",
    "only_in_memory",
    "parameter_problems",
    "problems_box",
    "results_screen",
    "title_line",
]

_PATH_COLUMNS, _MODEL_COLUMNS, _SERIAL_COLUMNS = 14, 20, 15
_DEEP = "          "


def title_line(situation: Situation, width: int) -> str:
    """What this is and on which machine."""
    machine = situation.machine
    words = [f"RASURA {__version__}", " ".join(one for one in (machine.manufacturer, machine.model) if one)]
    if machine.serial:
        words.append(_("serial {serial}").format(serial=machine.serial))
    return shortened(fact("   ".join(word for word in words if word)), width)


def header(situation: Situation, width: int) -> str:
    """The state of the station in one line each."""
    rows = [
        (_("Image"), _image(situation.facts, situation.integrity)),
        (_("Network"), _network(situation.ports)),
        (_("Stick"), situation.stick or _("NONE: certificates stay in memory until the registry has them")),
        (_("Registry"), fact(situation.registry) if situation.registry else _("none is known")),
        (_("Site"), fact(situation.site) if situation.site else _("none yet")),
        (_("Policy"), _policy(situation)),
    ]
    if situation.waiting:
        sentence = ngettext(
            "{number} certificate is not logged yet",
            "{number} certificates are not logged yet",
            situation.waiting,
        )
        rows.append((_("Waiting"), sentence.format(number=situation.waiting)))
    lines = [title_line(situation, width)]
    lines += [wrapped(line, width, _DEEP) for line in aligned(rows).splitlines()]
    notes = (*situation.stick_notes, *situation.survey.notes)
    lines += [wrapped(_("note: {note}").format(note=fact(note)), width, _DEEP) for note in notes]
    return "\n".join(lines)


def _image(facts: BootFacts, integrity: Integrity) -> str:
    state = {
        Integrity.CHECKING: _("being checked"),
        Integrity.INTACT: _("intact"),
        Integrity.DAMAGED: _("DAMAGED: DO NOT ERASE WITH IT"),
        Integrity.NOT_AN_IMAGE: _("not an image build"),
    }[integrity]
    words = [state]
    if facts.build is not None:
        words.append(fact(facts.build.build_hash[:19]) + "…")
    words.append("UEFI" if facts.firmware is Firmware.UEFI else "BIOS")
    if facts.secure_boot is not None:
        words.append(_("Secure Boot on") if facts.secure_boot else _("Secure Boot off"))
    if facts.boot_from is not None:
        words.append(_("from the network") if facts.boot_from is BootFrom.NETWORK else _("from a medium"))
    return ", ".join(words)


def _network(ports: tuple[NetworkPort, ...]) -> str:
    if not any(port.addresses for port in ports):
        states = [_("{port} without an address").format(port=fact(port.name)) for port in ports]
        return ", ".join([_("NONE: certificates stay on the stick"), *states])
    return ", ".join(f"{fact(port.name)} {' '.join(port.addresses)}" for port in ports if port.addresses)


def _policy(situation: Situation) -> str:
    if situation.policy is None:
        return _("none that could be used")
    return f"{fact(situation.policy.name)} ({situation.policy.method})"


def drives_screen(situation: Situation, width: int) -> str:
    """The drives in one line each, then what would be done to them, then those out of reach."""
    survey = situation.survey
    if not survey.plans:
        sentence = _(
            "No drive was found. A RAID controller or Intel VMD/RST may hide them: "
            "set it to AHCI or HBA mode in the firmware."
        )
        return "\n".join([wrapped(sentence, width), *_hidden(survey, width)])
    rows = [("", _("DRIVE"), _("MODEL"), _("SERIAL"), _("SIZE"), _("PLAN"))]
    for number, plan in enumerate(survey.plans, 1):
        drive = plan.drive
        model = " ".join(part for part in (drive.manufacturer, drive.model) if part) or None
        if model is not None and len(model) > _MODEL_COLUMNS:
            model = drive.model or model
        rows.append(
            (
                str(number),
                shortened(fact(drive.path), _PATH_COLUMNS, keep_end=True),
                shortened(fact(model), _MODEL_COLUMNS),
                shortened(fact(drive.serial), _SERIAL_COLUMNS, keep_end=True),
                size(drive.capacity_bytes),
                _plan_word(plan, situation.ended),
            )
        )
    lines = [shortened(line, width) for line in aligned(rows).splitlines()]
    lines += ["", *(wrapped(line, width, "    ") for line in _groups(survey.plans))]
    lines += _hidden(survey, width)
    return "\n".join(lines)


def _plan_word(plan: DrivePlan, ended: Mapping[str, Outcome]) -> str:
    before = ended.get(plan.drive.identity_sha256)
    if before is not None:
        return outcome_word(before, bare=True)
    return str(plan.chosen[0].method) if plan.runnable else _("LEFT ALONE")


def _groups(plans: tuple[DrivePlan, ...]) -> Iterable[str]:
    """What is done to which drives, the drives by their numbers in the list."""
    groups: dict[str, list[int]] = {}
    for number, plan in enumerate(plans, 1):
        if plan.runnable:
            first = plan.chosen[0]
            text = f"{how(first)}, {way_estimate(first.estimate_s)}"
            groups.setdefault(text, []).append(number)
    for text, numbers in groups.items():
        yield f"  {', '.join(map(str, numbers))}: {text}"
    for number, plan in enumerate(plans, 1):
        if plan.interrupted is not None:
            yield f"  {number}: {interrupted_words(plan, plan.interrupted)}"
        reasons: list[str] = [refusal.sentence for refusal in plan.refusals]
        if not reasons and plan.unreachable is not None:
            reasons = [plan.unreachable]
        if reasons:  # the most serious one; the details have them all
            yield f"  {number}: {fact(reasons[0])}"


def _hidden(survey: Survey, width: int) -> list[str]:
    return [
        wrapped(f"{outcome_word(Outcome.UNHANDLED)} {fact(one.sentence)}", width, _DEEP)
        for one in survey.hidden
    ]


def menu(situation: Situation, width: int) -> str:
    """What a person can do now."""
    obstacles = situation.obstacles
    lines = []
    if obstacles:
        lines.append(_("NOTHING CAN BE ERASED NOW:"))
        lines += [wrapped(f"  - {fact(one)}", width, "    ") for one in obstacles]
    elif situation.runnable:
        lines.append(plan_count(situation.survey.plans))
        sentence = _(
            "ALL THEIR DATA WILL BE LOST. To erase, type the number of drives ({number}), then Enter."
        )
        lines.append(wrapped(sentence.format(number=situation.runnable), width))
    elif situation.survey.plans:
        lines.append(plan_count(situation.survey.plans))
    if situation.survey.frozen:
        sentence = _(
            "The firmware has frozen {drives}: z lets the machine sleep for a moment, which may free them."
        )
        drives = ", ".join(fact(path) for path in situation.survey.frozen)
        lines.append(wrapped(sentence.format(drives=drives), width))
    choices = [
        "[l] " + _("look again"),
        "[d] " + _("details"),
        "[o] " + _("other policy"),
        *(["[k] " + _("passphrase")] if situation.is_sealed else []),
        *(["[z] " + _("sleep")] if situation.survey.frozen else []),
        "[m] " + _("decide on the machine"),
        "[s] " + _("send certificates"),
        # Translators: the other language, in its own name.
        "[f] " + _("français"),
        "[r] " + _("restart"),
        "[p] " + _("power off"),
    ]
    lines.append(wrapped("  ".join(one.replace(" ", "\N{NO-BREAK SPACE}") for one in choices), width))
    return "\n".join(lines).replace("\N{NO-BREAK SPACE}", " ")


def results_screen(outcomes: tuple[DriveOutcome, ...], survey: Survey, width: int) -> str:
    """One word a drive, and what became of its certificate."""
    lines = []
    places = {plan.drive.path: place for place, plan in enumerate(survey.plans)}
    for one in sorted(outcomes, key=lambda outcome: places[outcome.plan.drive.path]):
        detail = ""
        if one.outcome is Outcome.ERASED:
            way = one.result.way if one.result is not None else None
            detail = how(way) if way is not None else ""
        elif one.reason:
            detail = fact(one.reason)
        drive = one.plan.drive
        named = f"{fact(drive.path)} ({fact(drive.serial)})"
        lines.append(wrapped(f"{outcome_word(one.outcome)}  {named}  {detail}".rstrip(), width, _DEEP))
        if one.certificate is not None:
            place = _("on the stick") if one.path is not None else _("NOT WRITTEN TO DISK")
            state = _("logged") if one.logged else _("NOT LOGGED YET")
            words = _("certificate {id}").format(id=one.certificate.certificate_id)
            lines += [f"{_DEEP}{words}", f"{_DEEP}{place}, {state}"]
        lines += [
            wrapped(_DEEP + _("note: {note}").format(note=fact(problem)), width, _DEEP)
            for problem in one.problems
        ]
    return "\n".join([*lines, *_hidden(survey, width)])


def report_lines(handed: Handed, width: int) -> str:
    """What became of the machine report."""
    place = _("on the stick") if handed.path is not None else _("NOT WRITTEN TO DISK")
    state = _("logged") if handed.logged else _("NOT LOGGED YET")
    lines = [
        _("machine report {id} ({state})").format(id=handed.bundle.certificate_id, state=f"{place}, {state}")
    ]
    claims = handed.bundle.claims
    if isinstance(claims, MachineReport) and claims.proposal is not None:
        lines += claimed_proposal_lines(claims.proposal)
    lines += [_("note: {note}").format(note=fact(problem)) for problem in handed.problems]
    return "\n".join(wrapped(line, width, _DEEP) for line in lines)


def only_in_memory(handover: Handover, width: int) -> str:
    """In large letters and in both languages: what is lost if the machine is switched off now."""
    names = handover.in_memory_only
    if not names:
        return ""
    parts = []
    for language in Language:
        count = counted_in(
            language,
            "{number} CERTIFICATE IN THE MEMORY OF THIS MACHINE ONLY",
            "{number} CERTIFICATES IN THE MEMORY OF THIS MACHINE ONLY",
            len(names),
        )
        what_to_do = said_in(
            language,
            "DO NOT SWITCH IT OFF. Plug in a stick with a RASURADATA partition, or connect the network "
            "of the registry. It goes on trying by itself.",
        )
        parts.append(f"{count.format(number=len(names))}\n{wrapped(what_to_do, width - 4)}")
    box = problems_box("\n\n".join(parts).splitlines(), width)
    refused = [custody.refused for custody in handover.certificates.values() if custody.refused]
    return "\n".join([box, *(wrapped(fact(reason), width) for reason in dict.fromkeys(refused))])


def problems_box(lines: Iterable[str], width: int) -> str:
    """Lines in a frame that is seen from afar."""
    bar = "#" * width
    return "\n".join([bar, *(f"##  {line}".rstrip() for line in lines), bar])


def parameter_problems(problems: tuple[str, ...], width: int) -> str:
    """The screen of a command line that is not understood."""
    lines = [
        problems_box([_("THE BOOT PARAMETERS ARE NOT UNDERSTOOD: NOTHING IS ERASED")], width),
        "",
        *(wrapped(f"  - {fact(problem)}", width, "    ") for problem in problems),
        "",
        wrapped(
            _("Correct them in the boot menu, or in the settings of the stick or the boot server."), width
        ),
        "",
        "[r] " + _("restart") + "  [p] " + _("power off"),
    ]
    return "\n".join(lines)
