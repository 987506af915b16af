"""The log's timestamps: asked of a real authority, refused where they do not hold, kept, and given out."""

from __future__ import annotations

import logging
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from msgspec.structs import replace

from rasura.bundle import Bundle
from rasura.checkpoint import Checkpoint, sign_checkpoint
from rasura.errors import UsageError
from rasura.timestamp import checkpoint_digest, verify_token
from rasura.trust import Trust
from rasura.verifier import State, Verdict, verify
from rasura_registry.check import check_folder
from rasura_registry.errors import LogDamagedError, StoreError
from rasura_registry.folder import add_timestamp_authorities
from rasura_registry.registry import open_registry
from rasura_registry.timestamps import Stamp, StampStore, Timestamper, timestamping
from rasura_registry.tsa import AuthorityError, TimestampAuthority
from registry.samples import Station
from registry.world import KEY, LOG_KEY, ORIGIN, Server
from simulators.tsa import OpensslTsa, openssl_verifies, serving


@pytest.fixture(scope="module")
def tsa(tmp_path_factory: pytest.TempPathFactory) -> OpensslTsa:
    return OpensslTsa(tmp_path_factory.mktemp("tsa") / "here")


@pytest.fixture(scope="module")
def url(tsa: OpensslTsa) -> Iterator[str]:
    with serving(tsa.answer) as address:
        yield address


def note(size: int = 1, when: datetime | None = None) -> str:
    moment = when or datetime.now(UTC)
    return sign_checkpoint(KEY, Checkpoint(ORIGIN, size, bytes([size]) * 32), int(moment.timestamp()))


def test_a_token_of_a_real_authority_holds_here_and_for_openssl(
    tsa: OpensslTsa, url: str, tmp_path: Path
) -> None:
    text = note()
    token = TimestampAuthority(url, (tsa.root,)).token_over(text)
    by = verify_token(token, text, (tsa.root,))
    assert abs(by - datetime.now(UTC)) < timedelta(minutes=1)
    roots = (tsa.folder / "root.pem").read_bytes()
    assert openssl_verifies(token, checkpoint_digest(text), roots, by, tmp_path)
    assert not openssl_verifies(token, checkpoint_digest(note(2)), roots, by, tmp_path)


class Replaying:
    """Gives the answer to its first query for ever."""

    def __init__(self, tsa: OpensslTsa) -> None:
        self._tsa, self._first = tsa, b""

    def __call__(self, query: bytes) -> bytes:
        self._first = self._first or self._tsa.answer(query)
        return self._first


def test_an_answer_to_an_earlier_query_is_refused(tsa: OpensslTsa) -> None:
    text = note()
    with serving(Replaying(tsa)) as address:
        authority = TimestampAuthority(address, (tsa.root,))
        authority.token_over(text)
        with pytest.raises(AuthorityError, match="Nonce mismatch"):
            authority.token_over(text)
        with pytest.raises(AuthorityError, match="another text"):
            authority.token_over(note(2))


def _huge(_: bytes) -> bytes:
    return b"\x30" * 1_000_000


@pytest.mark.parametrize(
    ("answer", "status", "says"),
    [
        (lambda _: b"", 200, "no timestamp in DER"),
        (lambda _: b"<html>sign in</html>", 200, "no timestamp in DER"),
        (_huge, 200, "more than 65536 bytes"),
        (lambda _: b"", 503, "HTTP status 503"),
        (lambda _: b"", 302, "HTTP status 302"),
    ],
)
def test_what_is_no_answer_is_said(
    answer: Callable[[bytes], bytes], status: int, says: str, tsa: OpensslTsa
) -> None:
    with serving(answer, status=status) as address, pytest.raises(AuthorityError, match=says):
        TimestampAuthority(address, (tsa.root,)).token_over(note())


def test_a_slow_answer_is_not_waited_for(tsa: OpensslTsa) -> None:
    began = time.monotonic()
    with serving(tsa.answer, pause_s=0.05) as address, pytest.raises(AuthorityError, match=r"within 0\.5 s"):
        TimestampAuthority(address, (tsa.root,), timeout_s=0.5).token_over(note())
    assert time.monotonic() - began < 10


def test_an_authority_that_is_away_is_said(tsa: OpensslTsa) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{taken.getsockname()[1]}/"
        with pytest.raises(AuthorityError, match="cannot be reached"):
            TimestampAuthority(address, (tsa.root,)).token_over(note())


