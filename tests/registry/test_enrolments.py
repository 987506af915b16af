"""Enrolment as the registry does it: who waits, who is approved by which code, and nobody else."""

from __future__ import annotations

import contextlib
import json
import re
import stat
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from msgspec.structs import replace

from rasura.client import RegistryClient
from rasura.enrolment import (
    Enrolled,
    Enrolment,
    EnrolmentEndedError,
    EnrolmentError,
    EnrolmentRequest,
    commitment,
    enrolment_code,
    normalised_code,
)
from rasura.errors import RefusedError
from rasura.keys import issue_site, new_authority
from rasura.site_kit import PASSPHRASE_FILE, SiteKit
from rasura.trust import Trust
from rasura_registry.enrolment_files import LIFETIME_S, MAX_WAITING, BusyError, EnrolmentFolder, State
from rasura_registry.enrolments import BEGUN_LIFETIME_S, MAX_BEGUN, CommitmentError, Enrolments
from rasura_registry.errors import StoreError
from registry.samples import Station
from registry.test_folder import invoke
from registry.world import Server

KEY = ec.generate_private_key(ec.SECP256R1())


class Desk:
    """A registry's enrolments, the operator's view of them, and a clock to turn."""

    def __init__(self, root: Path, registry_folder: Path) -> None:
        self.now = int(datetime.now(UTC).timestamp())
        self.root = root
        self.kit = SiteKit.load(registry_folder / "sites/Lyon")
        self.trust = Trust.parse((registry_folder / "trust.toml").read_text())
        self.restart()

    def restart(self) -> None:
        self.server = Enrolments(self.root, self.clock)
        self.operator = EnrolmentFolder(self.root, self.clock)

    def clock(self) -> int:
        return self.now

    def arrive(
        self, key: ec.EllipticCurvePrivateKey | None = None, *, clock: int | None = None
    ) -> tuple[str, str]:
        """A station asks; its id, and the code on its screen."""
        time = datetime.fromtimestamp(self.now if clock is None else clock, UTC)
        raw = EnrolmentRequest.encode(
            key or ec.generate_private_key(ec.SECP256R1()), site="Paris", build_hash="sha256:12", clock=time
        )
        enrolment_id, nonce = self.server.begin(commitment(raw))
        assert self.server.show(enrolment_id, raw, "192.0.2.7") is not None
        return enrolment_id, enrolment_code(bytes.fromhex(nonce), raw)

    def approve(self, *codes: str) -> tuple[Any, ...]:
        return self.operator.approve(codes, self.kit, self.trust.authorities)

    def state(self, enrolment_id: str) -> State | None:
        found = self.server.look(enrolment_id)
        return found[0] if found else None


@pytest.fixture
def desk(tmp_path: Path, pristine_folder: Path) -> Desk:
    return Desk(tmp_path / "enrolments", pristine_folder)


def test_the_code_approves_its_station_and_no_other(desk: Desk) -> None:
    one, code = desk.arrive()
    other, _ = desk.arrive()
    (approved,) = desk.approve(code.lower().replace("-", " "))
    assert approved.site == "Lyon"
    assert (desk.state(one), desk.state(other)) == (State.APPROVED, State.PENDING)


def test_several_are_approved_at_once_or_none(desk: Desk) -> None:
    arrived = [desk.arrive() for _ in range(3)]
    codes = [code for _, code in arrived]
    with pytest.raises(RefusedError, match="no station that waits shows"):
        desk.approve(*codes[:2], "2222-2222")
    assert {desk.state(one) for one, _ in arrived} == {State.PENDING}
    assert len(desk.approve(*codes, codes[0])) == 3
    assert {desk.state(one) for one, _ in arrived} == {State.APPROVED}


def test_a_code_is_good_once(desk: Desk) -> None:
    _, code = desk.arrive()
    desk.approve(code)
    with pytest.raises(RefusedError, match="no station that waits") as caught:
        desk.approve(code)
    assert "void once used" in str(caught.value.hint)


@pytest.mark.parametrize("text", ["", "2222", "0000-0000", "2222-22222", "OOOO-IIII"])
def test_what_is_no_code_is_said_so(desk: Desk, text: str) -> None:
    desk.arrive()
    with pytest.raises(RefusedError, match="not a code"):
        desk.approve(text)


