"""A real timestamp authority on loopback: ``openssl ts -reply`` behind HTTP."""

from __future__ import annotations

import shutil
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from rasura.keys import certificate_pem, private_key_pem

__all__ = ["OpensslTsa", "openssl_or_skip", "openssl_verifies", "serving"]

_CONFIG = """
[tsa]
default_tsa = here
[here]
serial = {folder}/serial
signer_cert = {folder}/signer.pem
signer_key = {folder}/signer.key
signer_digest = sha256
default_policy = 1.3.6.1.4.1.99999.1
digests = {digests}
accuracy = secs:1
ess_cert_id_alg = sha256
"""


def openssl_or_skip() -> None:
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed (apt-get install openssl)")


def _certify(
    name: str,
    key: ec.EllipticCurvePrivateKey,
    issuer: tuple[x509.Certificate, ec.EllipticCurvePrivateKey] | None,
    begin: datetime,
    end: datetime,
) -> x509.Certificate:
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer[0].subject if issuer else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(begin)
        .not_valid_after(end)
        .add_extension(x509.BasicConstraints(ca=issuer is None, path_length=None), critical=True)
    )
    if issuer is not None:
        usage = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.TIME_STAMPING])
        builder = builder.add_extension(usage, critical=True)
    return builder.sign(issuer[1] if issuer else key, hashes.SHA256())


class OpensslTsa:
    """An authority in a folder: a root, a signer, and the command that answers."""

    def __init__(
        self, folder: Path, *, lasts: timedelta = timedelta(days=365), digests: str = "sha256"
    ) -> None:
        openssl_or_skip()
        folder.mkdir(parents=True)
        self.folder = folder
        began = datetime.now(UTC) - timedelta(days=30)
        root_key, key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
        self.root = _certify("Test time root", root_key, None, began, began + timedelta(days=7300))
        signer = _certify("Test time signer", key, (self.root, root_key), began, began + lasts)
        (folder / "root.pem").write_bytes(certificate_pem(self.root))
        (folder / "signer.pem").write_bytes(certificate_pem(signer))
        (folder / "signer.key").write_bytes(private_key_pem(key))
        (folder / "serial").write_text("01\n")
        (folder / "tsa.conf").write_text(_CONFIG.format(folder=folder, digests=digests))
        self._lock = threading.Lock()

    def answer(self, query: bytes) -> bytes:
        """The TimeStampResp to a TimeStampReq."""
        with self._lock:
            asked = self.folder / "query.tsq"
            asked.write_bytes(query)
            options = ["-config", self.folder / "tsa.conf", "-section", "here", "-queryfile", asked]
            return subprocess.run(
                ["openssl", "ts", "-reply", *options], capture_output=True, check=True, timeout=30
            ).stdout


def openssl_verifies(token: bytes, digest: bytes, roots: bytes, moment: datetime, folder: Path) -> bool:
    """Whether ``openssl ts -verify`` holds a token for good, at its own time."""
    (folder / "token").write_bytes(token)
    (folder / "roots.pem").write_bytes(roots)
    given = ["-digest", digest.hex(), "-in", folder / "token", "-token_in", "-CAfile", folder / "roots.pem"]
    done = subprocess.run(
        ["openssl", "ts", "-verify", *given, "-attime", str(int(moment.timestamp()))],
        capture_output=True,
        check=False,
    )
    return done.returncode == 0


@contextmanager
def serving(answer: Callable[[bytes], bytes], *, status: int = 200, pause_s: float = 0.0) -> Iterator[str]:
    """The URL where queries are answered by ``answer``; with a pause, a byte at a time."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            query = self.rfile.read(int(self.headers["Content-Length"]))
            given = answer(query) if self.headers["Content-Type"] == "application/timestamp-query" else b""
            self.send_response(status)
            self.send_header("Content-Type", "application/timestamp-reply")
            self.send_header("Content-Length", str(len(given)))
            self.end_headers()
            try:
                if not pause_s:
                    self.wfile.write(given)
                for at in range(len(given) if pause_s else 0):
                    self.wfile.write(given[at : at + 1])
                    time.sleep(pause_s)
            except OSError:
                self.close_connection = True  # whoever asked went away

        def log_message(self, *_: object) -> None:
            """Nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/tsa"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
