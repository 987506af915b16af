from __future__ import annotations

import pytest

from rasura_agent.live import boot_parameters
from rasura_image.settings import (
    BootFrom,
    DhcpMode,
    End,
    Entry,
    Keymap,
    Language,
    Settings,
    SettingsError,
    kernel_arguments,
    parse_settings,
)

PIN = "sha256:" + "0f" * 32
FULL = f"""
[station]
policy = "https://pxe.example.org/policies/bench.toml#sha256={"a1" * 32}"
registry = "https://registry.example.org:8443/log"
ca = "{PIN}"
site = "Atelier Là-bas"
operator = "trainee-7"
location = "Bay 3 (rear)"
lot = "LOT-2026-001"
lang = "fr"
keymap = "be"

[autonomous]
end = "poweroff"
countdown = 30

[menu]
default = "autonomous"
timeout = 3

[server]
mode = "proxy"
range = "192.168.77.100, 192.168.77.200"
http_port = 8081
"""


def arguments(text: str, entry: Entry = Entry.NORMAL) -> str:
    return kernel_arguments(parse_settings(text), entry, BootFrom.NETWORK)


def test_all_of_a_file_is_read() -> None:
    settings = parse_settings(FULL)
    assert settings.station.lang is Language.FR
    assert settings.station.keymap is Keymap.BE
    assert settings.autonomous.end is End.POWEROFF
    assert settings.menu.default is Entry.AUTONOMOUS
    assert settings.server.mode is DhcpMode.PROXY
    assert [str(one) for one in settings.server.addresses() or ()] == ["192.168.77.100", "192.168.77.200"]


def test_an_empty_file_changes_nothing() -> None:
    assert parse_settings("") == Settings()
    assert arguments("") == "quiet loglevel=3 systemd.show_status=no rasura.boot=network rasura.entry=normal"


def test_the_agent_reads_what_the_settings_say() -> None:
    read = boot_parameters.parse_boot_parameters(arguments(FULL, Entry.AUTONOMOUS))
    assert read == boot_parameters.BootParameters(
        policy=boot_parameters.PolicyUrl("https://pxe.example.org/policies/bench.toml", "a1" * 32),
        registry="https://registry.example.org:8443/log",
        ca_pin=PIN,
        site="Atelier Là-bas",
        operator="trainee-7",
        location="Bay 3 (rear)",
        lot="LOT-2026-001",
        language=boot_parameters.Language.FR,
        keymap=boot_parameters.Keymap.BE,
        armed=True,
        countdown_s=30,
        end=boot_parameters.End.POWEROFF,
        boot_from=boot_parameters.BootFrom.NETWORK,
        entry=boot_parameters.Entry.AUTONOMOUS,
    )


@pytest.mark.parametrize("entry", Entry)
def test_only_the_autonomous_entry_arms_and_only_the_shell_entry_opens_a_shell(entry: Entry) -> None:
    read = boot_parameters.parse_boot_parameters(arguments(FULL, entry))
    assert read.armed == (entry is Entry.AUTONOMOUS)
    assert read.shell == (entry is Entry.SHELL)
    assert read.entry is not None
    assert read.entry.value == entry.value


@pytest.mark.parametrize("entry", Entry)
def test_no_entry_restarts_after_a_panic_or_opens_the_gate_of_the_tests(entry: Entry) -> None:
    words = [word.partition("=")[0] for word in arguments(FULL, entry).split()]
    assert not {"panic", "rasura.test", "rasura.medium"} & set(words)


def test_the_serial_console_is_the_last_and_so_the_one_of_the_system() -> None:
    consoles = [word for word in arguments("", Entry.SERIAL).split() if word.startswith("console=")]
    assert consoles == ["console=tty0", "console=ttyS0,115200n8"]


def test_the_entries_for_odd_hardware() -> None:
    assert arguments("", Entry.SAFE_GRAPHICS).endswith(" nomodeset")
    assert arguments("", Entry.OLD_PC).endswith(" acpi=off noapic nomodeset")


def test_both_ends_know_the_same_words() -> None:
    assert [str(one) for one in Language] == [str(one) for one in boot_parameters.Language]
    assert [str(one) for one in Keymap] == [str(one) for one in boot_parameters.Keymap]
    assert [str(one) for one in End] == [str(one) for one in boot_parameters.End]
    assert [str(one) for one in Entry] == [str(one) for one in boot_parameters.Entry]
    assert [str(one) for one in BootFrom] == [str(one) for one in boot_parameters.BootFrom]


def test_french_comes_with_its_keyboard() -> None:
    assert arguments('[station]\nlang = "fr"').endswith(" rasura.lang=fr rasura.keymap=fr")
    assert arguments('[station]\nlang = "en"').endswith(" rasura.lang=en")
    assert arguments('[station]\nlang = "fr"\nkeymap = "ch"').endswith(" rasura.lang=fr rasura.keymap=ch")


