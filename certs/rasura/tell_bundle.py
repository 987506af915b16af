"""What a bundle adds to the claims in it, told: its receipt, and what this version cannot read. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from rasura.language import Tongue
from rasura.telling import BundleFacts, Row

__all__ = ["receipt_rows", "unread_told"]


def receipt_rows(bundle: BundleFacts | None, tongue: Tongue) -> Iterator[Row]:
    """That there is a receipt, and a timestamp; that there is no receipt is said among what is open."""
    if bundle is None:
        return
    _ = tongue.say
    if bundle.logged:
        yield Row(_("receipt"), _("of a log, attached; not verified here"), detail=True)
    if bundle.timestamped is not None:
        moment = tongue.moment(f"{bundle.timestamped:%Y-%m-%dT%H:%M:%SZ}")
        said = _("of a timestamp authority, {moment}, attached; not verified here").format(moment=moment)
        yield Row(_("timestamp"), said)


def unread_told(bundle: BundleFacts | None, tongue: Tongue) -> Iterator[str]:
    """That there is more than is told here: newer agents may say more."""
    if bundle is not None and bundle.unread:
        message = tongue.say("The claims say more, which is not known here and not shown: {names}.")
        yield message.format(names=", ".join(bundle.unread))
