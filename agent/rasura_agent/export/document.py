"""The inventory of a machine as a JSON document, and the JSON Schema of that.

The document is made from the types themselves: every field of ``machine_model.py`` is in it under its name
in camel case, absent as ``null``. ``inventory.schema.json`` beside this module is made the same way, and a
test keeps it so.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

import msgspec
from msgspec.structs import replace

from rasura import __version__
from rasura_agent.erase.plan import media_type
from rasura_agent.inventory.behind_raid import HiddenDrive
from rasura_agent.inventory.machine_model import Machine
from rasura_agent.inventory.model import Drive

__all__ = [
    "FORMAT",
    "VERSION",
    "DriveEntry",
    "HiddenEntry",
    "Inventoried",
    "InventoryDocument",
    "inventory_document",
    "inventory_schema",
]

FORMAT, VERSION = "rasura-inventory", 1
_SNAKE = re.compile(r"_([a-z0-9])")


class DriveEntry(msgspec.Struct, frozen=True):
    """A drive that Linux shows."""

    path: str
    manufacturer: str | None
    model: str | None
    serial: str | None
    wwn: str | None
    firmware: str | None
    capacity_bytes: int
    logical_sector_bytes: int
    physical_sector_bytes: int | None
    rotational: bool | None
    removable: bool | None
    transport: str | None
    media_type: str
    identity_sha256: str
    enclosure: str | None
    slot: str | None


class HiddenEntry(msgspec.Struct, frozen=True):
    """A drive behind a RAID controller, by smartctl's name and type for it."""

    name: str
    type: str
    sentence: str


class Inventoried(msgspec.Struct, frozen=True):
    """A machine with all its drives."""

    machine: Machine
    drives: tuple[Drive, ...]
    hidden: tuple[HiddenDrive, ...] = ()
    notes: tuple[str, ...] = ()
    """Sentences about drives and what could not be read; the machine has its own."""

    def entry(self, drive: Drive) -> DriveEntry:
        """What is said of one drive."""
        bay = self.machine.bay_of(drive.path)
        return DriveEntry(
            path=drive.path,
            manufacturer=drive.manufacturer,
            model=drive.model,
            serial=drive.serial,
            wwn=drive.wwn,
            firmware=drive.firmware,
            capacity_bytes=drive.capacity_bytes,
            logical_sector_bytes=drive.logical_sector_bytes,
            physical_sector_bytes=drive.physical_sector_bytes,
            rotational=drive.rotational,
            removable=drive.removable,
            transport=drive.transport,
            media_type=media_type(drive),
            identity_sha256=drive.identity_sha256,
            enclosure=bay.enclosure if bay is not None else None,
            slot=bay.slot if bay is not None else None,
        )


class InventoryDocument(msgspec.Struct, frozen=True):
    """A machine, its drives, and what is to be said about them."""

    format: str
    version: int
    agent: str
    machine: Machine
    drives: tuple[DriveEntry, ...]
    hidden_drives: tuple[HiddenEntry, ...]
    notes: tuple[str, ...]


def inventory_document(found: Inventoried) -> dict[str, Any]:
    """The document as JSON values."""
    document = InventoryDocument(
        FORMAT,
        VERSION,
        __version__,
        replace(found.machine, notes=_plain(found.machine.notes)),
        tuple(found.entry(drive) for drive in found.drives),
        tuple(HiddenEntry(one.name, one.kind, str(one.sentence)) for one in found.hidden),
        _plain(found.notes),
    )
    values: dict[str, Any] = _camel(msgspec.to_builtins(document))
    return values


def inventory_schema() -> dict[str, Any]:
    """The JSON Schema of the document (draft 2020-12)."""
    schema = msgspec.json.schema(InventoryDocument)
    for one in schema["$defs"].values():
        if one.get("type") == "object":
            # Everything is said, and nothing that is not described here.
            one["properties"] = {_camel_name(key): value for key, value in one["properties"].items()}
            one["required"] = sorted(one["properties"])
            one["additionalProperties"] = False
            for value in one["properties"].values():
                value.pop("default", None)
    root = schema["$defs"]["InventoryDocument"]["properties"]
    root["format"], root["version"] = {"const": FORMAT}, {"const": VERSION}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Inventory of a machine, as 'rasura-agent inventory --json' writes it",
        **schema,
    }


def _plain(sentences: Iterable[str]) -> tuple[str, ...]:
    """Sentences as plain text: what can be said in other languages too is no ``str`` alone."""
    return tuple(str(one) for one in sentences)


def _camel_name(name: str) -> str:
    return _SNAKE.sub(lambda match: match[1].upper(), name)


def _camel(value: Any) -> Any:
    if isinstance(value, dict):
        return {_camel_name(key): _camel(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_camel(one) for one in value]
    return value
