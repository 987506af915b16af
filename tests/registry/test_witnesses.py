"""A registry and its witnesses: real ones, slow ones, dead ones, and ones that have seen more."""

from __future__ import annotations

import contextlib
import shutil
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from click.testing import CliRunner

from rasura.bundle import Bundle
from rasura.checkpoint import open_checkpoint
from rasura.cli import cli
from rasura.errors import ExitCode, UsageError
from rasura.note import Note, VerifierKey
from rasura.trust import Trust
from rasura.verifier import Verdict, verify
from rasura.witness import Witness, new_witness, open_witness
from rasura_registry.cosignatures import Cosignatures
from rasura_registry.witnesses import Asker, WitnessError, Witnessing, parse_witness
from registry.samples import Station
from registry.world import LOG_KEY, Disk, Server, submission
from simulators.web import refused_port, serving


@dataclass
class Standing:
    """A witness that is served."""

    witness: Witness
    url: str

    @property
    def named(self) -> Witnessing:
        return Witnessing(self.url, self.witness.verifier_key)


@contextlib.contextmanager
def standing(folder: Path, name: str, log: VerifierKey) -> Iterator[Standing]:
    if not folder.exists():
        new_witness(folder, name, (log,))
    with open_witness(folder, lambda: int(time.time())) as witness:

        def answer(method: str, path: str, body: bytes) -> tuple[int, bytes]:
            found = witness.add_checkpoint(body)
            return found.status, found.body.encode()

        with serving(answer) as url:
            yield Standing(witness, url)


@pytest.fixture
def one(tmp_path: Path) -> Iterator[Standing]:
    with standing(tmp_path / "w1", "w1.example", LOG_KEY) as found:
        yield found


@pytest.fixture
def kept(tmp_path: Path, one: Standing) -> Iterator[Cosignatures]:
    found = Cosignatures(tmp_path / "cosignatures.sqlite3", (one.witness.verifier_key,))
    yield found
    found.close()


def test_what_is_published_gets_cosigned(disk: Disk, one: Standing, kept: Cosignatures) -> None:
    log, _ = disk.boot()
    log.recover()
    asker = Asker(one.named, log, kept, 1)
    assert asker.ask_once()
    assert not asker.ask_once(), "there is nothing new"
    for size in (1, 2, 300, 700):
        log.append([submission(number) for number in range(log.published.size, size)])  # type: ignore[union-attr]
        assert asker.ask_once()
        cosigned = open_checkpoint(disk.published() + kept.under(size), [LOG_KEY, one.witness.verifier_key])
        assert one.witness.verifier_key in cosigned.signed_by
    assert kept.covering(0) == 1
    assert kept.covering(2) == 300
    assert kept.covering(700) is None


def test_a_registry_that_starts_again_learns_where_its_witness_is(
    disk: Disk, one: Standing, kept: Cosignatures
) -> None:
    log, _ = disk.boot()
    log.recover()
    log.append([submission(number) for number in range(5)])
    Asker(one.named, log, kept, 1).ask_once()
    log, _ = disk.boot()
    log.recover()
    log.append([submission(number) for number in range(5, 9)])
    assert Asker(one.named, log, kept, 1).ask_once()
    assert one.witness.cosigned("log.example") == 9


def test_a_log_restored_from_an_older_copy_is_told_so(
    disk: Disk, one: Standing, kept: Cosignatures, tmp_path: Path
) -> None:
    log, _ = disk.boot()
    log.recover()
    log.append([submission(number) for number in range(5)])
    disk.power_off()
    shutil.copytree(disk.root, tmp_path / "older")
    log, _ = disk.boot()
    log.recover()
    log.append([submission(number) for number in range(5, 9)])
    Asker(one.named, log, kept, 1).ask_once()
    older = Disk(tmp_path / "older")
    log, _ = older.boot()
    log.recover()
    with pytest.raises(WitnessError, match="restored from an older copy"):
        Asker(one.named, log, kept, 1).ask_once()
    log.append([submission(number) for number in range(100, 110)])
    with pytest.raises(WitnessError, match="422"):
        Asker(one.named, log, kept, 1).ask_once()
    older.power_off()


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (200, b""),
        (200, b"\xff"),
        (200, b"\xe2\x80\x94 w1.example AAAAAAAAAAAA\n"),
        (500, b""),
        (409, b"x"),
        (302, b""),
    ],
)
def test_answers_that_prove_nothing_are_not_kept(
    status: int, body: bytes, disk: Disk, one: Standing, kept: Cosignatures
) -> None:
    log, _ = disk.boot()
    log.recover()
    log.append([submission(1)])
    from rasura.errors import RasuraError

    with serving(lambda *_: (status, body)) as url, pytest.raises(RasuraError):
        Asker(Witnessing(url, one.witness.verifier_key), log, kept, 1).ask_once()
    assert kept.under(1) == ""


