"""Fixed keys, fixed times, deterministic signatures: the same bytes whenever the vectors are made.

The keys are the hashes of their names, so they are everybody's: trust nothing but vectors by them.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from rasura.checkpoint import Checkpoint, sign_checkpoint
from rasura.ecdsa import is_one_form, one_form
from rasura.envelope import PAYLOAD_TYPE, key_id, pae
from rasura.note import VerifierKey
from rasura.receipt import Receipt
from rasura.strict_json import dumps
from rasura.tree import inclusion_proof, leaf_hash, root_hash
from rasura.trust import Revocation, Trust
from vectors.claims import certificate, side_kind, statement

__all__ = [
    "LOGGED",
    "ORIGIN",
    "ROLE",
    "ROLES",
    "SITE",
    "STARTED",
    "STATION",
    "Case",
    "Made",
    "authority",
    "b64",
    "entry",
    "expectation",
    "fillers",
    "issue",
    "key",
    "log_key",
    "made",
    "note",
    "person",
    "receipt",
    "revoked",
    "revoker",
    "signed",
    "site",
    "station",
    "station_place",
    "trust",
]

ORIGIN = "vectors.rasura.example/log"
SITE, STATION = "Workshop", "station-vector"
ROLE = "head of workshop"
ISSUED = datetime(2026, 1, 1, tzinfo=UTC)
"""When authority and site were certified."""
STARTED = datetime(2026, 3, 2, 7, 55, tzinfo=UTC)
"""The checkpoint that jobs begin with, of three entries; station certificates begin then too."""
LOGGED = datetime(2026, 3, 2, 10, 30, tzinfo=UTC)
ROLES = "2.25.172971269921635226025694172897700181700"
"""The arc of roles: 1 is a person, 2 a revoker."""
YEAR, WEEK = timedelta(days=365), timedelta(days=7)
_P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551


def _seed(name: str) -> bytes:
    return hashlib.sha256(f"rasura test vector key: {name}".encode()).digest()


def key(name: str) -> ec.EllipticCurvePrivateKey:
    """The ECDSA P-256 key of that name."""
    number = int.from_bytes(_seed(name), "big") % (_P256_ORDER - 1) + 1
    return ec.derive_private_key(number, ec.SECP256R1())


def log_key(name: str = "log") -> ed25519.Ed25519PrivateKey:
    """The Ed25519 key of that name."""
    return ed25519.Ed25519PrivateKey.from_private_bytes(_seed(name))


def b64(raw: bytes) -> str:
    """Standard base64."""
    return base64.b64encode(raw).decode()


def issue(
    common: str,
    org: str | None,
    public: ec.EllipticCurvePrivateKey,
    issuer: x509.Certificate | None,
    issuer_key: ec.EllipticCurvePrivateKey,
    *,
    path_length: int | None = None,
    ca: bool | None = None,
    begin: datetime = STARTED,
    end: datetime = STARTED + WEEK,
    algorithm: Any = None,
    critical: bool = False,
    high_s: bool = False,
    title: str | None = None,
    marks: tuple[int, ...] = (),
    marks_critical: bool = True,
    names: bytes | None = None,
) -> x509.Certificate:
    """A certificate of our profile, or bent where asked; serial numbers go up until ``s`` is as wanted.

    ``names``: the DER of alternative names besides.
    """
    is_ca = path_length is not None if ca is None else ca
    above = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, org)] if org else []
    titles = [x509.NameAttribute(NameOID.TITLE, title)] if title else []
    subject = x509.Name([*above, x509.NameAttribute(NameOID.COMMON_NAME, common), *titles])
    usage = dict.fromkeys(
        (
            "content_commitment",
            "key_encipherment",
            "data_encipherment",
            "key_agreement",
            "crl_sign",
            "encipher_only",
            "decipher_only",
        ),
        False,
    )
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer.subject if issuer is not None else subject)
        .public_key(public.public_key())
        .not_valid_before(begin)
        .not_valid_after(end)
        .add_extension(x509.BasicConstraints(ca=is_ca, path_length=path_length), critical=True)
        .add_extension(
            x509.KeyUsage(digital_signature=not is_ca, key_cert_sign=is_ca, **usage), critical=True
        )
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public.public_key()), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()), critical=False
        )
    )
    if marks:
        usages = [x509.ObjectIdentifier(f"{ROLES}.{number}") for number in marks]
        builder = builder.add_extension(x509.ExtendedKeyUsage(usages), critical=marks_critical)
    if critical:
        strange = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.3.6.1.4.1.99999.1"), b"\x05\x00")
        builder = builder.add_extension(strange, critical=True)
    if names is not None:
        alternative = x509.UnrecognizedExtension(x509.SubjectAlternativeName.oid, names)
        builder = builder.add_extension(alternative, critical=False)
    number = int.from_bytes(hashlib.sha256(f"{common} {org}".encode()).digest()[:8], "big") >> 1
    while True:
        number += 1
        found = builder.serial_number(number).sign(
            issuer_key, algorithm or hashes.SHA256(), ecdsa_deterministic=True
        )
        if is_one_form(found.signature) is not high_s:
            return found


def authority(name: str = "authority") -> x509.Certificate:
    """A registry authority."""
    return issue(
        f"Vector {name}",
        None,
        key(name),
        None,
        key(name),
        path_length=1,
        begin=ISSUED,
        end=ISSUED + 20 * YEAR,
    )


def site(name: str = SITE, **bent: Any) -> x509.Certificate:
    """A site's certificate."""
    usual = {"path_length": 0, "begin": ISSUED, "end": ISSUED + 2 * YEAR}
    return issue(name, name, key(f"site {name}"), authority(), key("authority"), **{**usual, **bent})