def test_the_longest_settings_fit_into_the_kernels_2048_bytes() -> None:
    address = "https://registry.example.org/".ljust(250, "x")
    texts = "".join(f'{name} = "{"é" * 49} {"à" * 50}"\n' for name in ("site", "operator", "location", "lot"))
    text = (
        f'[station]\npolicy = "{address}#sha256={"a" * 64}"\nregistry = "{address}"\nca = "{PIN}"\n'
        f'{texts}lang = "fr"\n[autonomous]\ncountdown = 3600\nend = "poweroff"'
    )
    # GRUB adds where it found the kernel.
    image = "BOOT_IMAGE=(http,255.255.255.255:65535)/rasura/vmlinuz "
    assert len((image + arguments(text, Entry.AUTONOMOUS)).encode()) < 2048


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("[station", "this is not TOML"),
        ('[station]\npolcy = "purge"', "settings.toml, station: object contains unknown field `polcy`"),
        ("[sation]", "settings.toml, the file: object contains unknown field `sation`"),
        ('[station]\nlang = "de"', "settings.toml, station.lang: invalid enum value 'de'"),
        ('[station]\nkeymap = "dvorak"', "station.keymap"),
        ("[station]\nsite = 7", "station.site: expected `str | null`, got `int`"),
        ('[station]\nca = "sha256:00"', "station.ca"),
        (f'[station]\nca = "{PIN.upper()}"', "station.ca"),
        (f'[station]\nca = "{PIN}\\n"', "station.ca"),
        ('[station]\nregistry = "ftp://example.org"', "registry is not an http(s) address"),
        ('[station]\nregistry = "https://user:secret@example.org"', "registry is not an http(s) address"),
        ('[station]\nregistry = "https://example.org:99999/"', "registry is not an http(s) address"),
        ('[station]\nregistry = "https://"', "registry is not an http(s) address"),
        ('[station]\nregistry = "https://[::1/"', "registry is not an http(s) address"),
        ('[station]\nregistry = "https://example.org/a b"', "registry is not an http(s) address"),
        (f'[station]\nregistry = "https://example.org/{"x" * 250}"', "registry is not an http(s) address"),
        ('[station]\npolicy = "../secret"', "policy is not a policy's name or an http(s) address"),
        ('[station]\npolicy = "http://example.org/p.toml#sha256=xyz"', "policy is not a policy's name"),
        ('[station]\nsite = "L\'Atelier"', "site has a ' in it, which boot loaders cannot carry"),
        ('[station]\nsite = "a\\"b"', 'site has a " in it'),
        ('[station]\nsite = "${net0/mac}"', "site has a $ in it"),
        ('[station]\nlocation = "bay; reboot"', "location has a ; in it"),
        ('[station]\nlocation = "a && b"', "location has a & in it"),
        ('[station]\nlot = "a\\\\x20b"', "lot has a \\ in it"),
        ('[station]\nlot = "a\\nb"', "lot must be printable words"),
        ('[station]\nlot = "a  b"', "lot must be printable words"),
        ('[station]\nlot = " a"', "lot must be printable words"),
        ('[station]\nlot = ""', "lot must be printable words"),
        ('[station]\nlot = "\\u202eabc"', "lot must be printable words"),
        ('[station]\nlot = "bay #3"', "lot has a word that begins with #"),
        (f'[station]\nlot = "{"x" * 101}"', "lot is longer than"),
        (f'[station]\nlot = "{"機" * 70}"', "lot is longer than"),
        ("[autonomous]\ncountdown = 9", "autonomous.countdown"),
        ("[autonomous]\ncountdown = 3601", "autonomous.countdown"),
        ("[autonomous]\ncountdown = true", "autonomous.countdown"),
        ('[autonomous]\nend = "halt"', "autonomous.end"),
        ('[menu]\ndefault = "shell"', "default must not be shell"),
        ('[menu]\ndefault = "memtest"', "menu.default"),
        ("[menu]\ntimeout = -1", "menu.timeout"),
        ("[server]\nhttp_port = 0", "server.http_port"),
        ('[server]\nmode = "half"', "server.mode"),
        ('[server]\nrange = "192.168.77.100"', "is not two IPv4 addresses"),
        ('[server]\nrange = "192.168.77.9,192.168.77.8"', "is not two IPv4 addresses"),
        ('[server]\nrange = "192.168.77.9,::1"', "is not two IPv4 addresses"),
        ('[server]\ntls_key = "x.key"', "go together"),
    ],
)
def test_what_cannot_be_carried_out_is_refused_with_a_sentence(text: str, sentence: str) -> None:
    with pytest.raises(SettingsError) as refused:
        parse_settings(text, "settings.toml")
    assert sentence in str(refused.value)
    assert str(refused.value).startswith("settings.toml")


def test_the_refusal_of_an_apostrophe_names_the_one_that_works() -> None:
    with pytest.raises(SettingsError) as refused:
        parse_settings('[station]\nsite = "L\'Atelier"')
    assert refused.value.hint is not None
    assert "U+2019" in refused.value.hint
    assert parse_settings('[station]\nsite = "L\u2019Atelier"').station.site == "L\u2019Atelier"
