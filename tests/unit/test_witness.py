"""A witness: every answer of tlog-witness, and that it never contradicts itself, killed or not."""

from __future__ import annotations

import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http import HTTPStatus
from pathlib import Path

import pytest
import urllib3
from click.testing import CliRunner
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st

from rasura.add_checkpoint import (
    MAX_REQUEST_BYTES,
    SIZE_TYPE,
    AddCheckpoint,
    AddCheckpointError,
    signature_of,
)
from rasura.checkpoint import Checkpoint, open_checkpoint, sign_checkpoint
from rasura.cli import cli
from rasura.errors import RefusedError, UsageError
from rasura.note import Note, NoteError, VerifierKey
from rasura.state_file import StateInUseError
from rasura.tree import consistency_proof, leaf_hash, root_hash
from rasura.witness import Witness, WitnessFolderError, new_witness, open_witness, read_verifier_key
from rasura.witness_server import WitnessServer
from vectors.world import fillers

ORIGIN = "log.example"
KEY = Ed25519PrivateKey.from_private_bytes(b"w" * 32)
LOG = VerifierKey.of(ORIGIN, KEY)
NOW = 1_700_000_000
HONEST = fillers(200)
FORK = [*HONEST[:5], leaf_hash(b"another"), *HONEST[6:]]


def note(leaves: list[bytes], *, origin: str = ORIGIN, key: Ed25519PrivateKey = KEY) -> str:
    return sign_checkpoint(key, Checkpoint(origin, len(leaves), root_hash(leaves)), NOW)


def request(old: int, new: int, leaves: list[bytes] = HONEST) -> bytes:
    proof = consistency_proof(leaves, old, new) if old <= new else ()
    return AddCheckpoint(old, proof, note(leaves[:new])).encode()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    new_witness(tmp_path / "witness", "witness.example/1", (LOG,))
    return tmp_path / "witness"


@pytest.fixture
def witness(folder: Path) -> Iterator[Witness]:
    with open_witness(folder, lambda: NOW) as opened:
        yield opened


def cosigned(witness: Witness, raw: bytes) -> tuple[Checkpoint, int]:
    """What a witness cosigned, and when, its answer checked as a log checks it."""
    answer = witness.add_checkpoint(raw)
    assert answer.status is HTTPStatus.OK, answer
    asked = AddCheckpoint.parse(raw)
    found = open_checkpoint(asked.note + answer.body, [LOG, witness.verifier_key])
    (time_,) = [when for key, when in found.timestamps if key == witness.verifier_key]
    signature_of(answer.body, Note.parse(asked.note).text, witness.verifier_key)
    return found.checkpoint, time_


def test_it_cosigns_what_extends_the_last(witness: Witness) -> None:
    for old, new in ((0, 0), (0, 3), (3, 3), (3, 64), (64, 200)):
        checkpoint, when = cosigned(witness, request(old, new))
        assert (checkpoint.size, when) == (new, NOW)
        assert witness.cosigned(ORIGIN) == new


def test_each_answer_of_the_specification(witness: Witness) -> None:
    cosigned(witness, request(0, 10))
    good = request(10, 20)
    other = Ed25519PrivateKey.generate()

    def status(raw: bytes) -> int:
        return witness.add_checkpoint(raw).status

    def of(old: int, text: str, proof: tuple[bytes, ...] = ()) -> bytes:
        return AddCheckpoint(old, proof, text).encode()

    # 400: malformed, or the old size above the checkpoint's
    for raw in (b"", b"old 1", good[:-1], good.replace(b"old 10", b"old 010"), b"\xff" + good, good[4:]):
        assert status(raw) == 400, raw[:40]
    assert status(of(30, note(HONEST[:20]))) == 400
    # 404: a log that is not known
    assert status(of(0, note(HONEST[:3], origin="other.example"))) == 404
    # 403: no signature of the log's key, or one that fails
    assert status(of(10, note(HONEST[:20], key=other))) == 403
    signed = Note.parse(note(HONEST[:20]))
    broken = Note(signed.text, Note.parse(note(HONEST[:21])).signatures).encode()
    assert status(of(10, broken, consistency_proof(HONEST, 10, 20))) == 403
    # 409: another old size, with ours as the body
    for old in (0, 9, 11):
        answer = witness.add_checkpoint(request(old, 20))
        assert (answer.status, answer.media_type, answer.body) == (409, SIZE_TYPE, "10\n")
    # 409: the same size and another root
    answer = witness.add_checkpoint(request(10, 10, FORK))
    assert (answer.status, answer.media_type == SIZE_TYPE) == (409, False)
    # 422: a proof that does not hold, or is not empty where there is nothing to show
    assert status(request(10, 20, FORK)) == 422
    assert status(of(10, note(HONEST[:20]))) == 422
    assert status(of(10, note(HONEST[:10]), (bytes(32),))) == 422
    assert witness.cosigned(ORIGIN) == 10
    assert cosigned(witness, good)[0].size == 20


