"""Talking to a registry, believing nothing it says that is not proven.

::

    RegistryError
    ├── RegistryAwayError       no answer, or not the registry's own answer: try again later
    ├── RegistryRefusedError    it read the bundle and will not log it: trying again is useless
    └── RegistryAnswerError     it answered, and the answer proves nothing: the bundle is not logged
"""

from __future__ import annotations

import ssl
import threading
from http import HTTPStatus
from typing import TYPE_CHECKING

from rasura import __version__, strict_json
from rasura.bundle import Bundle
from rasura.checkpoint import open_checkpoint
from rasura.errors import RasuraError, UsageError
from rasura.note import VerifierKey
from rasura.pinned import AuthorityAwayError, PinError, parse_pin, pinned_context
from rasura.receipt import Receipt
from rasura.side_statement import SideStatement
from rasura.verifier import check_receipt

if TYPE_CHECKING:
    import urllib3

__all__ = [
    "RegistryAnswerError",
    "RegistryAwayError",
    "RegistryClient",
    "RegistryError",
    "RegistryRefusedError",
    "problem_detail",
]

_MAX_ANSWER_BYTES = 256 * 1024
"""A receipt is about 2 KiB; nobody may fill the station's memory instead."""

_LATER = "the certificate stays in the spool; send it later with 'rasura-agent spool send'"

_TLS_HINT = (
    "if the registry has a TLS authority of its own, give its pin (--registry-ca); "
    "if this machine's clock is wrong, set it or give the pin"
)

_WAITING = {HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_MANY_REQUESTS}
_FOR_GOOD = {
    HTTPStatus.BAD_REQUEST,
    HTTPStatus.CONFLICT,
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    HTTPStatus.UNPROCESSABLE_ENTITY,
}


class RegistryError(RasuraError):
    """A bundle did not reach the log."""


class RegistryAwayError(RegistryError):
    """The registry cannot be reached or is not well."""


class RegistryRefusedError(RegistryError):
    """The registry read the bundle and refuses it for good."""


class RegistryAnswerError(RegistryError):
    """The registry's answer does not prove that the bundle is in a trusted log."""


