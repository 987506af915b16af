"""What the kernel command line asks of us; pure, but for the language of its sentences.

Everything named ``rasura.*`` is ours, and all of it must be understood: a misspelt parameter could mean
another policy than the one that was asked for, so that any problem at all means that nothing is erased.
Everything else belongs to others and is passed over.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable
from enum import StrEnum
from typing import Any, TypeVar
from urllib.parse import urlsplit

import msgspec

from rasura.errors import UsageError
from rasura.text import printable
from rasura_agent.console.language import _

__all__ = [
    "ARM_WORD",
    "BootFrom",
    "BootParameterError",
    "BootParameters",
    "End",
    "Entry",
    "Keymap",
    "Language",
    "PolicyUrl",
    "language_asked",
    "parse_boot_parameters",
]

ARM_WORD = "erase-all-drives"
"""What ``rasura.arm`` must say, in full."""

_PREFIX = "rasura."
_COUNTDOWN_S = range(10, 3601)
_DEFAULT_COUNTDOWN_S = 60
_TEXT_CHARACTERS = 100
_SPACES = frozenset(" \t\n\v\f\r")
_POLICY_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,63}")
_PIN = re.compile(r"sha256:[0-9a-f]{64}")
_PINNED = re.compile(r"sha256=([0-9a-f]{64})")
_SOUNDS_LIKE_OURS = 0.75


class Language(StrEnum):
    """A language of the screens (ISO 639-1)."""

    EN = "en"
    FR = "fr"


class Keymap(StrEnum):
    """A keyboard, by the name of its file."""

    US = "us"
    FR = "fr"
    BE = "be"
    CH = "ch"
    DE = "de"
    GB = "gb"
    ES = "es"
    IT = "it"
    CA = "ca"


class End(StrEnum):
    """What follows an erasure that no person started, once every certificate is handed over."""

    WAIT = "wait"
    POWEROFF = "poweroff"
    REBOOT = "reboot"


class BootFrom(StrEnum):
    """Where kernel and system came from."""

    MEDIUM = "medium"
    NETWORK = "network"


class Entry(StrEnum):
    """The entry of the boot menu that was chosen."""

    NORMAL = "normal"
    AUTONOMOUS = "autonomous"
    SAFE_GRAPHICS = "safe-graphics"
    OLD_PC = "old-pc"
    SERIAL = "serial"
    SHELL = "shell"


class PolicyUrl(msgspec.Struct, frozen=True):
    """A policy on a web server; ``sha256`` is the digest that the file must have, in hex, if it was given."""

    url: str
    sha256: str | None


class BootParameters(msgspec.Struct, frozen=True):
    """What was asked for at boot; ``None`` where nothing was."""

    policy: str | PolicyUrl | None = None
    """A name, or where to fetch it."""
    registry: str | None = None
    ca_pin: str | None = None
    """``sha256:`` and the digest of the DER bytes of the certificate of the registry's authority."""
    site: str | None = None
    operator: str | None = None
    location: str | None = None
    lot: str | None = None
    language: Language = Language.EN
    keymap: Keymap = Keymap.US
    armed: bool = False
    countdown_s: int = _DEFAULT_COUNTDOWN_S
    end: End = End.WAIT
    boot_from: BootFrom | None = None
    entry: Entry | None = None
    shell: bool = False
    medium: str | None = None
    """The live medium, as ``inventory/system_state.py`` reads it."""
    test: str | None = None


class BootParameterError(UsageError):
    """The command line is not understood; ``problems`` has a sentence for everything wrong with it."""

    def __init__(self, problems: tuple[str, ...]) -> None:
        super().__init__("; ".join(problems))
        self.problems = problems


_Kind = TypeVar("_Kind", bound=StrEnum)


def _one_of(kinds: type[_Kind]) -> Callable[[str], _Kind]:
    def read(value: str) -> _Kind:
        for kind in kinds:
            if kind.value == value:
                return kind
        near = difflib.get_close_matches(value, [str(kind) for kind in kinds], n=1)
        raise _WrongError(_("it can be {values}").format(values=", ".join(kinds)) + _did_you_mean(near))

    return read


class _WrongError(Exception):
    """Why a value cannot be used."""


def _text(value: str) -> str:
    if not value.strip() or len(value) > _TEXT_CHARACTERS or printable(value) != value:
        raise _WrongError(_("it must be 1 to {most} printable characters").format(most=_TEXT_CHARACTERS))
    return value


def _web_address(value: str) -> str:
    try:
        parts = urlsplit(value)
        # Reading the port is what finds a wrong one.
        sound = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        sound = False
    if not sound or not value.isascii() or not value.isprintable() or " " in value:
        raise _WrongError(_("it must be an http or https address"))
    return value


def _policy(value: str) -> str | PolicyUrl:
    if "://" not in value:
        if not _POLICY_NAME.fullmatch(value):
            raise _WrongError(_("it must be the name of a policy or an http or https address"))
        return value
    url, hashed, fragment = value.partition("#")
    pinned = _PINNED.fullmatch(fragment)
    if hashed and pinned is None:
        raise _WrongError(_("it may only end in #sha256= and 64 hex digits in lower case"))
    return PolicyUrl(_web_address(url), pinned[1] if pinned else None)


