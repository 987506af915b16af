"""Verification: what must be refused outnumbers what must pass."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from rasura.bundle import Bundle
from rasura.certificate import PREDICATE_TYPE
from rasura.ecdsa import is_one_form
from rasura.envelope import sign
from rasura.keys import issue_site, issue_station
from rasura.trust import Trust, TrustError
from rasura.verifier import State, Verdict, check_submission, verify
from rasura_agent.station import SigningStation
from simulators.block import BlockFault
from simulators.signing import NOW, TrustWorld

VECTORS = Path(__file__).parents[2] / "certs/vectors"


@pytest.fixture(scope="module")
def world() -> TrustWorld:
    return TrustWorld()


@pytest.fixture(scope="module")
def logged(world: TrustWorld) -> Bundle:
    world.logged(world.bundle())
    world.logged(world.bundle())
    return world.logged(world.bundle())


def failed(raw: bytes, trust: Trust) -> list[str]:
    report = verify(raw, trust)
    assert report.verdict is Verdict.NOT_GENUINE
    assert not report.attests_erasure
    return [check.name for check in report.checks if check.state is State.FAILED]


def test_a_logged_certificate_is_genuine(world: TrustWorld, logged: Bundle) -> None:
    report = verify(logged.encode(), world.trust)
    assert report.verdict is Verdict.GENUINE
    assert report.attests_erasure
    assert report.logged_at == NOW
    assert [check.number for check in report.checks] == list(range(1, 12))
    assert all(check.state is State.PASSED and check.sentence for check in report.checks[:9])
    assert report.checks[9].state is State.NOT_DONE


def test_an_unlogged_certificate_is_only_genuine_so_far(world: TrustWorld) -> None:
    report = verify(world.bundle().encode(), world.trust)
    assert report.verdict is Verdict.NOT_LOGGED
    assert report.logged_at is None


def test_a_failed_erasure_is_genuine_and_attests_nothing(world: TrustWorld) -> None:
    report = verify(world.logged(world.bundle((2, BlockFault.WRITE_LOST))).encode(), world.trust)
    assert report.verdict is Verdict.GENUINE
    assert not report.attests_erasure


def test_every_flipped_bit_is_noticed(world: TrustWorld, logged: Bundle) -> None:
    raw = logged.encode()
    for position in range(0, len(raw), 5):
        flipped = bytearray(raw)
        flipped[position] ^= 1 << (position % 8)
        report = verify(bytes(flipped), world.trust)
        assert report.verdict is not Verdict.GENUINE, f"byte {position}"


@given(raw=st.binary(max_size=300))
def test_garbage_is_refused_without_an_exception(world: TrustWorld, raw: bytes) -> None:
    assert failed(raw, world.trust) == ["bundle"]


@given(data=st.data())
def test_a_mangled_bundle_is_refused_without_an_exception(
    world: TrustWorld, logged: Bundle, data: st.DataObject
) -> None:
    value = json.loads(logged.encode())
    junk = st.none() | st.integers() | st.text(max_size=8) | st.lists(st.integers(), max_size=2) | st.just({})
    place: Any = value
    key = data.draw(st.sampled_from(sorted(value)))
    if key == "envelope" and data.draw(st.booleans()):
        place, key = value["envelope"], data.draw(st.sampled_from(sorted(value["envelope"])))
    before = place[key]
    place[key] = data.draw(junk)
    report = verify(json.dumps(value).encode(), world.trust)
    if place[key] != before:
        assert report.verdict is not Verdict.GENUINE


def resigned(world: TrustWorld, edit: Any) -> Bundle:
    """A bundle whose payload was edited and signed again by the station itself."""
    bundle = world.bundle()
    statement = json.loads(bundle.envelope.payload)
    edit(statement)
    station = world.station
    return replace(bundle, envelope=sign(json.dumps(statement).encode(), station._key))


@pytest.mark.parametrize(
    ("edit", "check"),
    [
        (lambda s: s.update(predicateType=PREDICATE_TYPE.replace("v1", "v2")), "bundle"),
        (lambda s: s.update(_type="https://in-toto.io/Statement/v0.1"), "bundle"),
        (lambda s: s["predicate"].update(formatVersion="2.0"), "bundle"),
        (lambda s: s["predicate"].update(formatVersion=1), "bundle"),
        (lambda s: s["predicate"].pop("result"), "bundle"),
        (lambda s: s["subject"][0]["digest"].update(sha256="0" * 64), "bundle"),
        (lambda s: s.update(subject=[]), "bundle"),
        (lambda s: s["predicate"]["drive"].update(identityPages=[{"name": "x", "data": "!"}]), "bundle"),
        (lambda s: s["predicate"].update(id="not-a-uuid"), "claims"),
        (lambda s: s["predicate"]["station"].update(site="Elsewhere"), "identity"),
        (lambda s: s["predicate"]["station"].update(name="station-0"), "identity"),
        (lambda s: s["predicate"]["result"].update(finishedAt="2031-01-01T00:00:00Z"), "clock"),
        (lambda s: s["predicate"]["result"].update(finishedAt="yesterday"), "clock"),
        (lambda s: s["predicate"]["validation"].update(decision="accepted"), "claims"),
    ],
)
def test_what_the_station_may_not_sign(world: TrustWorld, edit: Any, check: str) -> None:
    bundle = resigned(world, edit)
    assert check in failed(bundle.encode(), world.trust)
    assert check_submission(bundle, world.trust.authorities, NOW)


def test_unknown_claims_of_a_minor_version_are_kept(world: TrustWorld) -> None:
    bundle = resigned(world, lambda s: s["predicate"].update(formatVersion="1.9", moonPhase="full"))
    assert verify(bundle.encode(), world.trust).verdict is Verdict.NOT_LOGGED


def test_another_payload_type(world: TrustWorld) -> None:
    bundle = world.bundle()
    envelope = sign(bundle.envelope.payload, world.station._key, "application/json")
    assert "signature" in failed(replace(bundle, envelope=envelope).encode(), world.trust)


def test_a_signature_by_another_key(world: TrustWorld) -> None:
    other = SigningStation.certified_by(world.kit, None, NOW)
    bundle = world.bundle()
    assert "signature" in failed(
        replace(bundle, envelope=sign(bundle.envelope.payload, other._key)).encode(), world.trust
    )


def test_two_signatures(world: TrustWorld) -> None:
    bundle = world.bundle()
    twice = replace(bundle.envelope, signatures=bundle.envelope.signatures * 2)
    assert "signature" in failed(replace(bundle, envelope=twice).encode(), world.trust)


def test_a_chain_to_another_root(world: TrustWorld, logged: Bundle) -> None:
    other = TrustWorld()
    assert "chain" in failed(logged.encode(), replace(other.trust, logs=world.trust.logs))


def test_chains_of_the_wrong_shape(world: TrustWorld) -> None:
    bundle = world.bundle()
    station, site = bundle.chain
    _, other_site = issue_site(world.authority_key, world.authority, "Other", NOW)
    for chain in [(), (station,), (site, station), (station, site, world.authority), (station, other_site)]:
        assert "chain" in failed(replace(bundle, chain=chain).encode(), world.trust)


def test_a_site_cannot_pose_as_another(world: TrustWorld) -> None:
    """A site key signs a station certificate that names another site."""
    key, site = issue_site(world.authority_key, world.authority, "Other", NOW)
    bundle = world.bundle()
    disguised = issue_station(
        key, world.site_certificate, world.station._key.public_key(), world.station.name, NOW
    )
    assert "chain" in failed(replace(bundle, chain=(disguised, site)).encode(), world.trust)


def test_a_station_cannot_certify(world: TrustWorld) -> None:
    """A station's key issues a certificate of its own: it is no authority."""
    bundle = world.bundle()
    victim = SigningStation.certified_by(world.kit, None, NOW)
    below = issue_station(world.station._key, bundle.chain[0], victim._key.public_key(), "station-x", NOW)
    assert "chain" in failed(replace(bundle, chain=(below, bundle.chain[0])).encode(), world.trust)