def test_a_proof_from_nothing_is_empty(witness: Witness) -> None:
    assert witness.add_checkpoint(AddCheckpoint(0, (bytes(32),), note(HONEST[:3])).encode()).status == 422


def test_a_fork_of_one_size_is_kept_as_evidence(witness: Witness, folder: Path) -> None:
    cosigned(witness, request(0, 10))
    for _ in range(3):
        witness.add_checkpoint(request(10, 10, FORK))
        witness.add_checkpoint(request(0, 10, FORK))
    kept = {path.read_text() for path in (folder / "evidence").iterdir()}
    assert kept == {note(HONEST[:10]), note(FORK[:10])}


def test_it_remembers_and_its_time_never_goes_back(folder: Path) -> None:
    with open_witness(folder, lambda: NOW + 500) as one:
        cosigned(one, request(0, 10))
    with open_witness(folder, lambda: NOW) as again:
        assert again.add_checkpoint(request(0, 20)).body == "10\n"
        assert cosigned(again, request(10, 20))[1] == NOW + 500


def test_two_at_once_are_refused(folder: Path, witness: Witness) -> None:
    with pytest.raises(StateInUseError), open_witness(folder, lambda: NOW):
        raise AssertionError


def test_one_of_two_that_come_together_is_cosigned(witness: Witness) -> None:
    cosigned(witness, request(0, 10))
    answers = []
    threads = [
        threading.Thread(
            target=lambda leaves=leaves: answers.append(witness.add_checkpoint(request(10, 40, leaves)))
        )
        for leaves in (HONEST, HONEST[:30] + fillers(300)[250:260], HONEST)
    ]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert sum(one.status is HTTPStatus.OK for one in answers) == 1


@settings(max_examples=40)
@given(st.lists(st.tuples(st.booleans(), st.integers(0, 40), st.integers(0, 40)), max_size=25), st.data())
def test_whatever_is_asked_all_that_it_cosigns_is_one_history(
    tmp_path_factory: pytest.TempPathFactory, asked: list[tuple[bool, int, int]], data: st.DataObject
) -> None:
    folder = tmp_path_factory.mktemp("witness") / "w"
    new_witness(folder, "w.example", (LOG,))
    seen: list[tuple[int, bytes]] = []
    for forked, old, new in asked:
        leaves = FORK if forked else HONEST
        with open_witness(folder, lambda: NOW) as one:
            answer = one.add_checkpoint(request(min(old, new), new, leaves))
        if answer.status is HTTPStatus.OK:
            seen.append((new, root_hash(leaves[:new])))
    assert [size for size, _ in seen] == sorted(size for size, _ in seen)
    assert any(all(root_hash(one[:size]) == root for size, root in seen) for one in (HONEST, FORK))


@pytest.mark.parametrize("damage", ["", "{}", '{"version":1,"note":"x","timestamp":1}', "\0"])
def test_a_damaged_state_is_never_begun_anew(damage: str, folder: Path) -> None:
    with open_witness(folder, lambda: NOW) as one:
        cosigned(one, request(0, 10))
    (state,) = (folder / "state").glob("*.json")
    state.write_text(damage)
    with pytest.raises(WitnessFolderError) as error, open_witness(folder, lambda: NOW):
        raise AssertionError
    assert "make a new one" in (error.value.hint or "")


