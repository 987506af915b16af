"""How numbers and claims are said, and that no residual risk of the agent's is unknown in French."""

from __future__ import annotations

import ast
import itertools
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from rasura.envelope import sign
from rasura.language import Language, Tongue
from rasura.machine_report import MachineReport
from rasura.show import claims_text, tell, telling_text
from rasura.signed_sentences import told
from rasura_agent.erase.plan import plan_drive, residual_risks
from rasura_agent.erase.scheme import RANDOM, ZERO
from rasura_agent.inventory.model import Transport
from simulators import paper
from simulators.block import simulated_drive
from simulators.signing import TrustWorld, overwrite_policy

ENGLISH, FRENCH = Tongue(Language.ENGLISH), Tongue(Language.FRENCH)
NARROW, WIDE = "\N{NARROW NO-BREAK SPACE}", "\N{NO-BREAK SPACE}"


@pytest.fixture(scope="module")
def world() -> TrustWorld:
    return TrustWorld()


def test_numbers() -> None:
    assert ENGLISH.bytes(500107862016) == "500,107,862,016 bytes"
    assert FRENCH.bytes(1234567).replace(NARROW, "_") == "1_234_567 octets"
    assert ENGLISH.bytes(1) == "1 byte"
    assert FRENCH.bytes(0) == "0 octet"
    assert ENGLISH.size(500107862016) == f"500.1{WIDE}GB"
    assert FRENCH.size(500107862016) == f"500,1{WIDE}Go"
    assert ENGLISH.size(512) == f"512{WIDE}B"
    assert ENGLISH.duration(999) == f"1.0{WIDE}s"
    assert ENGLISH.duration(61_000) == f"1{WIDE}min 01{WIDE}s"
    assert ENGLISH.duration(7_380_000) == f"2{WIDE}h 03{WIDE}min"
    assert ENGLISH.moment("2026-01-01T02:42:12Z") == "2026-01-01 02:42:12 UTC"
    assert ENGLISH.moment("yesterday") == "yesterday"


@given(st.integers(0, 2**53), st.integers(1, 2**53))
def test_a_share_never_says_all_or_nothing_wrongly(part: int, whole: int) -> None:
    said = ENGLISH.share(min(part, whole), whole)
    assert (said == f"100{WIDE}%") == (part >= whole)
    assert (said == f"0{WIDE}%") == (part == 0)


@given(st.integers(0, 2**53))
def test_sizes_of_any_number(value: int) -> None:
    assert ENGLISH.size(value)
    assert FRENCH.duration(value)


@pytest.mark.parametrize("direct", [True, False])
@pytest.mark.parametrize("examined", [True, False])
def test_every_risk_of_a_plan_is_known_in_french(direct: bool, examined: bool) -> None:
    for transport, rotational, removable, passes in itertools.product(
        Transport, (True, False, None), (True, False), ((ZERO,), (RANDOM,))
    ):
        drive = simulated_drive(1 << 20, transport=transport, rotational=rotational, removable=removable)
        planned = plan_drive(simulated_drive(1 << 20), overwrite_policy(), ())
        way = replace(planned.chosen[0], passes=passes)
        for risk in residual_risks(drive, way, direct=direct, examined=examined):
            assert "«" not in told(risk, FRENCH), risk
            assert told(risk, ENGLISH)[0].isupper()


def test_what_is_not_known_is_quoted_as_signed() -> None:
    assert told("the dog ate it", FRENCH) == f"«{WIDE}the dog ate it{WIDE}»"
    assert told("the dog ate it", ENGLISH) == "the dog ate it"
    assert (
        told("hidden-areas: the HPA is there: 8 sectors", FRENCH) == f"La zone HPA est là{WIDE}: 8 sectors."
    )
    assert "{detail}" in told("hidden-areas: the HPA is there: {detail}", FRENCH)


@pytest.mark.parametrize("tongue", [ENGLISH, FRENCH], ids=["en", "fr"])
@pytest.mark.parametrize("kind", [paper.hdd, paper.schemed, paper.ssd, paper.partial])
def test_every_fact_is_told(kind: object, tongue: Tongue) -> None:
    bundle = kind(TrustWorld())  # type: ignore[operator]
    text = claims_text(bundle.certificate, tongue)
    drive = bundle.certificate.drive
    for fact in (bundle.certificate_id, drive.serial, drive.model, "MAIRIE-0417", "trainee-7"):
        assert fact in text
    assert "\\x" not in text
    erased = "ERASED" if tongue is ENGLISH else "EFFACÉ"
    negated = "NOT ERASED" if tongue is ENGLISH else "NON EFFACÉ"
    assert (negated in text) == (kind is paper.partial)
    assert erased in text


