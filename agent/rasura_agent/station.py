"""The station: this boot of this machine, its key in RAM, and the chain of what it signed."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import datetime

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from rasura.bundle import Bundle
from rasura.certificate import ErasureCertificate, Station
from rasura.envelope import key_id, sign
from rasura.keys import issue_station
from rasura.machine_report import MachineReport
from rasura.site_kit import SiteKit

__all__ = ["SigningStation", "station_name"]


def station_name(key: ec.EllipticCurvePrivateKey) -> str:
    """The station's name for this boot: it follows from its key."""
    return f"station-{key_id(key.public_key())[:12]}"


class SigningStation:
    """Signs certificates and machine reports with a key that lives in RAM, for one boot.

    Each gets the next number and names the payload before it; drives end at the same
    time, so signing is one at a time.
    """

    def __init__(
        self,
        key: ec.EllipticCurvePrivateKey,
        chain: tuple[x509.Certificate, ...],
        site: str,
        operator: str | None,
    ) -> None:
        """``chain`` is the station's signing certificate for ``key``, then the site's."""
        self._key, self._chain = key, chain
        self.site, self.operator = site, operator
        self.name = station_name(key)
        self._lock = threading.Lock()
        self._sequence = 0
        self._previous: str | None = None

    @classmethod
    def certified_by(cls, kit: SiteKit, operator: str | None, now: datetime) -> SigningStation:
        """A station with a fresh key, certified here by the key of its site."""
        key = ec.generate_private_key(ec.SECP256R1())
        own = issue_station(kit.key, kit.certificate, key.public_key(), station_name(key), now)
        return cls(key, (own, kit.certificate), kit.site, operator)

    def sign(self, claims: Callable[[Station], ErasureCertificate | MachineReport]) -> Bundle:
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
