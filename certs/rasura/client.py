"""Talking to a registry, believing nothing it says that is not proven.

::

    RegistryError
    ├── RegistryAwayError       no answer, or not the registry's own answer: try again later
    ├── RegistryRefusedError    it read the bundle and will not log it: trying again is useless
    └── RegistryAnswerError     it answered, and the answer proves nothing: the bundle is not logged
"""

from __future__ import annotations

from http import HTTPStatus

import urllib3

from rasura import __version__, strict_json
from rasura.bundle import Bundle
from rasura.checkpoint import open_checkpoint
from rasura.errors import RasuraError, UsageError
from rasura.note import VerifierKey
from rasura.receipt import Receipt
from rasura.verifier import check_receipt

__all__ = [
    "RegistryAnswerError",
    "RegistryAwayError",
    "RegistryClient",
    "RegistryError",
    "RegistryRefusedError",
]

_MAX_ANSWER_BYTES = 256 * 1024
"""A receipt is about 2 KiB; nobody may fill the station's memory instead."""


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

    Raises:
        UsageError: ``url`` is not an http or https URL.
    """

    def __init__(self, url: str, logs: tuple[VerifierKey, ...], *, timeout_s: float = 10.0) -> None:
        try:
            parsed = urllib3.util.parse_url(url)
        except urllib3.exceptions.LocationParseError:
            parsed = urllib3.util.Url()
        if parsed.scheme not in {"http", "https"} or not parsed.host:
            raise UsageError(f"{url!r} is not the address of a registry, such as https://registry.example")
        self.url = url.rstrip("/")
        self._logs = logs
        self._pool = urllib3.PoolManager(
            timeout=urllib3.Timeout(total=timeout_s),
            retries=urllib3.Retry(connect=1, read=0, redirect=0, status=0, other=0),
            headers={"User-Agent": f"rasura/{__version__}"},
        )

    def put(self, bundle: Bundle) -> Bundle:
        """Have ``bundle`` logged; returns it with a receipt that has been checked.

        Doing so again is harmless. Raises one of the module's three errors.
        """
        path = f"/certificates/{bundle.certificate_id}"
        body = bundle.with_receipt(None).encode()
        status, answer = self._ask("PUT", path, body)
        if status in {HTTPStatus.OK, HTTPStatus.CREATED}:
            return self._proven(bundle, answer)
        reason = _reason(answer) or f"HTTP status {status}"
        if status >= HTTPStatus.INTERNAL_SERVER_ERROR or status in {
            HTTPStatus.REQUEST_TIMEOUT,
            HTTPStatus.TOO_MANY_REQUESTS,
        }:
            raise RegistryAwayError(f"the registry at {self.url} is not well: {reason}")
        if status in {
            HTTPStatus.BAD_REQUEST,
            HTTPStatus.CONFLICT,
            HTTPStatus.UNPROCESSABLE_ENTITY,
        } and _reason(answer):
            raise RegistryRefusedError(f"the registry at {self.url} refuses the certificate: {reason}")
        raise RegistryAnswerError(f"{self.url} does not answer as a registry does ({reason})")

    def checkpoint(self) -> str:
        """The registry's latest checkpoint as a signed note, its signature checked."""
        status, answer = self._ask("GET", "/checkpoint", None)
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
        self._pool.clear()

    def _ask(self, method: str, path: str, body: bytes | None) -> tuple[int, bytes]:
        try:
            response = self._pool.request(
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
            raise RegistryAwayError(
                f"the registry at {self.url} cannot be reached ({_root(error)})",
                hint="the certificate stays in the spool; send it later with 'rasura-agent spool send'",
            ) from None
        if len(answer) > _MAX_ANSWER_BYTES:
            raise RegistryAnswerError(f"{self.url} answers with more than {_MAX_ANSWER_BYTES} bytes")
        return response.status, answer

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


def _reason(answer: bytes) -> str | None:
    """The ``detail`` of a problem+json answer (RFC 9457), if it is one."""
    try:
        detail = strict_json.loads(answer).get("detail")
    except RasuraError:
        return None
    return detail if isinstance(detail, str) and detail else None


def _root(error: BaseException) -> str:
    """The innermost reason in words, without urllib3's layers."""
    reason: object = error
    while isinstance(
        inner := getattr(reason, "reason", None) or getattr(reason, "__cause__", None), BaseException
    ):
        reason = inner
    text = getattr(reason, "strerror", None) or str(reason)
    return text.rsplit(": ", 1)[-1].strip() or type(reason).__name__