def test_of_two_witnesses_the_checkpoint_that_both_cosigned_counts_first(tmp_path: Path) -> None:
    keys = tuple(VerifierKey(name, LOG_KEY.cosigner().type, bytes([9]) * 32) for name in ("a", "b", "gone"))
    found = Cosignatures(tmp_path / "c", keys[:2])
    found.add(3, keys[0], "a3\n")
    found.add(3, keys[2], "gone3\n")
    assert (found.covering(0), found.under(3)) == (3, "a3\n")
    found.add(5, keys[0], "a5\n")
    found.add(5, keys[1], "b5\n")
    found.add(5, keys[1], "another\n")
    assert (found.covering(0), found.under(5)) == (5, "a5\nb5\n")
    found.close()


def test_a_server_publishes_cosignatures_and_waits_for_none(
    own_folder: Path, station: Station, tmp_path: Path
) -> None:
    """One witness is real, one is dead, and one takes all the time it wants."""
    trust = Trust.parse((own_folder / "trust.toml").read_text())
    stuck = threading.Event()
    slow_key = VerifierKey("slow.example", LOG_KEY.cosigner().type, bytes([7]) * 32)

    def never(*_: object) -> tuple[int, bytes]:
        stuck.wait(20)
        return 500, b""

    with standing(tmp_path / "w", "w.example", trust.logs[0]) as real, serving(never) as slow:
        key = real.witness.verifier_key
        words = [
            "--witness-every",
            "1",
            "--witness",
            real.url,
            key.encode(),
            "--witness",
            slow,
            slow_key.encode(),
        ]
        dead = VerifierKey("dead.example", slow_key.type, bytes([8]) * 32)
        server = Server(own_folder, tmp_path, *words, "--witness", refused_port(), dead.encode())
        began = time.monotonic()
        bundles = [station.bundle() for _ in range(20)]
        for bundle in bundles:
            answer = server.put(bundle.certificate_id, bundle.encode())
            assert answer.status == 201
        assert time.monotonic() - began < 10, "a submission waited for a witness"
        path = f"/certificates/{bundles[0].certificate_id}"
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            got = Bundle.parse(server.ask("GET", path).body)
            note = server.ask("GET", "/checkpoint").body.decode()
            if (
                len(Note.parse(note).signatures) == 3
                and len(Note.parse(got.receipt.checkpoint_note).signatures) == 3
            ):
                break
            time.sleep(0.1)
        for signed in (note, got.receipt.checkpoint_note):
            assert key in open_checkpoint(signed, [*trust.logs, key]).signed_by
        assert verify(got.encode(), trust).verdict is Verdict.GENUINE
        sent = tmp_path / "sent.json"
        sent.write_bytes(bundles[-1].with_receipt(answer.receipt).encode())
        words = ["receipt", str(sent), "--registry", server.url, "--trust", str(own_folder / "trust.toml")]
        done = CliRunner().invoke(cli, words, standalone_mode=False)
        assert done.return_value is ExitCode.DONE, done.output
        renewed = Bundle.parse(sent.read_bytes()).receipt
        assert key in open_checkpoint(renewed.checkpoint_note, [*trust.logs, key]).signed_by
        again = server.put(bundles[0].certificate_id, bundles[0].encode())
        assert (again.status, again.receipt) == (200, got.receipt)
        stuck.set()
        assert server.stop() == 0
        assert "dead.example does not cosign" in server.log
    server = Server(own_folder, tmp_path)
    assert len(Note.parse(server.ask("GET", "/checkpoint").body.decode()).signatures) == 2
    assert server.stop() == 0


@pytest.mark.parametrize(
    ("url", "key"),
    [
        ("witness.example", LOG_KEY.cosigner().encode()),
        ("ftp://witness.example", LOG_KEY.cosigner().encode()),
        ("http://[", LOG_KEY.cosigner().encode()),
        ("http://witness.example", "x"),
        ("http://witness.example", LOG_KEY.encode()),
    ],
)
def test_what_names_no_witness(url: str, key: str) -> None:
    with pytest.raises(UsageError):
        parse_witness(url, key)
