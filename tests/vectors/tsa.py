"""A timestamp authority of the vectors: RFC 3161 tokens in DER, written out, always the same bytes.

``openssl ts`` takes only the present time and random signatures, so the tokens of the vectors are made here:
ECDSA by RFC 6979, fixed times. That they are tokens is for ``openssl ts -verify`` to say, which a test asks.
"""

from __future__ import annotations

import hashlib
from datetime import datetime, timedelta
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from rasura.der import der_value
from rasura.timestamp import checkpoint_digest
from vectors.world import ISSUED, YEAR, key

__all__ = ["authority_of_time", "changed", "signer_of_time", "token"]

_OIDS = {
    "sha256": "608648016503040201",
    "signed-data": "2a864886f70d010702",
    "tst-info": "2a864886f70d0109100104",
    "content-type": "2a864886f70d010903",
    "message-digest": "2a864886f70d010904",
    "signing-certificate-v2": "2a864886f70d010910022f",
    "ecdsa-sha256": "2a8648ce3d040302",
    "policy": "2b06010401868d1f01",
}


def _oid(name: str) -> bytes:
    return der_value(0x06, bytes.fromhex(_OIDS[name]))


def _sequence(*parts: bytes) -> bytes:
    return der_value(0x30, b"".join(parts))


def _set(*parts: bytes) -> bytes:
    return der_value(0x31, b"".join(sorted(parts)))


def _octets(data: bytes) -> bytes:
    return der_value(0x04, data)


def _number(value: int) -> bytes:
    return der_value(0x02, value.to_bytes(value.bit_length() // 8 + 1, "big"))


def _certify(
    name: str,
    of: str,
    issuer: x509.Certificate | None,
    *,
    ca: bool,
    begin: datetime,
    end: datetime,
    eku: bool,
) -> x509.Certificate:
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"Vector {name}")])
    usage = dict.fromkeys(
        ("key_encipherment", "data_encipherment", "key_agreement", "encipher_only", "decipher_only"), False
    )
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer.subject if issuer is not None else subject)
        .public_key(key(name).public_key())
        .serial_number(int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big") >> 1)
        .not_valid_before(begin)
        .not_valid_after(end)
        .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
        .add_extension(
            x509.KeyUsage(
                digital_signature=not ca, key_cert_sign=ca, content_commitment=False, crl_sign=False, **usage
            ),
            critical=True,
        )
    )
    if eku:
        builder = builder.add_extension(
            x509.ExtendedKeyUsage([ExtendedKeyUsageOID.TIME_STAMPING]), critical=True
        )
    return builder.sign(key(of), hashes.SHA256(), ecdsa_deterministic=True)


def authority_of_time(name: str = "time root") -> x509.Certificate:
    """The root of a timestamp authority."""
    return _certify(name, name, None, ca=True, begin=ISSUED, end=ISSUED + 20 * YEAR, eku=False)


def signer_of_time(
    root: str = "time root", *, eku: bool = True, begin: datetime = ISSUED, end: datetime = ISSUED + 10 * YEAR
) -> x509.Certificate:
    """Who signs its tokens."""
    return _certify("time signer", root, authority_of_time(root), ca=False, begin=begin, end=end, eku=eku)


def token(
    note: str, moment: datetime, *, signer: x509.Certificate | None = None, digest: bytes | None = None
) -> bytes:
    """A TimeStampToken over a checkpoint (RFC 3161 section 2.4.2, RFC 5652 section 5, RFC 5816)."""
    signer = signer if signer is not None else signer_of_time()
    sha256 = _sequence(_oid("sha256"))
    imprint = digest if digest is not None else checkpoint_digest(note)
    info = _sequence(
        _number(1),
        _oid("policy"),
        _sequence(_sequence(_oid("sha256"), b"\x05\x00"), _octets(imprint)),
        _number(int.from_bytes(imprint[:8], "big") >> 1),
        der_value(0x18, f"{moment:%Y%m%d%H%M%S}Z".encode()),
        _sequence(_number(1)),
    )
    der = signer.public_bytes(Encoding.DER)
    attributes = sorted(
        (
            _sequence(_oid("content-type"), _set(_oid("tst-info"))),
            _sequence(_oid("message-digest"), _set(_octets(hashlib.sha256(info).digest()))),
            _sequence(
                _oid("signing-certificate-v2"),
                _set(_sequence(_sequence(_sequence(_octets(hashlib.sha256(der).digest()))))),
            ),
        )
    )
    how: Any = ec.ECDSA(hashes.SHA256(), deterministic_signing=True)
    signature = key("time signer").sign(_set(*attributes), how)
    signer_info = _sequence(
        _number(1),
        _sequence(signer.issuer.public_bytes(), _number(signer.serial_number)),
        sha256,
        der_value(0xA0, b"".join(attributes)),
        _sequence(_oid("ecdsa-sha256")),
        _octets(signature),
    )
    signed = _sequence(
        _number(3),
        _set(sha256),
        _sequence(_oid("tst-info"), der_value(0xA0, _octets(info))),
        der_value(0xA0, der),
        _set(signer_info),
    )
    return _sequence(_oid("signed-data"), der_value(0xA0, signed))


def changed(made: bytes) -> bytes:
    """A token whose time was moved an hour forward after it was signed: same length, one byte."""
    at = made.index(b"\x18\x0f20") + 2
    later = datetime.strptime(made[at : at + 14].decode(), "%Y%m%d%H%M%S") + timedelta(hours=1)  # noqa: DTZ007
    return made[:at] + f"{later:%Y%m%d%H%M%S}".encode() + made[at + 14 :]
