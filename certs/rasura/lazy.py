"""Commands whose modules are loaded when they are asked for: a check must not wait for what prints pages."""

from __future__ import annotations

from importlib import import_module

import click

__all__ = ["LazyGroup"]


class LazyGroup(click.Group):
    """A group some of whose commands are named by ``module:attribute``."""

    def add_lazily(self, name: str, place: str) -> None:
        """Add the command at ``place`` under ``name``, loaded when it is asked for."""
        self._places()[name] = place

    def list_commands(self, ctx: click.Context) -> list[str]:
        """See :class:`click.Group`."""
        return sorted({*super().list_commands(ctx), *self._places()})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """See :class:`click.Group`."""
        place = self._places().get(cmd_name)
        if place is None:
            return super().get_command(ctx, cmd_name)
        module, _, attribute = place.partition(":")
        command = getattr(import_module(module), attribute)
        if not isinstance(command, click.Command):
            raise TypeError(f"{place} is no command")
        return command

    def _places(self) -> dict[str, str]:
        places: dict[str, str] = self.__dict__.setdefault("_lazy", {})
        return places
