"""People of a small world of trust, and revocations in it."""

from __future__ import annotations

from datetime import datetime, timedelta

from cryptography.hazmat.primitives.asymmetric import ec

from rasura.bundle import Bundle
from rasura.envelope import key_id
from rasura.keys import issue_person, p256_public_key
from rasura.side_signing import Person, sign_revocation
from simulators.signing import TrustWorld

__all__ = ["DAY", "person", "revocation", "signer_key"]

DAY = timedelta(days=1)


def person(world: TrustWorld, name: str = "operator 7", role: str = "head of workshop") -> Person:
    """Somebody of the world's site."""
    key = ec.generate_private_key(ec.SECP256R1())
    own = issue_person(world.site_key, world.site_certificate, key.public_key(), name, role, world.now)
    return Person(key, (own, world.site_certificate))


def signer_key(bundle: Bundle) -> str:
    """The hash of the key that signed a bundle."""
    return key_id(p256_public_key(bundle.chain[0]))


def revocation(
    world: TrustWorld,
    key: str,
    since: datetime,
    *,
    by_authority: bool = False,
    replaced_by: str | None = None,
) -> Bundle:
    """A revocation by the world's site, or by its registry's authority; in no log."""
    issuer = (
        (world.authority_key, world.authority) if by_authority else (world.site_key, world.site_certificate)
    )
    return sign_revocation(*issuer, key, since, "the stick was lost", world.now, replaced_by=replaced_by)
