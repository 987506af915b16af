"""The server process: how it starts, and ends: by signal, by kill -9, on a full disk, without an address."""

from __future__ import annotations

import os
import random
import signal
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import urllib3

from rasura.bundle import Bundle
from rasura.checkpoint import Checkpoint, open_checkpoint
from rasura.errors import UsageError
from rasura.receipt import Receipt
from rasura.tree import consistency_proof, leaf_hash, verify_consistency
from rasura.trust import Trust
from rasura.verifier import Verdict, verify
from rasura_registry.check import check_folder
from rasura_registry.index import SqliteIndex
from rasura_registry.registry import open_registry
from rasura_registry.server import serve, write_port
from registry.samples import Station
from registry.world import Server

KILLS = int(os.environ.get("RASURA_KILLS", "2"))
"""How often the server dies in the middle of its work; more for whoever has the time."""


def require_kept(root: Path, trust: Trust, acknowledged: dict[str, tuple[Bundle, Receipt]]) -> None:
    """Everything acknowledged is in the log under the receipt given, and the log is sound."""
    report = check_folder(root)
    assert report.problems == ()
    index = SqliteIndex(root / "index.sqlite3")
    leaves = [leaf_hash(row.entry) for row in index.rows(0, report.published)]
    index.close()
    final = open_checkpoint((root / "checkpoint").read_text(), trust.logs).checkpoint
    seen: dict[str, Checkpoint] = {}
    for bundle, receipt in acknowledged.values():
        assert verify(bundle.with_receipt(receipt).encode(), trust).verdict is Verdict.GENUINE
        seen[receipt.checkpoint_note] = open_checkpoint(receipt.checkpoint_note, trust.logs).checkpoint
    for one in seen.values():
        proof = consistency_proof(leaves, one.size, final.size)
        verify_consistency(one.size, final.size, proof, one.root_hash, final.root_hash)


def test_kill_9_in_the_middle_of_the_work_loses_nothing_acknowledged(
    own_folder: Path, tmp_path: Path, station: Station
) -> None:
    trust = Trust.parse((own_folder / "trust.toml").read_text())
    chance = random.Random(20)
    waiting = [station.bundle() for _ in range(400)]
    acknowledged: dict[str, tuple[Bundle, Receipt]] = {}
    lock = threading.Lock()

    def work(server: Server, give_up: threading.Event) -> None:
        while not give_up.is_set():
            with lock:
                bundle = waiting.pop() if waiting else station.bundle()
            try:
                receipt = server.put(bundle.certificate_id, bundle.encode()).receipt
            except urllib3.exceptions.HTTPError:
                with lock:
                    waiting.append(bundle)
                return
            with lock:
                acknowledged[bundle.certificate_id] = (bundle, receipt)

    for _ in range(KILLS):
        server, give_up = Server(own_folder, tmp_path), threading.Event()
        with ThreadPoolExecutor(8) as pool:
            for _ in range(8):
                pool.submit(work, server, give_up)
            time.sleep(chance.uniform(0.1, 0.6))
            server.kill()
            give_up.set()
    before = len(acknowledged)
    assert before > 0
    server = Server(own_folder, tmp_path)
    for bundle, receipt in list(acknowledged.values())[:20]:
        assert server.put(bundle.certificate_id, bundle.encode()).receipt == receipt
        got = server.ask("GET", f"/certificates/{bundle.certificate_id}")
        assert got.body == bundle.with_receipt(receipt).encode()
    # Whoever got no answer asks again, and is served whether or not it was logged the first time.
    for bundle in waiting[-20:]:
        acknowledged[bundle.certificate_id] = (
            bundle,
            server.put(bundle.certificate_id, bundle.encode()).receipt,
        )
    assert server.stop() == 0
    require_kept(own_folder, trust, acknowledged)


def test_a_full_disk_refuses_and_loses_nothing(own_folder: Path, tmp_path: Path, station: Station) -> None:
    trust = Trust.parse((own_folder / "trust.toml").read_text())
    acknowledged: dict[str, tuple[Bundle, Receipt]] = {}
    # The index's write-ahead log is the first file to reach the limit.
    server = Server(own_folder, tmp_path, max_file_bytes=96 * 1024)
    refused = []
    for _ in range(30):
        bundle = station.bundle()
        answer = server.put(bundle.certificate_id, bundle.encode())
        if answer.status == 201:
            acknowledged[bundle.certificate_id] = (bundle, answer.receipt)
            continue
        assert answer.status in {503, 507}
        assert answer.content_type == "application/problem+json"
        refused.append(bundle)
        if len(refused) == 3:
            break
    assert acknowledged
    assert len(refused) == 3
    assert server.ask("GET", "/checkpoint").status == 200
    assert server.ask("GET", "/health").status == 503
    assert "Traceback" not in server.log
    assert server.stop() == 0
    server = Server(own_folder, tmp_path)
    assert server.process.stdout is not None
    assert server.process.stdout.readline() == f"listening on {server.url}\n"
    for bundle in refused:
        acknowledged[bundle.certificate_id] = (
            bundle,
            server.put(bundle.certificate_id, bundle.encode()).receipt,
        )
    assert server.ask("GET", "/health").status == 200
    assert server.stop(signal.SIGINT) == 0
    assert server.log == ""
    require_kept(own_folder, trust, acknowledged)


def test_a_port_that_is_taken_is_said_so(own_folder: Path) -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as taken,
        pytest.raises(UsageError, match=r"cannot listen on 127\.0\.0\.1 port \d+: Address already in use"),
    ):
        serve(own_folder, "127.0.0.1", taken.getsockname()[1], lambda *_: None)


@pytest.mark.parametrize("host", ["192.0.2.1", "no.such.host.invalid", "x" * 300, "\ud800"])
def test_an_address_that_cannot_be_had_is_said_so(own_folder: Path, host: str) -> None:
    with pytest.raises(UsageError, match="cannot listen on "):
        serve(own_folder, host, 0, lambda *_: None)


@pytest.mark.parametrize("name", ["missing/port", "."])
def test_a_port_file_that_cannot_be_written_ends_the_server(
    own_folder: Path, tmp_path: Path, name: str
) -> None:
    with pytest.raises(UsageError, match="cannot write "):
        serve(own_folder, "127.0.0.1", 0, lambda _, port: write_port(tmp_path / name, port))
    with open_registry(own_folder):
        "and lets go of the folder"
