"""Statements about certificates: who may make them, what they say, and what they never do."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import jsonschema
import msgspec
import pytest
from click.testing import CliRunner, Result
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

import rasura.schema
from rasura.bundle import Bundle
from rasura.claims import ClaimsError, Statement
from rasura.cli import cli
from rasura.entry import EntryKind
from rasura.envelope import key_id, sign
from rasura.errors import ExitCode, UsageError
from rasura.keys import Role, chain_problems, issue_person, issue_revoker, p256_public_key
from rasura.language import Language, Tongue
from rasura.revocations import standing, with_revocations
from rasura.schema import SCHEMAS
from rasura.show import tell, telling_text
from rasura.side_signing import sign_revocation
from rasura.side_statement import KINDS, Ruling, SideStatement, side_problems
from rasura.trust import Revocation, Trust, TrustError
from rasura.verifier import Report, State, Verdict, check_submission, verify
from simulators.people import DAY, person, revocation, signer_key
from simulators.signing import NOW, TrustWorld


@pytest.fixture(scope="module")
def world() -> TrustWorld:
    return TrustWorld()


@pytest.fixture(scope="module")
def certificate(world: TrustWorld) -> Bundle:
    return world.logged(world.bundle())


def every_kind(world: TrustWorld, about: Bundle) -> list[Bundle]:
    judge = person(world)
    return [
        judge.decide(about, Ruling.ACCEPTED, None, NOW),
        judge.decide(about, Ruling.REJECTED, "no", NOW, location="Lyon", contact="04 72 00 00 00"),
        judge.correct(about, "drive.propertyNumber", "P-0417", "misread", NOW),
        judge.correct(about, "drive.rotational", True, "misread", NOW),
        judge.supersede(about, world.bundle(), "erased again", NOW),
        revocation(world, signer_key(about), NOW),
        revocation(world, key_id(world.site_key.public_key()), NOW, by_authority=True, replaced_by="ab" * 32),
    ]


def report(world: TrustWorld, bundle: Bundle) -> Report:
    return verify(bundle.encode(), world.trust)


def failed(found: Report) -> list[str]:
    return [one.name for one in found.checks if one.state is State.FAILED]


def test_each_is_genuine_once_it_is_logged(world: TrustWorld, certificate: Bundle) -> None:
    for said in every_kind(world, certificate):
        assert check_submission(said, (world.authority,), NOW) == ()
        assert report(world, said).verdict is Verdict.NOT_LOGGED
        found = report(world, world.logged(said, NOW + DAY))
        assert found.verdict is Verdict.GENUINE, found.checks
        assert found.statement == said.document
        assert found.claims is None
        assert found.logged_at == NOW + DAY
        assert not found.attests_erasure
        assert Bundle.parse(said.encode()).document == said.document


def test_each_has_its_kind_in_the_log_and_no_id_of_the_certificate(
    world: TrustWorld, certificate: Bundle
) -> None:
    kinds = [said.entry().kind for said in every_kind(world, certificate)]
    assert set(kinds) == {
        EntryKind.VALIDATION,
        EntryKind.CORRECTION,
        EntryKind.SUPERSESSION,
        EntryKind.REVOCATION,
    }
    for said in every_kind(world, certificate):
        assert certificate.certificate_id.encode() not in said.envelope.payload
        assert certificate.certificate_id.encode() not in said.entry().encode()


def test_they_are_no_claims_of_a_station(world: TrustWorld, certificate: Bundle) -> None:
    for said in every_kind(world, certificate):
        with pytest.raises(ClaimsError, match="not a certificate"):
            _ = said.claims
        with pytest.raises(ClaimsError):
            person(world).decide(said, Ruling.ACCEPTED, None, NOW)


def test_a_stations_key_signs_none(world: TrustWorld, certificate: Bundle) -> None:
    """However the claims name the signer."""
    station = certificate.chain[0]
    for said in every_kind(world, certificate):
        document = said.document
        assert isinstance(document, SideStatement)
        for name in (document.signer.name, certificate.claims.station.name):
            signer = msgspec.structs.replace(document.signer, name=name)
            payload = msgspec.structs.replace(document, signer=signer).to_payload()
            forged = Bundle(sign(payload, world.station._key), certificate.chain)
            assert "chain" in failed(report(world, world.logged(forged)))
            assert check_submission(forged, (world.authority,), NOW)
    assert chain_problems(certificate.chain, (world.authority,)) == ()
    for role in (Role.PERSON, Role.REVOKER):
        assert chain_problems((station, world.site_certificate), (world.authority,), role)


def test_a_role_passes_for_no_other(world: TrustWorld) -> None:
    judge = person(world)
    own = issue_revoker(world.site_key, world.site_certificate, judge.key.public_key(), NOW)
    above = issue_revoker(world.authority_key, world.authority, judge.key.public_key(), NOW)
    chains = {
        Role.STATION: world.station._chain,
        Role.PERSON: judge.chain,
        Role.REVOKER: (own, world.site_certificate),
    }
    for has, chain in chains.items():
        for wanted in Role:
            assert (chain_problems(chain, (world.authority,), wanted) == ()) == (has is wanted)
    assert chain_problems((above,), (world.authority,), Role.REVOKER) == ()
    assert chain_problems((above,), (TrustWorld().authority,), Role.REVOKER)
    assert chain_problems((above, world.site_certificate), (world.authority,), Role.REVOKER)
    assert all(chain_problems((above,), (world.authority,), role) for role in (Role.STATION, Role.PERSON))


def test_a_person_is_believed_while_their_certificate_lasts(world: TrustWorld, certificate: Bundle) -> None:
    said = person(world).decide(certificate, Ruling.ACCEPTED, None, NOW)
    assert report(world, world.logged(said, NOW + 182 * DAY)).verdict is Verdict.GENUINE
    assert failed(report(world, world.logged(said, NOW + 184 * DAY))) == ["validity"]
    assert failed(report(world, world.logged(said, NOW - DAY))) == ["validity"]
    assert check_submission(said, (world.authority,), NOW + 184 * DAY)


@pytest.mark.parametrize(
    ("say", "why"),
    [
        (lambda one, about: one.decide(about, Ruling.REJECTED, None, NOW), "without a reason"),
        (lambda one, about: one.decide(about, Ruling.REJECTED, " ", NOW), "without a reason"),
        (lambda one, about: one.decide(about, Ruling.ACCEPTED, "x" * 2001, NOW), "2000 characters"),
        (lambda one, about: one.supersede(about, about, "x", NOW), "its own place"),
        (lambda one, about: one.correct(about, "result.outcome", "ERASED", "x", NOW), "not corrected"),
        (lambda one, about: one.correct(about, "verification", None, "x", NOW), "not corrected"),
        (lambda one, about: one.correct(about, "station.name", "x", "x", NOW), "not corrected"),
        (lambda one, about: one.correct(about, "drive.serial", "x", "", NOW), "no reason"),
        (lambda one, about: one.correct(about, "", "x", "x", NOW), "not a path"),
        (lambda one, about: one.correct(about, "drive.", "x", "x", NOW), "not a path"),
    ],
)
def test_what_must_not_be_said_is_not_signed(
    world: TrustWorld, certificate: Bundle, say: Callable[..., Bundle], why: str
) -> None:
    with pytest.raises(UsageError, match=why):
        say(person(world), certificate)


@pytest.mark.parametrize("key", ["", "ab", "AB" * 32, "sha256:" + "ab" * 32])
def test_a_key_is_named_by_its_hash(world: TrustWorld, key: str) -> None:
    with pytest.raises(UsageError, match="SHA-256"):
        sign_revocation(world.site_key, world.site_certificate, key, NOW, "x", NOW)


# --- revocations


def test_a_revocation_takes_what_came_after_it(world: TrustWorld, certificate: Bundle) -> None:
    key = signer_key(certificate)
    for since, holds in ((NOW, False), (NOW + timedelta(seconds=1), True), (NOW - DAY, False)):
        for by_authority in (False, True):
            said = world.logged(revocation(world, key, since, by_authority=by_authority), NOW + DAY)
            held = standing([report(world, said)])
            assert len(held) == 1
            found = with_revocations(report(world, certificate), held)
            assert (found.verdict is Verdict.GENUINE) == holds
            assert failed(found) == ([] if holds else ["validity"])
            again = verify(certificate.encode(), replace(world.trust, revoked=held))
            assert (again.verdict, failed(again)) == (found.verdict, failed(found)), "as a trust file says it"


def test_what_is_in_no_log_is_refused_once_its_key_is_revoked(world: TrustWorld) -> None:
    unlogged = world.bundle()
    held = (Revocation(signer_key(unlogged), NOW + 9 * DAY, world.site),)
    found = with_revocations(report(world, unlogged), held)
    assert failed(found) == ["validity"]
    assert failed(verify(unlogged.encode(), replace(world.trust, revoked=held))) == ["validity"]


def test_a_revocation_in_no_log_is_none(world: TrustWorld, certificate: Bundle) -> None:
    assert standing([report(world, revocation(world, signer_key(certificate), NOW))]) == ()


def test_a_site_says_nothing_of_a_site(world: TrustWorld, certificate: Bundle) -> None:
    site = key_id(world.site_key.public_key())
    assert "own key" in check_submission(revocation(world, site, NOW), (world.authority,), NOW)[0]
    held = (Revocation(site, NOW - DAY, world.site), Revocation(signer_key(certificate), NOW - DAY, "Other"))
    assert with_revocations(report(world, certificate), held).verdict is Verdict.GENUINE


def test_the_authority_goes_first(world: TrustWorld, certificate: Bundle) -> None:
    """Who stole the site's key revokes its stations in vain, once the authority has revoked that key."""
    by_thief = world.logged(revocation(world, signer_key(certificate), NOW - DAY), NOW + 2 * DAY)
    since = NOW + DAY
    site = key_id(world.site_key.public_key())
    by_authority = world.logged(revocation(world, site, since, by_authority=True), NOW + 3 * DAY)
    held = standing([report(world, by_thief), report(world, by_authority)])
    assert held == (Revocation(site, since),)
    assert with_revocations(report(world, by_thief), held).verdict is Verdict.NOT_GENUINE
    assert with_revocations(report(world, certificate), held).verdict is Verdict.GENUINE
    earlier = world.logged(revocation(world, signer_key(certificate), NOW - DAY), NOW)
    assert len(standing([report(world, one) for one in (earlier, by_authority)])) == 2


