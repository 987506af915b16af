"""A witness over HTTP, with the standard library's server.

No web framework: an auditor installs the verifier and nothing else, and a witness answers one short request.
What that server lacks are limits, and those are here: of bytes, of time, of connections.
"""

from __future__ import annotations

import logging
import socket
import threading
import time
from collections.abc import Callable
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from rasura.add_checkpoint import MAX_REQUEST_BYTES, PATH
from rasura.errors import RasuraError, UsageError
from rasura.witness import Answer, Witness

__all__ = ["WitnessServer", "serve_until"]

_MOST_CONNECTIONS = 64
_REQUEST_S = 15.0
"""For the whole of a request's body; the next request of a kept connection may take as long to begin."""

_logger = logging.getLogger(__name__)


class WitnessServer(ThreadingHTTPServer):
    """Serves ``witness`` on ``host`` and ``port`` (0 takes a free one); ``serve_forever`` and ``shutdown``.

    Raises:
        UsageError: the address cannot be had.
    """

    daemon_threads = True
    request_queue_size = 64

    def __init__(self, witness: Witness, host: str, port: int) -> None:
        self.witness = witness
        self._free = threading.BoundedSemaphore(_MOST_CONNECTIONS)
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
            self.address_family = found[0]
            super().__init__(found[4][:2], _Handler)  # type: ignore[arg-type]
        except (OSError, OverflowError, UnicodeError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            raise UsageError(f"cannot listen on {host} port {port}: {reason}") from None

    def process_request(self, request: Any, client_address: Any) -> None:
        """Take a connection, if there are not too many."""
        if not self._free.acquire(blocking=False):
            self.shutdown_request(request)
            return
        try:
            super().process_request(request, client_address)
        except BaseException:
            self._free.release()
            raise

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Serve a connection to its end."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._free.release()

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ARG002  the base's signature
        """Clients who break off are nobody's concern; a bug is."""
        _logger.debug("a connection ended early", exc_info=True)


class _Handler(BaseHTTPRequestHandler):
    server: WitnessServer
    protocol_version = "HTTP/1.1"
    server_version = "rasura-witness"
    sys_version = ""
    timeout = _REQUEST_S

    def do_POST(self) -> None:
        if self.path.partition("?")[0] != PATH:
            self._refuse(HTTPStatus.NOT_FOUND, "there is only add-checkpoint here")
            return
        body = self._body()
        if body is None:
            return
        try:
            answer = self.server.witness.add_checkpoint(body)
        except RasuraError as error:
            _logger.error("ALERT nothing was cosigned: %s", error)  # noqa: TRY400  a sentence, no traceback
            self._refuse(HTTPStatus.INTERNAL_SERVER_ERROR, "the witness cannot write its state")
            return
        self._send(answer)

    def do_GET(self) -> None:
        self._refuse(HTTPStatus.NOT_FOUND, "there is only add-checkpoint here")

    def _body(self) -> bytes | None:
        length = self.headers.get("Content-Length", "")
        if not length.isascii() or not length.isdigit() or "Transfer-Encoding" in self.headers:
            self._refuse(HTTPStatus.LENGTH_REQUIRED, "a request says how long it is")
            return None
        size = int(length[:12])
        if size > MAX_REQUEST_BYTES:
            self._refuse(
                HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"a request has at most {MAX_REQUEST_BYTES} bytes"
            )
            return None
        parts, deadline = bytearray(), time.monotonic() + _REQUEST_S
        while len(parts) < size:
            if time.monotonic() > deadline:
                self._refuse(HTTPStatus.REQUEST_TIMEOUT, "the request did not arrive in time")
                return None
            piece = self.rfile.read1(size - len(parts))
            if not piece:
                self.close_connection = True
                return None
            parts += piece
        return bytes(parts)

    def _refuse(self, status: HTTPStatus, sentence: str) -> None:
        # What is left of the request may still come, so the connection is of no more use.
        self.close_connection = True
        self._send(Answer(status, f"{sentence}\n"))

    def _send(self, answer: Answer) -> None:
        body = answer.body.encode()
        self.send_response(answer.status)
        self.send_header("Content-Type", answer.media_type)
        self.send_header("Content-Length", str(len(body)))
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Nobody who asks is recorded."""


def serve_until(server: WitnessServer, announce: Callable[[str, int], None]) -> None:
    """Serve until ``shutdown`` or Ctrl-C; ``announce`` is told the address first."""
    host, port = server.server_address[:2]
    announce(str(host), int(port))
    try:
        server.serve_forever()
    finally:
        server.server_close()
