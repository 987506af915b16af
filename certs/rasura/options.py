"""Options that several commands have."""

from __future__ import annotations

import click

from rasura.language import Language

__all__ = ["LANGUAGE_OPTION", "REGISTRY_CA_OPTION", "REGISTRY_OPTION"]

LANGUAGE_OPTION = click.option(
    "--lang",
    "language",
    type=click.Choice([one.value for one in Language]),
    default=Language.ENGLISH.value,
    envvar="RASURA_LANG",
    show_envvar=True,
    help="The language: en or fr.",
)
REGISTRY_OPTION = click.option(
    "--registry", "url", required=True, metavar="URL", help="The registry that logged them."
)
REGISTRY_CA_OPTION = click.option(
    "--registry-ca", "ca_pin", metavar="PIN", help="The pin of its TLS authority, if it has one of its own."
)
