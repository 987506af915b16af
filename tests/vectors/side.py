"""Side statements: what people say of certificates, and revocations; alone and with what they speak of."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from rasura.envelope import key_id
from vectors.claims import certificate, edited
from vectors.world import (
    ISSUED,
    LOGGED,
    ROLE,
    SITE,
    YEAR,
    Case,
    Made,
    authority,
    issue,
    key,
    made,
    person,
    revoker,
    site,
    station,
    station_place,
    trust,
)

__all__ = ["CASES", "by_person", "decision", "with_certificate"]

DAY = timedelta(days=1)
WHEN = "2026-03-03T09:00:00Z"
OPERATOR = {"name": "operator 7", "role": ROLE, "site": SITE}


def _id(number: int) -> str:
    return f"00000000-0000-4000-8000-0000000001{number:02}"


def _digest(bundle: bytes) -> str:
    return hashlib.sha256(base64.b64decode(json.loads(bundle)["envelope"]["payload"])).hexdigest()


def _key(name: str) -> str:
    return key_id(key(name).public_key())


def _certificate() -> bytes:
    return made().bundle


def _common(number: int, reason: str | None, signer: dict[str, Any] | None = None) -> dict[str, Any]:
    return {
        "formatVersion": "1.0",
        "id": _id(number),
        "signer": signer or OPERATOR,
        "signedAt": WHEN,
        "reason": reason,
    }


def _document(digest: str | None = None, kind: str = "erasure-certificate") -> dict[str, Any]:
    return {"kind": kind, "payloadSha256": digest or _digest(_certificate())}


def decision(
    ruling: str = "accepted", reason: str | None = None, number: int = 1, **changes: Any
) -> dict[str, Any]:
    said = {"document": _document(), "decision": ruling, "location": None, "contact": None}
    return edited({**_common(number, reason), **said}, **changes)


def _correction(**changes: Any) -> dict[str, Any]:
    said = {"document": _document(), "field": "drive.propertyNumber", "right": "P-0417"}
    return edited({**_common(2, "the label was misread"), **said}, **changes)


def _supersession(**changes: Any) -> dict[str, Any]:
    said = {"document": _document(), "replacement": _document("ab" * 32)}
    return edited({**_common(3, "erased again, to Purge"), **said}, **changes)


def _revocation(
    of: str, at: str | None = SITE, since: str = "2026-03-02T09:00:00Z", **changes: Any
) -> dict[str, Any]:
    signer = {"name": at or "Vector authority", "role": None, "site": at}
    said = {"key": _key(of), "since": since, "replacedBy": None}
    return edited({**_common(4, "the stick was lost", signer), **said}, **changes)


def by_person(claims: dict[str, Any], after: timedelta = DAY, **changes: Any) -> Made:
    usual = {
        "chain": (person(), site()),
        "by": key("operator 7"),
        "logged": LOGGED + after,
        "sequence": (6, 8),
    }
    return made(claims, start=False, **{**usual, **changes})


def _by_revoker(claims: dict[str, Any], at: str | None = SITE, **changes: Any) -> Made:
    chain = (revoker(at), site(at)) if at else (revoker(None),)
    usual = {"chain": chain, "by": key("revoker"), "logged": LOGGED + DAY, "sequence": (6, 8)}
    return made(claims, start=False, **{**usual, **changes})


def _about(*said: Made) -> Made:
    """A certificate, and what was said of it."""
    return Made(
        _certificate(), trust(), {f"statement-{at + 1}.json": one.bundle for at, one in enumerate(said)}
    )


def with_certificate(said: Made, *others: Made) -> Made:
    """A statement, with the certificate that it speaks of, and perhaps more statements."""
    beside = {f"statement-{at + 1}.json": one.bundle for at, one in enumerate(others)}
    return Made(said.bundle, said.trust, {"certificate.json": _certificate(), **beside})


def _other_person(ruling: str, reason: str | None, after: timedelta) -> Made:
    signer = {"name": "B. Petit", "role": ROLE, "site": SITE}
    claims = decision(ruling, reason, 7, signer=signer)
    return by_person(claims, after, chain=(person("B. Petit"), site()), by=key("B. Petit"))


_TOLD = (
    Case(
        "accepted",
        "A person of the site accepted it.",
        lambda: _about(by_person(decision())),
        says="accepted by operator 7",
    ),
    Case(
        "rejected_fail",
        "Genuine, and a person rejected it: it must not pass for an erasure.",
        lambda: _about(by_person(decision("rejected", "the wrong drive was confirmed"))),
        3,
        (),
        "REJECTED by operator 7",
    ),
    Case(
        "rejected-then-accepted",
        "The same person rejected it, and accepted it two days later: their last word counts.",
        lambda: _about(
            by_person(decision("rejected", "no label")),
            by_person(decision(number=5), 3 * DAY, sequence=(9, 11)),
        ),
        says="accepted by operator 7",
    ),
    Case(
        "rejected-and-accepted-by-another_fail",
        "One person rejected it and another accepted it later: nobody lifts another's rejection.",
        lambda: _about(
            by_person(decision("rejected", "the wrong drive was confirmed")),
            _other_person("accepted", None, 3 * DAY),
        ),
        3,
        (),
        "REJECTED by operator 7",
    ),
    Case(
        "corrected",
        "The property number was corrected: the certificate stays, and the correction is told.",
        lambda: _about(by_person(_correction())),
        says="CORRECTED by operator 7",
    ),
    Case(
        "superseded_fail",
        "Another certificate takes its place.",
        lambda: _about(by_person(_supersession())),
        3,
        (),
        "SUPERSEDED by operator 7",
    ),
    Case(
        "revoked-by-its-site_fail",
        "The site revoked the station's key since before the log included this.",
        lambda: _about(_by_revoker(_revocation("station"))),
        1,
        ("9 validity",),
        "revoked on 2026-03-02 09:00",
    ),
    Case(
        "revoked-by-the-authority_fail",
        "The registry's authority revoked the site's key since before the log included this.",
        lambda: _about(_by_revoker(_revocation(f"site {SITE}", None), None)),
        1,
        ("9 validity",),
        "revoked on 2026-03-02 09:00",
    ),
    Case(
        "rotated-later",
        "The site was given a new key after the log had included this: what was signed before stands.",
        lambda: _about(
            _by_revoker(
                _revocation(
                    f"site {SITE}", None, "2026-03-02T18:00:00Z", replacedBy=_key("site Workshop, second")
                ),
                None,
            )
        ),
    ),
    Case(
        "revoked-by-another-site",
        "Another site revoked the station's key, which it did not certify: that says nothing of this one.",
        lambda: _about(_by_revoker(_revocation("station", "Other"), "Other")),
    ),
)


def _case(name: str, why: str, failed: str, says: str, make: Callable[[], Made]) -> Case:
    return Case(f"{name}_fail", why, make, 1, tuple(failed.split(", ")), says)


def _enough(name: str, why: str, says: str, make: Callable[[], Made]) -> Case:
    """Genuine, and it says nothing of an erasure."""
    return Case(f"{name}_fail", why, make, 3, (), says)


def _by_station() -> Made:
    signer = {"name": "station-vector", "role": None, "site": SITE}
    claims = decision(signer=signer, signedAt="2026-03-02T10:05:00Z")
    return with_certificate(by_person(claims, chain=(station(), site()), by=key("station")))


def _with_person(claims: dict[str, Any] | None = None, after: timedelta = DAY, **bent: Any) -> Made:
    return with_certificate(by_person(claims or decision(), after, chain=(person(**bent), site())))


def _certificate_by_a_person() -> Made:
    claims = certificate(station_place(name="operator 7"))
    return made(claims, chain=(person(), site()), by=key("operator 7"))


_ROLE = (
    _case(
        "validation-by-a-station",
        "A station's key signed a validation. It also has no role to speak in.",
        "3 chain, 6 claims",
        "not marked as a person's",
        _by_station,
    ),
    _case(
        "validation-by-a-revoker",
        "A key that was certified for a revocation signed a validation.",
        "3 chain",
        "not marked as a person's",
        lambda: _with_person(marks=(2,)),
    ),
    _case(
        "validation-mark-not-critical",
        "The person's certificate is marked, and not so that who does not know the mark refuses it.",
        "3 chain",
        "not marked as a person's",
        lambda: _with_person(marks_critical=False),
    ),
    _case(
        "validation-mark-of-two",
        "A certificate for two roles.",
        "3 chain",
        "not marked as a person's",
        lambda: _with_person(marks=(1, 2)),
    ),
    _case(
        "certificate-by-a-person",
        "A person's key signed an erasure certificate.",
        "3 chain",
        "marked for another role",
        _certificate_by_a_person,
    ),
    _case(
        "certificate-by-a-marked-station",
        "A station's certificate that is marked as a person's, though not critically.",
        "3 chain",
        "marked for another role",
        lambda: made(chain=(station(marks=(1,), marks_critical=False), site())),
    ),
    _case(
        "revocation-by-a-person",
        "A person's key signed a revocation.",
        "3 chain",
        "not marked as a revoker's",
        lambda: with_certificate(
            _by_revoker(
                _revocation("station", signer=OPERATOR), chain=(person(), site()), by=key("operator 7")
            )
        ),
    ),
    _case(
        "revocation-by-the-site-itself",
        "The site's own key, which signs signing certificates only.",
        "2 signature",
        "another key",
        lambda: with_certificate(_by_revoker(_revocation("station"), by=key(f"site {SITE}"))),
    ),
)


_CHAIN = (
    _case(
        "validation-person-of-another-site",
        "Another site certified this person under this site's name.",
        "3 chain",
        "issued by the site's",
        lambda: _with_person(issuer=site("Other"), issuer_key=key("site Other")),
    ),
    _case(
        "validation-by-the-authority",
        "The authority certified the person itself: no site vouches for them.",
        "3 chain",
        "1 signing",
        lambda: with_certificate(
            by_person(decision(), chain=(person(issuer=authority(), issuer_key=key("authority")),))
        ),
    ),
    _case(
        "validation-person-expired",
        "The person's certificate had ended when the log included the statement.",
        "9 validity",
        "person's signing certificate was not valid",
        lambda: _with_person(after=60 * DAY, end=LOGGED + 30 * DAY),
    ),
    _case(
        "validation-person-revoked",
        "The site revoked the person's key since before the log included the statement.",
        "9 validity",
        "revoked on 2026-03-02 09:00",
        lambda: with_certificate(by_person(decision()), _by_revoker(_revocation("operator 7"))),
    ),
    _case(
        "validation-before-its-person",
        "Dated before the person's certificate begins.",
        "5 clock",
        "at the time claimed",
        lambda: _with_person(decision(signedAt="2025-12-01T00:00:00Z")),
    ),
    _case(
        "revocation-by-a-stranger",
        "An authority that is not trusted revokes a trusted site.",
        "3 chain",
        "trusted registry authority",
        lambda: with_certificate(
            _by_revoker(
                _revocation(f"site {SITE}", None),
                None,
                chain=(_stranger(),),
            )
        ),
    ),
    _case(
        "revocation-by-the-authority-for-a-site",
        "The authority's revoker names a site: for a site the site's certificate must be there.",
        "3 chain",
        "names a site",
        lambda: with_certificate(
            _by_revoker(_revocation("station"), chain=(revoker(None, org=SITE, name=SITE),))
        ),
    ),
    _case(
        "revocation-by-a-revoked-site",
        "A thief of a site's key revokes stations, after the authority had revoked that key.",
        "9 validity",
        "revoked on 2026-03-02 09:00",
        lambda: with_certificate(
            _by_revoker(_revocation("station", id=_id(8))),
            _by_revoker(_revocation(f"site {SITE}", None), None),
        ),
    ),
    _case(
        "revocation-of-its-own-site",
        "A site revokes its own key: the registry's authority does that.",
        "4 identity",
        "cannot revoke its own key",
        lambda: with_certificate(_by_revoker(_revocation(f"site {SITE}"))),
    ),
)


def _stranger() -> Any:
    return issue(
        "Vector authority",
        None,
        key("revoker"),
        authority("stranger"),
        key("stranger"),
        marks=(2,),
        begin=ISSUED,
        end=ISSUED + YEAR,
    )


_CLAIMS = (
    _case(
        "validation-by-another-name",
        "The claims name another person than the signing certificate.",
        "4 identity",
        "the claims say signer",
        lambda: _with_person(decision(signer__name="B. Petit")),
    ),
    _case(
        "validation-in-another-role",
        "The claims give the person a higher role than the site did.",
        "4 identity",
        "the claims say role",
        lambda: _with_person(decision(signer__role="director")),
    ),
    _case(
        "validation-for-another-site",
        "The claims name another site than the person's.",
        "4 identity",
        "the claims say site",
        lambda: _with_person(decision(signer__site="Other")),
    ),
    _case(
        "validation-subject-of-another",
        "The subject is another certificate than the claims speak of.",
        "1 bundle",
        "subject",
        lambda: with_certificate(
            by_person(decision(), document=lambda one: edited(one, subject__0__digest={"sha256": "cd" * 32}))
        ),
    ),
    _case(
        "validation-unknown-word",
        "A decision that is neither accepted nor rejected.",
        "1 bundle",
        "malformed",
        lambda: _with_person(decision("accepted with reserves")),
    ),
    _case(
        "validation-format-2",
        "Another major version.",
        "1 bundle",
        "format version",
        lambda: _with_person(decision(formatVersion="2.0")),
    ),
    _case(
        "rejection-without-reason",
        "Nobody is told why.",
        "6 claims",
        "without a reason",
        lambda: _with_person(decision("rejected", "  ")),
    ),
    _case(
        "correction-of-the-outcome",
        "What was done is not corrected by words: FAILED does not become ERASED.",
        "6 claims",
        "is not corrected",
        lambda: _with_person(_correction(field="result.outcome", right="ERASED")),
    ),
    _case(
        "correction-of-a-path",
        "The member it corrects is no path of members.",
        "6 claims",
        "not a path",
        lambda: _with_person(_correction(field="drive..serial")),
    ),
    _case(
        "supersession-of-itself",
        "A certificate takes its own place.",
        "6 claims",
        "its own place",
        lambda: _with_person(_supersession(replacement=_document())),
    ),
    _case(
        "supersession-by-a-report",
        "A machine report takes a certificate's place.",
        "6 claims",
        "each other's place",
        lambda: _with_person(_supersession(replacement=_document("ab" * 32, "machine-report"))),
    ),
    _case(
        "revocation-of-no-key",
        "What it revokes is no SHA-256.",
        "6 claims",
        "not named by a SHA-256",
        lambda: with_certificate(_by_revoker(_revocation("station", key="ab" * 31))),
    ),
    _case(
        "revocation-since-some-day",
        "Since when is not told in RFC 3339.",
        "6 claims",
        "RFC 3339",
        lambda: with_certificate(_by_revoker(_revocation("station", since="2026-03-02"))),
    ),
)

_BESIDE = (
    _enough(
        "validation-alone",
        "Genuine, without the certificate that it speaks of: it attests no erasure.",
        "not among the files",
        lambda: by_person(decision()),
    ),
    _enough(
        "validation-not-logged",
        "In no log: it may have been made yesterday, by a key that was stolen long ago.",
        "in no log yet",
        lambda: with_certificate(by_person(decision(), logged=None)),
    ),
    _enough(
        "validation-of-another-kind",
        "It speaks of a machine report, and the hash is a certificate's.",
        "which is an erasure-certificate",
        lambda: _with_person(decision(document__kind="machine-report")),
    ),
    _enough(
        "correction-of-a-missing-member",
        "The certificate has no such member.",
        "has no drive.colour",
        lambda: _with_person(_correction(field="drive.colour")),
    ),
    _enough(
        "correction-by-another-site",
        "A person of another site corrects this site's certificate.",
        "another site's work",
        lambda: with_certificate(_by_other_site(_correction(signer__site="Other"))),
    ),
    _enough(
        "supersession-by-another-site",
        "A person of another site replaces this site's certificate.",
        "another site's work",
        lambda: with_certificate(_by_other_site(_supersession(signer__site="Other"))),
    ),
    _enough(
        "revocation-alone",
        "Genuine, without any certificate: it attests no erasure.",
        "no certificate among the files",
        lambda: _by_revoker(_revocation("station")),
    ),
    _enough(
        "revocation-not-logged",
        "In no log: anybody who holds the site's key could have dated it.",
        "in no log yet",
        lambda: with_certificate(_by_revoker(_revocation("station"), logged=None)),
    ),
)


def _by_other_site(claims: dict[str, Any]) -> Made:
    return by_person(claims, chain=(person(at="Other"), site("Other")))


CASES = (*_TOLD, *_ROLE, *_CHAIN, *_CLAIMS, *_BESIDE)
