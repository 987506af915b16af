"""Asking a timestamp authority over HTTP (RFC 3161 section 3.4); what it says is verified."""

from __future__ import annotations

import time
from http import HTTPStatus

import urllib3
from cryptography import x509

from rasura import __version__
from rasura.errors import RasuraError, UsageError
from rasura.text import printable
from rasura.timestamp import MAX_TOKEN_BYTES, TimestampError, open_response, verify_token

__all__ = ["AuthorityError", "TimestampAuthority"]

_QUERY = "application/timestamp-query"
_GRANTED = 0
_GRANTED_WITH_MODS = 1
"""PKIStatus (RFC 3161 section 2.4.2): whatever it changed, the token must hold as we asked for it."""
_SHOWN_CHARACTERS = 200


class AuthorityError(RasuraError):
    """The authority gave no timestamp that holds: it is away, refuses, or its answer proves nothing."""


class TimestampAuthority:
    """The authority at ``url``, whose tokens must lead to one of ``roots``; for one thread.

    Raises:
        UsageError: ``url`` is not an http or https URL.
    """

    def __init__(self, url: str, roots: tuple[x509.Certificate, ...], *, timeout_s: float = 20.0) -> None:
        try:
            parsed = urllib3.util.parse_url(url)
        except urllib3.exceptions.LocationParseError:
            parsed = urllib3.util.Url()
        if parsed.scheme not in {"http", "https"} or not parsed.host:
            raise UsageError(
                f"{url!r} is not the address of a timestamp authority, such as http://tsa.example"
            )
        self.url = url
        self._roots = roots
        self._timeout_s = timeout_s
        self._connections = urllib3.PoolManager(
            timeout=urllib3.Timeout(total=timeout_s),
            retries=False,
            headers={"User-Agent": f"rasura/{__version__}", "Content-Type": _QUERY},
        )

    def close(self) -> None:
        """Close the connections."""
        self._connections.clear()

    def token_over(self, note: str) -> bytes:
        """A token over the checkpoint ``note``, verified.

        Raises:
            AuthorityError: there is none.
        """
        from rfc3161_client import HashAlgorithm, TimestampRequestBuilder  # noqa: PLC0415  see rasura.timestamp

        request = TimestampRequestBuilder().data(note.encode()).hash_algorithm(HashAlgorithm.SHA256).build()
        answer = self._ask(request.as_bytes())
        try:
            status, words, token = open_response(answer)
            if status not in {_GRANTED, _GRANTED_WITH_MODS} or token is None:
                said = printable("; ".join(words))[:_SHOWN_CHARACTERS] or f"status {status}, without words"
                raise AuthorityError(f"the timestamp authority {self.url} refuses: {said}")
            verify_token(token, note, self._roots, nonce=request.nonce)
        except TimestampError as error:
            raise AuthorityError(f"the timestamp authority {self.url} answers amiss: {error}") from None
        return token

    def _ask(self, query: bytes) -> bytes:
        deadline = time.monotonic() + self._timeout_s
        answer = b""
        try:
            response = self._connections.request("POST", self.url, body=query, preload_content=False)
            try:
                # A few bytes now and then must not hold us for ever.
                while len(answer) <= MAX_TOKEN_BYTES and time.monotonic() < deadline:
                    chunk = response.read1(MAX_TOKEN_BYTES)
                    if not chunk:
                        break
                    answer += chunk
                else:
                    raise AuthorityError(
                        f"the timestamp authority {self.url} answers more than {MAX_TOKEN_BYTES} bytes"
                        if len(answer) > MAX_TOKEN_BYTES
                        else f"the timestamp authority {self.url} did not answer within {self._timeout_s:g} s"
                    )
            finally:
                response.close()
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise AuthorityError(
                f"the timestamp authority {self.url} cannot be reached ({_reason(error)})"
            ) from None
        if response.status != HTTPStatus.OK:
            raise AuthorityError(
                f"the timestamp authority {self.url} answers with HTTP status {response.status}"
            )
        return answer


def _reason(error: BaseException) -> str:
    text = str(getattr(error, "reason", None) or error)
    return printable(text.rsplit(": ", 1)[-1].strip())[:_SHOWN_CHARACTERS] or type(error).__name__
