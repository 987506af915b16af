"""DSSE envelopes (github.com/secure-systems-lab/dsse, protocol v1.0.2): a payload and who signed it.

DSSE signs bytes, so nothing is canonicalized and a verifier hashes what it was given.
"""

from __future__ import annotations

import base64
import hashlib
from typing import Any

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from rasura.base64_text import canonical_base64
from rasura.ecdsa import is_one_form, one_form
from rasura.errors import RasuraError

__all__ = ["PAYLOAD_TYPE", "Envelope", "EnvelopeError", "Signature", "key_id", "pae", "sign"]

_ECDSA_SHA256 = ec.ECDSA(hashes.SHA256())

PAYLOAD_TYPE = "application/vnd.in-toto+json"
"""Media type of an in-toto Statement inside DSSE (in-toto attestation framework v1, envelope layer)."""


class EnvelopeError(RasuraError):
    """The envelope is malformed or its signature does not hold."""


class Signature(msgspec.Struct, frozen=True):
    """One signature: :func:`key_id` of the signer's key, and DER ECDSA over the PAE."""

    keyid: str
    sig: bytes


class Envelope(msgspec.Struct, frozen=True, rename="camel"):
    """A payload (the exact bytes that were signed), its type, and its signatures.

    With :class:`Signature` it is also how msgspec reads the JSON object: ``bytes`` are base64 there.
    """

    payload: bytes
    payload_type: str
    signatures: tuple[Signature, ...]

    def to_json(self) -> dict[str, Any]:
        """The envelope as the DSSE JSON object."""
        return {
            "payload": base64.b64encode(self.payload).decode(),
            "payloadType": self.payload_type,
            "signatures": [
                {"keyid": one.keyid, "sig": base64.b64encode(one.sig).decode()} for one in self.signatures
            ],
        }

    @classmethod
    def from_json(cls, value: object) -> Envelope:
        """Read the DSSE JSON object; exactly the standard's members, standard base64.

        Raises:
            EnvelopeError: a member is missing, of the wrong type, unknown, or not base64.
        """
        match value:
            case {
                "payload": str(payload),
                "payloadType": str(payload_type),
                "signatures": list(items),
                **others,
            }:
                if others:
                    raise EnvelopeError("the envelope has members that DSSE does not know")
            case _:
                raise EnvelopeError("the envelope lacks payload, payloadType or signatures")
        signatures = []
        for item in items:
            match item:
                case {"sig": str(sig), "keyid": str(keyid)} if len(item) == 2:
                    signatures.append(Signature(keyid, canonical_base64(sig, "a signature", EnvelopeError)))
                case _:
                    raise EnvelopeError("a signature of the envelope is not {keyid, sig}")
        return cls(canonical_base64(payload, "the payload", EnvelopeError), payload_type, tuple(signatures))

    def verify(self, key: ec.EllipticCurvePublicKey, named: str | None = None) -> None:
        """Check that the one signature is ``key``'s over this payload and type.

        ``named`` is the key's :func:`key_id`, from whoever has worked it out already.

        Raises:
            EnvelopeError: there is not exactly one signature, it names another key, is not in its one form
                (:mod:`rasura.ecdsa`), or does not hold.
        """
        if len(self.signatures) != 1:
            raise EnvelopeError(f"the envelope carries {len(self.signatures)} signatures instead of one")
        if self.signatures[0].keyid != (named or key_id(key)):
            raise EnvelopeError("the signature names another key than the signing certificate's")
        if not is_one_form(self.signatures[0].sig):
            raise EnvelopeError("the signature is not written in the one way that is ours (DER, low s)")
        try:
            key.verify(self.signatures[0].sig, pae(self.payload_type, self.payload), _ECDSA_SHA256)
        except InvalidSignature:
            raise EnvelopeError("the signature does not fit the payload") from None


def pae(payload_type: str, payload: bytes) -> bytes:
    """DSSE pre-authentication encoding: what is really signed (DSSE protocol, "Signature Definition")."""
    kind = payload_type.encode()
    return b"DSSEv1 %d %s %d %s" % (len(kind), kind, len(payload), payload)


def key_id(key: ec.EllipticCurvePublicKey) -> str:
    """Hex SHA-256 of the DER SubjectPublicKeyInfo: our ``keyid``."""
    spki = key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return hashlib.sha256(spki).hexdigest()


def sign(payload: bytes, key: ec.EllipticCurvePrivateKey, payload_type: str = PAYLOAD_TYPE) -> Envelope:
    """Wrap and sign ``payload`` with ECDSA P-256 over SHA-256."""
    signature = one_form(key.sign(pae(payload_type, payload), _ECDSA_SHA256))
    return Envelope(payload, payload_type, (Signature(key_id(key.public_key()), signature),))
