"""A site's settings for machines that boot: one TOML file in, kernel arguments out. Pure.

::

    [station]                        # every key may be left out
    policy = "purge"                 # a policy's name, or its http(s) address, maybe with #sha256=HEX
    registry = "https://registry.example.org"
    ca = "sha256:…"                  # SHA-256 of the DER bytes of the registry's CA certificate
    site = "Workshop"
    operator = "trainee-7"
    location = "Bay 3"
    lot = "LOT-2026-001"
    lang = "fr"                      # fr or en; left out, menus show both
    keymap = "fr"                    # us fr be ch de gb es it ca; left out, fr for French, us for English

    [autonomous]                     # what the menu's autonomous entry does; it is chosen by hand unless
    end = "wait"                     # [menu] default says otherwise. end: wait, poweroff or reboot
    countdown = 60                   # seconds to press a key in, 10 to 3600

    [menu]
    default = "normal"               # the entry started when nobody chooses
    timeout = 10                     # seconds until then, 0 to 3600

    [server]                         # what scripts/pxe-serve does; its options come first
    mode = "full"                    # full: the DHCP server; proxy: beside the site's; none: HTTP, TFTP
    range = "192.168.77.100,192.168.77.200"
    http_port = 8080
    https_port = 8443                # with a certificate only
    tls_certificate = "server.pem"   # both or none; paths are from the settings file
    tls_key = "server.key"
"""

from __future__ import annotations

import ipaddress
import re
import tomllib
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated
from urllib.parse import urlsplit

import msgspec
from msgspec import Meta, Struct

from rasura.errors import UsageError

__all__ = [
    "Autonomous",
    "BootFrom",
    "DhcpMode",
    "End",
    "Entry",
    "Keymap",
    "Language",
    "Menu",
    "Parameter",
    "Server",
    "Settings",
    "SettingsError",
    "Station",
    "autonomous_parameters",
    "entry_parameters",
    "kernel_arguments",
    "parse_settings",
    "quoted",
    "station_parameters",
]


class SettingsError(UsageError):
    """The settings file is not one, or holds a value that boot loaders cannot carry."""


class Language(StrEnum):
    """A language of menus and screens (ISO 639-1)."""

    EN = "en"
    FR = "fr"


class Keymap(StrEnum):
    """A keyboard, by the name of the image's keymap."""

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
    """What a machine does after an erasure that nobody started by hand."""

    WAIT = "wait"
    POWEROFF = "poweroff"
    REBOOT = "reboot"


class Entry(StrEnum):
    """An entry of the boot menu that starts the image."""

    NORMAL = "normal"
    AUTONOMOUS = "autonomous"
    SAFE_GRAPHICS = "safe-graphics"
    OLD_PC = "old-pc"
    SERIAL = "serial"
    SHELL = "shell"


class BootFrom(StrEnum):
    """Where kernel and system come from."""

    MEDIUM = "medium"
    NETWORK = "network"


class DhcpMode(StrEnum):
    """The part that dnsmasq takes in the network's DHCP."""

    FULL = "full"
    PROXY = "proxy"
    NONE = "none"


_BYTES = 200
_URL_CHARACTERS = 250
_POLICY_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,63}")
_HTTP_URL = re.compile(r"https?://[A-Za-z0-9.\[\]:-]+(/[A-Za-z0-9._~/%+@=,:?-]*)?")
_PINNED = re.compile(r"(.*)#sha256=[0-9a-f]{64}")
_UNCARRIABLE = frozenset("\"'`\\$;{}|&<>")
"""GRUB's ``linux`` puts a backslash before quotes, which the kernel does not take away again; the others
begin a command, a block, a variable or a redirection in GRUB's or iPXE's language."""


