"""Verifying many documents on all cores, in order; few are verified here, as processes take time to start."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from itertools import islice
from multiprocessing import get_context

from rasura.documents import Document
from rasura.page_verdict import verify_documents
from rasura.trust import Trust
from rasura.verifier import Report

__all__ = ["TOGETHER", "cores", "verify_many"]

_ALONE = 500
"""A core has verified these before others would have begun."""

TOGETHER = 16
"""A core that does each step for these gains most of what it can."""

_AT_ONCE = 64
_AHEAD = 4
"""Bundles of documents that each process may have waiting: what is read ahead is kept in memory."""

_trust: Trust | None = None
"""Of a worker process."""


def cores() -> int:
    """How many this process may use."""
    return len(os.sched_getaffinity(0))


def verify_many(
    documents: Iterator[Document], trust_text: str, jobs: int, *, alone: int = _ALONE
) -> Iterator[tuple[Document, Report]]:
    """Verify each document under a trust file's text; the results come in the documents' order.

    The first ``alone`` are verified by this process, the others by ``jobs`` more if that is above one. A
    document's bytes are gone from what comes back.

    Raises:
        TrustError: the text is not a trust file's.
        RasuraError: whatever ``documents`` raises.
    """
    trust = Trust.parse(trust_text)
    here = documents if jobs < 2 else islice(documents, alone)
    while few := list(islice(here, TOGETHER)):
        yield from zip(map(_bare, few), verify_documents(few, trust), strict=True)
    if jobs < 2:
        return
    part = list(islice(documents, _AT_ONCE))
    if not part:
        return
    # Not forked: whoever calls may have threads.
    with ProcessPoolExecutor(jobs, get_context("spawn"), _begin, (trust_text,)) as pool:
        waiting: deque[tuple[list[Document], Future[list[Report]]]] = deque()
        try:
            while part or waiting:
                while part and len(waiting) < _AHEAD * jobs:
                    waiting.append(([_bare(one) for one in part], pool.submit(_verify, part)))
                    part = list(islice(documents, _AT_ONCE))
                names, reports = waiting.popleft()
                yield from zip(names, reports.result(), strict=True)
        finally:
            pool.shutdown(cancel_futures=True)


def _bare(document: Document) -> Document:
    return Document(document.name, document.path, b"", document.page, document.unreadable)


def _begin(trust_text: str) -> None:
    global _trust  # noqa: PLW0603  a worker has one trust file for all its life
    _trust = Trust.parse(trust_text)


def _verify(documents: list[Document]) -> list[Report]:
    if _trust is None:
        raise AssertionError("a worker begins with its trust file")
    return verify_documents(documents, _trust)
