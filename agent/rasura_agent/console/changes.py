"""Drives that come and go, a line each."""

from __future__ import annotations

import json

from rasura_agent.console.facts import drive_facts
from rasura_agent.console.language import _
from rasura_agent.console.words import fact, kind, title
from rasura_agent.inventory.model import Drive
from rasura_agent.inventory.watch import Appeared, Change

__all__ = ["change_json", "change_line", "change_sentence", "present_json", "present_line"]


def present_line(drive: Drive) -> str:
    """A drive that was there before."""
    return _line(_("THERE"), drive)


def change_line(change: Change) -> str:
    """What became of a drive, for a list of such lines."""
    return _line(_("APPEARED") if isinstance(change, Appeared) else _("VANISHED"), change.drive)


def change_sentence(change: Change) -> str:
    """The same for a screen of other things."""
    message = (
        _("{path} has appeared: {drive}")
        if isinstance(change, Appeared)
        else _("{path} has vanished: {drive}")
    )
    return message.format(path=fact(change.drive.path), drive=title(change.drive))


def _line(word: str, drive: Drive) -> str:
    return f"{word:<9} {fact(drive.path)}  {title(drive)}  ({kind(drive)})"


def present_json(drive: Drive) -> str:
    """A drive that was there before, as a line of JSON."""
    return _json("present", drive)


def change_json(change: Change) -> str:
    """What became of a drive, as a line of JSON."""
    return _json("appeared" if isinstance(change, Appeared) else "vanished", change.drive)


def _json(event: str, drive: Drive) -> str:
    return json.dumps({"event": event, "drive": drive_facts(drive)}, separators=(",", ":"))