def _pin(value: str) -> str:
    if not _PIN.fullmatch(value):
        raise _WrongError(_("it must be sha256: and 64 hex digits in lower case"))
    return value


def _countdown(value: str) -> int:
    if not (re.fullmatch("[0-9]{1,4}", value) and int(value) in _COUNTDOWN_S):
        sentence = _("it must be a number of seconds from {least} to {most}")
        raise _WrongError(sentence.format(least=_COUNTDOWN_S[0], most=_COUNTDOWN_S[-1]))
    return int(value)


def _only(wanted: str) -> Callable[[str], bool]:
    def read(value: str) -> bool:
        if value != wanted:
            raise _WrongError(_("it can only be {wanted}").format(wanted=wanted))
        return True

    return read


def _gate(value: str) -> str:
    _only("fw_cfg")(value)
    return value


_READERS: dict[str, tuple[str, Callable[[str], Any]]] = {
    "policy": ("policy", _policy),
    "registry": ("registry", _web_address),
    "ca": ("ca_pin", _pin),
    "site": ("site", _text),
    "operator": ("operator", _text),
    "location": ("location", _text),
    "lot": ("lot", _text),
    "lang": ("language", _one_of(Language)),
    "keymap": ("keymap", _one_of(Keymap)),
    "arm": ("armed", _only(ARM_WORD)),
    "countdown": ("countdown_s", _countdown),
    "end": ("end", _one_of(End)),
    "boot": ("boot_from", _one_of(BootFrom)),
    "entry": ("entry", _one_of(Entry)),
    "shell": ("shell", _only("1")),
    "medium": ("medium", _text),
    "test": ("test", _gate),
}
"""By the name after ``rasura.``: the field, and what reads its value."""


def parse_boot_parameters(line: str) -> BootParameters:
    """Read the kernel command line ``line``.

    Raises:
        BootParameterError: anything of ours on it is unknown, misspelt, given twice or has a wrong value.
    """
    fields: dict[str, Any] = {}
    problems = []
    for name, value in _words(line):
        if not _is_ours(name):
            continue
        key = name.removeprefix(_PREFIX)
        if not name.startswith(_PREFIX) or key not in _READERS:
            sentence = _("{name} is no parameter of Rasura").format(name=printable(name))
            problems.append(sentence + _nearest(name))
            continue
        field, read = _READERS[key]
        if field in fields:
            problems.append(_("{name} is given twice").format(name=name))
            continue
        fields[field] = None
        try:
            fields[field] = read(_given(value))
        except _WrongError as wrong:
            given = "" if value is None else f"={printable(value)}"
            problems.append(f"{name}{given}: {wrong}")
    if "end" in fields and "armed" not in fields:
        problems.append(_("rasura.end has a meaning only with {arm}").format(arm=f"rasura.arm={ARM_WORD}"))
    if problems:
        raise BootParameterError(tuple(dict.fromkeys(problems)))
    return BootParameters(**fields)


def _given(value: str | None) -> str:
    if value is None:
        raise _WrongError(_("it needs a value"))
    return value


def language_asked(line: str) -> Language | None:
    """The language that a command line asks for, even if all else on it is wrong."""
    asked = [value for name, value in _words(line) if name == f"{_PREFIX}lang"]
    return next((language for language in Language if language.value in asked), None)


def _words(line: str) -> list[tuple[str, str | None]]:
    """The parameters as ``next_arg`` of the kernel takes them apart (``lib/cmdline.c``).

    Quotes may be around the whole or around the value, and keep spaces together anywhere.
    """
    words, at = [], 0
    while at < len(line):
        if line[at] in _SPACES:
            at += 1
            continue
        begin, quoted = at, False
        while at < len(line) and (quoted or line[at] not in _SPACES):
            quoted ^= line[at] == '"'
            at += 1
        words.append(_parameter(line[begin:at]))
    return words


def _parameter(word: str) -> tuple[str, str | None]:
    if word.startswith('"'):
        word = word.removeprefix('"').removesuffix('"')
    name, equals, value = word.partition("=")
    if not name:  # the kernel does not take a leading "=" for a separator
        return word, None
    if value.startswith('"'):
        value = value.removeprefix('"').removesuffix('"')
    return name, value if equals else None


def _is_ours(name: str) -> bool:
    """Whether a parameter is ours or was meant to be: ``rasua.policy`` must not be lost unseen."""
    lower = name.casefold()
    if lower.startswith("rasura"):
        return True
    before, dot, _ = lower.partition(".")
    likeness = difflib.SequenceMatcher(None, before, "rasura").ratio()
    return bool(dot) and likeness >= _SOUNDS_LIKE_OURS


def _nearest(name: str) -> str:
    names = [f"{_PREFIX}{key}" for key in _READERS]
    return _did_you_mean(difflib.get_close_matches(name.casefold(), names, n=1))


def _did_you_mean(near: list[str]) -> str:
    return " " + _("(did you mean {word}?)").format(word=near[0]) if near else ""
