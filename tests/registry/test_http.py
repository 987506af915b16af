"""The registry as a client meets it: a real server, a real socket."""

from __future__ import annotations

import base64
import contextlib
import json
import socket
import statistics
import threading
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import pytest
import uvicorn
from msgspec.structs import replace

from rasura.checkpoint import open_checkpoint
from rasura.client import RegistryClient, RegistryRefusedError
from rasura.entry import Entry
from rasura.keys import issue_site, new_authority
from rasura.receipt import Receipt
from rasura.site_kit import SiteKit
from rasura.tree import leaf_hash
from rasura.trust import Trust
from rasura.verifier import Verdict, verify
from rasura_registry.app import create_app
from rasura_registry.check import check_folder
from rasura_registry.registry import open_registry
from registry.samples import Station
from registry.world import Answer, Server


@pytest.fixture
def trust(registry_folder: Path) -> Trust:
    return Trust.parse((registry_folder / "trust.toml").read_text())


def problem(answer: Answer, status: int) -> str:
    """The sentence of a problem answer."""
    assert answer.status == status, answer.body
    assert answer.content_type == "application/problem+json"
    assert answer.json["status"] == status
    return str(answer.json["detail"])


def test_a_certificate_comes_back_as_genuine(server: Server, station: Station, trust: Trust) -> None:
    bundle = station.bundle()
    answer = server.put(bundle.certificate_id, bundle.encode())
    assert answer.status == 201
    assert answer.content_type == "application/json"
    assert answer.json.keys() == {"id", "index", "receipt"}
    assert answer.json["id"] == bundle.certificate_id
    assert answer.json["index"] == answer.receipt.index
    assert verify(bundle.with_receipt(answer.receipt).encode(), trust).verdict is Verdict.GENUINE
    got = server.ask("GET", f"/certificates/{bundle.certificate_id}")
    assert got.status == 200
    assert got.body == bundle.with_receipt(answer.receipt).encode()


def test_the_agents_client_and_the_registry_understand_each_other(
    server: Server, station: Station, trust: Trust
) -> None:
    client = RegistryClient(server.url, trust.logs)
    with contextlib.closing(client):
        bundle = station.bundle()
        logged = client.put(bundle)
        assert logged.receipt is not None
        assert client.put(bundle) == logged
        assert open_checkpoint(client.checkpoint(), trust.logs).checkpoint.size > logged.receipt.index
        with pytest.raises(RegistryRefusedError, match="another document with this id"):
            client.put(station.bundle(bundle.certificate_id))


def test_the_same_again_gives_the_same_receipt(server: Server, station: Station) -> None:
    bundle = station.bundle()
    first = server.put(bundle.certificate_id, bundle.encode())
    server.put((other := station.bundle()).certificate_id, other.encode())
    for body in (
        bundle.encode(),
        bundle.with_receipt(first.receipt).encode(),
        b" " + bundle.encode() + b"\n",
    ):
        again = server.put(bundle.certificate_id, body)
        assert again.status == 200
        assert again.json == first.json


def test_another_certificate_with_the_same_id_is_refused_and_alerted(
    server: Server, station: Station
) -> None:
    bundle = station.bundle()
    first = server.put(bundle.certificate_id, bundle.encode())
    other = station.bundle(bundle.certificate_id)
    assert "another document with this id" in problem(server.put(other.certificate_id, other.encode()), 409)
    assert f"ALERT another certificate came with the id {bundle.certificate_id}" in server.log
    assert (
        server.ask("GET", f"/certificates/{bundle.certificate_id}").body
        == bundle.with_receipt(first.receipt).encode()
    )


def test_an_id_that_is_not_the_certificates_is_refused(server: Server, station: Station) -> None:
    bundle = station.bundle()
    for other in (str(uuid.uuid4()), bundle.certificate_id.upper(), "x", "%00", "é"):
        assert "not the one in the address" in problem(server.put(other, bundle.encode()), 422)


def test_a_bundle_that_does_not_hold_is_refused_with_every_reason(server: Server, station: Station) -> None:
    bundle = station.bundle()
    forged = replace(bundle, envelope=replace(bundle.envelope, payload=bundle.envelope.payload + b" "))
    answer = server.put(bundle.certificate_id, forged.encode())
    problem(answer, 422)
    assert answer.json["reasons"] == ["the signature does not fit the payload"]
    boastful = station.bundle(result__bytesWritten=5)
    answer = server.put(boastful.certificate_id, boastful.encode())
    problem(answer, 422)
    assert any("sum of the passes" in reason for reason in answer.json["reasons"])
    assert server.ask("GET", f"/certificates/{bundle.certificate_id}").status == 404


