"""JSON Schemas (draft 2020-12) of the statements that are signed, made from the types and ``fields.toml``.

They describe the DSSE payload, the whole in-toto Statement. What a schema cannot say (that a verdict follows
from its evidence) is check 6 of :mod:`rasura.verifier`. ``README.md`` beside this has the upgrade rule.
"""

from __future__ import annotations

import json
import tomllib
from importlib.resources import files
from typing import Any

import msgspec

from rasura.certificate import ErasureCertificate
from rasura.claims import STATEMENT_TYPE, SignedClaims
from rasura.consistency import TIME_PATTERN, UUID_PATTERN
from rasura.machine_report import MachineReport
from rasura.side_statement import Correction, Decision, KeyRevocation, Supersession

__all__ = ["SCHEMAS", "field_notes", "schema_text", "statement_schema"]

SCHEMAS: dict[str, type[SignedClaims]] = {
    "erasure-certificate-v1.schema.json": ErasureCertificate,
    "machine-report-v1.schema.json": MachineReport,
    "validation-v1.schema.json": Decision,
    "correction-v1.schema.json": Correction,
    "supersession-v1.schema.json": Supersession,
    "revocation-v1.schema.json": KeyRevocation,
}
"""The files beside this one, and what they describe."""

_SHA256 = "^[0-9a-f]{64}$"
_VERSION = r"^1\.(0|[1-9][0-9]{0,5})$"
_TIMES = {
    "Result": {"startedAt", "finishedAt"},
    "MachineReport": {"startedAt", "finishedAt"},
    "Resumption": {"firstStartedAt"},
    "Decision": {"signedAt"},
    "Correction": {"signedAt"},
    "Supersession": {"signedAt"},
    "KeyRevocation": {"signedAt", "since"},
}
_HASHES = {"DocumentName": {"payloadSha256"}, "KeyRevocation": {"key", "replacedBy"}}


def field_notes() -> dict[str, dict[str, list[str]]]:
    """By type and member: what it means, then the clauses that ask for it."""
    text = files(__name__).joinpath("fields.toml").read_text(encoding="utf-8")
    return {
        kind: {name: [note] if isinstance(note, str) else list(note) for name, note in members.items()}
        for kind, members in tomllib.loads(text).items()
    }


def statement_schema(kind: type[SignedClaims]) -> dict[str, Any]:
    """The schema of the statement that ``kind`` is signed in."""
    made = msgspec.json.schema(kind)
    notes = field_notes()
    for name, definition in made["$defs"].items():
        if definition.get("type") == "object":
            definition.pop("description", None)
            for member, schema in definition["properties"].items():
                _constrain(name, member, schema)
                meaning, *clauses = notes[name][member]
                schema["description"] = meaning
                if clauses:
                    schema["x-asked-for-by"] = clauses
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": f"{kind.predicate_type}:schema",
        "title": f"The in-toto Statement v1 that holds {kind.what}, version {kind.format_major}",
        "type": "object",
        "required": ["_type", "subject", "predicateType", "predicate"],
        "properties": {
            "_type": {"const": STATEMENT_TYPE},
            "subject": {
                "type": "array",
                "minItems": 1,
                "maxItems": 1,
                "items": {
                    "type": "object",
                    "required": ["name", "digest"],
                    "properties": {
                        "name": {"type": "string"},
                        "digest": {
                            "type": "object",
                            "required": ["sha256"],
                            "properties": {"sha256": {"type": "string", "pattern": _SHA256}},
                            "additionalProperties": False,
                        },
                    },
                    "additionalProperties": False,
                },
            },
            "predicateType": {"const": kind.predicate_type},
            "predicate": {"$ref": made["$ref"]},
        },
        "$defs": made["$defs"],
    }


def schema_text(kind: type[SignedClaims]) -> str:
    """The file's text."""
    return json.dumps(statement_schema(kind), indent=1, ensure_ascii=False) + "\n"


def _constrain(name: str, member: str, schema: dict[str, Any]) -> None:
    if member == "formatVersion":
        schema["pattern"] = _VERSION
    elif member == "id":
        schema["pattern"] = f"^{UUID_PATTERN}$"
    elif member in _TIMES.get(name, ()):
        schema["pattern"] = f"^{TIME_PATTERN}$"
    for one in schema.get("anyOf", [schema]):
        if one.get("type") == "string" and member in _HASHES.get(name, ()):
            one["pattern"] = _SHA256