def test_nobody_revokes_who_revokes_them(world: TrustWorld) -> None:
    one = world.logged(revocation(world, "ab" * 32, NOW - DAY))
    other = world.logged(revocation(world, signer_key(one), NOW - DAY))
    first = world.logged(revocation(world, signer_key(other), NOW - DAY))
    assert len(standing([report(world, said) for said in (one, other, first)])) == 3


def test_a_trust_file_names_the_site_that_revoked(world: TrustWorld) -> None:
    named = (Revocation("ab" * 32, NOW), Revocation("cd" * 32, NOW, 'L\'"Écureuil" \\ \N{GRINNING FACE}\x7f'))
    trust = replace(world.trust, revoked=named)
    assert Trust.parse(trust.to_toml()) == trust
    early = replace(world.trust, revoked=(Revocation("ab" * 32, NOW.replace(year=1)),))
    assert Trust.parse(early.to_toml()) == early
    for wrong in ("site = 1\n", 'place = "Lyon"\n', 'site = "Lyon"\nplace = "x"\n'):
        text = Trust((world.authority,), (), named[:1]).to_toml() + wrong
        with pytest.raises(TrustError, match="site, a string"):
            Trust.parse(text)


@given(st.lists(st.sampled_from(["site", "authority", "person", "station"]), max_size=6), st.data())
def test_standing_is_independent_of_the_order(order: list[str], data: st.DataObject) -> None:
    world = SHARED
    reports = [report(world, POOL[name]) for name in order]
    expected = set(standing(reports))
    assert set(standing(data.draw(st.permutations(reports)))) == expected