def test_a_refusal_is_said_in_its_words(tmp_path: Path) -> None:
    old = OpensslTsa(tmp_path / "old", digests="sha512")
    with serving(old.answer) as address, pytest.raises(AuthorityError, match=r"refuses: .*not supported"):
        TimestampAuthority(address, (old.root,)).token_over(note())


def test_an_expired_signer_and_an_unknown_one_are_refused(tmp_path: Path, tsa: OpensslTsa, url: str) -> None:
    old = OpensslTsa(tmp_path / "old", lasts=timedelta(days=1))
    with serving(old.answer) as address, pytest.raises(AuthorityError, match="expired"):
        TimestampAuthority(address, (old.root,)).token_over(note())
    with pytest.raises(AuthorityError, match="no trusted timestamp authority"):
        TimestampAuthority(url, (old.root,)).token_over(note())


@pytest.mark.parametrize("bad", ["", "ftp://x.example", "tsa.example", "http://", "http://[::1"])
def test_what_is_no_address(bad: str) -> None:
    with pytest.raises(UsageError, match="not the address of a timestamp authority"):
        TimestampAuthority(bad, ())


class Moody:
    """An authority that works or fails, as a test says."""

    def __init__(self, real: TimestampAuthority) -> None:
        self._real, self.away, self.asked = real, False, 0

    def token_over(self, text: str) -> bytes:
        self.asked += 1
        if self.away:
            raise AuthorityError("it is away")
        return self._real.token_over(text)


