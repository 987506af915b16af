"""Whatever smartctl prints, and however the table is asked: a stated result, never an exception."""

from __future__ import annotations

import json
from typing import Any

import msgspec
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rasura import strict_json
from rasura_agent.health.agree import agree
from rasura_agent.health.claims import health_claims
from rasura_agent.health.document import Document, parse_document
from rasura_agent.health.grade import Figure, Grade, grade, grade_table
from rasura_agent.health.model import Health, HealthReading, Protocol
from rasura_agent.health.text import read_text
from rasura_agent.health.words import reason_sentences

TABLE = grade_table()
NUMBERS = st.one_of(st.integers(-5, 300), st.integers(), st.integers(0, 2**64))
VALUES = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        NUMBERS,
        st.floats(allow_nan=False),
        st.text(st.characters(codec=None), max_size=20),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=8,
)


def sometimes(strategy: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.one_of(strategy, strategy, strategy, VALUES)


def member(**optional: Any) -> st.SearchStrategy[Any]:
    return sometimes(st.fixed_dictionaries({}, optional=optional))


def rows(row: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return member(table=sometimes(st.lists(row, max_size=4)))


WORDS = st.text(st.characters(codec=None), max_size=9)
"""Half characters (lone surrogates) too: an escape of JSON can name one."""
ROW = member(
    id=sometimes(st.integers(0, 256)),
    name=sometimes(st.sampled_from(["Total_LBAs_Written", "SSD_Life_Left", "Reallocated_Sector_Ct"])),
    value=sometimes(st.integers(0, 255)),
    worst=NUMBERS,
    thresh=NUMBERS,
    when_failed=sometimes(st.sampled_from(["", "now", "past"])),
    flags=member(prefailure=st.booleans()),
    raw=member(value=NUMBERS, string=st.text("0123456789x/( h)", max_size=40)),
)
TEST_ROW = member(
    type=member(string=WORDS),
    status=member(string=WORDS, passed=st.booleans()),
    self_test_result=member(string=WORDS),
    result=member(string=WORDS),
    lifetime_hours=NUMBERS,
)
DOCUMENTS = st.fixed_dictionaries(
    {"device": member(protocol=st.sampled_from(["ATA", "NVMe", "SCSI"]), type=WORDS)},
    optional={
        "smart_status": member(passed=st.booleans()),
        "ata_smart_attributes": rows(ROW),
        "nvme_smart_health_information_log": member(
            critical_warning=NUMBERS,
            media_errors=NUMBERS,
            percentage_used=NUMBERS,
            data_units_written=NUMBERS,
        ),
        "nvme_self_test_log": rows(TEST_ROW),
        "ata_smart_self_test_log": member(extended=rows(TEST_ROW)),
        "ata_smart_data": VALUES,
        "ata_device_statistics": VALUES,
        "scsi_self_test_0": TEST_ROW,
        "scsi_grown_defect_list": NUMBERS,
        "scsi_error_counter_log": VALUES,
        "power_on_time": member(hours=NUMBERS),
        "temperature": member(current=NUMBERS),
        "smartctl": member(messages=sometimes(st.lists(member(string=WORDS), max_size=2))),
        "smart_support": VALUES,
        "logical_block_size": NUMBERS,
    },
)


@given(st.binary(max_size=300))
def test_bytes(raw: bytes) -> None:
    assert isinstance(parse_document(raw), str | Document)


@given(st.text('[]{}":,0123456789aetruflsn\\u ', max_size=60))
def test_what_looks_like_json(text: str) -> None:
    assert isinstance(parse_document(text.encode()), str | Document)


def test_deep_json_and_endless_numbers() -> None:
    assert isinstance(parse_document(b"[" * 200_000), str)
    assert isinstance(parse_document(b'{"a":' * 100_000), str)
    assert isinstance(parse_document(b'{"power_on_time":{"hours":' + b"9" * 6000 + b"}}"), str)


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(DOCUMENTS, st.one_of(st.none(), st.integers(0, 5)))
def test_documents(value: dict[str, Any], erase_errors: int | None) -> None:
    document = parse_document(json.dumps(value).encode())
    assert isinstance(document, Document)
    verdict = grade(HealthReading("/dev/sda", document.health, "why"), TABLE, erase_errors)
    sentences = reason_sentences(verdict)
    assert bool(sentences) is (verdict.grade is not Grade.GOOD)
    if verdict.grade is Grade.GOOD:
        assert document.health is not None
        assert document.health.passed is True
    for _, number in verdict.figures:
        assert number >= 0
    # Whatever is claimed can be signed and read again.
    reading = HealthReading("/dev/sda", document.health, "why", document.messages)
    claims = {"health": msgspec.to_builtins(health_claims(reading, erase_errors))}
    assert strict_json.loads(strict_json.dumps(claims)) == json.loads(json.dumps(claims))
    if document.health is not None:
        same, notes = agree(document.health, document.health)
        assert notes == ()
        assert same == document.health or same.attributes != document.health.attributes


def test_half_a_character() -> None:
    """An escape of JSON can name one; what is signed cannot hold it."""
    raw = rb'{"device":{"protocol":"ATA"},"serial_number":"S\ud800","smart_status":{"passed":true},'
    raw += rb'"smartctl":{"messages":[{"string":"half \udfff"}]},"ata_smart_attributes":{"table":'
    raw += rb'[{"id":5,"name":"\ud800","raw":{"string":"\ud800 99999999999999999999"}}]}}'
    document = parse_document(raw)
    assert isinstance(document, Document)
    reading = HealthReading("/dev/sda", document.health, None, document.messages)
    claims = msgspec.to_builtins(health_claims(reading))
    assert strict_json.loads(strict_json.dumps(claims))["notes"] == ["half ?"]


LINES = st.lists(
    st.one_of(
        st.sampled_from(
            [
                "SMART overall-health self-assessment test result: PASSED",
                "SMART overall-health self-assessment test result: FAILED!",
                "SMART Health Status: OK",
                "SMART Health Status: FAILURE PREDICTION THRESHOLD EXCEEDED [asc=5d, ascq=10]",
                "Vendor Specific SMART Attributes with Thresholds:",
                "  5 Reallocated_Sector_Ct   0x0033   100   100   036    Pre-fail  Always       -       0",
                "SMART/Health Information (NVMe Log 0x02)",
                "Critical Warning:                   0x00",
                "Percentage Used:                    3%",
                "Data Units Written:                 36.580.058 [18,7 TB]",
                "Self-test Log (NVMe Log 0x06)",
                "Self-test status: Extended self-test in progress (28% completed)",
                "Elements in grown defect list: 3",
                "read:          0        8         0         8      60614      16772.475           0",
                "SMART Self-test log",
                "# 1  Background short  Completed                   -     302                 - [-   -    -]",
                "",
            ]
        ),
        st.text(max_size=60),
    ),
    max_size=20,
)


@settings(deadline=None)
@given(LINES, st.sampled_from(Protocol))
def test_text(lines: list[str], protocol: Protocol) -> None:
    found = read_text("\n".join(lines).encode("utf-8", "surrogatepass"), "/dev/sda", protocol)
    assert isinstance(found, str | Health)


@settings(deadline=None)
@given(st.binary(max_size=400), st.sampled_from(Protocol))
def test_text_that_is_none(raw: bytes, protocol: Protocol) -> None:
    assert isinstance(read_text(raw, "/dev/sda", protocol), str | Health)


@given(st.dictionaries(st.sampled_from(Figure), st.integers(0, 10**6)), st.integers(0, 10**6))
def test_a_worse_figure_never_gives_a_better_grade(figures: dict[Figure, int], more: int) -> None:
    """Of one figure alone, the rules of the table only get worse upwards."""
    order = (Grade.GOOD, Grade.WATCH, Grade.REJECT)

    def worst(figure: Figure, value: int) -> int:
        found = [
            rule.grade
            for rule in TABLE.rules
            if rule.figure is figure
            and rule.at_least <= value
            and (rule.at_most is None or value <= rule.at_most)
        ]
        return max((order.index(one) for one in found), default=0)

    for figure, value in figures.items():
        assert worst(figure, value) <= worst(figure, value + more)