def test_nobody_waits(desk: Desk) -> None:
    with pytest.raises(RefusedError, match="no station that waits"):
        desk.approve("2222-2222")
    assert desk.operator.all() == ()
    assert not desk.root.exists(), "the folder must be made by the server, whose it is"


def test_who_swaps_the_key_shows_another_code(desk: Desk) -> None:
    """The man in the middle answers the station with a nonce of his own and asks with a key of his own."""
    station = EnrolmentRequest.encode(KEY, site=None, build_hash=None, clock=datetime.now(UTC))
    attacker = EnrolmentRequest.encode(
        ec.generate_private_key(ec.SECP256R1()), site=None, build_hash=None, clock=datetime.now(UTC)
    )
    enrolment_id, nonce = desk.server.begin(commitment(attacker))
    desk.server.show(enrolment_id, attacker, "192.0.2.66")
    # The best that he can do without trying: hand on the registry's own nonce.
    on_the_screen = enrolment_code(bytes.fromhex(nonce), station)
    with pytest.raises(RefusedError, match="no station that waits"):
        desk.approve(on_the_screen)


def test_he_cannot_try_keys_until_one_fits(desk: Desk) -> None:
    """The nonce came after the commitment: another request than the one announced is not taken."""
    first = EnrolmentRequest.encode(KEY, site=None, build_hash=None, clock=datetime.now(UTC))
    enrolment_id, _ = desk.server.begin(commitment(first))
    other = EnrolmentRequest.encode(KEY, site="Lyon", build_hash=None, clock=datetime.now(UTC))
    with pytest.raises(CommitmentError, match="not the request that was announced"):
        desk.server.show(enrolment_id, other, "192.0.2.66")
    desk.server.show(enrolment_id, first, "192.0.2.66")
    with pytest.raises(CommitmentError, match="shown already"):
        desk.server.show(enrolment_id, other, "192.0.2.66")


def test_he_cannot_have_the_nonce_drawn_again(desk: Desk) -> None:
    announced = commitment(b"x")
    nonces = {desk.server.begin(announced) for _ in range(8)}
    assert len({nonce for _, nonce in nonces}) == len({one for one, _ in nonces}) == 8


def test_two_stations_with_one_code_are_an_attack(desk: Desk) -> None:
    enrolment_id, code = desk.arrive()
    twin = "f" * 32
    waiting = desk.operator.read(enrolment_id)
    assert waiting is not None
    (desk.root / f"{twin}.json").write_bytes(replace(waiting, id=twin).encode())
    with pytest.raises(RefusedError, match="not happen by chance"):
        desk.approve(code)
    assert desk.state(enrolment_id) is State.PENDING


def test_the_same_request_again_changes_nothing(desk: Desk) -> None:
    raw = EnrolmentRequest.encode(KEY, site=None, build_hash=None, clock=datetime.now(UTC))
    enrolment_id, nonce = desk.server.begin(commitment(raw))
    for _ in range(2):
        desk.server.show(enrolment_id, raw, "192.0.2.7")
    desk.approve(enrolment_code(bytes.fromhex(nonce), raw))
    again = desk.server.show(enrolment_id, raw, "192.0.2.7")
    assert again is not None
    assert again.state is State.APPROVED
    waiting = desk.operator.read(enrolment_id)
    assert waiting is not None
    desk.operator.add(replace(waiting, state=State.PENDING, chain=(), site=None))
    assert desk.state(enrolment_id) is State.APPROVED


def test_what_waits_outlives_the_server_and_what_only_began_does_not(desk: Desk) -> None:
    waiting, code = desk.arrive()
    raw = EnrolmentRequest.encode(KEY, site=None, build_hash=None, clock=datetime.now(UTC))
    begun, _ = desk.server.begin(commitment(raw))
    desk.restart()
    assert desk.server.show(begun, raw, "192.0.2.7") is None
    desk.approve(code)
    assert desk.state(waiting) is State.APPROVED