def test_a_receipt_for_another_certificate(world: TrustWorld, logged: Bundle) -> None:
    assert failed(world.bundle().with_receipt(logged.receipt).encode(), world.trust) == ["inclusion"]


def test_a_receipt_of_an_untrusted_log(world: TrustWorld, logged: Bundle) -> None:
    assert "checkpoint" in failed(logged.encode(), replace(world.trust, logs=TrustWorld().trust.logs))
    assert "checkpoint" in failed(logged.encode(), replace(world.trust, logs=()))


def test_a_wrong_index(world: TrustWorld, logged: Bundle) -> None:
    assert logged.receipt is not None
    wrong = replace(logged.receipt, index=logged.receipt.index - 1)
    assert failed(logged.with_receipt(wrong).encode(), world.trust) == ["inclusion"]


def test_a_site_whose_time_was_over(world: TrustWorld) -> None:
    late = world.logged(world.bundle(), NOW + timedelta(days=3 * 365))
    assert failed(late.encode(), world.trust) == ["validity"]


def test_an_overwrite_cannot_claim_purge(world: TrustWorld) -> None:
    assert "claims" in failed(world.bundle(result__method="Purge").encode(), world.trust)


def test_json_that_two_readers_would_read_differently(world: TrustWorld, logged: Bundle) -> None:
    raw = logged.encode().decode()
    media = '"mediaType":'
    for text in [
        raw.replace(media, '"receipt":null,' + media, 1),
        raw.replace(media, '"x":NaN,' + media, 1),
        raw.replace(media, '"x":' + "[" * 500 + "]" * 500 + "," + media, 1),
        raw.replace(media, '"x":' + "[" * 100000 + "]" * 100000 + "," + media, 1),
        raw.replace(media, '"x":' + "9" * 5000 + "," + media, 1),
        raw.replace(media, '"x":1e999,' + media, 1),
        raw.replace(media, '"x":"\\ud800",' + media, 1),
        raw + " " * (1 << 20),
        "[" + raw + "]",
    ]:
        assert failed(text.encode(), world.trust) == ["bundle"]
    assert failed(b"\xff" + logged.encode(), world.trust) == ["bundle"]