class Station(Struct, frozen=True, forbid_unknown_fields=True):
    """What a booted machine is told; ``None`` where nothing is."""

    policy: str | None = None
    registry: str | None = None
    ca: Annotated[str, Meta(pattern=r"\Asha256:[0-9a-f]{64}\Z")] | None = None
    site: str | None = None
    operator: str | None = None
    location: str | None = None
    lot: str | None = None
    lang: Language | None = None
    keymap: Keymap | None = None

    def __post_init__(self) -> None:
        if self.policy is not None and not _POLICY_NAME.fullmatch(self.policy):
            pinned = _PINNED.fullmatch(self.policy)
            _require_url(
                "policy", pinned[1] if pinned else self.policy, "a policy's name or an http(s) address"
            )
        if self.registry is not None:
            _require_url("registry", self.registry, "an http(s) address")
        for name in ("site", "operator", "location", "lot"):
            value = getattr(self, name)
            if value is not None:
                _require_carriable(name, value)


class Autonomous(Struct, frozen=True, forbid_unknown_fields=True):
    """How an erasure without a person begins and ends."""

    end: End = End.WAIT
    countdown: Annotated[int, Meta(ge=10, le=3600)] = 60


class Menu(Struct, frozen=True, forbid_unknown_fields=True):
    """What the boot menu does when nobody is there; ``timeout`` in seconds."""

    default: Entry = Entry.NORMAL
    timeout: Annotated[int, Meta(ge=0, le=3600)] = 10

    def __post_init__(self) -> None:
        if self.default is Entry.SHELL:
            raise SettingsError("[menu] default must not be shell: a root shell is for a person who chose it")


class Server(Struct, frozen=True, forbid_unknown_fields=True):
    """What scripts/pxe-serve does; ``range`` is the first and the last address to give away."""

    mode: DhcpMode = DhcpMode.FULL
    range: str | None = None
    http_port: Annotated[int, Meta(ge=1, le=65535)] = 8080
    https_port: Annotated[int, Meta(ge=1, le=65535)] = 8443
    tls_certificate: str | None = None
    tls_key: str | None = None

    def __post_init__(self) -> None:
        if (self.tls_certificate is None) != (self.tls_key is None):
            raise SettingsError("[server] tls_certificate and tls_key go together")
        if self.range is not None:
            self.addresses()

    def addresses(self) -> tuple[ipaddress.IPv4Address, ipaddress.IPv4Address] | None:
        """The two ends of ``range``.

        Raises:
            SettingsError: they are not two IPv4 addresses in order.
        """
        if self.range is None:
            return None
        try:
            first, last = (ipaddress.IPv4Address(one.strip()) for one in self.range.split(","))
        except ValueError:
            first, last = ipaddress.IPv4Address(1), ipaddress.IPv4Address(0)
        if first > last:
            raise SettingsError(f"the range {self.range!r} is not two IPv4 addresses FIRST,LAST")
        return first, last


class Settings(Struct, frozen=True, forbid_unknown_fields=True):
    """All of the file."""

    station: Station = Station()
    autonomous: Autonomous = Autonomous()
    menu: Menu = Menu()
    server: Server = Server()


@dataclass(frozen=True, slots=True)
class Parameter:
    """One kernel parameter; ``value`` is ``None`` for a bare word."""

    name: str
    value: str | None = None

    def __str__(self) -> str:
        return self.name if self.value is None else f"{self.name}={self.value}"


def parse_settings(text: str, source: str = "the settings") -> Settings:
    """Read a settings file; ``source`` names it in sentences.

    Raises:
        SettingsError: not TOML, an unknown key, a wrong value, or one that boot loaders cannot carry.
    """
    try:
        return msgspec.convert(tomllib.loads(text), Settings)
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(f"{source}: this is not TOML: {error}") from None
    except msgspec.ValidationError as error:
        sentence, _, path = str(error).partition(" - at ")
        place = path.strip("`").removeprefix("$.") or "the file"
        raise SettingsError(f"{source}, {place}: {sentence[:1].lower()}{sentence[1:]}") from None
    except SettingsError as error:
        raise SettingsError(f"{source}: {error}", hint=error.hint) from None