def test_a_code_is_void_after_twelve_hours(desk: Desk) -> None:
    enrolment_id, code = desk.arrive()
    desk.now += LIFETIME_S - 1
    assert desk.state(enrolment_id) is State.PENDING
    desk.now += 1
    assert desk.state(enrolment_id) is State.EXPIRED
    assert desk.operator.all() == ()
    with pytest.raises(RefusedError, match="no station that waits"):
        desk.approve(code)
    desk.arrive()
    assert desk.state(enrolment_id) is None
    assert not (desk.root / f"{enrolment_id}.json").exists()


def test_a_certificate_is_kept_for_the_station_that_comes_late(desk: Desk) -> None:
    enrolment_id, code = desk.arrive()
    desk.now += LIFETIME_S - 1
    desk.approve(code)
    desk.now += LIFETIME_S - 1
    assert desk.state(enrolment_id) is State.APPROVED


def test_what_began_and_is_not_shown_is_forgotten(desk: Desk) -> None:
    raw = EnrolmentRequest.encode(KEY, site=None, build_hash=None, clock=datetime.now(UTC))
    enrolment_id, _ = desk.server.begin(commitment(raw))
    desk.now += BEGUN_LIFETIME_S
    assert desk.server.show(enrolment_id, raw, "192.0.2.7") is None


def test_who_begins_without_end_is_stopped_and_alerted(desk: Desk, caplog: pytest.LogCaptureFixture) -> None:
    for number in range(MAX_BEGUN):
        desk.server.begin(f"{number:064x}")
    for _ in range(3):
        with pytest.raises(BusyError):
            desk.server.begin("0" * 64)
    assert caplog.text.count("ALERT") == 1
    desk.now += BEGUN_LIFETIME_S
    desk.server.begin("0" * 64)


def test_no_more_wait_than_we_hold(desk: Desk) -> None:
    first, code = desk.arrive()
    waiting = desk.operator.read(first)
    assert waiting is not None
    for number in range(MAX_WAITING - 1):
        twin = f"{number:032x}"
        (desk.root / f"{twin}.json").write_bytes(replace(waiting, id=twin, nonce=bytes(32)).encode())
    with pytest.raises(BusyError, match="256 stations"):
        desk.arrive()
    desk.approve(code)
    desk.arrive()


@pytest.mark.parametrize("announced", ["", "x" * 64, "A" * 64, "0" * 63])
def test_a_commitment_is_a_hash(desk: Desk, announced: str) -> None:
    with pytest.raises(CommitmentError):
        desk.server.begin(announced)


def test_a_request_that_does_not_hold_is_not_kept(desk: Desk) -> None:
    enrolment_id, _ = desk.server.begin(commitment(b"{}"))
    with pytest.raises(EnrolmentError):
        desk.server.show(enrolment_id, b"{}", "192.0.2.66")
    assert not desk.root.exists()


@pytest.mark.parametrize("enrolment_id", ["", "..", "../trust", "x" * 32, "lock", "0" * 31, "A" * 32])
def test_an_id_leads_to_no_other_file(desk: Desk, enrolment_id: str) -> None:
    desk.arrive()
    assert desk.server.look(enrolment_id) is None
    assert desk.server.show(enrolment_id, b"{}", "192.0.2.66") is None


@pytest.mark.parametrize("content", [b"", b"{}", b'{"version": 1}', b'{"version": 2}', b"\xff", b"[]"])
def test_a_damaged_file_stops_nobody_else(desk: Desk, content: bytes) -> None:
    enrolment_id, code = desk.arrive()
    damaged = "0" * 32
    (desk.root / f"{damaged}.json").write_bytes(content)
    with pytest.raises(StoreError):
        desk.server.look(damaged)
    desk.approve(code)
    assert [one.id for one in desk.operator.all()] == [enrolment_id]
    desk.arrive()
    assert not (desk.root / f"{damaged}.json").exists()


def test_a_station_is_certified_by_its_own_clock(desk: Desk) -> None:
    old = desk.now - 16 * 365 * 86400
    enrolment_id, code = desk.arrive(clock=old)
    desk.now += 3 * 3600
    desk.approve(code)
    found = desk.server.look(enrolment_id)
    assert found is not None
    from rasura.keys import load_certificate_der

    own = load_certificate_der(found[1].chain[0])
    by_its_clock = datetime.fromtimestamp(old, UTC) + timedelta(hours=3)
    assert own.not_valid_before_utc <= by_its_clock <= own.not_valid_after_utc
    assert own.not_valid_after_utc - by_its_clock > timedelta(hours=23)


