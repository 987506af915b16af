"""Machine reports, alone and with certificates (in ``with/``)."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable
from typing import Any

from vectors.claims import certificate, edited, overwrite, report
from vectors.world import Case, Made, made, site, station, station_place

__all__ = ["CASES"]

IDS = [f"00000000-0000-4000-8000-00000000000{number}" for number in (1, 2)]


def _digest(bundle: bytes) -> str:
    return hashlib.sha256(base64.b64decode(json.loads(bundle)["envelope"]["payload"])).hexdigest()


def _certificates(**second: Any) -> list[bytes]:
    """Two drives of the machine, in the station's chain."""
    one = made(certificate(station_place(), serial="VECTOR-1", id=IDS[0])).bundle
    place = station_place(1, _digest(one))
    return [one, made(certificate(place, **{"serial": "VECTOR-2", "id": IDS[1], **second})).bundle]


def _listed(bundles: list[bytes]) -> list[dict[str, Any]]:
    return [
        overwrite(f"VECTOR-{number + 1}", IDS[number], _digest(bundle))
        for number, bundle in enumerate(bundles)
    ]


def _report(
    bundles: list[bytes],
    change: Callable[[list[dict[str, Any]]], list[dict[str, Any]]] = lambda drives: drives,
    hand_over: Callable[[list[bytes]], list[bytes]] = lambda them: them,
    **changes: Any,
) -> Made:
    drives = change(_listed(bundles))
    found = made(report(station_place(2, _digest(bundles[-1])), drives, **changes))
    with_it = {f"certificate-{number + 1}.json": one for number, one in enumerate(hand_over(bundles))}
    return Made(found.bundle, found.trust, with_it)


def _told_otherwise(what: str, why: str, says: str, **changes: Any) -> Case:
    """The report names a certificate that is there, and lists its drive otherwise than the certificate."""
    return _case(
        f"machine-{what}",
        why,
        1,
        "12 set",
        says,
        lambda: _report(_certificates(), change=lambda drives: [drives[0], {**drives[1], **changes}]),
    )


def _left_alone(drive: dict[str, Any], outcome: str = "SKIPPED") -> dict[str, Any]:
    return {
        **drive,
        "outcome": outcome,
        "reason": "not confirmed",
        "method": None,
        "technique": None,
        "certificate": None,
    }


def _case(name: str, why: str, code: int, failed: str, says: str, make: Callable[[], Made]) -> Case:
    return Case(f"{name}_fail", why, make, code, tuple(one for one in failed.split(", ") if one), says)


def _failing_second() -> list[bytes]:
    return _certificates(
        result__outcome="FAILED",
        result__reason="a write failed",
        result__method=None,
        result__technique=None,
        result__basis=None,
    )


def _swapped_payload() -> Made:
    """A certificate for the same drive, by the same station and with the same id, and other claims."""
    bundles = _certificates()
    other = _certificates(drive__propertyNumber="P-99")
    return _report(bundles, hand_over=lambda them: [them[0], other[1]])


def _with_namesake(*, last: bool) -> Made:
    """A certificate by another station that has the id of the first drive's; its name is ``last``."""
    place = {**station_place(), "name": "station-namesake"}
    theirs = made(
        certificate(place, serial="NAMESAKE", id=IDS[0]),
        chain=(station("station-namesake"), site()),
    ).bundle
    found = _report(_certificates())
    name = "namesake.json" if last else "a-namesake.json"
    return Made(found.bundle, found.trust, {**found.others, name: theirs})