SHARED = TrustWorld()
POOL = {
    "station": SHARED.logged(revocation(SHARED, "ab" * 32, NOW), NOW + DAY),
    "person": SHARED.logged(revocation(SHARED, "cd" * 32, NOW), NOW + 2 * DAY),
    "site": SHARED.logged(
        revocation(SHARED, key_id(SHARED.site_key.public_key()), NOW + 2 * DAY, by_authority=True)
    ),
    "authority": SHARED.logged(revocation(SHARED, "ef" * 32, NOW, by_authority=True)),
}


# --- rasura verify and rasura show


def verify_files(world: TrustWorld, folder: Path, *options: str, **files: Bundle) -> Result:
    (folder / "trust.toml").write_text(world.trust.to_toml())
    for name, bundle in files.items():
        (folder / f"{name}.json").write_bytes(bundle.encode())
    words = [
        "verify",
        *(str(folder / f"{name}.json") for name in files),
        "--trust",
        str(folder / "trust.toml"),
    ]
    return CliRunner().invoke(cli, [*words, *options], standalone_mode=False)


def test_a_certificate_with_what_is_said_of_it(
    world: TrustWorld, certificate: Bundle, tmp_path: Path
) -> None:
    judge = person(world)
    accepted = world.logged(judge.decide(certificate, Ruling.ACCEPTED, "as agreed", NOW))
    done = verify_files(world, tmp_path, a=certificate, b=accepted)
    assert done.return_value is ExitCode.DONE, done.output
    assert "accepted by operator 7 (head of workshop) of Workshop, logged by 2026-01-01" in done.output
    rejected = world.logged(judge.decide(certificate, Ruling.REJECTED, "no label", NOW), NOW + DAY)
    done = verify_files(world, tmp_path, a=certificate, b=accepted, c=rejected)
    assert done.return_value is ExitCode.REFUSED
    assert "REJECTED by operator 7" in done.output
    newer = world.logged(world.bundle())
    instead = world.logged(judge.supersede(certificate, newer, "again", NOW))
    done = verify_files(world, tmp_path, a=certificate, b=instead, c=newer)
    assert done.return_value is ExitCode.REFUSED
    assert f"sha256:{newer.payload_sha256[:16]}" in done.output
    done = verify_files(world, tmp_path, c=newer, b=instead)
    assert done.return_value is ExitCode.REFUSED
    assert "is not among the files" in done.output