def test_another_registrys_site_certifies_nobody_here(desk: Desk) -> None:
    enrolment_id, code = desk.arrive()
    today = datetime.now(UTC)
    authority_key, authority = new_authority("log.example", today)
    key, certificate = issue_site(authority_key, authority, "Lyon", today)
    desk.kit = SiteKit("Lyon", key, certificate, desk.trust, None)
    with pytest.raises(RefusedError, match="not issued by a trusted registry authority"):
        desk.approve(code)
    assert desk.state(enrolment_id) is State.PENDING


def test_a_site_whose_time_is_over_certifies_nobody(desk: Desk) -> None:
    desk.now += 3 * 365 * 86400
    _, code = desk.arrive()
    with pytest.raises(RefusedError, match="not valid today"):
        desk.approve(code)


def test_stations_are_rejected_by_code_or_id(desk: Desk) -> None:
    (one, _), (other, code), (third, kept) = desk.arrive(), desk.arrive(), desk.arrive()
    desk.operator.reject([one[:12], code])
    assert [desk.state(name) for name in (one, other, third)] == [
        State.REJECTED,
        State.REJECTED,
        State.PENDING,
    ]
    for wrong in (one[:12], code, "0" * 7, ""):
        with pytest.raises(RefusedError):
            desk.operator.reject([wrong])
    with pytest.raises(RefusedError):
        desk.approve(code)
    desk.approve(kept)


# ---- the commands, and a real server


@pytest.fixture
def served(own_folder: Path, tmp_path: Path) -> Iterator[Server]:
    server = Server(own_folder, tmp_path, "--tls", "127.0.0.1")
    yield server
    assert server.stop() == 0
    assert "Traceback" not in server.log


@pytest.fixture
def client(served: Server) -> Iterator[RegistryClient]:
    served.said()
    pin = served.said().strip().removeprefix("rasura.ca=")
    with contextlib.closing(RegistryClient(served.url, (), ca_pin=pin)) as client:
        yield client


def now() -> datetime:
    return datetime.now(UTC)


def test_a_station_without_anything_signs_what_the_registry_logs(
    own_folder: Path, client: RegistryClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "secret").write_text("correct horse")
    monkeypatch.setenv(PASSPHRASE_FILE, str(tmp_path / "secret"))
    assert invoke("seal", str(own_folder / "sites/Lyon"))[0] == 0
    enrolment = Enrolment.request(client, clock=now(), site="Paris", build_hash="sha256:" + "0" * 64)
    assert enrolment.poll(now()) is None
    code, text = invoke("enrolments", str(own_folder))
    assert code == 0
    assert "from 127.0.0.1" in text
    assert "wants Paris" in text
    assert "says it runs sha256:000000000000" in text
    code, text = invoke("approve", str(own_folder), enrolment.code, "--site", "Lyon")
    assert code == 0, text
    assert re.fullmatch(r"approved  station-[0-9a-f]{12} for Lyon\n", text)
    enrolled = enrolment.poll(now())
    assert isinstance(enrolled, Enrolled)
    assert enrolled.site == "Lyon"
    assert enrolled.trust == Trust.parse((own_folder / "trust.toml").read_text())
    name = text.split()[1]
    bundle = Station("Lyon", name, enrolled.key, enrolled.chain).bundle()
    status, answer = client.ask("PUT", f"/certificates/{bundle.certificate_id}", bundle.encode())
    assert status == 201, answer


def test_the_folder_is_private_and_the_answers_hold_no_code(own_folder: Path, client: RegistryClient) -> None:
    enrolment = Enrolment.request(client, clock=now())
    assert stat.S_IMODE((own_folder / "enrolments").stat().st_mode) == 0o700
    for arguments in (("enrolments", str(own_folder)), ("enrolments", str(own_folder), "--json")):
        _, text = invoke(*arguments)
        assert enrolment.code not in text
        assert enrolment.code.replace("-", "") not in text


