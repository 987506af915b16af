"""The server process: a socket, uvicorn, and an end without noise."""

from __future__ import annotations

import logging
import signal
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType

import uvicorn

from rasura import durable
from rasura.errors import RasuraError, UsageError
from rasura_registry.app import create_app
from rasura_registry.registry import open_registry
from rasura_registry.timestamps import DEFAULT_INTERVAL_S
from rasura_registry.tls import Tls, load_chain, server_context
from rasura_registry.witnesses import Witnessing

__all__ = ["serve", "write_port"]

_MAX_CONNECTIONS = 512
"""Above this, 503: each may hold a body of 1 MiB in memory."""

_GRACE_S = 10

_RENEWAL_S = 6 * 3600.0
"""How often a running server looks whether its TLS certificate is to be renewed."""

_logger = logging.getLogger(__name__)


class _Server(uvicorn.Server):
    """uvicorn that says when it really accepts connections."""

    def __init__(self, config: uvicorn.Config, on_started: Callable[[], None]) -> None:
        super().__init__(config)
        self._on_started = on_started

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self._on_started()


def serve(
    root: Path,
    host: str,
    port: int,
    announce: Callable[[str, int], None],
    tls: Tls | None = None,
    witnesses: tuple[Witnessing, ...] = (),
    ask_every_s: float = 10.0,
    *,
    timestamp_url: str | None = None,
    timestamp_interval_s: float = DEFAULT_INTERVAL_S,
) -> None:
    """Serve the data folder at ``root`` until SIGTERM or SIGINT; port 0 takes a free one.

    ``announce`` is called with the address once connections are accepted. With ``tls`` it speaks HTTPS. For
    ``witnesses`` see :func:`open_registry`.

    Raises:
        RasuraError: the folder cannot be opened, see :func:`open_registry`.
        UsageError: the address cannot be had, or TLS not be served.
    """
    with (
        open_registry(
            root,
            witnesses,
            ask_every_s,
            timestamp_url=timestamp_url,
            timestamp_interval_s=timestamp_interval_s,
        ) as registry,
        _listen(host, port) as listener,
        _served_tls(tls) as context,
    ):
        address, actual_port = listener.getsockname()[:2]
        config = uvicorn.Config(
            create_app(registry, tls=tls),
            log_config=None,
            access_log=False,
            server_header=False,
            lifespan="off",
            ws="none",
            limit_concurrency=_MAX_CONNECTIONS,
            timeout_graceful_shutdown=_GRACE_S,
        )
        # Loaded here, because uvicorn would make a context of its own from files it reads once.
        config.load()
        config.ssl = context
        server = _Server(config, lambda: announce(address, actual_port))

        def stop(_: int, __: FrameType | None) -> None:
            # uvicorn raises the signal again when it has finished: by then there is nothing to do.
            server.should_exit = True

        before = {number: signal.signal(number, stop) for number in (signal.SIGTERM, signal.SIGINT)}
        try:
            server.run([listener])
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


@contextmanager
def _served_tls(tls: Tls | None) -> Iterator[ssl.SSLContext | None]:
    """The server's TLS, renewed as long as it serves."""
    if tls is None:
        yield None
        return
    context = server_context(tls, datetime.now(UTC))
    ended = threading.Event()

    def renew() -> None:
        while not ended.wait(_RENEWAL_S):
            try:
                load_chain(context, tls, datetime.now(UTC))
            except RasuraError as error:
                _logger.error("ALERT the TLS certificate was not renewed: %s", error)  # noqa: TRY400  a sentence, no traceback

    thread = threading.Thread(target=renew, name="tls", daemon=True)
    thread.start()
    try:
        yield context
    finally:
        ended.set()
        thread.join()


def write_port(path: Path, port: int) -> None:
    """Tell a script which port was taken; raises :class:`UsageError`."""
    try:
        durable.write_file(path, f"{port}\n".encode())
    except OSError as error:
        raise UsageError(f"cannot write {path}: {error.strerror}") from None


def _listen(host: str, port: int) -> socket.socket:
    try:
        family, _, _, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.create_server(address[:2], family=family, backlog=2048)
    except (OSError, OverflowError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise UsageError(f"cannot listen on {host} port {port}: {reason}") from None
    # Linux hands it down to every connection. asyncio sets it only on sockets that name their protocol,
    # and without it each answer on a kept connection waits 40 ms for a delayed acknowledgement.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listener
