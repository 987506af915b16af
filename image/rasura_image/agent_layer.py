"""The agent's layer: our packages, the wheels they need, and how the system is set up."""

from __future__ import annotations

import importlib.metadata
import re
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from rasura_image.errors import BuildError
from rasura_image.tools import ToolTree, run
from rasura_image.tree import Entry, entries_of

__all__ = ["PYTHON", "agent_entries", "locked_wheels", "needed_distributions"]

PYTHON = "3.13"
"""The image's Python, that of Debian trixie."""

_SITE = "usr/lib/rasura/site-packages"
_PACKAGES = ("agent/rasura_agent", "certs/rasura")
_PLATFORMS = (
    "manylinux_2_34_x86_64",
    "manylinux_2_28_x86_64",
    "manylinux_2_17_x86_64",
    "manylinux2014_x86_64",
)
_NOT_FOR_US = {"jc": frozenset({"pygments", "ruamel-yaml", "xmltodict"})}
"""What a distribution needs for its own command line and for parts that the agent does not use."""
_JC_PARSERS = frozenset({"__init__.py", "dmidecode.py"})
"""jc has a hundred parsers; the agent imports one."""
_MARKERS = {
    "python_version": PYTHON,
    "python_full_version": f"{PYTHON}.0",
    "platform_python_implementation": "CPython",
    "implementation_name": "cpython",
    "sys_platform": "linux",
    "platform_system": "Linux",
    "platform_machine": "x86_64",
    "os_name": "posix",
}


def needed_distributions(extras: frozenset[str] = frozenset({"agent"})) -> frozenset[str]:
    """The distributions that the agent needs in the image, by canonical name, from the installed metadata."""
    found: set[str] = set()
    waiting: list[tuple[str, frozenset[str]]] = [("rasura", extras)]
    while waiting:
        name, wanted = waiting.pop()
        for text in importlib.metadata.requires(name) or ():
            requirement = Requirement(text)
            applies = requirement.marker is None or any(
                requirement.marker.evaluate({**_MARKERS, "extra": extra}) for extra in wanted | {""}
            )
            needed = canonicalize_name(requirement.name)
            if applies and needed not in found | _NOT_FOR_US.get(canonicalize_name(name), frozenset()):
                found.add(needed)
                waiting.append((needed, frozenset(requirement.extras)))
    return frozenset(found)


def locked_wheels(lock: str, names: frozenset[str]) -> str:
    """The part of a requirements.lock that pins ``names``; raises :class:`BuildError` if one is missing."""
    blocks = re.split(r"^(?=\S)", lock, flags=re.MULTILINE)
    kept: dict[str, str] = {
        canonicalize_name(re.split(r"[=<>! \[;]", block, maxsplit=1)[0]): block
        for block in blocks
        if block.strip() and not block.startswith("#")
    }
    missing = sorted(names - kept.keys())
    if missing:
        raise BuildError(f"requirements.lock does not pin {', '.join(missing)}")
    return "".join(kept[name] for name in sorted(names))


def install_wheels(lock: str, folder: Path, cache: Path) -> None:
    """Unpack the wheels that ``lock`` pins by hash, for the image's Python, into ``folder``."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    requirements = folder.parent / "requirements.txt"
    requirements.write_text(lock)
    platforms = [part for platform in _PLATFORMS for part in ("--platform", platform)]
    run(
        [
            *(
                sys.executable,
                "-m",
                "pip",
                "install",
                "--quiet",
                "--no-deps",
                "--no-compile",
                "--require-hashes",
            ),
            *("--only-binary", ":all:", *platforms, "--python-version", PYTHON, "--implementation", "cp"),
            *("--cache-dir", cache, "--target", folder, "--requirement", requirements),
        ]
    )
    for path in (
        folder / "bin",
        *folder.glob("*.dist-info/RECORD"),
        *folder.glob("*.dist-info/direct_url.json"),
    ):
        _remove(path)
    for path in (folder / "jc/parsers").glob("*"):
        if path.name not in _JC_PARSERS:
            _remove(path)


def _remove(path: Path) -> None:
    shutil.rmtree(path, ignore_errors=True) if path.is_dir() else path.unlink(missing_ok=True)


def agent_entries(root: Path, wheels: Path, work: Path, tools: ToolTree) -> Iterator[Entry]:
    """The files of the layer; ``root`` is the project, ``wheels`` are unpacked, ``work`` is scratch space."""
    run([sys.executable, root / "scripts/compile_catalogues.py"])
    shutil.rmtree(work, ignore_errors=True)
    site = work / _SITE
    shutil.copytree(wheels, site)
    for package in _PACKAGES:
        shutil.copytree(
            root / package, site / Path(package).name, ignore=shutil.ignore_patterns("__pycache__", "*.po")
        )
    # By hash and unchecked: a compiled file then depends on its source alone, and is never looked up again.
    tools.run(
        f"python{PYTHON}", "-I", "-m", "compileall", "-q", "--invalidation-mode", "unchecked-hash",
        "-s", work, "-p", "/", site,
        env={"PYTHONHOME": str(tools.root / "usr")},
    )  # fmt: skip
    yield from entries_of(work)
    yield from entries_of(root / "image/rootfs")
    documents = "usr/share/doc/rasura"
    for name in ("README.md", "LICENSE", "CHANGELOG.md"):
        yield Entry.file(f"{documents}/{name}", root / name)
