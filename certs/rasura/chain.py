"""The signing certificates of a bundle, and what is asked of them for each bundle, worked out once. Pure.

A station signs many certificates. Reading its own signing certificate again for each takes longer than
checking the signature does.
"""

from __future__ import annotations

import hashlib
from datetime import datetime
from functools import cached_property, lru_cache
from typing import NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from rasura.base64_text import canonical_base64
from rasura.envelope import key_id
from rasura.errors import RasuraError
from rasura.keys import (
    Role,
    chain_problems,
    common_name,
    load_certificate_der,
    organization,
    p256_public_key,
    site_of,
)

__all__ = ["NO_KEYS", "Chain", "ChainFormError", "SigningKeys", "read_chain"]

_KEPT = 256

_USUAL_CHARACTERS = 8 << 10
"""Ours have less than 2,000; nobody may fill the memory with longer ones."""


class ChainFormError(RasuraError):
    """What stands in the place of a signing certificate is not the one text of its bytes."""


class SigningKeys(NamedTuple):
    """Hex SHA-256 of the signer's key and of who certified it, in that order, and the signer's site."""

    ids: tuple[str, ...]
    site: str | None


NO_KEYS = SigningKeys((), None)


class Chain(tuple[x509.Certificate, ...]):
    """The signer's signing certificate and the site's, in that order, if it is as it should be.

    Each property raises ``IndexError`` where the certificate that it is of is not there.
    """

    @cached_property
    def key(self) -> ec.EllipticCurvePublicKey:
        """The signer's key; raises :class:`rasura.keys.KeyFormatError`."""
        return p256_public_key(self[0])

    @cached_property
    def key_id(self) -> str:
        """The signer's key as envelopes name it; raises as :attr:`key`."""
        return key_id(self.key)

    @cached_property
    def keys(self) -> SigningKeys:
        """The keys by their ids; none where one of them cannot be read, which :meth:`problems` says."""
        try:
            return SigningKeys(
                tuple(key_id(p256_public_key(one)) for one in self), site_of(self[0]) if self else None
            )
        except RasuraError:
            return NO_KEYS

    @cached_property
    def names(self) -> tuple[str, str]:
        """The site and the signer that are certified; raises :class:`rasura.keys.KeyFormatError`."""
        return organization(self[0]), common_name(self[0])

    @cached_property
    def signer_sha256(self) -> str:
        """Hex digest of the signer's signing certificate, by which an entry of the log names it."""
        return hashlib.sha256(self[0].public_bytes(Encoding.DER)).hexdigest()

    @cached_property
    def signer_valid(self) -> tuple[datetime, datetime]:
        """From when to when the signer's signing certificate is valid."""
        return self[0].not_valid_before_utc, self[0].not_valid_after_utc

    @cached_property
    def site_valid(self) -> tuple[datetime, datetime]:
        """From when to when the site's is."""
        return self[1].not_valid_before_utc, self[1].not_valid_after_utc

    def problems(self, authorities: tuple[x509.Certificate, ...], role: Role) -> tuple[str, ...]:
        """See :func:`rasura.keys.chain_problems`."""
        asked, of_role, found = self._last
        if asked is not authorities or of_role is not role:  # the very same cannot have another answer
            found = chain_problems(tuple(self), authorities, role)
            self._last = (authorities, role, found)
        return found

    _last: tuple[tuple[x509.Certificate, ...] | None, Role | None, tuple[str, ...]] = (None, None, ())


def read_chain(texts: tuple[str, ...]) -> Chain:
    """Signing certificates in DER and base64.

    Raises:
        ChainFormError: not base64, or not canonical.
        KeyFormatError: not an X.509 certificate that we can read.
    """
    return _remembered(texts) if sum(map(len, texts)) <= _USUAL_CHARACTERS else _read(texts)


@lru_cache(maxsize=_KEPT)
def _remembered(texts: tuple[str, ...]) -> Chain:
    return _read(texts)


def _read(texts: tuple[str, ...]) -> Chain:
    return Chain(
        load_certificate_der(canonical_base64(one, "a signing certificate", ChainFormError)) for one in texts
    )
