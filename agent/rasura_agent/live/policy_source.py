"""Finding the policy that was asked for at boot: built in, on the stick, or on the boot server."""

from __future__ import annotations

import hashlib
from http import HTTPStatus
from pathlib import Path

from rasura_agent.console.language import _
from rasura_agent.erase.policy import BUILT_IN, Policy, PolicyError, load_policy, parse_policy
from rasura_agent.live.boot_parameters import PolicyUrl

__all__ = ["find_policy", "known_policies"]

_MOST_BYTES = 64 * 1024
_TIMEOUT_S = 10.0


def known_policies(stick: Path | None) -> tuple[str, ...]:
    """Names to choose from: built in ones, then those on the stick."""
    found = [] if stick is None else sorted(path.stem for path in (stick / "policies").glob("*.toml"))
    return (*BUILT_IN, *(name for name in found if name not in BUILT_IN))


def find_policy(asked: str | PolicyUrl | None, stick: Path | None) -> Policy:
    """The policy that was asked for, the usual one if none was.

    Raises:
        PolicyError: it is not to be had, or is none. Another one is never taken instead.
    """
    match asked:
        case None:
            return load_policy(BUILT_IN[0])
        case PolicyUrl(url, sha256):
            return parse_policy(_fetched(url, sha256))
        case name if name in BUILT_IN:
            return load_policy(name)
        case name if stick is None:
            sentence = _("the policy {name} is not built in, and there is no stick that could have it")
            raise PolicyError(sentence.format(name=name))
        case name:
            return load_policy(str(stick / "policies" / f"{name}.toml"))


def _fetched(url: str, sha256: str | None) -> bytes:
    import urllib3  # noqa: PLC0415  most policies come from elsewhere

    try:
        with urllib3.PoolManager(timeout=_TIMEOUT_S, retries=False) as pool:
            response = pool.request("GET", url, preload_content=False)
            try:
                raw = response.read(_MOST_BYTES + 1)
            finally:
                response.close()
    except (urllib3.exceptions.HTTPError, OSError) as error:
        raise _not_fetched(url, str(error)) from None
    if response.status != HTTPStatus.OK:
        raise _not_fetched(url, f"HTTP {response.status}")
    if len(raw) > _MOST_BYTES:
        raise _not_fetched(url, _("it is too large"))
    if sha256 is not None and hashlib.sha256(raw).hexdigest() != sha256:
        raise _not_fetched(url, _("it is not the one that was asked for, its SHA-256 is another"))
    return raw


def _not_fetched(url: str, reason: str) -> PolicyError:
    sentence = _("the policy {url} cannot be fetched: {reason}")
    return PolicyError(sentence.format(url=url, reason=reason))
