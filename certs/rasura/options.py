"""Options that several commands have."""

from __future__ import annotations

import click

from rasura.language import Language

__all__ = ["LANGUAGE_OPTION"]

LANGUAGE_OPTION = click.option(
    "--lang",
    "language",
    type=click.Choice([one.value for one in Language]),
    default=Language.ENGLISH.value,
    envvar="RASURA_LANG",
    show_envvar=True,
    help="The language: en or fr.",
)