def test_a_state_that_cannot_be_written_cosigns_nothing(folder: Path) -> None:
    with open_witness(folder, lambda: NOW) as one:
        for path in (folder / "state").iterdir():
            path.unlink()
        (folder / "state").rmdir()
        with pytest.raises(UsageError):
            one.add_checkpoint(request(0, 10))
        assert one.cosigned(ORIGIN) == 0


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("witness.toml", ""),
        ("witness.toml", "version = 2"),
        ("witness.toml", 'version = 1\nname = "x"\nstrange = 1'),
        ("witness.toml", 'version = 1\nname = "x"\n[[log]]\nkey = "x"'),
        ("witness.toml", 'version = 1\nname = "x"'),
        ("witness.toml", 'version = 1\nname = "x"\nlog = 7'),
        ("key.pem", ""),
        ("key.pem", "-----BEGIN PRIVATE KEY-----\n-----END PRIVATE KEY-----\n"),
    ],
)
def test_a_folder_that_is_no_witness(name: str, text: str, folder: Path) -> None:
    (folder / name).write_text(text)
    with pytest.raises(UsageError), open_witness(folder, lambda: NOW):
        raise AssertionError


def test_making_one(tmp_path: Path) -> None:
    words = ["witness", "new", str(tmp_path / "w"), "--name", "w.example", "--log", LOG.encode()]
    made = CliRunner().invoke(cli, words, standalone_mode=False)
    assert made.exception is None
    assert VerifierKey.parse(made.output.strip()) == read_verifier_key(tmp_path / "w")
    assert (tmp_path / "w/key.pem").stat().st_mode & 0o777 == 0o600
    with pytest.raises(RefusedError):
        new_witness(tmp_path / "w", "w.example", (LOG,))
    for bad in (["--name", "a b"], ["--log", LOG.cosigner().encode()], ["--log", "x"]):
        done = CliRunner().invoke(
            cli, [*words[:2], str(tmp_path / "x"), *words[3:], *bad], standalone_mode=False
        )
        assert isinstance(done.exception, UsageError), bad
    assert isinstance(CliRunner().invoke(cli, words[:5], standalone_mode=False).exception, UsageError), (
        "a witness of no log"
    )


@given(old=st.integers(0, 2**63 - 1), proof=st.lists(st.binary(min_size=32, max_size=32), max_size=63))
def test_a_request_is_its_own_text(old: int, proof: list[bytes]) -> None:
    made = AddCheckpoint(old, tuple(proof), note(HONEST[:4]))
    assert AddCheckpoint.parse(made.encode()) == made


@given(raw=st.binary(max_size=200))
def test_any_bytes_are_a_request_or_an_error_of_ours(raw: bytes) -> None:
    try:
        read = AddCheckpoint.parse(b"old " + raw)
    except AddCheckpointError:
        return
    assert read.encode() == b"old " + raw


def test_answers_that_prove_nothing() -> None:
    text, witness_key = Note.parse(note(HONEST[:4])).text, VerifierKey.of("w", KEY).cosigner()
    for answer in ("", "10\n", "\u2014 w AAAA\n", note(HONEST[:4]).partition("\n\n")[2], "x" * 300_000):
        with pytest.raises(NoteError):
            signature_of(answer, text, witness_key)


@pytest.fixture
def url(witness: Witness) -> Iterator[str]:
    server = WitnessServer(witness, "127.0.0.1", 0)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_over_http(url: str) -> None:
    with urllib3.PoolManager(retries=False) as pool:
        post = lambda path, body: pool.request("POST", url + path, body=body)  # noqa: E731
        assert post("/add-checkpoint", request(0, 10)).status == 200
        answer = post("/add-checkpoint", request(0, 10))
        assert (answer.status, answer.data, answer.headers["Content-Type"]) == (409, b"10\n", SIZE_TYPE)
        assert post("/elsewhere", b"").status == 404
        assert pool.request("GET", url + "/add-checkpoint").status == 404
        assert post("/add-checkpoint", b"x" * (MAX_REQUEST_BYTES + 1)).status == 413
        assert pool.request("PUT", url + "/add-checkpoint", body=b"").status == 501


