"""What a registry has of a certificate that it logged before: the same, with what was added meanwhile."""

from __future__ import annotations

from collections.abc import Iterator
from http import HTTPStatus
from pathlib import Path

from rasura import durable
from rasura.bundle import Bundle
from rasura.client import RegistryAnswerError, RegistryAwayError, RegistryClient, problem_detail
from rasura.errors import RasuraError, RefusedError, UsageError

__all__ = ["bundle_files", "rewrite", "stored"]


def stored(bundle: Bundle, client: RegistryClient) -> Bundle:
    """What the registry has under the bundle's id: the same certificate, with a receipt. Nothing is verified.

    Raises:
        RegistryAwayError: there is no answer, or the registry is not well.
        RefusedError: its log does not hold the certificate.
        RegistryAnswerError: what it answers is no such bundle.
    """
    status, answer = client.ask("GET", f"/certificates/{bundle.certificate_id}")
    reason = problem_detail(answer) or f"HTTP status {status}"
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        raise RegistryAwayError(f"the registry at {client.url} is not well: {reason}")
    if status == HTTPStatus.NOT_FOUND and problem_detail(answer):
        raise RefusedError(f"the registry at {client.url} does not know {bundle.certificate_id}: {reason}")
    if status != HTTPStatus.OK:
        raise RegistryAnswerError(f"{client.url} does not answer as a registry does ({reason})")
    try:
        given = Bundle.parse(answer)
    except RasuraError as error:
        raise RegistryAnswerError(f"what {client.url} answers is no bundle: {error}") from None
    if given.with_receipt(None) != bundle.with_receipt(None):
        raise RegistryAnswerError(f"{client.url} has another certificate with the id {bundle.certificate_id}")
    return given


def bundle_files(paths: tuple[Path, ...]) -> Iterator[Path]:
    """Each file, and of each folder the .json files in it; raises :class:`UsageError` if there is none."""
    for path in paths:
        if not path.is_dir():
            yield path
            continue
        there = sorted(one for one in path.glob("*.json") if not one.is_dir())
        if not there:
            raise UsageError(f"there is no .json file in {path}")
        yield from there


def rewrite(path: Path, bundle: Bundle) -> None:
    """Put the bundle into its file, which keeps its mode; raises :class:`UsageError`."""
    try:
        durable.write_file(path, bundle.encode(), mode=path.stat().st_mode & 0o777)
    except OSError as error:
        raise UsageError(f"cannot write {path}: {error.strerror}") from None
