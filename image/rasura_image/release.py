"""What is published: a clean build of the newest packages, its notes, and a signature over its checksums."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

from rasura.errors import RefusedError
from rasura_image.build import Builder, Built
from rasura_image.payload import BuildFacts
from rasura_image.tools import require, run

__all__ = ["release", "release_notes"]

_KEY = "RASURA_SIGNING_KEY"
"""Names the file of a minisign secret key; minisign asks for its passphrase on the terminal."""


def release(builder: Builder, root: Path, target: Path, say: Callable[[str], None]) -> None:
    """Build, write RELEASE.md, sum up again, and sign.

    Raises:
        RefusedError: the checkout is not clean: nobody could tell what was built.
        BuildError: the build or the signature failed.
        HostError: minisign is wanted and missing.
    """
    if run(["git", "-C", root, "status", "--porcelain"]).strip():
        raise RefusedError("the checkout has changes that are not committed", hint="commit or stash them")
    key = os.environ.get(_KEY)
    if key is not None:
        require({"minisign": "minisign"})
    built = builder.build(target, update=True, notes=lambda facts: release_notes(facts, _changes(root)))
    if key is None:
        say(f"not signed: {_KEY} names no minisign key")
        return
    _sign(built, key)
    say(f"signed {target / 'SHA256SUMS.minisig'}")


def release_notes(facts: BuildFacts, changes: str) -> str:
    """RELEASE.md: what names the build, what changed, and how to check it."""
    return f"""# Rasura {facts.version}

Build `{facts.build_hash}`, which certificates name, from commit `{facts.commit}`.

{changes.strip()}

## Check it
```sh
minisign -V -P PUBLICKEY -m SHA256SUMS
sha256sum --check SHA256SUMS
```
Build it yourself from that commit and the packages in `sbom.json`: the sums are the same.
"""


def _changes(root: Path) -> str:
    """The newest section of the change log."""
    text = (root / "CHANGELOG.md").read_text()
    sections = text.split("\n## ")
    return f"## {sections[1]}" if len(sections) > 1 else text


def _sign(built: Built, key: str) -> None:
    # On the terminal: a passphrase is for minisign alone.
    command = ["minisign", "-S", "-s", key, "-m", "SHA256SUMS", "-t", f"rasura {built.facts.build_hash}"]
    if subprocess.run(command, cwd=built.folder, check=False).returncode:
        raise RefusedError("minisign did not sign: the image is built, and not to be published")