@pytest.mark.parametrize(
    "raw",
    [
        b"POST /add-checkpoint HTTP/1.1\r\nHost: x\r\n\r\n",
        b"POST /add-checkpoint HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
        b"POST /add-checkpoint HTTP/1.1\r\nHost: x\r\nContent-Length: 9999999999999999999999\r\n\r\n",
        b"POST /add-checkpoint HTTP/1.1\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\nold ",
        b"\x16\x03\x01garbage\r\n\r\n",
    ],
)
def test_requests_that_are_none(raw: bytes, url: str) -> None:
    port = int(url.rpartition(":")[2])
    with socket.create_connection(("127.0.0.1", port), timeout=5) as client:
        client.sendall(raw)
        answer = client.recv(4096)
    assert b" 4" in answer.split(b"\r\n")[0] or b"400" in answer


def test_who_breaks_off_harms_nobody(url: str) -> None:
    port = int(url.rpartition(":")[2])
    for _ in range(80):
        with socket.create_connection(("127.0.0.1", port), timeout=5) as client:
            client.sendall(b"POST /add-checkpoint HTTP/1.1\r\nHost: x\r\nContent-Length: 400\r\n\r\nold")
    test_over_http(url)


class Process:
    """A witness of its own process."""

    def __init__(self, folder: Path, scratch: Path) -> None:
        port_file = scratch / f"port-{random.random()}"
        words = ["witness", "serve", str(folder), "--port", "0", "--port-file", str(port_file)]
        self.process = subprocess.Popen(
            [sys.executable, "-m", "rasura", *words], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
        )
        deadline = time.monotonic() + 60
        while not port_file.exists():
            assert self.process.poll() is None, self.process.stderr.read()  # type: ignore[union-attr]
            assert time.monotonic() < deadline
            time.sleep(0.01)
        self.url = f"http://127.0.0.1:{port_file.read_text().strip()}/add-checkpoint"

    def end(self, number: int) -> int:
        self.process.send_signal(number)
        code = self.process.wait(30)
        assert self.process.stderr is not None
        self.process.stderr.close()
        return code


def test_killed_at_any_moment_it_never_contradicts_itself(folder: Path, tmp_path: Path) -> None:
    """A dishonest log asks for both histories at once, whatever it is answered, and the witness is killed."""
    seen: list[tuple[int, bytes]] = []
    chance = random.Random(os.environ.get("RASURA_SEED", "witness"))
    for _ in range(int(os.environ.get("RASURA_WITNESS_KILLS", "5"))):
        running = Process(folder, tmp_path)
        killer = threading.Timer(chance.random() * 0.3, running.process.kill)
        killer.start()
        with urllib3.PoolManager(retries=False, timeout=5) as pool:
            sizes = {True: 0, False: 0}
            while running.process.poll() is None:
                forked = chance.random() < 0.5
                leaves, old = (FORK if forked else HONEST), sizes[forked]
                new = min(old + chance.randrange(1, 3), 200)
                try:
                    answer = pool.request("POST", running.url, body=request(old, new, leaves))
                except urllib3.exceptions.HTTPError:
                    break
                if answer.status == 200:
                    seen.append((new, root_hash(leaves[:new])))
                    sizes[forked] = new
                elif answer.status == 409 and answer.headers["Content-Type"] == SIZE_TYPE:
                    sizes[forked] = int(answer.data)
        killer.join()
        running.end(signal.SIGKILL)
    assert seen, "it was killed before it did anything"
    assert [size for size, _ in seen] == sorted(size for size, _ in seen)
    assert any(all(root_hash(one[:size]) == root for size, root in seen) for one in (HONEST, FORK))
    assert Process(folder, tmp_path).end(signal.SIGTERM) == 0
