"""How numbers and claims are said, and that no residual risk of the agent's is unknown in French."""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rasura.language import Language, Tongue
from rasura.show import claims_text
from rasura.signed_sentences import told
from rasura_agent.erase.plan import plan_drive, residual_risks
from rasura_agent.erase.scheme import RANDOM, ZERO
from rasura_agent.inventory.model import Transport
from simulators import paper
from simulators.block import simulated_drive
from simulators.signing import TrustWorld, overwrite_policy

ENGLISH, FRENCH = Tongue(Language.ENGLISH), Tongue(Language.FRENCH)
NARROW, WIDE = "\N{NARROW NO-BREAK SPACE}", "\N{NO-BREAK SPACE}"


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
        way = replace(plan_drive(simulated_drive(1 << 20), overwrite_policy(), ()).chosen[0], passes=passes)
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
@pytest.mark.parametrize("kind", [paper.hdd, paper.ssd, paper.partial])
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


def test_text_of_the_world_moves_no_cursor() -> None:
    bundle = paper.hdd(TrustWorld(), "\x1b[2Jevil")
    assert "\x1b" not in claims_text(bundle.certificate)
