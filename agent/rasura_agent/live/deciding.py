"""Asking a person what becomes of the machine, in place of what is proposed."""

from __future__ import annotations

from collections.abc import Callable

from rasura.errors import UsageError
from rasura.machine_report import Override, Route
from rasura_agent.console.health_screen import route_word
from rasura_agent.console.language import _
from rasura_agent.health.proposal import override
from rasura_agent.live.terminal import Terminal

__all__ = ["ask_decision"]


def ask_decision(terminal: Terminal, told: Callable[[], str | None], operator: str | None) -> Override | str:
    """The decision; a string says why there is none. ``operator`` is who is known to be at work."""
    routes = tuple(Route)
    for number, route in enumerate(routes, 1):
        terminal.show(f"  {number}  {route_word(route)}")
    answer = terminal.line(_("What becomes of the machine:") + " ", told)
    if answer not in map(str, range(1, len(routes) + 1)):
        return _("nothing was decided")
    who = operator or terminal.line(_("Who decides:") + " ", told)
    why = terminal.line(_("Why:") + " ", told)
    try:
        return override(routes[int(answer) - 1], who, why)
    except UsageError:
        return _("nothing was decided: who decides otherwise than proposed says who they are and why")
