"""A station of a registry's own site, and certificates that hold, as an agent makes them."""

from __future__ import annotations

import functools
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from rasura import envelope
from rasura.bundle import Bundle
from rasura.certificate import ErasureCertificate
from rasura.keys import issue_station
from rasura.site_kit import SiteKit
from simulators.signing import TrustWorld, changed


@functools.cache
def honest_claims() -> ErasureCertificate:
    """The claims of a simulated erasure; each sample changes who, when and its id."""
    return TrustWorld().bundle().certificate


@dataclass(frozen=True)
class Station:
    """A machine at a site, with its key."""

    site: str
    name: str
    key: ec.EllipticCurvePrivateKey
    chain: tuple[x509.Certificate, ...]

    @classmethod
    def at(cls, kit: SiteKit, name: str = "station-1") -> Station:
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = issue_station(kit.key, kit.certificate, key.public_key(), name, datetime.now(UTC))
        return cls(kit.site, name, key, (certificate, kit.certificate))

    @classmethod
    def of_folder(cls, root: Path, site: str = "Lyon") -> Station:
        return cls.at(SiteKit.load(root / "sites" / site))

    def bundle(self, certificate_id: str | None = None, **changes: Any) -> Bundle:
        """A bundle without receipt; ``changes`` replace claims, ``a__b=…`` reaches into ``a``."""
        time = (datetime.now(UTC) - timedelta(seconds=2)).strftime("%Y-%m-%dT%H:%M:%SZ")
        who = {
            "id": certificate_id or str(uuid.uuid4()),
            "station__site": self.site,
            "station__name": self.name,
            "result__startedAt": time,
            "result__finishedAt": time,
        }
        claims = changed(honest_claims(), who | changes)
        return Bundle(envelope.sign(claims.to_payload(), self.key), self.chain)
