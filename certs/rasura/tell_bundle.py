"""What a bundle adds to the claims in it, told: its receipt, and what this version cannot read. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from rasura.language import Tongue
from rasura.telling import BundleFacts, Row

__all__ = ["receipt_rows", "unread_told"]


def receipt_rows(bundle: BundleFacts | None, tongue: Tongue) -> Iterator[Row]:
    """That there is a receipt; where there is none, that is said among what is open."""
    if bundle is not None and bundle.logged:
        _ = tongue.say
        yield Row(_("receipt"), _("of a log, attached; not verified here"), detail=True)


def unread_told(bundle: BundleFacts | None, tongue: Tongue) -> Iterator[str]:
    """That there is more than is told here: newer agents may say more."""
    if bundle is not None and bundle.unread:
        message = tongue.say("The claims say more, which is not known here and not shown: {names}.")
        yield message.format(names=", ".join(bundle.unread))
