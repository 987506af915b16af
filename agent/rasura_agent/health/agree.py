"""Two readings of one drive -> one. Pure.

What pySMART has is taken from pySMART, what it lacks from the JSON document. Where both speak and
differ, that is said: a parser that misreads must not go unnoticed.
"""

from __future__ import annotations

from typing import Any, TypeVar

from msgspec.structs import fields, replace

from rasura_agent.health.model import AtaAttribute, Health, NvmeHealth, SasCounters, SelfTestEntry

__all__ = ["agree"]

_Figures = TypeVar("_Figures", NvmeHealth, SasCounters)

_PLAIN = ("passed", "temperature_c", "power_on_hours", "bytes_written", "wear_percent")
_DRIFT = {"temperature_c": 5, "power_on_hours": 1, "bytes_written": 1 << 30}
"""How far values may drift between two runs of smartctl on a drive at work."""
_COUNTS_ON = frozenset({1, 3, 7, 9, 190, 194, 195, 240, 241, 242})
"""Attributes that change while a drive is being read (rates, hours, temperatures, totals)."""


def agree(text: Health, document: Health) -> tuple[Health, tuple[str, ...]]:
    """The health of the drive, and a sentence for each value the two readings differ in.

    ``text`` is pySMART's, ``document`` that of smartctl's JSON.
    """
    notes: list[str] = []
    chosen: dict[str, Any] = {}
    for name in _PLAIN:
        first, second = getattr(text, name), getattr(document, name)
        if first is not None and second is not None and abs(first - second) > _DRIFT.get(name, 0):
            notes.append(_differ(name.replace("_", " "), first, second))
        chosen[name] = first if first is not None else second
    chosen["attributes"] = _attributes(text.attributes, document.attributes, notes)
    chosen["nvme"] = _members(text.nvme, document.nvme, "NVMe", notes)
    chosen["sas"] = _members(text.sas, document.sas, "SCSI", notes)
    chosen["self_tests"] = _tests(text.self_tests, document.self_tests, notes)
    chosen["running"] = document.running or text.running
    return replace(document, **chosen), tuple(notes)


def _differ(what: str, first: object, second: object) -> str:
    return f"{what}: pySMART reads {first}, smartctl's JSON says {second}"


def _attributes(
    text: tuple[AtaAttribute, ...], document: tuple[AtaAttribute, ...], notes: list[str]
) -> tuple[AtaAttribute, ...]:
    others = {one.id: one for one in document}
    for one in text:
        other = others.pop(one.id, None)
        if other is None:
            notes.append(f"attribute {one.id}: only pySMART reads it")
        elif one.id not in _COUNTS_ON and (one.count, one.failing) != (other.count, other.failing):
            notes.append(_differ(f"attribute {one.id}", one.raw, other.raw))
    if text and others:
        notes += [f"attribute {number}: only smartctl's JSON has it" for number in others]
    return tuple(sorted((*text, *others.values()), key=lambda one: one.id))


def _members(text: _Figures | None, document: _Figures | None, of: str, notes: list[str]) -> _Figures | None:
    if text is None or document is None:
        return text or document
    chosen: dict[str, Any] = {}
    for field in fields(text):
        first, second = getattr(text, field.name), getattr(document, field.name)
        if first is not None and second is not None and first != second:
            notes.append(_differ(f"{of} {field.name.replace('_', ' ')}", first, second))
        chosen[field.name] = first if first is not None else second
    return replace(text, **chosen)


def _tests(
    text: tuple[SelfTestEntry, ...] | None, document: tuple[SelfTestEntry, ...] | None, notes: list[str]
) -> tuple[SelfTestEntry, ...] | None:
    if text is None or document is None:
        return text if text is not None else document
    for number, (one, other) in enumerate(zip(text, document, strict=False)):
        if one.result is not other.result:
            notes.append(_differ(f"self-test {number}", one.status, other.status))
    # The extended log that the document has is the longer one.
    return text + document[len(text) :]
