"""What of the kernel and the packages goes into the image, by image/keep.toml. Pure."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Mapping
from fnmatch import translate
from pathlib import PurePosixPath

import msgspec

from rasura_image.errors import BuildError

__all__ = [
    "FileRules",
    "FirmwareRules",
    "Keep",
    "ModuleRules",
    "Patterns",
    "parse_dependencies",
    "parse_keep",
]


class Patterns:
    """Patterns of fnmatch over paths; a pattern that matches a folder matches all that is in it."""

    def __init__(self, patterns: Iterable[str]) -> None:
        self._patterns = tuple(patterns)
        whole = [f"(?:{translate(pattern)[:-2]})(?:/.*)?" for pattern in self._patterns]
        self._expression = re.compile(f"(?:{'|'.join(whole)})\\Z" if whole else r"(?!)", re.DOTALL)

    def match(self, path: str) -> bool:
        """Whether a pattern matches the path or a folder above it."""
        return self._expression.match(path) is not None

    def require_used(self, paths: Iterable[str], where: str) -> None:
        """See that every pattern matches one of ``paths``; ``where`` is the list's name in keep.toml.

        One that matches nothing no longer does what it is there for: Debian renamed what it meant, and the
        image would lack a driver, or have a rule that touches drives, unseen.

        Raises:
            BuildError: some match nothing.
        """
        unused = {pattern: Patterns([pattern]) for pattern in self._patterns}
        for path in paths:
            if self.match(path):
                unused = {name: pattern for name, pattern in unused.items() if not pattern.match(path)}
            if not unused:
                return
        if unused:
            raise BuildError(
                f"image/keep.toml, {where}: nothing matches {', '.join(unused)}",
                hint="write the name that it has now, or remove the pattern",
            )


class ModuleRules(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which modules stay; ``initrd`` are those of the first stage, by name."""

    keep: tuple[str, ...]
    drop: tuple[str, ...]
    initrd: tuple[str, ...]

    def choose(self, dependencies: Mapping[str, tuple[str, ...]]) -> frozenset[str]:
        """The modules that stay, and all they need; ``dependencies`` as in modules.dep, by path.

        Raises:
            BuildError: a pattern matches no module, or leaves out none: the list is out of date.
        """
        names = {path: _plain(path) for path in dependencies}
        keep, drop = Patterns(self.keep), Patterns(self.drop)
        kept = {path: name for path, name in names.items() if keep.match(name)}
        keep.require_used(kept.values(), "modules.keep")
        drop.require_used(kept.values(), "modules.drop")
        return with_needs({path for path, name in kept.items() if not drop.match(name)}, dependencies)

    def first_stage(self, dependencies: Mapping[str, tuple[str, ...]]) -> tuple[str, ...]:
        """The modules of the first stage, each after what it needs; raises :class:`BuildError`."""
        by_name = {PurePosixPath(_plain(path)).name: path for path in dependencies}
        ordered: list[str] = []
        for name in self.initrd:
            if name not in by_name:
                raise BuildError(
                    f"the kernel has no module {name!r}, which the first stage of the boot needs"
                )
            # modules.dep lists what a module needs with the last one to load first.
            for path in (*reversed(dependencies[by_name[name]]), by_name[name]):
                if path not in ordered:
                    ordered.append(path)
        return tuple(ordered)


class FirmwareRules(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Firmware that is left out though a module names it."""

    drop: tuple[str, ...]


class FileRules(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Paths of the packages that are left out; those of ``never`` need not be there."""

    drop: tuple[str, ...]
    never: tuple[str, ...]

    def left_out(self, paths: Iterable[str]) -> Patterns:
        """What is left out of ``paths``; raises :class:`BuildError` if a pattern of ``drop`` matches none."""
        Patterns(self.drop).require_used(paths, "files.drop")
        return Patterns((*self.drop, *self.never))


class Keep(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The whole file."""

    modules: ModuleRules
    firmware: FirmwareRules
    files: FileRules


def parse_keep(text: str) -> Keep:
    """Read image/keep.toml; raises :class:`BuildError`."""
    try:
        return msgspec.convert(tomllib.loads(text), Keep)
    except (tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
        raise BuildError(f"keep.toml cannot be used: {error}") from None


def parse_dependencies(text: str) -> dict[str, tuple[str, ...]]:
    """modules.dep (see depmod(8)): each module's path, and the paths of what it needs."""
    found = {}
    for line in text.splitlines():
        path, _, needs = line.partition(":")
        found[path.strip()] = tuple(needs.split())
    return found


def with_needs(chosen: set[str], dependencies: Mapping[str, tuple[str, ...]]) -> frozenset[str]:
    """``chosen`` and all that they need; modules.dep already lists the whole closure of each."""
    return frozenset(chosen.union(*(dependencies[path] for path in chosen)))


def _plain(path: str) -> str:
    return path.removeprefix("kernel/").split(".ko", 1)[0]
