"""The HTTP face: raw bytes in, JSON and plain text out, every error application/problem+json (RFC 9457)."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from http import HTTPStatus
from typing import Any, TypeVar

from fastapi import FastAPI, Request, Response
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from rasura import strict_json
from rasura.enrolment import MAX_REQUEST_BYTES, EnrolmentError
from rasura.errors import RasuraError
from rasura.pinned import AUTHORITY_PATH
from rasura.strict_json import MAX_BYTES
from rasura.tiles import Tile
from rasura_registry.enrolment_files import State
from rasura_registry.enrolments import CommitmentError
from rasura_registry.errors import StoreError
from rasura_registry.log import Conflict, Submission
from rasura_registry.registry import NotJsonError, Registry, SubmissionError
from rasura_registry.tls import Tls

__all__ = ["BODY_TIMEOUT_S", "create_app"]

BODY_TIMEOUT_S = 30.0
"""A bundle is a few kB; who needs longer than this for it is not sending one."""

_MAX_DISCARDED_BYTES = 8 * MAX_BYTES
"""Who sends too much is let finish, within reason: closing earlier would lose the answer that says so."""

_WORKERS = 2
"""Threads that judge submissions and read files; more would only fight for the interpreter."""

_IMMUTABLE = {"Cache-Control": "public, max-age=31536000, immutable"}
_PRIVATE = {"Cache-Control": "private, no-store"}
_PUBLIC = {"Cache-Control": "public, max-age=3600"}
_FRESH = {"Cache-Control": "no-cache"}

_T = TypeVar("_T")


class _BodyError(Exception):
    """The body is too large, too slow, or broken off."""

    def __init__(self, status: HTTPStatus, detail: str) -> None:
        super().__init__(detail)
        self.status = status


def create_app(
    registry: Registry, *, body_timeout_s: float = BODY_TIMEOUT_S, tls: Tls | None = None
) -> FastAPI:
    """The application over an open registry, served over ``tls`` if that is ours."""
    app = FastAPI(title="Rasura registry", openapi_url=None)
    pool = ThreadPoolExecutor(_WORKERS, thread_name_prefix="request")

    async def in_pool(function: Callable[..., _T], *values: object) -> _T:
        return await asyncio.get_running_loop().run_in_executor(pool, function, *values)

    @app.put("/statements/{certificate_id}")
    @app.put("/certificates/{certificate_id}")
    async def put_certificate(certificate_id: str, request: Request) -> Response:
        raw = await _read_body(request, body_timeout_s)
        answer = await in_pool(registry.take, certificate_id, raw)
        if isinstance(answer, Submission):
            answer = await asyncio.wrap_future(registry.log_it(answer))
        if isinstance(answer, Conflict):
            return _problem(HTTPStatus.CONFLICT, "another document with this id is in the log already")
        receipt = answer.receipt
        return _json(
            HTTPStatus.CREATED if answer.new else HTTPStatus.OK,
            {"id": certificate_id, "index": receipt.index, "receipt": receipt.encode()},
        )

    @app.get("/statements/{certificate_id}")
    @app.get("/certificates/{certificate_id}")
    async def get_certificate(certificate_id: str) -> Response:
        # Until people have accounts, knowing the id, which nobody can guess, is the right to read.
        bundle = await in_pool(registry.certificate, certificate_id)
        if bundle is None:
            return _problem(HTTPStatus.NOT_FOUND, "no document with this id is in the log")
        return Response(bundle, media_type="application/json", headers=_PRIVATE)

    @app.get("/checkpoint")
    async def get_checkpoint() -> Response:
        return Response(await in_pool(registry.checkpoint), media_type="text/plain", headers=_FRESH)

    @app.get("/tile/{path:path}")
    async def get_tile(path: str) -> Response:
        tile = Tile.parse(path)
        data = None if tile is None else await in_pool(registry.tile, tile)
        if data is None:
            return _problem(HTTPStatus.NOT_FOUND, "there is no such tile")
        return Response(data, media_type="application/octet-stream", headers=_IMMUTABLE)

    @app.get("/trust.toml")
    async def get_trust() -> Response:
        return Response(registry.trust_toml, media_type="application/toml", headers=_FRESH)

    @app.get(AUTHORITY_PATH)
    async def get_authority() -> Response:
        if tls is None:
            return _problem(HTTPStatus.NOT_FOUND, "this server has no TLS authority of its own")
        return Response(tls.authority_pem, media_type="application/x-pem-file", headers=_PUBLIC)

    _add_enrolment(app, registry, in_pool, body_timeout_s)

    @app.get("/health")
    async def get_health() -> Response:
        size = registry.size
        if size is None:
            return _problem(
                HTTPStatus.SERVICE_UNAVAILABLE, "the last batch failed; the next one will try again"
            )
        return _json(HTTPStatus.OK, {"status": "ok", "size": size})

    _add_error_handlers(app)
    return app


def _add_enrolment(
    app: FastAPI, registry: Registry, in_pool: Callable[..., Awaitable[Any]], body_timeout_s: float
) -> None:
    """The three requests of a station that wants to be certified, see :mod:`rasura.enrolment`."""
    enrolments = registry.enrolments

    @app.post("/enrolments")
    async def begin_enrolment(request: Request) -> Response:
        raw = await _read_body(request, body_timeout_s, MAX_REQUEST_BYTES)
        try:
            value = strict_json.loads(raw, what="the body")
        except strict_json.JsonError as error:
            return _problem(HTTPStatus.BAD_REQUEST, str(error))
        match value:
            case {"commitment": str(announced), **more} if not more:
                enrolment_id, nonce = await in_pool(enrolments.begin, announced)
            case _:
                return _problem(HTTPStatus.UNPROCESSABLE_ENTITY, "an enrolment begins with a commitment")
        return _json(HTTPStatus.CREATED, {"id": enrolment_id, "nonce": nonce})

    @app.put("/enrolments/{enrolment_id}")
    async def show_enrolment(enrolment_id: str, request: Request) -> Response:
        raw = await _read_body(request, body_timeout_s, MAX_REQUEST_BYTES)
        address = request.client.host if request.client else "unknown"
        waiting = await in_pool(enrolments.show, enrolment_id, raw, address)
        if waiting is None:
            return _problem(HTTPStatus.NOT_FOUND, "no enrolment with this id has begun")
        return _json(HTTPStatus.OK, {"state": waiting.state.value})

    @app.get("/enrolments/{enrolment_id}")
    async def get_enrolment(enrolment_id: str) -> Response:
        found = await in_pool(enrolments.look, enrolment_id)
        if found is None:
            return _problem(HTTPStatus.NOT_FOUND, "there is no enrolment with this id, or not any more")
        state, waiting = found
        if state is not State.APPROVED:
            return _json(HTTPStatus.OK, {"state": state.value})
        return _json(
            HTTPStatus.OK,
            {
                "state": state.value,
                "site": waiting.site,
                "chain": [base64.b64encode(one).decode() for one in waiting.chain],
                "trust": registry.trust_toml.decode(),
            },
        )


def _add_error_handlers(app: FastAPI) -> None:
    @app.exception_handler(RasuraError)
    async def on_rasura_error(_: Request, error: RasuraError) -> Response:
        if isinstance(error, SubmissionError):
            status = (
                HTTPStatus.BAD_REQUEST if isinstance(error, NotJsonError) else HTTPStatus.UNPROCESSABLE_ENTITY
            )
            return _problem(status, str(error), reasons=error.reasons)
        if isinstance(error, (CommitmentError, EnrolmentError)):
            return _problem(HTTPStatus.UNPROCESSABLE_ENTITY, str(error))
        if isinstance(error, StoreError) and error.full:
            return _problem(HTTPStatus.INSUFFICIENT_STORAGE, f"the registry's disk is full: {error}")
        return _problem(HTTPStatus.SERVICE_UNAVAILABLE, str(error))

    @app.exception_handler(_BodyError)
    async def on_body_error(_: Request, error: _BodyError) -> Response:
        # The rest of the body may still be coming, so the connection is of no more use.
        response = _problem(error.status, str(error))
        response.headers["Connection"] = "close"
        return response

    @app.exception_handler(HTTPException)
    async def on_http_exception(_: Request, error: HTTPException) -> Response:
        response = _problem(HTTPStatus(error.status_code), f"{error.detail}: no such resource or method here")
        response.headers.update(error.headers or {})
        return response

    @app.exception_handler(Exception)
    async def on_bug(_: Request, __: Exception) -> Response:
        return _problem(HTTPStatus.INTERNAL_SERVER_ERROR, "the registry met a bug; its log has the details")


async def _read_body(request: Request, timeout_s: float, max_bytes: int = MAX_BYTES) -> bytes:
    too_large = _BodyError(
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"the body may have at most {max_bytes} bytes"
    )
    body, received = bytearray(), 0
    try:
        async with asyncio.timeout(timeout_s):
            async for chunk in request.stream():
                received += len(chunk)
                if received <= max_bytes:
                    body += chunk
                elif received > _MAX_DISCARDED_BYTES:
                    raise too_large
    except TimeoutError:
        raise _BodyError(
            HTTPStatus.REQUEST_TIMEOUT, f"the body did not arrive within {timeout_s:g} s"
        ) from None
    except ClientDisconnect:
        raise _BodyError(HTTPStatus.BAD_REQUEST, "the body broke off") from None
    if received > max_bytes:
        raise too_large
    return bytes(body)


def _json(status: HTTPStatus, value: dict[str, Any], media_type: str = "application/json") -> Response:
    return Response(json.dumps(value), status, media_type=media_type, headers=_PRIVATE)


def _problem(status: HTTPStatus, detail: str, **members: Any) -> Response:
    value = {
        "type": "about:blank",
        "title": status.phrase,
        "status": status.value,
        "detail": detail,
        **members,
    }
    return _json(status, value, "application/problem+json")