def test_unlogged_statements_count_where_they_are_allowed(
    world: TrustWorld, certificate: Bundle, tmp_path: Path
) -> None:
    rejected = person(world).decide(certificate, Ruling.REJECTED, "no label", NOW)
    done = verify_files(world, tmp_path, a=certificate, b=rejected)
    assert done.return_value is ExitCode.REFUSED
    assert "REJECTED by" not in done.output.split("b.json")[0]
    done = verify_files(world, tmp_path, "--allow-unlogged", a=certificate, b=rejected)
    assert done.return_value is ExitCode.REFUSED
    assert "REJECTED by" in done.output.split("b.json")[0]


def test_a_statement_alone_never_passes_for_an_erasure(
    world: TrustWorld, certificate: Bundle, tmp_path: Path
) -> None:
    for said in every_kind(world, certificate):
        logged = world.logged(said)
        assert verify_files(world, tmp_path, a=logged).return_value is ExitCode.REFUSED
        assert verify_files(world, tmp_path, "--any-outcome", a=logged).return_value is ExitCode.DONE
        assert verify_files(world, tmp_path, "--any-outcome", a=said).return_value is ExitCode.REFUSED


def test_later_is_later_in_the_log_whatever_receipts_were_fetched(
    world: TrustWorld, certificate: Bundle, tmp_path: Path
) -> None:
    """The receipt of the older one was fetched again, with a later time; that lifts no rejection."""
    judge = person(world)
    accepted = world.logged(judge.decide(certificate, Ruling.ACCEPTED, None, NOW), NOW + DAY)
    rejected = world.logged(judge.decide(certificate, Ruling.REJECTED, "no label", NOW), NOW + 2 * DAY)
    assert accepted.receipt is not None
    again = accepted.with_receipt(world.receipt(accepted.receipt.index, NOW + 9 * DAY))
    for files in ({"a": again, "b": rejected}, {"a": rejected, "b": again}):
        done = verify_files(world, tmp_path, c=certificate, **files)
        assert done.return_value is ExitCode.REFUSED, done.output


def test_a_certificate_that_is_not_genuine_is_not_accepted_by_words(
    world: TrustWorld, certificate: Bundle, tmp_path: Path
) -> None:
    forged = replace(certificate, receipt=world.receipt(0, NOW + 999 * DAY))
    accepted = world.logged(person(world).decide(forged, Ruling.ACCEPTED, None, NOW))
    done = verify_files(world, tmp_path, a=forged, b=accepted)
    assert done.return_value is ExitCode.FAILED
    assert "accepted by" not in done.output.split("b.json")[0]


def test_facts_for_machines(world: TrustWorld, certificate: Bundle, tmp_path: Path) -> None:
    accepted = world.logged(person(world).decide(certificate, Ruling.ACCEPTED, None, NOW))
    (one, other) = json.loads(verify_files(world, tmp_path, "--json", a=certificate, b=accepted).output)
    assert (one["statementId"], other["statementId"]) == (None, accepted.certificate_id)
    assert other["certificateId"] is None
    assert other["accepted"]