def test_passes_and_their_readers_are_told() -> None:
    claims = paper.schemed(TrustWorld()).certificate
    text = claims_text(claims)
    for said in (
        "The whole drive, 500,107,862,016 bytes, was overwritten 4 times",
        ": 2 × random data (AES-256-CTR), then bytes 92h 49h 24h, then zeroes.",  # noqa: RUF001
        "250,053,931,008 bytes were zeroed by the drive itself",
        "Each of the 4 passes was read back in full.",
        "A second process read it back",
        "house-scheme",
        "zeroes: 500,107,862,016 bytes (250,053,931,008 bytes by Write Zeroes)",
        "500,107,862,016 of 500,107,862,016 bytes, by a second process",
        "passes read back  4 of 4",
    ):
        assert said in text, said
    fewer = replace(claims, verification=replace(claims.verification, passes_read_back=1))
    assert "Passes read back in full: 1 of 4." in claims_text(fewer)
    for said in ("2 × des données aléatoires", "Write Zeroes", "house-scheme", "par un second processus"):  # noqa: RUF001
        assert said in claims_text(claims, FRENCH), said


def test_one_pass_says_no_more_than_one() -> None:
    text = claims_text(paper.hdd(TrustWorld()).certificate)
    assert "was overwritten with random data (AES-256-CTR)." in text
    for absent in ("times", "second process", "Write Zeroes", "passes was"):
        assert absent not in text, absent


def test_an_interruption_is_told() -> None:
    claims = paper.hdd(
        TrustWorld(),
        result__resumed={
            "firstStartedAt": "2026-01-01T00:00:00Z",
            "interruptions": [
                {"step": 1, "position": 4096, "bytesWritten": 4096},
                {"step": 2, "position": 0, "bytesWritten": 0},
            ],
            "bytesBefore": paper.HDD_BYTES,
            "bytesNow": 0,
            "durationBeforeMs": 1000,
            "checkedBytes": 0,
            "refusedBefore": [],
        },
    ).certificate
    text = claims_text(claims)
    assert "interrupted 2 times and went on where it was" in text
    assert "in pass 1 at byte 4,096; in verification, which began again at byte 0" in text
    assert "500,107,862,016 bytes were written before the last interruption, 0 bytes after it" in text


def test_what_this_version_cannot_read_is_named(world: TrustWorld) -> None:
    bundle = world.logged(paper.hdd(world))
    statement = json.loads(bundle.envelope.payload)
    statement["predicate"]["drive"]["colour\x1b"] = "red"
    statement["predicate"]["weather"] = "fine"
    envelope = sign(json.dumps(statement).encode(), ec.generate_private_key(ec.SECP256R1()))
    strange = replace(bundle, envelope=envelope)
    for tongue, said in (
        (ENGLISH, "which is not known here and not shown"),
        (FRENCH, "pas connu ici et pas montré"),
    ):
        text = telling_text(tell(strange, tongue), tongue)
        assert said in text
        assert "predicate.drive.colour\\x1b" in text
        assert "predicate.weather" in text
    assert "of a log, attached" in telling_text(tell(bundle, ENGLISH), ENGLISH)
    unlogged = telling_text(tell(bundle.with_receipt(None), ENGLISH), ENGLISH)
    assert "this certificate is in no log yet" in unlogged
    assert "of a log, attached" not in unlogged


def test_whose_certificate_it_is_stands_in_a_report(world: TrustWorld) -> None:
    drive = paper.reported(paper.hdd(world))
    assert drive.certificate is not None
    named = replace(drive.certificate, station="station-of-this-morning")
    report = paper.machine(world, replace(drive, certificate=named)).claims
    assert isinstance(report, MachineReport)
    assert f"{named.id}, of station-of-this-morning" in claims_text(report)
    assert f"{named.id}, de station-of-this-morning" in claims_text(report, FRENCH)


def risks_in_the_source() -> Iterator[str]:
    """Sentences of the agent's source that begin with the code of a residual risk."""
    codes = ("boot-copies: ", "hidden-areas: ", "psid-revert: ", "resumed: ", "rpmb: ", "sampled: ")
    for path in sorted((Path(__file__).parents[2] / "agent/rasura_agent").rglob("*.py")):
        nodes = list(ast.walk(ast.parse(path.read_text("utf-8"))))
        inner = {id(part) for one in nodes if isinstance(one, ast.JoinedStr) for part in one.values}
        for node in nodes:
            if id(node) in inner:
                continue
            parts = node.values if isinstance(node, ast.JoinedStr) else [node]
            text = "".join(str(one.value) if isinstance(one, ast.Constant) else "{}" for one in parts)
            if text.startswith(codes) and text.partition(": ")[2] not in {"", "{}"}:
                yield text.replace("{}", "17")


def test_every_risk_in_the_source_is_known_in_french() -> None:
    found = set(risks_in_the_source())
    assert len(found) >= 9
    for risk in found:
        assert "«" not in told(risk, FRENCH), risk


def test_text_of_the_world_moves_no_cursor() -> None:
    bundle = paper.hdd(TrustWorld(), "\x1b[2Jevil")
    assert "\x1b" not in claims_text(bundle.certificate)
