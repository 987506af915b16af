"""The station: this boot of this machine, its key in RAM, and the chain of what it signed."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import datetime

from cryptography.hazmat.primitives.asymmetric import ec

from rasura.bundle import Bundle
from rasura.certificate import ErasureCertificate, Station
from rasura.envelope import key_id, sign
from rasura.keys import issue_station
from rasura.site_kit import SiteKit

__all__ = ["SigningStation"]


class SigningStation:
    """Signs certificates with a key that lives as long as this object, certified by the site's key.

    Each certificate gets the next number and names the payload before it; drives end at the same
    time, so signing is one at a time.
    """

    def __init__(self, kit: SiteKit, operator: str | None, now: datetime) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self.site, self.operator = kit.site, operator
        self.name = f"station-{key_id(self._key.public_key())[:12]}"
        self._chain = (
            issue_station(kit.key, kit.certificate, self._key.public_key(), self.name, now),
            kit.certificate,
        )
        self._lock = threading.Lock()
        self._sequence = 0
        self._previous: str | None = None

    def sign(self, claims: Callable[[Station], ErasureCertificate]) -> Bundle:
        """Sign what ``claims`` makes of this station's next place in its chain."""
        with self._lock:
            place = Station(
                name=self.name,
                site=self.site,
                operator=self.operator,
                sequence=self._sequence,
                previous_sha256=self._previous,
            )
            bundle = Bundle(sign(claims(place).to_payload(), self._key), self._chain)
            self._sequence += 1
            self._previous = bundle.payload_sha256
            return bundle