def test_failing_is_said_once_and_tried_again_ever_later(
    tsa: OpensslTsa, url: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store, moody, text = (
        StampStore(tmp_path / "timestamps"),
        Moody(TimestampAuthority(url, (tsa.root,))),
        note(),
    )
    stamper = Timestamper(moody, store, LOG_KEY, text.encode, 300)
    moody.away = True
    assert [stamper.step() for _ in range(5)] == [60, 120, 240, 300, 300]
    assert [one.message for one in caplog.records] == [
        "ALERT checkpoints are not timestamped, and it is tried again: it is away"
    ]
    moody.away = False
    assert stamper.step() == 300
    assert [one.message for one in caplog.records][1:] == ["checkpoints are timestamped again"]
    assert store.sizes == (1,)
    asked = moody.asked
    assert stamper.step() == 300
    assert moody.asked == asked, "nothing new, nothing asked"


def test_a_registry_whose_clock_is_ahead_keeps_no_timestamp(
    tsa: OpensslTsa, url: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store = StampStore(tmp_path / "timestamps")
    ahead = note(when=datetime.now(UTC) + timedelta(hours=2))
    Timestamper(TimestampAuthority(url, (tsa.root,)), store, LOG_KEY, ahead.encode).step()
    assert "set this registry's clock" in caplog.text
    assert store.sizes == ()


def test_a_bug_does_not_end_the_thread(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    def broken() -> bytes:
        raise KeyError("a bug")

    store = StampStore(tmp_path / "timestamps")
    assert Timestamper(Moody.__new__(Moody), store, LOG_KEY, broken).step() == 60
    assert "met a bug" in caplog.text


def test_the_store_finds_the_earliest_that_covers(tmp_path: Path) -> None:
    store = StampStore(tmp_path / "timestamps")
    for size in (9, 3, 1000):
        store.add(Stamp(size, note(1), b"token %d" % size))
    again = StampStore(tmp_path / "timestamps")
    assert again.sizes == store.sizes == (3, 9, 1000)
    found = [again.covering(position) for position in (0, 2, 3, 8, 9, 999, 1000)]
    assert [one and one.size for one in found] == [3, 3, 9, 9, 1000, 1000, None]
    (tmp_path / "timestamps" / "3.json").write_text("{}")
    with pytest.raises(LogDamagedError, match=r"3\.json"):
        again.covering(0)
    (tmp_path / "timestamps" / "3.json").unlink()
    with pytest.raises(StoreError, match=r"3\.json"):
        again.covering(0)


def wait_for(condition: Callable[[], object], what: str) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.05)


def test_a_served_certificate_gets_its_timestamp_and_submissions_do_not_wait(
    own_folder: Path, tmp_path: Path, station: Station, tsa: OpensslTsa
) -> None:
    add_timestamp_authorities(own_folder, (tsa.folder / "root.pem").read_bytes())
    trust = Trust.parse((own_folder / "trust.toml").read_text())
    assert trust.timestamp_authorities == (tsa.root,)
    with serving(tsa.answer) as address:
        server = Server(own_folder, tmp_path, "--timestamp-url", address, "--timestamp-interval", "1")
        try:
            bundle, later = station.bundle(), station.bundle()
            for one in (bundle, later):
                assert server.put(one.certificate_id, one.encode()).status == 201
            path = f"/certificates/{bundle.certificate_id}"
            wait_for(lambda: Bundle.parse(server.ask("GET", path).body).timestamps, "no timestamp")
            given = server.ask("GET", path).body
            kept = tmp_path / "later.json"
            kept.write_bytes(later.encode())
            words = ["timestamp", kept, "--registry", server.url, "--trust", own_folder / "trust.toml"]
            done = subprocess.run([sys.executable, "-m", "rasura", *words], capture_output=True, check=False)
            assert done.returncode == 0, done.stderr
            assert verify(kept.read_bytes(), trust).timestamped_at is not None
        finally:
            assert server.stop() == 0
    report = verify(given, trust)
    assert report.verdict is Verdict.GENUINE
    assert report.checks[10].state is State.PASSED, report.checks[10]
    assert report.timestamped_at is not None
    older = replace(trust, timestamp_authorities=())
    assert verify(given, older).checks[10].state is State.NOT_DONE
    checked = check_folder(own_folder)
    assert (checked.problems, checked.timestamps >= 1) == ((), True)
    for file in (own_folder / "timestamps").iterdir():
        file.write_bytes(file.read_bytes().replace(b'"token":"MI', b'"token":"MJ'))
    assert "does not hold" in check_folder(own_folder).problems[0]


def test_submissions_do_not_wait_for_an_authority_that_hangs(
    own_folder: Path, tmp_path: Path, station: Station, tsa: OpensslTsa
) -> None:
    add_timestamp_authorities(own_folder, (tsa.folder / "root.pem").read_bytes())
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"http://127.0.0.1:{silent.getsockname()[1]}/"
        server = Server(own_folder, tmp_path, "--timestamp-url", address, "--timestamp-interval", "1")
        try:
            first = station.bundle()
            assert server.put(first.certificate_id, first.encode()).status == 201
            silent.settimeout(30)
            connection, _ = silent.accept()  # the registry is asking now, and gets no answer
            with connection:
                began = time.monotonic()
                for _ in range(20):
                    one = station.bundle()
                    assert server.put(one.certificate_id, one.encode()).status == 201
                assert time.monotonic() - began < 10
                assert server.stop() == 0
        finally:
            server.kill()


def test_what_a_client_sends_as_a_timestamp_is_not_given_out(own_folder: Path, station: Station) -> None:
    with open_registry(own_folder) as registry:
        bundle = station.bundle()
        answer = registry.take(bundle.certificate_id, bundle.encode())
        registry.log_it(answer).result(30)  # type: ignore[arg-type]
        given = registry.certificate(bundle.certificate_id)
    assert given is not None
    assert b"timestamps" not in given


def test_the_thread_ends(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL)
    text = note()
    moody = Moody.__new__(Moody)
    moody.away, moody.asked = True, 0
    began = time.monotonic()
    with timestamping(Timestamper(moody, StampStore(tmp_path / "t"), LOG_KEY, text.encode)):
        wait_for(lambda: moody.asked, "it never asked")
    assert time.monotonic() - began < 10
    with timestamping(None):
        pass


def run(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "rasura_registry", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


def test_the_commands_say_what_is_wrong(own_folder: Path, tmp_path: Path, tsa: OpensslTsa) -> None:
    done = run("serve", own_folder, "--timestamp-url", "http://tsa.example")
    assert done.returncode == 2
    assert "no timestamp authority is trusted here" in done.stderr
    assert "rasura-registry timestamp-authority" in done.stderr
    (tmp_path / "none.pem").write_text("nothing\n")
    for file, says in (
        (tmp_path / "none.pem", "no X.509 certificate"),
        (tmp_path / "missing.pem", "cannot read"),
        (tsa.folder / "signer.pem", "name the root"),
    ):
        done = run("timestamp-authority", own_folder, file)
        assert (done.returncode, says in done.stderr) == (2, True), done.stderr
    for _ in range(2):
        done = run("timestamp-authority", own_folder, tsa.folder / "root.pem")
        assert (done.returncode, "CN=Test time root" in done.stdout) == (0, True), done.stderr
    assert (own_folder / "trust.toml").read_text().count("[[timestamp_authority]]") == 1
    done = run("serve", own_folder, "--timestamp-url", "nowhere")
    assert (done.returncode, "not the address" in done.stderr) == (2, True)