CASES = (
    Case("machine", "Two drives, both erased, both certificates there.", lambda: _report(_certificates())),
    _case(
        "machine-alone",
        "The report without the certificates that it names: it holds no evidence of an erasure.",
        3,
        "12 set",
        "is not there",
        lambda: _report(_certificates(), hand_over=lambda _: []),
    ),
    _case(
        "machine-certificate-missing",
        "The certificate of the second drive is not handed over.",
        3,
        "12 set",
        "is not there",
        lambda: _report(_certificates(), hand_over=lambda them: them[:1]),
    ),
    _case(
        "machine-drive-missing",
        "The report leaves out a drive that this station certified in this machine.",
        1,
        "12 set",
        "does not list",
        lambda: _report(_certificates(), change=lambda drives: drives[:1]),
    ),
    _case(
        "machine-certificate-exchanged",
        "A certificate with the right id and other claims than the one that the report names.",
        1,
        "12 set",
        "its hash is another",
        _swapped_payload,
    ),
    _case(
        "machine-certificate-forged",
        "A certificate that is not genuine itself.",
        1,
        "12 set",
        "is not genuine",
        lambda: _report(
            _certificates(),
            hand_over=lambda them: [
                them[0],
                json.dumps(edited(json.loads(them[1]), envelope__signatures__0__keyid="ab" * 32)).encode(),
            ],
        ),
    ),
    _case(
        "machine-report-better-than-its-certificates",
        "The report says ERASED of a drive whose certificate says FAILED.",
        1,
        "12 set",
        "the report ERASED",
        lambda: _report(_failing_second()),
    ),
    _told_otherwise(
        "another-serial",
        "The report lists another drive's serial beside a certificate that is there: its page would say that "
        "the other drive was erased.",
        "says serial VECTOR-2, the report VICTIM-DISK",
        serial="VICTIM-DISK",
    ),
    _told_otherwise(
        "another-model",
        "The report lists another make of drive than the certificate.",
        "says manufacturer Example, the report Another; ",
        manufacturer="Another",
        model="Disk 4000",
    ),
    _told_otherwise(
        "another-capacity",
        "The report lists a larger drive than the certificate.",
        "says capacity in bytes 500107862016, the report 4000787030016",
        capacityBytes=4_000_787_030_016,
    ),
    _told_otherwise(
        "another-media-type",
        "The report lists a hard disk, which the certificate says, as flash.",
        "says media type hdd, the report ssd",
        mediaType="ssd",
    ),
    _told_otherwise(
        "another-technique",
        "The report says another technique than the certificate, of the same method.",
        "says technique overwrite, the report ata-security-erase",
        technique="ata-security-erase",
    ),
    Case(
        "machine-certificate-of-one-id",
        "Another genuine certificate has the id of one that the report names: the hash tells which is meant.",
        lambda: _with_namesake(last=True),
    ),
    Case(
        "machine-certificate-of-one-id-first",
        "The same, handed over in the other order.",
        lambda: _with_namesake(last=False),
    ),
    _case(
        "machine-of-another",
        "The certificates are of another machine.",
        1,
        "12 set",
        "another machine",
        lambda: _report(_certificates(source__hostSerial="HOST-2")),
    ),
    _case(
        "machine-drive-left-alone",
        "A drive was left alone: the machine is not erased, and the report says so.",
        3,
        "",
        "NOT EVERY DRIVE",
        lambda: _report(
            _certificates(),
            change=lambda drives: [drives[0], _left_alone(drives[1])],
            hand_over=lambda them: them[:1],
        ),
    ),
    _case(
        "machine-drive-out-of-reach",
        "A drive behind a RAID controller could not be reached.",
        3,
        "",
        "NOT EVERY DRIVE",
        lambda: _report(
            _certificates(),
            change=lambda drives: [drives[0], _left_alone(drives[1], "UNHANDLED")],
            hand_over=lambda them: them[:1],
        ),
    ),
    _case(
        "machine-erased-without-certificate",
        "A drive is listed as ERASED and has no certificate.",
        1,
        "6 claims",
        "without a certificate",
        lambda: _report(
            _certificates(), change=lambda drives: [drives[0], {**drives[1], "certificate": None}]
        ),
    ),
    _case(
        "machine-one-certificate-for-two",
        "Two drives share one certificate.",
        1,
        "6 claims",
        "the same certificate",
        lambda: _report(
            _certificates(),
            change=lambda drives: [drives[0], {**drives[1], "certificate": drives[0]["certificate"]}],
        ),
    ),
    _case(
        "machine-without-drives",
        "No drive at all: nothing was erased.",
        3,
        "",
        "NOT EVERY DRIVE",
        lambda: _report(_certificates(), change=lambda _: [], hand_over=lambda _: []),
    ),
)