class RegistryClient:
    """One registry at ``url``, whose receipts must come from one of ``logs``.

    With ``ca_pin`` (``sha256:HEX``) it talks only over TLS that leads to exactly that authority, see
    :mod:`rasura.pinned`; without, https is judged by the authorities that the system trusts. May be
    used from several threads.

    Raises:
        UsageError: ``url`` is not an http or https URL, the pin is none, or there is a pin without TLS.
    """

    def __init__(
        self,
        url: str,
        logs: tuple[VerifierKey, ...],
        *,
        ca_pin: str | None = None,
        timeout_s: float = 10.0,
    ) -> None:
        import urllib3  # noqa: PLC0415  a station without a registry needs none of it

        try:
            parsed = urllib3.util.parse_url(url)
        except urllib3.exceptions.LocationParseError:
            parsed = urllib3.util.Url()
        if parsed.scheme not in {"http", "https"} or not parsed.host:
            raise UsageError(f"{url!r} is not the address of a registry, such as https://registry.example")
        self.url = url.rstrip("/")
        self.host = parsed.host
        self.over_tls = parsed.scheme == "https"
        self._pin = parse_pin(ca_pin) if ca_pin is not None else None
        if self._pin is not None and not self.over_tls:
            raise UsageError(
                f"{url} has no TLS, so a pin protects nothing", hint="the address needs https://"
            )
        self._logs = logs
        self._timeout_s = timeout_s
        self._lock = threading.Lock()
        self._connections: urllib3.PoolManager | None = None

    def put(self, bundle: Bundle) -> Bundle:
        """Have ``bundle`` logged; returns it with a receipt that has been checked.

        Doing so again is harmless. Raises one of the module's three errors.
        """
        side = isinstance(bundle.document, SideStatement)
        path = f"/{'statements' if side else 'certificates'}/{bundle.certificate_id}"
        body = bundle.with_receipt(None).encode()
        status, answer = self.ask("PUT", path, body)
        if status in {HTTPStatus.OK, HTTPStatus.CREATED}:
            return self._proven(bundle, answer)
        reason = problem_detail(answer) or f"HTTP status {status}"
        if status >= HTTPStatus.INTERNAL_SERVER_ERROR or status in _WAITING:
            raise RegistryAwayError(f"the registry at {self.url} is not well: {reason}")
        if status in _FOR_GOOD and problem_detail(answer):
            raise RegistryRefusedError(f"the registry at {self.url} refuses it: {reason}")
        raise RegistryAnswerError(f"{self.url} does not answer as a registry does ({reason})")

    def checkpoint(self) -> str:
        """The registry's latest checkpoint as a signed note, its signature checked."""
        status, answer = self.ask("GET", "/checkpoint")
        if status != HTTPStatus.OK:
            raise RegistryAwayError(f"the registry at {self.url} gives no checkpoint (HTTP status {status})")
        try:
            note = answer.decode("utf-8")
            open_checkpoint(note, self._logs)
        except (UnicodeDecodeError, RasuraError) as error:
            raise RegistryAnswerError(
                f"the checkpoint that {self.url} gives is not a trusted log's: {error}"
            ) from None
        return note

    def close(self) -> None:
        """Close the connections."""
        with self._lock:
            if self._connections is not None:
                self._connections.clear()

    def ask(self, method: str, path: str, body: bytes | None = None) -> tuple[int, bytes]:
        """One request for ``path`` below the URL: the HTTP status and the body, as they came.

        Raises:
            RegistryAwayError: there is no answer.
            RegistryAnswerError: whoever answers is not proven to be the registry, or answers without end.
        """
        import urllib3  # noqa: PLC0415

        connections = self._connected()
        try:
            response = connections.request(
                method,
                self.url + path,
                body=body,
                headers={"Content-Type": "application/json"},
                preload_content=False,
                decode_content=False,
            )
            try:
                answer = response.read(_MAX_ANSWER_BYTES + 1)
            finally:
                response.close()
        except (urllib3.exceptions.HTTPError, OSError) as error:
            root = _root(error)
            if isinstance(root, ssl.SSLCertVerificationError):
                raise RegistryAnswerError(
                    f"{self.url} is not proven to be the registry: {root.verify_message}",
                    hint=_TLS_HINT if self._pin is None else None,
                ) from None
            raise RegistryAwayError(
                f"the registry at {self.url} cannot be reached ({_words(root)})", hint=_LATER
            ) from None
        if len(answer) > _MAX_ANSWER_BYTES:
            raise RegistryAnswerError(f"{self.url} answers with more than {_MAX_ANSWER_BYTES} bytes")
        return response.status, answer

    def _connected(self) -> urllib3.PoolManager:
        """The connections; with a pin, the authority is fetched before the first of them."""
        import urllib3  # noqa: PLC0415

        with self._lock:
            if self._connections is not None:
                return self._connections
        # Not under the lock: a registry that is away must not make the threads wait for each other.
        context = self._pinned_context(self._pin) if self._pin is not None else None
        with self._lock:
            if self._connections is None:
                self._connections = urllib3.PoolManager(
                    timeout=urllib3.Timeout(total=self._timeout_s),
                    retries=urllib3.Retry(connect=1, read=0, redirect=0, status=0, other=0),
                    headers={"User-Agent": f"rasura/{__version__}"},
                    ssl_context=context,
                )
            return self._connections

    def _pinned_context(self, pin: str) -> ssl.SSLContext:
        try:
            return pinned_context(self.url, pin, timeout_s=self._timeout_s)
        except AuthorityAwayError as error:
            raise RegistryAwayError(str(error), hint=_LATER) from None
        except PinError as error:
            raise RegistryAnswerError(str(error), hint=error.hint) from None

    def _proven(self, bundle: Bundle, answer: bytes) -> Bundle:
        try:
            receipt = strict_json.loads(answer, what="the registry's answer").get("receipt")
            logged = bundle.with_receipt(Receipt.parse(receipt if isinstance(receipt, str) else ""))
        except RasuraError as error:
            raise RegistryAnswerError(f"the receipt that {self.url} gives cannot be read: {error}") from None
        problem = check_receipt(logged, self._logs)
        if problem is not None:
            raise RegistryAnswerError(f"the receipt that {self.url} gives proves nothing: {problem}")
        return logged


def problem_detail(answer: bytes) -> str | None:
    """The ``detail`` of a problem+json answer (RFC 9457), if it is one."""
    try:
        detail = strict_json.loads(answer).get("detail")
    except RasuraError:
        return None
    return detail if isinstance(detail, str) and detail else None


def _root(error: BaseException) -> BaseException:
    """The innermost reason, without urllib3's layers: it hangs its own on ``reason``, or in ``args``."""
    while True:
        inner = getattr(error, "reason", None) or error.__cause__ or next(iter(error.args), None)
        if not isinstance(inner, BaseException):
            return error
        error = inner


def _words(error: BaseException) -> str:
    text = getattr(error, "strerror", None) or str(error)
    return text.rsplit(": ", 1)[-1].strip() or type(error).__name__