def test_a_set_is_compared_with_itself(tmp_path: Path) -> None:
    world = TrustWorld()
    first, _, third = (world.logged(world.bundle()) for _ in range(3))
    done = verify_files(world, tmp_path, a=first, c=third)
    assert done.return_value is ExitCode.DONE
    assert "WARNING  number 1 is missing of station" in done.output
    assert str(tmp_path / "a.json") in done.output.splitlines()[-1]
    done = verify_files(world, tmp_path, "--brief", a=first, c=third)
    assert done.output.startswith("WARNING  number 1 is missing")
    assert done.output.endswith("2 accepted, 0 not\n")
    found = json.loads(verify_files(world, tmp_path, "--brief", "--json", a=first, c=third).output)
    assert [one["warnings"][0]["kind"] for one in found] == ["gap", "gap"]
    assert "WARNING" not in verify_files(world, tmp_path, c=third).output, "one certificate is no set"


def test_they_are_told_in_both_languages(world: TrustWorld, certificate: Bundle) -> None:
    for said in every_kind(world, certificate):
        texts = [telling_text(tell(said, Tongue(one)), Tongue(one)) for one in Language]
        assert texts[0] != texts[1]
        document = said.document
        assert isinstance(document, SideStatement)
        for text in texts:
            assert document.subject_digest() in text
            assert document.signer.name in text
            assert "\\x" not in text
    (_, rejected, *_) = every_kind(world, certificate)
    assert "REFUSÉ" in telling_text(tell(rejected, Tongue(Language.FRENCH)), Tongue(Language.FRENCH))


# --- the schemas

FOLDER = Path(rasura.schema.__file__).parent
VALIDATORS = {
    kind: jsonschema.Draft202012Validator(json.loads((FOLDER / name).read_text()))
    for name, kind in SCHEMAS.items()
    if kind in KINDS.values()
}
JUNK = [None, True, -1, 1.5, 2**53, "", "x", [], {}, [1], {"a": 1}]


def test_what_is_signed_fits_its_schema_and_no_other(world: TrustWorld, certificate: Bundle) -> None:
    assert len(VALIDATORS) == 4
    for said in every_kind(world, certificate):
        payload = json.loads(said.envelope.payload)
        fits = [kind for kind, one in VALIDATORS.items() if one.is_valid(payload)]
        assert fits == [type(said.document)]


def test_schema_and_verifier_read_the_same(world: TrustWorld, certificate: Bundle) -> None:
    """Whatever is put in the place of a member, both take it or neither. Only we judge subjects and sense."""
    seen = 0
    for said in every_kind(world, certificate):
        kind = type(said.document)
        assert issubclass(kind, SideStatement)
        payload = json.loads(said.envelope.payload)
        for path in members(payload["predicate"]):
            for value in (..., *JUNK):
                other = put(payload, path, value)
                if kind.predicate_type != "urn:rasura:revocation:v1" and path[0] == "document":
                    continue  # the subject is made of it
                if path == ("key",):
                    continue
                assert VALIDATORS[kind].is_valid(other) == is_read(kind, other), (path, value)
                seen += 1
    assert seen > 500


def members(value: Any, path: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    found = []
    for name, one in value.items():
        found.append((*path, name))
        if isinstance(one, dict):
            found += members(one, (*path, name))
    return found


def put(payload: Any, path: tuple[str, ...], value: Any) -> Any:
    copy = json.loads(json.dumps(payload))
    place = copy["predicate"]
    for step in path[:-1]:
        place = place[step]
    if value is ...:
        del place[path[-1]]
    else:
        place[path[-1]] = value
    return copy


def is_read(kind: type[SideStatement], payload: Any) -> bool:
    """Whether the verifier can read it and finds no fault in its form; what it means is not the schema's."""
    try:
        said = kind.from_statement(Statement.parse(json.dumps(payload).encode()))
    except ClaimsError:
        return False
    form = ("RFC 3339", "UUID", "SHA-256")
    return not any(word in one for one in side_problems(said) for word in form)


def test_people_of_another_site_are_not_of_this_one(world: TrustWorld) -> None:
    other = TrustWorld(site="Other")
    key = person(world).key
    own = issue_person(other.site_key, other.site_certificate, key.public_key(), "operator 7", "x", NOW)
    assert chain_problems((own, world.site_certificate), (world.authority,), Role.PERSON)
    assert p256_public_key(own) == key.public_key()