def test_a_rejected_station_hears_of_it(own_folder: Path, client: RegistryClient) -> None:
    enrolment = Enrolment.request(client, clock=now() - timedelta(days=5000))
    _, text = invoke("enrolments", str(own_folder), "--json")
    (facts,) = json.loads(text)["enrolments"]
    assert facts["state"] == "pending"
    assert facts["clockOffsetSeconds"] == pytest.approx(-5000 * 86400, abs=30)
    assert "its clock says 20" in invoke("enrolments", str(own_folder))[1]
    code, text = invoke("reject", str(own_folder), facts["id"][:12], "--json")
    assert code == 0
    assert json.loads(text)["enrolments"][0]["state"] == "rejected"
    with pytest.raises(EnrolmentEndedError, match="rejected"):
        enrolment.poll(now())


def test_many_stations_at_once_are_a_bench(own_folder: Path, client: RegistryClient) -> None:
    bench = [Enrolment.request(client, clock=now()) for _ in range(24)]
    assert len({one.code for one in bench}) == 24
    folder = str(own_folder / "sites/Lyon")
    code, _ = invoke("approve", str(own_folder), *(one.code for one in bench), "--site-folder", folder)
    assert code == 0
    assert all(one.poll(now()) for one in bench)


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("POST", "/enrolments", b"", 400),
        ("POST", "/enrolments", b"[]", 400),
        ("POST", "/enrolments", b"{}", 422),
        ("POST", "/enrolments", b'{"commitment": 5}', 422),
        ("POST", "/enrolments", b'{"commitment": "x"}', 422),
        ("POST", "/enrolments", b'{"commitment": "' + b"0" * 64 + b'", "more": 1}', 422),
        ("POST", "/enrolments", b" " * 5000, 413),
        ("PUT", f"/enrolments/{'0' * 32}", b"{}", 404),
        ("PUT", f"/enrolments/{'0' * 32}", b" " * 5000, 413),
        ("PUT", "/enrolments/%2e%2e", b"{}", 404),
        ("GET", f"/enrolments/{'0' * 32}", None, 404),
        ("GET", "/enrolments/%2e%2e%2ftrust", None, 404),
        ("GET", "/enrolments/lock", None, 404),
        ("GET", "/enrolments", None, 405),
    ],
)
def test_nonsense_is_refused_in_one_sentence(
    server: Server, method: str, path: str, body: bytes | None, status: int
) -> None:
    answer = server.ask(method, path, body)
    assert answer.status == status, answer.body
    assert answer.content_type == "application/problem+json"
    assert answer.json["detail"]


def test_a_request_that_was_not_announced_is_refused(server: Server) -> None:
    begun = server.ask("POST", "/enrolments", json.dumps({"commitment": "0" * 64}).encode())
    assert begun.status == 201
    assert server.ask("PUT", f"/enrolments/{begun.json['id']}", b"{}").status == 422


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("approve", "{}", "2222-2222"), 2),
        (("approve", "{}", "2222-2222", "--site", "Nowhere"), 2),
        (("approve", "{}", "2222-2222", "--site", "../.."), 2),
        (("approve", "{}", "2222-2222", "--site", "Paris", "--site-folder", "{}/sites/Lyon"), 2),
        (("approve", "{}", "2222-2222", "--site", "Lyon"), 3),
        (("approve", "{}", "--site", "Lyon"), 2),
        (("approve", "/nonexistent", "2222-2222", "--site", "Lyon"), 2),
        (("reject", "{}", "2222-2222"), 3),
        (("reject", "{}"), 2),
        (("enrolments", "/nonexistent"), 2),
    ],
)
def test_wrong_calls_end_in_a_sentence(own_folder: Path, arguments: tuple[str, ...], code: int) -> None:
    actual, sentence = invoke(*(one.format(own_folder) for one in arguments))
    assert actual == code, sentence
    assert sentence
    assert not (own_folder / "enrolments").exists()


@pytest.mark.parametrize("name", ["enrolments", "approve", "reject"])
def test_help_teaches_by_an_example(name: str) -> None:
    _, text = invoke(name, "--help")
    assert f"rasura-registry {name} /srv/rasura" in text
    for code in re.findall(r"\b\w{4}-\w{4}\b", text):
        assert normalised_code(code) == code
