"""What a person reads: everything that matters, in 80 columns, in both languages."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from msgspec.structs import replace

from rasura.certificate import Outcome
from rasura_agent.confirm import DriveOutcome
from rasura_agent.console.language import use
from rasura_agent.erase.plan import plan_drive
from rasura_agent.guard import Refusal, RefusalReason
from rasura_agent.inventory.behind_raid import HiddenDrive
from rasura_agent.inventory.machine_model import MachineIdentity
from rasura_agent.live import screens
from rasura_agent.live.boot_facts import BootFacts, Build, Firmware
from rasura_agent.live.boot_parameters import BootFrom, Entry
from rasura_agent.live.handover import Handover, Refused, Signed, Stored
from rasura_agent.live.host import NetworkPort
from rasura_agent.live.intact import Integrity
from rasura_agent.live.situation import Obstacle, Situation
from rasura_agent.survey import Survey
from simulators.block import simulated_drive
from simulators.signing import NO_MACHINE, TrustWorld, overwrite_policy

WIDTH = 79


@pytest.fixture(params=["en", "fr"])
def language(request: pytest.FixtureRequest) -> Iterator[str]:
    use(request.param)
    yield request.param
    use("en")


def survey(number: int = 2) -> Survey:
    policy = overwrite_policy()
    drives = [
        simulated_drive(
            512_110_190_592,
            path=f"/dev/nvme{index}n1",
            manufacturer="Manufacturer of Long Names",
            model="SOLID STATE DRIVE 5000 PRO EVO PLUS",
            serial=f"S3Z2NB0K12345678{index:04}",
        )
        for index in range(number)
    ]
    refused = Refusal(
        RefusalReason.MOUNTED, "/dev/sdz is mounted at /home (through sdz1): unmount it with 'umount'"
    )
    plans = [plan_drive(drive, policy, ()) for drive in drives]
    plans.append(plan_drive(simulated_drive(1 << 30, path="/dev/sdz"), policy, (refused,)))
    return Survey(tuple(plans), (HiddenDrive("/dev/bus/0", "megaraid,3"),), ("power: plug it in",), ())


def situation(**changes: Any) -> Situation:
    build = Build("0.2", "c0ffee", "sha256:" + "ab" * 32, {})
    plain = Situation(
        machine=MachineIdentity("Dell Inc.", "OptiPlex 7050", "ABC1234", None, None),
        facts=BootFacts(
            build, Firmware.UEFI, True, "integrity", "6.12", 8192, BootFrom.NETWORK, Entry.NORMAL
        ),
        integrity=Integrity.INTACT,
        ports=(
            NetworkPort("enp1s0", ("192.168.1.20",), linked=True),
            NetworkPort("enp2s0", (), linked=False),
        ),
        stick="/dev/sdb4, 12 GB free",
        stick_notes=(),
        registry="https://registry.example",
        site="Workshop",
        site_obstacle=None,
        policy=overwrite_policy(),
        policy_problem=None,
        survey=survey(),
    )
    return replace(plain, **changes)


def whole(one: Situation) -> str:
    parts = (
        screens.header(one, WIDTH),
        screens.drives_screen(one, WIDTH),
        screens.only_in_memory(one.handover, WIDTH),
        screens.menu(one, WIDTH),
    )
    text = "\n".join(parts)
    long = [line for line in text.splitlines() if len(line) > WIDTH]
    assert not long, long
    assert all(line.replace("\N{NO-BREAK SPACE}", " ").isprintable() for line in text.splitlines())
    return text


def test_a_usual_machine_fits_on_one_screen(language: str) -> None:
    text = whole(situation())
    assert len(text.splitlines()) <= 24
    assert "2 " in text
    for fact in (
        "192.168.1.20",
        "/dev/sdb4",
        "Workshop",
        "UEFI",
        "Secure Boot",
        "/dev/nvme0n1",
        "/dev/sdz is mounted",
    ):
        assert fact in text
    assert "UNHANDLED" in text


@pytest.mark.usefixtures("_french")
def test_in_french() -> None:
    text = whole(situation(survey=replace(survey(), frozen=("/dev/sda",))))
    assert "TOUTES LEURS DONNÉES SERONT PERDUES" in text
    assert "2 disques seraient effacés, 1 laissés." in text
    assert "LOST" not in text


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"integrity": Integrity.DAMAGED}, "do not erase with it"),
        ({"policy": None, "policy_problem": "the policy x is away"}, "the policy x is away"),
        ({"site": None, "site_obstacle": Obstacle("there is no site folder")}, "there is no site folder"),
    ],
)
def test_what_keeps_from_erasing_is_said_instead_of_how(changes: dict[str, Any], said: str) -> None:
    one = situation(**changes)
    text = screens.menu(one, WIDTH)
    assert said in " ".join(text.split())
    assert "type the number" not in text
    assert one.obstacles


def test_a_machine_without_drives(language: str) -> None:
    text = whole(situation(survey=Survey((), (), (), ())))
    assert "AHCI" in text
    assert "(0)" not in text


def test_sixteen_drives_alike_take_one_line_each() -> None:
    text = screens.drives_screen(situation(survey=survey(16)), WIDTH)
    assert len(text.splitlines()) <= 16 + 9
    assert "1, 2, 3, 4" in text


def test_what_is_in_memory_only_is_said_in_both_languages(language: str) -> None:
    handover = (
        Handover().after(Signed("a")).after(Signed("b")).after(Stored("b")).after(Refused("a", "revoked"))
    )
    text = whole(situation(handover=handover))
    assert "1 CERTIFICATE IN THE MEMORY OF THIS MACHINE ONLY" in text
    assert "1 CERTIFICAT DANS LA SEULE MÉMOIRE DE CETTE MACHINE" in text
    assert "NE L’ÉTEIGNEZ PAS" in text  # noqa: RUF001  the apostrophe of French typography
    assert "revoked" in text
    assert screens.only_in_memory(Handover().after(Signed("a")).after(Stored("a")), WIDTH) == ""


def test_results_say_the_place_of_each_certificate(language: str) -> None:
    bundle = TrustWorld().bundle()
    plans = survey().plans
    outcomes = (
        DriveOutcome(
            plans[1], Outcome.FAILED, "the drive is gone", certificate=bundle, problems=("no stick",)
        ),
        DriveOutcome(plans[0], Outcome.UNKNOWN, "it does not answer"),
        DriveOutcome(plans[2], Outcome.REFUSED, "it is mounted"),
    )
    text = screens.results_screen(outcomes, survey(), WIDTH)
    lines = text.splitlines()
    assert all(len(line) <= WIDTH for line in lines)
    order = [text.index(word) for word in ("UNKNOWN", "FAILED", "REFUSED", "UNHANDLED")]
    assert order == sorted(order)
    assert bundle.certificate_id in text
    assert ("NOT WRITTEN TO DISK" if language == "en" else "PAS ÉCRIT SUR DISQUE") in text


def test_hostile_names_move_no_cursor() -> None:
    evil = simulated_drive(1 << 30, model="X\x1b[2J\n", serial="\u202eABC")
    plans = (plan_drive(evil, overwrite_policy(), ()),)
    one = situation(
        survey=Survey(plans, (), ("\x1b]0;\x07",), ()),
        machine=replace(NO_MACHINE, manufacturer="\x1b[31m"),
        site="a\nb",
        ports=(NetworkPort("e\x1b", (), linked=True),),
    )
    assert "\x1b" not in whole(one)


def test_bad_boot_parameters(language: str) -> None:
    text = screens.parameter_problems(("rasura.polcy is no parameter", "x" * 200), WIDTH)
    assert "rasura.polcy" in text
    assert "[p]" in text