def test_another_registrys_site_is_refused(server: Server, trust: Trust) -> None:
    now = datetime.now(UTC)
    authority_key, authority = new_authority("log.example", now)
    key, certificate = issue_site(authority_key, authority, "Lyon", now)
    stranger = Station.at(SiteKit("Lyon", key, certificate, trust, None))
    bundle = stranger.bundle()
    assert "not issued by a trusted registry authority" in problem(
        server.put(bundle.certificate_id, bundle.encode()), 422
    )


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 400),
        (b"\x00\xff\xfe", 400),
        (b"{", 400),
        (b"[" * 100_000, 400),
        (b"[]", 400),
        (b"null", 400),
        (b'{"a": NaN}', 400),
        (b'{"a": 1, "a": 1}', 400),
        (b"{}", 422),
        (b'{"mediaType": "x", "envelope": {}, "chain": [], "receipt": null}', 422),
        (
            b'{"mediaType":"application/vnd.rasura.bundle+json;version=1","envelope":[],"chain":[7],"receipt":0}',
            422,
        ),
    ],
)
def test_garbage_is_refused_in_one_sentence(server: Server, body: bytes, status: int) -> None:
    assert problem(server.put(str(uuid.uuid4()), body), status)


def test_a_chain_of_nonsense_is_refused(server: Server, station: Station) -> None:
    bundle = station.bundle()
    value = json.loads(bundle.encode())
    for chain in ([], [base64.b64encode(b"nonsense").decode()], value["chain"][:1], value["chain"][::-1]):
        answer = server.put(bundle.certificate_id, json.dumps(value | {"chain": chain}).encode())
        assert problem(answer, 422)


def test_the_content_type_does_not_matter(server: Server, station: Station) -> None:
    for content_type in (
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "",
    ):
        bundle = station.bundle()
        path = f"/certificates/{bundle.certificate_id}"
        assert server.ask("PUT", path, bundle.encode(), **{"Content-Type": content_type}).status == 201