def entry_parameters(entry: Entry, boot: BootFrom) -> tuple[Parameter, ...]:
    """What one menu entry gives the kernel, whatever the settings.

    There is no ``panic=``: after a panic the screen must keep what it says.
    """
    extra: tuple[Parameter, ...] = ()
    match entry:
        case Entry.AUTONOMOUS:
            extra = (Parameter("rasura.arm", "erase-all-drives"),)
        case Entry.SAFE_GRAPHICS:
            extra = (Parameter("nomodeset"),)
        case Entry.OLD_PC:
            # Broken ACPI tables hang or misroute interrupts on PCs of before about 2008: neither the
            # tables nor the I/O APIC that they describe, but the interrupt controller of the first PCs.
            extra = (Parameter("acpi", "off"), Parameter("noapic"), Parameter("nomodeset"))
        case Entry.SERIAL:
            # The last one becomes /dev/console.
            extra = (Parameter("console", "tty0"), Parameter("console", "ttyS0,115200n8"))
        case Entry.SHELL:
            extra = (Parameter("rasura.shell", "1"),)
        case Entry.NORMAL:
            pass
    return (
        Parameter("quiet"),
        Parameter("loglevel", "3"),
        Parameter("systemd.show_status", "no"),
        Parameter("rasura.boot", boot),
        Parameter("rasura.entry", entry),
        *extra,
    )


def autonomous_parameters(autonomous: Autonomous) -> tuple[Parameter, ...]:
    """What the autonomous entry gives the kernel besides."""
    return (
        Parameter("rasura.countdown", str(autonomous.countdown)),
        Parameter("rasura.end", autonomous.end),
    )


def station_parameters(station: Station) -> tuple[Parameter, ...]:
    """What the settings give the kernel in every entry, but for language and keyboard."""
    fields = ("policy", "registry", "ca", "site", "operator", "location", "lot")
    values = ((name, getattr(station, name)) for name in fields)
    return tuple(Parameter(f"rasura.{name}", value) for name, value in values if value is not None)


def kernel_arguments(settings: Settings, entry: Entry, boot: BootFrom) -> str:
    """The kernel command line of one menu entry; values with spaces are quoted as the kernel has it.

    All values are bounded so that it stays under the 2048 bytes of x86 (``COMMAND_LINE_SIZE``).
    """
    station = settings.station
    parameters = [*entry_parameters(entry, boot)]
    if entry is Entry.AUTONOMOUS:
        parameters += autonomous_parameters(settings.autonomous)
    parameters += station_parameters(station)
    if station.lang is not None:
        parameters.append(Parameter("rasura.lang", station.lang))
    keymap = station.keymap or (Keymap.FR if station.lang is Language.FR else None)
    if keymap is not None:
        parameters.append(Parameter("rasura.keymap", keymap))
    return " ".join(quoted(one) for one in parameters)


def quoted(parameter: Parameter) -> str:
    """One parameter in the kernel's own quoting."""
    if parameter.value is not None and " " in parameter.value:
        return f'{parameter.name}="{parameter.value}"'
    return str(parameter)


def _require_url(name: str, value: str, wanted: str) -> None:
    """Raise unless ``value`` is a plain web address without a user and password in it."""
    try:
        parts = urlsplit(value)
        sound = bool(parts.hostname) and parts.port != 0
    except ValueError:
        sound = False
    if not (sound and _HTTP_URL.fullmatch(value) and len(value) <= _URL_CHARACTERS):
        raise SettingsError(f"[station] {name} is not {wanted}: {value!r}")


def _require_carriable(name: str, value: str) -> None:
    """Raise unless ``value`` reaches the kernel unchanged by way of GRUB and of iPXE."""
    wrong = sorted(_UNCARRIABLE.intersection(value))
    if wrong:
        raise SettingsError(
            f"[station] {name} has a {wrong[0]} in it, which boot loaders cannot carry: {value!r}",
            hint="Write the typographic apostrophe, U+2019." if wrong[0] == "'" else None,
        )
    # iPXE takes a command apart at spaces up to a word that begins with #, and joins it with single ones.
    if " ".join(value.split()) != value or not value or not value.isprintable():
        raise SettingsError(
            f"[station] {name} must be printable words with one space between them: {value!r}"
        )
    if " #" in value:
        raise SettingsError(
            f"[station] {name} has a word that begins with #, which iPXE cannot carry: {value!r}"
        )
    if len(value) > 100 or len(value.encode()) > _BYTES:
        raise SettingsError(f"[station] {name} is longer than 100 characters or {_BYTES} bytes")
