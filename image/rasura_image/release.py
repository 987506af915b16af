"""What is published: a clean build of the newest packages, its notes, and a signature over its checksums."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

from rasura.errors import RefusedError, UsageError
from rasura_image.build import Builder, Built
from rasura_image.payload import BuildFacts
from rasura_image.tools import require, run

__all__ = ["release", "release_notes"]

_KEY = "RASURA_SIGNING_KEY"
"""Names the file of a minisign secret key; minisign asks for its passphrase on the terminal."""
_PUBLIC_KEY = re.compile(r"RW[A-Za-z0-9+/]{54}")
"""The base64 of "Ed" or "ED", a number of eight bytes and a key of 32 (minisign's manual)."""
_UNRELEASED = ", not yet released"


def release(builder: Builder, root: Path, target: Path, say: Callable[[str], None]) -> None:
    """Build, write RELEASE.md, sum up again, and sign.

    Raises:
        UsageError: the signing key cannot be read, or the folder is not one to build into.
        RefusedError: the checkout is not clean: nobody could tell what was built.
        BuildError: the build or the signature failed.
        HostError: minisign is wanted and missing.
    """
    if run(["git", "-C", root, "status", "--porcelain"]).strip():
        raise RefusedError("the checkout has changes that are not committed", hint="commit or stash them")
    key = _signing_key()
    public = _public_key(key) if key is not None else None
    if key is not None:
        require({"minisign": "minisign"})
    check = _how_to_check(public, signed=key is not None)
    built = builder.build(
        target, update=True, notes=lambda facts: release_notes(facts, _changes(root), check)
    )
    if key is None:
        say(f"not signed: {_KEY} names no minisign key")
        return
    _sign(built, key, public)
    say(f"signed {target / 'SHA256SUMS.minisig'}")


def release_notes(facts: BuildFacts, changes: str, check: str) -> str:
    """RELEASE.md: what names the build, what changed, and how to check it, which is ``check``."""
    return f"""# Rasura {facts.version}

Build `{facts.build_hash}`, which certificates name, from commit `{facts.commit}`.

{changes.strip()}

## Check it
{check}
Build it yourself from that commit and the packages in `sbom.json`: the sums are the same.
"""


def _how_to_check(public: str | None, *, signed: bool) -> str:
    lines = ["sha256sum --check SHA256SUMS"]
    if signed:
        lines.insert(0, f"minisign -V -P {public or 'PUBLICKEY'} -m SHA256SUMS")
    commands = "\n".join(("```sh", *lines, "```"))
    if not signed:
        return f"{commands}\nThis build is not signed."
    if public is None:
        whose = "PUBLICKEY is the publisher's minisign key: take it from there, not from beside this file."
        return f"{commands}\n{whose}"
    return f"{commands}\nCompare the key with the one that you have from the publisher."


def _signing_key() -> Path | None:
    """The file of the secret key; raises :class:`UsageError` before anything is built."""
    named = os.environ.get(_KEY)
    if not named:
        return None
    # minisign runs in the folder that was built.
    key = Path(named).absolute()
    try:
        with key.open("rb") as stream:
            stream.read(1)
    except OSError as error:
        raise UsageError(
            f"cannot read the signing key {key}: {error.strerror}", hint=f"{_KEY} names it"
        ) from None
    return key


def _public_key(key: Path) -> str | None:
    """What ``minisign -P`` takes, from the file beside the secret key."""
    try:
        lines = key.with_suffix(".pub").read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        return None
    return next((line.strip() for line in lines if _PUBLIC_KEY.fullmatch(line.strip())), None)


def _changes(root: Path) -> str:
    """The newest section of the change log."""
    text = (root / "CHANGELOG.md").read_text()
    sections = text.split("\n## ")
    if len(sections) == 1:
        return text
    heading, *rest = sections[1].split("\n", 1)
    return "\n".join((f"## {heading.removesuffix(_UNRELEASED)}", *rest))


def _sign(built: Built, key: Path, public: str | None) -> None:
    # On the terminal: a passphrase is for minisign alone.
    command = ["minisign", "-S", "-s", str(key), "-m", "SHA256SUMS", "-t", f"rasura {built.facts.build_hash}"]
    if subprocess.run(command, cwd=built.folder, check=False).returncode:
        raise RefusedError("minisign did not sign: the image is built, and not to be published")
    if public is None:
        return
    # RELEASE.md names it: a key of another pair would have everyone take the release for a forgery.
    check = ["minisign", "-V", "-q", "-P", public, "-m", "SHA256SUMS"]
    if subprocess.run(check, cwd=built.folder, check=False, capture_output=True).returncode:
        (built.folder / "SHA256SUMS.minisig").unlink()
        raise RefusedError(
            f"the image is not to be published: {key.with_suffix('.pub')} is not the public key of {key}",
            hint="put the right one there, or none, and build again",
        )
