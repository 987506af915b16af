"""Settings reach the agent unchanged by every loader; the lexers here follow the loaders' own rules."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from rasura_agent.live.boot_parameters import BootParameters, PolicyUrl, parse_boot_parameters
from rasura_image.menus import data_partition_cfg, ipxe_script, netboot_grub_cfg
from rasura_image.settings import (
    Autonomous,
    BootFrom,
    End,
    Entry,
    Keymap,
    Language,
    Settings,
    SettingsError,
    Station,
    kernel_arguments,
)

_GRUB_SPECIAL = frozenset("{}|&$;<> \t\n")


def grub_words(line: str) -> list[str]:
    """One command of GRUB's language: words of single quotes, backslashes and plain characters.

    An unquoted special character, a variable or a double quote is a fault here: values are never given so.
    """
    words, at, word = [], 0, None
    while at < len(line):
        char = line[at]
        if char == "'":
            end = line.index("'", at + 1)
            word, at = (word or "") + line[at + 1 : end], end
        elif char == "\\":
            word, at = (word or "") + line[at + 1], at + 1
        elif char in " \t":
            if word is not None:
                words.append(word)
            word = None
        else:
            assert char not in _GRUB_SPECIAL, line
            assert char != '"', line
            word = (word or "") + char
        at += 1
    return words if word is None else [*words, word]


def grub_command_line(words: list[str]) -> str:
    """What ``linux`` makes of its words (grub-core/lib/cmdline.c)."""
    line = []
    for word in words:
        escaped = "".join(f"\\{char}" if char in "\\'\"" else char for char in word)
        line.append(f'"{escaped}"' if " " in word else escaped)
    return " ".join(line)


class Ipxe:
    """As much of iPXE's script language as a menu needs (core/exec.c).

    A line is taken apart at white space; ``||``, ``&&`` and ``;`` end a command, ``#`` begins a comment; only
    then are settings expanded, and the words of ``set`` and ``kernel`` joined with single spaces.
    """

    TERMINATORS = frozenset({"||", "&&", ";"})

    def __init__(self, script: str, entry: str) -> None:
        self.lines = script.splitlines()
        self.variables = {"r_entry": entry}
        self.at = 0
        self.kernel_line: str | None = None

    def run(self) -> str:
        """The kernel command line that the script ends with when ``entry`` is chosen."""
        for _ in range(500):
            line = self.lines[self.at]
            self.at += 1
            self.execute(line)
            if self.kernel_line is not None:
                return self.kernel_line
        raise AssertionError("the script runs in circles")

    def execute(self, line: str) -> None:
        tokens = line.split(" ")
        tokens = tokens[: next((i for i, token in enumerate(tokens) if token.startswith("#")), len(tokens))]
        command: list[str] = []
        process, succeeded = True, True
        for token in [*filter(None, tokens), ";"]:
            if token not in self.TERMINATORS:
                command.append(expanded(token, self.variables))
                continue
            if process and command:
                if command[0] == "goto":
                    self.at = self.lines.index(f":{command[1]}")
                    return
                succeeded = self.one(command)
            process = token == ";" or succeeded == (token == "&&")
            command = []

    def one(self, command: list[str]) -> bool:
        match command:
            case ["set", name, *value]:
                self.variables[name] = " ".join(value)
            case ["isset", value]:
                return bool(value)
            case ["iseq", one, other]:
                return one == other
            case ["kernel", _, *arguments]:
                self.kernel_line = " ".join(arguments)
        return True


def expanded(token: str, variables: dict[str, str]) -> str:
    """``token`` with its settings; those of the values are not looked at again."""
    text, rest = "", token
    while "${" in rest:
        before, _, rest = rest.partition("${")
        name, _, rest = rest.partition("}")
        text += before + variables.get(name, "")
    return text + rest


any_text = st.text(max_size=30)
likely_text = st.text(st.sampled_from("aZ09 éàÀ#-_.,:/+@()=!*?[]~^%\u2019'\"$;{}|&<>\\\t\n"), max_size=30)
words = st.lists(
    st.text(st.sampled_from("aZ09éàÀ-_.,:/+@()=!*?[]~^%\u2019#"), min_size=1, max_size=8), min_size=1
)
good_text = words.map(" ".join)
hex64 = st.text(st.sampled_from("0123456789abcdef"), min_size=64, max_size=64)
address = st.builds(
    "{}://{}{}".format,
    st.sampled_from(["http", "https"]),
    st.sampled_from(["a.example", "10.0.0.1:8080", "[fd00::1]:80"]),
    st.sampled_from(["", "/", "/a%20b/c=d,e?f=~g@h:1"]),
)
policy = st.one_of(st.just("purge"), address, st.builds("{}#sha256={}".format, address, hex64), likely_text)


@st.composite
def stations(draw: st.DrawFn) -> Station:
    """Any station that settings may describe."""
    text = st.none() | any_text | likely_text | good_text
    values: dict[str, Any] = {
        "policy": draw(st.none() | policy),
        "registry": draw(st.none() | address),
        "ca": draw(st.none() | st.builds("sha256:{}".format, hex64)),
        "lang": draw(st.none() | st.sampled_from(Language)),
        "keymap": draw(st.none() | st.sampled_from(Keymap)),
    }
    for name in ("site", "operator", "location", "lot"):
        values[name] = draw(text)
    for name in ("policy", "site", "operator", "location", "lot"):
        try:
            Station(**{name: values[name]})
        except SettingsError:
            # Most of what is drawn cannot be carried; what is left over is carried together.
            values[name] = None
    return Station(**values)


settings = st.builds(
    Settings,
    station=stations(),
    autonomous=st.builds(Autonomous, end=st.sampled_from(End), countdown=st.integers(10, 3600)),
)


def wanted(one: Settings, entry: Entry, boot: BootFrom) -> dict[str, Any]:
    """What the agent must understand."""
    station = one.station
    pinned: Any = station.policy
    if pinned is not None and "://" in pinned:
        url, _, digest = pinned.partition("#sha256=")
        pinned = PolicyUrl(url, digest or None)
    autonomous = entry is Entry.AUTONOMOUS
    return {
        "policy": pinned,
        "registry": station.registry,
        "ca_pin": station.ca,
        "site": station.site,
        "operator": station.operator,
        "location": station.location,
        "lot": station.lot,
        "language": station.lang or "en",
        "keymap": station.keymap or ("fr" if station.lang == "fr" else "us"),
        "armed": autonomous,
        "countdown_s": one.autonomous.countdown if autonomous else 60,
        "end": one.autonomous.end if autonomous else "wait",
        "boot_from": boot,
        "entry": entry,
        "shell": entry is Entry.SHELL,
        "medium": None,
        "test": None,
    }


def understood(line: str) -> dict[str, Any]:
    read = parse_boot_parameters(line)
    return {name: getattr(read, name) for name in BootParameters.__struct_fields__}


@given(settings, st.sampled_from(Entry))
def test_the_agent_understands_the_kernels_own_quoting(one: Settings, entry: Entry) -> None:
    assert understood(kernel_arguments(one, entry, BootFrom.MEDIUM)) == wanted(one, entry, BootFrom.MEDIUM)


@given(settings, st.sampled_from(Entry))
def test_ipxe_carries_them(one: Settings, entry: Entry) -> None:
    line = Ipxe(ipxe_script(one, "http://192.168.77.1:8080"), entry).run()
    assert understood(line) == wanted(one, entry, BootFrom.NETWORK)


@given(settings, st.sampled_from(Entry))
def test_grub_carries_them(one: Settings, entry: Entry) -> None:
    menu = netboot_grub_cfg(one, "http://192.168.77.1:8080")
    variables = {}
    for line in menu.splitlines():
        name, equals, value = line.removeprefix("set ").partition("=")
        if line.startswith("set ") and equals and name not in variables and not value.startswith('"'):
            variables[name] = " ".join(grub_words(value))
    after = menu[menu.index(f"--id {entry} {{") :]
    start = next(line for line in after.splitlines() if line.strip().startswith("rasura_start "))
    words = []
    for word in start.split(" rasura_start ")[-1].removeprefix("  rasura_start ").split(" "):
        words += variables[word[1:]].split() if word.startswith("$") else grub_words(word)
    if variables["rasura_lang"]:
        words.append(f"rasura.lang={variables['rasura_lang']}")
    keymap = variables["rasura_keymap"] or ("fr" if variables["rasura_lang"] == "fr" else "")
    if keymap:
        words.append(f"rasura.keymap={keymap}")
    linux = next(line for line in menu.splitlines() if line.startswith('  linux "$@"'))
    words += grub_words(linux.removeprefix('  linux "$@"'))
    assert understood(grub_command_line(words)) == wanted(one, entry, BootFrom.NETWORK)


@given(st.sampled_from(["site", "operator", "location", "lot", "policy"]), any_text | likely_text | good_text)
def test_a_value_is_refused_or_stays_on_its_own_line(name: str, value: str) -> None:
    fields_given: dict[str, Any] = {name: value}
    try:
        station = Station(**fields_given)
    except SettingsError:
        return
    bare, given_value = data_partition_cfg(Settings()), data_partition_cfg(Settings(station=station))
    assert len(given_value.splitlines()) == len(bare.splitlines())
    bare_lines = ipxe_script(Settings(station=Station(site="é")), None).splitlines()
    new = [
        line for line in ipxe_script(Settings(station=station), None).splitlines() if line not in bare_lines
    ]
    assert all(line.startswith(f"set r_station rasura.{name}=") for line in new)
    assert len(new) <= 1