def test_base64_that_says_one_thing_twice(world: TrustWorld, logged: Bundle) -> None:
    value = json.loads(logged.encode())
    value["envelope"]["signatures"][0]["sig"] += "\n"
    assert failed(json.dumps(value).encode(), world.trust) == ["bundle"]
    value = json.loads(logged.encode())
    value["envelope"]["payload"] = base64.urlsafe_b64encode(logged.envelope.payload + b" ").decode() + "="
    assert failed(json.dumps(value).encode(), world.trust) == ["bundle"]


@pytest.mark.parametrize(
    "name", ["signature-high-s_fail", "station-certificate-high-s_fail", "purge-by-format_fail"]
)
def test_a_registry_does_not_log_it_either(name: str) -> None:
    folder = VECTORS / name
    bundle = Bundle.parse((folder / "bundle.json").read_bytes())
    trust = Trust.parse((folder / "trust.toml").read_text())
    assert check_submission(bundle, trust.authorities, datetime(2026, 3, 2, 10, 30, tzinfo=UTC))


def test_what_is_signed_here_has_one_form(world: TrustWorld) -> None:
    for _ in range(8):
        bundle = resigned(world, lambda _: None)
        assert is_one_form(bundle.envelope.signatures[0].sig)
        assert is_one_form(SigningStation.certified_by(world.kit, None, NOW)._chain[0].signature)


def test_a_trust_file_names_revoked_keys(world: TrustWorld, logged: Bundle) -> None:
    key = logged.envelope.signatures[0].keyid
    text = world.trust.to_toml() + f'\n[[revoked]]\nkey = "sha256:{key}"\nsince = 2026-01-01T00:00:00Z\n'
    trust = Trust.parse(text)
    assert Trust.parse(trust.to_toml()) == trust
    assert failed(logged.encode(), trust) == ["validity"]
    for bad in (text.replace("T00:00:00Z", ""), text.replace(key, key[1:]), text + "why = 1\n"):
        with pytest.raises(TrustError, match="revoked"):
            Trust.parse(bad)
