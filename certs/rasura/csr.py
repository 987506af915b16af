"""Requests for a signing certificate (PKCS #10, RFC 2986): whoever asks has the key. Pure."""

from __future__ import annotations

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from rasura.errors import RasuraError

__all__ = ["proven_csr", "proven_key"]

_UNREADABLE = (ValueError, TypeError, UnsupportedAlgorithm, x509.InvalidVersion)


def proven_csr(
    der: bytes, what: str, error: type[RasuraError]
) -> tuple[x509.CertificateSigningRequest, ec.EllipticCurvePublicKey]:
    """The request and its P-256 key, which signed it; raises ``error`` with a sentence about ``what``."""
    try:
        csr = x509.load_der_x509_csr(der)
        key = csr.public_key()
        holds = csr.is_signature_valid and isinstance(csr.signature_hash_algorithm, hashes.SHA256)
    except _UNREADABLE:
        raise error(f"{what} holds no CSR that can be read") from None
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP256R1):
        raise error("the CSR's key is not ECDSA P-256")
    if not holds:
        raise error("the CSR is not signed by the key it asks a certificate for")
    return csr, key


def proven_key(der: bytes, what: str, error: type[RasuraError]) -> ec.EllipticCurvePublicKey:
    """The key alone: nothing else in the request is believed."""
    return proven_csr(der, what, error)[1]