def test_more_than_one_mebibyte_is_refused(server: Server) -> None:
    assert "1048576 bytes" in problem(server.put(str(uuid.uuid4()), b" " * (1 << 20) + b"x"), 413)
    # Without end.
    with socket.create_connection(("127.0.0.1", server.port), timeout=30) as raw:
        raw.sendall(b"PUT /certificates/x HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
        with contextlib.suppress(OSError):
            while True:
                raw.sendall(b"10000\r\n" + b" " * 0x10000 + b"\r\n")


def test_what_is_not_there_is_not_found(server: Server) -> None:
    for path in (
        "/",
        "/certificates/",
        f"/certificates/{uuid.uuid4()}",
        "/certificates/%2e%2e",
        "/docs",
        "/tile/9/999",
    ):
        assert problem(server.ask("GET", path), 404)
    assert problem(server.ask("POST", "/checkpoint", b""), 405)
    assert problem(server.ask("DELETE", f"/certificates/{uuid.uuid4()}"), 405)


def test_the_log_is_published_as_tiles(server: Server, station: Station, trust: Trust) -> None:
    bundle = station.bundle()
    receipt = server.put(bundle.certificate_id, bundle.encode()).receipt
    answer = server.ask("GET", "/checkpoint")
    assert answer.content_type == "text/plain; charset=utf-8"
    size = open_checkpoint(answer.body.decode(), trust.logs).checkpoint.size
    assert size < 256, "this test reads the first tile while it is partial"
    tile = server.ask("GET", f"/tile/0/000.p/{size}")
    assert tile.content_type == "application/octet-stream"
    assert len(tile.body) == 32 * size
    assert tile.body[32 * receipt.index :][:32] == leaf_hash(bundle.entry().encode())
    assert problem(server.ask("GET", f"/tile/0/000.p/{size + 1}"), 404)


def test_entries_are_published_and_hold_no_ids(server: Server, station: Station, trust: Trust) -> None:
    bundle = station.bundle()
    receipt = server.put(bundle.certificate_id, bundle.encode()).receipt
    size = open_checkpoint(receipt.checkpoint_note, trust.logs).checkpoint.size
    rest = server.ask("GET", f"/tile/entries/000.p/{size}").body
    assert bundle.certificate_id.encode() not in rest
    entries = []
    while rest:
        length = int.from_bytes(rest[:2], "big")
        entries.append(Entry.parse(rest[2 : 2 + length]))
        rest = rest[2 + length :]
    assert len(entries) == size
    assert entries[receipt.index] == bundle.entry()


@pytest.mark.parametrize(
    "path",
    [
        b"/tile/../keys/log.key",
        b"/tile/0/../../keys/log.key",
        b"/tile/%2e%2e/keys/log.key",
        b"/tile//etc/passwd",
    ],
)
def test_no_path_leads_out_of_the_tiles(server: Server, path: bytes) -> None:
    with socket.create_connection(("127.0.0.1", server.port), timeout=30) as raw:
        raw.sendall(b"GET " + path + b" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        answer = b"".join(iter(lambda: raw.recv(4096), b""))
    assert answer.startswith(b"HTTP/1.1 404 ")
    assert b"PRIVATE" not in answer


def test_auditors_get_the_trust_file_and_probes_the_size(
    server: Server, trust: Trust, registry_folder: Path
) -> None:
    answer = server.ask("GET", "/trust.toml")
    assert answer.body == (registry_folder / "trust.toml").read_bytes()
    health = server.ask("GET", "/health")
    assert health.status == 200
    assert health.json["status"] == "ok"


def test_clients_that_break_off_or_talk_nonsense_harm_nobody(server: Server, station: Station) -> None:
    for start in (
        b"",
        b"\x16\x03\x01\x02\x00\x01",
        b"NONSENSE\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"y" * 200_000,
        b"PUT /certificates/x HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n{",
        b"PUT /certificates/x HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
        b"PUT /certificates/x HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999999999999999999\r\n\r\n{}",
        b"PUT /certificates/x HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nZZ\r\n",
    ):
        with (
            socket.create_connection(("127.0.0.1", server.port), timeout=30) as raw,
            contextlib.suppress(OSError),
        ):
            raw.sendall(start)
    bundle = station.bundle()
    assert server.put(bundle.certificate_id, bundle.encode()).status == 201
    assert "Traceback" not in server.log


def test_many_at_once_share_commits_and_each_gets_its_receipt(
    server: Server, station: Station, trust: Trust, registry_folder: Path
) -> None:
    bundles = [station.bundle() for _ in range(60)]
    before = check_folder(registry_folder)
    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(lambda bundle: server.put(bundle.certificate_id, bundle.encode()), bundles))
    for bundle, answer in zip(bundles, answers, strict=True):
        assert verify(bundle.with_receipt(answer.receipt).encode(), trust).verdict is Verdict.GENUINE
    after = check_folder(registry_folder)
    assert after.problems == ()
    assert after.entries == before.entries + 60
    assert after.checkpoints < before.checkpoints + 60


def test_one_id_from_many_hands_at_once_is_logged_once(server: Server, station: Station) -> None:
    certificate_id = str(uuid.uuid4())
    bundles = [station.bundle(certificate_id) for _ in range(4)] * 4
    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda bundle: server.put(certificate_id, bundle.encode()), bundles))
    statuses = sorted(answer.status for answer in answers)
    assert statuses == [200] * 3 + [201] + [409] * 12
    assert len({answer.body for answer in answers if answer.status != 409}) == 1


def test_a_body_that_takes_too_long_is_not_waited_for(own_folder: Path) -> None:
    with open_registry(own_folder) as registry, socket.create_server(("127.0.0.1", 0)) as listener:
        app = create_app(registry, body_timeout_s=0.2)
        running = uvicorn.Server(uvicorn.Config(app, log_config=None, lifespan="off", ws="none"))
        thread = threading.Thread(target=running.run, args=([listener],))
        thread.start()
        try:
            with socket.create_connection(listener.getsockname(), timeout=30) as raw:
                raw.sendall(b"PUT /certificates/x HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n{")
                answer = b"".join(iter(lambda: raw.recv(4096), b""))
        finally:
            running.should_exit = True
            thread.join()
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert b"did not arrive within 0.2 s" in answer


def test_answers_on_a_kept_connection_do_not_wait_for_acknowledgements(server: Server) -> None:
    def seconds() -> float:
        before = time.perf_counter()
        assert server.ask("GET", "/health").status == 200
        return time.perf_counter() - before

    # A delayed acknowledgement of Linux takes 40 ms, each time.
    assert statistics.median(seconds() for _ in range(21)) < 0.03


def test_receipts_parse_strictly(server: Server, station: Station) -> None:
    bundle = station.bundle()
    text = server.put(bundle.certificate_id, bundle.encode()).json["receipt"]
    assert Receipt.parse(text).encode() == text
