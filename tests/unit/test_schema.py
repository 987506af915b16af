"""The published schemas, the types, and what the verifier reads are the same."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import jsonschema
import msgspec
import pytest

import rasura.schema
from rasura.certificate import ErasureCertificate
from rasura.claims import ClaimsError, Statement
from rasura.consistency import contradictions
from rasura.machine_report import MachineReport
from rasura.schema import SCHEMAS, field_notes, schema_text
from simulators.block import BlockFault
from simulators.signing import TrustWorld
from unit.test_machine_report import left_alone, of_certificate, report

FOLDER = Path(rasura.schema.__file__).parent
CERTIFICATE, REPORT = (
    jsonschema.Draft202012Validator(json.loads((FOLDER / name).read_text()))
    for name, kind in SCHEMAS.items()
    if kind in {ErasureCertificate, MachineReport}
)


@pytest.fixture(scope="module")
def world() -> TrustWorld:
    return TrustWorld()


@pytest.fixture(scope="module")
def statement(world: TrustWorld) -> Any:
    return json.loads(world.bundle().envelope.payload)


@pytest.fixture(scope="module")
def reported(world: TrustWorld) -> Any:
    return json.loads(report(world, of_certificate(world.bundle()), left_alone()).envelope.payload)


@pytest.mark.parametrize("name", SCHEMAS)
def test_the_schemas_in_the_repository_are_those_of_the_types(name: str) -> None:
    jsonschema.Draft202012Validator.check_schema(json.loads((FOLDER / name).read_text()))
    assert (FOLDER / name).read_text() == schema_text(SCHEMAS[name]), "stale: run scripts/write-schemas"


def test_every_member_is_described_and_nothing_else() -> None:
    members = {
        name: set(one["properties"])
        for kind in SCHEMAS.values()
        for name, one in msgspec.json.schema(kind)["$defs"].items()
        if one.get("type") == "object"
    }
    assert {name: set(notes) for name, notes in field_notes().items()} == members


def test_what_nist_asks_for_is_there() -> None:
    """SP 800-88 Rev. 2 §4.6, item by item."""
    asked = " ".join(
        clause for members in field_notes().values() for _, *more in members.values() for clause in more
    )
    for item in (
        "manufacturer",
        "model",
        "serial number",
        "organizationally assigned media or property number",
        "media type",
        "media source",
        "pre-sanitization categorization",
        "sanitization method",
        "sanitization technique",
        "tool used",
        "tool version",
        "verification method",
        "doing the verification",
        "doing the validation",
        "name",
        "title",
        "date",
        "location",
        "contact",
        "signature",
    ):
        assert f"800-88r2 §4.6 {item}" in asked or f"§4.6 individual {item}" in asked, item


@pytest.mark.parametrize("faults", [(), ((1, BlockFault.WRITE_ERROR),), ((9, BlockFault.READ_ERROR),)])
def test_what_is_signed_fits(world: TrustWorld, faults: Any) -> None:
    CERTIFICATE.validate(json.loads(world.bundle(*faults).envelope.payload))


def test_reports_fit(reported: Any) -> None:
    REPORT.validate(reported)
    assert not CERTIFICATE.is_valid(reported)


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every member of every object, by its path."""
    found = []
    if isinstance(value, dict):
        for name, one in value.items():
            found += [(*path, name), *places(one, (*path, name))]
    elif isinstance(value, list):
        for number, one in enumerate(value):
            found += places(one, (*path, number))
    return found


def edited(statement: Any, path: tuple[Any, ...], value: Any = None, *, drop: bool = False) -> Any:
    copy = json.loads(json.dumps(statement))
    place = copy
    for step in path[:-1]:
        place = place[step]
    if drop:
        del place[path[-1]]
    else:
        place[path[-1]] = value
    return copy


def is_read(statement: Any) -> bool:
    """Whether the verifier can read it and finds no fault in its form."""
    kind = MachineReport if "machine-report" in str(statement.get("predicateType")) else ErasureCertificate
    try:
        read = Statement.parse(json.dumps(statement).encode())
        claims = kind.from_statement(read)
    except ClaimsError:
        return False
    form = re.compile("negative|RFC 3339|UUID")
    return not any(form.search(sentence) for sentence in contradictions(claims))


JUNK = [None, True, -1, 1.5, 2**53, "", "x", [], {}, [1], {"a": 1}]


def test_schema_and_verifier_read_the_same(statement: Any, reported: Any) -> None:
    """Whatever is put in the place of a member, both take it or neither. Only we judge subjects."""
    seen = 0
    for validator, document in ((CERTIFICATE, statement), (REPORT, reported)):
        for path in places(document):
            if path[0] == "subject" or path[-1] in {"identityPages", "name", "data", "serial"}:
                continue
            if path[:2] == ("predicate", "source") or "inventory" in path:
                continue  # a machine's subject is made of it, and any inventory is read
            for change in ({"drop": True}, *({"value": one} for one in JUNK)):
                other = edited(document, path, **change)
                assert validator.is_valid(other) == is_read(other), (path, change)
                seen += 1
    assert seen > 1000


@pytest.mark.parametrize("version", ["2.0", "0.9", "1", "1.", "1.x", "1.01", " 1.0", "11.0", 1, 1.0, None])
def test_versions_that_both_refuse(statement: Any, version: Any) -> None:
    other = edited(statement, ("predicate", "formatVersion"), version)
    assert not CERTIFICATE.is_valid(other)
    assert not is_read(other)
    assert not is_read(edited(statement, ("predicate", "formatVersion"), "1.0\n"))


@pytest.mark.parametrize("path", [("colour",), ("predicate", "colour"), ("predicate", "drive", "colour")])
def test_an_unknown_member_of_a_minor_version_is_kept_and_named(
    statement: Any, path: tuple[str, ...]
) -> None:
    other = edited(edited(statement, path, "red"), ("predicate", "formatVersion"), "1.7")
    CERTIFICATE.validate(other)
    read = Statement.parse(json.dumps(other).encode())
    assert ErasureCertificate.from_statement(read).unread(read) == (".".join(path),)


def test_an_unknown_member_inside_a_list_is_named(statement: Any) -> None:
    other = edited(statement, ("predicate", "result", "passes", 0, "heads"), 4)
    read = Statement.parse(json.dumps(other).encode())
    assert ErasureCertificate.from_statement(read).unread(read) == ("predicate.result.passes.0.heads",)


def test_a_subject_by_another_name_is_refused(statement: Any) -> None:
    other = edited(statement, ("subject", 0, "name"), "drive:ANOTHER")
    with pytest.raises(ClaimsError, match="subject"):
        ErasureCertificate.from_statement(Statement.parse(json.dumps(other).encode()))


def test_an_integer_is_written_without_a_fraction(statement: Any) -> None:
    """A JSON Schema cannot say so: for it 1.0 is an integer."""
    assert not is_read(edited(statement, ("predicate", "station", "sequence"), 1.0))