def station(name: str = STATION, at: str = SITE, **bent: Any) -> x509.Certificate:
    """A station's certificate."""
    return issue(name, bent.pop("org", at), key("station"), site(at), key(f"site {at}"), **bent)


def person(name: str = "operator 7", at: str = SITE, **bent: Any) -> x509.Certificate:
    """A person's certificate; its key is that of the name."""
    usual = {"title": ROLE, "marks": (1,), "begin": ISSUED, "end": ISSUED + YEAR}
    usual["issuer"], usual["issuer_key"] = site(at), key(f"site {at}")
    usual |= bent
    return issue(name, usual.pop("org", at), key(name), usual.pop("issuer"), usual.pop("issuer_key"), **usual)


def revoker(at: str | None = SITE, **bent: Any) -> x509.Certificate:
    """A revoker's certificate, by a site or by the authority; its key is "revoker"."""
    issuer = site(at) if at else authority()
    issuer_key = key(f"site {at}" if at else "authority")
    usual = {"marks": (2,), "begin": ISSUED, "end": ISSUED + YEAR, **bent}
    name = usual.pop("name", at or "Vector authority")
    return issue(name, usual.pop("org", at), key("revoker"), issuer, issuer_key, **usual)


def station_place(sequence: int = 0, previous: str | None = None, **changes: Any) -> dict[str, Any]:
    """The station in the claims."""
    place = {"name": STATION, "site": SITE, "operator": "operator-1"}
    return {**place, "sequence": sequence, "previousSha256": previous, **changes}


def trust(**changes: Any) -> str:
    """The trust file."""
    usual: dict[str, Any] = {"authorities": (authority(),), "logs": (VerifierKey.of(ORIGIN, log_key()),)}
    return Trust(**{**usual, **changes}).to_toml()


def revoked(name: str, since: datetime) -> tuple[Revocation, ...]:
    """A key of that name is revoked."""
    return (Revocation(key_id(key(name).public_key()), since),)


def signed(
    payload: bytes,
    *,
    payload_type: str = PAYLOAD_TYPE,
    by: ec.EllipticCurvePrivateKey | None = None,
    over: bytes | None = None,
    algorithm: Any = None,
    form: Callable[[bytes], bytes] = one_form,
) -> dict[str, Any]:
    """A DSSE envelope."""
    signer = by or key("station")
    how = ec.ECDSA(algorithm or hashes.SHA256(), deterministic_signing=True)
    signature = form(signer.sign(pae(payload_type, payload) if over is None else over, how))
    return {
        "payload": b64(payload),
        "payloadType": payload_type,
        "signatures": [{"keyid": key_id(signer.public_key()), "sig": b64(signature)}],
    }


def entry(kind: str, name: str, envelope: dict[str, Any], certified: x509.Certificate) -> bytes:
    """The leaf's bytes, written out."""
    payload = base64.b64decode(envelope["payload"])
    signature = base64.b64decode(envelope["signatures"][0]["sig"])
    der = certified.public_bytes(Encoding.DER)
    named = (
        ("id", name.encode()),
        ("payload", payload),
        ("signature", signature),
        ("signing-certificate", der),
    )
    rest = "".join(f"{what} sha256:{hashlib.sha256(data).hexdigest()}\n" for what, data in named)
    return f"rasura log entry v1\n{kind}\n{rest}".encode()


def fillers(count: int) -> list[bytes]:
    """Leaf hashes of other people's entries."""
    return [leaf_hash(f"filler {number}".encode()) for number in range(count)]


def note(leaves: list[bytes], moment: datetime, *, origin: str = ORIGIN, by: str = "log") -> str:
    """A signed checkpoint."""
    tree = Checkpoint(origin, len(leaves), root_hash(leaves))
    return sign_checkpoint(log_key(by), tree, int(moment.timestamp()))


def receipt(leaf: bytes, moment: datetime = LOGGED, *, index: int = 3, size: int = 5) -> Receipt:
    """The leaf at ``index`` of a log of ``size`` entries."""
    leaves = fillers(size)
    leaves[index] = leaf_hash(leaf)
    return Receipt(index, inclusion_proof(leaves, index), note(leaves, moment))


@dataclass
class Made:
    """The files of one vector; ``others`` go to ``with/``, ``accept`` to ``accept.toml``."""

    bundle: bytes
    trust: str
    others: dict[str, bytes] = field(default_factory=dict)
    accept: str | None = None


@dataclass(frozen=True)
class Case:
    """One vector. ``failed`` are the checks that must fail, as ``number name``, and no others."""

    name: str
    why: str
    make: Callable[[], Made]
    code: int = 0
    failed: tuple[str, ...] = ()
    says: str = "GENUINE"
    """Part of the sentence of the first of those checks, or of the last sentence."""


def made(
    predicate: dict[str, Any] | None = None,
    *,
    document: Callable[[dict[str, Any]], dict[str, Any]] = lambda one: one,
    payload: Callable[[bytes], bytes] = lambda one: one,
    envelope: dict[str, Any] | None = None,
    chain: tuple[x509.Certificate, ...] | None = None,
    logged: Any = LOGGED,
    start: bool = True,
    bundle: Callable[[dict[str, Any]], dict[str, Any]] = lambda one: one,
    raw: Callable[[bytes], bytes] = lambda one: one,
    trusted: str | None = None,
    sequence: tuple[int, int] = (3, 5),
    **sign: Any,
) -> Made:
    """A logged certificate, bent at one place.

    ``document`` bends the statement before it is signed, ``payload`` its bytes, ``bundle`` the JSON after it
    was logged, ``raw`` the file. ``logged`` is when, or makes the receipt of a leaf, or is ``None``.
    """
    claims = dict(predicate or certificate(station_place()))
    if start and claims.get("notBefore", 0) is None:
        claims["notBefore"] = {"checkpoint": note(fillers(3), STARTED)}
    spoken = document(statement(claims))
    written = payload(dumps(spoken))
    chain = chain if chain is not None else (station(), site())
    outer = envelope or signed(written, **sign)
    value: dict[str, Any] = {
        "mediaType": "application/vnd.rasura.bundle+json;version=1",
        "envelope": outer,
        "chain": [b64(one.public_bytes(Encoding.DER)) for one in chain],
        "receipt": None,
    }
    if logged is not None:
        kind = side_kind(claims) if "signer" in claims else "erasure-certificate"
        kind = "machine-report" if "drives" in claims else kind
        leaf = entry(kind, claims["id"], outer, chain[0] if chain else station())
        index, size = sequence
        value["receipt"] = (
            logged(leaf) if callable(logged) else receipt(leaf, logged, index=index, size=size).encode()
        )
    return Made(raw(dumps(bundle(value))), trusted or trust())


def expectation(case: Case) -> bytes:
    """``expect.json`` of a vector."""
    value = {"exit": case.code, "failed": list(case.failed), "says": case.says}
    return (json.dumps(value, indent=1, ensure_ascii=False) + "\n").encode()
